//! The arena as a mapping of its own, on 64-bit Linux.
//!
//! The address space is reserved without access rights and without memory; opening a prefix makes it
//! readable and writable. The kernel fills it with zero pages on first touch.

use std::ptr;

/// A reservation of address space, of which the first `open` bytes may be used.
#[derive(Debug)]
pub(super) struct Mapping {
    start: *mut u8,
    reserved: usize,
    open: usize,
}

// SAFETY: `Mapping` owns its address range alone (nobody else unmaps or uses it), and gives access to
// it only through `&self` and `&mut self`, like a `Vec<u8>`.
unsafe impl Send for Mapping {}
// SAFETY: as above; shared references give no access that changes bytes.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Reserves `len` bytes at `at` if nothing lies there, else anywhere. `None` if there is no room.
    pub(super) fn reserve(at: usize, len: usize) -> Option<Mapping> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        for (hint, extra) in [(at, libc::MAP_FIXED_NOREPLACE), (0, 0)] {
            let hint = ptr::without_provenance_mut(hint);
            // SAFETY: a new anonymous mapping; NOREPLACE (or no MAP_FIXED at all) keeps it from
            // replacing a mapping that exists.
            let start = unsafe { libc::mmap(hint, len, libc::PROT_NONE, flags | extra, -1, 0) };
            if start == libc::MAP_FAILED {
                continue;
            }
            let mapping = Mapping {
                start: start.cast(),
                reserved: len,
                open: 0,
            };
            // Kernels before 4.17 take NOREPLACE for a mere hint and map elsewhere, which serves too.
            return Some(mapping);
        }
        None
    }

    /// Makes the first `len` bytes usable.
    pub(super) fn open(&mut self, len: usize) -> bool {
        if len <= self.open {
            return true;
        }
        if len > self.reserved {
            return false;
        }
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the range lies inside the reservation, which this value owns (`len <= reserved`).
        let answer = unsafe { libc::mprotect(self.start.cast(), len, rights) };
        if answer == 0 {
            self.open = len;
        }
        answer == 0
    }

    /// The usable bytes.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: `open` made these bytes readable and writable, anonymous pages are initialised with
        // zeros, the range is owned by this value and borrowed for as long as the slice lives.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.open) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `reserve` with this length and is unmapped once, here; no
        // borrow of it can outlive the value.
        unsafe { libc::munmap(self.start.cast(), self.reserved) };
    }
}
