//! Two verdicts on one program, and whether they agree.

use skep_kernel::Answer;

use super::oracle::Oracle;
use crate::failure::Failure;
use crate::verify::judge::{Judgement, Outcome};

/// The kernel's side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Theirs {
    /// Accepted or not; `None` if the kernel's verifier did not say.
    pub(super) accepted: Option<bool>,
    /// Instructions processed, if the kernel got as far as saying so.
    pub(super) insns: Option<u64>,
    /// The last line of its log before the statistics, or why there is no verdict.
    pub(super) message: String,
}

/// Both sides.
#[derive(Debug)]
pub(super) struct Pair {
    /// Ours.
    pub(super) skep: Outcome,
    /// The kernel's.
    pub(super) kernel: Theirs,
}

/// What comparing the two says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Agreement {
    /// Same verdict.
    Same,
    /// One accepts what the other rejects.
    Differs,
    /// We have no verdict.
    Undecided,
    /// The kernel has no verdict.
    NotJudged,
}

impl Agreement {
    /// The word in tables.
    pub(super) fn word(self) -> &'static str {
        match self {
            Agreement::Same => "same",
            Agreement::Differs => "differs",
            Agreement::Undecided => "undecided",
            Agreement::NotJudged => "not-judged",
        }
    }
}

impl Pair {
    /// Asks the kernel about the program that was judged here.
    ///
    /// # Errors
    /// There is no kernel to ask any more.
    pub(super) fn new(skep: Outcome, kernel: &Oracle) -> Result<Pair, Failure> {
        let recorded_on = &skep.unit.recorded_on;
        // The type ids of another kernel's request mean other types here.
        if !recorded_on.is_empty() && recorded_on.parse() != Ok(kernel.version()) {
            let message =
                format!("recorded on {recorded_on}, which is not the kernel that is asked");
            return Ok(Pair {
                skep,
                kernel: Theirs {
                    accepted: None,
                    insns: None,
                    message,
                },
            });
        }
        let outcome = kernel.load(&skep.unit.spec).map_err(|failure| {
            let what = format!("{}/{}: {}", skep.unit.file, skep.unit.prog, failure.what);
            Failure { what, ..failure }
        })?;
        let (accepted, message) = match outcome.answer {
            Answer::Accepted => (Some(true), String::new()),
            Answer::Rejected => (Some(false), outcome.message),
            Answer::NotJudged(reason) => (None, reason.to_string()),
        };
        let insns = outcome.stats.map(|s| s.total_insns);
        Ok(Pair {
            skep,
            kernel: Theirs {
                accepted,
                insns,
                message,
            },
        })
    }

    /// Whether the verdicts agree; strictly, messages and counts too.
    pub(super) fn agreement(&self, strict: bool) -> Agreement {
        let ours = match self.skep.judgement {
            Judgement::Accepted(_) => true,
            Judgement::Rejected(_) => false,
            Judgement::Undecided { .. } => return Agreement::Undecided,
        };
        match self.kernel.accepted {
            None => Agreement::NotJudged,
            Some(theirs) if theirs != ours => Agreement::Differs,
            Some(_) if strict && !(self.same_message() && self.same_insns()) => Agreement::Differs,
            Some(_) => Agreement::Same,
        }
    }

    /// Whether both say the same of a rejection.
    pub(super) fn same_message(&self) -> bool {
        self.skep.judgement.message() == self.kernel.message
    }

    /// Our count.
    pub(super) fn insns(&self) -> Option<u64> {
        self.skep.judgement.stats().map(|s| s.total_insns)
    }

    /// Whether both processed as many instructions. A kernel that refuses a program before it walks it
    /// prints no count.
    pub(super) fn same_insns(&self) -> bool {
        self.kernel.insns.is_none() || self.insns() == self.kernel.insns
    }

    /// The kernel's verdict in veristat's words.
    pub(super) fn kernel_word(&self) -> &'static str {
        match self.kernel.accepted {
            Some(true) => "success",
            Some(false) => "failure",
            None => "not-judged",
        }
    }
}
