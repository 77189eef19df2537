//! A map's creation request.

use std::sync::Arc;

use bitflags::bitflags;
use skep_btf::Btf;

use crate::MapType;

bitflags! {
    /// `map_flags` of `BPF_MAP_CREATE`.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct MapFlags: u32 {
        /// Elements are allocated on demand.
        const NO_PREALLOC = 1 << 0;
        /// Each CPU has its own LRU list.
        const NO_COMMON_LRU = 1 << 1;
        /// `numa_node` is meant.
        const NUMA_NODE = 1 << 2;
        /// User space may not write.
        const RDONLY = 1 << 3;
        /// User space may not read.
        const WRONLY = 1 << 4;
        /// Stack traces hold build ids.
        const STACK_BUILD_ID = 1 << 5;
        /// The hash seed is zero (testing).
        const ZERO_SEED = 1 << 6;
        /// Programs may not write.
        const RDONLY_PROG = 1 << 7;
        /// Programs may not read.
        const WRONLY_PROG = 1 << 8;
        /// Perf events are inherited by the map (`CLONE`).
        const CLONE = 1 << 9;
        /// User space may map the values.
        const MMAPABLE = 1 << 10;
        /// Perf events survive the process that set them.
        const PRESERVE_ELEMS = 1 << 11;
        /// Inner maps may differ in size.
        const INNER_MAP = 1 << 12;
        /// A link is created for struct_ops.
        const LINK = 1 << 13;
        /// The map belongs to a BPF token's owner.
        const TOKEN_FD = 1 << 16;
        /// Bits that have no name here are kept.
        const _ = !0;
    }
}

/// What `BPF_MAP_CREATE` is given, and what user space writes into the map before programs load.
#[derive(Clone, Debug)]
pub struct MapSpec {
    /// Name, as the kernel knows it (at most 15 bytes reach it).
    pub name: String,
    /// Type.
    pub ty: MapType,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Entries; bytes for ring buffers; pages for arenas.
    pub max_entries: u32,
    /// Flags.
    pub flags: MapFlags,
    /// `map_extra`.
    pub extra: u64,
    /// NUMA node, with [`MapFlags::NUMA_NODE`].
    pub numa_node: u32,
    /// BTF that the two ids refer to.
    pub btf: Option<Arc<Btf>>,
    /// BTF id of the key's type, or 0.
    pub btf_key_id: u32,
    /// BTF id of the value's type, or 0.
    pub btf_value_id: u32,
    /// BTF id in the kernel's BTF of a struct_ops value, or 0.
    pub vmlinux_value_id: u32,
    /// Shape of the inner maps of a map of maps.
    pub inner: Option<Box<MapSpec>>,
    /// Whether user space froze it: its contents no longer change from there.
    pub frozen: bool,
    /// Contents of the first value (global data); `None` means zeros.
    pub init: Option<Vec<u8>>,
    /// Pinned by name (`LIBBPF_PIN_BY_NAME`).
    pub pinned: bool,
    /// Slots of a prog_array or map of maps that the object fills: index and symbol.
    pub slots: Vec<(u32, String)>,
}

impl MapSpec {
    /// A map with the given sizes and nothing else.
    pub fn new(name: &str, ty: MapType, key_size: u32, value_size: u32, entries: u32) -> MapSpec {
        MapSpec {
            name: name.to_owned(),
            ty,
            key_size,
            value_size,
            max_entries: entries,
            flags: MapFlags::empty(),
            extra: 0,
            numa_node: 0,
            btf: None,
            btf_key_id: 0,
            btf_value_id: 0,
            vmlinux_value_id: 0,
            inner: None,
            frozen: false,
            init: None,
            pinned: false,
            slots: Vec::new(),
        }
    }

    /// Whether programs can only read it and user space can no longer write: its contents are constants.
    pub fn is_constant(&self) -> bool {
        self.frozen && self.flags.contains(MapFlags::RDONLY_PROG)
    }
}
