//! Map types, `enum bpf_map_type` of `linux/bpf.h`.

use std::fmt;

/// The type of a map.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u32)]
#[expect(missing_docs, reason = "the kernel's own names")]
pub enum MapType {
    Unspec = 0,
    Hash = 1,
    Array = 2,
    ProgArray = 3,
    PerfEventArray = 4,
    PercpuHash = 5,
    PercpuArray = 6,
    StackTrace = 7,
    CgroupArray = 8,
    LruHash = 9,
    LruPercpuHash = 10,
    LpmTrie = 11,
    ArrayOfMaps = 12,
    HashOfMaps = 13,
    Devmap = 14,
    Sockmap = 15,
    Cpumap = 16,
    Xskmap = 17,
    Sockhash = 18,
    CgroupStorage = 19,
    ReuseportSockarray = 20,
    PercpuCgroupStorage = 21,
    Queue = 22,
    Stack = 23,
    SkStorage = 24,
    DevmapHash = 25,
    StructOps = 26,
    Ringbuf = 27,
    InodeStorage = 28,
    TaskStorage = 29,
    BloomFilter = 30,
    UserRingbuf = 31,
    CgrpStorage = 32,
    Arena = 33,
    InsnArray = 34,
    Rhash = 35,
}

/// Every MapType with its name as bpftool and libbpf print it, in numeric order.
const NAMES: [(MapType, &str); 36] = [
    (MapType::Unspec, "unspec"),
    (MapType::Hash, "hash"),
    (MapType::Array, "array"),
    (MapType::ProgArray, "prog_array"),
    (MapType::PerfEventArray, "perf_event_array"),
    (MapType::PercpuHash, "percpu_hash"),
    (MapType::PercpuArray, "percpu_array"),
    (MapType::StackTrace, "stack_trace"),
    (MapType::CgroupArray, "cgroup_array"),
    (MapType::LruHash, "lru_hash"),
    (MapType::LruPercpuHash, "lru_percpu_hash"),
    (MapType::LpmTrie, "lpm_trie"),
    (MapType::ArrayOfMaps, "array_of_maps"),
    (MapType::HashOfMaps, "hash_of_maps"),
    (MapType::Devmap, "devmap"),
    (MapType::Sockmap, "sockmap"),
    (MapType::Cpumap, "cpumap"),
    (MapType::Xskmap, "xskmap"),
    (MapType::Sockhash, "sockhash"),
    (MapType::CgroupStorage, "cgroup_storage"),
    (MapType::ReuseportSockarray, "reuseport_sockarray"),
    (MapType::PercpuCgroupStorage, "percpu_cgroup_storage"),
    (MapType::Queue, "queue"),
    (MapType::Stack, "stack"),
    (MapType::SkStorage, "sk_storage"),
    (MapType::DevmapHash, "devmap_hash"),
    (MapType::StructOps, "struct_ops"),
    (MapType::Ringbuf, "ringbuf"),
    (MapType::InodeStorage, "inode_storage"),
    (MapType::TaskStorage, "task_storage"),
    (MapType::BloomFilter, "bloom_filter"),
    (MapType::UserRingbuf, "user_ringbuf"),
    (MapType::CgrpStorage, "cgrp_storage"),
    (MapType::Arena, "arena"),
    (MapType::InsnArray, "insn_array"),
    (MapType::Rhash, "rhash"),
];

impl MapType {
    /// The variant of that number in `union bpf_attr`, or `None` if no kernel we know has it.
    pub fn new(number: u32) -> Option<MapType> {
        NAMES.get(number as usize).map(|row| row.0)
    }

    /// Its number in `union bpf_attr`.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// Its name as bpftool and libbpf print it.
    pub fn name(self) -> &'static str {
        NAMES.get(self as usize).map_or("", |row| row.1)
    }

    /// The variant of that name (bpftool's spelling).
    pub fn from_name(name: &str) -> Option<MapType> {
        NAMES.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// All variants in numeric order.
    pub fn all() -> impl Iterator<Item = MapType> {
        NAMES.iter().map(|row| row.0)
    }
}

impl fmt::Display for MapType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
