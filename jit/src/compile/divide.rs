//! Division, where the instruction set and the machine differ: by zero gives zero (the remainder is the
//! dividend), and the smallest number divided by -1 is itself; the machine traps on both.
//!
//! The machine divides `rdx:rax` and leaves quotient and remainder there, where R3 and R0 live: they step
//! aside.

use skep_isa::{AluOp, InsnIdx, Operand, Reg, Width};

use super::{COUNT, Compiler, EXTRA, TEMP, host, wide};
use crate::options::Opt;
use crate::x64::{Alu, Cond, Gpr, Shift, Unary, Wide};

impl Compiler<'_> {
    pub(super) fn divide(&mut self, idx: InsnIdx, op: AluOp, width: Width, dst: Reg, src: Operand) {
        let signed = matches!(op, AluOp::SDiv | AluOp::SMod);
        let rem = matches!(op, AluOp::Mod | AluOp::SMod);
        let width = self.width_of_division(idx, signed, width, dst, src);
        let (d, w) = (host(dst), wide(width));
        match src {
            Operand::Imm(0) if rem => return self.shorten(idx, width, dst),
            Operand::Imm(0) => return self.asm.mov_r_i(d, 0),
            Operand::Imm(imm) if self.by_constant(idx, op, width, dst, imm) => return,
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
                self.shorten(idx, width, dst);
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
        self.divide_by_count(idx, (signed, rem), w, dst, src);
        self.asm.bind(done);
    }

    /// The bits that a division needs.
    fn width_of_division(
        &mut self,
        idx: InsnIdx,
        signed: bool,
        width: Width,
        dst: Reg,
        src: Operand,
    ) -> Width {
        if signed || width == Width::W32 || !self.has(Opt::ShortDivide) {
            return width;
        }
        let short = match src {
            Operand::Reg(src) => self.is_short(idx, src),
            Operand::Imm(imm) => imm >= 0,
        };
        if short && self.is_short(idx, dst) {
            Width::W32
        } else {
            width
        }
    }

    /// Divides by `rcx`, which suits and holds the same as `src` does.
    fn divide_by_count(
        &mut self,
        idx: InsnIdx,
        (signed, rem): (bool, bool),
        w: Wide,
        dst: Reg,
        src: Operand,
    ) {
        let d = host(dst);
        // A divisor of 32 bits is not all of its register.
        let in_count = |reg| w == Wide::Q && src == Operand::Reg(reg);
        let keep = |reg| dst != reg && self.is_live(idx, reg);
        let r0 = keep(Reg::R0).then(|| if in_count(Reg::R0) { COUNT } else { TEMP });
        // In proved code at its own addresses, the register for the distance to others is free.
        let spare = (self.proved() && self.identity).then_some(EXTRA);
        let r3 = keep(Reg::R3).then(|| {
            if in_count(Reg::R3) {
                Some(COUNT)
            } else {
                spare
            }
        });
        if r0 == Some(TEMP) {
            self.asm.mov_r_r(Wide::Q, TEMP, Gpr::Rax);
        }
        match r3 {
            Some(Some(COUNT)) | None => {}
            Some(Some(home)) => self.asm.mov_r_r(Wide::Q, home, Gpr::Rdx),
            Some(None) => self.asm.push(Gpr::Rdx),
        }
        if dst != Reg::R0 {
            self.asm.mov_r_r(w, Gpr::Rax, d);
        }
        if signed {
            self.asm.sign_into_rdx(w);
            self.asm.unary(Unary::Idiv, w, COUNT);
        } else if w == Wide::Q && self.has(Opt::NarrowDivide) {
            self.divide_narrow();
        } else {
            self.asm.mov_r_i(Gpr::Rdx, 0);
            self.asm.unary(Unary::Div, w, COUNT);
        }
        let result = if rem { Gpr::Rdx } else { Gpr::Rax };
        if d != result {
            self.asm.mov_r_r(w, d, result);
        }
        match r3 {
            Some(Some(home)) => self.asm.mov_r_r(Wide::Q, Gpr::Rdx, home),
            Some(None) => self.asm.pop(Gpr::Rdx),
            None => {}
        }
        if let Some(home) = r0 {
            self.asm.mov_r_r(Wide::Q, Gpr::Rax, home);
        }
    }

    /// Divides `rax` by `rcx`, of which many machines divide 32 bits faster than 64.
    fn divide_narrow(&mut self) {
        let (far, done) = (self.asm.label(), self.asm.label());
        self.asm.mov_r_r(Wide::Q, Gpr::Rdx, Gpr::Rax);
        self.asm.alu_rm_r(Alu::Or, Wide::Q, Gpr::Rdx, COUNT);
        self.asm.shift_i(Shift::Shr, Wide::Q, Gpr::Rdx, 32);
        self.asm.jcc(Cond::Ne, far);
        // What was shifted is zero here, as the upper half of the dividend must be.
        self.asm.unary(Unary::Div, Wide::D, COUNT);
        self.asm.bind(done);
        self.far.push((far, done));
    }

    /// The divisions that were not of 32 bits.
    pub(super) fn far_code(&mut self) {
        for (far, done) in std::mem::take(&mut self.far) {
            self.asm.bind(far);
            self.asm.mov_r_i(Gpr::Rdx, 0);
            self.asm.unary(Unary::Div, Wide::Q, COUNT);
            self.asm.jmp(done);
        }
    }

    /// Divides by a constant that needs no division. Whether it does.
    fn by_constant(&mut self, idx: InsnIdx, op: AluOp, width: Width, dst: Reg, imm: i32) -> bool {
        let unsigned = matches!(op, AluOp::Div | AluOp::Mod);
        if !self.has(Opt::DivideByConstant) || !unsigned || imm <= 0 || imm.count_ones() != 1 {
            return false;
        }
        let (d, w, by) = (host(dst), wide(width), imm.trailing_zeros());
        match (op == AluOp::Mod, by) {
            (true, _) => self.asm.alu_rm_i(Alu::And, Wide::D, d, imm - 1),
            (false, 0) => self.shorten(idx, width, dst),
            (false, by) => self.asm.shift_i(Shift::Shr, w, d, by as u8),
        }
        true
    }
}
