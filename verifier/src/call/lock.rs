//! Critical sections: what may be called inside them, and spin locks.

use skep_isa::{CallTarget, Reg};
use skep_spec::tables::KfuncFlags;

use super::{CallMeta, id};
use crate::env::Env;
use crate::prepare::FieldKind;
use crate::state::{LockOwner, MapId, Pointer, Region};
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
        let map = self.check_field(reg, pointer, FieldKind::SpinLock)?;
        let (lock, owner) = (pointer.id, LockOwner::Map(map));
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

    /// A pointer to that field of a map's value; the map.
    pub(super) fn check_field(&self, reg: Reg, pointer: &Pointer, kind: FieldKind) -> Check<MapId> {
        let field = kind.name();
        let Some(place) = pointer.var.const_value() else {
            return Err(FieldViolation::Place { reg, field }.into());
        };
        let Region::MapValue { map, .. } = pointer.region else {
            return Err(Stop::undecided("locks in allocated objects"));
        };
        let info = self.ctx.map(map);
        let view = (*pointer).into();
        if info.spec.btf.is_none() {
            let pointer = view;
            return Err(FieldViolation::NoBtf { pointer, field }.into());
        }
        let Some(at) = info.fields.iter().find(|f| f.kind == kind).map(|f| f.off) else {
            let pointer = view;
            return Err(FieldViolation::Missing { pointer, field }.into());
        };
        let off = (place as i64).wrapping_add(pointer.off.into());
        if i64::from(at) != off {
            return Err(FieldViolation::Offset { off, at, field }.into());
        }
        Ok(map)
    }
}
