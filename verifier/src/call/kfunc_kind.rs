//! What a pointer parameter of a kernel function takes (`get_kfunc_ptr_arg_type`).

use skep_btf::{Btf, Param, Type, TypeId};
use skep_isa::Reg;
use skep_spec::tables::{KfuncFlags, KfuncRole};

use super::kfunc::KfuncMeta;
use super::kfunc_args::{has_suffix, kernel_type};
use crate::env::Env;
use crate::prepare::is_context;
use crate::state::{Region, Value};
use crate::violation::{Check, KfuncArgViolation, Stop};

/// Structures inside of structures that plain memory may have.
const MAX_NESTING: usize = 4;

/// What a pointer parameter takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Parameter {
    /// Null, where that is allowed.
    Null,
    /// The program's context.
    Context,
    /// An object of `bpf_obj_new`.
    AllocatedObject,
    /// One with a reference count.
    RefcountedObject,
    /// A dynptr.
    Dynptr,
    /// An iterator.
    Iterator,
    /// The head of a list.
    ListHead,
    /// A node of a list.
    ListNode,
    /// The root of a tree.
    RbRoot,
    /// A node of a tree.
    RbNode,
    /// A constant string.
    ConstString,
    /// A map.
    Map,
    /// A work queue in a map's value.
    Workqueue,
    /// A task's work in a map's value.
    TaskWork,
    /// The saved state of interrupts.
    IrqFlag,
    /// A resilient spin lock.
    ResSpinLock,
    /// A kernel object.
    Object,
    /// A function of the program.
    Callback,
    /// Memory whose size is the next argument.
    SizedMemory,
    /// Memory of the size of what the parameter points to.
    Memory,
}

/// Parameters that are known by the structure that they point to.
const BY_STRUCTURE: [(&str, Parameter); 8] = [
    ("bpf_dynptr", Parameter::Dynptr),
    ("bpf_list_head", Parameter::ListHead),
    ("bpf_list_node", Parameter::ListNode),
    ("bpf_rb_root", Parameter::RbRoot),
    ("bpf_rb_node", Parameter::RbNode),
    ("bpf_wq", Parameter::Workqueue),
    ("bpf_task_work", Parameter::TaskWork),
    ("bpf_res_spin_lock", Parameter::ResSpinLock),
];

impl Env<'_> {
    /// What a parameter that points to `target` takes, given what the argument is.
    pub(super) fn parameter_kind(
        &self,
        meta: &KfuncMeta<'_>,
        arg: usize,
        param: &Param<'_>,
        target: TypeId,
    ) -> Check<Parameter> {
        let btf = meta.btf;
        if meta.row.role == KfuncRole::CastToKernCtx {
            return Ok(Parameter::Context);
        }
        let pointee = pointee(btf, param.ty);
        if pointee.is_some_and(|to| is_context(btf, to, self.ctx.facts, &self.ctx.hook)) {
            return Ok(Parameter::Context);
        }
        let Some(&reg) = Reg::ARGS.get(arg) else {
            return Err(Stop::undecided("kernel types that make no sense"));
        };
        let value = *self.state.reg(reg);
        if has_suffix(param.name(), "__nullable") && value.is_null() {
            return Ok(Parameter::Null);
        }
        if let Some(kind) = by_declaration(meta, arg, param, target) {
            return Ok(kind);
        }
        let ty = btf
            .ty(target)
            .map_err(|_| Stop::undecided("kernel types that make no sense"))?;
        if is_object(&value) {
            if ty.as_composite().is_none() {
                let (id, ty) = (meta.kfunc.id, target.0);
                return Err(KfuncArgViolation::ParameterPointer { id, arg, ty }.into());
            }
            return Ok(Parameter::Object);
        }
        if matches!(ty, Type::FuncProto(_)) {
            return Ok(Parameter::Callback);
        }
        let sized = self.is_sized(meta, arg);
        let plain = is_number(ty) || is_plain(btf, ty, 0);
        let any = sized && matches!(ty, Type::Void);
        if !plain && !any {
            let ty = target.0;
            return Err(KfuncArgViolation::ParameterMemory { arg, ty, sized }.into());
        }
        Ok(if sized {
            Parameter::SizedMemory
        } else {
            Parameter::Memory
        })
    }

    /// Whether the next argument is this one's size.
    fn is_sized(&self, meta: &KfuncMeta<'_>, arg: usize) -> bool {
        let (Some(param), Some(&reg)) =
            (meta.kfunc.proto.params.get(arg + 1), Reg::ARGS.get(arg + 1))
        else {
            return false;
        };
        let named = has_suffix(param.name(), "__sz") || has_suffix(param.name(), "__szk");
        let is_size = meta
            .btf
            .resolve(param.ty)
            .is_ok_and(|(_, ty)| is_number(ty));
        named && is_size && matches!(self.state.reg(reg), Value::Scalar(_))
    }
}

