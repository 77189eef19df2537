//! Remembered states must change no verdict: exploring everything says the same.
//!
//! This is for programs whose paths end; where exploring everything takes too long, nothing is said. The
//! loader is one who may not read uninitialised stack: for others a slot that was never written covers any
//! other, a pointer too, and what is done with the pointer later goes unseen, as in the kernel.
//!
//! One rule of the kernel's is coarser than exploring everything for all loaders: states are compared by
//! what may be read later (`stacksafe`), yet some writes are refused for what they overwrite. In a slot that
//! is not read later such a write goes unseen on a path that is pruned. That is no finding if pruning that
//! counts what writes find, and differs in nothing else, refuses the same write.

use skep_spec::{Facts, ProgramSpec};
use skep_verifier::report::{Silent, message};
use skep_verifier::violation::{AccessViolation, Violation};
use skep_verifier::{Config, Prune, Rejection, Verdict, verify};

use super::bench::careful;
use super::{Bench, Finding, Judged, Outcome};
use crate::coverage::Coverage;

/// Instructions that may be processed without pruning.
const PROCESSED: u64 = 30_000;

pub(super) fn judge(bench: &Bench, spec: &ProgramSpec) -> Judged {
    let (outcome, here) = compare(spec, &careful(bench.facts()));
    Judged {
        examined: None,
        outcome,
        here,
        kernel: None,
        coverage: Coverage::default(),
    }
}

/// Verifies twice; `facts` should be those of a loader who may not read uninitialised stack.
pub fn prune_equals_no_prune(spec: &ProgramSpec, facts: &Facts) -> Outcome {
    compare(spec, facts).0
}

fn compare(spec: &ProgramSpec, facts: &Facts) -> (Outcome, Option<bool>) {
    let all = Config {
        prune: Prune::Nothing,
        max_processed: Some(PROCESSED),
    };
    let everything = verify(spec, facts, &all, &mut Silent);
    if matches!(everything, Verdict::Undecided(_)) {
        return (Outcome::Skipped("it has too many paths"), None);
    }
    let usual = verify(spec, facts, &Config::default(), &mut Silent);
    let here = match &usual {
        Verdict::Accepted(_) => Some(true),
        Verdict::Rejected(_) => Some(false),
        Verdict::Undecided(_) => None,
    };
    let outcome = match (&usual, &everything) {
        (Verdict::Accepted(_), Verdict::Accepted(_))
        | (Verdict::Rejected(_), Verdict::Rejected(_)) => Outcome::Fine,
        (Verdict::Undecided(_), _) | (_, Verdict::Undecided(_)) => {
            Outcome::Skipped("it has no verdict")
        }
        (Verdict::Accepted(_), Verdict::Rejected(rejection))
            if is_unseen_write(rejection, spec, facts) =>
        {
            Outcome::Fine
        }
        (Verdict::Accepted(_), Verdict::Rejected(rejection)) => {
            let text = message(&rejection.violation, spec, facts);
            let last = text.lines().last().unwrap_or_default();
            Outcome::Found(Finding::new(format!(
                "accepted, but exploring everything says `{last}`"
            )))
        }
        (Verdict::Rejected(rejection), Verdict::Accepted(_)) => {
            let text = message(&rejection.violation, spec, facts);
            let last = text.lines().last().unwrap_or_default();
            Outcome::Found(Finding::new(format!(
                "`{last}`, but exploring everything accepts it"
            )))
        }
    };
    (outcome, here)
}

/// Whether what exploring everything found is a write that the kernel does not see either: refused for
/// what it overwrites, and seen once that counts when states are compared.
fn is_unseen_write(rejection: &Rejection, spec: &ProgramSpec, facts: &Facts) -> bool {
    let concerns_overwritten = matches!(
        rejection.violation,
        Violation::Access(
            AccessViolation::CorruptSpilledPointer
                | AccessViolation::VariableWriteOverSpill { .. }
                | AccessViolation::StackOverDynptr { .. }
        )
    );
    let by_writes = Config {
        prune: Prune::ByWrites,
        max_processed: Some(PROCESSED),
    };
    concerns_overwritten
        && match verify(spec, facts, &by_writes, &mut Silent) {
            Verdict::Rejected(seen) => {
                (seen.at, &seen.violation) == (rejection.at, &rejection.violation)
            }
            Verdict::Accepted(_) | Verdict::Undecided(_) => false,
        }
}
