//! Synchronising known bits and ranges: each learns from the others.
//!
//! The order and the number of rounds are the kernel's (`reg_bounds_sync`): known bits narrow the
//! ranges, three rounds of deduction between the ranges, ranges fix leading bits, known bits narrow
//! the ranges again. It is not run to a fixed point, and a second call may still improve; so it must
//! be called just where the kernel calls it.

use super::{Range32, Range64, Scalar, Tnum};

/// Rounds of deduction between the four ranges.
const ROUNDS: usize = 3;

impl Scalar {
    /// Lets known bits and ranges learn from each other, as the kernel does after every operation.
    #[inline]
    pub fn sync(&mut self) {
        if self.is_synced_const() || self.is_unknown() {
            return;
        }
        self.bounds_from_known();
        let mut learned = false;
        for _ in 0..ROUNDS {
            if self.is_small() {
                break;
            }
            let before = *self;
            self.narrow_from_wide();
            self.narrow.share_signs();
            self.wide.share_signs();
            self.wide_from_narrow();
            // A round that teaches nothing repeats itself.
            if *self == before {
                break;
            }
            learned = true;
        }
        let known = self.known;
        self.known_from_bounds();
        // The same bits teach the same ranges nothing more.
        if learned || self.known != known {
            self.bounds_from_known();
        }
    }

    /// Whether all ranges say the same, and that the sign bits are zero and the high half is too: no
    /// range can teach another. What the 64-bit range says of the known bits comes last, anyway.
    #[inline]
    fn is_small(&self) -> bool {
        let (wide, narrow) = (&self.wide, &self.narrow);
        let (min, max) = (wide.umin as i32, wide.umax as i32);
        min >= 0
            && max >= min
            && (wide.umin, wide.umax) == (min as u64, max as u64)
            && (wide.smin, wide.smax) == (i64::from(min), i64::from(max))
            && (narrow.umin, narrow.umax) == (min as u32, max as u32)
            && (narrow.smin, narrow.smax) == (min, max)
    }

    /// Whether this is one value, consistently: nothing to learn.
    #[inline]
    fn is_synced_const(&self) -> bool {
        let value = self.known.value();
        self.known.is_const() && self.wide.is_exactly(value) && self.narrow.is_exactly(value as u32)
    }

    /// Narrows the ranges to the known bits.
    #[inline]
    pub(super) fn bounds_from_known(&mut self) {
        self.narrow_from_known();
        self.wide_from_known();
    }

    #[inline]
    pub(super) fn narrow_from_known(&mut self) {
        self.narrow
            .meet_known(self.known.value() as u32, self.known.mask() as u32);
    }

    /// Narrows the 64-bit range to the known bits; becomes a constant where the unsigned range holds
    /// just one value with these bits.
    #[inline]
    fn wide_from_known(&mut self) {
        let known = self.known;
        self.wide.meet_known(known.value(), known.mask());

        let (min, max) = (self.wide.umin, self.wide.umax);
        let next = known.next_above(min);
        if known.has(min) {
            if next > max {
                *self = Scalar::constant(min);
            }
        } else if next == known.max() || (next <= max && known.next_above(next) > max) {
            *self = Scalar::constant(next);
        }
    }

    /// Narrows the range of the low half by the range of the whole, where the high half is fixed or
    /// takes two neighbouring values between which the low half passes from negative to positive.
    #[inline]
    pub(super) fn narrow_from_wide(&mut self) {
        let Range64 {
            umin,
            umax,
            smin,
            smax,
        } = self.wide;
        let low = &mut self.narrow;
        if umin >> 32 == umax >> 32 {
            low.meet_unsigned(umin as u32, umax as u32);
            low.meet_signed_if_ordered(umin as i32, umax as i32);
        }
        if smin >> 32 == smax >> 32 {
            if smin as u32 <= smax as u32 {
                low.meet_unsigned(smin as u32, smax as u32);
            }
            low.meet_signed_if_ordered(smin as i32, smax as i32);
        }
        low.meet_signed_around_zero(umin, umax);
        low.meet_signed_around_zero(smin as u64, smax as u64);
    }

    /// Narrows the range of the whole by the range of its low half: the ends of the whole keep their
    /// high halves and take the low half's ends.
    #[inline]
    fn wide_from_narrow(&mut self) {
        const HIGH: u64 = !0xffff_ffff;
        let low = self.narrow;
        let (umin, umax) = (u64::from(low.umin), u64::from(low.umax));
        let wide = &mut self.wide;
        wide.meet_unsigned((wide.umin & HIGH) | umin, (wide.umax & HIGH) | umax);
        wide.meet_signed(
            ((wide.smin as u64 & HIGH) | umin) as i64,
            ((wide.smax as u64 & HIGH) | umax) as i64,
        );
        // After a sign-extending load whose low half proves non-negative, the high half is zero.
        if low.smin >= 0 && wide.smin >= i64::from(i32::MIN) && wide.smax <= i64::from(i32::MAX) {
            (wide.smin, wide.smax) = (i64::from(low.smin), i64::from(low.smax));
            (wide.umin, wide.umax) = (wide.smin as u64, wide.smax as u64);
            self.known = self.known.intersect(Tnum::range(wide.umin, wide.umax));
        }
    }

    /// Fixes the leading bits that the unsigned ranges have in common.
    #[inline]
    fn known_from_bounds(&mut self) {
        let whole = self
            .known
            .intersect(Tnum::range(self.wide.umin, self.wide.umax));
        let low = Tnum::range(u64::from(self.narrow.umin), u64::from(self.narrow.umax));
        self.known = whole.clear_subreg().or(whole.subreg().intersect(low));
    }
}

impl Range32 {
    #[inline]
    fn meet_signed_if_ordered(&mut self, min: i32, max: i32) {
        if min <= max {
            self.meet_signed(min, max);
        }
    }

    /// `min..=max` are bounds of the whole value; where their high halves are neighbours and the low
    /// halves go from negative to non-negative, the low halves bound the low half as signed numbers.
    #[inline]
    fn meet_signed_around_zero(&mut self, min: u64, max: u64) {
        let neighbours = ((min >> 32) as u32).wrapping_add(1) == (max >> 32) as u32;
        if neighbours && (min as i32) < 0 && max as i32 >= 0 {
            self.meet_signed(min as i32, max as i32);
        }
    }
}
