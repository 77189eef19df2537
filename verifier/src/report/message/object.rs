//! The kernel's words about dynptrs and iterators on the stack.

use crate::report::scene::Scene;
use crate::report::value::value_type_text;
use crate::state::BtfSource;
use crate::violation::{ObjectViolation, StackPlace};

/// The message, with the line about the place before it where there is one.
pub(super) fn text(scene: Scene<'_>, v: &ObjectViolation) -> String {
    use ObjectViolation as V;
    match *v {
        V::DynptrPlace { place } => {
            let place = place_text("dynptr", place);
            format!("{place}Dynptr has to be an uninitialized dynptr")
        }
        V::DynptrConst => {
            "cannot pass pointer to const bpf_dynptr, the helper mutates it".to_owned()
        }
        V::NoDynptr { arg, place } => {
            let place = place_text("dynptr", place);
            format!("{place}Expected an initialized dynptr as arg #{arg}")
        }
        V::DynptrKind { arg, wanted } => {
            format!("Expected a dynptr of type {wanted} as arg #{arg}")
        }
        V::DynptrLost => "cannot overwrite referenced dynptr".to_owned(),
        V::DynptrNotHeld { arg, place } => {
            let place = place_text("dynptr", place);
            format!("{place}arg {} is an unacquired reference", arg + 1)
        }
        V::DynptrConstRelease => "cannot release unowned const bpf_dynptr".to_owned(),
        V::DynptrMemory { ref value } => {
            let found = value_type_text(&value.0);
            format!("Unsupported reg type {found} for bpf_dynptr_from_mem data")
        }
        V::SliceWrite => "the prog does not allow writes to packet data".to_owned(),
        V::IterParameter { arg } => format!("expected valid iter pointer as arg #{arg}"),
        V::IterInUse { arg, iter, place } => {
            let (place, name) = (place_text("iter", place), scene.iter_name(iter));
            format!("{place}expected uninitialized iter_{name} as arg #{arg}")
        }
        V::NoIter { arg, iter, place } => {
            let (place, name) = (place_text("iter", place), scene.iter_name(iter));
            format!("{place}expected an initialized iter_{name} as arg #{arg}")
        }
        V::IterUnprotected { func } => {
            let name = scene.type_name(BtfSource::Kernel, func);
            format!("expected an RCU CS when using {name}")
        }
    }
}

/// The line about a place that comes first, if there is one.
pub(super) fn place_text(what: &str, place: StackPlace) -> String {
    match place {
        StackPlace::Slot => String::new(),
        StackPlace::Unknown => format!("{what} has to be at a constant offset\n"),
        StackPlace::Offset(off) => format!("cannot pass in {what} at an offset={off}\n"),
    }
}
