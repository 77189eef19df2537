//! The owner of the bytes: parsing, validation and access by id.
//!
//! Parsing walks the type section once, remembers where each type begins and proves that every
//! length, id, string offset and kind in it is within range, so that views need no errors.
//! What parsing cannot see cheaply (types in a circle) is left to bounded walks.

use crate::bytes::{Endian, check_header, section};
use crate::error::{Error, ErrorKind};
use crate::index::{FlavorIndex, NameIndex, TagIndex};
use crate::kinds::{Kind, TypeId};
use crate::types::Type;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// The types of an object or kernel.
pub struct Btf {
    data: Vec<u8>,
    endian: Endian,
    /// Byte offset of each own type in `data`; the first is that of `start`.
    offsets: Vec<u32>,
    strings: Range<usize>,
    base: Option<Arc<Btf>>,
    /// First own type id: 1, or the number of types of the base.
    start: u32,
    /// First own string offset: 0, or the length of the base's strings.
    string_start: u32,
    pub(crate) names: OnceLock<NameIndex>,
    pub(crate) tags: OnceLock<TagIndex>,
    pub(crate) flavors: OnceLock<FlavorIndex>,
}

/// The header without later versions' additions.
const HEADER_LEN: u32 = 24;

impl Btf {
    /// Parses and validates BTF that stands alone.
    ///
    /// # Errors
    /// Any offset, length, id, string or kind out of range, with the byte and type at fault.
    pub fn parse(data: impl Into<Vec<u8>>) -> Result<Btf, Error> {
        Self::parse_over(data.into(), None)
    }

    /// Parses and validates split BTF, whose ids and strings continue those of `base`.
    ///
    /// # Errors
    /// As [`Btf::parse`].
    pub fn parse_split(data: impl Into<Vec<u8>>, base: Arc<Btf>) -> Result<Btf, Error> {
        Self::parse_over(data.into(), Some(base))
    }

    fn parse_over(data: Vec<u8>, base: Option<Arc<Btf>>) -> Result<Btf, Error> {
        let (endian, hdr_len) = check_header(&data, HEADER_LEN)?;
        if u32::try_from(data.len()).is_err() {
            return Err(Error::new(ErrorKind::BadSection("type")));
        }
        let types = section(&data, endian, hdr_len, 8, "type")?;
        let strings = section(&data, endian, hdr_len, 16, "string")?;
        if !(types.start - hdr_len as usize).is_multiple_of(4) {
            return Err(Error::new(ErrorKind::BadSection("type")).at(8));
        }
        let is_ascii = check_strings(&data, &strings, base.is_some())?;
        let mut btf = Btf {
            data,
            endian,
            offsets: Vec::new(),
            strings,
            start: base.as_ref().map_or(1, |b| b.end()),
            string_start: base.as_ref().map_or(0, |b| b.string_end()),
            base,
            names: OnceLock::new(),
            tags: OnceLock::new(),
            flavors: OnceLock::new(),
        };
        let highest = match endian {
            Endian::Little => btf.index(&types, u32::from_le_bytes)?,
            Endian::Big => btf.index(&types, u32::from_be_bytes)?,
        };
        // Every offset into ASCII begins a character, so the largest ones speak for all.
        let is_proven = is_ascii
            && btf.base.is_none()
            && highest.id < btf.end()
            && highest.name < btf.string_end();
        if !is_proven {
            btf.validate()?;
        }
        Ok(btf)
    }

    /// Finds where each type begins, and the largest id and string offset in any.
    fn index(
        &mut self,
        types: &Range<usize>,
        read: impl Fn([u8; 4]) -> u32 + Copy,
    ) -> Result<Highest, Error> {
        let mut rest = self.data.get(types.clone()).unwrap_or(&[]);
        let mut offsets = Vec::with_capacity(types.len() / 24);
        let mut highest = Highest::default();
        while !rest.is_empty() {
            let at = types.end - rest.len();
            let id = TypeId(self.start.saturating_add(offsets.len() as u32));
            let fail = |kind| Error::new(kind).at(at).in_type(id);
            let truncated = || fail(ErrorKind::Truncated("type"));
            let ([head], _) = rest.split_at(rest.len().min(12)).0.as_chunks::<12>() else {
                return Err(truncated());
            };
            let ([name, info, word], _) = head.as_chunks::<4>() else {
                return Err(truncated());
            };
            let info = read(*info);
            let raw = (info >> 24 & 0x1f) as u8;
            let kind = Kind::from_raw(raw)
                .filter(|k| *k != Kind::Void)
                .ok_or_else(|| fail(ErrorKind::UnknownKind(raw)))?;
            let len = 12 + kind.extra_len(info & 0xffff) as usize;
            let (record, behind) = rest.split_at_checked(len).ok_or_else(truncated)?;
            if id.0 == u32::MAX {
                return Err(fail(ErrorKind::TooManyTypes));
            }
            highest.name(read(*name));
            if kind.refers() {
                highest.id(read(*word));
            }
            highest.elements(kind, record.get(12..).unwrap_or(&[]), read);
            offsets.push(at as u32);
            rest = behind;
        }
        self.offsets = offsets;
        Ok(highest)
    }

