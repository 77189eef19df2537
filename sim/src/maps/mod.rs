//! Maps: what programs reach through helpers and user space through `bpf(2)`.
//!
//! Values lie in the arena, so that programs get pointers to them; indexes, order and bookkeeping lie
//! outside, where no program can spoil them. Errors are those of Linux 6.18. Where the kernel's order
//! of keys depends on a random seed, ours is fixed: the order of the slots.

mod array;
mod bloom;
mod create;
mod hash;
mod lpm;
mod pages;
mod queue;
mod refs;
mod ring;
mod sockets;
mod sparse;
mod stacks;
mod storage;
mod struct_ops;
mod user;
mod user_ring;

use std::sync::Arc;

use skep_spec::{MapSpec, MapType};

use crate::arena::Perm;
use crate::errno::Errno;
use crate::fault::Owner;
use crate::memory::Memory;

pub(crate) use array::Array;
pub(crate) use bloom::Bloom;
pub(crate) use hash::Hash;
pub(crate) use lpm::Lpm;
pub use pages::ArenaPlace;
pub(crate) use pages::Pages;
pub(crate) use queue::Queue;
pub(crate) use refs::Refs;
pub(crate) use ring::Ring;
pub(crate) use sockets::Sockets;
pub(crate) use sparse::Sparse;
pub(crate) use stacks::Stacks;
pub(crate) use storage::Storage;
pub(crate) use struct_ops::StructOps;
pub(crate) use user_ring::UserRing;

pub use array::ArrayLayout;
pub use create::MapError;
pub use ring::{RingRecord, RingState};
pub use user::Entry;

/// A map of the simulated kernel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MapId(pub u32);

/// `BPF_ANY`, `BPF_NOEXIST`, `BPF_EXIST` and `BPF_F_LOCK` of the update commands.
pub mod flags {
    /// Create or replace.
    pub const ANY: u64 = 0;
    /// Only create.
    pub const NOEXIST: u64 = 1;
    /// Only replace.
    pub const EXIST: u64 = 2;
    /// Copy under the value's spin lock.
    pub const LOCK: u64 = 4;
}

/// Where bytes of a key or value come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bytes<'a> {
    /// Guest memory, already checked.
    Guest(u64),
    /// The caller's memory.
    Host(&'a [u8]),
}

impl<'a> Bytes<'a> {
    /// The first `len` bytes.
    pub(crate) fn get<'m>(&self, mem: &'m Memory, len: u64) -> &'m [u8]
    where
        'a: 'm,
    {
        match *self {
            Bytes::Guest(addr) => mem.peek(addr, len),
            Bytes::Host(bytes) => bytes.get(..len as usize).unwrap_or(bytes),
        }
    }

    /// Copies the first `len` bytes to guest memory.
    pub(crate) fn copy_to(&self, mem: &mut Memory, to: u64, len: u64) {
        match *self {
            Bytes::Guest(addr) => mem.copy(addr, to, len),
            Bytes::Host(bytes) => mem.poke(to, bytes.get(..len as usize).unwrap_or(bytes)),
        }
    }
}

/// Which CPUs' values an update sets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cpus {
    /// A program's: that of the CPU it runs on.
    This(u32),
    /// User space's: all, from values that follow each other at multiples of 8 bytes.
    All,
}

/// What kind of map it is, and its contents.
#[derive(Debug)]
pub(crate) enum Kind {
    Array(Array),
    Hash(Hash),
    Lpm(Lpm),
    Queue(Queue),
    Bloom(Bloom),
    Ring(Ring),
    /// Programs, maps or perf events by number.
    Refs(Refs),
    /// Devices, CPUs and AF_XDP sockets to redirect to.
    Sparse(Sparse),
    Sockets(Sockets),
    UserRing(UserRing),
    Pages(Pages),
    StructOps(StructOps),
    Stacks(Stacks),
    /// Values that belong to kernel objects.
    Storage(Storage),
    /// Can be made and named, and no more.
    Opaque,
}

/// One map.
#[derive(Debug)]
pub struct Map {
    id: MapId,
    spec: Arc<MapSpec>,
    frozen: bool,
    pub(crate) kind: Kind,
}

impl Map {
    /// Its number.
    pub fn id(&self) -> MapId {
        self.id
    }

    /// What it was made from.
    pub fn spec(&self) -> &Arc<MapSpec> {
        &self.spec
    }

    /// Whether user space can no longer write to it.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Entries that a hash map has; `None` for other maps.
    pub fn entry_count(&self) -> Option<u64> {
        if let Kind::Hash(hash) = &self.kind {
            Some(hash.len())
        } else {
            None
        }
    }

