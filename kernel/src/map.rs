//! Live maps: made from a `MapSpec`, filled with its initial contents, then read and written.
//!
//! What a spec says and what a kernel takes differ in a few places (flags that the kernel adds itself,
//! sizes in whole pages, types that carry no BTF ids); those are put right here, as libbpf does.

use std::fmt;
use std::sync::Arc;

use skep_spec::{MapFlags, MapSpec, MapType};

use crate::sys::attr::{MapCreate, name_text, object_name};
use crate::sys::{Fd, MapFd, Mapping};
use crate::{Errno, Kernel};

/// A map in the kernel, closed when dropped (and freed, once no program holds it).
#[derive(Debug)]
pub struct LiveMap {
    spec: Arc<MapSpec>,
    fd: MapFd,
    /// An arena has no addresses until user space has mapped it, and programs that use it do not load.
    _arena: Option<Mapping>,
}

/// Key and value of a map, in the kernel's byte order.
pub type Entry = (Vec<u8>, Vec<u8>);

/// What was being done to a map when it failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapStep {
    /// The BTF that its ids refer to was refused.
    Btf,
    /// Creating it.
    Create,
    /// Creating the shape of its inner maps.
    CreateInner,
    /// Mapping an arena into this process.
    MapArena,
    /// Writing its first value.
    Write,
    /// Freezing it.
    Freeze,
}

/// A map that could not be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MapError {
    /// The map.
    pub map: String,
    /// What failed.
    pub step: MapStep,
    /// The kernel's answer.
    pub errno: Errno,
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match self.step {
            MapStep::Btf => "the kernel refuses its BTF",
            MapStep::Create => "cannot be created",
            MapStep::CreateInner => "its inner map cannot be created",
            MapStep::MapArena => "cannot be mapped into this process",
            MapStep::Write => "its first value cannot be written",
            MapStep::Freeze => "cannot be frozen",
        };
        write!(f, "map `{}`: {step}: {}", self.map, self.errno)
    }
}

impl std::error::Error for MapError {}

/// What the kernel says about a map.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MapInfo {
    /// Its id, unique while it lives.
    pub id: u32,
    /// Type, as a number: a later kernel may have more than we know.
    pub ty: u32,
    /// Name.
    pub name: String,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Entries.
    pub max_entries: u32,
    /// Flags, with those that the kernel added.
    pub flags: MapFlags,
    /// `map_extra`.
    pub extra: u64,
    /// BTF ids of key and value.
    pub btf_ids: (u32, u32),
}

/// Flags that the kernel sets on these types itself and refuses from user space.
fn flags_of(spec: &MapSpec) -> MapFlags {
    if matches!(spec.ty, MapType::Devmap | MapType::DevmapHash) {
        spec.flags.difference(MapFlags::RDONLY_PROG)
    } else {
        spec.flags
    }
}

/// Whether maps of the type may name BTF types for key and value; libbpf's list.
fn takes_btf_ids(ty: MapType) -> bool {
    !matches!(
        ty,
        MapType::PerfEventArray
            | MapType::CgroupArray
            | MapType::StackTrace
            | MapType::ArrayOfMaps
            | MapType::HashOfMaps
            | MapType::Devmap
            | MapType::DevmapHash
            | MapType::Cpumap
            | MapType::Xskmap
            | MapType::Sockmap
            | MapType::Sockhash
            | MapType::Queue
            | MapType::Stack
            | MapType::Arena
            | MapType::StructOps
    )
}

/// Entries as the kernel takes them: a perf event array without a size gets one per CPU, and a ring
/// buffer is a power of two of whole pages.
fn entries_of(spec: &MapSpec, cpus: usize, page: usize) -> u32 {
    let asked = spec.max_entries;
    if spec.ty == MapType::PerfEventArray && asked == 0 {
        return u32::try_from(cpus).unwrap_or(1);
    }
    if matches!(spec.ty, MapType::Ringbuf | MapType::UserRingbuf) && asked != 0 {
        let page = u32::try_from(page).unwrap_or(4096);
        return asked.max(page).checked_next_power_of_two().unwrap_or(asked);
    }
    asked
}

