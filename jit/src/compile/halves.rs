//! Which registers have nothing in their upper halves: found by following every way through a program,
//! and asked only where that makes code better, so that other programs pay nothing.
//!
//! No proof is needed: what 32-bit instructions and short loads leave behind is in the instruction set.
//! What a verifier knows of ranges will not do, since it is about the states that it looked at and leaves
//! out those that differ from them in numbers nobody's safety depends on.

use skep_isa::{
    AluOp, AtomicOp, CallTarget, EndianOp, Imm64, Insn, InsnIdx, Operand, Reg, Size, Width,
};

use super::Compiler;
use super::effects::{EVERY, bit};

/// R0 to R5.
const LOST: u16 = 0x3f;

/// For each slot, registers whose upper halves are zero when control comes to it.
#[derive(Debug)]
pub(super) struct Halves(Vec<u16>);

impl Compiler<'_> {
    /// Whether a register's upper half is zero before an instruction.
    pub(super) fn is_short(&mut self, idx: InsnIdx, reg: Reg) -> bool {
        if self.halves.is_none() {
            self.halves = Some(self.find_halves());
        }
        let halves = self.halves.as_ref().and_then(|halves| halves.0.get(idx));
        halves.is_some_and(|halves| halves & bit(reg) != 0)
    }

    fn find_halves(&self) -> Halves {
        let mut before = vec![EVERY; self.insns.len() + 1];
        for &entry in self.plan.entries() {
            if let Some(before) = before.get_mut(entry) {
                *before = 0;
            }
        }
        // What is known only becomes less.
        loop {
            let mut again = false;
            for (idx, insn) in self.insns.iter().enumerate() {
                let known = before.get(idx).copied().unwrap_or(0);
                let behind = after(insn, known) & (known | !self.kept_by_miss(insn));
                let mut flow = |to: InsnIdx| {
                    if let Some(old) = before.get_mut(to) {
                        again |= to <= idx && *old & !behind != 0;
                        *old &= behind;
                    }
                };
                if let Some(off) = insn.jump_off() {
                    flow(self.target(idx, off));
                }
                if !matches!(insn, Insn::Goto { .. } | Insn::Exit) {
                    flow(idx + 1);
                }
            }
            if !again {
                return Halves(before);
            }
        }
    }
}

/// What is known behind an instruction of what was before it.
fn after(insn: &Insn, known: u16) -> u16 {
    let with = |reg: Reg, short: bool| {
        if short {
            known | bit(reg)
        } else {
            known & !bit(reg)
        }
    };
    let is = |reg: Reg| known & bit(reg) != 0;
    match *insn {
        Insn::Alu {
            width: Width::W32,
            dst,
            ..
        }
        | Insn::MovSx {
            width: Width::W32,
            dst,
            ..
        }
        | Insn::Neg {
            width: Width::W32,
            dst,
        } => with(dst, true),
        Insn::Alu {
            op,
            width: Width::W64,
            dst,
            src,
        } => {
            let short = match src {
                Operand::Reg(src) => is(src),
                Operand::Imm(imm) => imm >= 0,
            };
            with(dst, alu(op, is(dst), short, src))
        }
        Insn::MovSx {
            width: Width::W64,
            dst,
            ..
        }
        | Insn::Neg {
            width: Width::W64,
            dst,
        }
        | Insn::AddrSpaceCast { dst, .. } => with(dst, false),
        Insn::Endian { op, bits, dst } => with(dst, bits < 64 || op == EndianOp::ToLe && is(dst)),
        Insn::LoadImm64 { dst, imm } => {
            with(dst, matches!(imm, Imm64::Value(value) if value >> 32 == 0))
        }
        Insn::Load {
            size, sign, dst, ..
        } => with(dst, !sign && size != Size::DW),
        Insn::LoadAcquire { size, dst, .. } => with(dst, size != Size::DW),
        Insn::Atomic {
            op,
            fetch,
            size,
            src,
            ..
        } => match op {
            AtomicOp::Cmpxchg => with(Reg::R0, size != Size::DW),
            AtomicOp::Add | AtomicOp::Or | AtomicOp::And | AtomicOp::Xor | AtomicOp::Xchg => {
                with(src, if fetch { size != Size::DW } else { is(src) })
            }
        },
        Insn::LoadPacket { .. } => known & !LOST,
        Insn::Call(CallTarget::Subprog(_) | CallTarget::Helper(_) | CallTarget::Kfunc { .. })
        | Insn::CallReg(_) => known & !LOST,
        Insn::Store { .. }
        | Insn::StoreRelease { .. }
        | Insn::Imm64Hi
        | Insn::Jump { .. }
        | Insn::Goto { .. }
        | Insn::MayGoto { .. }
        | Insn::Exit => known,
    }
}

/// Whether the upper half of a 64-bit result is zero: of what it changes, and of its other operand.
fn alu(op: AluOp, old: bool, other: bool, src: Operand) -> bool {
    match op {
        AluOp::Mov => other,
        AluOp::And => old || other,
        AluOp::Or | AluOp::Xor => old && other,
        // A number that is not negative becomes no larger; the remainder by zero is the number itself.
        AluOp::Div | AluOp::Mod => old,
        AluOp::Rsh => old || matches!(src, Operand::Imm(by) if by & 63 >= 32),
        AluOp::Arsh => old,
        AluOp::Add | AluOp::Sub | AluOp::Mul | AluOp::Lsh | AluOp::SDiv | AluOp::SMod => false,
    }
}
