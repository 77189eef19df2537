//! What return values are called, by the type of the program that returns them (the uapi enums
//! `xdp_action`, `bpf_ret_code`, `sk_action`; `TC_ACT_*`; netfilter's verdicts; 0 and 1 of control groups).

use crate::ProgType;

/// Numbers with the kernel's names, ascending; none where values have no names.
pub fn of(ty: ProgType) -> &'static [(i32, &'static str)] {
    match ty {
        ProgType::Xdp => &XDP,
        ProgType::SchedCls | ProgType::SchedAct => &TC,
        ProgType::LwtIn | ProgType::LwtOut | ProgType::LwtXmit | ProgType::LwtSeg6local => &LWT,
        ProgType::SkSkb | ProgType::SkMsg | ProgType::SkLookup | ProgType::SkReuseport => &SK,
        ProgType::CgroupSkb
        | ProgType::CgroupSock
        | ProgType::CgroupDevice
        | ProgType::CgroupSockAddr
        | ProgType::CgroupSysctl
        | ProgType::CgroupSockopt => &CGROUP,
        ProgType::Netfilter => &NETFILTER,
        ProgType::Unspec
        | ProgType::SocketFilter
        | ProgType::Kprobe
        | ProgType::Tracepoint
        | ProgType::PerfEvent
        | ProgType::SockOps
        | ProgType::RawTracepoint
        | ProgType::LircMode2
        | ProgType::FlowDissector
        | ProgType::RawTracepointWritable
        | ProgType::Tracing
        | ProgType::StructOps
        | ProgType::Ext
        | ProgType::Lsm
        | ProgType::Syscall => &[],
    }
}

const XDP: [(i32, &str); 5] = [
    (0, "XDP_ABORTED"),
    (1, "XDP_DROP"),
    (2, "XDP_PASS"),
    (3, "XDP_TX"),
    (4, "XDP_REDIRECT"),
];

const TC: [(i32, &str); 10] = [
    (-1, "TC_ACT_UNSPEC"),
    (0, "TC_ACT_OK"),
    (1, "TC_ACT_RECLASSIFY"),
    (2, "TC_ACT_SHOT"),
    (3, "TC_ACT_PIPE"),
    (4, "TC_ACT_STOLEN"),
    (5, "TC_ACT_QUEUED"),
    (6, "TC_ACT_REPEAT"),
    (7, "TC_ACT_REDIRECT"),
    (8, "TC_ACT_TRAP"),
];

const LWT: [(i32, &str); 4] = [
    (0, "BPF_OK"),
    (2, "BPF_DROP"),
    (7, "BPF_REDIRECT"),
    (128, "BPF_LWT_REROUTE"),
];

const SK: [(i32, &str); 2] = [(0, "SK_DROP"), (1, "SK_PASS")];

const CGROUP: [(i32, &str); 2] = [(0, "refused"), (1, "allowed")];

const NETFILTER: [(i32, &str); 2] = [(0, "NF_DROP"), (1, "NF_ACCEPT")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ascend() {
        for ty in ProgType::all() {
            assert!(of(ty).is_sorted_by(|a, b| a.0 < b.0), "{ty}");
        }
    }
}
