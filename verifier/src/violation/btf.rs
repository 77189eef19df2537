//! Kernel structures and the arguments of kernel functions that cannot be read or written.

use skep_isa::Reg;

use crate::number::Scalar;
use crate::report::ValueView;

named! {
/// Kernel structures and arguments that cannot be read or written. Types (`id`, `ty`) are of the kernel's
/// BTF; offsets and sizes are in bytes.
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "fields are named for what they are")]
pub enum BtfViolation {
    /// An argument of what the program attaches to.
    Argument {
        fault: ArgFault,
        off: i32,
        size: i32,
    },
    /// A structure's member that cannot be read, of the program's own types or the kernel's.
    Member { fault: BtfFault, own: bool },
    /// A field of an object that only its functions may touch.
    ObjectField { field: &'static str },
    /// Kernel structures are not for unprivileged programs.
    Lane { id: u32 },
    /// Kernel structures are for programs with a GPL-compatible licence only.
    License { id: u32 },
    /// Before the start of a structure.
    Negative {
        reg: Reg,
        pointer: ValueView,
        off: i32,
    },
    /// At an unknown place of a structure.
    Variable {
        reg: Reg,
        pointer: ValueView,
        off: i32,
        var: Scalar,
    },
    /// A structure in user or per-CPU memory.
    Memory {
        reg: Reg,
        pointer: ValueView,
        off: i32,
        what: &'static str,
    },
    /// A structure is written; the kernel does not always say a word.
    Write { told: bool },
    /// A member of the structure `of` is written that may not be.
    NoMemberWrite { of: &'static str, off: i32 },
    /// More than the member is written.
    MemberEnd {
        of: &'static str,
        off: i32,
        size: u32,
        end: u32,
    },
    /// Another structure is written than that which the program may write to.
    OnlyAccess { to: &'static str },
    /// Behind the end of a structure that the program may write to.
    StructureEnd { off: i32, size: u32 },
    /// Before the start of a map, whose structure is `id`.
    MapFieldNegative { reg: Reg, id: u32, off: i32 },
    /// A field of a map is written.
    MapFieldWrite { id: u32 },
}
}

/// Members of kernel structures that cannot be read; a member is its index in the type `id`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "fields are named for what they are")]
pub enum BtfFault {
    /// The type is no structure.
    NoStructure { id: u32 },
    /// Behind the end of the structure.
    Beyond { id: u32, off: u32, size: u32 },
    /// A member without size.
    NoSize { id: u32, member: u32 },
    /// A part of a pointer, or more than one.
    PartOfPointer {
        id: u32,
        member: u32,
        start: u32,
        off: u32,
        size: u32,
    },
    /// Behind the end of a member.
    BeyondMember {
        id: u32,
        member: u32,
        end: u32,
        off: u32,
        size: u32,
    },
    /// Bytes that belong to no member.
    NoMember { id: u32, off: u32 },
}

/// Arguments of what the program attaches to that cannot be read. Arguments are counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "fields are named for what they are")]
pub enum ArgFault {
    /// Arguments begin at multiples of eight.
    Offset,
    /// There is no such argument.
    Missing { arg: u32 },
    /// The function's result is nothing that can be replaced.
    ModifiedResult { ty: u32 },
    /// Neither number nor pointer.
    NoPointer { arg: u32, ty: u32 },
    /// Pointers are read whole.
    Size,
    /// A pointer to what is no structure.
    NoStructure { arg: u32, ty: u32 },
}
