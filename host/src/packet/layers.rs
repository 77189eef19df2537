//! Packets by layer, turned into bytes: lengths, types and checksums are computed unless they are given, so
//! that wrong ones can be made on purpose.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::model::{Arp, Icmp, Ipv4, Ipv6, Layers, Tcp, Udp};
use crate::Error;
use crate::text::parse::{hex_bytes, mac};

const ETH_IPV4: u16 = 0x0800;
const ETH_ARP: u16 = 0x0806;
const ETH_VLAN: u16 = 0x8100;
const ETH_IPV6: u16 = 0x86dd;
const PROTO_ICMP: u8 = 1;
const PROTO_IPIP: u8 = 4;
const PROTO_TCP: u8 = 6;
const PROTO_UDP: u8 = 17;
const PROTO_IPV6: u8 = 41;
const PROTO_ICMPV6: u8 = 58;
/// Packets inside packets at most.
const MOST_NESTED: usize = 8;

/// The addresses that checksums of transport headers cover.
#[derive(Clone, Copy)]
enum Ends {
    None,
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

impl Layers {
    /// The packet's bytes.
    ///
    /// # Errors
    /// Layers that exclude each other, addresses and digits that are none, what does not fit its field.
    pub fn bytes(&self) -> Result<Vec<u8>, Error> {
        self.build(true, 0)
    }

    fn build(&self, outermost: bool, depth: usize) -> Result<Vec<u8>, Error> {
        self.check(depth)?;
        let network = self.network(depth)?;
        let mut out = Vec::new();
        let tags = !self.vlan.is_empty();
        if outermost || self.eth.is_some() || tags {
            let inside = self.ethernet_type();
            let first = self
                .vlan
                .first()
                .map_or(inside, |v| v.tpid.unwrap_or(ETH_VLAN));
            let eth = self.eth.clone().unwrap_or_default();
            out.extend_from_slice(&address(eth.dst.as_deref(), DST_MAC)?);
            out.extend_from_slice(&address(eth.src.as_deref(), SRC_MAC)?);
            out.extend_from_slice(
                &if tags { first } else { eth.ty.unwrap_or(first) }.to_be_bytes(),
            );
            for (place, tag) in self.vlan.iter().enumerate() {
                let next = self.vlan.get(place + 1);
                let next = next.map_or(eth.ty.unwrap_or(inside), |v| v.tpid.unwrap_or(ETH_VLAN));
                let tci = tag.id | u16::from(tag.dei) << 12 | u16::from(tag.pcp) << 13;
                out.extend_from_slice(&tci.to_be_bytes());
                out.extend_from_slice(&next.to_be_bytes());
            }
        }
        out.extend_from_slice(&network);
        if let Some(pad) = self.pad {
            if pad > MOST_BYTES {
                return Err(Error::new(format!(
                    "pad = {pad}: packets have at most {MOST_BYTES} bytes"
                )));
            }
            out.resize(pad.max(out.len()), 0);
        }
        Ok(out)
    }

    /// Layers that exclude each other.
    fn check(&self, depth: usize) -> Result<(), Error> {
        if depth > MOST_NESTED {
            return Err(Error::new(format!(
                "packets are nested deeper than {MOST_NESTED}"
            )));
        }
        let network = [self.arp.is_some(), self.ipv4.is_some(), self.ipv6.is_some()];
        let transport = [self.udp.is_some(), self.tcp.is_some(), self.icmp.is_some()];
        let count = |set: [bool; 3]| set.iter().filter(|is| **is).count();
        if count(network) > 1 {
            return Err(Error::new("a packet has one of arp, ipv4 and ipv6")
                .help("`inner` holds a packet inside a packet"));
        }
        if count(transport) > 1 {
            return Err(Error::new("a packet has one of udp, tcp and icmp"));
        }
        if self.vlan.iter().any(|v| v.id > 0xfff || v.pcp > 7) {
            return Err(Error::new("a vlan id has 12 bits and its pcp 3"));
        }
        Ok(())
    }

    fn has_transport(&self) -> bool {
        self.udp.is_some() || self.tcp.is_some() || self.icmp.is_some()
    }

