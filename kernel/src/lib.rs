//! Talk to a real kernel through `bpf(2)`: load, read the log, test-run, ask.
//!
//! [`Kernel::open`] says whether there is a kernel to ask and why not; [`Kernel::load`] turns a
//! [`ProgramSpec`](skep_spec::ProgramSpec) into a live program or a [`LoadOutcome`] that says what the
//! verifier said. An outcome keeps verdicts apart from failures of the environment ([`Answer`]), so
//! that a lack of memory never counts as a rejection. [`LoadedObject`] loads the programs of one
//! object with shared maps; [`guest`] asks other kernels under qemu the same questions. Nothing here attaches, pins or changes a setting of the machine.
//!
//! On systems other than Linux the crate compiles and [`available`] says that there is no kernel.

mod answer;
mod errno;
pub mod guest;
mod host;
pub mod loader;
pub mod log;
mod map;
mod object;
mod peer;
mod program;
mod rebase;
mod run;
mod session;
#[expect(
    unsafe_code,
    reason = "the system calls; each block says why it is sound"
)]
mod sys;

pub use answer::{Answer, NotJudged};
pub use errno::Errno;
pub use host::{NotAvailable, available, possible_cpus, release, tainted, version, vmlinux_btf};
pub use map::{Entry, LiveMap, MapError, MapInfo, MapStep};
pub use object::{LoadedObject, SlotError};
pub use program::{LiveProgram, LoadOptions, LoadOutcome, ProgInfo, load};
pub use rebase::{MissingType, rebase};
pub use run::{Ran, RunOutcome, RunRequest};
pub use session::Kernel;
