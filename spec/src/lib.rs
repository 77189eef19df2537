//! What a load request contains, and what each kernel allows it to do.
//!
//! The first half is inert data that the loader, the assembler and captured requests produce and that
//! the verifier, the simulator and real kernels consume: [`ProgramSpec`], [`MapSpec`], [`ObjectSpec`].
//! The second half is knowledge about kernels: [`Profile`] says which kernel, [`Facts`] answers what it
//! allows, from the tables in `tables/`. A kernel number is written here and nowhere else.

mod attach_type;
mod core;
mod facts;
mod map;
mod map_type;
mod object;
mod profile;
mod prog_type;
mod program;
pub mod tables;
mod version;

pub use crate::core::{CoreAccess, CoreAnswer};
pub use attach_type::AttachType;
pub use facts::Facts;
pub use map::{MapFlags, MapSpec};
pub use map_type::MapType;
pub use object::{ObjectSpec, Skipped};
pub use profile::{Capability, Environment, Lane, Limits, Profile};
pub use prog_type::ProgType;
pub use program::{FuncInfo, LineInfo, ProgFlags, ProgramSpec, Target, Unresolved};
pub use version::{KernelVersion, VersionError};
