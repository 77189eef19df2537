//! Program types: what each may be attached to, return, and do with packets, and how it may sleep.
//!
//! One row per type in numeric order; `prog(type, user's name of the context, kernel's name)` and then
//! only what differs from a type that takes any attach type, returns anything, sees no packets, never
//! sleeps and has the ordinary stack.

use super::hook::Hook;
use super::hook::When::{self, Always, Attach};
use crate::AttachType::{self, *};
use crate::ProgType;

/// Which expected attach types `BPF_PROG_LOAD` takes for a type (`bpf_prog_load_check_attach`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AttachRule {
    /// Any; attaching asks later.
    Any,
    /// None: the field must be zero.
    Zero,
    /// One of these.
    OneOf(&'static [AttachType]),
    /// One of these; zero means the first.
    OneOfOrFirst(&'static [AttachType]),
}

/// What a program may return (`check_return_code`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Returns {
    /// Any value.
    Any,
    /// A number from the first to the second, both included.
    Range(i32, i32),
    /// What the hook returns: a truth value for [`super::attach::BOOL_LSM`], nothing for a hook without
    /// result, else 0 or a negative errno down to -4095. Only the low 32 bits are looked at.
    LsmHook,
    /// 0 or 1; for a hook without result, 1.
    LsmCgroupHook,
    /// Any number for a member that returns one; for a pointer, NULL or the object itself.
    Member,
    /// The load is refused with `ENOTSUPP`.
    Refused,
}

/// What a program may do with packet memory (`may_access_direct_pkt_data`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PacketAccess {
    /// Read it where the context leads to it; no helper takes it.
    Load,
    /// Read it, and pass it to helpers with [`super::HelperFlags::PKT_ACCESS`].
    Read,
    /// Write it as well.
    Write,
    /// Write it, and pass it to all helpers that take memory.
    WriteAnyHelper,
}

/// Whether programs of a type may sleep (`can_be_sleepable`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sleep {
    /// Never.
    No,
    /// On request, under this condition.
    May(When),
    /// They must be loaded as sleepable.
    Must,
}

/// One program type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProgTypeFacts {
    /// The type.
    pub ty: ProgType,
    /// The context's type as programs write it: a structure, a typedef, `__u64`, or `void *`.
    pub ctx: &'static str,
    /// The context's type in the kernel.
    pub kernel_ctx: &'static str,
    /// Attach types at load.
    pub attach: AttachRule,
    /// Return values: the first row that holds decides.
    pub returns: &'static [(When, Returns)],
    /// Packets.
    pub packet: PacketAccess,
    /// Sleeping.
    pub sleep: Sleep,
    /// Private stacks.
    pub private_stack: PrivateStack,
    /// Belongs to the types that may not lock, time or link objects in maps (`is_tracing_prog_type`).
    pub tracing: bool,
    /// Needs a kernel type or function to attach to at load.
    pub needs_target: bool,
    /// Needs a GPL-compatible licence at all.
    pub needs_gpl: bool,
}

/// When a type's programs get a private stack (`bpf_enable_priv_stack`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PrivateStack {
    /// Never.
    No,
    /// Always.
    Yes,
    /// Where the trampoline guards against recursion (`bpf_prog_check_recur`).
    IfRecursionChecked,
}

const ANY: &[(When, Returns)] = &[(Always, Returns::Any)];
const BIT: &[(When, Returns)] = &[(Always, Returns::Range(0, 1))];

const fn prog(ty: ProgType, ctx: &'static str, kernel_ctx: &'static str) -> ProgTypeFacts {
    ProgTypeFacts {
        ty,
        ctx,
        kernel_ctx,
        attach: AttachRule::Any,
        returns: ANY,
        packet: PacketAccess::Load,
        sleep: Sleep::No,
        private_stack: PrivateStack::No,
        tracing: false,
        needs_target: false,
        needs_gpl: false,
    }
}

