//! What instructions refer to: every relocation of code, classified once.
//!
//! As in libbpf, the instruction and the symbol decide what a relocation means; its ELF type does
//! not matter.

use crate::code::{Code, is_code_section};
use crate::elf::{Elf, Home, Reloc, SymbolType};
use crate::error::Error;
use crate::externs::Externs;
use crate::maps::{MapDef, Place};
use rustc_hash::FxHashMap;
use skep_isa::{RawInsn, opcode, pseudo};
use skep_spec::MapType;
use std::collections::BTreeMap;

/// Section of global variables that live in an arena.
const ARENA_DATA: &str = ".addr_space.1";

/// What an instruction refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ref {
    /// A call: the callee begins at slot `base + imm + 1` of the section.
    Call { section: usize, base: u64 },
    /// A function's address: it begins at byte `offset + imm` of the section.
    FuncAddr { section: usize, offset: u64 },
    /// A map.
    Map(usize),
    /// Byte `offset + imm` of the value of a map.
    Data { map: usize, offset: u64 },
    /// Something defined by the kernel.
    Extern(usize),
    /// An undefined symbol that nothing declares.
    Undeclared(String),
}

/// The references of all code sections.
#[derive(Debug, Default)]
pub(crate) struct Refs {
    by_section: BTreeMap<usize, Vec<(usize, Ref)>>,
}

impl Refs {
    /// Classifies all relocations of code that belongs to a function, and marks in the code the
    /// loads of function addresses.
    pub(crate) fn find(
        elf: &Elf<'_>,
        code: &mut Code,
        externs: &Externs,
        maps: &[MapDef],
    ) -> Result<Refs, Error> {
        let targets = Targets::new(elf, externs, maps);
        let mut refs = Refs::default();
        let sections: Vec<usize> = code.sections.keys().copied().collect();
        for index in sections {
            let Some(section) = elf.sections.get(index) else {
                continue;
            };
            let mut list = Vec::new();
            for reloc in &section.relocs {
                let fail = |e: Error| e.in_section(section.name).at(reloc.offset);
                if reloc.offset % 8 != 0 || reloc.offset >= section.size {
                    return Err(fail(Error::damaged(
                        "a relocation is not at an instruction",
                    )));
                }
                let slot = (reloc.offset / 8) as usize;
                // Code between functions is what the linker left of overridden ones.
                if code.function_at(index, slot).is_none() {
                    continue;
                }
                let found = targets.classify(code, index, slot, reloc).map_err(fail)?;
                if matches!(found, Ref::FuncAddr { .. })
                    && let Some(insn) = code.sections.get_mut(&index).and_then(|c| c.get_mut(slot))
                {
                    *insn = insn.with_src(pseudo::FUNC);
                }
                list.push((slot, found));
            }
            refs.by_section.insert(index, list);
        }
        Ok(refs)
    }

    /// The reference of one slot.
    pub(crate) fn at(&self, section: usize, slot: usize) -> Option<&Ref> {
        let list = self.by_section.get(&section)?;
        let at = list.partition_point(|r| r.0 < slot);
        list.get(at).filter(|r| r.0 == slot).map(|r| &r.1)
    }

    /// The references of a range of slots.
    pub(crate) fn range(&self, section: usize, start: usize, len: usize) -> &[(usize, Ref)] {
        let Some(list) = self.by_section.get(&section) else {
            return &[];
        };
        let from = list.partition_point(|r| r.0 < start);
        let to = list.partition_point(|r| r.0 < start + len);
        list.get(from..to).unwrap_or(&[])
    }
}

/// Where symbols lead.
struct Targets<'a, 'd> {
    elf: &'a Elf<'d>,
    externs: &'a Externs,
    declared: FxHashMap<(usize, u64), usize>,
    data: FxHashMap<usize, usize>,
    map_sections: Vec<usize>,
    arena: Option<usize>,
}

