//! Which helpers a program may use: sets composed as the kernel composes them, by program type.
//!
//! A set has rows in id order and bases that are asked in order when no row of the set decides. Of several rows
//! for one helper the first whose condition holds decides; `deny` decides that the helper is not there.
//! `variant` picks among the prototypes of a helper, `when` gives the row's condition. A set may need a
//! capability of the loading process, beside what its rows say.

use super::attach;
use super::helper::HelperProto;
use super::helpers::HELPERS;
use super::hook::When::{All, Always, Attach, Member, Never, NotAttach, Target, Trampoline, Type};
use super::hook::{Hook, When};
use crate::AttachType::{self, *};
use crate::ProgType;
use crate::ProgType::Tracing;

/// What the loader must be able to do for a set's helpers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Needs {
    /// Nothing.
    Any,
    /// `CAP_BPF`.
    Bpf,
    /// `CAP_PERFMON`.
    Perfmon,
    /// `CAP_SYS_ADMIN`.
    SysAdmin,
}

/// One row: a helper, and when the set gives it.
#[derive(Clone, Copy, Debug)]
pub struct Allow {
    /// The helper.
    pub proto: &'static HelperProto,
    /// When the row decides.
    pub when: When,
    /// Whether it decides against the helper.
    pub deny: bool,
}

/// A set of helpers.
#[derive(Debug)]
pub struct HelperSet {
    /// What the loader must be able to do.
    pub needs: Needs,
    /// Rows in id order.
    pub rows: &'static [Allow],
    /// Sets that are asked next.
    pub bases: &'static [&'static HelperSet],
    /// By helper: its first row, or `NO_ROW`.
    first: [u8; IDS],
    /// Helpers that it or one of its bases has rows for.
    all: Ids,
}

/// Helpers are numbered below this.
const IDS: usize = 256;
const NO_ROW: u8 = u8::MAX;

/// Helpers by number, one bit each.
#[derive(Clone, Copy, Debug)]
struct Ids([u64; IDS / 64]);

impl Ids {
    const fn with(mut self, id: u32) -> Ids {
        self.0[id as usize / 64] |= 1 << (id % 64);
        self
    }

    const fn and(mut self, other: &Ids) -> Ids {
        let mut i = 0;
        while i < self.0.len() {
            self.0[i] |= other.0[i];
            i += 1;
        }
        self
    }

    fn has(&self, id: u32) -> bool {
        let word = self.0.get(id as usize / 64).copied().unwrap_or(0);
        word >> (id % 64) & 1 != 0
    }
}

