//! The ELF file: sections, symbols and relocations as plain tables.
//!
//! Everything that follows works on these tables; only this file knows the reader.

use crate::error::{Error, ErrorKind};
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, Rel as _, SectionHeader as _, SectionTable, Sym as _};
use object::{Endianness, SectionIndex};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// What the file holds of a section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Contents {
    /// Its bytes, meant for the program.
    Bits,
    /// Nothing: it is zero at first.
    Zeros,
    /// Something else: symbols, strings, relocations.
    Other,
}

/// A section.
pub(crate) struct Section<'d> {
    pub(crate) name: &'d str,
    pub(crate) contents: Contents,
    /// ELF's number for what it holds (`sh_type`).
    pub(crate) kind: u32,
    /// `sh_flags`.
    pub(crate) flags: u64,
    /// Bytes to whose multiple its address is rounded; 0 and 1 do not round.
    pub(crate) align: u64,
    /// Where it begins in the file.
    pub(crate) offset: u64,
    /// Whether it is marked executable.
    pub(crate) is_executable: bool,
    /// Contents; empty for sections without bits in the file.
    pub(crate) data: &'d [u8],
    /// Size in bytes, also of sections without bits.
    pub(crate) size: u64,
    /// The references from this section, by offset.
    pub(crate) relocs: Vec<Reloc>,
}

impl Section<'_> {
    /// Whether it holds instructions.
    pub(crate) fn is_code(&self) -> bool {
        self.has_bits() && self.is_executable
    }

    /// Whether its bytes are compressed (`SHF_COMPRESSED`).
    pub(crate) fn is_compressed(&self) -> bool {
        self.flags & elf::SHF_COMPRESSED.0 != 0
    }

    /// Whether the file holds bytes of it that are meant for the program.
    pub(crate) fn has_bits(&self) -> bool {
        self.contents == Contents::Bits && !self.data.is_empty()
    }
}

/// A reference to a symbol from a place in a section.
#[derive(Clone, Copy)]
pub(crate) struct Reloc {
    /// Offset of the place in its section, in bytes.
    pub(crate) offset: u64,
    /// Index of the symbol.
    pub(crate) symbol: usize,
    /// ELF's number for how the place refers to it.
    pub(crate) ty: u32,
}

/// Where a symbol is defined.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Home {
    /// Nowhere: external.
    Undefined,
    /// In the section of this index.
    Section(usize),
    /// In a special section (absolute, common).
    Special(u16),
}

/// What a symbol names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SymbolType {
    /// Not said.
    None,
    Func,
    Object,
    Section,
    Other,
}

/// A symbol.
pub(crate) struct Symbol<'d> {
    pub(crate) name: &'d str,
    pub(crate) value: u64,
    pub(crate) size: u64,
    pub(crate) ty: SymbolType,
    pub(crate) home: Home,
    /// Visible to other objects (global or weak).
    pub(crate) global: bool,
    pub(crate) weak: bool,
    /// Visible, but restricted to this object (`__hidden`).
    pub(crate) hidden: bool,
}

impl Symbol<'_> {
    /// Whether it is a declaration of something defined elsewhere.
    pub(crate) fn is_extern(&self) -> bool {
        self.home == Home::Undefined && self.global && self.ty == SymbolType::None
    }
}

/// The tables of one object.
pub(crate) struct Elf<'d> {
    /// Whether its numbers are big-endian.
    pub(crate) is_big_endian: bool,
    pub(crate) sections: Vec<Section<'d>>,
    pub(crate) symbols: Vec<Symbol<'d>>,
    /// The first section of each name.
    by_name: FxHashMap<&'d str, usize>,
    /// Indexes of the symbols that each section defines.
    by_home: BTreeMap<usize, Vec<usize>>,
}

/// The longest name of a section or symbol, in bytes: hostile objects name a thousand things with
/// one text of a megabyte.
pub(crate) const MAX_NAME: usize = 1024;

