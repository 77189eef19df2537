//! Which kernel is meant: a version, what its build and machine add, and its BTF.
//!
//! A version alone is no identity, since stable series and distributions backport. Code asks a
//! [`Capability`], never a version.

use std::sync::Arc;

use skep_btf::Btf;

use crate::KernelVersion;
use crate::tables::Restrictions;

/// A behaviour of a kernel's verifier that others lack.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Capability {
    /// Privileged programs may read stack that was never written.
    UninitStackReads,
    /// Loops are recognised by strongly connected components and their backedges.
    SccLoops,
    /// Register liveness is computed before the walk.
    StaticRegLiveness,
    /// Running out of pending branches is `E2BIG` instead of `EFAULT`.
    PendingBranchesE2big,
    /// A packet pointer known to lie at or beyond the end is only subsumed by its equal.
    ExactNegativePacketRange,
    /// Legacy packet loads are refused inside callbacks.
    NoPacketLoadInCallback,
    /// Buffers of map iterators are compared with null before they are accessed.
    NullCheckedBuffers,
    /// A number that is 0 or -1 is split in two before a constant is and-ed or or-ed to it.
    ForkedSigns,
    /// Byte swaps keep what is known of a number.
    TrackedByteSwaps,
    /// Numbers stay linked when a negative constant is added, one subtracted, or either in 32 bits.
    LinkedDifferences,
    /// A legacy packet load in a subprogram is also a way to return from it.
    EarlyPacketReturn,
    /// Writing at a varying offset turns all bytes of a spilled value into plain ones.
    ScrubbedSpills,
    /// Lookups of constant keys may fail in arrays that take the place of an inner map of another size.
    NullFromInnerArrays,
}

/// Numbers that bound what a kernel accepts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Slots of a privileged program.
    pub insns: usize,
    /// Slots of an unprivileged program.
    pub insns_unprivileged: usize,
    /// Instructions that the walk may process.
    pub processed: u64,
    /// Pending branches.
    pub pending_branches: usize,
    /// Subprograms, main included.
    pub subprogs: usize,
    /// Maps of one program.
    pub maps: usize,
    /// Frames of a call chain.
    pub frames: usize,
    /// Bytes of stack of a call chain.
    pub stack: u32,
    /// Registers that are remembered as linked at one instruction.
    pub linked_regs: usize,
}

/// What a verdict depends on beside the kernel's version: machine and configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Environment {
    /// Programs are compiled.
    pub jit: bool,
    /// The JIT knows the per-CPU address instruction.
    pub jit_percpu_insn: bool,
    /// The JIT gives deep programs a private stack.
    pub jit_private_stack: bool,
    /// The JIT supports tail calls from subprograms.
    pub jit_subprog_tailcalls: bool,
    /// The JIT supports kernel function calls.
    pub jit_kfuncs: bool,
    /// Unaligned accesses are cheap: alignment is checked only on request.
    pub efficient_unaligned: bool,
    /// Bytes that networking puts before a packet for alignment.
    pub net_ip_align: u32,
    /// CPUs that may come up.
    pub cpus: u32,
    /// Size of a page in bytes.
    pub page_size: u32,
    /// The kernel knows the addresses of its variables by name, not of its functions alone.
    pub kallsyms_all: bool,
    /// Functions are marked as made for error injection.
    pub error_injection: bool,
}

/// What the loading process may do: five abilities, since kernels ask them one by one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lane {
    /// `CAP_BPF`.
    pub bpf: bool,
    /// Pointers may reach user space.
    pub ptr_leaks: bool,
    /// Uninitialised stack may be read.
    pub uninit_stack: bool,
    /// No protection against speculation past bounds checks.
    pub bypass_spec_v1: bool,
    /// No protection against speculative store bypass.
    pub bypass_spec_v4: bool,
}

impl Lane {
    /// Root's abilities.
    pub const PRIVILEGED: Lane = Lane {
        bpf: true,
        ptr_leaks: true,
        uninit_stack: true,
        bypass_spec_v1: true,
        bypass_spec_v4: true,
    };
}

