//! What is known of a kernel function beside its prototype, which the kernel's BTF has: the row type
//! of `kfuncs.rs` and its columns.

use bitflags::bitflags;

use super::hook::Hook;
use crate::{AttachType, ProgType};

bitflags! {
    /// What a kernel function asks and gives (`KF_…`).
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct KfuncFlags: u32 {
        /// The result is a reference that must be released.
        const ACQUIRE = 1 << 0;
        /// An argument is a reference, which is given up.
        const RELEASE = 1 << 1;
        /// The result may be null.
        const RET_NULL = 1 << 2;
        /// Pointers to objects must be referenced or vouched for by the kernel.
        const TRUSTED_ARGS = 1 << 3;
        /// Only for sleepable programs, outside critical sections.
        const SLEEPABLE = 1 << 4;
        /// Brings the machine down.
        const DESTRUCTIVE = 1 << 5;
        /// Pointers to objects must be at least protected by RCU.
        const RCU = 1 << 6;
        /// Makes an iterator.
        const ITER_NEW = 1 << 7;
        /// Moves an iterator on.
        const ITER_NEXT = 1 << 8;
        /// Ends an iterator.
        const ITER_DESTROY = 1 << 9;
        /// Only inside an RCU read section, which protects the result.
        const RCU_PROTECTED = 1 << 10;
        /// May be called without saving registers.
        const FASTCALL = 1 << 11;
        /// May be called while a spin lock is held.
        const UNDER_LOCK = 1 << 12;
        /// May move packet data.
        const CHANGES_PKT_DATA = 1 << 13;
    }
}

bitflags! {
    /// Groups of program types to which kernel functions are given (`enum btf_kfunc_hook`).
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct KfuncHooks: u32 {
        /// All program types.
        const COMMON = 1 << 0;
        /// XDP.
        const XDP = 1 << 1;
        /// Traffic classifiers.
        const TC = 1 << 2;
        /// Implementations of kernel interfaces.
        const STRUCT_OPS = 1 << 3;
        /// Tracing, tracepoints, perf events, LSM.
        const TRACING = 1 << 4;
        /// Programs that are run by a system call.
        const SYSCALL = 1 << 5;
        /// Programs in control groups, and `sock_ops`.
        const CGROUP = 1 << 6;
        /// Traffic actions.
        const SCHED_ACT = 1 << 7;
        /// Stream parsers of sockets.
        const SK_SKB = 1 << 8;
        /// Socket filters.
        const SOCKET_FILTER = 1 << 9;
        /// Lightweight tunnels.
        const LWT = 1 << 10;
        /// Netfilter.
        const NETFILTER = 1 << 11;
        /// Kprobes.
        const KPROBE = 1 << 12;
    }
}

impl KfuncHooks {
    /// The group of a program type; types that are in none get only what all get.
    pub fn of(ty: ProgType) -> KfuncHooks {
        match ty {
            ProgType::Xdp => KfuncHooks::XDP,
            ProgType::SchedCls => KfuncHooks::TC,
            ProgType::StructOps => KfuncHooks::STRUCT_OPS,
            ProgType::Tracing | ProgType::Tracepoint | ProgType::PerfEvent | ProgType::Lsm => {
                KfuncHooks::TRACING
            }
            ProgType::Syscall => KfuncHooks::SYSCALL,
            ProgType::CgroupSkb
            | ProgType::CgroupSock
            | ProgType::CgroupDevice
            | ProgType::CgroupSockAddr
            | ProgType::CgroupSockopt
            | ProgType::CgroupSysctl
            | ProgType::SockOps => KfuncHooks::CGROUP,
            ProgType::SchedAct => KfuncHooks::SCHED_ACT,
            ProgType::SkSkb => KfuncHooks::SK_SKB,
            ProgType::SocketFilter => KfuncHooks::SOCKET_FILTER,
            ProgType::LwtOut | ProgType::LwtIn | ProgType::LwtXmit | ProgType::LwtSeg6local => {
                KfuncHooks::LWT
            }
            ProgType::Netfilter => KfuncHooks::NETFILTER,
            ProgType::Kprobe => KfuncHooks::KPROBE,
            ProgType::Unspec
            | ProgType::RawTracepoint
            | ProgType::RawTracepointWritable
            | ProgType::SkMsg
            | ProgType::LircMode2
            | ProgType::SkReuseport
            | ProgType::FlowDissector
            | ProgType::Ext
            | ProgType::SkLookup => KfuncHooks::empty(),
        }
    }
}

/// A further condition on the program (the filters of kernel function sets).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KfuncFilter {
    /// None.
    None,
    /// LSM programs only.
    Lsm,
    /// Iterators only.
    Iterator,
    /// Kprobes that also run when the function returns.
    KprobeSession,
}

impl KfuncFilter {
    fn admits(self, hook: &Hook<'_>) -> bool {
        match self {
            KfuncFilter::None => true,
            KfuncFilter::Lsm => hook.ty == ProgType::Lsm,
            KfuncFilter::Iterator => hook.attach == AttachType::TraceIter,
            KfuncFilter::KprobeSession => matches!(
                hook.attach,
                AttachType::TraceKprobeSession | AttachType::TraceUprobeSession
            ),
        }
    }
}

