//! Attach types, `enum bpf_attach_type` of `linux/bpf.h`.

use std::fmt;

/// The expected attach type of a program: refines what its type allows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u32)]
#[expect(missing_docs, reason = "the kernel's own names")]
pub enum AttachType {
    CgroupInetIngress = 0,
    CgroupInetEgress = 1,
    CgroupInetSockCreate = 2,
    CgroupSockOps = 3,
    SkSkbStreamParser = 4,
    SkSkbStreamVerdict = 5,
    CgroupDevice = 6,
    SkMsgVerdict = 7,
    CgroupInet4Bind = 8,
    CgroupInet6Bind = 9,
    CgroupInet4Connect = 10,
    CgroupInet6Connect = 11,
    CgroupInet4PostBind = 12,
    CgroupInet6PostBind = 13,
    CgroupUdp4Sendmsg = 14,
    CgroupUdp6Sendmsg = 15,
    LircMode2 = 16,
    FlowDissector = 17,
    CgroupSysctl = 18,
    CgroupUdp4Recvmsg = 19,
    CgroupUdp6Recvmsg = 20,
    CgroupGetsockopt = 21,
    CgroupSetsockopt = 22,
    TraceRawTp = 23,
    TraceFentry = 24,
    TraceFexit = 25,
    ModifyReturn = 26,
    LsmMac = 27,
    TraceIter = 28,
    CgroupInet4Getpeername = 29,
    CgroupInet6Getpeername = 30,
    CgroupInet4Getsockname = 31,
    CgroupInet6Getsockname = 32,
    XdpDevmap = 33,
    CgroupInetSockRelease = 34,
    XdpCpumap = 35,
    SkLookup = 36,
    Xdp = 37,
    SkSkbVerdict = 38,
    SkReuseportSelect = 39,
    SkReuseportSelectOrMigrate = 40,
    PerfEvent = 41,
    TraceKprobeMulti = 42,
    LsmCgroup = 43,
    StructOps = 44,
    Netfilter = 45,
    TcxIngress = 46,
    TcxEgress = 47,
    TraceUprobeMulti = 48,
    CgroupUnixConnect = 49,
    CgroupUnixSendmsg = 50,
    CgroupUnixRecvmsg = 51,
    CgroupUnixGetpeername = 52,
    CgroupUnixGetsockname = 53,
    NetkitPrimary = 54,
    NetkitPeer = 55,
    TraceKprobeSession = 56,
    TraceUprobeSession = 57,
    TraceFsession = 58,
    TraceFentryMulti = 59,
    TraceFexitMulti = 60,
    TraceFsessionMulti = 61,
}

