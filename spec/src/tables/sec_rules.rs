//! libbpf's `SEC()` rules: what a section's name says about the programs in it.
//!
//! Sources: `section_defs` of libbpf 1.5 and of Linux 7.3's. A pattern that ends in `+` stands for
//! the name alone or followed by `/` and an attach target; any other must match exactly. The first
//! matching row counts. The other way round, [`written_rule`] finds the row whose name an object
//! writer gives to a program.

use crate::{AttachType as A, ProgFlags, ProgType as P};

/// What a section name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecRule {
    /// The pattern, `+` included.
    pub pattern: &'static str,
    /// Program type.
    pub ty: P,
    /// Expected attach type.
    pub attach: A,
    /// Flags.
    pub flags: ProgFlags,
    /// Whether the program attaches to a type or function of a BTF (the kernel's or a program's).
    pub attaches_to_btf: bool,
    /// Whether it is a USDT probe, whose attach type depends on the kernel.
    pub usdt: bool,
    /// Whether this of several fitting rows names the section of a program that is written.
    preferred: bool,
}

const fn sec(pattern: &'static str, ty: P, attach: A) -> SecRule {
    let flags = ProgFlags::empty();
    SecRule {
        pattern,
        ty,
        attach,
        flags,
        attaches_to_btf: false,
        usdt: false,
        preferred: false,
    }
}

impl SecRule {
    const fn sleepable(self) -> SecRule {
        SecRule {
            flags: ProgFlags::SLEEPABLE,
            ..self
        }
    }

    const fn frags(self) -> SecRule {
        SecRule {
            flags: ProgFlags::XDP_HAS_FRAGS,
            ..self
        }
    }

    const fn btf(self) -> SecRule {
        SecRule {
            attaches_to_btf: true,
            ..self
        }
    }

    const fn usdt(self) -> SecRule {
        SecRule { usdt: true, ..self }
    }

    const fn preferred(self) -> SecRule {
        SecRule {
            preferred: true,
            ..self
        }
    }

    /// The pattern without its `+`.
    pub fn stem(&self) -> &'static str {
        self.pattern.strip_suffix('+').unwrap_or(self.pattern)
    }

    /// Whether an attach target may follow behind a slash.
    pub fn takes_target(&self) -> bool {
        self.pattern.ends_with('+')
    }

    fn matches(&self, name: &str) -> bool {
        match name.strip_prefix(self.stem()) {
            None => false,
            Some("") => true,
            Some(rest) => self.takes_target() && rest.starts_with('/'),
        }
    }
}

/// Attach type number 0, which also stands for "none".
const NONE: A = A::CgroupInetIngress;

