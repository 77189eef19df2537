//! Subprograms: where calls and function addresses say that they begin, and that no jump crosses
//! between them.

use skep_isa::{InsnIdx, RawInsn, class, mode, opcode, pseudo};

use super::{Subprog, graph};
use crate::violation::{FormViolation, LimitViolation, Stop};

/// Number of `bpf_tail_call`.
const TAIL_CALL: i32 = 12;

/// A fault and the slot that it belongs to.
pub(super) type Fault = (Stop, Option<InsnIdx>);

/// Finds the first slots of all subprograms, ascending; the main program's is the first
/// (`add_subprog_and_kfunc`). `extra` is the entry of an exception callback.
pub(super) fn find_starts(
    insns: &[RawInsn],
    limit: usize,
    extra: Option<InsnIdx>,
) -> Result<Vec<InsnIdx>, Fault> {
    let mut starts = vec![0];
    for (idx, insn) in insns.iter().enumerate() {
        let calls = insn.code == opcode::CALL && insn.src() == pseudo::CALL;
        let names = insn.is_ld_imm64() && insn.src() == pseudo::FUNC;
        if !calls && !names {
            continue;
        }
        let start = idx as i64 + i64::from(insn.imm) + 1;
        add(&mut starts, start, insns.len(), limit).map_err(|v| (v, Some(idx)))?;
    }
    if let Some(start) = extra {
        add(&mut starts, start as i64, insns.len(), limit).map_err(|v| (v, Some(start)))?;
    }
    Ok(starts)
}

/// Makes subprograms of these starts (`check_subprogs`); `extra` as in [`find_starts`].
pub(super) fn find_subprogs(
    insns: &[RawInsn],
    starts: &[InsnIdx],
    extra: Option<InsnIdx>,
) -> Result<Vec<Subprog>, Fault> {
    let ends = starts.iter().skip(1).copied().chain([insns.len()]);
    let mut subprogs: Vec<Subprog> = starts
        .iter()
        .zip(ends)
        .map(|(&start, end)| Subprog::new(start, end))
        .collect();
    for subprog in &mut subprogs {
        subprog.is_exception_callback = Some(subprog.start) == extra;
        scan(insns, subprog)?;
    }
    Ok(subprogs)
}

fn add(starts: &mut Vec<InsnIdx>, start: i64, len: usize, limit: usize) -> Result<(), Stop> {
    let Some(start) = usize::try_from(start).ok().filter(|&start| start < len) else {
        return Err(FormViolation::CallOutOfProgram.into());
    };
    let Err(place) = starts.binary_search(&start) else {
        return Ok(());
    };
    if starts.len() >= limit {
        return Err(LimitViolation::TooManySubprogs.into());
    }
    starts.insert(place, start);
    Ok(())
}

/// Looks through one subprogram: jumps stay inside, its end is an end.
fn scan(insns: &[RawInsn], subprog: &mut Subprog) -> Result<(), Fault> {
    let range = subprog.start..subprog.end;
    for (idx, &insn) in range.clone().zip(&insns[range]) {
        if insn.code == opcode::CALL && insn.src() == 0 && insn.imm == TAIL_CALL {
            subprog.has_tail_call = true;
            subprog.tail_call_reachable = true;
        }
        let is_packet_load = matches!(insn.code & 0xe0, mode::ABS | mode::IND);
        if insn.class() == class::LD && is_packet_load {
            subprog.has_ld_abs = true;
        }
        let is_jump = matches!(insn.class(), class::JMP | class::JMP32);
        if !is_jump || matches!(insn.code & 0xf0, 0x80 | 0x90) {
            continue;
        }
        let target = graph::jump_target(insn, idx);
        if !(subprog.start..subprog.end).contains(&target) {
            let off = if insn.code == opcode::JA32 {
                insn.imm
            } else {
                insn.off.into()
            };
            let to = idx as i64 + 1 + i64::from(off);
            return Err((
                FormViolation::JumpOutOfRange { from: idx, to }.into(),
                Some(idx),
            ));
        }
    }
    let last = subprog.end - 1;
    let ends = matches!(insns[last].code, opcode::EXIT | opcode::JA | opcode::JA32);
    if !ends {
        return Err((FormViolation::LastInsnFallsThrough.into(), Some(last)));
    }
    Ok(())
}
