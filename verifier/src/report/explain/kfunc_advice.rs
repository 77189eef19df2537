//! Calls of kernel functions that are not allowed, with what would help.

use super::advice::{Advice, advise};
use super::category::Category;
use crate::report::scene::Scene;
use crate::state::BtfSource;
use crate::violation::{KfuncArgViolation, KfuncTarget, KfuncViolation, NoSleep, StackPlace};

/// The advice for a call of a kernel function.
#[expect(clippy::too_many_lines, reason = "a table of texts, one per rule")]
pub(super) fn kfunc(scene: Scene<'_>, violation: &KfuncViolation) -> Advice {
    use KfuncViolation as V;
    let name = |id: u32| format!("{}()", scene.type_name(BtfSource::Kernel, id));
    let unavailable = Advice::of(Category::HelperUnavailable);
    let section = Advice::of(Category::CriticalSection);
    match violation {
        V::NoJit | V::JitSupport => {
            unavailable.what("Only compiled programs call kernel functions.")
        }
        V::License => Advice::of(Category::License).what(format!(
            "Kernel functions are for GPL-compatible programs; this one declares \"{}\".",
            scene.spec.license
        )),
        V::NegativeModule | V::NoFunction { .. } | V::NoPrototype { .. } | V::Unresolved => {
            Advice::of(Category::Target)
                .what("The call names no function of this kernel.")
                .hint("Declare it __weak __ksym and check it with bpf_ksym_exists().")
        }
        V::TooMany => unavailable.what("At most 256 different kernel functions can be called."),
        V::NoDevice => unavailable
            .what("The function asks one device's driver.")
            .hint("Bind the program to the device when it is loaded."),
        V::NotAllowed { id } => unavailable.what(format!(
            "{} is not for programs of type {}, or for none.",
            name(*id),
            scene.spec.ty
        )),
        V::Trap => Advice::of(Category::ControlFlow)
            .what("Code is reached that the compiler took for unreachable.")
            .hint("A variable is read that was never set: see the compiler's warnings."),
        V::Sleeps { id } => Advice::of(Category::Sleep)
            .what(format!("{} may sleep, this program may not.", name(*id))),
        V::SleepsInSection { id, section } => {
            let section = match section {
                NoSleep::Rcu => "an RCU read section",
                NoSleep::Preempt => "a section with preemption off",
                NoSleep::Irq => "a section with interrupts off",
            };
            let name = name(*id);
            Advice::of(Category::Sleep)
                .what(format!("{name} may sleep, but is called inside {section}."))
        }
        V::Argument(v) => argument(scene, v),
        V::NothingReleased { id } => Advice::of(Category::ReferenceLeak)
            .what(format!(
                "{} is given nothing that it could release.",
                name(*id)
            ))
            .hint("Pass the pointer that the acquiring function returned."),
        V::NotAcquired { id } => Advice::of(Category::ReferenceLeak)
            .what(format!(
                "{} releases something that was not acquired.",
                name(*id)
            ))
            .hint("Release exactly once what an acquiring function returned."),
        V::NestedRcu { .. } => section.what("RCU read sections do not nest."),
        V::UnmatchedRcu { .. } => section.what("No RCU read section is open here."),
        V::UnmatchedPreempt { .. } => section.what("Preemption is not off here."),
        V::NeedsRcu { id } => section
            .what(format!("{} is for RCU read sections.", name(*id)))
            .hint("Call bpf_rcu_read_lock() before it."),
        V::ThrowInCallback { .. } => unavailable
            .what("An exception cannot pass through the kernel, so callbacks cannot throw one."),
        V::CssTaskIter => unavailable
            .what("Such iterators are for LSM programs, iterators and programs that may sleep."),
        V::NoKernelContext { .. } => Advice::of(Category::Context)
            .what("The context of this program type is no structure of the kernel."),
        V::CastUnknown { .. } | V::CastKind => Advice::of(Category::KernelObject)
            .what("An address can be taken for one of a kernel structure only.")
            .hint("Pass bpf_core_type_id_kernel() of the structure."),
        V::ObjectTypeRange | V::ObjectNoBtf | V::ObjectNoStructure => {
            Advice::of(Category::Argument)
                .what("Objects are made of structures of the program's own BTF.")
                .hint("Call bpf_obj_new(typeof(struct …)) and compile with -g.")
        }
        V::ObjectSize { max, .. } => Advice::of(Category::Argument)
            .what(format!("A per-CPU object has at most {max} bytes.")),
        V::ObjectNotPlain | V::ObjectFields => {
            Advice::of(Category::Argument).what("A per-CPU object consists of numbers only.")
        }
        V::InTreeCallback { id } => section.what(format!(
            "{} cannot be called while nodes are compared.",
            name(*id)
        )),
        V::AcquiresNoObject | V::Result { .. } => {
            unavailable.what("The function returns what programs cannot have.")
        }
    }
}

