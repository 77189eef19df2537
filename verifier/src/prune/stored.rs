//! A state as it is remembered: small, and shared with the state before it as far as it is the same.
//!
//! Registers and slots are numbers of values in the [`Pool`]. What only the current path needs
//! (what is to be printed, how stack accesses went) is left out.

use std::rc::Rc;

use skep_isa::InsnIdx;
use smallvec::SmallVec;

use super::explored::StateId;
use super::history::History;
use super::pool::{Pool, ValueId};
use crate::state::{
    ByteKind, Entry, Frame, Precise, Refs, ReturnRange, SLOT_BYTES, Slot, State, Value,
};

/// Eight bytes of stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct StoredSlot {
    /// The bytes, as in [`Slot`].
    pub(super) bytes: [ByteKind; SLOT_BYTES],
    /// The spilled value.
    pub(super) value: ValueId,
}

impl StoredSlot {
    const EMPTY: StoredSlot = StoredSlot {
        bytes: [ByteKind::Invalid; SLOT_BYTES],
        value: ValueId::UNINIT,
    };

    /// Whether a register is spilled here.
    pub(super) fn is_spilled(&self) -> bool {
        self.bytes[SLOT_BYTES - 1] == ByteKind::Spill
    }
}

/// How a state was reached by calls.
pub(super) trait CallChain {
    /// Number of the current frame; 0 is the outermost.
    fn last_frame(&self) -> usize;

    /// The call that entered frame `number`.
    fn entered_by(&self, number: usize) -> Option<InsnIdx>;

    /// The subprogram of frame `number`.
    fn subprog(&self, number: usize) -> usize;

    /// The instruction that frame `number` is at: the state's, or the call into the next frame.
    fn at(&self, number: usize) -> InsnIdx;
}

impl CallChain for State {
    fn last_frame(&self) -> usize {
        self.curframe()
    }

    fn entered_by(&self, number: usize) -> Option<InsnIdx> {
        self.frame(number).callsite
    }

    fn subprog(&self, number: usize) -> usize {
        self.frame(number).subprog
    }

    fn at(&self, number: usize) -> InsnIdx {
        self.frame_insn_idx(number)
    }
}

impl CallChain for Stored {
    fn last_frame(&self) -> usize {
        self.frames.len() - 1
    }

    fn entered_by(&self, number: usize) -> Option<InsnIdx> {
        self.frames[number].callsite.map(|idx| idx as InsnIdx)
    }

    fn subprog(&self, number: usize) -> usize {
        self.frames[number].subprog as usize
    }

    fn at(&self, number: usize) -> InsnIdx {
        let callee = self.frames.get(number + 1);
        let callsite = callee.and_then(|callee| callee.callsite);
        callsite.unwrap_or(self.insn_idx) as InsnIdx
    }
}

/// Whether two states were reached by the same calls.
pub(super) fn same_callsites(a: &impl CallChain, b: &impl CallChain) -> bool {
    let last = a.last_frame();
    last == b.last_frame() && (0..=last).rev().all(|n| a.entered_by(n) == b.entered_by(n))
}

/// One frame.
#[derive(Clone, Debug)]
pub(super) struct StoredFrame {
    /// Registers.
    pub(super) regs: [ValueId; 11],
    /// Slots that were touched.
    pub(super) slots: Rc<[StoredSlot]>,
    /// Registers that hold numbers, one bit each; the frame pointer apart.
    pub(super) scalar_regs: u16,
    /// Slots in which numbers are spilled.
    pub(super) scalar_slots: u64,
    /// Slots with bytes that are neither invalid nor of unknown content.
    pub(super) known_slots: u64,
    pub(super) callsite: Option<u32>,
    pub(super) subprog: u32,
    pub(super) entry: Entry,
    callback_ret: ReturnRange,
    pub(super) async_entry_count: u32,
    pub(super) callback_depth: u32,
}

/// A remembered state.
#[derive(Debug)]
pub(super) struct Stored {
    /// Outermost first.
    pub(super) frames: SmallVec<[Rc<StoredFrame>; 2]>,
    /// What must be exact, by frame.
    pub(super) precise: SmallVec<[Precise; 2]>,
    pub(super) refs: Rc<Refs>,
    pub(super) history: History,
    pub(super) parent: Option<StateId>,
    pub(super) insn_idx: u32,
    pub(super) first_insn_idx: u32,
    pub(super) last_insn_idx: Option<u32>,
    pub(super) dfs_depth: u32,
    pub(super) callback_unroll_depth: u32,
    pub(super) may_goto_depth: u32,
    pub(super) in_sleepable: bool,
    pub(super) speculative: bool,
}

