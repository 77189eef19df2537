//! Calls of helpers, subprograms and kernel functions that are not allowed.

use skep_isa::{InsnIdx, Reg};
use skep_spec::{MapType, ProgType};

use super::Violation;
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
    /// A pointer as a plain number (unprivileged).
    Leak { reg: Reg },
    /// The helper does not take packet memory here.
    PacketMemory,
    /// A map of sockets takes sockets as values only.
    SocketMapValue,
    /// The argument is of another type; `expected` are the kernel's names of those allowed.
    ArgType { reg: Reg, value: ValueView, expected: &'static [&'static str] },
    /// The helper may write into memory that may only be read.
    MayWrite { id: u32, reg: Reg, value: ValueView },
    /// A pointer that may be null to a helper that does not expect it.
    MaybeNull { reg: Reg },
    /// A kernel structure of another type than that of the kernel's BTF.
    Structure { reg: Reg, pointer: ValueView, expected: u32 },
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
    /// The string lies in a map that may change.
    StringMutable { reg: Reg },
    /// The string's place is not known.
    StringPlace { reg: Reg },
    /// The string lies in a map whose values have no address.
    StringMap,
    /// The string lies outside of the map's value.
    StringOutside,
    /// The string has no end.
    StringEnd,
    /// The format string does not fit its arguments or is malformed.
    Format,
    /// The size of the format's arguments is no multiple of eight; kernels say nothing.
    FormatData,
    /// Programs may not change the map.
    ReadOnlyMap,
    /// A tail call through another kind of map.
    NoProgArray,
    /// Tail calls and subprograms do not go together here.
    TailCallMixed,
    /// The map is not for that helper; `sockets`: since a socket may be locked here.
    MapForHelper { id: u32, map: MapType, sockets: bool },
    /// What is released was never acquired.
    NotAcquired { id: u32 },
    /// `bpf_get_local_storage` has no flags.
    LocalStorageFlags,
    /// Programs on hooks without result may not set one.
    SetRetvalVoid,
    /// `bpf_get_func_ip` needs a trampoline.
    FuncIpTrampoline,
    /// `bpf_get_func_ip` is not for such programs.
    FuncIpProgType { ty: ProgType },
    /// The map cannot be walked.
    MapCallback,
    /// The lock's place is not known.
    LockPlace { reg: Reg },
    /// A lock in a map without BTF.
    LockNoBtf { pointer: ValueView },
    /// The map's values hold no lock.
    NoLock { pointer: ValueView },
    /// The lock lies elsewhere.
    LockOffset { off: i64, at: u32 },
    /// A second lock.
    TwoLocks,
    /// No lock is held.
    UnlockWithout,
    /// Another lock is held.
    UnlockDifferent,
    /// Another lock must be given up first.
    UnlockOrder,
    /// Too many frames.
    TooDeep { frames: usize },
    /// A pointer to the callee's stack is returned.
    ReturnsStack,
    /// A callback returns no number.
    CallbackNoScalar,
    /// A global subprogram is called while a lock is held.
    GlobalUnderLock,
    /// A global subprogram that may sleep is called where nothing may.
    GlobalSleeps,
    /// The arguments do not fit a global subprogram's prototype; `fault` says why.
    GlobalArgs { subprog: usize, start: InsnIdx, fault: Box<Violation> },
    /// The argument is no number.
    GlobalNoScalar { reg: Reg },
    /// The argument, counted from 0, is not the context.
    GlobalNoCtx { arg: usize },
    /// The argument, counted from 0, may be null.
    GlobalMaybeNull { arg: usize },
    /// The argument is neither number nor arena pointer.
    GlobalNoArena { reg: Reg },
}
