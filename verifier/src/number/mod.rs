//! The number domain: what is known about a 64-bit value.
//!
//! A [`Scalar`] is known bits ([`Tnum`]) together with signed and unsigned ranges of the whole value
//! ([`Range64`]) and of its low half ([`Range32`]). The operations are exactly as precise as those of
//! the reference kernel, Linux 6.18.44: a tighter result would decide branches that the kernel
//! explores, and so change verdicts and counts. Where several orders of deduction are sound, the
//! kernel's order is kept, because it shows in the result.
//! Nothing here knows registers, instructions' positions, precision marks or text.

mod alu;
mod bounds;
mod compare;
mod refine;
mod resize;
mod scalar;
mod sync;
#[cfg(test)]
mod tests;
mod tnum;

pub use alu::Fork;
pub use bounds::{Range32, Range64};
pub use compare::branch_taken;
pub use refine::{refine, refine_same};
pub use scalar::{BoundsViolation, Scalar};
pub use tnum::Tnum;
