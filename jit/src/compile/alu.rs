//! Arithmetic without division: each operation is one machine instruction, or a move and one.

use skep_isa::{AluOp, EndianOp, InsnIdx, Operand, Reg, Width};

use super::{COUNT, Compiler, host, wide};
use crate::options::Opt;
use crate::x64::{Alu, ByImm, Bytes, Shift, Unary, Wide};

/// The machine's operation that does the same.
const fn two_operand(op: AluOp) -> Option<Alu> {
    match op {
        AluOp::Add => Some(Alu::Add),
        AluOp::Sub => Some(Alu::Sub),
        AluOp::Or => Some(Alu::Or),
        AluOp::And => Some(Alu::And),
        AluOp::Xor => Some(Alu::Xor),
        AluOp::Mul
        | AluOp::Div
        | AluOp::SDiv
        | AluOp::Lsh
        | AluOp::Rsh
        | AluOp::Mod
        | AluOp::SMod
        | AluOp::Mov
        | AluOp::Arsh => None,
    }
}

/// The opcodes of the machine's instructions that do the same to two registers; 0 where there is none.
const OF_REGISTERS: [u8; 14] = {
    let mut opcodes = [0; 14];
    opcodes[AluOp::Add as usize] = 0x01;
    opcodes[AluOp::Sub as usize] = 0x29;
    opcodes[AluOp::Or as usize] = 0x09;
    opcodes[AluOp::And as usize] = 0x21;
    opcodes[AluOp::Xor as usize] = 0x31;
    opcodes[AluOp::Mov as usize] = 0x89;
    opcodes
};

/// The opcode of the machine's instruction that does the same to two registers.
#[inline(always)]
pub(super) fn of_registers(op: AluOp) -> Option<u8> {
    let opcode = OF_REGISTERS.get(op as usize).copied();
    opcode.filter(|opcode| *opcode != 0)
}

/// The machine's instructions of a register and an immediate of 32 bits, by operation and destination.
static OF_IMMEDIATE: [[Option<ByImm>; 11]; 14] = {
    let mut all = [[None; 11]; 14];
    let mut at = 0;
    while at < 11 {
        let reg = host(Reg::ALL[at]);
        all[AluOp::Add as usize][at] = Some(ByImm::digit(Alu::Add as u8, reg));
        all[AluOp::Sub as usize][at] = Some(ByImm::digit(Alu::Sub as u8, reg));
        all[AluOp::Or as usize][at] = Some(ByImm::digit(Alu::Or as u8, reg));
        all[AluOp::Xor as usize][at] = Some(ByImm::digit(Alu::Xor as u8, reg));
        all[AluOp::Mul as usize][at] = Some(ByImm::imul(reg, reg));
        at += 1;
    }
    all
};

/// The machine's instruction that does the same with an immediate, unless there is a shorter way.
#[inline(always)]
pub(super) fn of_immediate(op: AluOp, dst: Reg, imm: i32) -> Option<ByImm> {
    let shorter = if op == AluOp::Mul {
        imm.count_ones() <= 1
    } else {
        imm == 0
    };
    let row = OF_IMMEDIATE.get(op as usize)?.get(dst.index()).copied();
    row.flatten().filter(|_| !shorter)
}

