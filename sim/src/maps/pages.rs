//! Arenas: pages that programs allocate and share with user space.
//!
//! Programs keep user space's addresses and cast them where they use them; both windows show the same
//! bytes. A kernel's window is 4 GiB, whatever the arena's size, with a guard at either end; what a program
//! does where there is no page has no effect ([`Pages::is_within`]). Here the pages lie in guest memory, in
//! their order and with a guard around them, and every other address of the window is cast to one where no
//! guest memory is. Of a large arena the first and the last pages are there, with guards between, and
//! allocations of others fail.

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
const MOST: u64 = 4096;
/// Bytes around the pages: what an instruction's offset reaches, and more.
const GUARD: u64 = 64 << 10;
/// Pages between the first and the last ones of a large arena: a guard for either.
const GAP: u64 = 2 * GUARD / PAGE;
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
    /// Pages before those that are left out.
    low: usize,
    /// Pages that are left out.
    hidden: u64,
    /// Whether each page is allocated, as those are in the place of what is left out.
    taken: Vec<bool>,
}

impl Pages {
    pub(crate) fn new(mem: &mut Memory, id: MapId, spec: &MapSpec) -> Result<Pages, Errno> {
        let all = u64::from(spec.max_entries).min(WINDOW / PAGE);
        let large = all > MOST + GAP;
        let (low, gap, hidden) = if large {
            (MOST / 2, GAP, all - MOST)
        } else {
            (all, 0, 0)
        };
        let pages = (all - hidden + gap) as usize;
        let len = pages as u64 * PAGE;
        let base = GUARD + room_for(mem, len + 2 * GUARD, Owner::Map(id.0))?;
        let table = room_for(mem, (len + 2 * GUARD) / PAGE, Owner::Map(id.0))?;
        let mut all = Pages {
            base,
            table,
            user: if spec.extra == 0 { USER } else { spec.extra },
            low: low as usize,
            hidden,
            taken: vec![false; pages],
        };
        let between = all.taken.iter_mut().skip(all.low).take(gap as usize);
        between.for_each(|page| *page = true);
        if let Some(init) = &spec.init {
            let room = all.low * PAGE as usize;
            mem.poke(base, init.get(..room).unwrap_or(init));
            let used = (init.len() as u64).div_ceil(PAGE) as usize;
            let used = used.min(all.low);
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

    /// Where those pages lie that are behind what is left out: by how many more their numbers are.
    fn shift(&self) -> u64 {
        self.hidden
            .saturating_sub(if self.hidden == 0 { 0 } else { GAP })
    }

    /// Where a byte of the window lies behind the first page, if its page is there.
    fn at(&self, off: u64) -> Option<u64> {
        let low = self.low as u64 * PAGE;
        if off < low {
            return Some(off);
        }
        let high = low + self.hidden * PAGE;
        let at = off.checked_sub(high)? + high - self.shift() * PAGE;
        (at < self.len()).then_some(at)
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
        match self.at(off) {
            Some(at) => self.base + at,
            None if low == 0 => 0,
            None => layout::ABSENT + u64::from(low),
        }
    }

    /// User space's address for the program's; NULL stays NULL.
    pub(crate) fn to_user(&self, addr: u64) -> u64 {
        let off = addr.wrapping_sub(self.base);
        if off < self.len() {
            // What lies between belongs to the nearer ones.
            let high = off >= self.low as u64 * PAGE + GUARD;
            let shift = if high { self.shift() * PAGE } else { 0 };
            return self.user + off + shift;
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
        let at = self.at(off.into())?;
        addr.is_multiple_of(PAGE).then_some((at / PAGE) as usize)
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
            // Behind the first ones would come those that are left out.
            0 => (0..self.low).find(|at| free(*at)),
            addr => self.index(addr).filter(|at| free(*at)),
        };
        let Some(at) = at else {
            return 0;
        };
        for page in self.taken.iter_mut().skip(at).take(count) {
            *page = true;
        }
        self.show(mem, at, count, true);
        self.to_user(self.base + at as u64 * PAGE)
    }

    /// Gives pages back: what is there is gone.
    pub(crate) fn release(&mut self, mem: &mut Memory, addr: u64, count: u64) {
        let off = (addr as u32 & !(PAGE as u32 - 1)).wrapping_sub(self.user as u32);
        let end = u64::from(off).saturating_add(count.saturating_mul(PAGE));
        let low = self.low as u64 * PAGE;
        let high = low + self.hidden * PAGE;
        let back = self.shift() * PAGE;
        // Those before and those behind what is left out.
        let first = u64::from(off).min(low)..end.min(low);
        let last = u64::from(off).max(high) - back..end.max(high) - back;
        for part in [first, last] {
            let at = (part.start / PAGE) as usize;
            let count = ((part.end - part.start) / PAGE) as usize;
            let count = count.min(self.taken.len().saturating_sub(at));
            if count == 0 {
                continue;
            }
            for page in self.taken.iter_mut().skip(at).take(count) {
                *page = false;
            }
            mem.fill(self.base + at as u64 * PAGE, count as u64 * PAGE, 0);
            self.show(mem, at, count, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use skep_spec::MapType;

    use super::*;
    use crate::arena::Placement;

    fn arena(pages: u32) -> (Memory, Pages) {
        let mut mem = Memory::new(Placement::Fixed, layout::LIMIT);
        let spec = MapSpec::new("arena", MapType::Arena, 0, 0, pages);
        let pages = Pages::new(&mut mem, MapId(0), &spec).unwrap();
        (mem, pages)
    }

    #[test]
    fn the_last_pages_of_a_large_arena_are_there() {
        let (mut mem, mut pages) = arena(1 << 20);
        let last = USER + WINDOW - PAGE;
        assert_eq!(pages.allocate(&mut mem, 0, 1), USER);
        assert_eq!(pages.allocate(&mut mem, last, 1), last);
        // The first page again, as far as 32 bits say.
        assert_eq!(pages.allocate(&mut mem, USER + WINDOW, 1), 0);
        assert_eq!(pages.allocate(&mut mem, last - PAGE, 2), 0);
        assert_eq!(pages.allocate(&mut mem, USER + WINDOW / 2, 1), 0);
        assert_eq!(pages.allocate(&mut mem, 0, MOST / 2), 0);
        assert_eq!(pages.allocate(&mut mem, 0, MOST / 2 - 1), USER + PAGE);
        for user in [USER, USER + 5, last + 7, last - PAGE] {
            let kernel = pages.to_kernel(user);
            assert!(pages.is_within(kernel) && kernel < layout::ABSENT);
            assert_eq!(pages.to_user(kernel), user);
        }
        // Beside the pages that are there is nothing.
        let [first, end] = [USER, last].map(|user| pages.to_kernel(user));
        for beside in [first - 1, end + PAGE, end - 1, first + MOST / 2 * PAGE] {
            assert!(pages.is_within(beside));
            assert!(mem.read(beside, 1).is_err(), "{beside:#x}");
        }
        assert!(mem.write(end, 1).is_ok());
        let middle = pages.to_kernel(USER + WINDOW / 2);
        assert!(middle >= layout::ABSENT);
        assert_eq!(pages.to_user(middle), USER + WINDOW / 2);
    }

    #[test]
    fn pages_are_given_back_on_both_sides_of_what_is_left_out() {
        let (mut mem, mut pages) = arena(1 << 20);
        let last = USER + WINDOW - PAGE;
        let low = (MOST / 2 - 1) * PAGE;
        for user in [USER, USER + low, last - PAGE, last] {
            assert_eq!(pages.allocate(&mut mem, user, 1), user);
            let at = pages.to_kernel(user);
            mem.write(at, 1).unwrap()[0] = 1;
        }
        // All but the first and the last one.
        pages.release(&mut mem, USER + PAGE, (1 << 20) - 2);
        for (user, there) in [
            (USER, true),
            (USER + low, false),
            (last - PAGE, false),
            (last, true),
        ] {
            assert_eq!(
                mem.read(pages.to_kernel(user), 1).is_ok(),
                there,
                "{user:#x}"
            );
            assert_eq!(pages.allocate(&mut mem, user, 1) == user, !there);
        }
        // What comes back is empty.
        assert_eq!(mem.read(pages.to_kernel(last - PAGE), 1).unwrap(), [0]);
    }

    #[test]
    fn smaller_arenas_are_there_as_a_whole() {
        for count in [1, MOST as u32, (MOST + GAP) as u32, (MOST + GAP) as u32 + 1] {
            let (mut mem, mut pages) = arena(count);
            let last = USER + (u64::from(count) - 1) * PAGE;
            assert_eq!(pages.allocate(&mut mem, last, 1), last);
            assert_eq!(pages.allocate(&mut mem, last + PAGE, 1), 0);
            let whole = u64::from(count) <= MOST + GAP;
            let middle = USER + u64::from(count / 2) * PAGE;
            if count > 1 {
                assert_eq!(pages.allocate(&mut mem, middle, 1) == middle, whole);
            }
        }
    }
}
