//! Theorems about scalars by themselves: synchronisation, containment, violations, width changes.

use super::{assert_has, crossed, samples, tightest};
use crate::number::{BoundsViolation, Range32, Range64, Scalar, Tnum};
use skep_isa::{EndianOp, Size, Width};

const SIZES: [Size; 4] = [Size::B, Size::H, Size::W, Size::DW];

#[test]
fn a_scalar_is_one_cache_line() {
    assert_eq!(size_of::<Scalar>(), 64);
}

#[test]
fn samples_allow_their_members() {
    for sample in samples() {
        for &x in &sample.members {
            assert_has(&sample.scalar, x, || "sample".into());
        }
    }
}

#[test]
fn sync_keeps_members_and_never_loosens() {
    for sample in samples() {
        let mut synced = sample.scalar;
        synced.sync();
        assert!(
            sample.scalar.contains(&synced),
            "{:?} became {synced:?}",
            sample.scalar
        );
        for &x in &sample.members {
            assert_has(&synced, x, || "sync".into());
        }
    }
}

#[test]
fn sync_comes_to_rest() {
    for sample in samples() {
        let mut scalar = sample.scalar;
        scalar.sync();
        scalar.sync();
        let rested = scalar;
        scalar.sync();
        assert_eq!(scalar, rested);
    }
}

#[test]
fn sync_finds_the_one_value_where_range_and_bits_meet() {
    let mut scalar = Scalar::from_known(Tnum::new(0, 0x30));
    (scalar.wide.umin, scalar.wide.umax) = (0xf, 0x1f);
    scalar.sync();
    assert_eq!(scalar, Scalar::constant(0x10));
}

#[test]
fn sync_finds_the_largest_member_where_it_alone_is_in_range() {
    let mut scalar = Scalar::from_known(Tnum::new(0, 0x30));
    (scalar.wide.umin, scalar.wide.umax) = (0x21, u64::MAX);
    scalar.sync();
    assert_eq!(scalar, Scalar::constant(0x30));
}

#[test]
fn sync_takes_only_ordered_low_halves_of_a_signed_range() {
    let mut scalar = Scalar::unknown();
    // Both ends have the high half 1, but as unsigned low halves they are out of order.
    (scalar.wide.smin, scalar.wide.smax) = (0x1_0000_0009, 0x1_0000_0003);
    (scalar.wide.umin, scalar.wide.umax) = (0, u64::MAX);
    scalar.narrow_from_wide();
    assert_eq!(scalar.narrow(), Range32::UNBOUNDED);
}

#[test]
fn sync_carries_a_fact_round_in_a_second_round() {
    // The low half is below its sign change, so a signed value of at least S32_MIN is not negative;
    // that moves the unsigned maximum, one round later.
    let mut scalar = Scalar::unknown();
    scalar.wide.smin = i64::from(i32::MIN);
    scalar.narrow.umax = 0x7fff_fffd;
    scalar.sync();
    let most = 0x7fff_ffff_7fff_fffd;
    assert_eq!((scalar.umin(), scalar.umax()), (0, most));
    assert_eq!((scalar.smin(), scalar.smax()), (0, most as i64));
}

#[test]
fn sync_carries_a_fact_back_in_a_third_round() {
    let mut scalar = Scalar::unknown();
    scalar.wide.umax = (1 << 63) + 3;
    scalar.wide.smax = 0xffff_fffd;
    scalar.narrow.umin = 4;
    scalar.sync();
    assert_eq!((scalar.umin(), scalar.umax()), (4, 0xffff_fffd));
    assert_eq!((scalar.u32_min(), scalar.u32_max()), (4, 0xffff_fffd));
}

#[test]
fn sync_moves_a_wrapping_signed_range_to_the_side_that_the_unsigned_one_reaches() {
    let mut low = Scalar::unknown();
    (low.narrow.smin, low.narrow.smax) = (-5, 100);
    low.narrow.umax = 0xf000_0000;
    low.sync();
    assert_eq!((low.s32_min(), low.s32_max(), low.u32_max()), (0, 100, 100));

    let mut high = Scalar::unknown();
    (high.wide.smin, high.wide.smax) = (-5, 100);
    high.wide.umin = 0x1000;
    high.sync();
    assert_eq!(
        (high.smin(), high.smax(), high.umin()),
        (-5, -1, -5i64 as u64)
    );
}

#[test]
fn contains_asks_ranges_and_bits() {
    let even = Scalar::from_known(Tnum::new(0, 6));
    let range = Scalar::from_range(0, 6);
    assert!(range.range_within(&even) && range.contains(&even));
    assert!(even.range_within(&range) && !even.contains(&range));
    for sample in samples() {
        assert!(sample.scalar.contains(&tightest(&sample.members)));
        assert!(Scalar::unknown().contains(&sample.scalar));
    }
}

#[test]
fn constants_are_constant_in_every_way() {
    for value in [0, 1, 0x8000_0000, u64::MAX, 1 << 63, 0x1_0000_0001] {
        let scalar = Scalar::constant(value);
        assert_eq!(scalar.const_value(), Some(value));
        assert_eq!(scalar.const_subreg(), Some(value as u32));
        assert_eq!(scalar.is_zero(), value == 0);
        assert_eq!(scalar, tightest(&[value]));
        assert_eq!(scalar, Scalar::from_range(value, value));
        assert_eq!(
            scalar,
            Scalar::from_signed_range(value as i64, value as i64)
        );
        assert_eq!(scalar.width(), 64 - value.leading_zeros());
    }
    assert_eq!(Scalar::immediate(-1), Scalar::constant(u64::MAX));
    assert!(Scalar::unknown().is_unknown() && Scalar::from_range(0, u64::MAX).is_unknown());
}

