//! Instructions as the loop executes them: 16 bytes each, everything decided beforehand.
//!
//! There is one operation per slot, so that positions are slot numbers. Jump targets are absolute,
//! maps and functions are addresses, helpers are places in the program's own list.

use skep_isa::Reg;

/// What an operation does. `I` takes the immediate, `R` a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[rustfmt::skip]
pub(crate) enum Code {
    Add64I, Add64R, Add32I, Add32R,
    Sub64I, Sub64R, Sub32I, Sub32R,
    Mul64I, Mul64R, Mul32I, Mul32R,
    Div64I, Div64R, Div32I, Div32R,
    SDiv64I, SDiv64R, SDiv32I, SDiv32R,
    Or64I, Or64R, Or32I, Or32R,
    And64I, And64R, And32I, And32R,
    Lsh64I, Lsh64R, Lsh32I, Lsh32R,
    Rsh64I, Rsh64R, Rsh32I, Rsh32R,
    Mod64I, Mod64R, Mod32I, Mod32R,
    SMod64I, SMod64R, SMod32I, SMod32R,
    Xor64I, Xor64R, Xor32I, Xor32R,
    Mov64I, Mov64R, Mov32I, Mov32R,
    Arsh64I, Arsh64R, Arsh32I, Arsh32R,
    Eq64I, Eq64R, Eq32I, Eq32R,
    Ne64I, Ne64R, Ne32I, Ne32R,
    Gt64I, Gt64R, Gt32I, Gt32R,
    Ge64I, Ge64R, Ge32I, Ge32R,
    Lt64I, Lt64R, Lt32I, Lt32R,
    Le64I, Le64R, Le32I, Le32R,
    Set64I, Set64R, Set32I, Set32R,
    SGt64I, SGt64R, SGt32I, SGt32R,
    SGe64I, SGe64R, SGe32I, SGe32R,
    SLt64I, SLt64R, SLt32I, SLt32R,
    SLe64I, SLe64R, SLe32I, SLe32R,
    Neg64, Neg32,
    MovS8To64, MovS16To64, MovS32To64, MovS8To32, MovS16To32,
    Low16, Low32, Nop, Be16, Be32, Be64,
    LoadB, LoadH, LoadW, LoadD,
    LoadSB, LoadSH, LoadSW,
    /// A load that gives 0 where nothing can be read; `imm` is its size.
    Probe,
    /// An arena's address in the other window: `off` says which, `imm` is the map.
    Cast,
    StoreBR, StoreHR, StoreWR, StoreDR,
    StoreBI, StoreHI, StoreWI, StoreDI,
    /// `imm` is the kind and, above 8 bits, the size.
    Atomic,
    /// `imm` is the offset, `off` the size, negative if `src` is added.
    Packet,
    /// The immediate of a 64-bit load; skips a slot.
    Wide,
    Goto, MayGoto,
    /// `imm` is the place in the program's list of helpers.
    Helper,
    TailCall,
    /// `imm` is 1 if the function needs no frame.
    Subprog, Exit,
    /// `imm` is the place in the program's list of traps.
    Trap,
    /// The second slot of a 64-bit load, or the end of the program.
    NotInsn,

    // Two instructions at once: see `fuse`. `aux` is the second one's source.
    MovAddI, MovAddR,
    MovLsh64, MovRsh64, MovLsh32, MovRsh32,
    LshOr64, LshOr32,
    /// `imm` is the summand and, above 32 bits, what is compared with.
    AddEqI, AddNeI, AddEqR, AddNeR, AddLtR, AddGtR,
}

impl Code {
    /// Whether `off` is the slot of a jump within a function; fused ones do not count.
    pub(crate) fn jumps(self) -> bool {
        let number = self as u8;
        let compares = Code::Eq64I as u8 <= number && number <= Code::SLe32R as u8;
        compares || matches!(self, Code::Goto | Code::MayGoto)
    }
}

/// One operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Op {
    pub(crate) code: Code,
    pub(crate) dst: Reg,
    pub(crate) src: Reg,
    pub(crate) aux: Reg,
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
        aux: Reg::R0,
        off: 0,
        imm: 0,
    };
}

/// R0 to R10.
pub(crate) type Regs = [u64; 11];

/// Registers before a function's arguments are put in.
pub(crate) const NO_REGS: Regs = [0; 11];
