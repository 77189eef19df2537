//! The control-flow graph inside subprograms: successors, postorder, strongly connected components.
//!
//! Calls go on behind the call: the callee is another graph. Numbers and orders are the kernel's,
//! since its log shows them and its liveness depends on them.

use std::array;
use std::iter::Take;
use std::ops::Deref;

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

/// All reachable slots of each subprogram in postorder, and where each subprogram's part begins
/// (one more entry than there are subprograms) (`compute_postorder`).
pub(crate) fn postorder(insns: &[RawInsn], subprogs: &[Subprog]) -> (Vec<u32>, Vec<usize>) {
    let mut order = Vec::with_capacity(insns.len());
    let mut starts = Vec::with_capacity(subprogs.len() + 1);
    let mut discovered = vec![false; insns.len()];
    let mut explored = vec![false; insns.len()];
    let mut stack = Vec::new();
    for subprog in subprogs {
        starts.push(order.len());
        stack.push(subprog.start);
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
    }
    starts.push(order.len());
    (order, starts)
}

/// The number of each slot's strongly connected component, from 1; 0 for a slot that is in no loop.
/// Second, one more than the highest number (`compute_scc`).
pub(crate) fn components(insns: &[RawInsn]) -> (Vec<u32>, u32) {
    // Every loop goes back somewhere, and most programs have none.
    let goes_back = |at| successors(insns, at).iter().any(|&to| to <= at);
    if !(0..insns.len()).any(goes_back) {
        return (vec![0; insns.len()], 1);
    }
    let mut search = Search {
        insns,
        low: vec![0; insns.len()],
        pre: vec![0; insns.len()],
        stack: Vec::new(),
        scc: vec![0; insns.len()],
        next_preorder: 1,
        next_scc: 1,
    };
    for root in 0..insns.len() {
        if search.pre[root] == 0 {
            search.run(root);
        }
    }
    (search.scc, search.next_scc)
}

/// Tarjan's algorithm without recursion.
struct Search<'a> {
    insns: &'a [RawInsn],
    /// Lowest preorder number reachable; `u32::MAX` once the component is known.
    low: Vec<u32>,
    /// Preorder number; 0 = not visited.
    pre: Vec<u32>,
    stack: Vec<InsnIdx>,
    scc: Vec<u32>,
    next_preorder: u32,
    next_scc: u32,
}

/// A slot on the way that the search is on.
struct Step {
    at: InsnIdx,
    next: Successors,
    /// Edges that were followed.
    followed: usize,
}

impl Search<'_> {
    fn run(&mut self, root: InsnIdx) {
        let mut path = vec![self.enter(root)];
        while let Some(top) = path.last_mut() {
            let at = top.at;
            if let Some(&to) = top.next.get(top.followed) {
                top.followed += 1;
                // A fall-through behind the last slot is no edge; such programs are refused elsewhere.
                if to >= self.insns.len() {
                    continue;
                }
                if self.pre[to] == 0 {
                    path.push(self.enter(to));
                } else {
                    self.low[at] = self.low[at].min(self.low[to]);
                }
                continue;
            }
            let low = self.low[at];
            if low == self.pre[at] {
                self.close(at, top.next.contains(&at));
            }
            path.pop();
            if let Some(from) = path.last() {
                self.low[from.at] = self.low[from.at].min(self.low[at]);
            }
        }
    }

    fn enter(&mut self, at: InsnIdx) -> Step {
        self.pre[at] = self.next_preorder;
        self.low[at] = self.next_preorder;
        self.next_preorder += 1;
        self.stack.push(at);
        Step {
            at,
            next: successors(self.insns, at),
            followed: 0,
        }
    }

    fn close(&mut self, root: InsnIdx, self_edge: bool) {
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