impl Compiler<'_> {
    pub(super) fn alu(&mut self, idx: InsnIdx, op: AluOp, width: Width, dst: Reg, src: Operand) {
        if let Some(op) = two_operand(op) {
            return self.two_operand(idx, op, width, dst, src);
        }
        match op {
            AluOp::Add | AluOp::Sub | AluOp::Or | AluOp::And | AluOp::Xor => {}
            AluOp::Mul => self.mul(idx, width, dst, src),
            AluOp::Mov => self.mov(idx, width, dst, src),
            AluOp::Lsh => self.shift(idx, Shift::Shl, width, dst, src),
            AluOp::Rsh => self.shift(idx, Shift::Shr, width, dst, src),
            AluOp::Arsh => self.shift(idx, Shift::Sar, width, dst, src),
            AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod => {
                self.divide(idx, op, width, dst, src);
            }
        }
    }

    fn two_operand(&mut self, idx: InsnIdx, op: Alu, width: Width, dst: Reg, src: Operand) {
        let d = host(dst);
        match src {
            Operand::Reg(src) => self.asm.alu_rm_r(op, wide(width), d, host(src)),
            Operand::Imm(0) if op != Alu::And => self.shorten(idx, width, dst),
            // The upper half of the immediate is zero, so the upper half of the result is.
            Operand::Imm(imm @ 1..) if op == Alu::And => {
                self.asm.alu_rm_i(op, Wide::D, d, imm);
            }
            Operand::Imm(imm) => self.asm.alu_rm_i(op, wide(width), d, imm),
        }
    }

    /// What a 32-bit operation that changes nothing else still does: it clears the upper half.
    pub(super) fn shorten(&mut self, idx: InsnIdx, width: Width, reg: Reg) {
        if width == Width::W64 || self.has(Opt::ZeroExtend) && self.is_short(idx, reg) {
            return;
        }
        self.asm.mov_r_r(Wide::D, host(reg), host(reg));
    }

    fn mov(&mut self, idx: InsnIdx, width: Width, dst: Reg, src: Operand) {
        let d = host(dst);
        let width = if cfg!(feature = "planted-fault") {
            Width::W64
        } else {
            width
        };
        match (src, width) {
            (Operand::Reg(src), _) if src == dst => self.shorten(idx, width, dst),
            (Operand::Reg(src), _) => self.asm.mov_r_r(wide(width), d, host(src)),
            (Operand::Imm(imm), Width::W64) => self.asm.mov_r_i(d, i64::from(imm) as u64),
            (Operand::Imm(imm), Width::W32) => self.asm.mov_r_i(d, (imm as u32).into()),
        }
    }

    fn mul(&mut self, idx: InsnIdx, width: Width, dst: Reg, src: Operand) {
        let d = host(dst);
        match src {
            Operand::Reg(src) => self.asm.imul_r_r(wide(width), d, host(src)),
            Operand::Imm(imm) if imm > 0 && imm.count_ones() == 1 => {
                self.shift(
                    idx,
                    Shift::Shl,
                    width,
                    dst,
                    Operand::Imm(imm.trailing_zeros() as i32),
                );
            }
            Operand::Imm(imm) => self.asm.imul_r_r_i(wide(width), d, d, imm),
        }
    }

    fn shift(&mut self, idx: InsnIdx, op: Shift, width: Width, dst: Reg, src: Operand) {
        let (d, w) = (host(dst), wide(width));
        match src {
            Operand::Imm(imm) => match imm as u32 & (width.bits() - 1) {
                0 => self.shorten(idx, width, dst),
                by => self.asm.shift_i(op, w, d, by as u8),
            },
            Operand::Reg(src) if self.request.bmi2 && self.has(Opt::Bmi2) => {
                self.asm.shift_x(op, w, d, d, host(src));
            }
            Operand::Reg(src) => {
                self.asm.mov_r_r(Wide::D, COUNT, host(src));
                self.asm.shift_cl(op, w, d);
            }
        }
    }

    pub(super) fn mov_sx(&mut self, width: Width, bits: u8, dst: Reg, src: Reg) {
        let size = match bits {
            8 => Bytes::B1,
            16 => Bytes::B2,
            _ => Bytes::B4,
        };
        let src = host(src);
        self.asm.load_signed(size, wide(width), host(dst), src);
    }

    pub(super) fn neg(&mut self, width: Width, dst: Reg) {
        self.asm.unary(Unary::Neg, wide(width), host(dst));
    }

    pub(super) fn endian(&mut self, idx: InsnIdx, op: EndianOp, bits: u8, dst: Reg) {
        let d = host(dst);
        match (op, bits) {
            (EndianOp::ToLe, 16) => self.asm.load(Bytes::B2, d, d),
            (EndianOp::ToLe, 32) => self.shorten(idx, Width::W32, dst),
            (EndianOp::ToLe, _) => {}
            (EndianOp::ToBe | EndianOp::Swap, 16) => {
                self.asm.rol16_i(d, 8);
                self.asm.load(Bytes::B2, d, d);
            }
            (EndianOp::ToBe | EndianOp::Swap, 32) => self.asm.bswap(Wide::D, d),
            (EndianOp::ToBe | EndianOp::Swap, _) => self.asm.bswap(Wide::Q, d),
        }
    }
}
