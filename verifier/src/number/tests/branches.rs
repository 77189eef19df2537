//! Theorems about comparisons and refinement.

use super::{WIDTHS, assert_has, samples};
use crate::number::{Scalar, Tnum, branch_taken, refine, refine_same};
use skep_isa::{JmpOp, Width};

const OPS: [JmpOp; 11] = [
    JmpOp::Eq,
    JmpOp::Ne,
    JmpOp::Gt,
    JmpOp::Ge,
    JmpOp::Lt,
    JmpOp::Le,
    JmpOp::Set,
    JmpOp::SGt,
    JmpOp::SGe,
    JmpOp::SLt,
    JmpOp::SLe,
];

fn conditions() -> impl Iterator<Item = (JmpOp, Width)> {
    OPS.into_iter()
        .flat_map(|op| WIDTHS.map(|width| (op, width)))
}

#[test]
fn a_decided_branch_goes_that_way_for_every_member() {
    let samples = samples();
    for a in &samples {
        for b in &samples {
            for (op, width) in conditions() {
                let Some(taken) = branch_taken(op, width, &a.scalar, &b.scalar) else {
                    continue;
                };
                for &x in &a.members {
                    assert!(
                        b.members.iter().all(|&y| op.holds(width, x, y) == taken),
                        "{op:?} {width:?} is not always {taken} for {:?} and {:?}",
                        a.scalar,
                        b.scalar
                    );
                }
            }
        }
    }
}

#[test]
fn constants_are_always_decided() {
    let values = [0, 1, 0x8000_0000, 0xffff_ffff, 1 << 32, 1 << 63, u64::MAX];
    for (op, width) in conditions() {
        for x in values {
            for y in values {
                let taken = branch_taken(op, width, &Scalar::constant(x), &Scalar::constant(y));
                assert_eq!(
                    taken,
                    Some(op.holds(width, x, y)),
                    "{op:?} {width:?} {x:#x} {y:#x}"
                );
            }
        }
    }
}

#[test]
fn known_bits_decide_equality_and_a_varying_mask_decides_nothing() {
    let odd = Scalar::from_known(Tnum::new(1, !1));
    let even = Scalar::from_known(Tnum::new(0, !1));
    assert_eq!(
        branch_taken(JmpOp::Eq, Width::W64, &odd, &even),
        Some(false)
    );
    assert_eq!(branch_taken(JmpOp::Ne, Width::W32, &odd, &even), Some(true));
    assert_eq!(branch_taken(JmpOp::Set, Width::W64, &odd, &odd), None);
    assert_eq!(
        branch_taken(JmpOp::Set, Width::W64, &Scalar::constant(1), &odd),
        Some(true)
    );
    assert_eq!(
        branch_taken(JmpOp::Set, Width::W64, &even, &Scalar::constant(1)),
        Some(false)
    );
}

#[test]
fn low_halves_decide_64_bit_equality() {
    let mut low = Scalar::unknown();
    refine(
        JmpOp::Lt,
        Width::W32,
        true,
        &mut low,
        &mut Scalar::constant(8),
    );
    let nine = Scalar::constant((1 << 32) + 9);
    assert_eq!(
        branch_taken(JmpOp::Eq, Width::W64, &low, &nine),
        Some(false)
    );
}

#[test]
fn refine_keeps_every_pair_that_takes_the_edge() {
    let samples = samples();
    for a in &samples {
        for b in &samples {
            for (op, width) in conditions() {
                for taken in [true, false] {
                    let (mut ra, mut rb) = (a.scalar, b.scalar);
                    refine(op, width, taken, &mut ra, &mut rb);
                    let pairs = a
                        .members
                        .iter()
                        .flat_map(|&x| b.members.iter().map(move |&y| (x, y)));
                    for (x, y) in pairs.filter(|&(x, y)| op.holds(width, x, y) == taken) {
                        let what = || format!("{op:?} {width:?} {taken} {x:#x} {y:#x}");
                        assert_has(&ra, x, what);
                        assert_has(&rb, y, what);
                    }
                }
            }
        }
    }
}

