//! Which stack slots may still be read: collected while walking, spread to a fixed point.
//!
//! For each call chain, and each instruction of the subprogram at its end, the walk collects the slots
//! of every frame that the instruction may read (a union over all visits) and those that it certainly
//! writes (an intersection). From time to time these spread backwards over the control flow: a slot
//! is alive before an instruction that reads it, and before one that leads there without writing it.
//! What a callee reads and writes in its callers' frames is then handed to the call instruction.
//!
//! The result depends on when the spreading happens and in which order it sweeps, since a
//! first visit adds writes to an instruction that the last spreading took for one without; so both
//! are those of `kernel/bpf/liveness.c` in Linux 6.18. Querying is right only after spreading.

use std::rc::Rc;

use rustc_hash::FxHashMap;
use skep_isa::InsnIdx;
use smallvec::SmallVec;

use super::backtrack::MAX_FRAMES;
use super::live_graph::{LiveGraph, Stale};
use super::stored::CallChain;
use crate::prepare::Ctx;

/// Instruction tables of all call chains together may take that many bytes; past it there is no
/// verdict. A kernel would have run out of memory long before.
const MEMORY_LIMIT: usize = 1 << 29;

/// A subprogram at the end of one call chain.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct InstanceId(u32);

/// A spreading or one change that it made, for the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LiveEvent {
    /// Slots became alive before an instruction, or ceased to be.
    Live {
        of: InstanceId,
        frame: usize,
        idx: InsnIdx,
        old: u64,
        new: u64,
    },
    /// Slots became certainly written at or after an instruction, or ceased to be.
    Written {
        of: InstanceId,
        frame: usize,
        idx: InsnIdx,
        old: u64,
        new: u64,
    },
    /// A fixed point was reached after that many sweeps.
    Done { of: InstanceId, sweeps: u32 },
}

/// What is known of the slots of one frame at one instruction; bit `n` is slot `n`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Masks {
    may_read: u64,
    must_write: u64,
    /// Written here or on every way from here to the subprogram's end.
    must_write_after: u64,
    live_before: u64,
}

/// What is known of the slots of one frame.
#[derive(Debug, Default)]
struct FrameTable {
    /// By instruction; empty until the frame is touched.
    masks: Vec<Masks>,
    /// Where a mark was added since the last spreading.
    stale: Stale,
}

#[derive(Debug)]
struct Instance {
    outer: Option<InstanceId>,
    /// The call in the outer instance.
    callsite: InsnIdx,
    start: InsnIdx,
    graph: Rc<LiveGraph>,
    /// Spreading is due.
    updated: bool,
    /// Some certain write turned out not to be one.
    write_dropped: bool,
    frames: SmallVec<[FrameTable; 2]>,
    seen: Vec<Seen>,
}

/// What the walk saw of 64 instructions of an instance, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Seen {
    /// Its writes were collected at least once.
    visited: u64,
    /// There were writes among them.
    writes: u64,
}

impl Instance {
    fn masks(&self, frame: usize, idx: InsnIdx) -> Option<&Masks> {
        self.frames
            .get(frame)?
            .masks
            .get(idx.checked_sub(self.start)?)
    }

    /// Changes what is known of a frame at an instruction, if `change` says that it does.
    fn change_masks(
        &mut self,
        frame: usize,
        idx: InsnIdx,
        memory: &mut usize,
        change: impl FnOnce(&mut Masks) -> bool,
    ) {
        let Some(slot) = idx.checked_sub(self.start) else {
            return;
        };
        let Some(table) = self.frames.get_mut(frame) else {
            return;
        };
        if table.masks.is_empty() {
            let len = self.graph.slots();
            *memory += len * size_of::<Masks>();
            table.masks.resize(len, Masks::default());
            table.stale = Stale::none(self.graph.len());
        }
        if table.masks.get_mut(slot).is_some_and(change)
            && let Some(place) = self.graph.place(slot)
        {
            table.stale.add(place);
        }
    }

    fn is_alive(&self, frame: usize, idx: InsnIdx) -> u64 {
        self.masks(frame, idx).map_or(0, |masks| masks.live_before)
    }
}

/// The stack slots that are alive at a state, by frame.
pub(crate) type AliveSlots = SmallVec<[u64; 4]>;

