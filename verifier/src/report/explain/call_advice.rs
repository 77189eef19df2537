//! Calls that are not allowed, with what would help.

use super::advice::{Advice, advise, describe};
use super::category::Category;
use super::kfunc_advice::kfunc;
use super::object_advice::object;
use crate::report::scene::Scene;
use crate::state::BtfSource;
use crate::violation::{
    ArgumentViolation, CallViolation, FieldViolation, GlobalViolation, NoSleep, StringViolation,
};

fn helper(scene: Scene<'_>, id: u32) -> String {
    match scene.facts.helper_name(id) {
        Some(name) => format!("{name}()"),
        None => format!("helper {id}"),
    }
}

/// The advice for a call.
#[expect(clippy::too_many_lines, reason = "a table, one arm per rule")]
pub(super) fn call(scene: Scene<'_>, violation: &CallViolation) -> Advice {
    use CallViolation as C;
    match violation {
        C::NoSuchHelper { id } if let Some(advice) = poisoned(*id) => advice,
        C::NoSuchHelper { id } => Advice::of(Category::HelperUnavailable)
            .what(format!("The kernel has no helper number {id}."))
            .hint(
                "It may belong to a newer kernel: check for it with bpf_core_enum_value_exists().",
            ),
        C::HelperUnavailable { id } => Advice::of(Category::HelperUnavailable).what(format!(
            "{} is not for programs of type {}.",
            helper(scene, *id),
            scene.spec.ty
        )),
        C::GplOnly => Advice::of(Category::License).what(format!(
            "The licence \"{}\" is none of the GPL's.",
            scene.spec.license
        )),
        C::NotHere | C::FuncIpTrampoline | C::FuncIpProgType { .. } => {
            Advice::of(Category::HelperUnavailable)
                .what("The helper cannot be used where this program attaches.")
        }
        C::Sleeps => {
            Advice::of(Category::Sleep).what("The helper may sleep, this program may not.")
        }
        C::SleepsInSection { id, section } => {
            let section = match section {
                NoSleep::Rcu => "an RCU read section",
                NoSleep::Preempt => "a section with preemption off",
                NoSleep::Irq => "a section with interrupts off",
            };
            Advice::of(Category::Sleep).what(format!(
                "{} may sleep, but is called inside {section}.",
                helper(scene, *id)
            ))
        }
        C::UnderLock => Advice::of(Category::CriticalSection)
            .what("Functions cannot be called while a lock is held.")
            .hint("Unlock first, or do the call before the lock is taken."),
        C::Argument(v) => argument(scene, v),
        C::String(v) => string(*v),
        C::Field(v) => field(v),
        C::ReadOnlyMap => Advice::of(Category::ReadOnly)
            .what("Programs cannot change this map: it was created with BPF_F_RDONLY_PROG."),
        C::NoProgArray => Advice::of(Category::Map)
            .what("A tail call goes through a map of type BPF_MAP_TYPE_PROG_ARRAY only."),
        C::TailCallMixed => Advice::of(Category::HelperUnavailable)
            .what("Tail calls and calls of functions do not go together on this machine."),
        C::MapForHelper { id, map, sockets } => {
            let why = if *sockets {
                ", since a socket may be locked here"
            } else {
                ""
            };
            Advice::of(Category::Map).what(format!(
                "{} does not take a map of type {map}{why}.",
                helper(scene, *id)
            ))
        }
        C::NotAcquired { id } => Advice::of(Category::ReferenceLeak)
            .what(format!(
                "{} releases something that was not acquired.",
                helper(scene, *id)
            ))
            .hint("Release exactly once what an acquiring function returned."),
        C::RoundsArePointer => {
            Advice::of(Category::Argument).what("The number of rounds of bpf_loop is a pointer.")
        }
        C::LocalStorageFlags => {
            Advice::of(Category::Argument).what("The flags argument must be 0.")
        }
        C::VoidHookResult => Advice::of(Category::ReturnValue)
            .what("The hook has no result, so programs on it cannot set one."),
        C::MapCallback => {
            Advice::of(Category::Map).what("Maps of this type cannot be walked by a callback.")
        }
        C::TooDeep { frames } => Advice::of(Category::StackDepth)
            .what(format!(
                "Functions are nested {frames} deep; at most 8 frames are possible."
            ))
            .hint("Inline functions (static __always_inline)."),
        C::ReturnsStack => Advice::of(Category::Stack)
            .what("A function returns a pointer into its own stack.")
            .hint("Let the caller provide the memory."),
        C::CallbackNoScalar => Advice::of(Category::ReturnValue)
            .what("The callback returns no number.")
            .hint("Return 0 to go on, 1 to stop."),
        C::Global(v) => global(scene, v),
        C::Kfunc(v) => kfunc(scene, v),
        C::Object(v) => object(scene, v),
    }
}

