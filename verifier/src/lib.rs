//! Decides, path by path, whether a kernel would accept a BPF program, and says why not.
//!
//! [`verify`] walks every path of a program in the kernel's own order, keeping for each register and
//! stack byte what is known of it, forgetting paths that a remembered state already covers. It knows no
//! ELF, no assembly text, no engine, no operating system, no clock and no randomness: same request and
//! same facts give the same verdict, counts and log. `README.md` explains the theory.

mod access;
mod call;
mod config;
mod env;
mod finish;
mod learned;
pub mod number;
mod prepare;
mod prune;
pub mod report;
mod state;
mod strings;
mod verdict;
pub mod violation;
mod walk;

pub use config::{Config, Prune};
pub use verdict::{Accepted, Rejection, Stats, Verdict};
pub use walk::verify;
