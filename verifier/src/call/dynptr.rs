//! Dynptrs: windows of known size onto memory, kept in two slots of the stack, or by the kernel.
//!
//! A dynptr over a record of a ring buffer must be given up. Writing over another one ends it. What is
//! reached through one is known by the dynptr's id (`process_dynptr_func` and what it calls).

use skep_btf::Param;
use skep_isa::{Reg, Size};
use skep_spec::tables::{KfuncRole, Mods};

use super::kfunc::{KfuncMeta, unmodelled};
use super::kfunc_args::has_suffix;
use super::stack_object::object_slots;
use crate::access::{MemAccess, Stored};
use crate::env::Env;
use crate::state::{
    ByteKind, DYNPTR_SLOTS, DynptrKind, Pointer, PtrFlags, Region, SLOT_BYTES, Slot, StackObject,
    Value,
};
use crate::violation::{Check, ObjectViolation, StackPlace, Stop};

/// A dynptr that a call was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct DynptrSeen {
    /// Its id.
    pub(super) id: u32,
    /// What it spans.
    pub(super) kind: DynptrKind,
    /// The reference that it holds; 0 = none.
    pub(super) ref_id: u32,
}

/// What a call asks of a dynptr argument that was made before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct DynptrUse {
    /// It may be changed or ended, so the kernel's own ones are refused.
    pub(super) mutates: bool,
    /// What it must span; `None` if that does not matter.
    pub(super) kind: Option<DynptrKind>,
}

