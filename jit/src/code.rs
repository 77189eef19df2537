//! Memory for machine code: written once, then sealed so that it can be executed and never changed.
//!
//! Asking the system for memory takes longer than compiling a small program, so that programs of a thread
//! share mappings, each with pages of its own.

use std::cell::RefCell;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of a page.
const PAGE: usize = 4096;
/// Bytes of a mapping, unless one program needs more.
const CHUNK: usize = 64 << 10;

/// A mapping, whose pages are given out one after the other.
#[derive(Debug)]
struct Chunk {
    start: *mut u8,
    len: usize,
}

// SAFETY: the pages belong to the values of `Code` that they were given to; the chunk itself only ends the
// mapping when the last of them is gone.
unsafe impl Send for Chunk {}
// SAFETY: as above.
unsafe impl Sync for Chunk {}

/// Bytes from our own code down to where mappings are asked for: room for whatever the system has put there.
const BELOW: usize = 64 << 20;

/// Where the last mapping was asked for.
static LOWEST: AtomicUsize = AtomicUsize::new(0);

/// Where a mapping would lie well: below our own code, since processors predict calls and returns over
/// more than 2 GiB less well.
fn wish(len: usize) -> usize {
    let ours: fn(usize) -> usize = wish;
    let first = (ours as *const ()).addr().saturating_sub(BELOW) & !(CHUNK - 1);
    let below = |lowest| {
        let top = if lowest == 0 { first } else { lowest };
        top.saturating_sub(len.next_multiple_of(CHUNK)).max(CHUNK)
    };
    let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
    // It never fails: there is always a lower place, or the lowest one again.
    let before = LOWEST.fetch_update(set, get, |lowest| Some(below(lowest)));
    below(before.unwrap_or_default())
}

impl Chunk {
    fn new(len: usize) -> Option<Chunk> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        let wish = ptr::without_provenance_mut(wish(len));
        // SAFETY: a new anonymous mapping touches nothing that exists: without `MAP_FIXED` an address is
        // but a wish, and taken pages stay as they are.
        let start = unsafe { libc::mmap(wish, len, rights, flags, -1, 0) };
        let start = start.cast::<u8>();
        (start.cast() != libc::MAP_FAILED).then_some(Chunk { start, len })
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, unmapped once, when no code in it is left; whoever runs
        // code borrows it.
        unsafe { libc::munmap(self.start.cast(), self.len) };
    }
}

/// The mapping that a thread takes pages from, and how many bytes of it are taken.
struct Current {
    chunk: Arc<Chunk>,
    taken: usize,
}

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

/// Takes so many bytes, a multiple of [`PAGE`], of a mapping with room for them: where they begin in it.
fn take(len: usize) -> Option<(Arc<Chunk>, usize)> {
    CURRENT
        .try_with(|current| {
            let mut current = current.borrow_mut();
            if let Some(current) = current.as_mut()
                && current.chunk.len - current.taken >= len
            {
                let at = current.taken;
                current.taken += len;
                return Some((Arc::clone(&current.chunk), at));
            }
            let chunk = Arc::new(Chunk::new(len.max(CHUNK))?);
            *current = Some(Current {
                chunk: Arc::clone(&chunk),
                taken: len,
            });
            Some((chunk, 0))
        })
        .ok()
        .flatten()
}

/// Executable code.
#[derive(Debug)]
pub(crate) struct Code {
    /// What the code lies in, kept for as long.
    _chunk: Arc<Chunk>,
    start: *const u8,
    len: usize,
    entry: *const u8,
}

// SAFETY: the pages belong to this value alone and are never written after `new`, so that it can move to
// and be read from other threads.
unsafe impl Send for Code {}
// SAFETY: as above.
unsafe impl Sync for Code {}

impl Code {
    /// Puts code into pages of its own, a run of which begins at `entry`. `None` if there are none.
    pub(crate) fn new(code: &[u8], entry: u32) -> Option<Code> {
        let room = code.len().max(1).checked_next_multiple_of(PAGE)?;
        let (chunk, at) = take(room)?;
        // SAFETY: `take` gave out `room` bytes at `at`, which lie in the mapping.
        let start = unsafe { chunk.start.add(at) };
        // SAFETY: these pages are writable until they are sealed, nobody else was given them, and
        // `room >= code.len()`.
        unsafe { ptr::copy_nonoverlapping(code.as_ptr(), start, code.len()) };
        let rights = libc::PROT_READ | libc::PROT_EXEC;
        // SAFETY: whole pages of a mapping of ours, which are ours; their bytes are not borrowed.
        let answer = unsafe { libc::mprotect(start.cast(), room, rights) };
        let mut code = Code {
            _chunk: chunk,
            start,
            len: code.len(),
            entry: start,
        };
        code.entry = code.at(entry);
        (answer == 0).then_some(code)
    }

    /// Where a run begins.
    #[inline(always)]
    pub(crate) fn entry(&self) -> *const u8 {
        self.entry
    }

    /// The address of a byte of the code; that of the first one if there is no such byte.
    #[inline]
    pub(crate) fn at(&self, off: u32) -> *const u8 {
        let off = off as usize;
        self.start
            .wrapping_add(if off < self.len { off } else { 0 })
    }

    /// The code itself.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `len` bytes at `start` were written by `new`, are readable and never written again, and
        // stay mapped as long as the chunk is held.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}
