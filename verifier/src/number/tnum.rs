//! Tristate numbers: each bit is known to be 0, known to be 1, or unknown.
//!
//! Invariant: a bit is never both known and unknown (`value & mask == 0`), so equal sets of members
//! are equal values. There is no empty tnum: where two tnums contradict, [`Tnum::intersect`] yields
//! some tnum, as the kernel's does, and the ranges beside it show the contradiction.

use std::fmt;

/// A set of 64-bit values given by its known bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tnum {
    value: u64,
    mask: u64,
}

const LOW: u64 = 0xffff_ffff;

impl Tnum {
    /// Every value.
    pub const UNKNOWN: Tnum = Tnum {
        value: 0,
        mask: u64::MAX,
    };

    /// The members are `value` with any choice of the bits in `mask`.
    #[inline]
    pub const fn new(value: u64, mask: u64) -> Tnum {
        Tnum {
            value: value & !mask,
            mask,
        }
    }

    /// The single member `value`.
    #[inline]
    pub const fn constant(value: u64) -> Tnum {
        Tnum { value, mask: 0 }
    }

    /// The smallest tnum with every value from `min` to `max`: their common leading bits.
    #[inline]
    pub const fn range(min: u64, max: u64) -> Tnum {
        let differing = min ^ max;
        if differing == 0 {
            return Tnum::constant(min);
        }
        Tnum::new(min, u64::MAX >> differing.leading_zeros())
    }

    /// The known ones; also the smallest member, unsigned.
    #[inline]
    pub const fn value(self) -> u64 {
        self.value
    }

    /// The unknown bits.
    #[inline]
    pub const fn mask(self) -> u64 {
        self.mask
    }

    /// The largest member, unsigned.
    #[inline]
    pub const fn max(self) -> u64 {
        self.value | self.mask
    }

    /// Whether there is one member only.
    #[inline]
    pub const fn is_const(self) -> bool {
        self.mask == 0
    }

    /// Whether the low 32 bits are all known.
    #[inline]
    pub const fn subreg_is_const(self) -> bool {
        self.mask & LOW == 0
    }

    /// Whether nothing is known.
    #[inline]
    pub const fn is_unknown(self) -> bool {
        self.mask == u64::MAX
    }

    /// Whether `value` is a member.
    #[inline]
    pub const fn has(self, value: u64) -> bool {
        value & !self.mask == self.value
    }

    /// Whether every member of `other` is a member.
    #[inline]
    pub const fn contains(self, other: Tnum) -> bool {
        other.mask & !self.mask == 0 && self.has(other.value)
    }

    /// Whether some member of `self` equals some member of `other`.
    #[inline]
    pub const fn overlaps(self, other: Tnum) -> bool {
        (self.value ^ other.value) & !(self.mask | other.mask) == 0
    }

    /// Whether every member is a multiple of `size`, a power of two; true for 0.
    #[inline]
    pub const fn is_aligned(self, size: u64) -> bool {
        size == 0 || self.max() & (size - 1) == 0
    }

    /// Members shifted left; `shift` below 64.
    #[inline]
    pub const fn lshift(self, shift: u32) -> Tnum {
        Tnum {
            value: self.value.wrapping_shl(shift),
            mask: self.mask.wrapping_shl(shift),
        }
    }

    /// Members shifted right, zeros coming in; `shift` below 64.
    #[inline]
    pub const fn rshift(self, shift: u32) -> Tnum {
        Tnum {
            value: self.value.wrapping_shr(shift),
            mask: self.mask.wrapping_shr(shift),
        }
    }

    /// Members shifted right, the sign bit coming in; `shift` below 64.
    #[inline]
    pub const fn arshift(self, shift: u32) -> Tnum {
        Tnum {
            value: (self.value as i64).wrapping_shr(shift) as u64,
            mask: (self.mask as i64).wrapping_shr(shift) as u64,
        }
    }

    /// The low 32 bits of the members shifted right with bit 31 coming in; `shift` below 32.
    #[inline]
    pub const fn arshift32(self, shift: u32) -> Tnum {
        Tnum {
            value: (self.value as i32).wrapping_shr(shift) as u32 as u64,
            mask: (self.mask as i32).wrapping_shr(shift) as u32 as u64,
        }
    }

    /// Sums. Optimal.
    #[inline]
    pub const fn add(self, other: Tnum) -> Tnum {
        let least = self.value.wrapping_add(other.value);
        let most = least.wrapping_add(self.mask.wrapping_add(other.mask));
        Tnum::new(least, (least ^ most) | self.mask | other.mask)
    }

