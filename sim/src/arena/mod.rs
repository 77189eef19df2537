//! The bytes that programs can address, and the check that every access passes.
//!
//! Invariant: a shadow bit is set only for a byte below `len`, and `ptr` points to `len` initialised
//! bytes that `backing` owns. So an access whose bits are all set needs no other check. What the bytes
//! mean (objects, red zones, who may access what) is decided in [`crate::memory`].

mod backing;
pub mod layout;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod mapped;
mod shadow;

pub use backing::Placement;

use backing::Backing;
use layout::BASE;
use shadow::Shadow;

/// The arena grows by multiples of this many bytes: the largest page size in use.
const STEP: usize = 64 << 10;

/// Which accesses a range allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Perm {
    /// None.
    No,
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Both.
    ReadWrite,
}

impl Perm {
    const fn bits(self) -> (bool, bool) {
        match self {
            Perm::No => (false, false),
            Perm::Read => (true, false),
            Perm::Write => (false, true),
            Perm::ReadWrite => (true, true),
        }
    }
}

/// The arena: bytes and shadow. Addresses are offsets from [`BASE`] here.
#[derive(Debug)]
pub(crate) struct Arena {
    ptr: *mut u8,
    len: usize,
    limit: usize,
    readable: Shadow,
    writable: Shadow,
    backing: Backing,
}

// SAFETY: `ptr` is derived from `backing`, which the arena owns and which is Send; all access to it
// goes through `&self` (reads) and `&mut self` (writes).
unsafe impl Send for Arena {}
// SAFETY: as above; `&self` only reads.
unsafe impl Sync for Arena {}

impl Arena {
    pub(crate) fn new(placement: Placement, limit: usize) -> Arena {
        let limit = limit.min(layout::LIMIT).next_multiple_of(STEP);
        let mut arena = Arena {
            ptr: std::ptr::NonNull::dangling().as_ptr(),
            len: 0,
            limit,
            readable: Shadow::default(),
            writable: Shadow::default(),
            backing: Backing::new(placement, limit),
        };
        arena.adopt();
        arena
    }

    /// Takes the backing's address and length anew.
    fn adopt(&mut self) {
        let bytes = self.backing.bytes_mut();
        self.ptr = bytes.as_mut_ptr();
        // The shadow has room for these bytes: `grow` made it before the backing grew.
        self.len = bytes.len().min(self.shadow_room());
    }

    fn shadow_room(&self) -> usize {
        let bytes = self
            .readable
            .as_slice()
            .len()
            .min(self.writable.as_slice().len());
        bytes.saturating_sub(1).saturating_mul(8)
    }

    /// Makes the first `len` bytes exist. `false` if there is no room for them.
    pub(crate) fn grow(&mut self, len: usize) -> bool {
        if len <= self.len {
            return true;
        }
        if len > self.limit {
            return false;
        }
        // Doubling keeps a buffer from being copied over and over.
        let len = len
            .max(self.len.saturating_mul(2))
            .next_multiple_of(STEP)
            .min(self.limit);
        let grown = self.readable.grow(len) && self.writable.grow(len) && self.backing.grow(len);
        self.adopt();
        grown
    }

    /// Bytes that exist.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that may exist at most.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Where the first byte lies in this process.
    #[inline]
    pub(crate) fn host_base(&self) -> *mut u8 {
        self.ptr
    }

    /// Whether the first byte never moves.
    pub(crate) fn is_mapped(&self) -> bool {
        self.backing.is_mapped()
    }

    /// Says what programs may do with a range. What lies outside of the arena is ignored.
    pub(crate) fn set(&mut self, off: usize, len: usize, perm: Perm) {
        // Clamped to `len`: the invariant of the module.
        let off = off.min(self.len);
        let len = len.min(self.len - off);
        let (read, write) = perm.bits();
        self.readable.set(off, len, read);
        self.writable.set(off, len, write);
    }

    /// The same for the `8 * N` bytes from a multiple of 8 on: all or no rights.
    #[inline]
    pub(crate) fn set_block<const N: usize>(&mut self, off: usize, on: bool) {
        // The invariant of the module: no bit beyond `len`.
        if off.saturating_add(8 * N) <= self.len {
            self.readable.set_block::<N>(off, on);
            self.writable.set_block::<N>(off, on);
        }
    }

    /// The first byte of the range that may not be read (or written).
    pub(crate) fn first_denied(&self, off: usize, len: usize, write: bool) -> Option<usize> {
        let shadow = if write {
            &self.writable
        } else {
            &self.readable
        };
        shadow.first_clear(off, len)
    }

    /// Whether a byte may be read, and whether it may be written.
    pub(crate) fn perm(&self, off: usize) -> (bool, bool) {
        (self.readable.is_set(off), self.writable.is_set(off))
    }