    fn ethernet_type(&self) -> u16 {
        if self.arp.is_some() {
            ETH_ARP
        } else if self.ipv6.is_some() {
            ETH_IPV6
        } else {
            ETH_IPV4
        }
    }

    /// The network layer and all behind it.
    fn network(&self, depth: usize) -> Result<Vec<u8>, Error> {
        if let Some(arp) = &self.arp {
            return arp_bytes(arp);
        }
        let ordinary = Ipv4::default();
        // A transport header without a network header gets one.
        let v4 = self
            .ipv4
            .as_ref()
            .or((self.has_transport() && self.ipv6.is_none()).then_some(&ordinary));
        let ends = match (v4, &self.ipv6) {
            (Some(v4), _) => Ends::V4(v4.src, v4.dst),
            (None, Some(v6)) => Ends::V6(v6.src, v6.dst),
            (None, None) => Ends::None,
        };
        let behind = self.transport(ends, depth)?;
        match (v4, &self.ipv6) {
            (Some(v4), _) => ipv4_bytes(v4, self.protocol(false), &behind),
            (None, Some(v6)) => ipv6_bytes(v6, self.protocol(true), &behind),
            (None, None) => Ok(behind),
        }
    }

    /// The protocol of what is behind the IP header.
    fn protocol(&self, v6: bool) -> u8 {
        let inner = self.inner.as_deref();
        if self.udp.is_some() {
            PROTO_UDP
        } else if self.tcp.is_some() {
            PROTO_TCP
        } else if self.icmp.is_some() {
            if v6 { PROTO_ICMPV6 } else { PROTO_ICMP }
        } else if inner.is_some_and(|i| i.ipv6.is_some()) {
            PROTO_IPV6
        } else if inner.is_some() {
            PROTO_IPIP
        } else {
            // "Experimentation and testing" (RFC 3692).
            253
        }
    }