impl ProgTypeFacts {
    const fn attach(self, attach: AttachRule) -> ProgTypeFacts {
        ProgTypeFacts { attach, ..self }
    }
    const fn returns(self, returns: &'static [(When, Returns)]) -> ProgTypeFacts {
        ProgTypeFacts { returns, ..self }
    }
    const fn packet(self, packet: PacketAccess) -> ProgTypeFacts {
        ProgTypeFacts { packet, ..self }
    }
    const fn sleep(self, sleep: Sleep) -> ProgTypeFacts {
        ProgTypeFacts { sleep, ..self }
    }
    const fn stack(self, private_stack: PrivateStack) -> ProgTypeFacts {
        ProgTypeFacts {
            private_stack,
            ..self
        }
    }
    const fn tracing(self) -> ProgTypeFacts {
        ProgTypeFacts {
            tracing: true,
            ..self
        }
    }
    const fn target(self) -> ProgTypeFacts {
        ProgTypeFacts {
            needs_target: true,
            ..self
        }
    }
    const fn gpl(self) -> ProgTypeFacts {
        ProgTypeFacts {
            needs_gpl: true,
            ..self
        }
    }

    /// The attach type that a load gets for the one it asks for; `None` if the kernel refuses with `EINVAL`.
    pub fn attach_type(&self, asked: AttachType) -> Option<AttachType> {
        let zero = asked.number() == 0;
        match self.attach {
            AttachRule::Any => Some(asked),
            AttachRule::Zero => zero.then_some(asked),
            AttachRule::OneOf(types) => types.contains(&asked).then_some(asked),
            AttachRule::OneOfOrFirst(types) if zero => types.first().copied(),
            AttachRule::OneOfOrFirst(types) => types.contains(&asked).then_some(asked),
        }
    }

    /// What the program may return.
    pub fn returns_for(&self, hook: &Hook<'_>) -> Returns {
        let row = self.returns.iter().find(|(when, _)| when.holds(hook));
        row.map_or(Returns::Any, |(_, returns)| *returns)
    }

    /// Whether the program may be loaded as it asks, sleepable or not.
    pub fn may_sleep(&self, hook: &Hook<'_>) -> bool {
        match self.sleep {
            Sleep::No => !hook.sleepable,
            Sleep::May(when) => !hook.sleepable || when.holds(hook),
            Sleep::Must => hook.sleepable,
        }
    }
}

/// The row of a type.
pub fn of(ty: ProgType) -> Option<&'static ProgTypeFacts> {
    PROG_TYPES.get(ty.number().checked_sub(1)? as usize)
}

const SKB: (&str, &str) = ("__sk_buff", "sk_buff");
const ONE: &[(When, Returns)] = &[
    (Attach(RECV_OR_NAME), Returns::Range(1, 1)),
    (
        Attach(&[CgroupInet4Bind, CgroupInet6Bind]),
        Returns::Range(0, 3),
    ),
    (Always, Returns::Range(0, 1)),
];
const EGRESS: &[(When, Returns)] = &[
    (Attach(&[CgroupInetEgress]), Returns::Range(0, 3)),
    (Always, Returns::Range(0, 1)),
];
const SESSION: &[(When, Returns)] = &[
    (
        Attach(&[TraceKprobeSession, TraceUprobeSession]),
        Returns::Range(0, 1),
    ),
    (Always, Returns::Any),
];
const TRACING: &[(When, Returns)] = &[
    (Attach(&[TraceFentry, TraceFexit]), Returns::Range(0, 0)),
    (Attach(&[TraceRawTp, ModifyReturn]), Returns::Any),
    (Attach(&[TraceIter]), Returns::Range(0, 1)),
    (Always, Returns::Refused),
];
const LSM: &[(When, Returns)] = &[
    (Attach(&[LsmCgroup]), Returns::LsmCgroupHook),
    (Always, Returns::LsmHook),
];

