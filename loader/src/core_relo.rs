//! CO-RE relocations: asking the kernel's types and patching the instructions.
//!
//! Patching happens once per function, before programs are linked. Without a kernel's BTF, or if
//! there is no answer, the need is noted at the instruction.

use crate::code::Code;
use crate::elf::Elf;
use skep_btf::{Btf, BtfExt, CoreRelo, CoreResolver, CoreValue};
use skep_isa::{RawInsn, class, opcode};
use std::collections::BTreeMap;

/// What instructions still wait for, by section and slot.
pub(crate) type Needs = BTreeMap<(usize, usize), String>;

/// How many needs are described in full; real objects have a few hundred.
const MAX_SUBJECTS: usize = 1 << 14;

/// The number of the helper call that stands for an instruction without meaning here (libbpf's
/// "bad relo"). The kernel refuses it if it is ever reached.
const POISON: i32 = 0x0bad_2310;

/// Applies all CO-RE relocations of functions.
pub(crate) fn apply(
    elf: &Elf<'_>,
    code: &mut Code,
    btf: &Btf,
    ext: &BtfExt,
    kernel: Option<&Btf>,
) -> Needs {
    let mut needs = Needs::new();
    let mut resolver = kernel.map(|kernel| CoreResolver::new(btf, kernel));
    for group in &ext.core_relos {
        let name = btf.string(group.section).unwrap_or("");
        let Some((section, _)) = elf.section(name).filter(|_| !name.is_empty()) else {
            continue;
        };
        for relo in &group.records {
            let slot = (relo.insn_off / 8) as usize;
            // Records of functions that the linker dropped stay behind.
            if relo.insn_off % 8 != 0 || code.function_at(section, slot).is_none() {
                continue;
            }
            let Some(insns) = code.sections.get_mut(&section) else {
                continue;
            };
            if let Err(why) = apply_one(insns, slot, btf, relo, resolver.as_mut()) {
                let mut what = format!("CO-RE relocation {}", relo.kind.name());
                if needs.len() < MAX_SUBJECTS {
                    what.push_str(&format!(" of {}{why}", btf.core_subject(relo)));
                }
                needs.insert((section, slot), what);
            }
        }
    }
    needs
}

fn apply_one(
    insns: &mut [RawInsn],
    slot: usize,
    btf: &Btf,
    relo: &CoreRelo,
    resolver: Option<&mut CoreResolver<'_>>,
) -> Result<(), String> {
    let value = match (btf.core_local(relo), resolver) {
        (Some(value), _) => value,
        (None, None) => return Err(String::new()),
        (None, Some(resolver)) => resolver.resolve(relo).map_err(|e| format!(": {e}"))?,
    };
    patch(insns, slot, &value).map_err(|why| format!(": {why}"))
}

fn poison(insns: &mut [RawInsn], slot: usize) {
    let call = RawInsn::new(opcode::CALL, 0, 0, 0, POISON);
    let wide = insns.get(slot).is_some_and(|i| i.is_ld_imm64());
    for at in slot..=slot + usize::from(wide) {
        if let Some(insn) = insns.get_mut(at) {
            *insn = call;
        }
    }
}

/// Puts the answer into the instruction: the immediate of arithmetic and of 64-bit loads, the
/// offset of memory accesses.
fn patch(insns: &mut [RawInsn], slot: usize, value: &CoreValue) -> Result<(), String> {
    if value.poison {
        poison(insns, slot);
        return Ok(());
    }
    let next = insns.get(slot + 1).copied();
    let Some(insn) = insns.get_mut(slot) else {
        return Err("no instruction".to_string());
    };
    let expect = |found: u64| {
        if value.validate && found != value.original {
            return Err(format!(
                "the instruction holds {found}, not {}",
                value.original
            ));
        }
        Ok(())
    };
    match insn.class() {
        class::ALU | class::ALU64 => {
            if insn.code & opcode::SRC_REG != 0 {
                return Err("the instruction has no immediate".to_string());
            }
            expect(insn.imm as i64 as u64)?;
            insn.imm = value.new as i32;
        }
        class::LDX | class::ST | class::STX => {
            expect(insn.off as i64 as u64)?;
            let off = i16::try_from(value.new)
                .map_err(|_| format!("offset {} is too large for an instruction", value.new))?;
            if value.unadjustable {
                poison(insns, slot);
                return Ok(());
            }
            insn.off = off;
            if value.new_size != value.original_size {
                resize(insn, value)?;
            }
        }
        class::LD => {
            let plain = insn.is_ld_imm64()
                && insn.src() == 0
                && insn.off == 0
                && next.is_some_and(|n| n.code == 0 && n.regs == 0 && n.off == 0);
            if !plain {
                return Err("the instruction is no plain 64-bit load".to_string());
            }
            let high = next.map_or(0, |n| n.imm);
            expect(u64::from(high as u32) << 32 | u64::from(insn.imm as u32))?;
            insn.imm = value.new as i32;
            if let Some(next) = insns.get_mut(slot + 1) {
                next.imm = (value.new >> 32) as i32;
            }
        }
        _ => return Err("the instruction cannot be relocated".to_string()),
    }
    Ok(())
}

/// The size bits of a memory access, and what they mean in bytes.
const SIZES: [(u8, u32); 4] = [(0x00, 4), (0x08, 2), (0x10, 1), (0x18, 8)];
const SIZE_MASK: u8 = 0x18;

/// Makes a load or store as wide as the kernel's field.
fn resize(insn: &mut RawInsn, value: &CoreValue) -> Result<(), String> {
    let bits = insn.code & SIZE_MASK;
    let now = SIZES.iter().find(|s| s.0 == bits).map_or(0, |s| s.1);
    if now != value.original_size {
        return Err(format!(
            "the access has {now} bytes, not {}",
            value.original_size
        ));
    }
    let new = SIZES.iter().find(|s| s.1 == value.new_size);
    let new = new.ok_or_else(|| format!("no access has {} bytes", value.new_size))?;
    insn.code = insn.code & !SIZE_MASK | new.0;
    Ok(())
}
