//! Objects that live in slots of the stack: dynptrs, iterators, saved states of interrupts.
//!
//! What the kernel keeps of one lies beside its slots. Here it is a pointer into [`Region::Object`],
//! which no register ever holds: its `id` and `ref_id` are the object's.

use super::{ByteKind, Pointer, PtrFlags, Region, SLOT_BYTES, Slot, Value};
use crate::violation::IrqClass;

/// Slots that a dynptr takes.
pub(crate) const DYNPTR_SLOTS: usize = 2;

/// What memory a dynptr spans (`enum bpf_dynptr_type`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum DynptrKind {
    /// Memory of the program.
    Local,
    /// A record of a ring buffer, which must be given up.
    Ringbuf,
    /// A packet's data.
    Skb,
    /// The same of XDP.
    Xdp,
    /// A packet's metadata.
    SkbMeta,
}

impl DynptrKind {
    /// The kernel's name for it (`dynptr_type_str`).
    pub(crate) fn name(self) -> &'static str {
        match self {
            DynptrKind::Local => "local",
            DynptrKind::Ringbuf => "ringbuf",
            DynptrKind::Skb => "skb",
            DynptrKind::Xdp => "xdp",
            DynptrKind::SkbMeta => "skb_meta",
        }
    }

    /// What the type of a slice says of it (`get_dynptr_type_flag`).
    pub(crate) fn slice_flag(self) -> PtrFlags {
        match self {
            DynptrKind::Local => PtrFlags::DYNPTR_LOCAL,
            DynptrKind::Ringbuf => PtrFlags::DYNPTR_RINGBUF,
            DynptrKind::Skb => PtrFlags::DYNPTR_SKB,
            DynptrKind::Xdp => PtrFlags::DYNPTR_XDP,
            DynptrKind::SkbMeta => PtrFlags::DYNPTR_SKB_META,
        }
    }

    /// Whether it must be given up (`dynptr_type_refcounted`).
    pub(crate) fn is_held(self) -> bool {
        self == DynptrKind::Ringbuf
    }
}

/// An object of which a slot holds a part.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum StackObject {
    /// A dynptr, or with `first` unset its other half.
    Dynptr {
        /// What it spans.
        kind: DynptrKind,
        /// The slot at the lower address.
        first: bool,
    },
    /// An iterator. All of its slots say the same; only the first has the reference.
    Iter {
        /// Its structure in the kernel's BTF.
        id: u32,
        /// There may be more to come.
        active: bool,
        /// Rounds on this path.
        depth: u32,
    },
    /// A saved state of interrupts.
    Irq {
        /// Who saved it.
        class: IrqClass,
    },
}

impl StackObject {
    /// What the bytes of its slots are.
    pub(crate) fn bytes(self) -> ByteKind {
        match self {
            StackObject::Dynptr { .. } => ByteKind::Dynptr,
            StackObject::Iter { .. } => ByteKind::Iter,
            StackObject::Irq { .. } => ByteKind::IrqFlag,
        }
    }
}

impl Slot {
    /// A slot that holds an object or a part of it.
    pub(crate) fn holding(object: StackObject, flags: PtrFlags, id: u32, ref_id: u32) -> Slot {
        let mut keeper = Pointer::new(Region::Object(object), flags);
        (keeper.id, keeper.ref_id) = (id, ref_id);
        Slot {
            bytes: [object.bytes(); SLOT_BYTES],
            value: Value::Pointer(keeper),
        }
    }

    /// The object that lies here, and what is kept of it.
    pub(crate) fn object(&self) -> Option<(StackObject, Pointer)> {
        let keeper = self.value.pointer()?;
        let Region::Object(object) = keeper.region else {
            return None;
        };
        (self.bytes == [object.bytes(); SLOT_BYTES]).then_some((object, *keeper))
    }
}
