//! The decision at a prune point: go on, remember the state and go on, or end the path.
//!
//! Every number and every order here is the kernel's (`is_state_visited`): which states a later path
//! finds decides how much it has to walk.

use skep_isa::{Insn, InsnIdx, Reg};
use skep_spec::ProgFlags;

use super::events::PruneEvent;
use super::explored::StateId;
use super::history::{Entries, HistoryFlags, LinkedRegs};
use super::pool::Pool;
use super::precision::ChainStart;
use super::stored::{CallChain, Stored, same_callsites};
use super::subsumes::Exactness;
use crate::config::Prune;
use crate::env::Env;
use crate::prepare::InsnFlow;
use crate::report::StateView;
use crate::state::{ByteKind, Entry, Region, SLOT_BYTES, StackObject, State, Value};
use crate::violation::{Check, LimitViolation, Stop};

/// Entries of history that force a state to be remembered: more make walking back slow.
const MAX_HISTORY: usize = 40;
/// Jumps and instructions between remembered states: fewer are not worth a state.
const MIN_JUMPS: u64 = 2;
const MIN_INSNS: u64 = 8;
/// The same within a loop: iterations differ, and their states help little.
const MIN_LOOP_JUMPS: u64 = 20;
const MIN_LOOP_INSNS: u64 = 100;
/// Misses that a state may have per hit, and one more time: ordinary, and open at a checkpoint.
const MISSES_PER_HIT: u32 = 3;
const MISSES_PER_HIT_OPEN: u32 = 64;
/// States of one list beyond which unprivileged programs get no more.
const MAX_STATES_UNPRIVILEGED: u32 = 64;

/// Whether a path goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Visited {
    /// It does.
    Go,
    /// A remembered state covers it.
    Pruned,
}

/// What a remembered state means for the current path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    /// It covers the path.
    Hit,
    /// It does not.
    Miss,
    /// It does not, and its paths are open: the path is in a loop or a branch of it.
    OpenMiss,
}

