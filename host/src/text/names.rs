//! What return values are called.

use skep_spec::ProgType;

/// The name of a return value at the program's hook, or what it means; empty where it has none.
pub fn verdict(ty: ProgType, value: u32) -> String {
    if ty == ProgType::SocketFilter {
        return socket_filter(value);
    }
    let name = table(ty)
        .iter()
        .find(|(number, _)| *number == value.cast_signed());
    name.map_or_else(String::new, |(_, name)| (*name).to_owned())
}

/// The return value of that name, upper case or lower, with its prefix or without.
pub fn value(ty: ProgType, name: &str) -> Option<u32> {
    let same = |full: &str| {
        let short = full.rsplit_once("ACT_").or_else(|| full.split_once('_'));
        full.eq_ignore_ascii_case(name) || short.is_some_and(|s| s.1.eq_ignore_ascii_case(name))
    };
    let row = table(ty).iter().find(|(_, full)| same(full));
    row.map(|(number, _)| number.cast_unsigned())
}

/// The names of return values of a type.
pub fn all(ty: ProgType) -> Vec<&'static str> {
    table(ty).iter().map(|(_, name)| *name).collect()
}

fn table(ty: ProgType) -> &'static [(i32, &'static str)] {
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

fn socket_filter(value: u32) -> String {
    match value {
        0 => "drops the packet".to_owned(),
        u32::MAX => "keeps the whole packet".to_owned(),
        kept => format!("keeps at most {kept} bytes"),
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
    fn values_are_named_by_their_hook() {
        assert_eq!(verdict(ProgType::Xdp, 2), "XDP_PASS");
        assert_eq!(verdict(ProgType::SchedCls, u32::MAX), "TC_ACT_UNSPEC");
        assert_eq!(verdict(ProgType::SchedCls, 2), "TC_ACT_SHOT");
        assert_eq!(
            verdict(ProgType::SocketFilter, 40),
            "keeps at most 40 bytes"
        );
        assert_eq!(verdict(ProgType::Tracepoint, 0), "");
        assert_eq!(verdict(ProgType::Xdp, 9), "");
        assert_eq!(value(ProgType::Xdp, "XDP_TX"), Some(3));
        assert_eq!(value(ProgType::Xdp, "tx"), Some(3));
        assert_eq!(value(ProgType::SchedCls, "shot"), Some(2));
        assert_eq!(value(ProgType::SchedCls, "XDP_TX"), None);
    }
}
