//! The simulated kernel a program runs against: memory, maps, helpers, hooks, clock and process.
//!
//! Both engines use it the same way: [`Sim::begin`] lays out context and packet, the engine executes
//! with loads and stores that go through [`Memory`] and helpers that go through [`helpers`], and
//! [`Sim::finish`] says what came out. Nothing here depends on the machine: same maps, inputs, clock and
//! seed, same addresses and results. What is not simulated stops a run with a named [`Trap`].

#[expect(
    unsafe_code,
    reason = "the arena's bytes and the check of an access; each block says why it is sound"
)]
mod arena;
mod errno;
mod fault;
pub mod helpers;
mod hooks;
mod kernel_types;
mod load;
mod maps;
mod memory;
mod objects;
mod packet;
mod program_types;
mod sim;
mod stack;
mod trap;
mod world;

pub use arena::{Perm, Placement, layout};
pub use errno::Errno;
pub use fault::{Access, Fault, Owner, Why};
pub use hooks::{Packet, Place, RunInput, RunOutput, VlanTag, input_of};
pub use load::{Callee, Linker, LoadError, RunError, Stop};
pub use maps::{
    ArenaPlace, ArrayLayout, Entry, Map, MapError, MapId, Maps, RingRecord, RingState,
    flags as map_flags,
};
pub use memory::Memory;
pub use objects::{FieldValue, ObjectError};
pub use program_types::ProgramTypes;
pub use sim::{Config, Output, PacketCopy, PerfRecord, ProgId, Redirect, Sim};
pub use stack::{FRAME, STEP as FRAME_STEP, Stack};
pub use trap::Trap;
pub use world::{Chance, Clock, Process, Sysctl};