impl Env<'_> {
    /// To be called at every prune point before the instruction is checked (`is_state_visited`).
    /// After `Pruned`, the path ends as at an exit: `close_path`.
    pub(crate) fn visit_prune_point(&mut self) -> Check<Visited> {
        let idx = self.state.insn_idx;
        let flow = self.ctx.flow.get(idx).copied().unwrap_or_default();
        let insns = self.learned.insns_processed - self.learned.insns_at_last_state;
        let jumps = self.learned.jumps_processed - self.learned.jumps_at_last_state;
        let forced = self.tests_state_frequency()
            || flow.force_checkpoint
            || self.state.history.len() > MAX_HISTORY;
        let mut add = forced || jumps >= MIN_JUMPS && insns >= MIN_INSNS;
        let newest = self.explored.first_of_list(idx, &self.state);
        self.clean_finished_states(idx, newest);

        let mut states = 0;
        let mut newer = None;
        let mut in_loop = false;
        let mut next = newest;
        while let Some(id) = next {
            next = self.explored.next_of_list(id);
            states += 1;
            let of_insn = self
                .explored
                .node(id)
                .is_some_and(|n| n.insn_idx as usize == idx);
            if !of_insn {
                newer = Some(id);
                continue;
            }
            match self.judge(id, idx, &flow, &mut in_loop)? {
                Verdict::Hit => return self.prune(id, idx, &flow, in_loop),
                Verdict::Miss => {}
                Verdict::OpenMiss => {
                    if !forced && jumps < MIN_LOOP_JUMPS && insns < MIN_LOOP_INSNS {
                        add = false;
                    }
                }
            }
            if self.miss(id, idx, add, flow.force_checkpoint) {
                self.explored.evict(id, newer, &self.state);
            } else {
                newer = Some(id);
            }
        }
        self.explored.looked_at(states);
        self.explored.effort.spend(states as usize);
        let too_many = !self.ctx.facts.lane().bpf && states > MAX_STATES_UNPRIVILEGED;
        if add && !too_many {
            self.learned.jumps_at_last_state = self.learned.jumps_processed;
            self.learned.insns_at_last_state = self.learned.insns_processed;
            self.explored.store(self.ctx, &mut self.state);
        } else {
            self.explored.note(PruneEvent::NotStored {
                insn_idx: idx,
                insns,
                jumps,
            });
        }
        self.flush_prune_events();
        Ok(Visited::Go)
    }

    fn tests_state_frequency(&self) -> bool {
        self.ctx.facts.lane().bpf && self.ctx.spec.flags.contains(ProgFlags::TEST_STATE_FREQ)
    }

    /// Erases from finished states of this instruction what is not read any more
    /// (`clean_live_states`).
    fn clean_finished_states(&mut self, idx: InsnIdx, newest: Option<StateId>) {
        let mut next = newest;
        while let Some(id) = next {
            next = self.explored.next_of_list(id);
            if self.explored.is_cleanable(id, idx)
                && self
                    .explored
                    .stored(id)
                    .is_some_and(|s| same_callsites(s, &self.state))
            {
                self.explored.clean(self.ctx, id);
            }
        }
    }

    /// What a state of the list means; `in_loop` is set if its own paths may still add marks. It keeps
    /// its value from the last closed state where the kernel does not set it.
    fn judge(
        &mut self,
        id: StateId,
        idx: InsnIdx,
        flow: &InsnFlow,
        in_loop: &mut bool,
    ) -> Check<Verdict> {
        if self.explored.is_open(id) {
            return self.judge_open(id, idx, flow, in_loop);
        }
        if self.ctx.config.prune == Prune::Nothing {
            return Ok(Verdict::Miss);
        }
        *in_loop = self.explored.is_incomplete(id);
        let exactness = if *in_loop {
            Exactness::Range
        } else {
            Exactness::Precision
        };
        Ok(if self.covers(id, exactness) {
            Verdict::Hit
        } else {
            Verdict::Miss
        })
    }

    /// A state whose paths are not finished proves nothing yet, but tells a loop.
    fn judge_open(
        &mut self,
        id: StateId,
        idx: InsnIdx,
        flow: &InsnFlow,
        in_loop: &mut bool,
    ) -> Check<Verdict> {
        let Some(old) = self.explored.stored(id) else {
            return Ok(Verdict::OpenMiss);
        };
        let (old_frame, cur_frame) = (old.cur(), self.state.cur());
        if old_frame.entry == Entry::AsyncCallback
            && old_frame.async_entry_count != cur_frame.async_entry_count
        {
            // Another start of the callback, not a loop in it.
            return Ok(Verdict::OpenMiss);
        }
        if flow.iter_next {
            let converged = self.covers(id, Exactness::Range) && self.is_iter_active();
            *in_loop |= converged;
            return Ok(if converged {
                Verdict::Hit
            } else {
                Verdict::OpenMiss
            });
        }
        let is_may_goto = matches!(self.ctx.decoded.get(idx), Some(Ok(Insn::MayGoto { .. })));
        if is_may_goto
            && old.may_goto_depth != self.state.may_goto_depth
            && self.covers(id, Exactness::Range)
        {
            *in_loop = true;
            return Ok(Verdict::Hit);
        }
        if flow.calls_callback {
            let converged = self.covers(id, Exactness::Range);
            return Ok(if converged {
                Verdict::Hit
            } else {
                Verdict::OpenMiss
            });
        }
        if self.is_infinite_loop(id) {
            self.flush_prune_events();
            let now = StateView::of(&self.state);
            let before = self
                .explored
                .restored(id)
                .map_or_else(|| now.clone(), |state| StateView::of(&state));
            return Err(LimitViolation::InfiniteLoop { idx, now, before }.into());
        }
        Ok(Verdict::OpenMiss)
    }

    fn covers(&mut self, id: StateId, exactness: Exactness) -> bool {
        let last_id = self.learned.last_id();
        let covers = self
            .explored
            .covers(self.ctx, id, &self.state, last_id, exactness);
        let values = 11 * (self.state.curframe() + 1) + self.state.refs.list.len();
        self.explored.effort.spend(values);
        covers
    }

    /// Whether nothing has changed since an ancestor, and nothing that ends loops has moved either.
    fn is_infinite_loop(&mut self, id: StateId) -> bool {
        let Some(old) = self.explored.stored(id) else {
            return false;
        };
        let suspected = registers_look_alike(old, self.explored.pool(), &self.state)
            && old.may_goto_depth == self.state.may_goto_depth
            && old.callback_unroll_depth == self.state.callback_unroll_depth
            && !iter_depths_differ(old, self.explored.pool(), &self.state);
        suspected && self.covers(id, Exactness::Exact)
    }

    /// Whether the iterator that the instruction is about to move on may give more.
    fn is_iter_active(&self) -> bool {
        let Some(pointer) = self.state.reg(Reg::R1).pointer() else {
            return false;
        };
        let (Region::Stack { frame }, Some(var)) = (pointer.region, pointer.var.const_value())
        else {
            return false;
        };
        let below = -(i64::from(pointer.off).wrapping_add(var as i64));
        let Ok(index) = usize::try_from((below - 1) / SLOT_BYTES as i64) else {
            return false;
        };
        let slot = self.state.frame(frame as usize).stack.slot(index);
        matches!(
            slot.object(),
            Some((StackObject::Iter { active: true, .. }, _))
        )
    }

    /// The path ends here. What the covering state needs exactly, this one's ancestors do too.
    fn prune(
        &mut self,
        id: StateId,
        idx: InsnIdx,
        flow: &InsnFlow,
        in_loop: bool,
    ) -> Check<Visited> {
        if let Some(node) = self.explored.node_mut(id) {
            node.hits += 1;
        }
        self.explored.note(PruneEvent::Hit {
            id,
            insn_idx: idx,
            in_loop,
        });
        if flow.jump_point {
            self.push_history(HistoryFlags::NONE, LinkedRegs::NONE)?;
        }
        let start = ChainStart::at(&self.state);
        let marked = self.explored.propagate_precision(self.ctx, id, &start);
        let kept = match (&marked, in_loop) {
            (Ok(_), true) => self.explored.add_backedge(id, start),
            (Ok(_) | Err(_), _) => Ok(()),
        };
        self.flush_prune_events();
        marked.and(kept)?;
        Ok(Visited::Pruned)
    }

    /// Counts a miss; whether comparing with the state has become idle.
    fn miss(&mut self, id: StateId, idx: InsnIdx, add: bool, checkpoint: bool) -> bool {
        let Some(node) = self.explored.node_mut(id) else {
            return false;
        };
        // Where nothing is remembered, a loop would drive out what it remembered before.
        if add {
            node.misses += 1;
        }
        let open = node.branches > 0;
        let (misses, hits) = (node.misses, node.hits);
        self.explored.note(PruneEvent::Miss {
            id,
            insn_idx: idx,
            misses,
            hits,
            open,
        });
        let allowed = if checkpoint && open {
            MISSES_PER_HIT_OPEN
        } else {
            MISSES_PER_HIT
        };
        u64::from(misses) > u64::from(hits) * u64::from(allowed) + u64::from(allowed)
    }

    /// Records the current instruction in the path's history (`push_jmp_history`); what one
    /// instruction records goes into one entry. `self.state.insn_idx` and `last_insn_idx` must be set.
    pub(crate) fn push_history(&mut self, flags: HistoryFlags, linked: LinkedRegs) -> Check<()> {
        let stamp = self.learned.insns_processed;
        let (explored, state) = (&mut self.explored, &mut self.state);
        let history = &mut state.history;
        explored.effort.keep(Entries::BYTES);
        if explored.history_stamp == stamp && history.len() > 0 {
            explored.entries.merge_into_last(history, flags, linked);
            return Ok(());
        }
        explored.history_stamp = stamp;
        explored
            .entries
            .push(history, state.insn_idx, state.last_insn_idx, flags, linked);
        Ok(())
    }

    /// The current path ended, by exit or by pruning: to be called before the next pending branch is
    /// taken up, and before `update_live_stack`.
    pub(crate) fn close_path(&mut self) -> Check<()> {
        let closed = self.explored.close_path(self.ctx, self.state.parent);
        self.flush_prune_events();
        let steps = self.explored.live.take_steps();
        self.explored.effort.spend(steps);
        if self.explored.live.is_too_large() {
            return Err(Stop::undecided("stack liveness of this many call chains"));
        }
        closed
    }

    /// Tells the log what pruning did.
    #[inline]
    pub(super) fn flush_prune_events(&mut self) {
        if self.explored.keeps_events() {
            self.tell_prune_events();
        }
    }

    #[cold]
    fn tell_prune_events(&mut self) {
        self.explored.collect_live_events();
        for event in self.explored.take_events() {
            self.trace_prune(event);
        }
    }
}

