//! Sections of one name, put behind each other.

use super::{Input, JoinError};
use crate::elf::{Contents, is_for_debuggers};

/// Where an input's section went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Index of the joined section.
    pub(super) section: usize,
    /// Offset in it, in bytes.
    pub(super) offset: u64,
}

/// A section of the result.
#[derive(Debug)]
pub(super) struct JoinedSection {
    pub(super) name: String,
    pub(super) is_executable: bool,
    pub(super) is_writable: bool,
    /// Whether it has a size only.
    pub(super) is_zeros: bool,
    pub(super) align: u64,
    pub(super) data: Vec<u8>,
    pub(super) size: u64,
}

/// `SHF_WRITE`.
const WRITE: u64 = 1;
/// The largest alignment: hostile objects ask for terabytes of padding.
const MAX_ALIGN: u64 = 4096;

/// Joins all sections that hold something for programs, and notes where each went.
pub(super) fn join(inputs: &mut [Input<'_>]) -> Result<Vec<JoinedSection>, JoinError> {
    let mut joined: Vec<JoinedSection> = Vec::new();
    for input in inputs {
        for index in 0..input.elf.sections.len() {
            input.places[index] = place(input, index, &mut joined)?;
        }
    }
    Ok(joined)
}

fn place(
    input: &Input<'_>,
    index: usize,
    joined: &mut Vec<JoinedSection>,
) -> Result<Option<Place>, JoinError> {
    let Some(section) = input.elf.sections.get(index) else {
        return Ok(None);
    };
    let is_zeros = section.contents == Contents::Zeros;
    let is_note = matches!(section.name, ".comment" | ".note.GNU-stack" | ".eh_frame");
    if section.contents == Contents::Other
        || section.size == 0
        || is_note
        || is_for_debuggers(section.name)
    {
        return Ok(None);
    }
    let align = section.align.max(1);
    if !align.is_power_of_two() || align > MAX_ALIGN {
        let why = format!("section `{}` has an alignment of {align}", section.name);
        return Err(input.error(why));
    }
    let known = joined.iter().position(|j| j.name == section.name);
    let Some(at) = known else {
        joined.push(JoinedSection {
            name: section.name.to_string(),
            is_executable: section.is_executable,
            is_writable: section.flags & WRITE != 0,
            is_zeros,
            align,
            data: section.data.to_vec(),
            size: section.size,
        });
        let section = joined.len() - 1;
        return Ok(Some(Place { section, offset: 0 }));
    };
    let Some(old) = joined.get_mut(at) else {
        return Ok(None);
    };
    // One licence and one version are enough, and they must be the same.
    if matches!(section.name, "license" | "version") {
        if old.data != section.data {
            return Err(input.error(format!(
                "another `{}` than the objects before",
                section.name
            )));
        }
        return Ok(None);
    }
    if old.is_zeros != is_zeros || old.is_executable != section.is_executable {
        return Err(input.error(format!(
            "section `{}` is of another kind in the objects before",
            section.name
        )));
    }
    let too_large = || input.error(format!("section `{}` becomes too large", section.name));
    old.align = old.align.max(align);
    let offset = old.size.checked_next_multiple_of(align);
    let offset = offset.ok_or_else(too_large)?;
    old.size = offset.checked_add(section.size).ok_or_else(too_large)?;
    if !is_zeros {
        let padded = usize::try_from(offset).map_err(|_| too_large())?;
        old.data.resize(padded, 0);
        old.data.extend_from_slice(section.data);
    }
    Ok(Some(Place {
        section: at,
        offset,
    }))
}
