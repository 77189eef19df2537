//! Types of several objects in one BTF: copying with new ids and strings, and making types that
//! are the same one.
//!
//! Two types are the same if nothing that can be reached from one tells it apart from the other.
//! The classes are found by refinement: types that look alike share one, and are parted as long as
//! what they refer to lies in different ones. Circles need no care, and a declaration (`struct x;`)
//! joins the only definition of its name. Variables and sections stay as they are.

use crate::btf::Btf;
use crate::build::BtfBuilder;
use crate::error::Error;
use crate::kinds::{Kind, TypeId};
use rustc_hash::FxHashMap;

/// What a word of a type's record means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A number.
    Raw,
    /// An offset into the strings.
    Text,
    /// A type.
    Type,
}

/// The meaning of the words behind the common three, repeated for each element.
fn pattern(kind: Kind) -> &'static [Role] {
    use Role::{Raw, Text, Type};
    match kind {
        Kind::Int | Kind::Var | Kind::DeclTag => &[Raw],
        Kind::Array => &[Type, Type, Raw],
        Kind::Struct | Kind::Union => &[Text, Type, Raw],
        Kind::Enum => &[Text, Raw],
        Kind::Enum64 => &[Text, Raw, Raw],
        Kind::FuncProto => &[Text, Type],
        Kind::DataSec => &[Type, Raw, Raw],
        Kind::Void
        | Kind::Ptr
        | Kind::Fwd
        | Kind::Typedef
        | Kind::Volatile
        | Kind::Const
        | Kind::Restrict
        | Kind::Func
        | Kind::Float
        | Kind::TypeTag => &[],
    }
}

/// Whether the third word names a type; it is a size otherwise.
fn refers(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Ptr
            | Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::Func
            | Kind::FuncProto
            | Kind::Var
            | Kind::DeclTag
            | Kind::TypeTag
    )
}

/// A record's kind, and its words with their meaning: name, info, the third word, the others.
fn words(btf: &Btf, id: TypeId) -> Option<(Kind, Vec<(Role, u32)>)> {
    let index = id.0.checked_sub(btf.start())? as usize;
    let at = btf.record_at(index)?;
    let kind = btf.kind(id)?;
    let info = btf.word(at + 4);
    let third = if refers(kind) { Role::Type } else { Role::Raw };
    let mut words = vec![
        (Role::Text, btf.word(at)),
        (Role::Raw, info),
        (third, btf.word(at + 8)),
    ];
    let pattern = pattern(kind);
    let count = kind.extra_len(info & 0xffff) as usize / 4;
    for (i, role) in pattern.iter().cycle().take(count).enumerate() {
        words.push((*role, btf.word(at + 12 + 4 * i)));
    }
    Some((kind, words))
}

impl BtfBuilder {
    /// Appends a copy of a type of `from`, with its strings, and with `map` applied to the types
    /// that it refers to. Both must have the same byte order. `None` if `from` has no such type
    /// of its own.
    pub fn copy_type(
        &mut self,
        from: &Btf,
        id: TypeId,
        map: impl Fn(TypeId) -> TypeId,
    ) -> Option<TypeId> {
        let (_, mut words) = words(from, id)?;
        for (role, word) in &mut words {
            match role {
                Role::Raw => {}
                Role::Text => *word = self.string(from.string(*word).unwrap_or("")),
                Role::Type => *word = map(TypeId(*word)).0,
            }
        }
        Some(self.record_of(words.iter().map(|w| w.1)))
    }
}

/// Rounds of refinement; chains of types in real programs are a tenth as long.
const MAX_ROUNDS: usize = 256;

/// The types with each of several equal ones kept once, and the new id of each old one.
///
/// # Errors
/// None for sound types; types nested absurdly deep are left as they are.
pub fn dedup(btf: &Btf) -> Result<(Btf, Vec<TypeId>), Error> {
    let len = btf.end() as usize;
    let identity = || (0..btf.end()).map(TypeId).collect::<Vec<_>>();
    let mut alias = identity();
    let Some(classes) = refine(btf, &alias) else {
        return Ok((Btf::parse(btf.bytes())?, identity()));
    };
    declare(btf, &classes, &mut alias);
    let Some(classes) = refine(btf, &alias) else {
        return Ok((Btf::parse(btf.bytes())?, identity()));
    };

    // The first of each class stays; ids are given in the old order.
    let mut first: FxHashMap<u32, TypeId> = FxHashMap::default();
    let mut kept = Vec::new();
    let mut new = vec![TypeId::VOID; len];
    let class_of = |id: TypeId| {
        let own = alias.get(id.0 as usize).copied().unwrap_or(id);
        classes.get(own.0 as usize).copied().unwrap_or(0)
    };
    for id in btf.ids() {
        if alias.get(id.0 as usize) == Some(&id) {
            first.entry(class_of(id)).or_insert_with(|| {
                kept.push(id);
                TypeId(kept.len() as u32)
            });
        }
    }
    for id in btf.ids() {
        let target = first.get(&class_of(id)).copied();
        if let (Some(slot), Some(target)) = (new.get_mut(id.0 as usize), target) {
            *slot = target;
        }
    }
    let mut out = BtfBuilder::with_endian(btf.endian());
    for id in kept {
        out.copy_type(btf, id, |id| {
            new.get(id.0 as usize).copied().unwrap_or(TypeId::VOID)
        });
    }
    Ok((Btf::parse(out.to_bytes())?, new))
}

