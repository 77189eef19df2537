//! What the program attaches to in the kernel: the tracepoint, function, hook or iterator must exist,
//! be callable through a trampoline, and allow such programs (`check_attach_btf_id`).
//!
//! Its prototype is the program's context: `access/ctx_args` reads arguments by it.

use skep_btf::{Btf, FuncProto, Kind, Type, TypeId};
use skep_spec::tables::attach::{
    DISABLED_LSM, NORETURN, SLEEPABLE_LSM, UNTRACEABLE, UNTRUSTED_LSM,
};
use skep_spec::tables::btf_lists::{
    self, IterTarget, NO_LSM_HOOKS, NON_SLEEPABLE_INJECTION, TracepointArgs,
};
use skep_spec::{AttachType, Facts, ProgFlags, ProgType, ProgramSpec};

use super::struct_ops::{self, MemberOf};
use crate::violation::{KernelViolation, Stop};

/// Programs that are called in the place of functions, through trampolines.
const CALLED_THROUGH: [AttachType; 5] = [
    AttachType::TraceFentry,
    AttachType::TraceFexit,
    AttachType::ModifyReturn,
    AttachType::LsmMac,
    AttachType::LsmCgroup,
];
/// Arguments that a trampoline passes on.
pub(crate) const MAX_ARGS: usize = 12;
/// Bytes of the largest argument that it passes on.
const MAX_ARG_SIZE: u32 = 16;
/// What names of tracepoints' types begin with.
const TRACEPOINT: &str = "btf_trace_";
/// What names of iterators begin with.
const ITERATOR: &str = "bpf_iter_";
/// What names of LSM hooks begin with.
const LSM_HOOK: &str = "bpf_lsm_";
/// What names of functions begin with that ask the security modules.
const SECURITY: &str = "security_";

/// What the program attaches to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttachTarget<'a> {
    /// Name of the function, hook or iterator; of a tracepoint without prefix.
    pub(crate) name: &'a str,
    /// The kernel's types.
    pub(crate) btf: &'a Btf,
    /// Prototype, which is the context's layout.
    pub(crate) proto: FuncProto<'a>,
    /// The prototype begins with an argument that the program does not see.
    pub(crate) hidden_arg: bool,
    /// The kernel vouches for pointers among the arguments (`prog_args_trusted`).
    pub(crate) trusted_args: bool,
    /// What is known of a tracepoint's arguments beside their types.
    pub(crate) tracepoint: Option<&'static TracepointArgs>,
    /// What is known of an iterator's arguments beside their types.
    pub(crate) iter: Option<&'static IterTarget>,
    /// The structure whose member it is.
    pub(crate) member_of: Option<MemberOf<'a>>,
}

/// The target of a program, if programs of its type need one.
pub(super) fn find_target<'a>(
    spec: &'a ProgramSpec,
    facts: &'a Facts,
) -> Result<Option<AttachTarget<'a>>, Stop> {
    if !facts.prog_type(spec.ty).is_some_and(|row| row.needs_target) {
        return Ok(None);
    }
    if spec.ty == ProgType::StructOps {
        return struct_ops::find_member(spec, facts).map(Some);
    }
    if spec.attach_btf_id == 0 {
        return Err(KernelViolation::NoTarget.into());
    }
    if spec.target.is_some() {
        return Err(Stop::undecided("programs that attach to other programs"));
    }
    let Some(btf) = facts.btf() else {
        return Err(Stop::undecided(
            "what programs attach to, in a kernel whose types are not known",
        ));
    };
    let id = TypeId(spec.attach_btf_id);
    let Ok(ty) = btf.ty(id) else {
        return Err(KernelViolation::NoSuchType.into());
    };
    if spec.ty == ProgType::Ext {
        return Err(KernelViolation::KernelFunction.into());
    }
    let target = if spec.attach == AttachType::TraceRawTp {
        find_tracepoint(btf, ty)
    } else if spec.attach == AttachType::TraceIter {
        find_iterator(btf, ty)
    } else if CALLED_THROUGH.contains(&spec.attach) {
        find_function(spec, facts, btf, ty)
    } else {
        Err(KernelViolation::Unsupported.into())
    };
    target.map(Some)
}

