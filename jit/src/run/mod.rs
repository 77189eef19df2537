//! Running compiled code: the state of a run, the way in, and what compiled code calls.

mod enter;
mod state;
mod thunks;

pub(crate) use enter::{call_function, run, run_light};
pub(crate) use state::{MAY_GOTO, NO_TRAP, ORIGIN, Start, field};
pub(crate) use thunks::{ArenaAccess, TAIL_CALLS, Thunk};
