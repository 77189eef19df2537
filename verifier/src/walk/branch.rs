//! Conditional jumps: which edges are possible, and what each edge teaches.

use skep_isa::{JmpOp, Operand, Reg, Width};
use skep_spec::ProgFlags;

use super::Next;
use super::linked;
use crate::env::{Env, Pending};
use crate::number::{self, Scalar};
use crate::prune::{HistoryFlags, LinkedRegs};
use crate::state::{Pointer, Region, State, Value};
use crate::violation::{Check, LimitViolation, WalkViolation};

/// A conditional jump, as it was decoded.
#[derive(Clone, Copy)]
pub(super) struct Jump {
    pub(super) op: JmpOp,
    pub(super) width: Width,
    pub(super) dst: Reg,
    pub(super) src: Operand,
    pub(super) off: i16,
}

impl Env<'_> {
    /// Remembers a copy of this path that goes on at `idx`, to be walked later; returns it.
    /// `prev_idx` is the instruction that it comes from (`push_stack`).
    pub(crate) fn push_branch(&mut self, idx: usize, prev_idx: usize) -> Check<&mut State> {
        let mut state = self.state.branch(self.spares.pop());
        state.branches = 1;
        self.push_state(state, idx, prev_idx)
    }

    /// Remembers a state that goes on at `idx`; returns it.
    pub(crate) fn push_state(
        &mut self,
        mut state: State,
        idx: usize,
        prev_idx: usize,
    ) -> Check<&mut State> {
        state.insn_idx = idx;
        self.explored.open_branch(state.parent);
        let log_position = self.log_position();
        let pending = Pending {
            state,
            prev_idx,
            log_position,
        };
        self.explored.effort.keep(pending.bytes());
        self.pending.push(pending);
        let pending = self.pending.len();
        if pending > self.ctx.facts.limits().pending_branches {
            return Err(LimitViolation::TooManyPending { pending }.into());
        }
        Ok(&mut self.pending[pending - 1].state)
    }

    /// `if dst op src goto +off`.
    pub(super) fn check_jump(&mut self, jump: Jump) -> Check<Next> {
        let (left, right) = self.check_jump_operands(&jump)?;
        let taken = branch_taken(self, jump.op, jump.width, &left, &right);
        let idx = self.state.insn_idx;
        let target = target(idx, i32::from(jump.off));
        if let Some(taken) = taken {
            if left.pointer().is_none() {
                self.mark_precise(jump.dst)?;
            }
            if let Operand::Reg(src) = jump.src
                && right.pointer().is_none()
            {
                self.mark_precise(src)?;
            }
            self.log_insn_state();
            return Ok(if taken {
                Next::Goto(target)
            } else {
                Next::Fallthrough
            });
        }
        let linked = self.collect_linked(&jump);
        if linked.len() > 1 {
            // Both edges share this: precision wanted of one member reaches the others.
            self.push_history(HistoryFlags::NONE, linked)?;
        }
        self.push_branch(target, idx)?;
        // The pushed state is taken out while both are refined: `self.state` is the edge on which the
        // condition fails, `other` the one on which it holds.
        let Some(mut pending) = self.pending.pop() else {
            return Ok(Next::Fallthrough);
        };
        let result = self.refine_edges(&jump, linked, &mut pending.state);
        self.pending.push(pending);
        result?;
        self.log_insn_state();
        Ok(Next::Fallthrough)
    }

    fn check_jump_operands(&mut self, jump: &Jump) -> Check<(Value, Value)> {
        self.check_reg_readable(jump.dst)?;
        let left = *self.state.reg(jump.dst);
        let mut flags = HistoryFlags::NONE;
        let right = match jump.src {
            Operand::Imm(imm) => Value::scalar(Scalar::immediate(imm)),
            Operand::Reg(src) => {
                self.check_reg_readable(src)?;
                let right = *self.state.reg(src);
                let packets = left.pointer().is_some_and(Pointer::is_any_packet)
                    && right.pointer().is_some_and(Pointer::is_any_packet);
                if !packets && self.leaks(src) {
                    return Err(WalkViolation::PointerComparison { reg: src }.into());
                }
                if is_stack(&right) {
                    flags = flags | HistoryFlags::SRC_NOT_SCALAR;
                }
                right
            }
        };
        if is_stack(&left) {
            flags = flags | HistoryFlags::DST_NOT_SCALAR;
        }
        if flags != HistoryFlags::NONE {
            self.push_history(flags, LinkedRegs::NONE)?;
        }
        Ok((left, right))
    }

    /// The families of both operands.
    fn collect_linked(&mut self, jump: &Jump) -> LinkedRegs {
        let mut linked = LinkedRegs::NONE;
        let family =
            |state: &State, reg: Reg| state.reg(reg).number().and_then(|n| n.link).map(|l| l.id);
        if let Operand::Reg(src) = jump.src
            && let Some(id) = family(&self.state, src)
        {
            linked::collect(self.ctx, &mut linked, &mut self.state, id);
        }
        if let Some(id) = family(&self.state, jump.dst) {
            linked::collect(self.ctx, &mut linked, &mut self.state, id);
        }
        linked
    }

    fn refine_edges(&mut self, jump: &Jump, linked: LinkedRegs, other: &mut State) -> Check<()> {
        self.refine_numbers(jump, other)?;
        if let Operand::Reg(src) = jump.src {
            linked::sync(linked, &mut self.state, src);
            linked::sync(linked, other, src);
        }
        linked::sync(linked, &mut self.state, jump.dst);
        linked::sync(linked, other, jump.dst);
        self.refine_nullness(jump, other)
    }

    /// Narrows both operands on both edges (`reg_set_min_max`).
    fn refine_numbers(&mut self, jump: &Jump, other: &mut State) -> Check<()> {
        let right_value = match jump.src {
            Operand::Imm(imm) => Value::scalar(Scalar::immediate(imm)),
            Operand::Reg(src) => *self.state.reg(src),
        };
        let (Value::Scalar(left), Value::Scalar(right)) = (*self.state.reg(jump.dst), right_value)
        else {
            return Ok(());
        };
        let same = jump.src == Operand::Reg(jump.dst);
        let refined = |taken: bool| {
            let (mut a, mut b) = (left.scalar, right.scalar);
            if same {
                number::refine_same(jump.op, jump.width, taken, &mut a);
                b = a;
            } else {
                number::refine(jump.op, jump.width, taken, &mut a, &mut b);
            }
            (a, b)
        };
        let (mut false_a, mut false_b) = refined(false);
        let (mut true_a, mut true_b) = refined(true);
        self.settle(&mut true_a, "true_reg1")?;
        self.settle(&mut true_b, "true_reg2")?;
        self.settle(&mut false_a, "false_reg1")?;
        self.settle(&mut false_b, "false_reg2")?;
        if let Operand::Reg(src) = jump.src {
            set_scalar(&mut self.state, src, false_b);
            set_scalar(other, src, true_b);
        }
        set_scalar(&mut self.state, jump.dst, false_a);
        set_scalar(other, jump.dst, true_a);
        Ok(())
    }

    /// Forgets, or with the testing flag refuses, bounds that contradict each other.
    #[inline]
    fn settle(&mut self, scalar: &mut Scalar, place: &'static str) -> Check<()> {
        if scalar.violation().is_none() {
            return Ok(());
        }
        self.repair(scalar, place)
    }

    #[cold]
    fn repair(&mut self, scalar: &mut Scalar, place: &'static str) -> Check<()> {
        let seen = *scalar;
        let Some(bounds) = scalar.repair() else {
            return Ok(());
        };
        let violation = WalkViolation::Invariant {
            place,
            bounds,
            scalar: seen,
        };
        if self.ctx.spec.flags.contains(ProgFlags::TEST_REG_INVARIANTS) {
            return Err(violation.into());
        }
        self.log_notice(violation);
        Ok(())
    }
}

