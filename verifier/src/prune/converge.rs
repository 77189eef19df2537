//! Loops: when a later iteration is covered by an earlier one whose paths are not finished yet.
//!
//! While a loop is being walked, its remembered states lack marks that paths still to be walked will
//! add. So a comparison inside takes ranges at their word, and each covered iteration is kept as a
//! *backedge*. When the state that entered the loop has no open path left, marks travel along all
//! backedges until nothing changes. A loop is met once per call chain: that is a *visit*.

use rustc_hash::FxHashMap;
use skep_isa::InsnIdx;
use smallvec::SmallVec;

use super::events::PruneEvent;
use super::explored::{Explored, StateId};
use super::precision::ChainStart;
use super::stored::{CallChain, Stored, same_callsites};
use super::subsumes::{Comparison, Exactness, Place};
use crate::env::Env;
use crate::prepare::Ctx;
use crate::state::{Precise, State, Value};
use crate::violation::{Check, Stop};

/// Rounds after which marks along backedges are given up: then everything is exact.
const MAX_ROUNDS: u32 = 64;

/// The calls that lead to a loop, and the loop's number.
pub(super) type LoopChain = (SmallVec<[u32; 4]>, u32);

/// A loop as met by one call chain.
#[derive(Debug)]
pub(super) struct Visit {
    chain: LoopChain,
    /// The remembered state that entered it, while paths from there are open.
    entry: Option<StateId>,
    /// Iterations that were covered, oldest first.
    backedges: Vec<Backedge>,
}

/// The end of an iteration, and the state that covers it.
#[derive(Clone, Debug)]
struct Backedge {
    start: ChainStart,
    covered_by: StateId,
}

/// All visits of the subprogram being walked.
#[derive(Debug, Default)]
pub(super) struct Visits {
    list: Vec<Visit>,
    by_chain: FxHashMap<LoopChain, u32>,
    /// Backedges that count as states at the peak.
    pub(super) backedges: u32,
}

impl Visits {
    /// Forgets all visits; backedges keep counting, as in the kernel.
    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.by_chain.clear();
    }
}

/// The loop that a state is in: that of the outermost frame that is in one.
fn loop_chain(ctx: &Ctx<'_>, state: &State) -> Option<LoopChain> {
    let mut calls = SmallVec::new();
    for number in 0..=state.curframe() {
        let idx = state.at(number);
        let scc = ctx.flow.get(idx).map_or(0, |flow| flow.scc);
        if scc != 0 {
            return Some((calls, scc));
        }
        calls.push(idx as u32);
    }
    None
}

impl Explored {
    /// A state is being remembered: returns the visit of the loop that it is in, entered now if no
    /// path of it is open (`maybe_enter_scc`).
    pub(super) fn enter_loop(&mut self, ctx: &Ctx<'_>, id: StateId, state: &State) -> Option<u32> {
        let chain = loop_chain(ctx, state)?;
        let visits = &mut self.visits;
        let number = match visits.by_chain.get(&chain) {
            Some(&number) => number,
            None => {
                let number = visits.list.len() as u32;
                visits.by_chain.insert(chain.clone(), number);
                visits.list.push(Visit {
                    chain,
                    entry: None,
                    backedges: Vec::new(),
                });
                number
            }
        };
        let visit = &mut visits.list[number as usize];
        if visit.entry.is_none() {
            visit.entry = Some(id);
            self.note(PruneEvent::SccEnter { visit: number });
        }
        Some(number)
    }

    /// All paths from a remembered state are finished: if it entered a loop, that is left and marks
    /// travel along its backedges (`maybe_exit_scc`, `propagate_backedges`).
    pub(super) fn leave_loop(&mut self, ctx: &Ctx<'_>, id: StateId) -> Check<()> {
        let Some(number) = self.node_visit(id) else {
            return Ok(());
        };
        let Some(visit) = self.visits.list.get_mut(number as usize) else {
            return Ok(());
        };
        if visit.entry != Some(id) {
            return Ok(());
        }
        visit.entry = None;
        let count = visit.backedges.len() as u32;
        self.effort
            .give_back(visit.backedges.len() * size_of::<Backedge>());
        self.visits.backedges -= count;
        self.note(PruneEvent::SccExit { visit: number });
        self.update_peak();
        if count == 0 {
            return Ok(());
        }
        self.propagate_backedges(ctx, number)?;
        self.visits.list[number as usize].backedges = Vec::new();
        self.free_unreferenced();
        Ok(())
    }

    fn propagate_backedges(&mut self, ctx: &Ctx<'_>, number: u32) -> Check<()> {
        let backedges = self.visits.list[number as usize].backedges.clone();
        let mut rounds = 0;
        loop {
            if rounds > MAX_ROUNDS {
                self.note(PruneEvent::TooManyRounds);
                for backedge in backedges.iter().rev() {
                    self.mark_all_precise(&backedge.start);
                }
                return Ok(());
            }
            rounds += 1;
            let mut changed = false;
            self.effort.spend(backedges.len());
            for backedge in backedges.iter().rev() {
                changed |= self.propagate_precision(ctx, backedge.covered_by, &backedge.start)?;
            }
            if !changed {
                return Ok(());
            }
        }
    }

