//! A line on stderr that shows how far a long command is; only on a terminal, and only with several
//! inputs.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// A line that counts runs, where there are many and someone looks.
pub(crate) struct Count(ProgressBar);

/// Runs from which on it is worth a line.
const MANY_RUNS: u64 = 100_000;

impl Count {
    /// For that many runs.
    pub(crate) fn new(runs: u64) -> Count {
        if runs < MANY_RUNS || !stderr().is_terminal() {
            return Count(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(Some(runs), ProgressDrawTarget::stderr());
        let template = "{bar:24} {human_pos}/{human_len} runs, {rate} million a second, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                // Nothing can be done about a terminal that takes no text.
                let _ = write!(out, "{:.2}", state.per_sec() / 1e6);
            };
            bar.set_style(style.with_key("rate", rate));
        }
        Count(bar)
    }

    /// So many are done.
    pub(crate) fn at(&self, done: u64) {
        self.0.set_position(done);
    }

    /// Takes the line away.
    pub(crate) fn finish(self) {
        self.0.finish_and_clear();
    }
}

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
