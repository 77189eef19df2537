//! Queues and stacks. Programs get copies of their values, never pointers.

use std::collections::VecDeque;

use skep_spec::MapSpec;

use super::{Bytes, flags};
use crate::errno::Errno;
use crate::memory::Memory;

#[derive(Debug)]
pub(crate) struct Queue {
    value_size: u64,
    max: usize,
    last_first: bool,
    values: VecDeque<Box<[u8]>>,
}

impl Queue {
    pub(crate) fn new(spec: &MapSpec, last_first: bool) -> Queue {
        Queue {
            value_size: spec.value_size.into(),
            max: spec.max_entries as usize,
            last_first,
            values: VecDeque::new(),
        }
    }

    /// Puts a value in; `BPF_EXIST` makes room by dropping the oldest.
    pub(crate) fn push(&mut self, mem: &Memory, value: Bytes<'_>, flag: u64) -> Result<(), Errno> {
        if flag & flags::NOEXIST != 0 || flag > flags::EXIST {
            return Err(Errno::INVAL);
        }
        if self.values.len() >= self.max {
            if flag & flags::EXIST == 0 {
                return Err(Errno::TOOBIG);
            }
            self.values.pop_front();
        }
        self.values
            .push_back(value.get(mem, self.value_size).into());
        Ok(())
    }

    /// The next value, taken out or not.
    pub(crate) fn get(&mut self, take: bool) -> Option<Box<[u8]>> {
        match (self.last_first, take) {
            (false, true) => self.values.pop_front(),
            (true, true) => self.values.pop_back(),
            (false, false) => self.values.front().cloned(),
            (true, false) => self.values.back().cloned(),
        }
    }
}
