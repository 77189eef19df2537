//! CO-RE relocations: asking the kernel's types and patching the instructions.
//!
//! Patching happens once per function, before programs are linked. Without a kernel's BTF, or if
//! there is no answer, the need is noted at the instruction. Questions and answers are kept for
//! reports.

use crate::code::Code;
use crate::elf::Elf;
use skep_btf::{Btf, BtfExt, CoreRelo, CoreResolver, CoreValue};
use skep_isa::{RawInsn, class, opcode};
use skep_spec::{CoreAccess, CoreAnswer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What became of the relocations, by section and slot.
#[derive(Debug, Default)]
pub(crate) struct Relocated {
    /// What instructions still wait for.
    pub(crate) needs: BTreeMap<(usize, usize), String>,
    /// What was asked and answered.
    pub(crate) accesses: BTreeMap<(usize, usize), Arc<CoreAccess>>,
}

/// How many needs are described in full; real objects have a few hundred.
const MAX_SUBJECTS: usize = 1 << 14;

/// Bytes of an access path that are kept.
const MAX_PATH: usize = 256;

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
) -> Relocated {
    let mut out = Relocated::default();
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
            let answer = apply_one(insns, slot, btf, relo, resolver.as_mut());
            let is_told = out.accesses.len() < MAX_SUBJECTS;
            let subject = if is_told {
                btf.core_subject(relo)
            } else {
                String::new()
            };
            let mut what = format!("CO-RE relocation {}", relo.kind.name());
            if is_told {
                what.push_str(" of ");
                what.push_str(&subject);
            }
            match &answer {
                CoreAnswer::Unasked => drop(out.needs.insert((section, slot), what)),
                CoreAnswer::Failed(why) => {
                    if is_told {
                        what.push_str(": ");
                        what.push_str(why);
                    }
                    out.needs.insert((section, slot), what);
                }
                CoreAnswer::Found { .. } | CoreAnswer::Missing => {}
            }
            if is_told {
                let path = btf.string(relo.access).unwrap_or("");
                let access = CoreAccess {
                    kind: relo.kind,
                    subject,
                    type_id: relo.ty.0,
                    path: path.chars().take(MAX_PATH).collect(),
                    answer,
                };
                out.accesses.insert((section, slot), Arc::new(access));
            }
        }
    }
    out
}

fn apply_one(
    insns: &mut [RawInsn],
    slot: usize,
    btf: &Btf,
    relo: &CoreRelo,
    resolver: Option<&mut CoreResolver<'_>>,
) -> CoreAnswer {
    let value = match (btf.core_local(relo), resolver) {
        (Some(value), _) => Ok(value),
        (None, None) => return CoreAnswer::Unasked,
        (None, Some(resolver)) => resolver.resolve(relo).map_err(|e| e.to_string()),
    };
    match value.and_then(|value| patch(insns, slot, &value).map(|()| value)) {
        Ok(value) if value.poison => CoreAnswer::Missing,
        Ok(value) => CoreAnswer::Found {
            was: value.original,
            now: value.new,
        },
        Err(why) => CoreAnswer::Failed(why),
    }
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
