//! Which bytes of its context a program may read and write, and what a read gives.
//!
//! Each context structure is a table of [`Field`]s in offset order; bytes that no row covers are padding
//! and refused. The rules are those of the kernel's `*_is_valid_access` functions: an access lies in the
//! field that holds its first byte, is aligned to its own size, and has a size that the row allows.
//! Contexts that are arguments of kernel functions or members of kernel structures are described by BTF
//! and not here.

mod cgroup;
mod net;
mod sk_buff;
mod sock;
mod tracing;

use super::hook::{Hook, When};
use crate::{AttachType, ProgType};

pub use net::{FLOW_KEYS, NETFILTER, SK_LOOKUP, SK_MSG, SK_REUSEPORT, SOCK_OPS, XDP};
pub use sk_buff::SK_BUFF;
pub use sock::{SOCK, SOCK_COMMON, TCP_SOCK, XDP_SOCK};

pub use cgroup::{CG_DEVICE, CG_SOCK, CG_SOCK_ADDR, CG_SOCKOPT, CG_SYSCTL};
pub use tracing::{
    KPROBE, LIRC, PERF_EVENT, RAW_TRACEPOINT, RAW_TRACEPOINT_WRITABLE, SYSCALL, TRACEPOINT,
};

/// What a read of a field gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CtxValue {
    /// A number.
    Scalar,
    /// The first byte of the packet, or of the option's value.
    Packet,
    /// The end of the packet.
    PacketEnd,
    /// The first byte of the packet's metadata.
    PacketMeta,
    /// A full socket.
    Socket,
    /// A full socket, or NULL.
    SocketOrNull,
    /// Any socket, or NULL.
    SockCommonOrNull,
    /// The keys that a flow dissector fills.
    FlowKeys,
    /// The buffer of a writable tracepoint.
    TpBuffer,
    /// A trusted kernel object of that type.
    BtfId(&'static str),
}

/// Sizes that a row allows, in bytes. `width` is that of one element of the field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sizes {
    /// None: the direction is refused.
    No,
    /// The width.
    Exact,
    /// The width or less.
    Narrow,
    /// The width or less, at the first byte of the field; elsewhere nothing.
    NarrowAtStart,
    /// The width or less, but not a single byte.
    NarrowToTwo,
    /// The width or less, or four bytes, where the field was four bytes wide once.
    NarrowOrFour,
    /// The width or less, or eight bytes at a multiple of eight inside the field.
    NarrowOrEight,
    /// The width, or eight bytes at a multiple of eight inside the field.
    ExactOrEight,
    /// Any that ends inside the field.
    Within,
    /// Any that begins inside the field.
    Begins,
}

/// One field, or an array of equal ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// Offset of the first byte.
    pub off: u32,
    /// Bytes of one element.
    pub width: u32,
    /// Elements.
    pub count: u32,
    /// The kernel's name.
    pub name: &'static str,
    /// What a read gives.
    pub value: CtxValue,
    /// Sizes of reads.
    pub load: Sizes,
    /// Who may read.
    pub loads: When,
    /// Sizes of writes.
    pub store: Sizes,
    /// Who may write.
    pub stores: When,
}

/// A context structure.
#[derive(Debug)]
pub struct CtxTable {
    /// The name that programs know it by.
    pub name: &'static str,
    /// Bytes.
    pub size: u32,
    /// Fields in offset order.
    pub fields: &'static [Field],
}

/// An access to the context.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access {
    /// Offset of its first byte.
    pub off: i32,
    /// Bytes: 1, 2, 4 or 8.
    pub size: u32,
    /// Whether it writes.
    pub write: bool,
    /// Whether it reads with sign extension.
    pub sign_extend: bool,
}

/// What becomes of an access to the context.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CtxAccess {
    /// It is allowed; a read gives `value`.
    Allowed {
        /// What a read gives.
        value: CtxValue,
        /// The row that allows it.
        field: &'static Field,
    },
    /// It is not.
    Refused,
    /// The kernel's BTF decides.
    ByBtf,
}

/// A field that may be read with `load` by everyone and not written.
const fn field(
    off: u32,
    width: u32,
    count: u32,
    name: &'static str,
    value: CtxValue,
    load: Sizes,
) -> Field {
    let (loads, stores) = (When::Always, When::Never);
    Field {
        off,
        width,
        count,
        name,
        value,
        load,
        loads,
        store: Sizes::No,
        stores,
    }
}

impl Field {
    const fn reads(self, loads: When) -> Field {
        Field { loads, ..self }
    }

    const fn writes(self, store: Sizes, stores: When) -> Field {
        Field {
            store,
            stores,
            ..self
        }
    }

    /// The byte after its last.
    pub const fn end(&self) -> u32 {
        self.off + self.width * self.count
    }

    fn allows(&self, hook: &Hook<'_>, access: &Access) -> bool {
        let (sizes, when) = if access.write {
            (self.store, self.stores)
        } else {
            (self.load, self.loads)
        };
        let extended = access.sign_extend && self.value != CtxValue::Scalar;
        !extended && self.has_size(sizes, access) && when.holds(hook)
    }

