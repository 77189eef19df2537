//! Verdict or no verdict: what a load's error number means.
//!
//! `BPF_PROG_LOAD` answers with one number for everything from "unsafe program" to "out of memory".
//! Only what the verifier itself said may count as a rejection, so each other cause is named here.

use std::fmt;

use crate::{Errno, MapError};

/// What a kernel says of a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It loads.
    Accepted,
    /// The verifier refuses it.
    Rejected,
    /// Something else prevented a verdict.
    NotJudged(NotJudged),
}

/// Why there is no verdict.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotJudged {
    /// Privileges or a policy of the machine: `EPERM` and not a word from the verifier.
    Policy,
    /// The kernel, or this process, ran out of memory or descriptors.
    Resources(Errno),
    /// A signal interrupted the verifier each time.
    Interrupted,
    /// The log outgrew its cap, which hides the verdict.
    LogTooLong,
    /// The kernel lacks what the program names: a symbol, a module's BTF, a function of its JIT.
    Environment(String),
    /// Refused before the verifier looked: an unknown type, flag or attach type, a length out of range.
    BeforeVerifier(Errno),
    /// A map that it needs could not be made.
    Map(MapError),
    /// The kernel refuses its BTF.
    Btf {
        /// The kernel's answer.
        errno: Errno,
        /// The last line of the kernel's complaint.
        message: String,
    },
    /// It attaches to another BPF program, which was not given.
    NeedsTarget,
    /// The request is incomplete: what it names was not found.
    Unresolved(String),
    /// The request holds a string that no kernel can be given.
    BadRequest(&'static str),
    /// The guest that was asked died of it, or took too long.
    Guest(String),
}

impl fmt::Display for NotJudged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotJudged::Policy => f.write_str("refused by policy or for want of privileges (EPERM)"),
            NotJudged::Resources(errno) => write!(f, "out of memory or descriptors ({errno})"),
            NotJudged::Interrupted => f.write_str("interrupted by a signal each time"),
            NotJudged::LogTooLong => f.write_str("the log is longer than its cap"),
            NotJudged::Environment(message) => write!(f, "this kernel lacks something: {message}"),
            NotJudged::BeforeVerifier(errno) => {
                write!(f, "refused before the verifier looked ({errno})")
            }
            NotJudged::Map(error) => error.fmt(f),
            NotJudged::Btf { errno, message } => write!(f, "BTF refused ({errno}): {message}"),
            NotJudged::NeedsTarget => f.write_str("needs the BPF program that it attaches to"),
            NotJudged::Unresolved(what) => write!(f, "not resolved: {what}"),
            NotJudged::BadRequest(what) => f.write_str(what),
            NotJudged::Guest(why) => write!(f, "the guest was lost: {why}"),
        }
    }
}

/// Beginnings of messages that speak of the kernel, not of the program.
const ENVIRONMENT: [&str; 8] = [
    "JIT does",
    "failed to find the address for kernel symbol",
    "kernel is missing BTF",
    "ldimm64 failed to find the address for kernel symbol",
    "in-kernel BTF is malformed",
    "calling kernel function is not supported without CONFIG",
    "Module BTFs are not supported",
    // A function that the compiler cloned or inlined everywhere: in the types, not in the symbols.
    "The address of function",
];

/// What a failed load means. `log` is the whole log, `message` its last meaningful line.
pub(crate) fn classify(errno: Errno, log: &str, message: &str) -> Answer {
    let silent = log.trim().is_empty();
    let reason = match errno {
        Errno::NOMEM | Errno::MFILE | Errno::NFILE => NotJudged::Resources(errno),
        Errno::AGAIN | Errno::INTR => NotJudged::Interrupted,
        Errno::NOSPC => NotJudged::LogTooLong,
        Errno::PERM if message.is_empty() => NotJudged::Policy,
        _ if ENVIRONMENT.iter().any(|start| message.starts_with(start)) => {
            NotJudged::Environment(message.to_owned())
        }
        // The verifier names its reason for every refusal; only figures mean that what came after
        // it, the JIT, refused.
        Errno::NOTSUPP | Errno::OPNOTSUPP if message.is_empty() => {
            NotJudged::Environment(errno.to_string())
        }
        _ if silent => NotJudged::BeforeVerifier(errno),
        _ => return Answer::Rejected,
    };
    Answer::NotJudged(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(errno: Errno, log: &str) -> Option<NotJudged> {
        match classify(errno, log, crate::log::last_message(log)) {
            Answer::NotJudged(reason) => Some(reason),
            Answer::Accepted | Answer::Rejected => None,
        }
    }

    const FIGURES: &str = "processed 2 insns (limit 1000000) max_states_per_insn 0 \
                           total_states 0 peak_states 0 mark_read 0\n";

    #[test]
    fn what_the_verifier_said_is_a_rejection() {
        for errno in [
            Errno::ACCES,
            Errno::INVAL,
            Errno::TOOBIG,
            Errno::FAULT,
            Errno::PERM,
        ] {
            assert_eq!(
                reason(errno, &format!("R1 !read_ok\n{FIGURES}")),
                None,
                "{errno}"
            );
        }
        assert_eq!(reason(Errno::INVAL, FIGURES), None);
    }

    #[test]
    fn the_machine_is_not_the_verifier() {
        assert_eq!(reason(Errno::PERM, ""), Some(NotJudged::Policy));
        assert_eq!(
            reason(Errno::NOMEM, FIGURES),
            Some(NotJudged::Resources(Errno::NOMEM))
        );
        assert_eq!(
            reason(Errno::AGAIN, "0: (b7) r0 = 0\n"),
            Some(NotJudged::Interrupted)
        );
        assert_eq!(
            reason(Errno::NOSPC, "R1 !read_ok\n"),
            Some(NotJudged::LogTooLong)
        );
        assert_eq!(
            reason(Errno::INVAL, ""),
            Some(NotJudged::BeforeVerifier(Errno::INVAL))
        );
        assert!(matches!(
            reason(Errno::NOTSUPP, FIGURES),
            Some(NotJudged::Environment(_))
        ));
        let jit = "JIT does not support calling kfunc x\n";
        assert!(matches!(
            reason(Errno::NOTSUPP, jit),
            Some(NotJudged::Environment(_))
        ));
    }
}
