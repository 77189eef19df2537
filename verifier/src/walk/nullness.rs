//! Null checks: which pointers are known not to be null, and how a check spreads to copies.

use skep_isa::{JmpOp, Operand, Reg, Width};
use skep_spec::MapType;

use super::branch::Jump;
use super::packet;
use crate::access::is_trusted;
use crate::env::Env;
use crate::prepare::Ctx;
use crate::state::{Pointer, PtrFlags, Region, SockKind, State, Value};
use crate::violation::{Check, WalkViolation};

impl Env<'_> {
    /// Whether a pointer is known not to be null (`reg_not_null`).
    pub(super) fn not_null(&self, pointer: &Pointer) -> bool {
        if pointer.maybe_null() {
            return false;
        }
        match pointer.region {
            Region::Sock(SockKind::Socket | SockKind::Common | SockKind::Tcp)
            | Region::MapValue { .. }
            | Region::MapKey { .. }
            | Region::ConstMap { .. } => true,
            Region::Mem { .. } => !pointer.flags.contains(PtrFlags::UNTRUSTED),
            Region::Btf { .. } => {
                // Walked pointers may be null though not marked so.
                is_trusted(pointer)
            }
            Region::Ctx
            | Region::Stack { .. }
            | Region::PacketMeta { .. }
            | Region::Packet { .. }
            | Region::PacketEnd
            | Region::FlowKeys
            | Region::Sock(SockKind::Xdp)
            | Region::TpBuffer
            | Region::Arena
            | Region::Buf
            | Region::Func { .. }
            | Region::ConstDynptr { .. }
            | Region::Object(_) => false,
        }
    }

    /// Applies what a comparison teaches about pointers to both edges; `other` is the one on which
    /// the condition holds.
    pub(super) fn refine_nullness(&mut self, jump: &Jump, other: &mut State) -> Check<()> {
        self.refine_pair(jump, other);
        let tests_null = jump.width == Width::W64
            && jump.src == Operand::Imm(0)
            && matches!(jump.op, JmpOp::Eq | JmpOp::Ne)
            && self
                .state
                .reg(jump.dst)
                .pointer()
                .is_some_and(Pointer::maybe_null);
        if tests_null {
            spread_null(self.ctx, &mut self.state, jump.dst, jump.op == JmpOp::Ne);
            spread_null(self.ctx, other, jump.dst, jump.op == JmpOp::Eq);
            return Ok(());
        }
        if !packet::apply_comparison(jump, &mut self.state, other) && self.leaks(jump.dst) {
            return Err(WalkViolation::PointerComparison { reg: jump.dst }.into());
        }
        Ok(())
    }

    /// A pointer that equals one that is not null is not null either.
    fn refine_pair(&mut self, jump: &Jump, other: &mut State) {
        let Operand::Reg(src) = jump.src else { return };
        let (Some(left), Some(right)) = (
            self.state.reg(jump.dst).pointer(),
            self.state.reg(src).pointer(),
        ) else {
            return;
        };
        let is_btf = |p: &Pointer| matches!(p.region, Region::Btf { .. });
        if jump.width == Width::W32
            || left.maybe_null() == right.maybe_null()
            || is_btf(left)
            || is_btf(right)
        {
            return;
        }
        let reg = if right.maybe_null() { src } else { jump.dst };
        let state = match jump.op {
            JmpOp::Eq => other,
            JmpOp::Ne => &mut self.state,
            JmpOp::Gt
            | JmpOp::Ge
            | JmpOp::Lt
            | JmpOp::Le
            | JmpOp::Set
            | JmpOp::SGt
            | JmpOp::SGe
            | JmpOp::SLt
            | JmpOp::SLe => return,
        };
        if let Some(pointer) = state.cur_mut().regs[reg.index()].pointer_mut() {
            lift_null(self.ctx, pointer);
        }
    }
}

/// Turns every pointer of that origin into a valid one, or into the number zero
/// (`mark_ptr_or_null_regs`).
fn spread_null(ctx: &Ctx<'_>, state: &mut State, reg: Reg, is_null: bool) {
    let Some(&Pointer { id, ref_id, .. }) = state.reg(reg).pointer() else {
        return;
    };
    if ref_id != 0 && ref_id == id && is_null {
        // What was never there need not be released.
        state.forget_ref(id);
    }
    state.update_values(
        |value| {
            value
                .pointer()
                .is_some_and(|p| p.maybe_null() && p.id == id && p.var.const_value() == Some(0))
        },
        |value| {
            let Some(pointer) = value.pointer_mut() else {
                return;
            };
            let allocated = pointer
                .flags
                .intersects(PtrFlags::ALLOC | PtrFlags::NON_OWN_REF);
            if pointer.off != 0 && !allocated {
                return;
            }
            if is_null {
                *value = Value::constant_over(0, value);
                return;
            }
            lift_null(ctx, pointer);
            if !ctx.may_hold_lock(pointer) {
                pointer.id = 0;
            }
        },
    );
}

/// Lifts the null mark; a map's value becomes what that kind of map holds
/// (`mark_ptr_not_null_reg`).
pub(crate) fn lift_null(ctx: &Ctx<'_>, pointer: &mut Pointer) {
    pointer.flags -= PtrFlags::MAYBE_NULL;
    let Region::MapValue { map, .. } = pointer.region else {
        return;
    };
    let info = ctx.map(map);
    if let Some(inner) = info.inner {
        // Locks and timers in inner maps must come from one and the same lookup.
        let uid = if ctx.map(inner).has_async_field {
            pointer.id
        } else {
            0
        };
        pointer.region = Region::ConstMap { map: inner, uid };
        pointer.flags = PtrFlags::empty();
        return;
    }
    let kind = if info.spec.ty == MapType::Xskmap {
        SockKind::Xdp
    } else if matches!(info.spec.ty, MapType::Sockmap | MapType::Sockhash) {
        SockKind::Socket
    } else {
        return;
    };
    pointer.region = Region::Sock(kind);
    pointer.origin = Some(map);
}
