//! Dynptrs and iterators that a call does not take and pointers in map values, with what would help.

use super::advice::{Advice, describe};
use super::category::Category;
use crate::report::scene::Scene;
use crate::violation::{KptrViolation, ObjectViolation, StackPlace};

/// The advice for a dynptr or iterator.
pub(super) fn object(scene: Scene<'_>, violation: &ObjectViolation) -> Advice {
    use ObjectViolation as V;
    let advice = Advice::of(Category::Argument);
    let reference = Advice::of(Category::ReferenceLeak);
    match violation {
        V::DynptrPlace { .. } => advice
            .what("A dynptr can be made only in a variable of its own on the stack.")
            .hint("Pass the address of a local struct bpf_dynptr."),
        V::DynptrConst => advice.what("The kernel's own dynptr can be read only."),
        V::NoDynptr { arg, .. } => advice
            .what(format!(
                "Argument {} is no dynptr that was made before.",
                arg + 1
            ))
            .hint("Make it with bpf_dynptr_from_mem() and its kin; writing over it ends it."),
        V::DynptrKind { arg, wanted } => advice.what(format!(
            "Argument {} must be a dynptr of kind {wanted}.",
            arg + 1
        )),
        V::DynptrLost => reference
            .what("The dynptr's record of the ring buffer would be lost.")
            .hint("Submit or discard it first."),
        V::DynptrNotHeld { .. } => reference
            .what("The record was not reserved, or was given up already.")
            .hint("Submit or discard exactly once, also where reserving failed."),
        V::DynptrConstRelease => reference.what("The dynptr belongs to the kernel."),
        V::DynptrMemory { value } => advice
            .what(format!("The memory is {}.", describe(scene, value)))
            .hint("A dynptr can span the value of a map."),
        V::SliceWrite => Advice::of(Category::ReadOnly)
            .what("Programs of this type cannot write packets.")
            .hint("Use bpf_dynptr_slice()."),
        V::IterParameter { arg } => {
            advice.what(format!("Argument {} can be no iterator.", arg + 1))
        }
        V::IterInUse {
            place: StackPlace::Slot,
            iter,
            ..
        } => advice.what(format!(
            "An iterator lies there already; end it with bpf_iter_{}_destroy() first.",
            scene.iter_name(*iter)
        )),
        V::IterInUse { .. } => advice.what("An iterator needs a variable of its own on the stack."),
        V::NoIter { iter, .. } => {
            let name = scene.iter_name(*iter);
            advice
                .what(format!("No iterator of kind {name} lies there."))
                .hint(format!("Make it with bpf_iter_{name}_new() first."))
        }
        V::IterUnprotected { .. } => Advice::of(Category::CriticalSection)
            .what("The RCU read section in which the iterator was made is over.")
            .hint("Keep the whole loop inside one section."),
    }
}

/// The advice for a pointer in a map's value.
pub(super) fn kptr(scene: Scene<'_>, violation: &KptrViolation) -> Advice {
    use KptrViolation as V;
    let map = Advice::of(Category::Map);
    match violation {
        V::ByHelper { .. } => {
            map.what("The memory holds kernel pointers, which helpers may not read or write.")
        }
        V::Place { .. } | V::Offset { .. } | V::Size { .. } | V::Mode => {
            map.what("A kernel pointer in a map's value is loaded and stored whole, by name.")
        }
        V::Store { .. } => map
            .what("The map's value owns what the pointer leads to.")
            .hint("Exchange it with bpf_kptr_xchg(), which gives back what was there."),
        V::Immediate { .. } => {
            map.what("A kernel pointer in a map's value is cleared by storing 0, nothing else.")
        }
        V::Type { wanted, .. } => map.what(format!(
            "What is put there must be {}, as it was given.",
            describe(scene, wanted)
        )),
    }
}