/// Stack liveness of a whole load; not undone between paths or subprograms.
#[derive(Debug, Default)]
pub(crate) struct StackLiveness {
    instances: Vec<Instance>,
    by_chain: FxHashMap<(Option<InstanceId>, InsnIdx, usize), InstanceId>,
    /// The chain that was looked up last, outermost first: call, subprogram and instance.
    last_chain: SmallVec<[(InsnIdx, usize, InstanceId); 8]>,
    graphs: FxHashMap<usize, Rc<LiveGraph>>,
    /// The instance that the walk is in, once it is known.
    current: Option<InstanceId>,
    /// Writes of the instruction under way, by frame; all empty unless `wrote` is set.
    writes: [u64; MAX_FRAMES],
    wrote: bool,
    write_idx: InsnIdx,
    memory: usize,
    /// Instructions looked at since this was last asked.
    steps: usize,
    /// Changes since the log was last told, if it is to be told.
    pub(super) events: Option<Vec<LiveEvent>>,
}

impl StackLiveness {
    /// Nothing collected. `logged` says that changes are to be kept for the log.
    pub(super) fn new(logged: bool) -> StackLiveness {
        StackLiveness {
            events: logged.then(Vec::new),
            ..StackLiveness::default()
        }
    }

    /// Whether the tables have grown past all reason.
    pub(super) fn is_too_large(&self) -> bool {
        self.memory > MEMORY_LIMIT
    }

    /// Instructions looked at since this was last asked.
    pub(super) fn take_steps(&mut self) -> usize {
        std::mem::take(&mut self.steps)
    }

    /// The call instructions of an instance's chain, outermost first, and its subprogram's entry.
    pub(crate) fn chain(&self, of: InstanceId) -> SmallVec<[InsnIdx; 8]> {
        let mut chain = SmallVec::new();
        let mut next = self.instances.get(of.0 as usize);
        chain.extend(next.map(|instance| instance.start));
        while let Some((instance, outer)) = next.and_then(|i| Some((i, i.outer?))) {
            chain.push(instance.callsite);
            next = self.instances.get(outer.0 as usize);
        }
        chain.reverse();
        chain
    }

    /// The instance of frame `number` of a state, made if it is new.
    fn instance(&mut self, ctx: &Ctx<'_>, state: &impl CallChain, number: usize) -> InstanceId {
        let mut outer = None;
        for number in 0..=number {
            let callsite = match number {
                0 => 0,
                _ => state.entered_by(number).unwrap_or(0),
            };
            let subprog = state.subprog(number);
            let id = match self.last_chain.get(number) {
                Some(&(call, of, id)) if call == callsite && of == subprog => id,
                Some(_) | None => {
                    let id = self.enter(ctx, outer, callsite, subprog);
                    self.last_chain.truncate(number);
                    self.last_chain.push((callsite, subprog, id));
                    id
                }
            };
            outer = Some(id);
        }
        outer.unwrap_or(InstanceId(0))
    }

    fn enter(
        &mut self,
        ctx: &Ctx<'_>,
        outer: Option<InstanceId>,
        callsite: InsnIdx,
        subprog: usize,
    ) -> InstanceId {
        let key = (outer, callsite, subprog);
        if let Some(&id) = self.by_chain.get(&key) {
            return id;
        }
        let depth = outer.map_or(0, |outer| self.instances[outer.0 as usize].frames.len());
        let graph = self
            .graphs
            .entry(subprog)
            .or_insert_with(|| Rc::new(LiveGraph::new(ctx, subprog)));
        let seen = vec![Seen::default(); graph.slots().div_ceil(64)];
        self.memory += size_of_val(&*seen) + size_of::<Instance>();
        let id = InstanceId(self.instances.len() as u32);
        self.instances.push(Instance {
            outer,
            callsite,
            start: ctx.subprogs.get(subprog).map_or(0, |s| s.start),
            graph: Rc::clone(graph),
            updated: false,
            write_dropped: false,
            frames: (0..=depth).map(|_| FrameTable::default()).collect(),
            seen,
        });
        self.by_chain.insert(key, id);
        id
    }

    /// The walk went to another call chain.
    pub(super) fn forget_current(&mut self) {
        self.current = None;
    }

    fn current(&mut self, ctx: &Ctx<'_>, state: &impl CallChain) -> InstanceId {
        match self.current {
            Some(id) => id,
            None => {
                let id = self.instance(ctx, state, state.last_frame());
                self.current = Some(id);
                id
            }
        }
    }

    /// The instruction may read these slots of a frame.
    pub(super) fn mark_read(
        &mut self,
        ctx: &Ctx<'_>,
        state: &impl CallChain,
        frame: usize,
        idx: InsnIdx,
        slots: u64,
    ) {
        let id = self.current(ctx, state);
        self.add_read(id, frame, idx, slots);
    }

