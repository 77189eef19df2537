//! Pointers in map values that are not accessed as they must be.

use skep_isa::Reg;

use super::{AccessViolation, Stop};
use crate::report::ValueView;

/// Pointers in map values that are not accessed as they must be. `name` is the kernel's for the kind of
/// pointer, `at` the offset in the value where it lies.
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "fields are named for what they are")]
pub enum KptrViolation {
    /// It is handed to a helper as plain memory.
    ByHelper { name: &'static str },
    /// It is accessed at an unknown place.
    Place { name: &'static str },
    /// The access begins beside it.
    Offset {
        name: &'static str,
        at: u32,
        off: u64,
    },
    /// Part of it is accessed.
    Size { name: &'static str },
    /// It is accessed by an atomic operation.
    Mode,
    /// It is stored, but the value owns what it leads to.
    Store { name: &'static str },
    /// A number other than 0 is stored.
    Immediate { at: u32 },
    /// A pointer of another type is put there. `named`: the message has the name of its structure;
    /// `untrusted`: such pointers are taken too.
    Type {
        reg: Reg,
        value: ValueView,
        named: bool,
        wanted: ValueView,
        untrusted: bool,
    },
}

impl From<KptrViolation> for Stop {
    fn from(violation: KptrViolation) -> Stop {
        AccessViolation::Kptr(violation).into()
    }
}
