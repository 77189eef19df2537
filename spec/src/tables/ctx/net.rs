//! Contexts of networking programs that have a structure of their own.
//!
//! `field(offset, width, elements, name, value of a read, sizes of reads)`, then who may read and who may write.

use super::CtxValue::{
    BtfId, Packet, PacketEnd, PacketMeta, Scalar, SockCommonOrNull, Socket, SocketOrNull,
};
use super::Sizes::{Exact, Narrow, NarrowAtStart, NarrowOrFour, NarrowToTwo};
use super::{CtxTable, field};
use crate::AttachType::XdpDevmap;
use crate::tables::hook::When::{Always, Attach};

/// `struct xdp_md`.
#[rustfmt::skip]
pub static XDP: CtxTable = CtxTable { name: "xdp_md", size: 24, fields: &[
    field(  0, 4, 1, "data",            Packet,     Exact),
    field(  4, 4, 1, "data_end",        PacketEnd,  Exact),
    field(  8, 4, 1, "data_meta",       PacketMeta, Exact),
    field( 12, 4, 1, "ingress_ifindex", Scalar,     Exact),
    field( 16, 4, 1, "rx_queue_index",  Scalar,     Exact),
    field( 20, 4, 1, "egress_ifindex",  Scalar,     Exact).reads(Attach(&[XdpDevmap])),
]};

/// `struct bpf_sock_ops`: an event of a TCP socket.
#[rustfmt::skip]
pub static SOCK_OPS: CtxTable = CtxTable { name: "bpf_sock_ops", size: 224, fields: &[
    field(  0, 4, 1, "op",                    Scalar,       Exact),
    field(  4, 4, 1, "reply",                 Scalar,       Exact).writes(Exact, Always),
    field(  8, 4, 3, "args",                  Scalar,       Exact),
    field( 20, 4, 1, "family",                Scalar,       Exact),
    field( 24, 4, 1, "remote_ip4",            Scalar,       Exact),
    field( 28, 4, 1, "local_ip4",             Scalar,       Exact),
    field( 32, 4, 4, "remote_ip6",            Scalar,       Exact),
    field( 48, 4, 4, "local_ip6",             Scalar,       Exact),
    field( 64, 4, 1, "remote_port",           Scalar,       Exact),
    field( 68, 4, 1, "local_port",            Scalar,       Exact),
    field( 72, 4, 1, "is_fullsock",           Scalar,       Exact),
    field( 76, 4, 1, "snd_cwnd",              Scalar,       Exact),
    field( 80, 4, 1, "srtt_us",               Scalar,       Exact),
    field( 84, 4, 1, "bpf_sock_ops_cb_flags", Scalar,       Exact),
    field( 88, 4, 1, "state",                 Scalar,       Exact),
    field( 92, 4, 1, "rtt_min",               Scalar,       Exact),
    field( 96, 4, 1, "snd_ssthresh",          Scalar,       Exact),
    field(100, 4, 1, "rcv_nxt",               Scalar,       Exact),
    field(104, 4, 1, "snd_nxt",               Scalar,       Exact),
    field(108, 4, 1, "snd_una",               Scalar,       Exact),
    field(112, 4, 1, "mss_cache",             Scalar,       Exact),
    field(116, 4, 1, "ecn_flags",             Scalar,       Exact),
    field(120, 4, 1, "rate_delivered",        Scalar,       Exact),
    field(124, 4, 1, "rate_interval_us",      Scalar,       Exact),
    field(128, 4, 1, "packets_out",           Scalar,       Exact),
    field(132, 4, 1, "retrans_out",           Scalar,       Exact),
    field(136, 4, 1, "total_retrans",         Scalar,       Exact),
    field(140, 4, 1, "segs_in",               Scalar,       Exact),
    field(144, 4, 1, "data_segs_in",          Scalar,       Exact),
    field(148, 4, 1, "segs_out",              Scalar,       Exact),
    field(152, 4, 1, "data_segs_out",         Scalar,       Exact),
    field(156, 4, 1, "lost_out",              Scalar,       Exact),
    field(160, 4, 1, "sacked_out",            Scalar,       Exact),
    field(164, 4, 1, "sk_txhash",             Scalar,       Exact).writes(Exact, Always),
    field(168, 8, 1, "bytes_received",        Scalar,       Exact),
    field(176, 8, 1, "bytes_acked",           Scalar,       Exact),
    field(184, 8, 1, "sk",                    SocketOrNull, Exact),
    field(192, 8, 1, "skb_data",              Packet,       Exact),
    field(200, 8, 1, "skb_data_end",          PacketEnd,    Exact),
    field(208, 4, 1, "skb_len",               Scalar,       Exact),
    field(212, 4, 1, "skb_tcp_flags",         Scalar,       NarrowAtStart),
    field(216, 8, 1, "skb_hwtstamp",          Scalar,       Exact),
]};

