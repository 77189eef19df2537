//! The stack at a known offset: spills that come back as they were, and bytes that are only known to be
//! there.

use skep_isa::Reg;

use super::Stored;
use crate::env::Env;
use crate::number::Scalar;
use crate::prune::{HistoryFlags, LinkedRegs};
use crate::state::{ByteKind, Number, Pointer, Region, SLOT_BYTES, Slot, Value};
use crate::violation::{AccessViolation, Check};

/// Bytes of stack that a frame may use.
const MAX_STACK: i64 = 512;
/// Offsets of this size and more, either way, are refused.
const MAX_VAR_OFF: i64 = 1 << 29;

/// What a read leaves in a register, and whether it was marked precise where it was spilled.
pub(super) struct Filled {
    pub(super) value: Value,
    pub(super) precise: bool,
}

impl Filled {
    pub(super) fn plain(value: Value) -> Filled {
        Filled {
            value,
            precise: false,
        }
    }
}

/// A stack access within bounds: the frame and the offsets between which it begins.
#[derive(Clone, Copy)]
pub(crate) struct StackRange {
    pub(crate) frame: usize,
    pub(crate) min: i32,
    pub(crate) max: i32,
}

pub(super) fn slot_of(off: i32) -> usize {
    ((-off - 1) as usize) / SLOT_BYTES
}

pub(super) fn byte_of(off: i32) -> usize {
    ((-off - 1) as usize) % SLOT_BYTES
}

