//! Ranges: unsigned and signed bounds of one word, kept side by side.
//!
//! [`Range64`] bounds a whole value, [`Range32`] its low half; their rules are the same and written
//! once. The two signs are separate facts: arithmetic treats them apart, and
//! [`Range64::share_signs`] lets each learn from the other. A range whose minimum exceeds its
//! maximum is representable: dead branches produce it and the kernel carries it along.

/// Defines the range of one word size, with its unsigned and its signed integer type.
macro_rules! range {
    ($(#[$doc:meta])* $name:ident, $u:ty, $s:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub struct $name {
            pub(super) umin: $u,
            pub(super) umax: $u,
            pub(super) smin: $s,
            pub(super) smax: $s,
        }

        impl $name {
            /// Every value.
            pub const UNBOUNDED: $name =
                $name { umin: 0, umax: <$u>::MAX, smin: <$s>::MIN, smax: <$s>::MAX };

            /// One value.
            #[inline]
            pub const fn exact(value: $u) -> $name {
                $name { umin: value, umax: value, smin: value as $s, smax: value as $s }
            }

            /// Smallest unsigned value.
            #[inline]
            pub const fn umin(&self) -> $u {
                self.umin
            }

            /// Largest unsigned value.
            #[inline]
            pub const fn umax(&self) -> $u {
                self.umax
            }

            /// Smallest signed value.
            #[inline]
            pub const fn smin(&self) -> $s {
                self.smin
            }

            /// Largest signed value.
            #[inline]
            pub const fn smax(&self) -> $s {
                self.smax
            }

            /// Whether both signs allow one value only (each its own; see [`Self::is_exactly`]).
            #[inline]
            pub const fn is_single(&self) -> bool {
                self.umin == self.umax && self.smin == self.smax
            }

            /// Whether both signs say exactly `value`.
            #[inline]
            pub const fn is_exactly(&self, value: $u) -> bool {
                self.umin == value
                    && self.umax == value
                    && self.smin == value as $s
                    && self.smax == value as $s
            }

            /// Whether no minimum exceeds its maximum.
            #[inline]
            pub const fn is_ordered(&self) -> bool {
                self.umin <= self.umax && self.smin <= self.smax
            }

            /// Whether the bounds of `other` lie within these, sign by sign.
            #[inline]
            pub const fn contains(&self, other: &$name) -> bool {
                self.umin <= other.umin
                    && self.umax >= other.umax
                    && self.smin <= other.smin
                    && self.smax >= other.smax
            }

            /// Whether either sign shows that the two have no value in common.
            #[inline]
            pub(super) const fn is_disjoint(&self, other: &$name) -> bool {
                self.umin > other.umax
                    || self.umax < other.umin
                    || self.smin > other.smax
                    || self.smax < other.smin
            }

            /// Narrows the unsigned bounds to `min..=max`.
            #[inline]
            pub(super) fn meet_unsigned(&mut self, min: $u, max: $u) {
                self.umin = self.umin.max(min);
                self.umax = self.umax.min(max);
            }

            /// Narrows the signed bounds to `min..=max`.
            #[inline]
            pub(super) fn meet_signed(&mut self, min: $s, max: $s) {
                self.smin = self.smin.max(min);
                self.smax = self.smax.min(max);
            }

            /// Narrows both signs to the smallest and largest word with these known bits.
            #[inline]
            pub(super) fn meet_known(&mut self, value: $u, mask: $u) {
                let sign = <$s>::MIN as $u;
                self.meet_signed((value | (mask & sign)) as $s, (value | (mask & !sign)) as $s);
                self.meet_unsigned(value, value | mask);
            }

            #[inline]
            pub(super) fn forget_signed(&mut self) {
                self.smin = <$s>::MIN;
                self.smax = <$s>::MAX;
            }

            #[inline]
            pub(super) fn forget_unsigned(&mut self) {
                self.umin = 0;
                self.umax = <$u>::MAX;
            }

            /// Lets each sign learn from the other.
            ///
            /// Bounds that stay on one side of the sign change mean the same in both. Signed bounds
            /// that cross it are two unsigned pieces, one at each end; if the unsigned bounds
            /// reach only one of the pieces, both signs shrink to it.
            #[inline]
            pub(super) fn share_signs(&mut self) {
                if self.umin as $s <= self.umax as $s {
                    self.meet_signed(self.umin as $s, self.umax as $s);
                }
                if self.smin as $u <= self.smax as $u {
                    self.meet_unsigned(self.smin as $u, self.smax as $u);
                } else if self.umax < self.smin as $u {
                    self.smin = self.umin as $s;
                    self.umax = self.umax.min(self.smax as $u);
                } else if (self.smax as $u) < self.umin {
                    self.smax = self.umax as $s;
                    self.umin = self.umin.max(self.smin as $u);
                }
            }

            /// Bounds of sums. Unsigned bounds survive if both ends wrap or neither does.
            #[inline]
            pub(super) fn add(&mut self, src: &$name) {
                match (self.smin.checked_add(src.smin), self.smax.checked_add(src.smax)) {
                    (Some(min), Some(max)) => (self.smin, self.smax) = (min, max),
                    _ => self.forget_signed(),
                }
                let (min, min_wraps) = self.umin.overflowing_add(src.umin);
                let (max, max_wraps) = self.umax.overflowing_add(src.umax);
                (self.umin, self.umax) = (min, max);
                if !min_wraps && max_wraps {
                    self.forget_unsigned();
                }
            }

            /// Bounds of differences. Unsigned bounds survive if both ends wrap or neither does.
            #[inline]
            pub(super) fn sub(&mut self, src: &$name) {
                match (self.smin.checked_sub(src.smax), self.smax.checked_sub(src.smin)) {
                    (Some(min), Some(max)) => (self.smin, self.smax) = (min, max),
                    _ => self.forget_signed(),
                }
                let (min, min_wraps) = self.umin.overflowing_sub(src.umax);
                let (max, max_wraps) = self.umax.overflowing_sub(src.umin);
                (self.umin, self.umax) = (min, max);
                if min_wraps && !max_wraps {
                    self.forget_unsigned();
                }
            }

            /// Bounds of products; a sign in which any corner overflows is forgotten.
            #[inline]
            pub(super) fn mul(&mut self, src: &$name) {
                match (self.umin.checked_mul(src.umin), self.umax.checked_mul(src.umax)) {
                    (Some(min), Some(max)) => (self.umin, self.umax) = (min, max),
                    _ => self.forget_unsigned(),
                }
                match (
                    self.smin.checked_mul(src.smin),
                    self.smin.checked_mul(src.smax),
                    self.smax.checked_mul(src.smin),
                    self.smax.checked_mul(src.smax),
                ) {
                    (Some(a), Some(b), Some(c), Some(d)) => {
                        self.smin = a.min(b).min(c).min(d);
                        self.smax = a.max(b).max(c).max(d);
                    }
                    _ => self.forget_signed(),
                }
            }

            /// Sets the unsigned bounds of a bitwise result; the signed ones follow if these do not
            /// cross the sign change, else they are forgotten.
            #[inline]
            pub(super) fn set_bitwise(&mut self, min: $u, max: $u) {
                (self.umin, self.umax) = (min, max);
                if min as $s <= max as $s {
                    (self.smin, self.smax) = (min as $s, max as $s);
                } else {
                    self.forget_signed();
                }
            }
        }
    };
}

range! {
    /// Bounds of a 64-bit value.
    Range64, u64, i64
}

range! {
    /// Bounds of the low 32 bits of a value.
    Range32, u32, i32
}
