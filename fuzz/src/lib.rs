//! Generated programs: load requests aimed at the border between accept and reject, and oracles that
//! compare verifiers, engines and kernels on them.
//!
//! [`Generator`] turns a seed into a [`ProgramSpec`](skep_spec::ProgramSpec), the same one on every
//! machine. [`LiveKernel`] asks the running kernel and this project's verifier about a request and says
//! whether they agree; [`shrink`] reduces a request that shows a difference to a small one that still
//! does. Loads only: nothing is attached.

mod catalogue;
mod edit;
mod generate;
pub mod oracle;
mod rng;
pub mod shrink;

pub use generate::{Generator, mutant};
pub use oracle::{Agreement, Difference, LiveKernel, Side};
pub use rng::Rng;
pub use shrink::shrink;
