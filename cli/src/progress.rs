//! A line on stderr that shows how far a long command is; only on a terminal, and only with several
//! inputs.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Inputs from which on it is worth a line.
const MANY: usize = 8;

/// The line, or nothing.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// For that many inputs.
    pub(crate) fn new(inputs: usize) -> Progress {
        if inputs < MANY || !stderr().is_terminal() {
            return Progress(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(Some(inputs as u64), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress(bar)
    }

    /// So many inputs are done; now it is this one's turn.
    pub(crate) fn at(&self, done: usize, name: &str) {
        self.0.set_position(done as u64);
        self.0.set_message(name.to_owned());
    }

    /// Prints something without tearing the line.
    pub(crate) fn aside<R>(&self, print: impl FnOnce() -> R) -> R {
        self.0.suspend(print)
    }

    /// Takes the line away.
    pub(crate) fn finish(self) {
        self.0.finish_and_clear();
    }
}
