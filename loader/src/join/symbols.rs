//! Symbols of one name become one: a definition takes the place of declarations, a strong one that
//! of weak ones. References follow.

use super::sections::JoinedSection;
use super::{Input, JoinError};
use crate::elf::{Home, Symbol, SymbolType};
use rustc_hash::FxHashMap;

/// A symbol of the result.
#[derive(Debug, Clone)]
pub(super) struct JoinedSymbol {
    pub(super) name: String,
    /// Section and offset; `None` for what none of the objects defines.
    pub(super) place: Option<(usize, u64)>,
    pub(super) size: u64,
    pub(super) ty: SymbolType,
    pub(super) global: bool,
    pub(super) weak: bool,
    pub(super) hidden: bool,
    /// The object that it was taken from.
    pub(super) owner: usize,
}

/// Where an input's symbol went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Went {
    /// Nowhere: what it names was left out.
    Nowhere,
    /// To a symbol of the result.
    Symbol(usize),
    /// It stands for a section, whose contents begin at this offset of the joined one.
    Section(usize, u64),
}

/// All symbols, and where each input's went.
#[derive(Debug)]
pub(super) struct Symbols {
    pub(super) list: Vec<JoinedSymbol>,
    /// By input and symbol index.
    pub(super) went: Vec<Vec<Went>>,
    /// Index of the global symbol of each name.
    pub(super) globals: FxHashMap<String, usize>,
}

/// A reference of the result.
#[derive(Debug, Clone, Copy)]
pub(super) struct JoinedReloc {
    pub(super) section: usize,
    pub(super) offset: u64,
    pub(super) target: Went,
    pub(super) ty: u32,
}

pub(super) fn join(inputs: &[Input<'_>]) -> Result<Symbols, JoinError> {
    let mut symbols = Symbols {
        list: Vec::new(),
        went: Vec::new(),
        globals: FxHashMap::default(),
    };
    for (index, input) in inputs.iter().enumerate() {
        let mut went = Vec::with_capacity(input.elf.symbols.len());
        for symbol in &input.elf.symbols {
            went.push(symbols.add(input, index, symbol)?);
        }
        symbols.went.push(went);
    }
    Ok(symbols)
}

impl Symbols {
    fn add(
        &mut self,
        input: &Input<'_>,
        owner: usize,
        symbol: &Symbol<'_>,
    ) -> Result<Went, JoinError> {
        let place = match symbol.home {
            Home::Undefined if symbol.global && !symbol.name.is_empty() => None,
            Home::Undefined => return Ok(Went::Nowhere),
            Home::Special(number) => {
                // A file's name is of no use; common variables have no place.
                return if symbol.global {
                    let why = format!("symbol `{}` is in special section {number:#x}", symbol.name);
                    Err(input.error(why))
                } else {
                    Ok(Went::Nowhere)
                };
            }
            Home::Section(home) => match input.places.get(home).copied().flatten() {
                Some(place) if symbol.ty == SymbolType::Section => {
                    return Ok(Went::Section(place.section, place.offset));
                }
                Some(place) => Some((place.section, place.offset.wrapping_add(symbol.value))),
                // The one licence that is kept has a symbol already.
                None => {
                    let known = self.globals.get(symbol.name);
                    return Ok(known.map_or(Went::Nowhere, |known| Went::Symbol(*known)));
                }
            },
        };
        let new = JoinedSymbol {
            name: symbol.name.to_string(),
            place,
            size: symbol.size,
            ty: symbol.ty,
            global: symbol.global,
            weak: symbol.weak,
            hidden: symbol.hidden,
            owner,
        };
        if !symbol.global {
            self.list.push(new);
            return Ok(Went::Symbol(self.list.len() - 1));
        }
        self.add_global(input, new)
    }

    fn add_global(&mut self, input: &Input<'_>, new: JoinedSymbol) -> Result<Went, JoinError> {
        let Some(&known) = self.globals.get(&new.name) else {
            self.globals.insert(new.name.clone(), self.list.len());
            self.list.push(new);
            return Ok(Went::Symbol(self.list.len() - 1));
        };
        let Some(old) = self.list.get_mut(known) else {
            return Ok(Went::Nowhere);
        };
        let hidden = old.hidden || new.hidden;
        match (old.place, new.place) {
            (Some(_), Some(_)) if !old.weak && !new.weak => {
                return Err(input.error(format!("`{}` is defined a second time", new.name)));
            }
            (Some(_), Some(_)) if old.weak && !new.weak => *old = new,
            (None, Some(_)) => *old = new,
            // A declaration is weak as long as nobody insists.
            (None, None) => old.weak &= new.weak,
            (Some(_), Some(_) | None) => {}
        }
        old.hidden = hidden;
        Ok(Went::Symbol(known))
    }
}

/// The references of all objects, in the result; what instructions and data hold of the place of
/// a section's contents is moved with them.
pub(super) fn relocate(
    inputs: &[Input<'_>],
    symbols: &Symbols,
    sections: &mut [JoinedSection],
) -> Result<Vec<JoinedReloc>, JoinError> {
    let mut out = Vec::new();
    for (input, went) in inputs.iter().zip(&symbols.went) {
        for (section, place) in input.elf.sections.iter().zip(&input.places) {
            let Some(place) = place else { continue };
            for reloc in &section.relocs {
                let fail = |why: &str| {
                    input.error(format!(
                        "{why}, in section `{}`, at byte {:#x}",
                        section.name, reloc.offset
                    ))
                };
                let target = went.get(reloc.symbol).copied();
                let target = target.ok_or_else(|| fail("a relocation has no symbol"))?;
                if target == Went::Nowhere {
                    return Err(fail("a reference to what no program can use"));
                }
                let offset = place.offset.wrapping_add(reloc.offset);
                if let Went::Section(_, moved @ 1..) = target {
                    let data = sections.get_mut(place.section).map(|s| &mut s.data);
                    let big = input.elf.is_big_endian;
                    let shifted = data.and_then(|d| shift(d, big, offset, reloc.ty, moved));
                    shifted.ok_or_else(|| fail("a reference that cannot be moved"))?;
                }
                out.push(JoinedReloc {
                    section: place.section,
                    offset,
                    target,
                    ty: reloc.ty,
                });
            }
        }
    }
    Ok(out)
}

/// The kinds of references (LLVM's numbers).
const LOAD_64: u32 = 1;
const DATA_64: u32 = 2;
const DATA_32: u32 = 3;
const CALL: u32 = 10;

/// Adds to the number that a reference holds; `None` if it has no such number.
fn shift(data: &mut [u8], big: bool, offset: u64, ty: u32, moved: u64) -> Option<()> {
    let at = usize::try_from(offset).ok()?;
    let (at, len, add) = match ty {
        LOAD_64 => (at.checked_add(4)?, 4, moved),
        CALL => (at.checked_add(4)?, 4, moved / 8),
        DATA_64 => (at, 8, moved),
        DATA_32 => (at, 4, moved),
        _ => return None,
    };
    let bytes = data.get_mut(at..at.checked_add(len)?)?;
    let mut word = [0; 8];
    if big {
        bytes.reverse();
    }
    word.get_mut(..len)?.copy_from_slice(bytes);
    let sum = u64::from_le_bytes(word).wrapping_add(add).to_le_bytes();
    bytes.copy_from_slice(sum.get(..len)?);
    if big {
        bytes.reverse();
    }
    Some(())
}