/// Calls that stand where libbpf and its kin could not complete an instruction.
fn poisoned(id: i32) -> Option<Advice> {
    const RELOCATION: i32 = 0x0bad_2310;
    const MAPS: std::ops::Range<i32> = 2_001_000_000..2_002_000_000;
    const FUNCTIONS: std::ops::Range<i32> = 2_002_000_000..2_003_000_000;
    if id == RELOCATION {
        let advice = Advice::of(Category::Target)
            .what(
                "A CO-RE relocation found no match in the kernel's types; the loader left this \
                 call in the instruction's place.",
            )
            .hint(
                "Guard the access with bpf_core_field_exists() and its kin, so that kernels \
                 without the field never get here.",
            );
        return Some(advice);
    }
    if MAPS.contains(&id) {
        let advice = Advice::of(Category::Map)
            .what("The program uses a map that was not created.")
            .hint("Create it, or keep the program from being loaded too.");
        return Some(advice);
    }
    if FUNCTIONS.contains(&id) {
        let advice = Advice::of(Category::Target)
            .what("The program calls a kernel function that this kernel does not have.")
            .hint("Guard the call of a __weak function with bpf_ksym_exists().");
        return Some(advice);
    }
    None
}

fn argument(scene: Scene<'_>, violation: &ArgumentViolation) -> Advice {
    use ArgumentViolation as A;
    match violation {
        A::Leak { .. } => Advice::of(Category::PointerLeak),
        A::PacketMemory => Advice::of(Category::Argument)
            .what("The function does not take packet memory.")
            .hint("Copy the bytes to the stack first."),
        A::SocketMapValue => {
            Advice::of(Category::Argument).what("Such a map takes sockets as values only.")
        }
        A::Type {
            reg,
            value,
            expected,
        } => Advice::of(Category::Argument).what(format!(
            "R{} is {}; the function takes {}.",
            reg.index(),
            describe(scene, value),
            expected.join(", ")
        )),
        A::MayWrite { id, reg, value } => Advice::of(Category::ReadOnly).what(format!(
            "{} may write to R{}, which is {}.",
            helper(scene, *id),
            reg.index(),
            describe(scene, value)
        )),
        A::MaybeNull { reg } => Advice::of(Category::NullPointer).what(format!(
            "R{} may be null, which the function does not allow.",
            reg.index()
        )),
        A::Structure {
            reg,
            pointer,
            expected,
        } => Advice::of(Category::Argument).what(format!(
            "R{} is {}; the function takes a pointer to struct {}.",
            reg.index(),
            describe(scene, pointer),
            scene.type_name(BtfSource::Kernel, *expected)
        )),
        A::VariableSize { .. } => Advice::of(Category::Argument)
            .what("The kernel does not say how large the variable is."),
        A::ReleaseOffset { reg } => Advice::of(Category::ReferenceLeak)
            .what(format!(
                "R{} was changed since it was acquired.",
                reg.index()
            ))
            .hint("Release the pointer as it was returned."),
        A::Unreferenced { reg } => Advice::of(Category::ReferenceLeak)
            .what(format!(
                "R{} is nothing that was acquired, or was released already.",
                reg.index()
            ))
            .hint("Release exactly once what an acquiring function returned."),
        A::TwoReferences { .. } => Advice::of(Category::Argument)
            .what("Two arguments depend on acquired objects; one may at most."),
        A::OtherMap { .. } => Advice::of(Category::Map)
            .what("The timer lies in another map than the one that is given.")
            .hint("Pass the map whose value the timer is in."),
        A::AllocSize { reg } => Advice::of(Category::UnboundedValue)
            .what(format!("The size in R{} is not a constant.", reg.index()))
            .hint("Reserve a constant size, or use bpf_ringbuf_reserve_dynptr()."),
    }
}

