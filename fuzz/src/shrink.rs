//! Makes a request smaller as long as it still shows what it showed.
//!
//! Instructions are taken out in ever smaller runs, with jumps, calls and function information put
//! right; flags, maps and BTF go if they can. What remains is a program that a person can read.

use skep_isa::{RawInsn, class, opcode, pseudo};
use skep_spec::{ProgFlags, ProgramSpec};

use crate::edit::{starts, without};

/// Rounds over the whole program at most.
const ROUNDS: usize = 12;

/// The smallest request found for which `shows` holds; `spec` itself if it does not hold for it.
pub fn shrink(spec: &ProgramSpec, mut shows: impl FnMut(&ProgramSpec) -> bool) -> ProgramSpec {
    let mut best = spec.clone();
    if !shows(&best) {
        return best;
    }
    for _ in 0..ROUNDS {
        let before = size(&best);
        shorten(&mut best, &mut shows);
        simplify(&mut best, &mut shows);
        strip(&mut best, &mut shows);
        if size(&best) == before {
            break;
        }
    }
    best
}

/// The shortest string of bytes found for which `shows` holds; `bytes` itself if it does not hold for it.
pub fn shrink_bytes(bytes: &[u8], mut shows: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut best = bytes.to_vec();
    if !shows(&best) {
        return best;
    }
    let mut run = (best.len() / 2).max(1);
    // Each try costs a whole look at the bytes, so there are only so many.
    let mut tries = 2000;
    while run > 0 && tries > 0 {
        let mut at = 0;
        while at < best.len() && tries > 0 {
            tries -= 1;
            let mut shorter = best.clone();
            shorter.drain(at..(at + run).min(best.len()));
            if shows(&shorter) {
                best = shorter;
            } else {
                at += run;
            }
        }
        run /= 2;
    }
    best
}

/// What is made smaller: slots, then numbers in them, then the rest.
fn size(spec: &ProgramSpec) -> (usize, u64, usize) {
    let numbers = spec
        .insns
        .iter()
        .map(|i| u64::from(i.imm.unsigned_abs()) + u64::from(i.code));
    (
        spec.insns.len(),
        numbers.sum(),
        spec.maps.len() + spec.func_info.len(),
    )
}

fn attempt(
    best: &mut ProgramSpec,
    candidate: Option<ProgramSpec>,
    shows: &mut impl FnMut(&ProgramSpec) -> bool,
) -> bool {
    match candidate {
        Some(candidate) if shows(&candidate) => {
            *best = candidate;
            true
        }
        Some(_) | None => false,
    }
}

/// Takes runs of instructions out, long ones first.
fn shorten(best: &mut ProgramSpec, shows: &mut impl FnMut(&ProgramSpec) -> bool) {
    let mut run = (best.insns.len() / 2).max(1);
    loop {
        // From the end: what comes last depends on what comes first, not the other way round.
        let mut at = starts(&best.insns).len();
        while at > 0 {
            at -= 1;
            let starts = starts(&best.insns);
            let (Some(from), to) = (starts.get(at).copied(), starts.get(at + run).copied()) else {
                continue;
            };
            let to = to.unwrap_or(best.insns.len());
            attempt(best, without(best, from, to), shows);
        }
        if run == 1 {
            return;
        }
        run /= 2;
    }
}

/// Replaces single instructions and numbers by plainer ones.
fn simplify(best: &mut ProgramSpec, shows: &mut impl FnMut(&ProgramSpec) -> bool) {
    for at in starts(&best.insns) {
        let Some(insn) = best.insns.get(at).copied() else {
            continue;
        };
        let zero = RawInsn::new(class::ALU64 | opcode::MOV, insn.dst(), 0, 0, 0);
        let exit = RawInsn::new(opcode::EXIT, 0, 0, 0, 0);
        let mut plainer = vec![zero];
        if insn.code == opcode::CALL {
            plainer.insert(0, RawInsn::new(class::ALU64 | opcode::MOV, 0, 0, 0, 0));
        }
        if insn.is_ld_imm64() {
            plainer.clear();
        } else if insn.code != opcode::CALL {
            plainer.push(exit);
            if insn.imm != 0 {
                plainer.push(RawInsn { imm: 0, ..insn });
                plainer.push(RawInsn { imm: 1, ..insn });
                plainer.push(RawInsn {
                    imm: insn.imm / 2,
                    ..insn
                });
            }
        }
        for plain in plainer {
            if plain == insn {
                break;
            }
            let mut candidate = best.clone();
            if let Some(slot) = candidate.insns.get_mut(at) {
                *slot = plain;
            }
            if attempt(best, Some(candidate), shows) {
                break;
            }
        }
    }
}

/// Drops flags, function information and unused maps.
fn strip(best: &mut ProgramSpec, shows: &mut impl FnMut(&ProgramSpec) -> bool) {
    for flag in best.flags.iter() {
        let flags = best.flags.difference(flag);
        attempt(
            best,
            Some(ProgramSpec {
                flags,
                ..best.clone()
            }),
            shows,
        );
    }
    let only = ProgFlags::TEST_STATE_FREQ;
    if !best.flags.contains(only) {
        let flags = best.flags.union(only);
        attempt(
            best,
            Some(ProgramSpec {
                flags,
                ..best.clone()
            }),
            shows,
        );
    }
    if best.btf.is_some() {
        let bare = ProgramSpec {
            btf: None,
            func_info: Vec::new(),
            ..best.clone()
        };
        attempt(best, Some(bare), shows);
    }
    for map in (0..best.maps.len()).rev() {
        attempt(best, without_map(best, map), shows);
    }
}

/// The request without a map that nothing names.
fn without_map(spec: &ProgramSpec, map: usize) -> Option<ProgramSpec> {
    let mut out = spec.clone();
    for at in starts(&spec.insns) {
        let insn = out.insns.get_mut(at)?;
        let names = matches!(
            insn.src(),
            pseudo::MAP_FD | pseudo::MAP_VALUE | pseudo::MAP_IDX | pseudo::MAP_IDX_VALUE
        );
        if insn.is_ld_imm64() && names {
            let index = usize::try_from(insn.imm).ok();
            match index {
                Some(index) if index == map => return None,
                Some(index) if index > map => insn.imm -= 1,
                Some(_) | None => {}
            }
        }
    }
    out.maps.remove(map);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_asm::Builder;
    use skep_isa::{JmpOp, Reg};
    use skep_spec::ProgType;

    #[test]
    fn bytes_that_do_not_matter_go() {
        let bytes: Vec<u8> = (0..=255).collect();
        let small = shrink_bytes(&bytes, |b| b.contains(&7) && b.contains(&200));
        assert_eq!(small, [7, 200]);
    }

    #[test]
    fn only_what_matters_remains() {
        let insns = Builder::new()
            .mov(Reg::R6, 1)
            .jump(JmpOp::Gt, Reg::R6, 5, "out")
            .imm64(Reg::R7, 99)
            .mov(Reg::R0, 0)
            .call("sub")
            .label("out")
            .exit()
            .label("sub")
            .mov(Reg::R8, 7)
            .mov(Reg::R0, 0)
            .exit()
            .finish()
            .unwrap();
        let spec = ProgramSpec::new("p", ProgType::SocketFilter, insns);
        let shown = |p: &ProgramSpec| p.insns.iter().any(|i| i.code == 0xb7 && i.dst() == 8);
        let small = shrink(&spec, shown);
        assert_eq!(small.insns.len(), 1);
        assert!(shown(&small));
    }
}
