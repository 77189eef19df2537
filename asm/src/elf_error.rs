//! Why a load request cannot be written as an object.

use std::fmt;

/// Why a load request has no form as an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ElfError {
    /// A slot has no form in an object.
    NoForm {
        /// The program.
        program: String,
        /// The slot.
        insn_idx: usize,
        /// What is there, as a noun.
        what: &'static str,
    },
    /// A map has no form in an object.
    Map {
        /// The map.
        map: String,
        /// Why, as a sentence without a full stop.
        why: &'static str,
    },
    /// Two things have the same name.
    Duplicate(String),
    /// The object writer refused.
    Write(String),
}

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ElfError::NoForm {
                program,
                insn_idx,
                what,
            } => {
                write!(
                    f,
                    "{program}: slot {insn_idx}: {what} has no form in an object"
                )
            }
            ElfError::Map { map, why } => write!(f, "map `{map}`: {why}"),
            ElfError::Duplicate(name) => write!(f, "`{name}` is defined twice"),
            ElfError::Write(why) => write!(f, "the object cannot be written: {why}"),
        }
    }
}

impl std::error::Error for ElfError {}
