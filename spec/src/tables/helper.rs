//! What a helper's prototype says: the row type of `helpers.rs` and its columns.

use bitflags::bitflags;

use super::args::{Arg, Mods, Ret};
use crate::KernelVersion;

bitflags! {
    /// What the verifier must know of a helper beside its arguments and result.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct HelperFlags: u32 {
        /// Only for programs with a GPL-compatible licence.
        const GPL_ONLY = 1 << 0;
        /// Takes packet pointers as memory.
        const PKT_ACCESS = 1 << 1;
        /// Only for sleepable programs, outside critical sections.
        const MIGHT_SLEEP = 1 << 2;
        /// May be called without saving registers, where the JIT inlines it.
        const ALLOW_FASTCALL = 1 << 3;
        /// May move or reallocate packet data: all packet pointers die.
        const CHANGES_PKT_DATA = 1 << 4;
        /// The result is a reference that must be released.
        const ACQUIRES = 1 << 5;
        /// The result is the argument under another type and shares its reference.
        const PTR_CAST = 1 << 6;
        /// The result belongs to the dynptr argument and shares its reference.
        const DYNPTR_REF = 1 << 7;
        /// Looks up, and may create, a local storage.
        const STORAGE_GET = 1 << 8;
        /// Calls the function argument before it returns.
        const SYNC_CALLBACK = 1 << 9;
        /// The function argument is called later.
        const ASYNC_CALLBACK = 1 << 10;
    }
}

/// A condition on the place where the program attaches, checked after availability.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Condition {
    /// None.
    Always,
    /// An iterator, or a function of [`super::attach::D_PATH`], or a sleepable LSM hook.
    DPath,
    /// An LSM hook of [`super::attach::SLEEPABLE_LSM`].
    SleepableLsmHook,
    /// Not on a BPF program and not on a function of `bpf_sk_storage`.
    SkStorageTracing,
}

/// The prototype of a helper. A helper whose prototype depends on the program type has several.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HelperProto {
    /// Number in a call instruction.
    pub id: u32,
    /// Name with its prefix, as messages print it: `bpf_map_lookup_elem`.
    pub name: &'static str,
    /// Which of several prototypes it is; empty for the usual one.
    pub variant: &'static str,
    /// Arguments, at most five.
    pub args: &'static [Arg],
    /// Result.
    pub ret: Ret,
    /// Flags.
    pub flags: HelperFlags,
    /// Where it may be used.
    pub condition: Condition,
    /// First release that has the helper.
    pub since: KernelVersion,
}

/// A row of the table.
pub(super) const fn helper(
    id: u32,
    name: &'static str,
    args: &'static [Arg],
    ret: Ret,
) -> HelperProto {
    HelperProto {
        id,
        name,
        variant: "",
        args,
        ret,
        flags: HelperFlags::empty(),
        condition: Condition::Always,
        since: KernelVersion::new(0, 0, 0),
    }
}

impl HelperProto {
    /// Whether it has all these flags.
    pub const fn has(&self, flags: HelperFlags) -> bool {
        self.flags.contains(flags)
    }

    /// Index of the argument that the call releases, from 0.
    pub fn released_arg(&self) -> Option<usize> {
        self.args.iter().position(|arg| arg.has(Mods::RELEASE))
    }

    const fn flag(self, flags: HelperFlags) -> HelperProto {
        HelperProto {
            flags: self.flags.union(flags),
            ..self
        }
    }

    pub(super) const fn gpl(self) -> HelperProto {
        self.flag(HelperFlags::GPL_ONLY)
    }

    pub(super) const fn pkt(self) -> HelperProto {
        self.flag(HelperFlags::PKT_ACCESS)
    }

    pub(super) const fn sleeps(self) -> HelperProto {
        self.flag(HelperFlags::MIGHT_SLEEP)
    }

    pub(super) const fn fastcall(self) -> HelperProto {
        self.flag(HelperFlags::ALLOW_FASTCALL)
    }

    pub(super) const fn changes_pkt(self) -> HelperProto {
        self.flag(HelperFlags::CHANGES_PKT_DATA)
    }

    pub(super) const fn acquires(self) -> HelperProto {
        self.flag(HelperFlags::ACQUIRES)
    }

    pub(super) const fn casts(self) -> HelperProto {
        self.flag(HelperFlags::PTR_CAST)
    }

    pub(super) const fn dynptr_ref(self) -> HelperProto {
        self.flag(HelperFlags::DYNPTR_REF)
    }

    pub(super) const fn storage(self) -> HelperProto {
        self.flag(HelperFlags::STORAGE_GET)
    }

    pub(super) const fn callback(self) -> HelperProto {
        self.flag(HelperFlags::SYNC_CALLBACK)
    }

    pub(super) const fn async_callback(self) -> HelperProto {
        self.flag(HelperFlags::ASYNC_CALLBACK)
    }

    pub(super) const fn on(self, condition: Condition) -> HelperProto {
        HelperProto { condition, ..self }
    }

    pub(super) const fn variant(self, variant: &'static str) -> HelperProto {
        HelperProto { variant, ..self }
    }

    pub(super) const fn since(self, major: u16, minor: u16) -> HelperProto {
        HelperProto {
            since: KernelVersion::new(major, minor, 0),
            ..self
        }
    }
}
