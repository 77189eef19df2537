//! One instruction on one path: which rule it falls under.

use skep_isa::{CallTarget, Insn, InsnIdx, Reg};
use skep_isa::{RawInsn, class};

use super::Next;
use super::branch::{Jump, target};
use crate::env::Env;
use crate::state::Value;
use crate::violation::{Check, ReservedIn, WalkViolation};

impl Env<'_> {
    /// Checks the instruction that the path is at and applies it (`do_check_insn`).
    pub(super) fn step(&mut self) -> Check<Next> {
        let idx = self.state.insn_idx;
        let raw = self.ctx.insns[idx];
        if is_jump_class(raw) {
            self.learned.jumps_processed += 1;
        }
        match self.ctx.decoded[idx] {
            Ok(insn) => self.step_insn(idx, insn),
            Err(error) => Err(self.malformed(raw, error)),
        }
    }

    #[allow(
        clippy::too_many_lines,
        reason = "one arm for each form of instruction"
    )]
    fn step_insn(&mut self, idx: InsnIdx, insn: Insn) -> Check<Next> {
        match insn {
            Insn::Alu {
                op,
                width,
                dst,
                src,
            } => self.check_alu(op, width, dst, src),
            Insn::MovSx {
                width,
                bits,
                dst,
                src,
            } => self.check_movsx(width, bits, dst, src),
            Insn::Neg { width, dst } => self.check_neg(width, dst),
            Insn::Endian { op, bits, dst } => self.check_endian(op, bits, dst),
            Insn::AddrSpaceCast {
                dst,
                src,
                dst_as,
                src_as,
            } => self.check_addr_space_cast(dst, src, dst_as, src_as),
            Insn::LoadImm64 { dst, imm } => self.check_load_imm64(dst, imm),
            Insn::Imm64Hi => Err(WalkViolation::InvalidLdImm.into()),
            Insn::Load {
                size,
                sign,
                dst,
                base,
                off,
            } => self
                .check_load(size, sign, dst, base, off)
                .map(|()| Next::Fallthrough),
            Insn::Store {
                size,
                base,
                off,
                src,
            } => self
                .check_store(size, base, off, src)
                .map(|()| Next::Fallthrough),
            Insn::Atomic {
                op,
                fetch,
                size,
                base,
                off,
                src,
            } => self
                .check_atomic(op, fetch, size, base, off, src)
                .map(|()| Next::Fallthrough),
            Insn::LoadAcquire {
                size,
                dst,
                base,
                off,
            } => self
                .check_load_acquire(size, dst, base, off)
                .map(|()| Next::Fallthrough),
            Insn::StoreRelease {
                size,
                base,
                off,
                src,
            } => self
                .check_store_release(size, base, off, src)
                .map(|()| Next::Fallthrough),
            Insn::LoadPacket { index, .. } => self.check_load_packet(index),
            Insn::Jump {
                op,
                width,
                dst,
                src,
                off,
            } => self.check_jump(Jump {
                op,
                width,
                dst,
                src,
                off,
            }),
            Insn::Goto { off, .. } => Ok(Next::Goto(target(idx, off))),
            Insn::MayGoto { off } => self.check_may_goto(idx, off),
            Insn::Call(call) => self.step_call(call),
            Insn::CallReg(_) => Err(WalkViolation::ReservedField {
                kind: ReservedIn::Call,
            }
            .into()),
            Insn::Exit => self.check_exit(),
        }
    }

    fn step_call(&mut self, call: CallTarget) -> Check<Next> {
        self.check_call_under_lock(call)?;
        match call {
            CallTarget::Helper(id) => self.check_helper_call(id),
            CallTarget::Subprog(off) => self.check_subprog_call(target(self.state.insn_idx, off)),
            CallTarget::Kfunc { id, btf_idx } => self.check_kfunc_call(id, btf_idx),
        }
    }

    /// `may_goto`: the loop goes on or its budget is used up. The fall-through is walked later.
    fn check_may_goto(&mut self, idx: InsnIdx, off: i16) -> Check<Next> {
        let entry = self.find_prev_entry(self.state.parent, idx);
        self.push_branch(idx + 1, idx)?;
        if let Some(mut pending) = self.pending.pop() {
            pending.state.may_goto_depth += 1;
            if let Some(entry) = entry {
                self.widen_imprecise_scalars(entry, &mut pending.state);
            }
            self.pending.push(pending);
        }
        Ok(Next::Goto(target(idx, i32::from(off))))
    }

    /// A register that is read must have been written (`check_reg_arg`, source).
    pub(crate) fn check_reg_readable(&mut self, reg: Reg) -> Check<()> {
        self.state.scratch_reg(reg);
        match self.state.reg(reg) {
            Value::Uninit => Err(WalkViolation::UninitializedRegister { reg }.into()),
            Value::Scalar(_) | Value::Pointer(_) => Ok(()),
        }
    }

    /// The frame pointer may not be written (`check_reg_arg`, destination).
    pub(crate) fn check_reg_writable(&mut self, reg: Reg) -> Check<()> {
        self.state.scratch_reg(reg);
        if reg == Reg::FP {
            Err(WalkViolation::FramePointerWrite.into())
        } else {
            Ok(())
        }
    }

    /// Whether using the register so would show a pointer to a process that may not see it
    /// (`is_pointer_value`).
    pub(crate) fn leaks(&self, reg: Reg) -> bool {
        !self.ctx.facts.lane().ptr_leaks && !matches!(self.state.reg(reg), Value::Scalar(_))
    }
}

fn is_jump_class(raw: RawInsn) -> bool {
    matches!(raw.class(), class::JMP | class::JMP32)
}
