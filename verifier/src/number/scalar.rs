//! A scalar: known bits and ranges of one 64-bit value.
//!
//! Fields are private to the number domain; every operation ends in [`Scalar::sync`] where the
//! kernel's does. A scalar may contradict itself (empty ranges): walking a branch that cannot be
//! taken produces such states, and [`Scalar::violation`] tells. The caller then forgets the ranges
//! or, under the flag that tests invariants, refuses the program.

use super::{Range32, Range64, Tnum};

/// What is known about a 64-bit value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Scalar {
    pub(super) known: Tnum,
    pub(super) wide: Range64,
    pub(super) narrow: Range32,
}

/// How a scalar contradicts itself (`reg_bounds_sanity_check`), the first that applies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BoundsViolation {
    /// Some minimum exceeds its maximum.
    CrossedRange,
    /// All bits are known, but the 64-bit ranges are not that one value.
    ConstOutOfSync,
    /// The low 32 bits are known, but the 32-bit ranges are not that one value.
    ConstSubregOutOfSync,
}

impl Scalar {
    /// Nothing is known.
    pub const UNKNOWN: Scalar = Scalar {
        known: Tnum::UNKNOWN,
        wide: Range64::UNBOUNDED,
        narrow: Range32::UNBOUNDED,
    };

    /// Nothing is known.
    #[inline]
    pub const fn unknown() -> Scalar {
        Scalar::UNKNOWN
    }

    /// One value.
    #[inline]
    pub const fn constant(value: u64) -> Scalar {
        Scalar {
            known: Tnum::constant(value),
            wide: Range64::exact(value),
            narrow: Range32::exact(value as u32),
        }
    }

    /// A 32-bit immediate, sign-extended.
    #[inline]
    pub const fn immediate(imm: i32) -> Scalar {
        Scalar::constant(imm as i64 as u64)
    }

    /// Unsigned values from `min` to `max`.
    #[inline]
    pub fn from_range(min: u64, max: u64) -> Scalar {
        let mut scalar = Scalar::unknown();
        scalar.wide.meet_unsigned(min, max);
        scalar.sync();
        scalar
    }

    /// Signed values from `min` to `max`.
    #[inline]
    pub fn from_signed_range(min: i64, max: i64) -> Scalar {
        let mut scalar = Scalar::unknown();
        scalar.wide.meet_signed(min, max);
        scalar.sync();
        scalar
    }

    /// Values with these known bits.
    #[inline]
    pub fn from_known(known: Tnum) -> Scalar {
        let mut scalar = Scalar {
            known,
            ..Scalar::UNKNOWN
        };
        scalar.sync();
        scalar
    }

    /// The known bits.
    #[inline]
    pub const fn known(&self) -> Tnum {
        self.known
    }

    /// The ranges of the whole value.
    #[inline]
    pub const fn wide(&self) -> Range64 {
        self.wide
    }

    /// The ranges of the low half.
    #[inline]
    pub const fn narrow(&self) -> Range32 {
        self.narrow
    }

    /// Smallest value, unsigned.
    #[inline]
    pub const fn umin(&self) -> u64 {
        self.wide.umin
    }

    /// Largest value, unsigned.
    #[inline]
    pub const fn umax(&self) -> u64 {
        self.wide.umax
    }

    /// Smallest value, signed.
    #[inline]
    pub const fn smin(&self) -> i64 {
        self.wide.smin
    }

    /// Largest value, signed.
    #[inline]
    pub const fn smax(&self) -> i64 {
        self.wide.smax
    }

    /// Smallest low half, unsigned.
    #[inline]
    pub const fn u32_min(&self) -> u32 {
        self.narrow.umin
    }

    /// Largest low half, unsigned.
    #[inline]
    pub const fn u32_max(&self) -> u32 {
        self.narrow.umax
    }

    /// Smallest low half, signed.
    #[inline]
    pub const fn s32_min(&self) -> i32 {
        self.narrow.smin
    }

    /// Largest low half, signed.
    #[inline]
    pub const fn s32_max(&self) -> i32 {
        self.narrow.smax
    }

    /// Whether all bits are known (the ranges may still disagree, see [`Scalar::violation`]).
    #[inline]
    pub const fn is_const(&self) -> bool {
        self.known.is_const()
    }

