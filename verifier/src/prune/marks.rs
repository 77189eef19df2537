//! What the rules of instructions tell pruning: numbers that were relied upon, slots read and written.

use skep_isa::{InsnIdx, Reg};

use super::backtrack::Wanted;
use super::precision::{ChainStart, scalar_regs};
use crate::env::Env;
use crate::violation::Check;

impl Env<'_> {
    /// The verdict depends on the exact number in a register of the current frame
    /// (`mark_chain_precision`). A register that holds no number is left alone.
    pub(crate) fn mark_precise(&mut self, reg: Reg) -> Check<()> {
        self.mark_precise_regs(1 << reg.index())
    }

    /// The same for several registers of the current frame at once, one bit each.
    pub(crate) fn mark_precise_regs(&mut self, regs: u16) -> Check<()> {
        let frame = self.state.curframe();
        let mut wanted = Wanted::none(frame);
        wanted.want_regs(frame, regs & scalar_regs(&self.state, frame));
        self.mark_wanted(wanted)
    }

    /// The same for a slot of a frame (0 is the outermost) that holds a spilled number.
    pub(crate) fn mark_precise_slot(&mut self, frame: usize, slot: usize) -> Check<()> {
        let mut wanted = Wanted::none(self.state.curframe());
        wanted.want_slots(frame, 1 << (slot & 63));
        self.mark_wanted(wanted)
    }

    fn mark_wanted(&mut self, wanted: Wanted) -> Check<()> {
        if wanted.is_empty() {
            return Ok(());
        }
        let start = ChainStart::at(&self.state);
        let marked = self.explored.mark_chain(self.ctx, &start, wanted);
        self.flush_prune_events();
        marked.map(|_changed| ())
    }

    /// Before every instruction: begins collecting what it writes to the stack.
    #[inline]
    pub(crate) fn reset_stack_write_marks(&mut self, idx: InsnIdx) {
        self.explored.live.reset_writes(self.ctx, &self.state, idx);
    }

    /// After every instruction that was accepted: its writes are complete.
    #[inline]
    pub(crate) fn commit_stack_write_marks(&mut self) {
        self.explored.live.commit_writes();
    }

    /// The instruction may read these slots of a frame.
    pub(crate) fn mark_stack_read(&mut self, frame: usize, idx: InsnIdx, slots: u64) {
        self.explored
            .live
            .mark_read(self.ctx, &self.state, frame, idx, slots);
    }

    /// The instruction certainly writes these slots of a frame, whole.
    pub(crate) fn mark_stack_write(&mut self, frame: usize, slots: u64) {
        self.explored.live.mark_write(frame, slots);
    }

    /// The walk is in another call chain (`bpf_reset_live_stack_callchain`): to be called by a
    /// subprogram call right after the callee's frame was pushed.
    pub(crate) fn reset_live_stack_callchain(&mut self) {
        self.explored.live.forget_current();
    }

    /// What was collected becomes visible to comparisons (`bpf_update_live_stack`): to be called after
    /// `close_path`, and at the exit of a subprogram while its frame is still there.
    pub(crate) fn update_live_stack(&mut self) {
        self.explored.live.update(self.ctx, &self.state);
        self.flush_prune_events();
    }
}
