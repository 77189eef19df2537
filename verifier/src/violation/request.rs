//! Load requests that are refused before the program is looked at.

/// Load requests that are refused before the program is looked at; kernels say nothing but an error
/// number.
#[derive(Clone, PartialEq, Debug)]
pub enum RequestViolation {
    /// No instructions, or too many.
    Length {
        /// Slots.
        len: usize,
        /// Slots allowed.
        limit: usize,
    },
    /// The program type does not take this attach type.
    AttachType,
}