/// One kernel: the base version, its capabilities and limits, its environment and its BTF.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Name as the user gives it and tables show it: `6.18`, `6.18.44`.
    pub name: String,
    /// Version whose tables apply.
    pub version: KernelVersion,
    /// Behaviours that it has.
    pub capabilities: Vec<Capability>,
    /// Limits.
    pub limits: Limits,
    /// Machine and configuration.
    pub environment: Environment,
    /// Abilities of the loader.
    pub lane: Lane,
    /// What its configuration takes away from every program.
    pub restrictions: Restrictions,
    /// The kernel's BTF, where it is known.
    pub btf: Option<Arc<Btf>>,
}

impl Profile {
    /// The reference: Linux 6.18 on x86-64, privileged, JIT on, without BTF.
    pub fn linux_6_18() -> Profile {
        Profile {
            name: "6.18".to_owned(),
            version: KernelVersion::new(6, 18, 44),
            capabilities: vec![
                Capability::UninitStackReads,
                Capability::SccLoops,
                Capability::StaticRegLiveness,
                Capability::PendingBranchesE2big,
                Capability::ExactNegativePacketRange,
                Capability::NoPacketLoadInCallback,
                Capability::NullCheckedBuffers,
                Capability::ForkedSigns,
                Capability::TrackedByteSwaps,
                Capability::LinkedDifferences,
                Capability::EarlyPacketReturn,
                Capability::ScrubbedSpills,
                Capability::NullFromInnerArrays,
            ],
            limits: Limits {
                insns: 1_000_000,
                insns_unprivileged: 4096,
                processed: 1_000_000,
                pending_branches: 8192,
                subprogs: 256,
                maps: 64,
                frames: 8,
                stack: 512,
                linked_regs: 6,
            },
            environment: Environment {
                jit: true,
                jit_percpu_insn: true,
                jit_private_stack: true,
                jit_subprog_tailcalls: true,
                jit_kfuncs: true,
                efficient_unaligned: true,
                net_ip_align: 0,
                cpus: 2,
                page_size: 4096,
                kallsyms_all: true,
                error_injection: false,
            },
            lane: Lane::PRIVILEGED,
            restrictions: Restrictions::default(),
            btf: None,
        }
    }

    /// The build of 6.18.44 that the recorded verdicts come from: the same, but locked down, so that
    /// programs may write neither user memory nor the registers of what they probe.
    pub fn linux_6_18_44() -> Profile {
        const PROBE_WRITE_USER: u32 = 36;
        let restrictions = Restrictions {
            helpers: vec![PROBE_WRITE_USER],
            read_only_registers: true,
        };
        let base = Profile::linux_6_18();
        let environment = Environment {
            kallsyms_all: false,
            ..base.environment
        };
        Profile {
            name: "6.18.44".to_owned(),
            restrictions,
            environment,
            ..base
        }
    }

    /// 6.18.15 as Debian builds it: some changes of the series came later.
    pub fn linux_6_18_15() -> Profile {
        const LATER: [Capability; 7] = [
            Capability::NullCheckedBuffers,
            Capability::ForkedSigns,
            Capability::TrackedByteSwaps,
            Capability::LinkedDifferences,
            Capability::EarlyPacketReturn,
            Capability::ScrubbedSpills,
            Capability::NullFromInnerArrays,
        ];
        let mut profile = Profile::linux_6_18();
        profile.name = "6.18.15".to_owned();
        profile.version = KernelVersion::new(6, 18, 15);
        profile
            .capabilities
            .retain(|capability| !LATER.contains(capability));
        profile
    }

    /// The built-in profile for a version as the user writes it, if there is one: today the 6.18 series.
    pub fn built_in(version: KernelVersion) -> Option<Profile> {
        match (version.major, version.minor, version.patch) {
            (6, 18, 44) => Some(Profile::linux_6_18_44()),
            (6, 18, 15) => Some(Profile::linux_6_18_15()),
            (6, 18, _) => Some(Profile {
                name: version.to_string(),
                ..Profile::linux_6_18()
            }),
            _ => None,
        }
    }

    /// The same kernel with its BTF.
    pub fn with_btf(mut self, btf: Arc<Btf>) -> Profile {
        self.btf = Some(btf);
        self
    }

    /// Whether the kernel behaves so.
    pub fn has(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }
}
