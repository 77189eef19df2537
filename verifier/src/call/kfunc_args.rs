//! Arguments of kernel functions: what each parameter takes follows from its type, its name, and in
//! part from what the argument is (`check_kfunc_args`).

use skep_btf::{Btf, Param, Type, TypeId};
use skep_isa::Reg;
use skep_spec::tables::{KfuncFlags, KfuncRole, Mods};

use super::kfunc::KfuncMeta;
use super::kfunc_kind::{Parameter, is_number};
use crate::access::is_trusted;
use crate::env::Env;
use crate::number::Scalar;
use crate::prepare::{FieldKind, PROJECTIONS};
use crate::state::{BtfSource, Pointer, PtrFlags, Region, SockKind, Value};
use crate::violation::{
    AccessViolation, Check, KfuncArgViolation, KfuncTarget, KfuncViolation, Stop,
};

/// What vouches for an object, and takes nothing from its safety.
const SAFE: PtrFlags = PtrFlags::TRUSTED
    .union(PtrFlags::ALLOC)
    .union(PtrFlags::NON_OWN_REF);

/// What the names of types end with that differ from others by nothing else, but must not be taken for
/// them.
const NO_CAST: &str = "___init";

impl Env<'_> {
    /// All arguments of a call.
    pub(super) fn check_kfunc_args(&mut self, meta: &mut KfuncMeta<'_>) -> Check<()> {
        let params = meta.kfunc.proto.params;
        let (count, max) = (params.len(), Reg::ARGS.len());
        if count > max {
            let id = meta.kfunc.id;
            return Err(KfuncArgViolation::Parameters { id, count, max }.into());
        }
        let mut at = 0;
        while let (Some(param), Some(&reg)) = (params.get(at), Reg::ARGS.get(at)) {
            at += self.check_kfunc_arg(meta, at, reg, &param)?;
        }
        if meta.has(KfuncFlags::RELEASE) && meta.released.is_none() {
            return Err(KfuncViolation::NothingReleased { id: meta.kfunc.id }.into());
        }
        Ok(())
    }

    /// One argument; how many parameters it took.
    fn check_kfunc_arg(
        &mut self,
        meta: &mut KfuncMeta<'_>,
        arg: usize,
        reg: Reg,
        param: &Param<'_>,
    ) -> Check<usize> {
        let name = param.name();
        if has_suffix(name, "__ign") || has_suffix(name, "__prog") {
            return Ok(1);
        }
        let btf = meta.btf;
        let (id, ty) = btf.resolve(param.ty).map_err(|_| malformed())?;
        if is_number(ty) {
            return self.check_kfunc_number(meta, reg, name).map(|()| 1);
        }
        let Type::Ptr(target) = ty else {
            return Err(KfuncArgViolation::ParameterKind { arg, ty: id.0 }.into());
        };
        let value = *self.state.reg(reg);
        let guarded = needs_trust(meta) || meta.has(KfuncFlags::RCU);
        let nullable = has_suffix(name, "__nullable");
        let maybe_null = value.is_null() || value.pointer().is_some_and(Pointer::maybe_null);
        if guarded && maybe_null && !nullable {
            return Err(KfuncArgViolation::MaybeNull { arg }.into());
        }
        note_reference(meta, reg, &value)?;
        let (target, _) = btf.resolve(target).map_err(|_| malformed())?;
        let kind = self.parameter_kind(meta, arg, param, target)?;
        if kind == Parameter::Null {
            return Ok(1);
        }
        let is_object = matches!(
            kind,
            Parameter::Map | Parameter::AllocatedObject | Parameter::Object
        );
        if kind == Parameter::Map && !may_have_map(&value) {
            return Err(KfuncArgViolation::NoMap { reg }.into());
        }
        if kind == Parameter::Map {
            self.note_kfunc_map(meta, &value)?;
        }
        if is_object && guarded {
            check_trust(meta, reg, &value)?;
        }
        self.check_kfunc_offset(meta, reg, &value)?;
        self.check_parameter(meta, arg, reg, param, target, kind)?;
        Ok(if kind == Parameter::SizedMemory { 2 } else { 1 })
    }

    /// A number, some of which must be known.
    fn check_kfunc_number(&mut self, meta: &mut KfuncMeta<'_>, reg: Reg, name: &str) -> Check<()> {
        let Value::Scalar(number) = *self.state.reg(reg) else {
            return Err(KfuncArgViolation::NoScalar { reg }.into());
        };
        let known = number.scalar.const_value();
        if has_suffix(name, "__k") {
            if meta.constant.is_some() {
                return Err(Stop::undecided("a second constant argument"));
            }
            let Some(known) = known else {
                return Err(KfuncArgViolation::NoConstant { reg }.into());
            };
            self.mark_precise(reg)?;
            meta.constant = Some(known);
            return Ok(());
        }
        let rdonly = name == "rdonly_buf_size";
        if !rdonly && name != "rdwr_buf_size" {
            return Ok(());
        }
        meta.result_rdonly |= rdonly;
        if meta.result_size != 0 {
            return Err(KfuncArgViolation::SecondResultSize.into());
        }
        let Some(known) = known else {
            return Err(KfuncArgViolation::ResultSize { reg }.into());
        };
        meta.result_size = known;
        self.mark_precise(reg)
    }

    /// What an argument's offset may be (`check_func_arg_reg_off`); registers that were never written
    /// count as pointers at an unknown place.
    fn check_kfunc_offset(&self, meta: &KfuncMeta<'_>, reg: Reg, value: &Value) -> Check<()> {
        match value {
            Value::Uninit => {
                let (pointer, var) = ((*value).into(), Scalar::unknown());
                Err(AccessViolation::VariableOffset { pointer, var }.into())
            }
            Value::Scalar(_) => Ok(()),
            Value::Pointer(pointer) => {
                let releases = meta.has(KfuncFlags::RELEASE) && pointer.ref_id != 0;
                let mods = if releases {
                    Mods::RELEASE
                } else {
                    Mods::empty()
                };
                self.check_arg_offset(reg, None, mods)
            }
        }
    }

    fn check_parameter(
        &mut self,
        meta: &mut KfuncMeta<'_>,
        arg: usize,
        reg: Reg,
        param: &Param<'_>,
        target: TypeId,
        kind: Parameter,
    ) -> Check<()> {
        let value = *self.state.reg(reg);
        let fits = |fits: bool, wanted| {
            if fits {
                Ok(())
            } else {
                Err(Stop::from(KfuncArgViolation::Target { arg, wanted }))
            }
        };
        match kind {
            Parameter::Null => Ok(()),
            Parameter::Context => self.check_context_parameter(meta, arg, &value),
            Parameter::AllocatedObject => self.check_allocated(meta, arg, &value),
            Parameter::RefcountedObject => self.check_refcounted(meta, arg, &value),
            Parameter::Dynptr => {
                fits(is_dynptr(&value), KfuncTarget::Dynptr)?;
                self.check_kfunc_dynptr(meta, arg, reg, param)
            }
            Parameter::Iterator => {
                if meta.row.role == KfuncRole::IterCssTaskNew && !self.may_iterate_css_tasks() {
                    return Err(KfuncViolation::CssTaskIter.into());
                }
                fits(is_stack(&value), KfuncTarget::Iterator)?;
                self.check_iter(meta, arg, reg, param)
            }
            Parameter::ListHead => self.check_root(meta, arg, reg, FieldKind::ListHead),
            Parameter::RbRoot => self.check_root(meta, arg, reg, FieldKind::RbRoot),
            Parameter::ListNode => self.check_node(meta, arg, reg, FieldKind::ListNode),
            Parameter::RbNode => self.check_node(meta, arg, reg, FieldKind::RbNode),
            Parameter::Object => self.check_object(meta, arg, &value, target),
            Parameter::Map => {
                let map = self.ctx.kernel_structure("bpf_map")?;
                self.check_object(meta, arg, &value, TypeId(map))
            }
            Parameter::Memory => match meta.btf.size_of(target) {
                Ok(size) => self.check_mem_reg(reg, size),
                Err(_) => Err(KfuncArgViolation::ParameterSize { arg, ty: target.0 }.into()),
            },
            Parameter::SizedMemory => self.check_sized_memory(meta, arg, reg, param),
            Parameter::Callback => match value.pointer().map(|p| p.region) {
                Some(Region::Func { subprog }) => {
                    meta.callback = Some(subprog as usize);
                    Ok(())
                }
                Some(_) | None => Err(KfuncArgViolation::NoCallback { arg }.into()),
            },
            Parameter::ConstString => {
                fits(is_map_value(&value), KfuncTarget::ConstString)?;
                self.check_const_string(reg)
            }
            Parameter::Workqueue | Parameter::TaskWork => {
                fits(is_map_value(&value), KfuncTarget::Value)?;
                self.check_work(meta, reg, &value, kind)
            }
            Parameter::IrqFlag => {
                fits(is_stack(&value), KfuncTarget::IrqFlag)?;
                self.check_irq_parameter(meta, arg, reg)
            }
            Parameter::ResSpinLock => {
                let place = is_map_value(&value) || is_allocated(&value, PtrFlags::empty());
                fits(place, KfuncTarget::LockInValueOrObject)?;
                self.check_res_lock(meta, reg, &value)
            }
        }
    }

    fn check_context_parameter(
        &mut self,
        meta: &mut KfuncMeta<'_>,
        arg: usize,
        value: &Value,
    ) -> Check<()> {
        let is_ctx = value
            .pointer()
            .is_some_and(|p| p.region == Region::Ctx && p.flags.is_empty());
        if !is_ctx {
            let value = (*value).into();
            return Err(KfuncArgViolation::NoCtx { arg, value }.into());
        }
        if meta.row.role != KfuncRole::CastToKernCtx {
            return Ok(());
        }
        let Some(id) = kernel_context(meta.btf, self.ctx.hook.ty.name()) else {
            return Err(Stop::undecided(
                "contexts of a kernel that has no list of them",
            ));
        };
        let is_structure = meta.btf.ty(id).is_ok_and(|ty| ty.as_composite().is_some());
        if !is_structure {
            return Err(KfuncViolation::NoKernelContext { ty: id.0 }.into());
        }
        meta.kernel_context = Some(id);
        Ok(())
    }

    /// Iterators over tasks of a control group take a lock that some programs run under.
    fn may_iterate_css_tasks(&self) -> bool {
        let hook = &self.ctx.hook;
        hook.ty == skep_spec::ProgType::Lsm
            || (hook.ty == skep_spec::ProgType::Tracing
                && hook.attach == skep_spec::AttachType::TraceIter)
            || self.in_sleepable()
    }

    /// A kernel object of the type that the parameter points to
    /// (`process_kf_arg_ptr_to_btf_id`).
    fn check_object(
        &self,
        meta: &KfuncMeta<'_>,
        arg: usize,
        value: &Value,
        expected: TypeId,
    ) -> Check<()> {
        let no_object = || {
            let value = (*value).into();
            Stop::from(KfuncArgViolation::NoObject { arg, value })
        };
        let Value::Pointer(pointer) = value else {
            return Err(no_object());
        };
        let found = if let Region::Btf { source, id } = pointer.region {
            let unsafe_flags = pointer.flags - SAFE;
            if !unsafe_flags.is_empty() && !pointer.flags.contains(PtrFlags::RCU) {
                return Err(no_object());
            }
            if source == BtfSource::Program {
                let (kfunc, expected) = (meta.kfunc.id, expected.0);
                return Err(KfuncArgViolation::OwnObject {
                    id: kfunc,
                    arg,
                    expected,
                    found: id,
                }
                .into());
            }
            id
        } else {
            match kernel_type(pointer.region) {
                Some(name) => self.ctx.kernel_structure(name)?,
                None => return Err(no_object()),
            }
        };
        let releases = meta.has(KfuncFlags::RELEASE) && pointer.ref_id != 0;
        let strict = releases || is_no_cast_alias(meta.btf, TypeId(found), expected);
        let found = meta.btf.resolve(TypeId(found)).map_err(|_| malformed())?;
        let (found, found_ty) = found;
        if self.is_structure_at(found.0, pointer.off, expected.0, strict)? {
            return Ok(());
        }
        let wanted = meta.btf.ty(expected).map_err(|_| malformed())?;
        if PROJECTIONS.contains(&(wanted.name(), found_ty.name())) {
            return Ok(());
        }
        let (id, expected, found) = (meta.kfunc.id, expected.0, found.0);
        Err(KfuncArgViolation::Object {
            id,
            arg,
            expected,
            found,
        }
        .into())
    }

    /// Memory whose size is the next argument (`check_kfunc_mem_size_reg`).
    fn check_sized_memory(
        &mut self,
        meta: &mut KfuncMeta<'_>,
        arg: usize,
        reg: Reg,
        param: &Param<'_>,
    ) -> Check<()> {
        let (Some(&size_reg), Some(size_param)) =
            (Reg::ARGS.get(arg + 1), meta.kfunc.proto.params.get(arg + 1))
        else {
            return Ok(());
        };
        let optional = has_suffix(param.name(), "__opt");
        if !(self.state.reg(reg).is_null() && optional) {
            let fault = match self.check_memory_both_ways(reg, size_reg) {
                Ok(()) => None,
                Err(Stop::Rejected(fault)) => Some(fault),
                Err(stop @ Stop::Undecided(_)) => return Err(stop),
            };
            if let Some(fault) = fault {
                return Err(KfuncArgViolation::Memory { arg, fault }.into());
            }
        }
        if has_suffix(size_param.name(), "__szk") {
            if meta.constant.is_some() {
                return Err(Stop::undecided("a second constant argument"));
            }
            let Some(size) = self.state.reg(size_reg).var().const_value() else {
                return Err(KfuncArgViolation::NoConstant { reg: size_reg }.into());
            };
            meta.constant = Some(size);
        }
        Ok(())
    }

    fn check_memory_both_ways(&mut self, reg: Reg, size_reg: Reg) -> Check<()> {
        let saved = *self.state.reg(reg);
        if let Value::Pointer(pointer) = saved
            && pointer.maybe_null()
        {
            let mut checked = pointer;
            crate::walk::lift_null(self.ctx, &mut checked);
            self.state.cur_mut().regs[reg.index()] = Value::Pointer(checked);
        }
        let read = self.check_mem_size_reg(reg, size_reg, false, true, None);
        let both = read.and_then(|()| self.check_mem_size_reg(reg, size_reg, true, true, None));
        self.state.cur_mut().regs[reg.index()] = saved;
        both
    }
}

