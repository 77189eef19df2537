//! What of the kernel is named or touched by a program and cannot be, with what would help.

use skep_spec::ProgFlags;

use super::advice::{Advice, capital, describe};
use super::category::Category;
use crate::report::scene::Scene;
use crate::state::BtfSource;
use crate::violation::{ArgFault, BtfFault, BtfViolation, KernelViolation};

/// The advice for something that the request names.
pub(super) fn kernel(scene: Scene<'_>, violation: KernelViolation) -> Advice {
    use KernelViolation as K;
    let target = Advice::of(Category::Target);
    match violation {
        K::NoTarget => target.what("The request does not say what the program attaches to."),
        K::NoSuchType | K::NotTypedef | K::WrongName | K::NotFunction | K::Unsupported => target
            .what("What the program attaches to is not in the kernel's BTF as it should be.")
            .hint("Load it with the BTF of the kernel that is to run it, by name."),
        K::KernelFunction => {
            target.what("Extensions replace functions of programs, not of the kernel.")
        }
        K::TooManyArgs { .. }
        | K::ReturnType { .. }
        | K::Variadic
        | K::ArgType { .. }
        | K::VoidArg => target
            .what("The function's prototype is one that trampolines cannot call.")
            .hint("Attach to another function, or use a kprobe."),
        K::NotSleepable => Advice::of(Category::Sleep)
            .what("The function runs where nothing may sleep.")
            .hint("Load the program as one that does not sleep."),
        K::NotModifiable => target
            .what("The function's result cannot be replaced.")
            .hint("fmod_ret is for functions that allow error injection, and LSM hooks."),
        K::Untraceable | K::NoReturn => target.what("Programs cannot attach to this function."),
        K::LsmLicense | K::MemberLicense => Advice::of(Category::License).what(format!(
            "Such programs need a GPL-compatible licence; this one declares \"{}\".",
            scene.spec.license
        )),
        K::NoFunctions => target
            .what("What the program attaches to is no structure of functions that programs can be.")
            .hint("Load it with the BTF of the kernel that is to run it, by name."),
        K::NoMember { .. } | K::NoFunction { .. } => {
            target.what("The structure has no such member that is a function.")
        }
        K::UnsupportedMember { .. } => target.what(if sleeps(scene) {
            "Programs that sleep cannot be this member of the structure."
        } else {
            "Programs cannot be this member of the structure."
        }),
        K::LsmDisabled => target.what("The kernel does not let programs attach to this hook."),
        K::NoSuchVariable { .. }
        | K::NotVariable { .. }
        | K::NoAddress { .. }
        | K::VariableSize { .. } => target
            .what("A variable of the kernel that the program names is not there.")
            .hint("Declare it __weak and check its address before use."),
    }
}

fn sleeps(scene: Scene<'_>) -> bool {
    scene.spec.flags.contains(ProgFlags::SLEEPABLE)
}

/// The advice for a kernel structure or an argument of a kernel function.
pub(super) fn structure(scene: Scene<'_>, violation: &BtfViolation) -> Advice {
    use BtfViolation as B;
    match violation {
        B::Argument { fault, .. } => Advice::of(Category::Context).what(match fault {
            ArgFault::Offset => "Arguments lie at multiples of 8 bytes.".to_owned(),
            ArgFault::Missing { arg } => {
                format!("What the program attaches to has no argument {}.", arg + 1)
            }
            ArgFault::ModifiedResult { .. } => {
                "The function's result is nothing that can be replaced.".to_owned()
            }
            ArgFault::NoPointer { arg, .. } | ArgFault::NoStructure { arg, .. } => {
                format!(
                    "Argument {} is of a type that programs cannot use.",
                    arg + 1
                )
            }
            ArgFault::Size => "Pointers must be read whole, 8 bytes.".to_owned(),
        }),
        B::Member { fault, own } => btf(scene, *fault, *own),
        B::ObjectField { field } => Advice::of(Category::KernelObject).what(format!(
            "The bytes belong to a {field}, which only its own functions may touch."
        )),
        B::NoMemberWrite { of, .. } => Advice::of(Category::ReadOnly).what(if *of == "nf_conn" {
            "Of a tracked connection only the mark can be written.".to_owned()
        } else {
            format!("Programs cannot write to this member of struct {of}.")
        }),
        B::MemberEnd { .. } | B::StructureEnd { .. } => Advice::of(Category::ReadOnly)
            .what("The write goes beyond the end of what can be written."),
        B::OnlyAccess { to } => Advice::of(Category::ReadOnly).what(format!(
            "Programs of this kind can only write to struct {to}."
        )),
        B::Lane { .. } => Advice::of(Category::PointerLeak)
            .what("Kernel structures are not for unprivileged programs."),
        B::License { .. } => Advice::of(Category::License)
            .what("Kernel structures are for programs with a GPL-compatible licence."),
        B::Negative { pointer, .. } | B::Variable { pointer, .. } => {
            Advice::of(Category::KernelObject)
                .what(format!(
                    "Only members at fixed places can be read; what is used is {}.",
                    describe(scene, pointer)
                ))
                .hint("Read arrays in kernel structures with bpf_probe_read_kernel().")
        }
        B::Memory { pointer, .. } => Advice::of(Category::KernelObject)
            .what(format!(
                "{} cannot be accessed directly.",
                capital(&describe(scene, pointer))
            ))
            .hint(
                "Read user memory with bpf_probe_read_user(), per-CPU variables through \
                 bpf_per_cpu_ptr() or bpf_this_cpu_ptr().",
            ),
        B::Write { .. } | B::MapFieldWrite { .. } => {
            Advice::of(Category::ReadOnly).what("Kernel structures can be read, not written.")
        }
        B::MapFieldNegative { .. } => Advice::of(Category::KernelObject),
    }
}

fn btf(scene: Scene<'_>, fault: BtfFault, own: bool) -> Advice {
    use BtfFault as B;
    let source = if own {
        BtfSource::Program
    } else {
        BtfSource::Kernel
    };
    let name = |id: u32| scene.type_name(source, id);
    let advice = Advice::of(Category::KernelObject);
    match fault {
        B::NoStructure { .. } => advice
            .what("The pointer does not lead to a structure.")
            .hint("Read what it leads to with bpf_probe_read_kernel()."),
        B::Beyond { id, off, size } => advice.what(format!(
            "{size} bytes at offset {off} do not lie within struct {}.",
            name(id)
        )),
        B::NoSize { id, .. }
        | B::PartOfPointer { id, .. }
        | B::BeyondMember { id, .. }
        | B::NoMember { id, .. } => advice
            .what(format!(
                "The access does not fit a member of struct {}.",
                name(id)
            ))
            .hint("Access members by name, each with its own type; let CO-RE find their offsets."),
    }
}
