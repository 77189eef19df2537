//! Critical sections: what may be called inside them, and spin locks.

use skep_isa::{CallTarget, Reg};

use super::{CallMeta, id};
use crate::env::Env;
use crate::prepare::FieldKind;
use crate::state::{LockOwner, MapId, Pointer, Region};
use crate::violation::{CallViolation, Check, LockViolation, Stop};

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
            CallTarget::Kfunc { .. } => Err(Stop::undecided("kernel function calls")),
        }
    }

    /// `bpf_spin_lock` and `bpf_spin_unlock` (`process_spin_lock`).
    pub(super) fn check_spin_lock(
        &mut self,
        meta: &CallMeta,
        reg: Reg,
        pointer: &Pointer,
    ) -> Check<()> {
        let Some(place) = pointer.var.const_value() else {
            return Err(LockViolation::Place { reg }.into());
        };
        let Region::MapValue { map, .. } = pointer.region else {
            return Err(Stop::undecided("locks in allocated objects"));
        };
        let at = self.lock_offset(map, pointer)?;
        let off = (place as i64).wrapping_add(pointer.off.into());
        if i64::from(at) != off {
            return Err(LockViolation::Offset { off, at }.into());
        }
        let (lock, owner) = (pointer.id, LockOwner::Map(map));
        if meta.proto.id == id::SPIN_LOCK {
            if self.state.refs.active_locks > 0 {
                return Err(LockViolation::Second.into());
            }
            let insn_idx = self.state.insn_idx;
            self.state.refs_mut().lock(lock, insn_idx, owner);
            return Ok(());
        }
        let refs = &self.state.refs;
        if refs.active_locks == 0 {
            return Err(LockViolation::NotHeld.into());
        }
        if !refs.holds_lock(lock, owner) {
            return Err(LockViolation::Different.into());
        }
        if refs.active_lock != Some((lock, owner)) {
            return Err(LockViolation::Order.into());
        }
        self.state.refs_mut().unlock(lock, owner);
        self.forget_borrowed();
        Ok(())
    }

    /// Where the lock lies in a map's values.
    fn lock_offset(&self, map: MapId, pointer: &Pointer) -> Check<u32> {
        let info = self.ctx.map(map);
        let view = (*pointer).into();
        if info.spec.btf.is_none() {
            return Err(LockViolation::NoBtf { pointer: view }.into());
        }
        let lock = info.fields.iter().find(|f| f.kind == FieldKind::SpinLock);
        lock.map(|f| f.off)
            .ok_or_else(|| LockViolation::NoLock { pointer: view }.into())
    }
}
