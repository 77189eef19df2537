//! Maps of devices, CPUs and AF_XDP sockets: plain values by number, made when they are set.

use std::collections::BTreeMap;

use skep_spec::{MapSpec, MapType};

use super::create::room_for;
use super::{Bytes, MapId, flags, index_of};
use crate::arena::Perm;
use crate::errno::Errno;
use crate::fault::Owner;
use crate::memory::Memory;

/// Bytes of a value as programs see it: a device's or CPU's is always followed by a program's id.
const ROOM: u64 = 8;

/// Packets in a CPU's queue at most.
const MAX_QUEUE: u32 = 16384;

#[derive(Debug)]
pub(crate) struct Sparse {
    id: MapId,
    ty: MapType,
    value_size: u64,
    max: u32,
    is_array: bool,
    /// CPUs that exist.
    cpus: u32,
    values: BTreeMap<u32, u64>,
}

impl Sparse {
    pub(crate) fn new(id: MapId, spec: &MapSpec, array_with_cpus: Option<u32>) -> Sparse {
        Sparse {
            id,
            ty: spec.ty,
            value_size: spec.value_size.into(),
            max: spec.max_entries,
            is_array: array_with_cpus.is_some(),
            cpus: array_with_cpus.unwrap_or(0),
            values: BTreeMap::new(),
        }
    }

    pub(crate) fn at(&self, index: u32) -> Option<u64> {
        self.values.get(&index).copied()
    }

    pub(crate) fn lookup(&self, mem: &Memory, key: Bytes<'_>) -> Option<u64> {
        self.at(index_of(mem, key))
    }

    pub(crate) fn update(
        &mut self,
        mem: &mut Memory,
        key: Bytes<'_>,
        value: Bytes<'_>,
        flag: u64,
    ) -> Result<(), Errno> {
        let index = index_of(mem, key);
        let number = match value.get(mem, 4) {
            &[a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
            _ => return Err(Errno::INVAL),
        };
        self.check(index, number, flag)?;
        if self.is_array && number == 0 && self.ty != MapType::Xskmap {
            // No device, or a queue of no length: the entry goes.
            self.remove(mem, index);
            return Ok(());
        }
        let at = room_for(mem, ROOM, Owner::Map(self.id.0))?;
        mem.allow(at, ROOM, Perm::Read);
        value.copy_to(mem, at, self.value_size);
        if let Some(old) = self.values.insert(index, at) {
            mem.retire(old);
        }
        Ok(())
    }

    fn check(&self, index: u32, number: u32, flag: u64) -> Result<(), Errno> {
        if flag > flags::EXIST {
            return Err(Errno::INVAL);
        }
        let found = self.values.contains_key(&index);
        if self.is_array {
            if index >= self.max {
                return Err(Errno::TOOBIG);
            }
            let (sockets, cpus) = (self.ty == MapType::Xskmap, self.ty == MapType::Cpumap);
            return match flag {
                flags::NOEXIST if found || !sockets => Err(Errno::EXIST),
                flags::EXIST if !found && sockets => Err(Errno::NOENT),
                _ if cpus && number > MAX_QUEUE => Err(Errno::OVERFLOW),
                _ if cpus && index >= self.cpus => Err(Errno::NODEV),
                _ => Ok(()),
            };
        }
        if number == 0 {
            return Err(Errno::INVAL);
        }
        if found && flag & flags::NOEXIST != 0 {
            return Err(Errno::EXIST);
        }
        if !found && self.values.len() >= self.max as usize {
            return Err(Errno::TOOBIG);
        }
        Ok(())
    }

    fn remove(&mut self, mem: &mut Memory, index: u32) -> bool {
        let old = self.values.remove(&index);
        if let Some(old) = old {
            mem.retire(old);
        }
        old.is_some()
    }

    pub(crate) fn delete(&mut self, mem: &mut Memory, key: Bytes<'_>) -> Result<(), Errno> {
        let index = index_of(mem, key);
        if self.is_array {
            if index >= self.max {
                return Err(Errno::INVAL);
            }
            self.remove(mem, index);
            return Ok(());
        }
        if self.remove(mem, index) {
            Ok(())
        } else {
            Err(Errno::NOENT)
        }
    }

    pub(crate) fn next_key(&self, key: Option<&[u8]>) -> Option<Vec<u8>> {
        if self.is_array {
            return super::user::next_index(key, self.max);
        }
        let known = key
            .and_then(|key| key.first_chunk::<4>())
            .map(|key| u32::from_le_bytes(*key))
            .filter(|key| self.values.contains_key(key));
        let next = match known {
            Some(key) => self.values.range(key.checked_add(1)?..).next(),
            None => self.values.first_key_value(),
        };
        next.map(|(key, _)| key.to_le_bytes().to_vec())
    }

    /// All keys that have a value.
    pub(crate) fn keys(&self) -> Vec<Vec<u8>> {
        self.values
            .keys()
            .map(|key| key.to_le_bytes().to_vec())
            .collect()
    }
}
