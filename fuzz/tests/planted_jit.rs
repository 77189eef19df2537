//! A fault that is planted in the JIT is found:
//! `cargo test -p skep-fuzz --features planted-jit-fault --test planted_jit`.
//!
//! The feature makes moves of 32 bits keep the upper half of their register.

#![cfg(feature = "planted-jit-fault")]
#![allow(
    clippy::print_stderr,
    reason = "a test says how soon it found the fault"
)]

use std::sync::Arc;

use skep_fuzz::campaign::batch;
use skep_fuzz::{Bench, Oracle};
use skep_spec::{Facts, Profile};

/// Subjects within which the fault is found.
const WITHIN: u64 = 10_000;
/// Subjects at a time.
const STEP: u64 = 50;

#[test]
fn a_wide_move_is_found_by_comparing_engines() {
    let bench = Bench::new(Arc::new(Facts::new(Profile::linux_6_18())));
    let found = (0..WITHIN / STEP).find(|at| {
        let subjects = at * STEP..(at + 1) * STEP;
        batch(Oracle::InterpEqualsJit, &bench, 1, subjects).found() != 0
    });
    assert!(found.is_some(), "not found within {WITHIN} subjects");
    let subjects = found.map_or(0, |at| (at + 1) * STEP);
    eprintln!("found within {subjects} subjects");
}