/// All rules in libbpf's order.
#[rustfmt::skip]
pub static SEC_RULES: &[SecRule] = &[
    sec("socket",                   P::SocketFilter,          NONE),
    sec("sk_reuseport/migrate",     P::SkReuseport,           A::SkReuseportSelectOrMigrate),
    sec("sk_reuseport",             P::SkReuseport,           A::SkReuseportSelect).preferred(),
    sec("kprobe+",                  P::Kprobe,                NONE),
    sec("uprobe+",                  P::Kprobe,                NONE),
    sec("uprobe.s+",                P::Kprobe,                NONE).sleepable(),
    sec("kretprobe+",               P::Kprobe,                NONE),
    sec("uretprobe+",               P::Kprobe,                NONE),
    sec("uretprobe.s+",             P::Kprobe,                NONE).sleepable(),
    sec("kprobe.multi+",            P::Kprobe,                A::TraceKprobeMulti),
    sec("kretprobe.multi+",         P::Kprobe,                A::TraceKprobeMulti),
    sec("kprobe.session+",          P::Kprobe,                A::TraceKprobeSession),
    sec("uprobe.multi+",            P::Kprobe,                A::TraceUprobeMulti),
    sec("uretprobe.multi+",         P::Kprobe,                A::TraceUprobeMulti),
    sec("uprobe.session+",          P::Kprobe,                A::TraceUprobeSession),
    sec("uprobe.multi.s+",          P::Kprobe,                A::TraceUprobeMulti).sleepable(),
    sec("uretprobe.multi.s+",       P::Kprobe,                A::TraceUprobeMulti).sleepable(),
    sec("uprobe.session.s+",        P::Kprobe,                A::TraceUprobeSession).sleepable(),
    sec("ksyscall+",                P::Kprobe,                NONE),
    sec("kretsyscall+",             P::Kprobe,                NONE),
    sec("usdt+",                    P::Kprobe,                NONE).usdt(),
    sec("usdt.s+",                  P::Kprobe,                NONE).sleepable().usdt(),
    sec("tc/ingress",               P::SchedCls,              A::TcxIngress),
    sec("tc/egress",                P::SchedCls,              A::TcxEgress),
    sec("tcx/ingress",              P::SchedCls,              A::TcxIngress).preferred(),
    sec("tcx/egress",               P::SchedCls,              A::TcxEgress).preferred(),
    sec("tc",                       P::SchedCls,              NONE),
    sec("classifier",               P::SchedCls,              NONE),
    sec("action",                   P::SchedAct,              NONE),
    sec("netkit/primary",           P::SchedCls,              A::NetkitPrimary),
    sec("netkit/peer",              P::SchedCls,              A::NetkitPeer),
    sec("tracepoint+",              P::Tracepoint,            NONE),
    sec("tp+",                      P::Tracepoint,            NONE),
    sec("tracepoint.s+",            P::Tracepoint,            NONE).sleepable(),
    sec("tp.s+",                    P::Tracepoint,            NONE).sleepable(),
    sec("raw_tracepoint+",          P::RawTracepoint,         NONE),
    sec("raw_tp+",                  P::RawTracepoint,         NONE).preferred(),
    sec("raw_tracepoint.s+",        P::RawTracepoint,         NONE).sleepable(),
    sec("raw_tp.s+",                P::RawTracepoint,         NONE).sleepable(),
    sec("raw_tracepoint.w+",        P::RawTracepointWritable, NONE),
    sec("raw_tp.w+",                P::RawTracepointWritable, NONE).preferred(),
    sec("tp_btf+",                  P::Tracing,               A::TraceRawTp).btf(),
    sec("tp_btf.s+",                P::Tracing,               A::TraceRawTp).btf().sleepable(),
    sec("fentry+",                  P::Tracing,               A::TraceFentry).btf().preferred(),
    sec("fmod_ret+",                P::Tracing,               A::ModifyReturn).btf(),
    sec("fexit+",                   P::Tracing,               A::TraceFexit).btf(),
    sec("fsession+",                P::Tracing,               A::TraceFsession).btf(),
    sec("fentry.s+",                P::Tracing,               A::TraceFentry).btf().sleepable(),
    sec("fmod_ret.s+",              P::Tracing,               A::ModifyReturn).btf().sleepable(),
    sec("fexit.s+",                 P::Tracing,               A::TraceFexit).btf().sleepable(),
    sec("fsession.s+",              P::Tracing,               A::TraceFsession).btf().sleepable(),
    sec("fsession.multi+",          P::Tracing,               A::TraceFsessionMulti),
    sec("fsession.multi.s+",        P::Tracing,               A::TraceFsessionMulti).sleepable(),
    sec("fentry.multi+",            P::Tracing,               A::TraceFentryMulti),
    sec("fexit.multi+",             P::Tracing,               A::TraceFexitMulti),
    sec("fentry.multi.s+",          P::Tracing,               A::TraceFentryMulti).sleepable(),
    sec("fexit.multi.s+",           P::Tracing,               A::TraceFexitMulti).sleepable(),
    sec("freplace+",                P::Ext,                   NONE).btf(),
    sec("lsm+",                     P::Lsm,                   A::LsmMac).btf(),
    sec("lsm.s+",                   P::Lsm,                   A::LsmMac).btf().sleepable(),
    sec("lsm_cgroup+",              P::Lsm,                   A::LsmCgroup).btf(),
    sec("iter+",                    P::Tracing,               A::TraceIter).btf(),
    sec("iter.s+",                  P::Tracing,               A::TraceIter).btf().sleepable(),
    sec("syscall",                  P::Syscall,               NONE).sleepable(),
    sec("xdp.frags/devmap",         P::Xdp,                   A::XdpDevmap).frags(),
    sec("xdp/devmap",               P::Xdp,                   A::XdpDevmap),
    sec("xdp.frags/cpumap",         P::Xdp,                   A::XdpCpumap).frags(),
    sec("xdp/cpumap",               P::Xdp,                   A::XdpCpumap),
    sec("xdp.frags",                P::Xdp,                   A::Xdp).frags(),
    sec("xdp",                      P::Xdp,                   A::Xdp).preferred(),
    sec("perf_event",               P::PerfEvent,             NONE),
    sec("lwt_in",                   P::LwtIn,                 NONE),
    sec("lwt_out",                  P::LwtOut,                NONE),
    sec("lwt_xmit",                 P::LwtXmit,               NONE),
    sec("lwt_seg6local",            P::LwtSeg6local,          NONE),
    sec("sockops",                  P::SockOps,               A::CgroupSockOps),
    sec("sk_skb/stream_parser",     P::SkSkb,                 A::SkSkbStreamParser),
    sec("sk_skb/stream_verdict",    P::SkSkb,                 A::SkSkbStreamVerdict),
    sec("sk_skb/verdict",           P::SkSkb,                 A::SkSkbVerdict),
    sec("sk_skb",                   P::SkSkb,                 NONE),
    sec("sk_msg",                   P::SkMsg,                 A::SkMsgVerdict),
    sec("lirc_mode2",               P::LircMode2,             A::LircMode2),
    sec("flow_dissector",           P::FlowDissector,         A::FlowDissector),
    sec("cgroup_skb/ingress",       P::CgroupSkb,             A::CgroupInetIngress),
    sec("cgroup_skb/egress",        P::CgroupSkb,             A::CgroupInetEgress),
    sec("cgroup/skb",               P::CgroupSkb,             NONE).preferred(),
    sec("cgroup/sock_create",       P::CgroupSock,            A::CgroupInetSockCreate),
    sec("cgroup/sock_release",      P::CgroupSock,            A::CgroupInetSockRelease),
    sec("cgroup/sock",              P::CgroupSock,            A::CgroupInetSockCreate),
    sec("cgroup/post_bind4",        P::CgroupSock,            A::CgroupInet4PostBind),
    sec("cgroup/post_bind6",        P::CgroupSock,            A::CgroupInet6PostBind),
    sec("cgroup/bind4",             P::CgroupSockAddr,        A::CgroupInet4Bind),
    sec("cgroup/bind6",             P::CgroupSockAddr,        A::CgroupInet6Bind),
    sec("cgroup/connect4",          P::CgroupSockAddr,        A::CgroupInet4Connect),
    sec("cgroup/connect6",          P::CgroupSockAddr,        A::CgroupInet6Connect),
    sec("cgroup/connect_unix",      P::CgroupSockAddr,        A::CgroupUnixConnect),
    sec("cgroup/sendmsg4",          P::CgroupSockAddr,        A::CgroupUdp4Sendmsg),
    sec("cgroup/sendmsg6",          P::CgroupSockAddr,        A::CgroupUdp6Sendmsg),
    sec("cgroup/sendmsg_unix",      P::CgroupSockAddr,        A::CgroupUnixSendmsg),
    sec("cgroup/recvmsg4",          P::CgroupSockAddr,        A::CgroupUdp4Recvmsg),
    sec("cgroup/recvmsg6",          P::CgroupSockAddr,        A::CgroupUdp6Recvmsg),
    sec("cgroup/recvmsg_unix",      P::CgroupSockAddr,        A::CgroupUnixRecvmsg),
    sec("cgroup/getpeername4",      P::CgroupSockAddr,        A::CgroupInet4Getpeername),
    sec("cgroup/getpeername6",      P::CgroupSockAddr,        A::CgroupInet6Getpeername),
    sec("cgroup/getpeername_unix",  P::CgroupSockAddr,        A::CgroupUnixGetpeername),
    sec("cgroup/getsockname4",      P::CgroupSockAddr,        A::CgroupInet4Getsockname),
    sec("cgroup/getsockname6",      P::CgroupSockAddr,        A::CgroupInet6Getsockname),
    sec("cgroup/getsockname_unix",  P::CgroupSockAddr,        A::CgroupUnixGetsockname),
    sec("cgroup/sysctl",            P::CgroupSysctl,          A::CgroupSysctl),
    sec("cgroup/getsockopt",        P::CgroupSockopt,         A::CgroupGetsockopt),
    sec("cgroup/setsockopt",        P::CgroupSockopt,         A::CgroupSetsockopt),
    sec("cgroup/dev",               P::CgroupDevice,          A::CgroupDevice),
    sec("struct_ops+",              P::StructOps,             NONE),
    sec("struct_ops.s+",            P::StructOps,             NONE).sleepable(),
    sec("sk_lookup",                P::SkLookup,              A::SkLookup),
    sec("netfilter",                P::Netfilter,             A::Netfilter),
];