impl<'d> Elf<'d> {
    /// Reads the tables; any byte sequence gives tables or an error.
    pub(crate) fn parse(data: &'d [u8]) -> Result<Elf<'d>, Error> {
        let header = check_header(data)?;
        let endian = header
            .endian()
            .map_err(|e| Error::damaged(e.to_string()).at(5))?;
        let table = header.sections(endian, data).map_err(damaged)?;
        let mut sections = read_sections(&table, endian, data)?;
        let symbols = read_symbols(&table, endian, data)?;
        read_relocs(&table, endian, data, &mut sections)?;

        let mut by_name = FxHashMap::default();
        for (index, section) in sections.iter().enumerate() {
            by_name.entry(section.name).or_insert(index);
        }
        let mut by_home = BTreeMap::<usize, Vec<usize>>::new();
        for (index, symbol) in symbols.iter().enumerate() {
            if let Home::Section(home) = symbol.home {
                by_home.entry(home).or_default().push(index);
            }
        }
        Ok(Elf {
            is_big_endian: endian == Endianness::Big,
            sections,
            symbols,
            by_name,
            by_home,
        })
    }

    /// Index and section of that name, the first if there are several.
    pub(crate) fn section(&self, name: &str) -> Option<(usize, &Section<'d>)> {
        let index = *self.by_name.get(name)?;
        self.sections.get(index).map(|s| (index, s))
    }

    /// The symbols that a section defines.
    pub(crate) fn symbols_of(&self, section: usize) -> impl Iterator<Item = &Symbol<'d>> + Clone {
        let indexes = self.by_home.get(&section).map_or(&[][..], Vec::as_slice);
        indexes.iter().filter_map(|i| self.symbols.get(*i))
    }

    /// Name of the section, or `<?>`.
    pub(crate) fn section_name(&self, index: usize) -> &'d str {
        self.sections.get(index).map_or("<?>", |s| s.name)
    }

    /// What to call a symbol: its name, or its section's if it has none.
    pub(crate) fn symbol_name(&self, symbol: &Symbol<'d>) -> &'d str {
        match symbol.home {
            Home::Section(index) if symbol.name.is_empty() => self.section_name(index),
            Home::Section(_) | Home::Undefined | Home::Special(_) => symbol.name,
        }
    }
}

fn damaged(error: object::read::Error) -> Error {
    Error::damaged(error.to_string())
}

fn overlap() -> Error {
    Error::damaged("sections overlap")
}

type Table<'d> = SectionTable<'d, FileHeader64<Endianness>>;

fn read_sections<'d>(
    table: &Table<'d>,
    endian: Endianness,
    data: &'d [u8],
) -> Result<Vec<Section<'d>>, Error> {
    // Sections that share their bytes could be larger together than any file.
    let mut left = data.len();
    let mut sections = Vec::with_capacity(table.len());
    for header in table.iter() {
        let name = read_name(table.section_name(endian, header).unwrap_or(b"<?>"))?;
        let ty = header.sh_type(endian);
        let flags = header.sh_flags(endian).0;
        let mut contents = Contents::Other;
        let mut bits: &[u8] = &[];
        if flags & elf::SHF_COMPRESSED.0 != 0 {
            // Only debug information is ever compressed by tools.
        } else if ty == elf::SHT_PROGBITS {
            contents = Contents::Bits;
            bits = header
                .data(endian, data)
                .map_err(|e| damaged(e).in_section(name))?;
            left = left.checked_sub(bits.len()).ok_or_else(overlap)?;
        } else if ty == elf::SHT_NOBITS {
            contents = Contents::Zeros;
        }
        sections.push(Section {
            name,
            contents,
            kind: ty.0,
            flags,
            align: header.sh_addralign(endian),
            offset: header.sh_offset(endian),
            is_executable: flags & elf::SHF_EXECINSTR.0 != 0,
            data: bits,
            size: header.sh_size(endian),
            relocs: Vec::new(),
        });
    }
    Ok(sections)
}

