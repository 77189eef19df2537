//! Theorems about arithmetic: a result allows what the machine computes from any members.

use super::{Sample, WIDTHS, assert_has, compute, samples};
use crate::number::{Scalar, Tnum, refine};
use skep_isa::{AluOp, JmpOp, Width};

fn check_all_pairs(op: AluOp) {
    let samples = samples();
    for width in WIDTHS {
        for a in &samples {
            for b in &samples {
                check_pair(op, width, a, b);
            }
        }
    }
}

fn check_pair(op: AluOp, width: Width, a: &Sample, b: &Sample) {
    let result = a.scalar.alu(op, width, &b.scalar);
    for &x in &a.members {
        for &y in &b.members {
            let value = compute(op, width, x, y);
            assert_has(&result, value, || {
                format!(
                    "{op:?} {width:?}\n {:?}\n {:?}\n {x:#x} {y:#x}",
                    a.scalar, b.scalar
                )
            });
        }
    }
}

#[test]
fn add_contains_every_sum() {
    check_all_pairs(AluOp::Add);
}

#[test]
fn sub_contains_every_difference() {
    check_all_pairs(AluOp::Sub);
}

#[test]
fn mul_contains_every_product() {
    check_all_pairs(AluOp::Mul);
}

#[test]
fn and_contains_every_conjunction() {
    check_all_pairs(AluOp::And);
}

#[test]
fn or_contains_every_disjunction() {
    check_all_pairs(AluOp::Or);
}

#[test]
fn xor_contains_every_exclusive_disjunction() {
    check_all_pairs(AluOp::Xor);
}

#[test]
fn mov_contains_every_source() {
    check_all_pairs(AluOp::Mov);
}

#[test]
fn shifts_by_a_constant_contain_every_shifted_member() {
    let amounts = [0, 1, 7, 30, 31, 32, 33, 62, 63];
    for a in &samples() {
        for amount in amounts {
            let b = Sample {
                scalar: Scalar::constant(amount),
                members: vec![amount],
            };
            for op in [AluOp::Lsh, AluOp::Rsh, AluOp::Arsh] {
                for width in WIDTHS {
                    check_pair(op, width, a, &b);
                }
            }
        }
    }
}

#[test]
fn shifts_by_a_varying_or_excessive_amount_are_unknown() {
    let value = Scalar::constant(1);
    for op in [AluOp::Lsh, AluOp::Rsh, AluOp::Arsh] {
        for width in WIDTHS {
            let bits = u64::from(width.bits());
            for amount in [
                Scalar::from_range(0, 1),
                Scalar::constant(bits),
                Scalar::unknown(),
            ] {
                assert!(!Scalar::is_safe_to_compute(op, width, &amount));
                assert!(value.alu(op, width, &amount).is_unknown());
            }
            assert!(Scalar::is_safe_to_compute(
                op,
                width,
                &Scalar::constant(bits - 1)
            ));
        }
    }
}

#[test]
fn shift_amounts_of_a_register_with_a_high_half_are_unknown_even_in_32_bits() {
    let amount = Scalar::constant((1 << 32) + 3);
    assert!(
        Scalar::constant(1)
            .alu(AluOp::Lsh, Width::W32, &amount)
            .is_unknown()
    );
}

#[test]
fn division_and_remainder_are_unknown() {
    for op in [AluOp::Div, AluOp::SDiv, AluOp::Mod, AluOp::SMod] {
        for width in WIDTHS {
            let result = Scalar::constant(7).alu(op, width, &Scalar::constant(2));
            assert!(result.is_unknown());
        }
    }
}

#[test]
fn operations_on_constants_are_constant() {
    let values = [
        0,
        1,
        5,
        31,
        0x7fff_ffff,
        0x8000_0000,
        u64::MAX,
        1 << 63,
        0x1_2345_6789,
    ];
    let ops = [
        AluOp::Add,
        AluOp::Sub,
        AluOp::Mul,
        AluOp::And,
        AluOp::Or,
        AluOp::Xor,
        AluOp::Lsh,
        AluOp::Rsh,
        AluOp::Arsh,
        AluOp::Mov,
    ];
    for (op, width) in ops
        .into_iter()
        .flat_map(|op| WIDTHS.map(|width| (op, width)))
    {
        for x in values {
            for y in values {
                let src = Scalar::constant(y);
                if Scalar::is_safe_to_compute(op, width, &src) {
                    let result = Scalar::constant(x).alu(op, width, &src);
                    assert_eq!(
                        result,
                        Scalar::constant(compute(op, width, x, y)),
                        "{op:?} {x} {y}"
                    );
                }
            }
        }
    }
}

#[test]
fn neg_contains_every_negation() {
    for a in &samples() {
        for &x in &a.members {
            let wide = a.scalar.neg(Width::W64);
            assert_has(&wide, x.wrapping_neg(), || format!("-{:?}", a.scalar));
            let narrow = a.scalar.neg(Width::W32);
            let low = u64::from((x as u32).wrapping_neg());
            assert_has(&narrow, low, || format!("w -{:?}", a.scalar));
        }
    }
}

