//! The state of one path: frames with registers and stack, what is held, where it came from.
//!
//! Copying a state is cheap: frames are shared until one side writes. Precision marks lie beside the
//! frames, so that marking a remembered state copies nothing.

mod frame;
mod object;
mod refs;
mod stack;
mod value;

use std::rc::Rc;

use skep_isa::{InsnIdx, Reg};
use smallvec::SmallVec;

pub(crate) use frame::{Entry, Frame, ReturnRange};
pub(crate) use object::{DYNPTR_SLOTS, DynptrKind, StackObject};
pub(crate) use refs::{LockOwner, Ref, RefKind, Refs};
pub(crate) use stack::{ByteKind, SLOT_BYTES, Slot, Stack};
pub(crate) use value::{
    BtfSource, Delta, Link, MapId, Number, OldFrame, Pointer, PointerType, PtrFlags, Region,
    RegionKind, SockKind, Value,
};

use crate::prune::{History, StateId};

/// Which numbers of a frame the verdict depends on exactly: one bit per register and stack slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Precise {
    /// Bit `n`: register `n`.
    pub(crate) regs: u16,
    /// Bit `n`: the number spilled in slot `n`.
    pub(crate) slots: u64,
}

/// The state of one path.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// The current frame.
    cur: Rc<Frame>,
    /// The frames that called it, outermost first.
    outer: Vec<Rc<Frame>>,
    /// One entry per frame.
    pub(crate) precise: SmallVec<[Precise; 2]>,
    /// What is held.
    pub(crate) refs: Rc<Refs>,
    /// The instruction that the path is at.
    pub(crate) insn_idx: InsnIdx,
    /// The instruction at which the last remembered ancestor was made.
    pub(crate) first_insn_idx: InsnIdx,
    /// The instruction before the current one, `None` at the start.
    pub(crate) last_insn_idx: Option<InsnIdx>,
    /// The remembered state that this path continues.
    pub(crate) parent: Option<StateId>,
    /// Jumps since the parent was remembered.
    pub(crate) history: History,
    /// Paths that are still open below this state (1 while it is current).
    pub(crate) branches: u32,
    /// Remembered ancestors.
    pub(crate) dfs_depth: u32,
    /// Callback iterations on this path.
    pub(crate) callback_unroll_depth: u32,
    /// `may_goto` iterations on this path.
    pub(crate) may_goto_depth: u32,
    /// The code may sleep here.
    pub(crate) in_sleepable: bool,
    /// The path runs only speculatively.
    pub(crate) speculative: bool,
    /// Values of the current frame that changed since the log last printed them.
    pub(crate) scratched: Precise,
}

impl State {
    /// A path that begins at `insn_idx` with one frame.
    pub(crate) fn new(frame: Frame, insn_idx: InsnIdx) -> State {
        State {
            cur: Rc::new(frame),
            outer: Vec::new(),
            precise: SmallVec::from_iter([Precise::default()]),
            refs: Rc::default(),
            insn_idx,
            first_insn_idx: insn_idx,
            last_insn_idx: None,
            parent: None,
            history: History::default(),
            branches: 1,
            dfs_depth: 0,
            callback_unroll_depth: 0,
            may_goto_depth: 0,
            in_sleepable: false,
            speculative: false,
            scratched: Precise {
                regs: u16::MAX,
                slots: u64::MAX,
            },
        }
    }

    /// A copy of the path. It gets a current frame of its own, made in `spare` if nobody else has that:
    /// paths that part change it soon.
    pub(crate) fn branch(&self, spare: Option<Rc<Frame>>) -> State {
        let mut state = self.clone();
        if let Some(mut spare) = spare
            && let Some(frame) = Rc::get_mut(&mut spare)
        {
            frame.clone_from(&self.cur);
            state.cur = spare;
        }
        state
    }

    /// The current frame of a path that has ended, emptied for another path's use; `None` if it is
    /// shared.
    pub(crate) fn into_spare(self) -> Option<Rc<Frame>> {
        let mut spare = self.cur;
        Rc::get_mut(&mut spare)?.stack = Stack::default();
        Some(spare)
    }

    /// Number of the current frame; 0 is the outermost.
    #[inline]
    pub(crate) fn curframe(&self) -> usize {
        self.outer.len()
    }

    /// All frames, outermost first.
    pub(crate) fn frames(&self) -> impl Iterator<Item = &Rc<Frame>> {
        self.outer.iter().chain([&self.cur])
    }

    /// Frame `number`.
    #[inline]
    pub(crate) fn frame(&self, number: usize) -> &Frame {
        debug_assert!(number <= self.curframe(), "no frame {number}");
        self.outer.get(number).unwrap_or(&self.cur)
    }

    /// Frame `number`, to be changed.
    #[inline]
    pub(crate) fn frame_mut(&mut self, number: usize) -> &mut Frame {
        let frame = self.outer.get_mut(number).unwrap_or(&mut self.cur);
        let frame = Rc::make_mut(frame);
        frame.stack.changes_after(self.parent);
        frame
    }

