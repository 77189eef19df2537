//! Questions with a right answer: two that should agree are asked, and a difference is a finding.

mod guest;
mod interp;
mod kernel;

pub use guest::{GuestKernel, guest_facts};
pub use interp::{Runs, accepted_never_traps};
pub use kernel::{Agreement, Answered, Difference, Figures, LiveKernel, Side, live_facts};
