//! Theorems about tnums, over all tnums of four bits.

use super::{members, tnums4};
use crate::number::Tnum;

/// The smallest tnum with all these values.
fn hull(mut values: impl Iterator<Item = u64>) -> Tnum {
    let first = Tnum::constant(values.next().expect("a tnum has a member"));
    values.fold(first, |sum, value| sum.union(Tnum::constant(value)))
}

/// The best possible result of an operation.
fn best(a: Tnum, b: Tnum, f: impl Fn(u64, u64) -> u64) -> Tnum {
    hull(
        members(a)
            .flat_map(|x| members(b).map(move |y| (x, y)))
            .map(|(x, y)| f(x, y)),
    )
}

fn pairs() -> impl Iterator<Item = (Tnum, Tnum)> {
    tnums4().flat_map(|a| tnums4().map(move |b| (a, b)))
}

/// Tnums of four bits at the seams: low, across the halves, at the sign.
fn placed() -> impl Iterator<Item = Tnum> {
    [0, 6, 14, 30, 46, 60]
        .into_iter()
        .flat_map(|at| tnums4().map(move |t| t.lshift(at)))
}

#[test]
fn members_are_those_that_the_tnum_has() {
    for t in tnums4() {
        let listed: Vec<u64> = members(t).collect();
        let had: Vec<u64> = (0..16).filter(|&x| t.has(x)).collect();
        assert_eq!(listed, had, "{t}");
    }
}

#[test]
fn range_is_the_smallest_tnum_around_an_interval_up_to_alignment() {
    for min in 0..32u64 {
        for max in min..32 {
            let range = Tnum::range(min, max);
            assert!((min..=max).all(|x| range.has(x)), "{min}..={max}");
            // Below the first differing bit nothing is known, even where it could be.
            let unknown = (min ^ max).next_power_of_two().max(1) * 2;
            assert!(
                range.mask() < unknown && range.mask() >= (min ^ max) / 2,
                "{range}"
            );
        }
    }
    assert_eq!(Tnum::range(0, u64::MAX), Tnum::UNKNOWN);
    assert_eq!(Tnum::range(7, 7), Tnum::constant(7));
}

#[test]
fn add_is_optimal() {
    for (a, b) in pairs() {
        assert_eq!(a.add(b), best(a, b, u64::wrapping_add), "{a} + {b}");
    }
}

#[test]
fn sub_and_neg_are_optimal() {
    for (a, b) in pairs() {
        assert_eq!(a.sub(b), best(a, b, u64::wrapping_sub), "{a} - {b}");
    }
    for t in tnums4() {
        assert_eq!(t.neg(), hull(members(t).map(u64::wrapping_neg)), "-{t}");
    }
}

#[test]
fn bitwise_operations_are_optimal() {
    for (a, b) in pairs() {
        assert_eq!(a.and(b), best(a, b, |x, y| x & y), "{a} & {b}");
        assert_eq!(a.or(b), best(a, b, |x, y| x | y), "{a} | {b}");
        assert_eq!(a.xor(b), best(a, b, |x, y| x ^ y), "{a} ^ {b}");
    }
}

#[test]
fn mul_contains_every_product() {
    for (a, b) in pairs() {
        assert!(
            a.mul(b).contains(best(a, b, u64::wrapping_mul)),
            "{a} * {b}"
        );
    }
}

#[test]
fn mul_of_constants_is_constant() {
    let (a, b) = (0x1234_5678_9abc_def1, 0xfedc_ba98_7654_3211);
    assert_eq!(
        Tnum::constant(a).mul(Tnum::constant(b)),
        Tnum::constant(a.wrapping_mul(b))
    );
}

#[test]
fn shifts_are_exact() {
    for t in placed() {
        for shift in [0, 1, 3, 31, 32, 63] {
            assert_eq!(
                t.lshift(shift),
                hull(members(t).map(|x| x << shift)),
                "{t} << {shift}"
            );
            assert_eq!(
                t.rshift(shift),
                hull(members(t).map(|x| x >> shift)),
                "{t} >> {shift}"
            );
            let signed = hull(members(t).map(|x| ((x as i64) >> shift) as u64));
            assert_eq!(t.arshift(shift), signed, "{t} s>> {shift}");
        }
        for shift in [0, 1, 3, 31] {
            let signed = hull(members(t).map(|x| u64::from(((x as i32) >> shift) as u32)));
            assert_eq!(t.arshift32(shift), signed, "{t} w s>> {shift}");
        }
    }
}