    fn add_read(&mut self, id: InstanceId, frame: usize, idx: InsnIdx, slots: u64) {
        let instance = &mut self.instances[id.0 as usize];
        let mut news = false;
        instance.change_masks(frame, idx, &mut self.memory, |masks| {
            let reads = masks.may_read | slots;
            let changes = reads != masks.may_read;
            news = changes && reads & !masks.live_before != 0;
            masks.may_read = reads;
            changes
        });
        instance.updated |= news;
    }

    /// Begins collecting what an instruction writes.
    #[inline]
    pub(super) fn reset_writes(&mut self, ctx: &Ctx<'_>, state: &impl CallChain, idx: InsnIdx) {
        if self.current.is_none() {
            self.current(ctx, state);
        }
        self.begin_writes(idx);
    }

    #[inline]
    fn begin_writes(&mut self, idx: InsnIdx) {
        self.write_idx = idx;
        if self.wrote {
            self.writes = [0; MAX_FRAMES];
            self.wrote = false;
        }
    }

    /// The instruction certainly writes these slots of a frame.
    #[inline]
    pub(super) fn mark_write(&mut self, frame: usize, slots: u64) {
        if let Some(writes) = self.writes.get_mut(frame) {
            *writes |= slots;
            self.wrote = true;
        }
    }

    /// Merges the collected writes with those of earlier visits of the instruction.
    #[inline]
    pub(super) fn commit_writes(&mut self) {
        // None after a call or a return: the call's writes are its callee's, handed over later.
        if let Some(id) = self.current {
            self.merge_writes(id);
        }
    }

    #[inline]
    fn merge_writes(&mut self, id: InstanceId) {
        let instance = &mut self.instances[id.0 as usize];
        let at = self.write_idx.wrapping_sub(instance.start);
        let Some(seen) = instance.seen.get_mut(at / 64) else {
            return;
        };
        let bit = 1 << (at % 64);
        let visited = seen.visited & bit != 0;
        seen.visited |= bit;
        // Most instructions write no stack, on no path.
        if self.wrote || seen.writes & bit != 0 {
            seen.writes |= bit;
            self.merge_into_tables(id, visited);
        }
    }

    fn merge_into_tables(&mut self, id: InstanceId, visited: bool) {
        let instance = &mut self.instances[id.0 as usize];
        let idx = self.write_idx;
        for (frame, &writes) in (0..instance.frames.len()).zip(&self.writes) {
            let mut writes = writes;
            // Tables are made for what they say only.
            if writes == 0 && (!visited || instance.frames[frame].masks.is_empty()) {
                continue;
            }
            let (mut changes, mut drops) = (false, false);
            instance.change_masks(frame, idx, &mut self.memory, |masks| {
                // Linux 6.18 looks at 32 of the 64 slots here, so that it may take a write below them
                // for certain that is not.
                let old = masks.must_write & u64::from(u32::MAX);
                if visited {
                    writes &= old;
                }
                changes = old != writes;
                drops = old & !writes != 0;
                if changes {
                    masks.must_write = writes;
                }
                changes
            });
            instance.updated |= changes;
            instance.write_dropped |= drops;
        }
    }

    /// Spreads what was collected in the call chain of a state, innermost frame first.
    pub(super) fn update(&mut self, ctx: &Ctx<'_>, state: &impl CallChain) {
        self.forget_current();
        for number in (0..=state.last_frame()).rev() {
            let id = self.instance(ctx, state, number);
            if self.instances[id.0 as usize].updated {
                self.spread(ctx, id);
                let instance = &mut self.instances[id.0 as usize];
                instance.updated = false;
                instance.write_dropped = false;
            }
        }
    }

