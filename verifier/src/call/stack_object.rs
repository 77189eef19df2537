//! Objects on the stack, whatever they are: where they may lie, and what touching them means.

use crate::env::Env;
use crate::state::{Pointer, SLOT_BYTES};
use crate::violation::StackPlace;

/// The first slot of an object; `None` if it lies beyond what was touched.
pub(super) type Touched = Option<usize>;

impl Env<'_> {
    /// The slot in which an object of `slots` slots begins that a pointer points to, or why none can
    /// be there (`stack_slot_obj_get_spi`). The others have the numbers below.
    pub(super) fn object_place(
        &self,
        frame: usize,
        pointer: &Pointer,
        slots: usize,
    ) -> Result<Touched, StackPlace> {
        let Some(var) = pointer.var.const_value() else {
            return Err(StackPlace::Unknown);
        };
        let off = pointer.off.wrapping_add(var as i32);
        let slot_bytes = SLOT_BYTES as i32;
        let index = off.wrapping_neg().wrapping_sub(1) / slot_bytes;
        if off % slot_bytes != 0 || index.wrapping_add(1) < slots as i32 {
            return Err(StackPlace::Offset(off));
        }
        let touched = self.state.frame(frame).stack.len();
        Ok(usize::try_from(index).ok().filter(|&index| index < touched))
    }

    /// An object is read, slot by slot (`mark_stack_slot_obj_read`).
    pub(super) fn mark_object_read(&mut self, frame: usize, first: usize, slots: usize) {
        for index in object_slots(first, slots) {
            self.mark_stack_read(frame, self.state.insn_idx, 1 << index);
            self.state.scratch_slot(index);
        }
    }
}

/// The slots of an object, the one at the lowest address first.
pub(super) fn object_slots(first: usize, slots: usize) -> impl Iterator<Item = usize> {
    (0..slots).filter_map(move |nth| first.checked_sub(nth))
}
