//! The control-flow graph inside subprograms: successors, blocks, postorder, strongly connected components.
//!
//! Calls go on behind the call: the callee is another graph. Numbers and orders are the kernel's,
//! since its log shows them and its liveness depends on them.

use std::array;
use std::iter::Take;
use std::ops::{Deref, Range};

use skep_isa::{InsnIdx, RawInsn, class, opcode};

use super::Subprog;

/// The slots that may follow a slot, at most two: fall-through first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Successors {
    slots: [InsnIdx; 2],
    len: u8,
}

impl Successors {
    #[inline]
    fn push(&mut self, idx: InsnIdx) {
        self.slots[usize::from(self.len)] = idx;
        self.len += 1;
    }
}

impl Deref for Successors {
    type Target = [InsnIdx];

    #[inline]
    fn deref(&self) -> &[InsnIdx] {
        &self.slots[..usize::from(self.len)]
    }
}

impl IntoIterator for Successors {
    type Item = InsnIdx;
    type IntoIter = Take<array::IntoIter<InsnIdx, 2>>;

    #[inline]
    fn into_iter(self) -> Self::IntoIter {
        self.slots.into_iter().take(usize::from(self.len))
    }
}

/// Where control may go after a slot, within its subprogram (`bpf_insn_successors`).
#[inline]
pub(crate) fn successors(insns: &[RawInsn], idx: InsnIdx) -> Successors {
    let mut next = Successors::default();
    let insn = insns[idx];
    let is_jump = matches!(insn.class(), class::JMP | class::JMP32);
    let op = insn.code & 0xf0;
    let falls_through = !is_jump || (op != (opcode::EXIT & 0xf0) && op != (opcode::JA & 0xf0));
    if falls_through && idx + 1 < insns.len() {
        next.push(idx + if insn.is_ld_imm64() { 2 } else { 1 });
    }
    if is_jump && op != (opcode::EXIT & 0xf0) && op != (opcode::CALL & 0xf0) {
        let target = jump_target(insn, idx);
        if target < insns.len() && next.first() != Some(&target) {
            next.push(target);
        }
    }
    next
}

/// Where a jump at `idx` lands; out of the program where it points before its start.
pub(crate) fn jump_target(insn: RawInsn, idx: InsnIdx) -> InsnIdx {
    let off = if insn.code == opcode::JA32 {
        i64::from(insn.imm)
    } else {
        i64::from(insn.off)
    };
    usize::try_from(idx as i64 + 1 + off).unwrap_or(usize::MAX)
}

/// No block.
const NONE: u32 = u32::MAX;

/// The program cut into blocks: runs of slots that control enters at the first and leaves behind the last.
///
/// What holds for a run's first slot follows for the others, so that searches over the graph need to see
/// blocks alone. Made of programs whose control flow was checked: nothing jumps into the middle of an
/// instruction.
pub(super) struct Blocks<'a> {
    insns: &'a [RawInsn],
    /// The first slot of each block, ascending, and behind them the number of slots.
    starts: Vec<u32>,
    /// By block, those that may follow: fall-through first, `NONE` where there are fewer than two.
    next: Vec<[u32; 2]>,
}

impl<'a> Blocks<'a> {
    /// The blocks of a program.
    pub(super) fn new(insns: &'a [RawInsn], subprogs: &[Subprog]) -> Blocks<'a> {
        // Blocks by slot: first a 1 for each slot that begins one, then summed up.
        let mut blocks = vec![0_u32; insns.len()];
        let mut begin = |slot: InsnIdx| {
            if let Some(block) = blocks.get_mut(slot) {
                *block = 1;
            }
        };
        for subprog in subprogs {
            begin(subprog.start);
        }
        let mut lasts = Vec::new();
        for (at, insn) in insns.iter().enumerate() {
            let is_jump = matches!(insn.class(), class::JMP | class::JMP32);
            if is_jump && insn.code & 0xf0 != opcode::CALL & 0xf0 {
                begin(at + 1);
                if insn.code & 0xf0 != opcode::EXIT & 0xf0 {
                    begin(jump_target(*insn, at));
                }
            }
        }
        let mut starts = Vec::new();
        for (at, block) in blocks.iter_mut().enumerate() {
            if *block == 1 {
                if let Some(last) = at.checked_sub(1).filter(|_| !starts.is_empty()) {
                    lasts.push(last as u32);
                }
                starts.push(at as u32);
            }
            *block = (starts.len() as u32).saturating_sub(1);
        }
        lasts.push(insns.len().saturating_sub(1) as u32);
        starts.push(insns.len() as u32);
        let follow = |&last: &u32| {
            let mut next = [NONE; 2];
            let found = successors(insns, insn_at(insns, last as usize));
            for (to, idx) in next.iter_mut().zip(found) {
                *to = blocks.get(idx).copied().unwrap_or(NONE);
            }
            next
        };
        let next = lasts.iter().map(follow).collect();
        Blocks {
            insns,
            starts,
            next,
        }
    }

    /// Number of blocks.
    pub(super) fn len(&self) -> usize {
        self.next.len()
    }

    /// The slots of a block.
    pub(super) fn slots(&self, block: usize) -> Range<InsnIdx> {
        self.starts[block] as usize..self.starts[block + 1] as usize
    }

    /// The slots of a block at which instructions begin, last first.
    pub(super) fn insns_backwards(&self, block: usize) -> impl Iterator<Item = InsnIdx> + use<'_> {
        let slots = self.slots(block);
        let first = slots.start;
        let second = move |at: InsnIdx| {
            at > first && self.insns.get(at - 1).is_some_and(|i| i.is_ld_imm64())
        };
        slots.rev().filter(move |&at| !second(at))
    }

