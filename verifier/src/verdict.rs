//! What verification answers.

use skep_isa::InsnIdx;

use crate::report::StateView;
use crate::violation::{Unmodelled, Violation};

/// Counters that the kernel prints too, in its closing line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Instructions processed over all paths.
    pub total_insns: u64,
    /// States that were remembered.
    pub total_states: u32,
    /// States that were remembered at one time.
    pub peak_states: u32,
    /// States that were remembered at one instruction.
    pub max_states_per_insn: u32,
    /// Bytes of stack, per subprogram that was entered, as in the kernel's `stack depth` line.
    pub stack_depths: Vec<u32>,
}

/// The program may be loaded: every access that a run can make was proved.
#[derive(Clone, PartialEq, Debug)]
pub struct Accepted {
    /// Counters.
    pub stats: Stats,
    /// Loads through pointers that nobody vouches for, by slot: where nothing can be read they give 0.
    pub probe_loads: Vec<InsnIdx>,
    /// Slots that no path comes to, in order; the kernel removes them (`opt_remove_dead_code`).
    pub dead: Vec<InsnIdx>,
}

/// The program would be refused.
#[derive(Clone, PartialEq, Debug)]
pub struct Rejection {
    /// The instruction at fault, if one is.
    pub at: Option<InsnIdx>,
    /// The rule it breaks.
    pub violation: Violation,
    /// The instructions of the path that led there: remembered jumps, oldest first, each as
    /// (instruction, the one before it).
    pub path: Vec<(InsnIdx, InsnIdx)>,
    /// The frame of the instruction at fault, if one is.
    pub state: Option<StateView>,
    /// Counters up to the fault.
    pub stats: Stats,
}

/// The answer for one program and kernel.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict {
    /// The kernel would load it.
    Accepted(Accepted),
    /// The kernel would refuse it.
    Rejected(Box<Rejection>),
    /// It uses something that is not modelled.
    Undecided(Unmodelled),
}