impl<'a> AttachTarget<'a> {
    pub(super) fn new(name: &'a str, btf: &'a Btf, proto: FuncProto<'a>) -> AttachTarget<'a> {
        AttachTarget {
            name,
            btf,
            proto,
            hidden_arg: false,
            trusted_args: false,
            tracepoint: None,
            iter: None,
            member_of: None,
        }
    }
}

/// A tracepoint: the prototype of the function that its class calls has names for the arguments, that
/// of the typedef has none.
fn find_tracepoint<'a>(btf: &'a Btf, ty: Type<'a>) -> Result<AttachTarget<'a>, Stop> {
    let Type::Typedef(typedef) = ty else {
        return Err(KernelViolation::NotTypedef.into());
    };
    let Some(name) = typedef.name().strip_prefix(TRACEPOINT) else {
        return Err(KernelViolation::WrongName.into());
    };
    let proto = match named_prototype(btf, "__bpf_trace_", name) {
        Some(proto) => proto,
        None => {
            // An event of a class with another name, which BTF does not tell.
            let own = named_prototype(btf, "__traceiter_", name);
            if own.is_some_and(|proto| proto.params.iter().any(|p| is_nullable(p.name()))) {
                return Err(Stop::undecided(
                    "arguments of a tracepoint of unknown class",
                ));
            }
            let proto = match btf.ty(typedef.ty) {
                Ok(Type::Ptr(to)) => btf.ty(to).ok().and_then(Type::as_func_proto),
                _ => None,
            };
            proto.ok_or(KernelViolation::Unsupported)?
        }
    };
    Ok(AttachTarget {
        hidden_arg: true,
        trusted_args: true,
        tracepoint: btf_lists::tracepoint_args(name),
        ..AttachTarget::new(name, btf, proto)
    })
}

fn named_prototype<'a>(btf: &'a Btf, prefix: &str, name: &str) -> Option<FuncProto<'a>> {
    let id = btf.find_by_name(Kind::Func, &format!("{prefix}{name}"))?;
    function_prototype(btf, btf.ty(id).ok()?)
}

fn function_prototype<'a>(btf: &'a Btf, ty: Type<'a>) -> Option<FuncProto<'a>> {
    btf.ty(ty.as_func()?.proto).ok()?.as_func_proto()
}

/// Whether a parameter's name says that it may be null.
pub(crate) fn is_nullable(name: &str) -> bool {
    name.ends_with("__nullable")
}

fn find_iterator<'a>(btf: &'a Btf, ty: Type<'a>) -> Result<AttachTarget<'a>, Stop> {
    let (name, proto) = callable(btf, ty)?;
    let iter = name.strip_prefix(ITERATOR).and_then(btf_lists::iter_target);
    let Some(iter) = iter else {
        return Err(KernelViolation::Unsupported.into());
    };
    Ok(AttachTarget {
        trusted_args: true,
        iter: Some(iter),
        ..AttachTarget::new(name, btf, proto)
    })
}

fn find_function<'a>(
    spec: &ProgramSpec,
    facts: &Facts,
    btf: &'a Btf,
    ty: Type<'a>,
) -> Result<AttachTarget<'a>, Stop> {
    let (name, proto) = callable(btf, ty)?;
    let is_lsm = spec.ty == ProgType::Lsm;
    if spec.flags.contains(ProgFlags::SLEEPABLE) {
        let may_sleep = if is_lsm {
            SLEEPABLE_LSM.contains(&name)
        } else {
            may_sleep(facts, name)?
        };
        if !may_sleep {
            return Err(KernelViolation::NotSleepable.into());
        }
    } else if spec.attach == AttachType::ModifyReturn {
        check_modifiable(facts, name)?;
    }
    if is_lsm {
        check_hook(spec, name)?;
    } else if spec.ty == ProgType::Tracing && UNTRACEABLE.contains(&name) {
        return Err(KernelViolation::Untraceable.into());
    } else if matches!(
        spec.attach,
        AttachType::TraceFexit | AttachType::ModifyReturn
    ) && NORETURN.contains(&name)
    {
        return Err(KernelViolation::NoReturn.into());
    }
    let trusted_args = is_lsm && !UNTRUSTED_LSM.contains(&name);
    Ok(AttachTarget {
        trusted_args,
        ..AttachTarget::new(name, btf, proto)
    })
}

