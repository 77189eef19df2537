//! Theorems about the number domain, and its agreement with recorded kernel logs.
//!
//! Soundness is checked by enumeration: small sets of values are placed where the domain has seams
//! (zero, the sign changes of both halves, the border between the halves), abstracted in several
//! ways, and every result is compared with what the machine computes from every member.

mod arithmetic;
mod branches;
mod recorded;
mod scalars;
mod tnums;
mod walks;

use super::{Range32, Range64, Scalar, Tnum};
use skep_isa::{AluOp, Width};

pub(super) const WIDTHS: [Width; 2] = [Width::W32, Width::W64];

/// A scalar and the values that it must allow.
pub(super) struct Sample {
    pub(super) scalar: Scalar,
    pub(super) members: Vec<u64>,
}

/// Where the domain has seams.
const ANCHORS: [u64; 7] = [
    0,
    1 << 31,
    1 << 32,
    1 << 63,
    (1 << 32) + (1 << 31),
    (1 << 63) + (1 << 31),
    0xff,
];

/// The tightest scalar for a set: every fact that the domain can state about it.
pub(super) fn tightest(members: &[u64]) -> Scalar {
    let first = members[0];
    let mut scalar = Scalar::constant(first);
    for &value in members {
        let (low, wide, narrow) = (value as u32, &mut scalar.wide, &mut scalar.narrow);
        (wide.umin, wide.umax) = (wide.umin.min(value), wide.umax.max(value));
        (wide.smin, wide.smax) = (wide.smin.min(value as i64), wide.smax.max(value as i64));
        (narrow.umin, narrow.umax) = (narrow.umin.min(low), narrow.umax.max(low));
        (narrow.smin, narrow.smax) = (narrow.smin.min(low as i32), narrow.smax.max(low as i32));
        scalar.known = scalar.known.union(Tnum::constant(value));
    }
    scalar
}

/// Sets of up to four neighbouring values around each seam, abstracted as tightly as possible and by
/// single facts.
pub(super) fn samples() -> Vec<Sample> {
    let mut all = vec![];
    for anchor in ANCHORS {
        for subset in 1u64..16 {
            let members: Vec<u64> = (0..4)
                .filter(|bit| subset >> bit & 1 == 1)
                .map(|bit| anchor.wrapping_sub(2).wrapping_add(bit))
                .collect();
            let tight = tightest(&members);
            let mut facts = vec![tight, Scalar::from_known(tight.known)];
            if subset.count_ones() > 1 {
                facts.push(Scalar::from_range(tight.umin(), tight.umax()));
                facts.push(Scalar::from_signed_range(tight.smin(), tight.smax()));
                facts.push(low_half_only(&tight));
            }
            facts.sort_by_key(|scalar| format!("{scalar:?}"));
            facts.dedup();
            all.extend(facts.into_iter().map(|scalar| Sample {
                scalar,
                members: members.clone(),
            }));
        }
    }
    all.push(Sample {
        scalar: Scalar::unknown(),
        members: ANCHORS
            .iter()
            .flat_map(|a| [a.wrapping_sub(1), *a])
            .collect(),
    });
    all
}

/// Only what is known of the low half's ranges.
fn low_half_only(scalar: &Scalar) -> Scalar {
    let mut loose = Scalar {
        known: Tnum::UNKNOWN,
        wide: Range64::UNBOUNDED,
        narrow: scalar.narrow,
    };
    loose.sync();
    loose
}

/// Every tnum with unknown bits among the low four.
pub(super) fn tnums4() -> impl Iterator<Item = Tnum> + Clone {
    (0..16u64).flat_map(|mask| {
        (0..16u64)
            .filter(move |value| value & mask == 0)
            .map(move |value| Tnum::new(value, mask))
    })
}

/// The members of a tnum with few unknown bits.
pub(super) fn members(tnum: Tnum) -> impl Iterator<Item = u64> {
    // Steps through the submasks of the unknown bits, from none to all.
    let mut next = Some(0u64);
    std::iter::from_fn(move || {
        let choice = next?;
        next = if choice == tnum.mask() {
            None
        } else {
            Some((choice | !tnum.mask()).wrapping_add(1) & tnum.mask())
        };
        Some(tnum.value() | choice)
    })
}

/// What the machine computes.
pub(super) fn compute(op: AluOp, width: Width, x: u64, y: u64) -> u64 {
    match width {
        Width::W64 => {
            let shift = (y & 63) as u32;
            match op {
                AluOp::Add => x.wrapping_add(y),
                AluOp::Sub => x.wrapping_sub(y),
                AluOp::Mul => x.wrapping_mul(y),
                AluOp::Div => x.checked_div(y).unwrap_or(0),
                AluOp::SDiv if y == 0 => 0,
                AluOp::SDiv => (x as i64).wrapping_div(y as i64) as u64,
                AluOp::Or => x | y,
                AluOp::And => x & y,
                AluOp::Lsh => x << shift,
                AluOp::Rsh => x >> shift,
                AluOp::Mod => x.checked_rem(y).unwrap_or(x),
                AluOp::SMod if y == 0 => x,
                AluOp::SMod => (x as i64).wrapping_rem(y as i64) as u64,
                AluOp::Xor => x ^ y,
                AluOp::Mov => y,
                AluOp::Arsh => ((x as i64) >> shift) as u64,
            }
        }
        Width::W32 => {
            // Signed operations need sign-extended operands, shifts five bits of the amount.
            let (sx, sy) = (x as i32 as i64 as u64, y as i32 as i64 as u64);
            let (zx, zy) = (u64::from(x as u32), u64::from(y as u32));
            let wide = |x, y| compute(op, Width::W64, x, y);
            u64::from(match op {
                AluOp::SDiv | AluOp::SMod => wide(sx, sy),
                AluOp::Arsh => wide(sx, zy & 31),
                AluOp::Lsh | AluOp::Rsh => wide(zx, zy & 31),
                AluOp::Add
                | AluOp::Sub
                | AluOp::Mul
                | AluOp::Div
                | AluOp::Or
                | AluOp::And
                | AluOp::Mod
                | AluOp::Xor
                | AluOp::Mov => wide(zx, zy),
            } as u32)
        }
    }
}

/// Fails unless the result allows the value and does not contradict itself.
#[track_caller]
pub(super) fn assert_has(result: &Scalar, value: u64, what: impl Fn() -> String) {
    assert!(
        result.has(value),
        "{}: {value:#x} is not in {result:?}",
        what()
    );
    assert_eq!(result.violation(), None, "{}", what());
}

/// A scalar whose ranges cross.
pub(super) fn crossed() -> Scalar {
    let mut scalar = Scalar::constant(5);
    scalar.wide = Range64 {
        umin: 6,
        umax: 5,
        smin: 6,
        smax: 5,
    };
    scalar.narrow = Range32 {
        umin: 6,
        umax: 5,
        smin: 6,
        smax: 5,
    };
    scalar
}