#[expect(clippy::too_many_lines, reason = "a table of texts, one per rule")]
fn argument(scene: Scene<'_>, violation: &KfuncArgViolation) -> Advice {
    use KfuncArgViolation as V;
    let advice = Advice::of(Category::Argument);
    let object = Advice::of(Category::KernelObject);
    match violation {
        V::Parameters { .. }
        | V::SecondResultSize
        | V::ParameterKind { .. }
        | V::ParameterPointer { .. }
        | V::ParameterMemory { .. }
        | V::ParameterSize { .. } => {
            advice.what("Programs cannot give the function what it takes.")
        }
        V::NoScalar { reg } => advice.what(format!("R{} must be a number.", reg.index())),
        V::NoConstant { reg } | V::ResultSize { reg } => advice.what(format!(
            "R{} must be the same number on every run.",
            reg.index()
        )),
        V::MaybeNull { arg } => Advice::of(Category::NullPointer)
            .what(format!("Argument {} may be null.", arg + 1))
            .hint("Compare it with NULL before the call."),
        V::OtherMap { .. } => {
            advice.what("The map argument is not the map whose value the first argument lies in.")
        }
        V::NoMap { reg } => advice.what(format!("R{} must be a map.", reg.index())),
        V::NotTrusted { reg } => object
            .what(format!(
                "The kernel does not vouch for what R{} points to.",
                reg.index()
            ))
            .hint("Acquire a reference, or pass a pointer that the program was given."),
        V::NotRcu { reg } => object
            .what(format!(
                "What R{} points to may be freed at any time.",
                reg.index()
            ))
            .hint("Read the pointer inside an RCU read section, or acquire a reference."),
        V::NoCtx { arg, .. } => advice.what(format!(
            "Argument {} must be the program's context.",
            arg + 1
        )),
        V::Target { arg, wanted } => {
            let wanted = target(*wanted);
            advice.what(format!("Argument {} must point to {wanted}.", arg + 1))
        }
        V::NoObject { arg, .. } => {
            object.what(format!("Argument {} must be a kernel object.", arg + 1))
        }
        V::ObjectNotHeld => Advice::of(Category::ReferenceLeak)
            .what("The object is borrowed from a list or tree, or was given up.")
            .hint("Take it out of the list or tree first."),
        V::NoRefcount { arg } => advice
            .what(format!(
                "The object in argument {} has no reference count.",
                arg + 1
            ))
            .hint("Give its structure a member of type struct bpf_refcount."),
        V::Object { arg, expected, .. } | V::OwnObject { arg, expected, .. } => {
            object.what(format!(
                "Argument {} must be a struct {}.",
                arg + 1,
                scene.type_name(BtfSource::Kernel, *expected)
            ))
        }
        V::Memory { arg, fault } => {
            let inner = advise(scene, fault, None, None);
            let why = inner
                .what
                .unwrap_or_else(|| inner.category.meaning().to_owned());
            let place = format!("Argument {} is not memory of the size in the next", arg + 1);
            Advice::of(inner.category).what(format!("{place}: {why}"))
        }
        V::NoCallback { arg } => advice.what(format!(
            "Argument {} must be a function of the program.",
            arg + 1
        )),
        V::NotInTree { .. } => advice.what("The node must be one of a tree, or held."),
        V::IrqFlagInUse {
            place: StackPlace::Slot,
            ..
        } => advice.what("The variable holds a state of interrupts already."),
        V::NoIrqFlag {
            place: StackPlace::Slot,
            ..
        } => advice.what("No state of interrupts was saved there."),
        V::IrqFlagInUse { .. } | V::NoIrqFlag { .. } => {
            advice.what("The state of interrupts needs a variable of its own on the stack.")
        }
        V::IrqFlagClass { .. } => {
            advice.what("A lock's state of interrupts is restored with the lock, others without.")
        }
        V::IrqFlagOrder { .. } => Advice::of(Category::CriticalSection)
            .what("States of interrupts are not restored in the reverse order of saving them.")
            .hint("Restore the state that was saved last first."),
    }
}

/// What an argument must point to.
fn target(wanted: KfuncTarget) -> &'static str {
    match wanted {
        KfuncTarget::Iterator => "an iterator on the stack",
        KfuncTarget::Dynptr => "a dynptr on the stack",
        KfuncTarget::ValueOrObject | KfuncTarget::LockInValueOrObject => {
            "a field of a map's value or of an allocated object"
        }
        KfuncTarget::Value => "a field of a map's value",
        KfuncTarget::ConstString => "a constant string",
        KfuncTarget::IrqFlag => "a variable on the stack",
        KfuncTarget::AllocatedObject
        | KfuncTarget::PlainObject
        | KfuncTarget::PercpuObject
        | KfuncTarget::RefcountedObject => "an object of bpf_obj_new()",
    }
}