/// Functions in which tracing programs may sleep. Which are made for error injection, BTF does not
/// tell.
fn may_sleep(facts: &Facts, name: &str) -> Result<bool, Stop> {
    if btf_lists::modifiable(name) == Some(true) {
        return Ok(true);
    }
    if !facts.environment().error_injection {
        return Ok(false);
    }
    if NON_SLEEPABLE_INJECTION.contains(&name) {
        return Ok(btf_lists::modifiable(name).unwrap_or(false));
    }
    Err(Stop::undecided(
        "functions that are made for error injection",
    ))
}

fn check_modifiable(facts: &Facts, name: &str) -> Result<(), Stop> {
    if btf_lists::modifiable(name).is_some() || name.starts_with(SECURITY) {
        return Ok(());
    }
    if facts.environment().error_injection {
        return Err(Stop::undecided(
            "functions that are made for error injection",
        ));
    }
    Err(KernelViolation::NotModifiable.into())
}

/// LSM hooks (`bpf_lsm_verify_prog`).
fn check_hook(spec: &ProgramSpec, name: &str) -> Result<(), KernelViolation> {
    if !spec.is_gpl_compatible() {
        return Err(KernelViolation::LsmLicense);
    }
    if DISABLED_LSM.contains(&name) {
        return Err(KernelViolation::LsmDisabled);
    }
    if !name.starts_with(LSM_HOOK) || NO_LSM_HOOKS.contains(&name) {
        return Err(KernelViolation::WrongName);
    }
    Ok(())
}

/// A function that a trampoline can stand in for: its name and prototype
/// (`btf_distill_func_proto`).
fn callable<'a>(btf: &'a Btf, ty: Type<'a>) -> Result<(&'a str, FuncProto<'a>), KernelViolation> {
    let Type::Func(func) = ty else {
        return Err(KernelViolation::NotFunction);
    };
    let Some(proto) = function_prototype(btf, ty) else {
        return Err(KernelViolation::Unsupported);
    };
    let count = proto.params.len();
    if count > MAX_ARGS {
        return Err(KernelViolation::TooManyArgs { count });
    }
    let (kind, size) = passed(btf, proto.ret);
    if size.is_none() || matches!(kind, Kind::Struct | Kind::Union) {
        return Err(KernelViolation::ReturnType { kind });
    }
    for (arg, param) in proto.params.iter().enumerate() {
        if arg + 1 == count && param.ty.is_void() {
            return Err(KernelViolation::Variadic);
        }
        let (kind, size) = passed(btf, param.ty);
        match size {
            Some(0) => return Err(KernelViolation::VoidArg),
            Some(size) if size <= MAX_ARG_SIZE => {}
            Some(_) | None => return Err(KernelViolation::ArgType { arg, kind }),
        }
    }
    Ok((func.name(), proto))
}

/// Kind and size of what is passed; no size where it cannot be passed at all (`__get_type_size`).
fn passed(btf: &Btf, id: TypeId) -> (Kind, Option<u32>) {
    let Ok((_, ty)) = btf.resolve(id) else {
        return (Kind::Void, None);
    };
    let size = match ty {
        Type::Void if id.is_void() => Some(0),
        Type::Ptr(_) => Some(8),
        Type::Int(t) => Some(t.size),
        Type::Enum(t) | Type::Enum64(t) => Some(t.size),
        Type::Struct(t) | Type::Union(t) => Some(t.size),
        Type::Void
        | Type::Array(_)
        | Type::Fwd(_)
        | Type::Typedef(_)
        | Type::Volatile(_)
        | Type::Const(_)
        | Type::Restrict(_)
        | Type::Func(_)
        | Type::FuncProto(_)
        | Type::Var(_)
        | Type::DataSec(_)
        | Type::Float(_)
        | Type::DeclTag(_)
        | Type::TypeTag(_) => None,
    };
    (ty.kind(), size)
}
