//! The number domain at full width: random walks over three numbers of which the walk knows the values
//! and the domain knows bounds and bits. After every operation, comparison and refinement the values
//! must still lie in what is known; a decided comparison must be decided rightly.
//!
//! What the machine computes is written down here once more, on purpose.

use std::fmt;

use skep_isa::{AluOp, EndianOp, JmpOp, Size, Width};
use skep_verifier::number::{Scalar, Tnum, branch_taken, refine, refine_same};

use crate::Rng;

/// Numbers of a walk.
const NUMBERS: usize = 3;
/// Steps of a walk.
const STEPS: usize = 40;

const ALU: [AluOp; 14] = [
    AluOp::Add,
    AluOp::Sub,
    AluOp::Mul,
    AluOp::Div,
    AluOp::SDiv,
    AluOp::Or,
    AluOp::And,
    AluOp::Lsh,
    AluOp::Rsh,
    AluOp::Mod,
    AluOp::SMod,
    AluOp::Xor,
    AluOp::Mov,
    AluOp::Arsh,
];

const JUMPS: [JmpOp; 11] = [
    JmpOp::Eq,
    JmpOp::Ne,
    JmpOp::Gt,
    JmpOp::Ge,
    JmpOp::Lt,
    JmpOp::Le,
    JmpOp::SGt,
    JmpOp::SGe,
    JmpOp::SLt,
    JmpOp::SLe,
    JmpOp::Set,
];

/// An operation that lost a number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NumberFault {
    /// The operation.
    pub operation: String,
    /// Its operands: what was known, and the values.
    pub before: Vec<(Scalar, u64)>,
    /// What is known afterwards, and the value that it lacks.
    pub after: (Scalar, u64),
}

impl fmt::Display for NumberFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.operation)?;
        for (scalar, value) in &self.before {
            write!(f, "\n  operand {value:#x} in {scalar:x?}")?;
        }
        let (scalar, value) = &self.after;
        write!(f, "\n  result {value:#x} not in {scalar:x?}")
    }
}

/// Takes the walk of a seed.
///
/// # Errors
/// The first operation that loses a number, or decides a comparison wrongly.
pub fn numbers_contain(seed: u64) -> Result<(), NumberFault> {
    let mut rng = Rng::new(seed);
    let mut walk = Walk {
        known: [Scalar::unknown(); NUMBERS],
        values: [0; NUMBERS],
    };
    for at in 0..NUMBERS {
        walk.begin(at, &mut rng);
    }
    for _ in 0..STEPS {
        walk.step(&mut rng)?;
    }
    Ok(())
}

struct Walk {
    known: [Scalar; NUMBERS],
    values: [u64; NUMBERS],
}

/// A value: small, near a border, or any.
fn value(rng: &mut Rng) -> u64 {
    let near = rng.range(-3, 3) as u64;
    match rng.below(6) {
        0 => rng.next(),
        1 => near,
        2 => (1u64 << rng.below(64)).wrapping_add(near),
        3 => u64::from(rng.next() as u32),
        4 => rng.next() as i32 as i64 as u64,
        _ => rng.next() >> rng.below(64),
    }
}

/// Bits, few or many of them.
fn bits(rng: &mut Rng) -> u64 {
    match rng.below(4) {
        0 => rng.next() & rng.next() & rng.next(),
        1 => (1u64 << rng.below(64)).wrapping_sub(1) << rng.below(64),
        2 => rng.next(),
        _ => 0xff << (8 * rng.below(8)),
    }
}

impl Walk {
    /// A new number, and something that is known of it.
    fn begin(&mut self, at: usize, rng: &mut Rng) {
        let number = value(rng);
        let distance = value(rng) >> rng.below(64);
        let (low, high) = (
            number.saturating_sub(distance),
            number.saturating_add(value(rng) >> rng.below(64)),
        );
        let signed = number as i64;
        let known = match rng.below(7) {
            0 => Scalar::unknown(),
            1 => Scalar::constant(number),
            2 => Scalar::from_range(low, high),
            3 => Scalar::from_signed_range(
                signed.saturating_sub_unsigned(distance),
                signed.saturating_add_unsigned(value(rng) >> rng.below(64)),
            ),
            4 => {
                let mask = bits(rng);
                Scalar::from_known(Tnum::new(number & !mask, mask))
            }
            5 => Scalar::loaded(Size::W),
            _ => Scalar::loaded_signed(Size::H),
        };
        let number = if known.has(number) {
            number
        } else {
            // A load: what fits into it.
            u64::from(number as u8)
        };
        self.set(at, known, number);
    }

    fn set(&mut self, at: usize, known: Scalar, number: u64) {
        if let (Some(old), Some(place)) = (self.known.get_mut(at), self.values.get_mut(at)) {
            (*old, *place) = (known, number);
        }
    }

    fn get(&self, at: usize) -> (Scalar, u64) {
        let known = self.known.get(at).copied().unwrap_or(Scalar::unknown());
        (known, self.values.get(at).copied().unwrap_or_default())
    }

