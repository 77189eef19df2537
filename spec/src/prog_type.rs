//! Program types, `enum bpf_prog_type` of `linux/bpf.h`.

use std::fmt;

/// The type of a program: which hook it is for, hence its context, helpers and return values.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u32)]
#[expect(missing_docs, reason = "the kernel's own names")]
pub enum ProgType {
    Unspec = 0,
    SocketFilter = 1,
    Kprobe = 2,
    SchedCls = 3,
    SchedAct = 4,
    Tracepoint = 5,
    Xdp = 6,
    PerfEvent = 7,
    CgroupSkb = 8,
    CgroupSock = 9,
    LwtIn = 10,
    LwtOut = 11,
    LwtXmit = 12,
    SockOps = 13,
    SkSkb = 14,
    CgroupDevice = 15,
    SkMsg = 16,
    RawTracepoint = 17,
    CgroupSockAddr = 18,
    LwtSeg6local = 19,
    LircMode2 = 20,
    SkReuseport = 21,
    FlowDissector = 22,
    CgroupSysctl = 23,
    RawTracepointWritable = 24,
    CgroupSockopt = 25,
    Tracing = 26,
    StructOps = 27,
    Ext = 28,
    Lsm = 29,
    SkLookup = 30,
    Syscall = 31,
    Netfilter = 32,
}

/// Every ProgType with its name as bpftool and libbpf print it, in numeric order.
const NAMES: [(ProgType, &str); 33] = [
    (ProgType::Unspec, "unspec"),
    (ProgType::SocketFilter, "socket_filter"),
    (ProgType::Kprobe, "kprobe"),
    (ProgType::SchedCls, "sched_cls"),
    (ProgType::SchedAct, "sched_act"),
    (ProgType::Tracepoint, "tracepoint"),
    (ProgType::Xdp, "xdp"),
    (ProgType::PerfEvent, "perf_event"),
    (ProgType::CgroupSkb, "cgroup_skb"),
    (ProgType::CgroupSock, "cgroup_sock"),
    (ProgType::LwtIn, "lwt_in"),
    (ProgType::LwtOut, "lwt_out"),
    (ProgType::LwtXmit, "lwt_xmit"),
    (ProgType::SockOps, "sock_ops"),
    (ProgType::SkSkb, "sk_skb"),
    (ProgType::CgroupDevice, "cgroup_device"),
    (ProgType::SkMsg, "sk_msg"),
    (ProgType::RawTracepoint, "raw_tracepoint"),
    (ProgType::CgroupSockAddr, "cgroup_sock_addr"),
    (ProgType::LwtSeg6local, "lwt_seg6local"),
    (ProgType::LircMode2, "lirc_mode2"),
    (ProgType::SkReuseport, "sk_reuseport"),
    (ProgType::FlowDissector, "flow_dissector"),
    (ProgType::CgroupSysctl, "cgroup_sysctl"),
    (ProgType::RawTracepointWritable, "raw_tracepoint_writable"),
    (ProgType::CgroupSockopt, "cgroup_sockopt"),
    (ProgType::Tracing, "tracing"),
    (ProgType::StructOps, "struct_ops"),
    (ProgType::Ext, "ext"),
    (ProgType::Lsm, "lsm"),
    (ProgType::SkLookup, "sk_lookup"),
    (ProgType::Syscall, "syscall"),
    (ProgType::Netfilter, "netfilter"),
];

impl ProgType {
    /// The variant of that number in `union bpf_attr`, or `None` if no kernel we know has it.
    pub fn new(number: u32) -> Option<ProgType> {
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
    pub fn from_name(name: &str) -> Option<ProgType> {
        NAMES.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// All variants in numeric order.
    pub fn all() -> impl Iterator<Item = ProgType> {
        NAMES.iter().map(|row| row.0)
    }
}

impl fmt::Display for ProgType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
