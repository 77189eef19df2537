//! The eight bytes of a slot, uninterpreted, and the numbers that name their parts.

use std::fmt;

/// The position of a slot in a program, in units of 8 bytes.
pub type InsnIdx = usize;

/// One slot: opcode, two register numbers, a 16-bit offset and a 32-bit immediate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RawInsn {
    /// The opcode byte.
    pub code: u8,
    /// Source register in the high four bits, destination register in the low four.
    pub regs: u8,
    /// Signed offset: slots for jumps, bytes for memory accesses.
    pub off: i16,
    /// Signed immediate.
    pub imm: i32,
}

impl RawInsn {
    /// Size of a slot in bytes.
    pub const BYTES: usize = 8;

    /// Puts a slot together from register numbers (each 0 to 15).
    pub const fn new(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> RawInsn {
        RawInsn {
            code,
            regs: (src << 4) | (dst & 0xf),
            off,
            imm,
        }
    }

    /// Reads a little-endian slot.
    pub const fn from_le_bytes(b: [u8; 8]) -> RawInsn {
        RawInsn {
            code: b[0],
            regs: b[1],
            off: i16::from_le_bytes([b[2], b[3]]),
            imm: i32::from_le_bytes([b[4], b[5], b[6], b[7]]),
        }
    }

    /// Reads a big-endian slot, in which the two register numbers are swapped too.
    pub const fn from_be_bytes(b: [u8; 8]) -> RawInsn {
        RawInsn {
            code: b[0],
            regs: b[1].rotate_left(4),
            off: i16::from_be_bytes([b[2], b[3]]),
            imm: i32::from_be_bytes([b[4], b[5], b[6], b[7]]),
        }
    }

    /// Writes the slot as little-endian bytes.
    pub const fn to_le_bytes(self) -> [u8; 8] {
        let off = self.off.to_le_bytes();
        let imm = self.imm.to_le_bytes();
        [
            self.code, self.regs, off[0], off[1], imm[0], imm[1], imm[2], imm[3],
        ]
    }

    /// Reads a whole program of little-endian slots, or `None` if the length is no multiple of 8.
    pub fn slots_from_le_bytes(bytes: &[u8]) -> Option<Vec<RawInsn>> {
        let (slots, rest) = bytes.as_chunks::<8>();
        rest.is_empty()
            .then(|| slots.iter().map(|&b| RawInsn::from_le_bytes(b)).collect())
    }

    /// Destination register number, 0 to 15.
    #[inline]
    pub const fn dst(self) -> u8 {
        self.regs & 0xf
    }

    /// Source register number, 0 to 15; also the kind of a pseudo immediate or call.
    #[inline]
    pub const fn src(self) -> u8 {
        self.regs >> 4
    }

    /// The same slot with another source register number.
    pub const fn with_src(self, src: u8) -> RawInsn {
        RawInsn {
            regs: (src << 4) | self.dst(),
            ..self
        }
    }

    /// Instruction class, one of [`class`].
    #[inline]
    pub const fn class(self) -> u8 {
        self.code & 0x07
    }

    /// Whether this is the first slot of a 64-bit immediate load.
    #[inline]
    pub const fn is_ld_imm64(self) -> bool {
        self.code == opcode::LD_IMM64
    }
}

impl fmt::Debug for RawInsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for b in self.to_le_bytes() {
            write!(f, "{b:02x}")?;
        }
        Ok(())
    }
}

/// Instruction classes: the low three bits of the opcode.
#[expect(missing_docs, reason = "the standard's own names")]
pub mod class {
    pub const LD: u8 = 0;
    pub const LDX: u8 = 1;
    pub const ST: u8 = 2;
    pub const STX: u8 = 3;
    pub const ALU: u8 = 4;
    pub const JMP: u8 = 5;
    pub const JMP32: u8 = 6;
    pub const ALU64: u8 = 7;
}

/// Modes of load and store instructions: the high three bits of the opcode.
#[expect(missing_docs, reason = "the standard's own names")]
pub mod mode {
    pub const IMM: u8 = 0x00;
    pub const ABS: u8 = 0x20;
    pub const IND: u8 = 0x40;
    pub const MEM: u8 = 0x60;
    pub const MEMSX: u8 = 0x80;
    pub const ATOMIC: u8 = 0xc0;
}

/// Whole opcode bytes that are often asked for, and the operation bits of ALU and jump classes.
#[expect(missing_docs, reason = "the standard's own names")]
pub mod opcode {
    /// `dst = imm64`, two slots.
    pub const LD_IMM64: u8 = 0x18;
    /// `goto off`.
    pub const JA: u8 = 0x05;
    /// `gotol imm`.
    pub const JA32: u8 = 0x06;
    /// `call imm`.
    pub const CALL: u8 = 0x85;
    /// `callx reg`, which kernels refuse.
    pub const CALLX: u8 = 0x8d;
    /// `exit`.
    pub const EXIT: u8 = 0x95;
    /// `may_goto off`.
    pub const JCOND: u8 = 0xe5;
    /// Bit that says the second operand is a register.
    pub const SRC_REG: u8 = 0x08;

    pub const ADD: u8 = 0x00;
    pub const SUB: u8 = 0x10;
    pub const MUL: u8 = 0x20;
    pub const DIV: u8 = 0x30;
    pub const OR: u8 = 0x40;
    pub const AND: u8 = 0x50;
    pub const LSH: u8 = 0x60;
    pub const RSH: u8 = 0x70;
    pub const NEG: u8 = 0x80;
    pub const MOD: u8 = 0x90;
    pub const XOR: u8 = 0xa0;
    pub const MOV: u8 = 0xb0;
    pub const ARSH: u8 = 0xc0;
    pub const END: u8 = 0xd0;

    pub const JEQ: u8 = 0x10;
    pub const JGT: u8 = 0x20;
    pub const JGE: u8 = 0x30;
    pub const JSET: u8 = 0x40;
    pub const JNE: u8 = 0x50;
    pub const JSGT: u8 = 0x60;
    pub const JSGE: u8 = 0x70;
    pub const JLT: u8 = 0xa0;
    pub const JLE: u8 = 0xb0;
    pub const JSLT: u8 = 0xc0;
    pub const JSLE: u8 = 0xd0;
}

/// Meanings of the source register field in 64-bit immediate loads and calls.
#[expect(missing_docs, reason = "the kernel's own names")]
pub mod pseudo {
    pub const MAP_FD: u8 = 1;
    pub const MAP_VALUE: u8 = 2;
    pub const BTF_ID: u8 = 3;
    pub const FUNC: u8 = 4;
    pub const MAP_IDX: u8 = 5;
    pub const MAP_IDX_VALUE: u8 = 6;
    pub const CALL: u8 = 1;
    pub const KFUNC_CALL: u8 = 2;
}