    /// All bytes, for the simulated kernel, which may do everything.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `ptr` points to `len` initialised bytes owned by `backing` (invariant), which
        // `&self` keeps unchanged.
        unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
    }

    /// All bytes, to be changed by the simulated kernel.
    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; `&mut self` makes the borrow unique.
        unsafe { std::slice::from_raw_parts_mut(self.ptr, self.len) }
    }

    /// Where `N` bytes at a guest address begin, if a program may access them all.
    #[inline(always)]
    fn allowed<const N: usize>(&self, shadow: &Shadow, addr: u64) -> Option<usize> {
        const { assert!(N >= 1 && N <= 8) };
        let off = addr.wrapping_sub(BASE);
        if off >= self.len as u64 {
            return None;
        }
        let off = off as usize;
        let bits = shadow.as_slice();
        // SAFETY: `off < len`, and both shadows have at least `len / 8 + 1` bytes (`adopt`), so bytes
        // `off / 8` and `off / 8 + 1` exist.
        let pair = unsafe { bits.as_ptr().add(off / 8).cast::<[u8; 2]>().read() };
        let want = (1u32 << N) - 1;
        let have = u32::from(u16::from_le_bytes(pair)) >> (off % 8);
        (have & want == want).then_some(off)
    }

    /// Reads `N` bytes at a guest address; `None` if a program may not.
    #[inline(always)]
    pub(crate) fn load<const N: usize>(&self, addr: u64) -> Option<[u8; N]> {
        let off = self.allowed::<N>(&self.readable, addr)?;
        // SAFETY: the readable bits of all `N` bytes are set, so they lie below `len` and are
        // initialised (invariant); arrays of bytes need no alignment.
        Some(unsafe { self.ptr.add(off).cast::<[u8; N]>().read() })
    }

    /// Writes `N` bytes at a guest address; `false` if a program may not.
    #[inline(always)]
    pub(crate) fn store<const N: usize>(&mut self, addr: u64, bytes: [u8; N]) -> bool {
        let Some(off) = self.allowed::<N>(&self.writable, addr) else {
            return false;
        };
        // SAFETY: as in `load`, and `&mut self` makes the access unique.
        unsafe { self.ptr.add(off).cast::<[u8; N]>().write(bytes) };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both() -> [Arena; 2] {
        [Placement::Fixed, Placement::Buffer].map(|p| Arena::new(p, 1 << 20))
    }

    #[test]
    fn loads_see_stores_and_stop_at_the_shadow() {
        for mut arena in both() {
            assert!(arena.grow(100));
            assert_eq!(arena.load::<1>(BASE), None);
            arena.set(8, 11, Perm::ReadWrite);
            assert!(arena.store(BASE + 11, 0x1122_3344_5566_7788u64.to_le_bytes()));
            assert_eq!(arena.load(BASE + 12), Some([0x77, 0x66, 0x55, 0x44]));
            assert!(!arena.store(BASE + 12, [0u8; 8]));
            assert_eq!(arena.load::<2>(BASE + 7), None);
            arena.set(8, 8, Perm::Read);
            assert!(!arena.store(BASE + 11, [0u8; 8]));
            assert_eq!(
                arena.load::<8>(BASE + 11),
                Some(0x1122_3344_5566_7788u64.to_le_bytes())
            );
        }
    }

    #[test]
    fn a_range_set_beyond_the_end_allows_nothing_there() {
        for mut arena in both() {
            assert!(arena.grow(1));
            let len = arena.len();
            arena.set(len - 4, 100, Perm::ReadWrite);
            assert_eq!(arena.load::<4>(BASE + len as u64 - 4), Some([0; 4]));
            assert_eq!(arena.load::<8>(BASE + len as u64 - 4), None);
            assert_eq!(arena.load::<1>(BASE + len as u64), None);
        }
    }

    #[test]
    fn growth_keeps_contents_and_stops_at_the_limit() {
        for mut arena in both() {
            assert!(arena.grow(10));
            arena.set(0, 8, Perm::ReadWrite);
            assert!(arena.store(BASE, [7u8; 8]));
            assert!(arena.grow(1 << 20));
            assert_eq!(arena.load::<8>(BASE), Some([7; 8]));
            assert!(!arena.grow((1 << 20) + 1));
        }
    }

    #[test]
    fn two_arenas_at_once_have_the_same_guest_addresses() {
        let (mut a, mut b) = (
            Arena::new(Placement::Fixed, 1 << 20),
            Arena::new(Placement::Fixed, 1 << 20),
        );
        assert!(a.grow(8) && b.grow(8));
        a.set(0, 8, Perm::ReadWrite);
        b.set(0, 8, Perm::ReadWrite);
        assert!(a.store(BASE, [1u8; 8]) && b.store(BASE, [2u8; 8]));
        assert_eq!(a.load::<8>(BASE), Some([1; 8]));
        assert_ne!(a.host_base(), b.host_base());
    }
}