impl Env<'_> {
    /// A helper's dynptr argument, by its modifiers; the dynptr, if it was made before.
    pub(super) fn check_helper_dynptr(
        &mut self,
        arg: usize,
        reg: Reg,
        mods: Mods,
    ) -> Check<Option<DynptrSeen>> {
        let kind = if mods.contains(Mods::DYNPTR_LOCAL) {
            Some(DynptrKind::Local)
        } else if mods.contains(Mods::DYNPTR_RINGBUF) {
            Some(DynptrKind::Ringbuf)
        } else {
            None
        };
        match (mods.contains(Mods::UNINIT), kind) {
            (true, Some(kind)) => self.make_dynptr(reg, kind, 0).map(|()| None),
            (true, None) => Err(Stop::undecided("a dynptr of no kind")),
            (false, kind) => {
                let mutates = !mods.contains(Mods::RDONLY);
                let seen = self.check_dynptr(arg, reg, DynptrUse { mutates, kind })?;
                Ok(Some(seen))
            }
        }
    }

    /// A kernel function's dynptr argument.
    pub(super) fn check_kfunc_dynptr(
        &mut self,
        meta: &mut KfuncMeta<'_>,
        arg: usize,
        reg: Reg,
        param: &Param<'_>,
    ) -> Check<()> {
        let value = self.state.reg(reg);
        let is_const = value
            .pointer()
            .is_some_and(|p| matches!(p.region, Region::ConstDynptr { .. }));
        let kind = if meta.row.role == KfuncRole::DynptrFromSkb {
            Some(DynptrKind::Skb)
        } else if meta.row.role == KfuncRole::DynptrFromXdp {
            Some(DynptrKind::Xdp)
        } else if meta.row.role == KfuncRole::DynptrFromSkbMeta {
            Some(DynptrKind::SkbMeta)
        } else {
            None
        };
        if !has_suffix(param.name(), "__uninit") {
            let mutates = false;
            let seen = self.check_dynptr(arg, reg, DynptrUse { mutates, kind })?;
            meta.dynptr = Some(seen);
            return Ok(());
        }
        if is_const {
            return Err(Stop::undecided("a dynptr of the kernel, made anew"));
        }
        let clone = meta
            .dynptr
            .filter(|_| meta.row.role == KfuncRole::DynptrClone);
        match (kind, clone) {
            (Some(kind), _) => self.make_dynptr(reg, kind, 0),
            (None, Some(of)) => self.make_dynptr(reg, of.kind, of.ref_id),
            (None, None) => Err(unmodelled(&meta.kfunc)),
        }
    }

    /// What a slice of a dynptr is, whose size is the constant argument
    /// (`check_special_kfunc`).
    pub(super) fn dynptr_slice(&self, meta: &KfuncMeta<'_>) -> Check<Pointer> {
        let (Some(dynptr), Some(size)) = (meta.dynptr, meta.constant) else {
            return Err(Stop::undecided("a slice of no dynptr or size"));
        };
        let mut flags = dynptr.kind.slice_flag();
        if meta.row.role == KfuncRole::DynptrSlice {
            flags |= PtrFlags::RDONLY;
        } else if !self.may_access_packet(true, None) {
            return Err(ObjectViolation::SliceWrite.into());
        }
        let region = Region::Mem {
            size: size as u32,
            dynptr_id: dynptr.id,
        };
        Ok(Pointer::new(region, flags))
    }

    /// A dynptr that was made before.
    pub(super) fn check_dynptr(
        &mut self,
        arg: usize,
        reg: Reg,
        wanted: DynptrUse,
    ) -> Check<DynptrSeen> {
        let missing = |place| ObjectViolation::NoDynptr { arg, place };
        let Some(pointer) = self.state.reg(reg).pointer().copied() else {
            return Err(missing(StackPlace::Slot).into());
        };
        if matches!(pointer.region, Region::ConstDynptr { .. }) && wanted.mutates {
            return Err(ObjectViolation::DynptrConst.into());
        }
        let seen = self.seen_dynptr(&pointer).map_err(missing)?;
        let (seen, first) = seen.ok_or_else(|| missing(StackPlace::Slot))?;
        if let Some(kind) = wanted.kind.filter(|&kind| kind != seen.kind) {
            let wanted = kind.name();
            return Err(ObjectViolation::DynptrKind { arg, wanted }.into());
        }
        if let (Some(first), Region::Stack { frame }) = (first, pointer.region) {
            self.mark_object_read(frame as usize, first, DYNPTR_SLOTS);
        }
        Ok(seen)
    }

    /// The dynptr that a pointer points to, and its first slot if it lies on the stack.
    fn seen_dynptr(
        &self,
        pointer: &Pointer,
    ) -> Result<Option<(DynptrSeen, Option<usize>)>, StackPlace> {
        if let Region::ConstDynptr { kind } = pointer.region {
            let (id, ref_id) = (pointer.id, pointer.ref_id);
            return Ok(Some((DynptrSeen { id, kind, ref_id }, None)));
        }
        let Region::Stack { frame } = pointer.region else {
            return Ok(None);
        };
        let frame = frame as usize;
        let Some(first) = self.object_place(frame, pointer, DYNPTR_SLOTS)? else {
            return Ok(None);
        };
        let stack = &self.state.frame(frame).stack;
        let other = first.checked_sub(1).map(|other| stack.slot(other).bytes);
        let Some((StackObject::Dynptr { kind, first: true }, kept)) = stack.slot(first).object()
        else {
            return Ok(None);
        };
        if other != Some([ByteKind::Dynptr; SLOT_BYTES]) {
            return Ok(None);
        }
        let (id, ref_id) = (kept.id, kept.ref_id);
        Ok(Some((DynptrSeen { id, kind, ref_id }, Some(first))))
    }

    /// Makes a dynptr (`mark_stack_slots_dynptr`). `clone_of` is the reference of the dynptr that it
    /// is a copy of; 0 = none.
    pub(super) fn make_dynptr(&mut self, reg: Reg, kind: DynptrKind, clone_of: u32) -> Check<()> {
        let at = |place| ObjectViolation::DynptrPlace { place };
        let Some(pointer) = self.state.reg(reg).pointer().copied() else {
            return Err(at(StackPlace::Slot).into());
        };
        let Region::Stack { frame } = pointer.region else {
            return Err(at(StackPlace::Slot).into());
        };
        let frame = frame as usize;
        self.object_place(frame, &pointer, DYNPTR_SLOTS)
            .map_err(at)?;
        for nth in 0..DYNPTR_SLOTS {
            let off = (nth * SLOT_BYTES) as i32;
            let access = MemAccess::Write(Stored::Unknown);
            self.check_mem_access(reg, off, Size::DW, access, false)?;
        }
        // The writes made the stack grow to the place.
        let place = self.object_place(frame, &pointer, DYNPTR_SLOTS);
        let Some(first) = place.map_err(at)? else {
            return Err(Stop::undecided("a dynptr beyond the stack"));
        };
        for index in object_slots(first, DYNPTR_SLOTS) {
            self.destroy_dynptr(frame, index)?;
        }
        let id = self.new_id();
        let ref_id = match (kind.is_held(), clone_of) {
            (false, _) => 0,
            (true, 0) => self.acquire_reference(),
            (true, held) => held,
        };
        for index in object_slots(first, DYNPTR_SLOTS) {
            let object = StackObject::Dynptr {
                kind,
                first: index == first,
            };
            let slot = Slot::holding(object, PtrFlags::empty(), id, ref_id);
            *self.state.frame_mut(frame).stack.slot_mut(index) = slot;
        }
        self.mark_stack_write(frame, slot_bits(first));
        Ok(())
    }

    /// What is written over is a dynptr no more; one that must be given up may not be
    /// (`destroy_if_dynptr_stack_slot`).
    pub(crate) fn destroy_dynptr(&mut self, frame: usize, index: usize) -> Check<()> {
        let stack = &self.state.frame(frame).stack;
        if stack.slot(index).bytes[0] != ByteKind::Dynptr {
            return Ok(());
        }
        let Some((StackObject::Dynptr { kind, first }, kept)) = stack.slot(index).object() else {
            return Ok(());
        };
        if kind.is_held() {
            return Err(ObjectViolation::DynptrLost.into());
        }
        let first = if first { index } else { index + 1 };
        self.erase_dynptr(frame, first);
        for index in object_slots(first, DYNPTR_SLOTS) {
            self.state.scratch_slot(index);
        }
        // Only memory without further marks is looked for.
        let plain = [PtrFlags::empty(), PtrFlags::MAYBE_NULL];
        self.invalidate(|pointer| {
            let of_it = matches!(
                pointer.region,
                Region::Mem { dynptr_id, .. } if dynptr_id == kept.id
            );
            of_it && plain.contains(&pointer.flags)
        });
        Ok(())
    }

    /// Empties the slots of a dynptr (`invalidate_dynptr`).
    fn erase_dynptr(&mut self, frame: usize, first: usize) {
        for index in object_slots(first, DYNPTR_SLOTS) {
            *self.state.frame_mut(frame).stack.slot_mut(index) = Slot::EMPTY;
        }
        self.mark_stack_write(frame, slot_bits(first));
    }

    /// A dynptr that a helper is to give up holds a reference.
    pub(super) fn check_dynptr_held(&self, reg: Reg) -> Check<()> {
        let arg = reg.index() - 1;
        let not_held = |place| ObjectViolation::DynptrNotHeld { arg, place };
        let Some(pointer) = self.state.reg(reg).pointer() else {
            return Err(ObjectViolation::DynptrConstRelease.into());
        };
        let Region::Stack { frame } = pointer.region else {
            return Err(ObjectViolation::DynptrConstRelease.into());
        };
        let frame = frame as usize;
        let place = self.object_place(frame, pointer, DYNPTR_SLOTS);
        let held = place.map_err(not_held)?.is_some_and(|first| {
            let value = &self.state.frame(frame).stack.slot(first).value;
            value.pointer().is_some_and(|p| p.ref_id != 0)
        });
        if held {
            Ok(())
        } else {
            Err(not_held(StackPlace::Slot).into())
        }
    }

    /// Gives up a dynptr, its copies in that frame and what was reached through them
    /// (`unmark_stack_slots_dynptr`).
    pub(super) fn release_dynptr(&mut self, reg: Reg) -> Check<()> {
        let Some(pointer) = self.state.reg(reg).pointer().copied() else {
            return Ok(());
        };
        let (Region::Stack { frame }, Ok(Some((seen, Some(first))))) =
            (pointer.region, self.seen_dynptr(&pointer))
        else {
            return Ok(());
        };
        let frame = frame as usize;
        if !seen.kind.is_held() {
            self.erase_dynptr(frame, first);
            return Ok(());
        }
        self.release_reference(seen.ref_id);
        for index in 1..self.state.frame(frame).stack.len() {
            let slot = self.state.frame(frame).stack.slot(index);
            let of_it = slot
                .value
                .pointer()
                .is_some_and(|p| p.ref_id == seen.ref_id);
            if !of_it {
                continue;
            }
            match slot.object() {
                Some((StackObject::Dynptr { first: true, .. }, _)) => {
                    self.erase_dynptr(frame, index);
                }
                Some((StackObject::Dynptr { first: false, .. }, _)) => {}
                Some(_) | None => return Err(Stop::undecided("two kinds of one reference")),
            }
        }
        Ok(())
    }

    /// `bpf_dynptr_from_mem` spans values of maps.
    pub(super) fn check_dynptr_memory(&self) -> Check<()> {
        let value = self.state.reg(Reg::R1);
        let plain = value.pointer().filter(|p| p.flags.is_empty());
        if plain.is_some_and(|p| matches!(p.region, Region::MapValue { .. })) {
            return Ok(());
        }
        let value = (*value).into();
        Err(ObjectViolation::DynptrMemory { value }.into())
    }

    /// A dynptr that the kernel makes for a callback or a global subprogram.
    pub(crate) fn const_dynptr(&mut self) -> Value {
        let kind = DynptrKind::Local;
        let mut pointer = Pointer::new(Region::ConstDynptr { kind }, PtrFlags::empty());
        pointer.id = self.learned.next_id();
        Value::Pointer(pointer)
    }
}

/// The slots of a dynptr, one bit each.
fn slot_bits(first: usize) -> u64 {
    object_slots(first, DYNPTR_SLOTS).fold(0, |bits, index| bits | 1 << (index & 63))
}
