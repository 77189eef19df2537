//! Fields of map values and of the program's own structures that are no plain data: locks, timers,
//! kernel pointers, graph nodes.
//!
//! They are found by the names of their types in BTF, through arrays and nested structures, but not
//! through typedefs, as the kernel finds them (`btf_parse_fields`). Values whose fields make no sense
//! count as plain data altogether.

use rustc_hash::{FxHashMap, FxHashSet};
use skep_btf::{Btf, Kind, Type, TypeId};
use skep_spec::tables::btf_lists;
use skep_spec::{Facts, MapSpec, ProgramSpec};

use super::{FieldKind, FieldTarget, MapField};
use crate::state::BtfSource;

/// Fields that one value may have.
const MAX_FIELDS: usize = 11;
/// Structures inside of structures, and arrays of arrays, that are looked into.
const MAX_DEPTH: usize = 32;
/// Members that are looked at for all maps of one request. Structures of structures can have as many as
/// one likes in a few lines of BTF.
const MAX_MEMBERS: u32 = 1 << 20;

/// Structures that make an object of the program more than plain memory (`alloc_obj_fields`).
const OBJECT_FIELDS: [&str; 6] = [
    "bpf_spin_lock",
    "bpf_list_head",
    "bpf_list_node",
    "bpf_rb_root",
    "bpf_rb_node",
    "bpf_refcount",
];

/// Tags of pointers that are fields.
const POINTER_TAGS: [(&str, FieldKind); 4] = [
    ("kptr_untrusted", FieldKind::KptrUnref),
    ("kptr", FieldKind::KptrRef),
    ("percpu_kptr", FieldKind::KptrPercpu),
    ("uptr", FieldKind::Uptr),
];

/// Special fields of the program's structures, by their ids; plain ones are not here.
pub(crate) type ObjectFields = FxHashMap<u32, Vec<MapField>>;

/// Fields that make no sense.
struct NoSense;

type Found<T> = Result<T, NoSense>;

/// Looks for special fields in what one request names.
pub(super) struct Search<'a> {
    kernel: Option<&'a Btf>,
    program: Option<&'a Btf>,
    members_left: u32,
}

/// Types in which fields are looked for.
#[derive(Clone, Copy)]
struct Types<'a> {
    btf: &'a Btf,
    /// They are the program's.
    is_own: bool,
    /// The fields that count.
    admits: fn(FieldKind) -> bool,
}

/// A member or variable that may be a field.
#[derive(Clone, Copy)]
struct Candidate {
    /// Its type.
    ty: TypeId,
    /// Its offset in the structure or section.
    off: u32,
    /// What its declaration tags are on: a structure and the index of the member, or a variable.
    tagged: (TypeId, Option<u32>),
    /// Bytes that it must have; `None` where that is not said.
    size: Option<u32>,
    /// Structures around it.
    depth: usize,
}

