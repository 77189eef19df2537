//! Marking what must be exact: from a number that decided something back to all it was made of.
//!
//! Marks go to remembered states only; the current state has no use for them. Walking back ends when
//! nothing is wanted any more, at a state that has all the marks already, or, where the kernel loses
//! the trail, by marking every number of every ancestor (`__mark_chain_precision`).

use std::ops::RangeInclusive;

use skep_isa::InsnIdx;

use super::backtrack::{MAX_FRAMES, Obstacle, Wanted, step_back};
use super::events::PruneEvent;
use super::explored::{Explored, StateId};
use super::history::{Entries, History, HistoryEntry};
use crate::prepare::Ctx;
use crate::state::State;
use crate::violation::{Check, Stop};

/// Where a walk back begins: the current state, or the end of a loop's iteration.
#[derive(Clone, Debug)]
pub(super) struct ChainStart {
    /// Its current frame.
    pub(super) frame: usize,
    /// Its instruction, which is not gone back over.
    pub(super) insn_idx: InsnIdx,
    /// Where its history begins.
    pub(super) first_insn_idx: InsnIdx,
    /// Its history.
    pub(super) history: History,
    /// The remembered state before it.
    pub(super) parent: Option<StateId>,
}

impl ChainStart {
    /// Begins at a state.
    pub(super) fn at(state: &State) -> ChainStart {
        ChainStart {
            frame: state.curframe(),
            insn_idx: state.insn_idx,
            first_insn_idx: state.first_insn_idx,
            history: state.history,
            parent: state.parent,
        }
    }
}

/// A place on the way back through one state.
struct Place {
    /// The instruction.
    idx: InsnIdx,
    /// Where the state's history begins.
    first_insn_idx: InsnIdx,
    /// What of the history is not gone back over yet.
    history: History,
    /// The instruction of its last entry; no instruction if there is none.
    entry_idx: InsnIdx,
}

impl Place {
    /// Begins at `idx`, behind all entries.
    fn new(entries: &Entries, idx: InsnIdx, first_insn_idx: InsnIdx, history: History) -> Place {
        let last = entries.last(history);
        Place {
            idx,
            first_insn_idx,
            history,
            entry_idx: last.map_or(InsnIdx::MAX, HistoryEntry::idx),
        }
    }

    /// What the history says of the instruction.
    #[inline]
    fn entry<'e>(&self, entries: &'e Entries) -> Option<&'e HistoryEntry> {
        if self.idx != self.entry_idx {
            return None;
        }
        entries.last(self.history)
    }

    /// The instructions from here back to the next entry, or to the history's beginning.
    #[inline]
    fn straight(&self) -> RangeInclusive<InsnIdx> {
        let within = |stop: InsnIdx| if stop <= self.idx { stop } else { 0 };
        within(self.first_insn_idx).max(within(self.entry_idx))..=self.idx
    }

    /// Goes to the instruction before; `false` where the segment begins (`get_prev_insn_idx`). One may
    /// pass the first instruction several times while there are entries left.
    #[inline]
    fn go_back(&mut self, entries: &Entries) -> bool {
        let at_entry = self.idx == self.entry_idx;
        if self.idx == self.first_insn_idx {
            let alone = self.history.len() == 1 && at_entry;
            if self.history.len() == 0 || alone {
                return false;
            }
        }
        // Before the first instruction there is none.
        self.idx = match entries.last(self.history) {
            Some(entry) if at_entry => {
                self.history = entries.before_last(self.history);
                let last = entries.last(self.history);
                self.entry_idx = last.map_or(InsnIdx::MAX, HistoryEntry::idx);
                entry.prev().unwrap_or(InsnIdx::MAX)
            }
            Some(_) | None => self.idx.wrapping_sub(1),
        };
        true
    }
}

enum Trail {
    /// Nothing is wanted any more.
    Ended,
    /// The segment's beginning was reached.
    Begins,
    /// The kernel does not follow further.
    Lost,
}