    /// Proves that every id and string offset in the type section is in range, one by one.
    fn validate(&self) -> Result<(), Error> {
        let end = self.end();
        let string_end = self.string_end();
        let check_id = |at: usize| {
            let id = self.word(at);
            if id < end {
                Ok(())
            } else {
                Err(Error::new(ErrorKind::BadTypeId(TypeId(id))).at(at))
            }
        };
        let check_name = |at: usize| {
            let off = self.word(at);
            if off < string_end && self.is_char_boundary(off) {
                Ok(())
            } else {
                Err(Error::new(ErrorKind::BadStringOffset(off)).at(at))
            }
        };
        for (index, at) in self.offsets.iter().enumerate() {
            let at = *at as usize;
            let info = self.word(at + 4);
            let kind = Kind::from_raw((info >> 24 & 0x1f) as u8).unwrap_or(Kind::Void);
            let check = || {
                check_name(at)?;
                if kind.refers() {
                    check_id(at + 8)?;
                }
                let extra = at + 12;
                let vlen = (info & 0xffff) as usize;
                match kind {
                    Kind::Array => check_id(extra).and_then(|()| check_id(extra + 4)),
                    Kind::Struct | Kind::Union => (0..vlen).try_for_each(|i| {
                        check_name(extra + 12 * i)?;
                        check_id(extra + 12 * i + 4)
                    }),
                    Kind::FuncProto => (0..vlen).try_for_each(|i| {
                        check_name(extra + 8 * i)?;
                        check_id(extra + 8 * i + 4)
                    }),
                    Kind::Enum => (0..vlen).try_for_each(|i| check_name(extra + 8 * i)),
                    Kind::Enum64 => (0..vlen).try_for_each(|i| check_name(extra + 12 * i)),
                    Kind::DataSec => (0..vlen).try_for_each(|i| check_id(extra + 12 * i)),
                    Kind::Void
                    | Kind::Int
                    | Kind::Ptr
                    | Kind::Fwd
                    | Kind::Typedef
                    | Kind::Volatile
                    | Kind::Const
                    | Kind::Restrict
                    | Kind::Func
                    | Kind::Var
                    | Kind::Float
                    | Kind::DeclTag
                    | Kind::TypeTag => Ok(()),
                }
            };
            check().map_err(|e| e.in_type(TypeId(self.start + index as u32)))?;
        }
        Ok(())
    }

    /// The word at `at`; the parser has proven that it exists for every record it indexed.
    pub(crate) fn word(&self, at: usize) -> u32 {
        self.endian.u32(&self.data, at).unwrap_or(0)
    }

    /// The bytes as they were given.
    pub fn bytes(&self) -> &[u8] {
        &self.data
    }

    /// Byte order of the data.
    pub fn endian(&self) -> Endian {
        self.endian
    }

    /// The BTF that this one continues, if it is split.
    pub fn base(&self) -> Option<&Arc<Btf>> {
        self.base.as_ref()
    }

    /// One more than the last type id; `void` and the base's types included.
    pub fn end(&self) -> u32 {
        self.start + self.offsets.len() as u32
    }

    /// The first type id that is not the base's: 1 for BTF that stands alone.
    pub fn start(&self) -> u32 {
        self.start
    }