fn string(violation: StringViolation) -> Advice {
    use StringViolation as S;
    let advice = Advice::of(Category::Argument);
    match violation {
        S::Mutable { .. } | S::Place { .. } | S::Map | S::Outside => advice
            .what("The string is not a constant.")
            .hint("Use a literal or a static const array: it lies in a read-only map."),
        S::NoEnd => advice.what("The string has no terminating zero."),
        S::Format => advice
            .what("The format string is malformed or does not fit its arguments.")
            .hint("Use %d, %u, %x, %p, %s and their 64-bit forms, one per argument."),
        S::FormatData => advice.what("The size of the arguments is no multiple of 8."),
    }
}

fn field(violation: &FieldViolation) -> Advice {
    use FieldViolation as F;
    let map = Advice::of(Category::Map);
    let lock = Advice::of(Category::CriticalSection);
    match violation {
        F::Place { field, .. } => map.what(format!(
            "The place of the {field} is not known: the offset varies."
        )),
        F::NoBtf { field, .. } => map
            .what(format!(
                "The map has no BTF, so nothing is known of a {field} in its values."
            ))
            .hint("Define the map with __type(value, …) and compile with -g."),
        F::Missing { field, .. } => map.what(format!("The map's values hold no {field}.")),
        F::Offset { off, at, field } => {
            map.what(format!("The {field} is at offset {at}, not {off}."))
        }
        F::NotAt { field, .. } => map.what(format!("There is no {field} at that place.")),
        F::Unlocked { .. } => lock
            .what("The lock beside the list or tree is not held.")
            .hint("Take the bpf_spin_lock that lies in the same value or object first."),
        F::OtherNode { .. } | F::NodeOffset { .. } => map
            .what("The list or tree takes other nodes.")
            .hint("See the __contains() of the list or tree."),
        F::NoKptr { .. } | F::KptrNotAt { .. } => map.what("No kernel pointer lies at that place."),
        F::KptrNotOwned { .. } => map
            .what("The kernel pointer is not owned by the map's value.")
            .hint("Declare it __kptr, or store it with a plain assignment."),
        F::InTreeCallback => lock.what(
            "The lock is held while the callback runs, and can be neither taken nor given up.",
        ),
        F::SecondLock => lock
            .what("A second lock is taken while one is held.")
            .hint("Unlock the first before the second is taken."),
        F::Deadlock => lock
            .what("The lock is taken while it is held.")
            .hint("Unlock it before it is taken again."),
        F::NotHeld { .. } => lock.what("No lock is held here."),
        F::Different { .. } => lock
            .what("Another lock is held than the one that is unlocked.")
            .hint("Unlock through the same map value that was locked, found by the same lookup."),
        F::Order { .. } => lock
            .what("Locks are not given up in the reverse order of taking them.")
            .hint("Unlock the lock that was taken last first."),
    }
}

fn global(scene: Scene<'_>, violation: &GlobalViolation) -> Advice {
    use GlobalViolation as G;
    let advice = Advice::of(Category::GlobalFunction);
    match violation {
        G::UnderLock => Advice::of(Category::CriticalSection)
            .what("Global functions cannot be called while a lock is held.")
            .hint("Make the function static."),
        G::Sleeps => Advice::of(Category::Sleep)
            .what("The function may sleep, but is called where nothing may sleep."),
        G::Arguments { start, fault, .. } => {
            let inner = advise(scene, fault, None, None);
            let why = inner
                .what
                .unwrap_or_else(|| inner.category.meaning().to_owned());
            let name = scene.func_name(*start);
            advice.what(format!(
                "The arguments do not fit the prototype of {name}(): {why}"
            ))
        }
        G::NoScalar { reg } => advice.what(format!("R{} must be a number.", reg.index())),
        G::NoCtx { arg } => advice.what(format!(
            "Argument {} must be the program's context.",
            arg + 1
        )),
        G::MaybeNull { arg } => Advice::of(Category::NullPointer).what(format!(
            "Argument {} may be null, but is declared not to be.",
            arg + 1
        )),
        G::NoArena { reg } => advice.what(format!(
            "R{} must be an arena pointer or a number.",
            reg.index()
        )),
    }
}
