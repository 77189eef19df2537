//! Contexts of programs on control groups, other than packets and TCP events.
//!
//! `field(offset, width, elements, name, value of a read, sizes of reads)`, then who may read and who may write.

use super::CtxValue::{Packet, PacketEnd, Scalar, Socket};
use super::Sizes::{Exact, ExactOrEight, Narrow, NarrowAtStart, NarrowOrEight, NarrowOrFour};
use super::{CtxTable, field};
use crate::AttachType::*;
use crate::tables::hook::When::{self, Always, Attach};

const CREATE: When = Attach(&[CgroupInetSockCreate, CgroupInetSockRelease]);
const BIND4: When = Attach(&[CgroupInet4PostBind]);
const BIND6: When = Attach(&[CgroupInet6PostBind]);
const BIND: When = Attach(&[CgroupInet4PostBind, CgroupInet6PostBind]);

/// `struct bpf_sock` as a context: a socket that is made, bound or released.
#[rustfmt::skip]
pub static CG_SOCK: CtxTable = CtxTable { name: "bpf_sock", size: 80, fields: &[
    field(  0, 4, 1, "bound_dev_if",     Scalar, Exact)        .reads(CREATE).writes(Exact, CREATE),
    field(  4, 4, 1, "family",           Scalar, NarrowAtStart),
    field(  8, 4, 1, "type",             Scalar, NarrowAtStart),
    field( 12, 4, 1, "protocol",         Scalar, NarrowAtStart),
    field( 16, 4, 1, "mark",             Scalar, Exact)        .reads(CREATE).writes(Exact, CREATE),
    field( 20, 4, 1, "priority",         Scalar, Exact)        .reads(CREATE).writes(Exact, CREATE),
    field( 24, 4, 1, "src_ip4",          Scalar, Narrow)       .reads(BIND4),
    field( 28, 4, 4, "src_ip6",          Scalar, Narrow)       .reads(BIND6),
    field( 44, 4, 1, "src_port",         Scalar, NarrowAtStart).reads(BIND),
    field( 48, 2, 1, "dst_port",         Scalar, NarrowOrFour),
    field( 52, 4, 1, "dst_ip4",          Scalar, Narrow),
    field( 56, 4, 4, "dst_ip6",          Scalar, Narrow),
    field( 72, 4, 1, "state",            Scalar, NarrowAtStart),
    field( 76, 4, 1, "rx_queue_mapping", Scalar, NarrowAtStart),
]};

const INET4: When = Attach(&[
    CgroupInet4Bind,
    CgroupInet4Connect,
    CgroupInet4Getpeername,
    CgroupInet4Getsockname,
    CgroupUdp4Sendmsg,
    CgroupUdp4Recvmsg,
]);
const INET6: When = Attach(&[
    CgroupInet6Bind,
    CgroupInet6Connect,
    CgroupInet6Getpeername,
    CgroupInet6Getsockname,
    CgroupUdp6Sendmsg,
    CgroupUdp6Recvmsg,
]);
const SEND4: When = Attach(&[CgroupUdp4Sendmsg]);
const SEND6: When = Attach(&[CgroupUdp6Sendmsg]);

/// `struct bpf_sock_addr`: an address that a socket is given. Fields of the other family are hidden.
#[rustfmt::skip]
pub static CG_SOCK_ADDR: CtxTable = CtxTable { name: "bpf_sock_addr", size: 72, fields: &[
    field(  0, 4, 1, "user_family", Scalar, Exact),
    field(  4, 4, 1, "user_ip4",    Scalar, Narrow)       .reads(INET4).writes(Exact, INET4),
    field(  8, 4, 4, "user_ip6",    Scalar, NarrowOrEight).reads(INET6).writes(ExactOrEight, INET6),
    field( 24, 4, 1, "user_port",   Scalar, Narrow)                    .writes(Exact, Always),
    field( 28, 4, 1, "family",      Scalar, Exact),
    field( 32, 4, 1, "type",        Scalar, Exact),
    field( 36, 4, 1, "protocol",    Scalar, Exact),
    field( 40, 4, 1, "msg_src_ip4", Scalar, Narrow)       .reads(SEND4).writes(Exact, SEND4),
    field( 44, 4, 4, "msg_src_ip6", Scalar, NarrowOrEight).reads(SEND6).writes(ExactOrEight, SEND6),
    field( 64, 8, 1, "sk",          Socket, Exact),
]};

/// `struct bpf_cgroup_dev_ctx`: an access to a device.
#[rustfmt::skip]
pub static CG_DEVICE: CtxTable = CtxTable { name: "bpf_cgroup_dev_ctx", size: 12, fields: &[
    field(  0, 4, 1, "access_type", Scalar, Narrow),
    field(  4, 4, 1, "major",       Scalar, Exact),
    field(  8, 4, 1, "minor",       Scalar, Exact),
]};

/// `struct bpf_sysctl`: an access to a sysctl.
#[rustfmt::skip]
pub static CG_SYSCTL: CtxTable = CtxTable { name: "bpf_sysctl", size: 8, fields: &[
    field(  0, 4, 1, "write",       Scalar, Narrow),
    field(  4, 4, 1, "file_pos",    Scalar, Narrow).writes(Exact, Always),
]};

const GET: When = Attach(&[CgroupGetsockopt]);
const SET: When = Attach(&[CgroupSetsockopt]);

/// `struct bpf_sockopt`: an access to a socket option.
#[rustfmt::skip]
pub static CG_SOCKOPT: CtxTable = CtxTable { name: "bpf_sockopt", size: 40, fields: &[
    field(  0, 8, 1, "sk",          Socket,    Exact),
    field(  8, 8, 1, "optval",      Packet,    Exact),
    field( 16, 8, 1, "optval_end",  PacketEnd, Exact),
    field( 24, 4, 1, "level",       Scalar,    Exact)           .writes(Exact, SET),
    field( 28, 4, 1, "optname",     Scalar,    Exact)           .writes(Exact, SET),
    field( 32, 4, 1, "optlen",      Scalar,    Exact)           .writes(Exact, Always),
    field( 36, 4, 1, "retval",      Scalar,    Exact).reads(GET).writes(Exact, GET),
]};
