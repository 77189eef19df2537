//! Register names.

use std::fmt;

/// One of the eleven registers a program may name: `r0` to `r9`, and the frame pointer `r10`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Reg {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
}

impl Reg {
    /// All registers in order.
    pub const ALL: [Reg; 11] = [
        Reg::R0,
        Reg::R1,
        Reg::R2,
        Reg::R3,
        Reg::R4,
        Reg::R5,
        Reg::R6,
        Reg::R7,
        Reg::R8,
        Reg::R9,
        Reg::R10,
    ];
    /// The frame pointer, which no instruction may write.
    pub const FP: Reg = Reg::R10;
    /// The argument registers of a call, in order.
    pub const ARGS: [Reg; 5] = [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5];
    /// The registers that a call destroys (`r0` receives the result).
    pub const CALLER_SAVED: [Reg; 6] = [Reg::R0, Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5];

    /// The register of that number, or `None` above 10.
    #[inline]
    pub const fn new(number: u8) -> Option<Reg> {
        if (number as usize) < Reg::ALL.len() {
            Some(Reg::ALL[number as usize])
        } else {
            None
        }
    }

    /// Its number, 0 to 10.
    #[inline]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Its number as an index, 0 to 10.
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.number())
    }
}

impl fmt::Debug for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.number())
    }
}
