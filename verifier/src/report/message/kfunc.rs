//! Calls of kernel functions that are not allowed, in the kernel's words.

use skep_btf::{Kind, TypeId};

use super::kernel::kind_name;
use super::object::place_text;
use crate::report::scene::Scene;
use crate::report::value::{type_text, value_type_text};
use crate::state::{BtfSource, Pointer, PtrFlags, Value};
use crate::violation::{IrqClass, KfuncArgViolation, KfuncTarget, KfuncViolation, NoSleep};

/// What vouches for an object, and so is named where another is expected.
const VOUCHED: PtrFlags = PtrFlags::TRUSTED
    .union(PtrFlags::ALLOC)
    .union(PtrFlags::NON_OWN_REF);

/// The kernel's last words about a call of a kernel function.
#[expect(clippy::too_many_lines, reason = "a table of texts, one per rule")]
pub(super) fn text(scene: Scene<'_>, violation: &KfuncViolation) -> String {
    use KfuncViolation as V;
    let name = |id: u32| scene.type_name(BtfSource::Kernel, id);
    match *violation {
        V::NoJit => "JIT is required for calling kernel function".to_owned(),
        V::JitSupport => "JIT does not support calling kernel function".to_owned(),
        V::License => "cannot call kernel function from non-GPL compatible program".to_owned(),
        V::NegativeModule => "negative offset disallowed for kernel module function call\n\
                              failed to find BTF for kernel function"
            .to_owned(),
        V::TooMany => "too many different kernel function calls".to_owned(),
        V::NoFunction { id } => format!("kernel btf_id {id} is not a function"),
        V::NoPrototype { id } => {
            format!("kernel function btf_id {id} does not have a valid func_proto")
        }
        V::NoDevice => "metadata kfuncs require device-bound program".to_owned(),
        V::Unresolved => "invalid kernel function call not eliminated in verifier pass".to_owned(),
        V::NotAllowed { id } => format!("calling kernel function {} is not allowed", name(id)),
        V::Trap => "unexpected __bpf_trap() due to uninitialized variable?".to_owned(),
        V::Sleeps { id } => {
            format!(
                "program must be sleepable to call sleepable kfunc {}",
                name(id)
            )
        }
        V::SleepsInSection { id, section } => {
            let section = match section {
                NoSleep::Rcu => "rcu_read_lock",
                NoSleep::Preempt => "non-preemptible",
                NoSleep::Irq => "IRQ-disabled",
            };
            let name = name(id);
            format!("kernel func {name} is sleepable within {section} region")
        }
        V::NothingReleased { id } => {
            let name = name(id);
            format!("release kernel function {name} expects refcounted PTR_TO_BTF_ID")
        }
        V::NotAcquired { id } => {
            format!(
                "kfunc {}#{id} reference has not been acquired before",
                name(id)
            )
        }
        V::NestedRcu { id } => format!("nested rcu read lock (kernel function {})", name(id)),
        V::UnmatchedRcu { id } => {
            format!("unmatched rcu read unlock (kernel function {})", name(id))
        }
        V::UnmatchedPreempt { id } => format!(
            "unmatched attempt to enable preemption (kernel function {})",
            name(id)
        ),
        V::NeedsRcu { id } => {
            let name = name(id);
            format!("kernel func {name} requires RCU critical section protection")
        }
        V::ThrowInCallback { idx, subprog } => {
            format!("bpf_throw kfunc (insn {idx}) cannot be called from callback subprog {subprog}")
        }
        V::CssTaskIter => {
            "css_task_iter is only allowed in bpf_lsm, bpf_iter and sleepable progs".to_owned()
        }
        V::NoKernelContext { ty } => format!("kern ctx type id {ty} is not a struct"),
        V::CastUnknown { ty } => {
            let ty = ty as i64;
            format!("Unknown type ID {ty} passed to kfunc bpf_rdonly_cast")
        }
        V::CastKind => {
            "kfunc bpf_rdonly_cast type ID argument must be of a struct or void".to_owned()
        }
        V::ObjectTypeRange => "local type ID argument must be in range [0, U32_MAX]".to_owned(),
        V::ObjectNoBtf => "bpf_obj_new/bpf_percpu_obj_new requires prog BTF".to_owned(),
        V::ObjectNoStructure => {
            "bpf_obj_new/bpf_percpu_obj_new type ID argument must be of a struct".to_owned()
        }
        V::ObjectSize { size, max } => {
            format!("bpf_percpu_obj_new type size ({size}) is greater than {max}")
        }
        V::ObjectNotPlain => {
            "bpf_percpu_obj_new type ID argument must be of a struct of scalars".to_owned()
        }
        V::ObjectFields => {
            "bpf_percpu_obj_new type ID argument must not contain special fields".to_owned()
        }
        V::InTreeCallback { id } => format!("{} not allowed in rbtree cb", name(id)),
        V::AcquiresNoObject => "acquire kernel function does not return PTR_TO_BTF_ID".to_owned(),
        V::Result { id, ty } => {
            let (name, ty) = (name(id), described(scene, ty));
            format!("kernel function {name} returns pointer type {ty} is not supported")
        }
        V::Argument(ref violation) => argument(scene, violation),
    }
}

