//! The maps of an object: declared, or made of its global data.

mod btf_defined;
mod data;
mod globals;
mod legacy;
mod resize;

use skep_spec::{MapSpec, MapType};

pub(crate) use btf_defined::{fill_slots, find_btf_maps};
pub(crate) use data::{data_map, find_data_maps};
pub(crate) use globals::set_globals;
pub(crate) use legacy::find_legacy_maps;
pub(crate) use resize::resize;

/// A map with the place in the file that programs refer to it by.
#[derive(Debug, Clone)]
pub(crate) struct MapDef {
    pub(crate) spec: MapSpec,
    pub(crate) place: Place,
}

/// How instructions name a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// By a symbol at this offset of a section of map definitions.
    Declared { section: usize, offset: u64 },
    /// By any symbol in this section of global data.
    Data { section: usize },
    /// By external configuration symbols.
    Kconfig,
    /// Not at all: a struct_ops value in this section.
    StructOps { section: usize, offset: u64 },
}

/// More maps than any object has; keeps hostile objects from taking long.
const MAX_MAPS: usize = 4096;

/// Size of a page, to which ring buffers are rounded.
const PAGE: u32 = 4096;

/// Adjusts what libbpf adjusts silently when it creates a map.
pub(crate) fn normalise(spec: &mut MapSpec, cpus: u32) {
    if matches!(spec.ty, MapType::Ringbuf | MapType::UserRingbuf) {
        spec.max_entries = ringbuf_size(spec.max_entries);
    }
    if spec.ty == MapType::PerfEventArray && spec.max_entries == 0 {
        spec.max_entries = cpus;
    }
    if !takes_btf(spec.ty) {
        spec.btf_key_id = 0;
        spec.btf_value_id = 0;
    }
    if let Some(inner) = &mut spec.inner {
        normalise(inner, cpus);
    }
}

/// The size that a ring buffer gets: the next power-of-two multiple of a page.
fn ringbuf_size(size: u32) -> u32 {
    if size == 0 || (size.is_multiple_of(PAGE) && (size / PAGE).is_power_of_two()) {
        return size;
    }
    let mut rounded = PAGE;
    while rounded <= size {
        match rounded.checked_mul(2) {
            Some(next) => rounded = next,
            // The kernel will refuse it.
            None => return size,
        }
    }
    rounded
}

/// Whether libbpf names types for the keys and values of a map of this type.
fn takes_btf(ty: MapType) -> bool {
    match ty {
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
        | MapType::StructOps => false,
        MapType::Unspec
        | MapType::Hash
        | MapType::Array
        | MapType::ProgArray
        | MapType::PercpuHash
        | MapType::PercpuArray
        | MapType::LruHash
        | MapType::LruPercpuHash
        | MapType::LpmTrie
        | MapType::CgroupStorage
        | MapType::ReuseportSockarray
        | MapType::PercpuCgroupStorage
        | MapType::SkStorage
        | MapType::Ringbuf
        | MapType::InodeStorage
        | MapType::TaskStorage
        | MapType::BloomFilter
        | MapType::UserRingbuf
        | MapType::CgrpStorage
        | MapType::InsnArray
        | MapType::Rhash => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_buffers_round_up_to_pages() {
        let cases = [
            (0, 0),
            (1, 4096),
            (4096, 4096),
            (4097, 8192),
            (12288, 16384),
            (1 << 31, 1 << 31),
            (u32::MAX, u32::MAX),
        ];
        for (asked, given) in cases {
            assert_eq!(ringbuf_size(asked), given, "{asked}");
        }
    }
}
