//! Which registers are alive before each slot: read later on some path before they are written.

use skep_isa::{RawInsn, class, mode, opcode, pseudo};
use skep_spec::Facts;
use skep_spec::tables::Hook;

use super::graph;

const R0: u16 = 1;
const ARGS: u16 = 0b11_1110;
const CALLER_SAVED: u16 = 0b11_1111;
/// Reads that are not told apart count as reads of everything.
const ALL: u16 = u16::MAX;

/// What one slot reads and writes.
struct Effect {
    reads: u16,
    writes: u16,
}

/// Registers alive before each slot, one bit each (`compute_live_registers`).
pub(super) fn find_live_regs(
    insns: &[RawInsn],
    hook: &Hook<'_>,
    facts: &Facts,
    postorder: &[u32],
) -> Vec<u16> {
    let effects: Vec<Effect> = insns.iter().map(|&insn| effect(insn, hook, facts)).collect();
    let mut live = vec![0u16; insns.len()];
    let mut changed = true;
    while changed {
        changed = false;
        for &idx in postorder {
            let idx = idx as usize;
            let mut after = 0;
            for next in graph::successors(insns, idx) {
                after |= live.get(next).copied().unwrap_or(0);
            }
            let before = (after & !effects[idx].writes) | effects[idx].reads;
            changed |= before != live[idx];
            live[idx] = before;
        }
    }
    live
}

/// `compute_insn_live_regs`.
fn effect(insn: RawInsn, hook: &Hook<'_>, facts: &Facts) -> Effect {
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
            0x80 => with(call_reads(insn, hook, facts), CALLER_SAVED),
            _ => with(if is_reg { dst | src } else { dst }, 0),
        },
    }
}

/// The argument registers that a call reads: those its prototype names, else all.
fn call_reads(insn: RawInsn, hook: &Hook<'_>, facts: &Facts) -> u16 {
    let params = if insn.code == opcode::CALL && insn.src() == 0 {
        facts.helper(hook, insn.imm as u32).map(|proto| proto.args.len())
    } else if insn.code == opcode::CALL && insn.src() == pseudo::KFUNC_CALL {
        super::kfunc_params(insn.imm, facts)
    } else {
        None
    };
    match params {
        Some(count) => ((1u16 << (count + 1)) - 1) & !R0,
        None => ARGS,
    }
}