impl Kernel {
    /// Creates a map, writes its first value and freezes it, as the spec says. Slots of prog_arrays and
    /// maps of maps are left to [`crate::LoadedObject`].
    ///
    /// # Errors
    /// The step that failed and the kernel's answer.
    pub fn create_map(&self, spec: &Arc<MapSpec>) -> Result<LiveMap, MapError> {
        let fail = |step| {
            move |errno| MapError {
                map: spec.name.clone(),
                step,
                errno,
            }
        };
        let inner = match &spec.inner {
            Some(inner) => Some(self.create_bare(inner, None).map_err(|e| MapError {
                map: spec.name.clone(),
                step: if e.step == MapStep::Create {
                    MapStep::CreateInner
                } else {
                    e.step
                },
                errno: e.errno,
            })?),
            None => None,
        };
        let fd = self.create_bare(spec, inner.as_ref().map(MapFd::fd))?;
        let arena = if spec.ty == MapType::Arena {
            let len = (spec.max_entries as usize).saturating_mul(self.page);
            Some(Mapping::new(fd.fd(), spec.extra, len).map_err(fail(MapStep::MapArena))?)
        } else {
            None
        };
        let map = LiveMap {
            spec: Arc::clone(spec),
            fd,
            _arena: arena,
        };
        map.write_first_value().map_err(fail(MapStep::Write))?;
        if spec.frozen {
            map.fd.freeze().map_err(fail(MapStep::Freeze))?;
        }
        Ok(map)
    }

    /// The map itself, with its BTF ids if the kernel takes them for it.
    fn create_bare(&self, spec: &MapSpec, inner: Option<&Fd>) -> Result<MapFd, MapError> {
        let fail = |step, errno| MapError {
            map: spec.name.clone(),
            step,
            errno,
        };
        let mut attr = MapCreate {
            map_type: spec.ty.number(),
            key_size: spec.key_size,
            value_size: spec.value_size,
            max_entries: entries_of(spec, self.cpus, self.page),
            map_flags: flags_of(spec).bits(),
            inner_map_fd: inner.map_or(0, Fd::number),
            numa_node: spec.numa_node,
            map_name: object_name(&spec.name),
            btf_vmlinux_value_type_id: spec.vmlinux_value_id,
            map_extra: spec.extra,
            ..MapCreate::default()
        };
        let btf = match &spec.btf {
            Some(btf)
                if takes_btf_ids(spec.ty) && (spec.btf_key_id, spec.btf_value_id) != (0, 0) =>
            {
                Some(self.btf_fd(btf).map_err(|e| fail(MapStep::Btf, e.errno))?)
            }
            Some(_) | None => None,
        };
        if let Some(btf) = &btf {
            attr.btf_fd = btf.number();
            attr.btf_key_type_id = spec.btf_key_id;
            attr.btf_value_type_id = spec.btf_value_id;
        }
        let first = MapFd::create(attr.clone(), self.cpus);
        let answer = match first {
            // Some types refuse ids that libbpf does not know to leave out; it, too, tries again.
            Err(Errno::INVAL | Errno::NOTSUPP | Errno::OPNOTSUPP) if btf.is_some() => {
                attr.btf_fd = 0;
                attr.btf_key_type_id = 0;
                attr.btf_value_type_id = 0;
                MapFd::create(attr, self.cpus).or(first)
            }
            Ok(_) | Err(_) => first,
        };
        answer.map_err(|errno| fail(MapStep::Create, errno))
    }
}

impl LiveMap {
    /// What it was made from.
    pub fn spec(&self) -> &Arc<MapSpec> {
        &self.spec
    }

    /// Bytes of a key; 0 for maps without keys.
    pub fn key_bytes(&self) -> usize {
        self.fd.key_bytes()
    }

    /// Bytes that [`LiveMap::lookup`] returns and [`LiveMap::update`] takes: for per-CPU maps one value,
    /// rounded up to 8 bytes, for each possible CPU.
    pub fn value_bytes(&self) -> usize {
        self.fd.value_bytes()
    }

    /// The value of a key.
    ///
    /// # Errors
    /// The kernel's answer: `ENOENT` if there is none.
    pub fn lookup(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.fd.lookup(key, 0)
    }

    /// Sets the value of a key. `flags`: 0 any, 1 only if absent, 2 only if present.
    ///
    /// # Errors
    /// The kernel's answer; `EINVAL` if key or value have the wrong length. Maps of type struct_ops are
    /// refused: updating one puts it into use.
    pub fn update(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        if self.spec.ty == MapType::StructOps {
            return Err(Errno::PERM);
        }
        self.fd.update(key, value, flags)
    }

