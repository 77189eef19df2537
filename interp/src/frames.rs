//! Functions that do without a frame.
//!
//! A function none of whose instructions names R10 gives the address of its frame to nobody, so nothing
//! can reach it and opening it would be in vain. A tail call hands the frame on, and code that leaves
//! for another function's instructions is somebody else's: both keep theirs.

use skep_isa::{InsnIdx, Reg};

use crate::op::{Code, Op};

/// Marks calls of functions that need no frame (`imm` is 1); whether the first function is such a one.
pub(crate) fn mark_frameless(ops: &mut [Op], callbacks: &[InsnIdx]) -> bool {
    let calls = ops.iter().filter(|op| op.code == Code::Subprog);
    let targets = calls.filter_map(|op| usize::try_from(op.off).ok());
    let mut starts: Vec<usize> = targets.chain(callbacks.iter().copied()).collect();
    starts.extend([0, ops.len()]);
    starts.sort_unstable();
    starts.dedup();
    let does_without = |pair: &[usize]| match *pair {
        [start, end] => needs_no_frame(ops, start, end).then_some(start),
        _ => None,
    };
    let frameless: Vec<usize> = starts.windows(2).filter_map(does_without).collect();
    for op in ops.iter_mut().filter(|op| op.code == Code::Subprog) {
        let to = usize::try_from(op.off).unwrap_or(usize::MAX);
        op.imm = i64::from(frameless.binary_search(&to).is_ok());
    }
    frameless.first() == Some(&0)
}

fn needs_no_frame(ops: &[Op], start: usize, end: usize) -> bool {
    let Some(body) = ops.get(start..end) else {
        return false;
    };
    let names_frame = |op: &Op| [op.dst, op.src].contains(&Reg::R10);
    let stays = |op: &Op| {
        let target = usize::try_from(op.off).unwrap_or(usize::MAX);
        !op.code.jumps() || (start..end).contains(&target)
    };
    // What runs into the next function goes on as that one.
    let ends = |op: &Op| {
        matches!(
            op.code,
            Code::Exit | Code::Goto | Code::NotInsn | Code::Trap
        )
    };
    body.iter()
        .all(|op| !names_frame(op) && op.code != Code::TailCall && stays(op))
        && body.last().is_some_and(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(code: Code, off: i32) -> Op {
        Op {
            code,
            off,
            ..Op::NONE
        }
    }

    fn marks(mut ops: Vec<Op>, callbacks: &[usize]) -> (bool, Vec<i64>) {
        ops.push(Op::NONE);
        let first = mark_frameless(&mut ops, callbacks);
        let calls = ops.iter().filter(|op| op.code == Code::Subprog);
        (first, calls.map(|op| op.imm).collect())
    }

    #[test]
    fn functions_that_name_no_frame_do_without() {
        let exit = op(Code::Exit, 0);
        let frame = Op {
            src: Reg::R10,
            ..op(Code::Mov64R, 0)
        };
        let call = |to| op(Code::Subprog, to);
        let both = vec![call(2), exit, frame, exit];
        assert_eq!(marks(both, &[]), (true, vec![0]));
        let callee = vec![frame, call(3), exit, op(Code::Add64I, 0), exit];
        assert_eq!(marks(callee, &[]), (false, vec![1]));
        let tail = vec![call(2), exit, op(Code::TailCall, 0), exit];
        assert_eq!(marks(tail, &[]), (true, vec![0]));
    }

    #[test]
    fn code_that_leaves_its_function_keeps_the_frame() {
        let exit = op(Code::Exit, 0);
        let call = |to| op(Code::Subprog, to);
        let jumps = vec![call(2), exit, op(Code::Goto, 0), exit];
        assert_eq!(marks(jumps, &[]), (true, vec![0]));
        let runs_on = vec![call(2), exit, op(Code::Add64I, 0), exit];
        assert_eq!(marks(runs_on, &[3]), (true, vec![0]));
    }
}
