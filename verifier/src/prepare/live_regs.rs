//! Which registers are alive before each slot: read later on some path before they are written.

use skep_isa::{RawInsn, class, mode, opcode};
use skep_spec::Facts;
use skep_spec::tables::Hook;

use super::{Kfuncs, graph};

const R0: u16 = 1;
const ARGS: u16 = 0b11_1110;
const CALLER_SAVED: u16 = 0b11_1111;
/// Reads that are not told apart count as reads of everything.
const ALL: u16 = u16::MAX;

/// What one slot reads and writes.
#[derive(Clone, Copy)]
struct Effect {
    reads: u16,
    writes: u16,
}

/// Registers alive before each slot, one bit each (`compute_live_registers`).
pub(super) fn find_live_regs(
    insns: &[RawInsn],
    hook: &Hook<'_>,
    facts: &Facts,
    kfuncs: &Kfuncs<'_>,
    postorder: &[u32],
) -> Vec<u16> {
    let effects: Vec<Effect> = insns
        .iter()
        .map(|&insn| effect(insn, hook, facts, kfuncs))
        .collect();
    let mut live = Live {
        insns,
        effects,
        before: vec![0; insns.len()],
    };
    // In postorder what follows a slot comes before it, unless control goes back.
    let mut done = vec![false; insns.len()];
    let mut goes_back = false;
    for &idx in postorder {
        let at = idx as usize;
        done[at] = true;
        let is_known = |&next: &usize| done.get(next).is_none_or(|&done| done);
        goes_back |= !graph::successors(insns, at).iter().all(is_known);
        live.find(at);
    }
    if goes_back {
        live.settle(postorder);
    }
    live.before
}

/// Liveness under way.
struct Live<'a> {
    insns: &'a [RawInsn],
    effects: Vec<Effect>,
    /// Registers alive before each slot.
    before: Vec<u16>,
}

impl Live<'_> {
    /// Finds what is alive before a slot from what follows it; whether that is news.
    #[inline]
    fn find(&mut self, at: usize) -> bool {
        let mut after = 0;
        for next in graph::successors(self.insns, at) {
            after |= self.before.get(next).copied().unwrap_or(0);
        }
        let Effect { reads, writes } = self.effects[at];
        let alive = (after & !writes) | reads;
        std::mem::replace(&mut self.before[at], alive) != alive
    }

    /// Goes on until nothing changes. Each slot is looked at again only when something behind it
    /// changed: sweeping over all slots would take the square of their number where jumps go back over
    /// each other.
    fn settle(&mut self, postorder: &[u32]) {
        let before = Predecessors::new(self.insns, postorder);
        let mut waiting: Vec<u32> = postorder.iter().rev().copied().collect();
        let mut waits = vec![false; self.insns.len()];
        for &idx in &waiting {
            waits[idx as usize] = true;
        }
        while let Some(idx) = waiting.pop() {
            let at = idx as usize;
            waits[at] = false;
            if !self.find(at) {
                continue;
            }
            for &from in before.of(at) {
                if !std::mem::replace(&mut waits[from as usize], true) {
                    waiting.push(from);
                }
            }
        }
    }
}

/// The slots from which control comes, by slot.
struct Predecessors {
    /// Where each slot's part of `from` begins, and the end of the last one.
    starts: Vec<u32>,
    from: Vec<u32>,
}

impl Predecessors {
    fn new(insns: &[RawInsn], reachable: &[u32]) -> Predecessors {
        let edges = || {
            let of = |&idx: &u32| {
                graph::successors(insns, idx as usize)
                    .into_iter()
                    .zip([idx; 2])
            };
            reachable
                .iter()
                .flat_map(of)
                .filter(|&(to, _)| to < insns.len())
        };
        let mut starts = vec![0u32; insns.len() + 1];
        for (to, _) in edges() {
            starts[to + 1] += 1;
        }
        for to in 0..insns.len() {
            starts[to + 1] += starts[to];
        }
        let mut next = starts.clone();
        let mut from = vec![0; next[insns.len()] as usize];
        for (to, idx) in edges() {
            from[next[to] as usize] = idx;
            next[to] += 1;
        }
        Predecessors { starts, from }
    }

    fn of(&self, idx: usize) -> &[u32] {
        &self.from[self.starts[idx] as usize..self.starts[idx + 1] as usize]
    }
}

/// `compute_insn_live_regs`.
fn effect(insn: RawInsn, hook: &Hook<'_>, facts: &Facts, kfuncs: &Kfuncs<'_>) -> Effect {
    let (dst, src) = (1u16 << insn.dst(), 1u16 << insn.src());
    let with = |reads, writes| Effect { reads, writes };
    let is_reg = insn.code & opcode::SRC_REG != 0;
    match (insn.class(), insn.code & 0xe0) {
        (class::LD, mode::IMM) if insn.is_ld_imm64() => with(0, dst),
        (class::LDX, mode::MEM | mode::MEMSX) => with(src, dst),
        (class::ST, mode::MEM) => with(dst, 0),
        (class::STX, mode::MEM) => with(dst | src, 0),
        (class::STX, mode::ATOMIC) => match insn.imm {
            0xf1 => with(R0 | dst | src, R0),
            0x100 => with(src, dst),
            0x110 => with(dst | src, 0),
            imm if imm & 1 != 0 => with(dst | src, src),
            _ => with(dst | src, 0),
        },
        (class::LD | class::LDX | class::ST | class::STX, _) => with(ALL, 0),
        (class::ALU | class::ALU64, _) => match insn.code & 0xf0 {
            opcode::END => with(dst, dst),
            opcode::MOV => with(if is_reg { src } else { 0 }, dst),
            _ => with(if is_reg { dst | src } else { dst }, dst),
        },
        _ => match insn.code & 0xf0 {
            0x00 | 0xe0 => with(0, 0),
            0x90 => with(R0, 0),
            0x80 => with(call_reads(insn, hook, facts, kfuncs), CALLER_SAVED),
            _ => with(if is_reg { dst | src } else { dst }, 0),
        },
    }
}

/// The argument registers that a call reads: those its prototype names, else all.
fn call_reads(insn: RawInsn, hook: &Hook<'_>, facts: &Facts, kfuncs: &Kfuncs<'_>) -> u16 {
    let params = if insn.code == opcode::CALL && insn.src() == 0 {
        facts
            .helper(hook, insn.imm as u32)
            .map(|proto| proto.args.len())
    } else {
        kfuncs.summary(insn).map(|call| call.params)
    };
    match params {
        Some(count) => ((1u16 << (count + 1)) - 1) & !R0,
        None => ARGS,
    }
}