impl Explored {
    /// Marks what `wanted` names at `start`, and all it was made of, in the remembered states before;
    /// `true` if a mark is new.
    pub(super) fn mark_chain(
        &mut self,
        ctx: &Ctx<'_>,
        start: &ChainStart,
        mut wanted: Wanted,
    ) -> Check<bool> {
        if !ctx.facts.lane().bpf || wanted.is_empty() {
            return Ok(false);
        }
        let mut changed = false;
        let mut history = start.history;
        let mut first_insn_idx = start.first_insn_idx;
        let mut last_idx = start.insn_idx;
        let mut next = None;
        let mut skip = true;
        let mut parent = start.parent;
        loop {
            self.note(PruneEvent::BacktrackSegment {
                frame: wanted.frame,
                last_idx: Some(last_idx),
                first_idx: first_insn_idx,
                subseq_idx: next,
            });
            let place = Place::new(&self.entries, last_idx, first_insn_idx, history);
            match self.follow(ctx, place, &mut next, skip, &mut wanted)? {
                Trail::Ended => return Ok(changed),
                Trail::Lost => {
                    self.mark_all_precise(start);
                    return Ok(changed);
                }
                Trail::Begins => {}
            }
            skip = false;
            self.effort.check()?;
            let Some(id) = parent else { break };
            changed |= self.mark_state(id, &mut wanted)?;
            if wanted.is_empty() {
                return Ok(changed);
            }
            let Some(state) = self.stored(id) else {
                return Err(Stop::undecided("walking back past a forgotten state"));
            };
            next = Some(first_insn_idx);
            first_insn_idx = state.first_insn_idx as InsnIdx;
            history = state.history;
            parent = state.parent;
            match state.last_insn_idx {
                Some(idx) => last_idx = idx as InsnIdx,
                None => return self.mark_entry(id, first_insn_idx, next, &wanted, changed),
            }
        }
        self.mark_all_precise(start);
        Ok(changed)
    }

    /// Goes back within one state.
    fn follow(
        &mut self,
        ctx: &Ctx<'_>,
        mut place: Place,
        next: &mut Option<InsnIdx>,
        mut skip: bool,
        wanted: &mut Wanted,
    ) -> Check<Trail> {
        let mut steps = 0;
        let trail = loop {
            steps += 1;
            let idx = place.idx;
            if !skip {
                self.note(PruneEvent::BacktrackInsn {
                    frame: wanted.frame,
                    regs: wanted.regs(wanted.frame),
                    slots: wanted.slots(wanted.frame),
                    idx,
                });
                let entry = place.entry(&self.entries);
                if self.concerns.any(idx, wanted) || entry.is_some_and(|e| wanted.meets(e)) {
                    match step_back(ctx, idx, *next, entry, wanted) {
                        Ok(()) => {}
                        Err(Obstacle::Unsupported) => break Ok(Trail::Lost),
                        Err(Obstacle::Inconsistent(what)) => break Err(inconsistent(what)),
                    }
                    if wanted.is_empty() {
                        break Ok(Trail::Ended);
                    }
                }
            }
            skip = false;
            *next = Some(idx);
            if !place.go_back(&self.entries) {
                break Ok(Trail::Begins);
            }
            if !self.keeps_events() {
                let passed = self.concerns.pass_over(wanted, place.straight());
                if passed != 0 {
                    steps += passed;
                    place.idx -= passed;
                    *next = Some(place.idx + 1);
                }
            }
            if place.idx >= ctx.insns.len() {
                break Err(inconsistent("backtracking past the first instruction"));
            }
        };
        self.effort.spend(steps);
        trail
    }

    /// Marks wanted numbers in a remembered state. What is no number, or is marked already, is wanted
    /// no longer.
    fn mark_state(&mut self, id: StateId, wanted: &mut Wanted) -> Check<bool> {
        let Some(state) = self.stored_mut(id) else {
            return Err(Stop::undecided("marking a forgotten state"));
        };
        let mut changed = false;
        for number in (0..=wanted.frame).rev() {
            let Some(frame) = state.frames.get(number) else {
                return Err(inconsistent("more frames than the state has"));
            };
            let (regs, slots) = (wanted.regs(number), wanted.slots(number));
            if slots != 0 && (63 - slots.leading_zeros()) as usize >= frame.slots.len() {
                return Err(inconsistent("stack slot beyond the state's stack"));
            }
            let (regs, slots) = (regs & frame.scalar_regs, slots & frame.scalar_slots);
            let precise = &mut state.precise[number];
            let (new_regs, new_slots) = (regs & !precise.regs, slots & !precise.slots);
            precise.regs |= new_regs;
            precise.slots |= new_slots;
            changed |= new_regs != 0 || new_slots != 0;
            wanted.drop_regs(number, !new_regs);
            wanted.drop_slots(number, !new_slots);
        }
        if !self.keeps_events() {
            return Ok(changed);
        }
        for frame in (0..=wanted.frame).rev() {
            let (regs, slots) = (wanted.regs(frame), wanted.slots(frame));
            let marks = self
                .stored(id)
                .and_then(|state| state.precise.get(frame).copied());
            self.note(PruneEvent::ParentMarks {
                id,
                frame,
                regs,
                slots,
                precise: marks.unwrap_or_default(),
            });
        }
        Ok(changed)
    }

