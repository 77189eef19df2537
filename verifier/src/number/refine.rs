//! What an undecided condition teaches about its operands on each edge (`regs_refine_cond_op`,
//! `reg_set_min_max`).
//!
//! Both operands are refined and synchronised, also on an edge that cannot be taken: there they may
//! come out contradictory, see [`Scalar::violation`]. The kernel compares a register with itself like
//! any two, through two names for one register; [`refine_same`] repeats what comes of that.

use super::{Scalar, Tnum};
use skep_isa::{JmpOp, Width};

/// Refines `a` and `b` for the edge on which `a op b` holds (`taken`) or does not.
#[inline]
pub fn refine(op: JmpOp, width: Width, taken: bool, a: &mut Scalar, b: &mut Scalar) {
    let mut pair = [*a, *b];
    refine_pair(op, width, taken, &mut pair, 0, 1);
    [*a, *b] = pair;
}

/// Refines a register that is compared with itself.
#[inline]
pub fn refine_same(op: JmpOp, width: Width, taken: bool, a: &mut Scalar) {
    let mut pair = [*a, *a];
    refine_pair(op, width, taken, &mut pair, 0, 0);
    *a = pair[0];
}

type Pair = [Scalar; 2];

/// Operands are named by position, so that both may name the same one.
#[inline]
fn refine_pair(op: JmpOp, width: Width, taken: bool, pair: &mut Pair, a: usize, b: usize) {
    // A condition that fails is the opposite one that holds, and greater is less turned round.
    match (op, taken) {
        (JmpOp::Eq, true) | (JmpOp::Ne, false) => equal(width, pair, a, b),
        (JmpOp::Ne, true) | (JmpOp::Eq, false) => not_equal(width, pair, a, b),
        (JmpOp::Set, true) => common_bit(width, pair, a, b),
        (JmpOp::Set, false) => no_common_bit(width, pair, a, b),
        (JmpOp::Lt, true) | (JmpOp::Ge, false) => less(width, pair, a, b),
        (JmpOp::Le, true) | (JmpOp::Gt, false) => less_or_equal(width, pair, a, b),
        (JmpOp::Gt, true) | (JmpOp::Le, false) => less(width, pair, b, a),
        (JmpOp::Ge, true) | (JmpOp::Lt, false) => less_or_equal(width, pair, b, a),
        (JmpOp::SLt, true) | (JmpOp::SGe, false) => signed_less(width, pair, a, b),
        (JmpOp::SLe, true) | (JmpOp::SGt, false) => signed_less_or_equal(width, pair, a, b),
        (JmpOp::SGt, true) | (JmpOp::SLe, false) => signed_less(width, pair, b, a),
        (JmpOp::SGe, true) | (JmpOp::SLt, false) => signed_less_or_equal(width, pair, b, a),
    }
    if cfg!(feature = "planted-fault") && op == JmpOp::Lt && taken && width == Width::W64 {
        // One value too few, which no rule takes away.
        pair[a].wide.umax = pair[a].wide.umax.saturating_sub(1);
    }
    pair[a].sync();
    pair[b].sync();
}

/// Both become their intersection.
#[inline]
fn equal(width: Width, pair: &mut Pair, a: usize, b: usize) {
    match width {
        Width::W32 => {
            let mut both = pair[a].narrow;
            both.meet_unsigned(pair[b].narrow.umin, pair[b].narrow.umax);
            both.meet_signed(pair[b].narrow.smin, pair[b].narrow.smax);
            (pair[a].narrow, pair[b].narrow) = (both, both);
            let low = pair[a].known.subreg().intersect(pair[b].known.subreg());
            pair[a].known = pair[a].known.with_subreg(low);
            pair[b].known = pair[b].known.with_subreg(low);
        }
        Width::W64 => {
            let mut both = pair[a].wide;
            both.meet_unsigned(pair[b].wide.umin, pair[b].wide.umax);
            both.meet_signed(pair[b].wide.smin, pair[b].wide.smax);
            (pair[a].wide, pair[b].wide) = (both, both);
            let known = pair[a].known.intersect(pair[b].known);
            (pair[a].known, pair[b].known) = (known, known);
        }
    }
}

