//! Open-coded iterators: made, moved on and ended by calls, kept in slots of the stack.
//!
//! Moving on may give something or nothing. So the path forks: the current one goes on with an iterator
//! that is drained for good, the other one with one that is active, a round later. Numbers that differ
//! between rounds and on which nothing depends are forgotten in it, so that rounds become alike
//! (`process_iter_arg`, `process_iter_next_call`).

use skep_btf::{Param, TypeId};
use skep_isa::{Reg, Size};
use skep_spec::tables::KfuncFlags;

use super::kfunc::KfuncMeta;
use super::stack_object::object_slots;
use crate::access::{MemAccess, Stored};
use crate::env::Env;
use crate::state::{ByteKind, Pointer, PtrFlags, Region, SLOT_BYTES, Slot, StackObject, Value};
use crate::violation::{Check, ObjectViolation, StackPlace, Stop};

/// What structures of iterators are called.
const PREFIX: &str = "bpf_iter_";

/// Where the iterator of a call lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct IterPlace {
    frame: usize,
    first: usize,
}

/// An iterator argument.
struct Iter {
    arg: usize,
    frame: usize,
    pointer: Pointer,
    /// Its structure.
    id: u32,
    /// Slots that it takes.
    slots: usize,
}

impl Iter {
    fn in_use(&self, place: StackPlace) -> ObjectViolation {
        let (arg, iter) = (self.arg, self.id);
        ObjectViolation::IterInUse { arg, iter, place }
    }

    fn missing(&self, place: StackPlace) -> ObjectViolation {
        let (arg, iter) = (self.arg, self.id);
        ObjectViolation::NoIter { arg, iter, place }
    }
}