impl StoredFrame {
    /// A frame, given as it was remembered in the state before, and the slots changed since then.
    fn new(frame: &Frame, before: Option<(&StoredFrame, u64)>, pool: &mut Pool) -> StoredFrame {
        let mut scalar_regs = 0;
        let regs = std::array::from_fn(|reg| {
            let value = &frame.regs[reg];
            scalar_regs |= u16::from(reg < 10 && matches!(value, Value::Scalar(_))) << reg;
            // Most registers are as they were.
            match before.map(|(before, _)| before.regs[reg]) {
                Some(same) if pool.get(same) == value => same,
                Some(_) | None => pool.keep(value),
            }
        });
        let (slots, marks) = store_slots(frame, before, pool);
        StoredFrame {
            regs,
            slots,
            scalar_regs,
            scalar_slots: marks.scalar,
            known_slots: marks.known,
            callsite: frame.callsite.map(|idx| idx as u32),
            subprog: frame.subprog as u32,
            entry: frame.entry,
            callback_ret: frame.callback_ret,
            async_entry_count: frame.async_entry_count,
            callback_depth: frame.callback_depth,
        }
    }

    /// Erases registers and slots that are not named.
    fn erase(&mut self, regs: u16, slots: u64) {
        for (reg, value) in self.regs.iter_mut().enumerate() {
            if regs >> reg & 1 == 0 {
                *value = ValueId::UNINIT;
            }
        }
        self.scalar_regs &= regs;
        let is_dead = |(index, slot): (usize, &StoredSlot)| {
            slots >> (index & 63) & 1 == 0 && *slot != StoredSlot::EMPTY
        };
        if self.slots.iter().enumerate().any(is_dead) {
            let kept = self.slots.iter().enumerate().map(|(index, slot)| {
                if slots >> (index & 63) & 1 == 0 {
                    StoredSlot::EMPTY
                } else {
                    *slot
                }
            });
            self.slots = kept.collect();
        }
        self.scalar_slots &= slots;
        self.known_slots &= slots;
    }

    fn restore(&self, number: usize, pool: &Pool) -> Frame {
        let callsite = self.callsite.map(|idx| idx as InsnIdx);
        let mut frame = Frame::new(number, self.subprog as usize, callsite);
        for (value, &id) in frame.regs.iter_mut().zip(&self.regs) {
            *value = *pool.get(id);
        }
        for (index, slot) in self.slots.iter().enumerate() {
            *frame.stack.slot_mut(index) = Slot {
                bytes: slot.bytes,
                value: *pool.get(slot.value),
            };
        }
        frame.entry = self.entry;
        frame.callback_ret = self.callback_ret;
        frame.async_entry_count = self.async_entry_count;
        frame.callback_depth = self.callback_depth;
        frame
    }
}

/// What is in a frame's slots, one bit each.
#[derive(Clone, Copy, Default)]
struct SlotMarks {
    /// As [`StoredFrame::scalar_slots`].
    scalar: u64,
    /// As [`StoredFrame::known_slots`].
    known: u64,
}

impl SlotMarks {
    fn set(&mut self, index: usize, slot: &Slot) {
        let bit = 1 << (index & 63);
        self.scalar &= !bit;
        self.known &= !bit;
        if slot.is_spilled_scalar() {
            self.scalar |= bit;
        }
        let unknown = |&kind: &ByteKind| matches!(kind, ByteKind::Invalid | ByteKind::Misc);
        if !slot.bytes.iter().all(unknown) {
            self.known |= bit;
        }
    }
}

/// The slots of a frame, given the frame as it was remembered before and what changed since then.
fn store_slots(
    frame: &Frame,
    before: Option<(&StoredFrame, u64)>,
    pool: &mut Pool,
) -> (Rc<[StoredSlot]>, SlotMarks) {
    let stack = &frame.stack;
    let (kept, changed, mut marks) = match before {
        None => (None, u64::MAX, SlotMarks::default()),
        Some((before, changed)) => {
            let marks = SlotMarks {
                scalar: before.scalar_slots,
                known: before.known_slots,
            };
            (Some(&before.slots), changed, marks)
        }
    };
    if let Some(kept) = kept
        && changed == 0
        && kept.len() == stack.len()
    {
        return (Rc::clone(kept), marks);
    }
    let kept = kept.map_or(&[][..], |kept| &kept[..]);
    let mut slots: SmallVec<[StoredSlot; 64]> = SmallVec::from_slice(kept);
    slots.resize(stack.len(), StoredSlot::EMPTY);
    for (index, stored) in slots.iter_mut().enumerate() {
        if index < kept.len() && changed >> (index & 63) & 1 == 0 {
            continue;
        }
        let slot = stack.slot(index);
        marks.set(index, slot);
        *stored = StoredSlot {
            bytes: slot.bytes,
            value: pool.keep(&slot.value),
        };
    }
    // Another frame may have been there before, with more slots.
    let beyond = 64_u32.saturating_sub(slots.len() as u32);
    let within = u64::MAX.checked_shr(beyond).unwrap_or(0);
    marks.scalar &= within;
    marks.known &= within;
    (Rc::from(&slots[..]), marks)
}

