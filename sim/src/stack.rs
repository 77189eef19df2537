//! The stack: one frame of 512 bytes per function on the call chain, red zones between them.
//!
//! A frame is accessible while its function is active, so pointers into callers' frames work and
//! pointers into frames that returned do not. What a returned function left in its frame stays there
//! for the next one; every run begins with zeros.

use crate::fault::Owner;
use crate::memory::Memory;

/// Bytes of a frame.
pub const FRAME: u64 = 512;
/// Bytes from one frame to the next.
pub const STEP: u64 = FRAME + 64;

/// Call chains that can stand in each other: that of the program and, where a function leaves for
/// another program by a tail call, that of each such program (`MAX_TAIL_CALL_CNT`).
const CHAINS: u32 = 34;

/// Bytes of shadow for a frame, which begins at a multiple of 64.
const BLOCK: usize = FRAME as usize / 8;

/// Where the frames lie, and which of them are open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stack {
    /// The frame pointer of the first frame.
    first: u64,
    frames: u32,
    /// Frames of all chains.
    limit: u32,
    /// Frames that the run has used.
    used: u32,
    /// Which of the first 64 frames are open, a bit each; deeper ones always are.
    open: u64,
    /// Whether all frames of the first chain are open.
    chain_open: bool,
}

impl Stack {
    pub(crate) fn new(mem: &mut Memory, frames: u32) -> Option<Stack> {
        let limit = frames.saturating_mul(CHAINS);
        // Pages that nothing touches cost nothing.
        let all = STEP * u64::from(limit);
        let base = mem.alloc(all, 64, Owner::Stack)?;
        Some(Stack {
            first: base + all - (STEP - FRAME),
            frames,
            limit,
            used: 0,
            open: 0,
            chain_open: false,
        })
    }

    /// Frames of one chain.
    #[inline]
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// Frames of all chains.
    #[inline]
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// The frame pointer of a frame: the address behind it. Deeper frames lie lower.
    #[inline]
    pub fn top(&self, depth: u32) -> u64 {
        self.first - u64::from(depth.min(self.limit)) * STEP
    }

    /// Notes that the first frame is used.
    #[inline]
    pub(crate) fn touch(&mut self) {
        // Not the maximum: a store would keep the next run waiting for this one's.
        if self.used == 0 {
            self.used = 1;
        }
    }

    /// Opens the frames of the first chain at once.
    #[inline(always)]
    pub(crate) fn open_chain(&mut self, mem: &mut Memory) {
        if !self.chain_open {
            self.open_closed_chain(mem);
        }
    }

    #[cold]
    #[inline(never)]
    fn open_closed_chain(&mut self, mem: &mut Memory) {
        for depth in 0..self.frames {
            mem.allow_block::<BLOCK>(self.top(depth) - FRAME, true);
            self.open |= bit(depth);
        }
        self.used = self.used.max(self.frames);
        self.chain_open = true;
    }

    #[inline(never)]
    pub(crate) fn open(&mut self, mem: &mut Memory, depth: u32) -> Option<u64> {
        if depth >= self.limit() {
            return None;
        }
        self.used = self.used.max(depth + 1);
        self.open |= bit(depth);
        let top = self.top(depth);
        mem.allow_block::<BLOCK>(top - FRAME, true);
        Some(top)
    }

    /// The frame pointer of a function that gives its address to nobody: the frame stays closed.
    #[inline]
    pub(crate) fn skip(&mut self, mem: &mut Memory, depth: u32) -> Option<u64> {
        if depth < self.limit.min(64) {
            return Some(self.first - u64::from(depth) * STEP);
        }
        self.open(mem, depth)
    }

    /// Nothing where the frame was not opened.
    #[inline]
    pub(crate) fn close(&mut self, mem: &mut Memory, depth: u32) {
        if depth >= 64 || self.open.wrapping_shr(depth) & 1 != 0 {
            self.close_open(mem, depth);
        }
    }

    #[inline(never)]
    fn close_open(&mut self, mem: &mut Memory, depth: u32) {
        if depth < self.used {
            self.chain_open = false;
            self.open &= !bit(depth);
            mem.allow_block::<BLOCK>(self.top(depth) - FRAME, false);
        }
    }

    /// Makes all frames inaccessible and zero, for a new run.
    pub(crate) fn reset(&mut self, mem: &mut Memory) {
        for depth in 0..self.used {
            let bottom = self.top(depth) - FRAME;
            mem.allow_block::<BLOCK>(bottom, false);
            mem.fill(bottom, FRAME, 0);
        }
        (self.used, self.open, self.chain_open) = (0, 0, false);
    }
}

/// The bit of one of the first 64 frames.
#[inline]
fn bit(depth: u32) -> u64 {
    1_u64.checked_shl(depth).unwrap_or(0)
}
