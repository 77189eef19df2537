//! One frame of the call chain: its registers, its stack, and how it was entered.

use skep_isa::{InsnIdx, Reg};

use super::{Pointer, PtrFlags, Region, Stack, Value};

/// Inclusive range of return values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ReturnRange {
    /// Least value.
    pub(crate) min: i32,
    /// Greatest value.
    pub(crate) max: i32,
}

/// How a frame came to run, when not by a plain call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    /// Main program, or a call of a subprogram.
    Plain,
    /// Called by a helper that gets a callback.
    Callback,
    /// Called later: a timer or work queue.
    AsyncCallback,
    /// Called when an exception was thrown.
    ExceptionCallback,
}

/// One frame of the call chain.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Frame {
    /// `r0` to `r10`.
    pub(crate) regs: [Value; 11],
    /// Its stack.
    pub(crate) stack: Stack,
    /// The call instruction; `None` in the outermost frame.
    pub(crate) callsite: Option<InsnIdx>,
    /// Index of its subprogram.
    pub(crate) subprog: usize,
    /// How it came to run.
    pub(crate) entry: Entry,
    /// What it must return, if it is a callback.
    pub(crate) callback_ret: ReturnRange,
    /// Times that an asynchronous callback was started on this path.
    pub(crate) async_entry_count: u32,
    /// Times that the callback of a call in this frame was simulated.
    pub(crate) callback_depth: u32,
}

impl Frame {
    /// A fresh frame: nothing initialised but the frame pointer.
    pub(crate) fn new(number: usize, subprog: usize, callsite: Option<InsnIdx>) -> Frame {
        let mut regs = [Value::Uninit; 11];
        let stack = Region::Stack {
            frame: number as u32,
        };
        regs[Reg::FP.index()] = Value::Pointer(Pointer::new(stack, PtrFlags::empty()));
        Frame {
            regs,
            stack: Stack::default(),
            callsite,
            subprog,
            entry: Entry::Plain,
            callback_ret: ReturnRange { min: 0, max: 0 },
            async_entry_count: 0,
            callback_depth: 0,
        }
    }

    /// Whether it is a callback of either kind.
    pub(crate) fn in_callback(&self) -> bool {
        self.entry == Entry::Callback
    }
}
