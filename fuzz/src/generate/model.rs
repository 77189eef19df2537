//! What the generator believes of the program it writes: a value for each register and stack slot.
//!
//! The model is coarser than any verifier's and need not be right: where it errs, the program is one
//! that a verifier has to decide. It serves to make most steps plausible.

use skep_isa::Reg;

/// What a register or slot holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Val {
    /// Nothing.
    #[default]
    Uninit,
    /// A number from `lo` to `hi`, unsigned.
    Num { lo: u64, hi: u64 },
    /// The context.
    Ctx,
    /// The program's own stack, from `lo` to `hi` bytes from the frame pointer.
    Stack { lo: i32, hi: i32 },
    /// A map of the program, by index into the stock.
    Map { map: usize },
    /// Memory of `len` bytes, or NULL; the pointer stands from `lo` to `hi` bytes behind its start.
    Mem {
        kind: MemKind,
        id: u32,
        lo: i32,
        hi: i32,
        len: u32,
        null: bool,
    },
    /// The packet or its metadata; `off` from where `id` stands.
    Packet { id: u32, off: i32, meta: bool },
    /// The end of the packet.
    PacketEnd,
    /// A socket, or NULL.
    Sock { id: u32, null: bool, common: bool },
    /// Something of which nothing is known, not even whether it may be read.
    Other,
}

/// What memory a pointer points to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum MemKind {
    /// A map's value.
    Value { writable: bool, readable: bool },
    /// A map's key, in a callback.
    Key,
    /// The caller's stack.
    Caller,
    /// A ring buffer's record.
    Record,
    /// An argument of a global function.
    Arg,
    /// What a flow dissector fills.
    FlowKeys,
}

impl Val {
    /// Any number.
    pub(super) const ANY: Val = Val::Num {
        lo: 0,
        hi: u64::MAX,
    };

    /// That number.
    pub(super) const fn known(number: u64) -> Val {
        Val::Num {
            lo: number,
            hi: number,
        }
    }

    pub(super) fn is_num(self) -> bool {
        matches!(self, Val::Num { .. })
    }

    /// Whether it can be read.
    pub(super) fn is_init(self) -> bool {
        !matches!(self, Val::Uninit | Val::Other)
    }

    pub(super) fn is_pointer(self) -> bool {
        self.is_init() && !self.is_num()
    }

    /// What holds where two paths meet.
    fn meet(self, other: Val) -> Val {
        match (self, other) {
            (a, b) if a == b => a,
            (Val::Num { lo, hi }, Val::Num { lo: l, hi: h }) => Val::Num {
                lo: lo.min(l),
                hi: hi.max(h),
            },
            (Val::Uninit, _) | (_, Val::Uninit) => Val::Uninit,
            _ => Val::Other,
        }
    }
}

/// Eight bytes of stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Slot {
    /// Never written.
    #[default]
    Empty,
    /// Bytes of which nothing is known.
    Misc,
    /// A whole register.
    Spill(Val),
}

/// Slots of a frame.
pub(super) const SLOTS: usize = 64;

/// Everything that is believed at one place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Model {
    regs: [Val; 11],
    slots: [Slot; SLOTS],
    /// Bytes that were proved to lie in the packet, by id.
    rooms: Vec<(u32, u32)>,
}

impl Model {
    /// A frame at its first instruction, with these arguments from R1 on.
    pub(super) fn entry(args: &[Val]) -> Model {
        let mut regs = [Val::Uninit; 11];
        for (reg, arg) in regs.iter_mut().skip(1).zip(args) {
            *reg = *arg;
        }
        regs[10] = Val::Stack { lo: 0, hi: 0 };
        Model {
            regs,
            slots: [Slot::Empty; SLOTS],
            rooms: Vec::new(),
        }
    }

    pub(super) fn get(&self, reg: Reg) -> Val {
        self.regs
            .get(usize::from(reg.number()))
            .copied()
            .unwrap_or_default()
    }

    pub(super) fn set(&mut self, reg: Reg, val: Val) {
        if let Some(slot) = self.regs.get_mut(usize::from(reg.number())) {
            *slot = val;
        }
    }

    /// The slot that holds the byte `off` from the frame pointer; `off` is negative.
    pub(super) fn slot(&self, off: i32) -> Slot {
        slot_index(off)
            .and_then(|at| self.slots.get(at))
            .copied()
            .unwrap_or_default()
    }

