//! Fields of map values and objects that are no plain data: what they are, and what the kernel asks of
//! their places.

use crate::state::BtfSource;

/// A field of a map's value or of an object that is no plain data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct MapField {
    /// Offset in bytes.
    pub(crate) off: u32,
    /// Size in bytes.
    pub(crate) size: u32,
    /// What it is.
    pub(crate) kind: FieldKind,
    /// What it leads to.
    pub(crate) to: FieldTarget,
}

/// What a special field leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FieldTarget {
    /// Nothing.
    None,
    /// A structure, where the field is a pointer.
    Structure {
        /// Whose type it is.
        source: BtfSource,
        /// The structure.
        id: u32,
    },
    /// The elements of a list or tree.
    Node {
        /// Their structure in the program's BTF.
        id: u32,
        /// The offset of the node in it, in bytes.
        off: u32,
    },
    /// Something whose type is not known.
    Unknown,
}

/// What a special field is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FieldKind {
    /// `struct bpf_spin_lock`.
    SpinLock,
    /// `struct bpf_res_spin_lock`.
    ResSpinLock,
    /// `struct bpf_timer`.
    Timer,
    /// `struct bpf_wq`.
    Workqueue,
    /// `struct bpf_task_work`.
    TaskWork,
    /// `struct bpf_list_head`.
    ListHead,
    /// `struct bpf_list_node`.
    ListNode,
    /// `struct bpf_rb_root`.
    RbRoot,
    /// `struct bpf_rb_node`.
    RbNode,
    /// `struct bpf_refcount`.
    Refcount,
    /// A kernel pointer that is not owned.
    KptrUnref,
    /// A kernel pointer that is owned.
    KptrRef,
    /// A per-CPU object that is owned.
    KptrPercpu,
    /// A pinned user page.
    Uptr,
}

impl FieldKind {
    /// Whether loads and stores of the whole field may be allowed.
    pub(crate) fn is_kptr(self) -> bool {
        match self {
            FieldKind::KptrUnref | FieldKind::KptrRef | FieldKind::KptrPercpu | FieldKind::Uptr => {
                true
            }
            FieldKind::SpinLock
            | FieldKind::ResSpinLock
            | FieldKind::Timer
            | FieldKind::Workqueue
            | FieldKind::TaskWork
            | FieldKind::ListHead
            | FieldKind::ListNode
            | FieldKind::RbRoot
            | FieldKind::RbNode
            | FieldKind::Refcount => false,
        }
    }

    /// Whether it is the head of a list or the root of a tree.
    pub(crate) fn is_root(self) -> bool {
        matches!(self, FieldKind::ListHead | FieldKind::RbRoot)
    }

    /// Whether a structure can have one of it only (`is_unique`).
    pub(crate) fn is_unique(self) -> bool {
        matches!(
            self,
            FieldKind::SpinLock
                | FieldKind::ResSpinLock
                | FieldKind::Timer
                | FieldKind::Workqueue
                | FieldKind::TaskWork
        )
    }

    /// Whether it can lie in the elements of an array.
    pub(crate) fn may_repeat(self) -> bool {
        self.is_kptr() || self.is_root()
    }

    /// Whether objects that programs allocate may have it.
    pub(crate) fn is_for_objects(self) -> bool {
        match self {
            FieldKind::SpinLock
            | FieldKind::ResSpinLock
            | FieldKind::ListHead
            | FieldKind::ListNode
            | FieldKind::RbRoot
            | FieldKind::RbNode
            | FieldKind::Refcount
            | FieldKind::KptrUnref
            | FieldKind::KptrRef
            | FieldKind::KptrPercpu => true,
            FieldKind::Timer | FieldKind::Workqueue | FieldKind::TaskWork | FieldKind::Uptr => {
                false
            }
        }
    }

    /// What its offset must be a multiple of.
    pub(crate) fn align(self) -> u32 {
        self.size().min(8)
    }

    /// Bytes that it takes.
    pub(crate) fn size(self) -> u32 {
        match self {
            FieldKind::SpinLock | FieldKind::ResSpinLock | FieldKind::Refcount => 4,
            FieldKind::TaskWork
            | FieldKind::KptrUnref
            | FieldKind::KptrRef
            | FieldKind::KptrPercpu
            | FieldKind::Uptr => 8,
            FieldKind::Timer | FieldKind::Workqueue | FieldKind::ListHead | FieldKind::RbRoot => 16,
            FieldKind::ListNode => 24,
            FieldKind::RbNode => 32,
        }
    }

    /// The kernel's name for it in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            FieldKind::SpinLock => "bpf_spin_lock",
            FieldKind::ResSpinLock => "bpf_res_spin_lock",
            FieldKind::Timer => "bpf_timer",
            FieldKind::Workqueue => "bpf_wq",
            FieldKind::TaskWork => "bpf_task_work",
            FieldKind::ListHead => "bpf_list_head",
            FieldKind::ListNode => "bpf_list_node",
            FieldKind::RbRoot => "bpf_rb_root",
            FieldKind::RbNode => "bpf_rb_node",
            FieldKind::Refcount => "bpf_refcount",
            FieldKind::KptrUnref | FieldKind::KptrRef => "kptr",
            FieldKind::KptrPercpu => "percpu_kptr",
            FieldKind::Uptr => "uptr",
        }
    }
}
