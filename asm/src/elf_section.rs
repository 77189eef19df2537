//! The section that libbpf expects a program of some type in, by its naming rules.

use skep_spec::{AttachType as A, ProgFlags, ProgType as P, ProgramSpec};

/// Attach type number 0, which also stands for "none".
const NONE: A = A::CgroupInetIngress;

/// Type, attach type and section, the usual attach type of a type first. A name that ends in `+` may
/// be followed by `/` and what the program attaches to.
#[rustfmt::skip]
const SECTIONS: &[(P, A, &str)] = &[
    (P::SocketFilter,          NONE,                         "socket"),
    (P::Kprobe,                NONE,                         "kprobe+"),
    (P::Kprobe,                A::TraceKprobeMulti,          "kprobe.multi+"),
    (P::Kprobe,                A::TraceKprobeSession,        "kprobe.session+"),
    (P::Kprobe,                A::TraceUprobeMulti,          "uprobe.multi+"),
    (P::Kprobe,                A::TraceUprobeSession,        "uprobe.session+"),
    (P::SchedCls,              NONE,                         "tc"),
    (P::SchedCls,              A::TcxIngress,                "tcx/ingress"),
    (P::SchedCls,              A::TcxEgress,                 "tcx/egress"),
    (P::SchedCls,              A::NetkitPrimary,             "netkit/primary"),
    (P::SchedCls,              A::NetkitPeer,                "netkit/peer"),
    (P::SchedAct,              NONE,                         "action"),
    (P::Tracepoint,            NONE,                         "tracepoint+"),
    (P::Xdp,                   A::Xdp,                       "xdp"),
    (P::Xdp,                   A::XdpDevmap,                 "xdp/devmap"),
    (P::Xdp,                   A::XdpCpumap,                 "xdp/cpumap"),
    (P::PerfEvent,             NONE,                         "perf_event"),
    (P::CgroupSkb,             NONE,                         "cgroup/skb"),
    (P::CgroupSkb,             A::CgroupInetEgress,          "cgroup_skb/egress"),
    (P::CgroupSock,            A::CgroupInetSockCreate,      "cgroup/sock_create"),
    (P::CgroupSock,            A::CgroupInetSockRelease,     "cgroup/sock_release"),
    (P::CgroupSock,            A::CgroupInet4PostBind,       "cgroup/post_bind4"),
    (P::CgroupSock,            A::CgroupInet6PostBind,       "cgroup/post_bind6"),
    (P::LwtIn,                 NONE,                         "lwt_in"),
    (P::LwtOut,                NONE,                         "lwt_out"),
    (P::LwtXmit,               NONE,                         "lwt_xmit"),
    (P::SockOps,               A::CgroupSockOps,             "sockops"),
    (P::SkSkb,                 NONE,                         "sk_skb"),
    (P::SkSkb,                 A::SkSkbStreamParser,         "sk_skb/stream_parser"),
    (P::SkSkb,                 A::SkSkbStreamVerdict,        "sk_skb/stream_verdict"),
    (P::SkSkb,                 A::SkSkbVerdict,              "sk_skb/verdict"),
    (P::CgroupDevice,          A::CgroupDevice,              "cgroup/dev"),
    (P::SkMsg,                 A::SkMsgVerdict,              "sk_msg"),
    (P::RawTracepoint,         NONE,                         "raw_tp+"),
    (P::CgroupSockAddr,        A::CgroupInet4Bind,           "cgroup/bind4"),
    (P::CgroupSockAddr,        A::CgroupInet6Bind,           "cgroup/bind6"),
    (P::CgroupSockAddr,        A::CgroupInet4Connect,        "cgroup/connect4"),
    (P::CgroupSockAddr,        A::CgroupInet6Connect,        "cgroup/connect6"),
    (P::CgroupSockAddr,        A::CgroupUnixConnect,         "cgroup/connect_unix"),
    (P::CgroupSockAddr,        A::CgroupUdp4Sendmsg,         "cgroup/sendmsg4"),
    (P::CgroupSockAddr,        A::CgroupUdp6Sendmsg,         "cgroup/sendmsg6"),
    (P::CgroupSockAddr,        A::CgroupUnixSendmsg,         "cgroup/sendmsg_unix"),
    (P::CgroupSockAddr,        A::CgroupUdp4Recvmsg,         "cgroup/recvmsg4"),
    (P::CgroupSockAddr,        A::CgroupUdp6Recvmsg,         "cgroup/recvmsg6"),
    (P::CgroupSockAddr,        A::CgroupUnixRecvmsg,         "cgroup/recvmsg_unix"),
    (P::CgroupSockAddr,        A::CgroupInet4Getpeername,    "cgroup/getpeername4"),
    (P::CgroupSockAddr,        A::CgroupInet6Getpeername,    "cgroup/getpeername6"),
    (P::CgroupSockAddr,        A::CgroupUnixGetpeername,     "cgroup/getpeername_unix"),
    (P::CgroupSockAddr,        A::CgroupInet4Getsockname,    "cgroup/getsockname4"),
    (P::CgroupSockAddr,        A::CgroupInet6Getsockname,    "cgroup/getsockname6"),
    (P::CgroupSockAddr,        A::CgroupUnixGetsockname,     "cgroup/getsockname_unix"),
    (P::LwtSeg6local,          NONE,                         "lwt_seg6local"),
    (P::LircMode2,             A::LircMode2,                 "lirc_mode2"),
    (P::SkReuseport,           A::SkReuseportSelect,         "sk_reuseport"),
    (P::SkReuseport,           A::SkReuseportSelectOrMigrate, "sk_reuseport/migrate"),
    (P::FlowDissector,         A::FlowDissector,             "flow_dissector"),
    (P::CgroupSysctl,          A::CgroupSysctl,              "cgroup/sysctl"),
    (P::RawTracepointWritable, NONE,                         "raw_tp.w+"),
    (P::CgroupSockopt,         A::CgroupGetsockopt,          "cgroup/getsockopt"),
    (P::CgroupSockopt,         A::CgroupSetsockopt,          "cgroup/setsockopt"),
    (P::Tracing,               A::TraceFentry,               "fentry+"),
    (P::Tracing,               A::TraceFexit,                "fexit+"),
    (P::Tracing,               A::ModifyReturn,              "fmod_ret+"),
    (P::Tracing,               A::TraceRawTp,                "tp_btf+"),
    (P::Tracing,               A::TraceIter,                 "iter+"),
    (P::Tracing,               A::TraceFsession,             "fsession+"),
    (P::Tracing,               A::TraceFentryMulti,          "fentry.multi+"),
    (P::Tracing,               A::TraceFexitMulti,           "fexit.multi+"),
    (P::Tracing,               A::TraceFsessionMulti,        "fsession.multi+"),
    (P::StructOps,             NONE,                         "struct_ops+"),
    (P::Ext,                   NONE,                         "freplace+"),
    (P::Lsm,                   A::LsmMac,                    "lsm+"),
    (P::Lsm,                   A::LsmCgroup,                 "lsm_cgroup+"),
    (P::SkLookup,              A::SkLookup,                  "sk_lookup"),
    (P::Syscall,               NONE,                         "syscall"),
    (P::Netfilter,             A::Netfilter,                 "netfilter"),
];

