//! Small damage to a finished program: one field of one instruction, or one instruction less.

use skep_isa::{RawInsn, class, opcode};

use crate::Rng;

/// Slots that begin an instruction, in order.
pub(crate) fn starts(insns: &[RawInsn]) -> Vec<usize> {
    let mut starts = Vec::with_capacity(insns.len());
    let mut at = 0;
    while let Some(insn) = insns.get(at) {
        starts.push(at);
        at += if insn.is_ld_imm64() { 2 } else { 1 };
    }
    starts
}

/// Damages one instruction. Calls of kernel functions and loads of kernel objects are not made.
pub(super) fn mutate(insns: &mut [RawInsn], rng: &mut Rng) {
    let starts = starts(insns);
    let Some(at) = rng.choose(&starts).copied() else {
        return;
    };
    let (choice, regs) = (rng.below(9), (rng.below(11) as u8, rng.below(11) as u8));
    let small = rng.pick([1i16, -1, 2, 4, -4, 8, -8]);
    let other = rng.choose(&starts).and_then(|at| insns.get(*at)).copied();
    let Some(insn) = insns.get_mut(at) else {
        return;
    };
    let pseudo = insn.is_ld_imm64() || insn.code == opcode::CALL;
    match choice {
        0 => insn.regs = insn.regs & 0xf0 | regs.0,
        1 if !pseudo => *insn = insn.with_src(regs.1),
        2 => insn.off = insn.off.wrapping_add(small),
        3 if !insn.is_ld_imm64() => insn.imm = insn.imm.wrapping_add(small.into()),
        4 if !pseudo && is_alu_or_jump(*insn) => insn.code ^= opcode::SRC_REG,
        5 if !pseudo && is_alu_or_jump(*insn) => {
            insn.code = insn.code & 0x0f | (rng.below(16) as u8) << 4;
        }
        6 if !pseudo => {
            // Another width: 32 instead of 64 bits, another size of access.
            insn.code = match insn.class() {
                class::ALU | class::ALU64 => insn.code ^ (class::ALU ^ class::ALU64),
                class::JMP | class::JMP32 => insn.code ^ (class::JMP ^ class::JMP32),
                _ => insn.code ^ 0x08,
            };
        }
        7 if !insn.is_ld_imm64() => {
            // Nothing, in the form of a jump to the next instruction.
            *insn = RawInsn::new(opcode::JA, 0, 0, 0, 0);
        }
        8 if !insn.is_ld_imm64() => {
            if let Some(other) = other.filter(|other| !other.is_ld_imm64()) {
                *insn = other;
            }
        }
        _ => insn.off = insn.off.wrapping_sub(small),
    }
    if insn.code == opcode::CALL && insn.src() > 1 {
        *insn = insn.with_src(0);
    }
}

fn is_alu_or_jump(insn: RawInsn) -> bool {
    matches!(
        insn.class(),
        class::ALU | class::ALU64 | class::JMP | class::JMP32
    )
}
