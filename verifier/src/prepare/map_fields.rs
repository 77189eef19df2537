//! Fields of map values that are no plain data: locks, timers, kernel pointers, graph nodes.
//!
//! They are found by the names of their types in the map's BTF, through arrays and nested structures,
//! but not through typedefs, as the kernel finds them (`btf_parse_fields`).

use skep_btf::{Btf, Type, TypeId};
use skep_spec::MapSpec;

use super::{FieldKind, MapField};

/// Fields that one value may have.
const MAX_FIELDS: usize = 11;
/// Structures inside of structures that are looked into.
const MAX_DEPTH: usize = 4;
/// Arrays of arrays that are looked into.
const MAX_ARRAYS: usize = 32;

/// The special fields of a map's value, ascending by offset.
pub(super) fn find_fields(spec: &MapSpec) -> Vec<MapField> {
    let mut fields = Vec::new();
    if let Some(btf) = spec.btf.as_deref()
        && spec.btf_value_id != 0
        && let Ok((_, value)) = btf.resolve(TypeId(spec.btf_value_id))
    {
        find_in(btf, value, 0, 0, &mut fields);
    }
    fields.sort_by_key(|field| field.off);
    fields
}

fn find_in(btf: &Btf, ty: Type<'_>, base: u32, depth: usize, fields: &mut Vec<MapField>) {
    if depth >= MAX_DEPTH {
        return;
    }
    if let Type::Struct(s) = ty {
        for member in s.members.iter().filter(|member| !member.is_bitfield()) {
            let off = base.saturating_add(member.offset());
            find_one(btf, member.ty, off, depth, fields);
        }
    } else if let Type::DataSec(section) = ty {
        for var in section.vars.iter() {
            if let Ok(Type::Var(declared)) = btf.ty(var.ty) {
                find_one(
                    btf,
                    declared.ty,
                    base.saturating_add(var.offset),
                    depth,
                    fields,
                );
            }
        }
    }
}

fn find_one(btf: &Btf, id: TypeId, off: u32, depth: usize, fields: &mut Vec<MapField>) {
    let mut id = id;
    let mut count = 1u32;
    for _ in 0..MAX_ARRAYS {
        let Ok(Type::Array(array)) = btf.ty(id) else {
            break;
        };
        count = count.saturating_mul(array.nelems);
        id = array.elem;
    }
    let Ok(ty) = btf.ty(id) else { return };
    let kind = if let Type::Struct(s) = ty {
        named(s.name())
    } else if let Type::Ptr(_) = ty {
        kernel_pointer(btf, id)
    } else {
        None
    };
    let Some(kind) = kind else {
        if let Type::Struct(s) = ty {
            for index in 0..count.min(MAX_FIELDS as u32 + 1) {
                find_in(
                    btf,
                    ty,
                    off.saturating_add(index * s.size),
                    depth + 1,
                    fields,
                );
            }
        }
        return;
    };
    let size = kind.size();
    for index in 0..count {
        if fields.len() >= MAX_FIELDS {
            return;
        }
        fields.push(MapField {
            off: off.saturating_add(index * size),
            size,
            kind,
        });
    }
}

fn named(name: &str) -> Option<FieldKind> {
    Some(match name {
        "bpf_spin_lock" => FieldKind::SpinLock,
        "bpf_res_spin_lock" => FieldKind::ResSpinLock,
        "bpf_timer" => FieldKind::Timer,
        "bpf_wq" => FieldKind::Workqueue,
        "bpf_task_work" => FieldKind::TaskWork,
        "bpf_list_head" => FieldKind::ListHead,
        "bpf_list_node" => FieldKind::ListNode,
        "bpf_rb_root" => FieldKind::RbRoot,
        "bpf_rb_node" => FieldKind::RbNode,
        "bpf_refcount" => FieldKind::Refcount,
        _ => return None,
    })
}

fn kernel_pointer(btf: &Btf, id: TypeId) -> Option<FieldKind> {
    Some(match btf.pointer_tags(id).next()? {
        "kptr_untrusted" => FieldKind::KptrUnref,
        "kptr" => FieldKind::KptrRef,
        "percpu_kptr" => FieldKind::KptrPercpu,
        "uptr" => FieldKind::Uptr,
        _ => return None,
    })
}
