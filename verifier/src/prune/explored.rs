//! The remembered states: a tree that grows with the walk, and lists by instruction.
//!
//! Life and membership are two things. A state is *listed* until comparing with it turns out to be
//! idle; a listed or evicted state *lives* while paths from it are open or marks may still travel
//! through it. Parents are followed only while they live. Where a state's number occurs after that, it
//! names nothing.

use skep_isa::InsnIdx;

use super::backtrack::Concerns;
use super::converge::Visits;
use super::effort::Effort;
use super::events::PruneEvent;
use super::history::{Entries, History};
use super::id_map::IdMap;
use super::pool::Pool;
use super::stack_live::StackLiveness;
use super::stored::{CallChain, Stored};
use super::subsumes::{Comparison, Exactness, Place};
use crate::config::Prune;
use crate::prepare::Ctx;
use crate::state::State;
use crate::violation::Check;

/// A remembered state: index into the arena of [`Explored`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct StateId(pub(crate) u32);

/// Counters of remembered states.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct StateCounts {
    /// States that were remembered.
    pub(crate) total: u32,
    /// States that were remembered at one time.
    pub(crate) peak: u32,
    /// States that were looked at at one instruction.
    pub(crate) max_per_insn: u32,
}

const NONE: u32 = u32::MAX;
/// Instructions for which room is made at the start.
const LARGE: usize = 4096;

/// A state's place in the arena; it stays when the state's contents are dropped.
#[derive(Debug)]
pub(super) struct Node {
    /// The next older state of the same list, or `NONE`.
    next: u32,
    /// The instruction that it was remembered at.
    pub(super) insn_idx: u32,
    /// Open paths below it.
    pub(super) branches: u32,
    pub(super) hits: u32,
    pub(super) misses: u32,
    /// What kept it from covering a path the last time: it is compared first.
    refusing: Place,
    /// The visit of the loop that it is in, or `NONE`.
    visit: u32,
    /// What its contents take.
    bytes: u32,
    /// What is not read any more was erased.
    cleaned: bool,
    /// It is in no list any more.
    evicted: bool,
    /// `None` once it is dead.
    state: Option<Box<Stored>>,
}

/// All remembered states.
#[derive(Debug, Default)]
pub(crate) struct Explored {
    nodes: Vec<Node>,
    /// The newest state of each list, or `NONE`.
    heads: Vec<u32>,
    /// Lists that were begun.
    begun: Vec<u32>,
    /// Listed states; those of finished subprograms keep counting, as in the kernel.
    listed: u32,
    /// Evicted states that still live, or lived when their subprogram was finished.
    evicted: u32,
    /// Evicted states that have no open path, but lived for the sake of a loop's marks.
    waiting: Vec<StateId>,
    counts: StateCounts,
    pool: Pool,
    /// What histories hold.
    pub(crate) entries: Entries,
    pub(super) concerns: Concerns,
    pub(super) visits: Visits,
    pub(super) live: StackLiveness,
    pub(super) ids: IdMap,
    /// Work and memory beside walking.
    pub(crate) effort: Effort,
    /// `insns_processed` when the history's last entry was recorded.
    pub(super) history_stamp: u64,
    /// What happened since the log was last told, if it is to be told.
    events: Option<Vec<PruneEvent>>,
}

impl Explored {
    /// Nothing remembered; once per load.
    pub(crate) fn new(ctx: &Ctx<'_>) -> Explored {
        // Most programs remember a state in eight instructions, and two new values in each. Growing to
        // that step by step costs more than the room does; large programs have time.
        let insns = ctx.insns.len().clamp(64, LARGE);
        Explored {
            nodes: Vec::with_capacity(insns / 8),
            pool: Pool::with_capacity(insns / 4),
            entries: Entries::with_capacity(insns / 4),
            heads: vec![NONE; ctx.insns.len().max(1)],
            concerns: Concerns::of(ctx),
            ..Explored::default()
        }
    }

    /// From now on events are kept for the log.
    pub(crate) fn keep_events(&mut self) {
        self.events = Some(Vec::new());
        self.live = StackLiveness::new(true);
    }

