//! Loads from maps that can no longer change: frozen, and read-only to programs. What is there when the
//! program is compiled is there when it runs.

use skep_isa::{AluOp, Imm64, Insn, InsnIdx, Operand, Reg, Size, Width};
use skep_sim::{Linker, LoadError};
use skep_spec::MapFlags;

use super::effects::{EVERY, bit, effects};
use crate::options::Mode;

/// An address in the value of a constant map.
#[derive(Clone, Copy)]
struct Place {
    at: u64,
    /// Where the value begins, and the address behind it.
    value: (u64, u64),
}

/// The loads whose values are known, in order. Addresses are followed from where they are named, as far as
/// no jump lands between.
pub(super) fn constants(
    linker: &Linker<'_>,
    lands: &[bool],
) -> Result<Vec<(InsnIdx, u64)>, LoadError> {
    let mut folded = Vec::new();
    let mut held: [Option<Place>; 11] = [None; 11];
    for (idx, insn) in linker.insns().iter().enumerate() {
        if lands.get(idx).copied().unwrap_or(true) {
            held = [None; 11];
        }
        if let Insn::Load {
            size,
            sign,
            base,
            off,
            ..
        } = *insn
            && let Some(place) = held[base.index()]
        {
            let value = read(linker, place.moved(off.into()), size, sign);
            folded.extend(value.map(|value| (idx, value)));
        }
        let moved = moved(linker, &held, idx, insn)?;
        let called = matches!(insn, Insn::Call(_) | Insn::CallReg(_));
        // Behind a call nothing is held, whatever it leaves in registers.
        let defs = if called {
            EVERY
        } else {
            effects(insn, Mode::Verified).1
        };
        if defs != 0 {
            for reg in Reg::ALL.into_iter().filter(|reg| defs & bit(*reg) != 0) {
                held[reg.index()] = moved;
            }
        }
    }
    Ok(folded)
}

impl Place {
    fn moved(self, by: i64) -> Place {
        let at = self.at.wrapping_add_signed(by);
        Place { at, ..self }
    }
}

/// The address that an instruction puts into the register it writes.
fn moved(
    linker: &Linker<'_>,
    held: &[Option<Place>; 11],
    idx: InsnIdx,
    insn: &Insn,
) -> Result<Option<Place>, LoadError> {
    if let Insn::LoadImm64 { imm, .. } = *insn {
        return named(linker, idx, imm);
    }
    let Insn::Alu {
        op,
        width: Width::W64,
        dst,
        src,
    } = *insn
    else {
        return Ok(None);
    };
    Ok(match (op, src) {
        (AluOp::Mov, Operand::Reg(src)) => held[src.index()],
        (AluOp::Add, Operand::Imm(imm)) => held[dst.index()].map(|place| place.moved(imm.into())),
        (_, Operand::Reg(_) | Operand::Imm(_)) => None,
    })
}

/// The address that a 64-bit immediate load names, if nothing there can change.
fn named(linker: &Linker<'_>, idx: InsnIdx, imm: Imm64) -> Result<Option<Place>, LoadError> {
    let (Imm64::MapValue { map, .. } | Imm64::MapIdxValue { idx: map, .. }) = imm else {
        return Ok(None);
    };
    let Some(map) = linker.sim().maps().get(linker.map(idx, map)?) else {
        return Ok(None);
    };
    let constant = map.is_frozen() && map.spec().flags.contains(MapFlags::RDONLY_PROG);
    let (Some(layout), Ok(at)) = (
        map.array_layout().filter(|_| constant),
        linker.wide(idx, imm)?,
    ) else {
        return Ok(None);
    };
    let end = layout.base + u64::from(map.spec().value_size);
    let value = (layout.base, end);
    Ok(Some(Place { at, value }))
}

/// What a load there gives.
fn read(linker: &Linker<'_>, place: Place, size: Size, sign: bool) -> Option<u64> {
    let len = u64::from(size.bytes());
    let inside = place.at >= place.value.0 && place.at.checked_add(len)? <= place.value.1;
    if !inside {
        return None;
    }
    let bytes = linker.sim().memory().read(place.at, len).ok()?;
    let number = bytes
        .iter()
        .rev()
        .fold(0, |n, byte| n << 8 | u64::from(*byte));
    let unused = 64 - 8 * len as u32;
    Some(if sign {
        ((number << unused).cast_signed() >> unused).cast_unsigned()
    } else {
        number
    })
}
