//! Map descriptors that know their sizes, so that no buffer can be too small.

use super::attr::{MapCreate, MapElem, MapInfo, ObjInfo};
use super::{Cmd, Fd, address, address_mut, imp, map_command};
use crate::Errno;
use skep_spec::MapType;

/// A map of ours: its descriptor and how many bytes the kernel moves per key and value.
#[derive(Debug)]
pub(crate) struct MapFd {
    fd: Fd,
    key: usize,
    value: usize,
}

/// Whether user space sees one value for each possible CPU.
fn is_percpu(ty: u32) -> bool {
    [
        MapType::PercpuHash,
        MapType::PercpuArray,
        MapType::LruPercpuHash,
        MapType::PercpuCgroupStorage,
    ]
    .iter()
    .any(|t| t.number() == ty)
}

impl MapFd {
    /// Creates a map. `cpus` is the number of possible CPUs.
    pub(crate) fn create(mut attr: MapCreate, cpus: usize) -> Result<MapFd, Errno> {
        let size = attr.value_size as usize;
        let value = if is_percpu(attr.map_type) {
            size.next_multiple_of(8)
                .checked_mul(cpus.max(1))
                .ok_or(Errno::TOOBIG)?
        } else {
            // Maps of descriptors move four bytes, and the kernel creates none with another size.
            size
        };
        let key = attr.key_size as usize;
        // SAFETY: the attribute holds no address.
        let fd = unsafe { imp::bpf(Cmd::MapCreate, &mut attr) }?;
        // SAFETY: a successful creation returns a descriptor that is new and ours.
        let fd = unsafe { Fd::new(fd) };
        Ok(MapFd { fd, key, value })
    }

    pub(crate) fn fd(&self) -> &Fd {
        &self.fd
    }

    /// Bytes of a key.
    pub(crate) fn key_bytes(&self) -> usize {
        self.key
    }

    /// Bytes of what a lookup returns and an update takes.
    pub(crate) fn value_bytes(&self) -> usize {
        self.value
    }

    pub(crate) fn freeze(&self) -> Result<(), Errno> {
        map_command(Cmd::MapFreeze, &self.fd)
    }

    pub(crate) fn lookup(&self, key: &[u8], flags: u64) -> Result<Vec<u8>, Errno> {
        self.check_key(key)?;
        let mut value = vec![0; self.value];
        let mut attr = self.elem(address(key), address_mut(&mut value), flags);
        // SAFETY: the key has the map's key size (or is null where that is zero) and `value` has room
        // for what the kernel returns for this type, for each possible CPU where it is per CPU.
        unsafe { imp::bpf(Cmd::MapLookup, &mut attr) }?;
        Ok(value)
    }

    pub(crate) fn update(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        self.check_key(key)?;
        if value.len() != self.value {
            return Err(Errno::INVAL);
        }
        let mut attr = self.elem(address(key), address(value), flags);
        // SAFETY: key and value have the sizes that the kernel reads for this map.
        unsafe { imp::bpf(Cmd::MapUpdate, &mut attr) }.map(drop)
    }

    pub(crate) fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        self.check_key(key)?;
        let mut attr = self.elem(address(key), 0, 0);
        // SAFETY: the key has the size that the kernel reads.
        unsafe { imp::bpf(Cmd::MapDelete, &mut attr) }.map(drop)
    }

    /// The key after `key`, or the first one.
    pub(crate) fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        if let Some(key) = key {
            self.check_key(key)?;
        }
        let mut next = vec![0; self.key.max(1)];
        let mut attr = self.elem(key.map_or(0, address), address_mut(&mut next), 0);
        // SAFETY: the key has the map's key size or is null, and `next` has room for one more.
        unsafe { imp::bpf(Cmd::MapNextKey, &mut attr) }?;
        next.truncate(self.key);
        Ok(next)
    }

    pub(crate) fn info(&self) -> Result<MapInfo, Errno> {
        let mut info = MapInfo::default();
        let mut attr = ObjInfo {
            bpf_fd: self.fd.number(),
            info_len: size_of::<MapInfo>() as u32,
            info: (&raw mut info) as u64,
        };
        // SAFETY: `info` is exclusively ours and as long as `info_len` says; it holds no address.
        unsafe { imp::bpf(Cmd::ObjInfo, &mut attr) }?;
        Ok(info)
    }

    fn check_key(&self, key: &[u8]) -> Result<(), Errno> {
        if key.len() == self.key {
            Ok(())
        } else {
            Err(Errno::INVAL)
        }
    }

    fn elem(&self, key: u64, value: u64, flags: u64) -> MapElem {
        MapElem {
            map_fd: self.fd.number(),
            pad: 0,
            key,
            value,
            flags,
        }
    }
}
