//! What a path has acquired and not yet released, and the critical sections that it is in.
//!
//! Objects (sockets, ring buffer records, …), held locks and saved interrupt flags share one list in
//! the order of acquisition, as states are compared in that order.

use skep_isa::InsnIdx;

/// What kind of thing is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RefKind {
    /// An object that must be released.
    Object,
    /// Saved interrupt flags.
    Irq,
    /// A spin lock; `owner` says in which object.
    Lock { owner: LockOwner },
    /// A resilient spin lock.
    ResLock { owner: LockOwner, irq: bool },
}

impl RefKind {
    /// The object that a lock lies in.
    fn owner(self) -> Option<LockOwner> {
        match self {
            RefKind::Lock { owner } | RefKind::ResLock { owner, .. } => Some(owner),
            RefKind::Object | RefKind::Irq => None,
        }
    }
}

/// The object that a lock lies in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LockOwner {
    /// A map's value.
    Map(super::MapId),
    /// An object of a structure of some BTF.
    Btf(super::BtfSource),
}

/// One thing held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ref {
    /// Its id, shared by the registers that depend on it.
    pub(crate) id: u32,
    /// The instruction that acquired it.
    pub(crate) insn_idx: InsnIdx,
    /// What it is.
    pub(crate) kind: RefKind,
}

/// Everything held on a path.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Refs {
    /// In order of acquisition.
    pub(crate) list: Vec<Ref>,
    /// Locks among them.
    pub(crate) active_locks: u32,
    /// Id and owner of the lock taken last.
    pub(crate) active_lock: Option<(u32, LockOwner)>,
    /// Nested sections with preemption off.
    pub(crate) active_preempt_locks: u32,
    /// Id of the innermost saved interrupt flags; 0 = interrupts are on.
    pub(crate) active_irq_id: u32,
    /// Inside an RCU read section.
    pub(crate) active_rcu: bool,
}

impl Refs {
    /// Notes an object that must be released.
    pub(crate) fn acquire(&mut self, id: u32, insn_idx: InsnIdx) {
        self.list.push(Ref {
            id,
            insn_idx,
            kind: RefKind::Object,
        });
    }

    /// Notes that the state of interrupts was saved, which turned them off.
    pub(crate) fn save_irq(&mut self, id: u32, insn_idx: InsnIdx) {
        self.list.push(Ref {
            id,
            insn_idx,
            kind: RefKind::Irq,
        });
        self.active_irq_id = id;
    }

    /// Restores a state of interrupts; the one saved before it is the innermost again. False if another
    /// was saved later.
    pub(crate) fn restore_irq(&mut self, id: u32) -> bool {
        if id != self.active_irq_id {
            return false;
        }
        let is_irq = |held: &Ref| held.kind == RefKind::Irq;
        let Some(at) = self
            .list
            .iter()
            .position(|held| is_irq(held) && held.id == id)
        else {
            return false;
        };
        let before = self.list[..at].iter().rev().find(|held| is_irq(held));
        self.active_irq_id = before.map_or(0, |held| held.id);
        self.list.remove(at);
        true
    }

    /// Notes a lock as held.
    pub(crate) fn lock(&mut self, id: u32, insn_idx: InsnIdx, kind: RefKind) {
        self.list.push(Ref { id, insn_idx, kind });
        self.active_locks += 1;
        self.active_lock = kind.owner().map(|owner| (id, owner));
    }

    /// Whether a resilient lock is held there.
    pub(crate) fn holds_res_lock(&self, id: u32, owner: LockOwner) -> bool {
        let kinds = [false, true].map(|irq| RefKind::ResLock { owner, irq });
        kinds.iter().any(|kind| self.holds_lock(id, *kind))
    }

    /// Whether a lock of any kind is held there.
    pub(crate) fn holds_any_lock(&self, id: u32, owner: LockOwner) -> bool {
        self.list
            .iter()
            .any(|held| held.id == id && held.kind.owner() == Some(owner))
    }

    /// Whether that lock is held.
    pub(crate) fn holds_lock(&self, id: u32, kind: RefKind) -> bool {
        self.list.iter().any(|r| r.id == id && r.kind == kind)
    }

    /// Gives up a lock; the one taken before it is the last one again.
    pub(crate) fn unlock(&mut self, id: u32, kind: RefKind) {
        let mut before = None;
        for (at, held) in self.list.iter().enumerate() {
            if held.id == id && held.kind == kind {
                self.list.remove(at);
                self.active_locks -= 1;
                self.active_lock = before;
                return;
            }
            if let Some(owner) = held.kind.owner() {
                before = Some((held.id, owner));
            }
        }
    }
}
