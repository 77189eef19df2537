//! What instructions are made of before their operands are known: opcodes, prefixes, and operands that are put
//! together in advance.

use super::reg::{Gpr, Wide};

/// An opcode and what goes around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(super) wide: bool,
    /// `0F` before the opcode.
    pub(super) two: bool,
    pub(super) opcode: u8,
    /// A byte before all others, or 0.
    pub(super) prefix: u8,
    /// The operand `reg`, or a register as `r/m`, is a byte: numbers 4 to 7 then need a REX prefix.
    pub(super) byte_reg: bool,
    pub(super) byte_rm: bool,
    pub(super) imm: u32,
    pub(super) imm_len: u8,
}

impl Row {
    /// A one-byte opcode.
    pub(crate) const fn one(w: Wide, opcode: u8) -> Row {
        Row {
            wide: matches!(w, Wide::Q),
            two: false,
            opcode,
            prefix: 0,
            byte_reg: false,
            byte_rm: false,
            imm: 0,
            imm_len: 0,
        }
    }

    /// An opcode behind `0F`.
    pub(crate) const fn two(w: Wide, opcode: u8) -> Row {
        Row {
            two: true,
            ..Row::one(w, opcode)
        }
    }

    pub(crate) const fn of_byte_reg(self) -> Row {
        Row {
            byte_reg: true,
            ..self
        }
    }

    pub(crate) const fn of_byte_rm(self) -> Row {
        Row {
            byte_rm: true,
            ..self
        }
    }

    pub(crate) const fn with_prefix(self, prefix: u8) -> Row {
        Row { prefix, ..self }
    }

    pub(crate) const fn with_imm8(self, imm: u8) -> Row {
        Row {
            imm: imm as u32,
            imm_len: 1,
            ..self
        }
    }

    pub(crate) const fn with_imm16(self, imm: u16) -> Row {
        Row {
            imm: imm as u32,
            imm_len: 2,
            ..self
        }
    }

    pub(crate) const fn with_imm32(self, imm: i32) -> Row {
        Row {
            imm: imm as u32,
            imm_len: 4,
            ..self
        }
    }
}

/// What two registers add to an instruction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Regs {
    /// Bits of the REX prefix.
    pub(super) rex: u8,
    pub(super) modrm: u8,
}

impl Regs {
    /// The operands `reg` and `r/m`.
    pub(crate) const fn new(reg: Gpr, rm: Gpr) -> Regs {
        Regs::numbers(reg.number(), rm.number())
    }

    pub(super) const fn numbers(reg: u8, rm: u8) -> Regs {
        Regs {
            rex: (reg >> 3) << 2 | rm >> 3,
            modrm: 0xc0 | (reg & 7) << 3 | rm & 7,
        }
    }
}

/// An instruction with an immediate of 32 bits, and one with 8 bits two opcodes further on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByImm {
    pub(super) opcode: u8,
    pub(super) regs: Regs,
}

impl ByImm {
    /// `81 /n id`, or `83 /n ib`.
    pub(crate) const fn digit(digit: u8, rm: Gpr) -> ByImm {
        let regs = Regs::numbers(digit, rm.number());
        ByImm { opcode: 0x81, regs }
    }

    /// `69 /r id`, or `6B /r ib`.
    pub(crate) const fn imul(dst: Gpr, src: Gpr) -> ByImm {
        let regs = Regs::new(dst, src);
        ByImm { opcode: 0x69, regs }
    }
}

/// An opcode of one or two bytes without anything around it but a REX prefix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Short {
    /// `0F`, if it is there, in the lower byte.
    pub(super) opcode: u16,
    pub(super) opcode_len: u8,
    /// The REX prefix without the bits of registers.
    pub(super) rex: u8,
}

impl Short {
    /// The same as a row has, which has no more than that.
    pub(crate) const fn new(row: Row) -> Short {
        let opcode = row.opcode as u16;
        Short {
            opcode: if row.two { opcode << 8 | 0x0f } else { opcode },
            opcode_len: 1 + row.two as u8,
            rex: 0x40 | (row.wide as u8) << 3,
        }
    }

    pub(super) const fn row(self) -> Row {
        let w = if self.rex & 8 != 0 { Wide::Q } else { Wide::D };
        if self.opcode_len == 2 {
            Row::two(w, (self.opcode >> 8) as u8)
        } else {
            Row::one(w, self.opcode as u8)
        }
    }
}
