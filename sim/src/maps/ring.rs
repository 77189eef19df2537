//! Ring buffers.
//!
//! A record is a header of 8 bytes and its data, contiguous even where it crosses the end of the ring:
//! the kernel maps the ring twice in a row, we give it twice the room. A program may access a record
//! from its reservation to its submission. The consumer sees records in the order of reservation and
//! stops at the first that is not finished.

use std::collections::VecDeque;

use skep_spec::MapSpec;

use super::MapId;
use super::create::room_for;
use crate::arena::Perm;
use crate::errno::Errno;
use crate::fault::Owner;
use crate::memory::Memory;

/// Bytes in front of a record's data.
const HEADER: u64 = 8;
/// Size of a page, of which a ring is a multiple.
const PAGE: u64 = 4096;
/// Bytes of a record at most: the length field less its two flags.
const MAX_RECORD: u64 = u32::MAX as u64 / 4;

/// How far a record is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RingState {
    /// Reserved: the program still writes it.
    Busy,
    /// Submitted.
    Submitted,
    /// Given up.
    Discarded,
}

/// A finished record, as a consumer sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RingRecord {
    /// Its data.
    pub data: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Guest address of the data.
    at: u64,
    len: u64,
    state: RingState,
}

#[derive(Debug)]
pub(crate) struct Ring {
    base: u64,
    size: u64,
    consumer: u64,
    producer: u64,
    entries: VecDeque<Entry>,
}

impl Ring {
    pub(crate) fn new(mem: &mut Memory, id: MapId, spec: &MapSpec) -> Result<Ring, Errno> {
        let size = Ring::size(spec);
        let base = room_for(mem, 2 * size, Owner::Ring(id.0))?;
        Ok(Ring {
            base,
            size,
            consumer: 0,
            producer: 0,
            entries: VecDeque::new(),
        })
    }

    /// Bytes of a ring: loaders round up to what the kernel takes, a power of two in whole pages.
    pub(crate) fn size(spec: &MapSpec) -> u64 {
        u64::from(spec.max_entries).next_power_of_two().max(PAGE)
    }

    /// Bytes of the ring, bytes that are not consumed yet, and both positions.
    pub(crate) fn positions(&self) -> (u64, u64, u64, u64) {
        let waiting = self.producer - self.consumer;
        (self.size, waiting, self.consumer, self.producer)
    }

    /// Room for a record, or `None` if the ring is full.
    pub(crate) fn reserve(&mut self, mem: &mut Memory, len: u64) -> Option<u64> {
        if len > MAX_RECORD {
            return None;
        }
        let total = (len + HEADER).next_multiple_of(8);
        let producer = self.producer + total;
        if total > self.size || producer - self.consumer > self.size - 1 {
            return None;
        }
        let at = self.base + (self.producer & (self.size - 1)) + HEADER;
        self.producer = producer;
        let state = RingState::Busy;
        self.entries.push_back(Entry { at, len, state });
        mem.allow(at, len, Perm::ReadWrite);
        Some(at)
    }

    /// Finishes the record at an address; `false` if no reserved record begins there.
    pub(crate) fn finish(&mut self, mem: &mut Memory, at: u64, state: RingState) -> bool {
        let busy = |e: &&mut Entry| e.at == at && e.state == RingState::Busy;
        let Some(entry) = self.entries.iter_mut().rev().find(busy) else {
            return false;
        };
        entry.state = state;
        mem.allow(at, entry.len, Perm::No);
        true
    }

    /// Takes out the finished records at the consumer's end.
    pub(crate) fn consume(&mut self, mem: &Memory) -> Vec<RingRecord> {
        let mut records = Vec::new();
        while let Some(entry) = self.entries.front().copied() {
            match entry.state {
                RingState::Busy => break,
                RingState::Discarded => {}
                RingState::Submitted => records.push(RingRecord {
                    data: mem.peek(entry.at, entry.len).to_vec(),
                }),
            }
            self.consumer += (entry.len + HEADER).next_multiple_of(8);
            self.entries.pop_front();
        }
        records
    }
}
