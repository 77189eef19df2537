//! What `BPF_MAP_CREATE` says to a request: the rules of `maps.rs`, asked in the kernel's order.
//!
//! Memory is not modelled: a request that is right here may still fail for want of it. Whether BTF has the
//! right types is not asked here either, only whether a type of map takes any.

use super::maps::{EntriesRule, MapBtf, MapTypeFacts, SizeRule, TooBig, of};
use crate::{MapFlags, MapSpec, MapType};

/// Why a map cannot be created.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapRefusal {
    /// The kernel has no such type.
    Type,
    /// A key of that size is not possible.
    KeySize,
    /// A value of that size is not possible.
    ValueSize,
    /// That number of entries is not possible.
    Entries,
    /// A flag that the type does not have, or one that is missing, or two that exclude each other.
    Flags,
    /// `map_extra` is not for this type, or has a wrong value.
    Extra,
    /// A key type without a value type, kernel types on other than struct_ops, or none where one is needed.
    Btf,
    /// A map of maps without an inner map, or with another map of maps inside.
    Inner,
    /// A map of maps with an inner map of a type that cannot be inside.
    InnerType,
    /// LRU maps are always preallocated.
    LruPrealloc,
    /// BTF on a type that takes none.
    BtfNotTaken,
    /// Beyond what the kernel can allocate.
    TooBig,
    /// An arena that would cross a 4 GiB boundary of user space.
    Range,
}

impl MapRefusal {
    /// The errno.
    pub const fn errno(self) -> i32 {
        match self {
            MapRefusal::Type
            | MapRefusal::KeySize
            | MapRefusal::ValueSize
            | MapRefusal::Entries
            | MapRefusal::Flags
            | MapRefusal::Extra
            | MapRefusal::Btf
            | MapRefusal::Inner => 22,
            MapRefusal::LruPrealloc | MapRefusal::BtfNotTaken | MapRefusal::InnerType => 524,
            MapRefusal::TooBig => 7,
            MapRefusal::Range => 34,
        }
    }
}

/// The machine's part in the rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapMachine {
    /// Bytes of a page.
    pub page_size: u32,
    /// CPUs that the kernel is built for.
    pub max_cpus: u32,
}

/// Whether a privileged loader may create the map.
pub fn check(spec: &MapSpec, machine: MapMachine) -> Result<(), MapRefusal> {
    let row = of(spec.ty).ok_or(MapRefusal::Type)?;
    check_common(spec, row)?;
    check_flags(spec, row)?;
    check_sizes(spec, row, machine)?;
    check_limits(spec, row, machine)?;
    check_inner(spec, row)?;
    let has_btf = spec.btf_key_id != 0 || spec.btf_value_id != 0;
    if has_btf && row.btf == MapBtf::Refused {
        return Err(MapRefusal::BtfNotTaken);
    }
    Ok(())
}

fn check_common(spec: &MapSpec, row: &MapTypeFacts) -> Result<(), MapRefusal> {
    let types = spec.btf_key_id != 0 || spec.btf_value_id != 0;
    if spec.vmlinux_value_id != 0 && (spec.ty != MapType::StructOps || types) {
        return Err(MapRefusal::Btf);
    }
    if spec.btf_key_id != 0 && spec.btf_value_id == 0 {
        return Err(MapRefusal::Btf);
    }
    if spec.extra & !row.extra != 0 {
        return Err(MapRefusal::Extra);
    }
    match row.btf {
        MapBtf::IntKeyRequired if spec.btf_key_id == 0 || spec.btf_value_id == 0 => {
            Err(MapRefusal::Btf)
        }
        MapBtf::IntKeyRequired
        | MapBtf::Any
        | MapBtf::Refused
        | MapBtf::IntKeyOrSection
        | MapBtf::StructKey
        | MapBtf::StorageKey
        | MapBtf::NoKey => Ok(()),
    }
}

