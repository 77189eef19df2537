//! What `BPF_MAP_CREATE` makes of a request, and which requests it refuses.

use std::fmt;
use std::sync::Arc;

use skep_btf::TypeId;
use skep_spec::tables::map_create::{self, MapMachine, MapRefusal};
use skep_spec::{MapFlags, MapSpec, MapType};

use super::{
    Array, Bloom, Hash, Kind, Lpm, Map, MapId, Maps, Pages, Queue, Refs, Ring, Sockets, Sparse,
    Stacks, Storage, StructOps, UserRing,
};
use crate::arena::layout::MAX_MAPS;
use crate::errno::Errno;
use crate::fault::Owner;
use crate::memory::Memory;

/// Bytes of values that one map may have.
const MAX_BYTES: u64 = 1 << 30;
/// Bytes of a key or value at most.
const MAX_ELEM: u32 = 1 << 22;
/// Bytes of a page, and CPUs that the kernel is built for.
const PAGE: u32 = 4096;
const MAX_CPUS: u32 = 256;

/// A map that could not be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MapError {
    /// Its name.
    pub name: String,
    /// The error: that of the kernel, or `ENOMEM` where the arena is too small.
    pub errno: Errno,
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "map {}: {}", self.name, self.errno)
    }
}

impl std::error::Error for MapError {}

/// Room for a map's values.
pub(super) fn room_for(mem: &mut Memory, bytes: u64, owner: Owner) -> Result<u64, Errno> {
    if bytes > MAX_BYTES {
        return Err(Errno::NOMEM);
    }
    mem.alloc(bytes, 8, owner).ok_or(Errno::NOMEM)
}

impl Maps {
    /// Makes a map.
    pub(crate) fn create(
        &mut self,
        mem: &mut Memory,
        spec: &Arc<MapSpec>,
        cpus: u32,
    ) -> Result<MapId, MapError> {
        let error = |errno| MapError {
            name: spec.name.clone(),
            errno,
        };
        if self.all.len() >= MAX_MAPS {
            return Err(error(Errno::NOMEM));
        }
        check(spec, cpus).map_err(error)?;
        self.add_handle(mem).ok_or_else(|| error(Errno::NOMEM))?;
        let id = MapId(self.all.len() as u32);
        let kind = kind_of(mem, id, spec, cpus).map_err(error)?;
        self.all.push(Map {
            id,
            spec: spec.clone(),
            frozen: spec.frozen,
            kind,
        });
        Ok(id)
    }
}

/// Whether a value holds a spin lock, which its type says.
pub(super) fn has_lock(spec: &MapSpec) -> bool {
    let Some(btf) = &spec.btf else {
        return false;
    };
    let Ok((_, value)) = btf.resolve(TypeId(spec.btf_value_id)) else {
        return false;
    };
    let is_lock = |id| {
        btf.resolve(id)
            .is_ok_and(|(_, ty)| ty.name() == "bpf_spin_lock")
    };
    value
        .as_composite()
        .is_some_and(|value| value.members.iter().any(|member| is_lock(member.ty)))
}

fn kind_of(mem: &mut Memory, id: MapId, spec: &MapSpec, cpus: u32) -> Result<Kind, Errno> {
    Ok(match spec.ty {
        MapType::Array => Kind::Array(Array::new(mem, id, spec, None)?),
        MapType::PercpuArray => Kind::Array(Array::new(mem, id, spec, Some(cpus))?),
        MapType::Hash | MapType::Rhash => Kind::Hash(Hash::new(id, spec, None, false)),
        MapType::PercpuHash => Kind::Hash(Hash::new(id, spec, Some(cpus), false)),
        MapType::LruHash => Kind::Hash(Hash::new(id, spec, None, true)),
        MapType::LruPercpuHash => Kind::Hash(Hash::new(id, spec, Some(cpus), true)),
        MapType::LpmTrie => Kind::Lpm(Lpm::new(id, spec)),
        MapType::Queue => Kind::Queue(Queue::new(spec, false)),
        MapType::Stack => Kind::Queue(Queue::new(spec, true)),
        MapType::BloomFilter => Kind::Bloom(Bloom::new(spec)?),
        MapType::Ringbuf => Kind::Ring(Ring::new(mem, id, spec)?),
        MapType::ProgArray
        | MapType::ArrayOfMaps
        | MapType::PerfEventArray
        | MapType::CgroupArray => Kind::Refs(Refs::new(spec, true, cpus)),
        MapType::HashOfMaps => Kind::Refs(Refs::new(spec, false, cpus)),
        MapType::Devmap | MapType::Cpumap | MapType::Xskmap => {
            Kind::Sparse(Sparse::new(id, spec, Some(cpus)))
        }
        MapType::DevmapHash => Kind::Sparse(Sparse::new(id, spec, None)),
        MapType::SkStorage
        | MapType::InodeStorage
        | MapType::TaskStorage
        | MapType::CgrpStorage
        | MapType::CgroupStorage => Kind::Storage(Storage::new(id, spec, None)),
        MapType::PercpuCgroupStorage => Kind::Storage(Storage::new(id, spec, Some(cpus))),
        MapType::StackTrace => Kind::Stacks(Stacks::new(spec)),
        MapType::Sockmap | MapType::Sockhash | MapType::ReuseportSockarray => {
            Kind::Sockets(Sockets::new(spec))
        }
        MapType::UserRingbuf => Kind::UserRing(UserRing::new(spec)),
        MapType::Arena => Kind::Pages(Pages::new(mem, id, spec)?),
        MapType::StructOps => Kind::StructOps(StructOps::new(spec)),
        MapType::Unspec | MapType::InsnArray => Kind::Opaque,
    })
}

/// The checks of `BPF_MAP_CREATE` on sizes, entries and flags.
///
/// What loaders put right is taken as they would have put it: ring buffers of no whole pages, perf event
/// arrays of no size, flags that the kernel adds itself. Of types nothing is asked: requests come
/// without them.
fn check(spec: &MapSpec, cpus: u32) -> Result<(), Errno> {
    if spec.key_size > MAX_ELEM || spec.value_size > MAX_ELEM {
        return Err(Errno::TOOBIG);
    }
    let mut asked = spec.clone();
    (asked.btf_key_id, asked.btf_value_id) = (0, 0);
    let is = |types: [MapType; 2]| types.contains(&spec.ty);
    if is([MapType::Ringbuf, MapType::UserRingbuf]) && spec.max_entries > 0 {
        asked.max_entries = Ring::size(spec).try_into().map_err(|_| Errno::TOOBIG)?;
    }
    if spec.ty == MapType::PerfEventArray && spec.max_entries == 0 {
        asked.max_entries = cpus;
    }
    if is([MapType::Devmap, MapType::DevmapHash]) {
        asked.flags.remove(MapFlags::RDONLY_PROG);
    }
    let machine = MapMachine {
        page_size: PAGE,
        max_cpus: MAX_CPUS,
    };
    match map_create::check(&asked, machine) {
        Ok(())
        | Err(MapRefusal::Btf | MapRefusal::BtfNotTaken)
        | Err(MapRefusal::Inner | MapRefusal::InnerType) => Ok(()),
        Err(refusal) => Err(Errno::new(refusal.errno())),
    }
}
