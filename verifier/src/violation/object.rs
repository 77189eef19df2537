//! Dynptrs and iterators on the stack that are not there, or may not be made there.

use super::Stop;
use crate::report::ValueView;

/// Where an object on the stack is to be made or found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StackPlace {
    /// In slots, or beyond what was touched.
    Slot,
    /// At an unknown place.
    Unknown,
    /// At that offset from the frame pointer, where it cannot lie.
    Offset(i32),
}

named! {
/// Dynptrs and iterators that a call does not take. Arguments are counted from 0; `iter` and `func` are
/// types of the kernel's BTF.
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "fields are named for what they are")]
pub enum ObjectViolation {
    /// A dynptr cannot be made there.
    DynptrPlace { place: StackPlace },
    /// The dynptr belongs to the kernel, and the call changes it.
    DynptrConst,
    /// There is no dynptr.
    NoDynptr { arg: usize, place: StackPlace },
    /// The dynptr spans other memory.
    DynptrKind { arg: usize, wanted: &'static str },
    /// A dynptr that must be given up is overwritten.
    DynptrLost,
    /// What is given up was not acquired.
    DynptrNotHeld { arg: usize, place: StackPlace },
    /// The dynptr belongs to the kernel, and the call gives it up.
    DynptrConstRelease,
    /// A dynptr spans values of maps only.
    DynptrMemory { value: ValueView },
    /// Programs of this type may not write packets, through slices either.
    SliceWrite,
    /// The parameter is no iterator.
    IterParameter { arg: usize },
    /// An iterator lies there already, or cannot be made there.
    IterInUse {
        arg: usize,
        iter: u32,
        place: StackPlace,
    },
    /// There is no such iterator.
    NoIter {
        arg: usize,
        iter: u32,
        place: StackPlace,
    },
    /// What the iterator needs is not protected any more.
    IterUnprotected { func: u32 },
}
}

impl From<ObjectViolation> for Stop {
    fn from(violation: ObjectViolation) -> Stop {
        super::CallViolation::Object(violation).into()
    }
}
