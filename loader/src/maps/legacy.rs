//! Maps declared the old way: structs of numbers in `maps` or `maps/NAME` sections.
//!
//! The structs have no description in the file; the layouts that were in use are told apart by
//! their length. All begin with type, key size, value size and number of entries.

use super::{MAX_MAPS, MapDef, Place};
use crate::elf::{Elf, Section, SymbolType};
use crate::error::Error;
use skep_spec::{MapFlags, MapSpec, MapType};

/// type, key size, value size, entries: what the first samples used.
const MIN_LEN: u64 = 16;
/// … and flags: libbpf's `struct bpf_map_def`.
const LIBBPF_LEN: u64 = 20;
/// … and inner map index, NUMA node: the kernel's samples of 2018.
const SAMPLES_LEN: u64 = 28;
/// … and id, pinning, inner id, inner index: iproute2's `struct bpf_elf_map`.
const IPROUTE2_LEN: u64 = 36;
/// … and pinning, namespace of 256 bytes: gobpf.
const GOBPF_LEN: u64 = 280;

/// One definition with what only its layout knows.
struct Legacy {
    def: MapDef,
    /// iproute2's id of the map, by which others name it as their inner map.
    id: u32,
    inner_id: u32,
    inner_idx: Option<u32>,
    /// Position of the inner map among the definitions (kernel samples).
    inner_pos: Option<u32>,
}

/// The maps of all legacy sections, by section and offset.
pub(crate) fn find_legacy_maps(elf: &Elf<'_>) -> Result<Vec<MapDef>, Error> {
    let mut found = Vec::new();
    for (index, section) in elf.sections.iter().enumerate() {
        if section.has_bits() && (section.name == "maps" || section.name.starts_with("maps/")) {
            find_in_section(elf, index, section, &mut found)?;
        }
    }
    Ok(connect(found))
}

fn find_in_section(
    elf: &Elf<'_>,
    index: usize,
    section: &Section<'_>,
    found: &mut Vec<Legacy>,
) -> Result<(), Error> {
    let mut symbols: Vec<_> = elf
        .symbols_of(index)
        .filter(|s| !s.name.is_empty())
        .filter(|s| matches!(s.ty, SymbolType::Object | SymbolType::None))
        .map(|s| (s.value, s.name))
        .collect();
    symbols.sort_unstable();
    symbols.dedup_by_key(|s| s.0);
    if found.len() + symbols.len() > MAX_MAPS {
        return Err(Error::damaged("too many maps").in_section(section.name));
    }
    for (i, (offset, name)) in symbols.iter().enumerate() {
        let end = symbols.get(i + 1).map_or(section.size, |next| next.0);
        let bytes = usize::try_from(*offset)
            .ok()
            .zip(usize::try_from(end).ok())
            .and_then(|(from, to)| section.data.get(from..to));
        let fail = |why: &str| Error::map(name, why).in_section(section.name).at(*offset);
        let bytes = bytes.ok_or_else(|| fail("definition lies outside the section"))?;
        let place = Place::Declared {
            section: index,
            offset: *offset,
        };
        found.push(parse(name, bytes, elf.is_big_endian, place).map_err(|why| fail(&why))?);
    }
    Ok(())
}

fn parse(name: &str, bytes: &[u8], big_endian: bool, place: Place) -> Result<Legacy, String> {
    let read = if big_endian {
        u32::from_be_bytes
    } else {
        u32::from_le_bytes
    };
    let word = |at: usize| -> u32 {
        let bytes = bytes.get(at..at + 4).and_then(|b| b.try_into().ok());
        bytes.map_or(0, read)
    };
    let len = bytes.len() as u64;
    if len < MIN_LEN {
        return Err(format!("definition of {len} bytes is too short"));
    }
    let ty = MapType::new(word(0)).ok_or_else(|| format!("type {} is not known", word(0)))?;
    let mut spec = MapSpec::new(name, ty, word(4), word(8), word(12));
    let (mut id, mut inner_id, mut inner_idx, mut inner_pos) = (0, 0, None, None);
    if len >= LIBBPF_LEN {
        spec.flags = MapFlags::from_bits_retain(word(16));
    }
    if len == IPROUTE2_LEN {
        id = word(20);
        spec.pinned = word(24) != 0;
        inner_id = word(28);
        inner_idx = Some(word(32)).filter(|idx| *idx != u32::MAX && id != 0);
    } else if len == GOBPF_LEN {
        spec.pinned = word(20) != 0;
    } else if len == SAMPLES_LEN {
        inner_pos = matches!(ty, MapType::ArrayOfMaps | MapType::HashOfMaps).then(|| word(20));
        spec.numa_node = word(24);
    } else if bytes
        .get(LIBBPF_LEN as usize..)
        .is_some_and(|rest| rest.iter().any(|b| *b != 0))
    {
        return Err(format!(
            "definition of {len} bytes has fields that nobody knows"
        ));
    }
    Ok(Legacy {
        def: MapDef { spec, place },
        id,
        inner_id,
        inner_idx,
        inner_pos,
    })
}

/// Gives maps of maps the shape of their inner maps, and slots those that are placed in one.
fn connect(mut found: Vec<Legacy>) -> Vec<MapDef> {
    let shapes: Vec<(u32, MapSpec)> = found.iter().map(|m| (m.id, m.def.spec.clone())).collect();
    let mut placed = Vec::new();
    for map in &mut found {
        if matches!(map.def.spec.ty, MapType::ArrayOfMaps | MapType::HashOfMaps) {
            let shape = match map.inner_pos {
                Some(pos) => shapes.get(pos as usize),
                None => shapes
                    .iter()
                    .find(|s| map.inner_id != 0 && s.0 == map.inner_id),
            };
            map.def.spec.inner = shape.map(|s| Box::new(s.1.clone()));
            placed.push((map.def.spec.name.clone(), map.inner_id));
        }
    }
    for (outer, id) in placed {
        let slots: Vec<_> = found
            .iter()
            .filter(|m| id != 0 && m.id == id && m.def.spec.name != outer)
            .filter_map(|m| m.inner_idx.map(|idx| (idx, m.def.spec.name.clone())))
            .collect();
        if let Some(map) = found.iter_mut().find(|m| m.def.spec.name == outer) {
            map.def.spec.slots = slots;
        }
    }
    found.into_iter().map(|m| m.def).collect()
}