/// The section for a program: its own if it names one.
pub(crate) fn section(program: &ProgramSpec) -> String {
    let optional = if program.autoload { "" } else { "?" };
    if !program.section.is_empty() {
        let named = program.section.trim_start_matches('?');
        return format!("{optional}{named}");
    }
    let rows = || SECTIONS.iter().filter(|row| row.0 == program.ty);
    let row = rows()
        .find(|row| row.1 == program.attach)
        .or_else(|| rows().next());
    let Some((_, _, pattern)) = row else {
        return format!("{optional}{}", program.ty);
    };
    let stem = pattern.trim_end_matches('+');
    // The variant with fragments is named before an attach point, the sleepable one behind.
    let frags = program.ty == P::Xdp && program.flags.contains(ProgFlags::XDP_HAS_FRAGS);
    let mut name = if frags {
        stem.replacen("xdp", "xdp.frags", 1)
    } else {
        stem.to_owned()
    };
    let takes_target = pattern.ends_with('+');
    if takes_target && program.flags.contains(ProgFlags::SLEEPABLE) {
        name.push_str(".s");
    }
    if takes_target && !program.attach_to.is_empty() {
        name = format!("{name}/{}", program.attach_to);
    }
    format!("{optional}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_loader::sec_rule;

    #[test]
    fn loaders_read_the_type_back() {
        for (ty, attach, _) in SECTIONS {
            for flags in [
                ProgFlags::empty(),
                ProgFlags::SLEEPABLE,
                ProgFlags::XDP_HAS_FRAGS,
            ] {
                let mut program = ProgramSpec::new("p", *ty, Vec::new());
                program.attach = *attach;
                program.flags = flags;
                let name = section(&program);
                let rule = sec_rule(&name);
                // Not every type has a sleepable variant; system call programs have no other.
                let sleeps = flags == ProgFlags::SLEEPABLE || *ty == P::Syscall;
                let Some(rule) = rule else {
                    assert!(sleeps, "{name}");
                    continue;
                };
                assert_eq!((rule.ty, rule.attach), (*ty, *attach), "{name}");
                let frags = *ty == P::Xdp && flags == ProgFlags::XDP_HAS_FRAGS;
                assert_eq!(
                    rule.flags.contains(ProgFlags::XDP_HAS_FRAGS),
                    frags,
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn every_type_has_a_section() {
        for ty in P::all().filter(|ty| *ty != P::Unspec) {
            let name = section(&ProgramSpec::new("p", ty, Vec::new()));
            assert_eq!(sec_rule(&name).map(|rule| rule.ty), Some(ty), "{name}");
        }
    }
}
