//! Which member of a kernel structure some bytes belong to, and what reading them gives
//! (`btf_struct_walk`, `btf_struct_access`).
//!
//! Nothing here depends on the program or the path: a walk is a function of type, offset and size, and
//! is remembered as such.

use rustc_hash::FxHashMap;
use skep_btf::{Btf, Composite, Kind, Member, Type, TypeId};

use crate::state::PtrFlags;
use crate::violation::BtfFault;

/// Structures inside structures are followed that deep; compilers make no deeper ones.
const MAX_NESTING: usize = 64;
/// Modifiers, typedefs and array dimensions are followed that far (`MAX_RESOLVE_DEPTH`).
const MAX_RESOLVE: usize = 32;
/// Bytes of a name that the kernel builds with a suffix, the terminating zero included.
const SAFE_NAME: usize = 64;

bitflags::bitflags! {
    /// How a pointer field is known to be valid while its structure is, by the kernel's own lists.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub(super) struct Safe: u8 {
        /// Everywhere.
        const TRUSTED = 1 << 0;
        /// Everywhere, or null.
        const TRUSTED_OR_NULL = 1 << 1;
        /// Inside an RCU read section.
        const RCU = 1 << 2;
        /// Inside an RCU read section, or null.
        const RCU_OR_NULL = 1 << 3;
    }
}

/// The suffixes of the structures that list such fields.
const SAFE_LISTS: [(Safe, &str); 4] = [
    (Safe::TRUSTED, "__safe_trusted"),
    (Safe::TRUSTED_OR_NULL, "__safe_trusted_or_null"),
    (Safe::RCU, "__safe_rcu"),
    (Safe::RCU_OR_NULL, "__safe_rcu_or_null"),
];

/// What some bytes of a structure are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reached {
    /// A number, or bytes of one.
    Number,
    /// A pointer to a structure.
    Structure {
        /// The structure.
        id: TypeId,
        /// Tags of the pointer, and whether it lies in a union.
        flags: PtrFlags,
        /// Lists that the field is on.
        safe: Safe,
    },
    /// A pointer to something else: reads through it are probed.
    Memory,
}

/// Why a walk leads nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WalkFault {
    /// The kernel refuses the access.
    Refused(BtfFault),
    /// The kernel would divide by zero: elements of a flexible array have no size.
    EmptyElement,
    /// Types nest deeper than any compiler makes them, or are no types.
    Malformed,
}

/// Walks that were made, by type, offset and size.
#[derive(Clone, Debug, Default)]
pub(crate) struct WalkCache(FxHashMap<(u32, u32, u32), Result<Reached, WalkFault>>);

impl WalkCache {
    /// What the bytes at an offset into a structure are.
    pub(super) fn reach(
        &mut self,
        btf: &Btf,
        id: u32,
        off: u32,
        size: u32,
    ) -> Result<Reached, WalkFault> {
        *self
            .0
            .entry((id, off, size))
            .or_insert_with(|| reach(btf, TypeId(id), off, size))
    }
}

/// One step of a walk: the member that the bytes belong to.
enum Step {
    Number,
    Pointer {
        id: TypeId,
        tag: PtrFlags,
        field: Field,
    },
    Memory,
    /// A structure that begins at that offset.
    Part(TypeId),
}

/// A member, by the composite that has it and its index there.
#[derive(Clone, Copy)]
struct Field {
    of: TypeId,
    index: u32,
}

fn reach(btf: &Btf, id: TypeId, off: u32, size: u32) -> Result<Reached, WalkFault> {
    let mut flags = PtrFlags::empty();
    let (mut at, mut off) = (id, off);
    for _ in 0..MAX_NESTING {
        match step(btf, at, off, size, &mut flags)? {
            Step::Number => return Ok(Reached::Number),
            Step::Memory => return Ok(Reached::Memory),
            Step::Pointer { id: to, tag, field } => {
                let safe = safe_lists(btf, id, field, to);
                return Ok(Reached::Structure {
                    id: to,
                    flags: flags | tag,
                    safe,
                });
            }
            Step::Part(part) => (at, off) = (part, 0),
        }
    }
    Err(WalkFault::Malformed)
}

/// Whether a pointer `off` bytes into a structure points to the expected one, be it a part of a larger
/// one (`btf_struct_ids_match`). `strict` forbids parts.
pub(crate) fn is_structure(
    btf: &Btf,
    id: TypeId,
    off: u32,
    expected: TypeId,
    strict: bool,
) -> Result<bool, WalkFault> {
    if off == 0 && id == expected {
        return Ok(true);
    }
    if strict {
        return Ok(false);
    }
    let mut flags = PtrFlags::empty();
    let (mut at, mut off) = (id, off);
    for _ in 0..MAX_NESTING {
        match step(btf, at, off, 1, &mut flags) {
            Ok(Step::Part(part)) if part == expected => return Ok(true),
            Ok(Step::Part(part)) => (at, off) = (part, 0),
            Ok(Step::Number | Step::Pointer { .. } | Step::Memory) | Err(WalkFault::Refused(_)) => {
                return Ok(false);
            }
            Err(fault @ (WalkFault::EmptyElement | WalkFault::Malformed)) => return Err(fault),
        }
    }
    Err(WalkFault::Malformed)
}

