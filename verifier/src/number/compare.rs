//! Deciding a condition from two scalars (`is_scalar_branch_taken`).
//!
//! A decided branch is walked alone, so a decision that the kernel does not take would change
//! counts: only the facts that the kernel looks at are looked at.

use super::{Scalar, Tnum};
use skep_isa::{JmpOp, Width};

/// Whether `a op b` holds: always, never, or `None` if the kernel cannot tell.
#[inline]
pub fn branch_taken(op: JmpOp, width: Width, a: &Scalar, b: &Scalar) -> Option<bool> {
    match op {
        JmpOp::Eq => equal(width, a, b),
        JmpOp::Ne => equal(width, a, b).map(|equal| !equal),
        JmpOp::Set => common_bit(width, a, b),
        JmpOp::Gt => greater(unsigned(width, a), unsigned(width, b)),
        JmpOp::Ge => greater(unsigned(width, b), unsigned(width, a)).map(|less| !less),
        JmpOp::Lt => greater(unsigned(width, b), unsigned(width, a)),
        JmpOp::Le => greater(unsigned(width, a), unsigned(width, b)).map(|greater| !greater),
        JmpOp::SGt => greater(signed(width, a), signed(width, b)),
        JmpOp::SGe => greater(signed(width, b), signed(width, a)).map(|less| !less),
        JmpOp::SLt => greater(signed(width, b), signed(width, a)),
        JmpOp::SLe => greater(signed(width, a), signed(width, b)).map(|greater| !greater),
    }
}

#[inline]
fn known(width: Width, scalar: &Scalar) -> Tnum {
    match width {
        Width::W32 => scalar.known.subreg(),
        Width::W64 => scalar.known,
    }
}

#[inline]
fn unsigned(width: Width, scalar: &Scalar) -> (u64, u64) {
    match width {
        Width::W32 => (u64::from(scalar.narrow.umin), u64::from(scalar.narrow.umax)),
        Width::W64 => (scalar.wide.umin, scalar.wide.umax),
    }
}

#[inline]
fn signed(width: Width, scalar: &Scalar) -> (i64, i64) {
    match width {
        Width::W32 => (i64::from(scalar.narrow.smin), i64::from(scalar.narrow.smax)),
        Width::W64 => (scalar.wide.smin, scalar.wide.smax),
    }
}

/// `a > b` for ranges given as (minimum, maximum).
#[inline]
fn greater<T: Ord>(a: (T, T), b: (T, T)) -> Option<bool> {
    if a.0 > b.1 {
        Some(true)
    } else if a.1 <= b.0 {
        Some(false)
    } else {
        None
    }
}

/// 64-bit values also differ if their low halves do.
#[inline]
fn equal(width: Width, a: &Scalar, b: &Scalar) -> Option<bool> {
    let (known_a, known_b) = (known(width, a), known(width, b));
    if known_a.is_const() && known_b.is_const() {
        return Some(known_a == known_b);
    }
    let disjoint = !known_a.overlaps(known_b)
        || match width {
            Width::W32 => a.narrow.is_disjoint(&b.narrow),
            Width::W64 => a.wide.is_disjoint(&b.wide) || a.narrow.is_disjoint(&b.narrow),
        };
    if disjoint { Some(false) } else { None }
}

/// `a & b != 0`, decided only if one of them is a constant.
#[inline]
fn common_bit(width: Width, a: &Scalar, b: &Scalar) -> Option<bool> {
    let (mut other, mut constant) = (known(width, a), known(width, b));
    if !constant.is_const() {
        std::mem::swap(&mut other, &mut constant);
    }
    if !constant.is_const() {
        return None;
    }
    if other.value() & constant.value() != 0 {
        Some(true)
    } else if other.max() & constant.value() == 0 {
        Some(false)
    } else {
        None
    }
}
