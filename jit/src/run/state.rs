//! What compiled code and the functions it calls know of a run: one structure, which compiled code
//! reaches through a register.
//!
//! The first fields are read and written by compiled code at the offsets in [`field`]; the rest is ours.

use std::mem::offset_of;
use std::sync::atomic::AtomicU64;

use skep_isa::InsnIdx;
use skep_sim::{ProgId, Sim, Trap, layout};

use crate::program::Program;

/// A place in [`State::trap_at`] that says: no trap.
pub(crate) const NO_TRAP: u32 = u32::MAX;

/// The first address of guest memory that a program can have any business with, behind the red zone that it
/// begins with.
pub(crate) const ORIGIN: u64 = layout::BASE + layout::RED_ZONE;

/// Loops that one `may_goto` budget allows (`BPF_MAX_LOOPS`).
pub(crate) const MAY_GOTO: u64 = 8 << 20;

/// What every run of a program begins with: copied as a whole.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    /// The frame pointer to begin with.
    pub(crate) frame: u64,
    /// The address to begin at.
    pub(crate) target: u64,
    /// The address where the code that was entered leaves.
    pub(crate) leave: u64,
    /// Where guest memory begins in this process.
    pub(crate) host_base: u64,
    /// The frame pointer of the deepest frame that is open.
    pub(crate) deepest: u64,
    /// The frame pointer of the first frame.
    pub(crate) top: u64,
    /// The register that holds the address, or what else there is to say of a trap.
    pub(crate) trap_value: u64,
    /// Kind and slot of a trap.
    pub(crate) trap_at: u32,
    /// The program it happened in.
    pub(crate) trap_prog: u32,
    /// Loops left for `may_goto` in this function.
    pub(crate) may_goto: u64,
    pub(crate) tail_calls: u64,
}

/// A run of compiled code.
#[repr(C)]
pub(crate) struct State<'m> {
    pub(crate) at: Start,
    /// The stack pointer that a trap returns to.
    pub(crate) exit_rsp: u64,
    /// Instructions that are left.
    pub(crate) budget: u64,
    /// The last offset from [`ORIGIN`] that is not in the red zone which guest memory ends with.
    pub(crate) last: u64,
    /// The context's guest address.
    pub(crate) ctx: u64,
    /// Where tail calls lead whose targets are known.
    pub(crate) direct: *const AtomicU64,
    /// Programs that can be called; compiled code knows nothing of what follows.
    pub(crate) programs: &'m [Program],
    pub(crate) sim: *mut Sim,
    /// The budget to begin with.
    pub(crate) limit: u64,
    /// The trap that a helper came back with.
    pub(crate) pending: Option<Box<Trap>>,
    /// Where the innermost trap happened.
    pub(crate) stopped: Option<(ProgId, InsnIdx)>,
}

/// Offsets of the fields that compiled code uses.
pub(crate) mod field {
    use super::{State, offset_of};

    macro_rules! fields {
        ($($name:ident = $($field:ident).+;)*) => {
            $(pub(crate) const $name: i32 = offset_of!(State<'static>, $($field).+) as i32;)*
        };
    }

    fields! {
        EXIT_RSP = exit_rsp;
        FRAME = at.frame;
        TARGET = at.target;
        LEAVE = at.leave;
        BUDGET = budget;
        HOST_BASE = at.host_base;
        LAST = last;
        DEEPEST = at.deepest;
        TRAP_VALUE = at.trap_value;
        CTX = ctx;
        TRAP_AT = at.trap_at;
        TRAP_PROG = at.trap_prog;
        MAY_GOTO = at.may_goto;
        TAIL_CALLS = at.tail_calls;
        DIRECT = direct;
    }
}
