//! Which kinds of value an argument takes, and whether they may have an offset.

use skep_isa::Reg;
use skep_spec::tables::{ArgType, Mods};

use super::{CallMeta, id};
use crate::env::Env;
use crate::state::{BtfSource, Pointer, PtrFlags, Region, RegionKind as R, SockKind, Value};
use crate::violation::{ArgumentViolation, Check, Stop};
use Kind::Pointer as P;

/// What a value is, its modifiers apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Uninit,
    Scalar,
    Pointer(R),
}

/// The kinds that an argument takes with exactly these modifiers, in the order in which a message
/// names them; and the names.
struct Allowed {
    kinds: &'static [(Kind, PtrFlags)],
    names: &'static [&'static str],
}

const PLAIN: PtrFlags = PtrFlags::empty();
const TRUSTED: PtrFlags = PtrFlags::TRUSTED;
const RCU: PtrFlags = PtrFlags::RCU;
const ALLOC: PtrFlags = PtrFlags::ALLOC;
const PERCPU: PtrFlags = PtrFlags::PERCPU;
/// Slices of dynptrs.
const SLICE: PtrFlags = PtrFlags::DYNPTR_LOCAL
    .union(PtrFlags::DYNPTR_RINGBUF)
    .union(PtrFlags::DYNPTR_SKB)
    .union(PtrFlags::DYNPTR_XDP)
    .union(PtrFlags::DYNPTR_SKB_META);

const SOCKS: Allowed = Allowed {
    kinds: &[
        (P(R::Sock(SockKind::Common)), PLAIN),
        (P(R::Sock(SockKind::Socket)), PLAIN),
        (P(R::Sock(SockKind::Tcp)), PLAIN),
        (P(R::Sock(SockKind::Xdp)), PLAIN),
    ],
    names: &["sock_common", "sock", "tcp_sock", "xdp_sock"],
};
const BTF_SOCKS: Allowed = Allowed {
    kinds: &[
        (P(R::Sock(SockKind::Common)), PLAIN),
        (P(R::Sock(SockKind::Socket)), PLAIN),
        (P(R::Sock(SockKind::Tcp)), PLAIN),
        (P(R::Sock(SockKind::Xdp)), PLAIN),
        (P(R::Btf), PLAIN),
        (P(R::Btf), TRUSTED),
    ],
    names: &[
        "sock_common",
        "sock",
        "tcp_sock",
        "xdp_sock",
        "ptr_",
        "trusted_ptr_",
    ],
};
const MEMORY: Allowed = Allowed {
    kinds: &[
        (P(R::Stack), PLAIN),
        (P(R::Packet), PLAIN),
        (P(R::PacketMeta), PLAIN),
        (P(R::MapKey), PLAIN),
        (P(R::MapValue), PLAIN),
        (P(R::Mem), PLAIN),
        (P(R::Mem), PtrFlags::RINGBUF),
        (P(R::Buf), PLAIN),
        (P(R::Btf), TRUSTED),
    ],
    names: &[
        "fp",
        "pkt",
        "pkt_meta",
        "map_key",
        "map_value",
        "mem",
        "ringbuf_mem",
        "buf",
        "trusted_ptr_",
    ],
};
const SCALAR: Allowed = Allowed {
    kinds: &[(Kind::Scalar, PLAIN)],
    names: &["scalar"],
};
const CTX: Allowed = Allowed {
    kinds: &[(P(R::Ctx), PLAIN)],
    names: &["ctx"],
};
const MAP: Allowed = Allowed {
    kinds: &[(P(R::ConstMap), PLAIN)],
    names: &["map_ptr"],
};
const FULL_SOCK: Allowed = Allowed {
    kinds: &[(P(R::Sock(SockKind::Socket)), PLAIN)],
    names: &["sock"],
};
const RINGBUF: Allowed = Allowed {
    kinds: &[(P(R::Mem), PtrFlags::RINGBUF)],
    names: &["ringbuf_mem"],
};
const STRUCTURE: Allowed = Allowed {
    kinds: &[(P(R::Btf), PLAIN), (P(R::Btf), TRUSTED), (P(R::Btf), RCU)],
    names: &["ptr_", "trusted_ptr_", "rcu_ptr_"],
};
const PERCPU_STRUCTURE: Allowed = Allowed {
    kinds: &[
        (P(R::Btf), PERCPU),
        (P(R::Btf), PERCPU.union(RCU)),
        (P(R::Btf), PERCPU.union(TRUSTED)),
    ],
    names: &["percpu_ptr_", "percpu_rcu_ptr_", "percpu_trusted_ptr_"],
};
const VALUE_OR_OBJECT: Allowed = Allowed {
    kinds: &[(P(R::MapValue), PLAIN), (P(R::Btf), ALLOC)],
    names: &["map_value", "ptr_"],
};
const VALUE: Allowed = Allowed {
    kinds: &[(P(R::MapValue), PLAIN)],
    names: &["map_value"],
};
const FUNC: Allowed = Allowed {
    kinds: &[(P(R::Func), PLAIN)],
    names: &["func"],
};
const STACK: Allowed = Allowed {
    kinds: &[(P(R::Stack), PLAIN)],
    names: &["fp"],
};
const DYNPTR: Allowed = Allowed {
    kinds: &[(P(R::Stack), PLAIN), (P(R::ConstDynptr), PLAIN)],
    names: &["fp", "dynptr_ptr"],
};