/// What the verifier itself must know a kernel function as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KfuncRole {
    /// Nothing but its flags and prototype.
    Plain,
    /// Begins an RCU read section.
    RcuReadLock,
    /// Ends it.
    RcuReadUnlock,
    /// Turns preemption off.
    PreemptDisable,
    /// Turns it on again.
    PreemptEnable,
    /// Turns interrupts off and keeps their state on the stack.
    IrqSave,
    /// Restores it.
    IrqRestore,
    /// Takes a resilient spin lock.
    ResSpinLock,
    /// Gives it up.
    ResSpinUnlock,
    /// Takes a resilient spin lock and turns interrupts off.
    ResSpinLockIrqsave,
    /// Gives it up and restores them.
    ResSpinUnlockIrqrestore,
    /// Takes any address for one of a kernel structure, which can be read.
    RdonlyCast,
    /// Takes the context for the structure that the kernel keeps behind it.
    CastToKernCtx,
    /// Gives kernel memory whose owner may free it at any time.
    GetKmemCache,
    /// The value that is kept between entry and return of a function.
    SessionCookie,
    /// Throws an exception.
    Throw,
    /// Where compilers put what must not be reached.
    Trap,
    /// Asks the driver of the one device that the program is bound to.
    DeviceMetadata,
    /// Allocates an object.
    ObjNew,
    /// Allocates an object per CPU.
    PercpuObjNew,
    /// Frees an object.
    ObjDrop,
    /// Frees an object of each CPU.
    PercpuObjDrop,
    /// Takes one more reference to an allocated object.
    RefcountAcquire,
    /// Puts a node into a list.
    ListPush,
    /// Looks into a list or takes a node out of it.
    ListNode,
    /// Puts a node into a tree.
    RbtreeAdd,
    /// Looks into a tree or takes a node out of it.
    RbtreeNode,
    /// Makes a dynptr over a packet.
    DynptrFromSkb,
    /// Makes a dynptr over an XDP packet.
    DynptrFromXdp,
    /// Makes a dynptr over a packet's metadata.
    DynptrFromSkbMeta,
    /// Makes a copy of a dynptr.
    DynptrClone,
    /// A window onto what a dynptr spans, to be read.
    DynptrSlice,
    /// The same, to be read and written.
    DynptrSliceRdwr,
    /// Makes an iterator over tasks of a control group, which takes a lock.
    IterCssTaskNew,
    /// Names the callback of a work queue.
    WqSetCallback,
    /// Has a callback run in the context of a task.
    TaskWork,
}

/// A kernel function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KfuncRow {
    /// Name in the kernel's BTF.
    pub name: &'static str,
    /// Groups of program types that may call it.
    pub hooks: KfuncHooks,
    /// A further condition.
    pub filter: KfuncFilter,
    /// What it asks and gives.
    pub flags: KfuncFlags,
    /// What the verifier knows it as.
    pub role: KfuncRole,
}

/// A row of the table.
pub(super) const fn kfunc(name: &'static str, hooks: KfuncHooks) -> KfuncRow {
    KfuncRow {
        name,
        hooks,
        filter: KfuncFilter::None,
        flags: KfuncFlags::empty(),
        role: KfuncRole::Plain,
    }
}

impl KfuncRow {
    /// Whether it has one of these flags.
    pub const fn has(&self, flags: KfuncFlags) -> bool {
        self.flags.intersects(flags)
    }

    /// Whether a program may call it.
    pub fn admits(&self, hook: &Hook<'_>) -> bool {
        let hooks = KfuncHooks::COMMON | KfuncHooks::of(hook.ty);
        self.hooks.intersects(hooks) && self.filter.admits(hook)
    }

    const fn flag(self, flags: KfuncFlags) -> KfuncRow {
        KfuncRow {
            flags: self.flags.union(flags),
            ..self
        }
    }

    pub(super) const fn acquires(self) -> KfuncRow {
        self.flag(KfuncFlags::ACQUIRE)
    }

    pub(super) const fn releases(self) -> KfuncRow {
        self.flag(KfuncFlags::RELEASE)
    }

    pub(super) const fn or_null(self) -> KfuncRow {
        self.flag(KfuncFlags::RET_NULL)
    }

    pub(super) const fn trusted(self) -> KfuncRow {
        self.flag(KfuncFlags::TRUSTED_ARGS)
    }

    pub(super) const fn rcu(self) -> KfuncRow {
        self.flag(KfuncFlags::RCU)
    }

    pub(super) const fn in_rcu(self) -> KfuncRow {
        self.flag(KfuncFlags::RCU_PROTECTED)
    }

    pub(super) const fn sleeps(self) -> KfuncRow {
        self.flag(KfuncFlags::SLEEPABLE)
    }

    pub(super) const fn destroys(self) -> KfuncRow {
        self.flag(KfuncFlags::DESTRUCTIVE)
    }

    pub(super) const fn fastcall(self) -> KfuncRow {
        self.flag(KfuncFlags::FASTCALL)
    }

    pub(super) const fn under_lock(self) -> KfuncRow {
        self.flag(KfuncFlags::UNDER_LOCK)
    }

    pub(super) const fn changes_pkt(self) -> KfuncRow {
        self.flag(KfuncFlags::CHANGES_PKT_DATA)
    }

    pub(super) const fn iter_new(self) -> KfuncRow {
        self.flag(KfuncFlags::ITER_NEW)
    }

    pub(super) const fn iter_next(self) -> KfuncRow {
        self.flag(KfuncFlags::ITER_NEXT).or_null()
    }

    pub(super) const fn iter_destroy(self) -> KfuncRow {
        self.flag(KfuncFlags::ITER_DESTROY)
    }

    pub(super) const fn filter(self, filter: KfuncFilter) -> KfuncRow {
        KfuncRow { filter, ..self }
    }

    pub(super) const fn role(self, role: KfuncRole) -> KfuncRow {
        KfuncRow { role, ..self }
    }
}

/// What becomes of a call of a kernel function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KfuncAccess {
    /// It may be called.
    Allowed(&'static KfuncRow),
    /// Not by programs like that one, or not by any.
    Refused,
    /// The kernel offers it, but it is in no table.
    Unknown,
}
