//! Limits of complexity and size.

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
    /// A loop came round without any change.
    InfiniteLoop {
        /// The instruction that was reached again.
        idx: skep_isa::InsnIdx,
    },
}
