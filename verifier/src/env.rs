//! One verification under way: what never changes, this path, what was learned, what is remembered.

use std::rc::Rc;

use skep_isa::InsnIdx;

use crate::learned::Learned;
use crate::prepare::Ctx;
use crate::prune::Explored;
use crate::report::{LogState, Trace};
use crate::state::{Frame, State};

/// A branch that waits to be walked.
#[derive(Debug)]
pub(crate) struct Pending {
    /// The state at its first instruction.
    pub(crate) state: State,
    /// The instruction that it branched from.
    pub(crate) prev_idx: InsnIdx,
    /// Where the log was when it was pushed; the log is rewound to there when it is taken up.
    pub(crate) log_position: usize,
}

impl Pending {
    /// Bytes that it takes once the path goes on without it, roughly.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Pending>() + size_of::<Frame>() + size_of_val(&*self.state.refs.list)
    }
}

/// One verification under way. Rooms add their methods in `impl Env` blocks of their own.
pub(crate) struct Env<'a> {
    /// The prepared program; never changes.
    pub(crate) ctx: &'a Ctx<'a>,
    /// This path.
    pub(crate) state: State,
    /// Across paths, never undone.
    pub(crate) learned: Learned,
    /// Remembered states.
    pub(crate) explored: Explored,
    /// Branches that wait, taken up last in, first out.
    pub(crate) pending: Vec<Pending>,
    /// Frames of paths that ended: the next branches are copied into them.
    pub(crate) spares: Vec<Rc<Frame>>,
    /// Where events go.
    pub(crate) trace: &'a mut dyn Trace,
    /// What the trace asks for.
    pub(crate) log_level: u32,
    /// Whether the trace asks for states.
    pub(crate) shows_states: bool,
    /// What was written to it.
    pub(crate) log: LogState,
    /// Whether an instruction is being looked at, to which a violation belongs.
    pub(crate) at_insn: bool,
}