/// About an argument.
#[expect(clippy::too_many_lines, reason = "a table of texts, one per rule")]
fn argument(scene: Scene<'_>, violation: &KfuncArgViolation) -> String {
    use KfuncArgViolation as V;
    let name = |id: u32| scene.type_name(BtfSource::Kernel, id);
    match *violation {
        V::Parameters { id, count, max } => {
            format!("Function {} has {count} > {max} args", name(id))
        }
        V::NoScalar { reg } => format!("R{} is not a scalar", reg.index()),
        V::NoConstant { reg } => format!("R{} must be a known constant", reg.index()),
        V::ResultSize { reg } => format!("R{} is not a const", reg.index()),
        V::SecondResultSize => "2 or more rdonly/rdwr_buf_size parameters for kfunc".to_owned(),
        V::ParameterKind { arg, ty } => {
            format!("Unrecognized arg#{arg} type {}", kind_of(scene, ty))
        }
        V::MaybeNull { arg } => format!("Possibly NULL pointer passed to trusted arg{arg}"),
        V::OtherMap {
            task: true,
            work_uid,
            map_uid,
        } => format!(
            "bpf_task_work pointer in R2 map_uid={work_uid} doesn't match map pointer in R3 \
             map_uid={map_uid}"
        ),
        V::OtherMap {
            task: false,
            work_uid,
            map_uid,
        } => format!(
            "workqueue pointer in R1 map_uid={work_uid} doesn't match map pointer in R2 \
             map_uid={map_uid}"
        ),
        V::NoMap { reg } => format!("pointer in R{} isn't map pointer", reg.index()),
        V::NotTrusted { reg } => format!("R{} must be referenced or trusted", reg.index()),
        V::NotRcu { reg } => format!("R{} must be a rcu pointer", reg.index()),
        V::NoCtx { arg, ref value } => {
            let found = value_type_text(&value.0);
            format!("arg#{arg} expected pointer to ctx, but got {found}")
        }
        V::Target { arg, wanted } => format!("arg#{arg} {}", wanted_text(wanted)),
        V::NoObject { arg, ref value } => {
            let (found, wanted) = (value_type_text(&value.0), wanted_object(&value.0));
            format!("arg#{arg} is {found} expected {wanted} or socket")
        }
        V::Object {
            id,
            arg,
            expected,
            found,
        } => other_object(scene, id, arg, expected, (BtfSource::Kernel, found)),
        V::OwnObject {
            id,
            arg,
            expected,
            found,
        } => other_object(scene, id, arg, expected, (BtfSource::Program, found)),
        V::ObjectNotHeld => "allocated object must be referenced".to_owned(),
        V::NoRefcount { arg } => {
            format!("arg#{arg} doesn't point to a type with bpf_refcount field")
        }
        V::ParameterPointer { id, arg, ty } => {
            let (name, ty) = (name(id), described(scene, ty));
            format!("kernel function {name} args#{arg} pointer type {ty} is not supported")
        }
        V::ParameterMemory { arg, ty, sized } => {
            let (ty, void) = (described(scene, ty), if sized { "void, " } else { "" });
            format!("arg#{arg} pointer type {ty} must point to {void}scalar, or struct with scalar")
        }
        V::ParameterSize { arg, ty } => {
            let ty = described(scene, ty);
            format!("arg#{arg} reference type('{ty}') size cannot be determined: -22")
        }
        V::Memory { arg, ref fault } => format!(
            "{}\narg#{arg} arg#{} memory, len pair leads to invalid memory access",
            super::text(scene, fault),
            arg + 1
        ),
        V::NoCallback { arg } => format!("arg{arg} expected pointer to func"),
        V::NotInTree { id } => {
            let name = name(id);
            format!("{name} can only take non-owning or refcounted bpf_rb_node pointer")
        }
        V::IrqFlagInUse { arg, place } => {
            let place = place_text("irq_flag", place);
            format!("{place}expected uninitialized irq flag as arg#{arg}")
        }
        V::NoIrqFlag { arg, place } => {
            let place = place_text("irq_flag", place);
            format!("{place}expected an initialized irq flag as arg#{arg}")
        }
        V::IrqFlagClass { saved, restored } => {
            let (saved, restored) = (class_text(saved), class_text(restored));
            format!("irq flag acquired by {saved} kfuncs cannot be restored with {restored} kfuncs")
        }
        V::IrqFlagOrder { id, insn_idx } => format!(
            "cannot restore irq state out of order, expected id={id} acquired at \
             insn_idx={insn_idx}"
        ),
    }
}