impl Env<'_> {
    /// The access must lie in the stack; the stack grows to it
    /// (`check_stack_access_within_bounds`). `off` includes the fixed offset of `pointer`.
    pub(crate) fn check_stack_bounds(
        &mut self,
        reg: Reg,
        pointer: &Pointer,
        off: i32,
        size: i32,
        write: bool,
    ) -> Check<StackRange> {
        let Region::Stack { frame } = pointer.region else {
            return Err(AccessViolation::InvalidPointer {
                reg,
                value: (*pointer).into(),
            }
            .into());
        };
        let var = pointer.var;
        let (min, max) = match var.const_value() {
            Some(value) => (value as i64 + i64::from(off), value as i64 + i64::from(off)),
            None => {
                if var.smax() >= MAX_VAR_OFF || var.smin() <= -MAX_VAR_OFF {
                    return Err(AccessViolation::StackUnbounded { reg, write }.into());
                }
                (var.smin() + i64::from(off), var.smax() + i64::from(off))
            }
        };
        let frame = frame as usize;
        let lowest = if write || self.ctx.facts.lane().uninit_stack {
            -MAX_STACK
        } else {
            -(self.state.frame(frame).stack.allocated() as i64)
        };
        if min < lowest || min > -1 || max + i64::from(size) > 0 || size < 0 {
            return Err(AccessViolation::StackBounds {
                reg,
                write,
                var,
                off,
                size,
            }
            .into());
        }
        self.grow_stack(frame, -min as usize);
        Ok(StackRange {
            frame,
            min: min as i32,
            max: max as i32,
        })
    }

    fn grow_stack(&mut self, frame: usize, bytes: usize) {
        let slots = bytes.div_ceil(SLOT_BYTES);
        if self.state.frame(frame).stack.len() >= slots {
            return;
        }
        self.state.frame_mut(frame).stack.grow(slots);
        let subprog = self.state.frame(frame).subprog;
        let depth = &mut self.learned.subprogs[subprog].stack_depth;
        *depth = (*depth).max((slots * SLOT_BYTES) as u32);
    }

    /// An access to the place of spills around fast calls, other than by these, means that the
    /// spills stay (`check_fastcall_stack_contract`).
    pub(super) fn note_fastcall_access(&mut self, frame: usize, off: i32) {
        let subprog = self.state.frame(frame).subprog;
        let idx = self.state.insn_idx;
        if off < self.ctx.subprogs[subprog].fastcall_stack_off && !self.ctx.fastcalls.member[idx] {
            self.learned.subprogs[subprog].fastcall_void = true;
        }
    }

    /// Reads the stack (`check_stack_read`). `dst`: whether a register receives the value.
    pub(super) fn read_stack(
        &mut self,
        pointer: &Pointer,
        reg: Reg,
        off: i32,
        size: i32,
        range: StackRange,
        dst: Option<Reg>,
    ) -> Check<Option<Filled>> {
        let is_const = pointer.var.is_const();
        if is_const {
            return self.read_fixed(range.frame, range.min, size, dst);
        }
        if dst.is_none() {
            return Err(AccessViolation::StackVariableRead {
                var: pointer.var,
                off,
                size,
            }
            .into());
        }
        self.check_stack_initialized(reg, pointer, off, size, false, false, None)?;
        let value = self.stack_bytes_value(range.frame, range.min, range.max + size, dst);
        self.note_fastcall_access(range.frame, range.min);
        Ok(Some(Filled::plain(value)))
    }

    /// What bytes that are no spill are as a number: zero if all are (`mark_reg_stack_read`).
    fn stack_bytes_value(&mut self, frame: usize, min: i32, end: i32, dst: Option<Reg>) -> Value {
        for off in min..end {
            self.state.scratch_slot(slot_of(off));
            let slot = self.state.frame(frame).stack.slot(slot_of(off));
            if slot.bytes[byte_of(off)] != ByteKind::Zero {
                return Value::unknown();
            }
        }
        self.zero_in(dst)
    }

    /// The zero that is put over what the register holds.
    fn zero_in(&self, dst: Option<Reg>) -> Value {
        dst.map_or_else(
            || Value::constant(0),
            |dst| Value::constant_over(0, self.state.reg(dst)),
        )
    }

    fn read_fixed(
        &mut self,
        frame: usize,
        off: i32,
        size: i32,
        dst: Option<Reg>,
    ) -> Check<Option<Filled>> {
        let index = slot_of(off);
        self.state.scratch_slot(index);
        self.note_fastcall_access(self.state.curframe(), off);
        self.mark_stack_read(frame, self.state.insn_idx, 1 << index);
        let slot = *self.state.frame(frame).stack.slot(index);
        let precise = self.state.precise[frame].slots & (1 << index) != 0;
        if !slot.is_spilled() {
            self.check_bytes_readable(&slot, off, size)?;
            if dst.is_none() {
                return Ok(None);
            }
            let value = self.stack_bytes_value(frame, off, off + size, dst);
            return Ok(Some(Filled::plain(value)));
        }
        let spilled = spilled_bytes(&slot);
        let filled = if size as usize == SLOT_BYTES && spilled == SLOT_BYTES {
            if dst.is_none() {
                if !self.ctx.facts.lane().ptr_leaks && slot.value.number().is_none() {
                    return Err(AccessViolation::StackPointerLeak { off }.into());
                }
                self.push_history(HistoryFlags::stack_access(frame, index), LinkedRegs::NONE)?;
                return Ok(None);
            }
            Some(Filled {
                value: slot.value,
                precise,
            })
        } else {
            let Value::Scalar(number) = slot.value else {
                return Err(AccessViolation::FillSize.into());
            };
            if dst.is_none() {
                return Ok(None);
            }
            self.fill_part(&slot, number, spilled, (off, size), precise, dst)?
        };
        let Some(filled) = filled else {
            let value = if self.bytes_are_zero(&slot, off, size) {
                self.zero_in(dst)
            } else {
                Value::unknown()
            };
            return Ok(Some(Filled::plain(value)));
        };
        self.push_history(HistoryFlags::stack_access(frame, index), LinkedRegs::NONE)?;
        Ok(Some(filled))
    }

    fn bytes_are_zero(&self, slot: &Slot, off: i32, size: i32) -> bool {
        (off..off + size).all(|off| slot.bytes[byte_of(off)] == ByteKind::Zero)
    }

    /// Part of a spilled number; `None` where the result is not that number's.
    fn fill_part(
        &self,
        slot: &Slot,
        number: Number,
        spilled: usize,
        (off, size): (i32, i32),
        precise: bool,
        dst: Option<Reg>,
    ) -> Check<Option<Filled>> {
        if size as usize <= spilled && off % SLOT_BYTES as i32 == 0 {
            let mut number = number;
            if number.scalar.width() > size as u32 * 8 {
                number.link = None;
            }
            return Ok(Some(Filled {
                value: Value::Scalar(number),
                precise,
            }));
        }
        let mut of_spill = 0;
        for at in 0..size {
            match slot.bytes[byte_of(off + at)] {
                ByteKind::Spill => of_spill += 1,
                ByteKind::Misc | ByteKind::Zero => {}
                ByteKind::Invalid if self.ctx.facts.lane().uninit_stack => {}
                ByteKind::Invalid | ByteKind::Dynptr | ByteKind::Iter | ByteKind::IrqFlag => {
                    return Err(AccessViolation::StackRead { off, at, size }.into());
                }
            }
        }
        let zero = of_spill == size && number.scalar.const_value() == Some(0);
        Ok(zero.then(|| Filled::plain(self.zero_in(dst))))
    }

    fn check_bytes_readable(&self, slot: &Slot, off: i32, size: i32) -> Check<()> {
        for at in 0..size {
            match slot.bytes[byte_of(off + at)] {
                ByteKind::Misc | ByteKind::Zero => {}
                ByteKind::Invalid if self.ctx.facts.lane().uninit_stack => {}
                ByteKind::Invalid
                | ByteKind::Spill
                | ByteKind::Dynptr
                | ByteKind::Iter
                | ByteKind::IrqFlag => {
                    return Err(AccessViolation::StackRead { off, at, size }.into());
                }
            }
        }
        Ok(())
    }

    /// Writes the stack (`check_stack_write`).
    pub(super) fn write_stack(
        &mut self,
        pointer: &Pointer,
        range: StackRange,
        size: i32,
        stored: Stored,
    ) -> Check<()> {
        if pointer.var.is_const() {
            self.write_fixed(range.frame, range.min, size, stored)
        } else {
            self.write_variable(range, size, stored)
        }
    }

    fn write_fixed(&mut self, frame: usize, off: i32, size: i32, stored: Stored) -> Check<()> {
        let index = slot_of(off);
        let slot = *self.state.frame(frame).stack.slot(index);
        let whole = off % SLOT_BYTES as i32 == 0;
        let lane = self.ctx.facts.lane();
        if !lane.ptr_leaks
            && slot.is_spilled()
            && !slot.is_spilled_scalar()
            && size as usize != SLOT_BYTES
        {
            return Err(AccessViolation::CorruptSpilledPointer.into());
        }
        self.destroy_dynptr(frame, index)?;
        if whole && size as usize == SLOT_BYTES {
            self.mark_stack_write(frame, 1 << index);
        }
        self.note_fastcall_access(frame, off);
        self.state.scratch_slot(index);
        let value = match stored {
            Stored::Reg(reg) => Some(*self.state.reg(reg)),
            Stored::Imm(_) | Stored::Unknown => None,
        };
        match (stored, value) {
            (Stored::Reg(reg), Some(Value::Scalar(number))) if whole && lane.bpf => {
                let fits = number.scalar.width() <= 8 * size as u32;
                if fits {
                    self.link_before_copy(reg);
                }
                let precise = self.state.is_precise(reg);
                let mut value = *self.state.reg(reg);
                if let Value::Scalar(number) = &mut value
                    && !fits
                {
                    number.link = None;
                }
                self.spill(frame, index, value, size, precise);
            }
            (Stored::Imm(imm), _) if whole && lane.bpf => {
                let value = Value::scalar(Scalar::immediate(imm));
                self.spill(frame, index, value, size, false);
            }
            (Stored::Reg(_), Some(Value::Pointer(pointer))) if is_spillable(&pointer) => {
                if size as usize != SLOT_BYTES {
                    return Err(AccessViolation::SpillSize.into());
                }
                let is_stack =
                    matches!(pointer.region, Region::Stack { .. }) && pointer.flags.is_empty();
                if frame != self.state.curframe() && is_stack {
                    return Err(AccessViolation::StackPointerToCaller.into());
                }
                self.spill(frame, index, Value::Pointer(pointer), size, false);
            }
            (Stored::Reg(_) | Stored::Imm(_) | Stored::Unknown, _) => {
                return self.write_bytes(frame, index, off, size, stored);
            }
        }
        self.push_history(HistoryFlags::stack_access(frame, index), LinkedRegs::NONE)
    }

    /// Puts a value into a slot (`save_register_state`).
    fn spill(&mut self, frame: usize, index: usize, value: Value, size: i32, precise: bool) {
        let ptr_leaks = self.ctx.facts.lane().ptr_leaks;
        let slot = self.state.frame_mut(frame).stack.slot_mut(index);
        slot.value = value;
        let first = SLOT_BYTES - size as usize;
        for (at, byte) in slot.bytes.iter_mut().enumerate() {
            let stays = *byte == ByteKind::Zero || (ptr_leaks && *byte == ByteKind::Invalid);
            if at >= first {
                *byte = ByteKind::Spill;
            } else if !stays {
                *byte = ByteKind::Misc;
            }
        }
        self.set_slot_precise(frame, index, precise);
    }

    /// A helper writes memory that need not have been initialised: as if by stores of single bytes of
    /// which nothing is known, so that nothing counts as certainly written.
    pub(crate) fn write_stack_bytes(&mut self, reg: Reg, size: i32) -> Check<()> {
        let Value::Pointer(pointer) = *self.state.reg(reg) else {
            return Ok(());
        };
        let range = self.check_stack_bounds(reg, &pointer, pointer.off, size, true)?;
        let frame = range.frame;
        let corrupts = !self.ctx.facts.lane().ptr_leaks;
        let end = range.min + size;
        let mut off = range.min;
        while off < end {
            let index = slot_of(off);
            let slot = self.state.frame(frame).stack.slot(index);
            if corrupts && slot.is_spilled() && !slot.is_spilled_scalar() {
                return Err(AccessViolation::CorruptSpilledPointer.into());
            }
            self.destroy_dynptr(frame, index)?;
            self.note_fastcall_access(frame, off);
            self.state.scratch_slot(index);
            let size = end.min(-((index * SLOT_BYTES) as i32)) - off;
            self.write_bytes(frame, index, off, size, Stored::Unknown)?;
            off += size;
        }
        Ok(())
    }

    pub(super) fn set_slot_precise(&mut self, frame: usize, index: usize, precise: bool) {
        let marks = &mut self.state.precise[frame].slots;
        *marks = (*marks & !(1 << index)) | (u64::from(precise) << index);
    }

    /// A write that is no spill: zero or anything.
    fn write_bytes(
        &mut self,
        frame: usize,
        index: usize,
        off: i32,
        size: i32,
        stored: Stored,
    ) -> Check<()> {
        self.scrub_slot(frame, index);
        let kind = if self.stores_zero(stored) {
            // The bytes are zero only if the register is.
            if let Stored::Reg(reg) = stored {
                self.mark_precise(reg)?;
            }
            ByteKind::Zero
        } else {
            ByteKind::Misc
        };
        let slot = self.state.frame_mut(frame).stack.slot_mut(index);
        for at in 0..size {
            slot.bytes[byte_of(off + at)] = kind;
        }
        Ok(())
    }

    pub(super) fn stores_zero(&self, stored: Stored) -> bool {
        match stored {
            Stored::Reg(reg) => self.state.reg(reg).is_null(),
            Stored::Imm(imm) => imm == 0,
            Stored::Unknown => false,
        }
    }

    /// Forgets what was spilled in a slot; its bytes are only known to be there.
    pub(super) fn scrub_slot(&mut self, frame: usize, index: usize) {
        let slot = self.state.frame_mut(frame).stack.slot_mut(index);
        let special = match slot.bytes[SLOT_BYTES - 1] {
            ByteKind::Spill | ByteKind::Dynptr | ByteKind::Iter | ByteKind::IrqFlag => true,
            ByteKind::Invalid | ByteKind::Misc | ByteKind::Zero => false,
        };
        slot.value = Value::Uninit;
        if special {
            scrub_bytes(slot);
        }
        self.set_slot_precise(frame, index, false);
    }
}

