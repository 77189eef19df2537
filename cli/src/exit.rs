//! Exit codes: 0 all well, 1 something rejected or differing, 2 bad input, 4 something undecided.
//!
//! Where several apply, 2 comes before 1 before 4, so that a script that only asks for zero is right
//! and one that asks for 1 knows that everything was read.

use std::process::ExitCode;

/// Usage or bad input. `clap` uses the same number.
pub(crate) const BAD_INPUT: u8 = 2;
const FAILED: u8 = 1;
const UNDECIDED: u8 = 4;

/// What happened so far, as far as the exit code tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tally {
    /// Some input could not be read or makes no sense.
    pub(crate) bad_input: bool,
    /// Something was rejected, failed or differs.
    pub(crate) failed: bool,
    /// Something has no verdict.
    pub(crate) undecided: bool,
}

impl Tally {
    /// The process's exit code.
    pub(crate) fn code(self) -> ExitCode {
        self.number().into()
    }

    fn number(self) -> u8 {
        match self {
            Tally {
                bad_input: true, ..
            } => BAD_INPUT,
            Tally { failed: true, .. } => FAILED,
            Tally {
                undecided: true, ..
            } => UNDECIDED,
            Tally {
                bad_input: false,
                failed: false,
                undecided: false,
            } => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_input_comes_before_failure_before_no_verdict() {
        let mut tally = Tally::default();
        assert_eq!(tally.number(), 0);
        tally.undecided = true;
        assert_eq!(tally.number(), 4);
        tally.failed = true;
        assert_eq!(tally.number(), 1);
        tally.bad_input = true;
        assert_eq!(tally.number(), 2);
    }
}
