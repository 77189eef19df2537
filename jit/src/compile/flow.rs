//! Jumps.

use skep_isa::{InsnIdx, JmpOp, Operand, Reg, Width};

use super::{COUNT, Compiler, host, state, wide};
use crate::run::field;
use crate::x64::{Alu, Bytes, Cond, Gpr, Wide};

/// A comparison: condition, width and operands.
pub(super) type Comparison = (JmpOp, Width, Reg, Operand);

/// The machine's condition behind a comparison, or behind a test for common bits.
fn cond(op: JmpOp) -> Cond {
    match op {
        JmpOp::Eq => Cond::E,
        JmpOp::Ne | JmpOp::Set => Cond::Ne,
        JmpOp::Gt => Cond::A,
        JmpOp::Ge => Cond::Ae,
        JmpOp::Lt => Cond::B,
        JmpOp::Le => Cond::Be,
        JmpOp::SGt => Cond::G,
        JmpOp::SGe => Cond::Ge,
        JmpOp::SLt => Cond::L,
        JmpOp::SLe => Cond::Le,
    }
}

impl Compiler<'_> {
    /// Compares; gives the condition that holds where the comparison does.
    pub(super) fn compare(&mut self, (op, width, dst, src): Comparison) -> Cond {
        let (d, w) = (host(dst), wide(width));
        match (op, src) {
            (JmpOp::Set, Operand::Reg(src)) => self.asm.test_r_r(w, d, host(src)),
            (JmpOp::Set, Operand::Imm(imm)) => {
                // A positive mask looks at the lower half only.
                let w = if imm >= 0 { Wide::D } else { w };
                self.asm.test_r_i(w, d, imm);
            }
            (_, Operand::Reg(src)) => self.asm.alu_rm_r(Alu::Cmp, w, d, host(src)),
            (_, Operand::Imm(0)) => self.asm.test_r_r(w, d, d),
            (_, Operand::Imm(imm)) => self.asm.alu_rm_i(Alu::Cmp, w, d, imm),
        }
        cond(op)
    }

    pub(super) fn jump(&mut self, idx: InsnIdx, comparison: Comparison, to: InsnIdx) {
        if self.plan.is_dead(to) {
            return;
        }
        if self.plan.is_dead(idx + 1) {
            return self.goto(idx, to);
        }
        let cond = self.compare(comparison);
        let to = self.slot(to);
        self.asm.jcc(cond, to);
    }

    /// The opposite jump, where a comparison jumps over a jump to `to`.
    pub(super) fn jump_unless(&mut self, comparison: Comparison, to: InsnIdx) {
        let cond = self.compare(comparison).not();
        let to = self.slot(to);
        self.asm.jcc(cond, to);
    }

    pub(super) fn goto(&mut self, idx: InsnIdx, to: InsnIdx) {
        if self.plan.falls_to(idx + 1, to) {
            return;
        }
        let to = self.slot(to);
        self.asm.jmp(to);
    }

    pub(super) fn may_goto(&mut self, to: InsnIdx) {
        let left = state(field::MAY_GOTO);
        self.asm.load(Bytes::B4, COUNT, left);
        self.asm.test_r_r(Wide::D, COUNT, COUNT);
        let to = self.slot(to);
        self.asm.jcc(Cond::E, to);
        self.asm.alu_rm_i(Alu::Sub, Wide::D, COUNT, 1);
        self.asm.store(Bytes::B4, left, COUNT);
    }

    pub(super) fn exit(&mut self) {
        if self.light {
            self.leave();
        }
        self.asm.ret();
    }

    /// Sets R0 to 0 and returns from the function.
    pub(super) fn exit_with_zero(&mut self) {
        self.asm.mov_r_i(Gpr::Rax, 0);
        self.asm.ret();
    }
}
