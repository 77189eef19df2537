//! Looking on while a program runs: traces, coverage, debuggers.

use std::ops::ControlFlow;

use skep_isa::InsnIdx;
use skep_sim::{ProgId, Sim};

/// An instruction that is about to be executed.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The kernel.
    pub sim: &'a Sim,
    /// The program.
    pub prog: ProgId,
    /// The slot.
    pub insn_idx: InsnIdx,
    /// R0 to R10.
    pub regs: &'a [u64; 11],
    /// Frames below the function's own.
    pub depth: u32,
}

/// Someone who looks on.
pub trait Observer {
    /// Whether it wants to be asked; a constant, so that nobody looking costs nothing.
    const ACTIVE: bool = true;

    /// Called before every instruction; a break ends the run with [`skep_sim::Trap::Interrupted`].
    fn before(&mut self, step: &Step<'_>) -> ControlFlow<()>;
}

/// An observer's [`Observer::before`].
pub(crate) type Watch<'a> = dyn FnMut(&Step<'_>) -> ControlFlow<()> + 'a;

/// Nobody.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Observer for Nobody {
    const ACTIVE: bool = false;

    fn before(&mut self, _: &Step<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<F: FnMut(&Step<'_>) -> ControlFlow<()>> Observer for F {
    fn before(&mut self, step: &Step<'_>) -> ControlFlow<()> {
        self(step)
    }
}
