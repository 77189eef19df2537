//! Small damage to a finished program: another register, number, operation or width, an instruction
//! more or less.

use skep_isa::{RawInsn, class, opcode, pseudo};
use skep_spec::ProgramSpec;

use crate::Rng;
use crate::edit::{starts, with, without};

/// The request with one to three pieces of damage that the seed determines. Calls of kernel functions and
/// loads of kernel objects are not made where there were none.
pub fn mutant(spec: &ProgramSpec, seed: u64) -> ProgramSpec {
    let mut rng = Rng::new(seed);
    let mut out = spec.clone();
    out.line_info = Vec::new();
    for _ in 0..rng.pick([1, 1, 1, 2, 2, 3]) {
        let starts = starts(&out.insns);
        let at = rng.choose(&starts).copied().unwrap_or(0);
        let end = starts
            .iter()
            .find(|start| **start > at)
            .copied()
            .unwrap_or(out.insns.len());
        let changed = match rng.below(10) {
            0 | 1 => without(&out, at, end),
            2 => added(&mut rng, &out).and_then(|insn| with(&out, at, insn)),
            _ => None,
        };
        match changed {
            Some(changed) => out = changed,
            None => mutate(&mut out.insns, &mut rng),
        }
    }
    out
}

/// An instruction to put in: a copy of another, or simple arithmetic, a spill or a fill.
fn added(rng: &mut Rng, spec: &ProgramSpec) -> Option<RawInsn> {
    let (a, b) = (rng.below(10) as u8, rng.below(10) as u8);
    let off = -8 * rng.range(1, 8) as i16;
    Some(match rng.below(6) {
        0 => RawInsn::new(class::ALU64 | opcode::MOV | opcode::SRC_REG, a, b, 0, 0),
        1 => RawInsn::new(
            class::ALU64 | opcode::ADD,
            a,
            0,
            0,
            rng.range(-16, 64) as i32,
        ),
        2 => RawInsn::new(
            class::ALU64 | opcode::AND,
            a,
            0,
            0,
            rng.range(0, 255) as i32,
        ),
        3 => RawInsn::new(0x7b, 10, b, off, 0),
        4 => RawInsn::new(0x79, a, 10, off, 0),
        _ => {
            let starts = starts(&spec.insns);
            let insn = *spec.insns.get(*rng.choose(&starts)?)?;
            let plain = !insn.is_ld_imm64() && !matches!(insn.class(), class::JMP | class::JMP32);
            return plain.then_some(insn);
        }
    })
}

/// Damages one instruction. Most damage is slight: a number or an offset by one, a neighbouring
/// condition, another width.
pub(super) fn mutate(insns: &mut [RawInsn], rng: &mut Rng) {
    let starts = starts(insns);
    for _ in 0..8 {
        let Some(at) = rng.choose(&starts).copied() else {
            return;
        };
        let other = rng.choose(&starts).and_then(|at| insns.get(*at)).copied();
        let Some(insn) = insns.get_mut(at) else {
            return;
        };
        let changed = match rng.below(20) {
            0..=11 => slightly(*insn, rng),
            12..=17 => grossly(*insn, rng),
            _ => other.filter(|other| !other.is_ld_imm64() && !insn.is_ld_imm64()),
        };
        if let Some(changed) =
            changed.filter(|changed| changed != insn && is_allowed(*changed, *insn))
        {
            *insn = changed;
            return;
        }
    }
}

/// Whether no kernel function is called that was not called before.
fn is_allowed(changed: RawInsn, before: RawInsn) -> bool {
    let kfunc = changed.code == opcode::CALL && changed.src() > pseudo::CALL;
    !kfunc || before.code == opcode::CALL && before.src() == changed.src()
}

