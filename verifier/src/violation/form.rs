//! Programs whose shape is wrong before any path is walked.

use skep_isa::InsnIdx;

named! {
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
    /// Function info that does not begin with the first slot.
    FirstFuncOffset {
        /// Where it begins.
        off: u32,
    },
    /// Function info that does not ascend.
    FuncOrder {
        /// An offset.
        off: u32,
        /// The one before.
        before: u32,
    },
    /// Function info that names no function type.
    FuncType {
        /// The BTF id.
        id: u32,
    },
    /// Other functions than the calls in the program say.
    FuncCount,
    /// Functions at other places than the calls in the program say.
    FuncLayout,
    /// A packet load of the old kind in a subprogram of unknown type.
    LdAbsWithoutBtf,
    /// A tail call in a subprogram of unknown type.
    TailCallWithoutBtf,
    /// A packet load of the old kind in a subprogram that returns no number.
    LdAbsReturn,
    /// A tail call in a subprogram that returns no number.
    TailCallReturn,
    /// A line record that does not ascend or lies behind the program.
    LineOffset {
        /// Its index.
        index: usize,
        /// Its offset.
        off: u32,
        /// The one before.
        before: u32,
        /// Slots of the program.
        len: usize,
    },
    /// A line record that names the middle of an instruction.
    LineCode {
        /// Its index.
        index: usize,
    },
    /// A line record without text or file.
    LineName {
        /// Its index.
        index: usize,
    },
    /// A function whose first slot has no line.
    LineMissing {
        /// The function.
        func: usize,
    },
    /// Functions at the end without lines.
    LinesMissing {
        /// How many.
        count: usize,
        /// The first.
        first: usize,
    },
    /// A global function whose BTF is no function.
    GlobalType {
        /// Its name.
        name: String,
    },
    /// A global function with too many arguments.
    GlobalArgs {
        /// Its name.
        name: String,
        /// Arguments.
        count: usize,
        /// Arguments allowed.
        max: usize,
    },
    /// A global function that returns no number.
    GlobalReturn {
        /// Its name.
        name: String,
    },
    /// An argument of a type that global functions may not have.
    ArgType {
        /// Its index.
        arg: usize,
        /// Its kind in BTF.
        kind: &'static str,
        /// The function.
        func: String,
    },
    /// An argument's tag that does not exist.
    ArgTagUnknown {
        /// Its index.
        arg: usize,
    },
    /// A pointer's tag on a number.
    ArgTagOnNumber {
        /// Its index.
        arg: usize,
    },
    /// Tags that contradict each other.
    ArgTagCombination {
        /// Its index.
        arg: usize,
    },
    /// An untrusted argument with another tag.
    ArgUntrustedCombination {
        /// Its index.
        arg: usize,
    },
    /// An arena argument with another tag.
    ArgArenaCombination {
        /// Its index.
        arg: usize,
    },
    /// A pointer to something without size.
    ArgSize {
        /// Its index.
        arg: usize,
        /// Kind of the target in BTF.
        kind: &'static str,
        /// Name of the target.
        name: String,
    },
    /// A pointer that is said to point to a kernel's type, of which there is not just one.
    ArgKernelType {
        /// Its index.
        arg: usize,
        /// Kind of the target in BTF.
        kind: &'static str,
        /// Name of the target.
        name: String,
        /// Types of that kind and name in the kernel; `None` if the target has no name.
        count: Option<usize>,
    },
    /// Programs of this type must be loaded as sleepable.
    MustSleep,
    /// Programs of this type cannot be loaded as sleepable.
    MayNotSleep,
    /// Two handlers of exceptions.
    ExceptionCallbacks,
    /// The handler of exceptions is no function.
    ExceptionCallbackMissing {
        /// Its name.
        name: String,
    },
    /// The handler of exceptions is static.
    ExceptionCallbackStatic {
        /// Its name.
        name: String,
    },
    /// The main program is its own handler of exceptions.
    ExceptionCallbackMain,
    /// Function info lacks the handler of exceptions.
    ExceptionCallbackUnlisted,
    /// More maps than a program may use.
    TooManyMaps {
        /// Maps allowed.
        limit: usize,
    },
    /// A second arena.
    SecondArena,
    /// A second cgroup storage of the same kind.
    SecondCgroupStorage,
    /// A map whose values hold something that programs of this type may not touch.
    MapFieldForType {
        /// The kernel's name for such programs.
        who: &'static str,
        /// The kernel's name for what the values hold.
        what: &'static str,
    },
    /// A map of struct_ops, which programs cannot use.
    StructOpsMap,
    /// A map that sleepable programs cannot use.
    MapForSleepable,
}
}
