//! The socket structures that pointers from contexts and helpers lead to: `bpf_sock`, `bpf_tcp_sock`, `bpf_xdp_sock`.
//!
//! `field(offset, width, elements, name, value of a read, sizes of reads)`; none may be written.
//! A `sock_common` is a `bpf_sock` of which only what every kind of socket has may be read.

use super::CtxValue::Scalar;
use super::Sizes::{Exact, Narrow, NarrowAtStart, NarrowOrFour};
use super::{CtxTable, field};

/// A full socket.
#[rustfmt::skip]
pub static SOCK: CtxTable = CtxTable { name: "bpf_sock", size: 80, fields: &[
    field(  0, 4, 1, "bound_dev_if",     Scalar, Exact),
    field(  4, 4, 1, "family",           Scalar, NarrowAtStart),
    field(  8, 4, 1, "type",             Scalar, NarrowAtStart),
    field( 12, 4, 1, "protocol",         Scalar, NarrowAtStart),
    field( 16, 4, 1, "mark",             Scalar, Exact),
    field( 20, 4, 1, "priority",         Scalar, Exact),
    field( 24, 4, 1, "src_ip4",          Scalar, Narrow),
    field( 28, 4, 4, "src_ip6",          Scalar, Narrow),
    field( 44, 4, 1, "src_port",         Scalar, NarrowAtStart),
    field( 48, 2, 1, "dst_port",         Scalar, NarrowOrFour),
    field( 52, 4, 1, "dst_ip4",          Scalar, Narrow),
    field( 56, 4, 4, "dst_ip6",          Scalar, Narrow),
    field( 72, 4, 1, "state",            Scalar, NarrowAtStart),
    field( 76, 4, 1, "rx_queue_mapping", Scalar, NarrowAtStart),
]};

/// Any socket.
#[rustfmt::skip]
pub static SOCK_COMMON: CtxTable = CtxTable { name: "bpf_sock", size: 80, fields: &[
    field(  0, 4, 1, "bound_dev_if",     Scalar, Exact),
    field(  4, 4, 1, "family",           Scalar, NarrowAtStart),
    field( 24, 4, 1, "src_ip4",          Scalar, Narrow),
    field( 28, 4, 4, "src_ip6",          Scalar, Narrow),
    field( 44, 4, 1, "src_port",         Scalar, NarrowAtStart),
    field( 48, 2, 1, "dst_port",         Scalar, NarrowOrFour),
    field( 52, 4, 1, "dst_ip4",          Scalar, Narrow),
    field( 56, 4, 4, "dst_ip6",          Scalar, Narrow),
    field( 72, 4, 1, "state",            Scalar, NarrowAtStart),
    field( 76, 4, 1, "rx_queue_mapping", Scalar, NarrowAtStart),
]};

/// A TCP socket.
#[rustfmt::skip]
pub static TCP_SOCK: CtxTable = CtxTable { name: "bpf_tcp_sock", size: 112, fields: &[
    field(  0, 4, 1, "snd_cwnd",         Scalar, Exact),
    field(  4, 4, 1, "srtt_us",          Scalar, Exact),
    field(  8, 4, 1, "rtt_min",          Scalar, Exact),
    field( 12, 4, 1, "snd_ssthresh",     Scalar, Exact),
    field( 16, 4, 1, "rcv_nxt",          Scalar, Exact),
    field( 20, 4, 1, "snd_nxt",          Scalar, Exact),
    field( 24, 4, 1, "snd_una",          Scalar, Exact),
    field( 28, 4, 1, "mss_cache",        Scalar, Exact),
    field( 32, 4, 1, "ecn_flags",        Scalar, Exact),
    field( 36, 4, 1, "rate_delivered",   Scalar, Exact),
    field( 40, 4, 1, "rate_interval_us", Scalar, Exact),
    field( 44, 4, 1, "packets_out",      Scalar, Exact),
    field( 48, 4, 1, "retrans_out",      Scalar, Exact),
    field( 52, 4, 1, "total_retrans",    Scalar, Exact),
    field( 56, 4, 1, "segs_in",          Scalar, Exact),
    field( 60, 4, 1, "data_segs_in",     Scalar, Exact),
    field( 64, 4, 1, "segs_out",         Scalar, Exact),
    field( 68, 4, 1, "data_segs_out",    Scalar, Exact),
    field( 72, 4, 1, "lost_out",         Scalar, Exact),
    field( 76, 4, 1, "sacked_out",       Scalar, Exact),
    field( 80, 8, 1, "bytes_received",   Scalar, Exact),
    field( 88, 8, 1, "bytes_acked",      Scalar, Exact),
    field( 96, 4, 1, "dsack_dups",       Scalar, Exact),
    field(100, 4, 1, "delivered",        Scalar, Exact),
    field(104, 4, 1, "delivered_ce",     Scalar, Exact),
    field(108, 4, 1, "icsk_retransmits", Scalar, Exact),
]};

/// An AF_XDP socket.
#[rustfmt::skip]
pub static XDP_SOCK: CtxTable = CtxTable { name: "bpf_xdp_sock", size: 4, fields: &[
    field(  0, 4, 1, "queue_id",         Scalar, Exact),
]};
