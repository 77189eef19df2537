//! Each slot by itself: opcodes that exist, 64-bit immediates that are whole, maps that are there.

use skep_isa::{FormError, Insn, InsnIdx, RawInsn, class, decode, mode, opcode, pseudo};
use skep_spec::{MapType, ProgramSpec};

use crate::violation::{FormViolation, Stop};

/// Largest offset into a map's value that a 64-bit immediate may name.
const MAX_VALUE_OFF: u32 = 1 << 29;

/// Decodes all slots. What does not decode is kept: it is an error only if a path reaches it.
pub(super) fn decode_slots(insns: &[RawInsn]) -> Vec<Result<Insn, FormError>> {
    let mut decoded = Vec::with_capacity(insns.len());
    while decoded.len() < insns.len() {
        let insn = decode(insns, decoded.len());
        decoded.push(insn);
        if insns[decoded.len() - 1].is_ld_imm64() && decoded.len() < insns.len() {
            decoded.push(Ok(Insn::Imm64Hi));
        }
    }
    decoded
}

/// Faults that are found without following any path, dead code included
/// (`resolve_pseudo_ldimm64`).
pub(super) fn check_slots(spec: &ProgramSpec) -> Result<(), (Stop, Option<InsnIdx>)> {
    let insns = &spec.insns;
    let mut idx = 0;
    while idx < insns.len() {
        let insn = insns[idx];
        let fault = |v: FormViolation| (Stop::from(v), Some(idx));
        let is_load = matches!(insn.code & 0xe0, mode::MEM | mode::MEMSX);
        if insn.class() == class::LDX && (!is_load || insn.imm != 0) {
            return Err(fault(FormViolation::LdxReservedField));
        }
        if insn.is_ld_imm64() {
            check_imm64(spec, idx)?;
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

fn check_imm64(spec: &ProgramSpec, idx: InsnIdx) -> Result<(), (Stop, Option<InsnIdx>)> {
    let fault = |v: FormViolation| (Stop::from(v), Some(idx));
    let insn = spec.insns[idx];
    let Some(&high) = spec.insns.get(idx + 1) else {
        return Err(fault(FormViolation::InvalidImm64));
    };
    if high.code != 0 || high.regs != 0 || high.off != 0 {
        return Err(fault(FormViolation::InvalidImm64));
    }
    match insn.src() {
        0 | pseudo::FUNC | pseudo::BTF_ID => return Ok(()),
        pseudo::MAP_VALUE => {}
        pseudo::MAP_FD if high.imm == 0 => {}
        pseudo::MAP_IDX_VALUE => return Err(fault(FormViolation::NoFdArray)),
        pseudo::MAP_IDX if high.imm == 0 => return Err(fault(FormViolation::NoFdArray)),
        _ => return Err(fault(FormViolation::UnrecognizedImm64)),
    }
    let map = usize::try_from(insn.imm).ok().and_then(|index| spec.maps.get(index));
    let Some(map) = map else {
        return Err(fault(FormViolation::NoSuchMap { fd: insn.imm }));
    };
    if insn.src() == pseudo::MAP_VALUE {
        let off = high.imm as u32;
        if off >= MAX_VALUE_OFF {
            return Err(fault(FormViolation::ValueOffset { off }));
        }
        match map.ty {
            MapType::Array if map.max_entries != 1 => {
                return Err(fault(FormViolation::DirectValue { size: map.value_size, off }));
            }
            MapType::Array if off >= map.value_size => {
                return Err(fault(FormViolation::DirectValue { size: map.value_size, off }));
            }
            MapType::Arena if u64::from(off) >= u64::from(map.max_entries) << 12 => {
                return Err(fault(FormViolation::DirectValue { size: map.value_size, off }));
            }
            MapType::Array | MapType::Arena => {}
            _ => return Err(fault(FormViolation::NoDirectValue)),
        }
    }
    Ok(())
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
        class::STX => match code & 0xe0 {
            mode::MEM => true,
            mode::ATOMIC => true,
            _ => false,
        },
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
