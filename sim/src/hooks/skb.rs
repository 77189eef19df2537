//! Packets as `struct __sk_buff`: traffic control, socket filters, control groups, tunnels.
//!
//! The fields of the context in guest memory are the packet's only metadata: helpers read and write
//! them there. Positions of headers are kept beside. All bytes are linear.

use skep_spec::ProgType;
use skep_spec::tables::ctx;
use skep_spec::tables::hook::Hook;

use super::fields::{FLOW_KEYS, SK_BUFF, SOCK, flow_keys, sk_buff, sock};
use super::{ETH_HLEN, LOOPBACK, Run, RunInput, TCP_CLOSE, get32, is_zero, put, user_ctx};
use crate::arena::Perm;
use crate::errno::Errno;
use crate::fault::Owner;
use crate::sim::Sim;
use crate::trap::Trap;

/// Bytes before the packet, for helpers that push headers: within its page as many as in the kernel.
const HEADROOM: u64 = (8 << 10) + 64;
/// Bytes of a packet in a test run: a page without head room and the kernel's own tail.
const PAGE_LEN: usize = 4096 - 64 - 320;
/// Bytes of a packet for a flow dissector: a page.
const FLOW_LEN: usize = 4096;
/// Bytes of any packet.
const MAX_LEN: usize = 128 << 10;
/// Ethernet types, in host order.
pub(crate) const ETH_P_IP: u16 = 0x0800;
pub(crate) const ETH_P_IPV6: u16 = 0x86dd;
pub(crate) const ETH_P_802_3: u16 = 0x0001;
pub(crate) const ETH_P_802_2: u16 = 0x0004;
/// Numbers below are lengths, not types.
pub(crate) const ETH_P_802_3_MIN: u16 = 0x0600;
/// Packet types of `__sk_buff.pkt_type`.
const PACKET_HOST: u64 = 0;
const PACKET_MULTICAST: u64 = 2;
const PACKET_OTHERHOST: u64 = 3;
/// Address families.
pub(super) const AF_INET: u64 = 2;
pub(super) const AF_INET6: u64 = 10;

/// A run over a packet with metadata: guest addresses of its parts.
#[derive(Debug)]
pub(crate) struct SkbRun {
    pub(crate) ty: ProgType,
    pub(crate) data: u64,
    pub(crate) end: u64,
    /// The Ethernet header.
    pub(crate) mac: u64,
    /// The network header.
    pub(crate) net: u64,
    /// A tunnel header was pushed (`encapsulation`).
    pub(crate) encap: bool,
    user_ctx: Option<Vec<u8>>,
}

impl SkbRun {
    pub(crate) fn len(&self) -> u64 {
        self.end - self.data
    }

    /// Whether programs see the packet from its Ethernet header on.
    pub(crate) fn is_l2(&self) -> bool {
        matches!(self.ty, ProgType::SchedCls | ProgType::SchedAct)
    }

    /// Whether programs may write to the packet.
    pub(crate) fn may_write(&self) -> bool {
        self.perm() == Perm::ReadWrite
    }

    /// What programs may do with the packet directly.
    fn perm(&self) -> Perm {
        let writers = [
            ProgType::SchedCls,
            ProgType::SchedAct,
            ProgType::LwtXmit,
            ProgType::SkSkb,
        ];
        if writers.contains(&self.ty) {
            Perm::ReadWrite
        } else if self.ty == ProgType::SocketFilter {
            Perm::No
        } else {
            Perm::Read
        }
    }
}

