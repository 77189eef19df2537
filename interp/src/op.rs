//! Instructions as the loop executes them: 16 bytes each, everything decided beforehand.
//!
//! There is one operation per slot, so that positions are slot numbers. Jump targets are absolute,
//! maps and functions are addresses, helpers are places in the program's own list.

use skep_isa::Reg;
use skep_sim::Access;

/// Gives all codes to a macro: by what they do, and sequences that are one operation with what they are made
/// of. `I` takes the immediate, `R` a register.
macro_rules! with_codes {
    ($with:ident) => {
        $with! {
            alu {
                Add64I Add64R Add32I Add32R
                Sub64I Sub64R Sub32I Sub32R
                Mul64I Mul64R Mul32I Mul32R
                Div64I Div64R Div32I Div32R
                SDiv64I SDiv64R SDiv32I SDiv32R
                Or64I Or64R Or32I Or32R
                And64I And64R And32I And32R
                Lsh64I Lsh64R Lsh32I Lsh32R
                Rsh64I Rsh64R Rsh32I Rsh32R
                Mod64I Mod64R Mod32I Mod32R
                SMod64I SMod64R SMod32I SMod32R
                Xor64I Xor64R Xor32I Xor32R
                Mov64I Mov64R Mov32I Mov32R
                Arsh64I Arsh64R Arsh32I Arsh32R
                Neg64 Neg32 MovS8To64 MovS16To64 MovS32To64 MovS8To32
                MovS16To32 Low16 Low32 Nop Be16 Be32
                Be64
            }
            jump {
                Eq64I Eq64R Eq32I Eq32R
                Ne64I Ne64R Ne32I Ne32R
                Gt64I Gt64R Gt32I Gt32R
                Ge64I Ge64R Ge32I Ge32R
                Lt64I Lt64R Lt32I Lt32R
                Le64I Le64R Le32I Le32R
                Set64I Set64R Set32I Set32R
                SGt64I SGt64R SGt32I SGt32R
                SGe64I SGe64R SGe32I SGe32R
                SLt64I SLt64R SLt32I SLt32R
                SLe64I SLe64R SLe32I SLe32R
                Goto
            }
            load {
                LoadB LoadH LoadW LoadD LoadSB LoadSH LoadSW
            }
            store {
                StoreBR StoreHR StoreWR StoreDR StoreBI StoreHI StoreWI StoreDI
            }
            other {
                /// A load that gives 0 where nothing can be read; `imm` is its size.
                Probe
                /// An arena's address in the other window: `off` says which, `imm` is the map.
                Cast
                /// `imm` is the kind and, above 8 bits, the size.
                Atomic
                /// `imm` is the offset, `off` the size, negative if `src` is added.
                Packet
                /// The immediate of a 64-bit load; skips a slot.
                Wide
                MayGoto
                /// `imm` is the place in the program's list of helpers.
                Helper
                TailCall
                /// `imm` is 1 if the function needs no frame.
                Subprog
                Exit
                /// `imm` is the place in the program's list of traps.
                Trap
                /// The second slot of a 64-bit load, or the end of the program.
                NotInsn
            }
            fused {
                Mov64RRsh64ILsh64IOr64R: alu Mov64R same Rsh64I turn Lsh64I back Or64R;
                Mov32RRsh32ILsh32IOr32R: alu Mov32R same Rsh32I turn Lsh32I back Or32R;
                Mov64RLsh64IOr64R: alu Mov64R same Lsh64I same Or64R;
                Mov32RLsh32IOr32R: alu Mov32R same Lsh32I same Or32R;
                Mov64RRsh64IXor64R: alu Mov64R same Rsh64I same Xor64R;
                Mov64RMul64IAdd64R: alu Mov64R same Mul64I same Add64R;
                Mov64RAdd64IAdd64R: alu Mov64R same Add64I same Add64R;
                Mov64RAdd64IGt64R: alu Mov64R same Add64I jump Gt64R;
                Mov64RAdd64I: alu Mov64R same Add64I;
                Mov64RAdd64R: alu Mov64R same Add64R;
                Mov64RSub64R: alu Mov64R same Sub64R;
                Mov64RAnd64I: alu Mov64R same And64I;
                Mov64RXor64R: alu Mov64R same Xor64R;
                Mov64RLsh64I: alu Mov64R same Lsh64I;
                Mov64RRsh64I: alu Mov64R same Rsh64I;
                Mov64RMul64I: alu Mov64R same Mul64I;
                Mov64RMov64R: alu Mov64R alu Mov64R;
                Mov64RMov64I: alu Mov64R alu Mov64I;
                Mov64RMov32I: alu Mov64R alu Mov32I;
                Mov64RMod64R: alu Mov64R same Mod64R;
                Mov64RSubprog: alu Mov64R call Subprog;
                Mov64RExit: alu Mov64R exit Exit;
                Mov64REq64I: alu Mov64R jump Eq64I;
                Mov64REq32I: alu Mov64R jump Eq32I;
                Mov64RNe32I: alu Mov64R jump Ne32I;
                Mov64RGt32I: alu Mov64R jump Gt32I;
                Mov64RNe64I: alu Mov64R jump Ne64I;
                Mov64RLt32R: alu Mov64R jump Lt32R;
                Mov32RLsh32I: alu Mov32R same Lsh32I;
                Mov32RRsh32I: alu Mov32R same Rsh32I;
                Mov32RAnd32I: alu Mov32R same And32I;
                Mov32RMod32R: alu Mov32R same Mod32R;
                Mov64ISubprog: alu Mov64I call Subprog;
                Mov64IExit: alu Mov64I exit Exit;
                Mov64IMov64I: alu Mov64I alu Mov64I;
                Mov64IGt64R: alu Mov64I jump Gt64R;
                Mov64INe32I: alu Mov64I jump Ne32I;
                Mov32ISubprog: alu Mov32I call Subprog;
                Mov32IExit: alu Mov32I exit Exit;
                Mov32IMov32I: alu Mov32I alu Mov32I;
                Mov32IEq32I: alu Mov32I jump Eq32I;
                Mov32INe32I: alu Mov32I jump Ne32I;
                Mov32IGoto: alu Mov32I jump Goto;
                Add64IAdd64R: alu Add64I same Add64R;
                Add64ISubprog: alu Add64I call Subprog;
                Add64IMov64R: alu Add64I alu Mov64R;
                Add64IMov64I: alu Add64I alu Mov64I;
                Add64IEq64IGoto: alu Add64I jump Eq64I jump Goto;
                Add64IEq64I: alu Add64I jump Eq64I;
                Add64INe64I: alu Add64I jump Ne64I;
                Add64IEq64R: alu Add64I jump Eq64R;
                Add64INe64R: alu Add64I jump Ne64R;
                Add64ILt64R: alu Add64I jump Lt64R;
                Add64IGt64R: alu Add64I jump Gt64R;
                Add64IGt64I: alu Add64I jump Gt64I;
                Add64RExit: alu Add64R exit Exit;
                Add64RMov64R: alu Add64R alu Mov64R;
                Add64RAdd64I: alu Add64R alu Add64I;
                Add64RSub64R: alu Add64R alu Sub64R;
                Add64RXor64R: alu Add64R alu Xor64R;
                Add32IMov64R: alu Add32I alu Mov64R;
                Add32IMov32R: alu Add32I alu Mov32R;
                Add32RAdd32R: alu Add32R same Add32R;
                Add32RSub32R: alu Add32R alu Sub32R;
                Sub32RXor32R: alu Sub32R same Xor32R;
                Mul64IAdd64R: alu Mul64I same Add64R;
                Mul64RAdd64R: alu Mul64R same Add64R;
                Mul64RMul64R: alu Mul64R alu Mul64R;
                Xor64RExit: alu Xor64R exit Exit;
                Xor64RMov64R: alu Xor64R alu Mov64R;
                Xor64RMul64I: alu Xor64R alu Mul64I;
                Xor64RAdd64R: alu Xor64R alu Add64R;
                Xor32RMov32R: alu Xor32R alu Mov32R;
                Or64RMov64R: alu Or64R alu Mov64R;
                Or64RXor64R: alu Or64R same Xor64R;
                Or64RAdd64R: alu Or64R alu Add64R;
                Lsh64IOr64R: alu Lsh64I same Or64R;
                Lsh64IRsh64I: alu Lsh64I same Rsh64I;
                Lsh64IArsh64I: alu Lsh64I same Arsh64I;
                Lsh32IAnd32I: alu Lsh32I same And32I;
                Lsh32IOr32R: alu Lsh32I same Or32R;
                Rsh64ILsh64I: alu Rsh64I alu Lsh64I;
                Rsh64IXor64R: alu Rsh64I same Xor64R;
                And32ILt32I: alu And32I jump Lt32I;
                And32IEq32I: alu And32I jump Eq32I;
                And32INe32I: alu And32I jump Ne32I;
                And64IEq64I: alu And64I jump Eq64I;
                And64INe64I: alu And64I jump Ne64I;
                Eq64IMov64R: jump Eq64I alu Mov64R;
                Eq64IGoto: jump Eq64I jump Goto;
                Ne64IMov64R: jump Ne64I alu Mov64R;
                Eq32IMov32I: jump Eq32I alu Mov32I;
                Eq32INe32I: jump Eq32I jump Ne32I;
                Eq32IMov64R: jump Eq32I alu Mov64R;
                Eq32IEq32I: jump Eq32I jump Eq32I;
            }
        }
    };
}
pub(crate) use with_codes;