pub(super) fn scrub_bytes(slot: &mut Slot) {
    for byte in &mut slot.bytes {
        if *byte != ByteKind::Invalid {
            *byte = ByteKind::Misc;
        }
    }
}

/// Bytes of the spill, counted from the lowest address.
fn spilled_bytes(slot: &Slot) -> usize {
    slot.bytes
        .iter()
        .rev()
        .take_while(|&&byte| byte == ByteKind::Spill)
        .count()
}

/// Whether a pointer may be kept on the stack (`is_spillable_regtype`).
fn is_spillable(pointer: &Pointer) -> bool {
    match pointer.region {
        Region::Ctx
        | Region::ConstMap { .. }
        | Region::MapValue { .. }
        | Region::MapKey { .. }
        | Region::Stack { .. }
        | Region::PacketMeta { .. }
        | Region::Packet { .. }
        | Region::PacketEnd
        | Region::FlowKeys
        | Region::Sock(_)
        | Region::Btf { .. }
        | Region::Mem { .. }
        | Region::Arena
        | Region::Buf
        | Region::Func { .. } => true,
        Region::TpBuffer | Region::ConstDynptr { .. } | Region::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_name_slots_and_bytes_as_the_kernel_counts_them() {
        assert_eq!((slot_of(-1), byte_of(-1)), (0, 0));
        assert_eq!((slot_of(-8), byte_of(-8)), (0, 7));
        assert_eq!((slot_of(-9), byte_of(-9)), (1, 0));
        assert_eq!((slot_of(-512), byte_of(-512)), (63, 7));
    }
}
