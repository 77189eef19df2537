//! Which registers an instruction reads and writes, as bits.
//!
//! A proof says that nobody reads what a call leaves in R1 to R5. Without one they keep their values, as
//! in the interpreter, and a function's caller may see what the function left there.

use skep_isa::{AluOp, AtomicOp, CallTarget, Insn, Operand, Reg};

use crate::options::Mode;

/// R0 to R10.
pub(super) const EVERY: u16 = 0x7ff;
/// R1 to R5.
const ARGS: u16 = 0x3e;
/// R6 to R9.
pub(super) const CALLEE: u16 = 0x3c0;

/// A register's bit.
pub(super) const fn bit(reg: Reg) -> u16 {
    1 << reg.number()
}

fn operand(src: Operand) -> u16 {
    match src {
        Operand::Reg(reg) => bit(reg),
        Operand::Imm(_) => 0,
    }
}

/// What is read, and what is written.
pub(super) fn effects(insn: &Insn, mode: Mode) -> (u16, u16) {
    let proved = mode == Mode::Verified;
    let clobbered = if proved { ARGS } else { 0 };
    match *insn {
        Insn::Alu { op, dst, src, .. } => {
            let old = if op == AluOp::Mov { 0 } else { bit(dst) };
            (old | operand(src), bit(dst))
        }
        Insn::MovSx { dst, src, .. } | Insn::AddrSpaceCast { dst, src, .. } => (bit(src), bit(dst)),
        Insn::Neg { dst, .. } | Insn::Endian { dst, .. } => (bit(dst), bit(dst)),
        Insn::LoadImm64 { dst, .. } => (0, bit(dst)),
        Insn::Load { dst, base, .. } | Insn::LoadAcquire { dst, base, .. } => (bit(base), bit(dst)),
        Insn::Store { base, src, .. } => (bit(base) | operand(src), 0),
        Insn::StoreRelease { base, src, .. } => (bit(base) | bit(src), 0),
        Insn::Atomic {
            op,
            fetch,
            base,
            src,
            ..
        } => {
            let uses = bit(base) | bit(src);
            match op {
                AtomicOp::Cmpxchg => (uses | bit(Reg::R0), bit(Reg::R0)),
                AtomicOp::Add | AtomicOp::Or | AtomicOp::And | AtomicOp::Xor | AtomicOp::Xchg => {
                    (uses, if fetch { bit(src) } else { 0 })
                }
            }
        }
        // A load that misses the packet leaves the function.
        Insn::LoadPacket { index, .. } => {
            let index = index.map_or(0, bit);
            let seen = if proved { 0 } else { ARGS };
            (bit(Reg::R6) | index | seen, bit(Reg::R0) | clobbered)
        }
        Insn::Jump { dst, src, .. } => (bit(dst) | operand(src), 0),
        Insn::Goto { .. } | Insn::MayGoto { .. } | Insn::Imm64Hi => (0, 0),
        Insn::Call(CallTarget::Subprog(_)) if !proved => (EVERY, 0),
        Insn::Call(CallTarget::Subprog(_)) => (ARGS, ARGS | bit(Reg::R0)),
        // A tail call hands everything over, and changes nothing where it fails.
        Insn::Call(CallTarget::Helper(_) | CallTarget::Kfunc { .. }) if !proved => (EVERY, 0),
        Insn::Call(CallTarget::Helper(_) | CallTarget::Kfunc { .. }) => {
            (ARGS | bit(Reg::R0), clobbered)
        }
        Insn::CallReg(_) => (EVERY, 0),
        Insn::Exit if proved => (bit(Reg::R0), 0),
        Insn::Exit => (ARGS | bit(Reg::R0), 0),
    }
}