impl<'a, 'd> Targets<'a, 'd> {
    fn new(elf: &'a Elf<'d>, externs: &'a Externs, maps: &[MapDef]) -> Self {
        let mut targets = Targets {
            elf,
            externs,
            declared: FxHashMap::default(),
            data: FxHashMap::default(),
            map_sections: Vec::new(),
            arena: maps.iter().position(|m| m.spec.ty == MapType::Arena),
        };
        for (index, map) in maps.iter().enumerate() {
            match map.place {
                Place::Declared { section, offset } => {
                    targets.declared.entry((section, offset)).or_insert(index);
                    if !targets.map_sections.contains(&section) {
                        targets.map_sections.push(section);
                    }
                }
                Place::Data { section } => {
                    targets.data.entry(section).or_insert(index);
                }
                Place::Kconfig | Place::StructOps { .. } => {}
            }
        }
        targets
    }

    fn classify(
        &self,
        code: &Code,
        section: usize,
        slot: usize,
        reloc: &Reloc,
    ) -> Result<Ref, Error> {
        let symbol = self.elf.symbols.get(reloc.symbol);
        let symbol = symbol.ok_or_else(|| Error::damaged("a relocation has no symbol"))?;
        let name = self.elf.symbol_name(symbol);
        let fail = |why: String| Error::relocation(name, why);
        let slots = code.sections.get(&section);
        let insn = slots.and_then(|c| c.get(slot)).copied().unwrap_or_default();
        let is_call = insn.code == opcode::CALL;
        if !is_call && !insn.is_ld_imm64() {
            return Err(fail(format!(
                "instruction {:#04x} cannot refer to symbols",
                insn.code
            )));
        }
        if insn.is_ld_imm64() && slots.is_none_or(|c| c.get(slot + 1).is_none()) {
            return Err(fail(
                "half an instruction at the end of the section".to_string(),
            ));
        }
        if symbol.is_extern() {
            return Ok(match self.externs.by_symbol.get(&reloc.symbol) {
                Some(index) => Ref::Extern(*index),
                None => Ref::Undeclared(name.to_string()),
            });
        }
        let home = match symbol.home {
            Home::Section(home) if home < self.elf.sections.len() => home,
            Home::Section(_) => return Err(fail("its section does not exist".to_string())),
            Home::Undefined => return Ok(Ref::Undeclared(name.to_string())),
            Home::Special(number) => {
                return Err(fail(format!(
                    "it is in the special section {number:#x}; is the variable initialised?"
                )));
            }
        };
        if is_call {
            return self.call(insn, home, symbol.value).map_err(fail);
        }
        if is_code_section(self.elf, home) {
            let whole = symbol.value % 8 == 0 && insn.imm % 8 == 0;
            let is_func = matches!(symbol.ty, SymbolType::Section | SymbolType::Func);
            if !whole || !is_func {
                return Err(fail("not the address of a function".to_string()));
            }
            return Ok(Ref::FuncAddr {
                section: home,
                offset: symbol.value,
            });
        }
        self.data(home, symbol.value).map_err(fail)
    }

    fn call(&self, insn: RawInsn, home: usize, value: u64) -> Result<Ref, String> {
        if insn.src() != pseudo::CALL {
            return Err("the call is not to a subprogram".to_string());
        }
        if !is_code_section(self.elf, home) {
            return Err(format!(
                "section `{}` holds no code",
                self.elf.section_name(home)
            ));
        }
        if !value.is_multiple_of(8) {
            return Err("the callee is not at an instruction".to_string());
        }
        Ok(Ref::Call {
            section: home,
            base: value / 8,
        })
    }

    fn data(&self, home: usize, value: u64) -> Result<Ref, String> {
        if let Some(map) = self.data.get(&home) {
            return Ok(Ref::Data {
                map: *map,
                offset: value,
            });
        }
        let name = self.elf.section_name(home);
        if self.map_sections.contains(&home) {
            let map = self.declared.get(&(home, value));
            return map
                .map(|m| Ref::Map(*m))
                .ok_or_else(|| format!("no map is declared at {value:#x} of section `{name}`"));
        }
        if name == ARENA_DATA {
            let map = self.arena.ok_or("no arena map is declared")?;
            return Ok(Ref::Data { map, offset: value });
        }
        Err(format!(
            "section `{name}` holds neither maps nor global data"
        ))
    }
}

/// The section of arena variables, which become the first contents of the arena map.
pub(crate) fn arena_data<'d>(elf: &Elf<'d>) -> Option<&'d [u8]> {
    elf.section(ARENA_DATA)
        .map(|(_, s)| s.data)
        .filter(|d| !d.is_empty())
}