impl Sim {
    pub(super) fn begin_skb(&mut self, hook: &Hook<'_>, input: &RunInput) -> Result<(), Errno> {
        if hook.ty == ProgType::FlowDissector {
            return self.begin_flow(hook, input);
        }
        let len = input.data.len() as u64;
        let most = if self.config().long_packets {
            MAX_LEN
        } else {
            PAGE_LEN
        };
        // A stream has no headers left: its programs see what the connection carries.
        let (least, link) = if hook.ty == ProgType::SkSkb {
            (1, 0)
        } else {
            (ETH_HLEN, ETH_HLEN)
        };
        if len < least || input.data.len() > most {
            return Err(Errno::INVAL);
        }
        let user_ctx = user_ctx(input, SK_BUFF)?;
        let protocol = if link == 0 {
            ETH_P_IP
        } else {
            eth_type(&input.data)
        };
        let header = match protocol {
            _ if link == 0 => 0,
            ETH_P_IP => 20,
            ETH_P_IPV6 => 40,
            _ => 0,
        };
        if len - link < header {
            return Err(Errno::INVAL);
        }
        let mac = self.room.base() + HEADROOM;
        let net = mac + link;
        let mut run = SkbRun {
            ty: hook.ty,
            data: net,
            end: mac + len,
            mac,
            net,
            encap: false,
            user_ctx: None,
        };
        if run.is_l2() {
            run.data = mac;
        }
        if let Some(ctx) = &user_ctx {
            check_user_ctx(ctx, run.len())?;
        }
        self.mem.poke(mac, &input.data);
        self.show_ctx(hook, &ctx::SK_BUFF);
        self.mem.fill(self.ctx, SK_BUFF, 0);
        if link == 0 {
            self.describe_stream(protocol);
        } else {
            self.describe_packet(&run, protocol, &input.data);
        }
        if let Some(ctx) = &user_ctx {
            self.adopt_user_ctx(ctx, run.len());
        }
        run.user_ctx = user_ctx;
        self.set_skb(run);
        Ok(())
    }

    /// A flow dissector gets the packet and keys to fill; its context is given as keys, too, of which
    /// only the flags may be set (`bpf_prog_test_run_flow_dissector`).
    fn begin_flow(&mut self, hook: &Hook<'_>, input: &RunInput) -> Result<(), Errno> {
        let len = input.data.len() as u64;
        let user_ctx = user_ctx(input, FLOW_KEYS)?;
        if len < ETH_HLEN || input.data.len() > FLOW_LEN {
            return Err(Errno::INVAL);
        }
        let mut flags = 0;
        if let Some(ctx) = &user_ctx {
            let behind = flow_keys::FLAGS + 4;
            if !is_zero(ctx, 0, flow_keys::FLAGS) || !is_zero(ctx, behind, FLOW_KEYS) {
                return Err(Errno::INVAL);
            }
            flags = get32(ctx, flow_keys::FLAGS);
        }
        if self.flow_keys == 0 {
            let owner = Owner::Kernel("flow keys");
            self.flow_keys = self.mem.alloc(FLOW_KEYS, 64, owner).ok_or(Errno::NOMEM)?;
            self.mem.allow(self.flow_keys, FLOW_KEYS, Perm::ReadWrite);
        }
        let mac = self.room.base() + HEADROOM;
        let run = SkbRun {
            ty: hook.ty,
            data: mac,
            end: mac + len,
            mac,
            net: mac + ETH_HLEN,
            encap: false,
            user_ctx,
        };
        self.mem.poke(mac, &input.data);
        self.show_ctx(hook, &ctx::SK_BUFF);
        self.mem.fill(self.ctx, SK_BUFF, 0);
        let keys = self.flow_keys;
        self.mem.fill(keys, FLOW_KEYS, 0);
        self.mem.copy(mac + 12, keys + flow_keys::N_PROTO, 2);
        self.mem.poke_le::<2>(keys + flow_keys::NHOFF, ETH_HLEN);
        self.mem.poke_le::<2>(keys + flow_keys::THOFF, ETH_HLEN);
        self.mem.poke_le::<4>(keys + flow_keys::FLAGS, flags.into());
        self.mem
            .poke_le::<8>(self.ctx + sk_buff::FLOW_KEYS, self.flow_keys);
        self.set_skb(run);
        Ok(())
    }

