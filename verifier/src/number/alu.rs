//! Arithmetic on scalars (`adjust_scalar_min_max_vals`), and the variable offsets of pointers.
//!
//! Addition, subtraction, multiplication and the bitwise operations track both halves whatever the
//! width; a 32-bit result then loses its high half. Shifts track the operated width only. Division,
//! remainder and shifts by a varying or excessive amount give an unknown value, not even
//! zero-extended.

use super::{Range32, Range64, Scalar, Tnum};
use skep_isa::{AluOp, EndianOp, Width};

/// A bitwise operation with a constant on a value that is all ones or all zeros (as an arithmetic
/// right shift leaves it) is tried for each of the two. Both operands are those *before* the
/// operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fork {
    /// All ones: the path that goes on.
    pub here: Scalar,
    /// All zeros: the path to be pushed, which takes up the same instruction again.
    pub pushed: Scalar,
}

impl Scalar {
    /// Whether `op` computes a result from bounds; if not, the result is unknown
    /// (`is_safe_to_compute_dst_reg_range`).
    #[inline]
    pub fn is_safe_to_compute(op: AluOp, width: Width, src: &Scalar) -> bool {
        match op {
            AluOp::Add
            | AluOp::Sub
            | AluOp::Mul
            | AluOp::Or
            | AluOp::And
            | AluOp::Xor
            | AluOp::Mov => true,
            AluOp::Lsh | AluOp::Rsh | AluOp::Arsh => {
                let single = match width {
                    Width::W32 => src.known.subreg_is_const() && src.narrow.is_single(),
                    Width::W64 => src.known.is_const() && src.wide.is_single(),
                };
                single && src.wide.umax < u64::from(width.bits())
            }
            AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod => false,
        }
    }

    /// The two cases into which `self op src` splits before it is computed, if it does
    /// (`maybe_fork_scalars`).
    #[inline]
    pub fn fork(&self, op: AluOp, src: &Scalar) -> Option<Fork> {
        if !matches!(op, AluOp::And | AluOp::Or) || !src.is_const() {
            return None;
        }
        if self.wide.smin == -1 && self.wide.smax == 0 {
            Some(Fork {
                here: Scalar::constant(u64::MAX),
                pushed: Scalar::constant(0),
            })
        } else if self.narrow.smin == -1 && self.narrow.smax == 0 {
            Some(Fork {
                here: self.with_const_subreg(u32::MAX),
                pushed: self.with_const_subreg(0),
            })
        } else {
            None
        }
    }

    /// `self op src`, with `self` the destination. Where [`Scalar::fork`] splits, the caller passes
    /// the case.
    #[inline]
    pub fn alu(mut self, op: AluOp, width: Width, src: &Scalar) -> Scalar {
        if !Scalar::is_safe_to_compute(op, width, src) {
            return Scalar::unknown();
        }
        match op {
            AluOp::Add => self.add(src),
            AluOp::Sub => self.sub(src),
            AluOp::Mul => self.mul(src),
            AluOp::And => self.and(src),
            AluOp::Or => self.or(src),
            AluOp::Xor => self.xor(src),
            AluOp::Lsh => match width {
                Width::W32 => self.lsh32(src),
                Width::W64 => self.lsh64(src),
            },
            AluOp::Rsh => match width {
                Width::W32 => self.rsh32(src),
                Width::W64 => self.rsh64(src),
            },
            AluOp::Arsh => match width {
                Width::W32 => self.arsh32(src),
                Width::W64 => self.arsh64(src),
            },
            AluOp::Mov => return src.moved(width),
            AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod => return Scalar::unknown(),
        }
        self.finish(width)
    }

    /// A move: a copy, or the low half zero-extended.
    #[inline]
    pub fn moved(&self, width: Width) -> Scalar {
        match width {
            Width::W32 => self.zero_extend(),
            Width::W64 => *self,
        }
    }

    /// `-self`.
    #[inline]
    pub fn neg(self, width: Width) -> Scalar {
        let mut result = Scalar::constant(0);
        result.sub(&self);
        result.finish(width)
    }

    /// A byte-order conversion of the low `bits` (16, 32, 64) on a little-endian machine.
    #[inline]
    pub fn swap(mut self, op: EndianOp, bits: u8) -> Scalar {
        let swaps = match op {
            EndianOp::ToLe => false,
            EndianOp::ToBe | EndianOp::Swap => true,
        };
        if swaps {
            self.known = self.known.swap_bytes(u32::from(bits));
            self.reset_unbounded();
        }
        self = match bits {
            16 => self.truncate(skep_isa::Size::H),
            32 => self.truncate(skep_isa::Size::W),
            _ => self,
        };
        self.sync();
        self
    }