/// Every AttachType with its name as bpftool and libbpf print it, in numeric order.
const NAMES: [(AttachType, &str); 62] = [
    (AttachType::CgroupInetIngress, "cgroup_inet_ingress"),
    (AttachType::CgroupInetEgress, "cgroup_inet_egress"),
    (AttachType::CgroupInetSockCreate, "cgroup_inet_sock_create"),
    (AttachType::CgroupSockOps, "cgroup_sock_ops"),
    (AttachType::SkSkbStreamParser, "sk_skb_stream_parser"),
    (AttachType::SkSkbStreamVerdict, "sk_skb_stream_verdict"),
    (AttachType::CgroupDevice, "cgroup_device"),
    (AttachType::SkMsgVerdict, "sk_msg_verdict"),
    (AttachType::CgroupInet4Bind, "cgroup_inet4_bind"),
    (AttachType::CgroupInet6Bind, "cgroup_inet6_bind"),
    (AttachType::CgroupInet4Connect, "cgroup_inet4_connect"),
    (AttachType::CgroupInet6Connect, "cgroup_inet6_connect"),
    (AttachType::CgroupInet4PostBind, "cgroup_inet4_post_bind"),
    (AttachType::CgroupInet6PostBind, "cgroup_inet6_post_bind"),
    (AttachType::CgroupUdp4Sendmsg, "cgroup_udp4_sendmsg"),
    (AttachType::CgroupUdp6Sendmsg, "cgroup_udp6_sendmsg"),
    (AttachType::LircMode2, "lirc_mode2"),
    (AttachType::FlowDissector, "flow_dissector"),
    (AttachType::CgroupSysctl, "cgroup_sysctl"),
    (AttachType::CgroupUdp4Recvmsg, "cgroup_udp4_recvmsg"),
    (AttachType::CgroupUdp6Recvmsg, "cgroup_udp6_recvmsg"),
    (AttachType::CgroupGetsockopt, "cgroup_getsockopt"),
    (AttachType::CgroupSetsockopt, "cgroup_setsockopt"),
    (AttachType::TraceRawTp, "trace_raw_tp"),
    (AttachType::TraceFentry, "trace_fentry"),
    (AttachType::TraceFexit, "trace_fexit"),
    (AttachType::ModifyReturn, "modify_return"),
    (AttachType::LsmMac, "lsm_mac"),
    (AttachType::TraceIter, "trace_iter"),
    (
        AttachType::CgroupInet4Getpeername,
        "cgroup_inet4_getpeername",
    ),
    (
        AttachType::CgroupInet6Getpeername,
        "cgroup_inet6_getpeername",
    ),
    (
        AttachType::CgroupInet4Getsockname,
        "cgroup_inet4_getsockname",
    ),
    (
        AttachType::CgroupInet6Getsockname,
        "cgroup_inet6_getsockname",
    ),
    (AttachType::XdpDevmap, "xdp_devmap"),
    (
        AttachType::CgroupInetSockRelease,
        "cgroup_inet_sock_release",
    ),
    (AttachType::XdpCpumap, "xdp_cpumap"),
    (AttachType::SkLookup, "sk_lookup"),
    (AttachType::Xdp, "xdp"),
    (AttachType::SkSkbVerdict, "sk_skb_verdict"),
    (AttachType::SkReuseportSelect, "sk_reuseport_select"),
    (
        AttachType::SkReuseportSelectOrMigrate,
        "sk_reuseport_select_or_migrate",
    ),
    (AttachType::PerfEvent, "perf_event"),
    (AttachType::TraceKprobeMulti, "trace_kprobe_multi"),
    (AttachType::LsmCgroup, "lsm_cgroup"),
    (AttachType::StructOps, "struct_ops"),
    (AttachType::Netfilter, "netfilter"),
    (AttachType::TcxIngress, "tcx_ingress"),
    (AttachType::TcxEgress, "tcx_egress"),
    (AttachType::TraceUprobeMulti, "trace_uprobe_multi"),
    (AttachType::CgroupUnixConnect, "cgroup_unix_connect"),
    (AttachType::CgroupUnixSendmsg, "cgroup_unix_sendmsg"),
    (AttachType::CgroupUnixRecvmsg, "cgroup_unix_recvmsg"),
    (AttachType::CgroupUnixGetpeername, "cgroup_unix_getpeername"),
    (AttachType::CgroupUnixGetsockname, "cgroup_unix_getsockname"),
    (AttachType::NetkitPrimary, "netkit_primary"),
    (AttachType::NetkitPeer, "netkit_peer"),
    (AttachType::TraceKprobeSession, "trace_kprobe_session"),
    (AttachType::TraceUprobeSession, "trace_uprobe_session"),
    (AttachType::TraceFsession, "trace_fsession"),
    (AttachType::TraceFentryMulti, "trace_fentry_multi"),
    (AttachType::TraceFexitMulti, "trace_fexit_multi"),
    (AttachType::TraceFsessionMulti, "trace_fsession_multi"),
];

impl AttachType {
    /// The variant of that number in `union bpf_attr`, or `None` if no kernel we know has it.
    pub fn new(number: u32) -> Option<AttachType> {
        NAMES.get(number as usize).map(|row| row.0)
    }

    /// Its number in `union bpf_attr`.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// Its name as bpftool and libbpf print it.
    pub fn name(self) -> &'static str {
        NAMES.get(self as usize).map_or("", |row| row.1)
    }

    /// The variant of that name (bpftool's spelling).
    pub fn from_name(name: &str) -> Option<AttachType> {
        NAMES.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// All variants in numeric order.
    pub fn all() -> impl Iterator<Item = AttachType> {
        NAMES.iter().map(|row| row.0)
    }
}

impl fmt::Display for AttachType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
