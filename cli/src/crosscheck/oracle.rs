//! Whom to ask: the running kernel, or another one under qemu.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use skep_btf::Btf;
use skep_kernel::guest::{CPUS, Guest, GuestOptions, Image};
use skep_kernel::loader::Loader;
use skep_kernel::{Kernel, LoadOptions, LoadOutcome, available, tainted};
use skep_spec::{KernelVersion, ProgramSpec};

use crate::failure::Failure;

/// A kernel as the command line names it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Wanted {
    /// The running one.
    #[default]
    Running,
    /// One under qemu, by its image or version.
    Guest(String),
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Wanted, String> {
        match text.strip_prefix("guest:") {
            Some("") | None if text != "running" => Err(
                "write `running`, `guest:VERSION` (such as guest:6.18) or `guest:FILE` (an image)"
                    .to_owned(),
            ),
            Some(name) => Ok(Wanted::Guest(name.to_owned())),
            None => Ok(Wanted::Running),
        }
    }
}

/// A kernel that answers.
#[derive(Debug)]
pub(super) enum Oracle {
    /// The running one, asked by child processes, one for each that asks.
    Running(Kernel, Mutex<Vec<Loader>>),
    /// One under qemu, which answers one question at a time.
    Guest(Box<Image>, Box<Mutex<Guest>>),
}

/// Time that a load may take.
const LIMIT: Duration = Duration::from_secs(60);

/// The file of this command, which guests and loaders run.
fn this_program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|why| Failure::of("this program's own file", why))
}

impl Oracle {
    /// The kernel asked for, up and running.
    ///
    /// # Errors
    /// It cannot be asked, and what would help.
    pub(super) fn open(wanted: &Wanted) -> Result<Oracle, Failure> {
        match wanted {
            Wanted::Running => {
                available().map_err(|why| {
                    Failure::new(format!("the running kernel cannot be asked: {why}"))
                        .help("run it as root; `skep verify` needs neither privileges nor a kernel")
                })?;
                let kernel = Kernel::open().map_err(|why| Failure::new(why.to_string()))?;
                Ok(Oracle::Running(kernel, Mutex::default()))
            }
            Wanted::Guest(name) => {
                let image = Image::find(name).map_err(|why| {
                    Failure::new(why.to_string()).help(
                        "name the image of a kernel with a path, or fetch one with \
                         kernel/fetch-image (kernel/README.md says more)",
                    )
                })?;
                // The guest runs this same command, which knows its place (`guest::is_agent`).
                let init = this_program()?;
                let mut guest = Guest::new(image.clone(), init, GuestOptions::default());
                guest.start().map_err(|why| {
                    Failure::new(why.to_string())
                        .help("guests need qemu-system-x86_64 and a kernel that boots by PVH")
                })?;
                Ok(Oracle::Guest(Box::new(image), Box::new(Mutex::new(guest))))
            }
        }
    }

    /// Its release name.
    pub(super) fn release(&self) -> &str {
        match self {
            Oracle::Running(kernel, _) => kernel.release(),
            Oracle::Guest(image, _) => &image.release,
        }
    }

    /// Its version.
    pub(super) fn version(&self) -> KernelVersion {
        match self {
            Oracle::Running(kernel, _) => kernel.version(),
            Oracle::Guest(image, _) => image.version,
        }
    }

    /// How many CPUs it may have: programs learn the number of theirs.
    pub(super) fn cpus(&self) -> u32 {
        match self {
            Oracle::Running(kernel, _) => u32::try_from(kernel.cpus()).unwrap_or(u32::MAX),
            Oracle::Guest(..) => CPUS,
        }
    }

    /// Its types, unless a file with others is given.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn btf(&self, given: Option<&Path>) -> Result<Option<Arc<Btf>>, Failure> {
        let given = given.filter(|path| path.as_os_str() != "running");
        match (given, self) {
            (Some(path), _) => crate::kernels::kernel_btf(path).map(Some),
            // A kernel built without BTF judges programs that need none.
            (None, Oracle::Running(..)) => Ok(crate::kernels::running_btf().ok()),
            (None, Oracle::Guest(image, _)) => Ok(Some(Arc::clone(&image.btf))),
        }
    }

    /// The taint of the machine's own kernel, which only asking that one can change.
    pub(super) fn tainted(&self) -> Option<u64> {
        match self {
            Oracle::Running(..) => tainted(),
            Oracle::Guest(..) => None,
        }
    }

    /// Asks about a request; a guest that cannot be started again is an error, and so is a load into the
    /// running kernel that does not come back.
    pub(super) fn load(&self, spec: &ProgramSpec) -> Result<LoadOutcome, Failure> {
        let options = LoadOptions::quiet();
        match self {
            Oracle::Running(_, idle) => {
                let lock = || idle.lock().unwrap_or_else(PoisonError::into_inner);
                let kept = lock().pop();
                let mut loader = match kept {
                    Some(loader) => loader,
                    None => Loader::new(this_program()?, LIMIT),
                };
                let outcome = loader.load(spec, &options);
                lock().push(loader);
                outcome.map_err(|why| {
                    let help = "the kernel may have hit a bug of its own: look at its log; a \
                                --kernel guest survives what the running one does not";
                    Failure::new(why.to_string()).help(help)
                })
            }
            Oracle::Guest(_, guest) => {
                let mut guest = guest.lock().unwrap_or_else(PoisonError::into_inner);
                let failed = |why: String| Failure::of("the guest", why);
                let mut outcomes = guest
                    .ask(&[spec], &options)
                    .map_err(|why| failed(why.to_string()))?;
                outcomes
                    .pop()
                    .ok_or_else(|| failed("gave no answer".to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_the_running_one_or_a_guest() {
        let guest = |name: &str| Ok(Wanted::Guest(name.to_owned()));
        assert_eq!("running".parse(), Ok(Wanted::Running));
        assert_eq!("guest:6.18".parse(), guest("6.18"));
        assert_eq!("guest:/boot/vmlinuz".parse(), guest("/boot/vmlinuz"));
        for bad in ["", "6.18", "guest", "guest:"] {
            assert!(bad.parse::<Wanted>().is_err(), "{bad}");
        }
    }
}