    /// What happened since this was last asked.
    pub(crate) fn take_events(&mut self) -> Vec<PruneEvent> {
        self.events.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Whether events are kept.
    pub(crate) fn keeps_events(&self) -> bool {
        self.events.is_some()
    }

    /// Stack liveness.
    pub(crate) fn stack_liveness(&self) -> &StackLiveness {
        &self.live
    }

    /// Notes an event for the log.
    #[inline]
    pub(super) fn note(&mut self, event: PruneEvent) {
        if let Some(events) = &mut self.events {
            events.push(event);
        }
    }

    /// Takes over what stack liveness noted, so that events keep their order.
    pub(super) fn collect_live_events(&mut self) {
        if let (Some(events), Some(live)) = (&mut self.events, &mut self.live.events) {
            events.extend(live.drain(..).map(PruneEvent::Live));
        }
    }

    /// Forgets all states and loop visits, keeping the counters and the stack liveness: between the
    /// main program and each global subprogram.
    pub(crate) fn clear(&mut self) {
        let bytes = self.nodes.iter().filter(|node| node.state.is_some());
        let bytes: usize = bytes.map(|node| node.bytes as usize).sum();
        let values = self.pool.bytes();
        self.pool.clear();
        self.effort
            .give_back(bytes + values - self.pool.bytes() + self.entries.clear() * Entries::BYTES);
        self.nodes.clear();
        for list in self.begun.drain(..) {
            self.heads[list as usize] = NONE;
        }
        self.waiting.clear();
        self.visits.clear();
    }

    /// Counters.
    pub(crate) fn counts(&self) -> StateCounts {
        self.counts
    }

    /// A remembered state in full, while it lives: for the log.
    pub(crate) fn restored(&self, id: StateId) -> Option<State> {
        self.stored(id).map(|stored| stored.restore(&self.pool))
    }

    /// The history of a remembered state, and the state before it.
    pub(crate) fn history(&self, id: StateId) -> Option<(History, Option<StateId>)> {
        self.stored(id)
            .map(|stored| (stored.history, stored.parent))
    }

    /// A remembered state, while it lives.
    #[inline]
    pub(super) fn stored(&self, id: StateId) -> Option<&Stored> {
        self.nodes.get(id.0 as usize)?.state.as_deref()
    }

    /// A remembered state, to be marked or cleaned.
    pub(super) fn stored_mut(&mut self, id: StateId) -> Option<&mut Stored> {
        self.nodes.get_mut(id.0 as usize)?.state.as_deref_mut()
    }

    /// The values of remembered states.
    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// A remembered state beside the values and the table of ids that comparing it needs.
    pub(super) fn stored_and_ids(&mut self, id: StateId) -> (Option<&Stored>, &Pool, &mut IdMap) {
        let node = self.nodes.get(id.0 as usize);
        let stored = node.and_then(|node| node.state.as_deref());
        (stored, &self.pool, &mut self.ids)
    }

    /// Whether a remembered state covers the current one.
    pub(super) fn covers(
        &mut self,
        ctx: &Ctx<'_>,
        id: StateId,
        current: &State,
        last_id: u32,
        exactness: Exactness,
    ) -> bool {
        let Some(node) = self.nodes.get_mut(id.0 as usize) else {
            return false;
        };
        let Some(old) = node.state.as_deref() else {
            return false;
        };
        let mut comparison = Comparison {
            ctx,
            pool: &self.pool,
            ids: &mut self.ids,
            last_id,
            exactness,
            at: node.refusing,
        };
        let covers = comparison.covers(old, current);
        if !covers {
            node.refusing = comparison.at;
        }
        covers
    }

    #[inline]
    pub(super) fn node(&self, id: StateId) -> Option<&Node> {
        self.nodes.get(id.0 as usize)
    }

    #[inline]
    pub(super) fn node_mut(&mut self, id: StateId) -> Option<&mut Node> {
        self.nodes.get_mut(id.0 as usize)
    }

    #[inline]
    pub(super) fn node_visit(&self, id: StateId) -> Option<u32> {
        self.node(id)
            .map(|node| node.visit)
            .filter(|&visit| visit != NONE)
    }

    /// Whether paths from a remembered state are open.
    #[inline]
    pub(super) fn is_open(&self, id: StateId) -> bool {
        self.node(id).is_some_and(|node| node.branches != 0)
    }

    /// A branch was pushed that continues `parent`: it has one more open path.
    pub(crate) fn open_branch(&mut self, parent: Option<StateId>) {
        if let Some(node) = parent.and_then(|id| self.node_mut(id)) {
            node.branches += 1;
        }
    }

    /// The list that states at `idx` are in, given the call that the current frame was entered by.
    fn list_at(&self, idx: InsnIdx, current: &State) -> usize {
        let callsite = current.cur().callsite.map_or(u32::MAX, |idx| idx as u32);
        (idx as u32 ^ callsite) as usize % self.heads.len()
    }

    /// The states of that list, newest first; among them some of other instructions.
    pub(super) fn list(&self, idx: InsnIdx, current: &State) -> impl Iterator<Item = StateId> {
        let mut next = self.first_of_list(idx, current);
        std::iter::from_fn(move || {
            let id = next?;
            next = self.next_of_list(id);
            Some(id)
        })
    }

    /// The newest state of the list, if there is one.
    #[inline]
    pub(super) fn first_of_list(&self, idx: InsnIdx, current: &State) -> Option<StateId> {
        let head = self.heads[self.list_at(idx, current)];
        (head != NONE).then_some(StateId(head))
    }

    /// The next older state of a list.
    #[inline]
    pub(super) fn next_of_list(&self, id: StateId) -> Option<StateId> {
        self.node(id)
            .map(|node| node.next)
            .filter(|&next| next != NONE)
            .map(StateId)
    }

    /// Remembers a copy of the current state and lets the path continue from there.
    pub(super) fn store(&mut self, ctx: &Ctx<'_>, current: &mut State) -> StateId {
        let id = StateId(self.nodes.len() as u32);
        self.counts.total += 1;
        self.listed += 1;
        self.update_peak();
        // Marks so far concern what came before; the copy gets those of its own future.
        if ctx.facts.lane().bpf {
            for precise in &mut current.precise {
                *precise = Default::default();
            }
        }
        if self.pool.wants_sweep() {
            let alive = self.nodes.iter().filter_map(|node| node.state.as_deref());
            self.pool.sweep(alive.flat_map(Stored::values));
        }
        let parent = current.parent.and_then(|id| self.nodes.get(id.0 as usize));
        let before = parent.and_then(|node| node.state.as_deref());
        let values = self.pool.bytes();
        let stored = Box::new(Stored::new(current, before, &mut self.pool));
        let bytes = size_of::<Node>() + stored.bytes(before);
        // The pool does not shrink while paths are walked, but is filled again after it was swept.
        self.effort.keep(bytes + self.pool.bytes() - values);
        let visit = self.enter_loop(ctx, id, current).unwrap_or(NONE);
        current.parent = Some(id);
        current.first_insn_idx = current.insn_idx;
        current.dfs_depth += 1;
        let list = self.list_at(current.insn_idx, current);
        let next = std::mem::replace(&mut self.heads[list], id.0);
        if next == NONE {
            self.begun.push(list as u32);
        }
        self.nodes.push(Node {
            next,
            insn_idx: current.insn_idx as u32,
            branches: 1,
            hits: 0,
            misses: 0,
            refusing: Place::default(),
            visit,
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            cleaned: false,
            evicted: false,
            state: Some(stored),
        });
        self.note(PruneEvent::Stored {
            id,
            insn_idx: current.insn_idx,
        });
        id
    }

    /// Takes a state from its list; `newer` is the one before it there.
    pub(super) fn evict(&mut self, id: StateId, newer: Option<StateId>, current: &State) {
        let next = self.next_of_list(id).map_or(NONE, |next| next.0);
        match newer.and_then(|newer| self.node_mut(newer)) {
            Some(newer) => newer.next = next,
            None => {
                let list = self.list_at(current.insn_idx, current);
                self.heads[list] = next;
            }
        }
        if let Some(node) = self.node_mut(id) {
            node.evicted = true;
            let (misses, hits) = (node.misses, node.hits);
            let insn_idx = node.insn_idx as InsnIdx;
            self.note(PruneEvent::Evicted {
                id,
                insn_idx,
                misses,
                hits,
            });
        }
        self.evicted += 1;
        self.listed -= 1;
        self.free_if_dead(id);
    }

    /// Ends an evicted state's life if nothing will look at it again (`maybe_free_verifier_state`).
    pub(super) fn free_if_dead(&mut self, id: StateId) {
        let Some(node) = self.node(id) else { return };
        if !node.evicted || node.branches != 0 || node.state.is_none() {
            return;
        }
        if self.is_incomplete(id) {
            self.waiting.push(id);
            return;
        }
        self.drop_contents(id);
        self.evicted -= 1;
    }

    fn drop_contents(&mut self, id: StateId) {
        let Some(node) = self.nodes.get_mut(id.0 as usize) else {
            return;
        };
        if node.state.take().is_some() {
            self.effort.give_back(node.bytes as usize);
        }
    }

    /// A loop was left: evicted states that were kept for its marks are not needed any more. The kernel
    /// keeps counting them until the subprogram is finished.
    pub(super) fn free_unreferenced(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        for id in waiting {
            if self.is_incomplete(id) {
                self.waiting.push(id);
            } else {
                self.drop_contents(id);
            }
        }
    }

    /// Takes note of how many states are remembered now.
    pub(super) fn update_peak(&mut self) {
        let now = self.listed + self.evicted + self.visits.backedges;
        self.counts.peak = self.counts.peak.max(now);
    }

    /// Takes note of how many states were looked at.
    pub(super) fn looked_at(&mut self, states: u32) {
        self.counts.max_per_insn = self.counts.max_per_insn.max(states);
    }

    /// The current path ended: closes its ancestors one by one, up to one that has other open paths
    /// (`update_branch_counts`).
    pub(super) fn close_path(&mut self, ctx: &Ctx<'_>, parent: Option<StateId>) -> Check<()> {
        let mut next = parent;
        while let Some(id) = next {
            let Some(node) = self.node_mut(id) else {
                return Ok(());
            };
            node.branches = node.branches.saturating_sub(1);
            if node.branches != 0 {
                return Ok(());
            }
            self.leave_loop(ctx, id)?;
            next = self.stored(id).and_then(|stored| stored.parent);
            self.free_if_dead(id);
        }
        Ok(())
    }

    /// Whether a state may be cleaned: of that instruction, finished, complete, and not cleaned yet.
    #[inline]
    pub(super) fn is_cleanable(&self, id: StateId, idx: InsnIdx) -> bool {
        self.node(id).is_some_and(|node| {
            node.insn_idx as usize == idx && node.branches == 0 && !node.cleaned
        }) && !self.is_incomplete(id)
    }

    /// Erases from a finished state what is not read any more (`clean_verifier_state`).
    pub(super) fn clean(&mut self, ctx: &Ctx<'_>, id: StateId) {
        let Some(node) = self.nodes.get_mut(id.0 as usize) else {
            return;
        };
        node.cleaned = true;
        let Some(stored) = node.state.as_deref_mut() else {
            return;
        };
        let alive = self.live.alive_slots(ctx, stored);
        for (number, &alive) in alive.iter().enumerate() {
            let alive = match ctx.config.prune {
                Prune::ByReads | Prune::Nothing => alive,
                Prune::ByWrites => u64::MAX,
            };
            let flow = ctx.flow.get(stored.at(number));
            // The frame pointer is never erased.
            let live = flow.map_or(u16::MAX, |flow| flow.live_regs | 1 << 10);
            stored.erase(number, live, alive);
        }
        self.note(PruneEvent::Cleaned { id });
    }
}
