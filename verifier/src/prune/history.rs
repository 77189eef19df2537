//! The way that a path took since its parent state was remembered.
//!
//! An entry is recorded where a path may have come from elsewhere than the slot before (jump points),
//! where it touched the stack with a whole register, and where linked numbers learned from each other.
//! What lies between two entries was walked straight on. [`super::backtrack`] reads it backwards.

use std::ops::BitOr;
use std::rc::Rc;

use skep_isa::{InsnIdx, Reg};

/// What an instruction did that going back over it needs to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct HistoryFlags(u16);

impl HistoryFlags {
    const FRAME_MASK: u16 = 0x7;
    const SLOT_SHIFT: u16 = 3;
    const SLOT_MASK: u16 = 0x3f;
    const STACK_ACCESS: u16 = 1 << 9;

    /// Nothing but the arrival itself.
    pub(crate) const NONE: HistoryFlags = HistoryFlags(0);
    /// The left operand of a comparison is a pointer into a stack: nothing to be exact about.
    pub(crate) const DST_NOT_SCALAR: HistoryFlags = HistoryFlags(1 << 10);
    /// The right operand of a comparison is a pointer into a stack.
    pub(crate) const SRC_NOT_SCALAR: HistoryFlags = HistoryFlags(1 << 11);

    /// A whole register was spilled to, or filled from, that slot of that frame.
    pub(crate) const fn stack_access(frame: usize, slot: usize) -> HistoryFlags {
        let slot = (slot as u16 & Self::SLOT_MASK) << Self::SLOT_SHIFT;
        HistoryFlags(Self::STACK_ACCESS | slot | (frame as u16 & Self::FRAME_MASK))
    }

    /// Frame and slot of the access, if there was one.
    pub(crate) const fn accessed_slot(self) -> Option<(usize, usize)> {
        if self.0 & Self::STACK_ACCESS == 0 {
            return None;
        }
        let slot = (self.0 >> Self::SLOT_SHIFT) & Self::SLOT_MASK;
        Some(((self.0 & Self::FRAME_MASK) as usize, slot as usize))
    }

    /// Whether all flags of `other` are set.
    pub(crate) const fn contains(self, other: HistoryFlags) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for HistoryFlags {
    type Output = HistoryFlags;

    fn bitor(self, other: HistoryFlags) -> HistoryFlags {
        HistoryFlags(self.0 | other.0)
    }
}

/// Where a number of a linked family lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LinkedAt {
    /// In a register.
    Reg(Reg),
    /// Spilled in a slot.
    Slot(usize),
}

/// The members of a family of linked numbers that learn together, at most six, packed into a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct LinkedRegs(u64);

impl LinkedRegs {
    /// Members that one instruction can name.
    pub(crate) const MAX: usize = 6;
    /// No family.
    pub(crate) const NONE: LinkedRegs = LinkedRegs(0);

    const COUNT_BITS: u32 = 4;
    const ENTRY_BITS: u32 = 10;

    /// Adds a member; `false` if there is no room for it.
    pub(crate) fn push(&mut self, frame: usize, at: LinkedAt) -> bool {
        let len = self.len();
        if len == Self::MAX {
            return false;
        }
        let (place, is_reg) = match at {
            LinkedAt::Reg(reg) => (reg.index() as u64, 1),
            LinkedAt::Slot(slot) => (slot as u64 & 0x3f, 0),
        };
        let entry = (frame as u64 & 0x7) | (place << 3) | (is_reg << 9);
        self.0 |= entry << (Self::COUNT_BITS + len as u32 * Self::ENTRY_BITS);
        self.0 += 1;
        true
    }

    /// Members.
    pub(crate) const fn len(self) -> usize {
        (self.0 & 0xf) as usize
    }

    /// The members in the order in which they were added, each with its frame.
    pub(crate) fn iter(self) -> impl Iterator<Item = (usize, LinkedAt)> {
        (0..self.len() as u32).map(move |i| {
            let entry = self.0 >> (Self::COUNT_BITS + i * Self::ENTRY_BITS);
            let place = ((entry >> 3) & 0x3f) as usize;
            let at = match Reg::new(place as u8) {
                Some(reg) if entry & (1 << 9) != 0 => LinkedAt::Reg(reg),
                Some(_) | None => LinkedAt::Slot(place),
            };
            ((entry & 0x7) as usize, at)
        })
    }
}

/// One entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct HistoryEntry {
    idx: u32,
    // The previous instruction in the low 20 bits (all ones: none), the flags above.
    prev_and_flags: u32,
    /// Numbers that learned from each other here.
    pub(crate) linked: LinkedRegs,
}

impl HistoryEntry {
    const PREV_MASK: u32 = (1 << 20) - 1;

    fn new(idx: InsnIdx, prev: Option<InsnIdx>, flags: HistoryFlags, linked: LinkedRegs) -> Self {
        let prev = prev.map_or(Self::PREV_MASK, |prev| prev as u32 & Self::PREV_MASK);
        HistoryEntry {
            idx: idx as u32,
            prev_and_flags: prev | (u32::from(flags.0) << 20),
            linked,
        }
    }

    /// The instruction.
    pub(crate) const fn idx(&self) -> InsnIdx {
        self.idx as InsnIdx
    }

    /// The instruction before it, `None` at the very start.
    pub(crate) const fn prev(&self) -> Option<InsnIdx> {
        let prev = self.prev_and_flags & Self::PREV_MASK;
        if prev == Self::PREV_MASK {
            None
        } else {
            Some(prev as InsnIdx)
        }
    }

    /// What it did.
    pub(crate) const fn flags(&self) -> HistoryFlags {
        HistoryFlags((self.prev_and_flags >> 20) as u16)
    }
}

/// Jumps and stack accesses of a path since its parent was remembered. Copies share their entries
/// until one of them records more.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    entries: Option<Rc<Vec<HistoryEntry>>>,
}

impl History {
    /// The entries, oldest first.
    pub(crate) fn entries(&self) -> &[HistoryEntry] {
        self.entries.as_deref().map_or(&[], Vec::as_slice)
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.entries().len()
    }

    /// Bytes that it takes, roughly.
    pub(crate) fn bytes(&self) -> usize {
        const ALLOCATIONS: usize = 64;
        match self.len() {
            0 => 0,
            len => ALLOCATIONS + len * size_of::<HistoryEntry>(),
        }
    }

    /// Gives back memory that more entries would have taken.
    pub(super) fn shrink(&mut self) {
        if let Some(entries) = self.entries.as_mut().and_then(Rc::get_mut) {
            entries.shrink_to_fit();
        }
    }

    /// Records arriving at `idx` from `prev`.
    pub(crate) fn push(
        &mut self,
        idx: InsnIdx,
        prev: Option<InsnIdx>,
        flags: HistoryFlags,
        linked: LinkedRegs,
    ) {
        let entry = HistoryEntry::new(idx, prev, flags, linked);
        Rc::make_mut(self.entries.get_or_insert_default()).push(entry);
    }

    /// Adds to the last entry: an instruction has one entry however much it records.
    pub(crate) fn merge_into_last(&mut self, flags: HistoryFlags, linked: LinkedRegs) {
        let Some(entries) = &mut self.entries else {
            return;
        };
        if let Some(last) = Rc::make_mut(entries).last_mut() {
            last.prev_and_flags |= u32::from(flags.0) << 20;
            last.linked = linked;
        }
    }
}