    /// How an array's values lie in memory; `None` for other maps.
    pub fn array_layout(&self) -> Option<ArrayLayout> {
        if let Kind::Array(array) = &self.kind {
            Some(array.layout())
        } else {
            None
        }
    }

    /// How often a prog_array was written to: while that is the same, so are its programs. `None` for
    /// other maps.
    #[inline]
    pub fn program_changes(&self) -> Option<u64> {
        if let Kind::Refs(refs) = &self.kind
            && refs.ty() == MapType::ProgArray
        {
            return Some(refs.changes());
        }
        None
    }

    /// Whether programs look up, update and delete by key.
    pub(crate) fn has_keys(&self) -> bool {
        match &self.kind {
            Kind::Ring(_)
            | Kind::UserRing(_)
            | Kind::Storage(_)
            | Kind::Pages(_)
            | Kind::StructOps(_)
            | Kind::Opaque => false,
            Kind::Array(_)
            | Kind::Hash(_)
            | Kind::Lpm(_)
            | Kind::Queue(_)
            | Kind::Bloom(_)
            | Kind::Refs(_)
            | Kind::Sparse(_)
            | Kind::Sockets(_)
            | Kind::Stacks(_) => true,
        }
    }

    pub(crate) fn key_size(&self) -> u64 {
        self.spec.key_size.into()
    }

    pub(crate) fn value_size(&self) -> u64 {
        self.spec.value_size.into()
    }

    /// The value of the key at a guest address, in hashes with keys of that size; others are as empty ones.
    #[inline(always)]
    pub(crate) fn lookup_hash<const N: usize>(
        &mut self,
        mem: &Memory,
        key: u64,
        cpu: u32,
    ) -> Option<u64> {
        if let Kind::Hash(hash) = &mut self.kind {
            hash.lookup_sized::<N>(mem, key, cpu)
        } else {
            None
        }
    }

    /// The value of a key as programs see it: an address; of maps of maps the inner map's number.
    #[inline]
    pub(crate) fn lookup(&mut self, mem: &Memory, key: Bytes<'_>, cpu: u32) -> Option<u64> {
        match &mut self.kind {
            Kind::Array(array) => array.lookup(mem, key, cpu),
            Kind::Hash(hash) => hash.lookup(mem, key, cpu),
            Kind::Lpm(lpm) => lpm.lookup(mem, key),
            Kind::Refs(refs) => refs.lookup(mem, key).map(u64::from),
            Kind::Sparse(sparse) => sparse.lookup(mem, key),
            Kind::Sockets(sockets) => sockets.lookup(mem, key),
            Kind::Queue(_)
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

    pub(crate) fn update(
        &mut self,
        mem: &mut Memory,
        key: Bytes<'_>,
        value: Bytes<'_>,
        flags: u64,
        cpus: Cpus,
    ) -> Result<(), Errno> {
        match &mut self.kind {
            Kind::Array(array) => array.update(mem, key, value, flags, cpus),
            Kind::Hash(hash) => hash.update(mem, key, value, flags, cpus),
            Kind::Lpm(lpm) => lpm.update(mem, key, value, flags),
            Kind::Sparse(sparse) => sparse.update(mem, key, value, flags),
            Kind::Refs(refs) => refs.update(mem, key, value, flags),
            Kind::Sockets(sockets) => sockets.update(mem, key, value, flags),
            Kind::StructOps(table) => table.update(mem, key, value, flags),
            Kind::Queue(queue) => queue.push(mem, value, flags),
            Kind::Bloom(bloom) => bloom.push(mem, value, flags),
            Kind::Stacks(_) => Err(Errno::INVAL),
            Kind::Ring(_)
            | Kind::UserRing(_)
            | Kind::Storage(_)
            | Kind::Pages(_)
            | Kind::Opaque => Err(Errno::NOTSUPP),
        }
    }

    pub(crate) fn delete(&mut self, mem: &mut Memory, key: Bytes<'_>) -> Result<(), Errno> {
        match &mut self.kind {
            Kind::Array(_) => Err(Errno::INVAL),
            Kind::Hash(hash) => hash.delete(mem, key),
            Kind::Lpm(lpm) => lpm.delete(mem, key),
            Kind::Sparse(sparse) => sparse.delete(mem, key),
            Kind::Refs(refs) => refs.delete(mem, key),
            Kind::Sockets(sockets) => sockets.delete(mem, key),
            Kind::StructOps(table) => table.delete(),
            Kind::Queue(_) => Err(Errno::INVAL),
            Kind::Bloom(_) => Err(Errno::OPNOTSUPP),
            Kind::Stacks(stacks) => stacks.delete(index_of(mem, key)),
            Kind::Ring(_)
            | Kind::UserRing(_)
            | Kind::Storage(_)
            | Kind::Pages(_)
            | Kind::Opaque => Err(Errno::NOTSUPP),
        }
    }

    /// The element at or behind a place in the map's order, for walks: the next place, where the key
    /// lies (or the index of an array) and where the value does.
    pub(crate) fn element(&self, place: u32, cpu: u32) -> Option<(u32, ElementKey, u64)> {
        match &self.kind {
            Kind::Array(array) => {
                let value = array.at(place, cpu)?;
                Some((place + 1, ElementKey::Index(place), value))
            }
            Kind::Hash(hash) => hash.element(place, cpu),
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
            | Kind::Opaque => None,
        }
    }
}

/// Where the key of an element is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ElementKey {
    /// It is the index itself.
    Index(u32),
    /// In guest memory.
    At(u64),
}

/// Bytes of a map's own structure: as much as the kernel's has, and some.
pub(crate) const HANDLE: u64 = 512;
/// Structures that lie together.
const HANDLES: u64 = 64;

/// All maps of a simulated kernel.
///
/// What a program holds as a map's address is that of a structure in the arena, which privileged
/// programs may read; helpers turn it into the map by arithmetic.
#[derive(Debug, Default)]
pub struct Maps {
    all: Vec<Map>,
    /// Where the structures of each 64 maps begin.
    handles: Vec<u64>,
}

impl Maps {
    /// The map of that number.
    #[inline]
    pub fn get(&self, id: MapId) -> Option<&Map> {
        self.all.get(id.0 as usize)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: MapId) -> Option<&mut Map> {
        self.all.get_mut(id.0 as usize)
    }

