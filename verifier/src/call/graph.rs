//! Objects that programs allocate, and the lists and trees that they put them into.
//!
//! An object is held until it is freed or put into a list or tree. A node that is looked at or was just
//! put in is borrowed: it can be used until the lock beside the list or tree is given up.

use skep_btf::{Type, TypeId};
use skep_isa::Reg;
use skep_spec::tables::KfuncRole;

use super::kfunc::{KfuncMeta, unmodelled};
use super::kfunc_kind::is_plain;
use super::lock::lock_owner;
use crate::env::Env;
use crate::prepare::{FieldKind, FieldTarget, MapField};
use crate::state::{BtfSource, Pointer, PtrFlags, Region, Value};
use crate::violation::{
    Check, FieldViolation, KfuncArgViolation, KfuncTarget, KfuncViolation, Stop,
};

/// Bytes that a per-CPU object may have.
const MAX_PERCPU_SIZE: u32 = 512;
/// What the kernel shows where a value has no lock: -EINVAL.
const NO_LOCK: i32 = -22;

/// The list or tree of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Root {
    kind: FieldKind,
    /// The structure of its elements.
    node: u32,
    /// The offset of the node in them.
    off: u32,
}

impl Env<'_> {
    /// An object to be freed.
    pub(super) fn check_allocated(
        &self,
        meta: &mut KfuncMeta<'_>,
        arg: usize,
        value: &Value,
    ) -> Check<()> {
        let target = |wanted| Stop::from(KfuncArgViolation::Target { arg, wanted });
        let Some((pointer, id)) = own_object(value) else {
            return Err(target(KfuncTarget::AllocatedObject));
        };
        if pointer.flags == PtrFlags::ALLOC {
            if meta.row.role != KfuncRole::ObjDrop {
                return Err(target(KfuncTarget::PlainObject));
            }
        } else if pointer.flags == PtrFlags::ALLOC | PtrFlags::PERCPU {
            if meta.row.role != KfuncRole::PercpuObjDrop {
                return Err(target(KfuncTarget::PercpuObject));
            }
        } else {
            return Err(target(KfuncTarget::AllocatedObject));
        }
        check_held(pointer)?;
        meta.object = Some(id);
        Ok(())
    }

    /// An object with a reference count.
    pub(super) fn check_refcounted(
        &self,
        meta: &mut KfuncMeta<'_>,
        arg: usize,
        value: &Value,
    ) -> Check<()> {
        let wanted = KfuncTarget::RefcountedObject;
        let Some((pointer, id)) = own_object(value) else {
            return Err(KfuncArgViolation::Target { arg, wanted }.into());
        };
        if !pointer.flags.contains(PtrFlags::ALLOC) {
            return Err(KfuncArgViolation::Target { arg, wanted }.into());
        }
        let Some(fields) = self.ctx.object_fields(id) else {
            return Err(unmodelled(&meta.kfunc));
        };
        if !fields.iter().any(|field| field.kind == FieldKind::Refcount) {
            return Err(KfuncArgViolation::NoRefcount { arg }.into());
        }
        meta.owns_object = !pointer.flags.contains(PtrFlags::NON_OWN_REF);
        meta.object = Some(id);
        Ok(())
    }

    /// The head of a list or the root of a tree, whose lock must be held
    /// (`__process_kf_arg_ptr_to_graph_root`).
    pub(super) fn check_root(
        &self,
        meta: &mut KfuncMeta<'_>,
        arg: usize,
        reg: Reg,
        kind: FieldKind,
    ) -> Check<()> {
        let wanted = KfuncTarget::ValueOrObject;
        let refused = || Stop::from(KfuncArgViolation::Target { arg, wanted });
        let pointer = self.state.reg(reg).pointer().ok_or_else(refused)?;
        let is_value =
            matches!(pointer.region, Region::MapValue { .. }) && pointer.flags.is_empty();
        let is_object =
            matches!(pointer.region, Region::Btf { .. }) && pointer.flags == PtrFlags::ALLOC;
        if !is_value && !is_object {
            return Err(refused());
        }
        if is_object {
            check_held(pointer)?;
        }
        let field = kind.name();
        let Some(var) = pointer.var.const_value() else {
            return Err(FieldViolation::Place { reg, field }.into());
        };
        let fields = self.special_fields(pointer);
        let off = pointer.off.wrapping_add(var as i32) as u32;
        let Some(root) = fields.iter().find(|f| f.off == off && f.kind == kind) else {
            return Err(FieldViolation::NotAt { off, field }.into());
        };
        let refs = &self.state.refs;
        let lock = fields.iter().find(|f| f.kind == FieldKind::SpinLock);
        let at = lock.map_or(NO_LOCK, |lock| lock.off as i32);
        let held = refs.active_locks > 0;
        if !held || !refs.holds_any_lock(pointer.id, lock_owner(pointer)?) {
            return Err(FieldViolation::Unlocked { at, field, held }.into());
        }
        let FieldTarget::Node { id, off } = root.to else {
            return Err(Stop::undecided("lists and trees of unknown elements"));
        };
        meta.root = Some(Root {
            kind,
            node: id,
            off,
        });
        Ok(())
    }

    fn special_fields(&self, pointer: &Pointer) -> &[MapField] {
        if let Region::MapValue { map, .. } = pointer.region {
            return &self.ctx.map(map).fields;
        }
        self.ctx.fields_behind(pointer).unwrap_or_default()
    }

    /// A node of a list or tree (`__process_kf_arg_ptr_to_graph_node`).
    pub(super) fn check_node(
        &self,
        meta: &mut KfuncMeta<'_>,
        arg: usize,
        reg: Reg,
        kind: FieldKind,
    ) -> Check<()> {
        let value = self.state.reg(reg);
        let wanted = KfuncTarget::AllocatedObject;
        if meta.row.role == KfuncRole::RbtreeNode {
            let held = value.pointer().is_some_and(|p| p.ref_id != 0);
            let borrowed = own_object(value).is_some_and(|(p, _)| is_borrowed(p));
            let id = meta.kfunc.id;
            if !held && !borrowed {
                return Err(KfuncArgViolation::NotInTree { id }.into());
            }
            if self.in_tree_callback() {
                return Err(KfuncViolation::InTreeCallback { id }.into());
            }
        } else if own_object(value).is_none_or(|(p, _)| p.flags != PtrFlags::ALLOC) {
            return Err(KfuncArgViolation::Target { arg, wanted }.into());
        }
        let Some((pointer, id)) = own_object(value) else {
            return Err(unmodelled(&meta.kfunc));
        };
        if meta.row.role != KfuncRole::RbtreeNode {
            check_held(pointer)?;
        }
        self.check_node_place(meta, reg, pointer, id, kind)?;
        meta.object = Some(id);
        Ok(())
    }

    /// The node must be the one that the list or tree is made of.
    fn check_node_place(
        &self,
        meta: &KfuncMeta<'_>,
        reg: Reg,
        pointer: &Pointer,
        id: u32,
        kind: FieldKind,
    ) -> Check<()> {
        let field = kind.name();
        let Some(var) = pointer.var.const_value() else {
            return Err(FieldViolation::Place { reg, field }.into());
        };
        let off = pointer.off.wrapping_add(var as i32) as u32;
        let fields = self.ctx.fields_behind(pointer).unwrap_or_default();
        if !fields.iter().any(|f| f.off == off && f.kind == kind) {
            return Err(FieldViolation::NotAt { off, field }.into());
        }
        let Some(root) = meta.root else {
            return Err(unmodelled(&meta.kfunc));
        };
        let (at, expected, node) = (root.off, root.node, field);
        if id != root.node {
            let (root, found) = (root.kind.name(), id);
            return Err(FieldViolation::OtherNode {
                root,
                node,
                at,
                expected,
                off,
                found,
            }
            .into());
        }
        if off != root.off {
            return Err(FieldViolation::NodeOffset {
                node,
                at,
                expected,
                off,
            }
            .into());
        }
        Ok(())
    }

    /// What was put into a list or tree is borrowed from now on
    /// (`ref_convert_owning_non_owning`).
    pub(super) fn lend_inserted(&mut self, meta: &KfuncMeta<'_>) -> Check<()> {
        let inserts = [KfuncRole::ListPush, KfuncRole::RbtreeAdd];
        if !inserts.contains(&meta.row.role) {
            return Ok(());
        }
        let ref_id = self.state.reg(Reg::R2).pointer().map_or(0, |p| p.ref_id);
        if ref_id == 0 {
            return Err(unmodelled(&meta.kfunc));
        }
        let ctx = self.ctx;
        self.state.update_values(
            |value| value.pointer().is_some_and(|p| p.ref_id == ref_id),
            |value| {
                if let Value::Pointer(pointer) = value {
                    pointer.ref_id = 0;
                    borrow(ctx.fields_behind(pointer), &mut pointer.flags);
                }
            },
        );
        if self.release_reference(ref_id) {
            Ok(())
        } else {
            Err(KfuncViolation::NotAcquired { id: meta.kfunc.id }.into())
        }
    }

    /// An element of the list or tree of a call, at its node (`mark_reg_graph_node`).
    pub(super) fn element(&self, meta: &KfuncMeta<'_>, is_borrowed: bool) -> Check<Pointer> {
        let Some(root) = meta.root else {
            return Err(unmodelled(&meta.kfunc));
        };
        let region = Region::Btf {
            source: BtfSource::Program,
            id: root.node,
        };
        let mut pointer = Pointer::new(region, PtrFlags::ALLOC);
        pointer.off = root.off as i32;
        if is_borrowed {
            borrow(self.ctx.object_fields(root.node), &mut pointer.flags);
        }
        Ok(pointer)
    }

    /// A new object, of the type that the constant argument names
    /// (`check_special_kfunc`).
    pub(super) fn new_object(&self, meta: &KfuncMeta<'_>) -> Check<Pointer> {
        let number = meta.constant.unwrap_or(0);
        let Ok(id) = u32::try_from(number) else {
            return Err(KfuncViolation::ObjectTypeRange.into());
        };
        let Some(btf) = self.ctx.spec.btf.as_deref() else {
            return Err(KfuncViolation::ObjectNoBtf.into());
        };
        let Ok(ty @ Type::Struct(structure)) = btf.ty(TypeId(id)) else {
            return Err(KfuncViolation::ObjectNoStructure.into());
        };
        let region = Region::Btf {
            source: BtfSource::Program,
            id,
        };
        if meta.row.role != KfuncRole::PercpuObjNew {
            return Ok(Pointer::new(region, PtrFlags::ALLOC));
        }
        let (size, max) = (structure.size, MAX_PERCPU_SIZE);
        if size > max {
            return Err(KfuncViolation::ObjectSize { size, max }.into());
        }
        if !is_plain(btf, ty, 0) {
            return Err(KfuncViolation::ObjectNotPlain.into());
        }
        if self.ctx.object_fields(id).is_some() {
            return Err(KfuncViolation::ObjectFields.into());
        }
        Ok(Pointer::new(region, PtrFlags::ALLOC | PtrFlags::PERCPU))
    }

    /// One more reference to the object of a call.
    pub(super) fn shared_object(&self, meta: &KfuncMeta<'_>) -> Check<Pointer> {
        let Some(id) = meta.object else {
            return Err(unmodelled(&meta.kfunc));
        };
        let source = BtfSource::Program;
        Ok(Pointer::new(Region::Btf { source, id }, PtrFlags::ALLOC))
    }
}

/// An object of the program's own types.
fn own_object(value: &Value) -> Option<(&Pointer, u32)> {
    let pointer = value.pointer()?;
    if let Region::Btf {
        source: BtfSource::Program,
        id,
    } = pointer.region
    {
        return Some((pointer, id));
    }
    None
}

fn is_borrowed(pointer: &Pointer) -> bool {
    let borrowed = PtrFlags::ALLOC | PtrFlags::NON_OWN_REF;
    pointer.flags.contains(borrowed)
}

/// Marks a pointer as borrowed; objects with a reference count outlive the list, as RCU protects them
/// (`ref_set_non_owning`).
fn borrow(fields: Option<&[MapField]>, flags: &mut PtrFlags) {
    *flags |= PtrFlags::NON_OWN_REF;
    let mut fields = fields.unwrap_or_default().iter();
    if fields.any(|field| field.kind == FieldKind::Refcount) {
        *flags |= PtrFlags::RCU;
    }
}

fn check_held(pointer: &Pointer) -> Check<()> {
    if pointer.ref_id == 0 {
        return Err(KfuncArgViolation::ObjectNotHeld.into());
    }
    Ok(())
}
