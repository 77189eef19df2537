//! Critical sections: what may be called inside them, and spin locks.

use skep_isa::{CallTarget, Reg};
use skep_spec::tables::KfuncFlags;

use super::{CallMeta, id};
use crate::env::Env;
use crate::prepare::FieldKind;
use crate::state::{Entry, LockOwner, Pointer, Region};
use crate::violation::{CallViolation, Check, FieldViolation, Stop};

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
            self.state.refs_mut().lock(lock, insn_idx, owner);
            return Ok(());
        }
        let refs = &self.state.refs;
        if refs.active_locks == 0 {
            return Err(FieldViolation::NotHeld.into());
        }
        if !refs.holds_lock(lock, owner) {
            return Err(FieldViolation::Different.into());
        }
        if refs.active_lock != Some((lock, owner)) {
            return Err(FieldViolation::Order.into());
        }
        self.state.refs_mut().unlock(lock, owner);
        self.forget_borrowed();
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
