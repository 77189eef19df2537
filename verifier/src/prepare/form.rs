//! Each slot by itself: opcodes that exist, 64-bit immediates that are whole, maps that are there.

use skep_isa::{FormError, Insn, InsnIdx, RawInsn, class, decode, mode, opcode, pseudo};
use skep_spec::tables::Hook;
use skep_spec::{Facts, MapType, ProgramSpec};

use super::MapInfo;
use super::map_use::Used;
use super::variable;
use crate::violation::{FormViolation, Stop};

/// Largest offset into a map's value that a 64-bit immediate may name.
const MAX_VALUE_OFF: u32 = 1 << 29;

/// Decodes all slots. What does not decode is kept: it is an error only if a path reaches it.
pub(super) fn decode_slots(insns: &[RawInsn]) -> Vec<Result<Insn, FormError>> {
    let mut decoded = Vec::with_capacity(insns.len());
    while decoded.len() < insns.len() {
        let idx = decoded.len();
        let insn = match insns[idx] {
            // The kernel never looks at the offset of an exit.
            RawInsn {
                code: opcode::EXIT,
                regs: 0,
                imm: 0,
                ..
            } => Ok(Insn::Exit),
            _ => decode(insns, idx),
        };
        decoded.push(insn);
        if insns[decoded.len() - 1].is_ld_imm64() && decoded.len() < insns.len() {
            decoded.push(Ok(Insn::Imm64Hi));
        }
    }
    decoded
}

/// Faults that are found without following any path, dead code included
/// (`resolve_pseudo_ldimm64`).
pub(super) fn check_slots(
    spec: &ProgramSpec,
    maps: &[MapInfo<'_>],
    facts: &Facts,
    hook: &Hook<'_>,
) -> Result<(), (Stop, Option<InsnIdx>)> {
    let insns = &spec.insns;
    let mut used = Used::new(spec.maps.len());
    let mut idx = 0;
    while idx < insns.len() {
        let insn = insns[idx];
        let fault = |v: FormViolation| (Stop::from(v), Some(idx));
        let is_load = matches!(insn.code & 0xe0, mode::MEM | mode::MEMSX);
        if insn.class() == class::LDX && (!is_load || insn.imm != 0) {
            return Err(fault(FormViolation::LdxReservedField));
        }
        if insn.is_ld_imm64() {
            if insn.src() == pseudo::BTF_ID {
                variable::check_variable(spec, facts, idx).map_err(|stop| (stop, Some(idx)))?;
            }
            if let Some(index) = check_imm64(spec, idx).map_err(fault)? {
                used.note(index, &maps[index], facts, hook).map_err(fault)?;
                check_direct_value(spec, idx, index).map_err(fault)?;
            }
            idx += 2;
            continue;
        }
        if !is_known(insn.code) {
            return Err(fault(FormViolation::UnknownOpcode { code: insn.code }));
        }
        idx += 1;
    }
    Ok(())
}

/// A 64-bit immediate must be whole and of a known kind; the map that it names, if it names one.
fn check_imm64(spec: &ProgramSpec, idx: InsnIdx) -> Result<Option<usize>, FormViolation> {
    let insn = spec.insns[idx];
    let Some(&high) = spec.insns.get(idx + 1) else {
        return Err(FormViolation::InvalidImm64);
    };
    if high.code != 0 || high.regs != 0 || high.off != 0 {
        return Err(FormViolation::InvalidImm64);
    }
    match insn.src() {
        0 | pseudo::FUNC | pseudo::BTF_ID => return Ok(None),
        pseudo::MAP_VALUE => {}
        pseudo::MAP_FD if high.imm == 0 => {}
        pseudo::MAP_IDX_VALUE => return Err(FormViolation::NoFdArray),
        pseudo::MAP_IDX if high.imm == 0 => return Err(FormViolation::NoFdArray),
        _ => return Err(FormViolation::UnrecognizedImm64),
    }
    let index = usize::try_from(insn.imm)
        .ok()
        .filter(|&index| index < spec.maps.len());
    let fd = if insn.imm < 0 {
        (-1i32).wrapping_sub(insn.imm)
    } else {
        insn.imm
    };
    index.map(Some).ok_or(FormViolation::NoSuchMap { fd })
}

/// The address of a place in a value must be one that the map can give.
fn check_direct_value(spec: &ProgramSpec, idx: InsnIdx, index: usize) -> Result<(), FormViolation> {
    if spec.insns[idx].src() != pseudo::MAP_VALUE {
        return Ok(());
    }
    let map = &spec.maps[index];
    let off = spec.insns[idx + 1].imm as u32;
    if off >= MAX_VALUE_OFF {
        return Err(FormViolation::ValueOffset { off });
    }
    let inside = if map.ty == MapType::Array {
        map.max_entries == 1 && off < map.value_size
    } else if map.ty == MapType::Arena {
        u64::from(off) < u64::from(map.max_entries) << 12
    } else {
        return Err(FormViolation::NoDirectValue);
    };
    if inside {
        Ok(())
    } else {
        Err(FormViolation::DirectValue {
            size: map.value_size,
            off,
        })
    }
}

/// Whether an opcode byte belongs to the instruction set as programs may use it
/// (`bpf_opcode_in_insntable`).
fn is_known(code: u8) -> bool {
    let is_reg = code & opcode::SRC_REG != 0;
    match code & 0x07 {
        class::ALU | class::ALU64 => match code & 0xf0 {
            opcode::NEG => !is_reg,
            opcode::END => code & 0x07 == class::ALU || !is_reg,
            op => op <= opcode::ARSH,
        },
        class::JMP => match code & 0xf0 {
            0x00 | 0x80 | 0x90 | 0xe0 => !is_reg,
            op => op <= opcode::JSLE,
        },
        class::JMP32 => match code & 0xf0 {
            0x00 => !is_reg,
            0x80 | 0x90 => false,
            op => op <= opcode::JSLE,
        },
        class::ST => code & 0xe0 == mode::MEM,
        class::STX => matches!(code & 0xe0, mode::MEM | mode::ATOMIC),
        class::LDX => match code & 0xe0 {
            mode::MEM => true,
            mode::MEMSX => code & 0x18 != 0x18,
            _ => false,
        },
        _ => match code & 0xe0 {
            mode::ABS | mode::IND => code & 0x18 != 0x18,
            mode::IMM => code == opcode::LD_IMM64,
            _ => false,
        },
    }
}
