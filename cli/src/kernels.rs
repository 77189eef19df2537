//! The kernels that are asked for, each with its facts, made once and shared by all verifications.
//!
//! Nothing here looks at the machine unless `--btf running` says so: a verdict depends on what was
//! given alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use skep_btf::Btf;
use skep_corpus::read_btf;
use skep_loader::Options;
use skep_spec::{Facts, KernelVersion, Profile};

use crate::args::OpenArgs;
use crate::failure::{Failure, note};
use crate::opening::Opening;

/// One kernel to judge for.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// Name as tables show it.
    pub(crate) name: String,
    /// What it allows.
    pub(crate) facts: Facts,
    /// What else objects are opened with.
    pub(crate) opening: Arc<Opening>,
}

impl Kernel {
    /// How objects are opened for this kernel.
    pub(crate) fn open_options(&self) -> Options {
        let profile = self.facts.profile();
        Options {
            kernel_btf: profile.btf.clone(),
            kernel_version: Some(profile.version),
            cpus: profile.environment.cpus,
            kconfig: self.opening.kconfig.clone(),
            symbols: self.opening.symbols.clone(),
            globals: self.opening.globals.clone(),
            sizes: self.opening.sizes.clone(),
        }
    }
}

/// The kernels of one command.
#[derive(Debug)]
pub(crate) struct Kernels {
    chosen: Vec<Arc<Kernel>>,
    recorded: BTreeMap<String, Arc<Kernel>>,
    btf: Option<Arc<Btf>>,
    /// Captured requests, too, are judged for the chosen kernels.
    only_chosen: bool,
}

/// The series that verdicts are for where none is asked for.
const DEFAULT: KernelVersion = KernelVersion::new(6, 18, 0);

impl Kernels {
    /// Those versions, or the default one, with that BTF.
    ///
    /// # Errors
    /// A version without a built-in profile, or BTF that cannot be read.
    pub(crate) fn new(versions: &[KernelVersion], btf: Option<&Path>) -> Result<Kernels, Failure> {
        let btf = btf.map(kernel_btf).transpose()?;
        let mut chosen = Vec::new();
        for version in if versions.is_empty() {
            &[DEFAULT]
        } else {
            versions
        } {
            chosen.push(Arc::new(kernel(
                version.to_string(),
                *version,
                btf.as_ref(),
            )?));
        }
        Ok(Kernels {
            chosen,
            recorded: BTreeMap::new(),
            btf,
            only_chosen: false,
        })
    }

    /// One kernel for everything, with that BTF and so many CPUs.
    ///
    /// # Errors
    /// It has no built-in profile.
    pub(crate) fn only(
        release: &str,
        version: KernelVersion,
        btf: Option<Arc<Btf>>,
        cpus: u32,
    ) -> Result<Kernels, Failure> {
        let mut kernel = kernel(release.to_owned(), version, btf.as_ref())?;
        let mut profile = kernel.facts.profile().clone();
        profile.environment.cpus = cpus;
        kernel.facts = Facts::new(profile);
        let kernel = Arc::new(kernel);
        Ok(Kernels {
            chosen: vec![kernel],
            recorded: BTreeMap::new(),
            btf,
            only_chosen: true,
        })
    }

    /// The same, with what objects are opened with.
    ///
    /// # Errors
    /// Files that cannot be read, settings that make no sense.
    pub(crate) fn opening(mut self, args: &OpenArgs) -> Result<Kernels, Failure> {
        let opening = Arc::new(Opening::new(args)?);
        for kernel in &mut self.chosen {
            if let Some(kernel) = Arc::get_mut(kernel) {
                kernel.opening = Arc::clone(&opening);
            }
        }
        Ok(self)
    }

    /// The kernels asked for.
    pub(crate) fn chosen(&self) -> &[Arc<Kernel>] {
        &self.chosen
    }

    /// The first of them.
    ///
    /// # Errors
    /// Never: there is always one.
    pub(crate) fn first(&self) -> Result<Arc<Kernel>, Failure> {
        self.chosen
            .first()
            .cloned()
            .ok_or_else(|| Failure::new("no kernel was chosen"))
    }

    /// The kernels for a captured request: the one that it was recorded on, else those asked for.
    ///
    /// # Errors
    /// The recorded kernel has no profile.
    pub(crate) fn for_request(&mut self, recorded: &str) -> Result<Vec<Arc<Kernel>>, Failure> {
        if recorded.is_empty() || self.only_chosen {
            return Ok(self.chosen.clone());
        }
        if let Some(kernel) = self.recorded.get(recorded) {
            return Ok(vec![Arc::clone(kernel)]);
        }
        let version = recorded
            .parse()
            .map_err(|e: skep_spec::VersionError| Failure::new(format!("recorded kernel {e}")))?;
        let kernel = Arc::new(kernel(recorded.to_owned(), version, self.btf.as_ref())?);
        self.recorded
            .insert(recorded.to_owned(), Arc::clone(&kernel));
        Ok(vec![kernel])
    }
}

fn kernel(name: String, version: KernelVersion, btf: Option<&Arc<Btf>>) -> Result<Kernel, Failure> {
    let Some(mut profile) = Profile::built_in(version) else {
        return Err(
            Failure::new(format!("there is no profile of kernel {name}")).help(format!(
                "verdicts are for the {DEFAULT} series in this version of skep"
            )),
        );
    };
    profile.name.clone_from(&name);
    if let Some(btf) = btf {
        profile = profile.with_btf(Arc::clone(btf));
    }
    Ok(Kernel {
        name,
        facts: Facts::new(profile),
        opening: Arc::default(),
    })
}

/// Reads kernel BTF from a file, or from the running kernel where the word says so.
pub(crate) fn kernel_btf(path: &Path) -> Result<Arc<Btf>, Failure> {
    if path != Path::new("running") {
        return read_btf(path).map(Arc::new).map_err(|e| {
            Failure::new(e.to_string())
                .help("--btf takes a kernel's BTF, such as a copy of /sys/kernel/btf/vmlinux")
        });
    }
    let release = skep_kernel::release().unwrap_or_default();
    note(format_args!(
        "types are those of the running kernel {release}"
    ));
    running_btf()
}

/// The running kernel's BTF.
pub(crate) fn running_btf() -> Result<Arc<Btf>, Failure> {
    let place = "/sys/kernel/btf/vmlinux";
    let bytes = skep_kernel::vmlinux_btf().map_err(|e| Failure::of(place, e))?;
    Btf::parse(bytes)
        .map(Arc::new)
        .map_err(|e| Failure::of(place, e))
}