    /// Sweeps over the instructions until nothing changes. Only what may be out of date is looked at;
    /// the rest would come out as it is, so that the result is that of whole sweeps.
    fn spread(&mut self, ctx: &Ctx<'_>, id: InstanceId) {
        let instance = &mut self.instances[id.0 as usize];
        let (graph, start) = (Rc::clone(&instance.graph), instance.start);
        if instance.write_dropped {
            // What was certain because of the dropped write must be found out anew.
            for table in instance
                .frames
                .iter_mut()
                .filter(|table| !table.masks.is_empty())
            {
                for masks in &mut table.masks {
                    masks.must_write_after = 0;
                }
                table.stale.add_all(graph.len());
                self.steps += graph.len();
            }
        }
        let mut sweeps = 0;
        loop {
            sweeps += 1;
            let mut changed = false;
            for (frame, table) in instance.frames.iter_mut().enumerate() {
                let mut from = 0;
                self.steps += 1 + table.masks.len() / 64;
                while let Some(place) = table.stale.take_from(from) {
                    from = place + 1;
                    self.steps += 1;
                    let (old, new) = flow_back(&graph, &mut table.masks, place);
                    if old == new {
                        continue;
                    }
                    changed = true;
                    for &before in graph.before(place) {
                        table.stale.add(before as usize);
                    }
                    if let Some(events) = &mut self.events {
                        let idx = start + graph.slot(place);
                        let telling = idx == start || ctx.flow[idx].prune_point;
                        tell(events, id, frame, idx, telling, &old, &new);
                    }
                }
            }
            if !changed {
                break;
            }
        }
        if let Some(events) = &mut self.events {
            events.push(LiveEvent::Done { of: id, sweeps });
        }
        self.hand_to_caller(id);
    }

    /// Gives a callee's reads and certain writes in its callers' frames to the call instruction.
    fn hand_to_caller(&mut self, id: InstanceId) {
        let instance = &self.instances[id.0 as usize];
        let Some(outer) = instance.outer else { return };
        let callsite = instance.callsite;
        let entry: SmallVec<[Option<Masks>; 8]> = (0..instance.frames.len() - 1)
            .map(|frame| instance.masks(frame, instance.start).copied())
            .collect();
        self.begin_writes(callsite);
        for (frame, masks) in entry.into_iter().enumerate() {
            if let Some(masks) = masks {
                self.mark_write(frame, masks.must_write_after);
                self.add_read(outer, frame, callsite, masks.live_before);
            }
        }
        self.merge_writes(outer);
    }

    /// The slots that are alive at a state: read at or after its instruction in its own subprogram,
    /// or after the calls that it is in, or before a call whose callback may run again.
    pub(super) fn alive_slots(&mut self, ctx: &Ctx<'_>, state: &impl CallChain) -> AliveSlots {
        let last = state.last_frame();
        let ids: SmallVec<[InstanceId; 8]> = (0..=last)
            .map(|number| self.instance(ctx, state, number))
            .collect();
        let mut alive = AliveSlots::from_elem(0, last + 1);
        for (frame, slots) in alive.iter_mut().enumerate() {
            *slots = self.instances[ids[last].0 as usize].is_alive(frame, state.at(last));
            for outer in frame..last {
                let callsite = state.at(outer);
                let again = ctx
                    .flow
                    .get(callsite)
                    .is_some_and(|flow| flow.calls_callback);
                let from = if again { callsite } else { callsite + 1 };
                *slots |= self.instances[ids[outer].0 as usize].is_alive(frame, from);
            }
        }
        alive
    }
}

/// Carries liveness and certain writes of one frame over an instruction, from those that follow it;
/// the values before and after. Where nothing follows, nothing changes.
fn flow_back(graph: &LiveGraph, table: &mut [Masks], place: usize) -> (Masks, Masks) {
    let (mut live_after, mut written, mut ends) = (0, u64::MAX, true);
    for next in graph.next(place) {
        let after = table.get(next).copied().unwrap_or_default();
        live_after |= after.live_before;
        written &= after.must_write_after;
        ends = false;
    }
    let masks = &mut table[graph.slot(place)];
    let old = *masks;
    if !ends {
        masks.must_write_after = written | masks.must_write;
        masks.live_before = (live_after & !masks.must_write) | masks.may_read;
    }
    (old, *masks)
}

/// Keeps a change for the log, where the kernel's log has it.
fn tell(
    events: &mut Vec<LiveEvent>,
    of: InstanceId,
    frame: usize,
    idx: InsnIdx,
    telling: bool,
    old: &Masks,
    new: &Masks,
) {
    if !telling && new.may_read == 0 && new.must_write == 0 {
        return;
    }
    if old.live_before != new.live_before {
        let (old, new) = (old.live_before, new.live_before);
        events.push(LiveEvent::Live {
            of,
            frame,
            idx,
            old,
            new,
        });
    }
    if old.must_write_after != new.must_write_after {
        let (old, new) = (old.must_write_after, new.must_write_after);
        events.push(LiveEvent::Written {
            of,
            frame,
            idx,
            old,
            new,
        });
    }
}
