//! Code sections and the functions in them.
//!
//! A function is a range of a section; its instructions are stored once per section, however many
//! symbols name them, and copied only when a program is linked.

use crate::elf::{Elf, Section, SymbolType};
use crate::error::Error;
use skep_isa::RawInsn;
use std::collections::BTreeMap;

/// A function: an entry point or something that entry points call.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Index of its section.
    pub(crate) section: usize,
    /// First slot in the section.
    pub(crate) start: usize,
    /// Number of slots.
    pub(crate) len: usize,
    /// Whether other objects could see it.
    pub(crate) global: bool,
    /// Whether it is global but restricted to its object, which makes it static for the verifier.
    pub(crate) hidden: bool,
    /// Whether it is a program by itself.
    pub(crate) entry: bool,
}

impl Function {
    /// Whether the slot of its section belongs to it.
    pub(crate) fn contains(&self, insn: usize) -> bool {
        insn >= self.start && insn - self.start < self.len
    }
}

/// More functions than any object has; keeps hostile objects from taking long.
const MAX_FUNCTIONS: usize = 1 << 16;

/// The code of an object.
#[derive(Debug, Default)]
pub(crate) struct Code {
    /// Instructions of each code section.
    pub(crate) sections: BTreeMap<usize, Vec<RawInsn>>,
    /// Functions, by section and start.
    pub(crate) functions: Vec<Function>,
}

impl Code {
    /// Finds the functions of all code sections.
    pub(crate) fn find(elf: &Elf<'_>) -> Result<Code, Error> {
        let mut code = Code::default();
        for (index, section) in elf.sections.iter().enumerate() {
            if !section.is_code() {
                continue;
            }
            let Some(insns) = slots(section.data, elf.is_big_endian) else {
                return Err(Error::damaged("code is not a multiple of 8 bytes")
                    .in_section(section.name)
                    .at(section.size));
            };
            code.find_functions(elf, index, section, insns.len())?;
            code.sections.insert(index, insns);
        }
        code.functions.sort_by_key(|f| (f.section, f.start));
        Ok(code)
    }

    fn find_functions(
        &mut self,
        elf: &Elf<'_>,
        index: usize,
        section: &Section<'_>,
        slots: usize,
    ) -> Result<(), Error> {
        let here = elf.symbols_of(index);
        let mut symbols: Vec<_> = here.clone().filter(|s| s.ty == SymbolType::Func).collect();
        if symbols.is_empty() {
            // Compilers before LLVM 6 gave functions neither a type nor a size.
            symbols = here
                .filter(|s| s.ty == SymbolType::None && s.global)
                .collect();
        }
        symbols.sort_by_key(|s| s.value);
        // Only the default section is for subprograms alone.
        let entries = section.name != ".text";
        if self.functions.len() + symbols.len() > MAX_FUNCTIONS {
            return Err(Error::damaged("too many functions").in_section(section.name));
        }
        for symbol in &symbols {
            let next = symbols.partition_point(|s| s.value <= symbol.value);
            let end = symbols.get(next).map_or(section.size, |s| s.value);
            let size = if symbol.size == 0 {
                end.saturating_sub(symbol.value)
            } else {
                symbol.size
            };
            let fits = symbol
                .value
                .checked_add(size)
                .is_some_and(|end| end <= section.size);
            let whole = symbol.value % 8 == 0 && size % 8 == 0 && size != 0;
            if !fits || !whole {
                return Err(Error::program(
                    symbol.name,
                    format!(
                        "{size} bytes at {:#x} are not whole instructions here",
                        symbol.value
                    ),
                )
                .in_section(section.name)
                .at(symbol.value));
            }
            self.functions.push(Function {
                name: symbol.name.to_string(),
                section: index,
                start: (symbol.value / 8) as usize,
                len: (size / 8) as usize,
                global: symbol.global,
                hidden: symbol.hidden,
                entry: entries && symbol.global,
            });
        }
        if symbols.is_empty() && entries {
            self.functions.push(Function {
                name: section.name.trim_start_matches('?').to_string(),
                section: index,
                start: 0,
                len: slots,
                global: true,
                hidden: false,
                entry: true,
            });
        }
        Ok(())
    }

    /// The function that holds a slot of a section.
    pub(crate) fn function_at(&self, section: usize, insn: usize) -> Option<usize> {
        let after = self
            .functions
            .partition_point(|f| (f.section, f.start) <= (section, insn));
        let index = after.checked_sub(1)?;
        let function = self.functions.get(index)?;
        (function.section == section && function.contains(insn)).then_some(index)
    }

    /// The instructions of a function.
    pub(crate) fn insns(&self, function: &Function) -> &[RawInsn] {
        self.sections
            .get(&function.section)
            .and_then(|s| s.get(function.start..function.start + function.len))
            .unwrap_or(&[])
    }
}

/// The slots of a section, or `None` if it is not a whole number of them.
fn slots(bytes: &[u8], big_endian: bool) -> Option<Vec<RawInsn>> {
    if !big_endian {
        return RawInsn::slots_from_le_bytes(bytes);
    }
    let (slots, rest) = bytes.as_chunks::<8>();
    rest.is_empty()
        .then(|| slots.iter().map(|s| RawInsn::from_be_bytes(*s)).collect())
}

/// Whether the section could hold the code that a symbol names.
pub(crate) fn is_code_section(elf: &Elf<'_>, index: usize) -> bool {
    elf.sections.get(index).is_some_and(Section::is_code)
}