    /// `self + delta` as a register gets it that is linked to `self`, which a condition has just
    /// refined (`sync_linked_regs`).
    #[inline]
    pub fn linked(mut self, delta: i64) -> Scalar {
        self.add(&Scalar::constant(delta as u64));
        self.finish(Width::W64)
    }

    /// The same where either of the two registers came by its delta in 32 bits.
    #[inline]
    pub fn linked32(mut self, delta: i64) -> Scalar {
        self.add(&Scalar::constant(delta as u64));
        self.finish(Width::W32)
    }

    /// The variable part of a pointer after a varying `off` is added to it.
    #[inline]
    pub fn pointer_add(mut self, off: &Scalar) -> Scalar {
        let src = &off.wide;
        let wide = &mut self.wide;
        match (
            wide.smin.checked_add(src.smin),
            wide.smax.checked_add(src.smax),
        ) {
            (Some(min), Some(max)) => (wide.smin, wide.smax) = (min, max),
            _ => wide.forget_signed(),
        }
        match (
            wide.umin.checked_add(src.umin),
            wide.umax.checked_add(src.umax),
        ) {
            (Some(min), Some(max)) => (wide.umin, wide.umax) = (min, max),
            _ => wide.forget_unsigned(),
        }
        self.known = self.known.add(off.known);
        self
    }

    /// The variable part of a pointer after a varying `off` is subtracted from it.
    #[inline]
    pub fn pointer_sub(mut self, off: &Scalar) -> Scalar {
        let src = &off.wide;
        let wide = &mut self.wide;
        match (
            wide.smin.checked_sub(src.smax),
            wide.smax.checked_sub(src.smin),
        ) {
            (Some(min), Some(max)) => (wide.smin, wide.smax) = (min, max),
            _ => wide.forget_signed(),
        }
        if wide.umin < src.umax {
            wide.forget_unsigned();
        } else {
            wide.umin -= src.umax;
            wide.umax = wide.umax.wrapping_sub(src.umin);
        }
        self.known = self.known.sub(off.known);
        self
    }

    /// Ends pointer arithmetic: the low half's ranges are learned anew. Called after the checks on
    /// [`Scalar::pointer_add`]'s or [`Scalar::pointer_sub`]'s result, which is not synchronised, and
    /// also where a constant went into the fixed offset.
    #[inline]
    pub fn pointer_finish(mut self) -> Scalar {
        self.narrow = Range32::UNBOUNDED;
        self.sync();
        self
    }

    #[inline]
    fn finish(mut self, width: Width) -> Scalar {
        match width {
            Width::W32 => self.zero_high_half(),
            Width::W64 => {}
        }
        self.sync();
        self
    }

    /// The low half becomes a constant; the high half's known bits and the 64-bit ranges stay
    /// (`__mark_reg32_known`).
    #[inline]
    fn with_const_subreg(mut self, low: u32) -> Scalar {
        self.known = self.known.const_subreg(low);
        self.narrow = Range32::exact(low);
        self
    }

    #[inline]
    fn add(&mut self, src: &Scalar) {
        self.narrow.add(&src.narrow);
        self.wide.add(&src.wide);
        self.known = self.known.add(src.known);
    }

    #[inline]
    fn sub(&mut self, src: &Scalar) {
        self.narrow.sub(&src.narrow);
        self.wide.sub(&src.wide);
        self.known = self.known.sub(src.known);
    }

    #[inline]
    fn mul(&mut self, src: &Scalar) {
        self.known = self.known.mul(src.known);
        self.narrow.mul(&src.narrow);
        self.wide.mul(&src.wide);
    }

    /// The minimum is that of the known bits, the maximum the smaller of the operands'.
    #[inline]
    fn and(&mut self, src: &Scalar) {
        let known = self.known.and(src.known);
        self.bitwise(
            known,
            src,
            |scalar| {
                let low = scalar.narrow.umax.min(src.narrow.umax);
                scalar.narrow.set_bitwise(known.value() as u32, low);
            },
            |scalar| {
                let max = scalar.wide.umax.min(src.wide.umax);
                scalar.wide.set_bitwise(known.value(), max);
            },
        );
    }