/// The class of each type, by id; `None` if there is no end to refining.
fn refine(btf: &Btf, alias: &[TypeId]) -> Option<Vec<u32>> {
    let len = btf.end() as usize;
    let mut classes = vec![0u32; len];
    let mut refs: Vec<Vec<u32>> = vec![Vec::new(); len];
    let mut seen: FxHashMap<Vec<u32>, u32> = FxHashMap::default();
    for id in btf.ids() {
        let (kind, words) = words(btf, id)?;
        let mut key = vec![kind as u32];
        let mut own = Vec::new();
        for (role, word) in words {
            match role {
                Role::Raw | Role::Text => key.push(word),
                Role::Type => own.push(alias.get(word as usize).map_or(word, |id| id.0)),
            }
        }
        if matches!(kind, Kind::Var | Kind::DataSec) {
            // Each is one of its own.
            key.extend([u32::MAX, id.0]);
        }
        let next = seen.len() as u32 + 1;
        let class = *seen.entry(key).or_insert(next);
        *classes.get_mut(id.0 as usize)? = class;
        *refs.get_mut(id.0 as usize)? = own;
    }
    let mut count = seen.len();
    for _ in 0..MAX_ROUNDS {
        let mut seen: FxHashMap<Vec<u32>, u32> = FxHashMap::default();
        let mut next = vec![0u32; len];
        for id in btf.ids() {
            let index = id.0 as usize;
            let mut key = vec![*classes.get(index)?];
            for target in refs.get(index)? {
                key.push(classes.get(*target as usize).copied().unwrap_or(0));
            }
            let fresh = seen.len() as u32 + 1;
            *next.get_mut(index)? = *seen.entry(key).or_insert(fresh);
        }
        classes = next;
        if seen.len() == count {
            return Some(classes);
        }
        count = seen.len();
    }
    None
}

/// Lets declarations stand for the only definition of their name, if there is exactly one.
fn declare(btf: &Btf, classes: &[u32], alias: &mut [TypeId]) {
    let mut definitions: FxHashMap<(&str, bool), Option<TypeId>> = FxHashMap::default();
    let class = |id: TypeId| classes.get(id.0 as usize);
    for (id, ty) in btf.types() {
        let Some(composite) = ty.as_composite().filter(|c| !c.name().is_empty()) else {
            continue;
        };
        definitions
            .entry((composite.name(), composite.is_union))
            .and_modify(|known| {
                // Another definition, unless it is the same.
                if known.is_some_and(|known| class(known) != class(id)) {
                    *known = None;
                }
            })
            .or_insert(Some(id));
    }
    for (id, ty) in btf.types() {
        let crate::types::Type::Fwd(fwd) = ty else {
            continue;
        };
        let found = definitions
            .get(&(fwd.name(), fwd.is_union))
            .copied()
            .flatten();
        if let (Some(found), Some(slot)) = (found, alias.get_mut(id.0 as usize)) {
            *slot = found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::IntEncoding;

    /// `struct list { struct list *next; int value; }` and, for each of `names`, a struct that
    /// holds it.
    fn lists(out: &mut BtfBuilder, names: &[&str]) {
        let int = out.int("int", 4, IntEncoding::SIGNED);
        let list = TypeId(out.next_id().0 + 1);
        let ptr = out.ptr(list);
        out.structure("list", 16, &[("next", ptr, 0, 0), ("value", int, 64, 0)]);
        for name in names {
            out.structure(name, 16, &[("list", list, 0, 0)]);
        }
    }

    #[test]
    fn equal_circles_become_one() {
        let mut out = BtfBuilder::new();
        lists(&mut out, &["a"]);
        lists(&mut out, &["a", "b"]);
        let btf = Btf::parse(out.to_bytes()).unwrap();
        let (small, new) = dedup(&btf).unwrap();
        assert_eq!(small.ids().len(), 5);
        assert_eq!(new[1..5], new[5..9]);
        let id = small.find_by_name(Kind::Struct, "list").unwrap();
        let next = small.member(id, "next").unwrap().unwrap().member.ty;
        assert_eq!(small.type_name(next), "struct list *");
    }

    #[test]
    fn types_that_differ_far_away_stay_apart() {
        let mut out = BtfBuilder::new();
        for size in [4, 8] {
            let int = out.int("number", size, IntEncoding::SIGNED);
            let inner = out.structure("inner", 8, &[("x", int, 0, 0)]);
            let ptr = out.ptr(inner);
            out.structure("outer", 8, &[("inner", ptr, 0, 0)]);
        }
        let btf = Btf::parse(out.to_bytes()).unwrap();
        assert_eq!(dedup(&btf).unwrap().0.ids().len(), 8);
    }

    #[test]
    fn a_declaration_joins_its_only_definition() {
        let mut out = BtfBuilder::new();
        let fwd = out.fwd("task", false);
        out.ptr(fwd);
        let int = out.int("int", 4, IntEncoding::SIGNED);
        let task = out.structure("task", 4, &[("pid", int, 0, 0)]);
        out.ptr(task);
        let btf = Btf::parse(out.to_bytes()).unwrap();
        let (small, new) = dedup(&btf).unwrap();
        assert_eq!(small.ids().len(), 3);
        assert_eq!((new[1], new[2]), (new[4], new[5]));

        // Two definitions: nobody knows which is meant.
        out.structure("task", 8, &[("pid", int, 32, 0)]);
        let btf = Btf::parse(out.to_bytes()).unwrap();
        assert_eq!(dedup(&btf).unwrap().0.ids().len(), 6);
    }

    #[test]
    fn variables_of_one_name_stay_two() {
        let mut out = BtfBuilder::new();
        let int = out.int("int", 4, IntEncoding::SIGNED);
        for _ in 0..2 {
            out.var("counter", int, crate::kinds::VarLinkage::Static);
        }
        let btf = Btf::parse(out.to_bytes()).unwrap();
        assert_eq!(dedup(&btf).unwrap().0.ids().len(), 3);
    }
}
