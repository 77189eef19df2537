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
/// Members that are looked at for all maps of one request. Structures of structures can have as many as
/// one likes in a few lines of BTF.
const MAX_MEMBERS: u32 = 1 << 20;

/// Looks for special fields in the maps of one request.
pub(super) struct Search {
    members_left: u32,
}

impl Search {
    /// Nothing was looked at yet.
    pub(super) fn new() -> Search {
        Search {
            members_left: MAX_MEMBERS,
        }
    }

    /// The special fields of a map's value, ascending by offset.
    pub(super) fn find_fields(&mut self, spec: &MapSpec) -> Vec<MapField> {
        let mut fields = Vec::new();
        if let Some(btf) = spec.btf.as_deref()
            && spec.btf_value_id != 0
            && let Ok((_, value)) = btf.resolve(TypeId(spec.btf_value_id))
        {
            find_in(self, btf, value, 0, 0, &mut fields);
        }
        fields.sort_by_key(|field| field.off);
        fields
    }

    /// Whether there were so many members that the search was given up.
    pub(super) fn gave_up(&self) -> bool {
        self.members_left == 0
    }

    /// Counts a member; false if there were too many.
    fn count(&mut self) -> bool {
        self.members_left = self.members_left.saturating_sub(1);
        self.members_left != 0
    }
}

fn find_in(
    search: &mut Search,
    btf: &Btf,
    ty: Type<'_>,
    base: u32,
    depth: usize,
    fields: &mut Vec<MapField>,
) {
    if depth >= MAX_DEPTH {
        return;
    }
    if let Type::Struct(s) = ty {
        for member in s.members.iter().filter(|member| !member.is_bitfield()) {
            if !search.count() {
                return;
            }
            let off = base.saturating_add(member.offset());
            find_one(search, btf, member.ty, off, depth, fields);
        }
    } else if let Type::DataSec(section) = ty {
        for var in section.vars.iter() {
            if !search.count() {
                return;
            }
            if let Ok(Type::Var(declared)) = btf.ty(var.ty) {
                let off = base.saturating_add(var.offset);
                find_one(search, btf, declared.ty, off, depth, fields);
            }
        }
    }
}

fn find_one(
    search: &mut Search,
    btf: &Btf,
    id: TypeId,
    off: u32,
    depth: usize,
    fields: &mut Vec<MapField>,
) {
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
                let off = off.saturating_add(index.saturating_mul(s.size));
                find_in(search, btf, ty, off, depth + 1, fields);
            }
        }
        return;
    };
    let size = kind.size();
    for index in 0..count.min(MAX_FIELDS as u32 + 1) {
        if fields.len() >= MAX_FIELDS {
            return;
        }
        // What lies behind all memory is in no value.
        let off = off.saturating_add(index * size);
        if off.checked_add(size).is_some() {
            fields.push(MapField { off, size, kind });
        }
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