/// The rule for a section (without a leading `?`), or `None` if libbpf would not know the type.
pub fn sec_rule(name: &str) -> Option<&'static SecRule> {
    SEC_RULES.iter().find(|rule| rule.matches(name))
}

/// The rule that libbpf before 1.0 would have found: the longest pattern that the name begins
/// with. Objects of that age have no BTF and sections such as `xdp_prog` or `classifier/egress`.
pub fn sloppy_rule(name: &str) -> Option<&'static SecRule> {
    SEC_RULES
        .iter()
        .filter(|rule| name.starts_with(rule.stem()))
        .max_by_key(|rule| rule.stem().len())
}

/// The rule under whose name a program without flags is written: that of its attach type if there is
/// one, else the usual one of its type. `None` if no section stands for the type.
pub fn written_rule(ty: P, attach: A) -> Option<&'static SecRule> {
    let rank = |rule: &SecRule| {
        let fits = if rule.attach == attach {
            0
        } else if rule.attach == NONE {
            1
        } else {
            2
        };
        (fits, !rule.preferred, !rule.flags.is_empty())
    };
    SEC_RULES
        .iter()
        .filter(|rule| rule.ty == ty)
        .min_by_key(|rule| rank(rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_match_as_libbpf_does() {
        let rule = |name| sec_rule(name).map(|r| (r.ty, r.attach));
        assert_eq!(rule("xdp"), Some((P::Xdp, A::Xdp)));
        assert_eq!(rule("xdp/foo"), None);
        assert_eq!(rule("xdp_prog"), None);
        assert_eq!(rule("xdp/devmap"), Some((P::Xdp, A::XdpDevmap)));
        assert_eq!(rule("kprobe/do_exit"), Some((P::Kprobe, NONE)));
        assert_eq!(rule("kprobe"), Some((P::Kprobe, NONE)));
        assert_eq!(rule("kprobes"), None);
        assert_eq!(
            rule("kprobe.multi/a*"),
            Some((P::Kprobe, A::TraceKprobeMulti))
        );
        assert_eq!(rule("tc"), Some((P::SchedCls, NONE)));
        assert_eq!(rule("tc/ingress"), Some((P::SchedCls, A::TcxIngress)));
        assert_eq!(rule(""), None);
        assert!(sec_rule("fentry.s/x").is_some_and(|r| r.attaches_to_btf));
        assert!(sec_rule("lsm.s/x").is_some_and(|r| r.flags == ProgFlags::SLEEPABLE));
    }

    #[test]
    fn old_names_match_by_the_longest_prefix() {
        let rule = |name| sloppy_rule(name).map(|r| r.pattern);
        assert_eq!(rule("xdp_prog"), Some("xdp"));
        assert_eq!(rule("classifier/egress"), Some("classifier"));
        assert_eq!(rule("cgroup/connect4/x"), Some("cgroup/connect4"));
        assert_eq!(rule("prog"), None);
    }

    #[test]
    fn no_rule_hides_a_later_one() {
        for (i, rule) in SEC_RULES.iter().enumerate() {
            let name = rule.stem();
            let first = SEC_RULES.iter().position(|r| r.matches(name));
            assert_eq!(first, Some(i), "{name}");
        }
    }

    #[test]
    fn programs_are_written_under_the_usual_names() {
        let name = |ty, attach| written_rule(ty, attach).map(|r| r.pattern);
        assert_eq!(name(P::Xdp, A::Xdp), Some("xdp"));
        assert_eq!(name(P::Xdp, A::XdpCpumap), Some("xdp/cpumap"));
        assert_eq!(name(P::Xdp, NONE), Some("xdp"));
        assert_eq!(name(P::SchedCls, NONE), Some("tc"));
        assert_eq!(name(P::SchedCls, A::TcxEgress), Some("tcx/egress"));
        assert_eq!(name(P::Kprobe, A::TraceUprobeMulti), Some("uprobe.multi+"));
        assert_eq!(name(P::Tracing, NONE), Some("fentry+"));
        assert_eq!(name(P::Syscall, NONE), Some("syscall"));
        assert_eq!(name(P::Unspec, NONE), None);
    }
}
