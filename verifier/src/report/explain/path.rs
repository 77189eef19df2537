//! The way to the fault: which branches were taken, which calls made, in order.
//!
//! A path is recorded as its jumps; between two of them it went straight on, so every conditional jump
//! in between was not taken.

use skep_isa::{CallTarget, Insn, InsnIdx, decode, opcode, pseudo};
use skep_spec::ProgramSpec;

/// What a step of a path is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StepKind {
    /// A condition held: the jump was taken.
    Taken,
    /// A condition did not hold: the path went straight on.
    NotTaken,
    /// A function was entered.
    Call,
    /// A function returned.
    Return,
    /// Some other change of place: an unconditional jump backwards, or a callback.
    Jump,
}

/// Steps that are kept; of longer paths, the last ones.
pub(super) const MAX_STEPS: usize = 256;

/// One step, as instruction indices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Move {
    pub(super) kind: StepKind,
    pub(super) from: InsnIdx,
    pub(super) to: InsnIdx,
}

/// The last steps of a path to `at`, and how many there were before them.
pub(super) fn moves(
    spec: &ProgramSpec,
    jumps: &[(InsnIdx, InsnIdx)],
    at: InsnIdx,
) -> (Vec<Move>, usize) {
    let mut found = std::collections::VecDeque::new();
    let mut dropped = 0;
    let mut add = |step| {
        if found.len() == MAX_STEPS {
            found.pop_front();
            dropped += 1;
        }
        found.push_back(step);
    };
    let first_end = jumps.first().map_or(at, |&(_, from)| from);
    let mut begin = function_start(spec, first_end);
    for &(to, from) in jumps {
        straight(spec, begin, from, &mut add);
        if let Some(kind) = jump_kind(spec, from, to) {
            add(Move { kind, from, to });
        }
        begin = to;
    }
    straight(spec, begin, at, &mut add);
    (found.into(), dropped)
}

/// Conditions between `begin` and `end` (excluded) that did not hold.
fn straight(spec: &ProgramSpec, begin: InsnIdx, end: InsnIdx, add: &mut impl FnMut(Move)) {
    for idx in begin..end.min(spec.insns.len()) {
        if matches!(decode(&spec.insns, idx), Ok(Insn::Jump { .. })) {
            add(Move {
                kind: StepKind::NotTaken,
                from: idx,
                to: idx + 1,
            });
        }
    }
}

fn jump_kind(spec: &ProgramSpec, from: InsnIdx, to: InsnIdx) -> Option<StepKind> {
    match decode(&spec.insns, from).ok()? {
        Insn::Jump { .. } | Insn::MayGoto { .. } => Some(StepKind::Taken),
        Insn::Call(CallTarget::Subprog(_)) => Some(StepKind::Call),
        Insn::Exit => Some(StepKind::Return),
        // Forward jumps only lead around an else branch: they say nothing.
        Insn::Goto { .. } => (to <= from).then_some(StepKind::Jump),
        Insn::Call(CallTarget::Helper(_) | CallTarget::Kfunc { .. }) => Some(StepKind::Jump),
        Insn::Alu { .. }
        | Insn::MovSx { .. }
        | Insn::Neg { .. }
        | Insn::Endian { .. }
        | Insn::AddrSpaceCast { .. }
        | Insn::LoadImm64 { .. }
        | Insn::Imm64Hi
        | Insn::Load { .. }
        | Insn::Store { .. }
        | Insn::Atomic { .. }
        | Insn::LoadAcquire { .. }
        | Insn::StoreRelease { .. }
        | Insn::LoadPacket { .. }
        | Insn::CallReg(_) => None,
    }
}

/// The first slot of the function that a slot belongs to.
pub(super) fn function_start(spec: &ProgramSpec, idx: InsnIdx) -> InsnIdx {
    let starts = spec.insns.iter().enumerate().filter_map(|(at, insn)| {
        let calls = insn.code == opcode::CALL && insn.src() == pseudo::CALL;
        let names = insn.is_ld_imm64() && insn.src() == pseudo::FUNC;
        if !calls && !names {
            return None;
        }
        usize::try_from(at as i64 + 1 + i64::from(insn.imm)).ok()
    });
    starts.filter(|&start| start <= idx).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use skep_isa::{JmpOp, Operand, RawInsn, Reg, Width, encode};
    use skep_spec::ProgType;

    use super::*;

    fn spec(insns: &[Insn]) -> ProgramSpec {
        let raw: Vec<RawInsn> = insns.iter().map(|insn| encode(insn).0).collect();
        ProgramSpec::new("test", ProgType::SocketFilter, raw)
    }

    fn jump(off: i16) -> Insn {
        let (dst, src) = (Reg::R1, Operand::Imm(0));
        Insn::Jump {
            op: JmpOp::Eq,
            width: Width::W64,
            dst,
            src,
            off,
        }
    }

    #[test]
    fn conditions_passed_on_the_way_were_not_taken() {
        let spec = spec(&[jump(3), jump(1), Insn::Exit, jump(0), Insn::Exit]);
        let (moves, dropped) = moves(&spec, &[(3, 1)], 4);
        let kinds: Vec<_> = moves.iter().map(|m| (m.kind, m.from)).collect();
        assert_eq!(
            kinds,
            [
                (StepKind::NotTaken, 0),
                (StepKind::Taken, 1),
                (StepKind::NotTaken, 3)
            ]
        );
        assert_eq!(dropped, 0);
    }

    #[test]
    fn of_long_paths_the_end_is_kept() {
        let spec = spec(&[jump(-1), Insn::Exit]);
        let rounds = vec![(0, 0); MAX_STEPS + 9];
        let (moves, dropped) = moves(&spec, &rounds, 1);
        assert_eq!(moves.len(), MAX_STEPS);
        assert_eq!(dropped, 10);
        assert_eq!(moves.last().map(|m| m.kind), Some(StepKind::NotTaken));
    }
}