/// Finds the member that `size` bytes at `off` belong to; into structures that do not begin there, it
/// goes on. Pointers in unions are not to be trusted, which `flags` takes note of.
fn step(
    btf: &Btf,
    id: TypeId,
    off: u32,
    size: u32,
    flags: &mut PtrFlags,
) -> Result<Step, WalkFault> {
    let (mut id, mut off) = (id, off);
    for _ in 0..MAX_NESTING {
        let (of, ty) = btf.resolve(id).map_err(|_| WalkFault::Malformed)?;
        let Some(composite) = ty.as_composite() else {
            return Err(WalkFault::Refused(BtfFault::NoStructure { id: of.0 }));
        };
        // A union with a single member is no choice: contexts wrap pointers so.
        if composite.is_union && composite.members.len() != 1 {
            *flags |= PtrFlags::UNTRUSTED;
        }
        let found = if u64::from(off) + u64::from(size) > u64::from(composite.size) {
            flexible_element(btf, of, &composite, off, size)?
        } else {
            find_member(btf, of, &composite, off, size, *flags)?
        };
        match found {
            Found::Step(step) => return Ok(step),
            Found::Inside { part, off: inside } => (id, off) = (part, inside),
        }
    }
    Err(WalkFault::Malformed)
}

enum Found {
    Step(Step),
    Inside { part: TypeId, off: u32 },
}

/// Behind the end of a structure, a flexible array may go on.
fn flexible_element(
    btf: &Btf,
    of: TypeId,
    composite: &Composite<'_>,
    off: u32,
    size: u32,
) -> Result<Found, WalkFault> {
    let beyond = WalkFault::Refused(BtfFault::Beyond {
        id: of.0,
        off,
        size,
    });
    let Some(last) = composite.members.last() else {
        return Err(beyond);
    };
    let resolve = |id| btf.resolve(id).map_err(|_| WalkFault::Malformed);
    let (_, ty) = resolve(last.ty)?;
    let Some(array) = ty
        .as_array()
        .filter(|array| array.nelems == 0 && off >= last.offset())
    else {
        return Err(beyond);
    };
    let (part, elem) = resolve(array.elem)?;
    if elem.as_int().is_some() {
        return Ok(Found::Step(Step::Number));
    }
    let Some(elem) = elem.as_composite() else {
        return Err(beyond);
    };
    match (off - last.offset()).checked_rem(elem.size) {
        Some(off) => Ok(Found::Inside { part, off }),
        None => Err(WalkFault::EmptyElement),
    }
}

fn find_member(
    btf: &Btf,
    of: TypeId,
    composite: &Composite<'_>,
    off: u32,
    size: u32,
    flags: PtrFlags,
) -> Result<Found, WalkFault> {
    let end = off.saturating_add(size);
    for (index, member) in composite.members.iter().enumerate() {
        let start = member.offset();
        if end <= start {
            break;
        }
        if member.is_bitfield() {
            let last_bit = member
                .bit_offset
                .saturating_add(member.bitfield_size.into());
            // Unnamed bits before it are not in BTF: they are read along.
            if off <= start && last_bit.div_ceil(8) <= end {
                return Ok(Found::Step(Step::Number));
            }
            continue;
        }
        if off < start {
            break;
        }
        let field = Field {
            of,
            index: index as u32,
        };
        if let Some(found) = in_member(btf, field, &member, off, size, flags)? {
            return Ok(found);
        }
    }
    Err(WalkFault::Refused(BtfFault::NoMember { id: of.0, off }))
}

/// The bytes begin in or behind a member; `None` if behind.
fn in_member(
    btf: &Btf,
    field: Field,
    member: &Member<'_>,
    off: u32,
    size: u32,
    flags: PtrFlags,
) -> Result<Option<Found>, WalkFault> {
    let Field { of, index } = field;
    let (id, member_index) = (of.0, index);
    let mut start = member.offset();
    let Some(laid) = layout(btf, member.ty) else {
        return Err(WalkFault::Refused(BtfFault::NoSize {
            id,
            member: member_index,
        }));
    };
    let true_end = start.wrapping_add(laid.size);
    if off >= true_end {
        return Ok(None);
    }
    let mut each = laid.size;
    if let Some(count) = laid.count {
        // An array is taken as that many members, one behind the other.
        each = laid
            .size
            .checked_div(count)
            .filter(|&each| each > 0)
            .ok_or(WalkFault::Malformed)?;
        start += (off - start) / each * each;
    }
    if laid.ty.as_composite().is_some() {
        return Ok(Some(if off == start {
            Found::Step(Step::Part(laid.id))
        } else {
            Found::Inside {
                part: laid.id,
                off: off - start,
            }
        }));
    }
    if let Type::Ptr(to) = laid.ty {
        if each != size || off != start {
            let fault = BtfFault::PartOfPointer {
                id,
                member: member_index,
                start,
                off,
                size,
            };
            return Err(WalkFault::Refused(fault));
        }
        return pointer(btf, to, field).map(|step| Some(Found::Step(step)));
    }
    // Numbers may be read in any pieces as long as they lie in the member; so may arrays of them.
    let end = u64::from(off) + u64::from(size);
    if end > u64::from(true_end) && !flags.contains(PtrFlags::UNTRUSTED) {
        let fault = BtfFault::BeyondMember {
            id,
            member: member_index,
            end: true_end,
            off,
            size,
        };
        return Err(WalkFault::Refused(fault));
    }
    Ok(Some(Found::Step(Step::Number)))
}

