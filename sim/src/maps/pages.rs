//! Arenas: pages that programs allocate and share with user space.
//!
//! Programs keep user space's addresses and cast them where they use them; both windows show the same
//! bytes. All of the simulated window can be accessed, so that a pointer to a page that was never
//! allocated reads as zeros, as it does in the kernel. The window of a large arena is cut to its first
//! pages, and allocations beyond fail.

use skep_spec::MapSpec;

use super::MapId;
use super::create::room_for;
use crate::arena::Perm;
use crate::errno::Errno;
use crate::fault::Owner;
use crate::memory::Memory;

/// Bytes of a page.
const PAGE: u64 = 4096;
/// Pages of a simulated window at most.
const MOST: u32 = 4096;
/// Where user space maps an arena that does not say where.
const USER: u64 = 0x1000_0000_0000;

#[derive(Debug)]
pub(crate) struct Pages {
    base: u64,
    user: u64,
    /// Whether each page is allocated.
    taken: Vec<bool>,
}

impl Pages {
    pub(crate) fn new(mem: &mut Memory, id: MapId, spec: &MapSpec) -> Result<Pages, Errno> {
        let pages = spec.max_entries.min(MOST);
        let len = u64::from(pages) * PAGE;
        let base = room_for(mem, len, Owner::Map(id.0))?;
        mem.allow(base, len, Perm::ReadWrite);
        let mut taken = vec![false; pages as usize];
        if let Some(init) = &spec.init {
            mem.poke(base, init.get(..len as usize).unwrap_or(init));
            let used = (init.len() as u64).div_ceil(PAGE) as usize;
            taken.iter_mut().take(used).for_each(|page| *page = true);
        }
        Ok(Pages {
            base,
            user: if spec.extra == 0 { USER } else { spec.extra },
            taken,
        })
    }

    fn len(&self) -> u64 {
        self.taken.len() as u64 * PAGE
    }

    /// User space's address of a place.
    pub(crate) fn user(&self, off: u64) -> u64 {
        self.user + off
    }

    /// The program's address for user space's, of which only the low half counts; what lies elsewhere
    /// is no address.
    pub(crate) fn to_kernel(&self, addr: u64) -> u64 {
        if addr as u32 == 0 && self.user as u32 != 0 {
            return 0;
        }
        let off = (addr as u32).wrapping_sub(self.user as u32);
        if u64::from(off) < self.len() {
            self.base + u64::from(off)
        } else {
            addr & 0xffff_ffff
        }
    }

    /// User space's address for the program's; NULL stays NULL.
    pub(crate) fn to_user(&self, addr: u64) -> u64 {
        let off = addr.wrapping_sub(self.base);
        if off < self.len() {
            self.user + off
        } else {
            addr
        }
    }

    fn index(&self, addr: u64) -> Option<usize> {
        let off = (addr as u32).wrapping_sub(self.user as u32);
        (addr.is_multiple_of(PAGE) && u64::from(off) < self.len())
            .then_some((u64::from(off) / PAGE) as usize)
    }

    /// Allocates pages there, or anywhere for NULL: user space's address, 0 if there is no room.
    pub(crate) fn allocate(&mut self, addr: u64, count: u64) -> u64 {
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
        self.user + at as u64 * PAGE
    }

    /// Gives pages back: what is there is gone.
    pub(crate) fn release(&mut self, mem: &mut Memory, addr: u64, count: u64) {
        let Some(at) = self.index(addr & !(PAGE - 1)) else {
            return;
        };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        for (i, page) in self.taken.iter_mut().enumerate().skip(at).take(count) {
            *page = false;
            mem.fill(self.base + i as u64 * PAGE, PAGE, 0);
        }
    }
}