impl Stored {
    /// Remembers a state whose parent is `before`. Its history goes with it.
    pub(super) fn new(state: &mut State, before: Option<&Stored>, pool: &mut Pool) -> Stored {
        let history = std::mem::take(&mut state.history);
        let frames = state.frames().enumerate().map(|(number, frame)| {
            let before = before.and_then(|before| before.frames.get(number));
            let changed = state
                .parent
                .and_then(|parent| frame.stack.changed_since(parent));
            match (before, changed) {
                (Some(before), None) if state.parent.is_some() => Rc::clone(before),
                (Some(before), Some(changed)) => {
                    Rc::new(StoredFrame::new(frame, Some((before, changed)), pool))
                }
                (None, _) | (Some(_), None) => Rc::new(StoredFrame::new(frame, None, pool)),
            }
        });
        Stored {
            frames: frames.collect(),
            precise: state.precise.iter().copied().collect(),
            refs: Rc::clone(&state.refs),
            history,
            parent: state.parent,
            insn_idx: state.insn_idx as u32,
            first_insn_idx: state.first_insn_idx as u32,
            last_insn_idx: state.last_insn_idx.map(|idx| idx as u32),
            dfs_depth: state.dfs_depth,
            callback_unroll_depth: state.callback_unroll_depth,
            may_goto_depth: state.may_goto_depth,
            in_sleepable: state.in_sleepable,
            speculative: state.speculative,
        }
    }

    /// Bytes that it takes, roughly: what it shares with the state before it is not counted.
    pub(super) fn bytes(&self, before: Option<&Stored>) -> usize {
        // Each allocation takes a little more than what is in it.
        let mut bytes = size_of::<Stored>();
        if self.frames.len() > 2 {
            bytes += self.frames.len() * (size_of::<usize>() + size_of::<Precise>()) + 32;
        }
        for (number, frame) in self.frames.iter().enumerate() {
            let old = before.and_then(|before| before.frames.get(number));
            if old.is_none_or(|old| !Rc::ptr_eq(old, frame)) {
                bytes += size_of::<StoredFrame>() + 32;
            }
            if old.is_none_or(|old| !Rc::ptr_eq(&old.slots, &frame.slots)) {
                bytes += size_of_val(&*frame.slots);
            }
        }
        if before.is_none_or(|before| !Rc::ptr_eq(&before.refs, &self.refs)) {
            bytes += size_of_val(&*self.refs.list);
        }
        bytes
    }

    /// The current frame.
    pub(super) fn cur(&self) -> &StoredFrame {
        &self.frames[self.frames.len() - 1]
    }

    /// Erases from a frame the registers and slots that are not named, and their marks.
    pub(super) fn erase(&mut self, number: usize, regs: u16, slots: u64) {
        self.precise[number].regs &= regs;
        self.precise[number].slots &= slots;
        Rc::make_mut(&mut self.frames[number]).erase(regs, slots);
    }

    /// All values that it holds.
    pub(super) fn values(&self) -> impl Iterator<Item = ValueId> {
        self.frames.iter().flat_map(|frame| {
            frame
                .regs
                .iter()
                .copied()
                .chain(frame.slots.iter().map(|slot| slot.value))
        })
    }

    /// The state in full, for the log.
    pub(super) fn restore(&self, pool: &Pool) -> State {
        let mut frames = self.frames.iter().enumerate();
        let first = frames
            .next()
            .map(|(number, frame)| frame.restore(number, pool));
        let first = first.unwrap_or_else(|| Frame::new(0, 0, None));
        let mut state = State::new(first, self.insn_idx as InsnIdx);
        for (number, frame) in frames {
            state.push_frame(frame.restore(number, pool));
        }
        state.precise = self.precise.iter().copied().collect();
        state.refs = Rc::clone(&self.refs);
        state.in_sleepable = self.in_sleepable;
        state.speculative = self.speculative;
        state
    }
}
