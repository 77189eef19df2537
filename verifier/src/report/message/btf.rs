//! Kernel structures and arguments that cannot be read or written, in the kernel's words.

use skep_btf::{Kind, TypeId};
use skep_spec::{AttachType, ProgType};

use super::kernel::kind_name;
use super::value::bits;
use crate::report::ValueView;
use crate::report::scene::Scene;
use crate::state::{BtfSource, Region};
use crate::violation::{ArgFault, BtfFault, BtfViolation};

/// The lines that the kernel logs.
pub(super) fn text(scene: Scene<'_>, violation: &BtfViolation) -> String {
    use BtfViolation as V;
    match violation {
        V::Argument { fault, off, size } => {
            let why = argument(scene, fault, *off, *size);
            format!("{why}\ninvalid bpf_context access off={off} size={size}")
        }
        V::Member { fault, own } => {
            let source = if *own {
                BtfSource::Program
            } else {
                BtfSource::Kernel
            };
            member(scene, fault, source)
        }
        V::ObjectField { field } => format!("direct access to {field} is disallowed"),
        V::NoMemberWrite { of, off } => format!("no write support to {of} at off {off}"),
        V::MemberEnd { of, off, size, end } => format!(
            "write access at off {off} with size {size} beyond the member of {of} ended at {end}"
        ),
        V::OnlyAccess { to } => format!("only access to {to} is supported"),
        V::StructureEnd { off, size } => format!("write access at off {off} with size {size}"),
        V::Lane { id } => format!(
            "'struct {}' access is allowed only to CAP_PERFMON and CAP_SYS_ADMIN",
            name(scene, *id)
        ),
        V::License { id } => format!(
            "Cannot access kernel 'struct {}' from non-GPL compatible program",
            name(scene, *id)
        ),
        V::Negative { reg, pointer, off } => {
            let (reg, name) = (reg.index(), pointer_name(scene, pointer));
            format!("R{reg} is ptr_{name} invalid negative access: off={off}")
        }
        V::Variable {
            reg,
            pointer,
            off,
            var,
        } => {
            let (reg, name, var) = (reg.index(), pointer_name(scene, pointer), bits(var));
            format!("R{reg} is ptr_{name} invalid variable offset: off={off}, var_off={var}")
        }
        V::Memory {
            reg,
            pointer,
            off,
            what,
        } => {
            let (reg, name) = (reg.index(), pointer_name(scene, pointer));
            format!("R{reg} is ptr_{name} access {what} memory: off={off}")
        }
        V::Write { told: true } => "only read is supported".to_owned(),
        V::Write { told: false } => String::new(),
        V::MapFieldNegative { reg, id, off } => {
            let (reg, name) = (reg.index(), name(scene, *id));
            format!("R{reg} is {name} invalid negative access: off={off}")
        }
        V::MapFieldWrite { id } => format!("only read from {} is supported", name(scene, *id)),
    }
}

fn name(scene: Scene<'_>, id: u32) -> &str {
    scene.type_name(BtfSource::Kernel, id)
}

fn pointer_name<'a>(scene: Scene<'a>, view: &ValueView) -> &'a str {
    match view.0.pointer().map(|pointer| pointer.region) {
        Some(Region::Btf { source, id }) => scene.type_name(source, id),
        _ => "",
    }
}

/// The kind of a type behind its modifiers.
fn kind_behind(scene: Scene<'_>, ty: u32) -> Kind {
    let resolved = scene
        .btf(BtfSource::Kernel)
        .and_then(|btf| btf.resolve(TypeId(ty)).ok());
    resolved.map_or(Kind::Void, |(_, ty)| ty.kind())
}

/// The function, hook or tracepoint that the program attaches to.
fn target(scene: Scene<'_>) -> &str {
    let named = name(scene, scene.spec.attach_btf_id);
    if scene.spec.ty == ProgType::StructOps {
        return scene.member_name(scene.spec.attach_btf_id, scene.spec.attach.number());
    }
    let is_tracepoint = scene.spec.attach == AttachType::TraceRawTp;
    let tracepoint = named.strip_prefix("btf_trace_").filter(|_| is_tracepoint);
    tracepoint.unwrap_or(named)
}

/// The line that tells what an argument points to.
pub(crate) fn argument_text(scene: Scene<'_>, arg: u32, id: TypeId) -> String {
    let (func, named) = (target(scene), name(scene, id.0));
    let kind = kind_name(kind_behind(scene, id.0));
    format!(
        "func '{func}' arg{arg} has btf_id {} type {kind} '{named}'\n",
        id.0
    )
}

/// Why an argument cannot be read.
fn argument(scene: Scene<'_>, fault: &ArgFault, off: i32, size: i32) -> String {
    use ArgFault as F;
    let func = target(scene);
    let kind = |ty: u32| kind_name(kind_behind(scene, ty));
    match *fault {
        F::Offset => format!("func '{func}' offset {off} is not multiple of 8"),
        F::Missing { arg } => {
            format!(
                "func '{func}' doesn't have {}-th argument",
                arg.wrapping_add(1)
            )
        }
        F::ModifiedResult { ty } => format!("ret type {} not allowed for fmod_ret", kind(ty)),
        F::NoPointer { arg, ty } => {
            let btf = scene.btf(BtfSource::Kernel);
            let resolved = btf.and_then(|btf| btf.resolve(TypeId(ty)).ok());
            let named = or_anon(resolved.map_or("", |(_, ty)| ty.name()));
            let kind = kind(ty);
            format!(
                "func '{func}' arg{arg} '{named}' has type {kind}. Only pointer access is allowed"
            )
        }
        F::Size => format!("func '{func}' size {size} must be 8"),
        F::NoStructure { arg, ty } => {
            format!("func '{func}' arg{arg} type {} is not a struct", kind(ty))
        }
    }
}

/// A name as the kernel's walk over types prints it (`__btf_name_by_offset`).
fn or_anon(name: &str) -> &str {
    if name.is_empty() { "(anon)" } else { name }
}

/// Why a member cannot be read.
fn member(scene: Scene<'_>, fault: &BtfFault, source: BtfSource) -> String {
    use BtfFault as F;
    let name = |scene: Scene<'_>, id| or_anon(scene.type_name(source, id)).to_owned();
    let of = |id: u32, index: u32| {
        let ty = scene.btf(source).and_then(|btf| btf.ty(TypeId(id)).ok());
        let composite = ty.and_then(|ty| ty.as_composite());
        let member = composite.and_then(|composite| composite.members.get(index as usize));
        or_anon(member.map_or("", |member| member.name()))
    };
    match *fault {
        F::NoStructure { id } => format!("Type '{}' is not a struct", name(scene, id)),
        F::Beyond { id, off, size } => {
            format!(
                "access beyond struct {} at off {off} size {size}",
                name(scene, id)
            )
        }
        F::NoSize { id, member } => format!("field {} doesn't have size", of(id, member)),
        F::PartOfPointer {
            id,
            member,
            start,
            off,
            size,
        } => format!(
            "cannot access ptr member {} with moff {start} in struct {} with off {off} size {size}",
            of(id, member),
            name(scene, id)
        ),
        F::BeyondMember {
            id,
            member,
            end,
            off,
            size,
        } => format!(
            "access beyond the end of member {} (mend:{end}) in struct {} with off {off} size {size}",
            of(id, member),
            name(scene, id)
        ),
        F::NoMember { id, off } => {
            format!(
                "struct {} doesn't have field at offset {off}",
                name(scene, id)
            )
        }
    }
}
