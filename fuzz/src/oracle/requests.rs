//! Any load request, however damaged, gets a verdict: no panic, whatever the kernel described by the
//! facts, pruning or not, with or without a log.

use std::sync::Arc;

use skep_spec::{Facts, Lane, Profile, ProgramSpec};
use skep_verifier::report::{Log, Silent, explain, message};
use skep_verifier::{Config, Prune, Verdict, verify};

use super::{Bench, Judged, Outcome};
use crate::Rng;
use crate::coverage::Coverage;

/// Instructions that may be processed.
const PROCESSED: u64 = 20_000;

pub(super) fn judge(bench: &Bench, spec: &ProgramSpec, seed: u64) -> Judged {
    let verdict = request_gets_a_verdict(spec, bench.facts(), seed);
    let mut coverage = Coverage::default();
    if let Verdict::Rejected(rejection) = &verdict {
        coverage.rejected(&rejection.violation, seed);
    }
    Judged {
        examined: None,
        outcome: Outcome::Fine,
        here: match verdict {
            Verdict::Accepted(_) => Some(true),
            Verdict::Rejected(_) => Some(false),
            Verdict::Undecided(_) => None,
        },
        kernel: None,
        coverage,
    }
}

/// Verifies in a way that the seed chooses, and tells all that can be told.
///
/// # Panics
/// Never; this is what it is called for.
pub fn request_gets_a_verdict(spec: &ProgramSpec, facts: &Arc<Facts>, seed: u64) -> Verdict {
    let mut rng = Rng::new(seed ^ 0x7e57);
    let facts = match rng.below(10) {
        0 => Arc::new(Facts::new(odd())),
        1 => Arc::new(Facts::new(with_types_of(spec))),
        _ => Arc::clone(facts),
    };
    let prune = if spec.insns.len() > 200 || rng.chance(95) {
        Prune::ByReads
    } else {
        rng.pick([Prune::Nothing, Prune::ByWrites])
    };
    let config = Config {
        prune,
        max_processed: Some(PROCESSED),
    };
    let level = if rng.chance(70) {
        0
    } else {
        rng.pick([1, 2, 4, 7, 0x107, u32::MAX])
    };
    let verdict = match level {
        0 => verify(spec, &facts, &config, &mut Silent),
        level => verify(spec, &facts, &config, &mut Log::new(level)),
    };
    if let Verdict::Rejected(rejection) = &verdict {
        let _ = message(&rejection.violation, spec, &facts);
        let _ = explain(rejection, spec, &facts);
    }
    verdict
}

/// A kernel that can and allows as little as one may.
fn odd() -> Profile {
    let mut odd = Profile {
        lane: Lane {
            bpf: false,
            ptr_leaks: false,
            uninit_stack: false,
            bypass_spec_v1: false,
            bypass_spec_v4: false,
        },
        capabilities: Vec::new(),
        ..Profile::linux_6_18()
    };
    odd.environment.jit = false;
    odd.environment.jit_private_stack = false;
    odd.environment.efficient_unaligned = false;
    odd.environment.net_ip_align = 2;
    odd
}

/// A kernel whose own types are the program's.
fn with_types_of(spec: &ProgramSpec) -> Profile {
    match &spec.btf {
        Some(btf) => Profile::linux_6_18().with_btf(Arc::clone(btf)),
        None => Profile::linux_6_18(),
    }
}
