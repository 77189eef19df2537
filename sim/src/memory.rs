//! The objects in the arena: given out with red zones, taken back into quarantine, found by address.
//!
//! Everything that a program can point to is an object with an owner. Addresses depend on nothing but
//! the order of allocations. The simulated kernel itself reads and writes without checks (`peek`,
//! `poke`); what a program or a helper's argument does is checked against the shadow and answered with
//! a [`Fault`] that names the object.

use std::collections::{BTreeMap, VecDeque};

use crate::arena::layout::{BASE, RED_ZONE};
use crate::arena::{Arena, Perm, Placement};
use crate::fault::{Access, Fault, Owner, Why};

/// Freed bytes that are kept from reuse, so that a stale pointer is noticed.
const QUARANTINE: u64 = 1 << 20;
/// Bytes of arena that exist from the start.
const FIRST: usize = 512 << 10;

#[derive(Clone, Copy, Debug)]
struct Object {
    len: u64,
    owner: Owner,
    live: bool,
}

/// Guest memory: the arena, and which objects lie in it.
#[derive(Debug)]
pub struct Memory {
    arena: Arena,
    /// Objects by address, freed ones too until their place is used again.
    objects: BTreeMap<u64, Object>,
    next: u64,
    quarantine: VecDeque<u64>,
    quarantined: u64,
    /// Reusable places by their size.
    free: BTreeMap<u64, Vec<u64>>,
    /// Objects that are freed when the run ends: the kernel's grace period.
    retired: Vec<u64>,
}

impl Memory {
    /// An arena that may grow to `limit` bytes.
    pub(crate) fn new(placement: Placement, limit: usize) -> Memory {
        let mut arena = Arena::new(placement, limit);
        // Room for what every kernel has, at once; a smaller limit shows at the first allocation.
        arena.grow(FIRST);
        Memory {
            arena,
            objects: BTreeMap::new(),
            next: BASE + RED_ZONE,
            quarantine: VecDeque::new(),
            quarantined: 0,
            free: BTreeMap::new(),
            retired: Vec::new(),
        }
    }

    /// Guest address of the arena's first byte: always [`BASE`].
    #[inline]
    pub fn base(&self) -> u64 {
        BASE
    }

    /// Where the arena's first byte lies in this process: [`BASE`] itself where that was free. It may
    /// change when the arena grows, unless [`Memory::is_identity`].
    #[inline]
    pub fn host_base(&self) -> *mut u8 {
        self.arena.host_base()
    }

    /// Whether guest addresses are this process's own.
    #[inline]
    pub fn is_identity(&self) -> bool {
        self.arena.host_base().addr() as u64 == BASE
    }

    /// All bytes of the arena, for comparing two kernels.
    pub fn bytes(&self) -> &[u8] {
        self.arena.bytes()
    }

    /// Whether the arena is a mapping, which never moves.
    pub fn is_mapped(&self) -> bool {
        self.arena.is_mapped()
    }

    /// Bytes of the arena that exist now.
    #[inline]
    pub fn committed(&self) -> usize {
        self.arena.len()
    }

    /// Bytes that it may have at most.
    pub fn limit(&self) -> usize {
        self.arena.limit()
    }

    /// A new object of zeros at a multiple of `align` (a power of two, at least 8), which programs may
    /// not access yet. `None` if the arena is full.
    pub(crate) fn alloc(&mut self, len: u64, align: u64, owner: Owner) -> Option<u64> {
        let size = len.max(1).checked_next_multiple_of(8)?;
        let reused = (align <= 8)
            .then(|| self.free.get_mut(&size)?.pop())
            .flatten();
        let addr = match reused {
            Some(addr) => {
                self.fill(addr, size, 0);
                addr
            }
            None => {
                let addr = self.next.checked_next_multiple_of(align.max(8))?;
                let end = addr.checked_add(size)?.checked_add(RED_ZONE)?;
                if !self.arena.grow(usize::try_from(end - BASE).ok()?) {
                    return None;
                }
                self.next = end;
                addr
            }
        };
        let live = true;
        self.objects.insert(addr, Object { len, owner, live });
        Some(addr)
    }

    /// Takes an object back: nobody may access it, and its place is used again only much later.
    pub(crate) fn free(&mut self, addr: u64) {
        let Some(object) = self.objects.get_mut(&addr).filter(|o| o.live) else {
            return;
        };
        object.live = false;
        let len = object.len;
        self.allow(addr, len, Perm::No);
        self.quarantine.push_back(addr);
        self.quarantined += len.max(1).next_multiple_of(8);
        while self.quarantined > QUARANTINE {
            let Some(oldest) = self.quarantine.pop_front() else {
                break;
            };
            let size = self.objects.get(&oldest).map_or(8, |o| o.len);
            let size = size.max(1).next_multiple_of(8);
            self.quarantined = self.quarantined.saturating_sub(size);
            self.free.entry(size).or_default().push(oldest);
        }
    }

    /// Takes an object back as soon as no program runs any more that may still point to it.
    pub(crate) fn retire(&mut self, addr: u64) {
        self.retired.push(addr);
    }

