//! One program's times, here and in the kernel.

use std::time::{Duration, Instant};

use skep_verifier::report::Silent;
use skep_verifier::{Config, Verdict, verify};

use super::live::Live;
use crate::input::Unit;
use crate::panics;

/// Times that each side verifies a program. The least counts: everything that disturbs a measurement
/// makes it longer. The first also fills caches, such as the index over the kernel's types.
const ROUNDS: usize = 5;

/// One program's times.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Timing {
    /// The object.
    pub(super) file: String,
    /// The program.
    pub(super) prog: String,
    /// Our verdict, in veristat's words.
    pub(super) verdict: &'static str,
    /// Our time, in µs; `None` if the request is not whole.
    pub(super) skep_us: Option<f64>,
    /// The kernel's time, in µs; `None` if it gave no verdict.
    pub(super) kernel_us: Option<u64>,
    /// Whether both have a verdict, and the same.
    pub(super) agree: bool,
}

impl Timing {
    /// Our time over the kernel's, if both did the same work.
    pub(super) fn ratio(&self) -> Option<f64> {
        let (skep, kernel) = (self.skep_us?, self.kernel_us.filter(|_| self.agree)?);
        // The kernel counts whole µs.
        Some(skep / kernel.max(1) as f64)
    }
}

/// Measures a program; the kernel has no time where there is none to ask.
pub(super) fn measure(unit: &Unit, live: Option<&Live>) -> Timing {
    let mut timing = Timing {
        file: unit.file.clone(),
        prog: unit.prog.clone(),
        verdict: "undecided",
        skep_us: None,
        kernel_us: None,
        agree: false,
    };
    let load = live.and_then(|live| Some((live, live.prepare(unit)?)));
    let mut ours = None;
    for _ in 0..ROUNDS {
        if unit.blocked.is_none()
            && let Ok((accepted, time)) = panics::catch(|| time_one(unit))
        {
            ours = accepted;
            let us = time.as_nanos() as f64 / 1000.0;
            timing.skep_us = Some(timing.skep_us.map_or(us, |least: f64| least.min(us)));
        }
    }
    let mut theirs = None;
    let mut least = None;
    for round in 0..ROUNDS {
        let ask = load.as_ref().filter(|_| round == 0 || theirs.is_some());
        if let Some(said) = ask.and_then(|(live, load)| live.ask(load)) {
            theirs = Some(said.accepted);
            least = Some(least.map_or(said.us, |least: u64| least.min(said.us)));
        }
    }
    timing.kernel_us = least;
    timing.verdict = match ours {
        Some(true) => "success",
        Some(false) => "failure",
        None => "undecided",
    };
    timing.agree = ours.is_some() && ours == theirs;
    timing
}

/// Whether the program is accepted, if that can be said, and how long that took.
fn time_one(unit: &Unit) -> (Option<bool>, Duration) {
    let config = Config::default();
    let start = Instant::now();
    let verdict = verify(&unit.spec, &unit.kernel.facts, &config, &mut Silent);
    let time = start.elapsed();
    let accepted = match verdict {
        Verdict::Accepted(_) => Some(true),
        Verdict::Rejected(_) => Some(false),
        Verdict::Undecided(_) => None,
    };
    (accepted, time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_work_has_no_ratio() {
        let both = Timing {
            file: String::new(),
            prog: String::new(),
            verdict: "success",
            skep_us: Some(3.0),
            kernel_us: Some(12),
            agree: true,
        };
        assert_eq!(both.ratio(), Some(0.25));
        assert_eq!(
            Timing {
                agree: false,
                ..both.clone()
            }
            .ratio(),
            None
        );
        assert_eq!(
            Timing {
                kernel_us: None,
                ..both.clone()
            }
            .ratio(),
            None
        );
        assert_eq!(
            Timing {
                skep_us: None,
                ..both.clone()
            }
            .ratio(),
            None
        );
        assert_eq!(
            Timing {
                kernel_us: Some(0),
                ..both
            }
            .ratio(),
            Some(3.0)
        );
    }
}