    fn transport(&self, ends: Ends, depth: usize) -> Result<Vec<u8>, Error> {
        let mut data = self.text.clone().unwrap_or_default().into_bytes();
        if let Some(digits) = &self.payload {
            data.extend(hex(digits, "payload")?);
        }
        if let Some(inner) = &self.inner {
            data.extend(inner.build(false, depth + 1)?);
        }
        if data.len() > MOST_BYTES {
            return Err(Error::new(format!(
                "packets have at most {MOST_BYTES} bytes"
            )));
        }
        if let Some(udp) = &self.udp {
            return Ok(udp_bytes(udp, ends, &data));
        }
        if let Some(tcp) = &self.tcp {
            return tcp_bytes(tcp, ends, &data);
        }
        if let Some(icmp) = &self.icmp {
            return Ok(icmp_bytes(icmp, ends, &data));
        }
        Ok(data)
    }
}

/// Bytes of a packet at most.
const MOST_BYTES: usize = 64 << 10;
const DST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const SRC_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

fn address(given: Option<&str>, ordinary: [u8; 6]) -> Result<[u8; 6], Error> {
    match given {
        None => Ok(ordinary),
        Some(text) => mac(text).ok_or_else(|| {
            Error::new(format!("`{text}` is no Ethernet address"))
                .help("write it like 02:00:00:00:00:01")
        }),
    }
}

fn hex(digits: &str, what: &str) -> Result<Vec<u8>, Error> {
    hex_bytes(digits).map_err(|e| Error::new(format!("{what} `{digits}`: {e}")))
}

/// Options of a header, which come in words of four bytes.
fn options(digits: Option<&str>, most: usize) -> Result<Vec<u8>, Error> {
    let bytes = hex(digits.unwrap_or_default(), "options")?;
    if bytes.len() % 4 != 0 || bytes.len() > most {
        return Err(Error::new(format!(
            "options have {} bytes, not a multiple of 4 up to {most}",
            bytes.len()
        )));
    }
    Ok(bytes)
}

/// The Internet checksum of bytes, on top of a sum.
fn checksum(bytes: &[u8], sum: u32) -> u16 {
    let words = bytes.chunks(2).map(|w| match w {
        [a, b] => u32::from(u16::from_be_bytes([*a, *b])),
        [a, ..] => u32::from(*a) << 8,
        [] => 0,
    });
    let mut sum = u64::from(sum) + words.map(u64::from).sum::<u64>();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The sum of the pseudo header in front of a transport header.
fn pseudo(ends: Ends, proto: u8, len: usize) -> u32 {
    let half = |bytes: &[u8]| {
        bytes
            .chunks(2)
            .map(|w| w.iter().fold(0, |n, b| n << 8 | u32::from(*b)))
            .sum::<u32>()
    };
    let fixed = u32::from(proto) + len as u32;
    match ends {
        Ends::None => 0,
        Ends::V4(src, dst) => fixed + half(&src.octets()) + half(&dst.octets()),
        Ends::V6(src, dst) => fixed + half(&src.octets()) + half(&dst.octets()),
    }
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(to) = bytes.get_mut(at..at + 2) {
        to.copy_from_slice(&value.to_be_bytes());
    }
}

fn arp_bytes(arp: &Arp) -> Result<Vec<u8>, Error> {
    let mut out = vec![0, 1, 8, 0, 6, 4];
    out.extend_from_slice(&arp.op.to_be_bytes());
    out.extend_from_slice(&address(arp.sender_mac.as_deref(), SRC_MAC)?);
    out.extend_from_slice(&arp.sender.octets());
    out.extend_from_slice(&address(arp.target_mac.as_deref(), [0; 6])?);
    out.extend_from_slice(&arp.target.octets());
    Ok(out)
}

fn ipv4_bytes(ip: &Ipv4, proto: u8, behind: &[u8]) -> Result<Vec<u8>, Error> {
    let options = options(ip.options.as_deref(), 40)?;
    let words = 5 + options.len() as u8 / 4;
    let len = 20 + options.len() + behind.len();
    let mut out = vec![0x40 | ip.ihl.unwrap_or(words) & 0xf, ip.tos];
    out.extend_from_slice(&ip.len.unwrap_or(len as u16).to_be_bytes());
    out.extend_from_slice(&ip.id.to_be_bytes());
    let flags = u16::from(ip.df) << 14 | u16::from(ip.mf) << 13 | ip.frag & 0x1fff;
    out.extend_from_slice(&flags.to_be_bytes());
    out.extend_from_slice(&[ip.ttl, ip.proto.unwrap_or(proto), 0, 0]);
    out.extend_from_slice(&ip.src.octets());
    out.extend_from_slice(&ip.dst.octets());
    out.extend_from_slice(&options);
    let sum = ip.checksum.unwrap_or_else(|| checksum(&out, 0));
    put(&mut out, 10, sum);
    out.extend_from_slice(behind);
    Ok(out)
}

fn ipv6_bytes(ip: &Ipv6, next: u8, behind: &[u8]) -> Result<Vec<u8>, Error> {
    if ip.flow > 0xf_ffff {
        return Err(Error::new("a flow label has 20 bits"));
    }
    let first = 6 << 28 | u32::from(ip.class) << 20 | ip.flow;
    let mut out = first.to_be_bytes().to_vec();
    out.extend_from_slice(&ip.len.unwrap_or(behind.len() as u16).to_be_bytes());
    out.extend_from_slice(&[ip.next.unwrap_or(next), ip.hop_limit]);
    out.extend_from_slice(&ip.src.octets());
    out.extend_from_slice(&ip.dst.octets());
    out.extend_from_slice(behind);
    Ok(out)
}

fn udp_bytes(udp: &Udp, ends: Ends, data: &[u8]) -> Vec<u8> {
    let len = 8 + data.len();
    let mut out = Vec::with_capacity(len);
    for word in [udp.src, udp.dst, udp.len.unwrap_or(len as u16), 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(data);
    // A sum of zero is sent as all ones: zero says that there is none.
    let right = match checksum(&out, pseudo(ends, PROTO_UDP, len)) {
        0 => 0xffff,
        sum => sum,
    };
    put(&mut out, 6, udp.checksum.unwrap_or(right));
    out
}

fn tcp_bytes(tcp: &Tcp, ends: Ends, data: &[u8]) -> Result<Vec<u8>, Error> {
    let options = options(tcp.options.as_deref(), 40)?;
    let mut flags = 0u8;
    for letter in tcp.flags.chars() {
        let bit = "FSRPAUEC"
            .find(letter.to_ascii_uppercase())
            .ok_or_else(|| {
                Error::new(format!("`{letter}` is no TCP flag"))
                    .help("they are F, S, R, P, A, U, E and C")
            })?;
        flags |= 1 << bit;
    }
    let mut out = [tcp.src.to_be_bytes(), tcp.dst.to_be_bytes()].concat();
    out.extend_from_slice(&tcp.seq.to_be_bytes());
    out.extend_from_slice(&tcp.ack.to_be_bytes());
    out.extend_from_slice(&[(5 + options.len() as u8 / 4) << 4, flags]);
    out.extend_from_slice(&tcp.window.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&options);
    out.extend_from_slice(data);
    let right = checksum(&out, pseudo(ends, PROTO_TCP, out.len()));
    put(&mut out, 16, tcp.checksum.unwrap_or(right));
    Ok(out)
}

fn icmp_bytes(icmp: &Icmp, ends: Ends, data: &[u8]) -> Vec<u8> {
    let mut out = vec![icmp.ty, icmp.code, 0, 0];
    out.extend_from_slice(&icmp.id.to_be_bytes());
    out.extend_from_slice(&icmp.seq.to_be_bytes());
    out.extend_from_slice(data);
    // ICMPv6 covers the addresses, ICMP does not.
    let sum = match ends {
        Ends::V6(..) => pseudo(ends, PROTO_ICMPV6, out.len()),
        Ends::V4(..) | Ends::None => 0,
    };
    let right = checksum(&out, sum);
    put(&mut out, 2, icmp.checksum.unwrap_or(right));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::ORDINARY;

    fn layers(text: &str) -> Layers {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn nothing_but_a_transport_is_the_ordinary_packet() {
        let made = layers("udp = { checksum = 0 }\nipv4 = { df = true }\npayload = '000000000000000000000000000000000000'").bytes().unwrap();
        assert_eq!(made, ORDINARY);
    }

    #[test]
    fn checksums_are_right_over_ipv4_and_ipv6() {
        // A checksum is right if the sum over everything, itself included, is all ones.
        let v4 = layers("tcp = { flags = 'SA', options = '02040578' }\ntext = 'odd'\nipv4 = {}")
            .bytes()
            .unwrap();
        let v6 = layers("icmp = { type = 128 }\nipv6 = {}\ntext = 'ping'")
            .bytes()
            .unwrap();
        let (src, dst) = (Ipv4::default().src, Ipv4::default().dst);
        assert_eq!(checksum(&v4[14..34], 0), 0);
        assert_eq!(
            checksum(
                &v4[34..],
                pseudo(Ends::V4(src, dst), PROTO_TCP, v4.len() - 34)
            ),
            0
        );
        let (src, dst) = (Ipv6::default().src, Ipv6::default().dst);
        assert_eq!(
            checksum(
                &v6[54..],
                pseudo(Ends::V6(src, dst), PROTO_ICMPV6, v6.len() - 54)
            ),
            0
        );
        assert_eq!(v6[20], 58);
    }

    #[test]
    fn tags_and_tunnels_nest() {
        let made = layers("vlan = [{ id = 5, pcp = 3 }, { id = 6 }]\nipv4 = { dst = '198.51.100.7' }\ninner = { ipv6 = {}, udp = { dst = 53 } }").bytes().unwrap();
        assert_eq!(made[12..22], [0x81, 0, 0x60, 5, 0x81, 0, 0, 6, 8, 0]);
        assert_eq!((made[31], made[42] >> 4), (PROTO_IPV6, 6));
        let arp = layers("arp = { op = 2 }").bytes().unwrap();
        assert_eq!((arp.len(), &arp[12..14]), (42, &[8, 6][..]));
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        for text in [
            "ipv4 = {}\nipv6 = {}",
            "udp = {}\ntcp = {}",
            "payload = '0'",
            "eth = { src = 'x' }",
            "vlan = [{ id = 4096 }]",
            "tcp = { flags = 'X' }",
            "ipv4 = { options = '00' }",
            "ipv6 = { flow = 1048576 }",
            "pad = 1000000",
        ] {
            assert!(layers(text).bytes().is_err(), "{text}");
        }
        assert!(toml::from_str::<Layers>("ipv5 = {}").is_err());
    }
}