    /// The maximum is that of the known bits, the minimum the larger of the operands'.
    #[inline]
    fn or(&mut self, src: &Scalar) {
        let known = self.known.or(src.known);
        self.bitwise(
            known,
            src,
            |scalar| {
                let low = scalar.narrow.umin.max(src.narrow.umin);
                scalar.narrow.set_bitwise(low, known.max() as u32);
            },
            |scalar| {
                let min = scalar.wide.umin.max(src.wide.umin);
                scalar.wide.set_bitwise(min, known.max());
            },
        );
    }

    /// Both ends are those of the known bits.
    #[inline]
    fn xor(&mut self, src: &Scalar) {
        let known = self.known.xor(src.known);
        self.bitwise(
            known,
            src,
            |scalar| {
                scalar
                    .narrow
                    .set_bitwise(known.value() as u32, known.max() as u32)
            },
            |scalar| scalar.wide.set_bitwise(known.value(), known.max()),
        );
    }

    /// The frame of the bitwise operations: a half is constant if source and *result* are.
    #[inline]
    fn bitwise(
        &mut self,
        known: Tnum,
        src: &Scalar,
        narrow: impl FnOnce(&mut Scalar),
        wide: impl FnOnce(&mut Scalar),
    ) {
        self.known = known;
        if src.known.subreg_is_const() && known.subreg_is_const() {
            self.narrow = Range32::exact(known.value() as u32);
        } else {
            narrow(self);
        }
        if src.known.is_const() && known.is_const() {
            *self = Scalar::constant(known.value());
        } else {
            wide(self);
            self.bounds_from_known();
        }
    }

    /// Shifts the low half's bounds left; if a set bit may be lost, nothing is known.
    #[inline]
    fn lsh_narrow(&mut self, shift: u32) {
        let low = &mut self.narrow;
        low.forget_signed();
        if shift > 31 || u64::from(low.umax) > 1 << (31 - shift) {
            low.forget_unsigned();
        } else {
            low.umin <<= shift;
            low.umax = low.umax.wrapping_shl(shift);
        }
    }

    #[inline]
    fn lsh32(&mut self, src: &Scalar) {
        let shift = src.narrow.umin;
        self.lsh_narrow(shift);
        self.known = self.known.subreg().lshift(shift).subreg();
        self.wide = Range64::UNBOUNDED;
        self.narrow_from_known();
    }

    #[inline]
    fn lsh64(&mut self, src: &Scalar) {
        let shift = src.wide.umin as u32;
        let low = self.narrow;
        let wide = &mut self.wide;
        wide.forget_signed();
        // The first half of a sign extension by shifts: the low half's signed bounds move up.
        if shift == 32 {
            wide.smin = i64::from(low.smin) << 32;
            wide.smax = i64::from(low.smax) << 32;
        }
        if wide.umax > 1 << (63 - shift) {
            wide.forget_unsigned();
        } else {
            wide.umin <<= shift;
            wide.umax <<= shift;
        }
        self.lsh_narrow(shift);
        self.known = self.known.lshift(shift);
        self.bounds_from_known();
    }

    #[inline]
    fn rsh32(&mut self, src: &Scalar) {
        let shift = src.narrow.umin;
        self.known = self.known.subreg().rshift(shift);
        self.narrow.forget_signed();
        self.narrow.umin >>= shift;
        self.narrow.umax >>= shift;
        self.wide = Range64::UNBOUNDED;
        self.narrow_from_known();
    }

    #[inline]
    fn rsh64(&mut self, src: &Scalar) {
        let shift = src.wide.umin as u32;
        self.known = self.known.rshift(shift);
        self.wide.forget_signed();
        self.wide.umin >>= shift;
        self.wide.umax >>= shift;
        self.narrow = Range32::UNBOUNDED;
        self.bounds_from_known();
    }

    #[inline]
    fn arsh32(&mut self, src: &Scalar) {
        let shift = src.narrow.umin;
        self.known = self.known.arshift32(shift);
        self.narrow.smin >>= shift;
        self.narrow.smax >>= shift;
        self.narrow.forget_unsigned();
        self.wide = Range64::UNBOUNDED;
        self.narrow_from_known();
    }

    #[inline]
    fn arsh64(&mut self, src: &Scalar) {
        let shift = src.wide.umin as u32;
        self.known = self.known.arshift(shift);
        self.wide.smin >>= shift;
        self.wide.smax >>= shift;
        self.wide.forget_unsigned();
        self.narrow = Range32::UNBOUNDED;
        self.bounds_from_known();
    }
}