fn read_relocs(
    table: &Table<'_>,
    endian: Endianness,
    data: &[u8],
    sections: &mut [Section<'_>],
) -> Result<(), Error> {
    let mut left = data.len() / size_of::<elf::Rel64<Endianness>>();
    for header in table.iter() {
        let Some((rels, _)) = header.rel(endian, data).map_err(damaged)? else {
            continue;
        };
        let Some(target) = sections.get_mut(header.sh_info(endian) as usize) else {
            return Err(Error::damaged("a relocation section has no target"));
        };
        // DWARF and BTF are full of references that nobody needs.
        if is_for_debuggers(target.name) {
            continue;
        }
        left = left.checked_sub(rels.len()).ok_or_else(overlap)?;
        target.relocs.extend(rels.iter().map(|rel| Reloc {
            offset: rel.r_offset(endian),
            symbol: rel.r_sym(endian) as usize,
            ty: rel.r_type(endian).0,
        }));
    }
    for section in sections {
        section.relocs.sort_by_key(|r| r.offset);
    }
    Ok(())
}

/// Whether a section of this name only describes others: its references are not read.
pub(crate) fn is_for_debuggers(name: &str) -> bool {
    name.starts_with(".debug_") || name.starts_with(".BTF")
}

fn read_name(name: &[u8]) -> Result<&str, Error> {
    if name.len() > MAX_NAME {
        return Err(Error::damaged(format!(
            "a name of {} bytes is too long",
            name.len()
        )));
    }
    Ok(std::str::from_utf8(name).unwrap_or("<?>"))
}

fn check_header(data: &[u8]) -> Result<&FileHeader64<Endianness>, Error> {
    if data.get(..4) != Some(&elf::ELFMAG) {
        return Err(Error::new(ErrorKind::NotElf).at(0));
    }
    match data.get(4) {
        Some(&class) if class == elf::ELFCLASS64.0 => {}
        Some(&class) if class == elf::ELFCLASS32.0 => {
            return Err(Error::new(ErrorKind::Not64Bit).at(4));
        }
        _ => return Err(Error::damaged("bad file class").at(4)),
    }
    let header =
        FileHeader64::<Endianness>::parse(data).map_err(|e| Error::damaged(e.to_string()).at(0))?;
    let endian = header
        .endian()
        .map_err(|e| Error::damaged(e.to_string()).at(5))?;
    // Very old compilers left the machine 0.
    let machine = header.e_machine(endian);
    if machine != elf::EM_BPF && machine != elf::EM_NONE {
        return Err(Error::new(ErrorKind::OtherMachine(machine.0)).at(18));
    }
    let ty = header.e_type(endian);
    if ty != elf::ET_REL {
        return Err(Error::new(ErrorKind::NotRelocatable(ty.0)).at(16));
    }
    Ok(header)
}

fn read_symbols<'d>(
    table: &Table<'d>,
    endian: Endianness,
    data: &'d [u8],
) -> Result<Vec<Symbol<'d>>, Error> {
    let symtab = table
        .symbols(endian, data, elf::SHT_SYMTAB)
        .map_err(damaged)?;
    if symtab.section() == SectionIndex(0) {
        return Err(Error::new(ErrorKind::NoSymbols));
    }
    let mut symbols = Vec::with_capacity(symtab.len());
    for sym in symtab.iter() {
        let name = symtab.symbol_name(endian, sym).unwrap_or(b"<?>");
        let bind = sym.st_bind();
        let vis = sym.st_visibility();
        symbols.push(Symbol {
            name: read_name(name)?,
            value: sym.st_value(endian),
            size: sym.st_size(endian),
            ty: match sym.st_type() {
                elf::STT_NOTYPE => SymbolType::None,
                elf::STT_FUNC => SymbolType::Func,
                elf::STT_OBJECT => SymbolType::Object,
                elf::STT_SECTION => SymbolType::Section,
                _ => SymbolType::Other,
            },
            home: match sym.st_shndx(endian).0 {
                0 => Home::Undefined,
                index if index < elf::SHN_LORESERVE => Home::Section(usize::from(index)),
                special => Home::Special(special),
            },
            global: bind == elf::STB_GLOBAL || bind == elf::STB_WEAK,
            weak: bind == elf::STB_WEAK,
            hidden: vis == elf::STV_HIDDEN || vis == elf::STV_INTERNAL,
        });
    }
    Ok(symbols)
}
