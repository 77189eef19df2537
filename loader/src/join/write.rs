//! The joined object as an ELF file.

use super::sections::JoinedSection;
use super::symbols::{JoinedReloc, JoinedSymbol, Went};
use super::types::JoinedTypes;
use crate::elf::SymbolType;
use object::write::{Object, Relocation, SectionId, Symbol, SymbolFlags, SymbolId, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolKind, SymbolScope,
};

/// Writes the object, or says why it cannot be written.
pub(super) fn object(
    big_endian: bool,
    sections: &[JoinedSection],
    symbols: &[JoinedSymbol],
    relocations: &[JoinedReloc],
    types: Option<&JoinedTypes>,
) -> Result<Vec<u8>, String> {
    let endian = if big_endian {
        Endianness::Big
    } else {
        Endianness::Little
    };
    let mut out = Object::new(BinaryFormat::Elf, Architecture::Bpf, endian);
    let ids: Vec<SectionId> = sections.iter().map(|s| add_section(&mut out, s)).collect();
    let mut known: Vec<SymbolId> = Vec::with_capacity(symbols.len());
    for symbol in symbols {
        known.push(add_symbol(&mut out, &ids, symbol));
    }
    for relocation in relocations {
        let symbol = match relocation.target {
            Went::Nowhere => None,
            Went::Symbol(index) => known.get(index).copied(),
            Went::Section(index, _) => ids.get(index).map(|id| out.section_symbol(*id)),
        };
        let (Some(symbol), Some(section)) = (symbol, ids.get(relocation.section)) else {
            return Err("a reference leads nowhere".to_string());
        };
        let relocation = Relocation {
            offset: relocation.offset,
            symbol,
            addend: 0,
            flags: RelocationFlags::Elf {
                r_type: object::elf::RelocationType(relocation.ty),
            },
        };
        out.add_relocation(*section, relocation)
            .map_err(|e| e.to_string())?;
    }
    if let Some(types) = types {
        let mut add = |name: &str, bytes: &[u8]| {
            let id = out.add_section(Vec::new(), name.as_bytes().to_vec(), SectionKind::Debug);
            out.append_section_data(id, bytes, 4);
        };
        add(".BTF", &types.btf);
        if let Some(ext) = &types.ext {
            add(".BTF.ext", ext);
        }
    }
    out.write().map_err(|e| e.to_string())
}

fn add_section(out: &mut Object<'_>, section: &JoinedSection) -> SectionId {
    let kind = if section.is_zeros {
        SectionKind::UninitializedData
    } else if section.is_executable {
        SectionKind::Text
    } else if section.is_writable {
        SectionKind::Data
    } else {
        SectionKind::ReadOnlyData
    };
    let id = out.add_section(Vec::new(), section.name.as_bytes().to_vec(), kind);
    if section.is_zeros {
        out.append_section_bss(id, section.size, section.align);
    } else {
        out.append_section_data(id, &section.data, section.align);
    }
    id
}

fn add_symbol(out: &mut Object<'_>, ids: &[SectionId], symbol: &JoinedSymbol) -> SymbolId {
    let place = symbol
        .place
        .and_then(|(section, offset)| Some((*ids.get(section)?, offset)));
    let (section, value) = match place {
        Some((id, offset)) => (SymbolSection::Section(id), offset),
        None => (SymbolSection::Undefined, 0),
    };
    out.add_symbol(Symbol {
        name: symbol.name.as_bytes().to_vec(),
        value,
        size: symbol.size,
        kind: match symbol.ty {
            SymbolType::Func => SymbolKind::Text,
            SymbolType::Object => SymbolKind::Data,
            SymbolType::None | SymbolType::Section | SymbolType::Other => SymbolKind::Unknown,
        },
        scope: match (symbol.global, symbol.hidden) {
            (false, _) => SymbolScope::Compilation,
            (true, true) => SymbolScope::Linkage,
            (true, false) => SymbolScope::Dynamic,
        },
        weak: symbol.weak,
        section,
        flags: SymbolFlags::None,
    })
}
