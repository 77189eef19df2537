//! Which registers are alive before each slot: read later on some path before they are written.

use skep_isa::{RawInsn, class, mode, opcode};
use skep_spec::Facts;
use skep_spec::tables::Hook;

use super::Kfuncs;
use super::graph::Blocks;

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

/// Registers alive before each slot, one bit each (`compute_live_registers`). `postorder` lists the
/// reachable blocks.
pub(super) fn find_live_regs(
    insns: &[RawInsn],
    hook: &Hook<'_>,
    facts: &Facts,
    kfuncs: &Kfuncs<'_>,
    blocks: &Blocks<'_>,
    postorder: &[u32],
) -> Vec<u16> {
    let effects: Vec<Effect> = insns
        .iter()
        .map(|&insn| effect(insn, hook, facts, kfuncs))
        .collect();
    let mut live = Live {
        blocks,
        effects,
        before: vec![0; insns.len()],
    };
    // In postorder what follows a block comes before it, unless control goes back.
    let mut done = vec![false; blocks.len()];
    let mut goes_back = false;
    for &block in postorder {
        let at = block as usize;
        done[at] = true;
        goes_back |= !blocks.next(at).all(|next| done[next]);
        live.find(at);
    }
    if goes_back {
        live.settle(postorder);
    }
    live.before
}

/// Liveness under way.
struct Live<'a> {
    blocks: &'a Blocks<'a>,
    /// By slot.
    effects: Vec<Effect>,
    /// Registers alive before each slot.
    before: Vec<u16>,
}

impl Live<'_> {
    /// Finds what is alive before a block's slots from what follows it; whether that is news for its first.
    fn find(&mut self, block: usize) -> bool {
        let first = self.blocks.slots(block).start;
        let mut alive = 0;
        for next in self.blocks.next(block) {
            alive |= self.before[self.blocks.slots(next).start];
        }
        let known = self.before[first];
        for at in self.blocks.insns_backwards(block) {
            let Effect { reads, writes } = self.effects[at];
            alive = (alive & !writes) | reads;
            self.before[at] = alive;
        }
        alive != known
    }

    /// Goes on until nothing changes. Each block is looked at again only when something behind it
    /// changed: sweeping over all would take the square of their number where jumps go back over each
    /// other.
    fn settle(&mut self, postorder: &[u32]) {
        let before = Predecessors::new(self.blocks, postorder);
        let mut waiting: Vec<u32> = postorder.iter().rev().copied().collect();
        let mut waits = vec![false; self.blocks.len()];
        for &block in &waiting {
            waits[block as usize] = true;
        }
        while let Some(block) = waiting.pop() {
            let block = block as usize;
            waits[block] = false;
            if !self.find(block) {
                continue;
            }
            for &from in before.of(block) {
                if !std::mem::replace(&mut waits[from as usize], true) {
                    waiting.push(from);
                }
            }
        }
    }
}

/// The blocks from which control comes, by block.
struct Predecessors {
    /// Where each block's part of `from` begins, and the end of the last one.
    starts: Vec<u32>,
    from: Vec<u32>,
}

impl Predecessors {
    fn new(blocks: &Blocks<'_>, reachable: &[u32]) -> Predecessors {
        let edges = || {
            let of = |&from: &u32| blocks.next(from as usize).map(move |to| (to, from));
            reachable.iter().flat_map(of)
        };
        let mut starts = vec![0u32; blocks.len() + 1];
        for (to, _) in edges() {
            starts[to + 1] += 1;
        }
        for to in 0..blocks.len() {
            starts[to + 1] += starts[to];
        }
        let mut next = starts.clone();
        let mut from = vec![0; next[blocks.len()] as usize];
        for (to, block) in edges() {
            from[next[to] as usize] = block;
            next[to] += 1;
        }
        Predecessors { starts, from }
    }

    fn of(&self, block: usize) -> &[u32] {
        &self.from[self.starts[block] as usize..self.starts[block + 1] as usize]
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
