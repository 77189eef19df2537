//! Critical sections that kernel functions open and close: RCU read sections, preemption off,
//! interrupts off.
//!
//! Nothing may sleep inside one, and all must be closed before the program ends. RCU read sections do
//! not nest; what they protected is not to be trusted any more behind them. Sections without preemption
//! are counted. The state of interrupts is kept in a slot of the stack, and restored in the reverse
//! order of saving.

use skep_isa::{Reg, Size};
use skep_spec::tables::{KfuncFlags, KfuncRole};

use super::kfunc::{KfuncMeta, unmodelled};
use crate::access::{MemAccess, Stored};
use crate::env::Env;
use crate::state::{ByteKind, Pointer, PtrFlags, Region, Slot, StackObject, Value};
use crate::violation::{Check, IrqClass, KfuncArgViolation, KfuncViolation, NoSleep, StackPlace};

impl Env<'_> {
    /// Opens or closes a section; functions that may sleep are refused inside one.
    pub(super) fn change_sections(&mut self, meta: &KfuncMeta<'_>) -> Check<()> {
        self.change_rcu_section(meta)?;
        self.change_preempt_section(meta)?;
        let id = meta.kfunc.id;
        let sleeps = meta.has(KfuncFlags::SLEEPABLE);
        if sleeps && self.state.refs.active_irq_id != 0 {
            let section = NoSleep::Irq;
            return Err(KfuncViolation::SleepsInSection { id, section }.into());
        }
        if meta.has(KfuncFlags::RCU_PROTECTED) && !self.in_rcu_section() {
            return Err(KfuncViolation::NeedsRcu { id }.into());
        }
        Ok(())
    }

    fn change_rcu_section(&mut self, meta: &KfuncMeta<'_>) -> Check<()> {
        let id = meta.kfunc.id;
        let opens = meta.row.role == KfuncRole::RcuReadLock;
        let closes = meta.row.role == KfuncRole::RcuReadUnlock;
        match self.state.refs.active_rcu {
            true if opens => Err(KfuncViolation::NestedRcu { id }.into()),
            true if closes => {
                self.end_rcu_protection();
                self.state.refs_mut().active_rcu = false;
                Ok(())
            }
            true if meta.has(KfuncFlags::SLEEPABLE) => {
                let section = NoSleep::Rcu;
                Err(KfuncViolation::SleepsInSection { id, section }.into())
            }
            false if opens => {
                self.state.refs_mut().active_rcu = true;
                Ok(())
            }
            false if closes => Err(KfuncViolation::UnmatchedRcu { id }.into()),
            true | false => Ok(()),
        }
    }

    /// What the section protected may be freed from now on: it can still be read, as such reads are
    /// probed.
    fn end_rcu_protection(&mut self) {
        let is_protected = |value: &Value| {
            value
                .pointer()
                .is_some_and(|p| p.flags.contains(PtrFlags::RCU))
        };
        self.state.update_values(is_protected, end_protection);
        for number in 0..=self.state.curframe() {
            for index in 0..self.state.frame(number).stack.len() {
                let slot = self.state.frame(number).stack.slot(index);
                if slot.bytes[0] == ByteKind::Iter && is_protected(&slot.value) {
                    let slot = self.state.frame_mut(number).stack.slot_mut(index);
                    end_protection(&mut slot.value);
                }
            }
        }
    }

    fn change_preempt_section(&mut self, meta: &KfuncMeta<'_>) -> Check<()> {
        let id = meta.kfunc.id;
        let inside = self.state.refs.active_preempt_locks > 0;
        let opens = meta.row.role == KfuncRole::PreemptDisable;
        let closes = meta.row.role == KfuncRole::PreemptEnable;
        if opens {
            self.state.refs_mut().active_preempt_locks += 1;
        } else if closes && inside {
            self.state.refs_mut().active_preempt_locks -= 1;
        } else if closes {
            return Err(KfuncViolation::UnmatchedPreempt { id }.into());
        } else if inside && meta.has(KfuncFlags::SLEEPABLE) {
            let section = NoSleep::Preempt;
            return Err(KfuncViolation::SleepsInSection { id, section }.into());
        }
        Ok(())
    }

    /// The argument that says where the state of interrupts is saved, or restored from
    /// (`process_irq_flag`).
    pub(super) fn check_irq_parameter(
        &mut self,
        meta: &KfuncMeta<'_>,
        arg: usize,
        reg: Reg,
    ) -> Check<()> {
        let role = meta.row.role;
        if role == KfuncRole::IrqSave {
            self.check_irq_flag(arg, reg, true, IrqClass::Native)
        } else if role == KfuncRole::IrqRestore {
            self.check_irq_flag(arg, reg, false, IrqClass::Native)
        } else if role == KfuncRole::ResSpinLockIrqsave {
            self.check_irq_flag(arg, reg, true, IrqClass::Lock)
        } else if role == KfuncRole::ResSpinUnlockIrqrestore {
            self.check_irq_flag(arg, reg, false, IrqClass::Lock)
        } else {
            Err(unmodelled(&meta.kfunc))
        }
    }

    fn check_irq_flag(&mut self, arg: usize, reg: Reg, saves: bool, class: IrqClass) -> Check<()> {
        let Some(pointer) = self.state.reg(reg).pointer().copied() else {
            return Ok(());
        };
        let Region::Stack { frame } = pointer.region else {
            return Ok(());
        };
        let frame = frame as usize;
        if saves {
            self.save_irq(arg, reg, frame, &pointer, class)
        } else {
            self.restore_irq(arg, frame, &pointer, class)
        }
    }

    fn save_irq(
        &mut self,
        arg: usize,
        reg: Reg,
        frame: usize,
        pointer: &Pointer,
        class: IrqClass,
    ) -> Check<()> {
        let in_use = |place| KfuncArgViolation::IrqFlagInUse { arg, place };
        let stack = &self.state.frame(frame).stack;
        if let Some(index) = self.object_place(frame, pointer, 1).map_err(in_use)?
            && stack.slot(index).bytes.contains(&ByteKind::IrqFlag)
        {
            return Err(in_use(StackPlace::Slot).into());
        }
        let access = MemAccess::Write(Stored::Unknown);
        self.check_mem_access(reg, 0, Size::DW, access, false)?;
        // The write made the stack grow to the slot.
        let Some(index) = self.object_place(frame, pointer, 1).map_err(in_use)? else {
            return Err(in_use(StackPlace::Slot).into());
        };
        let id = self.learned.next_id();
        let insn_idx = self.state.insn_idx;
        self.state.refs_mut().save_irq(id, insn_idx);
        let object = StackObject::Irq { class };
        let slot = Slot::holding(object, PtrFlags::empty(), 0, id);
        *self.state.frame_mut(frame).stack.slot_mut(index) = slot;
        self.state.scratch_slot(index);
        Ok(())
    }

    fn restore_irq(
        &mut self,
        arg: usize,
        frame: usize,
        pointer: &Pointer,
        class: IrqClass,
    ) -> Check<()> {
        let missing = |place| KfuncArgViolation::NoIrqFlag { arg, place };
        let index = self.object_place(frame, pointer, 1).map_err(missing)?;
        let stack = &self.state.frame(frame).stack;
        let saved = index.and_then(|index| Some((index, stack.slot(index).object()?)));
        let Some((index, (StackObject::Irq { class: saved }, kept))) = saved else {
            return Err(missing(StackPlace::Slot).into());
        };
        let id = kept.ref_id;
        self.mark_object_read(frame, index, 1);
        if class != saved {
            let restored = class;
            return Err(KfuncArgViolation::IrqFlagClass { saved, restored }.into());
        }
        if !self.state.refs_mut().restore_irq(id) {
            let id = self.state.refs.active_irq_id;
            let innermost = self.state.refs.list.iter().find(|held| held.id == id);
            let insn_idx = innermost.map_or(0, |held| held.insn_idx);
            return Err(KfuncArgViolation::IrqFlagOrder { id, insn_idx }.into());
        }
        self.mark_stack_write(frame, 1 << index);
        *self.state.frame_mut(frame).stack.slot_mut(index) = Slot::EMPTY;
        self.state.scratch_slot(index);
        Ok(())
    }
}

fn end_protection(value: &mut Value) {
    if let Some(pointer) = value.pointer_mut() {
        pointer.flags -= PtrFlags::RCU | PtrFlags::MAYBE_NULL;
        pointer.flags |= PtrFlags::UNTRUSTED;
    }
}
