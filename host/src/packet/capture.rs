//! Captures: pcap and pcapng, read; pcap, written.
//!
//! Files are hostile: every length is checked against what is there, and an error says at which byte. Both
//! byte orders are understood. Frames that are cut short in the capture keep what was captured.

use crate::Error;

/// One captured packet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Frame {
    /// Nanoseconds since the epoch; 0 where the capture has no time.
    pub time_ns: u64,
    /// The bytes that were captured.
    pub data: Vec<u8>,
    /// Bytes that the packet had.
    pub len: u32,
}

/// Link type of Ethernet, the only one whose frames programs can be given.
const ETHERNET: u32 = 1;
/// Magic numbers of pcap files: with times in microseconds and in nanoseconds.
const MICROS: u32 = 0xa1b2_c3d4;
const NANOS: u32 = 0xa1b2_3c4d;
/// Block types of pcapng.
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OLD_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const PACKET: u32 = 6;
/// What pcapng's section header says for the byte order.
const ORDER: u32 = 0x1a2b_3c4d;
/// Option of an interface that tells the unit of its times.
const TSRESOL: u16 = 9;

/// Whether bytes begin like a capture.
pub fn is_capture(bytes: &[u8]) -> bool {
    let magic = |big| Cursor { bytes, at: 0, big }.u32();
    [false, true]
        .iter()
        .any(|big| matches!(magic(*big), Ok(MICROS | NANOS)))
        || magic(false) == Ok(SECTION)
}

/// The packets of a capture, in order.
///
/// # Errors
/// What is damaged, and where; a link layer that is not Ethernet.
pub fn read(bytes: &[u8]) -> Result<Vec<Frame>, Error> {
    let cursor = Cursor {
        bytes,
        at: 0,
        big: false,
    };
    match cursor.clone().u32()? {
        SECTION => read_ng(cursor),
        MICROS | NANOS => read_classic(cursor),
        magic if matches!(magic.swap_bytes(), MICROS | NANOS) => read_classic(Cursor {
            big: true,
            ..cursor
        }),
        magic => Err(
            Error::new(format!("no capture: it begins with {magic:#010x}"))
                .help("pcap and pcapng are understood"),
        ),
    }
}