/// `struct sk_msg_md`: a message of a socket in a map.
#[rustfmt::skip]
pub static SK_MSG: CtxTable = CtxTable { name: "sk_msg_md", size: 80, fields: &[
    field(  0, 8, 1, "data",        Packet,    Exact),
    field(  8, 8, 1, "data_end",    PacketEnd, Exact),
    field( 16, 4, 1, "family",      Scalar,    Exact),
    field( 20, 4, 1, "remote_ip4",  Scalar,    Exact),
    field( 24, 4, 1, "local_ip4",   Scalar,    Exact),
    field( 28, 4, 4, "remote_ip6",  Scalar,    Exact),
    field( 44, 4, 4, "local_ip6",   Scalar,    Exact),
    field( 60, 4, 1, "remote_port", Scalar,    Exact),
    field( 64, 4, 1, "local_port",  Scalar,    Exact),
    field( 68, 4, 1, "size",        Scalar,    Exact),
    field( 72, 8, 1, "sk",          Socket,    Exact),
]};

/// `struct sk_reuseport_md`: a choice among the sockets of one port.
#[rustfmt::skip]
pub static SK_REUSEPORT: CtxTable = CtxTable { name: "sk_reuseport_md", size: 56, fields: &[
    field(  0, 8, 1, "data",         Packet,           Exact),
    field(  8, 8, 1, "data_end",     PacketEnd,        Exact),
    field( 16, 4, 1, "len",          Scalar,           Narrow),
    field( 20, 4, 1, "eth_protocol", Scalar,           NarrowToTwo),
    field( 24, 4, 1, "ip_protocol",  Scalar,           Narrow),
    field( 28, 4, 1, "bind_inany",   Scalar,           Narrow),
    field( 32, 4, 1, "hash",         Scalar,           Exact),
    field( 40, 8, 1, "sk",           Socket,           Exact),
    field( 48, 8, 1, "migrating_sk", SockCommonOrNull, Exact),
]};

/// `struct bpf_sk_lookup`: a choice of the listening socket.
#[rustfmt::skip]
pub static SK_LOOKUP: CtxTable = CtxTable { name: "bpf_sk_lookup", size: 72, fields: &[
    field(  0, 8, 1, "sk",              SocketOrNull, Exact),
    field(  8, 4, 1, "family",          Scalar,       Narrow),
    field( 12, 4, 1, "protocol",        Scalar,       Narrow),
    field( 16, 4, 1, "remote_ip4",      Scalar,       Narrow),
    field( 20, 4, 4, "remote_ip6",      Scalar,       Narrow),
    field( 36, 2, 1, "remote_port",     Scalar,       NarrowOrFour),
    field( 38, 2, 1, "",                Scalar,       Narrow),
    field( 40, 4, 1, "local_ip4",       Scalar,       Narrow),
    field( 44, 4, 4, "local_ip6",       Scalar,       Narrow),
    field( 60, 4, 1, "local_port",      Scalar,       Narrow),
    field( 64, 4, 1, "ingress_ifindex", Scalar,       Narrow),
]};

/// `struct bpf_flow_keys`: what a flow dissector finds out.
#[rustfmt::skip]
pub static FLOW_KEYS: CtxTable = CtxTable { name: "bpf_flow_keys", size: 56, fields: &[
    field(  0, 2, 1, "nhoff",         Scalar, Narrow).writes(Narrow, Always),
    field(  2, 2, 1, "thoff",         Scalar, Narrow).writes(Narrow, Always),
    field(  4, 2, 1, "addr_proto",    Scalar, Narrow).writes(Narrow, Always),
    field(  6, 1, 1, "is_frag",       Scalar, Narrow).writes(Narrow, Always),
    field(  7, 1, 1, "is_first_frag", Scalar, Narrow).writes(Narrow, Always),
    field(  8, 1, 1, "is_encap",      Scalar, Narrow).writes(Narrow, Always),
    field(  9, 1, 1, "ip_proto",      Scalar, Narrow).writes(Narrow, Always),
    field( 10, 2, 1, "n_proto",       Scalar, Narrow).writes(Narrow, Always),
    field( 12, 2, 1, "sport",         Scalar, Narrow).writes(Narrow, Always),
    field( 14, 2, 1, "dport",         Scalar, Narrow).writes(Narrow, Always),
    field( 16, 4, 8, "addresses",     Scalar, Narrow).writes(Narrow, Always),
    field( 48, 4, 1, "flags",         Scalar, Narrow).writes(Narrow, Always),
    field( 52, 4, 1, "flow_label",    Scalar, Narrow).writes(Narrow, Always),
]};

/// `struct bpf_nf_ctx`: a packet at a netfilter hook.
#[rustfmt::skip]
pub static NETFILTER: CtxTable = CtxTable { name: "bpf_nf_ctx", size: 16, fields: &[
    field(  0, 8, 1, "state", BtfId("nf_hook_state"), Exact),
    field(  8, 8, 1, "skb",   BtfId("sk_buff"),       Exact),
]};