#[test]
fn violations_are_told_in_the_kernels_order() {
    assert_eq!(Scalar::unknown().violation(), None);
    assert_eq!(crossed().violation(), Some(BoundsViolation::CrossedRange));

    let mut scalar = Scalar::constant(5);
    scalar.wide = Range64::UNBOUNDED;
    assert_eq!(scalar.violation(), Some(BoundsViolation::ConstOutOfSync));

    let mut scalar = Scalar::constant(5);
    scalar.narrow = Range32::UNBOUNDED;
    assert_eq!(
        scalar.violation(),
        Some(BoundsViolation::ConstSubregOutOfSync)
    );
}

#[test]
fn repair_forgets_ranges_and_keeps_bits() {
    let mut scalar = crossed();
    assert_eq!(scalar.repair(), Some(BoundsViolation::CrossedRange));
    assert_eq!(scalar.known(), Tnum::constant(5));
    assert_eq!(
        (scalar.wide(), scalar.narrow()),
        (Range64::UNBOUNDED, Range32::UNBOUNDED)
    );
    // What remains is again out of sync, for the next operation to find.
    assert_eq!(scalar.violation(), Some(BoundsViolation::ConstOutOfSync));

    let mut sound = Scalar::constant(5);
    assert_eq!(sound.repair(), None);
    assert_eq!(sound, Scalar::constant(5));
}

#[test]
fn truncate_contains_every_truncated_member() {
    for sample in samples() {
        for size in SIZES {
            let result = sample.scalar.truncate(size);
            for &x in &sample.members {
                let kept = if size == Size::DW {
                    x
                } else {
                    x & ((1 << size.bits()) - 1)
                };
                assert_has(&result, kept, || format!("{:?} to {size:?}", sample.scalar));
            }
        }
    }
}

#[test]
fn truncation_to_four_bytes_keeps_the_low_halfs_ranges_and_shorter_ones_do_not() {
    let mut value = Scalar::unknown();
    value.narrow = Range32 {
        umin: 5,
        umax: 0xffff_fff0,
        smin: -3,
        smax: 9,
    };
    let word = value.truncate(Size::W);
    assert_eq!((word.umin(), word.umax(), word.s32_min()), (5, 9, 5));
    assert_eq!(value.truncate(Size::H), Scalar::from_range(0, 0xffff));
}

#[test]
fn zero_extend_contains_every_low_half() {
    for sample in samples() {
        let result = sample.scalar.zero_extend();
        assert_eq!(result, sample.scalar.moved(Width::W32));
        for &x in &sample.members {
            assert_has(&result, u64::from(x as u32), || {
                format!("{:?}", sample.scalar)
            });
        }
    }
}

#[test]
fn sign_extend_contains_every_extended_member() {
    for sample in samples() {
        for bits in [8, 16, 32] {
            let wide = sample.scalar.sign_extend(bits, Width::W64);
            let narrow = sample.scalar.sign_extend(bits, Width::W32);
            for &x in &sample.members {
                let unused = 64 - u32::from(bits);
                let value = ((x << unused) as i64 >> unused) as u64;
                assert_has(&wide, value, || format!("{:?} s{bits}", sample.scalar));
                let low = u64::from(value as u32);
                assert_has(&narrow, low, || format!("{:?} w s{bits}", sample.scalar));
            }
        }
        assert_eq!(sample.scalar.sign_extend(64, Width::W64), sample.scalar);
    }
}

#[test]
fn loads_have_the_range_of_their_size() {
    assert_eq!(Scalar::loaded(Size::DW), Scalar::unknown());
    for size in [Size::B, Size::H, Size::W] {
        let most = (1u64 << size.bits()) - 1;
        assert_eq!(Scalar::loaded(size), Scalar::from_range(0, most));
        let signed = Scalar::loaded_signed(size);
        assert_eq!(
            (signed.smin(), signed.smax()),
            (-(most as i64 / 2) - 1, most as i64 / 2)
        );
        assert!(signed.known().is_unknown());
    }
}

#[test]
fn swap_contains_every_swapped_member() {
    for sample in samples() {
        for bits in [16u8, 32, 64] {
            let unused = 64 - u32::from(bits);
            let swapped = sample.scalar.swap(EndianOp::Swap, bits);
            assert_eq!(swapped, sample.scalar.swap(EndianOp::ToBe, bits));
            let kept = sample.scalar.swap(EndianOp::ToLe, bits);
            for &x in &sample.members {
                assert_has(&swapped, x.swap_bytes() >> unused, || {
                    format!("bswap{bits}")
                });
                assert_has(&kept, x << unused >> unused, || format!("le{bits}"));
            }
        }
    }
}

#[test]
fn meet_s32_range_keeps_members_in_range() {
    for sample in samples() {
        for (min, max) in [(-1, 1), (0, i32::MAX), (i32::MIN, -1), (-2, 1)] {
            let mut result = sample.scalar;
            result.meet_s32_range(min, max);
            for &x in &sample.members {
                if (i64::from(min)..=i64::from(max)).contains(&(x as i64)) {
                    assert_has(&result, x, || format!("{min}..={max}"));
                }
            }
        }
    }
    let mut result = Scalar::unknown();
    result.set_s32_range(-4095, 64);
    assert_eq!(
        (
            result.smin(),
            result.smax(),
            result.s32_min(),
            result.s32_max()
        ),
        (-4095, 64, -4095, 64)
    );
}
