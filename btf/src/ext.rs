//! BTF.ext: which function, line and relocation each instruction of an ELF section belongs to.
//!
//! Instruction offsets are in bytes within the ELF section that the records name. Records of later
//! versions may be longer; what is known of them is read.

use crate::bytes::{Endian, MAGIC, check_header, section};
use crate::error::{Error, ErrorKind};
use crate::kinds::TypeId;
use std::ops::Range;

/// The records of one ELF section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecRecords<T> {
    /// Name of the section, as an offset into the BTF's strings.
    pub section: u32,
    /// The records, in the order of the file.
    pub records: Vec<T>,
}

/// The function that begins at an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FuncInfo {
    /// Offset of its first instruction, in bytes.
    pub insn_off: u32,
    /// Its BTF function.
    pub ty: TypeId,
}

/// The source line of an instruction and those that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineInfo {
    /// Offset of the first instruction, in bytes.
    pub insn_off: u32,
    /// File name, as an offset into the BTF's strings.
    pub file: u32,
    /// Text of the line, as an offset into the BTF's strings.
    pub text: u32,
    /// Line in the upper 22 bits, column in the lower 10.
    pub line_col: u32,
}

impl LineInfo {
    /// Line number, from 1; 0 if unknown.
    pub fn line(&self) -> u32 {
        self.line_col >> 10
    }

    /// Column, from 1; 0 if unknown.
    pub fn column(&self) -> u32 {
        self.line_col & 0x3ff
    }
}

/// An instruction to be adjusted to the types of the kernel that will run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoreRelo {
    /// Offset of the instruction, in bytes.
    pub insn_off: u32,
    /// The local type at the root of the access.
    pub ty: TypeId,
    /// The access (`0:1:2`) or enumeration value, as an offset into the BTF's strings.
    pub access: u32,
    /// What is asked about it.
    pub kind: CoreReloKind,
}

/// What a CO-RE relocation asks about a type, field or value of the target kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CoreReloKind {
    /// Offset of a field, in bytes.
    FieldByteOffset,
    /// Size of a field, in bytes.
    FieldByteSize,
    /// Whether a field exists.
    FieldExists,
    /// Whether a field is signed.
    FieldSigned,
    /// Left shift that isolates a bit-field.
    FieldLshift,
    /// Right shift that isolates a bit-field.
    FieldRshift,
    /// Type id in the program's own BTF.
    TypeIdLocal,
    /// Type id in the kernel's BTF.
    TypeIdTarget,
    /// Whether a type exists.
    TypeExists,
    /// Size of a type, in bytes.
    TypeSize,
    /// Whether an enumeration value exists.
    EnumValueExists,
    /// Number of an enumeration value.
    EnumValue,
    /// Whether a type exists and matches in every detail.
    TypeMatches,
    /// A number that libbpf does not define.
    Other(u32),
}

const CORE_KINDS: [CoreReloKind; 13] = [
    CoreReloKind::FieldByteOffset,
    CoreReloKind::FieldByteSize,
    CoreReloKind::FieldExists,
    CoreReloKind::FieldSigned,
    CoreReloKind::FieldLshift,
    CoreReloKind::FieldRshift,
    CoreReloKind::TypeIdLocal,
    CoreReloKind::TypeIdTarget,
    CoreReloKind::TypeExists,
    CoreReloKind::TypeSize,
    CoreReloKind::EnumValueExists,
    CoreReloKind::EnumValue,
    CoreReloKind::TypeMatches,
];

impl CoreReloKind {
    fn from_raw(raw: u32) -> Self {
        CORE_KINDS
            .get(raw as usize)
            .copied()
            .unwrap_or(CoreReloKind::Other(raw))
    }

    fn raw(self) -> u32 {
        if let CoreReloKind::Other(raw) = self {
            return raw;
        }
        CORE_KINDS.iter().position(|k| *k == self).unwrap_or(0) as u32
    }

    /// libbpf's name of the kind, such as `byte_off`.
    pub fn name(self) -> &'static str {
        match self {
            CoreReloKind::FieldByteOffset => "byte_off",
            CoreReloKind::FieldByteSize => "byte_sz",
            CoreReloKind::FieldExists => "field_exists",
            CoreReloKind::FieldSigned => "signed",
            CoreReloKind::FieldLshift => "lshift_u64",
            CoreReloKind::FieldRshift => "rshift_u64",
            CoreReloKind::TypeIdLocal => "local_type_id",
            CoreReloKind::TypeIdTarget => "target_type_id",
            CoreReloKind::TypeExists => "type_exists",
            CoreReloKind::TypeSize => "type_size",
            CoreReloKind::EnumValueExists => "enumval_exists",
            CoreReloKind::EnumValue => "enumval_value",
            CoreReloKind::TypeMatches => "type_matches",
            CoreReloKind::Other(_) => "unknown",
        }
    }
}

/// All records of a `.BTF.ext` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BtfExt {
    /// Functions by section.
    pub funcs: Vec<SecRecords<FuncInfo>>,
    /// Lines by section.
    pub lines: Vec<SecRecords<LineInfo>>,
    /// CO-RE relocations by section.
    pub core_relos: Vec<SecRecords<CoreRelo>>,
}

/// The header of the first version; CO-RE fields follow in later ones.
const HEADER_LEN: u32 = 24;
const CORE_HEADER_LEN: u32 = 32;