    /// The blocks that may follow a block.
    pub(super) fn next(&self, block: usize) -> impl Iterator<Item = usize> + use<> {
        let next = self.next[block].into_iter();
        next.filter(|&to| to != NONE).map(|to| to as usize)
    }

    fn block_at(&self, slot: InsnIdx) -> usize {
        self.starts
            .partition_point(|&start| start as usize <= slot)
            .saturating_sub(1)
    }

    /// All reachable blocks of each subprogram in postorder, and where each subprogram's part begins (one
    /// more entry than there are subprograms).
    pub(super) fn postorder(&self, subprogs: &[Subprog]) -> Postorder {
        let mut order = Vec::with_capacity(self.len());
        let mut slots = Vec::with_capacity(self.insns.len());
        let mut starts = Vec::with_capacity(subprogs.len() + 1);
        let mut discovered = vec![false; self.len()];
        let mut explored = vec![false; self.len()];
        let mut stack = Vec::new();
        for subprog in subprogs {
            starts.push(slots.len());
            let entry = self.block_at(subprog.start);
            if explored.get(entry) == Some(&true) {
                // The subprogram before, which ends in a call, fell through into this one.
                slots.push(subprog.start as u32);
                continue;
            }
            stack.push(entry);
            while let Some(&top) = stack.last() {
                discovered[top] = true;
                if explored[top] {
                    order.push(top as u32);
                    slots.extend(self.insns_backwards(top).map(|at| at as u32));
                    stack.pop();
                    continue;
                }
                for next in self.next(top) {
                    if !std::mem::replace(&mut discovered[next], true) {
                        stack.push(next);
                    }
                }
                explored[top] = true;
            }
        }
        starts.push(slots.len());
        Postorder {
            blocks: order,
            slots,
            starts,
        }
    }

    /// The number of each block's strongly connected component, from 1; 0 for a block that is in no loop
    /// (`compute_scc`).
    pub(super) fn components(&self) -> Vec<u32> {
        // Every loop goes back somewhere, and most programs have none.
        let goes_back = |block| self.next(block).any(|to| to <= block);
        if !(0..self.len()).any(goes_back) {
            return vec![0; self.len()];
        }
        let mut search = Search {
            blocks: self,
            low: vec![0; self.len()],
            pre: vec![0; self.len()],
            stack: Vec::new(),
            scc: vec![0; self.len()],
            next_preorder: 1,
            next_scc: 1,
        };
        for root in 0..self.len() {
            if search.pre[root] == 0 {
                search.run(root);
            }
        }
        search.scc
    }
}

/// Where the instruction begins that a slot belongs to.
fn insn_at(insns: &[RawInsn], slot: InsnIdx) -> InsnIdx {
    let before = slot.checked_sub(1);
    before
        .filter(|&at| insns.get(at).is_some_and(|insn| insn.is_ld_imm64()))
        .unwrap_or(slot)
}

/// The order in which searches leave blocks and slots: what follows comes first (`compute_postorder`).
pub(super) struct Postorder {
    /// Reachable blocks.
    pub(super) blocks: Vec<u32>,
    /// Reachable slots at which instructions begin.
    pub(super) slots: Vec<u32>,
    /// Where each subprogram's part of `slots` begins, and its end.
    pub(super) starts: Vec<usize>,
}

/// Tarjan's algorithm without recursion.
struct Search<'a> {
    blocks: &'a Blocks<'a>,
    /// Lowest preorder number reachable; `u32::MAX` once the component is known.
    low: Vec<u32>,
    /// Preorder number; 0 = not visited.
    pre: Vec<u32>,
    stack: Vec<usize>,
    scc: Vec<u32>,
    next_preorder: u32,
    next_scc: u32,
}

/// A block on the way that the search is on.
struct Step {
    at: usize,
    /// Edges that were followed.
    followed: usize,
}

