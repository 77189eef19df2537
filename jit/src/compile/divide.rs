//! Division, where the instruction set and the machine differ: by zero gives zero (the remainder is the
//! dividend), and the smallest number divided by -1 is itself; the machine traps on both.
//!
//! The machine divides `rdx:rax` and leaves quotient and remainder there, where R3 and R0 live: they step
//! aside.

use skep_isa::{AluOp, InsnIdx, Operand, Reg, Width};

use super::{COUNT, Compiler, TEMP, host, wide};
use crate::options::Opt;
use crate::x64::{Alu, Cond, Gpr, Shift, Unary, Wide};

impl Compiler<'_> {
    pub(super) fn divide(&mut self, idx: InsnIdx, op: AluOp, width: Width, dst: Reg, src: Operand) {
        let signed = matches!(op, AluOp::SDiv | AluOp::SMod);
        let rem = matches!(op, AluOp::Mod | AluOp::SMod);
        let (d, w) = (host(dst), wide(width));
        match src {
            Operand::Imm(0) if rem => return self.zero_extend(width, d),
            Operand::Imm(0) => return self.asm.mov_r_i(d, 0),
            Operand::Imm(imm) if self.by_constant(op, width, dst, imm) => return,
            Operand::Imm(imm) => {
                let imm = match width {
                    Width::W32 => u64::from(imm as u32),
                    Width::W64 => i64::from(imm) as u64,
                };
                self.asm.mov_r_i(COUNT, imm);
            }
            Operand::Reg(src) => self.asm.mov_r_r(w, COUNT, host(src)),
        }
        let done = self.asm.label();
        if let Operand::Reg(_) = src {
            if rem {
                self.zero_extend(width, d);
            }
            self.asm.test_r_r(w, COUNT, COUNT);
            if rem {
                self.asm.jcc(Cond::E, done);
            } else {
                let nonzero = self.asm.label();
                self.asm.jcc(Cond::Ne, nonzero);
                self.asm.mov_r_i(d, 0);
                self.asm.jmp(done);
                self.asm.bind(nonzero);
            }
        }
        if signed && matches!(src, Operand::Reg(_) | Operand::Imm(-1)) {
            let ordinary = self.asm.label();
            self.asm.alu_rm_i(Alu::Cmp, w, COUNT, -1);
            self.asm.jcc(Cond::Ne, ordinary);
            if rem {
                self.asm.mov_r_i(d, 0);
            } else {
                self.asm.unary(Unary::Neg, w, d);
            }
            self.asm.jmp(done);
            self.asm.bind(ordinary);
        }
        self.divide_by_count(idx, (signed, rem), w, dst);
        self.asm.bind(done);
    }

    /// Divides by `rcx`, which suits.
    fn divide_by_count(&mut self, idx: InsnIdx, (signed, rem): (bool, bool), w: Wide, dst: Reg) {
        let d = host(dst);
        let keep_r0 = dst != Reg::R0 && self.is_live(idx, Reg::R0);
        let keep_r3 = dst != Reg::R3 && self.is_live(idx, Reg::R3);
        if keep_r0 {
            self.asm.mov_r_r(Wide::Q, TEMP, Gpr::Rax);
        }
        if keep_r3 {
            self.asm.push(Gpr::Rdx);
        }
        if dst != Reg::R0 {
            self.asm.mov_r_r(w, Gpr::Rax, d);
        }
        if signed {
            self.asm.sign_into_rdx(w);
            self.asm.unary(Unary::Idiv, w, COUNT);
        } else {
            self.asm.mov_r_i(Gpr::Rdx, 0);
            self.asm.unary(Unary::Div, w, COUNT);
        }
        let result = if rem { Gpr::Rdx } else { Gpr::Rax };
        if d != result {
            self.asm.mov_r_r(w, d, result);
        }
        if keep_r3 {
            self.asm.pop(Gpr::Rdx);
        }
        if keep_r0 {
            self.asm.mov_r_r(Wide::Q, Gpr::Rax, TEMP);
        }
    }

    /// Divides by a constant that needs no division. Whether it does.
    fn by_constant(&mut self, op: AluOp, width: Width, dst: Reg, imm: i32) -> bool {
        let unsigned = matches!(op, AluOp::Div | AluOp::Mod);
        if !self.has(Opt::DivideByConstant) || !unsigned || imm <= 0 || imm.count_ones() != 1 {
            return false;
        }
        let (d, w, by) = (host(dst), wide(width), imm.trailing_zeros());
        match (op == AluOp::Mod, by) {
            (true, _) => self.asm.alu_rm_i(Alu::And, Wide::D, d, imm - 1),
            (false, 0) => self.zero_extend(width, d),
            (false, by) => self.asm.shift_i(Shift::Shr, w, d, by as u8),
        }
        true
    }
}
