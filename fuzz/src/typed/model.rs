//! What a typed program's registers and stack hold, as far as its writer cares.

use skep_btf::TypeId;
use skep_isa::Reg;

/// Kernel objects that programs hold and give back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Obj {
    Task,
    Cgroup,
    Cpumask,
    File,
    Sock,
    Record,
    /// Not held: only what an unreferenced field points to.
    UnrefTask,
}

/// How far the kernel vouches for a pointer, as the writer believes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trust {
    Trusted,
    Rcu,
    Loose,
}

/// A value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Val {
    Nothing,
    Num,
    Ctx,
    /// A value of that map.
    Value {
        map: usize,
        null: bool,
    },
    /// A kernel structure.
    Btf {
        ty: TypeId,
        trust: Trust,
        null: bool,
        held: u32,
    },
    /// A socket as the context or a lookup gives it: common part, whole, TCP.
    Sock {
        kind: SockKind,
        null: bool,
        held: u32,
    },
    /// A record of a ring buffer of that many bytes.
    Record {
        size: i32,
        null: bool,
        held: u32,
    },
    /// Other memory.
    Mem {
        size: i32,
        null: bool,
    },
    /// A released or forgotten pointer, still in the register.
    Stale,
}

/// What is known of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SockKind {
    Common,
    Full,
    Tcp,
}

impl Val {
    /// Its reference, 0 if none.
    pub(super) fn held(self) -> u32 {
        match self {
            Val::Btf { held, .. } | Val::Sock { held, .. } | Val::Record { held, .. } => held,
            Val::Nothing
            | Val::Num
            | Val::Ctx
            | Val::Value { .. }
            | Val::Mem { .. }
            | Val::Stale => 0,
        }
    }

    pub(super) fn may_be_null(self) -> bool {
        match self {
            Val::Value { null, .. }
            | Val::Btf { null, .. }
            | Val::Sock { null, .. }
            | Val::Record { null, .. }
            | Val::Mem { null, .. } => null,
            Val::Nothing | Val::Num | Val::Ctx | Val::Stale => false,
        }
    }

    /// The same after a comparison with null.
    pub(super) fn not_null(mut self) -> Val {
        match &mut self {
            Val::Value { null, .. }
            | Val::Btf { null, .. }
            | Val::Sock { null, .. }
            | Val::Record { null, .. }
            | Val::Mem { null, .. } => *null = false,
            Val::Nothing | Val::Num | Val::Ctx | Val::Stale => {}
        }
        self
    }
}

/// Registers that survive calls.
pub(super) const HOMES: [Reg; 4] = [Reg::R6, Reg::R7, Reg::R8, Reg::R9];
/// Slots of the frame that hold values between their uses, at -8, -16, ….
pub(super) const SLOTS: usize = 6;
/// The frame's scratch space lies from here downwards.
pub(super) const SCRATCH: i32 = -56;

/// A reference that the program holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Held {
    pub(super) id: u32,
    pub(super) obj: Obj,
}

/// A section that the program is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Section {
    Rcu,
    Preempt,
    /// Interrupt flags, in the frame at that offset.
    Irq(i32),
    /// A lock, whose map's value is in that register.
    Lock(Reg),
}

/// Registers, frame, references, sections.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) regs: [Val; 4],
    pub(super) slots: [Val; SLOTS],
    pub(super) held: Vec<Held>,
    pub(super) sections: Vec<Section>,
}

impl Model {
    pub(super) fn new() -> Model {
        Model {
            regs: [Val::Nothing; 4],
            slots: [Val::Nothing; SLOTS],
            held: Vec::new(),
            sections: Vec::new(),
        }
    }

    /// Every value of a reference becomes stale.
    pub(super) fn forget(&mut self, id: u32) {
        self.held.retain(|held| held.id != id);
        for val in self.regs.iter_mut().chain(&mut self.slots) {
            if val.held() == id {
                *val = Val::Stale;
            }
        }
    }

    /// Every value of a reference, which is never 0, is not null.
    pub(super) fn known(&mut self, id: u32) {
        for val in self.regs.iter_mut().chain(&mut self.slots) {
            if id != 0 && val.held() == id {
                *val = val.not_null();
            }
        }
    }

    /// What is certain where two ways meet.
    pub(super) fn meet(&mut self, other: &Model) {
        let pairs = self.regs.iter_mut().zip(&other.regs);
        let slots = self.slots.iter_mut().zip(&other.slots);
        for (mine, theirs) in pairs.chain(slots) {
            if mine != theirs {
                *mine = Val::Nothing;
            }
        }
    }
}
