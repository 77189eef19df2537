//! Edits of finished programs: taking instructions out and putting them in, with jumps, calls and
//! function information put right.

use skep_isa::{RawInsn, class, opcode, pseudo};
use skep_spec::{FuncInfo, ProgramSpec};

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

/// The request without the slots from `from` to before `to`. Jumps into them go to what follows.
pub(crate) fn without(spec: &ProgramSpec, from: usize, to: usize) -> Option<ProgramSpec> {
    let gone = to.checked_sub(from)?;
    if gone >= spec.insns.len() {
        return None;
    }
    let moved = |at: i64| -> i64 {
        let (from, to) = (from as i64, to as i64);
        if at < from {
            at
        } else if at < to {
            from
        } else {
            at - gone as i64
        }
    };
    let mut out = spec.clone();
    out.insns.clear();
    for at in starts(&spec.insns) {
        if (from..to).contains(&at) {
            continue;
        }
        let mut insn = *spec.insns.get(at)?;
        if let Some(target) = target(insn, at) {
            let distance = moved(target) - moved(at as i64) - 1;
            insn = retarget(insn, distance)?;
        }
        out.insns.push(insn);
        if insn.is_ld_imm64() {
            out.insns.extend(spec.insns.get(at + 1));
        }
    }
    out.func_info = Vec::new();
    for info in &spec.func_info {
        let off = moved(info.insn_off.into()) as u32;
        // A function that lost all its instructions begins where the next one does.
        if out
            .func_info
            .last()
            .is_some_and(|last: &FuncInfo| last.insn_off == off)
        {
            out.func_info.pop();
        }
        if (off as usize) < out.insns.len() {
            out.func_info.push(FuncInfo {
                insn_off: off,
                type_id: info.type_id,
            });
        }
    }
    out.line_info = Vec::new();
    Some(out)
}

/// Where a jump, a call or a function's address leads, in slots.
fn target(insn: RawInsn, at: usize) -> Option<i64> {
    let next = at as i64 + 1;
    if insn.is_ld_imm64() {
        return (insn.src() == pseudo::FUNC).then(|| next + i64::from(insn.imm));
    }
    match insn.class() {
        class::JMP | class::JMP32 => match insn.code {
            opcode::CALL => (insn.src() == pseudo::CALL).then(|| next + i64::from(insn.imm)),
            opcode::EXIT | opcode::CALLX => None,
            opcode::JA32 => Some(next + i64::from(insn.imm)),
            _ => Some(next + i64::from(insn.off)),
        },
        _ => None,
    }
}

fn retarget(insn: RawInsn, distance: i64) -> Option<RawInsn> {
    let by_imm = insn.is_ld_imm64() || matches!(insn.code, opcode::CALL | opcode::JA32);
    if by_imm {
        let imm = i32::try_from(distance).ok()?;
        Some(RawInsn { imm, ..insn })
    } else {
        let off = i16::try_from(distance).ok()?;
        Some(RawInsn { off, ..insn })
    }
}

/// The request with one more instruction of one slot at `at`. Jumps to `at` go to the new instruction.
pub(crate) fn with(spec: &ProgramSpec, at: usize, insn: RawInsn) -> Option<ProgramSpec> {
    let moved = |to: i64| if to > at as i64 { to + 1 } else { to };
    let mut out = spec.clone();
    out.insns.clear();
    for from in starts(&spec.insns) {
        if from == at {
            out.insns.push(insn);
        }
        let mut old = *spec.insns.get(from)?;
        if let Some(target) = target(old, from) {
            let here = from as i64 + i64::from(from >= at);
            old = retarget(old, moved(target) - here - 1)?;
        }
        out.insns.push(old);
        if old.is_ld_imm64() {
            out.insns.extend(spec.insns.get(from + 1));
        }
    }
    for info in &mut out.func_info {
        info.insn_off = moved(info.insn_off.into()) as u32;
    }
    out.line_info = Vec::new();
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_asm::Builder;
    use skep_isa::{JmpOp, Reg};
    use skep_spec::ProgType;

    fn program() -> ProgramSpec {
        let insns = Builder::new()
            .jump(JmpOp::Gt, Reg::R6, 5, "out")
            .imm64(Reg::R7, 99)
            .mov(Reg::R0, 0)
            .label("out")
            .exit()
            .finish()
            .unwrap();
        ProgramSpec::new("p", ProgType::SocketFilter, insns)
    }

    #[test]
    fn jumps_over_what_is_taken_out_still_arrive() {
        let spec = program();
        let shorter = without(&spec, 1, 3).unwrap();
        assert_eq!(shorter.insns.len(), 3);
        assert_eq!(shorter.insns[0].off, 1);
        assert_eq!(without(&spec, 0, 5).map(|p| p.insns.len()), None);
    }

    #[test]
    fn jumps_over_what_is_put_in_still_arrive() {
        let spec = program();
        let nop = RawInsn::new(opcode::JA, 0, 0, 0, 0);
        let longer = with(&spec, 3, nop).unwrap();
        assert_eq!(longer.insns.len(), 6);
        assert_eq!(longer.insns[0].off, 4);
        assert_eq!(without(&longer, 3, 4).unwrap().insns, spec.insns);
    }
}