/// Whether the registers of the current frame are the same, ids included (`states_maybe_looping`).
fn registers_look_alike(old: &Stored, pool: &Pool, cur: &State) -> bool {
    old.last_frame() == cur.curframe()
        && old
            .cur()
            .regs
            .iter()
            .zip(&cur.cur().regs)
            .all(|(&old, cur)| looks_alike(pool.get(old), cur))
}

/// Whether some iterator that may give more went round since (`iter_active_depths_differ`).
fn iter_depths_differ(old: &Stored, pool: &Pool, cur: &State) -> bool {
    let depth_of = |value: &Value| {
        let kept = value.pointer()?;
        if let Region::Object(StackObject::Iter { active, depth, .. }) = kept.region {
            return Some((active, depth));
        }
        None
    };
    old.frames.iter().enumerate().any(|(number, frame)| {
        frame.slots.iter().enumerate().any(|(index, slot)| {
            if slot.bytes[0] != ByteKind::Iter {
                return false;
            }
            let Some((true, before)) = depth_of(pool.get(slot.value)) else {
                return false;
            };
            let now = depth_of(&cur.frame(number).stack.slot(index).value);
            now.is_none_or(|(_, depth)| depth != before)
        })
    })
}

/// Which frame a stack pointer points to is not among what is compared here.
fn looks_alike(old: &Value, cur: &Value) -> bool {
    match (old, cur) {
        (Value::Pointer(old), Value::Pointer(cur)) => {
            let mut old = *old;
            if let (Region::Stack { .. }, Region::Stack { .. }) = (old.region, cur.region) {
                old.region = cur.region;
            }
            old == *cur
        }
        (Value::Uninit | Value::Scalar(_) | Value::Pointer(_), _) => old == cur,
    }
}
