//! The stack of one frame, byte by byte, in slots of eight.
//!
//! Slot 0 holds bytes -8 to -1 from the frame pointer, slot 1 bytes -16 to -9, and so on. Within a
//! slot, bytes are counted downwards as the kernel counts `slot_type`: index `i` is the byte at
//! offset `-(slot * 8) - i - 1`, so index 7 is the lowest address.

use std::rc::Rc;

use smallvec::SmallVec;

use super::Value;
use crate::prune::StateId;

/// Bytes of a slot.
pub(crate) const SLOT_BYTES: usize = 8;

/// What one byte of stack holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum ByteKind {
    /// Never written.
    #[default]
    Invalid,
    /// Part of a spilled register.
    Spill,
    /// Something was written.
    Misc,
    /// Zero.
    Zero,
    /// Part of a dynptr.
    Dynptr,
    /// Part of an iterator.
    Iter,
    /// Part of saved interrupt flags.
    IrqFlag,
}

/// Eight bytes of stack and the value that was spilled there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slot {
    /// The bytes; index 7 is the lowest address.
    pub(crate) bytes: [ByteKind; SLOT_BYTES],
    /// The spilled value; [`Value::Uninit`] where none is.
    pub(crate) value: Value,
}

impl Slot {
    /// A slot that was never written.
    pub(crate) const EMPTY: Slot = Slot {
        bytes: [ByteKind::Invalid; SLOT_BYTES],
        value: Value::Uninit,
    };

    /// Whether a register is spilled here, wholly or in part (the kernel's `is_spilled_reg`).
    pub(crate) fn is_spilled(&self) -> bool {
        self.bytes[SLOT_BYTES - 1] == ByteKind::Spill
    }

    /// Whether a number is spilled here, wholly or in part.
    pub(crate) fn is_spilled_scalar(&self) -> bool {
        self.is_spilled() && matches!(self.value, Value::Scalar(_))
    }
}

/// Slots that are copied together when one of them is written.
const CHUNK: usize = 4;

/// The slots that a frame has touched so far. Copies share them until one side writes.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    chunks: SmallVec<[Rc<[Slot; CHUNK]>; 8]>,
    len: usize,
    /// The remembered state before the frame's last change, and the slots changed since that state
    /// was remembered, one bit each.
    base: Option<StateId>,
    changed: u64,
}

impl Default for Stack {
    fn default() -> Stack {
        Stack {
            chunks: SmallVec::new(),
            len: 0,
            base: None,
            changed: u64::MAX,
        }
    }
}

/// Equal contents; how they came about does not count.
impl PartialEq for Stack {
    fn eq(&self, other: &Stack) -> bool {
        self.len == other.len && self.slots().eq(other.slots())
    }
}

impl Stack {
    /// The frame is about to be changed on a path that continues `parent`.
    #[inline]
    pub(super) fn changes_after(&mut self, parent: Option<StateId>) {
        if self.base != parent {
            self.base = parent;
            self.changed = 0;
        }
    }

    /// The frame was made on a path that continues `parent`.
    pub(super) fn made_after(&mut self, parent: Option<StateId>) {
        self.base = parent;
        self.changed = u64::MAX;
    }

    /// The slots that differ from the frame as remembered in `parent`, which the path continues: a
    /// superset, one bit each; `None` if the whole frame is as it was.
    pub(crate) fn changed_since(&self, parent: StateId) -> Option<u64> {
        (self.base == Some(parent)).then_some(self.changed)
    }

    /// Slots that were touched: those below are [`Slot::EMPTY`].
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that were touched.
    pub(crate) fn allocated(&self) -> usize {
        self.len * SLOT_BYTES
    }

    /// Slot `index`, if it was touched.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&Slot> {
        if index >= self.len {
            return None;
        }
        Some(&self.chunks.get(index / CHUNK)?[index % CHUNK])
    }

    /// Slot `index`; empty where nothing was touched.
    #[inline]
    pub(crate) fn slot(&self, index: usize) -> &Slot {
        self.get(index).unwrap_or(&Slot::EMPTY)
    }

    /// Slot `index` to be changed, growing the stack to it.
    pub(crate) fn slot_mut(&mut self, index: usize) -> &mut Slot {
        self.grow(index + 1);
        self.changed |= 1 << (index & 63);
        &mut Rc::make_mut(&mut self.chunks[index / CHUNK])[index % CHUNK]
    }

    /// Makes at least `slots` slots exist.
    pub(crate) fn grow(&mut self, slots: usize) {
        if self.len < slots {
            self.len = slots;
            while self.chunks.len() * CHUNK < slots {
                self.chunks.push(Rc::new([Slot::EMPTY; CHUNK]));
            }
        }
    }

    /// The touched slots, nearest to the frame pointer first.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.chunks
            .iter()
            .flat_map(|chunk| chunk.iter())
            .take(self.len)
    }
}
