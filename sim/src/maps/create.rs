//! What `BPF_MAP_CREATE` makes of a request, and which requests it refuses.

use std::fmt;
use std::sync::Arc;

use skep_btf::TypeId;
use skep_spec::{MapFlags, MapSpec, MapType};

use super::{
    Array, Bloom, Hash, Kind, Lpm, Map, MapId, Maps, Queue, Refs, Ring, Sparse, Stacks, Storage,
};
use crate::arena::layout::MAX_MAPS;
use crate::errno::Errno;
use crate::fault::Owner;
use crate::memory::Memory;

/// Bytes of values that one map may have.
const MAX_BYTES: u64 = 1 << 30;
/// Bytes of a key or value at most.
const MAX_ELEM: u32 = 1 << 22;

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
        check(spec).map_err(error)?;
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
        MapType::Unspec
        | MapType::Sockmap
        | MapType::Sockhash
        | MapType::ReuseportSockarray
        | MapType::StructOps
        | MapType::UserRingbuf
        | MapType::Arena
        | MapType::InsnArray => Kind::Opaque,
    })
}

/// The checks of `map_alloc_check` that concern sizes.
fn check(spec: &MapSpec) -> Result<(), Errno> {
    let require = |holds: bool| if holds { Ok(()) } else { Err(Errno::INVAL) };
    if spec.key_size > MAX_ELEM || spec.value_size > MAX_ELEM {
        return Err(Errno::TOOBIG);
    }
    let (key, value, entries) = (spec.key_size, spec.value_size, spec.max_entries);
    match spec.ty {
        MapType::Array | MapType::PercpuArray => require(key == 4 && value > 0 && entries > 0),
        MapType::Hash
        | MapType::PercpuHash
        | MapType::LruHash
        | MapType::LruPercpuHash
        | MapType::Rhash => require(key > 0 && value > 0 && entries > 0),
        MapType::LpmTrie => {
            let flags = spec.flags.contains(MapFlags::NO_PREALLOC);
            require(flags && (5..=260).contains(&key) && value > 0 && entries > 0)
        }
        MapType::Queue | MapType::Stack => require(key == 0 && value > 0 && entries > 0),
        MapType::BloomFilter => require(key == 0 && value > 0 && entries > 0),
        MapType::Ringbuf => require(key == 0 && value == 0 && entries > 0),
        MapType::ProgArray | MapType::ArrayOfMaps => require(key == 4 && value == 4 && entries > 0),
        MapType::PerfEventArray | MapType::CgroupArray => require(key == 4 && value == 4),
        MapType::HashOfMaps => require(key > 0 && value == 4 && entries > 0),
        MapType::Devmap | MapType::DevmapHash | MapType::Cpumap => {
            require(key == 4 && (value == 4 || value == 8) && entries > 0)
        }
        MapType::Xskmap => require(key == 4 && value == 4 && entries > 0),
        MapType::SkStorage
        | MapType::InodeStorage
        | MapType::TaskStorage
        | MapType::CgrpStorage => require(key == 4 && value > 0 && entries == 0),
        MapType::CgroupStorage | MapType::PercpuCgroupStorage => require(value > 0),
        MapType::StackTrace => {
            require(key == 4 && value >= 8 && value.is_multiple_of(8) && entries > 0)
        }
        MapType::Unspec => Err(Errno::INVAL),
        MapType::Sockmap
        | MapType::Sockhash
        | MapType::ReuseportSockarray
        | MapType::StructOps
        | MapType::UserRingbuf
        | MapType::Arena
        | MapType::InsnArray => Ok(()),
    }
}
