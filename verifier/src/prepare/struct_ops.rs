//! Programs that are members of kernel structures: the structure must be made for that, and the member
//! a function that programs may be (`check_struct_ops_btf_id`).

use skep_btf::{Btf, FuncProto, Kind, Type, TypeId};
use skep_spec::tables::struct_ops::{self, StructOps};
use skep_spec::{Facts, ProgFlags, ProgramSpec};

use super::attach::{AttachTarget, is_nullable};
use crate::violation::{KernelViolation, Stop};

/// Names of what wraps such a structure in maps begin with this.
const WRAPPED: &str = "bpf_struct_ops_";
/// Ends of names of arguments that the program owns.
const OWNED: &str = "__ref";

/// What is known of the member beside its prototype.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemberOf<'a> {
    /// The structure.
    pub(crate) ops: &'static StructOps,
    /// Prototype of the function that the kernel has in the member's place, whose names tell which
    /// arguments may be null.
    stub: Option<FuncProto<'a>>,
}

impl MemberOf<'_> {
    /// Whether an argument may be null.
    pub(crate) fn is_nullable(&self, arg: usize) -> bool {
        let param = self.stub.as_ref().and_then(|stub| stub.params.get(arg));
        param.is_some_and(|param| is_nullable(param.name()))
    }
}

/// The member that a program says it is.
pub(super) fn find_member<'a>(
    spec: &'a ProgramSpec,
    facts: &'a Facts,
) -> Result<AttachTarget<'a>, Stop> {
    if !spec.is_gpl_compatible() {
        return Err(KernelViolation::MemberLicense.into());
    }
    if spec.attach_btf_id == 0 {
        return Err(KernelViolation::Unsupported.into());
    }
    let Some(btf) = facts.btf() else {
        return Err(Stop::undecided(
            "what programs attach to, in a kernel whose types are not known",
        ));
    };
    let Ok(Type::Struct(structure)) = btf.ty(TypeId(spec.attach_btf_id)) else {
        return Err(KernelViolation::NoFunctions.into());
    };
    let name = structure.name();
    if !is_for_programs(btf, name, spec.attach_btf_id) {
        return Err(KernelViolation::NoFunctions.into());
    }
    let Some(ops) = struct_ops::find(name) else {
        return Err(Stop::undecided(format!("members of struct {name}")));
    };
    let index = spec.attach.number();
    let Some(member) = structure.members.get(index as usize) else {
        return Err(KernelViolation::NoMember { index }.into());
    };
    let Some(proto) = function_behind(btf, member.ty) else {
        return Err(KernelViolation::NoFunction { index }.into());
    };
    let member = member.name();
    let sleeps = spec.flags.contains(ProgFlags::SLEEPABLE);
    if !ops.members.contains(&member) || (sleeps && !ops.sleepable.contains(&member)) {
        return Err(KernelViolation::UnsupportedMember { index }.into());
    }
    let stub = btf
        .find_by_name(Kind::Func, &format!("{name}__{member}"))
        .and_then(|id| {
            btf.ty(btf.ty(id).ok()?.as_func()?.proto)
                .ok()?
                .as_func_proto()
        });
    let owns = |stub: &FuncProto<'_>| stub.params.iter().any(|p| p.name().ends_with(OWNED));
    if stub.as_ref().is_some_and(owns) {
        return Err(Stop::undecided("arguments that the program owns"));
    }
    Ok(AttachTarget {
        trusted_args: true,
        member_of: Some(MemberOf { ops, stub }),
        ..AttachTarget::new(member, btf, proto)
    })
}

/// Whether the kernel knows the structure as one of functions that programs can be.
fn is_for_programs(btf: &Btf, name: &str, id: u32) -> bool {
    let wrapped = btf.find_by_name(Kind::Struct, &format!("{WRAPPED}{name}"));
    wrapped.is_some() && btf.find_by_name(Kind::Struct, name) == Some(TypeId(id))
}

/// The prototype of a pointer to a function (`btf_type_resolve_func_ptr`).
fn function_behind(btf: &Btf, id: TypeId) -> Option<FuncProto<'_>> {
    let (_, Type::Ptr(to)) = btf.resolve(id).ok()? else {
        return None;
    };
    btf.resolve(to).ok()?.1.as_func_proto()
}