#[test]
fn refine_never_loosens_known_bits() {
    let samples = samples();
    for a in &samples {
        for b in samples.iter().filter(|b| b.scalar.is_const()) {
            for (op, width) in conditions() {
                for taken in [true, false] {
                    if branch_taken(op, width, &a.scalar, &b.scalar).is_some() {
                        continue;
                    }
                    let (mut ra, mut rb) = (a.scalar, b.scalar);
                    refine(op, width, taken, &mut ra, &mut rb);
                    assert!(
                        a.scalar.known().contains(ra.known()),
                        "{op:?} {:?} {ra:?}",
                        a.scalar
                    );
                }
            }
        }
    }
}

#[test]
fn refine_against_a_constant_is_the_interval() {
    let ten = Scalar::constant(10);
    let refined = |op, taken| {
        let (mut value, mut bound) = (Scalar::unknown(), ten);
        refine(op, Width::W64, taken, &mut value, &mut bound);
        value
    };
    assert_eq!(refined(JmpOp::Lt, true), Scalar::from_range(0, 9));
    assert_eq!(refined(JmpOp::Le, true), Scalar::from_range(0, 10));
    assert_eq!(refined(JmpOp::Gt, true), Scalar::from_range(11, u64::MAX));
    assert_eq!(refined(JmpOp::Ge, false), Scalar::from_range(0, 9));
    assert_eq!(
        refined(JmpOp::SLt, true),
        Scalar::from_signed_range(i64::MIN, 9)
    );
    assert_eq!(
        refined(JmpOp::SGt, true),
        Scalar::from_signed_range(11, i64::MAX)
    );
    assert_eq!(refined(JmpOp::Eq, true), ten);
    assert_eq!(refined(JmpOp::Ne, false), ten);
    assert!(refined(JmpOp::Ne, true).is_unknown());
}

#[test]
fn not_equal_trims_an_end_of_the_range_only() {
    let trimmed = |value| {
        let (mut scalar, mut bound) = (Scalar::from_range(4, 9), Scalar::constant(value));
        refine(JmpOp::Ne, Width::W64, true, &mut scalar, &mut bound);
        (scalar.umin(), scalar.umax())
    };
    assert_eq!(
        (trimmed(4), trimmed(9), trimmed(6)),
        ((5, 9), (4, 8), (4, 9))
    );
}

#[test]
fn a_single_set_bit_is_learned_and_several_are_not() {
    let learned = |mask, taken| {
        let (mut scalar, mut bound) = (Scalar::unknown(), Scalar::constant(mask));
        refine(JmpOp::Set, Width::W64, taken, &mut scalar, &mut bound);
        scalar.known()
    };
    assert_eq!(learned(4, true), Tnum::new(4, !4));
    assert_eq!(learned(6, true), Tnum::UNKNOWN);
    assert_eq!(learned(6, false), Tnum::new(0, !6));
}

#[test]
fn a_clear_mask_forgets_the_ranges() {
    let (mut scalar, mut mask) = (Scalar::from_range(4, 9), Scalar::constant(1));
    refine(JmpOp::Set, Width::W64, false, &mut scalar, &mut mask);
    assert_eq!((scalar.umin(), scalar.umax()), (0, 14));
}

#[test]
fn a_dead_edge_contradicts_itself_or_becomes_a_constant() {
    let dead = |width| {
        let (mut a, mut b) = (Scalar::from_range(5, 9), Scalar::from_range(1, 3));
        refine(JmpOp::Lt, width, true, &mut a, &mut b);
        (a, b)
    };
    let (a, _) = dead(Width::W64);
    assert_eq!(a, Scalar::constant(5));
    let (a, b) = dead(Width::W32);
    assert!(a.violation().is_some() && b.violation().is_some());
}

#[test]
fn a_register_compared_with_itself_stays_within_what_it_was() {
    for sample in samples() {
        for (op, width) in conditions() {
            for taken in [true, false] {
                let mut refined = sample.scalar;
                refine_same(op, width, taken, &mut refined);
                // The strict orders are dead on the taken edge, where the kernel drops the ends.
                for &x in sample
                    .members
                    .iter()
                    .filter(|&&x| op.holds(width, x, x) == taken)
                {
                    assert_has(&refined, x, || format!("{op:?} {width:?} {taken}"));
                }
            }
        }
    }
}

#[test]
fn a_register_above_itself_loses_both_ends() {
    let mut scalar = Scalar::unknown();
    refine_same(JmpOp::Gt, Width::W64, true, &mut scalar);
    assert_eq!((scalar.umin(), scalar.umax()), (1, u64::MAX - 1));
}
