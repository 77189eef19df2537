//! Ring buffers that user space writes and programs drain.

use std::collections::VecDeque;

use skep_spec::MapSpec;

use super::Ring;
use crate::errno::Errno;

/// Bytes in front of a sample's data.
const HEADER: u64 = 8;

#[derive(Debug)]
pub(crate) struct UserRing {
    size: u64,
    used: u64,
    samples: VecDeque<Vec<u8>>,
}

impl UserRing {
    pub(crate) fn new(spec: &MapSpec) -> UserRing {
        UserRing {
            size: Ring::size(spec),
            used: 0,
            samples: VecDeque::new(),
        }
    }

    fn room(len: usize) -> u64 {
        (len as u64 + HEADER).next_multiple_of(8)
    }

    /// Adds a sample, as `user_ring_buffer__reserve` and `__submit` do.
    pub(crate) fn produce(&mut self, data: &[u8]) -> Result<(), Errno> {
        let room = UserRing::room(data.len());
        if room > self.size {
            return Err(Errno::TOOBIG);
        }
        if self.used + room > self.size {
            return Err(Errno::NOSPC);
        }
        self.used += room;
        self.samples.push_back(data.to_vec());
        Ok(())
    }

    /// Takes the oldest sample.
    pub(crate) fn take(&mut self) -> Option<Vec<u8>> {
        let sample = self.samples.pop_front()?;
        self.used -= UserRing::room(sample.len());
        Some(sample)
    }
}
