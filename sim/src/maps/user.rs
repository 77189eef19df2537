//! The map commands of `bpf(2)`: what user space does with maps.
//!
//! Keys and values are bytes of exactly the map's sizes; a per-CPU map's value is that of all CPUs in
//! a row, each rounded up to 8 bytes.

use skep_spec::MapType;

use super::create::has_lock;
use super::{Bytes, Cpus, Kind, Map, MapId, Maps, StructOps, flags as flag};
use crate::errno::Errno;
use crate::memory::Memory;

/// A key and its value, as user space reads them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The key.
    pub key: Vec<u8>,
    /// The value; of per-CPU maps those of all CPUs.
    pub value: Vec<u8>,
}

/// The index behind a key in an array: 0 behind none and behind one that is out of range.
pub(super) fn next_index(key: Option<&[u8]>, max: u32) -> Option<Vec<u8>> {
    let index = key
        .and_then(|key| key.first_chunk::<4>())
        .map(|key| u32::from_le_bytes(*key));
    let next = match index {
        Some(index) if index < max => index.checked_add(1)?,
        _ => 0,
    };
    (next < max).then(|| next.to_le_bytes().to_vec())
}

impl Map {
    fn cpus(&self) -> u32 {
        match &self.kind {
            Kind::Array(array) => array.cpus(),
            Kind::Hash(hash) => hash.cpus(),
            Kind::Lpm(_)
            | Kind::Queue(_)
            | Kind::Bloom(_)
            | Kind::Ring(_)
            | Kind::Refs(_)
            | Kind::Sparse(_)
            | Kind::Sockets(_)
            | Kind::UserRing(_)
            | Kind::Stacks(_)
            | Kind::Storage(_)
            | Kind::Pages(_)
            | Kind::StructOps(_)
            | Kind::Opaque => 0,
        }
    }

    /// Bytes of a value as user space sees it.
    pub fn user_value_size(&self) -> usize {
        let size = self.spec.value_size as usize;
        match self.cpus() {
            0 => size,
            cpus => size.next_multiple_of(8) * cpus as usize,
        }
    }

    fn check_key(&self, key: &[u8]) -> Result<(), Errno> {
        let fits = key.len() == self.spec.key_size as usize;
        if fits { Ok(()) } else { Err(Errno::INVAL) }
    }

    /// The values of all CPUs, or the one value.
    fn gather(&self, mem: &Memory, at: impl Fn(u32) -> u64) -> Vec<u8> {
        let size = self.value_size();
        let cpus = self.cpus();
        if cpus == 0 {
            return mem.peek(at(0), size).to_vec();
        }
        let mut all = Vec::new();
        for cpu in 0..cpus {
            all.extend_from_slice(mem.peek(at(cpu), size.next_multiple_of(8)));
        }
        all
    }

    fn user_lookup(&self, mem: &Memory, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.check_key(key)?;
        let bytes = Bytes::Host(key);
        if self.spec.ty == MapType::PerfEventArray {
            return Err(Errno::NOTSUPP);
        }
        if self.spec.ty == MapType::Xskmap {
            return Err(Errno::OPNOTSUPP);
        }
        match &self.kind {
            Kind::Array(array) => {
                let index = super::index_of(mem, bytes);
                array.at(index, 0).ok_or(Errno::NOENT)?;
                Ok(self.gather(mem, |cpu| array.at(index, cpu).unwrap_or(0)))
            }
            Kind::Hash(hash) => {
                let slot = hash.peek(mem, key).ok_or(Errno::NOENT)?;
                Ok(self.gather(mem, |cpu| hash.value_of(slot, cpu)))
            }
            Kind::Lpm(lpm) => {
                let at = lpm.lookup(mem, bytes).ok_or(Errno::NOENT)?;
                Ok(self.gather(mem, |_| at))
            }
            Kind::Sparse(sparse) => {
                let at = sparse.lookup(mem, bytes).ok_or(Errno::NOENT)?;
                Ok(self.gather(mem, |_| at))
            }
            Kind::Refs(refs) => {
                let number = refs.get(key).ok_or(Errno::NOENT)?;
                Ok(number.to_le_bytes().to_vec())
            }
            Kind::Stacks(stacks) => stacks.get(super::index_of(mem, bytes)).ok_or(Errno::NOENT),
            Kind::Sockets(sockets) => sockets.cookie(key),
            Kind::StructOps(table) => table.get(mem, bytes),
            Kind::Queue(_)
            | Kind::Bloom(_)
            | Kind::Ring(_)
            | Kind::UserRing(_)
            | Kind::Storage(_)
            | Kind::Pages(_)
            | Kind::Opaque => Err(Errno::NOTSUPP),
        }
    }