const RECV_OR_NAME: &[AttachType] = &[
    CgroupUdp4Recvmsg,
    CgroupUdp6Recvmsg,
    CgroupUnixRecvmsg,
    CgroupInet4Getpeername,
    CgroupInet6Getpeername,
    CgroupUnixGetpeername,
    CgroupInet4Getsockname,
    CgroupInet6Getsockname,
    CgroupUnixGetsockname,
];
const CG_SOCK: &[AttachType] = &[
    CgroupInetSockCreate,
    CgroupInetSockRelease,
    CgroupInet4PostBind,
    CgroupInet6PostBind,
];
const CG_SOCK_ADDR: &[AttachType] = &[
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
const SLEEPABLE_TRACING: When = Attach(&[TraceFentry, TraceFexit, ModifyReturn, TraceIter]);

use AttachRule::{OneOf, OneOfOrFirst, Zero};
use PacketAccess::{Read, Write, WriteAnyHelper};
use PrivateStack::{IfRecursionChecked, Yes};
use ProgType as P;
use Sleep::{May, Must};

/// The table.
#[rustfmt::skip]
pub static PROG_TYPES: &[ProgTypeFacts] = &[
    prog(P::SocketFilter,          SKB.0,                     SKB.1),
    prog(P::Kprobe,                "bpf_user_pt_regs_t",      "pt_regs")             .returns(SESSION).sleep(May(Always)).stack(Yes).tracing(),
    prog(P::SchedCls,              SKB.0,                     SKB.1)                 .packet(Write),
    prog(P::SchedAct,              SKB.0,                     SKB.1)                 .packet(Write),
    prog(P::Tracepoint,            "__u64",                   "u64")                 .stack(Yes).tracing(),
    prog(P::Xdp,                   "xdp_md",                  "xdp_buff")            .packet(Write),
    prog(P::PerfEvent,             "bpf_perf_event_data",     "bpf_perf_event_data_kern").stack(Yes).tracing(),
    prog(P::CgroupSkb,             SKB.0,                     SKB.1)                 .attach(OneOf(&[CgroupInetIngress, CgroupInetEgress])).returns(EGRESS).packet(Read),
    prog(P::CgroupSock,            "bpf_sock",                "sock")                .attach(OneOfOrFirst(CG_SOCK)).returns(BIT),
    prog(P::LwtIn,                 SKB.0,                     SKB.1)                 .packet(Read),
    prog(P::LwtOut,                SKB.0,                     SKB.1)                 .packet(Read),
    prog(P::LwtXmit,               SKB.0,                     SKB.1)                 .packet(Write),
    prog(P::SockOps,               "bpf_sock_ops",            "bpf_sock_ops_kern")   .returns(BIT),
    prog(P::SkSkb,                 SKB.0,                     SKB.1)                 .packet(Write),
    prog(P::CgroupDevice,          "bpf_cgroup_dev_ctx",      "bpf_cgroup_dev_ctx")  .returns(BIT),
    prog(P::SkMsg,                 "sk_msg_md",               "sk_msg")              .packet(Write),
    prog(P::RawTracepoint,         "bpf_raw_tracepoint_args", "u64")                 .stack(Yes).tracing(),
    prog(P::CgroupSockAddr,        "bpf_sock_addr",           "bpf_sock_addr_kern")  .attach(OneOf(CG_SOCK_ADDR)).returns(ONE),
    prog(P::LwtSeg6local,          SKB.0,                     SKB.1)                 .packet(Read),
    prog(P::LircMode2,             "__u32",                   "u32"),
    prog(P::SkReuseport,           "sk_reuseport_md",         "sk_reuseport_kern")   .attach(OneOfOrFirst(&[SkReuseportSelect, SkReuseportSelectOrMigrate])).packet(Read),
    prog(P::FlowDissector,         SKB.0,                     "bpf_flow_dissector")  .packet(Read),
    prog(P::CgroupSysctl,          "bpf_sysctl",              "bpf_sysctl_kern")     .returns(BIT),
    prog(P::RawTracepointWritable, "bpf_raw_tracepoint_args", "u64")                 .tracing(),
    prog(P::CgroupSockopt,         "bpf_sockopt",             "bpf_sockopt_kern")    .attach(OneOf(&[CgroupGetsockopt, CgroupSetsockopt])).returns(BIT).packet(WriteAnyHelper),
    prog(P::Tracing,               "void *",                  "void *")              .returns(TRACING).sleep(May(SLEEPABLE_TRACING)).stack(IfRecursionChecked).target(),
    prog(P::StructOps,             "void *",                  "void *")              .returns(&[(Always, Returns::Member)]).sleep(May(Always)).stack(IfRecursionChecked).target().gpl(),
    prog(P::Ext,                   "void *",                  "void *")              .attach(Zero).target(),
    prog(P::Lsm,                   "void *",                  "void *")              .returns(LSM).sleep(May(Always)).stack(IfRecursionChecked).target().gpl(),
    prog(P::SkLookup,              "bpf_sk_lookup",           "bpf_sk_lookup_kern")  .attach(OneOf(&[SkLookup])).returns(BIT),
    prog(P::Syscall,               "void *",                  "void *")              .attach(Zero).sleep(Must),
    prog(P::Netfilter,             "bpf_nf_ctx",              "bpf_nf_ctx")          .attach(OneOf(&[Netfilter])).returns(BIT),
];
