//! Calls of kernel functions that are not allowed.

use skep_isa::{InsnIdx, Reg};

use super::{NoSleep, StackPlace, Stop, Violation};
use crate::report::ValueView;

/// What an argument of a kernel function must point to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "named for what they are")]
pub enum KfuncTarget {
    Iterator,
    Dynptr,
    ValueOrObject,
    LockInValueOrObject,
    Value,
    ConstString,
    IrqFlag,
    AllocatedObject,
    PlainObject,
    PercpuObject,
    RefcountedObject,
}

/// Who saved the state of interrupts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum IrqClass {
    /// The functions made for that.
    Native,
    /// A lock.
    Lock,
}

named! {
/// Calls of kernel functions that are not allowed. `id` and `ty` are types of the kernel's BTF; arguments
/// are counted from 0.
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "fields are named for what they are")]
pub enum KfuncViolation {
    /// The kernel interprets programs.
    NoJit,
    /// The JIT cannot call kernel functions.
    JitSupport,
    /// The licence is not GPL-compatible.
    License,
    /// The index of a module is negative.
    NegativeModule,
    /// Too many different functions.
    TooMany,
    /// The id is no function.
    NoFunction { id: u32 },
    /// The function has no prototype.
    NoPrototype { id: u32 },
    /// The function is for programs that are bound to a device.
    NoDevice,
    /// A call that names no function is reached.
    Unresolved,
    /// Programs like this one may not call the function, or none may.
    NotAllowed { id: u32 },
    /// Code is reached that a compiler took for unreachable.
    Trap,
    /// The function may sleep, the program may not.
    Sleeps { id: u32 },
    /// The function may sleep, inside a critical section.
    SleepsInSection { id: u32, section: NoSleep },
    /// An argument.
    Argument(KfuncArgViolation),
    /// Nothing that the function could release is given.
    NothingReleased { id: u32 },
    /// What is released was never acquired.
    NotAcquired { id: u32 },
    /// An RCU read section inside another.
    NestedRcu { id: u32 },
    /// The end of an RCU read section outside of any.
    UnmatchedRcu { id: u32 },
    /// Preemption is turned on that is not off.
    UnmatchedPreempt { id: u32 },
    /// The function needs an RCU read section.
    NeedsRcu { id: u32 },
    /// An exception may be thrown in a callback, or in what one calls.
    ThrowInCallback { idx: InsnIdx, subprog: usize },
    /// An iterator over tasks of a control group, in a program that may not have one.
    CssTaskIter,
    /// There is no structure behind the context.
    NoKernelContext { ty: u32 },
    /// An address is taken for one of a type that does not exist.
    CastUnknown { ty: u64 },
    /// An address is taken for one of what is no structure.
    CastKind,
    /// The id of an object's type is too large.
    ObjectTypeRange,
    /// The program has no BTF, in which an object's type could be.
    ObjectNoBtf,
    /// An object of what is no structure.
    ObjectNoStructure,
    /// A per-CPU object is too large, in bytes.
    ObjectSize { size: u32, max: u32 },
    /// A per-CPU object of something else than numbers.
    ObjectNotPlain,
    /// A per-CPU object with special fields.
    ObjectFields,
    /// The function is called while nodes of a tree are compared.
    InTreeCallback { id: u32 },
    /// What is acquired is no object.
    AcquiresNoObject,
    /// The function returns a pointer to what has no size.
    Result { id: u32, ty: u32 },
}
}

named! {
/// Arguments that a kernel function does not take; types and counting as in [`KfuncViolation`].
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "fields are named for what they are")]
pub enum KfuncArgViolation {
    /// The function has more parameters than there are registers.
    Parameters { id: u32, count: usize, max: usize },
    /// The argument is no number.
    NoScalar { reg: Reg },
    /// The argument must be a known number.
    NoConstant { reg: Reg },
    /// The size of the result must be a known number.
    ResultSize { reg: Reg },
    /// Two arguments say how large the result is.
    SecondResultSize,
    /// The parameter is neither number nor pointer.
    ParameterKind { arg: usize, ty: u32 },
    /// The argument may be null.
    MaybeNull { arg: usize },
    /// The argument is no map.
    NoMap { reg: Reg },
    /// A map is given with a work queue, or task work (`task`), of another one.
    OtherMap {
        task: bool,
        work_uid: u32,
        map_uid: u32,
    },
    /// The kernel does not vouch for the object.
    NotTrusted { reg: Reg },
    /// Nothing protects the object.
    NotRcu { reg: Reg },
    /// The argument is not the context.
    NoCtx { arg: usize, value: ValueView },
    /// The argument does not point to what it should.
    Target { arg: usize, wanted: KfuncTarget },
    /// The argument is no kernel object.
    NoObject { arg: usize, value: ValueView },
    /// The argument is an object of another type.
    Object {
        id: u32,
        arg: usize,
        expected: u32,
        found: u32,
    },
    /// The argument is an object of the program's own types; `found` is in its BTF.
    OwnObject {
        id: u32,
        arg: usize,
        expected: u32,
        found: u32,
    },
    /// An allocated object that is not held.
    ObjectNotHeld,
    /// An object without reference count.
    NoRefcount { arg: usize },
    /// An object is given where the parameter points to no structure.
    ParameterPointer { id: u32, arg: usize, ty: u32 },
    /// The parameter points to what cannot be given as plain memory; `sized`: the next argument is its
    /// size.
    ParameterMemory { arg: usize, ty: u32, sized: bool },
    /// The parameter points to memory of unknown size.
    ParameterSize { arg: usize, ty: u32 },
    /// Memory and its size do not fit; `fault` says why.
    Memory { arg: usize, fault: Box<Violation> },
    /// The argument is no function of the program.
    NoCallback { arg: usize },
    /// A node that is in no tree.
    NotInTree { id: u32 },
    /// The state of interrupts is saved where one is saved already, or not in a slot.
    IrqFlagInUse { arg: usize, place: StackPlace },
    /// The state of interrupts is restored from where none is saved.
    NoIrqFlag { arg: usize, place: StackPlace },
    /// The state was saved by functions of the other kind.
    IrqFlagClass { saved: IrqClass, restored: IrqClass },
    /// Another state was saved later.
    IrqFlagOrder { id: u32, insn_idx: InsnIdx },
}
}

impl From<KfuncViolation> for Stop {
    fn from(violation: KfuncViolation) -> Stop {
        super::CallViolation::Kfunc(violation).into()
    }
}

impl From<KfuncArgViolation> for Stop {
    fn from(violation: KfuncArgViolation) -> Stop {
        KfuncViolation::Argument(violation).into()
    }
}
