//! Calls of helpers, subprograms and kernel functions that are not allowed.

use skep_isa::{InsnIdx, Reg};
use skep_spec::{MapType, ProgType};

use super::{KfuncViolation, ObjectViolation, Stop, Violation};
use crate::report::ValueView;

/// A critical section in which nothing may sleep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoSleep {
    /// An RCU read section.
    Rcu,
    /// Preemption is off.
    Preempt,
    /// Interrupts are off.
    Irq,
}

named! {
/// Calls of helpers, subprograms and kernel functions that are not allowed. `id` is a helper's number.
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "fields are named for what they are")]
pub enum CallViolation {
    /// No helper has this number.
    NoSuchHelper { id: i32 },
    /// Programs like this one may not use the helper.
    HelperUnavailable { id: u32 },
    /// The helper is for programs with a GPL-compatible licence.
    GplOnly,
    /// The helper may not be used where the program attaches.
    NotHere,
    /// The helper may sleep, the program may not.
    Sleeps,
    /// The helper may sleep, inside a critical section.
    SleepsInSection { id: u32, section: NoSleep },
    /// A call while a lock is held.
    UnderLock,
    /// An argument of a helper.
    Argument(ArgumentViolation),
    /// A constant string as an argument.
    String(StringViolation),
    /// A spin lock or timer.
    Field(FieldViolation),
    /// Programs may not change the map.
    ReadOnlyMap,
    /// A tail call through another kind of map.
    NoProgArray,
    /// Tail calls and subprograms do not go together here.
    TailCallMixed,
    /// The map is not for that helper; `sockets`: since a socket may be locked here.
    MapForHelper {
        id: u32,
        map: MapType,
        sockets: bool,
    },
    /// What is released was never acquired.
    NotAcquired { id: u32 },
    /// The number of rounds of `bpf_loop` is a pointer, which the kernel takes for a bug of its own.
    RoundsArePointer,
    /// `bpf_get_local_storage` has no flags.
    LocalStorageFlags,
    /// The hook returns nothing that could be set.
    VoidHookResult,
    /// `bpf_get_func_ip` needs a trampoline.
    FuncIpTrampoline,
    /// `bpf_get_func_ip` is not for such programs.
    FuncIpProgType { ty: ProgType },
    /// The map cannot be walked.
    MapCallback,
    /// Too many frames.
    TooDeep { frames: usize },
    /// A pointer to the callee's stack is returned.
    ReturnsStack,
    /// A callback returns no number.
    CallbackNoScalar,
    /// A call of a global subprogram.
    Global(GlobalViolation),
    /// A call of a kernel function.
    Kfunc(KfuncViolation),
    /// A dynptr or iterator.
    Object(ObjectViolation),
}
}

named! {
/// Arguments that a helper does not take.
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "fields are named for what they are")]
pub enum ArgumentViolation {
    /// A pointer as a plain number (unprivileged).
    Leak { reg: Reg },
    /// The helper does not take packet memory here.
    PacketMemory,
    /// A map of sockets takes sockets as values only.
    SocketMapValue,
    /// The argument is of another type; `expected` are the kernel's names of those allowed.
    Type {
        reg: Reg,
        value: ValueView,
        expected: &'static [&'static str],
    },
    /// The helper may write into memory that may only be read.
    MayWrite { id: u32, reg: Reg, value: ValueView },
    /// A pointer that may be null to a helper that does not expect it.
    MaybeNull { reg: Reg },
    /// A kernel structure of another type than that of the kernel's BTF.
    Structure {
        reg: Reg,
        pointer: ValueView,
        expected: u32,
    },
    /// A per-CPU variable without size; `id` is its type in the kernel's BTF.
    VariableSize { id: u32 },
    /// What is released must be as it was acquired.
    ReleaseOffset { reg: Reg },
    /// What is released is not held.
    Unreferenced { reg: Reg },
    /// Two arguments depend on references.
    TwoReferences { reg: Reg, id: u32, other: u32 },
    /// The timer lies in another map than the one given.
    OtherMap { timer_uid: u32, map_uid: u32 },
    /// The size to allocate is not known.
    AllocSize { reg: Reg },
}
}

/// Strings that are not constant, or not what they should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "fields are named for what they are")]
pub enum StringViolation {
    /// The string lies in a map that may change.
    Mutable { reg: Reg },
    /// The string's place is not known.
    Place { reg: Reg },
    /// The string lies in a map whose values have no address.
    Map,
    /// The string lies outside of the map's value.
    Outside,
    /// The string has no end.
    NoEnd,
    /// The format string does not fit its arguments or is malformed.
    Format,
    /// The size of the format's arguments is no multiple of eight; kernels say nothing.
    FormatData,
}

named! {
/// Spin locks and timers that are not there, or may not be taken or given up. `field` is the type
/// that the kernel's message names.
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "fields are named for what they are")]
pub enum FieldViolation {
    /// The place of the field is not known.
    Place { reg: Reg, field: &'static str },
    /// The map has no BTF.
    NoBtf {
        pointer: ValueView,
        field: &'static str,
    },
    /// The map's values hold none.
    Missing {
        pointer: ValueView,
        field: &'static str,
    },
    /// The field lies elsewhere.
    Offset {
        off: i64,
        at: u32,
        field: &'static str,
    },
    /// There is none; of lists, trees and their nodes.
    NotAt { off: u32, field: &'static str },
    /// The lock of a list or tree is not held. It lies at `at`, `held`: another one is.
    Unlocked {
        at: i32,
        field: &'static str,
        held: bool,
    },
    /// A node of another structure or place than the list or tree takes.
    OtherNode {
        root: &'static str,
        node: &'static str,
        at: u32,
        expected: u32,
        off: u32,
        found: u32,
    },
    /// A node of the right structure at another place.
    NodeOffset {
        node: &'static str,
        at: u32,
        expected: u32,
        off: u32,
    },
    /// Values hold no kernel pointer.
    NoKptr { reg: Reg },
    /// There is no kernel pointer.
    KptrNotAt { off: u32 },
    /// The kernel pointer there is not owned.
    KptrNotOwned { off: u32 },
    /// A lock in the callback of a tree.
    InTreeCallback,
    /// A second lock.
    SecondLock,
    /// A resilient lock is taken that is held.
    Deadlock,
    /// No lock is held; `lock` is the kind that is given up.
    NotHeld { lock: &'static str },
    /// Another lock is held.
    Different { lock: &'static str },
    /// Another lock must be given up first.
    Order { lock: &'static str },
}
}

named! {
/// Calls of global subprograms that are not allowed.
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "fields are named for what they are")]
pub enum GlobalViolation {
    /// A lock is held.
    UnderLock,
    /// It may sleep, and nothing may here.
    Sleeps,
    /// The arguments do not fit its prototype; `fault` says why. `start` is its first slot.
    Arguments {
        subprog: usize,
        start: InsnIdx,
        fault: Box<Violation>,
    },
    /// The argument is no number.
    NoScalar { reg: Reg },
    /// The argument, counted from 0, is not the context.
    NoCtx { arg: usize },
    /// The argument, counted from 0, may be null.
    MaybeNull { arg: usize },
    /// The argument is neither number nor arena pointer.
    NoArena { reg: Reg },
}
}

macro_rules! stop_from {
    ($($variant:ident($ty:ty)),* $(,)?) => {$(
        impl From<$ty> for Stop {
            fn from(v: $ty) -> Stop {
                CallViolation::$variant(v).into()
            }
        }
    )*};
}

stop_from! {
    Argument(ArgumentViolation),
    String(StringViolation),
    Field(FieldViolation),
    Global(GlobalViolation),
}
