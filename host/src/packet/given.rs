//! The packet of a run: given as bytes in a file or as hex digits, else an ordinary one.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use skep_spec::ProgType;

use crate::Error;
use crate::text::parse::hex_bytes;

/// A frame for programs that want a packet when none is given: Ethernet, IPv4 192.0.2.1 to 192.0.2.2,
/// UDP port 40000 to 9, 18 zero bytes.
pub const ORDINARY: [u8; 60] = [
    0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x45, 0x00,
    0x00, 0x2e, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb6, 0xbb, 0xc0, 0x00, 0x02, 0x01, 0xc0, 0x00,
    0x02, 0x02, 0x9c, 0x40, 0x00, 0x09, 0x00, 0x1a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
];

/// Bytes of a packet at most.
const MAX_PACKET: u64 = 1 << 20;

/// Whether programs of the type are given packets.
pub fn takes_packet(ty: ProgType) -> bool {
    match ty {
        ProgType::SocketFilter
        | ProgType::SchedCls
        | ProgType::SchedAct
        | ProgType::Xdp
        | ProgType::CgroupSkb
        | ProgType::LwtIn
        | ProgType::LwtOut
        | ProgType::LwtXmit
        | ProgType::SkSkb
        | ProgType::LwtSeg6local
        | ProgType::FlowDissector
        | ProgType::Netfilter => true,
        ProgType::Unspec
        | ProgType::Kprobe
        | ProgType::Tracepoint
        | ProgType::PerfEvent
        | ProgType::CgroupSock
        | ProgType::SockOps
        | ProgType::CgroupDevice
        | ProgType::SkMsg
        | ProgType::RawTracepoint
        | ProgType::CgroupSockAddr
        | ProgType::LircMode2
        | ProgType::SkReuseport
        | ProgType::CgroupSysctl
        | ProgType::RawTracepointWritable
        | ProgType::CgroupSockopt
        | ProgType::Tracing
        | ProgType::StructOps
        | ProgType::Ext
        | ProgType::Lsm
        | ProgType::SkLookup
        | ProgType::Syscall => false,
    }
}

/// Whether the context of programs of the type points to bytes that can be given: a packet, a message,
/// an option's value, a tracepoint's buffer.
pub fn takes_bytes(ty: ProgType) -> bool {
    let others = [
        ProgType::SkMsg,
        ProgType::SkReuseport,
        ProgType::SockOps,
        ProgType::CgroupSockopt,
        ProgType::RawTracepointWritable,
    ];
    takes_packet(ty) || others.contains(&ty)
}

/// Whether the bytes begin with an Ethernet header.
fn is_frame(ty: ProgType) -> bool {
    takes_packet(ty) && ty != ProgType::SkSkb
}

/// The packet for a program of that type: the ordinary one where none is given, none where the type has
/// no packets. `place` is what it was given by, such as `--packet`.
///
/// # Errors
/// One that is empty, too long, no hex, or of no use to the program.
pub fn find(ty: ProgType, given: Option<&str>, place: &str) -> Result<Vec<u8>, Error> {
    let Some(given) = given else {
        let ordinary = takes_packet(ty).then(|| ORDINARY.to_vec());
        return Ok(ordinary.unwrap_or_default());
    };
    if !takes_bytes(ty) {
        return Err(
            Error::of(place, format_args!("programs of type {ty} have no packet"))
                .help("--ctx sets fields of their context"),
        );
    }
    bytes_for(ty, given, place)
}

/// The bytes that are given to programs of a type, in a file or as hex digits.
///
/// # Errors
/// As [`bytes`], where the type's packets begin with an Ethernet header; else fewer.
pub fn bytes_for(ty: ProgType, given: &str, place: &str) -> Result<Vec<u8>, Error> {
    if is_frame(ty) {
        bytes(given, place)
    } else {
        any_bytes(given, place).map(|found| found.1)
    }
}

/// A packet in a file, or as hex digits.
///
/// # Errors
/// One that is shorter than an Ethernet header, too long, or no hex.
pub fn bytes(given: &str, place: &str) -> Result<Vec<u8>, Error> {
    let (name, bytes) = any_bytes(given, place)?;
    if bytes.len() < MIN_PACKET {
        let what = format!(
            "the packet has {} bytes, fewer than an Ethernet header",
            bytes.len()
        );
        return Err(Error::of(name, what).help("an Ethernet header has 14 bytes"));
    }
    Ok(bytes)
}

/// Bytes in a file, or as hex digits or layers, and what they are called in errors.
fn any_bytes(given: &str, place: &str) -> Result<(String, Vec<u8>), Error> {
    let (name, bytes) = if Path::new(given).is_file() {
        (given, read(given)?)
    } else if given.contains('=') {
        (place, layered(given).map_err(|e| e.in_place(place))?)
    } else {
        let bytes = hex_bytes(given).map_err(|e| {
            let what = format!("`{given}` is neither a file nor hex digits ({e})");
            Error::of(place, what)
                .help("write it like 0200000000010200000000020800, spaces and colons are allowed")
        });
        (place, bytes?)
    };
    if bytes.is_empty() {
        return Err(Error::of(name, "the packet is empty")
            .help("it begins with an Ethernet header, which has 14 bytes"));
    }
    Ok((name.to_owned(), bytes))
}

/// A packet by its layers, as the inside of an inline table.
fn layered(text: &str) -> Result<Vec<u8>, Error> {
    /// What the text stands for.
    #[derive(serde::Deserialize)]
    struct Inline {
        packet: super::Layers,
    }
    let inline: Inline = toml::from_str(&format!("packet = {{ {text} }}")).map_err(|e| {
        Error::new(e.message().replace('\n', ", "))
            .help("layers are written like ipv4 = { dst = \"192.0.2.9\" }, udp = { dst = 53 }")
    })?;
    inline.packet.bytes()
}

/// Bytes of an Ethernet header, without which no test run begins.
const MIN_PACKET: usize = 14;

fn read(path: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| Error::of(path, e))?;
    file.take(MAX_PACKET + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::of(path, e))?;
    if bytes.len() as u64 > MAX_PACKET {
        return Err(Error::of(path, "the packet is longer than 1 MiB"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ordinary_packet_has_a_good_checksum() {
        let words = ORDINARY[14..34]
            .chunks(2)
            .map(|w| u32::from(w[0]) << 8 | u32::from(w[1]));
        let sum: u32 = words.sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
        assert_eq!(ORDINARY[16..18], 46u16.to_be_bytes());
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        for bad in ["", "0", "zz", "00", "02:00", "no/such/file"] {
            assert!(find(ProgType::Xdp, Some(bad), "--packet").is_err(), "{bad}");
        }
        assert!(find(ProgType::Kprobe, Some("0200000000010200000000020800"), "").is_err());
        let spaced = "02 00 00 00 00 01  02:00:00:00:00:02 0800";
        assert_eq!(find(ProgType::Xdp, Some(spaced), "").unwrap().len(), 14);
    }
}