    /// Frees what was retired: no program runs.
    pub(crate) fn end_grace_period(&mut self) {
        for addr in std::mem::take(&mut self.retired) {
            self.free(addr);
        }
    }

    /// Says what programs may do with a range.
    #[inline]
    pub(crate) fn allow(&mut self, addr: u64, len: u64, perm: Perm) {
        if let Some((off, len)) = self.range(addr, len) {
            self.arena.set(off, len, perm);
        }
    }

    /// The same for `8 * N` bytes at a multiple of 8: all rights or none.
    #[inline]
    pub(crate) fn allow_block<const N: usize>(&mut self, addr: u64, on: bool) {
        if let Some((off, _)) = self.range(addr, 8 * N as u64) {
            self.arena.set_block::<N>(off, on);
        }
    }

    /// Offset and length of a range, if it begins inside the arena.
    fn range(&self, addr: u64, len: u64) -> Option<(usize, usize)> {
        let off = usize::try_from(addr.checked_sub(BASE)?).ok()?;
        let room = self.arena.len().checked_sub(off)?;
        Some((off, usize::try_from(len).unwrap_or(usize::MAX).min(room)))
    }

    /// Reads `N` bytes for a program; `None` if it may not ([`Memory::fault`] says why).
    #[inline(always)]
    pub fn load<const N: usize>(&self, addr: u64) -> Option<[u8; N]> {
        self.arena.load(addr)
    }

    /// Writes `N` bytes for a program; `false` if it may not.
    #[inline(always)]
    pub fn store<const N: usize>(&mut self, addr: u64, bytes: [u8; N]) -> bool {
        self.arena.store(addr, bytes)
    }

    /// The bytes of a range that a program may read.
    ///
    /// # Errors
    /// The fault, if it may not.
    pub fn read(&self, addr: u64, len: u64) -> Result<&[u8], Fault> {
        self.check(addr, len, Access::Read)?;
        Ok(self.peek(addr, len))
    }

    /// The bytes of a range that a program may write.
    ///
    /// # Errors
    /// The fault, if it may not.
    pub fn write(&mut self, addr: u64, len: u64) -> Result<&mut [u8], Fault> {
        self.check(addr, len, Access::Write)?;
        Ok(self.peek_mut(addr, len))
    }

    /// Whether a program may access a range. An empty range may be anywhere.
    ///
    /// # Errors
    /// The fault, if it may not.
    pub fn check(&self, addr: u64, len: u64, access: Access) -> Result<(), Fault> {
        if len == 0 {
            return Ok(());
        }
        let denied = || self.fault(addr, len, access);
        let (off, have) = self.range(addr, len).ok_or_else(denied)?;
        let (read, write) = match access {
            Access::Read => (true, false),
            Access::Write => (false, true),
            Access::Atomic => (true, true),
        };
        let refused = (have as u64) < len
            || read && self.arena.first_denied(off, have, false).is_some()
            || write && self.arena.first_denied(off, have, true).is_some();
        if refused { Err(denied()) } else { Ok(()) }
    }

    /// The bytes of a range as the kernel sees them, cut off where the arena ends.
    #[inline]
    pub(crate) fn peek(&self, addr: u64, len: u64) -> &[u8] {
        self.range(addr, len)
            .and_then(|(off, len)| self.arena.bytes().get(off..off + len))
            .unwrap_or(&[])
    }

    /// The same, to be changed.
    #[inline]
    pub(crate) fn peek_mut(&mut self, addr: u64, len: u64) -> &mut [u8] {
        match self.range(addr, len) {
            Some((off, len)) => self
                .arena
                .bytes_mut()
                .get_mut(off..off + len)
                .unwrap_or_default(),
            None => &mut [],
        }
    }

    /// Writes bytes as the kernel does.
    #[inline]
    pub(crate) fn poke(&mut self, addr: u64, bytes: &[u8]) {
        let to = self.peek_mut(addr, bytes.len() as u64);
        let len = to.len().min(bytes.len());
        if let (Some(to), Some(from)) = (to.get_mut(..len), bytes.get(..len)) {
            to.copy_from_slice(from);
        }
    }

    /// Reads a little-endian number of `N` bytes as the kernel does; zeros outside of the arena.
    #[inline]
    pub(crate) fn peek_le<const N: usize>(&self, addr: u64) -> u64 {
        let mut wide = [0; 8];
        for (to, from) in wide.iter_mut().zip(self.peek(addr, N as u64)) {
            *to = *from;
        }
        u64::from_le_bytes(wide)
    }

    /// Writes the low `N` bytes of a number as the kernel does.
    #[inline]
    pub(crate) fn poke_le<const N: usize>(&mut self, addr: u64, value: u64) {
        self.poke(addr, value.to_le_bytes().get(..N).unwrap_or_default());
    }

    /// Sets every byte of a range.
    pub(crate) fn fill(&mut self, addr: u64, len: u64, byte: u8) {
        self.peek_mut(addr, len).fill(byte);
    }

