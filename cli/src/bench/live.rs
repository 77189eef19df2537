//! The running kernel, as far as its own times are wanted.

use std::sync::Arc;

use skep_btf::Btf;
use skep_kernel::{
    Answer, Kernel, LiveMap, LoadOptions, MissingType, rebase, tainted, vmlinux_btf,
};
use skep_spec::{KernelVersion, Profile, ProgramSpec};

use crate::failure::Failure;
use crate::input::Unit;

/// The kernel, its types, and whether it was healthy at first.
pub(super) struct Live {
    kernel: Kernel,
    btf: Option<Arc<Btf>>,
    taint: Option<u64>,
}

/// One program in the kernel's terms, with its maps.
pub(super) struct Load {
    spec: ProgramSpec,
    maps: Vec<Arc<LiveMap>>,
}

/// What the kernel said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Said {
    /// Its verdict.
    pub(super) accepted: bool,
    /// Its time, in µs.
    pub(super) us: u64,
}

impl Live {
    /// The kernel, if it can be asked and is one that skep gives verdicts for.
    ///
    /// # Errors
    /// Why not, to be said behind "skipped:".
    pub(super) fn open() -> Result<Live, String> {
        let kernel = Kernel::open().map_err(|why| why.to_string())?;
        if Profile::built_in(kernel.version()).is_none() {
            return Err(format!(
                "there is no profile of the running kernel {}",
                kernel.release()
            ));
        }
        let btf = vmlinux_btf().ok().and_then(|bytes| Btf::parse(bytes).ok());
        Ok(Live {
            kernel,
            btf: btf.map(Arc::new),
            taint: tainted(),
        })
    }

    /// Its version.
    pub(super) fn version(&self) -> KernelVersion {
        self.kernel.version()
    }

    /// Its types.
    pub(super) fn btf(&self) -> Option<&Arc<Btf>> {
        self.btf.as_ref()
    }

    /// Whether it has hit a bug of its own since; then it is asked no more.
    pub(super) fn is_sick(&self) -> bool {
        tainted() != self.taint
    }

    /// The unit's request with the ids that types have in this kernel, and with its maps made. `None`
    /// if it cannot be asked here: it is meant for another kernel, or a map or type is missing.
    pub(super) fn prepare(&self, unit: &Unit) -> Option<Load> {
        let meant_for = unit.recorded_on.parse();
        if self.is_sick() || (!unit.recorded_on.is_empty() && meant_for != Ok(self.version())) {
            return None;
        }
        let spec = self.own_ids(unit).ok()?;
        let maps: Result<_, _> = spec
            .maps
            .iter()
            .map(|map| self.kernel.create_map(map).map(Arc::new))
            .collect();
        Some(Load {
            spec,
            maps: maps.ok()?,
        })
    }

    /// Another build of the kernel numbers its types differently.
    fn own_ids(&self, unit: &Unit) -> Result<ProgramSpec, MissingType> {
        match (unit.kernel.facts.btf(), &self.btf) {
            (Some(from), Some(to)) if from.bytes() != to.bytes() => rebase(&unit.spec, from, to),
            (Some(_) | None, Some(_) | None) => Ok(ProgramSpec::clone(&unit.spec)),
        }
    }

    /// Loads the program and forgets it; `None` without a verdict or a time.
    pub(super) fn ask(&self, load: &Load) -> Option<Said> {
        let options = LoadOptions::quiet();
        let outcome = self
            .kernel
            .load_with(&load.spec, load.maps.clone(), None, &options);
        let accepted = match outcome.answer {
            Answer::Accepted => true,
            Answer::Rejected => false,
            Answer::NotJudged(_) => return None,
        };
        Some(Said {
            accepted,
            us: outcome.stats?.time_us?,
        })
    }
}

/// The error of a measurement that ended early.
pub(super) fn sick() -> Failure {
    Failure::new("the running kernel became tainted; it was asked no more")
        .help("look at the kernel's log: it hit a bug of its own")
}
