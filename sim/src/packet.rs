//! The memory of the one packet that is being processed, with head and tail room.
//!
//! The packet is what lies between `start` and `end`; bytes before `start` down to `meta` are its
//! metadata. Programs may access exactly `meta..end`.

use crate::arena::Perm;
use crate::fault::Owner;
use crate::memory::Memory;

/// Bytes of the room: the longest packet and enough around it.
const ROOM: u64 = 192 << 10;

/// The room for a packet, and the window of it that programs see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Room {
    base: u64,
    meta: u64,
    end: u64,
    perm: Perm,
}

impl Room {
    pub(crate) fn new(mem: &mut Memory) -> Option<Room> {
        let base = mem.alloc(ROOM, 4096, Owner::Packet)?;
        Some(Room {
            base,
            meta: base,
            end: base,
            perm: Perm::No,
        })
    }

    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    pub(crate) fn limit(&self) -> u64 {
        self.base + ROOM
    }

    /// Shows programs another window.
    pub(crate) fn show(&mut self, mem: &mut Memory, meta: u64, end: u64, perm: Perm) {
        if (meta, end, perm) == (self.meta, self.end, self.perm) {
            return;
        }
        mem.allow(self.meta, self.end - self.meta, Perm::No);
        let end = end.max(meta);
        mem.allow(meta, end - meta, perm);
        (self.meta, self.end, self.perm) = (meta, end, perm);
    }
}
