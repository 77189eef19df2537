//! Arenas: pages that programs allocate and share with user space.
//!
//! Programs keep user space's addresses and cast them where they use them; both windows show the same
//! bytes. A kernel's window is 4 GiB, whatever the arena's size, with a guard at either end; what a program
//! does where there is no page has no effect ([`Pages::is_within`]). Here the pages lie in guest memory, in
//! their order and with a guard around them, and every other address of the window is cast to one where no
//! guest memory is. The window of a large arena is cut to its first pages, and allocations beyond fail.

use skep_spec::MapSpec;

use super::MapId;
use super::create::room_for;
use crate::arena::{Perm, layout};
use crate::errno::Errno;
use crate::fault::Owner;
use crate::memory::Memory;

/// Bytes of a page.
const PAGE: u64 = 4096;
/// Pages of a simulated window at most.
const MOST: u32 = 4096;
/// Bytes around the pages: what an instruction's offset reaches, and more.
const GUARD: u64 = 64 << 10;
/// Bytes of a kernel's window.
const WINDOW: u64 = 4 << 30;
/// Bytes that a kernel's window has at either end for what an instruction's offset reaches (`GUARD_SZ / 2`).
const REACH: u64 = 32 << 10;
/// Where user space maps an arena that does not say where.
const USER: u64 = 0x1000_0000_0000;

/// The part of guest memory that holds an arena's pages in their order, and a guard at either end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArenaPlace {
    /// Its address.
    pub addr: u64,
    /// Its bytes.
    pub len: u64,
    /// Address of one byte per page of it: 1 where memory is, else 0.
    pub table: u64,
}

#[derive(Debug)]
pub(crate) struct Pages {
    base: u64,
    table: u64,
    user: u64,
    /// Whether each page is allocated.
    taken: Vec<bool>,
}

impl Pages {
    pub(crate) fn new(mem: &mut Memory, id: MapId, spec: &MapSpec) -> Result<Pages, Errno> {
        let pages = spec.max_entries.min(MOST);
        let len = u64::from(pages) * PAGE;
        let base = GUARD + room_for(mem, len + 2 * GUARD, Owner::Map(id.0))?;
        let table = room_for(mem, (len + 2 * GUARD) / PAGE, Owner::Map(id.0))?;
        let mut all = Pages {
            base,
            table,
            user: if spec.extra == 0 { USER } else { spec.extra },
            taken: vec![false; pages as usize],
        };
        if let Some(init) = &spec.init {
            mem.poke(base, init.get(..len as usize).unwrap_or(init));
            let used = (init.len() as u64).div_ceil(PAGE) as usize;
            let used = used.min(all.taken.len());
            all.taken
                .iter_mut()
                .take(used)
                .for_each(|page| *page = true);
            all.show(mem, 0, used, true);
        }
        Ok(all)
    }

    fn len(&self) -> u64 {
        self.taken.len() as u64 * PAGE
    }

    /// User space's address of a place.
    pub(crate) fn user(&self, off: u64) -> u64 {
        self.user + off
    }

    /// The program's address for user space's, of which only the low half counts. NULL stays NULL, unless
    /// its low half is that of a page.
    pub(crate) fn to_kernel(&self, addr: u64) -> u64 {
        let low = addr as u32;
        let off = u64::from(low.wrapping_sub(self.user as u32));
        if off < self.len() {
            self.base + off
        } else if low == 0 {
            0
        } else {
            layout::ABSENT + u64::from(low)
        }
    }

    /// User space's address for the program's; NULL stays NULL.
    pub(crate) fn to_user(&self, addr: u64) -> u64 {
        let off = addr.wrapping_sub(self.base);
        if off < self.len() {
            return self.user + off;
        }
        let low = addr.wrapping_sub(layout::ABSENT);
        if (1..WINDOW).contains(&low) {
            (self.user & !0xffff_ffff) | low
        } else {
            addr
        }
    }

    /// Whether an address lies in the window or its guards: it is one that a cast gives, or as far from one
    /// as an instruction's offset reaches. A program's access of it that memory refuses misses the pages: a
    /// kernel then goes on with the next instruction (`ex_handler_bpf`).
    pub(crate) fn is_within(&self, addr: u64) -> bool {
        let near = |start: u64, len: u64, reach: u64| {
            addr.wrapping_sub(start.wrapping_sub(reach)) < len + 2 * reach
        };
        near(self.base, self.len(), GUARD)
            || near(layout::ABSENT, WINDOW, REACH)
            || self.to_kernel(0) == 0 && near(0, 1, REACH)
    }

    /// Where the pages lie in guest memory, and their guards.
    pub(crate) fn place(&self) -> ArenaPlace {
        ArenaPlace {
            addr: self.base - GUARD,
            len: self.len() + 2 * GUARD,
            table: self.table,
        }
    }

    /// Notes for whoever compiles programs, and for the shadow, which pages are there.
    fn show(&self, mem: &mut Memory, first: usize, count: usize, there: bool) {
        let (first, count) = (first as u64, count as u64);
        let perm = if there { Perm::ReadWrite } else { Perm::No };
        mem.allow(self.base + first * PAGE, count * PAGE, perm);
        let row = self.table + GUARD / PAGE + first;
        mem.fill(row, count, there.into());
    }

    fn index(&self, addr: u64) -> Option<usize> {
        let off = (addr as u32).wrapping_sub(self.user as u32);
        (addr.is_multiple_of(PAGE) && u64::from(off) < self.len())
            .then_some((u64::from(off) / PAGE) as usize)
    }

    /// Allocates pages there, or anywhere for NULL: user space's address, 0 if there is no room.
    pub(crate) fn allocate(&mut self, mem: &mut Memory, addr: u64, count: u64) -> u64 {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let free = |at: usize| {
            let pages = at
                .checked_add(count)
                .and_then(|end| self.taken.get(at..end));
            pages.is_some_and(|pages| pages.iter().all(|taken| !taken))
        };
        let at = match addr {
            _ if count == 0 => None,
            0 => (0..self.taken.len()).find(|at| free(*at)),
            addr => self.index(addr).filter(|at| free(*at)),
        };
        let Some(at) = at else {
            return 0;
        };
        for page in self.taken.iter_mut().skip(at).take(count) {
            *page = true;
        }
        self.show(mem, at, count, true);
        self.user + at as u64 * PAGE
    }

    /// Gives pages back: what is there is gone.
    pub(crate) fn release(&mut self, mem: &mut Memory, addr: u64, count: u64) {
        let Some(at) = self.index(addr & !(PAGE - 1)) else {
            return;
        };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let count = count.min(self.taken.len() - at);
        for page in self.taken.iter_mut().skip(at).take(count) {
            *page = false;
        }
        mem.fill(self.base + at as u64 * PAGE, count as u64 * PAGE, 0);
        self.show(mem, at, count, false);
    }
}
