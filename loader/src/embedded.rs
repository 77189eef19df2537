//! BPF objects inside other files: skeletons in executables and libraries, members of archives.
//!
//! A skeleton is the whole object as a constant of its program, so an object is found by the
//! header that every ELF file begins with, and ends where its own tables say. The file around it
//! is read only to give the place a name.

use goblin::elf::Elf as Host;

/// A BPF object inside another file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedded {
    /// Where it begins in the file, in bytes.
    pub offset: usize,
    /// Its length in bytes, as its own tables tell.
    pub len: usize,
    /// What the file around it calls the place: a symbol, else a section; empty if it says nothing.
    pub place: String,
}

const MAGIC: &[u8; 4] = b"\x7fELF";
/// Bytes of a 64-bit ELF header and of one row of its section table.
const HEADER: usize = 64;
const ROW: usize = 64;
const TYPE_REL: u64 = 1;
const MACHINE_BPF: u64 = 247;
const SECTION_NOBITS: u64 = 8;

/// More objects than any file holds; keeps files made of headers from taking long.
const MAX_OBJECTS: usize = 1024;

/// Whether the file is, by its header, itself a BPF object.
pub fn is_bpf_object(bytes: &[u8]) -> bool {
    let at = |at, len| Header { bytes }.number(at, len);
    // Very old compilers left the machine 0.
    bytes.starts_with(MAGIC)
        && at(16, 2) == Some(TYPE_REL)
        && matches!(at(18, 2), Some(MACHINE_BPF | 0))
}

/// The BPF objects inside a file that is none itself, in their order.
pub fn find_embedded(bytes: &[u8]) -> Vec<Embedded> {
    let mut found = Vec::new();
    if is_bpf_object(bytes) {
        return found;
    }
    let mut at = 0;
    while let Some(offset) = next_magic(bytes, at) {
        at = offset + MAGIC.len();
        let len = bytes.get(offset..).and_then(length);
        if let Some(len) = len {
            found.push(Embedded {
                offset,
                len,
                place: String::new(),
            });
            at = offset + len;
        }
        if found.len() == MAX_OBJECTS {
            break;
        }
    }
    if !found.is_empty()
        && bytes.starts_with(MAGIC)
        && let Ok(host) = Host::parse(bytes)
    {
        found.iter_mut().for_each(|e| e.place = place(&host, e));
    }
    found
}

fn next_magic(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let rest = bytes.get(at..)?;
        at += rest.iter().position(|b| *b == MAGIC[0])?;
        if bytes.get(at..)?.starts_with(MAGIC) {
            return Some(at);
        }
        at += 1;
    }
}

/// Numbers of an ELF file of either byte order.
struct Header<'a> {
    bytes: &'a [u8],
}

impl Header<'_> {
    fn number(&self, at: usize, len: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(len)?)?;
        let join = |n: u64, b: &u8| n << 8 | u64::from(*b);
        if self.bytes.get(5) == Some(&2) {
            Some(bytes.iter().fold(0, join))
        } else {
            Some(bytes.iter().rev().fold(0, join))
        }
    }
}

/// The length of the BPF object that begins here, or `None` if none does.
fn length(bytes: &[u8]) -> Option<usize> {
    let header = Header { bytes };
    // 64-bit, either byte order, version 1.
    let is_64 = bytes.get(4) == Some(&2) && matches!(bytes.get(5), Some(1 | 2));
    let is_bpf = header.number(16, 2)? == TYPE_REL && header.number(18, 2)? == MACHINE_BPF;
    if !is_64 || !is_bpf || bytes.get(6) != Some(&1) {
        return None;
    }
    let table = usize::try_from(header.number(40, 8)?).ok()?;
    let (row, rows) = (header.number(58, 2)?, header.number(60, 2)?);
    if row != ROW as u64 || rows == 0 {
        return None;
    }
    let mut end = table.checked_add(ROW.checked_mul(usize::try_from(rows).ok()?)?)?;
    for index in 0..usize::try_from(rows).ok()? {
        let at = table.checked_add(index.checked_mul(ROW)?)?;
        if header.number(at + 4, 4)? == SECTION_NOBITS {
            continue;
        }
        let (offset, size) = (header.number(at + 24, 8)?, header.number(at + 32, 8)?);
        end = end.max(usize::try_from(offset.checked_add(size)?).ok()?);
    }
    (end >= HEADER && end <= bytes.len()).then_some(end)
}

/// What the host file calls the place.
fn place(host: &Host<'_>, embedded: &Embedded) -> String {
    let offset = embedded.offset as u64;
    let section = host.section_headers.iter().find(|s| {
        u64::from(s.sh_type) != SECTION_NOBITS
            && offset >= s.sh_offset
            && offset - s.sh_offset < s.sh_size
    });
    let Some(section) = section else {
        return String::new();
    };
    let address = section.sh_addr.wrapping_add(offset - section.sh_offset);
    let symbol = host.syms.iter().find(|s| {
        s.st_value == address
            && s.st_size >= embedded.len as u64
            && host.strtab.get_at(s.st_name) != Some("")
    });
    let name = match symbol {
        Some(symbol) => host.strtab.get_at(symbol.st_name),
        None => host.shdr_strtab.get_at(section.sh_name),
    };
    name.unwrap_or("")
        .chars()
        .take(crate::elf::MAX_NAME)
        .collect()
}