    /// The keys that the dissector found, its offsets brought inside the packet (`bpf_flow_dissect`).
    fn finish_flow(&mut self, run: SkbRun) -> (Vec<u8>, Vec<u8>) {
        let (keys, len) = (self.flow_keys, run.len());
        let clamp = |value: u64, low: u64| value.clamp(low, len.max(low));
        let net = clamp(self.mem.peek_le::<2>(keys + flow_keys::NHOFF), ETH_HLEN);
        let transport = clamp(self.mem.peek_le::<2>(keys + flow_keys::THOFF), net);
        self.mem.poke_le::<2>(keys + flow_keys::NHOFF, net);
        self.mem.poke_le::<2>(keys + flow_keys::THOFF, transport);
        let user = run.user_ctx.unwrap_or_else(|| vec![0; FLOW_KEYS as usize]);
        (self.mem.peek(keys, FLOW_KEYS).to_vec(), user)
    }

    /// Fills the fields of a piece of a connection's stream.
    fn describe_stream(&mut self, protocol: u16) {
        let ctx = self.ctx;
        self.mem
            .poke_le::<4>(ctx + sk_buff::PROTOCOL, protocol.swap_bytes().into());
        self.mem.poke_le::<4>(ctx + sk_buff::IFINDEX, LOOPBACK);
        let sk = self.socket(AF_INET);
        self.mem.poke_le::<8>(ctx + sk_buff::SK, sk.unwrap_or(0));
        self.mem.poke_le::<4>(ctx + sk_buff::FAMILY, AF_INET);
    }

    /// Fills the fields that follow from the packet alone.
    fn describe_packet(&mut self, run: &SkbRun, protocol: u16, packet: &[u8]) {
        let ctx = self.ctx;
        let dest = packet.get(..6).unwrap_or_default();
        // The loopback device's own address is zero, its broadcast address too.
        let pkt_type = match dest {
            [0, 0, 0, 0, 0, 0] => PACKET_HOST,
            [first, ..] if first & 1 != 0 => PACKET_MULTICAST,
            _ => PACKET_OTHERHOST,
        };
        self.mem.poke_le::<4>(ctx + sk_buff::PKT_TYPE, pkt_type);
        self.mem
            .poke_le::<4>(ctx + sk_buff::PROTOCOL, protocol.swap_bytes().into());
        self.mem.poke_le::<4>(ctx + sk_buff::IFINDEX, LOOPBACK);
        let family = match protocol {
            ETH_P_IP => AF_INET,
            ETH_P_IPV6 => AF_INET6,
            _ => 0,
        };
        let sk = self.socket(family);
        self.mem.poke_le::<8>(ctx + sk_buff::SK, sk.unwrap_or(0));
        self.mem.poke_le::<4>(ctx + sk_buff::FAMILY, family);
        // The test run binds its socket to the packet's own addresses.
        let copies: &[(u64, u64, u64, u64)] = match family {
            AF_INET => &[
                (12, 4, sk_buff::LOCAL_IP4, sock::SRC_IP4),
                (16, 4, sk_buff::REMOTE_IP4, sock::DST_IP4),
            ],
            AF_INET6 => &[
                (8, 16, sk_buff::LOCAL_IP6, sock::SRC_IP6),
                (24, 16, sk_buff::REMOTE_IP6, sock::DST_IP6),
            ],
            _ => &[],
        };
        for &(from, len, field, of_sock) in copies {
            self.mem.copy(run.net + from, ctx + field, len);
            if let Some(sk) = sk {
                self.mem.copy(run.net + from, sk + of_sock, len);
            }
        }
    }

    /// The socket of test runs: not connected, of the packet's family.
    pub(super) fn socket(&mut self, family: u64) -> Option<u64> {
        if self.sock == 0 {
            self.sock = self.mem.alloc(SOCK, 64, Owner::Kernel("socket"))?;
            self.mem.allow(self.sock, SOCK, Perm::Read);
        }
        self.mem.fill(self.sock, SOCK, 0);
        self.mem.poke_le::<4>(self.sock + sock::FAMILY, family);
        self.mem.poke_le::<4>(self.sock + sock::STATE, TCP_CLOSE);
        self.mem
            .poke_le::<4>(self.sock + sock::RX_QUEUE_MAPPING, u32::MAX.into());
        Some(self.sock)
    }

