//! Programs whose shape is wrong before any path is walked.

use skep_isa::InsnIdx;

/// Programs whose shape is wrong before any path is walked.
#[derive(Clone, PartialEq, Debug)]
pub enum FormViolation {
    /// A load from memory with a reserved field set, or in an unknown mode.
    LdxReservedField,
    /// No instruction has this opcode.
    UnknownOpcode {
        /// The opcode byte.
        code: u8,
    },
    /// A 64-bit immediate without a proper second slot.
    InvalidImm64,
    /// A 64-bit immediate of a kind that does not exist.
    UnrecognizedImm64,
    /// A 64-bit immediate that names a place in an array of descriptors that the request lacks.
    NoFdArray,
    /// A 64-bit immediate that names no map of the request.
    NoSuchMap {
        /// What it names.
        fd: i32,
    },
    /// An offset into a map's value that no map can have.
    ValueOffset {
        /// The offset in bytes.
        off: u32,
    },
    /// The address of a value in a map that does not allow it.
    NoDirectValue,
    /// The address of a place outside of a map's value.
    DirectValue {
        /// Bytes of a value.
        size: u32,
        /// The offset in bytes.
        off: u32,
    },
    /// A call or function address outside of the program.
    CallOutOfProgram,
    /// A jump outside of its subprogram or of the program.
    JumpOutOfRange {
        /// The jump.
        from: InsnIdx,
        /// Where it leads.
        to: i64,
    },
    /// A subprogram whose last slot goes on behind it.
    LastInsnFallsThrough,
    /// A slot that no path reaches.
    Unreachable {
        /// The slot.
        idx: InsnIdx,
    },
    /// A jump to the second slot of a 64-bit immediate.
    JumpIntoImm64 {
        /// The first slot.
        idx: InsnIdx,
    },
    /// A loop (unprivileged).
    BackEdge {
        /// The jump.
        from: InsnIdx,
        /// Where it leads.
        to: InsnIdx,
    },
}
