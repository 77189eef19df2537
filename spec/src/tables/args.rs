//! The words that helper prototypes are written in: what an argument must be, what a call returns.
//!
//! They are the concepts of the kernel's `enum bpf_arg_type` and `enum bpf_return_type`. What the kernel
//! packs into one number is split here: the type is an enum, its modifiers are [`Mods`].

use bitflags::bitflags;

bitflags! {
    /// Modifiers of an argument's or a result's type.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct Mods: u32 {
        /// May be NULL (`PTR_MAYBE_NULL`).
        const MAYBE_NULL = 1 << 0;
        /// Is only read (`MEM_RDONLY`).
        const RDONLY = 1 << 1;
        /// Need not be initialised before the call (`MEM_UNINIT`).
        const UNINIT = 1 << 2;
        /// Is written (`MEM_WRITE`).
        const WRITE = 1 << 3;
        /// Its size is that of the prototype, in [`Arg::size`] (`MEM_FIXED_SIZE`).
        const FIXED_SIZE = 1 << 4;
        /// Must be aligned to its fixed size (`MEM_ALIGNED`).
        const ALIGNED = 1 << 5;
        /// The call gives up the reference (`OBJ_RELEASE`).
        const RELEASE = 1 << 6;
        /// A dynptr over memory of the program (`DYNPTR_TYPE_LOCAL`).
        const DYNPTR_LOCAL = 1 << 7;
        /// A dynptr over a ring buffer's record (`DYNPTR_TYPE_RINGBUF`).
        const DYNPTR_RINGBUF = 1 << 8;
        /// The kernel vouches for the object (`PTR_TRUSTED`).
        const TRUSTED = 1 << 9;
        /// Memory of a ring buffer's record (`MEM_RINGBUF`).
        const RINGBUF = 1 << 10;
    }
}

/// What an argument must be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ArgType {
    /// Any initialised register.
    Anything,
    /// A map, the same on every path.
    ConstMapPtr,
    /// Memory of the map's key size.
    MapKey,
    /// Memory of the map's value size.
    MapValue,
    /// Memory whose size is the next argument, or fixed.
    Mem,
    /// A pointer into an arena.
    Arena,
    /// Bytes of the memory argument before it; not zero.
    ConstSize,
    /// Bytes of the memory argument before it.
    ConstSizeOrZero,
    /// Bytes of the memory that the call returns, a constant.
    ConstAllocSizeOrZero,
    /// The context.
    Ctx,
    /// A `bpf_spin_lock` in a map value or an allocated object.
    SpinLock,
    /// A `sock_common`.
    SockCommon,
    /// A full socket.
    Socket,
    /// A kernel object of that type.
    BtfId(&'static str),
    /// A kernel object of the type of the kptr field that the first argument points to.
    BtfIdOfField,
    /// Memory of a ring buffer's record.
    RingbufMem,
    /// A kernel `sock_common`, or any of the mirrored socket types.
    BtfIdSockCommon,
    /// A per-CPU kernel variable.
    PercpuBtfId,
    /// A function of the program.
    Func,
    /// A place in the stack.
    Stack,
    /// A NUL-terminated string in a read-only, frozen map.
    ConstStr,
    /// A `bpf_timer` in a map value.
    Timer,
    /// A kptr field.
    KptrXchgDest,
    /// A dynptr.
    Dynptr,
}

/// One argument of a prototype.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Arg {
    /// What it must be.
    pub ty: ArgType,
    /// Modifiers.
    pub mods: Mods,
    /// Bytes, with [`Mods::FIXED_SIZE`]; else 0.
    pub size: u32,
}

/// What a call returns.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RetType {
    /// A number.
    Integer,
    /// Nothing: R0 is unreadable.
    Void,
    /// A value of the map argument.
    MapValue,
    /// A full socket.
    Socket,
    /// A TCP socket.
    TcpSock,
    /// A `sock_common`.
    SockCommon,
    /// Memory of the size of the argument [`ArgType::ConstAllocSizeOrZero`].
    Mem,
    /// The data of the dynptr argument, of the size of the same argument.
    DynptrMem,
    /// The object, or the memory of plain type, that the per-CPU argument names.
    MemOrBtfId,
    /// A kernel object of that type.
    BtfId(&'static str),
    /// A kernel object of the type of the kptr field in the first argument.
    BtfIdOfField,
}

