//! What a register or a spilled stack slot holds: nothing, a number, or a pointer.

use bitflags::bitflags;
use skep_isa::Width;

use super::{DynptrKind, StackObject};
use crate::number::Scalar;

/// A map that the program can reach: one of the request's, or the shape of an inner map.
/// Index into [`Ctx::maps`](crate::prepare::Ctx).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct MapId(pub(crate) u32);

/// Whose types a BTF id belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum BtfSource {
    /// The kernel's.
    Kernel,
    /// The program's own.
    Program,
}

/// A socket type that the kernel knows as more than a structure.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum SockKind {
    /// `struct bpf_sock`, full.
    Socket,
    /// `struct sock_common`.
    Common,
    /// `struct bpf_tcp_sock`.
    Tcp,
    /// `struct bpf_xdp_sock`.
    Xdp,
}

/// The object that a pointer points into.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Region {
    /// The program's context.
    Ctx,
    /// A map itself.
    ConstMap { map: MapId, uid: u32 },
    /// A value of a map. `uid` tells apart inner maps that came from different lookups; 0 elsewhere.
    MapValue { map: MapId, uid: u32 },
    /// A key of a map, as callbacks get it.
    MapKey { map: MapId, uid: u32 },
    /// The stack of the frame with that number.
    Stack { frame: u32 },
    /// Packet metadata; `range` bytes from the start are known to be there.
    PacketMeta { range: i32 },
    /// Packet data; `range` bytes from the start are known to be there (negative: at or beyond the end).
    Packet { range: i32 },
    /// One past the packet's last byte.
    PacketEnd,
    /// `struct bpf_flow_keys`.
    FlowKeys,
    /// A socket.
    Sock(SockKind),
    /// The writable buffer of a raw tracepoint.
    TpBuffer,
    /// A structure of the kernel's or program's BTF.
    Btf { source: BtfSource, id: u32 },
    /// Plain memory of that many bytes; `dynptr_id` names the dynptr that a slice came from.
    Mem { size: u32, dynptr_id: u32 },
    /// An arena.
    Arena,
    /// A read or write buffer of an iterator; its size is checked at attachment.
    Buf,
    /// A subprogram's address.
    Func { subprog: u32 },
    /// A dynptr given by the kernel, not to be changed.
    ConstDynptr { kind: DynptrKind },
    /// What is kept of an object in a slot; in no register.
    Object(StackObject),
}

bitflags! {
    /// Modifiers of a pointer's type; two pointers with different ones have different types.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub(crate) struct PtrFlags: u32 {
        /// May be null: must be checked first.
        const MAYBE_NULL = 1 << 0;
        /// Read only.
        const RDONLY = 1 << 1;
        /// A ring buffer reservation.
        const RINGBUF = 1 << 2;
        /// User memory.
        const USER = 1 << 3;
        /// Per-CPU memory.
        const PERCPU = 1 << 4;
        /// May dangle: reads are probed, nothing else is allowed.
        const UNTRUSTED = 1 << 5;
        /// Allocated by the program (`bpf_obj_new`).
        const ALLOC = 1 << 6;
        /// Known valid by the kernel.
        const TRUSTED = 1 << 7;
        /// Valid inside an RCU read section.
        const RCU = 1 << 8;
        /// A reference that does not own its object.
        const NON_OWN_REF = 1 << 9;
        /// The slice of an skb dynptr.
        const DYNPTR_SKB = 1 << 10;
        /// The slice of an xdp dynptr.
        const DYNPTR_XDP = 1 << 11;
        /// The slice of an skb metadata dynptr.
        const DYNPTR_SKB_META = 1 << 12;
        /// The slice of a dynptr over memory of the program.
        const DYNPTR_LOCAL = 1 << 13;
        /// The slice of a dynptr over a record of a ring buffer.
        const DYNPTR_RINGBUF = 1 << 14;
    }
}

