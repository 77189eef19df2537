//! Limits of complexity and size.

/// Limits of complexity and size.
#[derive(Clone, PartialEq, Debug)]
pub enum LimitViolation {
    /// More instructions were processed than the kernel is willing to.
    TooManyProcessed {
        /// Instructions processed.
        processed: u64,
    },
    /// More branches are pending than the kernel is willing to keep.
    TooManyPending {
        /// Branches pending.
        pending: usize,
    },
}
