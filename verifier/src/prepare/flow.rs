//! Control flow: every slot must be reachable, no jump may leave the program, and some slots are
//! marked as places where states are compared or paths recorded.
//!
//! The search follows calls and loaded function addresses into subprograms, in the kernel's order,
//! which decides which error comes first.

use skep_isa::{InsnIdx, RawInsn, class, opcode, pseudo};
use skep_spec::Facts;
use skep_spec::tables::{HelperFlags, Hook, helpers};

use super::{InsnFlow, Kfuncs, Subprog};
use crate::violation::FormViolation;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Visit {
    New,
    /// On the search stack; so many of its edges were followed.
    Discovered(u8),
    Explored,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Edge {
    Fallthrough = 1,
    Branch = 2,
}

/// Slots on the search stack: all but the last are plain, and wait for what follows them.
#[derive(Clone, Copy)]
struct Run {
    first: InsnIdx,
    last: InsnIdx,
}

struct Search<'a> {
    hook: &'a Hook<'a>,
    facts: &'a Facts,
    kfuncs: &'a Kfuncs<'a>,
    insns: &'a [RawInsn],
    visits: Vec<Visit>,
    stack: Vec<Run>,
    flow: Vec<InsnFlow>,
    subprogs: &'a mut [Subprog],
}

/// Marks by slot (liveness and components are filled in later), or the first fault and the slot that
/// it belongs to (`check_cfg`). Notes in `subprogs` which change packet data or may sleep, callees
/// included.
pub(super) fn find_flow(
    insns: &[RawInsn],
    hook: &Hook<'_>,
    facts: &Facts,
    kfuncs: &Kfuncs<'_>,
    subprogs: &mut [Subprog],
) -> Result<Vec<InsnFlow>, (FormViolation, InsnIdx)> {
    let exception = subprogs.iter().position(|s| s.is_exception_callback);
    let exception = exception.map(|index| subprogs[index].start);
    let mut search = Search {
        hook,
        facts,
        kfuncs,
        insns,
        visits: vec![Visit::New; insns.len()],
        stack: Vec::new(),
        flow: vec![InsnFlow::default(); insns.len()],
        subprogs,
    };
    search.run(0)?;
    if let Some(start) = exception
        && search.visits[start] != Visit::Explored
    {
        search.run(start)?;
    }
    let mut idx = 0;
    while idx < insns.len() {
        if search.visits[idx] != Visit::Explored {
            return Err((FormViolation::Unreachable { idx }, idx));
        }
        if insns[idx].is_ld_imm64() {
            if search.visits.get(idx + 1) != Some(&Visit::New) {
                return Err((FormViolation::JumpIntoImm64 { idx }, idx));
            }
            idx += 1;
        }
        idx += 1;
    }
    Ok(search.flow)
}