#[test]
fn a_fork_covers_both_cases() {
    let sign = Scalar::unknown().alu(AluOp::Arsh, Width::W64, &Scalar::constant(63));
    let mask = Scalar::immediate(-14);
    let fork = sign.fork(AluOp::And, &mask).expect("all ones or all zeros");
    assert_eq!(
        (fork.here, fork.pushed),
        (Scalar::constant(u64::MAX), Scalar::constant(0))
    );
    assert_eq!(fork.pushed.fork(AluOp::And, &mask), None);

    let narrow = Scalar::unknown().alu(AluOp::Arsh, Width::W32, &Scalar::constant(31));
    let fork = narrow
        .fork(AluOp::Or, &mask)
        .expect("a low half of all ones or all zeros");
    assert_eq!(fork.here.const_subreg(), Some(u32::MAX));
    assert_eq!(fork.pushed.const_subreg(), Some(0));
}

#[test]
fn only_and_and_or_with_a_constant_fork() {
    let sign = Scalar::from_signed_range(-1, 0);
    assert_eq!(sign.fork(AluOp::Xor, &Scalar::constant(1)), None);
    assert_eq!(sign.fork(AluOp::And, &Scalar::unknown()), None);
    assert_eq!(
        Scalar::from_signed_range(-1, 1).fork(AluOp::And, &Scalar::constant(1)),
        None
    );
}

#[test]
fn pointer_offsets_contain_every_sum_and_difference() {
    let samples = samples();
    for a in &samples {
        for b in &samples {
            let sum = a.scalar.pointer_add(&b.scalar).pointer_finish();
            let difference = a.scalar.pointer_sub(&b.scalar).pointer_finish();
            for (&x, &y) in a
                .members
                .iter()
                .flat_map(|x| b.members.iter().map(move |y| (x, y)))
            {
                assert_has(&sum, x.wrapping_add(y), || "pointer sum".into());
                assert_has(&difference, x.wrapping_sub(y), || {
                    "pointer difference".into()
                });
            }
        }
    }
}

#[test]
fn linked_contains_every_member_plus_delta() {
    for a in &samples() {
        for delta in [-3i64, 0, 5, i64::from(i32::MAX), i64::from(i32::MIN)] {
            for &x in &a.members {
                let sum = x.wrapping_add(delta as u64);
                assert_has(&a.scalar.linked(delta), sum, || "linked".into());
                let low = u64::from(sum as u32);
                assert_has(&a.scalar.linked32(delta), low, || "linked32".into());
            }
        }
    }
}

#[test]
fn mul_of_masks_follows_the_newer_long_multiplication() {
    let result = Scalar::from_known(Tnum::new(0, 6)).alu(
        AluOp::Mul,
        Width::W64,
        &Scalar::from_known(Tnum::new(0, 5)),
    );
    assert_eq!(result.known(), Tnum::new(0, 0x1e));
    assert_eq!(result.umax(), 30);
}

#[test]
fn unsigned_bounds_survive_when_both_ends_wrap_and_not_when_one_does() {
    // The operands cross the sign change, so that the signed bounds cannot help.
    const SIGN: u64 = 1 << 63;
    let a = Scalar::from_range(SIGN + 5, u64::MAX);
    let b = Scalar::from_range(SIGN + 1, SIGN + 10);
    let sum = a.alu(AluOp::Add, Width::W64, &b);
    assert_eq!((sum.umin(), sum.umax()), (6, SIGN + 9));
    let sum = a.alu(AluOp::Add, Width::W64, &Scalar::from_range(1, SIGN));
    assert_eq!((sum.umin(), sum.umax()), (0, u64::MAX));

    let a = Scalar::from_range(0, 10);
    let difference = a.alu(
        AluOp::Sub,
        Width::W64,
        &Scalar::from_range(SIGN / 2, SIGN + 100),
    );
    assert_eq!(
        (difference.umin(), difference.umax()),
        (SIGN - 100, 11 + !(SIGN / 2))
    );
    let difference = a.alu(AluOp::Sub, Width::W64, &Scalar::from_range(5, SIGN + 100));
    assert_eq!((difference.umin(), difference.umax()), (0, u64::MAX));
}

#[test]
fn sign_extension_by_shifts_keeps_the_low_halfs_bounds() {
    let mut value = Scalar::unknown();
    refine(
        JmpOp::SLt,
        Width::W32,
        true,
        &mut value,
        &mut Scalar::constant(100),
    );
    refine(
        JmpOp::SGt,
        Width::W32,
        true,
        &mut value,
        &mut Scalar::immediate(-100),
    );
    let by_32 = Scalar::constant(32);
    let high = value.alu(AluOp::Lsh, Width::W64, &by_32);
    assert_eq!((high.smin(), high.smax()), (-99 << 32, 99 << 32));
    let extended = high.alu(AluOp::Arsh, Width::W64, &by_32);
    assert_eq!((extended.smin(), extended.smax()), (-99, 99));
}
