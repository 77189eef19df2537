//! The file itself, before anything is made of it: sections, symbols, relocations.
//!
//! These tables are for people and for comparing readers; loading has its own path through the
//! same [`Elf`].

use crate::elf::{Contents, Elf, Home, Section, SymbolType};
use crate::error::Error;
use skep_spec::Skipped;

/// The tables of one ELF object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Whether numbers in it are big-endian.
    pub big_endian: bool,
    /// All sections, by index; the first is empty.
    pub sections: Vec<SectionInfo>,
    /// All symbols, by index; the first is empty.
    pub symbols: Vec<SymbolInfo>,
    /// References from sections to symbols, by section and offset. Those of sections that only
    /// describe others (DWARF, BTF) are left out.
    pub relocations: Vec<RelocInfo>,
}

/// A section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionInfo {
    /// Its name.
    pub name: String,
    /// ELF's number for what it holds (`sh_type`).
    pub kind: u32,
    /// `sh_flags`.
    pub flags: u64,
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// Size in bytes, in memory.
    pub size: u64,
    /// What loading makes of it.
    pub role: &'static str,
}

/// A symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymbolInfo {
    /// Its name.
    pub name: String,
    /// Index of the section that defines it; `None` if none does.
    pub section: Option<usize>,
    /// Offset in that section, in bytes.
    pub value: u64,
    /// Size in bytes.
    pub size: u64,
    /// `func`, `object`, `section`, `none` or `other`.
    pub kind: &'static str,
    /// `local`, `global` or `weak`.
    pub binding: &'static str,
    /// Whether only its own object sees it, though it is not local.
    pub hidden: bool,
}

/// A reference to a symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelocInfo {
    /// Index of the section that refers.
    pub section: usize,
    /// Offset of the place in that section, in bytes.
    pub offset: u64,
    /// Index of the symbol.
    pub symbol: usize,
    /// ELF's number for how it refers: 1 for 64-bit loads, 10 for calls, 2 to 4 for data.
    pub kind: u32,
}

impl Survey {
    /// What a relocation's symbol is called: a section's symbol has its section's name.
    pub fn symbol_name(&self, index: usize) -> &str {
        let Some(symbol) = self.symbols.get(index) else {
            return "?";
        };
        let section = symbol.section.and_then(|s| self.sections.get(s));
        match section {
            Some(section) if symbol.name.is_empty() => &section.name,
            Some(_) | None => &symbol.name,
        }
    }
}

/// Reads the tables of the object in `bytes`.
///
/// # Errors
/// A file that is no BPF object or is damaged.
pub fn survey(bytes: &[u8]) -> Result<Survey, Error> {
    let elf = Elf::parse(bytes)?;
    let section = |(index, s): (usize, &Section<'_>)| SectionInfo {
        name: s.name.to_string(),
        kind: s.kind,
        flags: s.flags,
        offset: s.offset,
        size: s.size,
        role: role(index, s),
    };
    let symbols = elf.symbols.iter().map(|s| SymbolInfo {
        name: s.name.to_string(),
        section: match s.home {
            Home::Section(index) => Some(index),
            Home::Undefined | Home::Special(_) => None,
        },
        value: s.value,
        size: s.size,
        kind: match s.ty {
            SymbolType::None => "none",
            SymbolType::Func => "func",
            SymbolType::Object => "object",
            SymbolType::Section => "section",
            SymbolType::Other => "other",
        },
        binding: match (s.weak, s.global) {
            (true, _) => "weak",
            (false, true) => "global",
            (false, false) => "local",
        },
        hidden: s.hidden,
    });
    let mut relocations = Vec::new();
    for (index, section) in elf.sections.iter().enumerate() {
        relocations.extend(section.relocs.iter().map(|r| RelocInfo {
            section: index,
            offset: r.offset,
            symbol: r.symbol,
            kind: r.ty,
        }));
    }
    Ok(Survey {
        big_endian: elf.is_big_endian,
        sections: elf.sections.iter().enumerate().map(section).collect(),
        symbols: symbols.collect(),
        relocations,
    })
}

/// What loading makes of a section.
fn role(index: usize, section: &Section<'_>) -> &'static str {
    let name = section.name;
    let is = |stem: &str| {
        name.strip_prefix(stem)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    if index == 0 {
        return "";
    }
    if name.starts_with(".debug_") || name == ".eh_frame" {
        return "debug";
    }
    if name.starts_with(".BTF") {
        return "types";
    }
    if section.is_compressed() {
        return "compressed";
    }
    match section.contents {
        Contents::Other => "tables",
        Contents::Zeros if is(".bss") => "data",
        Contents::Zeros => UNKNOWN,
        Contents::Bits if section.size == 0 => "empty",
        Contents::Bits if section.is_code() => "code",
        Contents::Bits if name == ".maps" || name == "maps" || name.starts_with("maps/") => "maps",
        Contents::Bits if is(".data") || is(".rodata") || name == ".addr_space.1" => "data",
        Contents::Bits => match name.strip_prefix('?').unwrap_or(name) {
            "license" | "version" => "declaration",
            ".struct_ops" | ".struct_ops.link" => "struct_ops",
            // What compilers leave behind for linkers.
            ".comment" | ".llvm_addrsig" | ".note.GNU-stack" | ".gnu_debuglink" => "notes",
            ".text" => "empty",
            _ => UNKNOWN,
        },
    }
}

const UNKNOWN: &str = "unknown";

/// The sections that nobody reads, each with the reason.
pub(crate) fn unknown_sections(elf: &Elf<'_>) -> Vec<Skipped> {
    let mut skipped = Vec::new();
    for (index, section) in elf.sections.iter().enumerate() {
        let role = role(index, section);
        let why = if role == UNKNOWN {
            format!("a section of {} bytes of unknown meaning", section.size)
        } else if section.is_compressed() && !section.name.starts_with(".debug_") {
            "a compressed section".to_string()
        } else {
            continue;
        };
        skipped.push(Skipped {
            name: section.name.to_string(),
            why,
        });
    }
    skipped
}