    fn has_size(&self, sizes: Sizes, access: &Access) -> bool {
        let (size, width) = (access.size, self.width);
        let Ok(off) = u32::try_from(access.off) else {
            return false;
        };
        let inside = off.checked_add(size).is_some_and(|end| end <= self.end());
        let aligned = size != 0 && off.is_multiple_of(size);
        let eight = size == 8 && inside;
        match sizes {
            Sizes::No => false,
            Sizes::Begins => aligned,
            Sizes::Exact => aligned && size == width,
            Sizes::Narrow => aligned && size <= width,
            Sizes::NarrowAtStart => aligned && size <= width && off == self.off,
            Sizes::NarrowToTwo => aligned && size <= width && size >= 2,
            Sizes::NarrowOrFour => aligned && (size <= width || size == 4),
            Sizes::NarrowOrEight => aligned && (size <= width || eight),
            Sizes::ExactOrEight => aligned && (size == width || eight),
            Sizes::Within => aligned && inside,
        }
    }
}

impl CtxTable {
    /// The row that covers a byte.
    pub fn field_at(&self, off: u32) -> Option<&'static Field> {
        let after = self.fields.partition_point(|field| field.off <= off);
        let row = self.fields.get(after.checked_sub(1)?)?;
        (off < row.end()).then_some(row)
    }

    /// What becomes of an access.
    pub fn access(&self, hook: &Hook<'_>, access: &Access) -> CtxAccess {
        u32::try_from(access.off)
            .ok()
            .and_then(|off| self.field_at(off))
            .filter(|field| field.allows(hook, access))
            .map_or(CtxAccess::Refused, |field| CtxAccess::Allowed {
                value: field.value,
                field,
            })
    }
}

impl CtxTable {
    /// Whether bytes of a structure that is the same for all programs may be read: sockets.
    pub fn allows_load(&self, off: i32, size: u32) -> bool {
        let hook = Hook::new(ProgType::Unspec, AttachType::CgroupInetIngress);
        let access = Access {
            off,
            size,
            write: false,
            sign_extend: false,
        };
        self.access(&hook, &access) != CtxAccess::Refused
    }
}

/// The context of a program type; `None` where BTF describes it.
pub fn of(ty: ProgType) -> Option<&'static CtxTable> {
    match ty {
        ProgType::Unspec
        | ProgType::Tracing
        | ProgType::StructOps
        | ProgType::Ext
        | ProgType::Lsm => None,
        ProgType::SocketFilter
        | ProgType::SchedCls
        | ProgType::SchedAct
        | ProgType::CgroupSkb
        | ProgType::LwtIn
        | ProgType::LwtOut
        | ProgType::LwtXmit
        | ProgType::LwtSeg6local
        | ProgType::SkSkb
        | ProgType::FlowDissector => Some(&SK_BUFF),
        ProgType::Kprobe => Some(&KPROBE),
        ProgType::Tracepoint => Some(&TRACEPOINT),
        ProgType::Xdp => Some(&XDP),
        ProgType::PerfEvent => Some(&PERF_EVENT),
        ProgType::CgroupSock => Some(&CG_SOCK),
        ProgType::SockOps => Some(&SOCK_OPS),
        ProgType::CgroupDevice => Some(&CG_DEVICE),
        ProgType::SkMsg => Some(&SK_MSG),
        ProgType::RawTracepoint => Some(&RAW_TRACEPOINT),
        ProgType::RawTracepointWritable => Some(&RAW_TRACEPOINT_WRITABLE),
        ProgType::CgroupSockAddr => Some(&CG_SOCK_ADDR),
        ProgType::LircMode2 => Some(&LIRC),
        ProgType::SkReuseport => Some(&SK_REUSEPORT),
        ProgType::CgroupSysctl => Some(&CG_SYSCTL),
        ProgType::CgroupSockopt => Some(&CG_SOCKOPT),
        ProgType::SkLookup => Some(&SK_LOOKUP),
        ProgType::Syscall => Some(&SYSCALL),
        ProgType::Netfilter => Some(&NETFILTER),
    }
}

/// What becomes of an access to the context of a program.
pub fn access(hook: &Hook<'_>, access: &Access) -> CtxAccess {
    let Some(table) = of(hook.ty) else {
        return CtxAccess::ByBtf;
    };
    let record = table.fields.first();
    match record.filter(|_| hook.ty == ProgType::Tracepoint && before_record(access)) {
        Some(field) => CtxAccess::Allowed {
            value: field.value,
            field,
        },
        None => table.access(hook, access),
    }
}

/// Reads before a tracepoint's record pass: `tp_prog_is_valid_access` compares the offset with a size,
/// which makes it large instead of negative. Such a program loads, but no tracepoint takes it, since it
/// then seems to reach far beyond every record.
fn before_record(access: &Access) -> bool {
    let size = i32::try_from(access.size).unwrap_or(0);
    !access.write && access.off < 0 && size > 0 && access.off % size == 0
}
