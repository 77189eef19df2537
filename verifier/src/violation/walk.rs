//! Instructions that may not be executed in the state that a path has reached.

use skep_isa::{InsnIdx, Reg};

/// Instructions that may not be executed in the state that a path has reached.
#[derive(Clone, PartialEq, Debug)]
pub enum WalkViolation {
    /// A register is read before it was written.
    UninitializedRegister {
        /// The register.
        reg: Reg,
    },
    /// The frame pointer is written.
    FramePointerWrite,
    /// The path leaves the program.
    OutOfProgram {
        /// Where it would go on.
        idx: InsnIdx,
        /// Slots of the program.
        len: usize,
    },
}