    /// The value, if all bits are known.
    #[inline]
    pub const fn const_value(&self) -> Option<u64> {
        if self.known.is_const() {
            Some(self.known.value())
        } else {
            None
        }
    }

    /// The low half, if all its bits are known.
    #[inline]
    pub const fn const_subreg(&self) -> Option<u32> {
        if self.known.subreg_is_const() {
            Some(self.known.value() as u32)
        } else {
            None
        }
    }

    /// Whether this is known to be zero by its bits.
    #[inline]
    pub const fn is_zero(&self) -> bool {
        self.known.is_const() && self.known.value() == 0
    }

    /// Whether nothing is known.
    #[inline]
    pub fn is_unknown(&self) -> bool {
        self.known.mask() == u64::MAX && *self == Scalar::UNKNOWN
    }

    /// Bits needed for the largest unsigned value: 0 for zero, 64 at most (`get_reg_width`).
    #[inline]
    pub const fn width(&self) -> u32 {
        64 - self.wide.umax.leading_zeros()
    }

    /// Whether `value` is allowed by known bits and all ranges.
    #[inline]
    pub const fn has(&self, value: u64) -> bool {
        let low = value as u32;
        self.known.has(value)
            && self.wide.contains(&Range64::exact(value))
            && self.narrow.contains(&Range32::exact(low))
    }

    /// Whether all eight bounds of `other` lie within these (`range_within`).
    #[inline]
    pub const fn range_within(&self, other: &Scalar) -> bool {
        self.wide.contains(&other.wide) && self.narrow.contains(&other.narrow)
    }

    /// Whether `other` is subsumed: its bounds lie within these and its known bits include these.
    #[inline]
    pub const fn contains(&self, other: &Scalar) -> bool {
        self.range_within(other) && self.known.contains(other.known)
    }

    /// How this scalar contradicts itself, if it does.
    #[inline]
    pub fn violation(&self) -> Option<BoundsViolation> {
        let ordered = self.wide.is_ordered() & self.narrow.is_ordered();
        if ordered && !self.known.subreg_is_const() {
            return None;
        }
        self.find_violation()
    }

    fn find_violation(&self) -> Option<BoundsViolation> {
        if !self.wide.is_ordered() || !self.narrow.is_ordered() {
            return Some(BoundsViolation::CrossedRange);
        }
        if self
            .const_value()
            .is_some_and(|value| !self.wide.is_exactly(value))
        {
            return Some(BoundsViolation::ConstOutOfSync);
        }
        if self
            .const_subreg()
            .is_some_and(|low| !self.narrow.is_exactly(low))
        {
            return Some(BoundsViolation::ConstSubregOutOfSync);
        }
        None
    }

    /// Forgets all eight bounds and keeps the known bits, without synchronising: what the kernel does
    /// after a violation (`__mark_reg_unbounded`).
    #[inline]
    pub fn reset_unbounded(&mut self) {
        self.wide = Range64::UNBOUNDED;
        self.narrow = Range32::UNBOUNDED;
    }

    /// Forgets a self-contradiction as the kernel does without the flag that tests invariants, and
    /// says which there was.
    #[inline]
    pub fn repair(&mut self) -> Option<BoundsViolation> {
        let violation = self.violation();
        if violation.is_some() {
            self.reset_unbounded();
        }
        violation
    }

    /// Narrows by a 32-bit signed range that holds for the whole value and for its low half
    /// (`__mark_reg_s32_range`), and synchronises.
    #[inline]
    pub fn meet_s32_range(&mut self, min: i32, max: i32) {
        self.narrow.meet_signed(min, max);
        self.wide.meet_signed(i64::from(min), i64::from(max));
        self.sync();
    }

    /// Sets the signed bounds of the whole and of the low half, leaves the rest, and synchronises:
    /// the refinement of a helper's return value (`do_refine_retval_range`).
    #[inline]
    pub fn set_s32_range(&mut self, min: i32, max: i32) {
        (self.narrow.smin, self.narrow.smax) = (min, max);
        (self.wide.smin, self.wide.smax) = (i64::from(min), i64::from(max));
        self.sync();
    }
}
