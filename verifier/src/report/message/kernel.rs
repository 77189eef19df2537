//! What programs attach to and the variables that they name, in the kernel's words.

use skep_btf::Kind;

use crate::report::scene::Scene;
use crate::state::BtfSource;
use crate::violation::KernelViolation;

/// The lines that the kernel logs; empty where it says nothing.
pub(super) fn text(scene: Scene<'_>, violation: &KernelViolation) -> String {
    use KernelViolation as A;
    let id = scene.spec.attach_btf_id;
    let name = scene.type_name(BtfSource::Kernel, id);
    match *violation {
        A::NoTarget => "Tracing programs must provide btf_id".to_owned(),
        A::NoSuchType => format!("attach_btf_id {id} is invalid"),
        A::NotTypedef => format!("attach_btf_id {id} is not a typedef"),
        A::WrongName => format!("attach_btf_id {id} points to wrong type name {name}"),
        A::NotFunction => format!("attach_btf_id {id} is not a function"),
        A::Unsupported => String::new(),
        A::KernelFunction => "Cannot replace kernel functions".to_owned(),
        A::TooManyArgs { count } => {
            format!("The function {name} has {count} arguments. Too many.")
        }
        A::ReturnType { kind } => {
            format!(
                "The function {name} return type {} is unsupported.",
                kind_name(kind)
            )
        }
        A::Variadic => format!("The function {name} with variable args is unsupported."),
        A::ArgType { arg, kind } => {
            format!(
                "The function {name} arg{arg} type {} is unsupported.",
                kind_name(kind)
            )
        }
        A::VoidArg => format!("The function {name} has malformed void argument."),
        A::NotSleepable => format!("{name} is not sleepable"),
        A::NotModifiable => format!("{name}() is not modifiable"),
        A::Untraceable => {
            format!("Attaching tracing programs to function '{name}' is rejected.")
        }
        A::NoReturn => {
            format!("Attaching fexit/fmod_ret to __noreturn function '{name}' is rejected.")
        }
        A::MemberLicense => "struct ops programs must have a GPL compatible license".to_owned(),
        A::NoFunctions => format!("attach_btf_id {id} is not a supported struct"),
        A::NoMember { index } => {
            format!("attach to invalid member idx {index} of struct {name}")
        }
        A::NoFunction { index } => format!(
            "attach to invalid member {}(@idx {index}) of struct {name}",
            scene.member_name(id, index)
        ),
        A::UnsupportedMember { index } => format!(
            "attach to unsupported member {} of struct {name}",
            scene.member_name(id, index)
        ),
        A::LsmLicense => "LSM programs must have a GPL compatible license".to_owned(),
        A::LsmDisabled => format!("attach_btf_id {id} points to disabled hook {name}"),
        A::NoSuchVariable { id } => {
            format!("ldimm64 insn specifies invalid btf_id {}.", id as i32)
        }
        A::NotVariable { id } => {
            format!(
                "pseudo btf_id {} in ldimm64 isn't KIND_VAR or KIND_FUNC",
                id as i32
            )
        }
        A::NoAddress { id } => format!(
            "ldimm64 failed to find the address for kernel symbol '{}'.",
            scene.type_name(BtfSource::Kernel, id)
        ),
        A::VariableSize { id } => format!(
            "ldimm64 unable to resolve the size of type '{}': -22",
            scene.type_name(BtfSource::Kernel, id)
        ),
    }
}

/// A kind as the kernel prints it, which has no name for void.
pub(super) fn kind_name(kind: Kind) -> &'static str {
    if kind == Kind::Void {
        "UNKNOWN"
    } else {
        kind.name()
    }
}