/// Little-endian or big-endian numbers, one after the other.
#[derive(Clone)]
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    big: bool,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let end = self.at.checked_add(len);
        let bytes = end
            .and_then(|end| self.bytes.get(self.at..end))
            .ok_or_else(|| {
                let have = self.bytes.len().saturating_sub(self.at);
                Error::new(format!(
                    "the capture ends early: {have} of {len} bytes at byte {:#x}",
                    self.at
                ))
            })?;
        self.at += len;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, Error> {
        let big = self.big;
        let bytes = self.take(4)?.first_chunk().copied().unwrap_or_default();
        Ok(if big {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    fn u16(&mut self) -> Result<u16, Error> {
        let big = self.big;
        let bytes = self.take(2)?.first_chunk().copied().unwrap_or_default();
        Ok(if big {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        })
    }

    fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// What is wrong, where the cursor stands.
    fn wrong(&self, at: usize, what: impl std::fmt::Display) -> Error {
        Error::new(format!("{what}, at byte {at:#x}"))
    }
}

fn check_link(cursor: &Cursor<'_>, at: usize, link: u32) -> Result<(), Error> {
    if link == ETHERNET {
        return Ok(());
    }
    Err(cursor.wrong(
        at,
        format_args!("frames of link type {link}, not Ethernet (1)"),
    ))
}

fn read_classic(mut cursor: Cursor<'_>) -> Result<Vec<Frame>, Error> {
    let unit = if cursor.u32()? == NANOS { 1 } else { 1000 };
    cursor.take(16)?;
    // The upper half holds other things in some files.
    let link = cursor.u32()? & 0xffff;
    check_link(&cursor, 20, link)?;
    let mut frames = Vec::new();
    while !cursor.is_at_end() {
        let (seconds, fraction) = (cursor.u32()?, cursor.u32()?);
        let (captured, len) = (cursor.u32()?, cursor.u32()?);
        frames.push(Frame {
            time_ns: u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * unit,
            data: cursor.take(captured as usize)?.to_vec(),
            len,
        });
    }
    Ok(frames)
}

/// An interface of a section: whether its frames are Ethernet, and the unit of its times.
struct Interface {
    link: u32,
    snap: u32,
    /// Units of time in a second.
    units: u64,
}

fn read_ng(mut cursor: Cursor<'_>) -> Result<Vec<Frame>, Error> {
    let (mut frames, mut interfaces) = (Vec::new(), Vec::new());
    while !cursor.is_at_end() {
        let start = cursor.at;
        let ty = cursor.u32()?;
        if ty == SECTION {
            // The byte order stands behind the length.
            let order = Cursor {
                at: start + 8,
                big: false,
                ..cursor.clone()
            }
            .u32()?;
            cursor.big = match order {
                ORDER => false,
                order if order.swap_bytes() == ORDER => true,
                _ => return Err(cursor.wrong(start + 8, "no byte order of a section")),
            };
            interfaces.clear();
        }
        let len = cursor.u32()? as usize;
        if len < 12 || !len.is_multiple_of(4) {
            return Err(cursor.wrong(start + 4, format_args!("a block of {len} bytes")));
        }
        let body = Cursor {
            bytes: cursor.take(len - 12)?,
            at: 0,
            big: cursor.big,
        };
        if cursor.u32()? as usize != len {
            return Err(cursor.wrong(cursor.at - 4, "a block whose two lengths differ"));
        }
        block(ty, body, &mut interfaces, &mut frames)
            .map_err(|e| e.in_place(format_args!("the block at byte {start:#x}")))?;
    }
    Ok(frames)
}

fn block(
    ty: u32,
    mut body: Cursor<'_>,
    interfaces: &mut Vec<Interface>,
    frames: &mut Vec<Frame>,
) -> Result<(), Error> {
    match ty {
        INTERFACE => {
            let link = u32::from(body.u16()?);
            body.take(2)?;
            let snap = body.u32()?;
            interfaces.push(Interface {
                link,
                snap,
                units: resolution(body)?,
            });
        }
        PACKET | OLD_PACKET => {
            let number = if ty == PACKET {
                body.u32()?
            } else {
                u32::from(body.u16()?)
            };
            if ty == OLD_PACKET {
                body.take(2)?;
            }
            let interface = interfaces.get(number as usize).ok_or_else(|| {
                Error::new(format!("there is no interface {number} in the section"))
            })?;
            check_link(&body, 0, interface.link)?;
            let time = u64::from(body.u32()?) << 32 | u64::from(body.u32()?);
            let (captured, len) = (body.u32()?, body.u32()?);
            let time_ns = u128::from(time) * 1_000_000_000 / u128::from(interface.units.max(1));
            frames.push(Frame {
                time_ns: time_ns as u64,
                data: body.take(captured as usize)?.to_vec(),
                len,
            });
        }
        SIMPLE_PACKET => {
            let interface = interfaces
                .first()
                .ok_or_else(|| Error::new("there is no interface in the section"))?;
            check_link(&body, 0, interface.link)?;
            let len = body.u32()?;
            let captured = if interface.snap == 0 {
                len
            } else {
                len.min(interface.snap)
            };
            frames.push(Frame {
                time_ns: 0,
                data: body.take(captured as usize)?.to_vec(),
                len,
            });
        }
        // Names, statistics and whatever else there is.
        _ => {}
    }
    Ok(())
}

/// Units of an interface's times in a second: microseconds unless an option says otherwise.
fn resolution(mut options: Cursor<'_>) -> Result<u64, Error> {
    while options.bytes.len() - options.at.min(options.bytes.len()) >= 4 {
        let (code, len) = (options.u16()?, usize::from(options.u16()?));
        let value = options.take(len)?;
        options.at = options.at.next_multiple_of(4);
        if code == TSRESOL {
            let exponent = value.first().copied().unwrap_or(6);
            let base: u64 = if exponent & 0x80 == 0 { 10 } else { 2 };
            return Ok(base
                .checked_pow(u32::from(exponent & 0x7f))
                .unwrap_or(u64::MAX));
        }
        if code == 0 {
            break;
        }
    }
    Ok(1_000_000)
}

/// The header of a pcap file with times in nanoseconds.
pub fn header() -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&NANOS.to_le_bytes());
    // Version 2.4, no time zone, frames of any length.
    out.extend_from_slice(&2u16.to_le_bytes());
    out.extend_from_slice(&4u16.to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&(256u32 << 10).to_le_bytes());
    out.extend_from_slice(&ETHERNET.to_le_bytes());
    out
}

