//! Random walks: a value and what is known about it go through the same operations side by side.
//!
//! Unlike the enumerations, this reaches scalars as programs make them, with facts of every kind
//! left over from earlier steps.

use super::{WIDTHS, assert_has, compute};
use crate::number::{Scalar, branch_taken, refine, refine_same};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use skep_isa::{AluOp, EndianOp, JmpOp, Size, Width};

#[derive(Clone, Copy, Debug)]
enum Step {
    Alu(AluOp, Width, usize, usize),
    AluImm(AluOp, Width, usize, i32),
    Neg(Width, usize),
    Swap(EndianOp, u8, usize),
    SignExtend(Width, u8, usize, usize),
    Truncate(Size, usize),
    Compare(JmpOp, Width, usize, usize),
    CompareImm(JmpOp, Width, usize, i32),
}

/// Concrete registers and what is known about each.
struct Walk {
    values: [u64; 4],
    scalars: [Scalar; 4],
}

impl Walk {
    fn take(&mut self, step: Step) {
        match step {
            Step::Alu(op, width, dst, src) => {
                self.alu(op, width, dst, self.values[src], self.scalars[src]);
            }
            Step::AluImm(op, width, dst, imm) => {
                let src = Scalar::immediate(imm);
                self.alu(op, width, dst, imm as i64 as u64, src);
            }
            Step::Neg(width, dst) => {
                self.values[dst] = compute(AluOp::Sub, width, 0, self.values[dst]);
                self.scalars[dst] = self.scalars[dst].neg(width);
            }
            Step::Swap(op, bits, dst) => {
                let unused = 64 - u32::from(bits);
                self.values[dst] = match op {
                    EndianOp::ToLe => self.values[dst] << unused >> unused,
                    EndianOp::ToBe | EndianOp::Swap => self.values[dst].swap_bytes() >> unused,
                };
                self.scalars[dst] = self.scalars[dst].swap(op, bits);
            }
            Step::SignExtend(width, bits, dst, src) => {
                let unused = 64 - u32::from(bits);
                let value = ((self.values[src] << unused) as i64 >> unused) as u64;
                self.values[dst] = compute(AluOp::Mov, width, 0, value);
                self.scalars[dst] = self.scalars[src].sign_extend(bits, width);
            }
            Step::Truncate(size, dst) => {
                let unused = 64 - size.bits();
                self.values[dst] = self.values[dst] << unused >> unused;
                self.scalars[dst] = self.scalars[dst].truncate(size);
            }
            Step::Compare(op, width, a, b) => self.compare(op, width, a, b),
            Step::CompareImm(op, width, a, imm) => {
                let (y, mut bound) = (imm as i64 as u64, Scalar::immediate(imm));
                let taken = op.holds(width, self.values[a], y);
                let decided = branch_taken(op, width, &self.scalars[a], &bound);
                assert!(
                    decided.is_none_or(|decided| decided == taken),
                    "{op:?} {width:?} {imm}"
                );
                refine(op, width, taken, &mut self.scalars[a], &mut bound);
                assert_has(&bound, y, || "bound".into());
            }
        }
    }

    fn alu(&mut self, op: AluOp, width: Width, dst: usize, y: u64, src: Scalar) {
        let mut operand = self.scalars[dst];
        if let Some(fork) = operand.fork(op, &src) {
            let cases = [fork.here, fork.pushed];
            operand = *cases
                .iter()
                .find(|case| case.has(self.values[dst]))
                .expect("one case fits");
        }
        self.scalars[dst] = operand.alu(op, width, &src);
        self.values[dst] = compute(op, width, self.values[dst], y);
    }

    fn compare(&mut self, op: JmpOp, width: Width, a: usize, b: usize) {
        let taken = op.holds(width, self.values[a], self.values[b]);
        if a == b {
            refine_same(op, width, taken, &mut self.scalars[a]);
            return;
        }
        let (mut left, mut right) = (self.scalars[a], self.scalars[b]);
        let decided = branch_taken(op, width, &left, &right);
        assert!(
            decided.is_none_or(|decided| decided == taken),
            "{op:?} {width:?}"
        );
        refine(op, width, taken, &mut left, &mut right);
        (self.scalars[a], self.scalars[b]) = (left, right);
    }
}

fn alu_op() -> impl Strategy<Value = AluOp> {
    prop::sample::select(vec![
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
        AluOp::Div,
        AluOp::SMod,
    ])
}

fn jmp_op() -> impl Strategy<Value = JmpOp> {
    prop::sample::select(vec![
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
    ])
}

fn imm() -> impl Strategy<Value = i32> {
    prop_oneof![
        -40..70i32,
        any::<i32>(),
        (0..32u32).prop_map(|bit| 1i32.wrapping_shl(bit)),
        (0..32u32).prop_map(|bit| 1i32.wrapping_shl(bit).wrapping_sub(1)),
        Just(i32::MIN),
        Just(i32::MAX),
    ]
}

fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0..64u64,
        any::<i32>().prop_map(|v| v as i64 as u64),
        (0..64u32).prop_map(|b| 1 << b),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let reg = || 0..4usize;
    let width = || prop::sample::select(WIDTHS.to_vec());
    let endian = prop::sample::select(vec![EndianOp::ToLe, EndianOp::ToBe, EndianOp::Swap]);
    prop_oneof![
        3 => (alu_op(), width(), reg(), reg()).prop_map(|(o, w, d, s)| Step::Alu(o, w, d, s)),
        5 => (alu_op(), width(), reg(), imm()).prop_map(|(o, w, d, i)| Step::AluImm(o, w, d, i)),
        1 => (width(), reg()).prop_map(|(w, d)| Step::Neg(w, d)),
        1 => (endian, prop::sample::select(vec![16u8, 32, 64]), reg())
            .prop_map(|(o, b, d)| Step::Swap(o, b, d)),
        1 => (width(), prop::sample::select(vec![8u8, 16, 32]), reg(), reg())
            .prop_map(|(w, b, d, s)| Step::SignExtend(w, b, d, s)),
        1 => (prop::sample::select(vec![Size::B, Size::H, Size::W]), reg())
            .prop_map(|(s, d)| Step::Truncate(s, d)),
        3 => (jmp_op(), width(), reg(), reg()).prop_map(|(o, w, a, b)| Step::Compare(o, w, a, b)),
        6 => (jmp_op(), width(), reg(), imm()).prop_map(|(o, w, a, i)| Step::CompareImm(o, w, a, i)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4000,
        rng_seed: RngSeed::Fixed(618),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_known_stays_true_along_any_walk(
        values in [value(), value(), value(), value()],
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut walk = Walk { values, scalars: [Scalar::unknown(); 4] };
        for (at, &step) in steps.iter().enumerate() {
            walk.take(step);
            for (value, scalar) in walk.values.iter().zip(&walk.scalars) {
                assert_has(scalar, *value, || format!("step {at} of {steps:?}"));
            }
        }
    }
}