    /// Removes a key.
    ///
    /// # Errors
    /// The kernel's answer: `ENOENT` if there is none.
    pub fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        self.fd.delete(key)
    }

    /// The key after `key` in the map's own order, or the first; `None` after the last.
    ///
    /// # Errors
    /// The kernel's answer, except `ENOENT`.
    pub fn next_key(&self, key: Option<&[u8]>) -> Result<Option<Vec<u8>>, Errno> {
        match self.fd.next_key(key) {
            Ok(key) => Ok(Some(key)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// All entries, at most `limit`: a program that runs meanwhile could make the walk endless.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn entries(&self, limit: usize) -> Result<Vec<Entry>, Errno> {
        let mut entries = Vec::new();
        let mut key = self.next_key(None)?;
        while let Some(this) = key {
            if entries.len() >= limit {
                break;
            }
            key = self.next_key(Some(&this))?;
            match self.lookup(&this) {
                Ok(value) => entries.push((this, value)),
                // Removed in between, or an empty slot of an array of descriptors.
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(entries)
    }

    /// What the kernel says about it.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn info(&self) -> Result<MapInfo, Errno> {
        let info = self.fd.info()?;
        Ok(MapInfo {
            id: info.id,
            ty: info.ty,
            name: name_text(&info.name),
            key_size: info.key_size,
            value_size: info.value_size,
            max_entries: info.max_entries,
            flags: MapFlags::from_bits_retain(info.map_flags),
            extra: info.map_extra,
            btf_ids: (info.btf_key_type_id, info.btf_value_type_id),
        })
    }

    /// Whether maps of the type belong to the first program that is loaded with them, so that another
    /// needs its own.
    pub fn belongs_to_one_program(ty: MapType) -> bool {
        matches!(
            ty,
            MapType::ProgArray
                | MapType::Devmap
                | MapType::DevmapHash
                | MapType::Cpumap
                | MapType::CgroupStorage
                | MapType::PercpuCgroupStorage
        )
    }

    pub(crate) fn fd(&self) -> &Fd {
        self.fd.fd()
    }

    /// Writes `init` under the zero key, padded with zeros, for every CPU alike. The contents of an
    /// arena are its memory, not values, and those of a struct_ops map would put it into use: both stay.
    fn write_first_value(&self) -> Result<(), Errno> {
        let Some(init) = &self.spec.init else {
            return Ok(());
        };
        if matches!(self.spec.ty, MapType::Arena | MapType::StructOps) {
            return Ok(());
        }
        if init.len() > self.spec.value_size as usize {
            return Err(Errno::TOOBIG);
        }
        let size = self.spec.value_size as usize;
        let slot = if self.value_bytes() == size {
            size
        } else {
            size.next_multiple_of(8)
        };
        let mut value = vec![0; self.value_bytes()];
        for cpu in value.chunks_mut(slot.max(1)) {
            for (to, from) in cpu.iter_mut().zip(init) {
                *to = *from;
            }
        }
        self.fd.update(&vec![0; self.key_bytes()], &value, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_adds_is_not_asked_for() {
        let mut spec = MapSpec::new("devs", MapType::Devmap, 4, 4, 8);
        spec.flags = MapFlags::RDONLY_PROG | MapFlags::NUMA_NODE;
        assert_eq!(flags_of(&spec), MapFlags::NUMA_NODE);
        spec.ty = MapType::Array;
        assert_eq!(flags_of(&spec), spec.flags);
    }

    #[test]
    fn ring_buffers_are_powers_of_two_of_whole_pages() {
        let entries = |ty, n| entries_of(&MapSpec::new("m", ty, 0, 0, n), 3, 4096);
        assert_eq!(entries(MapType::Ringbuf, 1), 4096);
        assert_eq!(entries(MapType::Ringbuf, 4097), 8192);
        assert_eq!(entries(MapType::UserRingbuf, 1 << 18), 1 << 18);
        assert_eq!(entries(MapType::Ringbuf, u32::MAX), u32::MAX);
        assert_eq!(entries(MapType::Ringbuf, 0), 0);
        assert_eq!(entries(MapType::PerfEventArray, 0), 3);
        assert_eq!(entries(MapType::Hash, 5), 5);
    }
}
