//! Memory for machine code: written once, then sealed so that it can be executed and never changed.

use std::ptr;

/// Executable code.
#[derive(Debug)]
pub(crate) struct Code {
    start: *mut u8,
    len: usize,
}

// SAFETY: the memory belongs to this value alone and is never written after `new`, so that it can move to
// and be read from other threads.
unsafe impl Send for Code {}
// SAFETY: as above.
unsafe impl Sync for Code {}

impl Code {
    /// Puts code into memory of its own. `None` if there is none.
    pub(crate) fn new(code: &[u8]) -> Option<Code> {
        let len = code.len().max(1);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new anonymous mapping anywhere touches nothing that exists.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, rights, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return None;
        }
        let start = start.cast::<u8>();
        let sealed = Code { start, len };
        // SAFETY: the mapping has `len >= code.len()` writable bytes that nobody else knows.
        unsafe { ptr::copy_nonoverlapping(code.as_ptr(), start, code.len()) };
        let rights = libc::PROT_READ | libc::PROT_EXEC;
        // SAFETY: the range is the mapping that we made; its bytes are not borrowed.
        let answer = unsafe { libc::mprotect(start.cast(), len, rights) };
        (answer == 0).then_some(sealed)
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
        // SAFETY: `len` bytes were mapped readable by `new` and are never written.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, unmapped once; whoever runs the code borrows it.
        unsafe { libc::munmap(self.start.cast(), self.len) };
    }
}