/// A packet as it stands in a pcap file behind [`header`].
pub fn record(time_ns: u64, data: &[u8]) -> Vec<u8> {
    let len = u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut out = Vec::with_capacity(16 + data.len());
    out.extend_from_slice(&((time_ns / 1_000_000_000) as u32).to_le_bytes());
    out.extend_from_slice(&((time_ns % 1_000_000_000) as u32).to_le_bytes());
    out.extend_from_slice(&len);
    out.extend_from_slice(&len);
    out.extend_from_slice(data);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Vec<u8> {
        let mut file = header();
        file.extend(record(1_500_000_001, &[1, 2, 3]));
        file.extend(record(2, &[4; 60]));
        file
    }

    /// The same words in the other byte order; only right where no byte strings are inside.
    fn swapped(words: &[u8]) -> Vec<u8> {
        words
            .chunks(4)
            .flat_map(|w| w.iter().rev().copied())
            .collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let frames = read(&written()).unwrap();
        assert_eq!(frames.len(), 2);
        assert_eq!(
            (frames[0].time_ns, frames[0].data.as_slice(), frames[0].len),
            (1_500_000_001, &[1u8, 2, 3][..], 3)
        );
        assert_eq!(frames[1].data, [4; 60]);
        assert!(is_capture(&written()) && !is_capture(b"not one"));
    }

    #[test]
    fn the_other_byte_order_is_read_too() {
        let mut file = swapped(&header());
        file.extend(swapped(&record(7, &[])));
        let frames = read(&file).unwrap();
        assert_eq!((frames.len(), frames[0].time_ns), (1, 7));
    }

    fn block_of(ty: u32, body: &[u8]) -> Vec<u8> {
        let len = (12 + body.len() as u32).to_le_bytes();
        [&ty.to_le_bytes()[..], &len, body, &len].concat()
    }

    fn next_generation() -> Vec<u8> {
        let mut file = block_of(
            SECTION,
            &[&ORDER.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat(),
        );
        // Ethernet, and times in nanoseconds.
        file.extend(block_of(
            INTERFACE,
            &[1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0],
        ));
        let mut packet = Vec::new();
        for word in [0u32, 0, 5, 3, 60] {
            packet.extend_from_slice(&word.to_le_bytes());
        }
        packet.extend_from_slice(&[7, 8, 9, 0]);
        file.extend(block_of(PACKET, &packet));
        file.extend(block_of(5, &[0; 8]));
        file.extend(block_of(SIMPLE_PACKET, &[2, 0, 0, 0, 1, 2, 0, 0]));
        file
    }

    #[test]
    fn pcapng_is_read() {
        let frames = read(&next_generation()).unwrap();
        assert_eq!(frames.len(), 2);
        assert_eq!(
            (frames[0].time_ns, frames[0].data.as_slice(), frames[0].len),
            (5, &[7u8, 8, 9][..], 60)
        );
        assert_eq!(frames[1].data, [1, 2]);
    }

    #[test]
    fn damage_is_an_error_that_says_where() {
        for whole in [written(), next_generation()] {
            for cut in 0..whole.len() {
                // Where a record ends, a shorter capture is a whole one.
                if let Err(error) = read(&whole[..cut]) {
                    assert!(error.what.contains("byte"), "{cut}: {error}");
                }
            }
            for at in 0..whole.len() {
                let mut damaged = whole.clone();
                damaged[at] ^= 0xff;
                let _ = read(&damaged);
            }
        }
        let mut other = written();
        other[20] = 113;
        assert!(read(&other).unwrap_err().what.contains("link type 113"));
    }
}
