//! Guest addresses: where what lies.
//!
//! ```text
//! 0x0000_0000  nothing: null pointers and small numbers fault
//! 0x1000_0000  BASE: the arena, up to LIMIT bytes
//! 0xf000_0000  nothing
//! ABSENT       nothing: where casts lead that are given an address beside an arena's pages
//! ```
//! All of it lies below 4 GiB, so that the 32-bit `data` and `data_end` of `struct xdp_md` and
//! `struct __sk_buff` hold whole pointers and a plain load reads them.

/// First guest address of the arena.
pub const BASE: u64 = 0x1000_0000;
/// Bytes that an arena may have at most.
pub const LIMIT: usize = 0xe000_0000;
/// Maps that a simulated kernel can have.
pub const MAX_MAPS: usize = 0x1_0000;
/// Address of a program's slot 0 where a function's address is asked for; 8 per slot.
pub const FUNCS: u64 = 0xffff_ffff_c000_0000;
/// Address of byte 0 of the 4 GiB in which an arena has no memory.
pub const ABSENT: u64 = 0xffff_fff0_0000_0000;
/// Unreachable bytes between two objects.
pub const RED_ZONE: u64 = 64;