/// Another number, offset, condition, operation or width in an instruction of the same form.
#[allow(
    clippy::too_many_lines,
    reason = "one arm for each form of instruction"
)]
fn slightly(insn: RawInsn, rng: &mut Rng) -> Option<RawInsn> {
    let small = rng.pick([1i16, -1, 1, -1, 2, 4, -4, 8, -8]);
    let (is_reg, op) = (insn.code & opcode::SRC_REG != 0, insn.code & 0xf0);
    let with_op = |op: u8| RawInsn {
        code: insn.code & 0x0f | op,
        ..insn
    };
    match insn.class() {
        class::ALU | class::ALU64 => match rng.below(4) {
            0 | 1 if !is_reg => Some(RawInsn {
                imm: number(insn.imm, small, rng),
                ..insn
            }),
            2 => Some(RawInsn {
                code: insn.code ^ (class::ALU ^ class::ALU64),
                ..insn
            }),
            _ if op < opcode::END && op != opcode::NEG => Some(with_op(rng.pick([
                opcode::ADD,
                opcode::SUB,
                opcode::MUL,
                opcode::AND,
                opcode::OR,
                opcode::XOR,
                opcode::LSH,
                opcode::RSH,
                opcode::ARSH,
                opcode::MOV,
                opcode::DIV,
                opcode::MOD,
            ]))),
            _ => None,
        },
        class::JMP | class::JMP32 if op > 0 && !matches!(op, 0x80 | 0x90) && op < 0xe0 => {
            match rng.below(4) {
                0 if !is_reg => Some(RawInsn {
                    imm: number(insn.imm, small, rng),
                    ..insn
                }),
                1 => Some(RawInsn {
                    code: insn.code ^ (class::JMP ^ class::JMP32),
                    ..insn
                }),
                2 => Some(RawInsn {
                    off: insn.off.wrapping_add(small),
                    ..insn
                }),
                _ => Some(with_op(rng.pick([
                    opcode::JEQ,
                    opcode::JNE,
                    opcode::JGT,
                    opcode::JGE,
                    opcode::JLT,
                    opcode::JLE,
                    opcode::JSET,
                    opcode::JSGT,
                    opcode::JSGE,
                    opcode::JSLT,
                    opcode::JSLE,
                ]))),
            }
        }
        class::LDX | class::STX | class::ST => match rng.below(4) {
            0 | 1 => Some(RawInsn {
                off: insn.off.wrapping_add(small),
                ..insn
            }),
            2 => {
                let size = rng.pick([0x00, 0x08, 0x10, 0x18]);
                Some(RawInsn {
                    code: insn.code & !0x18 | size,
                    ..insn
                })
            }
            _ if insn.class() == class::ST => Some(RawInsn {
                imm: number(insn.imm, small, rng),
                ..insn
            }),
            _ if insn.class() == class::LDX => Some(RawInsn {
                code: insn.code ^ 0xe0,
                ..insn
            })
            .filter(|insn| matches!(insn.code & 0xe0, 0x60 | 0x80) && insn.code & 0x18 != 0x18),
            _ => None,
        },
        _ => None,
    }
}

fn number(imm: i32, small: i16, rng: &mut Rng) -> i32 {
    match rng.below(6) {
        0..=2 => imm.wrapping_add(small.into()),
        3 => imm.wrapping_mul(2),
        4 => imm.wrapping_neg(),
        _ => rng.pick([
            0,
            1,
            -1,
            7,
            8,
            15,
            63,
            64,
            255,
            4095,
            0xffff,
            i32::MAX,
            i32::MIN,
        ]),
    }
}

/// Other registers, any operation, nothing at all.
fn grossly(insn: RawInsn, rng: &mut Rng) -> Option<RawInsn> {
    let pseudo = insn.is_ld_imm64() || insn.code == opcode::CALL;
    let known = matches!(
        insn.class(),
        class::ALU | class::ALU64 | class::JMP | class::JMP32
    );
    match rng.below(8) {
        0 if insn.is_ld_imm64() => Some(RawInsn { off: 1, ..insn }),
        0 | 1 => Some(RawInsn {
            regs: insn.regs & 0xf0 | rng.below(11) as u8,
            ..insn
        }),
        2 | 3 if !pseudo => Some(insn.with_src(rng.below(11) as u8)),
        4 if !pseudo && known => Some(RawInsn {
            code: insn.code ^ opcode::SRC_REG,
            ..insn
        }),
        5 if !pseudo && known => {
            let op = (rng.below(16) as u8) << 4;
            Some(RawInsn {
                code: insn.code & 0x0f | op,
                ..insn
            })
        }
        6 if !insn.is_ld_imm64() => Some(RawInsn::new(opcode::JA, 0, 0, 0, 0)),
        7 if !insn.is_ld_imm64() && rng.chance(50) => Some(RawInsn {
            imm: insn.imm ^ 1,
            ..insn
        }),
        7 if !insn.is_ld_imm64() => Some(RawInsn {
            off: rng.range(-8, 8) as i16,
            ..insn
        }),
        _ => None,
    }
}