impl<'a> Search<'a> {
    /// Nothing was looked at yet.
    pub(super) fn new(spec: &'a ProgramSpec, facts: &'a Facts) -> Search<'a> {
        Search {
            kernel: facts.btf().map(AsRef::as_ref),
            program: spec.btf.as_deref(),
            members_left: MAX_MEMBERS,
        }
    }

    /// The special fields of a map's value, ascending by offset.
    pub(super) fn find_fields(&mut self, spec: &MapSpec) -> Vec<MapField> {
        let Some(btf) = spec.btf.as_deref().filter(|_| spec.btf_value_id != 0) else {
            return Vec::new();
        };
        let same = |own: &Btf| std::ptr::eq(own, btf) || own.bytes() == btf.bytes();
        let mut types = Types {
            btf,
            is_own: false,
            admits: |_| true,
        };
        let fields = self.fields_of(types, TypeId(spec.btf_value_id), spec.value_size);
        let leads = |field: &MapField| field.to != FieldTarget::None;
        if !fields.iter().any(leads) || !self.program.is_some_and(same) {
            return fields;
        }
        types.is_own = true;
        self.fields_of(types, TypeId(spec.btf_value_id), spec.value_size)
    }

    /// The special fields of the program's structures that can be allocated
    /// (`btf_parse_struct_metas`).
    pub(super) fn find_object_fields(&mut self) -> ObjectFields {
        let mut found = ObjectFields::default();
        let Some(btf) = self.program else {
            return found;
        };
        let mut special: FxHashSet<TypeId> = OBJECT_FIELDS
            .iter()
            .filter_map(|name| btf.find_by_name(Kind::Struct, name))
            .collect();
        let mut tags = POINTER_TAGS.iter();
        if tags.any(|(tag, _)| btf.find_by_name(Kind::TypeTag, tag).is_some()) {
            let pointers = btf.ids().filter(|&id| {
                let kind = kernel_pointer(btf, id);
                kind.is_ok_and(|kind| kind.is_some_and(FieldKind::is_for_objects))
            });
            special.extend(pointers);
        }
        if special.is_empty() {
            return found;
        }
        let types = Types {
            btf,
            is_own: true,
            admits: FieldKind::is_for_objects,
        };
        for (id, ty) in btf.types() {
            let Type::Struct(structure) = ty else {
                continue;
            };
            if structure.members.iter().any(|m| special.contains(&m.ty)) {
                found.insert(id.0, self.fields_of(types, id, structure.size));
            }
        }
        found
    }

    fn fields_of(&mut self, types: Types<'_>, id: TypeId, size: u32) -> Vec<MapField> {
        let Ok((id, _)) = types.btf.resolve(id) else {
            return Vec::new();
        };
        let found = self.find_in(types, id, 0, MAX_FIELDS);
        let Ok(mut fields) = found.and_then(|fields| check_layout(fields, size)) else {
            return Vec::new();
        };
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

    /// Fields of a structure or section, `room` at most.
    fn find_in(
        &mut self,
        types: Types<'_>,
        id: TypeId,
        depth: usize,
        room: usize,
    ) -> Found<Vec<MapField>> {
        let mut fields = Vec::new();
        let mut seen = Vec::new();
        let ty = types.btf.ty(id).map_err(|_| NoSense)?;
        if let Type::Struct(structure) = ty {
            for (index, member) in structure.members.iter().enumerate() {
                if !self.count() {
                    break;
                }
                if member.bit_offset % 8 != 0 {
                    return Err(NoSense);
                }
                let one = Candidate {
                    ty: member.ty,
                    off: member.offset(),
                    tagged: (id, Some(index as u32)),
                    size: None,
                    depth,
                };
                let left = room - fields.len();
                fields.append(&mut self.find_one(types, one, &mut seen, left)?);
            }
            return Ok(fields);
        }
        let Type::DataSec(section) = ty else {
            return Err(NoSense);
        };
        for var in section.vars.iter() {
            if !self.count() {
                break;
            }
            let Ok(Type::Var(declared)) = types.btf.ty(var.ty) else {
                continue;
            };
            let one = Candidate {
                ty: declared.ty,
                off: var.offset,
                tagged: (var.ty, None),
                size: Some(var.size),
                depth,
            };
            let left = room - fields.len();
            fields.append(&mut self.find_one(types, one, &mut seen, left)?);
        }
        Ok(fields)
    }

    /// Fields in one member or variable. `seen`: those beside it that there may be one of only.
    fn find_one(
        &mut self,
        types: Types<'_>,
        one: Candidate,
        seen: &mut Vec<FieldKind>,
        room: usize,
    ) -> Found<Vec<MapField>> {
        let btf = types.btf;
        let (id, count) = element(btf, one.ty)?;
        if count == 0 {
            return Ok(Vec::new());
        }
        let ty = btf.ty(id).map_err(|_| NoSense)?;
        let fits = |size: u32| {
            let whole = size.wrapping_mul(count);
            one.size.is_none_or(|expected| expected == whole)
        };
        let kind = kind_of(btf, id, ty)?.filter(|&kind| (types.admits)(kind));
        let (mut fields, size) = if let Some(kind) = kind {
            if kind.is_unique() && seen.contains(&kind) {
                return Err(NoSense);
            }
            seen.push(kind);
            let size = kind.size();
            let whole = ty
                .as_struct()
                .is_none_or(|structure| structure.size == size);
            if !fits(size) || !whole || !one.off.is_multiple_of(kind.align()) {
                return Ok(Vec::new());
            }
            let field = MapField {
                off: one.off,
                size,
                kind,
                to: self.target(types, kind, id, one.tagged)?,
            };
            (vec![field], size)
        } else if let Type::Struct(structure) = ty {
            if !fits(structure.size) {
                return Ok(Vec::new());
            }
            if one.depth + 1 >= MAX_DEPTH {
                return Err(NoSense);
            }
            let mut inner = self.find_in(types, id, one.depth + 1, room)?;
            for field in &mut inner {
                field.off = field.off.wrapping_add(one.off);
            }
            (inner, structure.size)
        } else {
            return Ok(Vec::new());
        };
        if fields.len() > room {
            return Err(NoSense);
        }
        repeat(&mut fields, count, size, room)?;
        Ok(fields)
    }

    /// What a field leads to.
    fn target(
        &self,
        types: Types<'_>,
        kind: FieldKind,
        id: TypeId,
        tagged: (TypeId, Option<u32>),
    ) -> Found<FieldTarget> {
        if kind.is_kptr() {
            self.pointed_to(types, kind, id)
        } else if kind.is_root() {
            let target = graph_node(types.btf, kind, tagged).ok_or(NoSense)?;
            Ok(if types.is_own {
                target
            } else {
                FieldTarget::Unknown
            })
        } else {
            Ok(FieldTarget::None)
        }
    }

    /// The structure of a pointer: the kernel's of that name, else the program's own
    /// (`btf_parse_kptr`). Values own objects only of structures that the kernel can free.
    fn pointed_to(&self, types: Types<'_>, kind: FieldKind, id: TypeId) -> Found<FieldTarget> {
        let btf = types.btf;
        let pointer = match btf.ty(id) {
            Ok(Type::Volatile(of)) => of,
            Ok(_) | Err(_) => id,
        };
        let target = btf.ty(pointer).ok().and_then(Type::as_ptr);
        let (own, ty) = btf.resolve(target.ok_or(NoSense)?).map_err(|_| NoSense)?;
        let name = ty.as_struct().ok_or(NoSense)?.name();
        let Some(kernel) = self.kernel else {
            return Ok(FieldTarget::Unknown);
        };
        if let Some(id) = kernel.find_by_name(Kind::Struct, name) {
            let has = |func: &&str| kernel.find_by_name(Kind::Func, func).is_some();
            let frees = btf_lists::destructors(name).iter().any(has);
            if kind == FieldKind::KptrRef && !frees {
                return Err(NoSense);
            }
            let source = BtfSource::Kernel;
            return Ok(FieldTarget::Structure { source, id: id.0 });
        }
        if !types.is_own {
            return Ok(FieldTarget::Unknown);
        }
        let source = BtfSource::Program;
        Ok(FieldTarget::Structure { source, id: own.0 })
    }
}