/// Where a jump at `idx` lands. Control flow was checked: it is inside of the program.
pub(super) fn target(idx: usize, off: i32) -> usize {
    (idx as i64 + 1 + i64::from(off)) as usize
}

fn is_stack(value: &Value) -> bool {
    value
        .pointer()
        .is_some_and(|p| matches!(p.region, Region::Stack { .. }))
}

fn set_scalar(state: &mut State, reg: Reg, scalar: Scalar) {
    state.scratch_reg(reg);
    if let Value::Scalar(number) = &mut state.cur_mut().regs[reg.index()] {
        number.scalar = scalar;
    }
}

/// Whether the condition holds on every run that comes this way, on none, or on some
/// (`is_branch_taken`).
fn branch_taken(
    env: &Env<'_>,
    op: JmpOp,
    width: Width,
    left: &Value,
    right: &Value,
) -> Option<bool> {
    match (left, right) {
        (Value::Scalar(a), Value::Scalar(b)) => {
            number::branch_taken(op, width, &a.scalar, &b.scalar)
        }
        (Value::Pointer(a), Value::Pointer(b))
            if a.is_any_packet() && b.is_any_packet() && width == Width::W64 =>
        {
            packet_branch_taken(op, a, b)
        }
        (Value::Pointer(pointer), Value::Scalar(number))
        | (Value::Scalar(number), Value::Pointer(pointer)) => {
            let zero = match width {
                Width::W64 => number.scalar.const_value() == Some(0),
                Width::W32 => number.scalar.const_subreg() == Some(0),
            };
            if !zero || !env.not_null(pointer) {
                return None;
            }
            match op {
                JmpOp::Eq => Some(false),
                JmpOp::Ne => Some(true),
                JmpOp::Gt
                | JmpOp::Ge
                | JmpOp::Lt
                | JmpOp::Le
                | JmpOp::Set
                | JmpOp::SGt
                | JmpOp::SGe
                | JmpOp::SLt
                | JmpOp::SLe => None,
            }
        }
        (Value::Pointer(_), Value::Pointer(_)) | (Value::Uninit, _) | (_, Value::Uninit) => None,
    }
}