/// Whether a parameter's name ends so, with something before it (`btf_param_match_suffix`).
pub(super) fn has_suffix(name: &str, suffix: &str) -> bool {
    name.len() > suffix.len() && name.ends_with(suffix)
}

fn malformed() -> Stop {
    Stop::undecided("kernel types that make no sense")
}

/// Whether objects must be referenced or vouched for.
fn needs_trust(meta: &KfuncMeta<'_>) -> bool {
    meta.has(KfuncFlags::TRUSTED_ARGS | KfuncFlags::RELEASE)
}

/// Notes the reference that an argument depends on, and whether the call releases it.
fn note_reference(meta: &mut KfuncMeta<'_>, reg: Reg, value: &Value) -> Check<()> {
    let ref_id = value.pointer().map_or(0, |p| p.ref_id);
    if ref_id == 0 {
        return Ok(());
    }
    let releases = meta.has(KfuncFlags::RELEASE);
    if releases && meta.ref_id != 0 {
        return Err(Stop::undecided("two references to a releasing function"));
    }
    meta.ref_id = ref_id;
    if releases {
        meta.released = Some(reg);
    }
    Ok(())
}

/// Whether the kernel takes a register for one that leads to a map: it looks at a place where others
/// keep other things.
fn may_have_map(value: &Value) -> bool {
    let Value::Pointer(pointer) = value else {
        return false;
    };
    match pointer.region {
        Region::ConstMap { .. }
        | Region::MapValue { .. }
        | Region::MapKey { .. }
        | Region::Btf { .. } => true,
        Region::Stack { frame } => frame != 0,
        Region::Mem { size, .. } => size != 0,
        Region::Packet { range } | Region::PacketMeta { range } => range != 0,
        Region::Func { subprog } => subprog != 0,
        Region::Sock(_) => pointer.origin.is_some(),
        Region::Ctx
        | Region::PacketEnd
        | Region::FlowKeys
        | Region::TpBuffer
        | Region::Arena
        | Region::Buf
        | Region::ConstDynptr { .. }
        | Region::Object(_) => false,
    }
}

