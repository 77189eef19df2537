//! The remembered states and the decision at every prune point.

use skep_isa::{InsnIdx, Reg};

use super::{HistoryFlags, LinkedRegs};
use crate::env::Env;
use crate::prepare::Ctx;
use crate::state::State;
use crate::violation::Check;

/// A remembered state: index into the arena of [`Explored`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct StateId(pub(crate) u32);

/// Whether a path goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Visited {
    /// It does.
    Go,
    /// A remembered state covers it.
    Pruned,
}

/// A decision about remembered states, for the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PruneEvent {
    /// The state was remembered.
    Stored { id: StateId, insn_idx: InsnIdx },
    /// A remembered state covers the path.
    Hit { id: StateId, insn_idx: InsnIdx, in_loop: bool },
    /// A remembered state does not cover the path.
    Miss { id: StateId, insn_idx: InsnIdx, misses: u32, hits: u32 },
    /// A remembered state was taken from its list.
    Evicted { id: StateId, insn_idx: InsnIdx, misses: u32, hits: u32 },
}

/// Counters of remembered states.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct StateCounts {
    /// States that were remembered.
    pub(crate) total: u32,
    /// States that were remembered at one time.
    pub(crate) peak: u32,
    /// States that were looked at at one instruction.
    pub(crate) max_per_insn: u32,
}

/// All remembered states.
#[derive(Debug, Default)]
pub(crate) struct Explored {
    counts: StateCounts,
}

impl Explored {
    /// Nothing remembered; once per load.
    pub(crate) fn new(ctx: &Ctx<'_>) -> Explored {
        let _ = ctx;
        Explored::default()
    }

    /// Forgets all states and loop visits, keeping the counters and the stack liveness: between the
    /// main program and each global subprogram.
    pub(crate) fn clear(&mut self) {}

    /// Counters.
    pub(crate) fn counts(&self) -> StateCounts {
        self.counts
    }

    /// A remembered state.
    pub(crate) fn state(&self, id: StateId) -> Option<&State> {
        let _ = id;
        None
    }

    /// A branch was pushed that continues `parent`: it has one more open path.
    pub(crate) fn open_branch(&mut self, parent: Option<StateId>) {
        let _ = parent;
    }
}

impl Env<'_> {
    /// Records the current instruction in the path's history (`push_jmp_history`); what one
    /// instruction records goes into one entry. `self.state.insn_idx` and `last_insn_idx` must be set.
    pub(crate) fn push_history(&mut self, flags: HistoryFlags, linked: LinkedRegs) -> Check<()> {
        let _ = (flags, linked);
        Ok(())
    }

    /// To be called at every prune point before the instruction is checked (`is_state_visited`).
    /// After `Pruned`, the path ends as at an exit: `close_path`.
    pub(crate) fn visit_prune_point(&mut self) -> Check<Visited> {
        Ok(Visited::Go)
    }

    /// The verdict depends on the exact number in a register of the current frame
    /// (`mark_chain_precision`). The register must hold a number.
    pub(crate) fn mark_precise(&mut self, reg: Reg) -> Check<()> {
        self.mark_precise_regs(1 << reg.index())
    }

    /// The same for several registers of the current frame at once, one bit each.
    pub(crate) fn mark_precise_regs(&mut self, regs: u16) -> Check<()> {
        let _ = regs;
        Ok(())
    }

    /// The same for a slot of a frame (0 is the outermost) that holds a spilled number.
    pub(crate) fn mark_precise_slot(&mut self, frame: usize, slot: usize) -> Check<()> {
        let _ = (frame, slot);
        Ok(())
    }

    /// The current path ended, by exit or by pruning (`update_branch_counts`, then
    /// `bpf_update_live_stack`): to be called before the next pending branch is taken up.
    pub(crate) fn close_path(&mut self) -> Check<()> {
        Ok(())
    }

    /// Before every instruction: begins collecting what it writes to the stack.
    pub(crate) fn reset_stack_write_marks(&mut self, idx: InsnIdx) {
        let _ = idx;
    }

    /// After every instruction that was accepted: its writes are complete.
    pub(crate) fn commit_stack_write_marks(&mut self) {}

    /// The instruction may read these slots of a frame.
    pub(crate) fn mark_stack_read(&mut self, frame: usize, idx: InsnIdx, slots: u64) {
        let _ = (frame, idx, slots);
    }

    /// The instruction certainly writes these slots of a frame, whole.
    pub(crate) fn mark_stack_write(&mut self, frame: usize, slots: u64) {
        let _ = (frame, slots);
    }

    /// A subprogram was entered (`bpf_reset_live_stack_callchain`): to be called by a subprogram call
    /// right after the callee's frame was pushed.
    pub(crate) fn reset_live_stack_callchain(&mut self) {}

    /// What was collected becomes visible to comparisons (`bpf_update_live_stack`): to be called at the
    /// exit of a subprogram while its frame is still there. `close_path` does it by itself.
    pub(crate) fn update_live_stack(&mut self) {}

    /// The remembered state in which the nearest earlier iteration of `of`'s loop was at `idx`
    /// (`find_prev_entry`); `of` is the current state's parent for iterators and `may_goto`, or `None`
    /// for the current state itself.
    pub(crate) fn find_prev_entry(&self, of: Option<StateId>, idx: InsnIdx) -> Option<StateId> {
        let _ = (of, idx);
        None
    }

    /// Forgets in `queued` every number that differs from the one in a remembered state and on which
    /// nothing depends yet (`widen_imprecise_scalars`).
    pub(crate) fn widen_imprecise_scalars(&self, prev: StateId, queued: &mut State) {
        let _ = (prev, queued);
    }
}