    /// The current frame.
    #[inline]
    pub(crate) fn cur(&self) -> &Frame {
        &self.cur
    }

    /// The current frame, to be changed.
    #[inline]
    pub(crate) fn cur_mut(&mut self) -> &mut Frame {
        let frame = Rc::make_mut(&mut self.cur);
        frame.stack.changes_after(self.parent);
        frame
    }

    /// Enters a callee.
    pub(crate) fn push_frame(&mut self, mut frame: Frame) {
        frame.stack.made_after(self.parent);
        let caller = std::mem::replace(&mut self.cur, Rc::new(frame));
        self.outer.push(caller);
        self.precise.push(Precise::default());
    }

    /// Leaves the current frame, which is returned. The outermost frame stays.
    pub(crate) fn pop_frame(&mut self) -> Option<Rc<Frame>> {
        let caller = self.outer.pop()?;
        self.precise.pop();
        Some(std::mem::replace(&mut self.cur, caller))
    }

    /// A register of the current frame.
    #[inline]
    pub(crate) fn reg(&self, reg: Reg) -> &Value {
        &self.cur().regs[reg.index()]
    }

    /// Writes a register of the current frame; it is no longer precise.
    #[inline]
    pub(crate) fn set_reg(&mut self, reg: Reg, value: Value) {
        let last = self.curframe();
        self.precise[last].regs &= !(1 << reg.index());
        self.scratched.regs |= 1 << reg.index();
        self.cur_mut().regs[reg.index()] = value;
    }

    /// Forgets the registers that a callee may change.
    pub(crate) fn forget_caller_saved(&mut self) {
        const SAVED: u16 = 0b11_1111;
        let last = self.curframe();
        self.precise[last].regs &= !SAVED;
        self.scratched.regs |= SAVED;
        let frame = self.cur_mut();
        for reg in Reg::CALLER_SAVED {
            frame.regs[reg.index()] = Value::Uninit;
        }
    }

    /// Whether a register of the current frame is marked precise.
    pub(crate) fn is_precise(&self, reg: Reg) -> bool {
        self.precise[self.curframe()].regs & (1 << reg.index()) != 0
    }

    /// Copies a register of the current frame, its precision included.
    pub(crate) fn copy_reg(&mut self, dst: Reg, src: Reg) {
        let last = self.curframe();
        let bit = (self.precise[last].regs >> src.index()) & 1;
        let value = *self.reg(src);
        self.set_reg(dst, value);
        self.precise[last].regs |= bit << dst.index();
    }

    /// What is held, to be changed.
    pub(crate) fn refs_mut(&mut self) -> &mut Refs {
        Rc::make_mut(&mut self.refs)
    }

    /// Forgets a held object without touching the values that depend on it
    /// (`release_reference_nomark`); false if it is not held.
    pub(crate) fn forget_ref(&mut self, id: u32) -> bool {
        let Some(index) = self
            .refs
            .list
            .iter()
            .position(|r| r.kind == RefKind::Object && r.id == id)
        else {
            return false;
        };
        self.refs_mut().list.remove(index);
        true
    }

    /// Notes that a register of the current frame is to be printed.
    #[inline]
    pub(crate) fn scratch_reg(&mut self, reg: Reg) {
        self.scratched.regs |= 1 << reg.index();
    }

    /// Notes that a slot is to be printed.
    #[inline]
    pub(crate) fn scratch_slot(&mut self, index: usize) {
        self.scratched.slots |= 1 << (index & 63);
    }

    /// Notes that everything is to be printed.
    pub(crate) fn scratch_all(&mut self) {
        self.scratched = Precise {
            regs: u16::MAX,
            slots: u64::MAX,
        };
    }

    /// Changes every register and every spilled value of every frame, outermost first, registers
    /// before slots, as the kernel walks them (`bpf_for_each_reg_in_vstate`). The closure is told the
    /// value only if `wants` says that it concerns it, so that untouched frames stay shared.
    pub(crate) fn update_values(
        &mut self,
        mut wants: impl FnMut(&Value) -> bool,
        mut change: impl FnMut(&mut Value),
    ) {
        for number in 0..=self.curframe() {
            for reg in 0..11 {
                if wants(&self.frame(number).regs[reg]) {
                    change(&mut self.frame_mut(number).regs[reg]);
                }
            }
            for index in 0..self.frame(number).stack.len() {
                let slot = self.frame(number).stack.slot(index);
                if slot.is_spilled() && wants(&slot.value) {
                    change(&mut self.frame_mut(number).stack.slot_mut(index).value);
                }
            }
        }
    }

    /// The instruction that frame `number` is at: the current one, or the call into the next frame.
    pub(crate) fn frame_insn_idx(&self, number: usize) -> InsnIdx {
        if number >= self.curframe() {
            return self.insn_idx;
        }
        self.frame(number + 1).callsite.unwrap_or(self.insn_idx)
    }
}