/// The kernel's structure behind objects that have a type of their own (`reg2btf_ids`).
pub(super) fn kernel_type(region: Region) -> Option<&'static str> {
    match region {
        Region::Sock(SockKind::Socket) => Some("sock"),
        Region::Sock(SockKind::Common) => Some("sock_common"),
        Region::Sock(SockKind::Tcp) => Some("tcp_sock"),
        Region::ConstMap { .. } => Some("bpf_map"),
        Region::Sock(SockKind::Xdp)
        | Region::Ctx
        | Region::MapValue { .. }
        | Region::MapKey { .. }
        | Region::Stack { .. }
        | Region::PacketMeta { .. }
        | Region::Packet { .. }
        | Region::PacketEnd
        | Region::FlowKeys
        | Region::TpBuffer
        | Region::Btf { .. }
        | Region::Mem { .. }
        | Region::Arena
        | Region::Buf
        | Region::Func { .. }
        | Region::ConstDynptr { .. }
        | Region::Object(_) => None,
    }
}

fn check_trust(meta: &KfuncMeta<'_>, reg: Reg, value: &Value) -> Check<()> {
    let pointer = value.pointer();
    let trusted = pointer.is_some_and(|p| {
        let known = kernel_type(p.region).is_some() && SAFE.contains(p.flags);
        known || is_trusted(p)
    });
    if trusted {
        return Ok(());
    }
    if !meta.has(KfuncFlags::RCU) {
        return Err(KfuncArgViolation::NotTrusted { reg }.into());
    }
    if pointer.is_some_and(|p| p.flags.contains(PtrFlags::RCU)) {
        return Ok(());
    }
    Err(KfuncArgViolation::NotRcu { reg }.into())
}