impl Search<'_> {
    fn run(&mut self, root: usize) {
        let mut path = vec![self.enter(root)];
        while let Some(top) = path.last_mut() {
            let at = top.at;
            let next = self.blocks.next[at].get(top.followed);
            if let Some(&to) = next.filter(|&&to| to != NONE) {
                top.followed += 1;
                let to = to as usize;
                if self.pre[to] == 0 {
                    path.push(self.enter(to));
                } else {
                    self.low[at] = self.low[at].min(self.low[to]);
                }
                continue;
            }
            let low = self.low[at];
            if low == self.pre[at] {
                self.close(at);
            }
            path.pop();
            if let Some(from) = path.last() {
                self.low[from.at] = self.low[from.at].min(self.low[at]);
            }
        }
    }

    fn enter(&mut self, at: usize) -> Step {
        self.pre[at] = self.next_preorder;
        self.low[at] = self.next_preorder;
        self.next_preorder += 1;
        self.stack.push(at);
        Step { at, followed: 0 }
    }

    fn close(&mut self, root: usize) {
        let self_edge = self.blocks.next(root).any(|to| to == root);
        let is_loop = self_edge || self.stack.last() != Some(&root);
        while let Some(member) = self.stack.pop() {
            self.low[member] = u32::MAX;
            if is_loop {
                self.scc[member] = self.next_scc;
            }
            if member == root {
                break;
            }
        }
        if is_loop {
            self.next_scc += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SLOTS: usize = 12;

    /// Programs that jump anywhere, each slot by its number: to the next, to a slot, or either.
    fn program() -> impl Strategy<Value = Vec<RawInsn>> {
        let slot = prop_oneof![
            Just(None),
            (0..SLOTS, Just(0x15_u8)).prop_map(Some),
            (0..SLOTS, Just(opcode::JA)).prop_map(Some),
        ];
        prop::collection::vec(slot, SLOTS - 1).prop_map(|slots| {
            let insn = |(at, slot): (usize, Option<(usize, u8)>)| match slot {
                None => RawInsn::new(0xb7, 0, 0, 0, 0),
                Some((to, code)) => RawInsn::new(code, 0, 0, (to as i16) - at as i16 - 1, 0),
            };
            let mut insns: Vec<RawInsn> = slots.into_iter().enumerate().map(insn).collect();
            insns.push(RawInsn::new(opcode::EXIT, 0, 0, 0, 0));
            insns
        })
    }

    /// The kernel's search, slot by slot.
    fn postorder_by_slots(insns: &[RawInsn]) -> Vec<u32> {
        let (mut discovered, mut explored) = ([false; SLOTS], [false; SLOTS]);
        let (mut order, mut stack) = (Vec::new(), vec![0]);
        while let Some(&top) = stack.last() {
            discovered[top] = true;
            if explored[top] {
                order.push(top as u32);
                stack.pop();
                continue;
            }
            for next in successors(insns, top) {
                if !discovered[next] {
                    discovered[next] = true;
                    stack.push(next);
                }
            }
            explored[top] = true;
        }
        order
    }

    /// Which slots can be reached from which, by at least one step.
    fn reachable(insns: &[RawInsn]) -> [[bool; SLOTS]; SLOTS] {
        let mut reaches = [[false; SLOTS]; SLOTS];
        for (at, row) in reaches.iter_mut().enumerate() {
            for next in successors(insns, at) {
                row[next] = true;
            }
        }
        for via in 0..SLOTS {
            let behind = reaches[via];
            for row in &mut reaches {
                if row[via] {
                    for (to, reached) in row.iter_mut().enumerate() {
                        *reached |= behind[to];
                    }
                }
            }
        }
        reaches
    }

    proptest! {
        #[test]
        fn blocks_are_left_in_the_order_of_their_slots(insns in program()) {
            let subprogs = [Subprog::new(0, SLOTS)];
            let postorder = Blocks::new(&insns, &subprogs).postorder(&subprogs);
            prop_assert_eq!(postorder.slots, postorder_by_slots(&insns));
        }

        #[test]
        fn slots_that_reach_each_other_are_one_component(insns in program()) {
            let blocks = Blocks::new(&insns, &[Subprog::new(0, SLOTS)]);
            let mut scc = [0; SLOTS];
            for (block, number) in blocks.components().into_iter().enumerate() {
                scc[blocks.slots(block)].fill(number);
            }
            let reaches = reachable(&insns);
            for one in 0..SLOTS {
                prop_assert_eq!(scc[one] != 0, reaches[one][one]);
                for other in 0..SLOTS {
                    let together = reaches[one][other] && reaches[other][one];
                    prop_assert_eq!(scc[one] != 0 && scc[one] == scc[other], together);
                }
            }
        }
    }
}
