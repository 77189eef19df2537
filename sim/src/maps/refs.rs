//! Maps whose values are numbers of programs, maps or perf events.
//!
//! User space writes a file descriptor and reads an id; here both are the number itself: of a program
//! ([`crate::ProgId`]), of a map ([`MapId`](super::MapId)), or any number for a perf event.

use std::collections::BTreeMap;

use skep_spec::{MapSpec, MapType};

use super::{Bytes, flags, index_of};
use crate::errno::Errno;
use crate::memory::Memory;

#[derive(Debug)]
pub(crate) struct Refs {
    ty: MapType,
    key_size: u64,
    max: u32,
    is_array: bool,
    entries: BTreeMap<Box<[u8]>, u32>,
    /// The numbers of an array's first indices again, for tail calls.
    quick: Vec<Option<u32>>,
    /// How often it was written to.
    changes: u64,
}

/// Indices that are found without a search.
const QUICK: usize = 1024;

impl Refs {
    pub(crate) fn new(spec: &MapSpec, is_array: bool, cpus: u32) -> Refs {
        let events = spec.ty == MapType::PerfEventArray;
        let max = match spec.max_entries {
            // Loaders make one entry per CPU where none are asked for.
            0 if events => cpus,
            max => max,
        };
        let mut entries = BTreeMap::new();
        if events {
            // Someone listens on every CPU, as loaders arrange it before a program runs.
            for cpu in 0..max.min(cpus) {
                entries.insert(cpu.to_le_bytes().into(), cpu);
            }
        }
        Refs {
            ty: spec.ty,
            key_size: spec.key_size.into(),
            max,
            is_array,
            entries,
            quick: Vec::new(),
            changes: 0,
        }
    }

    pub(crate) fn ty(&self) -> MapType {
        self.ty
    }

    #[inline]
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    pub(crate) fn entries(&self) -> u32 {
        self.max
    }

    /// The number at an index of an array.
    #[inline]
    pub(crate) fn at(&self, index: u32) -> Option<u32> {
        if let Some(number) = self.quick.get(index as usize) {
            return *number;
        }
        self.entries.get(index.to_le_bytes().as_slice()).copied()
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<u32> {
        self.entries.get(key).copied()
    }

    /// What a program's lookup finds: only maps of maps answer.
    pub(crate) fn lookup(&self, mem: &Memory, key: Bytes<'_>) -> Option<u32> {
        let of_maps = matches!(self.ty, MapType::ArrayOfMaps | MapType::HashOfMaps);
        of_maps
            .then(|| self.get(key.get(mem, self.key_size)))
            .flatten()
    }

    pub(crate) fn update(
        &mut self,
        mem: &Memory,
        key: Bytes<'_>,
        value: Bytes<'_>,
        flag: u64,
    ) -> Result<(), Errno> {
        let &[a, b, c, d] = value.get(mem, 4) else {
            return Err(Errno::INVAL);
        };
        let number = u32::from_le_bytes([a, b, c, d]);
        if self.is_array {
            if flag != flags::ANY {
                return Err(Errno::INVAL);
            }
            if index_of(mem, key) >= self.max {
                return Err(Errno::TOOBIG);
            }
        } else {
            self.check_hash(key.get(mem, self.key_size), flag)?;
        }
        self.changes += 1;
        self.entries
            .insert(key.get(mem, self.key_size).into(), number);
        if self.is_array {
            self.set_quick(index_of(mem, key), Some(number));
        }
        Ok(())
    }

    fn set_quick(&mut self, index: u32, number: Option<u32>) {
        let index = index as usize;
        if self.quick.is_empty() && index < QUICK {
            let known = 0..QUICK.min(self.max as usize) as u32;
            let number = |index: u32| self.entries.get(index.to_le_bytes().as_slice()).copied();
            self.quick = known.map(number).collect();
        }
        if let Some(quick) = self.quick.get_mut(index) {
            *quick = number;
        }
    }

    fn check_hash(&self, key: &[u8], flag: u64) -> Result<(), Errno> {
        let found = self.entries.contains_key(key);
        match flag {
            flags::NOEXIST if found => Err(Errno::EXIST),
            flags::EXIST if !found => Err(Errno::NOENT),
            flags::ANY | flags::NOEXIST | flags::EXIST => {
                if !found && self.entries.len() >= self.max as usize {
                    return Err(Errno::TOOBIG);
                }
                Ok(())
            }
            _ => Err(Errno::INVAL),
        }
    }

    pub(crate) fn delete(&mut self, mem: &Memory, key: Bytes<'_>) -> Result<(), Errno> {
        if self.is_array && index_of(mem, key) >= self.max {
            return Err(Errno::TOOBIG);
        }
        self.changes += 1;
        if self.is_array && !self.quick.is_empty() {
            self.set_quick(index_of(mem, key), None);
        }
        self.entries
            .remove(key.get(mem, self.key_size))
            .map(drop)
            .ok_or(Errno::NOENT)
    }

    /// The key behind `key`: every index of an array, the keys that are there of a hash.
    pub(crate) fn next_key(&self, key: Option<&[u8]>) -> Option<Vec<u8>> {
        use std::ops::Bound::{Excluded, Unbounded};
        if self.is_array {
            return super::user::next_index(key, self.max);
        }
        let known = key.filter(|key| self.entries.contains_key(*key));
        let next = match known {
            Some(key) => self
                .entries
                .range::<[u8], _>((Excluded(key), Unbounded))
                .next(),
            None => self.entries.first_key_value(),
        };
        next.map(|(key, _)| key.to_vec())
    }

    /// All keys that have a number; those of arrays by index.
    pub(crate) fn keys(&self) -> Vec<Vec<u8>> {
        let mut keys: Vec<Vec<u8>> = self.entries.keys().map(|key| key.to_vec()).collect();
        if self.is_array {
            keys.sort_by_key(|key| key.iter().rev().copied().collect::<Vec<u8>>());
        }
        keys
    }
}
