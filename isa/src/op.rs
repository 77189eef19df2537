//! Operations, widths and access sizes.

/// Operand width of an ALU operation or a comparison.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Width {
    /// The low 32 bits; ALU results are zero-extended.
    W32,
    /// All 64 bits.
    W64,
}

impl Width {
    /// 32 or 64.
    #[inline]
    pub const fn bits(self) -> u32 {
        match self {
            Width::W32 => 32,
            Width::W64 => 64,
        }
    }
}

/// Size of a memory access.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Size {
    /// One byte.
    B,
    /// Two bytes.
    H,
    /// Four bytes.
    W,
    /// Eight bytes.
    DW,
}

impl Size {
    /// 1, 2, 4 or 8.
    #[inline]
    pub const fn bytes(self) -> u32 {
        match self {
            Size::B => 1,
            Size::H => 2,
            Size::W => 4,
            Size::DW => 8,
        }
    }

    /// 8, 16, 32 or 64.
    #[inline]
    pub const fn bits(self) -> u32 {
        self.bytes() * 8
    }

    /// The bits that stand for it in an opcode.
    pub const fn code(self) -> u8 {
        match self {
            Size::W => 0x00,
            Size::H => 0x08,
            Size::B => 0x10,
            Size::DW => 0x18,
        }
    }

    /// Reads the size bits of an opcode.
    pub const fn from_code(code: u8) -> Size {
        match code & 0x18 {
            0x00 => Size::W,
            0x08 => Size::H,
            0x10 => Size::B,
            _ => Size::DW,
        }
    }

    /// The unsigned C type of that size as assembly text names it: `u8` … `u64`.
    pub const fn c_name(self) -> &'static str {
        match self {
            Size::B => "u8",
            Size::H => "u16",
            Size::W => "u32",
            Size::DW => "u64",
        }
    }
}

/// Two-operand arithmetic; moves included, negation and byte order not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the standard's own names")]
pub enum AluOp {
    Add,
    Sub,
    Mul,
    /// Unsigned division; by zero gives zero.
    Div,
    /// Signed division, rounding towards zero; by zero gives zero.
    SDiv,
    Or,
    And,
    Lsh,
    Rsh,
    /// Unsigned remainder; by zero keeps the dividend.
    Mod,
    /// Signed remainder with the dividend's sign.
    SMod,
    Xor,
    Mov,
    Arsh,
}

/// What a byte-order instruction does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EndianOp {
    /// `le16/32/64`: to little-endian (on little-endian machines: truncate).
    ToLe,
    /// `be16/32/64`: to big-endian.
    ToBe,
    /// `bswap16/32/64`: swap unconditionally (ISA v4).
    Swap,
}

/// Conditions of a two-way jump.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the standard's own names")]
pub enum JmpOp {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    /// Any common bit set.
    Set,
    SGt,
    SGe,
    SLt,
    SLe,
}

impl JmpOp {
    /// Whether the condition holds for two 64-bit values, in the given width.
    pub const fn holds(self, width: Width, a: u64, b: u64) -> bool {
        let (a, b, sa, sb) = match width {
            Width::W64 => (a, b, a as i64, b as i64),
            Width::W32 => (
                a as u32 as u64,
                b as u32 as u64,
                a as u32 as i32 as i64,
                b as u32 as i32 as i64,
            ),
        };
        match self {
            JmpOp::Eq => a == b,
            JmpOp::Ne => a != b,
            JmpOp::Gt => a > b,
            JmpOp::Ge => a >= b,
            JmpOp::Lt => a < b,
            JmpOp::Le => a <= b,
            JmpOp::Set => a & b != 0,
            JmpOp::SGt => sa > sb,
            JmpOp::SGe => sa >= sb,
            JmpOp::SLt => sa < sb,
            JmpOp::SLe => sa <= sb,
        }
    }
}

/// Atomic read-modify-write operations.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the standard's own names")]
pub enum AtomicOp {
    Add,
    Or,
    And,
    Xor,
    /// Exchange; always fetches.
    Xchg,
    /// Compare `r0` and exchange; the old value goes to `r0`.
    Cmpxchg,
}
