//! Arithmetic and comparisons of the instruction set, for 32 and 64 bits alike.
//!
//! Division by zero gives zero, the remainder by zero is the dividend, the smallest number divided by
//! -1 is itself; shifts count modulo the width.

/// A register's worth of bits.
pub(crate) trait Word: Copy + PartialEq + PartialOrd {
    fn add(self, b: Self) -> Self;
    fn sub(self, b: Self) -> Self;
    fn mul(self, b: Self) -> Self;
    fn div(self, b: Self) -> Self;
    fn sdiv(self, b: Self) -> Self;
    fn or(self, b: Self) -> Self;
    fn and(self, b: Self) -> Self;
    fn lsh(self, b: Self) -> Self;
    fn rsh(self, b: Self) -> Self;
    fn rem(self, b: Self) -> Self;
    fn srem(self, b: Self) -> Self;
    fn xor(self, b: Self) -> Self;
    fn mov(self, b: Self) -> Self;
    fn arsh(self, b: Self) -> Self;
    fn is_eq(self, b: Self) -> bool;
    fn is_ne(self, b: Self) -> bool;
    fn is_gt(self, b: Self) -> bool;
    fn is_ge(self, b: Self) -> bool;
    fn is_lt(self, b: Self) -> bool;
    fn is_le(self, b: Self) -> bool;
    fn has_common_bit(self, b: Self) -> bool;
    fn is_sgt(self, b: Self) -> bool;
    fn is_sge(self, b: Self) -> bool;
    fn is_slt(self, b: Self) -> bool;
    fn is_sle(self, b: Self) -> bool;
}

macro_rules! word {
    ($unsigned:ty, $signed:ty) => {
        #[rustfmt::skip]
        impl Word for $unsigned {
            #[inline(always)] fn add(self, b: Self) -> Self { self.wrapping_add(b) }
            #[inline(always)] fn sub(self, b: Self) -> Self { self.wrapping_sub(b) }
            #[inline(always)] fn mul(self, b: Self) -> Self { self.wrapping_mul(b) }
            #[inline(always)] fn div(self, b: Self) -> Self { self.checked_div(b).unwrap_or(0) }
            #[inline(always)] fn sdiv(self, b: Self) -> Self {
                if b == 0 { 0 } else { (self as $signed).wrapping_div(b as $signed) as Self }
            }
            #[inline(always)] fn or(self, b: Self) -> Self { self | b }
            #[inline(always)] fn and(self, b: Self) -> Self { self & b }
            #[inline(always)] fn lsh(self, b: Self) -> Self { self.wrapping_shl(b as u32) }
            #[inline(always)] fn rsh(self, b: Self) -> Self { self.wrapping_shr(b as u32) }
            #[inline(always)] fn rem(self, b: Self) -> Self { self.checked_rem(b).unwrap_or(self) }
            #[inline(always)] fn srem(self, b: Self) -> Self {
                if b == 0 { self } else { (self as $signed).wrapping_rem(b as $signed) as Self }
            }
            #[inline(always)] fn xor(self, b: Self) -> Self { self ^ b }
            #[inline(always)] fn mov(self, b: Self) -> Self { b }
            #[inline(always)] fn arsh(self, b: Self) -> Self {
                if cfg!(feature = "planted-fault") {
                    return self.wrapping_shr(b as u32);
                }
                (self as $signed).wrapping_shr(b as u32) as Self
            }
            #[inline(always)] fn is_eq(self, b: Self) -> bool { self == b }
            #[inline(always)] fn is_ne(self, b: Self) -> bool { self != b }
            #[inline(always)] fn is_gt(self, b: Self) -> bool { self > b }
            #[inline(always)] fn is_ge(self, b: Self) -> bool { self >= b }
            #[inline(always)] fn is_lt(self, b: Self) -> bool { self < b }
            #[inline(always)] fn is_le(self, b: Self) -> bool { self <= b }
            #[inline(always)] fn has_common_bit(self, b: Self) -> bool { self & b != 0 }
            #[inline(always)] fn is_sgt(self, b: Self) -> bool { self as $signed > b as $signed }
            #[inline(always)] fn is_sge(self, b: Self) -> bool { self as $signed >= b as $signed }
            #[inline(always)] fn is_slt(self, b: Self) -> bool { (self as $signed) < b as $signed }
            #[inline(always)] fn is_sle(self, b: Self) -> bool { self as $signed <= b as $signed }
        }
    };
}

word!(u32, i32);
word!(u64, i64);
