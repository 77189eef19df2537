//! `struct __sk_buff`: the context of most networking programs, of which each type sees another part.
//!
//! `field(offset, width, elements, name, value of a read, sizes of reads)`, then who may read and who may write.
//! The types: `SF` socket filters, `CG` control groups, `LWT` lightweight tunnels, `TC` traffic
//! control, `SK` sockets in a map, `FD` flow dissectors.

use super::CtxValue::{FlowKeys, Packet, PacketEnd, PacketMeta, Scalar, SockCommonOrNull};
use super::Sizes::{Exact, Narrow, Within};
use super::{CtxTable, field};
use crate::ProgType::{
    CgroupSkb, FlowDissector, LwtIn, LwtOut, LwtSeg6local, LwtXmit, SchedAct, SchedCls, SkSkb,
    SocketFilter,
};
use crate::tables::hook::When::{self, Type};

#[rustfmt::skip]
mod who {
    use super::*;
    pub(super) const ALL: When = Type(&[SocketFilter, CgroupSkb, LwtIn, LwtOut, LwtXmit, LwtSeg6local, SchedCls, SchedAct, SkSkb]);
    pub(super) const NOT_SK: When = Type(&[SocketFilter, CgroupSkb, LwtIn, LwtOut, LwtXmit, LwtSeg6local, SchedCls, SchedAct]);
    pub(super) const DATA: When = Type(&[CgroupSkb, LwtIn, LwtOut, LwtXmit, LwtSeg6local, SchedCls, SchedAct, SkSkb, FlowDissector]);
    pub(super) const CG_LWT_TC_SK: When = Type(&[CgroupSkb, LwtIn, LwtOut, LwtXmit, LwtSeg6local, SchedCls, SchedAct, SkSkb]);
    pub(super) const CG_LWT_TC: When = Type(&[CgroupSkb, LwtIn, LwtOut, LwtXmit, LwtSeg6local, SchedCls, SchedAct]);
    pub(super) const CG_TC: When = Type(&[CgroupSkb, SchedCls, SchedAct]);
    pub(super) const CG_SK: When = Type(&[CgroupSkb, SkSkb]);
    pub(super) const TC_SK: When = Type(&[SchedCls, SchedAct, SkSkb]);
    pub(super) const TC: When = Type(&[SchedCls, SchedAct]);
    pub(super) const FD: When = Type(&[FlowDissector]);
}
use who::{ALL, CG_LWT_TC, CG_LWT_TC_SK, CG_SK, CG_TC, DATA, FD, NOT_SK, TC, TC_SK};

/// The table.
#[rustfmt::skip]
pub static SK_BUFF: CtxTable = CtxTable { name: "__sk_buff", size: 192, fields: &[
    field(  0, 4, 1, "len",             Scalar,           Narrow).reads(ALL),
    field(  4, 4, 1, "pkt_type",        Scalar,           Narrow).reads(ALL),
    field(  8, 4, 1, "mark",            Scalar,           Narrow).reads(NOT_SK).writes(Exact, CG_LWT_TC),
    field( 12, 4, 1, "queue_mapping",   Scalar,           Narrow).reads(ALL).writes(Exact, TC),
    field( 16, 4, 1, "protocol",        Scalar,           Narrow).reads(ALL),
    field( 20, 4, 1, "vlan_present",    Scalar,           Narrow).reads(ALL),
    field( 24, 4, 1, "vlan_tci",        Scalar,           Narrow).reads(ALL),
    field( 28, 4, 1, "vlan_proto",      Scalar,           Narrow).reads(ALL),
    field( 32, 4, 1, "priority",        Scalar,           Narrow).reads(ALL).writes(Exact, CG_LWT_TC_SK),
    field( 36, 4, 1, "ingress_ifindex", Scalar,           Narrow).reads(ALL),
    field( 40, 4, 1, "ifindex",         Scalar,           Narrow).reads(ALL),
    field( 44, 4, 1, "tc_index",        Scalar,           Narrow).reads(ALL).writes(Exact, TC_SK),
    field( 48, 4, 5, "cb",              Scalar,           Within).reads(ALL).writes(Within, NOT_SK),
    field( 68, 4, 1, "hash",            Scalar,           Narrow).reads(ALL),
    field( 72, 4, 1, "tc_classid",      Scalar,           Narrow).reads(TC).writes(Exact, TC),
    field( 76, 4, 1, "data",            Packet,           Exact) .reads(DATA),
    field( 80, 4, 1, "data_end",        PacketEnd,        Exact) .reads(DATA),
    field( 84, 4, 1, "napi_id",         Scalar,           Narrow).reads(ALL),
    field( 88, 4, 1, "family",          Scalar,           Narrow).reads(CG_SK),
    field( 92, 4, 1, "remote_ip4",      Scalar,           Exact) .reads(CG_SK),
    field( 96, 4, 1, "local_ip4",       Scalar,           Exact) .reads(CG_SK),
    field(100, 4, 4, "remote_ip6",      Scalar,           Exact) .reads(CG_SK),
    field(116, 4, 4, "local_ip6",       Scalar,           Exact) .reads(CG_SK),
    field(132, 4, 1, "remote_port",     Scalar,           Narrow).reads(CG_SK),
    field(136, 4, 1, "local_port",      Scalar,           Narrow).reads(CG_SK),
    field(140, 4, 1, "data_meta",       PacketMeta,       Exact) .reads(TC),
    field(144, 8, 1, "flow_keys",       FlowKeys,         Exact) .reads(FD),
    field(152, 8, 1, "tstamp",          Scalar,           Exact) .reads(CG_TC).writes(Exact, CG_TC),
    field(160, 4, 1, "wire_len",        Scalar,           Narrow).reads(TC),
    field(164, 4, 1, "gso_segs",        Scalar,           Narrow).reads(ALL),
    field(168, 8, 1, "sk",              SockCommonOrNull, Exact) .reads(ALL),
    field(176, 4, 1, "gso_size",        Scalar,           Narrow).reads(ALL),
    field(180, 1, 1, "tstamp_type",     Scalar,           Exact) .reads(TC),
    field(184, 8, 1, "hwtstamp",        Scalar,           Exact) .reads(CG_TC),
]};
