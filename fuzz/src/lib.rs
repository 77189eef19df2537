//! Generated programs: load requests aimed at the border between accept and reject, and oracles that
//! compare verifiers, engines and kernels on them.
//!
//! [`Generator`] turns a seed into a [`ProgramSpec`](skep_spec::ProgramSpec), the same one on every
//! machine, and [`mutant`] damages one. An [`oracle`] says of a subject whether what must hold does;
//! [`campaign`] asks one about many and counts what was met; [`shrink`] reduces what shows a finding to
//! something small that still does. [`TypedGenerator`] makes programs that use the kernel's types, for
//! [`Guests`]. Of the running kernel programs are only loaded, or test-run where an
//! oracle says so: nothing is attached.

pub mod campaign;
mod catalogue;
pub mod coverage;
mod damage;
mod edit;
mod generate;
pub mod oracle;
mod rng;
pub mod shrink;
mod typed;

pub use generate::{Generator, mutant};
pub use oracle::{Agreement, Bench, Difference, Guests, LiveKernel, Oracle, Side, Subject};
pub use rng::Rng;
pub use shrink::{shrink, shrink_bytes};
pub use typed::TypedGenerator;