/// Modifiers of a pointer to an object.
fn object_flags(value: &Value) -> Option<PtrFlags> {
    let pointer = value.pointer()?;
    matches!(pointer.region, Region::Btf { .. }).then_some(pointer.flags)
}

fn is_allocated(value: &Value, more: PtrFlags) -> bool {
    object_flags(value) == Some(PtrFlags::ALLOC | more)
}

fn is_map_value(value: &Value) -> bool {
    let plain = value.pointer().filter(|p| p.flags.is_empty());
    plain.is_some_and(|p| matches!(p.region, Region::MapValue { .. }))
}

fn is_stack(value: &Value) -> bool {
    let plain = value.pointer().filter(|p| p.flags.is_empty());
    plain.is_some_and(|p| matches!(p.region, Region::Stack { .. }))
}

pub(super) fn is_dynptr(value: &Value) -> bool {
    let plain = value.pointer().filter(|p| p.flags.is_empty());
    is_stack(value) || plain.is_some_and(|p| matches!(p.region, Region::ConstDynptr { .. }))
}

/// Whether two types differ by nothing but a suffix, which says that they are not to be mixed
/// (`btf_type_ids_nocast_alias`).
fn is_no_cast_alias(btf: &Btf, one: TypeId, other: TypeId) -> bool {
    let name = |id| btf.ty(id).map_or("", |ty| ty.name());
    let (one, other) = (name(one), name(other));
    one.strip_suffix(NO_CAST) == Some(other) || other.strip_suffix(NO_CAST) == Some(one)
}

/// What lies behind the context of a program type, by the kernel's own list
/// (`get_kern_ctx_btf_id`).
fn kernel_context(btf: &Btf, prog_type: &str) -> Option<TypeId> {
    let list = btf.find_by_name(skep_btf::Kind::Struct, "bpf_ctx_convert")?;
    let member = format!("BPF_PROG_TYPE_{}_kern", prog_type.to_uppercase());
    let list = btf.ty(list).ok()?.as_composite()?;
    let found = list.members.iter().find(|m| m.is_called(&member))?;
    Some(found.ty)
}
