//! Memory that a helper is given: the bytes it reads must be there, those it writes must be writable.

use skep_isa::{Reg, Size};

use super::MemAccess;
use super::region::{AccessBy, buffer_name, read_only};
use crate::env::Env;
use crate::number::Scalar;
use crate::state::{PtrFlags, Region, Value};
use crate::violation::{AccessViolation, Check};

/// Sizes of this and more are refused.
const MAX_SIZE: u64 = 1 << 29;

/// Memory that a helper fills: it may be uninitialised before the call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct RawAccess {
    /// The stack bytes that the call initialises: through which register, and how many.
    pub(crate) range: Option<(Reg, i32)>,
}

impl Env<'_> {
    /// `size` bytes behind a register must be readable or writable (`check_helper_mem_access`).
    pub(crate) fn check_helper_mem_access(
        &mut self,
        reg: Reg,
        size: u32,
        write: bool,
        zero_size_allowed: bool,
        raw: Option<&mut RawAccess>,
    ) -> Check<()> {
        let value = *self.state.reg(reg);
        let bytes = size as i32;
        let Value::Pointer(pointer) = value else {
            return self.check_no_memory(reg, &value, size, zero_size_allowed);
        };
        let off = pointer.off;
        // Only the base type decides here: modifiers such as "may be null" were checked before.
        match pointer.region {
            Region::Packet { .. } | Region::PacketMeta { .. } => {
                self.check_packet(reg, &pointer, off, bytes, zero_size_allowed)
            }
            Region::MapKey { map, .. } => {
                if write {
                    return Err(read_only(reg, &pointer));
                }
                let room = self.ctx.map(map).spec.key_size;
                self.check_region(reg, &pointer, off, bytes, room.into(), false)
            }
            Region::MapValue { map, .. } => {
                self.check_map_direction(map, off, bytes, write)?;
                let by = AccessBy::Helper;
                self.check_map_value(reg, &pointer, off, bytes, zero_size_allowed, by)
            }
            Region::Mem { size: room, .. } => {
                if write && pointer.flags.contains(PtrFlags::RDONLY) {
                    return Err(read_only(reg, &pointer));
                }
                self.check_region(reg, &pointer, off, bytes, room.into(), zero_size_allowed)
            }
            Region::Buf => {
                if write && pointer.flags.contains(PtrFlags::RDONLY) {
                    return Err(read_only(reg, &pointer));
                }
                self.check_buffer(buffer_name(&pointer), reg, &pointer, off, bytes)
            }
            Region::Stack { .. } => self.check_stack_initialized(
                reg,
                &pointer,
                off,
                bytes,
                zero_size_allowed,
                write,
                raw,
            ),
            Region::Btf { .. } => self.read_btf(reg, &pointer, off, size, false).map(|_| ()),
            Region::Ctx if self.ctx.has_plain_context() => {
                self.check_plain_context(reg, bytes, write, zero_size_allowed)
            }
            Region::Ctx
            | Region::ConstMap { .. }
            | Region::PacketEnd
            | Region::FlowKeys
            | Region::Sock(_)
            | Region::TpBuffer
            | Region::Arena
            | Region::Func { .. }
            | Region::ConstDynptr { .. }
            | Region::Object(_) => self.check_no_memory(reg, &value, size, zero_size_allowed),
        }
    }

    /// Nothing to read behind null is fine; anything else that is no memory is not.
    fn check_no_memory(
        &self,
        reg: Reg,
        value: &Value,
        size: u32,
        zero_size_allowed: bool,
    ) -> Check<()> {
        if zero_size_allowed && size == 0 && value.is_null() {
            return Ok(());
        }
        Err(AccessViolation::NotMemory {
            reg,
            value: (*value).into(),
        }
        .into())
    }

    /// A context whose bytes are the program's own affair: its last byte must be one of them.
    fn check_plain_context(
        &mut self,
        reg: Reg,
        size: i32,
        write: bool,
        zero_size_allowed: bool,
    ) -> Check<()> {
        if size == 0 {
            if zero_size_allowed {
                return Ok(());
            }
            return Err(AccessViolation::ZeroSizedRead.into());
        }
        let access = if write {
            MemAccess::Write(super::Stored::Unknown)
        } else {
            MemAccess::PROBE
        };
        self.check_mem_access(reg, size - 1, Size::B, access, false)
    }

    /// Memory whose size is in `size_reg` (`check_mem_size_reg`). `memory` holds its address.
    pub(crate) fn check_mem_size_reg(
        &mut self,
        memory: Reg,
        size_reg: Reg,
        write: bool,
        zero_size_allowed: bool,
        raw: Option<&mut RawAccess>,
    ) -> Check<()> {
        let size: Scalar = self.state.reg(size_reg).var();
        // With a varying size nobody knows how much is filled: it must all be initialised.
        let raw = raw.filter(|_| size.is_const());
        if size.smin() < 0 {
            return Err(AccessViolation::NegativeSize { reg: size_reg }.into());
        }
        if size.umin() == 0 && !zero_size_allowed {
            let (min, max) = (size.umin(), size.umax());
            return Err(AccessViolation::ZeroSize {
                reg: size_reg,
                min,
                max,
            }
            .into());
        }
        if size.umax() >= MAX_SIZE {
            return Err(AccessViolation::UnboundedSize { reg: size_reg }.into());
        }
        self.check_helper_mem_access(memory, size.umax() as u32, write, zero_size_allowed, raw)?;
        self.mark_precise(size_reg)
    }

    /// Memory of a fixed size that may be read and written, or null (`check_mem_reg`).
    pub(crate) fn check_mem_reg(&mut self, reg: Reg, size: u32) -> Check<()> {
        if self.state.reg(reg).is_null() {
            return Ok(());
        }
        let saved = *self.state.reg(reg);
        if let Value::Pointer(pointer) = saved
            && pointer.maybe_null()
        {
            let mut checked = pointer;
            crate::walk::lift_null(self.ctx, &mut checked);
            self.state.cur_mut().regs[reg.index()] = Value::Pointer(checked);
        }
        let read = self.check_helper_mem_access(reg, size, false, true, None);
        let written = read.and_then(|()| self.check_helper_mem_access(reg, size, true, true, None));
        self.state.cur_mut().regs[reg.index()] = saved;
        written
    }
}