    /// Reached the entry of a global subprogram: its arguments may still be wanted, nothing else.
    fn mark_entry(
        &mut self,
        id: StateId,
        first_idx: InsnIdx,
        next: Option<InsnIdx>,
        wanted: &Wanted,
        changed: bool,
    ) -> Check<bool> {
        const ARGS: u16 = 0b11_1110;
        self.note(PruneEvent::BacktrackSegment {
            frame: wanted.frame,
            last_idx: None,
            first_idx,
            subseq_idx: next,
        });
        let frame = wanted.frame;
        let (regs, slots) = (wanted.regs(frame), wanted.slots(frame));
        let Some(state) = self.stored_mut(id) else {
            return Ok(changed);
        };
        let entry = &state.frames[0];
        let is_global = state.frames.len() == 1 && entry.subprog > 0 && entry.callsite.is_none();
        if !is_global || slots != 0 || regs & !ARGS != 0 {
            return Err(inconsistent("backtracking func entry"));
        }
        let numbers = regs & entry.scalar_regs;
        state.precise[0].regs |= numbers;
        Ok(changed || numbers != 0)
    }

    /// Everything is to be exact in all states before `start` (`mark_all_scalars_precise`).
    pub(super) fn mark_all_precise(&mut self, start: &ChainStart) {
        self.note(PruneEvent::AllPrecise { frame: start.frame });
        let mut next = start.parent;
        while let Some(id) = next {
            let Some(state) = self.stored_mut(id) else {
                return;
            };
            next = state.parent;
            let frames = state.frames.len();
            self.effort.spend(frames);
            for frame in 0..frames {
                self.force_precise(id, frame);
            }
        }
    }

    fn force_precise(&mut self, id: StateId, frame: usize) {
        let Some(state) = self.stored_mut(id) else {
            return;
        };
        let (regs, slots) = {
            let frame = &state.frames[frame];
            (frame.scalar_regs, frame.scalar_slots)
        };
        let precise = &mut state.precise[frame];
        let (new_regs, new_slots) = (regs & !precise.regs, slots & !precise.slots);
        precise.regs |= regs;
        precise.slots |= slots;
        if new_regs != 0 || new_slots != 0 {
            self.note(PruneEvent::ForcedPrecise {
                frame,
                regs: new_regs,
                slots: new_slots,
            });
        }
    }

    /// What a remembered state needs exactly, the states before `start` need too: `start` is at the
    /// same instruction and was found to be covered (`propagate_precision`).
    pub(super) fn propagate_precision(
        &mut self,
        ctx: &Ctx<'_>,
        from: StateId,
        start: &ChainStart,
    ) -> Check<bool> {
        let Some(state) = self.stored(from) else {
            return Err(Stop::undecided("a forgotten state's marks"));
        };
        let mut wanted = Wanted::none(start.frame);
        for (frame, precise) in state.precise.iter().enumerate().take(MAX_FRAMES) {
            wanted.want_regs(frame, precise.regs);
            wanted.want_slots(frame, precise.slots);
        }
        for frame in (0..=start.frame).rev() {
            let (regs, slots) = (wanted.regs(frame), wanted.slots(frame));
            if regs != 0 || slots != 0 {
                self.note(PruneEvent::Propagating { frame, regs, slots });
            }
        }
        self.mark_chain(ctx, start, wanted)
    }
}

/// Registers of a frame that hold numbers, the frame pointer apart.
pub(super) fn scalar_regs(state: &State, number: usize) -> u16 {
    let regs = state.frame(number).regs.iter().take(10).enumerate();
    regs.fold(0, |found, (reg, value)| {
        found | u16::from(value.number().is_some()) << reg
    })
}

/// Something that the kernel would report as its own bug: rather no verdict than a guess.
fn inconsistent(what: &str) -> Stop {
    Stop::undecided(format!("precision tracking: {what}"))
}
