//! Compile programs to x86-64 machine code and run them on a simulated kernel.
//!
//! A [`Jit`] holds programs compiled for one kernel ([`skep_sim::Sim`]), as a `Machine` of the interpreter
//! does. There are two ways in. [`Jit::load`] takes any bytecode and compiles it *sandboxed*: every address
//! is confined to guest memory, loops and calls use up a budget, and what goes wrong is a named trap, but
//! not everything that the interpreter finds wrong is noticed. [`Jit::load_verified`] compiles without
//! checks and is `unsafe`: whoever calls it vouches that a verifier accepted the program.
//!
//! Elsewhere than on 64-bit Linux on x86 nothing loads ([`AVAILABLE`]); the interpreter serves there.

mod options;

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[expect(
    unsafe_code,
    reason = "mapping memory that can be executed; each block says why it is sound"
)]
mod code;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod compile;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[expect(
    unsafe_code,
    reason = "gdb's list is one of pointers; each block says who may use it"
)]
mod debug;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod direct;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[expect(
    unsafe_code,
    reason = "the way in for programs that somebody vouches for"
)]
mod jit;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod program;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[expect(
    unsafe_code,
    reason = "entering compiled code and being called by it; each block says why it is sound"
)]
mod run;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod x64;

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
#[path = "other.rs"]
mod jit;

pub use jit::{Jit, Program, function_name};
pub use options::{Mode, Opt, Opts, Proof};

/// Whether programs can be compiled here.
pub const AVAILABLE: bool = cfg!(all(target_arch = "x86_64", target_os = "linux"));

/// Instructions that a sandboxed run may execute where nothing else is said: about as many, since only turns
/// of loops and calls are counted.
pub const BUDGET: u64 = 1 << 30;