impl Search<'_> {
    fn run(&mut self, root: InsnIdx) -> Result<(), (FormViolation, InsnIdx)> {
        self.enter(root);
        while let Some(&Run { first, last }) = self.stack.last() {
            if !self.visit(last)? {
                self.visits[first..=last].fill(Visit::Explored);
                self.stack.pop();
            }
        }
        Ok(())
    }

    /// Goes to a new slot, and on over instructions that have but one edge, to the next slot, as long as
    /// that one is new too: nothing else can be found between them.
    fn enter(&mut self, first: InsnIdx) {
        let mut last = first;
        while let [insn, _, ..] = self.insns[last..]
            && matches!(
                insn.class(),
                class::ALU | class::ALU64 | class::LDX | class::ST | class::STX
            )
            && self.visits[last + 1] == Visit::New
        {
            self.visits[last] = Visit::Discovered(Edge::Fallthrough as u8);
            last += 1;
        }
        self.visits[last] = Visit::Discovered(0);
        self.stack.push(Run { first, last });
    }

    /// Follows the next edge out of a slot; true if that led to a new one (`visit_insn`).
    fn visit(&mut self, at: InsnIdx) -> Result<bool, (FormViolation, InsnIdx)> {
        let insn = self.insns[at];
        if insn.is_ld_imm64() && insn.src() == pseudo::FUNC {
            return self.visit_call(at, true);
        }
        if !matches!(insn.class(), class::JMP | class::JMP32) {
            let size = if insn.is_ld_imm64() { 2 } else { 1 };
            return self.follow(at, (at + size) as i64, Edge::Fallthrough);
        }
        match insn.code & 0xf0 {
            0x90 => Ok(false),
            0x80 => {
                self.mark_call(at, insn);
                self.visit_call(at, insn.src() == pseudo::CALL)
            }
            0x00 => {
                let off = if insn.class() == class::JMP {
                    i64::from(insn.off)
                } else {
                    insn.imm.into()
                };
                let target = at as i64 + off + 1;
                if self.follow(at, target, Edge::Fallthrough)? {
                    return Ok(true);
                }
                self.mark_target(target as usize);
                Ok(false)
            }
            _ => {
                self.flow[at].prune_point = true;
                // With a source register it is no loop budget, but an error once it is reached.
                if insn.code == opcode::JCOND && insn.src() == 0 {
                    self.flow[at].force_checkpoint = true;
                }
                if self.follow(at, at as i64 + 1, Edge::Fallthrough)? {
                    return Ok(true);
                }
                self.follow(at, at as i64 + i64::from(insn.off) + 1, Edge::Branch)
            }
        }
    }

    /// Prune point and jump point: arriving here is recorded, and states are compared.
    fn mark_target(&mut self, idx: InsnIdx) {
        self.flow[idx].prune_point = true;
        self.flow[idx].jump_point = true;
    }

    fn mark_call(&mut self, at: InsnIdx, insn: RawInsn) {
        let subprog = self.subprog_of(at);
        if insn.src() == pseudo::KFUNC_CALL {
            let (flow, subprog) = (&mut self.flow[at], &mut self.subprogs[subprog]);
            self.kfuncs.mark_call(flow, subprog, insn);
            return;
        }
        if insn.src() != 0 {
            return;
        }
        let id = insn.imm as u32;
        let helper = helpers::first(id);
        let known = |flags| helper.is_some_and(|proto| proto.has(flags));
        if known(HelperFlags::ASYNC_CALLBACK) {
            // Else each pass would push the callback again.
            self.flow[at].prune_point = true;
        }
        if known(HelperFlags::SYNC_CALLBACK) {
            self.flow[at].calls_callback = true;
            self.flow[at].force_checkpoint = true;
            self.mark_target(at);
        }
        let proto = self.facts.helper(self.hook, id);
        if proto.is_some_and(|proto| proto.has(HelperFlags::MIGHT_SLEEP)) {
            self.subprogs[subprog].might_sleep = true;
        }
        if known(HelperFlags::CHANGES_PKT_DATA) {
            self.subprogs[subprog].changes_pkt_data = true;
        }
    }

    fn visit_call(
        &mut self,
        at: InsnIdx,
        into_callee: bool,
    ) -> Result<bool, (FormViolation, InsnIdx)> {
        let insn = self.insns[at];
        let after = at + if insn.is_ld_imm64() { 2 } else { 1 };
        if self.follow(at, after as i64, Edge::Fallthrough)? {
            return Ok(true);
        }
        // Returning records where the path came from.
        self.mark_target(after);
        if !into_callee {
            return Ok(false);
        }
        let callee = at as i64 + i64::from(insn.imm) + 1;
        self.flow[at].prune_point = true;
        self.merge_effects(at, callee);
        self.follow(at, callee, Edge::Branch)
    }

    /// What the callee may do, its caller may do.
    fn merge_effects(&mut self, at: InsnIdx, callee: i64) {
        let Ok(callee) = usize::try_from(callee) else {
            return;
        };
        let (caller, callee) = (self.subprog_of(at), self.subprog_of(callee));
        self.subprogs[caller].changes_pkt_data |= self.subprogs[callee].changes_pkt_data;
        self.subprogs[caller].might_sleep |= self.subprogs[callee].might_sleep;
    }

    fn subprog_of(&self, idx: InsnIdx) -> usize {
        self.subprogs
            .partition_point(|s| s.start <= idx)
            .saturating_sub(1)
    }

    /// Follows one edge once; true if it led to a slot not seen before (`push_insn`).
    fn follow(
        &mut self,
        at: InsnIdx,
        to: i64,
        edge: Edge,
    ) -> Result<bool, (FormViolation, InsnIdx)> {
        if self.visits[at] >= Visit::Discovered(edge as u8) {
            return Ok(false);
        }
        let target = usize::try_from(to).ok().filter(|&to| to < self.insns.len());
        let Some(target) = target else {
            return Err((FormViolation::JumpOutOfRange { from: at, to }, at));
        };
        if edge == Edge::Branch {
            self.mark_target(target);
        }
        match self.visits[target] {
            Visit::New => {
                self.visits[at] = Visit::Discovered(edge as u8);
                self.enter(target);
                Ok(true)
            }
            Visit::Discovered(_) if self.facts.lane().bpf => Ok(false),
            Visit::Discovered(_) => Err((
                FormViolation::BackEdge {
                    from: at,
                    to: target,
                },
                at,
            )),
            Visit::Explored => {
                self.visits[at] = Visit::Discovered(edge as u8);
                Ok(false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph;
    use super::*;
    use skep_spec::{AttachType, Profile, ProgType};

    fn flow_of(insns: Vec<RawInsn>) -> Result<Vec<InsnFlow>, (FormViolation, InsnIdx)> {
        let hook = Hook::new(ProgType::SocketFilter, AttachType::CgroupInetIngress);
        let facts = Facts::new(Profile::linux_6_18());
        let mut subprogs = vec![Subprog::new(0, insns.len())];
        find_flow(&insns, &hook, &facts, &Kfuncs::default(), &mut subprogs)
    }

    const EXIT: RawInsn = RawInsn::new(opcode::EXIT, 0, 0, 0, 0);
    const ZERO: RawInsn = RawInsn::new(0xb7, 0, 0, 0, 0);

    #[test]
    fn code_behind_an_exit_is_unreachable() {
        let error = flow_of(vec![ZERO, EXIT, ZERO, EXIT]).unwrap_err();
        assert_eq!(error, (FormViolation::Unreachable { idx: 2 }, 2));
    }

    #[test]
    fn conditional_jumps_and_their_targets_are_prune_points() {
        let jump = RawInsn::new(0x15, 1, 0, 1, 0);
        let flow = flow_of(vec![jump, ZERO, ZERO, EXIT]).unwrap();
        let prune: Vec<bool> = flow.iter().map(|f| f.prune_point).collect();
        assert_eq!(prune, [true, false, true, false]);
        assert!(flow[2].jump_point && !flow[0].jump_point);
    }

    #[test]
    fn a_jump_behind_the_end_is_out_of_range() {
        let jump = RawInsn::new(0x15, 1, 0, 7, 0);
        let error = flow_of(vec![jump, ZERO, EXIT]).unwrap_err();
        assert_eq!(error, (FormViolation::JumpOutOfRange { from: 0, to: 8 }, 0));
    }

    #[test]
    fn loops_are_components_and_straight_code_is_none() {
        let back = RawInsn::new(0x15, 1, 0, -2, 0);
        let insns = [ZERO, ZERO, back, EXIT];
        let blocks = graph::Blocks::new(&insns, &[Subprog::new(0, insns.len())]);
        assert_eq!(blocks.len(), 3);
        assert_eq!(blocks.components(), [0, 1, 0]);
    }
}
