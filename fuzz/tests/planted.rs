//! Faults that are planted are found: `cargo test -p skep-fuzz --features planted-faults --test planted`.
//!
//! The feature makes the verifier refine `<` by one value too many and forget what was marked precise
//! when it compares states, and the interpreter shift zeros in where signs belong. Each oracle that could see one of them must, within 10,000 subjects.

#![cfg(feature = "planted-faults")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a skipped oracle says so")]

use std::sync::Arc;

use skep_fuzz::campaign::batch;
use skep_fuzz::oracle::live_facts;
use skep_fuzz::{Bench, LiveKernel, Oracle};
use skep_spec::{Facts, Profile};

/// Subjects within which a fault is found.
const WITHIN: u64 = 10_000;
/// Subjects at a time.
const STEP: u64 = 50;

fn found(oracle: Oracle) -> Option<u64> {
    let bench = if oracle.needs_kernel() {
        match LiveKernel::open(Arc::new(live_facts())) {
            Ok(kernel) if kernel.kernel().version().at_least(6, 18) => Bench::with_kernel(kernel),
            Ok(_) | Err(_) => {
                eprintln!("skipped: {}: needs CAP_BPF on Linux 6.18", oracle.name());
                return Some(0);
            }
        }
    } else {
        Bench::new(Arc::new(Facts::new(Profile::linux_6_18())))
    };
    let found = (0..WITHIN / STEP).find(|at| {
        let tally = batch(oracle, &bench, 1, at * STEP..(at + 1) * STEP);
        tally.found() != 0
    })?;
    eprintln!(
        "{}: found within {} subjects",
        oracle.name(),
        (found + 1) * STEP
    );
    Some(found)
}

#[test]
fn a_lost_value_is_found_by_the_number_oracle() {
    assert!(found(Oracle::NumbersContain).is_some());
}

#[test]
fn a_wrong_state_or_shift_is_found_by_runs() {
    assert!(found(Oracle::AbstractContainsConcrete).is_some());
}

#[test]
fn a_path_wrongly_pruned_is_found_by_exploring_everything() {
    assert!(found(Oracle::PruneEqualsNoPrune).is_some());
}

#[test]
fn a_wrong_verdict_is_found_by_the_kernel() {
    assert!(found(Oracle::KernelAgrees).is_some());
}

#[test]
fn a_wrong_shift_is_found_by_test_runs() {
    assert!(found(Oracle::KernelRunsTheSame).is_some());
}