/// What a parameter's name and type alone tell, in the kernel's order.
fn by_declaration(
    meta: &KfuncMeta<'_>,
    arg: usize,
    param: &Param<'_>,
    target: TypeId,
) -> Option<Parameter> {
    let name = param.name();
    if has_suffix(name, "__alloc") {
        return Some(Parameter::AllocatedObject);
    }
    if has_suffix(name, "__refcounted_kptr") {
        return Some(Parameter::RefcountedObject);
    }
    let structure = meta.btf.ty(target).ok().and_then(Type::as_struct);
    let row = structure.and_then(|s| BY_STRUCTURE.iter().find(|row| row.0 == s.name()));
    let by_structure = row.map(|row| row.1);
    if by_structure == Some(Parameter::Dynptr) {
        return by_structure;
    }
    let iterates =
        meta.has(KfuncFlags::ITER_NEW | KfuncFlags::ITER_NEXT | KfuncFlags::ITER_DESTROY);
    if (iterates && arg == 0) || (!iterates && has_suffix(name, "__iter")) {
        return Some(Parameter::Iterator);
    }
    if matches!(
        by_structure,
        Some(Parameter::ListHead | Parameter::ListNode | Parameter::RbRoot | Parameter::RbNode)
    ) {
        return by_structure;
    }
    if has_suffix(name, "__str") {
        return Some(Parameter::ConstString);
    }
    if has_suffix(name, "__map") {
        return Some(Parameter::Map);
    }
    if by_structure != Some(Parameter::ResSpinLock) && by_structure.is_some() {
        return by_structure;
    }
    if has_suffix(name, "__irq_flag") {
        return Some(Parameter::IrqFlag);
    }
    by_structure
}

/// What a pointer points to, modifiers and typedefs included.
fn pointee(btf: &Btf, ty: TypeId) -> Option<TypeId> {
    let (_, ty) = btf.resolve(ty).ok()?;
    ty.as_ptr()
}

/// Whether an argument is an object of the kernel.
fn is_object(value: &Value) -> bool {
    value
        .pointer()
        .is_some_and(|p| matches!(p.region, Region::Btf { .. }) || kernel_type(p.region).is_some())
}

/// Whether a type is a number.
pub(super) fn is_number(ty: Type<'_>) -> bool {
    matches!(ty, Type::Int(_) | Type::Enum(_) | Type::Enum64(_))
}

/// Whether a structure has nothing but numbers, arrays of them and such structures
/// (`__btf_type_is_scalar_struct`).
pub(super) fn is_plain(btf: &Btf, ty: Type<'_>, depth: usize) -> bool {
    let Some(structure) = ty.as_composite() else {
        return false;
    };
    structure.members.iter().all(|member| {
        let Ok((_, ty)) = btf.resolve(member.ty) else {
            return false;
        };
        if ty.as_composite().is_some() {
            return depth + 1 < MAX_NESTING && is_plain(btf, ty, depth + 1);
        }
        if let Type::Array(array) = ty {
            let elem = btf.resolve(array.elem);
            return array.nelems != 0 && elem.is_ok_and(|(_, ty)| is_number(ty));
        }
        is_number(ty)
    })
}