#[test]
fn union_is_the_smallest_that_contains_both() {
    for (a, b) in pairs() {
        assert_eq!(a.union(b), hull(members(a).chain(members(b))), "{a} {b}");
    }
}

#[test]
fn intersect_is_exact_where_tnums_overlap() {
    for (a, b) in pairs() {
        let common: Vec<u64> = members(a).filter(|&x| b.has(x)).collect();
        assert_eq!(a.overlaps(b), !common.is_empty(), "{a} {b}");
        if a.overlaps(b) {
            assert_eq!(a.intersect(b), hull(common.into_iter()), "{a} {b}");
        }
    }
}

#[test]
fn intersect_of_contradicting_bits_is_one() {
    assert_eq!(
        Tnum::constant(4).intersect(Tnum::constant(2)),
        Tnum::constant(6)
    );
}

#[test]
fn contains_means_that_members_are_members() {
    for (a, b) in pairs() {
        assert_eq!(a.contains(b), members(b).all(|x| a.has(x)), "{a} {b}");
    }
}

#[test]
fn halves_come_apart_and_together() {
    for t in placed() {
        assert_eq!(
            t.subreg(),
            hull(members(t).map(|x| u64::from(x as u32))),
            "{t}"
        );
        assert_eq!(
            t.clear_subreg(),
            hull(members(t).map(|x| x >> 32 << 32)),
            "{t}"
        );
        assert_eq!(t.clear_subreg().with_subreg(t), t);
        assert_eq!(t.subreg_is_const(), t.subreg().is_const());
        let low = hull(members(t).map(|x| (x >> 32 << 32) | 0x77));
        assert_eq!(t.const_subreg(0x77), low, "{t}");
    }
}

#[test]
fn cast_keeps_the_low_bytes() {
    for t in placed() {
        for bytes in [1, 2, 4] {
            let kept = hull(members(t).map(|x| x & ((1 << (bytes * 8)) - 1)));
            assert_eq!(t.cast(bytes), kept, "{t} {bytes}");
        }
        assert_eq!(t.cast(8), t);
    }
}

#[test]
fn aligned_means_that_every_member_is_a_multiple() {
    for t in placed() {
        for size in [1, 2, 4, 8, 64] {
            let all = members(t).all(|x| x % size == 0);
            assert_eq!(t.is_aligned(size), all, "{t} {size}");
        }
        assert!(t.is_aligned(0));
    }
}

#[test]
fn swap_bytes_swaps_every_member() {
    for t in placed() {
        assert_eq!(
            t.swap_bytes(64),
            hull(members(t).map(u64::swap_bytes)),
            "{t}"
        );
        let swap32 = |x: u64| u64::from((x as u32).swap_bytes());
        assert_eq!(t.swap_bytes(32), hull(members(t).map(swap32)), "{t}");
        let swap16 = |x: u64| u64::from((x as u16).swap_bytes());
        assert_eq!(t.swap_bytes(16), hull(members(t).map(swap16)), "{t}");
    }
}

#[test]
fn next_above_is_the_next_member() {
    for t in tnums4() {
        for bound in 0..20 {
            let next = members(t).find(|&x| x > bound).unwrap_or(t.max());
            assert_eq!(t.next_above(bound), next, "{t} above {bound}");
        }
    }
    assert_eq!(Tnum::UNKNOWN.next_above(u64::MAX - 1), u64::MAX);
    assert_eq!(Tnum::UNKNOWN.next_above(u64::MAX), u64::MAX);
    let high = Tnum::new(1, 1 << 63);
    assert_eq!((high.next_above(0), high.next_above(1)), (1, (1 << 63) + 1));
}

#[test]
fn a_known_bit_is_never_unknown() {
    assert_eq!(Tnum::new(0xff, 0x0f), Tnum::new(0xf0, 0x0f));
    assert_eq!(Tnum::new(0xff, 0x0f).to_string(), "(0xf0; 0xf)");
}
