//! One unit's verdict.

use std::time::{Duration, Instant};

use skep_isa::InsnIdx;
use skep_verifier::report::{Explanation, Log, explain};
use skep_verifier::{Config, Rejection, Stats, Verdict, verify};

use crate::input::Unit;
use crate::panics;

/// A verdict, and what was asked.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What was asked.
    pub(crate) unit: Unit,
    /// The answer.
    pub(crate) judgement: Judgement,
    /// How long it took.
    pub(crate) duration: Duration,
    /// The log, if one was asked for.
    pub(crate) log: String,
}

/// A rejection in words.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Why, for people.
    pub(crate) explanation: Explanation,
    /// Why, in the kernel's words: the last line before the statistics of its log.
    pub(crate) message: String,
    /// The line of these words that says what is wrong: not always the last.
    pub(crate) headline: String,
    /// Counters up to the fault.
    pub(crate) stats: Stats,
}

impl Refusal {
    /// Puts a rejection into words.
    fn new(rejection: Rejection, unit: &Unit) -> Refusal {
        let explanation = explain(&rejection, &unit.spec, &unit.kernel.facts);
        let lines = || {
            explanation
                .message
                .lines()
                .rev()
                .filter(|l| !l.trim().is_empty())
        };
        let message = lines().next().unwrap_or("").to_owned();
        let headline = lines()
            .find(|l| !is_state(l))
            .unwrap_or(&explanation.headline)
            .to_owned();
        Refusal {
            message,
            headline,
            stats: rejection.stats,
            explanation,
        }
    }

    /// The instruction at fault, if one is.
    pub(crate) fn at(&self) -> Option<InsnIdx> {
        self.explanation.insn.as_ref().map(|insn| insn.idx)
    }
}

/// The answer.
#[derive(Debug)]
pub(crate) enum Judgement {
    /// The kernel would load the program.
    Accepted(Stats),
    /// The kernel would refuse it.
    Rejected(Box<Refusal>),
    /// No verdict.
    Undecided {
        /// What is not modelled.
        feature: String,
        /// Where.
        at: Option<InsnIdx>,
    },
}

impl Judgement {
    /// veristat's word for it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Judgement::Accepted(_) => "success",
            Judgement::Rejected(_) => "failure",
            Judgement::Undecided { .. } => "undecided",
        }
    }

    /// The word for people.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Judgement::Accepted(_) => "accepted",
            Judgement::Rejected(_) => "rejected",
            Judgement::Undecided { .. } => "undecided",
        }
    }

    /// The counters, where there are any.
    pub(crate) fn stats(&self) -> Option<&Stats> {
        match self {
            Judgement::Accepted(stats) => Some(stats),
            Judgement::Rejected(refusal) => Some(&refusal.stats),
            Judgement::Undecided { .. } => None,
        }
    }

    /// The kernel's message of a rejection, the missing feature of no verdict, else nothing.
    pub(crate) fn message(&self) -> &str {
        match self {
            Judgement::Accepted(_) => "",
            Judgement::Rejected(refusal) => &refusal.message,
            Judgement::Undecided { feature, .. } => feature,
        }
    }
}

/// Verifies a unit, with a log of that level.
pub(crate) fn judge(unit: Unit, log_level: u32) -> Outcome {
    let start = Instant::now();
    let mut log = Log::new(log_level);
    let judgement = match &unit.blocked {
        Some(feature) => Judgement::Undecided {
            feature: feature.clone(),
            at: None,
        },
        None => {
            panics::catch(|| ask(&unit, &mut log)).unwrap_or_else(|text| Judgement::Undecided {
                feature: format!("internal error: {text}"),
                at: None,
            })
        }
    };
    Outcome {
        judgement,
        duration: start.elapsed(),
        log: log.text().to_owned(),
        unit,
    }
}

/// Whether a line of a message shows the states of a loop that never ends.
fn is_state(line: &str) -> bool {
    line.starts_with("cur state:") || line.starts_with("old state:")
}

fn ask(unit: &Unit, log: &mut Log) -> Judgement {
    match verify(&unit.spec, &unit.kernel.facts, &Config::default(), log) {
        Verdict::Accepted(accepted) => Judgement::Accepted(accepted.stats),
        Verdict::Rejected(rejection) => {
            Judgement::Rejected(Box::new(Refusal::new(*rejection, unit)))
        }
        Verdict::Undecided(missing) => Judgement::Undecided {
            feature: missing.feature,
            at: missing.at,
        },
    }
}