/// An object of another type than the parameter takes.
fn other_object(
    scene: Scene<'_>,
    id: u32,
    arg: usize,
    expected: u32,
    (source, found): (BtfSource, u32),
) -> String {
    let (name, reg) = (scene.type_name(BtfSource::Kernel, id), arg + 1);
    let expected = described(scene, expected);
    let btf = scene.btf(source);
    let kind = btf.and_then(|btf| btf.kind(TypeId(found)));
    let kind = kind_name(kind.unwrap_or(Kind::Void));
    let found = scene.type_name(source, found);
    format!(
        "kernel function {name} args#{arg} expected pointer to {expected} but R{reg} has a pointer \
         to {kind} {found}"
    )
}

fn class_text(class: IrqClass) -> &'static str {
    match class {
        IrqClass::Native => "native",
        IrqClass::Lock => "lock",
    }
}

fn wanted_text(wanted: KfuncTarget) -> &'static str {
    match wanted {
        KfuncTarget::Iterator => "expected pointer to an iterator on stack",
        KfuncTarget::Dynptr => "expected pointer to stack or const struct bpf_dynptr",
        KfuncTarget::ValueOrObject => "expected pointer to map value or allocated object",
        KfuncTarget::LockInValueOrObject => "doesn't point to map value or allocated object",
        KfuncTarget::Value => "doesn't point to a map value",
        KfuncTarget::ConstString => "doesn't point to a const string",
        KfuncTarget::IrqFlag => "doesn't point to an irq flag on stack",
        KfuncTarget::AllocatedObject => "expected pointer to allocated object",
        KfuncTarget::PlainObject => "expected for bpf_obj_drop_impl()",
        KfuncTarget::PercpuObject => "expected for bpf_percpu_obj_drop_impl()",
        KfuncTarget::RefcountedObject => "is neither owning or non-owning ref",
    }
}

/// The type that was expected instead of a value's: its own without what makes it unsafe.
fn wanted_object(value: &Value) -> String {
    match value {
        Value::Pointer(pointer) => {
            let flags = pointer.flags & VOUCHED;
            type_text(&Pointer { flags, ..*pointer })
        }
        Value::Scalar(_) | Value::Uninit => value_type_text(value),
    }
}

fn kind_of(scene: Scene<'_>, ty: u32) -> &'static str {
    let btf = scene.btf(BtfSource::Kernel);
    let kind = btf.and_then(|btf| btf.kind(TypeId(ty)));
    kind_name(kind.unwrap_or(Kind::Void))
}

/// Kind and name of a type of the kernel.
fn described(scene: Scene<'_>, ty: u32) -> String {
    let name = scene.type_name(BtfSource::Kernel, ty);
    format!("{} {name}", kind_of(scene, ty))
}
