//! Where a program keeps values: registers that survive calls, and slots of its frame.

use skep_isa::{AluOp, Reg, Size};

use super::model::{HOMES, SCRATCH, SLOTS, Section, Val};
use super::writer::Writer;

impl Writer<'_> {
    /// A home for a new value: an empty one if there is one; never one that holds a reference or a
    /// lock's value, unless there is no other. What it held goes to the frame, at times.
    pub(super) fn home(&mut self) -> usize {
        let locked = |at: usize| {
            let reg = HOMES.get(at).copied();
            self.model
                .sections
                .iter()
                .any(|s| matches!(s, Section::Lock(lock) if Some(*lock) == reg))
        };
        let free: Vec<usize> = (0..4)
            .filter(|at| self.model.regs[*at].held() == 0 && !locked(*at))
            .collect();
        let cheap =
            |at: &&usize| matches!(self.model.regs[**at], Val::Nothing | Val::Num | Val::Stale);
        let at = free.iter().find(cheap).copied();
        let at = at.or_else(|| {
            let not_ctx: Vec<usize> = free
                .iter()
                .copied()
                .filter(|at| self.model.regs[*at] != Val::Ctx)
                .collect();
            self.rng.choose(&not_ctx).copied()
        });
        let at = at.unwrap_or_else(|| self.rng.index(4));
        let old = self.model.regs[at];
        if old.held() != 0 || old == Val::Ctx || self.rng.chance(25) {
            let slot = (0..SLOTS).find(|slot| self.model.slots[*slot] == Val::Nothing);
            let slot = slot.unwrap_or_else(|| self.rng.index(SLOTS));
            self.spill(at, slot);
        }
        at
    }

    pub(super) fn spill(&mut self, at: usize, slot: usize) {
        if self.model.regs[at] != Val::Nothing {
            self.out.store(Size::DW, Reg::FP, slot_off(slot), HOMES[at]);
            self.model.slots[slot] = self.model.regs[at];
        }
    }

    /// Puts `reg`, which holds `val`, into a home.
    pub(super) fn keep(&mut self, reg: Reg, val: Val) -> usize {
        let at = self.home();
        self.out.mov(HOMES[at], reg);
        self.model.regs[at] = val;
        at
    }

    /// A home whose value is as wanted, filled from the frame if need be.
    pub(super) fn find(&mut self, wanted: impl Fn(Val) -> bool) -> Option<usize> {
        let fits: Vec<usize> = (0..4).filter(|at| wanted(self.model.regs[*at])).collect();
        if let Some(at) = self.rng.choose(&fits) {
            return Some(*at);
        }
        let slots: Vec<usize> = (0..SLOTS)
            .filter(|at| wanted(self.model.slots[*at]))
            .collect();
        let slot = self.rng.choose(&slots).copied()?;
        let val = self.model.slots[slot];
        let at = self.home();
        // Making room may have taken the slot.
        if self.model.slots[slot] != val {
            return None;
        }
        self.out.load(Size::DW, HOMES[at], Reg::FP, slot_off(slot));
        self.model.regs[at] = val;
        Some(at)
    }

    /// Any home with something in it.
    pub(super) fn any(&mut self) -> Option<usize> {
        self.find(|val| val != Val::Nothing)
    }

    /// `dst` points to `size` zeroed bytes of the frame.
    pub(super) fn scratch(&mut self, dst: Reg, size: i32) {
        let mut at = SCRATCH - size.max(8);
        at -= at.rem_euclid(8);
        for off in (at..SCRATCH - 7).step_by(8) {
            self.out.store(Size::DW, Reg::FP, off as i16, 0);
        }
        self.out.mov(dst, Reg::FP);
        self.out.alu(AluOp::Add, dst, at);
    }
}

/// Where a slot of the frame lies.
pub(super) fn slot_off(slot: usize) -> i16 {
    -8 * (slot as i16 + 1)
}
