//! Memory accesses that are not allowed.

use skep_isa::{Reg, Size};

use super::KptrViolation;
use crate::number::Scalar;
use crate::report::ValueView;

named! {
/// Memory accesses that are not allowed. Offsets and sizes are in bytes; `off` includes the fixed
/// offset of the pointer unless it is given apart.
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "fields are named for what they are")]
pub enum AccessViolation {
    /// What is dereferenced is no pointer to memory.
    InvalidPointer { reg: Reg, value: ValueView },
    /// A helper is given something that is no memory.
    NotMemory { reg: Reg, value: ValueView },
    /// Memory that may only be read is written.
    ReadOnly { reg: Reg, pointer: ValueView },
    /// A pointer is stored where others may see it (unprivileged).
    Leak { reg: Reg, into: &'static str },
    /// The access is not aligned to its size.
    Misaligned {
        what: &'static str,
        var: Scalar,
        fixed: i32,
        off: i32,
        size: Size,
    },
    /// The same, of packet data.
    MisalignedPacket {
        var: Scalar,
        fixed: i32,
        off: i32,
        size: Size,
    },
    /// Atomic operations are not allowed on such memory.
    AtomicPointer {
        reg: Reg,
        does: &'static str,
        value: ValueView,
    },
    /// The lowest possible offset is negative.
    NegativeMin { reg: Reg },
    /// The highest possible offset is unknown.
    UnboundedMax { reg: Reg },
    /// The access may lie outside of the memory: its lowest or (`is_max`) highest place does.
    RegionBounds {
        reg: Reg,
        pointer: ValueView,
        off: i32,
        size: i32,
        room: u32,
        is_max: bool,
    },
    /// A store into a key that a callback was given.
    MapKeyWrite { reg: Reg },
    /// The map's flags forbid programs to read or write it.
    MapDirection {
        write: bool,
        value_size: u32,
        off: i32,
        size: i32,
    },
    /// A field that only helpers may touch.
    SpecialField { name: &'static str },
    /// A pointer in a map's value.
    Kptr(KptrViolation),
    /// Programs of this type may not write into packets.
    PacketWrite,
    /// The packet may be shorter.
    Packet {
        reg: Reg,
        id: u32,
        off: i32,
        size: i32,
        range: i32,
    },
    /// Outside of the flow keys.
    FlowKeys { off: i32, size: i32 },
    /// Not a readable field of the socket.
    Sock {
        reg: Reg,
        pointer: ValueView,
        off: i32,
        size: i32,
    },
    /// Not an accessible field of the context.
    Ctx { off: i32, size: i32 },
    /// Before the start of a buffer.
    BufferOffset {
        what: &'static str,
        reg: Reg,
        off: i32,
        size: i32,
    },
    /// At an unknown place of a buffer.
    BufferVariable { reg: Reg, off: i32, var: Scalar },
    /// A pointer with a negative offset where none is allowed.
    NegativeOffset {
        reg: Reg,
        pointer: ValueView,
        off: i32,
    },
    /// A pointer that was added to where it must be as it was given.
    ModifiedPointer {
        reg: Reg,
        pointer: ValueView,
        off: i32,
    },
    /// A pointer with a varying offset where none is allowed.
    VariableOffset { pointer: ValueView, var: Scalar },
    /// The stack at an unbounded offset.
    StackUnbounded { reg: Reg, write: bool },
    /// Outside of the stack.
    StackBounds {
        reg: Reg,
        write: bool,
        var: Scalar,
        off: i32,
        size: i32,
    },
    /// Bytes that were never written, or that are no plain data.
    StackRead { off: i32, at: i32, size: i32 },
    /// A read with varying offset that no register receives.
    StackVariableRead { var: Scalar, off: i32, size: i32 },
    /// A varying stack offset (unprivileged).
    StackVariableUnprivileged { reg: Reg, var: Scalar },
    /// A helper would read bytes that were never written.
    StackHelperRead {
        reg: Reg,
        off: i32,
        at: i32,
        size: i32,
    },
    /// The same at a varying offset.
    StackHelperVariableRead {
        reg: Reg,
        var: Scalar,
        at: i32,
        size: i32,
    },
    /// A helper would write over a dynptr.
    StackOverDynptr { off: i32 },
    /// A spilled pointer is used as a number (unprivileged).
    StackPointerLeak { off: i32 },
    /// Part of a spilled pointer is read.
    FillSize,
    /// Part of a pointer is spilled.
    SpillSize,
    /// Part of a spilled pointer is overwritten (unprivileged).
    CorruptSpilledPointer,
    /// A pointer into the callee's stack is left in the caller's.
    StackPointerToCaller,
    /// A write with varying offset over a spilled pointer (unprivileged).
    VariableWriteOverSpill { off: i32 },
    /// A write with varying offset over bytes that were never written (unprivileged).
    VariableWriteUninit { off: i32 },
    /// A read of no bytes where some are wanted.
    ZeroSizedRead,
    /// A size that may be negative.
    NegativeSize { reg: Reg },
    /// A size that may be zero.
    ZeroSize { reg: Reg, min: u64, max: u64 },
    /// A size without upper bound.
    UnboundedSize { reg: Reg },
}
}