fn pointer(btf: &Btf, to: TypeId, field: Field) -> Result<Step, WalkFault> {
    let (id, ty) = btf.resolve(to).map_err(|_| WalkFault::Malformed)?;
    if ty.as_composite().is_none() {
        return Ok(Step::Memory);
    }
    let tag = tag_of(btf, to) & (PtrFlags::USER | PtrFlags::PERCPU | PtrFlags::RCU);
    Ok(Step::Pointer { id, tag, field })
}

/// What the type tag directly behind a pointer says.
pub(super) fn tag_of(btf: &Btf, to: TypeId) -> PtrFlags {
    let Ok(Type::TypeTag(tag)) = btf.ty(to) else {
        return PtrFlags::empty();
    };
    match Type::TypeTag(tag).name() {
        "user" => PtrFlags::USER,
        "percpu" => PtrFlags::PERCPU,
        "rcu" => PtrFlags::RCU,
        _ => PtrFlags::empty(),
    }
}

/// A type and what it takes, arrays unrolled.
struct Layout<'a> {
    /// Bytes of all elements.
    size: u32,
    /// Elements over all dimensions, if it is an array.
    count: Option<u32>,
    /// The element's type, or the type itself.
    ty: Type<'a>,
    /// Its id; that of an array's element with its modifiers.
    id: TypeId,
}

/// `__btf_resolve_size`; `None` for types without size.
fn layout(btf: &Btf, id: TypeId) -> Option<Layout<'_>> {
    let mut at = id;
    let mut elem = None;
    let mut count: u32 = 1;
    for _ in 0..MAX_RESOLVE {
        let ty = btf.ty(at).ok()?;
        let each = match ty {
            Type::Typedef(named) | Type::TypeTag(named) => {
                at = named.ty;
                continue;
            }
            Type::Const(to) | Type::Volatile(to) | Type::Restrict(to) => {
                at = to;
                continue;
            }
            Type::Array(array) => {
                count = count.checked_mul(array.nelems)?;
                elem = Some(array.elem);
                at = array.elem;
                continue;
            }
            Type::Ptr(_) => 8,
            Type::Int(t) => t.size,
            Type::Struct(t) | Type::Union(t) => t.size,
            Type::Enum(t) | Type::Enum64(t) => t.size,
            Type::Float(t) => t.size,
            Type::Void
            | Type::Fwd(_)
            | Type::Func(_)
            | Type::FuncProto(_)
            | Type::Var(_)
            | Type::DataSec(_)
            | Type::DeclTag(_) => return None,
        };
        let size = count.checked_mul(each)?;
        let id = elem.unwrap_or(at);
        return Some(Layout {
            size,
            count: elem.map(|_| count),
            ty,
            id,
        });
    }
    None
}

/// The lists that a field is on. Its structure is the one that the pointer walked points to, however
/// deep inside the field lies (`btf_nested_type_is_trusted`).
fn safe_lists(btf: &Btf, structure: TypeId, field: Field, to: TypeId) -> Safe {
    let mut safe = Safe::empty();
    let Ok(ty) = btf.ty(structure) else {
        return safe;
    };
    let Some(name) = member_name(btf, field) else {
        return safe;
    };
    for (list, suffix) in SAFE_LISTS {
        let listed = format!("{}{suffix}", ty.name());
        if listed.len() >= SAFE_NAME {
            continue;
        }
        if is_listed(btf, ty.kind(), &listed, name, to) {
            safe |= list;
        }
    }
    safe
}

fn member_name(btf: &Btf, field: Field) -> Option<&str> {
    let composite = btf.ty(field.of).ok()?.as_composite()?;
    let member = composite.members.get(field.index as usize)?;
    Some(member.name())
}

fn is_listed(btf: &Btf, kind: Kind, listed: &str, name: &str, to: TypeId) -> bool {
    let list = btf
        .find_by_name(kind, listed)
        .and_then(|id| btf.ty(id).ok());
    let Some(list) = list.and_then(Type::as_composite) else {
        return false;
    };
    list.members.iter().any(|member| {
        let target = btf.ty(member.ty).ok().and_then(Type::as_ptr);
        member.is_called(name)
            && target.is_some_and(|target| btf.skip_mods_and_typedefs(target).ok() == Some(to))
    })
}

#[cfg(test)]
mod tests;
