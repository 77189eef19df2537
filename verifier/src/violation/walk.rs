//! Instructions that may not be executed in the state that a path has reached.

use skep_isa::{AluOp, InsnIdx, Reg};

use crate::number::{BoundsViolation, Scalar};
use crate::report::ValueView;

/// What a value at the end of a program or callback is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReturnPlace {
    /// The main program's exit.
    ProgramExit,
    /// The same, of a program in a control group on a hook that returns nothing.
    VoidHookExit,
    /// The return of an asynchronous callback.
    AsyncCallback,
    /// The return of a synchronous callback.
    Callback,
}

/// Which encoding has a reserved field set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the kernel's own names of instruction classes")]
pub enum ReservedIn {
    Neg,
    End,
    Mov,
    Alu,
    St,
    Stx,
    Ldx,
    Jmp,
    Call,
    Ja,
    Exit,
    LdImm64,
    LdAbs,
    Atomic,
}

named! {
/// Instructions that may not be executed in the state that a path has reached.
#[derive(Clone, PartialEq, Debug)]
pub enum WalkViolation {
    /// A register number that does not exist.
    NoSuchRegister {
        /// Its number.
        reg: u8,
    },
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
    /// A field that the instruction does not use is set.
    ReservedField {
        /// Which kind of instruction.
        kind: ReservedIn,
    },
    /// No arithmetic operation has this number.
    UnknownAlu {
        /// The operation bits.
        op: u8,
    },
    /// No conditional jump has this number.
    UnknownJump {
        /// The operation bits.
        op: u8,
    },
    /// The class is none that programs may use.
    UnknownClass {
        /// The class bits.
        class: u8,
    },
    /// An immediate load that is not 64 bits wide.
    InvalidLdImm,
    /// An atomic operation that does not exist.
    UnknownAtomic {
        /// The opcode.
        code: u8,
        /// The operation.
        imm: i32,
    },
    /// A load of class LD in a mode that does not exist.
    UnknownLoadMode,
    /// `may_goto` with an immediate.
    MayGotoImmediate {
        /// The immediate.
        imm: i32,
    },
    /// An address space cast between others than 0 and 1.
    AddressSpaces,
    /// An address space cast in a program without arena.
    NoArena,
    /// Division by the constant zero.
    DivisionByZero,
    /// A shift by a constant outside of the width.
    InvalidShift {
        /// The constant.
        by: i32,
    },
    /// Byte swap or negation of a pointer (unprivileged).
    PointerArithmetic {
        /// The register.
        reg: Reg,
    },
    /// Copying half of a pointer (unprivileged).
    PartialPointerCopy {
        /// The register.
        reg: Reg,
    },
    /// Sign-extending part of a pointer (unprivileged).
    PointerSignExtension {
        /// The register.
        reg: Reg,
    },
    /// A register's bounds contradict each other, and the program asked for that to be an error.
    Invariant {
        /// Where it was noticed: `alu`, `true_reg1`, ….
        place: &'static str,
        /// Which bounds.
        bounds: BoundsViolation,
        /// The number.
        scalar: Scalar,
    },
    /// 32-bit arithmetic on a pointer.
    Pointer32 {
        /// The destination.
        reg: Reg,
    },
    /// Arithmetic on a pointer that may be null.
    PointerMaybeNull {
        /// The destination.
        reg: Reg,
        /// The pointer.
        pointer: ValueView,
    },
    /// Arithmetic on a pointer of a kind that allows none.
    PointerKind {
        /// The destination.
        reg: Reg,
        /// The pointer.
        pointer: ValueView,
    },
    /// Two pointers combined by anything but subtraction.
    PointerPointer {
        /// The destination.
        reg: Reg,
        /// The operation.
        op: AluOp,
    },
    /// A pointer subtracted from a number.
    ScalarMinusPointer {
        /// The destination.
        reg: Reg,
    },
    /// Subtraction from a stack pointer.
    StackMinus {
        /// The destination.
        reg: Reg,
    },
    /// A bitwise operation on a pointer.
    PointerBitwise {
        /// The destination.
        reg: Reg,
        /// The operation.
        op: AluOp,
    },
    /// Another operation on a pointer.
    PointerOperator {
        /// The destination.
        reg: Reg,
        /// The operation.
        op: AluOp,
    },
    /// A constant too large is added to a pointer.
    OffsetConstant {
        /// The pointer.
        pointer: ValueView,
        /// The constant.
        value: i64,
    },
    /// A pointer's fixed offset is too large.
    OffsetFixed {
        /// The pointer.
        pointer: ValueView,
        /// The offset.
        off: i32,
    },
    /// A number without lower bound is added to a pointer.
    OffsetUnbounded {
        /// The pointer.
        pointer: ValueView,
    },
    /// A number whose lower bound is out of bounds is added to a pointer.
    OffsetMin {
        /// The pointer.
        pointer: ValueView,
        /// The lower bound.
        min: i64,
    },
    /// Comparing a pointer (unprivileged).
    PointerComparison {
        /// The register.
        reg: Reg,
    },
    /// A callback's address is loaded, but the program has no function info.
    NoFuncInfo,
    /// A callback's address is loaded, but the function is not static.
    CallbackNotStatic,
    /// Packet loads of the old kind in a program type without socket buffer.
    LdAbsProgType,
    /// Packet loads of the old kind need the context in r6.
    LdAbsNoCtx,
    /// Packet loads of the old kind inside a callback.
    LdAbsInCallback,
    /// Something acquired is not released at the end.
    ReferenceLeak {
        /// Its id.
        id: u32,
        /// Where it was acquired.
        insn_idx: InsnIdx,
        /// At what: the kernel's prefix.
        place: &'static str,
    },
    /// A critical section is open where none may be.
    SectionLeak {
        /// Which one: the kernel's words.
        section: &'static str,
        /// At what: the kernel's prefix.
        place: &'static str,
    },
    /// The return value is a pointer (unprivileged).
    ReturnLeaksAddress {
        /// The register.
        reg: Reg,
    },
    /// A global subprogram returns no number.
    SubprogReturnNoScalar {
        /// The register.
        reg: Reg,
        /// What it returns.
        value: ValueView,
    },
    /// The program returns no number.
    ReturnNoScalar {
        /// Where.
        place: ReturnPlace,
        /// The register.
        reg: Reg,
        /// What it returns.
        value: ValueView,
    },
    /// The return value may lie outside of what is allowed.
    ReturnRange {
        /// Where.
        place: ReturnPlace,
        /// The register.
        reg: Reg,
        /// What is known of it.
        scalar: Scalar,
        /// Least value allowed.
        min: i32,
        /// Greatest value allowed.
        max: i32,
    },
    /// An exception callback takes exactly one number.
    ExceptionCallbackArgument,
    /// The same load or store goes through pointers of different kinds on different paths.
    DifferentPointers,
}
}
