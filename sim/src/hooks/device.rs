//! Packets at a device: XDP and traffic control as a network driver meets them, not as test runs do.
//!
//! A test run knows one device and no metadata. Here the caller says at which device a packet arrives or
//! leaves, and what earlier programs left with it: bytes in front of the packet, and the fields of its
//! socket buffer that stay with it from program to program.

use skep_spec::tables::ctx;
use skep_spec::tables::hook::Hook;
use skep_spec::{AttachType, ProgType};

use super::fields::{SK_BUFF, XDP_MD, sk_buff, xdp_md};
use super::{Run, RunInput, put};
use crate::arena::Perm;
use crate::errno::Errno;
use crate::sim::{PacketCopy, Redirect, Sim};

/// Fields of a socket buffer that stay with a packet: offset and bytes.
const KEPT: [(u64, u64); 11] = [
    (sk_buff::MARK, 4),
    (sk_buff::QUEUE_MAPPING, 4),
    (sk_buff::VLAN_PRESENT, 4),
    (sk_buff::VLAN_TCI, 4),
    (sk_buff::VLAN_PROTO, 4),
    (sk_buff::PRIORITY, 4),
    (sk_buff::TC_INDEX, 4),
    (sk_buff::CB, 20),
    (sk_buff::HASH, 4),
    (sk_buff::TC_CLASSID, 4),
    (sk_buff::TSTAMP, 8),
];
/// Packet types of `__sk_buff.pkt_type`.
const PACKET_HOST: u64 = 0;
const PACKET_BROADCAST: u64 = 1;
const PACKET_MULTICAST: u64 = 2;
const PACKET_OTHERHOST: u64 = 3;
const PACKET_OUTGOING: u64 = 4;

/// A VLAN tag beside the packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VlanTag {
    /// The type that stands in front of the tag, in host order.
    pub proto: u16,
    /// Priority and number.
    pub tci: u16,
}

/// A packet, and what goes with it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Packet {
    /// The bytes, from the Ethernet header on.
    pub data: Vec<u8>,
    /// Metadata that XDP programs put in front of them.
    pub meta: Vec<u8>,
    /// Fields of the socket buffer, once there is one.
    skb: Vec<u8>,
}

impl Packet {
    /// A packet as it comes from the wire.
    pub fn new(data: Vec<u8>) -> Packet {
        Packet {
            data,
            ..Packet::default()
        }
    }

    fn field(&self, off: u64) -> u32 {
        super::get32(&self.skb, off)
    }

    fn set_field(&mut self, off: u64, value: u32) {
        self.skb.resize(SK_BUFF as usize, 0);
        put(&mut self.skb, off, &value.to_le_bytes());
    }

    /// Its mark.
    pub fn mark(&self) -> u32 {
        self.field(sk_buff::MARK)
    }

    /// Gives it a mark.
    pub fn set_mark(&mut self, mark: u32) {
        self.set_field(sk_buff::MARK, mark);
    }

    /// The VLAN tag beside it.
    pub fn vlan(&self) -> Option<VlanTag> {
        (self.field(sk_buff::VLAN_PRESENT) != 0).then(|| VlanTag {
            proto: (self.field(sk_buff::VLAN_PROTO) as u16).swap_bytes(),
            tci: self.field(sk_buff::VLAN_TCI) as u16,
        })
    }

    /// Puts a VLAN tag beside it, or takes it away.
    pub fn set_vlan(&mut self, tag: Option<VlanTag>) {
        if tag.is_none() && self.skb.is_empty() {
            return;
        }
        self.set_field(sk_buff::VLAN_PRESENT, tag.is_some().into());
        self.set_field(sk_buff::VLAN_TCI, tag.map_or(0, |t| t.tci.into()));
        self.set_field(
            sk_buff::VLAN_PROTO,
            tag.map_or(0, |t| t.proto.swap_bytes().into()),
        );
    }

    /// Forgets what a host keeps with a packet and a wire does not.
    pub fn forget(&mut self) {
        self.meta.clear();
        self.skb.clear();
    }
}

/// Where a packet meets a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// The device whose program it is.
    pub ifindex: u32,
    /// The device at which the packet arrived; 0 for packets of this host.
    pub ingress_ifindex: u32,
    /// For programs of devmap entries: the device that the packet leaves through.
    pub egress_ifindex: u32,
    /// The queue at which it arrived.
    pub rx_queue: u32,
    /// Whether it leaves.
    pub is_egress: bool,
    /// The device's address.
    pub mac: [u8; 6],
}

