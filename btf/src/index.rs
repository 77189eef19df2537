//! Lazy indexes: types by kind and name, declaration tags by the type they belong to, flavours of
//! a type by their common name.
//!
//! They are built on first use and shared by all threads.

use crate::btf::Btf;
use crate::core::essential_name;
use crate::kinds::{Kind, TypeId};
use crate::types::{DeclTag, Type};
use rustc_hash::FxHasher;
use std::hash::Hasher;

/// Chained hash table over names: `heads[hash]` is the lowest id of a chain through `next`.
///
/// Ids are stored relative to the first own type, plus one, so that 0 ends a chain.
pub(crate) struct NameIndex {
    heads: Vec<u32>,
    next: Vec<u32>,
}

fn hash(name: &[u8]) -> usize {
    let mut h = FxHasher::default();
    h.write(name);
    h.finish() as usize
}

impl NameIndex {
    fn build(btf: &Btf) -> NameIndex {
        let count = btf.ids().len();
        let mut heads = vec![0; count.next_power_of_two().max(2)];
        let mut next = vec![0; count];
        let mask = heads.len() - 1;
        // From the last to the first, each put in front: chains then ascend.
        for index in (0..count).rev() {
            let Some(at) = btf.record_at(index) else {
                continue;
            };
            let off = btf.word(at);
            if off == 0 {
                continue;
            }
            let Some(name) = btf.string_at(off) else {
                continue;
            };
            if let (Some(head), Some(next)) =
                (heads.get_mut(hash(name) & mask), next.get_mut(index))
            {
                *next = *head;
                *head = index as u32 + 1;
            }
        }
        NameIndex { heads, next }
    }
}

/// The declaration tags of one BTF as (type, component, tag), sorted.
pub(crate) struct TagIndex {
    rows: Vec<(TypeId, Option<u32>, TypeId)>,
}

impl TagIndex {
    fn build(btf: &Btf) -> TagIndex {
        let mut rows = Vec::new();
        for id in btf.ids() {
            if btf.kind(id) == Some(Kind::DeclTag)
                && let Ok(Type::DeclTag(tag)) = btf.ty(id)
            {
                rows.push((tag.ty, tag.component, id));
            }
        }
        rows.sort_unstable();
        TagIndex { rows }
    }
}

/// The types whose name has a flavour (`name___flavour`), by the name without it, sorted.
pub(crate) struct FlavorIndex {
    rows: Vec<(Box<str>, TypeId)>,
}

impl FlavorIndex {
    fn build(btf: &Btf) -> FlavorIndex {
        let flavored = Blocks::with_separators(btf.string_bytes());
        let mut rows = Vec::new();
        for (index, id) in btf.ids().enumerate() {
            let off = btf.record_at(index).map_or(0, |at| btf.word(at));
            let is_own = off.checked_sub(btf.end_of_base_strings());
            if is_own.is_some_and(|off| !flavored.contains(off)) {
                continue;
            }
            let name = btf.string(off).unwrap_or("");
            let essential = essential_name(name);
            if essential.len() != name.len() {
                rows.push((essential.into(), id));
            }
        }
        rows.sort_unstable();
        FlavorIndex { rows }
    }
}

/// Blocks of 64 bytes of a string section in which a name with `___` begins or goes on.
///
/// Such names are rare; this tells most others apart without reading them.
struct Blocks {
    bits: Vec<u64>,
}

impl Blocks {
    fn with_separators(strings: &[u8]) -> Blocks {
        let blocks = strings.len() / 64 + 1;
        let mut found = Blocks {
            bits: vec![0; blocks / 64 + 1],
        };
        let third = strings.get(2..).unwrap_or(&[]);
        for (block, bytes) in third.chunks(64).enumerate() {
            let from = 64 * block;
            let two_before = strings.get(from..from + bytes.len()).unwrap_or(&[]);
            let before = strings.get(from + 1..).unwrap_or(&[]);
            let threes = two_before.iter().zip(before).zip(bytes);
            // Without an early end, so that many bytes are compared at once.
            let has_any = threes.fold(false, |any, ((a, b), c)| {
                any | ((*a == b'_') & (*b == b'_') & (*c == b'_'))
            });
            if has_any {
                for (at, three) in strings.windows(3).enumerate().skip(from).take(64) {
                    if three == b"___" {
                        found.add_string(strings, at);
                    }
                }
            }
        }
        found
    }

