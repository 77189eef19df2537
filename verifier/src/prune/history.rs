//! The way that a path took since its parent state was remembered.
//!
//! An entry is recorded where a path may have come from elsewhere than the slot before (jump points),
//! where it touched the stack with a whole register, and where linked numbers learned from each other.
//! What lies between two entries was walked straight on. [`super::backtrack`] reads it backwards.

use std::ops::BitOr;

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

/// Jumps and stack accesses of a path since its parent was remembered: the last one's place among
/// all [`Entries`], and how many there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct History {
    /// Means nothing where there are none.
    last: u32,
    len: u32,
}

impl History {
    /// Number of entries.
    #[inline]
    pub(crate) const fn len(self) -> usize {
        self.len as usize
    }
}

/// An entry, and the place of the one before it.
#[derive(Clone, Copy, Debug)]
struct Node {
    entry: HistoryEntry,
    before: u32,
}

/// The entries of all histories. Each knows the one before it, so that paths that part share what they
/// have in common; none is changed.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    nodes: Vec<Node>,
}

impl Entries {
    /// Room for the entries of a program of that many instructions.
    pub(super) fn with_capacity(insns: usize) -> Entries {
        Entries {
            nodes: Vec::with_capacity(insns),
        }
    }

    /// Bytes that an entry takes.
    pub(super) const BYTES: usize = size_of::<Node>();

    /// The last entry of a history.
    #[inline]
    pub(super) fn last(&self, history: History) -> Option<&HistoryEntry> {
        if history.len == 0 {
            return None;
        }
        self.nodes
            .get(history.last as usize)
            .map(|node| &node.entry)
    }

    /// A history without its last entry.
    #[inline]
    pub(super) fn before_last(&self, history: History) -> History {
        let node = self.nodes.get(history.last as usize);
        History {
            last: node.map_or(0, |node| node.before),
            len: history.len.saturating_sub(1),
        }
    }

    /// The entries of a history, last one first.
    pub(crate) fn back(&self, history: History) -> impl Iterator<Item = &HistoryEntry> {
        let mut rest = history;
        std::iter::from_fn(move || {
            let entry = self.last(rest)?;
            rest = self.before_last(rest);
            Some(entry)
        })
    }

    /// Records arriving at `idx` from `prev`.
    #[inline]
    pub(super) fn push(
        &mut self,
        history: &mut History,
        idx: InsnIdx,
        prev: Option<InsnIdx>,
        flags: HistoryFlags,
        linked: LinkedRegs,
    ) {
        self.add(history, HistoryEntry::new(idx, prev, flags, linked));
    }

    /// Adds to the last entry: an instruction has one entry however much it records.
    pub(super) fn merge_into_last(
        &mut self,
        history: &mut History,
        flags: HistoryFlags,
        linked: LinkedRegs,
    ) {
        let Some(&(mut entry)) = self.last(*history) else {
            return;
        };
        entry.prev_and_flags |= u32::from(flags.0) << 20;
        entry.linked = linked;
        *history = self.before_last(*history);
        self.add(history, entry);
    }

    #[inline]
    fn add(&mut self, history: &mut History, entry: HistoryEntry) {
        let before = history.last;
        history.last = self.nodes.len() as u32;
        history.len += 1;
        self.nodes.push(Node { entry, before });
    }

    /// Forgets all; returns how many there were.
    pub(super) fn clear(&mut self) -> usize {
        let count = self.nodes.len();
        self.nodes.clear();
        count
    }
}
