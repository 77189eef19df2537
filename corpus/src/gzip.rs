//! gzip (RFC 1952) with deflate (RFC 1951): what `/proc/config.gz` is written in.
//!
//! Bits are taken from the lowest of each byte on. A code table maps lengths to ranges of symbols,
//! as the format's own canonical codes do, so that a code is read one bit at a time without any
//! table of patterns: the files are small.

use std::io;

/// The contents of a gzip file, at most `limit` bytes.
///
/// # Errors
/// Bytes that are no gzip, are cut short, or hold more.
pub(crate) fn gunzip(bytes: &[u8], limit: usize) -> io::Result<Vec<u8>> {
    let mut input = Bits {
        bytes,
        at: header_len(bytes)?,
        held: 0,
        count: 0,
    };
    let mut out = Vec::new();
    loop {
        let last = input.take(1)? == 1;
        match input.take(2)? {
            0 => stored(&mut input, &mut out, limit)?,
            1 => {
                let (literals, distances) = fixed_codes();
                compressed(&mut input, &mut out, limit, &literals, &distances)?;
            }
            2 => {
                let (literals, distances) = dynamic_codes(&mut input)?;
                compressed(&mut input, &mut out, limit, &literals, &distances)?;
            }
            _ => return Err(damaged()),
        }
        if last {
            break;
        }
    }
    check_trailer(bytes, input.at, &out)?;
    Ok(out)
}

fn damaged() -> io::Error {
    io::Error::other("damaged gzip file")
}

/// Bytes before the compressed contents: ten, then fields that flags announce.
fn header_len(bytes: &[u8]) -> io::Result<usize> {
    let [0x1f, 0x8b, 8, flags, ..] = bytes else {
        return Err(io::Error::other("not a gzip file"));
    };
    let mut at = 10;
    if flags & 4 != 0 {
        let len = bytes.get(at..at + 2).ok_or_else(damaged)?;
        at += 2 + len.iter().rev().fold(0, |n, b| n << 8 | usize::from(*b));
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            let rest = bytes.get(at..).ok_or_else(damaged)?;
            at += 1 + rest.iter().position(|b| *b == 0).ok_or_else(damaged)?;
        }
    }
    if flags & 2 != 0 {
        at += 2;
    }
    Ok(at)
}

/// The contents' length stands at the end, behind a checksum.
fn check_trailer(bytes: &[u8], at: usize, out: &[u8]) -> io::Result<()> {
    let len = bytes
        .get(at + 4..at + 8)
        .and_then(|b| b.try_into().ok())
        .map(u32::from_le_bytes);
    if len == Some(out.len() as u32) {
        Ok(())
    } else {
        Err(damaged())
    }
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    held: u32,
    count: u32,
}

impl Bits<'_> {
    /// The next bits as a number; at most 16.
    fn take(&mut self, want: u32) -> io::Result<u32> {
        while self.count < want {
            let byte = *self.bytes.get(self.at).ok_or_else(damaged)?;
            self.at += 1;
            self.held |= u32::from(byte) << self.count;
            self.count += 8;
        }
        let bits = self.held & ((1 << want) - 1);
        self.held >>= want;
        self.count -= want;
        Ok(bits)
    }
}

/// Canonical codes: how many of each length, and the symbols by code.
struct Codes {
    counts: [u16; LONGEST + 1],
    symbols: Vec<u16>,
}

const LONGEST: usize = 15;

impl Codes {
    fn new(lengths: &[u8]) -> Codes {
        let mut counts = [0u16; LONGEST + 1];
        for len in lengths.iter().filter(|l| **l != 0) {
            if let Some(count) = counts.get_mut(usize::from(*len)) {
                *count += 1;
            }
        }
        let mut symbols: Vec<u16> = (0..lengths.len() as u16)
            .filter(|s| lengths.get(usize::from(*s)).is_some_and(|l| *l != 0))
            .collect();
        symbols.sort_by_key(|s| lengths.get(usize::from(*s)).copied());
        Codes { counts, symbols }
    }

