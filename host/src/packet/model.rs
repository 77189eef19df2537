//! What can be said of a packet by layers.
//!
//! Layers are those of the common stack, outside first: Ethernet, VLAN tags, ARP, IPv4 or IPv6, UDP, TCP
//! or ICMP, payload; behind an IP header (or in a UDP payload) another packet may follow. What is not
//! said gets an ordinary value.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Deserialize;

/// A packet by its layers.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Layers {
    /// The Ethernet header; an inner packet has none unless it is said.
    pub eth: Option<Eth>,
    /// VLAN tags, the outer one first.
    pub vlan: Vec<Vlan>,
    /// An ARP message.
    pub arp: Option<Arp>,
    /// The IPv4 header.
    pub ipv4: Option<Ipv4>,
    /// The IPv6 header.
    pub ipv6: Option<Ipv6>,
    /// The UDP header.
    pub udp: Option<Udp>,
    /// The TCP header.
    pub tcp: Option<Tcp>,
    /// The ICMP (or ICMPv6) header.
    pub icmp: Option<Icmp>,
    /// Text of the payload.
    pub text: Option<String>,
    /// Hex digits of the payload, behind the text.
    pub payload: Option<String>,
    /// A packet instead of (or behind) the payload.
    pub inner: Option<Box<Layers>>,
    /// Zeros at the end up to that length in bytes.
    pub pad: Option<usize>,
}

/// An Ethernet header.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Eth {
    /// Destination address.
    pub dst: Option<String>,
    /// Source address.
    pub src: Option<String>,
    /// Type, else that of the next layer.
    #[serde(rename = "type")]
    pub ty: Option<u16>,
}

/// A VLAN tag.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Vlan {
    /// Number of the network.
    pub id: u16,
    /// Priority.
    pub pcp: u8,
    /// Drop eligible.
    pub dei: bool,
    /// Type in front of the tag, else 802.1Q.
    pub tpid: Option<u16>,
}

/// An ARP message for IPv4 over Ethernet.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Arp {
    /// 1 asks, 2 answers.
    pub op: u16,
    /// Sender's hardware address.
    pub sender_mac: Option<String>,
    /// Sender's address.
    pub sender: Ipv4Addr,
    /// Target's hardware address.
    pub target_mac: Option<String>,
    /// Target's address.
    pub target: Ipv4Addr,
}

/// An IPv4 header.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Ipv4 {
    /// Source address.
    pub src: Ipv4Addr,
    /// Destination address.
    pub dst: Ipv4Addr,
    /// Type of service byte.
    pub tos: u8,
    /// Identification.
    pub id: u16,
    /// "Don't fragment".
    pub df: bool,
    /// "More fragments".
    pub mf: bool,
    /// Offset of the fragment in units of 8 bytes.
    pub frag: u16,
    /// Time to live.
    pub ttl: u8,
    /// Protocol, else that of the next layer.
    pub proto: Option<u8>,
    /// Hex digits of the options; a multiple of 4 bytes.
    pub options: Option<String>,
    /// Header length in units of 4 bytes, else the true one.
    pub ihl: Option<u8>,
    /// Total length, else the true one.
    pub len: Option<u16>,
    /// Checksum, else the right one.
    pub checksum: Option<u16>,
}

/// An IPv6 header.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Ipv6 {
    /// Source address.
    pub src: Ipv6Addr,
    /// Destination address.
    pub dst: Ipv6Addr,
    /// Traffic class.
    pub class: u8,
    /// Flow label.
    pub flow: u32,
    /// Hop limit.
    pub hop_limit: u8,
    /// Next header, else that of the next layer.
    pub next: Option<u8>,
    /// Payload length, else the true one.
    pub len: Option<u16>,
}

/// A UDP header.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Udp {
    /// Source port.
    pub src: u16,
    /// Destination port.
    pub dst: u16,
    /// Length, else the true one.
    pub len: Option<u16>,
    /// Checksum, else the right one.
    pub checksum: Option<u16>,
}

/// A TCP header.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Tcp {
    /// Source port.
    pub src: u16,
    /// Destination port.
    pub dst: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledged number.
    pub ack: u32,
    /// Flags by their letters: `S` SYN, `A` ACK, `F` FIN, `R` RST, `P` PSH, `U` URG, `E` ECE, `C` CWR.
    pub flags: String,
    /// Window.
    pub window: u16,
    /// Hex digits of the options; a multiple of 4 bytes.
    pub options: Option<String>,
    /// Checksum, else the right one.
    pub checksum: Option<u16>,
}

/// An ICMP or ICMPv6 header.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Icmp {
    /// Type.
    #[serde(rename = "type")]
    pub ty: u8,
    /// Code.
    pub code: u8,
    /// Identifier of an echo.
    pub id: u16,
    /// Sequence number of an echo.
    pub seq: u16,
    /// Checksum, else the right one.
    pub checksum: Option<u16>,
}

impl Default for Arp {
    fn default() -> Arp {
        let (sender, target) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
        Arp {
            op: 1,
            sender_mac: None,
            sender,
            target_mac: None,
            target,
        }
    }
}

impl Default for Ipv4 {
    fn default() -> Ipv4 {
        Ipv4 {
            src: Ipv4Addr::new(192, 0, 2, 1),
            dst: Ipv4Addr::new(192, 0, 2, 2),
            tos: 0,
            id: 0,
            df: false,
            mf: false,
            frag: 0,
            ttl: 64,
            proto: None,
            options: None,
            ihl: None,
            len: None,
            checksum: None,
        }
    }
}

impl Default for Ipv6 {
    fn default() -> Ipv6 {
        Ipv6 {
            src: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
            dst: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2),
            class: 0,
            flow: 0,
            hop_limit: 64,
            next: None,
            len: None,
        }
    }
}

impl Default for Udp {
    fn default() -> Udp {
        Udp {
            src: 40000,
            dst: 9,
            len: None,
            checksum: None,
        }
    }
}

impl Default for Tcp {
    fn default() -> Tcp {
        Tcp {
            src: 40000,
            dst: 9,
            seq: 1,
            ack: 0,
            flags: "S".to_owned(),
            window: 0xffff,
            options: None,
            checksum: None,
        }
    }
}

impl Default for Icmp {
    fn default() -> Icmp {
        Icmp {
            ty: 8,
            code: 0,
            id: 1,
            seq: 1,
            checksum: None,
        }
    }
}