fn check_flags(spec: &MapSpec, row: &MapTypeFacts) -> Result<(), MapRefusal> {
    let flags = spec.flags;
    let both = |a, b| flags.contains(MapFlags::union(a, b));
    let lru = matches!(spec.ty, MapType::LruHash | MapType::LruPercpuHash);
    if lru && row.flags.union(MapFlags::NO_PREALLOC).contains(flags) && !both_rights(flags) {
        if flags.contains(MapFlags::NO_PREALLOC) {
            return Err(MapRefusal::LruPrealloc);
        }
        if both(MapFlags::NUMA_NODE, MapFlags::NO_COMMON_LRU) {
            return Err(MapRefusal::Flags);
        }
    }
    let known = row.flags.contains(flags);
    if !known || !flags.contains(row.needs) || both_rights(flags) {
        return Err(MapRefusal::Flags);
    }
    Ok(())
}

/// Whether one side may neither read nor write.
fn both_rights(flags: MapFlags) -> bool {
    flags.contains(MapFlags::RDONLY_PROG.union(MapFlags::WRONLY_PROG))
        || flags.contains(MapFlags::RDONLY.union(MapFlags::WRONLY))
}

fn check_sizes(spec: &MapSpec, row: &MapTypeFacts, machine: MapMachine) -> Result<(), MapRefusal> {
    if !has_size(row.key, spec.key_size, spec.flags) {
        return Err(MapRefusal::KeySize);
    }
    if !has_size(row.value, spec.value_size, spec.flags) {
        return Err(MapRefusal::ValueSize);
    }
    let entries = spec.max_entries;
    let right = match row.entries {
        EntriesRule::Zero => entries == 0,
        EntriesRule::NonZero => entries != 0,
        EntriesRule::One => entries == 1,
        EntriesRule::Pages => {
            entries.is_power_of_two() && entries.is_multiple_of(machine.page_size.max(1))
        }
    };
    if right {
        Ok(())
    } else {
        Err(MapRefusal::Entries)
    }
}

fn has_size(rule: SizeRule, size: u32, flags: MapFlags) -> bool {
    match rule {
        SizeRule::Zero => size == 0,
        SizeRule::NonZero => size != 0,
        SizeRule::OneOf(sizes) => sizes.contains(&size),
        SizeRule::Between(low, high) => (low..=high).contains(&size),
        SizeRule::Frames(most) => {
            let frame = if flags.contains(MapFlags::STACK_BUILD_ID) {
                32
            } else {
                8
            };
            size != 0 && size.is_multiple_of(frame) && size / frame <= most
        }
        SizeRule::ByBtf => true,
    }
}

fn check_limits(spec: &MapSpec, row: &MapTypeFacts, machine: MapMachine) -> Result<(), MapRefusal> {
    let bytes = u64::from(spec.max_entries) * u64::from(machine.page_size);
    for limit in row.limits {
        let beyond = match *limit {
            TooBig::Never => false,
            TooBig::Value(most) => spec.value_size > most,
            TooBig::KeyAndValue(from) => {
                u64::from(spec.key_size) + u64::from(spec.value_size) >= u64::from(from)
            }
            TooBig::Key(most) => spec.key_size > most,
            TooBig::Entries(most) => spec.max_entries > most,
            TooBig::Cpus => spec.max_entries > machine.max_cpus,
            TooBig::Pages => bytes > 1 << 32,
        };
        if beyond {
            return Err(MapRefusal::TooBig);
        }
    }
    if spec.ty == MapType::Arena && spec.extra != 0 {
        let last = spec.extra.wrapping_add(bytes).wrapping_sub(1);
        if spec.extra >> 32 != last >> 32 {
            return Err(MapRefusal::Range);
        }
    }
    Ok(())
}

fn check_inner(spec: &MapSpec, row: &MapTypeFacts) -> Result<(), MapRefusal> {
    let of_maps = |ty| matches!(ty, MapType::ArrayOfMaps | MapType::HashOfMaps);
    if !of_maps(row.ty) {
        return Ok(());
    }
    let inner = spec.inner.as_deref().filter(|inner| !of_maps(inner.ty));
    let row = inner
        .and_then(|inner| of(inner.ty))
        .ok_or(MapRefusal::Inner)?;
    if row.inner {
        Ok(())
    } else {
        Err(MapRefusal::InnerType)
    }
}