    /// Takes over the fields that user space may set.
    fn adopt_user_ctx(&mut self, user: &[u8], len: u64) {
        let ctx = self.ctx;
        let mut copy = |field: u64, bytes: usize| {
            let from = field as usize;
            self.mem.poke(
                ctx + field,
                user.get(from..from + bytes).unwrap_or_default(),
            );
        };
        copy(sk_buff::MARK, 4);
        copy(sk_buff::PRIORITY, 4);
        copy(sk_buff::INGRESS_IFINDEX, 4);
        copy(sk_buff::TSTAMP, 8);
        copy(sk_buff::CB, 20);
        copy(sk_buff::GSO_SEGS, 4);
        // The kernel's own field has 16 bits.
        copy(sk_buff::GSO_SIZE, 2);
        copy(sk_buff::HWTSTAMP, 8);
        let ifindex = u64::from(get32(user, sk_buff::IFINDEX)).max(LOOPBACK);
        self.mem.poke_le::<4>(ctx + sk_buff::IFINDEX, ifindex);
        let wire_len = match u64::from(get32(user, sk_buff::WIRE_LEN)) {
            0 => len,
            wire_len => wire_len,
        };
        self.mem.poke_le::<4>(ctx + sk_buff::WIRE_LEN, wire_len);
    }

    /// Makes the packet's new bounds known to context and shadow.
    pub(crate) fn set_skb(&mut self, run: SkbRun) {
        let ctx = self.ctx;
        self.mem.poke_le::<4>(ctx + sk_buff::LEN, run.len());
        self.mem.poke_le::<4>(ctx + sk_buff::DATA, run.data);
        self.mem.poke_le::<4>(ctx + sk_buff::DATA_META, run.data);
        self.mem.poke_le::<4>(ctx + sk_buff::DATA_END, run.end);
        self.room.show(&mut self.mem, run.data, run.end, run.perm());
        self.run = Run::Skb(run);
    }

    pub(super) fn finish_skb(&mut self, run: SkbRun) -> (Vec<u8>, Vec<u8>) {
        if run.ty == ProgType::FlowDissector {
            return self.finish_flow(run);
        }
        let mut data = Vec::new();
        if !run.is_l2() && run.ty != ProgType::SkSkb {
            // The kernel pushes an empty Ethernet header in front of what the program saw.
            data.resize(ETH_HLEN as usize, 0);
        }
        data.extend_from_slice(self.mem.peek(run.data, run.len()));
        let had_ctx = run.user_ctx.is_some();
        let mut user = run.user_ctx.unwrap_or_else(|| vec![0; SK_BUFF as usize]);
        let mut copy = |field: u64, bytes: u64| {
            put(&mut user, field, self.mem.peek(self.ctx + field, bytes));
        };
        copy(sk_buff::MARK, 4);
        copy(sk_buff::PRIORITY, 4);
        copy(sk_buff::INGRESS_IFINDEX, 4);
        copy(sk_buff::IFINDEX, 4);
        copy(sk_buff::TSTAMP, 8);
        copy(sk_buff::CB, 20);
        copy(sk_buff::GSO_SEGS, 4);
        copy(sk_buff::HWTSTAMP, 8);
        if had_ctx {
            copy(sk_buff::WIRE_LEN, 4);
        }
        (data, user)
    }

