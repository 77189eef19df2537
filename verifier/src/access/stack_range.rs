//! Ranges of the stack: writes somewhere in one, and what reads at a varying offset and helpers may see of
//! one.

use skep_isa::Reg;
use skep_spec::Capability;

use super::stack::{StackRange, byte_of, scrub_bytes, slot_of};
use super::{RawAccess, Stored};
use crate::env::Env;
use crate::state::{ByteKind, Pointer, Value};
use crate::violation::{AccessViolation, Check};

impl Env<'_> {
    /// A write somewhere in a range: each byte of it may have changed
    /// (`check_stack_write_var_off`).
    pub(super) fn write_variable(
        &mut self,
        range: StackRange,
        size: i32,
        stored: Stored,
    ) -> Check<()> {
        let end = range.max + size;
        for off in range.min..end {
            self.destroy_dynptr(range.frame, slot_of(off))?;
        }
        self.note_fastcall_access(range.frame, range.min);
        let zero = self.stores_zero(stored);
        let mut zero_used = false;
        for off in range.min..end {
            let index = slot_of(off);
            self.state.scratch_slot(index);
            let slot = *self.state.frame(range.frame).stack.slot(index);
            let byte = slot.bytes[byte_of(off)];
            if !self.ctx.facts.lane().ptr_leaks && !matches!(byte, ByteKind::Misc | ByteKind::Zero)
            {
                return Err(AccessViolation::VariableWriteOverSpill { off }.into());
            }
            let keeps_zero =
                zero && byte == ByteKind::Spill && slot.is_spilled_scalar() && slot.value.is_null();
            if keeps_zero {
                zero_used = true;
                continue;
            }
            if self.ctx.facts.has(Capability::ScrubbedSpills) {
                self.scrub_slot(range.frame, index);
            } else {
                let slot = self.state.frame_mut(range.frame).stack.slot_mut(index);
                slot.value = Value::Uninit;
                self.set_slot_precise(range.frame, index, false);
            }
            // Scrubbing may have changed the byte: what counts is what it was turned into.
            let slot = self.state.frame_mut(range.frame).stack.slot_mut(index);
            let byte = &mut slot.bytes[byte_of(off)];
            if *byte == ByteKind::Invalid && !self.ctx.facts.lane().uninit_stack {
                return Err(AccessViolation::VariableWriteUninit { off }.into());
            }
            if zero && *byte == ByteKind::Zero {
                zero_used = true;
            } else {
                *byte = ByteKind::Misc;
            }
        }
        if zero_used && let Stored::Reg(reg) = stored {
            self.mark_precise(reg)?;
        }
        Ok(())
    }

    /// The bytes that a read with varying offset, or a helper, may see must all be there
    /// (`check_stack_range_initialized`). With `raw` a helper that fills memory may find it
    /// uninitialised; it is then told which bytes. `write`: the helper may write what it likes.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a question of its own at every caller"
    )]
    pub(crate) fn check_stack_initialized(
        &mut self,
        reg: Reg,
        pointer: &Pointer,
        off: i32,
        size: i32,
        zero_size_allowed: bool,
        write: bool,
        raw: Option<&mut RawAccess>,
    ) -> Check<()> {
        if size == 0 && !zero_size_allowed {
            return Err(AccessViolation::ZeroSizedRead.into());
        }
        let range = self.check_stack_bounds(reg, pointer, off, size, write)?;
        let is_const = pointer.var.is_const();
        if !is_const && !self.ctx.facts.lane().bypass_spec_v1 {
            let var = pointer.var;
            return Err(AccessViolation::StackVariableUnprivileged { reg, var }.into());
        }
        let end = range.max + size;
        if let Some(raw) = raw.filter(|_| is_const) {
            let stack = &self.state.frame(range.frame).stack;
            for at in range.min..end {
                if stack.slot(slot_of(at)).bytes[byte_of(at)] == ByteKind::Dynptr {
                    return Err(AccessViolation::StackOverDynptr { off: at }.into());
                }
            }
            raw.range = Some((reg, size));
            return Ok(());
        }
        let mut marked = None;
        for at in range.min..end {
            if !self.check_stack_byte(range.frame, at, write) {
                return Err(if is_const {
                    AccessViolation::StackHelperRead {
                        reg,
                        off: range.min,
                        at,
                        size,
                    }
                } else {
                    AccessViolation::StackHelperVariableRead {
                        reg,
                        var: pointer.var,
                        at: at - range.min,
                        size,
                    }
                }
                .into());
            }
            let index = slot_of(at);
            if marked != Some(index) {
                self.mark_stack_read(range.frame, self.state.insn_idx, 1 << index);
                marked = Some(index);
            }
        }
        Ok(())
    }

    /// Whether a helper may see one byte; what it may write it is assumed to have written.
    fn check_stack_byte(&mut self, frame: usize, off: i32, write: bool) -> bool {
        let index = slot_of(off);
        let lane = self.ctx.facts.lane();
        let slot = self.state.frame(frame).stack.slot(index);
        let byte = slot.bytes[byte_of(off)];
        match byte {
            ByteKind::Misc => return true,
            ByteKind::Zero | ByteKind::Invalid if byte == ByteKind::Zero || lane.uninit_stack => {
                if write {
                    let slot = self.state.frame_mut(frame).stack.slot_mut(index);
                    slot.bytes[byte_of(off)] = ByteKind::Misc;
                }
                return true;
            }
            ByteKind::Zero
            | ByteKind::Invalid
            | ByteKind::Spill
            | ByteKind::Dynptr
            | ByteKind::Iter
            | ByteKind::IrqFlag => {}
        }
        let visible = slot.is_spilled() && (slot.is_spilled_scalar() || lane.ptr_leaks);
        if visible && write {
            let slot = self.state.frame_mut(frame).stack.slot_mut(index);
            slot.value = Value::unknown();
            scrub_bytes(slot);
            self.set_slot_precise(frame, index, false);
        }
        visible
    }
}