    fn step(&mut self, rng: &mut Rng) -> Result<(), NumberFault> {
        let (a, b) = (rng.index(NUMBERS), rng.index(NUMBERS));
        let width = rng.pick([Width::W32, Width::W64]);
        match rng.below(20) {
            0 => {
                self.begin(a, rng);
                Ok(())
            }
            1..=8 => self.arithmetic(a, b, width, rng),
            9..=15 => self.compare(a, b, width, rng),
            16 => self.pointer(a, b, rng),
            _ => self.resize(a, width, rng),
        }
    }

    /// The operand: another number, or a constant.
    fn operand(&self, at: usize, rng: &mut Rng) -> (Scalar, u64) {
        if rng.chance(50) {
            return self.get(at);
        }
        let constant = match rng.below(3) {
            0 => rng.below(64) as i32,
            _ => value(rng) as i32,
        };
        let scalar = Scalar::immediate(constant);
        (scalar, i64::from(constant) as u64)
    }

    /// Sets a number to the result of an operation if that holds the value.
    fn finish(
        &mut self,
        at: usize,
        operation: String,
        before: &[(Scalar, u64)],
        (known, number): (Scalar, u64),
    ) -> Result<(), NumberFault> {
        if !known.has(number) {
            return Err(NumberFault {
                operation,
                before: before.to_vec(),
                after: (known, number),
            });
        }
        self.set(at, known, number);
        Ok(())
    }

    fn arithmetic(
        &mut self,
        a: usize,
        b: usize,
        width: Width,
        rng: &mut Rng,
    ) -> Result<(), NumberFault> {
        let op = rng.pick(ALU);
        let (left, x) = self.get(a);
        let (right, y) = self.operand(b, rng);
        let before = [(left, x), (right, y)];
        let number = compute(op, width, x, y);
        let operation = format!("{op:?} {width:?}");
        let mut left = left;
        if Scalar::is_safe_to_compute(op, width, &right)
            && let Some(fork) = left.fork(op, &right)
        {
            left = if fork.here.has(x) {
                fork.here
            } else {
                fork.pushed
            };
            if !left.has(x) {
                return self.finish(a, format!("fork before {operation}"), &before, (left, x));
            }
        }
        self.finish(a, operation, &before, (left.alu(op, width, &right), number))
    }

    fn compare(
        &mut self,
        a: usize,
        b: usize,
        width: Width,
        rng: &mut Rng,
    ) -> Result<(), NumberFault> {
        let op = rng.pick(JUMPS);
        let (mut left, x) = self.get(a);
        let register = rng.chance(50);
        let (mut right, y) = if register {
            self.get(b)
        } else {
            self.operand(b, rng)
        };
        let before = [(left, x), (right, y)];
        let taken = holds(op, width, x, y);
        let operation = format!("{op:?} {width:?} {taken}");
        if let Some(decided) = branch_taken(op, width, &left, &right)
            && decided != taken
        {
            return Err(NumberFault {
                operation: format!("deciding {operation}"),
                before: before.to_vec(),
                after: (left, x),
            });
        }
        if register && a == b {
            refine_same(op, width, taken, &mut left);
            return self.finish(a, format!("{operation} with itself"), &before, (left, x));
        }
        refine(op, width, taken, &mut left, &mut right);
        self.finish(a, format!("left of {operation}"), &before, (left, x))?;
        if !right.has(y) {
            return Err(NumberFault {
                operation: format!("right of {operation}"),
                before: before.to_vec(),
                after: (right, y),
            });
        }
        if register {
            self.set(b, right, y);
        }
        Ok(())
    }

    /// Offsets of pointers, and registers that are linked to others.
    fn pointer(&mut self, a: usize, b: usize, rng: &mut Rng) -> Result<(), NumberFault> {
        let (left, x) = self.get(a);
        let (right, y) = self.get(b);
        let delta = i64::from(value(rng) as i32);
        let before = [(left, x), (right, y)];
        let (operation, known, number) = match rng.below(4) {
            0 => {
                let sum = left.pointer_add(&right);
                ("pointer_add", sum.pointer_finish(), x.wrapping_add(y))
            }
            1 => {
                let difference = left.pointer_sub(&right);
                (
                    "pointer_sub",
                    difference.pointer_finish(),
                    x.wrapping_sub(y),
                )
            }
            2 => ("linked", left.linked(delta), x.wrapping_add(delta as u64)),
            _ => {
                let sum = x.wrapping_add(delta as u64) as u32;
                ("linked32", left.linked32(delta), sum.into())
            }
        };
        self.finish(a, operation.to_owned(), &before, (known, number))
    }