    /// The ids of its own types (not of the base), in order, without `void`.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = TypeId> + ExactSizeIterator + use<> {
        (self.start..self.end()).map(TypeId)
    }

    /// Its own types (not of the base) with their ids, in order, without `void`.
    pub fn types(&self) -> impl Iterator<Item = (TypeId, Type<'_>)> + '_ {
        self.offsets.iter().enumerate().map(|(i, at)| {
            (
                TypeId(self.start + i as u32),
                Type::decode(self, *at as usize),
            )
        })
    }

    /// The type with this id.
    ///
    /// # Errors
    /// An id beyond the last type.
    pub fn ty(&self, id: TypeId) -> Result<Type<'_>, Error> {
        if id.is_void() {
            return Ok(Type::Void);
        }
        match self.locate(id) {
            Some((btf, at)) => Ok(Type::decode(btf, at)),
            None => Err(Error::new(ErrorKind::BadTypeId(id))),
        }
    }

    /// The kind of the type with this id, if there is such a type.
    pub fn kind(&self, id: TypeId) -> Option<Kind> {
        if id.is_void() {
            return Some(Kind::Void);
        }
        let (btf, at) = self.locate(id)?;
        Kind::from_raw((btf.word(at + 4) >> 24 & 0x1f) as u8)
    }

    /// The BTF (this or a base) that holds the type, and the byte offset of its record there.
    pub(crate) fn locate(&self, id: TypeId) -> Option<(&Btf, usize)> {
        let mut btf = self;
        while id.0 < btf.start {
            btf = btf.base.as_deref()?;
        }
        let at = *btf.offsets.get((id.0 - btf.start) as usize)?;
        Some((btf, at as usize))
    }

    /// Byte offset of the record of one of its own types.
    pub(crate) fn record_at(&self, index: usize) -> Option<usize> {
        self.offsets.get(index).map(|at| *at as usize)
    }

    /// One more than the last string offset.
    pub(crate) fn string_end(&self) -> u32 {
        self.string_start + self.strings.len() as u32
    }

    /// The first string offset that is its own: 0, or the length of the base's strings.
    pub(crate) fn end_of_base_strings(&self) -> u32 {
        self.string_start
    }

    /// The string section's own bytes (not the base's).
    pub(crate) fn string_bytes(&self) -> &[u8] {
        self.data.get(self.strings.clone()).unwrap_or(&[])
    }

    /// The string section from `off` to its end.
    fn strings_from(&self, off: u32) -> Option<&[u8]> {
        let mut btf = self;
        while off < btf.string_start {
            btf = btf.base.as_deref()?;
        }
        let start = (off - btf.string_start) as usize;
        btf.string_bytes().get(start..)
    }

    /// Whether the string at `off` is `text`.
    pub(crate) fn has_string_at(&self, off: u32, text: &str) -> bool {
        let rest = self.strings_from(off);
        rest.and_then(|rest| rest.strip_prefix(text.as_bytes()))
            .is_some_and(|rest| rest.first() == Some(&0))
    }

    /// The bytes of the string at `off`, without its NUL.
    pub(crate) fn string_at(&self, off: u32) -> Option<&[u8]> {
        let rest = self.strings_from(off)?;
        std::ffi::CStr::from_bytes_until_nul(rest)
            .ok()
            .map(std::ffi::CStr::to_bytes)
    }

    fn is_char_boundary(&self, off: u32) -> bool {
        let mut btf = self;
        while off < btf.string_start {
            let Some(base) = btf.base.as_deref() else {
                return false;
            };
            btf = base;
        }
        // A continuation byte is 0b10xxxxxx.
        btf.string_bytes()
            .get((off - btf.string_start) as usize)
            .is_some_and(|b| *b as i8 >= -0x40)
    }

    /// The string at this offset of the string section (of the base, if it lies there).
    ///
    /// # Errors
    /// An offset beyond the section or inside a character.
    pub fn string(&self, off: u32) -> Result<&str, Error> {
        self.string_at(off)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .ok_or_else(|| Error::new(ErrorKind::BadStringOffset(off)))
    }
}

/// The largest numbers of a type section.
#[derive(Default)]
struct Highest {
    id: u32,
    name: u32,
}

impl Highest {
    fn id(&mut self, id: u32) {
        self.id = self.id.max(id);
    }

    fn name(&mut self, off: u32) {
        self.name = self.name.max(off);
    }

    /// Looks at what follows the first twelve bytes of a record.
    fn elements(&mut self, kind: Kind, extra: &[u8], read: impl Fn([u8; 4]) -> u32 + Copy) {
        let (words, _) = extra.as_chunks::<4>();
        let (threes, _) = words.as_chunks::<3>();
        let (twos, _) = words.as_chunks::<2>();
        match kind {
            Kind::Array => {
                for [element, index, _] in threes {
                    self.id(read(*element));
                    self.id(read(*index));
                }
            }
            Kind::Struct | Kind::Union => {
                for [name, id, _] in threes {
                    self.name(read(*name));
                    self.id(read(*id));
                }
            }
            Kind::FuncProto => {
                for [name, id] in twos {
                    self.name(read(*name));
                    self.id(read(*id));
                }
            }
            Kind::Enum => twos.iter().for_each(|[name, _]| self.name(read(*name))),
            Kind::Enum64 => threes.iter().for_each(|[name, ..]| self.name(read(*name))),
            Kind::DataSec => threes.iter().for_each(|[id, ..]| self.id(read(*id))),
            Kind::Void
            | Kind::Int
            | Kind::Ptr
            | Kind::Fwd
            | Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::Func
            | Kind::Var
            | Kind::Float
            | Kind::DeclTag
            | Kind::TypeTag => {}
        }
    }
}

/// Proves that the strings are UTF-8 and end; whether they are ASCII.
fn check_strings(data: &[u8], range: &Range<usize>, split: bool) -> Result<bool, Error> {
    let bytes = data.get(range.clone()).unwrap_or(&[]);
    if bytes.is_empty() && split {
        return Ok(true);
    }
    // Only the first string of BTF that stands alone is empty by rule.
    if bytes.last() != Some(&0) || (!split && bytes.first() != Some(&0)) {
        return Err(Error::new(ErrorKind::BadStrings).at(range.start));
    }
    if bytes.is_ascii() {
        return Ok(true);
    }
    match std::str::from_utf8(bytes) {
        Ok(_) => Ok(false),
        Err(e) => Err(Error::new(ErrorKind::NotUtf8).at(range.start + e.valid_up_to())),
    }
}

impl std::fmt::Debug for Btf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Btf")
            .field("bytes", &self.data.len())
            .field("types", &(self.start..self.end()))
            .field("endian", &self.endian)
            .finish_non_exhaustive()
    }
}