impl Env<'_> {
    /// The iterator that a kernel function makes, moves on, ends or looks at.
    pub(super) fn check_iter(
        &mut self,
        meta: &mut KfuncMeta<'_>,
        arg: usize,
        reg: Reg,
        param: &Param<'_>,
    ) -> Check<()> {
        let Some(pointer) = self.state.reg(reg).pointer().copied() else {
            return Err(ObjectViolation::IterParameter { arg }.into());
        };
        let Region::Stack { frame } = pointer.region else {
            return Err(ObjectViolation::IterParameter { arg }.into());
        };
        let Some((id, size)) = iter_type(meta, param) else {
            return Err(ObjectViolation::IterParameter { arg }.into());
        };
        let iter = Iter {
            arg,
            frame: frame as usize,
            pointer,
            id: id.0,
            slots: size as usize / SLOT_BYTES,
        };
        if meta.has(KfuncFlags::ITER_NEW) {
            return self.make_iter(meta, reg, &iter);
        }
        self.use_iter(meta, &iter)
    }

    fn make_iter(&mut self, meta: &KfuncMeta<'_>, reg: Reg, iter: &Iter) -> Check<()> {
        let place = self.object_place(iter.frame, &iter.pointer, iter.slots);
        if let Some(first) = place.map_err(|place| iter.in_use(place))? {
            let stack = &self.state.frame(iter.frame).stack;
            let in_use = |index| stack.slot(index).bytes.contains(&ByteKind::Iter);
            if object_slots(first, iter.slots).any(in_use) {
                return Err(iter.in_use(StackPlace::Slot).into());
            }
        }
        for nth in 0..iter.slots {
            let off = (nth * SLOT_BYTES) as i32;
            let access = MemAccess::Write(Stored::Unknown);
            self.check_mem_access(reg, off, Size::DW, access, false)?;
        }
        // The writes made the stack grow to the place.
        let place = self.object_place(iter.frame, &iter.pointer, iter.slots);
        let Some(first) = place.map_err(|place| iter.in_use(place))? else {
            return Err(Stop::undecided("an iterator beyond the stack"));
        };
        let ref_id = self.acquire_reference();
        let flags = match (meta.has(KfuncFlags::RCU_PROTECTED), self.in_rcu_section()) {
            (false, _) => PtrFlags::empty(),
            (true, true) => PtrFlags::RCU,
            (true, false) => PtrFlags::UNTRUSTED,
        };
        let object = StackObject::Iter {
            id: iter.id,
            active: true,
            depth: 0,
        };
        for index in object_slots(first, iter.slots) {
            let ref_id = if index == first { ref_id } else { 0 };
            self.set_iter_slot(iter.frame, index, Slot::holding(object, flags, 0, ref_id));
        }
        Ok(())
    }

    fn set_iter_slot(&mut self, frame: usize, index: usize, slot: Slot) {
        *self.state.frame_mut(frame).stack.slot_mut(index) = slot;
        self.mark_stack_write(frame, 1 << (index & 63));
        self.state.scratch_slot(index);
    }

    fn use_iter(&mut self, meta: &mut KfuncMeta<'_>, iter: &Iter) -> Check<()> {
        let place = self.object_place(iter.frame, &iter.pointer, iter.slots);
        let Some(first) = place.map_err(|place| iter.missing(place))? else {
            return Err(iter.missing(StackPlace::Slot).into());
        };
        let stack = &self.state.frame(iter.frame).stack;
        let mut held = 0;
        for index in object_slots(first, iter.slots) {
            let slot = stack.slot(index);
            let value = slot.value.pointer();
            if value.is_some_and(|kept| kept.flags.contains(PtrFlags::UNTRUSTED)) {
                let func = meta.kfunc.id;
                return Err(ObjectViolation::IterUnprotected { func }.into());
            }
            let Some((StackObject::Iter { id, .. }, kept)) = slot.object() else {
                return Err(iter.missing(StackPlace::Slot).into());
            };
            if id != iter.id || (index == first) != (kept.ref_id != 0) {
                return Err(iter.missing(StackPlace::Slot).into());
            }
            held |= kept.ref_id;
        }
        self.mark_object_read(iter.frame, first, iter.slots);
        meta.iter = Some(IterPlace {
            frame: iter.frame,
            first,
        });
        meta.ref_id = held;
        if !meta.has(KfuncFlags::ITER_DESTROY) {
            return Ok(());
        }
        self.release_reference(held);
        for index in object_slots(first, iter.slots) {
            self.set_iter_slot(iter.frame, index, Slot::EMPTY);
        }
        Ok(())
    }

    /// How far what an iterator gives can be trusted.
    pub(super) fn flags_of_next(&self, meta: &KfuncMeta<'_>) -> PtrFlags {
        let kept = meta.iter.and_then(|place| {
            let slot = self.state.frame(place.frame).stack.slot(place.first);
            slot.value.pointer().map(|kept| kept.flags)
        });
        if kept.is_some_and(|flags| flags.contains(PtrFlags::RCU)) {
            PtrFlags::RCU
        } else {
            PtrFlags::TRUSTED
        }
    }

    /// Forks a path that moved an iterator on (`process_iter_next_call`).
    pub(super) fn fork_at_iter_next(&mut self, meta: &KfuncMeta<'_>) -> Check<()> {
        let Some(IterPlace { frame, first }) = meta.iter else {
            return Err(Stop::undecided("an iterator that is nowhere"));
        };
        let slot = *self.state.frame(frame).stack.slot(first);
        let Some((StackObject::Iter { id, active, depth }, kept)) = slot.object() else {
            return Err(Stop::undecided("an iterator that is nowhere"));
        };
        if active {
            let idx = self.state.insn_idx;
            let entry = self.find_prev_entry(self.state.parent, idx);
            self.push_branch(idx + 1, idx)?;
            if let Some(mut pending) = self.pending.pop() {
                let state = &mut pending.state;
                let deeper = StackObject::Iter {
                    id,
                    active,
                    depth: depth + 1,
                };
                set_first_slot(state.frame_mut(frame).stack.slot_mut(first), deeper, &kept);
                if let Some(entry) = entry {
                    self.widen_imprecise_scalars(entry, state);
                }
                if let Value::Pointer(pointer) = &mut state.cur_mut().regs[Reg::R0.index()] {
                    crate::walk::lift_null(self.ctx, pointer);
                }
                self.pending.push(pending);
            }
        }
        let drained = StackObject::Iter {
            id,
            active: false,
            depth,
        };
        set_first_slot(
            self.state.frame_mut(frame).stack.slot_mut(first),
            drained,
            &kept,
        );
        self.state.set_reg(Reg::R0, Value::constant(0));
        Ok(())
    }
}

fn set_first_slot(slot: &mut Slot, object: StackObject, kept: &Pointer) {
    *slot = Slot::holding(object, kept.flags, kept.id, kept.ref_id);
}

/// The structure of a parameter that is an iterator, and its size in bytes (`btf_check_iter_arg`).
fn iter_type(meta: &KfuncMeta<'_>, param: &Param<'_>) -> Option<(TypeId, u32)> {
    let (_, ty) = meta.btf.resolve(param.ty).ok()?;
    let (id, ty) = meta.btf.resolve(ty.as_ptr()?).ok()?;
    let structure = ty.as_struct()?;
    structure
        .name()
        .starts_with(PREFIX)
        .then_some((id, structure.size))
}