    /// Remembers a store of `len` bytes; a whole slot keeps the value.
    pub(super) fn store(&mut self, off: i32, len: u32, val: Val) {
        let whole = len == 8 && off % 8 == 0;
        for at in off..off.saturating_add(len as i32) {
            if let Some(slot) = slot_index(at).and_then(|at| self.slots.get_mut(at)) {
                *slot = if whole { Slot::Spill(val) } else { Slot::Misc };
            }
        }
    }

    /// Bytes of the packet that were proved from `id` on.
    pub(super) fn room(&self, id: u32) -> u32 {
        self.rooms
            .iter()
            .find(|(of, _)| *of == id)
            .map_or(0, |(_, room)| *room)
    }

    pub(super) fn set_room(&mut self, id: u32, room: u32) {
        match self.rooms.iter_mut().find(|(of, _)| *of == id) {
            Some((_, old)) => *old = room.max(*old),
            None => self.rooms.push((id, room)),
        }
    }

    /// All pointers of that origin are known to be there.
    pub(super) fn not_null(&mut self, of: u32) {
        self.each(|val| match val {
            Val::Mem { id, null, .. } | Val::Sock { id, null, .. } if *id == of => *null = false,
            _ => {}
        });
    }

    /// The object of that origin is given up: its pointers die.
    pub(super) fn release(&mut self, of: u32) {
        self.each(|val| match val {
            Val::Mem { id, .. } | Val::Sock { id, .. } if *id == of => *val = Val::Uninit,
            _ => {}
        });
    }

    /// The packet may have moved.
    pub(super) fn packet_moved(&mut self) {
        self.each(|val| {
            if matches!(val, Val::Packet { .. } | Val::PacketEnd) {
                *val = Val::Uninit;
            }
        });
    }

    /// Forgets ranges of numbers, since a loop changes them.
    pub(super) fn widen(&mut self) {
        self.each(|val| {
            if val.is_num() {
                *val = Val::ANY;
            }
        });
    }

    /// A call: R0 to R5 are gone.
    pub(super) fn clobber(&mut self) {
        for reg in self.regs.iter_mut().take(6) {
            *reg = Val::Uninit;
        }
    }

    /// What holds where two paths meet.
    pub(super) fn meet(&mut self, other: &Model) {
        for (a, b) in self.regs.iter_mut().zip(&other.regs) {
            *a = a.meet(*b);
        }
        for (a, b) in self.slots.iter_mut().zip(&other.slots) {
            *a = match (*a, *b) {
                (a, b) if a == b => a,
                (Slot::Spill(a), Slot::Spill(b)) if a.is_num() && b.is_num() => {
                    Slot::Spill(a.meet(b))
                }
                (Slot::Empty, _) | (_, Slot::Empty) => Slot::Empty,
                _ => Slot::Misc,
            };
        }
        self.rooms.retain_mut(|(id, room)| {
            *room = (*room).min(other.room(*id));
            *room > 0
        });
    }

    fn each(&mut self, mut change: impl FnMut(&mut Val)) {
        self.regs.iter_mut().for_each(&mut change);
        for slot in &mut self.slots {
            if let Slot::Spill(val) = slot {
                change(val);
            }
        }
    }
}

fn slot_index(off: i32) -> Option<usize> {
    let below = off.checked_neg()?.checked_sub(1)?;
    usize::try_from(below / 8).ok().filter(|_| below >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_store_is_a_spill_and_a_part_is_not() {
        let mut model = Model::entry(&[Val::Ctx]);
        model.store(-8, 8, Val::Ctx);
        assert_eq!(model.slot(-8), Slot::Spill(Val::Ctx));
        assert_eq!(model.slot(-1), Slot::Spill(Val::Ctx));
        model.store(-3, 1, Val::ANY);
        assert_eq!(model.slot(-8), Slot::Misc);
        assert_eq!(model.slot(-9), Slot::Empty);
        assert_eq!(model.slot(4), Slot::Empty);
    }

    #[test]
    fn what_two_paths_disagree_about_is_not_used() {
        let (mut a, mut b) = (Model::entry(&[Val::Ctx]), Model::entry(&[Val::Ctx]));
        a.set(Reg::R6, Val::known(3));
        b.set(Reg::R6, Val::known(9));
        a.set(Reg::R7, Val::Ctx);
        b.set(Reg::R7, Val::known(0));
        a.set(Reg::R8, Val::ANY);
        a.meet(&b);
        assert_eq!(a.get(Reg::R1), Val::Ctx);
        assert_eq!(a.get(Reg::R6), Val::Num { lo: 3, hi: 9 });
        assert_eq!(a.get(Reg::R7), Val::Other);
        assert_eq!(a.get(Reg::R8), Val::Uninit);
    }
}
