//! What pruning did, as values, for the log: nothing is kept unless the log is asked for it.

use skep_isa::InsnIdx;

use super::explored::StateId;
use super::stack_live::LiveEvent;
use crate::state::Precise;

/// One thing that pruning did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PruneEvent {
    /// The state was remembered.
    Stored { id: StateId, insn_idx: InsnIdx },
    /// It would have been, but for the heuristics.
    NotStored {
        insn_idx: InsnIdx,
        insns: u64,
        jumps: u64,
    },
    /// A remembered state covers the path.
    Hit {
        id: StateId,
        insn_idx: InsnIdx,
        in_loop: bool,
    },
    /// A remembered state does not cover the path.
    Miss {
        id: StateId,
        insn_idx: InsnIdx,
        misses: u32,
        hits: u32,
        open: bool,
    },
    /// A remembered state was taken from its list.
    Evicted {
        id: StateId,
        insn_idx: InsnIdx,
        misses: u32,
        hits: u32,
    },
    /// A remembered state forgot what is not read any more.
    Cleaned { id: StateId },
    /// Going back begins in a state.
    BacktrackSegment {
        frame: usize,
        last_idx: Option<InsnIdx>,
        first_idx: InsnIdx,
        subseq_idx: Option<InsnIdx>,
    },
    /// Going back over an instruction, with what is wanted after it.
    BacktrackInsn {
        frame: usize,
        regs: u16,
        slots: u64,
        idx: InsnIdx,
    },
    /// What is still wanted after marking a remembered state.
    ParentMarks {
        id: StateId,
        frame: usize,
        regs: u16,
        slots: u64,
        /// All its marks in that frame.
        precise: Precise,
    },
    /// Everything is to be exact in all states before this one, which is in that frame.
    AllPrecise { frame: usize },
    /// Registers and slots of a frame were marked because everything was.
    ForcedPrecise { frame: usize, regs: u16, slots: u64 },
    /// The marks of the covering state go on to the covered one.
    Propagating { frame: usize, regs: u16, slots: u64 },
    /// Marks along a loop's backedges did not settle.
    TooManyRounds,
    /// A loop was entered by a call chain: its visit's number.
    SccEnter { visit: u32 },
    /// All paths from the loop's entry are finished.
    SccExit { visit: u32 },
    /// An iteration ended in a state that an earlier one had covered.
    SccBackedge { visit: u32 },
    /// Stack liveness changed.
    Live(LiveEvent),
}
