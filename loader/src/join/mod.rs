//! Several objects become one, as `bpftool gen object` makes it.
//!
//! Sections of one name are put behind each other, symbols of one name become one, and what an
//! object declares and another defines is connected; types are merged, equal ones once. Nothing
//! is resolved against a kernel: the result is an ordinary object.

mod sections;
mod symbols;
mod types;
mod write;

use crate::elf::Elf;
use crate::error::Error;
use sections::{JoinedSection, Place};
use skep_btf::{Btf, BtfExt};
use std::fmt;

/// Why objects cannot be joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinError {
    /// The object at fault, by the name that it was given.
    pub file: String,
    /// Why, as a sentence without a full stop.
    pub why: String,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.why)
    }
}

impl std::error::Error for JoinError {}

/// One object to be joined.
struct Input<'d> {
    file: &'d str,
    elf: Elf<'d>,
    btf: Option<Btf>,
    ext: Option<BtfExt>,
    /// Where each section's contents went; `None` if they were left out.
    places: Vec<Option<Place>>,
}

impl<'d> Input<'d> {
    fn open(file: &'d str, bytes: &'d [u8]) -> Result<Input<'d>, JoinError> {
        let read = || -> Result<Input<'d>, Error> {
            let elf = Elf::parse(bytes)?;
            let data = |name| {
                elf.section(name)
                    .map(|(_, s)| s.data)
                    .filter(|d| !d.is_empty())
            };
            let btf = data(".BTF").map(Btf::parse).transpose()?;
            let ext = data(".BTF.ext").map(BtfExt::parse).transpose()?;
            Ok(Input {
                file,
                places: vec![None; elf.sections.len()],
                ext: ext.filter(|_| btf.is_some()),
                btf,
                elf,
            })
        };
        read().map_err(|e| JoinError {
            file: file.to_string(),
            why: e.to_string(),
        })
    }

    fn error(&self, why: impl Into<String>) -> JoinError {
        JoinError {
            file: self.file.to_string(),
            why: why.into(),
        }
    }
}

/// Joins objects, each given by its name in errors and its bytes, into one.
///
/// # Errors
/// Objects that cannot be read, that are for machines of different byte orders, or that define
/// the same thing twice or differently.
pub fn join(objects: &[(&str, &[u8])]) -> Result<Vec<u8>, JoinError> {
    let mut inputs = Vec::new();
    for (file, bytes) in objects {
        inputs.push(Input::open(file, bytes)?);
    }
    let Some(first) = inputs.first() else {
        return Err(JoinError {
            file: String::new(),
            why: "there is no object to join".to_string(),
        });
    };
    let big = first.elf.is_big_endian;
    if let Some(other) = inputs.iter().find(|i| i.elf.is_big_endian != big) {
        return Err(other.error("its byte order is not that of the first object"));
    }
    let mut sections: Vec<JoinedSection> = sections::join(&mut inputs)?;
    let symbols = symbols::join(&inputs)?;
    let relocations = symbols::relocate(&inputs, &symbols, &mut sections)?;
    let types = types::join(&inputs, &symbols, &sections)?;
    write::object(big, &sections, &symbols.list, &relocations, types.as_ref()).map_err(|why| {
        JoinError {
            file: "the joined object".to_string(),
            why,
        }
    })
}
