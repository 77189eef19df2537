//! Frequent pairs of instructions as one operation.
//!
//! The fused operation stands in the first one's slot and skips the second, which stays where it is for
//! jumps that land on it. Only pairs that cannot trap are fused, so that every trap has its own slot.

use crate::op::{Code, Op};

/// The operations with pairs fused.
pub(crate) fn fuse(ops: &[Op]) -> Vec<Op> {
    let mut fused = ops.to_vec();
    for (to, pair) in fused.iter_mut().zip(ops.windows(2)) {
        if let [a, b] = pair
            && let Some(both) = fuse_pair(a, b)
        {
            *to = both;
        }
    }
    fused
}

fn fuse_pair(a: &Op, b: &Op) -> Option<Op> {
    let same = a.dst == b.dst;
    // The second must not need what the first one overwrote.
    let apart = b.src != a.dst;
    let moved = |code| Op {
        code,
        imm: b.imm,
        aux: b.src,
        ..*a
    };
    match (a.code, b.code) {
        (Code::Mov64R, Code::Add64I) if same => Some(moved(Code::MovAddI)),
        (Code::Mov64R, Code::Add64R) if same && apart => Some(moved(Code::MovAddR)),
        (Code::Mov64R, Code::Lsh64I) if same => Some(moved(Code::MovLsh64)),
        (Code::Mov64R, Code::Rsh64I) if same => Some(moved(Code::MovRsh64)),
        (Code::Mov32R, Code::Lsh32I) if same => Some(moved(Code::MovLsh32)),
        (Code::Mov32R, Code::Rsh32I) if same => Some(moved(Code::MovRsh32)),
        (Code::Lsh64I, Code::Or64R) if same && apart => Some(shifted(Code::LshOr64, a, b)),
        (Code::Lsh32I, Code::Or32R) if same && apart => Some(shifted(Code::LshOr32, a, b)),
        (Code::Add64I, code) => counted(code).map(|code| Op {
            code,
            dst: a.dst,
            src: b.dst,
            aux: b.src,
            off: b.off,
            imm: (b.imm << 32) | (a.imm & 0xffff_ffff),
        }),
        _ => None,
    }
}

fn shifted(code: Code, a: &Op, b: &Op) -> Op {
    Op {
        code,
        aux: b.src,
        ..*a
    }
}

/// An addition, then a comparison that jumps.
fn counted(jump: Code) -> Option<Code> {
    let codes = [
        (Code::Eq64I, Code::AddEqI),
        (Code::Ne64I, Code::AddNeI),
        (Code::Eq64R, Code::AddEqR),
        (Code::Ne64R, Code::AddNeR),
        (Code::Lt64R, Code::AddLtR),
        (Code::Gt64R, Code::AddGtR),
    ];
    codes
        .iter()
        .find(|(plain, _)| *plain == jump)
        .map(|(_, fused)| *fused)
}
