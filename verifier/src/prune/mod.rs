//! Remembered states: when to remember one, when one covers a path, and what must be exact for that.
//!
//! A path that reaches an instruction in a state that an earlier, finished path covers need not be
//! walked again. Which states are remembered, compared, cleaned and forgotten decides the kernel's
//! counts and, at its limits, its verdicts; so every decision here is Linux 6.18's.
//! [`explored`] keeps the states, `subsumes` compares them, `history` and `backtrack` go back over a
//! path to mark what it depended on (`precision`), `stack_live` knows which slots are still read,
//! `converge` ends loops.

mod backtrack;
mod converge;
mod effort;
mod events;
mod explored;
mod history;
mod id_map;
mod live_graph;
mod marks;
mod pool;
mod precision;
mod stack_live;
mod stored;
mod subsumes;
#[cfg(test)]
mod tests;
mod visit;

pub(crate) use events::PruneEvent;
pub(crate) use explored::{Explored, StateId};
pub(crate) use history::{History, HistoryFlags, LinkedAt, LinkedRegs};
pub(crate) use stack_live::{InstanceId, LiveEvent};
pub(crate) use visit::Visited;