    fn read(&self, input: &mut Bits<'_>) -> io::Result<usize> {
        let (mut code, mut first, mut index) = (0i32, 0i32, 0i32);
        for count in self.counts.iter().skip(1) {
            code |= input.take(1)? as i32;
            let count = i32::from(*count);
            if code - first < count {
                let at = (index + code - first) as usize;
                return self
                    .symbols
                    .get(at)
                    .map(|s| usize::from(*s))
                    .ok_or_else(damaged);
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err(damaged())
    }
}

fn fixed_codes() -> (Codes, Codes) {
    let lengths: Vec<u8> = (0..288)
        .map(|s| match s {
            0..=143 => 8,
            144..=255 => 9,
            256..=279 => 7,
            _ => 8,
        })
        .collect();
    (Codes::new(&lengths), Codes::new(&[5; 30]))
}

/// The order in which a block tells the lengths of the codes that tell lengths.
const LENGTH_ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

fn dynamic_codes(input: &mut Bits<'_>) -> io::Result<(Codes, Codes)> {
    let literals = input.take(5)? as usize + 257;
    let distances = input.take(5)? as usize + 1;
    let told = input.take(4)? as usize + 4;
    let mut lengths = [0u8; 19];
    for place in LENGTH_ORDER.iter().take(told) {
        let len = input.take(3)? as u8;
        if let Some(slot) = lengths.get_mut(*place) {
            *slot = len;
        }
    }
    let codes = Codes::new(&lengths);
    let mut lengths: Vec<u8> = Vec::new();
    while lengths.len() < literals + distances {
        let (value, times) = match codes.read(input)? {
            16 => {
                let last = *lengths.last().ok_or_else(damaged)?;
                (last, 3 + input.take(2)?)
            }
            17 => (0, 3 + input.take(3)?),
            18 => (0, 11 + input.take(7)?),
            len => (len as u8, 1),
        };
        lengths.extend(std::iter::repeat_n(value, times as usize));
    }
    if lengths.len() != literals + distances {
        return Err(damaged());
    }
    let (literals, distances) = lengths.split_at(literals);
    Ok((Codes::new(literals), Codes::new(distances)))
}

fn stored(input: &mut Bits<'_>, out: &mut Vec<u8>, limit: usize) -> io::Result<()> {
    // Whole bytes follow; the bits that are left over mean nothing.
    (input.held, input.count) = (0, 0);
    let len = input.take(16)?;
    if input.take(16)? != len ^ 0xffff {
        return Err(damaged());
    }
    let end = input.at + len as usize;
    let bytes = input.bytes.get(input.at..end).ok_or_else(damaged)?;
    input.at = end;
    room(out, bytes.len(), limit)?;
    out.extend_from_slice(bytes);
    Ok(())
}

fn room(out: &[u8], more: usize, limit: usize) -> io::Result<()> {
    if out.len() + more > limit {
        return Err(io::Error::other("more contents than allowed"));
    }
    Ok(())
}

/// Lengths of copies: the smallest of each symbol from 257 on, and the bits that add to it.
const LENGTHS: [(u16, u8); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

/// Distances of copies, likewise.
const DISTANCES: [(u16, u8); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];

fn compressed(
    input: &mut Bits<'_>,
    out: &mut Vec<u8>,
    limit: usize,
    literals: &Codes,
    distances: &Codes,
) -> io::Result<()> {
    loop {
        let symbol = literals.read(input)?;
        if symbol < 256 {
            room(out, 1, limit)?;
            out.push(symbol as u8);
            continue;
        }
        if symbol == 256 {
            return Ok(());
        }
        let (base, bits) = *LENGTHS.get(symbol - 257).ok_or_else(damaged)?;
        let len = usize::from(base) + input.take(bits.into())? as usize;
        let (base, bits) = *DISTANCES.get(distances.read(input)?).ok_or_else(damaged)?;
        let distance = usize::from(base) + input.take(bits.into())? as usize;
        let from = out.len().checked_sub(distance).ok_or_else(damaged)?;
        room(out, len, limit)?;
        for at in from..from + len {
            // A copy may read what it has just written.
            let byte = out.get(at).copied().ok_or_else(damaged)?;
            out.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf 'bees\n' | gzip -n`
    const FIXED: &str = "1f8b08000000000000034b4a4d2de60200e11ef38305000000";

    fn unhex(hex: &str) -> Vec<u8> {
        crate::fields::from_hex(hex).unwrap()
    }

    #[test]
    fn a_small_file_is_read() {
        assert_eq!(gunzip(&unhex(FIXED), 5).unwrap(), b"bees\n");
        assert!(gunzip(&unhex(FIXED), 4).is_err(), "the limit holds");
    }

    #[test]
    fn every_cut_and_every_flip_is_an_error_or_harmless() {
        let bytes = unhex(FIXED);
        for end in 0..bytes.len() {
            assert!(gunzip(&bytes[..end], 100).is_err(), "cut to {end}");
        }
        for at in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[at / 8] ^= 1 << (at % 8);
            let _ = gunzip(&bad, 100);
        }
    }

    #[test]
    fn the_running_kernels_configuration_is_read() {
        match std::fs::read("/proc/config.gz") {
            Ok(bytes) => {
                let text = String::from_utf8(gunzip(&bytes, 16 << 20).unwrap()).unwrap();
                assert!(text.lines().any(|l| l == "CONFIG_BPF=y"));
            }
            Err(e) => eprintln!("skipped: /proc/config.gz: {e}"),
        }
    }
}