/// `compatible_reg_types`; `None` where anything goes.
fn allowed(ty: ArgType) -> Option<&'static Allowed> {
    Some(match ty {
        ArgType::Anything | ArgType::Arena => return None,
        ArgType::MapKey | ArgType::MapValue | ArgType::Mem => &MEMORY,
        ArgType::ConstSize | ArgType::ConstSizeOrZero | ArgType::ConstAllocSizeOrZero => &SCALAR,
        ArgType::ConstMapPtr => &MAP,
        ArgType::Ctx => &CTX,
        ArgType::SockCommon => &SOCKS,
        ArgType::BtfIdSockCommon => &BTF_SOCKS,
        ArgType::Socket => &FULL_SOCK,
        ArgType::BtfId(_) | ArgType::BtfIdOfField => &STRUCTURE,
        ArgType::SpinLock | ArgType::KptrXchgDest => &VALUE_OR_OBJECT,
        ArgType::RingbufMem => &RINGBUF,
        ArgType::PercpuBtfId => &PERCPU_STRUCTURE,
        ArgType::Func => &FUNC,
        ArgType::Stack => &STACK,
        ArgType::ConstStr | ArgType::Timer => &VALUE,
        ArgType::Dynptr => &DYNPTR,
    })
}

fn kind_of(value: &Value) -> (Kind, PtrFlags) {
    match value {
        Value::Uninit => (Kind::Uninit, PLAIN),
        Value::Scalar(_) => (Kind::Scalar, PLAIN),
        Value::Pointer(pointer) => (Kind::Pointer(pointer.region.kind()), pointer.flags),
    }
}

impl Env<'_> {
    /// A helper's argument is of a type that it takes (`check_reg_type`).
    pub(super) fn check_arg_type(
        &self,
        meta: &CallMeta,
        reg: Reg,
        ty: ArgType,
        mods: Mods,
    ) -> Check<()> {
        let value = self.state.reg(reg);
        let Some(allowed) = allowed(ty) else {
            return Ok(());
        };
        if ty == ArgType::BtfIdOfField {
            check_exchanged(reg, value)?;
            return self.check_kptr_source(meta, reg);
        }
        check_kind(reg, value, ty, mods, allowed)?;
        let Value::Pointer(
            pointer @ Pointer {
                region: Region::Btf { source, id },
                ..
            },
        ) = value
        else {
            return Ok(());
        };
        let helper = meta.proto.id;
        if matches!(ty, ArgType::MapKey | ArgType::MapValue | ArgType::Mem) {
            if mods.contains(Mods::RDONLY) {
                return Ok(());
            }
            let value = (*value).into();
            return Err(ArgumentViolation::MayWrite {
                id: helper,
                reg,
                value,
            }
            .into());
        }
        if pointer.flags.contains(PtrFlags::PERCPU) {
            return Ok(());
        }
        if pointer.flags.contains(PtrFlags::ALLOC) {
            // The lock or pointer in it is looked at later.
            return Ok(());
        }
        if *source == BtfSource::Program {
            return Err(Stop::undecided("objects of the program's own types"));
        }
        let releases = mods.contains(Mods::RELEASE);
        check_not_null(pointer, reg, mods.contains(Mods::MAYBE_NULL) && !releases)?;
        let name = if let ArgType::BtfId(name) = ty {
            name
        } else if ty == ArgType::BtfIdSockCommon {
            "sock_common"
        } else {
            return Err(Stop::undecided("an object of no type"));
        };
        let expected = self.ctx.kernel_structure(name)?;
        // A socket is released as what it begins with.
        let strict = releases && helper != id::SK_RELEASE;
        self.check_structure(reg, *id, pointer.off, expected, strict)
    }

    /// A kernel object as a global subprogram's prototype declares it.
    pub(super) fn check_global_structure(
        &self,
        reg: Reg,
        expected: u32,
        nullable: bool,
    ) -> Check<()> {
        let value = self.state.reg(reg);
        let mods = if nullable {
            Mods::MAYBE_NULL
        } else {
            Mods::empty()
        };
        check_kind(reg, value, ArgType::BtfId(""), mods, &STRUCTURE)?;
        let Value::Pointer(
            pointer @ Pointer {
                region: Region::Btf { id, .. },
                ..
            },
        ) = value
        else {
            return Ok(());
        };
        check_not_null(pointer, reg, nullable)?;
        self.check_structure(reg, *id, pointer.off, expected, false)
    }

    /// What an argument's offset may be (`check_func_arg_reg_off`).
    pub(super) fn check_arg_offset(&self, reg: Reg, ty: Option<ArgType>, mods: Mods) -> Check<()> {
        let Value::Pointer(pointer) = self.state.reg(reg) else {
            return Ok(());
        };
        if mods.contains(Mods::RELEASE) {
            let on_stack = matches!(pointer.region, Region::Stack { .. });
            if ty == Some(ArgType::Dynptr) && on_stack && pointer.flags.is_empty() {
                // The object lies behind the dynptr, which may lie anywhere on the stack.
                return Ok(());
            }
            if pointer.off != 0 {
                return Err(ArgumentViolation::ReleaseOffset { reg }.into());
            }
            return self.check_pointer_offset(pointer, reg, false);
        }
        let flags = pointer.flags;
        match pointer.region.kind() {
            R::Stack | R::Packet | R::PacketMeta | R::MapKey | R::MapValue if flags.is_empty() => {
                Ok(())
            }
            R::Mem if [PLAIN, PtrFlags::RDONLY, PtrFlags::RINGBUF].contains(&flags) => Ok(()),
            R::Buf if [PLAIN, PtrFlags::RDONLY].contains(&flags) => Ok(()),
            R::Arena => Ok(()),
            R::Btf => {
                let borrowed = ALLOC.union(PtrFlags::NON_OWN_REF);
                let fixed = [PLAIN, ALLOC, TRUSTED, RCU, borrowed, borrowed.union(RCU)];
                self.check_pointer_offset(pointer, reg, fixed.contains(&flags))
            }
            R::Ctx
            | R::ConstMap
            | R::MapValue
            | R::MapKey
            | R::Stack
            | R::PacketMeta
            | R::Packet
            | R::PacketEnd
            | R::FlowKeys
            | R::Sock(_)
            | R::TpBuffer
            | R::Mem
            | R::Buf
            | R::Func
            | R::ConstDynptr
            | R::Object => self.check_pointer_offset(pointer, reg, false),
        }
    }
}

