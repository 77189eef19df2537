//! An instruction's meaning, one variant per form.

use crate::{AluOp, AtomicOp, EndianOp, JmpOp, Reg, Size, Width};

/// Second operand of arithmetic, comparisons and stores.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operand {
    /// A register.
    Reg(Reg),
    /// An immediate, sign-extended to the width of the operation.
    Imm(i32),
}

impl From<Reg> for Operand {
    fn from(reg: Reg) -> Operand {
        Operand::Reg(reg)
    }
}

impl From<i32> for Operand {
    fn from(imm: i32) -> Operand {
        Operand::Imm(imm)
    }
}

/// What a 64-bit immediate load puts into its register.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Imm64 {
    /// The number itself.
    Value(u64),
    /// The map of that file descriptor (in a load request of ours: index into its maps).
    Map(i32),
    /// The address of byte `off` of the only value of that map.
    MapValue {
        /// File descriptor, or index into the request's maps.
        map: i32,
        /// Byte offset into the value.
        off: u32,
    },
    /// A kernel variable, by BTF id; `btf_fd` 0 is vmlinux.
    BtfVar {
        /// BTF id of the variable.
        id: i32,
        /// File descriptor of a module's BTF, or 0.
        btf_fd: i32,
    },
    /// The address of a subprogram: offset in slots from the next but one slot's predecessor
    /// (`imm + 1 + idx` is the entry, as the kernel computes it).
    Func(i32),
    /// A map by index into the request's fd array.
    MapIdx(i32),
    /// A value's address in a map given by index into the request's fd array.
    MapIdxValue {
        /// Index into the fd array.
        idx: i32,
        /// Byte offset into the value.
        off: u32,
    },
}

/// What a call calls.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CallTarget {
    /// A kernel helper by number.
    Helper(i32),
    /// A subprogram: its entry is at `idx + 1 + offset`.
    Subprog(i32),
    /// A kernel function by BTF id.
    Kfunc {
        /// BTF id of the function.
        id: i32,
        /// Index into the request's fd array, or 0 for vmlinux.
        btf_idx: i16,
    },
}

/// One decoded instruction. A 64-bit immediate load occupies two slots; the second is [`Insn::Imm64Hi`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Insn {
    /// `dst op= src`, moves included.
    Alu {
        /// Operation.
        op: AluOp,
        /// Operand width.
        width: Width,
        /// Destination and left operand.
        dst: Reg,
        /// Right operand.
        src: Operand,
    },
    /// `dst = (s8|s16|s32)src`.
    MovSx {
        /// Width of the result before zero-extension.
        width: Width,
        /// Source bits: 8, 16 or 32.
        bits: u8,
        /// Destination.
        dst: Reg,
        /// Source.
        src: Reg,
    },
    /// `dst = -dst`.
    Neg {
        /// Operand width.
        width: Width,
        /// Operand.
        dst: Reg,
    },
    /// `dst = le16 dst` and its kin.
    Endian {
        /// Which conversion.
        op: EndianOp,
        /// 16, 32 or 64.
        bits: u8,
        /// Operand.
        dst: Reg,
    },
    /// `dst = addr_space_cast(src, dst_as, src_as)`.
    AddrSpaceCast {
        /// Destination.
        dst: Reg,
        /// Source.
        src: Reg,
        /// Destination address space.
        dst_as: u16,
        /// Source address space.
        src_as: u16,
    },
    /// `dst = imm ll`; the next slot is [`Insn::Imm64Hi`].
    LoadImm64 {
        /// Destination.
        dst: Reg,
        /// What is loaded.
        imm: Imm64,
    },
    /// The second slot of a 64-bit immediate load.
    Imm64Hi,
    /// `dst = *(size *)(base + off)`.
    Load {
        /// Access size.
        size: Size,
        /// Sign-extend to 64 bits instead of zero-extending.
        sign: bool,
        /// Destination.
        dst: Reg,
        /// Address base.
        base: Reg,
        /// Byte offset.
        off: i16,
    },
    /// `*(size *)(base + off) = src`.
    Store {
        /// Access size.
        size: Size,
        /// Address base.
        base: Reg,
        /// Byte offset.
        off: i16,
        /// Value.
        src: Operand,
    },
    /// Atomic read-modify-write of memory.
    Atomic {
        /// Operation.
        op: AtomicOp,
        /// Whether `src` (or `r0` for cmpxchg) receives the old value.
        fetch: bool,
        /// Access size: `W` or `DW`.
        size: Size,
        /// Address base.
        base: Reg,
        /// Byte offset.
        off: i16,
        /// Operand.
        src: Reg,
    },
    /// `dst = load_acquire((size *)(base + off))`.
    LoadAcquire {
        /// Access size.
        size: Size,
        /// Destination.
        dst: Reg,
        /// Address base.
        base: Reg,
        /// Byte offset.
        off: i16,
    },
    /// `store_release((size *)(base + off), src)`.
    StoreRelease {
        /// Access size.
        size: Size,
        /// Address base.
        base: Reg,
        /// Byte offset.
        off: i16,
        /// Value.
        src: Reg,
    },
    /// `r0 = *(size *)skb[imm]`, or `skb[index + imm]`.
    LoadPacket {
        /// Access size: `B`, `H` or `W`.
        size: Size,
        /// Register that is added to the offset.
        index: Option<Reg>,
        /// Byte offset.
        off: i32,
    },
    /// `if dst op src goto +off`.
    Jump {
        /// Condition.
        op: JmpOp,
        /// Comparison width.
        width: Width,
        /// Left operand.
        dst: Reg,
        /// Right operand.
        src: Operand,
        /// Slots from the next instruction.
        off: i16,
    },
    /// `goto +off` or, when `far`, `gotol +off`.
    Goto {
        /// Slots from the next instruction.
        off: i32,
        /// Encoded with a 32-bit offset.
        far: bool,
    },
    /// `may_goto +off`: jumps when the loop budget is used up.
    MayGoto {
        /// Slots from the next instruction.
        off: i16,
    },
    /// `call`.
    Call(CallTarget),
    /// `callx reg`: valid in the instruction set, refused by kernels.
    CallReg(Reg),
    /// `exit`.
    Exit,
}

impl Insn {
    /// Where a jump lands relative to the next slot, or `None` if this is no jump.
    #[inline]
    pub const fn jump_off(&self) -> Option<i32> {
        match *self {
            Insn::Jump { off, .. } | Insn::MayGoto { off } => Some(off as i32),
            Insn::Goto { off, .. } => Some(off),
            Insn::Alu { .. }
            | Insn::MovSx { .. }
            | Insn::Neg { .. }
            | Insn::Endian { .. }
            | Insn::AddrSpaceCast { .. }
            | Insn::LoadImm64 { .. }
            | Insn::Imm64Hi
            | Insn::Load { .. }
            | Insn::Store { .. }
            | Insn::Atomic { .. }
            | Insn::LoadAcquire { .. }
            | Insn::StoreRelease { .. }
            | Insn::LoadPacket { .. }
            | Insn::Call(_)
            | Insn::CallReg(_)
            | Insn::Exit => None,
        }
    }

    /// Slots that the instruction occupies: 2 for a 64-bit immediate load, else 1.
    #[inline]
    pub const fn slots(&self) -> usize {
        if matches!(self, Insn::LoadImm64 { .. }) {
            2
        } else {
            1
        }
    }
}