    fn resize(&mut self, a: usize, width: Width, rng: &mut Rng) -> Result<(), NumberFault> {
        let (left, x) = self.get(a);
        let before = [(left, x)];
        let bits = rng.pick([8u8, 16, 32]);
        let (operation, known, number) = match rng.below(5) {
            0 => {
                let size = rng.pick([Size::B, Size::H, Size::W, Size::DW]);
                let kept = if size == Size::DW {
                    x
                } else {
                    x & ((1 << size.bits()) - 1)
                };
                (format!("truncate {size:?}"), left.truncate(size), kept)
            }
            1 => {
                let shift = 64 - u32::from(bits);
                let extended = ((x << shift) as i64 >> shift) as u64;
                let number = match width {
                    Width::W32 => u64::from(extended as u32),
                    Width::W64 => extended,
                };
                let known = left.sign_extend(bits, width);
                (format!("sign_extend {bits} {width:?}"), known, number)
            }
            2 => {
                let op = rng.pick([EndianOp::ToLe, EndianOp::ToBe, EndianOp::Swap]);
                let bits = rng.pick([16u8, 32, 64]);
                (
                    format!("swap {op:?} {bits}"),
                    left.swap(op, bits),
                    swap(op, bits, x),
                )
            }
            3 => {
                let number = match width {
                    Width::W32 => u64::from((x as u32).wrapping_neg()),
                    Width::W64 => x.wrapping_neg(),
                };
                (format!("neg {width:?}"), left.neg(width), number)
            }
            _ => (
                "zero_extend".to_owned(),
                left.zero_extend(),
                x as u32 as u64,
            ),
        };
        self.finish(a, operation, &before, (known, number))
    }
}

fn swap(op: EndianOp, bits: u8, x: u64) -> u64 {
    match (op, bits) {
        (EndianOp::ToLe, 16) => u64::from(x as u16),
        (EndianOp::ToLe, 32) => u64::from(x as u32),
        (EndianOp::ToBe | EndianOp::Swap, 16) => u64::from((x as u16).swap_bytes()),
        (EndianOp::ToBe | EndianOp::Swap, 32) => u64::from((x as u32).swap_bytes()),
        (EndianOp::ToBe | EndianOp::Swap, _) => x.swap_bytes(),
        (EndianOp::ToLe, _) => x,
    }
}

/// What the machine computes.
fn compute(op: AluOp, width: Width, x: u64, y: u64) -> u64 {
    match width {
        Width::W64 => compute64(op, x, y),
        Width::W32 => u64::from(compute32(op, x as u32, y as u32)),
    }
}

fn compute64(op: AluOp, x: u64, y: u64) -> u64 {
    match op {
        AluOp::Add => x.wrapping_add(y),
        AluOp::Sub => x.wrapping_sub(y),
        AluOp::Mul => x.wrapping_mul(y),
        AluOp::Div => x.checked_div(y).unwrap_or(0),
        AluOp::SDiv if y == 0 => 0,
        AluOp::SDiv => (x as i64).wrapping_div(y as i64) as u64,
        AluOp::Or => x | y,
        AluOp::And => x & y,
        AluOp::Lsh => x << (y & 63),
        AluOp::Rsh => x >> (y & 63),
        AluOp::Mod => x.checked_rem(y).unwrap_or(x),
        AluOp::SMod if y == 0 => x,
        AluOp::SMod => (x as i64).wrapping_rem(y as i64) as u64,
        AluOp::Xor => x ^ y,
        AluOp::Mov => y,
        AluOp::Arsh => (x as i64 >> (y & 63)) as u64,
    }
}

fn compute32(op: AluOp, x: u32, y: u32) -> u32 {
    match op {
        AluOp::Add => x.wrapping_add(y),
        AluOp::Sub => x.wrapping_sub(y),
        AluOp::Mul => x.wrapping_mul(y),
        AluOp::Div => x.checked_div(y).unwrap_or(0),
        AluOp::SDiv if y == 0 => 0,
        AluOp::SDiv => (x as i32).wrapping_div(y as i32) as u32,
        AluOp::Or => x | y,
        AluOp::And => x & y,
        AluOp::Lsh => x << (y & 31),
        AluOp::Rsh => x >> (y & 31),
        AluOp::Mod => x.checked_rem(y).unwrap_or(x),
        AluOp::SMod if y == 0 => x,
        AluOp::SMod => (x as i32).wrapping_rem(y as i32) as u32,
        AluOp::Xor => x ^ y,
        AluOp::Mov => y,
        AluOp::Arsh => (x as i32 >> (y & 31)) as u32,
    }
}

fn holds(op: JmpOp, width: Width, x: u64, y: u64) -> bool {
    let (x, y, s, t) = match width {
        Width::W64 => (x, y, x as i64, y as i64),
        Width::W32 => {
            let (s, t) = (i64::from(x as i32), i64::from(y as i32));
            (u64::from(x as u32), u64::from(y as u32), s, t)
        }
    };
    match op {
        JmpOp::Eq => x == y,
        JmpOp::Ne => x != y,
        JmpOp::Gt => x > y,
        JmpOp::Ge => x >= y,
        JmpOp::Lt => x < y,
        JmpOp::Le => x <= y,
        JmpOp::SGt => s > t,
        JmpOp::SGe => s >= t,
        JmpOp::SLt => s < t,
        JmpOp::SLe => s <= t,
        JmpOp::Set => x & y != 0,
    }
}