    /// Adds the string in which `at` lies, up to there: a name may begin anywhere in it.
    fn add_string(&mut self, strings: &[u8], at: usize) {
        let before = strings.get(..at).unwrap_or(&[]);
        let start = before
            .iter()
            .rposition(|b| *b == 0)
            .map_or(0, |nul| nul + 1);
        for block in start / 64..=at / 64 {
            if let Some(word) = self.bits.get_mut(block / 64) {
                *word |= 1 << (block % 64);
            }
        }
    }

    fn contains(&self, off: u32) -> bool {
        let block = off as usize / 64;
        let word = self.bits.get(block / 64).copied().unwrap_or(0);
        word >> (block % 64) & 1 != 0
    }
}

impl Btf {
    /// The types of its own (not the base's) whose name without flavour is this one, by id.
    pub(crate) fn same_essence(&self, essential: &str) -> Vec<TypeId> {
        let index = self.flavors.get_or_init(|| FlavorIndex::build(self));
        let from = index.rows.partition_point(|row| &*row.0 < essential);
        let flavored = index.rows.get(from..).unwrap_or(&[]).iter();
        let mut ids: Vec<_> = flavored
            .take_while(|r| &*r.0 == essential)
            .map(|r| r.1)
            .collect();
        ids.extend(self.own_named(essential));
        ids.sort_unstable();
        ids
    }

    /// The first type of this kind and name, the base's before its own.
    pub fn find_by_name(&self, kind: Kind, name: &str) -> Option<TypeId> {
        self.find_all(kind, name).next()
    }

    /// All types of this kind and name in the order of their ids, the base's first.
    pub fn find_all<'a>(
        &'a self,
        kind: Kind,
        name: &'a str,
    ) -> impl Iterator<Item = TypeId> + use<'a> {
        self.named(name)
            .filter(move |id| self.kind(*id) == Some(kind))
    }

    /// All types of this name, of any kind, in the order of their ids, the base's first.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = TypeId> + use<'a> {
        let base = self
            .base()
            .map(|base| -> Box<dyn Iterator<Item = TypeId> + 'a> { Box::new(base.named(name)) });
        base.into_iter().flatten().chain(self.own_named(name))
    }

    fn own_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = TypeId> + use<'a> {
        let index = self.names.get_or_init(|| NameIndex::build(self));
        let slot = hash(name.as_bytes()) & (index.heads.len() - 1);
        let mut link = index.heads.get(slot).copied().unwrap_or(0);
        std::iter::from_fn(move || {
            while let Some(at) = (link as usize).checked_sub(1) {
                link = index.next.get(at).copied().unwrap_or(0);
                let record = self.record_at(at)?;
                if !name.is_empty() && self.has_string_at(self.word(record), name) {
                    return Some(TypeId(self.start() + at as u32));
                }
            }
            None
        })
    }

    /// The declaration tags of the type itself (not of its members or parameters).
    pub fn decl_tags(&self, id: TypeId) -> impl Iterator<Item = DeclTag<'_>> {
        self.tags_of(id, None)
    }

    /// The declaration tags of a member or parameter of the type, by its index.
    pub fn component_tags(&self, id: TypeId, component: u32) -> impl Iterator<Item = DeclTag<'_>> {
        self.tags_of(id, Some(component))
    }

    /// Whether the type itself carries the declaration tag `text`.
    pub fn has_decl_tag(&self, id: TypeId, text: &str) -> bool {
        self.decl_tags(id).any(|tag| tag.is_called(text))
    }

    fn tags_of(&self, id: TypeId, component: Option<u32>) -> impl Iterator<Item = DeclTag<'_>> {
        self.tag_ids(id, component)
            .filter_map(|tag| self.ty(tag).ok().and_then(Type::as_decl_tag))
    }

    /// The declaration tags of a type or of a component, the base's first.
    fn tag_ids(
        &self,
        id: TypeId,
        component: Option<u32>,
    ) -> impl Iterator<Item = TypeId> + use<'_> {
        let base = self
            .base()
            .map(|base| -> Box<dyn Iterator<Item = TypeId> + '_> {
                Box::new(base.tag_ids(id, component))
            });
        let index = self.tags.get_or_init(|| TagIndex::build(self));
        let key = (id, component);
        let from = index.rows.partition_point(|row| (row.0, row.1) < key);
        let tail = index.rows.get(from..).unwrap_or(&[]).iter();
        let own = tail
            .take_while(move |row| (row.0, row.1) == key)
            .map(|row| row.2);
        base.into_iter().flatten().chain(own)
    }
}