    /// The legacy packet loads: a big-endian number from the packet of the context `ctx`. Negative offsets
    /// count from the network header and from the Ethernet header. `None` if the packet is too short.
    ///
    /// # Errors
    /// A trap if `ctx` is not the context of a packet.
    pub fn packet_load(&self, ctx: u64, off: i32, size: u8) -> Result<Option<u64>, Trap> {
        // `SKF_NET_OFF` and `SKF_LL_OFF`.
        const NET: i32 = -0x10_0000;
        const LINK: i32 = -0x20_0000;
        let run = match &self.run {
            Run::Skb(run) if ctx == self.ctx => run,
            Run::Skb(_) | Run::Idle | Run::Xdp(_) | Run::Table(_) | Run::Raw(_) => {
                return Err(Trap::BadArgument {
                    helper: "packet load",
                    arg: 6,
                    wanted: "the context of a packet",
                    got: ctx,
                });
            }
        };
        let (from, off) = match off {
            0.. => (run.data, off),
            NET.. => (run.net, off - NET),
            LINK.. => (run.mac, off - LINK),
            _ => return Ok(None),
        };
        let at = from + off as u64;
        if at + u64::from(size) > run.end {
            return Ok(None);
        }
        let bytes = self.mem.peek(at, size.into());
        Ok(Some(
            bytes
                .iter()
                .fold(0, |value, &byte| value << 8 | u64::from(byte)),
        ))
    }

    /// Whether a store of that many bytes at that offset of a context may be one that the kernel narrows,
    /// for programs of that type.
    #[inline]
    pub fn may_narrow_ctx_field(ty: ProgType, off: i16, len: u32) -> bool {
        let narrowed = [
            sk_buff::TC_INDEX,
            sk_buff::QUEUE_MAPPING,
            sk_buff::TC_CLASSID,
        ];
        // The table is looked up for the few stores that could be one.
        len == 4
            && u64::try_from(off).is_ok_and(|off| narrowed.contains(&off))
            && ctx::of(ty).is_some_and(|table| table.name == ctx::SK_BUFF.name)
    }

    /// Stores to a context field that the kernel narrows when a program writes it. `false` if the bytes
    /// are no such field of this program's context; then the store is a fault.
    pub fn store_ctx_field(&mut self, addr: u64, len: u64, value: u64) -> bool {
        let Run::Skb(run) = &self.run else {
            return false;
        };
        let off = addr.wrapping_sub(self.ctx);
        let allowed = match off {
            sk_buff::TC_INDEX => run.is_l2() || run.ty == ProgType::SkSkb,
            sk_buff::QUEUE_MAPPING | sk_buff::TC_CLASSID => run.is_l2(),
            _ => false,
        };
        if !allowed || len != 4 {
            return false;
        }
        let value = value as u32;
        // A queue that does not exist is not set (`NO_QUEUE_MAPPING`).
        if off == sk_buff::QUEUE_MAPPING && value >= u16::MAX.into() {
            return true;
        }
        self.mem.poke_le::<4>(addr, u64::from(value & 0xffff));
        true
    }
}

/// Whether user space set only what it may (`convert___skb_to_skb`).
fn check_user_ctx(ctx: &[u8], len: u64) -> Result<(), Errno> {
    let gaps = [
        (0, sk_buff::MARK),
        (sk_buff::MARK + 4, sk_buff::PRIORITY),
        (sk_buff::IFINDEX + 4, sk_buff::CB),
        (sk_buff::CB + 20, sk_buff::TSTAMP),
        (sk_buff::GSO_SEGS + 4, sk_buff::GSO_SIZE),
        (sk_buff::GSO_SIZE + 4, sk_buff::HWTSTAMP),
        (sk_buff::HWTSTAMP + 8, SK_BUFF),
    ];
    let wire_len = u64::from(get32(ctx, sk_buff::WIRE_LEN));
    let bad = gaps.iter().any(|&(from, to)| !is_zero(ctx, from, to))
        || wire_len != 0 && !(len..=0x1_0000).contains(&wire_len)
        || get32(ctx, sk_buff::GSO_SEGS) > 0xffff;
    if bad { Err(Errno::INVAL) } else { Ok(()) }
}

/// The protocol of an Ethernet packet, in host order (`eth_type_trans`).
fn eth_type(packet: &[u8]) -> u16 {
    let field = |off: usize| match packet.get(off..off + 2) {
        Some(&[hi, lo]) => u16::from_be_bytes([hi, lo]),
        _ => 0,
    };
    match field(12) {
        ty if ty >= ETH_P_802_3_MIN => ty,
        _ if packet.len() >= 16 && field(14) == 0xffff => ETH_P_802_3,
        _ => ETH_P_802_2,
    }
}