/// Decides a comparison with the packet's end from what an earlier one taught.
fn packet_branch_taken(op: JmpOp, left: &Pointer, right: &Pointer) -> Option<bool> {
    let (packet, op) = if right.region == Region::PacketEnd {
        (left, op)
    } else if left.region == Region::PacketEnd {
        (right, mirrored(op))
    } else {
        return None;
    };
    let (Region::Packet { range } | Region::PacketMeta { range }) = packet.region else {
        return None;
    };
    let beyond = range == super::packet::BEYOND_END;
    let at_or_beyond = beyond || range == super::packet::AT_END;
    match op {
        JmpOp::Gt if beyond => Some(true),
        JmpOp::Le if beyond => Some(false),
        JmpOp::Ge if at_or_beyond => Some(true),
        JmpOp::Lt if at_or_beyond => Some(false),
        JmpOp::Eq
        | JmpOp::Ne
        | JmpOp::Gt
        | JmpOp::Ge
        | JmpOp::Lt
        | JmpOp::Le
        | JmpOp::Set
        | JmpOp::SGt
        | JmpOp::SGe
        | JmpOp::SLt
        | JmpOp::SLe => None,
    }
}

/// The condition that holds for (b, a) when `op` holds for (a, b).
pub(super) fn mirrored(op: JmpOp) -> JmpOp {
    match op {
        JmpOp::Gt => JmpOp::Lt,
        JmpOp::Ge => JmpOp::Le,
        JmpOp::Lt => JmpOp::Gt,
        JmpOp::Le => JmpOp::Ge,
        JmpOp::SGt => JmpOp::SLt,
        JmpOp::SGe => JmpOp::SLe,
        JmpOp::SLt => JmpOp::SGt,
        JmpOp::SLe => JmpOp::SGe,
        JmpOp::Eq | JmpOp::Ne | JmpOp::Set => op,
    }
}