impl HelperSet {
    /// The prototype that a program gets, `None` if it may not use the helper. Capabilities are not asked.
    pub fn get(&self, hook: &Hook<'_>, id: u32) -> Option<&'static HelperProto> {
        self.decide(hook, id)
            .filter(|row| !row.deny)
            .map(|row| row.proto)
    }

    /// The row that decides. Sets nest at most six deep.
    fn decide(&self, hook: &Hook<'_>, id: u32) -> Option<&'static Allow> {
        if !self.all.has(id) {
            return None;
        }
        self.decide_alone(hook, id)
            .or_else(|| self.bases.iter().find_map(|base| base.decide(hook, id)))
    }

    fn decide_alone(&self, hook: &Hook<'_>, id: u32) -> Option<&'static Allow> {
        let first = self.first.get(id as usize).copied().unwrap_or(NO_ROW);
        let rows = self.rows.get(usize::from(first)..)?;
        rows.iter()
            .take_while(|row| row.proto.id == id)
            .find(|row| row.when.holds(hook))
    }
}

/// The set of a program type; `None` for ext programs, which use that of their target.
pub fn of(ty: ProgType) -> Option<&'static HelperSet> {
    match ty {
        ProgType::Unspec | ProgType::Ext => None,
        ProgType::SocketFilter => Some(&SK_FILTER),
        ProgType::Kprobe => Some(&KPROBE),
        ProgType::SchedCls | ProgType::SchedAct => Some(&TC),
        ProgType::Tracepoint => Some(&TRACEPOINT),
        ProgType::Xdp => Some(&XDP),
        ProgType::PerfEvent => Some(&PERF_EVENT),
        ProgType::CgroupSkb => Some(&CG_SKB),
        ProgType::CgroupSock => Some(&CG_SOCK),
        ProgType::LwtIn => Some(&LWT_IN),
        ProgType::LwtOut => Some(&LWT_OUT),
        ProgType::LwtXmit => Some(&LWT_XMIT),
        ProgType::SockOps => Some(&SOCK_OPS),
        ProgType::SkSkb => Some(&SK_SKB),
        ProgType::CgroupDevice => Some(&CG_DEVICE),
        ProgType::SkMsg => Some(&SK_MSG),
        ProgType::RawTracepoint | ProgType::RawTracepointWritable => Some(&RAW_TRACEPOINT),
        ProgType::CgroupSockAddr => Some(&CG_SOCK_ADDR),
        ProgType::LwtSeg6local => Some(&LWT_SEG6LOCAL),
        ProgType::LircMode2 => Some(&LIRC),
        ProgType::SkReuseport => Some(&SK_REUSEPORT),
        ProgType::FlowDissector => Some(&FLOW_DISSECTOR),
        ProgType::CgroupSysctl => Some(&CG_SYSCTL),
        ProgType::CgroupSockopt => Some(&CG_SOCKOPT),
        ProgType::Tracing => Some(&TRACING),
        ProgType::StructOps => Some(&STRUCT_OPS),
        ProgType::Lsm => Some(&LSM),
        ProgType::SkLookup => Some(&SK_LOOKUP),
        ProgType::Syscall => Some(&SYSCALL),
        ProgType::Netfilter => Some(&BASE),
    }
}

/// A row without a condition.
const fn allow(name: &str) -> Allow {
    Allow {
        proto: find(name, ""),
        when: Always,
        deny: false,
    }
}

/// The row of one helper that has no prototype here.
const fn deny(name: &str) -> Allow {
    Allow {
        proto: find(name, ""),
        when: Always,
        deny: true,
    }
}

impl Allow {
    const fn variant(self, variant: &str) -> Allow {
        Allow {
            proto: variant_of(self.proto.id, variant),
            ..self
        }
    }

    const fn when(self, when: When) -> Allow {
        Allow { when, ..self }
    }
}

/// A set, from its rows and bases.
const fn set(rows: &'static [Allow], bases: &'static [&'static HelperSet]) -> HelperSet {
    assert!(rows.len() < NO_ROW as usize, "rows are numbered by bytes");
    let mut first = [NO_ROW; IDS];
    let mut all = Ids([0; IDS / 64]);
    let mut i = rows.len();
    while i > 0 {
        i -= 1;
        first[rows[i].proto.id as usize] = i as u8;
        all = all.with(rows[i].proto.id);
    }
    while i < bases.len() {
        all = all.and(&bases[i].all);
        i += 1;
    }
    HelperSet {
        needs: Needs::Any,
        rows,
        bases,
        first,
        all,
    }
}

impl HelperSet {
    const fn needs(self, needs: Needs) -> HelperSet {
        HelperSet { needs, ..self }
    }
}

/// The prototype of that name (without prefix) and variant. Runs in the compiler, which refuses a wrong row.
const fn find(name: &str, variant: &str) -> &'static HelperProto {
    let mut i = 0;
    while i < HELPERS.len() {
        let (_, rest) = HELPERS[i].name.as_bytes().split_at(4);
        if equal(rest, name.as_bytes()) && equal(HELPERS[i].variant.as_bytes(), variant.as_bytes())
        {
            return &HELPERS[i];
        }
        i += 1;
    }
    panic!("no helper of that name and variant")
}

/// Another prototype of the same helper.
const fn variant_of(id: u32, variant: &str) -> &'static HelperProto {
    let mut i = 0;
    while i < HELPERS.len() {
        if HELPERS[i].id == id && equal(HELPERS[i].variant.as_bytes(), variant.as_bytes()) {
            return &HELPERS[i];
        }
        i += 1;
    }
    panic!("the helper has no such variant")
}

pub(super) const fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// Where the value that the caller sees cannot be set.
static NO_RETVAL: &[AttachType] = &[
    CgroupInetIngress,
    CgroupInetEgress,
    CgroupSockOps,
    CgroupUdp4Recvmsg,
    CgroupUdp6Recvmsg,
    CgroupInet4Getpeername,
    CgroupInet6Getpeername,
    CgroupInet4Getsockname,
    CgroupInet6Getsockname,
    CgroupUnixRecvmsg,
    CgroupUnixGetpeername,
    CgroupUnixGetsockname,
];

/// Where a socket is given an address and its options may be touched.
static SOCKOPT_ADDR: &[AttachType] = &[
    CgroupInet4Bind,
    CgroupInet6Bind,
    CgroupInet4Connect,
    CgroupInet6Connect,
    CgroupUdp4Sendmsg,
    CgroupUdp6Sendmsg,
    CgroupUdp4Recvmsg,
    CgroupUdp6Recvmsg,
    CgroupInet4Getpeername,
    CgroupInet6Getpeername,
    CgroupInet4Getsockname,
    CgroupInet6Getsockname,
    CgroupUnixConnect,
    CgroupUnixSendmsg,
    CgroupUnixRecvmsg,
    CgroupUnixGetpeername,
    CgroupUnixGetsockname,
];

static CONNECT: &[AttachType] = &[CgroupInet4Connect, CgroupInet6Connect];
static MULTI: &[AttachType] = &[
    TraceKprobeMulti,
    TraceUprobeMulti,
    TraceKprobeSession,
    TraceUprobeSession,
];
static ITER: &[AttachType] = &[TraceIter];
static SOCK_ITERS: &[&str] = &["bpf_iter_tcp", "bpf_iter_unix"];

/// What every program may use.
pub static BASE: HelperSet = set(
    &[
        allow("map_lookup_elem"),
        allow("map_update_elem"),
        allow("map_delete_elem"),
        allow("ktime_get_ns"),
        allow("get_prandom_u32"),
        allow("get_smp_processor_id").variant("raw"),
        allow("tail_call"),
        allow("get_current_pid_tgid"),
        allow("get_current_uid_gid"),
        allow("get_numa_node_id"),
        allow("map_push_elem"),
        allow("map_pop_elem"),
        allow("map_peek_elem"),
        allow("strtol"),
        allow("strtoul"),
        allow("get_ns_current_pid_tgid"),
        allow("ktime_get_boot_ns"),
        allow("ringbuf_output"),
        allow("ringbuf_reserve"),
        allow("ringbuf_submit"),
        allow("ringbuf_discard"),
        allow("ringbuf_query"),
        allow("strncmp"),
        allow("map_lookup_percpu_elem"),
        allow("ktime_get_tai_ns"),
    ],
    &[&BASE_BPF],
);

/// What every program may use that was loaded with CAP_BPF.
pub static BASE_BPF: HelperSet = set(
    &[
        allow("get_cgroup_classid").variant("curr"),
        allow("current_task_under_cgroup"),
        allow("get_current_cgroup_id"),
        allow("spin_lock"),
        allow("spin_unlock"),
        allow("jiffies64"),
        allow("get_current_ancestor_cgroup_id"),
        allow("per_cpu_ptr"),
        allow("this_cpu_ptr"),
        allow("task_storage_get"),
        allow("task_storage_delete"),
        allow("for_each_map_elem"),
        allow("timer_init"),
        allow("timer_set_callback"),
        allow("timer_start"),
        allow("timer_cancel"),
        allow("loop"),
        allow("kptr_xchg"),
        allow("dynptr_from_mem"),
        allow("ringbuf_reserve_dynptr"),
        allow("ringbuf_submit_dynptr"),
        allow("ringbuf_discard_dynptr"),
        allow("dynptr_read"),
        allow("dynptr_write"),
        allow("dynptr_data"),
        allow("user_ringbuf_drain"),
        allow("cgrp_storage_get"),
        allow("cgrp_storage_delete"),
    ],
    &[&BASE_PERFMON],
)
.needs(Needs::Bpf);

/// What every program may use that was loaded with CAP_PERFMON.
pub static BASE_PERFMON: HelperSet = set(
    &[
        allow("trace_printk"),
        allow("get_current_comm"),
        allow("perf_event_read"),
        allow("get_current_task"),
        allow("perf_event_read_value"),
        allow("send_signal"),
        allow("probe_read_user"),
        allow("probe_read_kernel"),
        allow("probe_read_user_str"),
        allow("probe_read_kernel_str"),
        allow("send_signal_thread"),
        allow("get_task_stack"),
        allow("copy_from_user"),
        allow("snprintf_btf"),
        allow("get_current_task_btf"),
        allow("snprintf"),
        allow("task_pt_regs"),
        allow("get_branch_snapshot"),
        allow("trace_vprintk"),
        allow("find_vma"),
        allow("copy_from_user_task"),
    ],
    &[],
)
.needs(Needs::Perfmon);

/// What programs on sockets and packets share.
pub static SK_BASE: HelperSet = set(&[allow("ktime_get_coarse_ns")], &[&SK_BASE_PERFMON, &BASE]);

/// Casts of sockets, for those loaded with CAP_PERFMON.
pub static SK_BASE_PERFMON: HelperSet = set(
    &[
        allow("skc_to_tcp6_sock"),
        allow("skc_to_tcp_sock"),
        allow("skc_to_tcp_timewait_sock"),
        allow("skc_to_tcp_request_sock"),
        allow("skc_to_udp6_sock"),
        allow("skc_to_unix_sock"),
        allow("skc_to_mptcp_sock"),
    ],
    &[],
)
.needs(Needs::Perfmon);

/// What programs on control groups share.
pub static CGROUP_COMMON: HelperSet = set(
    &[
        allow("get_local_storage"),
        allow("get_retval").when(NotAttach(NO_RETVAL)),
        allow("set_retval").when(NotAttach(NO_RETVAL)),
    ],
    &[],
);

/// Socket filters.
pub static SK_FILTER: HelperSet = set(
    &[
        allow("perf_event_output"),
        allow("skb_load_bytes"),
        allow("get_socket_cookie"),
        allow("get_socket_uid"),
        allow("skb_load_bytes_relative"),
        allow("get_netns_cookie"),
    ],
    &[&SK_BASE],
);

/// Packets of a control group.
pub static CG_SKB: HelperSet = set(
    &[
        allow("perf_event_output"),
        allow("skb_cgroup_id"),
        allow("skb_ancestor_cgroup_id"),
        allow("sk_lookup_tcp"),
        allow("sk_lookup_udp"),
        allow("sk_release"),
        allow("sk_fullsock"),
        allow("tcp_sock"),
        allow("skb_ecn_set_ce"),
        allow("get_listener_sock"),
        allow("skc_lookup_tcp"),
        allow("sk_storage_get"),
        allow("sk_storage_delete"),
        allow("sk_cgroup_id"),
        allow("sk_ancestor_cgroup_id"),
    ],
    &[&CGROUP_COMMON, &SK_FILTER],
);

/// Sockets of a control group.
pub static CG_SOCK: HelperSet = set(
    &[
        allow("perf_event_output"),
        allow("get_socket_cookie"),
        allow("sk_storage_get").variant("cg_sock"),
        allow("get_netns_cookie"),
        allow("ktime_get_coarse_ns"),
    ],
    &[&CGROUP_COMMON, &BASE],
);

/// Addresses that sockets of a control group are given.
pub static CG_SOCK_ADDR: HelperSet = set(
    &[
        allow("perf_event_output"),
        allow("get_socket_cookie"),
        allow("setsockopt").when(Attach(SOCKOPT_ADDR)),
        allow("getsockopt").when(Attach(SOCKOPT_ADDR)),
        allow("bind").when(Attach(CONNECT)),
        allow("sk_lookup_tcp").variant("sock_addr"),
        allow("sk_lookup_udp").variant("sock_addr"),
        allow("sk_release"),
        allow("skc_lookup_tcp").variant("sock_addr"),
        allow("sk_storage_get"),
        allow("sk_storage_delete"),
        allow("get_netns_cookie"),
    ],
    &[&CGROUP_COMMON, &SK_BASE],
);

/// Devices of a control group.
pub static CG_DEVICE: HelperSet = set(&[allow("perf_event_output")], &[&CGROUP_COMMON, &BASE]);

/// Sysctl accesses of a control group.
pub static CG_SYSCTL: HelperSet = set(
    &[
        allow("perf_event_output"),
        allow("sysctl_get_name"),
        allow("sysctl_get_current_value"),
        allow("sysctl_get_new_value"),
        allow("sysctl_set_new_value"),
        allow("ktime_get_coarse_ns"),
    ],
    &[&CGROUP_COMMON, &BASE],
);

/// Socket options of a control group.
pub static CG_SOCKOPT: HelperSet = set(
    &[
        allow("perf_event_output"),
        allow("setsockopt")
            .variant("sk")
            .when(Attach(&[CgroupSetsockopt])),
        allow("getsockopt")
            .variant("sk")
            .when(Attach(&[CgroupSetsockopt])),
        allow("tcp_sock"),
        allow("sk_storage_get"),
        allow("sk_storage_delete"),
        allow("get_netns_cookie"),
    ],
    &[&CGROUP_COMMON, &BASE],
);

/// Traffic control.
pub static TC: HelperSet = set(
    &[
        allow("get_smp_processor_id"),
        allow("skb_store_bytes"),
        allow("l3_csum_replace"),
        allow("l4_csum_replace"),
        allow("clone_redirect"),
        allow("get_cgroup_classid"),
        allow("skb_vlan_push"),
        allow("skb_vlan_pop"),
        allow("skb_get_tunnel_key"),
        allow("skb_set_tunnel_key"),
        allow("redirect"),
        allow("get_route_realm"),
        allow("perf_event_output"),
        allow("skb_load_bytes"),
        allow("csum_diff"),
        allow("skb_get_tunnel_opt"),
        allow("skb_set_tunnel_opt"),
        allow("skb_change_proto"),
        allow("skb_change_type"),
        allow("skb_under_cgroup"),
        allow("get_hash_recalc"),
        allow("skb_change_tail"),
        allow("skb_pull_data"),
        allow("csum_update"),
        allow("set_hash_invalid"),
        allow("skb_change_head"),
        allow("get_socket_cookie"),
        allow("get_socket_uid"),
        allow("set_hash"),
        allow("skb_adjust_room"),
        allow("skb_get_xfrm_state"),
        allow("skb_load_bytes_relative"),
        allow("fib_lookup"),
        allow("skb_cgroup_id"),
        allow("skb_ancestor_cgroup_id"),
        allow("sk_lookup_tcp"),
        allow("sk_lookup_udp"),
        allow("sk_release"),
        allow("sk_fullsock"),
        allow("tcp_sock"),
        allow("skb_ecn_set_ce"),
        allow("get_listener_sock"),
        allow("skc_lookup_tcp"),
        allow("tcp_check_syncookie"),
        allow("sk_storage_get"),
        allow("sk_storage_delete"),
        allow("tcp_gen_syncookie"),
        allow("get_netns_cookie"),
        allow("sk_assign"),
        allow("csum_level"),
        allow("skb_cgroup_classid"),
        allow("redirect_neigh"),
        allow("redirect_peer"),
        allow("check_mtu"),
        allow("skb_set_tstamp"),
        allow("tcp_raw_gen_syncookie_ipv4"),
        allow("tcp_raw_gen_syncookie_ipv6"),
        allow("tcp_raw_check_syncookie_ipv4"),
        allow("tcp_raw_check_syncookie_ipv6"),
    ],
    &[&SK_BASE],
);

/// XDP.
pub static XDP: HelperSet = set(
    &[
        allow("get_smp_processor_id"),
        allow("redirect"),
        allow("perf_event_output"),
        allow("csum_diff"),
        allow("xdp_adjust_head"),
        allow("redirect_map"),
        allow("xdp_adjust_meta"),
        allow("xdp_adjust_tail"),
        allow("fib_lookup"),
        allow("sk_lookup_tcp"),
        allow("sk_lookup_udp"),
        allow("sk_release"),
        allow("skc_lookup_tcp"),
        allow("tcp_check_syncookie"),
        allow("tcp_gen_syncookie"),
        allow("check_mtu"),
        allow("xdp_get_buff_len"),
        allow("xdp_load_bytes"),
        allow("xdp_store_bytes"),
        allow("tcp_raw_gen_syncookie_ipv4"),
        allow("tcp_raw_gen_syncookie_ipv6"),
        allow("tcp_raw_check_syncookie_ipv4"),
        allow("tcp_raw_check_syncookie_ipv6"),
    ],
    &[&SK_BASE],
);

/// Events of TCP sockets.
pub static SOCK_OPS: HelperSet = set(
    &[
        allow("perf_event_output"),
        allow("get_socket_cookie"),
        allow("setsockopt"),
        allow("sock_map_update"),
        allow("getsockopt"),
        allow("sock_ops_cb_flags_set"),
        allow("sock_hash_update"),
        allow("tcp_sock"),
        allow("sk_storage_get"),
        allow("sk_storage_delete"),
        allow("get_netns_cookie"),
        allow("load_hdr_opt"),
        allow("store_hdr_opt"),
        allow("reserve_hdr_opt"),
    ],
    &[&CGROUP_COMMON, &SK_BASE],
);

/// Messages of sockets in a map.
pub static SK_MSG: HelperSet = set(
    &[
        allow("perf_event_output"),
        allow("msg_redirect_map"),
        allow("msg_apply_bytes"),
        allow("msg_cork_bytes"),
        allow("msg_pull_data"),
        allow("msg_redirect_hash"),
        allow("msg_push_data"),
        allow("msg_pop_data"),
        allow("sk_storage_get"),
        allow("sk_storage_delete"),
        allow("get_netns_cookie"),
    ],
    &[&SK_BASE],
);

/// Packets of sockets in a map.
pub static SK_SKB: HelperSet = set(
    &[
        allow("skb_store_bytes"),
        allow("perf_event_output"),
        allow("skb_load_bytes"),
        allow("skb_change_tail"),
        allow("skb_pull_data"),
        allow("skb_change_head"),
        allow("get_socket_cookie"),
        allow("get_socket_uid"),
        allow("skb_adjust_room"),
        allow("sk_redirect_map"),
        allow("sk_redirect_hash"),
        allow("sk_lookup_tcp"),
        allow("sk_lookup_udp"),
        allow("sk_release"),
        allow("skc_lookup_tcp"),
    ],
    &[&SK_BASE],
);

/// Flow dissectors.
pub static FLOW_DISSECTOR: HelperSet = set(&[allow("skb_load_bytes")], &[&SK_BASE]);

/// Lightweight tunnels, output.
pub static LWT_OUT: HelperSet = set(
    &[
        allow("get_smp_processor_id"),
        allow("get_cgroup_classid"),
        allow("get_route_realm"),
        allow("perf_event_output"),
        allow("skb_load_bytes"),
        allow("csum_diff"),
        allow("skb_under_cgroup"),
        allow("get_hash_recalc"),
        allow("skb_pull_data"),
    ],
    &[&SK_BASE],
);

/// Lightweight tunnels, input.
pub static LWT_IN: HelperSet = set(&[allow("lwt_push_encap")], &[&LWT_OUT]);

/// Lightweight tunnels, transmission.
pub static LWT_XMIT: HelperSet = set(
    &[
        allow("skb_store_bytes"),
        allow("l3_csum_replace"),
        allow("l4_csum_replace"),
        allow("clone_redirect"),
        allow("skb_get_tunnel_key"),
        allow("skb_set_tunnel_key"),
        allow("redirect"),
        allow("skb_get_tunnel_opt"),
        allow("skb_set_tunnel_opt"),
        allow("skb_change_tail"),
        allow("csum_update"),
        allow("set_hash_invalid"),
        allow("skb_change_head"),
        allow("lwt_push_encap"),
        allow("csum_level"),
    ],
    &[&LWT_OUT],
);

/// Lightweight tunnels, segment routing.
pub static LWT_SEG6LOCAL: HelperSet = set(
    &[
        allow("lwt_seg6_store_bytes"),
        allow("lwt_seg6_adjust_srh"),
        allow("lwt_seg6_action"),
    ],
    &[&LWT_OUT],
);

/// Choice among sockets of one port.
pub static SK_REUSEPORT: HelperSet = set(
    &[
        allow("skb_load_bytes"),
        allow("get_socket_cookie").variant("sock_ptr"),
        allow("skb_load_bytes_relative"),
        allow("sk_select_reuseport"),
        allow("ktime_get_coarse_ns"),
    ],
    &[&BASE],
);

/// Choice of the listening socket.
pub static SK_LOOKUP: HelperSet = set(
    &[
        allow("perf_event_output"),
        allow("sk_release"),
        allow("sk_assign").variant("sk_lookup"),
    ],
    &[&SK_BASE],
);

/// What tracing programs share.
pub static TRACING_BASE: HelperSet = set(
    &[
        allow("probe_read"),
        allow("get_smp_processor_id"),
        allow("probe_read_str"),
        allow("get_func_ip"),
        allow("get_func_ip"),
    ],
    &[&TRACING_ADMIN, &BASE],
);

/// Writing to processes, for those loaded with CAP_SYS_ADMIN.
pub static TRACING_ADMIN: HelperSet = set(&[allow("probe_write_user")], &[]).needs(Needs::SysAdmin);

/// Kprobes and uprobes.
pub static KPROBE: HelperSet = set(
    &[
        allow("perf_event_output"),
        allow("get_stackid"),
        allow("override_return").when(Never),
        allow("get_stack"),
        allow("get_func_ip")
            .variant("kprobe_multi")
            .when(Attach(MULTI)),
        allow("get_func_ip"),
        allow("get_attach_cookie"),
    ],
    &[&TRACING_BASE],
);

/// Tracepoints.
pub static TRACEPOINT: HelperSet = set(
    &[
        allow("perf_event_output"),
        allow("get_stackid"),
        allow("get_stack"),
        allow("get_attach_cookie"),
    ],
    &[&TRACING_BASE],
);

/// Perf events.
pub static PERF_EVENT: HelperSet = set(
    &[
        allow("perf_event_output"),
        allow("get_stackid").variant("pe"),
        allow("perf_prog_read_value"),
        allow("get_stack"),
        allow("read_branch_records"),
        allow("get_attach_cookie"),
    ],
    &[&TRACING_BASE],
);

/// Raw tracepoints.
pub static RAW_TRACEPOINT: HelperSet = set(
    &[
        allow("perf_event_output"),
        allow("get_stackid"),
        allow("get_stack"),
        allow("get_attach_cookie"),
    ],
    &[&TRACING_BASE],
);

/// Functions, BTF tracepoints and iterators; syscall programs too.
pub static TRACING: HelperSet = set(
    &[
        allow("get_socket_cookie").variant("sock_ptr"),
        allow("setsockopt")
            .variant("sk")
            .when(All(&[Attach(ITER), Target(SOCK_ITERS)])),
        allow("getsockopt")
            .variant("sk")
            .when(All(&[Attach(ITER), Target(SOCK_ITERS)])),
        allow("sk_storage_get").variant("tracing"),
        allow("sk_storage_delete").variant("tracing"),
        allow("skb_output"),
        allow("xdp_output"),
        allow("seq_printf").when(Attach(ITER)),
        allow("seq_write").when(Attach(ITER)),
        allow("skc_to_tcp6_sock"),
        allow("skc_to_tcp_sock"),
        allow("skc_to_tcp_timewait_sock"),
        allow("skc_to_tcp_request_sock"),
        allow("skc_to_udp6_sock"),
        allow("d_path"),
        allow("seq_printf_btf").when(Attach(ITER)),
        allow("sock_from_file"),
        allow("get_attach_cookie").when(All(&[Type(&[Tracing]), Attach(&[TraceRawTp])])),
        allow("get_attach_cookie").when(Trampoline),
        deny("get_attach_cookie"),
        allow("skc_to_unix_sock"),
        allow("get_func_arg").when(Trampoline),
        allow("get_func_ret").when(Trampoline),
        allow("get_func_arg_cnt").when(Trampoline),
        allow("xdp_get_buff_len").variant("trace"),
        allow("skc_to_mptcp_sock"),
    ],
    &[&RAW_TRACEPOINT],
);

/// LSM hooks.
pub static LSM: HelperSet = set(
    &[
        allow("setsockopt")
            .variant("sk")
            .when(All(&[Attach(&[LsmCgroup]), Target(attach::SOCKOPT_LSM)])),
        allow("getsockopt")
            .variant("sk")
            .when(All(&[Attach(&[LsmCgroup]), Target(attach::SOCKOPT_LSM)])),
        allow("get_local_storage").when(Attach(&[LsmCgroup])),
        allow("spin_lock"),
        allow("spin_unlock"),
        allow("sk_storage_get"),
        allow("sk_storage_delete"),
        allow("inode_storage_get"),
        allow("inode_storage_delete"),
        allow("bprm_opts_set"),
        allow("ima_inode_hash"),
        allow("get_attach_cookie").when(Trampoline),
        deny("get_attach_cookie"),
        allow("get_retval").when(Attach(&[LsmCgroup])),
        allow("set_retval").when(Attach(&[LsmCgroup])),
        allow("ima_file_hash"),
    ],
    &[&TRACING],
);

/// Programs that make system calls.
pub static SYSCALL: HelperSet = set(
    &[
        allow("sys_bpf"),
        allow("btf_find_by_name_kind"),
        allow("sys_close"),
        allow("kallsyms_lookup_name"),
    ],
    &[&TRACING],
);

/// Members of kernel structures.
pub static STRUCT_OPS: HelperSet = set(
    &[
        allow("setsockopt")
            .variant("sk")
            .when(Member("tcp_congestion_ops", "release")),
        allow("getsockopt")
            .variant("sk")
            .when(Member("tcp_congestion_ops", "release")),
        allow("sk_storage_get").when(Member("tcp_congestion_ops", "")),
        allow("sk_storage_delete").when(Member("tcp_congestion_ops", "")),
        allow("tcp_send_ack").when(Member("tcp_congestion_ops", "")),
        allow("ktime_get_coarse_ns").when(Member("tcp_congestion_ops", "")),
    ],
    &[&BASE],
);

/// Infrared receivers.
pub static LIRC: HelperSet = set(
    &[
        allow("map_lookup_elem"),
        allow("map_update_elem"),
        allow("map_delete_elem"),
        allow("ktime_get_ns"),
        allow("get_prandom_u32"),
        allow("tail_call"),
        allow("rc_repeat"),
        allow("rc_keydown"),
        allow("map_push_elem"),
        allow("map_pop_elem"),
        allow("map_peek_elem"),
        allow("rc_pointer_rel"),
        allow("ktime_get_boot_ns"),
    ],
    &[&LIRC_PERFMON],
);

/// Infrared receivers, for those loaded with CAP_PERFMON.
pub static LIRC_PERFMON: HelperSet = set(&[allow("trace_printk")], &[]).needs(Needs::Perfmon);
