//! Longest-prefix-match tries.
//!
//! A key is a prefix length in bits and that many bits of data, the first bit the highest of the first
//! byte. Keys are ordered as the kernel walks them: subtrees before the prefix that covers them, which
//! is what [`Prefix`]'s order says. A replaced or deleted value keeps its contents until the run ends.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use hashbrown::{Equivalent, HashMap};
use rustc_hash::FxBuildHasher;
use skep_spec::MapSpec;

use super::create::room_for;
use super::{Bytes, MapId, flags, value_perm};
use crate::arena::Perm;
use crate::errno::Errno;
use crate::fault::Owner;
use crate::memory::Memory;

/// A prefix: its length, and the data with the bits behind it cleared.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Prefix {
    bits: u32,
    data: Box<[u8]>,
}

impl Prefix {
    /// The first `bits` bits of some data.
    fn new(bits: u32, data: &[u8]) -> Prefix {
        let mut data: Box<[u8]> = data.into();
        for (i, byte) in data.iter_mut().enumerate() {
            let kept = bits.saturating_sub(i as u32 * 8).min(8);
            *byte &= !0xffu8.checked_shr(kept).unwrap_or(0);
        }
        Prefix { bits, data }
    }

    fn covers(&self, other: &Prefix) -> bool {
        self.bits <= other.bits && Prefix::new(self.bits, &other.data).data == self.data
    }
}

impl Ord for Prefix {
    fn cmp(&self, other: &Prefix) -> Ordering {
        if self == other {
            Ordering::Equal
        } else if self.covers(other) {
            Ordering::Greater
        } else if other.covers(self) {
            Ordering::Less
        } else {
            self.data.cmp(&other.data)
        }
    }
}

impl PartialOrd for Prefix {
    fn partial_cmp(&self, other: &Prefix) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Prefix {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (bits, data) = (self.bits, &*self.data);
        Borrowed { bits, data }.hash(state);
    }
}

/// The same, of data that lies elsewhere.
#[derive(Hash)]
struct Borrowed<'a> {
    bits: u32,
    data: &'a [u8],
}

impl Equivalent<Prefix> for Borrowed<'_> {
    fn equivalent(&self, prefix: &Prefix) -> bool {
        self.bits == prefix.bits && *self.data == *prefix.data
    }
}

/// Bytes of data at most (`LPM_DATA_SIZE_MAX`).
const DATA: usize = 256;

/// Guest address of an element: the key as it was given, then the value.
type Element = u64;

#[derive(Debug)]
pub(crate) struct Lpm {
    id: MapId,
    data_size: u64,
    value_size: u64,
    max: u32,
    perm: Perm,
    elements: BTreeMap<Prefix, Element>,
    /// The same without an order, for lookups.
    quick: HashMap<Prefix, Element, FxBuildHasher>,
    /// How many elements have each length, so that a lookup tries only those.
    lengths: BTreeMap<u32, u32>,
}

impl Lpm {
    pub(crate) fn new(id: MapId, spec: &MapSpec) -> Lpm {
        Lpm {
            id,
            data_size: u64::from(spec.key_size).saturating_sub(4),
            value_size: spec.value_size.into(),
            max: spec.max_entries,
            perm: value_perm(spec),
            elements: BTreeMap::new(),
            quick: HashMap::default(),
            lengths: BTreeMap::new(),
        }
    }

    fn value_at(&self, element: Element) -> u64 {
        element + (self.data_size + 4).next_multiple_of(8) + 8
    }

    /// The prefix that a key means; `None` if it is longer than the data.
    fn prefix(&self, mem: &Memory, key: Bytes<'_>) -> Option<Prefix> {
        let (bits, data) = key.get(mem, self.data_size + 4).split_first_chunk::<4>()?;
        let bits = u32::from_le_bytes(*bits);
        (u64::from(bits) <= self.data_size * 8).then(|| Prefix::new(bits, data))
    }

    pub(crate) fn lookup(&self, mem: &Memory, key: Bytes<'_>) -> Option<u64> {
        let (wanted, given) = key.get(mem, self.data_size + 4).split_first_chunk::<4>()?;
        let wanted = u32::from_le_bytes(*wanted);
        let mut data = [0; DATA];
        let data = data.get_mut(..given.len())?;
        data.copy_from_slice(given);
        if wanted as usize > data.len() * 8 {
            return None;
        }
        // From the longest prefix on, of which less and less is left.
        let mut end = data.len();
        for &bits in self.lengths.range(..=wanted).rev().map(|length| length.0) {
            let whole = bits as usize / 8;
            if let Some([part, rest @ ..]) = data.get_mut(whole..end) {
                *part &= !(0xff >> (bits % 8));
                rest.fill(0);
            }
            end = (whole + 1).min(data.len());
            if let Some(element) = self.quick.get(&Borrowed { bits, data }) {
                return Some(self.value_at(*element));
            }
        }
        None
    }

    pub(crate) fn update(
        &mut self,
        mem: &mut Memory,
        key: Bytes<'_>,
        value: Bytes<'_>,
        flag: u64,
    ) -> Result<(), Errno> {
        if flag > flags::EXIST {
            return Err(Errno::INVAL);
        }
        let prefix = self.prefix(mem, key).ok_or(Errno::INVAL)?;
        let old = self.elements.get(&prefix).copied();
        match (old, flag) {
            (Some(_), flags::NOEXIST) => return Err(Errno::EXIST),
            (None, flags::EXIST) => return Err(Errno::NOENT),
            (None, _) if self.elements.len() >= self.max as usize => return Err(Errno::NOSPC),
            _ => {}
        }
        let key_size = self.data_size + 4;
        let len = self.value_at(0) + self.value_size;
        let element = room_for(mem, len, Owner::Map(self.id.0))?;
        mem.allow(element, key_size, Perm::Read);
        mem.allow(self.value_at(element), self.value_size, self.perm);
        key.copy_to(mem, element, key_size);
        value.copy_to(mem, self.value_at(element), self.value_size);
        match old {
            Some(old) => mem.retire(old),
            None => *self.lengths.entry(prefix.bits).or_default() += 1,
        }
        self.quick.insert(prefix.clone(), element);
        self.elements.insert(prefix, element);
        Ok(())
    }

    pub(crate) fn delete(&mut self, mem: &mut Memory, key: Bytes<'_>) -> Result<(), Errno> {
        let prefix = self.prefix(mem, key).ok_or(Errno::INVAL)?;
        let element = self.elements.remove(&prefix).ok_or(Errno::NOENT)?;
        self.quick.remove(&prefix);
        if let Some(count) = self.lengths.get_mut(&prefix.bits) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&prefix.bits);
            }
        }
        mem.retire(element);
        Ok(())
    }

    /// The key behind `key` in the order of walks; the first one if `key` is none of ours.
    pub(crate) fn next_key<'m>(&self, mem: &'m Memory, key: Option<&[u8]>) -> Option<&'m [u8]> {
        use std::ops::Bound::{Excluded, Unbounded};
        let known = key
            .and_then(|key| self.prefix(mem, Bytes::Host(key)))
            .filter(|prefix| self.elements.contains_key(prefix));
        let next = match known {
            Some(prefix) => self.elements.range((Excluded(prefix), Unbounded)).next(),
            None => self.elements.first_key_value(),
        };
        next.map(|(_, &element)| mem.peek(element, self.data_size + 4))
    }
}