    /// Differences. Optimal.
    #[inline]
    pub const fn sub(self, other: Tnum) -> Tnum {
        let middle = self.value.wrapping_sub(other.value);
        let most = middle.wrapping_add(self.mask);
        let least = middle.wrapping_sub(other.mask);
        Tnum::new(middle, (least ^ most) | self.mask | other.mask)
    }

    /// Negations.
    #[inline]
    pub const fn neg(self) -> Tnum {
        Tnum::constant(0).sub(self)
    }

    /// Bitwise conjunctions.
    #[inline]
    pub const fn and(self, other: Tnum) -> Tnum {
        let ones = self.value & other.value;
        Tnum::new(ones, self.max() & other.max() & !ones)
    }

    /// Bitwise disjunctions.
    #[inline]
    pub const fn or(self, other: Tnum) -> Tnum {
        let ones = self.value | other.value;
        Tnum {
            value: ones,
            mask: (self.mask | other.mask) & !ones,
        }
    }

    /// Bitwise exclusive disjunctions.
    #[inline]
    pub const fn xor(self, other: Tnum) -> Tnum {
        Tnum::new(self.value ^ other.value, self.mask | other.mask)
    }

    /// Products, by long multiplication: a known one of `self` adds the shifted `other`, an unknown
    /// bit adds it or not. Neither optimal nor commutative, so the operands' order matters.
    #[inline]
    pub const fn mul(self, other: Tnum) -> Tnum {
        let mut sum = Tnum::constant(0);
        let mut rest = self.max();
        while rest != 0 {
            let bit = rest.trailing_zeros();
            rest &= rest - 1;
            let more = sum.add(other.lshift(bit));
            sum = if self.mask & (1 << bit) == 0 {
                more
            } else {
                sum.union(more)
            };
        }
        sum
    }

    /// The smallest tnum with the members of both.
    #[inline]
    pub const fn union(self, other: Tnum) -> Tnum {
        Tnum::new(
            self.value,
            (self.value ^ other.value) | self.mask | other.mask,
        )
    }

    /// The members of both. If a bit is known to be 0 in one and 1 in the other, there is none; the
    /// result then has that bit 1.
    #[inline]
    pub const fn intersect(self, other: Tnum) -> Tnum {
        Tnum::new(self.value | other.value, self.mask & other.mask)
    }

    /// Members truncated to their low `bytes` bytes.
    #[inline]
    pub const fn cast(self, bytes: u32) -> Tnum {
        let keep = if bytes >= 8 {
            u64::MAX
        } else {
            (1 << (bytes * 8)) - 1
        };
        Tnum {
            value: self.value & keep,
            mask: self.mask & keep,
        }
    }

    /// Members truncated to their low 32 bits.
    #[inline]
    pub const fn subreg(self) -> Tnum {
        Tnum {
            value: self.value & LOW,
            mask: self.mask & LOW,
        }
    }

    /// Members with their low 32 bits set to zero.
    #[inline]
    pub const fn clear_subreg(self) -> Tnum {
        Tnum {
            value: self.value & !LOW,
            mask: self.mask & !LOW,
        }
    }

    /// The high half of `self` over the low half of `low`.
    #[inline]
    pub const fn with_subreg(self, low: Tnum) -> Tnum {
        self.clear_subreg().or(low.subreg())
    }

    /// The high half of `self` over the constant `low`.
    #[inline]
    pub const fn const_subreg(self, low: u32) -> Tnum {
        self.with_subreg(Tnum::constant(low as u64))
    }

    /// The low `bits` (16, 32 or 64) in reverse byte order, the rest zero.
    #[inline]
    pub const fn swap_bytes(self, bits: u32) -> Tnum {
        let shift = 64 - bits;
        Tnum {
            value: self.value.swap_bytes().wrapping_shr(shift),
            mask: self.mask.swap_bytes().wrapping_shr(shift),
        }
    }

    /// The smallest member above `bound`; the largest member if there is none.
    #[inline]
    pub const fn next_above(self, bound: u64) -> u64 {
        if bound >= self.max() {
            return self.max();
        }
        if bound < self.value {
            return self.value;
        }
        // A member is `value` plus a choice of mask bits: the least choice above `gap` is wanted.
        let gap = bound - self.value;
        let foreign = gap & !self.mask;
        // Below the highest bit of the gap that no choice can have, every choice is too small, so
        // the increment has to carry out of there.
        let below = if foreign == 0 {
            0
        } else {
            u64::MAX >> foreign.leading_zeros()
        };
        self.value | ((gap | below | !self.mask).wrapping_add(1) & self.mask)
    }
}

/// The kernel log's form: `(0x4; 0xf0)`.
impl fmt::Display for Tnum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:#x}; {:#x})", self.value, self.mask)
    }
}

impl fmt::Debug for Tnum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
