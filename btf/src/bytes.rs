//! Reading integers from untrusted bytes, in either byte order.
//!
//! Every read is bounds-checked and none panics. Reads that the parser has already proven to be
//! in range fall back to zero, so that the views stay infallible.

use crate::error::{Error, ErrorKind};

/// Byte order of a BTF blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endian {
    /// Least significant byte first (x86-64, bpfel).
    Little,
    /// Most significant byte first (s390x, bpfeb).
    Big,
}

impl Endian {
    /// The 32-bit integer at `off`, if `data` reaches that far.
    pub(crate) fn u32(self, data: &[u8], off: usize) -> Option<u32> {
        let end = off.checked_add(4)?;
        let b: [u8; 4] = data.get(off..end)?.try_into().ok()?;
        Some(match self {
            Endian::Little => u32::from_le_bytes(b),
            Endian::Big => u32::from_be_bytes(b),
        })
    }

    pub(crate) fn u16(self, data: &[u8], off: usize) -> Option<u16> {
        let end = off.checked_add(2)?;
        let b: [u8; 2] = data.get(off..end)?.try_into().ok()?;
        Some(match self {
            Endian::Little => u16::from_le_bytes(b),
            Endian::Big => u16::from_be_bytes(b),
        })
    }

    pub(crate) fn put_u32(self, value: u32) -> [u8; 4] {
        match self {
            Endian::Little => value.to_le_bytes(),
            Endian::Big => value.to_be_bytes(),
        }
    }

    pub(crate) fn put_u16(self, value: u16) -> [u8; 2] {
        match self {
            Endian::Little => value.to_le_bytes(),
            Endian::Big => value.to_be_bytes(),
        }
    }
}

/// BTF's magic number, as the writer's own byte order shows it.
pub(crate) const MAGIC: u16 = 0xeb9f;

/// The part of the header that BTF and BTF.ext share: byte order and header length.
pub(crate) fn check_header(data: &[u8], min_len: u32) -> Result<(Endian, u32), Error> {
    let truncated = || Error::new(ErrorKind::Truncated("header")).at(data.len());
    let magic = Endian::Little.u16(data, 0).ok_or_else(truncated)?;
    let endian = if magic == MAGIC {
        Endian::Little
    } else if magic.swap_bytes() == MAGIC {
        Endian::Big
    } else {
        return Err(Error::new(ErrorKind::BadMagic(magic)).at(0));
    };
    let version = *data.get(2).ok_or_else(truncated)?;
    if version != 1 {
        return Err(Error::new(ErrorKind::BadVersion(version)).at(2));
    }
    let hdr_len = endian.u32(data, 4).ok_or_else(truncated)?;
    if hdr_len < min_len {
        return Err(Error::new(ErrorKind::BadHeaderLen(hdr_len)).at(4));
    }
    if hdr_len as usize > data.len() {
        return Err(truncated());
    }
    Ok((endian, hdr_len))
}

/// The bounds of a section given by header fields at `field` (offset) and `field + 4` (length).
pub(crate) fn section(
    data: &[u8],
    endian: Endian,
    hdr_len: u32,
    field: usize,
    name: &'static str,
) -> Result<std::ops::Range<usize>, Error> {
    let bad = || Error::new(ErrorKind::BadSection(name)).at(field);
    let off = endian.u32(data, field).ok_or_else(bad)?;
    let len = endian.u32(data, field + 4).ok_or_else(bad)?;
    let start = u64::from(hdr_len) + u64::from(off);
    let end = start + u64::from(len);
    if end > data.len() as u64 {
        return Err(bad());
    }
    Ok(start as usize..end as usize)
}
