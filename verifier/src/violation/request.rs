//! Load requests that are refused before the program is looked at.

named! {
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
    /// No kernel has this program type.
    ProgType,
    /// Flags that no kernel knows.
    Flags {
        /// All flags of the request.
        flags: u32,
    },
    /// A BTF id to attach to that no type can have, or of a program type that attaches to none.
    AttachBtfId,
}
}