/// The result of a prototype.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ret {
    /// What it is.
    pub ty: RetType,
    /// Modifiers.
    pub mods: Mods,
}

impl Arg {
    /// Without modifiers.
    pub const fn new(ty: ArgType) -> Arg {
        Arg {
            ty,
            mods: Mods::empty(),
            size: 0,
        }
    }

    /// With further modifiers.
    pub const fn with(self, mods: Mods) -> Arg {
        Arg {
            mods: self.mods.union(mods),
            ..self
        }
    }

    /// With a fixed size in bytes.
    pub const fn fixed(self, size: u32) -> Arg {
        Arg {
            size,
            ..self.with(Mods::FIXED_SIZE)
        }
    }

    /// Whether it has all these modifiers.
    pub const fn has(self, mods: Mods) -> bool {
        self.mods.contains(mods)
    }
}

impl Ret {
    /// Without modifiers.
    pub const fn new(ty: RetType) -> Ret {
        Ret {
            ty,
            mods: Mods::empty(),
        }
    }

    /// With further modifiers.
    pub const fn with(self, mods: Mods) -> Ret {
        Ret {
            mods: self.mods.union(mods),
            ..self
        }
    }

    /// Whether it has all these modifiers.
    pub const fn has(self, mods: Mods) -> bool {
        self.mods.contains(mods)
    }
}

/// The arguments and results as the table's rows spell them.
pub(super) mod words {
    use super::{Arg, ArgType, Mods, Ret, RetType};

    const UNINIT_WRITE: Mods = Mods::UNINIT.union(Mods::WRITE);

    pub(crate) const ANY: Arg = Arg::new(ArgType::Anything);
    pub(crate) const MAP: Arg = Arg::new(ArgType::ConstMapPtr);
    pub(crate) const KEY: Arg = Arg::new(ArgType::MapKey);
    pub(crate) const VALUE: Arg = Arg::new(ArgType::MapValue);
    pub(crate) const VALUE_OR_NULL: Arg = VALUE.with(Mods::MAYBE_NULL);
    pub(crate) const VALUE_OUT: Arg = VALUE.with(UNINIT_WRITE);
    pub(crate) const CTX: Arg = Arg::new(ArgType::Ctx);
    pub(crate) const CTX_OR_NULL: Arg = CTX.with(Mods::MAYBE_NULL);
    pub(crate) const MEM: Arg = Arg::new(ArgType::Mem);
    pub(crate) const IN: Arg = MEM.with(Mods::RDONLY);
    pub(crate) const IN_OR_NULL: Arg = IN.with(Mods::MAYBE_NULL);
    pub(crate) const INOUT: Arg = MEM.with(Mods::WRITE);
    pub(crate) const OUT: Arg = MEM.with(UNINIT_WRITE);
    pub(crate) const SIZE: Arg = Arg::new(ArgType::ConstSize);
    pub(crate) const SIZE0: Arg = Arg::new(ArgType::ConstSizeOrZero);
    pub(crate) const ALLOC0: Arg = Arg::new(ArgType::ConstAllocSizeOrZero);
    pub(crate) const FUNC: Arg = Arg::new(ArgType::Func);
    pub(crate) const STACK_OR_NULL: Arg = Arg::new(ArgType::Stack).with(Mods::MAYBE_NULL);
    pub(crate) const LOCK: Arg = Arg::new(ArgType::SpinLock);
    pub(crate) const TIMER: Arg = Arg::new(ArgType::Timer);
    pub(crate) const STR: Arg = Arg::new(ArgType::ConstStr);
    pub(crate) const SOCK_COMMON: Arg = Arg::new(ArgType::SockCommon);
    pub(crate) const SOCKET_OR_NULL: Arg = Arg::new(ArgType::Socket).with(Mods::MAYBE_NULL);
    pub(crate) const BTF_SOCK: Arg = Arg::new(ArgType::BtfIdSockCommon);
    pub(crate) const BTF_SOCK_OR_NULL: Arg = BTF_SOCK.with(Mods::MAYBE_NULL);
    pub(crate) const BTF_SOCK_REL: Arg = BTF_SOCK.with(Mods::RELEASE);
    pub(crate) const RINGBUF_REL: Arg = Arg::new(ArgType::RingbufMem).with(Mods::RELEASE);
    pub(crate) const PERCPU: Arg = Arg::new(ArgType::PercpuBtfId);
    pub(crate) const KPTR_DEST: Arg = Arg::new(ArgType::KptrXchgDest);
    pub(crate) const KPTR_SRC: Arg =
        Arg::new(ArgType::BtfIdOfField).with(Mods::MAYBE_NULL.union(Mods::RELEASE));
    pub(crate) const DYNPTR: Arg = Arg::new(ArgType::Dynptr).with(Mods::RDONLY);
    pub(crate) const DYNPTR_LOCAL_OUT: Arg =
        Arg::new(ArgType::Dynptr).with(Mods::DYNPTR_LOCAL.union(UNINIT_WRITE));
    pub(crate) const DYNPTR_RINGBUF_OUT: Arg =
        Arg::new(ArgType::Dynptr).with(Mods::DYNPTR_RINGBUF.union(UNINIT_WRITE));
    pub(crate) const DYNPTR_RINGBUF_REL: Arg =
        Arg::new(ArgType::Dynptr).with(Mods::DYNPTR_RINGBUF.union(Mods::RELEASE));

