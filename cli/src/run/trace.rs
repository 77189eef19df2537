//! `--trace`: every instruction before it is executed, with the registers that the last one changed.

use std::io::{Write, stdout};
use std::ops::ControlFlow;

use skep_interp::{Observer, Step};
use skep_isa::{NoNames, kernel_text};
use skep_sim::ProgId;

use crate::input::Unit;
use crate::style::DIM;

/// Prints what is executed.
pub(super) struct Trace<'a> {
    unit: &'a Unit,
    before: Option<[u64; 11]>,
}

impl Trace<'_> {
    /// Of a program; instructions of programs behind tail calls are shown by number.
    pub(super) fn new(unit: &Unit) -> Trace<'_> {
        Trace { unit, before: None }
    }

    fn line(&mut self, step: &Step<'_>) -> std::io::Result<()> {
        let mut out = anstream::AutoStream::auto(stdout().lock());
        if let Some(before) = self.before.replace(*step.regs) {
            let pairs = before.iter().zip(step.regs).enumerate();
            for (number, (_, new)) in pairs.filter(|(_, (old, new))| old != new) {
                writeln!(out, "{DIM}        r{number} = {new:#x}{DIM:#}")?;
            }
        }
        let indent = 2 * step.depth as usize;
        let text = kernel_text(&self.unit.spec.insns, step.insn_idx, &NoNames);
        match text.filter(|_| step.prog == ProgId(0)) {
            Some(text) => writeln!(out, "{:>5}: {:indent$}{text}", step.insn_idx, ""),
            None => writeln!(
                out,
                "{:>5}: {:indent$}(program {})",
                step.insn_idx, "", step.prog.0
            ),
        }
    }
}

impl Observer for Trace<'_> {
    fn before(&mut self, step: &Step<'_>) -> ControlFlow<()> {
        // Nobody reads any more: the run need not go on.
        match self.line(step) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}
