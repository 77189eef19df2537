//! Changing the width: truncation, zero extension, sign extension, and what a load yields.
//!
//! Sign extension to 64 bits does not synchronise afterwards, as in the kernel; the looseness is
//! visible until the next operation.

use super::{Range32, Range64, Scalar, Tnum};
use skep_isa::{Size, Width};

impl Scalar {
    /// An unsigned load of this size from memory with unknown content.
    #[inline]
    pub const fn loaded(size: Size) -> Scalar {
        let max = match size {
            Size::B => u8::MAX as u64,
            Size::H => u16::MAX as u64,
            Size::W => u32::MAX as u64,
            Size::DW => return Scalar::UNKNOWN,
        };
        let narrow = match size {
            // The low half takes all values, negative ones too.
            Size::W | Size::DW => Range32::UNBOUNDED,
            Size::B | Size::H => Range32 {
                umin: 0,
                umax: max as u32,
                smin: 0,
                smax: max as i32,
            },
        };
        Scalar {
            known: Tnum::new(0, max),
            wide: Range64 {
                umin: 0,
                umax: max,
                smin: 0,
                smax: max as i64,
            },
            narrow,
        }
    }

    /// A sign-extending load of this size from memory with unknown content.
    #[inline]
    pub fn loaded_signed(size: Size) -> Scalar {
        Scalar::unknown().sign_extend(size.bits() as u8, Width::W64)
    }

    /// The low bytes, zero-extended (`coerce_reg_to_size`); eight bytes change nothing.
    #[inline]
    pub fn truncate(mut self, size: Size) -> Scalar {
        if size == Size::DW {
            return self;
        }
        if self.is_unknown() {
            return Scalar::loaded(size);
        }
        self.known = self.known.cast(size.bytes());
        let keep = (1u64 << size.bits()) - 1;
        let wide = &mut self.wide;
        // If the bits that are cut off do not vary, the ends of the range keep their order.
        (wide.umin, wide.umax) = if wide.umin & !keep == wide.umax & !keep {
            (wide.umin & keep, wide.umax & keep)
        } else {
            (0, keep)
        };
        (wide.smin, wide.smax) = (wide.umin as i64, wide.umax as i64);
        if size != Size::W {
            self.narrow = Range32::UNBOUNDED;
        }
        self.sync();
        self
    }

    /// The low half, zero-extended: a 32-bit move.
    #[inline]
    pub fn zero_extend(mut self) -> Scalar {
        self.zero_high_half();
        self.sync();
        self
    }

    /// Sets the high half to zero after a 32-bit operation, without synchronising
    /// (`zext_32_to_64`).
    #[inline]
    pub(super) fn zero_high_half(&mut self) {
        self.known = self.known.subreg();
        let low = self.narrow;
        (self.wide.umin, self.wide.umax) = (u64::from(low.umin), u64::from(low.umax));
        (self.wide.smin, self.wide.smax) = if low.smin >= 0 && low.smax >= 0 {
            (i64::from(low.smin), i64::from(low.smax))
        } else {
            (0, i64::from(u32::MAX))
        };
    }

    /// The low `bits` (8, 16, 32), sign-extended to `width`; a 32-bit result is zero-extended from
    /// there. Other bit numbers change nothing.
    #[inline]
    pub fn sign_extend(self, bits: u8, width: Width) -> Scalar {
        match (width, bits) {
            (Width::W64, 8 | 16 | 32) => self.sign_extend_wide(u32::from(bits)),
            (Width::W32, 8 | 16) => self.sign_extend_narrow(u32::from(bits)).zero_extend(),
            (Width::W32, 32) => self.zero_extend(),
            (Width::W32 | Width::W64, _) => self,
        }
    }

    /// `coerce_reg_to_size_sx`.
    fn sign_extend_wide(self, bits: u32) -> Scalar {
        let extend = |value: i64| (value << (64 - bits)) >> (64 - bits);
        if let Some(value) = self.const_value() {
            return Scalar::constant(extend(value as i64) as u64);
        }
        let Range64 { smin, smax, .. } = self.wide;
        if smin >> bits == smax >> bits {
            let (a, b) = (extend(smin), extend(smax));
            let (min, max) = (a.min(b), a.max(b));
            if (min >= 0) == (max >= 0) {
                return Scalar {
                    known: Tnum::range(min as u64, max as u64),
                    wide: Range64 {
                        umin: min as u64,
                        umax: max as u64,
                        smin: min,
                        smax: max,
                    },
                    narrow: Range32 {
                        umin: min as u32,
                        umax: max as u32,
                        smin: min as i32,
                        smax: max as i32,
                    },
                };
            }
        }
        let (min, max) = (-1i64 << (bits - 1), (1i64 << (bits - 1)) - 1);
        Scalar {
            known: Tnum::UNKNOWN,
            wide: Range64 {
                smin: min,
                smax: max,
                ..Range64::UNBOUNDED
            },
            narrow: Range32 {
                smin: min as i32,
                smax: max as i32,
                ..Range32::UNBOUNDED
            },
        }
    }

    /// `coerce_subreg_to_size_sx`: changes known bits and the low half's ranges only; the caller
    /// zero-extends.
    fn sign_extend_narrow(mut self, bits: u32) -> Scalar {
        let extend = |value: i32| (value << (32 - bits)) >> (32 - bits);
        if let Some(value) = self.const_value() {
            let value = extend(value as i32);
            self.known = Tnum::constant(i64::from(value) as u64);
            self.narrow = Range32::exact(value as u32);
            return self;
        }
        let Range32 { smin, smax, .. } = self.narrow;
        if smin >> bits == smax >> bits {
            let (a, b) = (extend(smin), extend(smax));
            let (min, max) = (a.min(b), a.max(b));
            if (min >= 0) == (max >= 0) {
                self.known = Tnum::range(i64::from(min) as u64, i64::from(max) as u64).subreg();
                self.narrow = Range32 {
                    umin: min as u32,
                    umax: max as u32,
                    smin: min,
                    smax: max,
                };
                return self;
            }
        }
        self.known = Tnum::UNKNOWN.subreg();
        self.narrow = Range32 {
            smin: -1i32 << (bits - 1),
            smax: (1i32 << (bits - 1)) - 1,
            ..Range32::UNBOUNDED
        };
        self
    }
}
