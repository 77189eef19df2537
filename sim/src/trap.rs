//! Why a run stopped before its program returned.
//!
//! A trap is what a real kernel would not survive, would never have let happen, or what this one does
//! not imitate. Both engines use the same causes; where it happened is added by the engine.

use std::fmt;

use skep_spec::MapType;

use crate::fault::Fault;

/// The cause of a trap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trap {
    /// A refused access to memory, by an instruction or through a helper's argument.
    Memory(Fault),
    /// A helper's argument is not what the helper takes.
    BadArgument {
        /// The helper.
        helper: &'static str,
        /// The argument, from 1.
        arg: u8,
        /// What it should have been.
        wanted: &'static str,
        /// What it was.
        got: u64,
    },
    /// The helper exists in kernels and not here.
    HelperNotSimulated {
        /// Its number.
        id: i32,
        /// Its name; empty for a number that is no helper.
        name: &'static str,
    },
    /// The kernel function exists in kernels and not here.
    KfuncNotSimulated {
        /// BTF id in the kernel's BTF.
        id: i32,
        /// Its name, if the kernel's BTF is known; else empty.
        name: String,
    },
    /// The kind of map exists in kernels and not here, or not for this.
    MapNotSimulated {
        /// Type of the map.
        ty: MapType,
        /// The helper that wanted it.
        helper: &'static str,
    },
    /// Something else that is not simulated.
    NotSimulated(&'static str),
    /// More instructions than the run may execute.
    Budget {
        /// Instructions that were allowed.
        limit: u64,
    },
    /// Calls are nested deeper than frames exist.
    Frames {
        /// Frames that exist.
        limit: u32,
    },
    /// A callback is no function of the program.
    NotFunction {
        /// What was called.
        addr: u64,
    },
    /// Execution left the program or reached what is no instruction.
    NotInsn,
    /// The arena is full.
    ArenaFull,
    /// Someone who looked on ended the run.
    Interrupted,
    /// The program threw an exception with this value: engines turn it into a result.
    Thrown(u64),
}

impl From<Fault> for Trap {
    fn from(fault: Fault) -> Trap {
        Trap::Memory(fault)
    }
}

impl Trap {
    /// Whether it says that this simulator lacks something, not that the program did wrong.
    pub fn is_missing_feature(&self) -> bool {
        match self {
            Trap::HelperNotSimulated { .. }
            | Trap::KfuncNotSimulated { .. }
            | Trap::MapNotSimulated { .. }
            | Trap::NotSimulated(_)
            | Trap::ArenaFull => true,
            Trap::Memory(_)
            | Trap::BadArgument { .. }
            | Trap::Budget { .. }
            | Trap::Frames { .. }
            | Trap::NotFunction { .. }
            | Trap::NotInsn
            | Trap::Interrupted
            | Trap::Thrown(_) => false,
        }
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trap::Memory(fault) => fault.fmt(f),
            Trap::BadArgument {
                helper,
                arg,
                wanted,
                got,
            } => write!(f, "{helper}: argument {arg} is {got:#x}, not {wanted}"),
            Trap::HelperNotSimulated { id, name: "" } => write!(f, "no helper has number {id}"),
            Trap::HelperNotSimulated { name, .. } => write!(f, "{name} is not simulated"),
            Trap::KfuncNotSimulated { id, name } if name.is_empty() => {
                write!(f, "the kernel function with BTF id {id} is not simulated")
            }
            Trap::KfuncNotSimulated { name, .. } => {
                write!(f, "the kernel function {name} is not simulated")
            }
            Trap::MapNotSimulated { ty, helper } => {
                write!(f, "{helper} is not simulated for maps of type {ty}")
            }
            Trap::NotSimulated(what) => write!(f, "{what} is not simulated"),
            Trap::Budget { limit } => write!(f, "more than {limit} instructions"),
            Trap::Frames { limit } => write!(f, "more than {limit} nested frames"),
            Trap::NotFunction { addr } => write!(f, "{addr:#x} is no function of the program"),
            Trap::NotInsn => f.write_str("no instruction there"),
            Trap::ArenaFull => f.write_str("the arena is full"),
            Trap::Interrupted => f.write_str("interrupted"),
            Trap::Thrown(value) => write!(f, "an exception with the value {value:#x}"),
        }
    }
}

impl std::error::Error for Trap {}