/// The other operand's position and the constant's value, if one of the two is constant in this
/// width; the right one is asked first.
#[inline]
fn constant_side(width: Width, pair: &Pair, a: usize, b: usize) -> Option<(usize, u64)> {
    let value = |side: usize| match width {
        Width::W32 => pair[side].const_subreg().map(u64::from),
        Width::W64 => pair[side].const_value(),
    };
    match value(b) {
        Some(value) => Some((a, value)),
        None => value(a).map(|value| (b, value)),
    }
}

/// A bound that is just the excluded constant moves by one, wrapping.
#[inline]
fn not_equal(width: Width, pair: &mut Pair, a: usize, b: usize) {
    macro_rules! trim {
        ($range:expr, $u:ty, $s:ty, $value:expr) => {{
            let (range, value) = (&mut $range, $value as $u);
            if range.umin == value {
                range.umin = range.umin.wrapping_add(1);
            }
            if range.umax == value {
                range.umax = range.umax.wrapping_sub(1);
            }
            if range.smin == value as $s {
                range.smin = range.smin.wrapping_add(1);
            }
            if range.smax == value as $s {
                range.smax = range.smax.wrapping_sub(1);
            }
        }};
    }
    let Some((side, value)) = constant_side(width, pair, a, b) else {
        return;
    };
    match width {
        Width::W32 => trim!(pair[side].narrow, u32, i32, value),
        Width::W64 => trim!(pair[side].wide, u64, i64, value),
    }
}

/// Teaches only if the constant is a single bit: that bit is set.
#[inline]
fn common_bit(width: Width, pair: &mut Pair, a: usize, b: usize) {
    let Some((side, value)) = constant_side(width, pair, a, b) else {
        return;
    };
    if !value.is_power_of_two() {
        return;
    }
    let known = &mut pair[side].known;
    *known = match width {
        Width::W32 => known.with_subreg(known.subreg().or(Tnum::constant(value))),
        Width::W64 => known.or(Tnum::constant(value)),
    };
}

/// Every bit of the constant is clear. All ranges are forgotten first, so that a dead edge does not
/// contradict itself.
#[inline]
fn no_common_bit(width: Width, pair: &mut Pair, a: usize, b: usize) {
    let Some((side, value)) = constant_side(width, pair, a, b) else {
        return;
    };
    let scalar = &mut pair[side];
    scalar.reset_unbounded();
    scalar.known = match width {
        Width::W32 => scalar
            .known
            .with_subreg(scalar.known.subreg().and(Tnum::constant(!value))),
        Width::W64 => scalar.known.and(Tnum::constant(!value)),
    };
}

/// Defines an order rule in both widths: the left maximum is limited by the right one, then the
/// right minimum by the left one; `$gap` is 1 for a strict order.
macro_rules! order_rule {
    ($name:ident, $min:ident, $max:ident, $gap:expr) => {
        #[inline]
        fn $name(width: Width, pair: &mut Pair, a: usize, b: usize) {
            macro_rules! limit {
                ($half:ident) => {{
                    let max = pair[b].$half.$max.wrapping_sub($gap);
                    pair[a].$half.$max = pair[a].$half.$max.min(max);
                    let min = pair[a].$half.$min.wrapping_add($gap);
                    pair[b].$half.$min = pair[b].$half.$min.max(min);
                }};
            }
            match width {
                Width::W32 => limit!(narrow),
                Width::W64 => limit!(wide),
            }
        }
    };
}

order_rule!(less, umin, umax, 1);
order_rule!(less_or_equal, umin, umax, 0);
order_rule!(signed_less, smin, smax, 1);
order_rule!(signed_less_or_equal, smin, smax, 0);