    /// Copies bytes inside the arena as the kernel does; the ranges may overlap.
    pub(crate) fn copy(&mut self, from: u64, to: u64, len: u64) {
        let (Some((from, a)), Some((to, b))) = (self.range(from, len), self.range(to, len)) else {
            return;
        };
        let len = a.min(b);
        self.arena.bytes_mut().copy_within(from..from + len, to);
    }

    /// What is wrong with an access that was refused.
    #[cold]
    pub fn fault(&self, addr: u64, len: u64, access: Access) -> Fault {
        let why = self.why(addr, len, access);
        Fault {
            addr,
            len,
            access,
            why,
        }
    }

    fn why(&self, addr: u64, len: u64, access: Access) -> Why {
        let Some((start, object)) = self.nearest(addr) else {
            return Why::NotMemory;
        };
        let Object {
            len: size, owner, ..
        } = object;
        let inside = addr >= start && addr.saturating_add(len) <= start + size;
        if inside && !object.live {
            return Why::Freed(owner);
        }
        let perms = self.range(addr, 1).map(|(off, _)| self.arena.perm(off));
        match (inside, access, perms) {
            (true, Access::Write | Access::Atomic, Some((true, false))) => Why::ReadOnly(owner),
            (true, Access::Read | Access::Atomic, Some((false, true))) => Why::WriteOnly(owner),
            _ => Why::OutOfObject {
                owner,
                at: addr.wrapping_sub(start) as i64,
                len: size,
            },
        }
    }

    /// The object that an address lies in or, within a red zone or a page of it, beside.
    fn nearest(&self, addr: u64) -> Option<(u64, Object)> {
        const REACH: u64 = 4096;
        let before = self.objects.range(..=addr).next_back();
        let after = self.objects.range(addr..).next();
        let below = before.map(|(&s, &o)| (addr.saturating_sub(s + o.len), s, o));
        let above = after.map(|(&s, &o)| (s - addr, s, o));
        let nearest = match (below, above) {
            (Some(b), Some(a)) if a.0 < b.0 => a,
            (Some(b), _) => b,
            (None, a) => a?,
        };
        (nearest.0 < REACH).then_some((nearest.1, nearest.2))
    }

    /// Start and length of the live object that an address lies in.
    pub(crate) fn object_at(&self, addr: u64) -> Option<(u64, u64, Owner)> {
        let (&start, object) = self.objects.range(..=addr).next_back()?;
        (object.live && addr < start + object.len).then_some((start, object.len, object.owner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Memory {
        Memory::new(Placement::Buffer, 16 << 20)
    }

    #[test]
    fn an_access_beside_an_object_names_it() {
        let mut mem = memory();
        let owner = Owner::Map(3);
        let at = mem.alloc(20, 8, owner).unwrap();
        mem.allow(at, 20, Perm::ReadWrite);
        assert!(mem.check(at, 20, Access::Atomic).is_ok());
        let fault = mem.check(at + 16, 8, Access::Read).unwrap_err();
        assert_eq!(
            fault.why,
            Why::OutOfObject {
                owner,
                at: 16,
                len: 20
            }
        );
        let fault = mem.check(at - 4, 4, Access::Write).unwrap_err();
        assert_eq!(
            fault.why,
            Why::OutOfObject {
                owner,
                at: -4,
                len: 20
            }
        );
        assert_eq!(
            mem.check(0, 1, Access::Read).unwrap_err().why,
            Why::NotMemory
        );
        assert_eq!(
            mem.check(u64::MAX, 8, Access::Read).unwrap_err().why,
            Why::NotMemory
        );
    }

    #[test]
    fn a_freed_object_is_not_reused_soon_and_named_so() {
        let mut mem = memory();
        let owner = Owner::Kernel("thing");
        let first = mem.alloc(64, 8, owner).unwrap();
        mem.allow(first, 64, Perm::ReadWrite);
        mem.free(first);
        assert_eq!(
            mem.check(first, 8, Access::Read).unwrap_err().why,
            Why::Freed(owner)
        );
        assert_ne!(mem.alloc(64, 8, owner), Some(first));
        let mut reused = false;
        for _ in 0..40_000 {
            let next = mem.alloc(64, 8, owner).unwrap();
            reused |= next == first;
            mem.free(next);
        }
        assert!(reused, "quarantine never ends");
    }

    #[test]
    fn read_only_memory_says_so() {
        let mut mem = memory();
        let at = mem.alloc(8, 8, Owner::Context).unwrap();
        mem.allow(at, 8, Perm::Read);
        assert_eq!(mem.load::<8>(at), Some([0; 8]));
        assert!(!mem.store(at, [1u8]));
        assert_eq!(
            mem.fault(at, 1, Access::Write).why,
            Why::ReadOnly(Owner::Context)
        );
    }

    #[test]
    fn an_arena_that_is_full_gives_nothing() {
        let mut mem = Memory::new(Placement::Buffer, 1 << 16);
        assert!(mem.alloc(1 << 20, 8, Owner::Stack).is_none());
        assert!(mem.alloc(u64::MAX, 8, Owner::Stack).is_none());
        assert!(mem.alloc(100, 8, Owner::Stack).is_some());
    }
}