/// The type of an array's elements, through all dimensions, and how many there are.
fn element(btf: &Btf, ty: TypeId) -> Found<(TypeId, u32)> {
    let (mut id, mut count) = (ty, 1u32);
    for _ in 0..MAX_DEPTH {
        let Ok(Type::Array(array)) = btf.ty(id) else {
            return Ok((id, count));
        };
        count = count.wrapping_mul(array.nelems);
        id = array.elem;
    }
    Err(NoSense)
}

/// The fields of all elements of an array (`btf_repeat_fields`).
fn repeat(fields: &mut Vec<MapField>, count: u32, size: u32, room: usize) -> Found<()> {
    if count == 1 || fields.is_empty() {
        return Ok(());
    }
    if fields.iter().any(|field| !field.kind.may_repeat()) {
        return Err(NoSense);
    }
    let each = fields.len();
    if (each as u64) * u64::from(count) > room as u64 {
        return Err(NoSense);
    }
    for index in 1..count {
        for at in 0..each {
            let mut field = fields[at];
            field.off = field.off.wrapping_add(index.wrapping_mul(size));
            fields.push(field);
        }
    }
    Ok(())
}

/// Whether fields can lie together in a value of that size.
fn check_layout(fields: Vec<MapField>, size: u32) -> Found<Vec<MapField>> {
    let mut next = 0;
    for field in &fields {
        let end = field.off.checked_add(field.size).ok_or(NoSense)?;
        if end > size || field.off < next {
            return Err(NoSense);
        }
        next = end;
    }
    let has = |kind| fields.iter().any(|field| field.kind == kind);
    let locks = [FieldKind::SpinLock, FieldKind::ResSpinLock].map(has);
    let roots = has(FieldKind::ListHead) || has(FieldKind::RbRoot);
    let both_nodes = has(FieldKind::ListNode) && has(FieldKind::RbNode);
    let unlocked = roots && locks == [false; 2];
    if locks == [true; 2] || unlocked || (both_nodes && !has(FieldKind::Refcount)) {
        return Err(NoSense);
    }
    Ok(fields)
}

/// The elements of a list or tree, by its declaration tag (`btf_find_graph_root`).
fn graph_node(
    btf: &Btf,
    kind: FieldKind,
    (tagged, component): (TypeId, Option<u32>),
) -> Option<FieldTarget> {
    let contains = |text: &str| text.strip_prefix("contains:").map(str::to_owned);
    let tag = match component {
        Some(index) => btf
            .component_tags(tagged, index)
            .find_map(|tag| contains(tag.name())),
        None => btf.decl_tags(tagged).find_map(|tag| contains(tag.name())),
    }?;
    let (structure, node) = tag.split_once(':')?;
    let id = btf.find_by_name(Kind::Struct, structure)?;
    let structure = btf.ty(id).ok()?.as_struct()?;
    let mut members = structure.members.iter().filter(|m| m.is_called(node));
    let member = members.next()?;
    if members.next().is_some() || member.bit_offset % 8 != 0 || member.offset() % 8 != 0 {
        return None;
    }
    let wanted = if kind == FieldKind::ListHead {
        FieldKind::ListNode
    } else {
        FieldKind::RbNode
    };
    let ty = btf.ty(member.ty).ok()?;
    (ty.as_struct()?.is_called(wanted.name())).then_some(FieldTarget::Node {
        id: id.0,
        off: member.offset(),
    })
}

fn kind_of(btf: &Btf, id: TypeId, ty: Type<'_>) -> Found<Option<FieldKind>> {
    if let Type::Struct(structure) = ty {
        return Ok(named(structure.name()));
    }
    if let Type::Volatile(of) = ty {
        return kernel_pointer(btf, of);
    }
    kernel_pointer(btf, id)
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

fn kernel_pointer(btf: &Btf, id: TypeId) -> Found<Option<FieldKind>> {
    let mut tags = btf.pointer_tags(id);
    let Some(tag) = tags.next() else {
        return Ok(None);
    };
    if tags.next().is_some() {
        return Err(NoSense);
    }
    let row = POINTER_TAGS.iter().find(|(name, _)| *name == tag);
    row.map(|&(_, kind)| Some(kind)).ok_or(NoSense)
}
