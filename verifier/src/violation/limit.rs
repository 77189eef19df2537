//! Limits of complexity and size, and what is refused after the walk.

use skep_isa::InsnIdx;

use crate::report::StateView;

named! {
/// Limits of complexity and size.
#[derive(Clone, PartialEq, Debug)]
pub enum LimitViolation {
    /// More instructions were processed than the kernel is willing to.
    TooManyProcessed {
        /// Instructions processed.
        processed: u64,
    },
    /// More subprograms than the kernel is willing to verify.
    TooManySubprogs,
    /// More branches are pending than the kernel is willing to keep.
    TooManyPending {
        /// Branches pending.
        pending: usize,
    },
    /// The path came back to where it was, in the same state.
    InfiniteLoop {
        /// The instruction.
        idx: InsnIdx,
        /// The state.
        now: StateView,
        /// The state that it is the same as.
        before: StateView,
    },
    /// The address of a subprogram is taken that no path enters: it is removed as dead, and the
    /// address leads nowhere.
    RemovedSubprog {
        /// Where the address leads once dead code is gone; later rewriting moves it further.
        target: InsnIdx,
    },
    /// More frames than a call chain may have.
    CallChain {
        /// Frames.
        frames: usize,
    },
    /// The stacks of a call chain are too large together.
    CombinedStack {
        /// Frames.
        calls: usize,
        /// Bytes.
        size: u32,
    },
    /// A subprogram on a private stack uses too much of it.
    SubprogStack {
        /// The subprogram.
        subprog: usize,
        /// Bytes.
        size: u32,
    },
    /// A subprogram tail-calls while its callers hold too much stack.
    TailCallStack {
        /// Bytes that the callers hold.
        depth: u32,
    },
    /// The handler of exceptions is called like any subprogram.
    ExceptionCallbackCalled {
        /// The call.
        idx: InsnIdx,
    },
}
}
