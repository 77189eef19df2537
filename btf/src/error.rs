//! The one error type: what is wrong, at which byte, in which type.

use crate::kinds::TypeId;
use std::fmt;

/// What is wrong with some BTF or BTF.ext, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Byte offset in the data given to the parser, if one byte can be blamed.
    pub offset: Option<usize>,
    /// The type in which it was found, if any.
    pub id: Option<TypeId>,
}

/// The ways in which BTF can be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// The data ends before the thing named.
    Truncated(&'static str),
    /// The first two bytes are not BTF's magic number in either byte order.
    BadMagic(u16),
    /// A version other than 1.
    BadVersion(u8),
    /// The header's length field is smaller than the header.
    BadHeaderLen(u32),
    /// A section named in the header lies outside the data or is misaligned.
    BadSection(&'static str),
    /// The string section does not begin and end with a NUL byte.
    BadStrings,
    /// The string section is not UTF-8.
    NotUtf8,
    /// A string offset beyond the string section.
    BadStringOffset(u32),
    /// A kind number that BTF does not define.
    UnknownKind(u8),
    /// A type id beyond the last type.
    BadTypeId(TypeId),
    /// More types than an id can name.
    TooManyTypes,
    /// A field holds a value that its kind does not allow.
    BadField(&'static str, u32),
    /// Types refer to each other in a circle, or nest deeper than any kernel accepts.
    TooDeep,
    /// A type without a size where one is needed.
    NoSize,
    /// A size that does not fit 32 bits.
    SizeOverflow,
    /// Another kind of type was needed here.
    WrongKind(&'static str),
    /// A rule of the kernel is broken; the text is the kernel's name for it.
    Refused(&'static str),
    /// A parameter of a function or prototype (counted from 1) breaks a rule of the kernel.
    RefusedArg(usize),
    /// The record size of a BTF.ext section is too small or not a multiple of four.
    BadRecordSize(u32),
}

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Error {
            kind,
            offset: None,
            id: None,
        }
    }

    pub(crate) fn at(mut self, offset: usize) -> Self {
        self.offset = self.offset.or(Some(offset));
        self
    }

    pub(crate) fn in_type(mut self, id: TypeId) -> Self {
        self.id = self.id.or(Some(id));
        self
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::Truncated(what) => write!(f, "data ends inside the {what}"),
            ErrorKind::BadMagic(m) => write!(f, "magic number is {m:#06x}, not 0xeb9f"),
            ErrorKind::BadVersion(v) => write!(f, "version {v} is not supported"),
            ErrorKind::BadHeaderLen(n) => write!(f, "header length {n} is too small"),
            ErrorKind::BadSection(s) => write!(f, "{s} section is out of bounds or misaligned"),
            ErrorKind::BadStrings => write!(f, "string section does not begin and end with NUL"),
            ErrorKind::NotUtf8 => write!(f, "string section is not UTF-8"),
            ErrorKind::BadStringOffset(o) => write!(f, "string offset {o} is out of range"),
            ErrorKind::UnknownKind(k) => write!(f, "unknown kind {k}"),
            ErrorKind::BadTypeId(id) => write!(f, "type id {id} is out of range"),
            ErrorKind::TooManyTypes => write!(f, "too many types"),
            ErrorKind::BadField(what, v) => write!(f, "{what} has the invalid value {v}"),
            ErrorKind::TooDeep => write!(f, "types are nested too deep or in a loop"),
            ErrorKind::NoSize => write!(f, "type has no size"),
            ErrorKind::SizeOverflow => write!(f, "type is larger than 4 GiB"),
            ErrorKind::WrongKind(want) => write!(f, "expected {want}"),
            ErrorKind::Refused(rule) => write!(f, "refused by kernels: {rule}"),
            ErrorKind::RefusedArg(n) => write!(f, "refused by kernels: Invalid arg#{n}"),
            ErrorKind::BadRecordSize(n) => write!(f, "record size {n} is invalid"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BTF: {}", self.kind)?;
        if let Some(id) = self.id {
            write!(f, ", in type {id}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, ", at byte {offset:#x}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