    fn next_key(&self, mem: &Memory, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        if let Some(key) = key {
            self.check_key(key)?;
        }
        let next = match &self.kind {
            Kind::Array(array) => next_index(key, array.layout().entries),
            Kind::Hash(hash) => {
                let place = key
                    .and_then(|key| hash.peek(mem, key))
                    .map_or(0, |slot| slot + 1);
                let slot = hash.next_used(place);
                slot.map(|slot| mem.peek(hash.key_of(slot), self.key_size()).to_vec())
            }
            Kind::Lpm(lpm) => lpm.next_key(mem, key).map(<[u8]>::to_vec),
            Kind::Refs(refs) => refs.next_key(key),
            Kind::Sparse(sparse) => sparse.next_key(key),
            Kind::Sockets(sockets) => sockets.next_key(key),
            Kind::StructOps(_) => StructOps::next_key(key),
            Kind::Stacks(stacks) => {
                let id = key.map(|key| super::index_of(mem, Bytes::Host(key)));
                stacks.next_key(id)
            }
            Kind::Queue(_) => return Err(Errno::INVAL),
            Kind::Bloom(_) => return Err(Errno::OPNOTSUPP),
            Kind::Ring(_)
            | Kind::UserRing(_)
            | Kind::Storage(_)
            | Kind::Pages(_)
            | Kind::Opaque => {
                return Err(Errno::NOTSUPP);
            }
        };
        next.ok_or(Errno::NOENT)
    }
}

impl Map {
    /// The keys of a map that may have many more places than values; `None` for others.
    fn keys_present(&self) -> Option<Vec<Vec<u8>>> {
        match &self.kind {
            Kind::Refs(refs) => Some(refs.keys()),
            Kind::Sparse(sparse) => Some(sparse.keys()),
            Kind::Sockets(sockets) => Some(sockets.keys()),
            Kind::Array(_)
            | Kind::Hash(_)
            | Kind::Lpm(_)
            | Kind::Queue(_)
            | Kind::Bloom(_)
            | Kind::Ring(_)
            | Kind::UserRing(_)
            | Kind::Stacks(_)
            | Kind::Storage(_)
            | Kind::Pages(_)
            | Kind::StructOps(_)
            | Kind::Opaque => None,
        }
    }
}

/// The map commands, as [`crate::Sim`] offers them.
impl Maps {
    fn user(&self, id: MapId) -> Result<&Map, Errno> {
        self.get(id).ok_or(Errno::NOENT)
    }

    fn user_writable(&mut self, id: MapId) -> Result<&mut Map, Errno> {
        let map = self.get_mut(id).ok_or(Errno::NOENT)?;
        if map.frozen {
            Err(Errno::PERM)
        } else {
            Ok(map)
        }
    }

    pub(crate) fn user_lookup(
        &mut self,
        mem: &Memory,
        id: MapId,
        key: &[u8],
    ) -> Result<Vec<u8>, Errno> {
        let map = self.get_mut(id).ok_or(Errno::NOENT)?;
        // A lookup in a queue is a peek.
        if let Kind::Queue(queue) = &mut map.kind {
            return queue.get(false).map(Vec::from).ok_or(Errno::NOENT);
        }
        map.user_lookup(mem, key)
    }

    pub(crate) fn user_update(
        &mut self,
        mem: &mut Memory,
        id: MapId,
        key: &[u8],
        value: &[u8],
        flags: u64,
    ) -> Result<(), Errno> {
        let map = self.user_writable(id)?;
        map.check_key(key)?;
        if flags & flag::LOCK != 0 && !has_lock(&map.spec) {
            return Err(Errno::INVAL);
        }
        if value.len() != map.user_value_size() {
            return Err(Errno::INVAL);
        }
        map.update(mem, Bytes::Host(key), Bytes::Host(value), flags, Cpus::All)
    }

    pub(crate) fn user_delete(
        &mut self,
        mem: &mut Memory,
        id: MapId,
        key: &[u8],
    ) -> Result<(), Errno> {
        let map = self.user_writable(id)?;
        map.check_key(key)?;
        map.delete(mem, Bytes::Host(key))
    }

    pub(crate) fn user_next_key(
        &self,
        mem: &Memory,
        id: MapId,
        key: Option<&[u8]>,
    ) -> Result<Vec<u8>, Errno> {
        self.user(id)?.next_key(mem, key)
    }

    /// `BPF_MAP_LOOKUP_AND_DELETE_ELEM`.
    pub(crate) fn user_take(
        &mut self,
        mem: &mut Memory,
        id: MapId,
        key: &[u8],
    ) -> Result<Vec<u8>, Errno> {
        if let Kind::Queue(queue) = &mut self.user_writable(id)?.kind {
            return queue.get(true).map(Vec::from).ok_or(Errno::NOENT);
        }
        let value = self.user_lookup(mem, id, key)?;
        self.user_delete(mem, id, key)?;
        Ok(value)
    }

    pub(crate) fn user_entries(&mut self, mem: &Memory, id: MapId) -> Result<Vec<Entry>, Errno> {
        let mut entries = Vec::new();
        if let Some(keys) = self.user(id)?.keys_present() {
            for key in keys {
                let value = self.user_lookup(mem, id, &key)?;
                entries.push(Entry { key, value });
            }
            return Ok(entries);
        }
        let mut at = self.user_next_key(mem, id, None);
        while let Ok(key) = at {
            let value = self.user_lookup(mem, id, &key)?;
            at = self.user_next_key(mem, id, Some(&key));
            entries.push(Entry { key, value });
        }
        match at {
            Err(Errno::NOENT) | Ok(_) => Ok(entries),
            Err(errno) => Err(errno),
        }
    }
}
