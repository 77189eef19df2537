//! What comparing packet pointers teaches: how many bytes are there.

use skep_isa::{JmpOp, Operand, Reg, Width};

use super::branch::Jump;
use crate::state::{Pointer, Region, State};

/// A packet pointer is known to lie at the packet's end or beyond.
pub(super) const AT_END: i32 = -1;
/// A packet pointer is known to lie beyond the packet's end.
pub(super) const BEYOND_END: i32 = -2;
/// Offsets beyond this prove nothing.
const MAX_PACKET_OFF: u64 = 0xffff;

/// Applies a comparison of packet pointers to both edges; false if it is none that teaches
/// (`try_match_pkt_pointers`). `fails` is the edge on which the condition fails.
pub(super) fn apply_comparison(jump: &Jump, fails: &mut State, holds: &mut State) -> bool {
    let Operand::Reg(src) = jump.src else {
        return false;
    };
    if jump.width == Width::W32 {
        return false;
    }
    let (Some(left), Some(right)) = (
        fails.reg(jump.dst).pointer().copied(),
        fails.reg(src).pointer().copied(),
    ) else {
        return false;
    };
    // Told as: `low` compared with the limit `high`, the condition turned accordingly.
    let (low, low_reg, turned) = if is_bounded_by(&left, &right) {
        (left, jump.dst, false)
    } else if is_bounded_by(&right, &left) {
        (right, src, true)
    } else {
        return false;
    };
    let op = if turned {
        super::branch::mirrored(jump.op)
    } else {
        jump.op
    };
    match op {
        // low > high: failing means low <= high, so all bytes before low are there.
        JmpOp::Gt => {
            prove_range(fails, &low, false);
            mark_end(holds, low_reg, BEYOND_END);
        }
        JmpOp::Lt => {
            prove_range(holds, &low, true);
            mark_end(fails, low_reg, AT_END);
        }
        JmpOp::Ge => {
            prove_range(fails, &low, true);
            mark_end(holds, low_reg, AT_END);
        }
        JmpOp::Le => {
            prove_range(holds, &low, false);
            mark_end(fails, low_reg, BEYOND_END);
        }
        JmpOp::Eq | JmpOp::Ne | JmpOp::Set | JmpOp::SGt | JmpOp::SGe | JmpOp::SLt | JmpOp::SLe => {
            return false;
        }
    }
    true
}

/// Data is bounded by its end, metadata by the start of data.
fn is_bounded_by(low: &Pointer, high: &Pointer) -> bool {
    if !low.flags.is_empty() || !high.flags.is_empty() {
        return false;
    }
    match low.region {
        Region::Packet { .. } => high.region == Region::PacketEnd,
        Region::PacketMeta { .. } => {
            matches!(high.region, Region::Packet { .. })
                && high.id == 0
                && high.off == 0
                && high.var.const_value() == Some(0)
        }
        Region::Ctx
        | Region::ConstMap { .. }
        | Region::MapValue { .. }
        | Region::MapKey { .. }
        | Region::Stack { .. }
        | Region::PacketEnd
        | Region::FlowKeys
        | Region::Sock(_)
        | Region::TpBuffer
        | Region::Btf { .. }
        | Region::Mem { .. }
        | Region::Arena
        | Region::Buf
        | Region::Func { .. }
        | Region::ConstDynptr { .. }
        | Region::Object(_) => false,
    }
}

/// Gives every pointer of the same origin the range that `low` proves (`find_good_pkt_pointers`).
/// `open`: the byte at `low` itself is there too.
fn prove_range(state: &mut State, low: &Pointer, open: bool) {
    if low.off < 0 || (low.off == 0 && open) {
        return;
    }
    let max = low.var.umax();
    if max > MAX_PACKET_OFF || max + low.off as u64 > MAX_PACKET_OFF {
        return;
    }
    let proved = low.off + i32::from(open);
    let concerns = |pointer: &Pointer| pointer.same_type(low) && pointer.id == low.id;
    state.update_values(
        |value| value.pointer().is_some_and(concerns),
        |value| {
            if let Some(Pointer {
                region: Region::Packet { range } | Region::PacketMeta { range },
                ..
            }) = value.pointer_mut()
            {
                *range = (*range).max(proved);
            }
        },
    );
}

fn mark_end(state: &mut State, reg: Reg, mark: i32) {
    if let Some(Pointer {
        region: Region::Packet { range },
        ..
    }) = state.cur_mut().regs[reg.index()].pointer_mut()
    {
        *range = mark;
    }
}