/// A pointer: object, modifiers, fixed and variable offset, and what it shares with others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Pointer {
    /// The object.
    pub(crate) region: Region,
    /// Modifiers.
    pub(crate) flags: PtrFlags,
    /// Fixed part of the offset, in bytes.
    pub(crate) off: i32,
    /// Variable part of the offset.
    pub(crate) var: Scalar,
    /// Shared by pointers of one origin (null checks, packet ranges); 0 = none.
    pub(crate) id: u32,
    /// The reference that the pointer depends on; 0 = none.
    pub(crate) ref_id: u32,
    /// The map that a socket was looked up in: such sockets are told apart from others when states
    /// are compared.
    pub(crate) origin: Option<MapId>,
}

impl Pointer {
    /// A pointer to the start of an object.
    pub(crate) fn new(region: Region, flags: PtrFlags) -> Pointer {
        let var = Scalar::constant(0);
        Pointer {
            region,
            flags,
            off: 0,
            var,
            id: 0,
            ref_id: 0,
            origin: None,
        }
    }

    /// Whether it may be null.
    pub(crate) fn maybe_null(&self) -> bool {
        self.flags.contains(PtrFlags::MAYBE_NULL)
    }

    /// Whether it points into packet data or metadata, or at the packet's end.
    pub(crate) fn is_any_packet(&self) -> bool {
        matches!(
            self.region,
            Region::Packet { .. } | Region::PacketMeta { .. } | Region::PacketEnd
        )
    }

    /// Its type, modifiers included; sizes, maps and ranges apart.
    pub(crate) fn ty(&self) -> PointerType {
        PointerType {
            kind: self.region.kind(),
            flags: self.flags,
        }
    }

    /// Whether its type equals another's.
    pub(crate) fn same_type(&self, other: &Pointer) -> bool {
        self.ty() == other.ty()
    }
}

/// What kind of object a pointer points into: [`Region`] without its particulars.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RegionKind {
    Ctx,
    ConstMap,
    MapValue,
    MapKey,
    Stack,
    PacketMeta,
    Packet,
    PacketEnd,
    FlowKeys,
    Sock(SockKind),
    TpBuffer,
    Btf,
    Mem,
    Arena,
    Buf,
    Func,
    ConstDynptr,
    Object,
}

/// A pointer's type as the kernel knows it: kind of object and modifiers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PointerType {
    /// Kind of object.
    pub(crate) kind: RegionKind,
    /// Modifiers.
    pub(crate) flags: PtrFlags,
}

impl Region {
    /// Its kind.
    pub(crate) fn kind(&self) -> RegionKind {
        match self {
            Region::Ctx => RegionKind::Ctx,
            Region::ConstMap { .. } => RegionKind::ConstMap,
            Region::MapValue { .. } => RegionKind::MapValue,
            Region::MapKey { .. } => RegionKind::MapKey,
            Region::Stack { .. } => RegionKind::Stack,
            Region::PacketMeta { .. } => RegionKind::PacketMeta,
            Region::Packet { .. } => RegionKind::Packet,
            Region::PacketEnd => RegionKind::PacketEnd,
            Region::FlowKeys => RegionKind::FlowKeys,
            Region::Sock(kind) => RegionKind::Sock(*kind),
            Region::TpBuffer => RegionKind::TpBuffer,
            Region::Btf { .. } => RegionKind::Btf,
            Region::Mem { .. } => RegionKind::Mem,
            Region::Arena => RegionKind::Arena,
            Region::Buf => RegionKind::Buf,
            Region::Func { .. } => RegionKind::Func,
            Region::ConstDynptr { .. } => RegionKind::ConstDynptr,
            Region::Object(_) => RegionKind::Object,
        }
    }
}

/// How a number is tied to others that were copied from the same one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Link {
    /// Shared by all of the family; never 0.
    pub(crate) id: u32,
    /// Set once a constant was added: this number is the family's plus that.
    pub(crate) delta: Option<Delta>,
}

/// A constant that was added to a linked number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Delta {
    /// The constant.
    pub(crate) by: i32,
    /// The width of the addition: a 32-bit sum is not linked to a 64-bit one.
    pub(crate) width: Width,
}

/// Whose stack the pointer pointed into whose place a number took.
///
/// 6.18 forgets that with most numbers, but not where a load or a null check puts a known one over a
/// pointer (`__mark_reg_known`), nor in arithmetic with it, and takes it for the frame of a pointer into
/// a stack that is added to the number (`frameno`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OldFrame(u8);

