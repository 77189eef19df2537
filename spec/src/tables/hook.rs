//! Where a program runs, as far as the tables ask, and the conditions that their rows carry.

use crate::{AttachType, ProgType};

/// A program's type, attach type and what else decides which helpers and context bytes it may use.
///
/// An ext program is asked about as its target: with the target's type and attach type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hook<'a> {
    /// Program type.
    pub ty: ProgType,
    /// Expected attach type.
    pub attach: AttachType,
    /// Whether the program may sleep.
    pub sleepable: bool,
    /// Kernel function, tracepoint or member that it attaches to; empty where it does not.
    pub target: &'a str,
    /// Kernel structure whose member it is; empty where it is none.
    pub structure: &'a str,
    /// Whether the target is a BPF program.
    pub on_prog: bool,
}

impl Hook<'static> {
    /// A hook that its two types say all about.
    pub const fn new(ty: ProgType, attach: AttachType) -> Hook<'static> {
        Hook {
            ty,
            attach,
            sleepable: false,
            target: "",
            structure: "",
            on_prog: false,
        }
    }
}

impl Hook<'_> {
    /// Whether a trampoline calls the program, with a function's arguments and cookie at hand.
    pub fn has_trampoline(&self) -> bool {
        matches!(
            self.attach,
            AttachType::TraceFentry
                | AttachType::TraceFexit
                | AttachType::ModifyReturn
                | AttachType::LsmMac
        )
    }
}

/// When a row applies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// Always.
    Always,
    /// On no kernel of this configuration.
    Never,
    /// For these program types.
    Type(&'static [ProgType]),
    /// For these attach types.
    Attach(&'static [AttachType]),
    /// For all attach types but these.
    NotAttach(&'static [AttachType]),
    /// For sleepable programs.
    Sleepable,
    /// For programs on these kernel functions or members.
    Target(&'static [&'static str]),
    /// For programs on members of this kernel structure, except the named member.
    Member(&'static str, &'static str),
    /// Where a trampoline calls the program.
    Trampoline,
    /// Where all of these hold.
    All(&'static [When]),
}

impl When {
    /// Whether it holds for a program.
    pub fn holds(self, hook: &Hook<'_>) -> bool {
        match self {
            When::Always => true,
            When::Never => false,
            When::Type(types) => types.contains(&hook.ty),
            When::Attach(types) => types.contains(&hook.attach),
            When::NotAttach(types) => !types.contains(&hook.attach),
            When::Sleepable => hook.sleepable,
            When::Target(names) => names.contains(&hook.target),
            When::Member(structure, except) => hook.structure == structure && hook.target != except,
            When::Trampoline => hook.has_trampoline(),
            When::All(all) => all.iter().all(|when| when.holds(hook)),
        }
    }
}