    /// What a program holds as the map's address; 0 for a map that does not exist.
    pub fn handle(&self, id: MapId) -> u64 {
        let (chunk, at) = (u64::from(id.0) / HANDLES, u64::from(id.0) % HANDLES);
        let base = self.handles.get(chunk as usize).copied();
        base.map_or(0, |base| base + at * HANDLE)
    }

    /// The map whose address that is.
    #[inline]
    pub fn by_handle(&self, handle: u64) -> Option<MapId> {
        let in_chunk = |base: u64| {
            let off = handle.wrapping_sub(base);
            (off < HANDLES * HANDLE && off.is_multiple_of(HANDLE)).then_some(off / HANDLE)
        };
        let mut chunks = self.handles.iter().enumerate();
        let (chunk, at) = chunks.find_map(|(i, &base)| Some((i as u64, in_chunk(base)?)))?;
        let id = MapId((chunk * HANDLES + at) as u32);
        ((id.0 as usize) < self.all.len()).then_some(id)
    }

    /// Empties the storages of the control group: every test run has its own.
    pub(crate) fn reset_cgroup_storage(&mut self, mem: &mut Memory) {
        for map in &mut self.all {
            let of_cgroup = matches!(
                map.spec.ty,
                MapType::CgroupStorage | MapType::PercpuCgroupStorage
            );
            if let Kind::Storage(storage) = &mut map.kind
                && of_cgroup
            {
                storage.clear(mem);
            }
        }
    }

    /// Room for the structure of the next map.
    pub(crate) fn add_handle(&mut self, mem: &mut Memory) -> Option<()> {
        if self.all.len() as u64 == self.handles.len() as u64 * HANDLES {
            let len = HANDLES * HANDLE;
            let base = mem.alloc(len, 64, Owner::Kernel("bpf_map"))?;
            mem.allow(base, len, Perm::Read);
            self.handles.push(base);
        }
        Some(())
    }

    /// All maps in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Map> {
        self.all.iter()
    }

    /// The first map of that name.
    pub fn by_name(&self, name: &str) -> Option<MapId> {
        self.iter().find(|m| m.spec.name == name).map(Map::id)
    }

    /// The map that was made from that very request.
    pub fn by_spec(&self, spec: &Arc<MapSpec>) -> Option<MapId> {
        self.iter()
            .find(|m| Arc::ptr_eq(&m.spec, spec))
            .map(Map::id)
    }
}

/// What programs may do with the values of a map.
pub(crate) fn value_perm(spec: &MapSpec) -> Perm {
    use skep_spec::MapFlags;
    let read = !spec.flags.contains(MapFlags::WRONLY_PROG);
    let write = !spec.flags.contains(MapFlags::RDONLY_PROG);
    match (read, write) {
        (true, true) => Perm::ReadWrite,
        (true, false) => Perm::Read,
        (false, true) => Perm::Write,
        (false, false) => Perm::No,
    }
}

/// A little-endian number at the front of a key.
pub(crate) fn index_of(mem: &Memory, key: Bytes<'_>) -> u32 {
    match key.get(mem, 4) {
        &[a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
        _ => u32::MAX,
    }
}
