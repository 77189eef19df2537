//! What is done and kept beside walking: work and memory that the count of instructions does not bound.
//!
//! Going back for marks, spreading liveness and comparing with remembered states can each take the
//! square of a program's length, and states can hold as much as a path can acquire. Kernels go on for
//! minutes or until memory runs out; here there is a named limit, far above what programs need.

use crate::violation::{Check, Stop};

/// Small pieces of work, each a few nanoseconds: instructions gone back over, states looked at,
/// instructions whose liveness was found anew. The kernel's own selftests need 22 million at most.
const MAX_STEPS: u64 = 1 << 27;
/// Bytes in remembered states and pending branches. The kernel's own selftests need 16 MB at most.
const MAX_BYTES: usize = 320 << 20;

/// Work done and memory in use, roughly.
#[derive(Debug, Default)]
pub(crate) struct Effort {
    steps: u64,
    bytes: usize,
}

impl Effort {
    /// That much was done.
    #[inline]
    pub(crate) fn spend(&mut self, steps: usize) {
        self.steps += steps as u64;
    }

    /// That much is kept from now on.
    #[inline]
    pub(crate) fn keep(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// That much is kept no longer.
    #[inline]
    pub(crate) fn give_back(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Ends the verification without a verdict if it does or keeps too much.
    #[inline]
    pub(crate) fn check(&self) -> Check<()> {
        if self.steps > MAX_STEPS {
            return Err(Stop::undecided("bookkeeping of this length"));
        }
        if self.bytes > MAX_BYTES {
            return Err(Stop::undecided("remembered states of this size"));
        }
        Ok(())
    }
}
