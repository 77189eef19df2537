//! Telling: the kernel's log while walking, messages, explanations.
//!
//! The walk calls the `log_…` methods of [`Env`](crate::env::Env); they return at once unless the
//! trace asks for their level.

mod btf_log;
mod buffer;
mod explain;
mod log;
mod message;
mod prune_log;
mod scene;
#[cfg(test)]
mod tests;
mod value;
mod view;

use skep_isa::InsnIdx;
use skep_spec::{Facts, ProgramSpec};

pub use buffer::Log;
pub use explain::{
    Category, Explanation, InsnNote, PathStep, RegNote, SourceLine, StepKind, explain,
};
pub(crate) use log::{LogState, log_subprogs, log_unprepared};
pub(crate) use prune_log::wants_prune_events;
pub use view::{Known, StateView, ValueView};

use crate::violation::Violation;
use scene::Scene;

/// Receives the text of a verification's log.
///
/// The kernel's log is rewound: below level 2 the text since a branch was pushed is dropped when the
/// branch is taken up. Positions are bytes written so far, less what was dropped.
pub trait Trace {
    /// What is asked for: bit 0 the log, bit 1 (2) every instruction and state, bit 2 (4) statistics,
    /// as the kernel's `log_level`; bit 8 (256) decisions of pruning.
    fn level(&self) -> u32;

    /// Takes the next piece of text.
    fn write(&mut self, text: &str);

    /// Where the next piece goes.
    fn position(&self) -> usize;

    /// Drops everything from `position` on.
    fn rewind(&mut self, position: usize);

    /// Whether [`Trace::state`] is to be called; asked once.
    fn wants_states(&self) -> bool {
        false
    }

    /// Takes what is known of the current frame before the instruction at `at` is walked on a path. A
    /// path that a remembered state covers ends without being told here.
    fn state(&mut self, _at: InsnIdx, _state: &StateView) {}
}

/// Receives nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Trace for Silent {
    fn level(&self) -> u32 {
        0
    }

    fn write(&mut self, _text: &str) {}

    fn position(&self) -> usize {
        0
    }

    fn rewind(&mut self, _position: usize) {}
}

/// What the kernel's log says of a broken rule, byte for byte, without a newline at the end; its last
/// line is what people quote. Empty where the kernel answers with an error number alone.
pub fn message(violation: &Violation, spec: &ProgramSpec, facts: &Facts) -> String {
    message::text(Scene { spec, facts }, violation)
}
