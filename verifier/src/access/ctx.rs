//! The program's context: which bytes may be read and written, and what a read gives.

use skep_isa::{Reg, Size};
use skep_spec::tables::Hook;
use skep_spec::tables::ctx::{self, Access, CtxAccess, CtxValue};

use super::stack::Filled;
use crate::env::Env;
use crate::state::{Pointer, PtrFlags, Region, SockKind, Value};
use crate::violation::{AccessViolation, Check};

impl Env<'_> {
    /// A read; what it gives, before it is cut to size (`check_ctx_access`). Without a register that
    /// receives it no id is given out.
    pub(super) fn read_ctx(
        &mut self,
        off: i32,
        size: Size,
        sign: bool,
        dst: Option<Reg>,
    ) -> Check<Filled> {
        let Some(value) = self.ctx_value(off, size, false, sign)? else {
            return self.read_btf_ctx(off, size, dst);
        };
        let null = PtrFlags::MAYBE_NULL;
        let (region, flags) = match value {
            CtxValue::Scalar => return Ok(Filled::plain(Value::unknown())),
            CtxValue::Packet => (Region::Packet { range: 0 }, PtrFlags::empty()),
            CtxValue::PacketEnd => (Region::PacketEnd, PtrFlags::empty()),
            CtxValue::PacketMeta => (Region::PacketMeta { range: 0 }, PtrFlags::empty()),
            CtxValue::Socket => (Region::Sock(SockKind::Socket), PtrFlags::empty()),
            CtxValue::SocketOrNull => (Region::Sock(SockKind::Socket), null),
            CtxValue::SockCommonOrNull => (Region::Sock(SockKind::Common), null),
            CtxValue::FlowKeys => (Region::FlowKeys, PtrFlags::empty()),
            CtxValue::TpBuffer => (Region::TpBuffer, PtrFlags::empty()),
            CtxValue::BtfId(name) => (self.kernel_object(name)?, PtrFlags::TRUSTED),
        };
        let mut pointer = Pointer::new(region, flags);
        if dst.is_some() && pointer.maybe_null() {
            pointer.id = self.learned.next_id();
        }
        Ok(Filled::plain(Value::Pointer(pointer)))
    }

    /// A write.
    pub(super) fn write_ctx(&mut self, off: i32, size: Size) -> Check<()> {
        match self.ctx_value(off, size, true, false)? {
            Some(_) => Ok(()),
            None => self.write_btf_ctx(off, size),
        }
    }

    /// What lies there; `None` where the kernel's types say it.
    fn ctx_value(&self, off: i32, size: Size, write: bool, sign: bool) -> Check<Option<CtxValue>> {
        let access = Access {
            off,
            size: size.bytes(),
            write,
            sign_extend: sign,
        };
        match self.ctx.facts.ctx_access(&self.ctx.hook, &access) {
            CtxAccess::Allowed { value, .. } => Ok(Some(value)),
            CtxAccess::Refused => Err(AccessViolation::Ctx {
                off,
                size: size.bytes() as i32,
            }
            .into()),
            CtxAccess::ByBtf => Ok(None),
        }
    }
}

/// Whether a program may read these bytes of a socket.
pub(super) fn sock_read_allowed(kind: SockKind, hook: &Hook<'_>, off: i32, size: Size) -> bool {
    let table = match kind {
        SockKind::Socket => &ctx::SOCK,
        SockKind::Common => &ctx::SOCK_COMMON,
        SockKind::Tcp => &ctx::TCP_SOCK,
        SockKind::Xdp => &ctx::XDP_SOCK,
    };
    let access = Access {
        off,
        size: size.bytes(),
        write: false,
        sign_extend: false,
    };
    matches!(table.access(hook, &access), CtxAccess::Allowed { .. })
}