    pub(crate) const fn btf(name: &'static str) -> Arg {
        Arg::new(ArgType::BtfId(name))
    }

    pub(crate) const fn btf_or_null(name: &'static str) -> Arg {
        btf(name).with(Mods::MAYBE_NULL)
    }

    pub(crate) const INOUT_OR_NULL: Arg = INOUT.with(Mods::MAYBE_NULL);

    pub(crate) const fn fixed_in(size: u32) -> Arg {
        IN.fixed(size)
    }

    pub(crate) const fn fixed_inout(size: u32) -> Arg {
        MEM.fixed(size).with(Mods::WRITE.union(Mods::ALIGNED))
    }

    pub(crate) const fn fixed_out(size: u32) -> Arg {
        fixed_inout(size).with(Mods::UNINIT)
    }

    pub(crate) const INT: Ret = Ret::new(RetType::Integer);
    pub(crate) const VOID: Ret = Ret::new(RetType::Void);
    pub(crate) const MAP_VALUE: Ret = Ret::new(RetType::MapValue);
    pub(crate) const MAP_VALUE_OR_NULL: Ret = MAP_VALUE.with(Mods::MAYBE_NULL);
    pub(crate) const RET_SOCKET_OR_NULL: Ret = Ret::new(RetType::Socket).with(Mods::MAYBE_NULL);
    pub(crate) const TCP_SOCK_OR_NULL: Ret = Ret::new(RetType::TcpSock).with(Mods::MAYBE_NULL);
    pub(crate) const SOCK_COMMON_OR_NULL: Ret =
        Ret::new(RetType::SockCommon).with(Mods::MAYBE_NULL);
    pub(crate) const RINGBUF_MEM_OR_NULL: Ret =
        Ret::new(RetType::Mem).with(Mods::MAYBE_NULL.union(Mods::RINGBUF));
    pub(crate) const DYNPTR_MEM_OR_NULL: Ret = Ret::new(RetType::DynptrMem).with(Mods::MAYBE_NULL);
    pub(crate) const MEM_OR_BTF: Ret = Ret::new(RetType::MemOrBtfId).with(Mods::RDONLY);
    pub(crate) const MEM_OR_BTF_OR_NULL: Ret = MEM_OR_BTF.with(Mods::MAYBE_NULL);
    pub(crate) const KPTR_OR_NULL: Ret = Ret::new(RetType::BtfIdOfField).with(Mods::MAYBE_NULL);

    pub(crate) const fn ret_btf(name: &'static str) -> Ret {
        Ret::new(RetType::BtfId(name))
    }

    pub(crate) const fn ret_btf_or_null(name: &'static str) -> Ret {
        ret_btf(name).with(Mods::MAYBE_NULL)
    }

    pub(crate) const fn ret_btf_trusted(name: &'static str) -> Ret {
        ret_btf(name).with(Mods::TRUSTED)
    }
}
