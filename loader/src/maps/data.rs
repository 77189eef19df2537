//! Global data: `.data`, `.rodata`, `.bss` and their named kin become maps of one value.

use super::{MapDef, Place};
use crate::elf::{Contents, Elf, Section};
use crate::error::Error;
use skep_btf::{Btf, Type, TypeId, VarLinkage};
use skep_spec::{MapFlags, MapSpec, MapType};

/// What kind of global data a section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DataKind {
    /// Initialised and writable.
    Data,
    /// Constant.
    Rodata,
    /// Zero at first.
    Bss,
}

/// The kind of data in a section, or `None` if it holds something else.
fn data_kind(section: &Section<'_>) -> Option<DataKind> {
    let is = |stem: &str| {
        section
            .name
            .strip_prefix(stem)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    if section.contents == Contents::Zeros {
        return (is(".bss") && section.size > 0).then_some(DataKind::Bss);
    }
    if !section.has_bits() || section.is_code() {
        return None;
    }
    if is(".data") {
        Some(DataKind::Data)
    } else if is(".rodata") {
        Some(DataKind::Rodata)
    } else {
        None
    }
}

/// The maps of all sections of global data, in the order of the sections.
pub(crate) fn find_data_maps(
    elf: &Elf<'_>,
    object: &str,
    btf: Option<&Btf>,
) -> Result<Vec<MapDef>, Error> {
    let mut maps = Vec::new();
    for (index, section) in elf.sections.iter().enumerate() {
        let Some(kind) = data_kind(section) else {
            continue;
        };
        let size = u32::try_from(section.size)
            .map_err(|_| Error::map(section.name, "larger than 4 GiB").in_section(section.name))?;
        let mut spec = data_map(object, section.name, size, btf);
        if kind == DataKind::Rodata {
            spec.flags |= MapFlags::RDONLY_PROG;
            spec.frozen = true;
        }
        if kind != DataKind::Bss {
            spec.init = Some(section.data.to_vec());
        }
        maps.push(MapDef {
            spec,
            place: Place::Data { section: index },
        });
    }
    Ok(maps)
}

/// The map for a section of global data, or of configuration values.
pub(crate) fn data_map(object: &str, section: &str, size: u32, btf: Option<&Btf>) -> MapSpec {
    let mut spec = MapSpec::new(&internal_name(object, section), MapType::Array, 4, size, 1);
    if let Some(btf) = btf
        && let Some(id) = btf.named(section).next()
    {
        spec.btf_value_id = id.0;
        if has_public_variable(btf, id) {
            spec.flags |= MapFlags::MMAPABLE;
        }
    }
    spec
}

/// Whether the section declares a variable that user space should see. Only then is the map made
/// mappable.
fn has_public_variable(btf: &Btf, section: TypeId) -> bool {
    let Some(section) = btf.ty(section).ok().and_then(Type::as_datasec) else {
        return false;
    };
    section.vars.iter().any(|entry| {
        let var = btf.ty(entry.ty).ok().and_then(Type::as_var);
        var.is_some_and(|var| var.linkage != VarLinkage::Static)
    })
}

/// The kernel keeps 15 bytes of a name.
const NAME_LEN: usize = 15;

/// The name of the map for a section: up to eight bytes of the object's name and the section's, or
/// the section's alone if it contains a second dot (`.data.custom`).
fn internal_name(object: &str, section: &str) -> String {
    // Seven bytes are set aside for the section even if its name is shorter.
    let suffix_len = section.len().clamp(7, NAME_LEN);
    let custom = section.bytes().skip(1).any(|b| b == b'.');
    let prefix_len = if custom {
        0
    } else {
        (NAME_LEN - suffix_len).min(object.len())
    };
    let prefix = object.bytes().take(prefix_len);
    prefix
        .chain(section.bytes().take(suffix_len))
        .map(|b| {
            if b.is_ascii_alphanumeric() || b == b'_' || b == b'.' {
                b as char
            } else {
                '_'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_libbpf() {
        let cases = [
            ("my_object_name", ".rodata", "my_objec.rodata"),
            ("my_object_name", ".bss", "my_objec.bss"),
            ("my_object_name", ".kconfig", "my_obje.kconfig"),
            ("my_object_name", ".data", "my_objec.data"),
            ("my_object_name", ".rodata.abracadabra", ".rodata.abracad"),
            ("my_object_name", ".data.x", ".data.x"),
            ("xdp-bench", ".bss", "xdp_benc.bss"),
            ("a", ".bss", "a.bss"),
        ];
        for (object, section, name) in cases {
            assert_eq!(internal_name(object, section), name);
        }
    }
}
