//! Critical sections: what may be called inside them, and spin locks.

use skep_isa::{CallTarget, Reg};
use skep_spec::tables::{KfuncFlags, KfuncRole};

use super::kfunc::{KfuncMeta, unmodelled};
use super::{CallMeta, id};
use crate::env::Env;
use crate::number::Scalar;
use crate::prepare::FieldKind;
use crate::state::{Entry, LockOwner, Pointer, RefKind, Region, Value};
use crate::violation::{CallViolation, Check, FieldViolation, Stop};

/// Greatest error number.
const MAX_ERRNO: i32 = 4095;

impl Env<'_> {
    /// While a lock is held, only it may be given up; subprograms are looked into.
    pub(crate) fn check_call_under_lock(&self, call: CallTarget) -> Check<()> {
        if self.state.refs.active_locks == 0 {
            return Ok(());
        }
        match call {
            CallTarget::Helper(number) if number == id::SPIN_UNLOCK as i32 => Ok(()),
            CallTarget::Helper(_) => Err(CallViolation::UnderLock.into()),
            CallTarget::Subprog(_) => Ok(()),
            CallTarget::Kfunc { id, btf_idx } => self.check_kfunc_under_lock(id, btf_idx),
        }
    }

    fn check_kfunc_under_lock(&self, id: i32, btf_idx: i16) -> Check<()> {
        let Some(kfunc) = self.ctx.kfuncs.get(id, btf_idx) else {
            return Err(if id == 0 && btf_idx == 0 {
                CallViolation::UnderLock.into()
            } else {
                Stop::undecided("kernel function calls")
            });
        };
        // Who may call the function is asked later.
        if kfunc
            .known
            .is_some_and(|row| row.has(KfuncFlags::UNDER_LOCK))
        {
            return Ok(());
        }
        Err(CallViolation::UnderLock.into())
    }

    /// `bpf_spin_lock` and `bpf_spin_unlock` (`process_spin_lock`).
    pub(super) fn check_spin_lock(
        &mut self,
        meta: &CallMeta,
        reg: Reg,
        pointer: &Pointer,
    ) -> Check<()> {
        if self.in_tree_callback() {
            return Err(FieldViolation::InTreeCallback.into());
        }
        self.check_field(reg, pointer, FieldKind::SpinLock)?;
        let (lock, owner) = (pointer.id, lock_owner(pointer)?);
        if meta.proto.id == id::SPIN_LOCK {
            if self.state.refs.active_locks > 0 {
                return Err(FieldViolation::SecondLock.into());
            }
            let insn_idx = self.state.insn_idx;
            let kind = RefKind::Lock { owner };
            self.state.refs_mut().lock(lock, insn_idx, kind);
            return Ok(());
        }
        self.unlock(lock, owner, RefKind::Lock { owner }, "bpf_spin")
    }

    /// The argument of functions that take and give up resilient locks, which may nest.
    pub(super) fn check_res_lock(
        &mut self,
        meta: &KfuncMeta<'_>,
        reg: Reg,
        value: &Value,
    ) -> Check<()> {
        let Value::Pointer(pointer) = value else {
            return Err(unmodelled(&meta.kfunc));
        };
        if self.in_tree_callback() {
            return Err(Stop::undecided("resilient locks in the callback of a tree"));
        }
        let role = meta.row.role;
        let irq =
            role == KfuncRole::ResSpinLockIrqsave || role == KfuncRole::ResSpinUnlockIrqrestore;
        self.check_field(reg, pointer, FieldKind::ResSpinLock)?;
        let (lock, owner) = (pointer.id, lock_owner(pointer)?);
        let kind = RefKind::ResLock { owner, irq };
        if role == KfuncRole::ResSpinUnlock || role == KfuncRole::ResSpinUnlockIrqrestore {
            return self.unlock(lock, owner, kind, "bpf_res_spin");
        }
        if self.state.refs.holds_res_lock(lock, owner) {
            return Err(FieldViolation::Deadlock.into());
        }
        let insn_idx = self.state.insn_idx;
        self.state.refs_mut().lock(lock, insn_idx, kind);
        Ok(())
    }

    fn unlock(
        &mut self,
        id: u32,
        owner: LockOwner,
        kind: RefKind,
        lock: &'static str,
    ) -> Check<()> {
        let refs = &self.state.refs;
        if refs.active_locks == 0 {
            return Err(FieldViolation::NotHeld { lock }.into());
        }
        if !refs.holds_lock(id, kind) {
            return Err(FieldViolation::Different { lock }.into());
        }
        if refs.active_lock != Some((id, owner)) {
            return Err(FieldViolation::Order { lock }.into());
        }
        self.state.refs_mut().unlock(id, kind);
        self.forget_borrowed();
        Ok(())
    }

    /// A resilient lock may not be had: another path goes on without it, with an error number.
    pub(super) fn fork_at_res_lock(&mut self) -> Check<()> {
        let idx = self.state.insn_idx;
        let failed = self.push_branch(idx + 1, idx)?;
        for reg in Reg::CALLER_SAVED {
            failed.set_reg(reg, Value::Uninit);
        }
        let mut error = Scalar::unknown();
        error.meet_s32_range(-MAX_ERRNO, -1);
        failed.set_reg(Reg::R0, Value::scalar(error));
        Ok(())
    }

    /// A pointer to that field of a map's value or of an allocated object.
    pub(super) fn check_field(&self, reg: Reg, pointer: &Pointer, kind: FieldKind) -> Check<()> {
        let field = kind.name();
        let Some(place) = pointer.var.const_value() else {
            return Err(FieldViolation::Place { reg, field }.into());
        };
        let view = (*pointer).into();
        let fields = if let Region::MapValue { map, .. } = pointer.region {
            let info = self.ctx.map(map);
            if info.spec.btf.is_none() {
                let pointer = view;
                return Err(FieldViolation::NoBtf { pointer, field }.into());
            }
            &info.fields[..]
        } else {
            self.ctx.fields_behind(pointer).unwrap_or_default()
        };
        let Some(at) = fields.iter().find(|f| f.kind == kind).map(|f| f.off) else {
            let pointer = view;
            return Err(FieldViolation::Missing { pointer, field }.into());
        };
        let off = (place as i64).wrapping_add(pointer.off.into());
        if i64::from(at) != off {
            return Err(FieldViolation::Offset { off, at, field }.into());
        }
        Ok(())
    }

    /// Whether the path is in the callback that compares nodes of a tree: the tree's lock is held there
    /// (`in_rbtree_lock_required_cb`).
    pub(super) fn in_tree_callback(&self) -> bool {
        let frame = self.state.cur();
        let (Entry::Callback, Some(callsite)) = (frame.entry, frame.callsite) else {
            return false;
        };
        let Some(&insn) = self.ctx.insns.get(callsite) else {
            return false;
        };
        self.ctx.kfuncs.is_tree_call(insn)
    }
}

/// The object that a lock lies in.
pub(super) fn lock_owner(pointer: &Pointer) -> Check<LockOwner> {
    if let Region::MapValue { map, .. } = pointer.region {
        Ok(LockOwner::Map(map))
    } else if let Region::Btf { source, .. } = pointer.region {
        Ok(LockOwner::Btf(source))
    } else {
        Err(Stop::undecided("a lock that is nowhere"))
    }
}
