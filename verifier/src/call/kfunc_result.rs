//! What a call of a kernel function leaves in r0, by the function's prototype and flags.

use skep_btf::{Type, TypeId};
use skep_isa::Reg;
use skep_spec::tables::{KfuncFlags, KfuncRole};

use super::kfunc::KfuncMeta;
use super::kfunc_kind::is_number;
use crate::env::Env;
use crate::state::{BtfSource, Pointer, PtrFlags, Region, Value};
use crate::violation::{Check, KfuncViolation, Stop};

impl Env<'_> {
    /// Sets r0.
    pub(super) fn set_kfunc_result(&mut self, meta: &KfuncMeta<'_>) -> Check<()> {
        let no_sense = |_| Stop::undecided("kernel types that make no sense");
        let (_, ty) = meta.btf.resolve(meta.kfunc.proto.ret).map_err(no_sense)?;
        let acquires = meta.has(KfuncFlags::ACQUIRE);
        if acquires && !points_to_structure(meta, ty) && !allocates(meta.row.role) {
            return Err(KfuncViolation::AcquiresNoObject.into());
        }
        if is_number(ty) {
            let took_lock = [KfuncRole::ResSpinLock, KfuncRole::ResSpinLockIrqsave];
            let result = if took_lock.contains(&meta.row.role) {
                Value::constant(0)
            } else {
                Value::unknown()
            };
            self.state.set_reg(Reg::R0, result);
            return Ok(());
        }
        let Type::Ptr(target) = ty else {
            // Nothing is returned.
            return Ok(());
        };
        let (target, _) = meta.btf.resolve(target).map_err(no_sense)?;
        let Some(mut pointer) = self.returned_pointer(meta, target)? else {
            self.state.set_reg(Reg::R0, Value::unknown());
            return Ok(());
        };
        // A reference more to what is held cannot fail.
        let maybe_null = meta.has(KfuncFlags::RET_NULL) && !meta.owns_object;
        if maybe_null {
            pointer.flags |= PtrFlags::MAYBE_NULL;
            pointer.id = self.new_id();
        }
        if acquires {
            let id = self.acquire_reference();
            pointer.ref_id = id;
            if maybe_null {
                pointer.id = id;
            }
        }
        if self.ctx.may_hold_lock(&pointer) && pointer.id == 0 {
            pointer.id = self.new_id();
        }
        self.state.set_reg(Reg::R0, Value::Pointer(pointer));
        Ok(())
    }

    /// The pointer that is returned; `None` if it is as good as a number.
    fn returned_pointer(&self, meta: &KfuncMeta<'_>, target: TypeId) -> Check<Option<Pointer>> {
        let object = |id: TypeId, flags| {
            let source = BtfSource::Kernel;
            Pointer::new(Region::Btf { source, id: id.0 }, flags)
        };
        if meta.row.role == KfuncRole::CastToKernCtx {
            let id = meta.kernel_context.unwrap_or_default();
            return Ok(Some(object(id, PtrFlags::TRUSTED)));
        }
        if meta.row.role == KfuncRole::RdonlyCast {
            return cast(meta).map(Some);
        }
        let slices = [KfuncRole::DynptrSlice, KfuncRole::DynptrSliceRdwr];
        if slices.contains(&meta.row.role) {
            return self.dynptr_slice(meta).map(Some);
        }
        if meta.row.role == KfuncRole::RefcountAcquire {
            return self.shared_object(meta).map(Some);
        }
        if allocates(meta.row.role) {
            return self.new_object(meta).map(Some);
        }
        if [KfuncRole::ListNode, KfuncRole::RbtreeNode].contains(&meta.row.role) {
            let is_borrowed = !meta.has(KfuncFlags::ACQUIRE);
            return self.element(meta, is_borrowed).map(Some);
        }
        let no_sense = |_| Stop::undecided("kernel types that make no sense");
        let rcu = if meta.has(KfuncFlags::RCU_PROTECTED) {
            PtrFlags::RCU
        } else {
            PtrFlags::empty()
        };
        let ty = meta.btf.ty(target).map_err(no_sense)?;
        if matches!(ty, Type::Void) {
            return Ok(None);
        }
        if ty.as_struct().is_some() {
            let untrusted = meta.row.role == KfuncRole::GetKmemCache;
            let mut flags = if untrusted { PtrFlags::UNTRUSTED } else { rcu };
            if meta.has(KfuncFlags::ITER_NEXT) {
                flags |= self.flags_of_next(meta);
            }
            return Ok(Some(object(target, flags)));
        }
        let (mut size, mut rdonly) = (meta.result_size as u32, meta.result_rdonly);
        if meta.result_size == 0 {
            size = meta.btf.size_of(target).unwrap_or(0);
            rdonly |= size != 0;
        }
        if size == 0 {
            let (id, ty) = (meta.kfunc.id, target.0);
            return Err(KfuncViolation::Result { id, ty }.into());
        }
        let flags = if rdonly { rcu | PtrFlags::RDONLY } else { rcu };
        let mut memory = Pointer::new(Region::Mem { size, dynptr_id: 0 }, flags);
        // With the object that it belongs to, the memory goes.
        memory.ref_id = meta.ref_id;
        Ok(Some(memory))
    }
}

/// Functions whose result is an object of the program's own types.
fn allocates(role: KfuncRole) -> bool {
    matches!(
        role,
        KfuncRole::ObjNew | KfuncRole::PercpuObjNew | KfuncRole::RefcountAcquire
    )
}

fn points_to_structure(meta: &KfuncMeta<'_>, ty: Type<'_>) -> bool {
    let target = ty.as_ptr().and_then(|to| meta.btf.resolve(to).ok());
    target.is_some_and(|(_, ty)| ty.as_composite().is_some())
}

/// `bpf_rdonly_cast`: any address, taken for one of a kernel structure, or of memory.
fn cast(meta: &KfuncMeta<'_>) -> Check<Pointer> {
    let number = meta.constant.unwrap_or(0);
    // The kernel looks at the low half alone.
    let id = TypeId(number as u32);
    match meta.btf.ty(id) {
        Err(_) => Err(KfuncViolation::CastUnknown { ty: number }.into()),
        Ok(Type::Struct(_) | Type::Union(_)) => {
            let source = BtfSource::Kernel;
            let region = Region::Btf { source, id: id.0 };
            Ok(Pointer::new(region, PtrFlags::UNTRUSTED))
        }
        Ok(Type::Void) => {
            let region = Region::Mem {
                size: 0,
                dynptr_id: 0,
            };
            Ok(Pointer::new(region, PtrFlags::RDONLY | PtrFlags::UNTRUSTED))
        }
        Ok(_) => Err(KfuncViolation::CastKind.into()),
    }
}