impl BtfExt {
    /// Parses the section. String offsets and type ids are not resolved here: they belong to the
    /// BTF beside it.
    ///
    /// # Errors
    /// Any offset, length or record size out of range, with the byte at fault.
    pub fn parse(data: &[u8]) -> Result<BtfExt, Error> {
        let (e, hdr_len) = check_header(data, HEADER_LEN)?;
        let funcs = section(data, e, hdr_len, 8, "func_info")?;
        let lines = section(data, e, hdr_len, 16, "line_info")?;
        let relos = if hdr_len >= CORE_HEADER_LEN {
            section(data, e, hdr_len, 24, "CO-RE relocation")?
        } else {
            0..0
        };
        let word = |at| e.u32(data, at).unwrap_or(0);
        Ok(BtfExt {
            funcs: records(data, e, funcs, "func_info", 8, |at| FuncInfo {
                insn_off: word(at),
                ty: TypeId(word(at + 4)),
            })?,
            lines: records(data, e, lines, "line_info", 16, |at| LineInfo {
                insn_off: word(at),
                file: word(at + 4),
                text: word(at + 8),
                line_col: word(at + 12),
            })?,
            core_relos: records(data, e, relos, "CO-RE relocation", 16, |at| CoreRelo {
                insn_off: word(at),
                ty: TypeId(word(at + 4)),
                access: word(at + 8),
                kind: CoreReloKind::from_raw(word(at + 12)),
            })?,
        })
    }
}

/// The records in `range`: a record size, then for each ELF section a header and its records.
fn records<T>(
    data: &[u8],
    e: Endian,
    range: Range<usize>,
    what: &'static str,
    min_size: u32,
    decode: impl Fn(usize) -> T,
) -> Result<Vec<SecRecords<T>>, Error> {
    let mut out = Vec::new();
    if range.is_empty() {
        return Ok(out);
    }
    let truncated = |at| Error::new(ErrorKind::Truncated(what)).at(at);
    let word = |at: usize| {
        if at + 4 > range.end {
            None
        } else {
            e.u32(data, at)
        }
        .ok_or_else(|| truncated(at))
    };
    let size = word(range.start)?;
    if size < min_size || size % 4 != 0 {
        return Err(Error::new(ErrorKind::BadRecordSize(size)).at(range.start));
    }
    let mut at = range.start + 4;
    while at < range.end {
        let section = word(at)?;
        let count = word(at + 4)?;
        at += 8;
        let len = u64::from(count) * u64::from(size);
        if count == 0 || len > (range.end - at) as u64 {
            return Err(truncated(at));
        }
        let records = (0..count as usize)
            .map(|i| decode(at + i * size as usize))
            .collect();
        at += len as usize;
        out.push(SecRecords { section, records });
    }
    Ok(out)
}

/// Builds a `.BTF.ext` section: functions, lines and CO-RE relocations, grouped by ELF section.
#[derive(Debug, Clone)]
pub struct BtfExtBuilder {
    endian: Endian,
    funcs: Vec<SecRecords<FuncInfo>>,
    lines: Vec<SecRecords<LineInfo>>,
    core_relos: Vec<SecRecords<CoreRelo>>,
}

impl BtfExtBuilder {
    /// An empty section of this byte order.
    pub fn new(endian: Endian) -> Self {
        BtfExtBuilder {
            endian,
            funcs: Vec::new(),
            lines: Vec::new(),
            core_relos: Vec::new(),
        }
    }

    /// Adds a function; `section` is the name's offset in the BTF's strings.
    pub fn func(&mut self, section: u32, info: FuncInfo) {
        push(&mut self.funcs, section, info);
    }

    /// Adds a line; `section` is the name's offset in the BTF's strings.
    pub fn line(&mut self, section: u32, info: LineInfo) {
        push(&mut self.lines, section, info);
    }

    /// Adds a CO-RE relocation; `section` is the name's offset in the BTF's strings.
    pub fn core_relo(&mut self, section: u32, relo: CoreRelo) {
        push(&mut self.core_relos, section, relo);
    }

    /// The section as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let e = self.endian;
        let funcs = encode(e, 8, &self.funcs, |f| vec![f.insn_off, f.ty.0]);
        let lines = encode(e, 16, &self.lines, |l| {
            vec![l.insn_off, l.file, l.text, l.line_col]
        });
        let relos = encode(e, 16, &self.core_relos, |r| {
            vec![r.insn_off, r.ty.0, r.access, r.kind.raw()]
        });
        let (flen, llen) = (funcs.len() as u32, lines.len() as u32);
        let rlen = relos.len() as u32;
        let mut out = Vec::new();
        out.extend_from_slice(&e.put_u16(MAGIC));
        out.extend_from_slice(&[1, 0]);
        for word in [CORE_HEADER_LEN, 0, flen, flen, llen, flen + llen, rlen] {
            out.extend_from_slice(&e.put_u32(word));
        }
        out.extend_from_slice(&funcs);
        out.extend_from_slice(&lines);
        out.extend_from_slice(&relos);
        out
    }
}

fn push<T>(list: &mut Vec<SecRecords<T>>, section: u32, record: T) {
    match list.iter_mut().find(|s| s.section == section) {
        Some(s) => s.records.push(record),
        None => list.push(SecRecords {
            section,
            records: vec![record],
        }),
    }
}

fn encode<T>(
    e: Endian,
    size: u32,
    sections: &[SecRecords<T>],
    words: impl Fn(&T) -> Vec<u32>,
) -> Vec<u8> {
    let mut out = Vec::new();
    if sections.is_empty() {
        return out;
    }
    out.extend_from_slice(&e.put_u32(size));
    for section in sections {
        out.extend_from_slice(&e.put_u32(section.section));
        out.extend_from_slice(&e.put_u32(section.records.len() as u32));
        for record in &section.records {
            for word in words(record) {
                out.extend_from_slice(&e.put_u32(word));
            }
        }
    }
    out
}