    /// An iteration ended in a state that `covered_by` covers, before that state's paths are finished
    /// (`add_scc_backedge`).
    pub(super) fn add_backedge(&mut self, covered_by: StateId, start: ChainStart) -> Check<()> {
        let Some(number) = self.node_visit(covered_by) else {
            return Err(Stop::undecided(
                "a loop outside of every cycle of the control flow",
            ));
        };
        self.note(PruneEvent::SccBackedge { visit: number });
        self.visits.list[number as usize]
            .backedges
            .push(Backedge { start, covered_by });
        self.effort.keep(size_of::<Backedge>());
        self.visits.backedges += 1;
        self.update_peak();
        Ok(())
    }

    fn widen(&mut self, ctx: &Ctx<'_>, prev: StateId, queued: &mut State, last_id: u32) {
        let (prev, pool, ids) = self.stored_and_ids(prev);
        let Some(prev) = prev else { return };
        ids.reset(last_id);
        let mut comparison = Comparison {
            ctx,
            pool,
            ids,
            last_id,
            exactness: Exactness::Exact,
            at: Place::default(),
        };
        for number in (0..=prev.last_frame().min(queued.curframe())).rev() {
            widen_frame(&mut comparison, prev, queued, number);
        }
    }

    /// Whether a remembered state may still get marks by backedges of the loop that it is in
    /// (`incomplete_read_marks`).
    pub(super) fn is_incomplete(&self, id: StateId) -> bool {
        self.node_visit(id)
            .and_then(|number| self.visits.list.get(number as usize))
            .is_some_and(|visit| !visit.backedges.is_empty())
    }

    /// The calls that lead to a visit's loop, outermost first, and the loop's number.
    pub(crate) fn visit_chain(&self, visit: u32) -> Option<(&[u32], u32)> {
        let (calls, scc) = &self.visits.list.get(visit as usize)?.chain;
        Some((calls, *scc))
    }
}

impl Env<'_> {
    /// The remembered state in which the nearest earlier iteration of `of`'s loop was at `idx`
    /// (`find_prev_entry`); `of` is the current state's parent for iterators and `may_goto`, or `None`
    /// for the current state itself.
    pub(crate) fn find_prev_entry(&self, of: Option<StateId>, idx: InsnIdx) -> Option<StateId> {
        let Some(of) = of else {
            return self.find_entry(&self.state, self.state.dfs_depth, idx);
        };
        let of = self.explored.stored(of)?;
        self.find_entry(of, of.dfs_depth, idx)
    }

    fn find_entry(&self, of: &impl CallChain, depth: u32, idx: InsnIdx) -> Option<StateId> {
        // The list is looked up by the frame that the walk is in now, as the kernel does.
        self.explored.list(idx, &self.state).find(|&id| {
            self.explored.stored(id).is_some_and(|stored| {
                stored.insn_idx as InsnIdx == idx
                    && self.explored.is_open(id)
                    && same_callsites(stored, of)
                    && stored.dfs_depth < depth
            })
        })
    }

    /// Forgets in `queued` every number that differs from the one in a remembered state and on which
    /// nothing depends yet (`widen_imprecise_scalars`).
    pub(crate) fn widen_imprecise_scalars(&mut self, prev: StateId, queued: &mut State) {
        self.explored
            .widen(self.ctx, prev, queued, self.learned.last_id());
    }

    /// The same for the current state.
    pub(crate) fn widen_current_scalars(&mut self, prev: StateId) {
        self.explored
            .widen(self.ctx, prev, &mut self.state, self.learned.last_id());
    }
}

fn widen_frame(comparison: &mut Comparison<'_>, prev: &Stored, queued: &mut State, number: usize) {
    let old = &prev.frames[number];
    let (kept, current) = (prev.precise[number], queued.precise[number]);
    let precise = Precise {
        regs: kept.regs | current.regs,
        slots: kept.slots | current.slots,
    };
    for (reg, &id) in old.regs.iter().enumerate() {
        let value = &queued.frame(number).regs[reg];
        let old = comparison.pool.get(id);
        if precise.regs >> reg & 1 == 0 && must_widen(comparison, old, value) {
            queued.frame_mut(number).regs[reg] = Value::unknown();
        }
    }
    let slots = old.slots.len().min(queued.frame(number).stack.len());
    for (index, slot) in old.slots.iter().enumerate().take(slots) {
        let current = queued.frame(number).stack.slot(index);
        let old = comparison.pool.get(slot.value);
        if slot.is_spilled()
            && current.is_spilled()
            && precise.slots >> (index & 63) & 1 == 0
            && must_widen(comparison, old, &current.value)
        {
            queued.frame_mut(number).stack.slot_mut(index).value = Value::unknown();
        }
    }
}

/// Whether both are numbers, and not the same.
fn must_widen(comparison: &mut Comparison<'_>, old: &Value, cur: &Value) -> bool {
    match (old, cur) {
        (Value::Scalar(old), Value::Scalar(cur)) => !comparison.numbers_equal(old, cur),
        (Value::Uninit | Value::Scalar(_) | Value::Pointer(_), _) => false,
    }
}