impl Sim {
    /// Prepares a run of an XDP or traffic control program on a packet at a device: gives the context's
    /// address.
    ///
    /// # Errors
    /// `EINVAL` for a packet that no device takes, `ENOTSUPP` for programs of other types.
    pub fn begin_at_device(
        &mut self,
        ty: ProgType,
        attach: AttachType,
        packet: &Packet,
        place: &Place,
    ) -> Result<u64, Errno> {
        if ty == ProgType::Xdp {
            self.begin_xdp_at(attach, packet, place)
        } else if matches!(ty, ProgType::SchedCls | ProgType::SchedAct) {
            self.begin_tc_at(ty, attach, packet, place)
        } else {
            Err(Errno::NOTSUPP)
        }
    }

    fn begin_xdp_at(
        &mut self,
        attach: AttachType,
        packet: &Packet,
        place: &Place,
    ) -> Result<u64, Errno> {
        let mut data = packet.meta.clone();
        data.extend_from_slice(&packet.data);
        let mut ctx = vec![0; XDP_MD as usize];
        put(
            &mut ctx,
            xdp_md::DATA,
            &(packet.meta.len() as u32).to_le_bytes(),
        );
        put(
            &mut ctx,
            xdp_md::DATA_END,
            &(data.len() as u32).to_le_bytes(),
        );
        let input = RunInput {
            data,
            ctx: Some(ctx),
        };
        // Programs of map entries see the same context, and a field more.
        self.begin(ProgType::Xdp, AttachType::Xdp, &input)?;
        self.show_ctx(&Hook::new(ProgType::Xdp, attach), &ctx::XDP);
        for (field, value) in [
            (xdp_md::INGRESS_IFINDEX, place.ingress_ifindex),
            (xdp_md::RX_QUEUE_INDEX, place.rx_queue),
            (xdp_md::EGRESS_IFINDEX, place.egress_ifindex),
        ] {
            self.mem.poke_le::<4>(self.ctx + field, value.into());
        }
        Ok(self.ctx)
    }

    fn begin_tc_at(
        &mut self,
        ty: ProgType,
        attach: AttachType,
        packet: &Packet,
        place: &Place,
    ) -> Result<u64, Errno> {
        self.begin(ty, attach, &RunInput::packet(&packet.data))?;
        let ctx = self.ctx;
        for (field, len) in KEPT {
            let from = packet.skb.get(field as usize..(field + len) as usize);
            self.mem.poke(ctx + field, from.unwrap_or_default());
        }
        let dest = packet.data.get(..6).unwrap_or_default();
        let pkt_type = match dest {
            _ if place.is_egress => PACKET_OUTGOING,
            dest if dest == place.mac => PACKET_HOST,
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] => PACKET_BROADCAST,
            [first, ..] if first & 1 != 0 => PACKET_MULTICAST,
            _ => PACKET_OTHERHOST,
        };
        self.mem.poke_le::<4>(ctx + sk_buff::PKT_TYPE, pkt_type);
        self.mem
            .poke_le::<4>(ctx + sk_buff::IFINDEX, place.ifindex.into());
        let ingress = place.ingress_ifindex;
        self.mem
            .poke_le::<4>(ctx + sk_buff::INGRESS_IFINDEX, ingress.into());
        // A packet from a wire has no socket yet.
        self.mem.poke_le::<8>(ctx + sk_buff::SK, 0);
        let Run::Skb(run) = &self.run else {
            return Err(Errno::NOTSUPP);
        };
        let (data, end) = (run.data, run.end);
        let meta = data - packet.meta.len() as u64;
        self.mem.poke(meta, &packet.meta);
        self.mem.poke_le::<4>(ctx + sk_buff::DATA_META, meta);
        self.room.show(&mut self.mem, meta, end, Perm::ReadWrite);
        Ok(ctx)
    }

    /// Takes the copies of packets that programs sent elsewhere.
    pub fn take_clones(&mut self) -> Vec<PacketCopy> {
        std::mem::take(&mut self.output.clones)
    }

    /// Takes the redirection that was asked for.
    pub fn take_redirect(&mut self) -> Option<Redirect> {
        self.output.redirect.take()
    }

    /// Ends such a run: what the program returned, and what became of the packet.
    pub fn finish_at_device(&mut self, r0: u64) -> (u32, Packet) {
        let mut packet = Packet::default();
        if let Run::Xdp(run) = &self.run {
            packet.meta = self.mem.peek(run.meta, run.data - run.meta).to_vec();
            packet.data = self.mem.peek(run.data, run.end - run.data).to_vec();
            packet.data.extend_from_slice(&run.frags);
        } else if let Run::Skb(run) = &self.run {
            let meta = self.mem.peek_le::<4>(self.ctx + sk_buff::DATA_META);
            let meta_len = run.data.saturating_sub(meta);
            packet.meta = self.mem.peek(meta, meta_len).to_vec();
            packet.data = self.mem.peek(run.data, run.end - run.data).to_vec();
            packet.skb = self.mem.peek(self.ctx, SK_BUFF).to_vec();
        }
        let output = self.finish(r0);
        (output.retval, packet)
    }
}