/// What may be put into a value in exchange: an object of the kernel, or one that the program allocated.
fn check_exchanged(reg: Reg, value: &Value) -> Check<()> {
    let (kind, flags) = kind_of(value);
    let allocated = flags.contains(ALLOC);
    let mut folded = flags - PtrFlags::MAYBE_NULL;
    if allocated {
        folded -= ALLOC | PERCPU;
    }
    if !STRUCTURE.kinds.contains(&(kind, folded)) {
        let (value, expected) = ((*value).into(), STRUCTURE.names);
        return Err(ArgumentViolation::Type {
            reg,
            value,
            expected,
        }
        .into());
    }
    let Value::Pointer(pointer) = value else {
        return Ok(());
    };
    if !allocated {
        return check_not_null(pointer, reg, false);
    }
    if [ALLOC, ALLOC.union(PERCPU)].contains(&flags) {
        return Ok(());
    }
    Err(Stop::undecided("an object that may be null, exchanged"))
}

fn check_kind(
    reg: Reg,
    value: &Value,
    ty: ArgType,
    mods: Mods,
    allowed: &'static Allowed,
) -> Check<()> {
    let (kind, mut flags) = kind_of(value);
    // What the argument allows, the value may or may not be.
    if mods.contains(Mods::RDONLY) {
        flags -= PtrFlags::RDONLY;
    }
    if mods.contains(Mods::MAYBE_NULL) {
        flags -= PtrFlags::MAYBE_NULL;
    }
    if ty == ArgType::Mem {
        flags -= SLICE;
    }
    if allowed.kinds.contains(&(kind, flags)) {
        return Ok(());
    }
    let (value, expected) = ((*value).into(), allowed.names);
    Err(ArgumentViolation::Type {
        reg,
        value,
        expected,
    }
    .into())
}

fn check_not_null(pointer: &Pointer, reg: Reg, null_allowed: bool) -> Check<()> {
    if pointer.maybe_null() && !null_allowed {
        return Err(ArgumentViolation::MaybeNull { reg }.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_allowed_kind_has_a_name() {
        for table in [
            &SOCKS,
            &BTF_SOCKS,
            &MEMORY,
            &SCALAR,
            &CTX,
            &MAP,
            &FULL_SOCK,
            &RINGBUF,
            &STRUCTURE,
            &PERCPU_STRUCTURE,
            &VALUE_OR_OBJECT,
            &VALUE,
            &FUNC,
            &STACK,
            &DYNPTR,
        ] {
            assert_eq!(table.kinds.len(), table.names.len(), "{:?}", table.names);
        }
    }
}
