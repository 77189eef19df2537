//! Maps of global data as sections: which maps they are, their names and their contents.

use std::sync::Arc;

use rustc_hash::FxHashSet;
use skep_isa::pseudo;
use skep_spec::{MapFlags, MapSpec, MapType, ObjectSpec};

use crate::elf_error::ElfError;

/// What a section of data holds.
pub(crate) enum Data {
    /// Nothing but zeros, of this many bytes.
    Zeros(u64),
    /// These bytes.
    Bytes(Vec<u8>),
}

/// Sections larger than this many bytes are not written.
const LARGEST: u32 = 64 << 20;

/// The maps in whose values programs take addresses.
pub(crate) fn addressed_maps(object: &ObjectSpec) -> FxHashSet<*const MapSpec> {
    let mut found = FxHashSet::default();
    for program in &object.programs {
        for raw in &program.insns {
            if raw.is_ld_imm64() && raw.src() == pseudo::MAP_VALUE {
                let index = usize::try_from(raw.imm).ok();
                found.extend(index.and_then(|i| program.maps.get(i)).map(Arc::as_ptr));
            }
        }
    }
    found
}

/// Whether a map is global data: an array of one value that has contents, or in whose value some
/// program takes an address.
pub(crate) fn is_data(map: &Arc<MapSpec>, addressed: &FxHashSet<*const MapSpec>) -> bool {
    let single = map.ty == MapType::Array && map.max_entries == 1 && map.key_size == 4;
    let named = special(&map.name).is_some();
    single && (map.init.is_some() || named || addressed.contains(&Arc::as_ptr(map)))
}

/// The part of a map's name that libbpf gives the maps of such sections: `.bss` of `object.bss`.
fn special(name: &str) -> Option<&str> {
    let stems = [".rodata", ".data", ".bss"];
    let at = stems.iter().filter_map(|stem| name.find(stem)).min()?;
    name.get(at..)
}

/// The section's name.
pub(crate) fn section_name(map: &MapSpec) -> String {
    if let Some(name) = special(&map.name) {
        return name.to_owned();
    }
    let stem = if map.flags.contains(MapFlags::RDONLY_PROG) {
        ".rodata"
    } else {
        ".data"
    };
    format!("{stem}.{}", map.name)
}

/// The name of the variable that fills the section, an identifier.
pub(crate) fn variable_name(map: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    format!("__{}", map.chars().map(plain).collect::<String>())
}

/// Whether programs may not write to a section of that name.
pub(crate) fn is_read_only(name: &str) -> bool {
    name.starts_with(".rodata")
}

/// What goes into the section of that name.
pub(crate) fn contents(map: &MapSpec, section: &str) -> Result<Data, ElfError> {
    let bad = |why| ElfError::Map {
        map: map.name.clone(),
        why,
    };
    if map.value_size > LARGEST {
        return Err(bad("its value is too large"));
    }
    let init = map.init.as_deref().unwrap_or(&[]);
    if init.len() > map.value_size as usize {
        return Err(bad("it holds more bytes than its value has"));
    }
    let zero = init.iter().all(|byte| *byte == 0);
    if section.starts_with(".bss") && zero {
        return Ok(Data::Zeros(map.value_size.into()));
    }
    let mut bytes = init.to_vec();
    bytes.resize(map.value_size as usize, 0);
    Ok(Data::Bytes(bytes))
}