macro_rules! define {
    (
        alu { $($alu:ident)* } jump { $($jump:ident)* } load { $($load:ident)* } store { $($store:ident)* }
        other { $($(#[$doc:meta])* $other:ident)* } fused { $($fused:ident: $($kind:ident $part:ident)+;)* }
    ) => {
        /// What an operation does.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub(crate) enum Code {
            $($alu,)* $($jump,)* $($load,)* $($store,)* $($(#[$doc])* $other,)*
            // Several instructions at once: see `fuse`.
            $($fused,)*
        }
    };
}
with_codes!(define);

impl Code {
    /// Whether `off` is the slot of a jump within a function; fused ones do not count.
    pub(crate) fn jumps(self) -> bool {
        let number = self as u8;
        let goes = Code::Eq64I as u8 <= number && number <= Code::Goto as u8;
        goes || self == Code::MayGoto
    }

    /// How an instruction accesses the memory that it names.
    pub(crate) fn access(self) -> Option<Access> {
        let within = |first: Code, last: Code| (first as u8..=last as u8).contains(&(self as u8));
        if within(Code::LoadB, Code::LoadSW) {
            Some(Access::Read)
        } else if within(Code::StoreBR, Code::StoreDI) {
            Some(Access::Write)
        } else {
            (self == Code::Atomic).then_some(Access::Atomic)
        }
    }
}

/// One operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Op {
    pub(crate) code: Code,
    pub(crate) dst: Reg,
    pub(crate) src: Reg,
    /// Byte offset of an access, or the slot that a jump or call goes to.
    pub(crate) off: i32,
    pub(crate) imm: i64,
}

const _: () = assert!(size_of::<Op>() == 16);

impl Op {
    /// What is no instruction.
    pub(crate) const NONE: Op = Op {
        code: Code::NotInsn,
        dst: Reg::R0,
        src: Reg::R0,
        off: 0,
        imm: 0,
    };
}

/// R0 to R10.
pub(crate) type Regs = [u64; 11];

/// Registers before a function's arguments are put in.
pub(crate) const NO_REGS: Regs = [0; 11];