impl OldFrame {
    /// The outermost frame, which is also what is left where it was forgotten.
    pub(crate) const OUTERMOST: OldFrame = OldFrame(0);
    const UNKNOWN: OldFrame = OldFrame(u8::MAX);

    /// What a known number keeps of the value whose place it takes. Other pointers may have taken the
    /// place of one into a stack before: what they keep is not followed.
    pub(crate) fn under(value: &Value) -> OldFrame {
        match value {
            Value::Uninit => OldFrame::OUTERMOST,
            Value::Scalar(number) => number.old_frame,
            Value::Pointer(pointer) => match pointer.region {
                Region::Stack { frame } => u8::try_from(frame).map_or(OldFrame::UNKNOWN, OldFrame),
                Region::Ctx
                | Region::ConstMap { .. }
                | Region::MapValue { .. }
                | Region::MapKey { .. }
                | Region::PacketMeta { .. }
                | Region::Packet { .. }
                | Region::PacketEnd
                | Region::FlowKeys
                | Region::Sock(_)
                | Region::TpBuffer
                | Region::Btf { .. }
                | Region::Mem { .. }
                | Region::Arena
                | Region::Buf
                | Region::Func { .. }
                | Region::ConstDynptr { .. }
                | Region::Object(_) => OldFrame::UNKNOWN,
            },
        }
    }

    /// The frame's number, if it is followed.
    pub(crate) fn number(self) -> Option<u32> {
        (self != OldFrame::UNKNOWN).then_some(u32::from(self.0))
    }
}

/// A number with its link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number {
    /// What is known of it.
    pub(crate) scalar: Scalar,
    /// Its family, if it was copied.
    pub(crate) link: Option<Link>,
    /// What is left of a pointer that was there before. States are compared without it.
    pub(crate) old_frame: OldFrame,
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        (self.scalar, self.link) == (other.scalar, other.link)
    }
}

impl Eq for Number {}

impl std::hash::Hash for Number {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.scalar, self.link).hash(state);
    }
}

/// What a register or a spilled slot holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Value {
    /// Nothing was written there.
    Uninit,
    /// A number.
    Scalar(Number),
    /// A pointer.
    Pointer(Pointer),
}

impl Value {
    /// A number of which nothing is known.
    pub(crate) fn unknown() -> Value {
        Value::scalar(Scalar::unknown())
    }

    /// A known number.
    pub(crate) fn constant(value: u64) -> Value {
        Value::scalar(Scalar::constant(value))
    }

    /// A number without link.
    pub(crate) fn scalar(scalar: Scalar) -> Value {
        Value::Scalar(Number {
            scalar,
            link: None,
            old_frame: OldFrame::OUTERMOST,
        })
    }

    /// A known number that takes the place of `old` without cleaning up behind it.
    pub(crate) fn constant_over(value: u64, old: &Value) -> Value {
        Value::Scalar(Number {
            scalar: Scalar::constant(value),
            link: None,
            old_frame: OldFrame::under(old),
        })
    }

    /// The pointer, if it is one.
    pub(crate) fn pointer(&self) -> Option<&Pointer> {
        if let Value::Pointer(pointer) = self {
            Some(pointer)
        } else {
            None
        }
    }

    /// The pointer, if it is one, to be changed.
    pub(crate) fn pointer_mut(&mut self) -> Option<&mut Pointer> {
        if let Value::Pointer(pointer) = self {
            Some(pointer)
        } else {
            None
        }
    }

    /// The number, if it is one.
    pub(crate) fn number(&self) -> Option<&Number> {
        if let Value::Scalar(number) = self {
            Some(number)
        } else {
            None
        }
    }

    /// Whether it is a number that is known to be zero (the kernel's `register_is_null`).
    pub(crate) fn is_null(&self) -> bool {
        self.number()
            .is_some_and(|n| n.scalar.const_value() == Some(0))
    }

    /// What the kernel keeps in `var_off` and the bounds: the number, or a pointer's variable offset.
    pub(crate) fn var(&self) -> Scalar {
        match self {
            Value::Uninit => Scalar::constant(0),
            Value::Scalar(number) => number.scalar,
            Value::Pointer(pointer) => pointer.var,
        }
    }
}
