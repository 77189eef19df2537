//! What each region allows: bounds, directions, and what a read gives.

use skep_isa::{Reg, Size};
use skep_spec::tables::prog_types::PacketAccess;
use skep_spec::{Capability, MapFlags, MapType};

use super::stack::Filled;
use super::{MemAccess, Stored};
use crate::env::Env;
use crate::number::Scalar;
use crate::state::{MapId, Pointer, PtrFlags, Region, SockKind, Value};
use crate::violation::{AccessViolation, Check, KptrViolation};

/// Offsets of this size and more prove nothing.
const MAX_VAR_OFF: u64 = 1 << 29;
/// Bytes of `struct bpf_flow_keys`.
const FLOW_KEYS_SIZE: u64 = 56;

/// Who makes an access to a map's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AccessBy {
    /// A load or store.
    Insn,
    /// A helper.
    Helper,
}

fn unknown(value: Value) -> Option<Filled> {
    Some(Filled {
        value,
        precise: false,
    })
}

impl Env<'_> {
    /// A read of `size` bytes; `off` includes the pointer's fixed offset. What it gives, if a
    /// register receives it.
    pub(super) fn check_read(
        &mut self,
        base: Reg,
        pointer: &Pointer,
        off: i32,
        size: Size,
        dst: Option<Reg>,
        sign: bool,
    ) -> Check<Option<Filled>> {
        let bytes = size.bytes() as i32;
        let plain = pointer.flags.is_empty();
        match pointer.region {
            Region::MapKey { map, .. } if plain => {
                let size = self.ctx.map(map).spec.key_size;
                self.check_region(base, pointer, off, bytes, size.into(), false)?;
            }
            Region::MapValue { map, .. } if plain => {
                self.check_map_direction(map, off, bytes, false)?;
                self.check_map_value(base, pointer, off, bytes, false, AccessBy::Insn)?;
                return Ok(unknown(
                    self.read_value(map, pointer, off, size, sign, dst)?,
                ));
            }
            Region::Mem { size: room, .. } if !pointer.maybe_null() => {
                let probed = PtrFlags::RDONLY | PtrFlags::UNTRUSTED;
                if !pointer.flags.contains(probed) {
                    self.check_region(base, pointer, off, bytes, room.into(), false)?;
                }
            }
            Region::Ctx if plain => {
                self.check_ptr_off_reg(pointer, base)?;
                return self.read_ctx(off, size, sign, dst).map(Some);
            }
            Region::Stack { .. } if plain => {
                let range = self.check_stack_bounds(base, pointer, off, bytes, false)?;
                return self.read_stack(pointer, base, off, bytes, range, dst);
            }
            Region::Packet { .. } | Region::PacketMeta { .. } if plain => {
                self.check_packet(base, pointer, off, bytes, false)?;
            }
            Region::FlowKeys if plain => self.check_flow_keys(off, bytes)?,
            Region::Sock(kind) if plain => self.check_sock(base, pointer, kind, off, size)?,
            Region::TpBuffer if plain => {
                self.check_buffer("tracepoint", base, pointer, off, bytes)?;
            }
            Region::Btf { .. } if !pointer.maybe_null() => {
                let to_reg = dst.is_some();
                return Ok(unknown(self.read_btf(
                    base,
                    pointer,
                    off,
                    size.bytes(),
                    to_reg,
                )?));
            }
            Region::ConstMap { map, .. } if plain => {
                let to_reg = dst.is_some();
                return Ok(unknown(self.read_map_fields(
                    base,
                    map,
                    off,
                    size.bytes(),
                    to_reg,
                )?));
            }
            Region::Buf if self.buffer_is_there(pointer) => {
                self.check_buffer(buffer_name(pointer), base, pointer, off, bytes)?;
            }
            Region::Arena => {}
            Region::MapKey { .. }
            | Region::MapValue { .. }
            | Region::Mem { .. }
            | Region::Ctx
            | Region::Stack { .. }
            | Region::Packet { .. }
            | Region::PacketMeta { .. }
            | Region::PacketEnd
            | Region::FlowKeys
            | Region::Sock(_)
            | Region::TpBuffer
            | Region::Buf
            | Region::Btf { .. }
            | Region::ConstMap { .. }
            | Region::Func { .. }
            | Region::ConstDynptr { .. }
            | Region::Object(_) => return Err(invalid(base, pointer)),
        }
        Ok(unknown(Value::unknown()))
    }

    /// Whether a buffer may be accessed as far as null goes. Before a fix of 6.18's own series the kernel
    /// did not ask (`check_mem_access`).
    fn buffer_is_there(&self, pointer: &Pointer) -> bool {
        !pointer.maybe_null() || !self.ctx.facts.has(Capability::NullCheckedBuffers)
    }

    /// What lies in a map's value: a pointer that it holds, a constant, or anything.
    fn read_value(
        &mut self,
        map: MapId,
        pointer: &Pointer,
        off: i32,
        size: Size,
        sign: bool,
        dst: Option<Reg>,
    ) -> Check<Value> {
        if let Some(field) = self.kptr_at(map, pointer, off) {
            return self.read_kptr(&field);
        }
        let constant = self.constant_of(map, pointer, off, size, sign);
        Ok(match (constant, dst) {
            (None, _) => Value::unknown(),
            (Some(constant), None) => Value::constant(constant),
            (Some(constant), Some(dst)) => Value::constant_over(constant, self.state.reg(dst)),
        })
    }

    /// A write of `size` bytes; `off` includes the pointer's fixed offset.
    pub(super) fn check_write(
        &mut self,
        base: Reg,
        pointer: &Pointer,
        off: i32,
        size: Size,
        stored: Stored,
    ) -> Check<()> {
        let bytes = size.bytes() as i32;
        let plain = pointer.flags.is_empty();
        match pointer.region {
            Region::MapKey { .. } if plain => {
                Err(AccessViolation::MapKeyWrite { reg: base }.into())
            }
            Region::MapValue { map, .. } if plain => {
                self.check_leak(stored, "map")?;
                self.check_map_direction(map, off, bytes, true)?;
                self.check_map_value(base, pointer, off, bytes, false, AccessBy::Insn)?;
                match self.kptr_at(map, pointer, off) {
                    Some(field) => self.write_kptr(&field, stored),
                    None => Ok(()),
                }
            }
            Region::Mem { size: room, .. } if !pointer.maybe_null() => {
                if pointer.flags.contains(PtrFlags::RDONLY) {
                    return Err(read_only(base, pointer));
                }
                self.check_leak(stored, "mem")?;
                self.check_region(base, pointer, off, bytes, room.into(), false)
            }
            Region::Ctx if plain => {
                self.check_leak(stored, "ctx")?;
                self.check_ptr_off_reg(pointer, base)?;
                self.write_ctx(off, size)
            }
            Region::Stack { .. } if plain => {
                let range = self.check_stack_bounds(base, pointer, off, bytes, true)?;
                self.write_stack(pointer, range, bytes, stored)
            }
            Region::Packet { .. } | Region::PacketMeta { .. } if plain => {
                if !self.may_access_packet(true, None) {
                    return Err(AccessViolation::PacketWrite.into());
                }
                self.check_leak(stored, "packet")?;
                self.check_packet(base, pointer, off, bytes, false)
            }
            Region::FlowKeys if plain => {
                self.check_leak(stored, "flow keys")?;
                self.check_flow_keys(off, bytes)
            }
            Region::Sock(_) if plain => Err(read_only(base, pointer)),
            Region::TpBuffer if plain => self.check_buffer("tracepoint", base, pointer, off, bytes),
            Region::Btf { .. } if !pointer.maybe_null() => {
                self.write_btf(base, pointer, off, size.bytes())
            }
            Region::ConstMap { map, .. } if plain => self.write_map_fields(base, map, off),
            Region::Buf if self.buffer_is_there(pointer) => {
                if pointer.flags.contains(PtrFlags::RDONLY) {
                    return Err(read_only(base, pointer));
                }
                self.check_buffer("rdwr", base, pointer, off, bytes)
            }
            Region::Arena => Ok(()),
            Region::MapKey { .. }
            | Region::MapValue { .. }
            | Region::Mem { .. }
            | Region::Ctx
            | Region::Stack { .. }
            | Region::Packet { .. }
            | Region::PacketMeta { .. }
            | Region::PacketEnd
            | Region::FlowKeys
            | Region::Sock(_)
            | Region::TpBuffer
            | Region::Buf
            | Region::Btf { .. }
            | Region::ConstMap { .. }
            | Region::Func { .. }
            | Region::ConstDynptr { .. }
            | Region::Object(_) => Err(invalid(base, pointer)),
        }
    }

    fn check_leak(&self, stored: Stored, into: &'static str) -> Check<()> {
        match stored {
            Stored::Reg(reg) if self.leaks(reg) => Err(AccessViolation::Leak { reg, into }.into()),
            Stored::Reg(_) | Stored::Imm(_) | Stored::Unknown => Ok(()),
        }
    }

    /// Memory of known size: both ends of where the access may lie must be inside
    /// (`check_mem_region_access`).
    pub(crate) fn check_region(
        &self,
        reg: Reg,
        pointer: &Pointer,
        off: i32,
        size: i32,
        room: u64,
        zero_size_allowed: bool,
    ) -> Check<()> {
        let var = pointer.var;
        let min = var.smin().wrapping_add(off.into());
        if var.smin() < 0 && (var.smin() == i64::MIN || i32::try_from(min).is_err() || min < 0) {
            return Err(AccessViolation::NegativeMin { reg }.into());
        }
        let inside = |off: i64| {
            let fits = size > 0 || (size == 0 && zero_size_allowed);
            off >= 0 && fits && (off as u64).saturating_add(size as u64) <= room
        };
        let bounds = |off: i64, is_max: bool| AccessViolation::RegionBounds {
            reg,
            pointer: (*pointer).into(),
            off: off as i32,
            size,
            room: room as u32,
            is_max,
        };
        if !inside(i64::from(min as i32)) {
            return Err(bounds(min, false).into());
        }
        if var.umax() >= MAX_VAR_OFF {
            return Err(AccessViolation::UnboundedMax { reg }.into());
        }
        let max = var.umax() as i64 + i64::from(off);
        if !inside(max) {
            return Err(bounds(max, true).into());
        }
        Ok(())
    }

    /// A map's value: in bounds, and not over fields that only helpers may touch
    /// (`check_map_access`).
    pub(crate) fn check_map_value(
        &self,
        reg: Reg,
        pointer: &Pointer,
        off: i32,
        size: i32,
        zero_size_allowed: bool,
        by: AccessBy,
    ) -> Check<()> {
        let Region::MapValue { map, .. } = pointer.region else {
            return Ok(());
        };
        let info = self.ctx.map(map);
        let room = info.spec.value_size.into();
        self.check_region(reg, pointer, off, size, room, zero_size_allowed)?;
        let low = pointer.var.smin().wrapping_add(off.into());
        let high = pointer
            .var
            .umax()
            .wrapping_add(off as i64 as u64)
            .wrapping_add(size as u64);
        for field in &info.fields {
            let (start, end) = (i64::from(field.off), i64::from(field.off + field.size));
            if low >= end || start as u64 >= high {
                continue;
            }
            if field.kind.is_kptr() {
                if by == AccessBy::Helper {
                    let name = field.kind.name();
                    return Err(KptrViolation::ByHelper { name }.into());
                }
                // Loads and stores of the whole pointer have rules of their own.
                self.check_kptr_place(field, pointer, off, size)?;
                continue;
            }
            return Err(AccessViolation::SpecialField {
                name: field.kind.name(),
            }
            .into());
        }
        Ok(())
    }

    /// Maps that programs may only read, or only write (`check_map_access_type`).
    pub(crate) fn check_map_direction(
        &self,
        map: MapId,
        off: i32,
        size: i32,
        write: bool,
    ) -> Check<()> {
        let spec = self.ctx.map(map).spec;
        let forbidden = if write {
            self.is_map_read_only(map)
        } else {
            spec.flags.contains(MapFlags::WRONLY_PROG)
        };
        if forbidden {
            let value_size = spec.value_size;
            return Err(AccessViolation::MapDirection {
                write,
                value_size,
                off,
                size,
            }
            .into());
        }
        Ok(())
    }

    /// Whether programs may not write a map: its creator said so, or the kernel does for the type.
    pub(crate) fn is_map_read_only(&self, map: MapId) -> bool {
        let spec = self.ctx.map(map).spec;
        let by_type = self
            .ctx
            .facts
            .map_type(spec.ty)
            .is_some_and(|facts| facts.read_only);
        by_type || spec.flags.contains(MapFlags::RDONLY_PROG)
    }

    /// The number behind a read of a map whose contents can no longer change
    /// (`bpf_map_direct_read`).
    fn constant_of(
        &self,
        map: MapId,
        pointer: &Pointer,
        off: i32,
        size: Size,
        sign: bool,
    ) -> Option<u64> {
        let spec = self.ctx.map(map).spec;
        let var = pointer.var.const_value()?;
        let is_single = spec.ty == MapType::Array && spec.max_entries == 1;
        if !spec.is_constant() || !is_single {
            return None;
        }
        let at = usize::try_from(i64::from(off).wrapping_add(var as i64)).ok()?;
        let mut bytes = [0u8; 8];
        let count = size.bytes() as usize;
        if let Some(contents) = &spec.init {
            for (to, index) in bytes.iter_mut().take(count).zip(at..) {
                *to = contents.get(index).copied().unwrap_or(0);
            }
        }
        let value = u64::from_le_bytes(bytes);
        let shift = 64 - size.bits();
        Some(if sign {
            (((value << shift) as i64) >> shift) as u64
        } else {
            value
        })
    }

    /// Packet bytes that a comparison proved to be there (`check_packet_access`).
    pub(crate) fn check_packet(
        &self,
        reg: Reg,
        pointer: &Pointer,
        off: i32,
        size: i32,
        zero_size_allowed: bool,
    ) -> Check<()> {
        let (Region::Packet { range } | Region::PacketMeta { range }) = pointer.region else {
            return Ok(());
        };
        if pointer.var.smin() < 0 {
            return Err(AccessViolation::NegativeMin { reg }.into());
        }
        let fits = size > 0 || (size == 0 && zero_size_allowed);
        let inside = off >= 0 && fits && i64::from(off) + i64::from(size) <= i64::from(range);
        if range < 0 || !inside {
            let id = pointer.id;
            return Err(AccessViolation::Packet {
                reg,
                id,
                off,
                size,
                range,
            }
            .into());
        }
        Ok(())
    }

    /// Whether the program type may touch packet data directly, or hand it to a helper that takes
    /// packet memory (`may_access_direct_pkt_data`).
    pub(crate) fn may_access_packet(&self, write: bool, helper_takes: Option<bool>) -> bool {
        let Some(facts) = self.ctx.facts.prog_type(self.ctx.hook.ty) else {
            return false;
        };
        match (facts.packet, helper_takes) {
            // Helpers take such packets whatever they say of themselves.
            (PacketAccess::WriteAnyHelper, _) => true,
            (PacketAccess::Load, _) => false,
            (PacketAccess::Read, _) if write => false,
            (PacketAccess::Read | PacketAccess::Write, helper_takes) => {
                helper_takes.unwrap_or(true)
            }
        }
    }

    fn check_flow_keys(&self, off: i32, size: i32) -> Check<()> {
        let end = i64::from(off) + i64::from(size);
        if size < 0 || off < 0 || end as u64 > FLOW_KEYS_SIZE {
            return Err(AccessViolation::FlowKeys { off, size }.into());
        }
        Ok(())
    }

    /// Fields of a socket (`check_sock_access`).
    fn check_sock(
        &self,
        reg: Reg,
        pointer: &Pointer,
        kind: SockKind,
        off: i32,
        size: Size,
    ) -> Check<()> {
        if pointer.var.smin() < 0 {
            return Err(AccessViolation::NegativeMin { reg }.into());
        }
        if !super::ctx::sock_read_allowed(kind, &self.ctx.hook, off, size) {
            let pointer = (*pointer).into();
            let size = size.bytes() as i32;
            return Err(AccessViolation::Sock {
                reg,
                pointer,
                off,
                size,
            }
            .into());
        }
        Ok(())
    }

    /// Buffers whose size is checked when the program is attached (`check_buffer_access`).
    pub(crate) fn check_buffer(
        &self,
        what: &'static str,
        reg: Reg,
        pointer: &Pointer,
        off: i32,
        size: i32,
    ) -> Check<()> {
        if off < 0 {
            return Err(AccessViolation::BufferOffset {
                what,
                reg,
                off,
                size,
            }
            .into());
        }
        if pointer.var.const_value() != Some(0) {
            let var = pointer.var;
            return Err(AccessViolation::BufferVariable { reg, off, var }.into());
        }
        Ok(())
    }

    /// A pointer that may only be used as it was given (`check_ptr_off_reg`).
    pub(crate) fn check_ptr_off_reg(&self, pointer: &Pointer, reg: Reg) -> Check<()> {
        self.check_pointer_offset(pointer, reg, false)
    }

    /// The same, with a fixed offset allowed on demand (`__check_ptr_off_reg`).
    pub(crate) fn check_pointer_offset(
        &self,
        pointer: &Pointer,
        reg: Reg,
        fixed_allowed: bool,
    ) -> Check<()> {
        let view = (*pointer).into();
        let off = pointer.off;
        if off < 0 {
            return Err(AccessViolation::NegativeOffset {
                reg,
                pointer: view,
                off,
            }
            .into());
        }
        if !fixed_allowed && off != 0 {
            return Err(AccessViolation::ModifiedPointer {
                reg,
                pointer: view,
                off,
            }
            .into());
        }
        if pointer.var.const_value() != Some(0) {
            let var: Scalar = pointer.var;
            return Err(AccessViolation::VariableOffset { pointer: view, var }.into());
        }
        Ok(())
    }
}

/// The kernel's word for a buffer's direction.
pub(super) fn buffer_name(pointer: &Pointer) -> &'static str {
    if pointer.flags.contains(PtrFlags::RDONLY) {
        "rdonly"
    } else {
        "rdwr"
    }
}

pub(super) fn invalid(reg: Reg, pointer: &Pointer) -> crate::violation::Stop {
    AccessViolation::InvalidPointer {
        reg,
        value: (*pointer).into(),
    }
    .into()
}

pub(super) fn read_only(reg: Reg, pointer: &Pointer) -> crate::violation::Stop {
    AccessViolation::ReadOnly {
        reg,
        pointer: (*pointer).into(),
    }
    .into()
}

impl MemAccess {
    /// A read that leaves nothing.
    pub(crate) const PROBE: MemAccess = MemAccess::Read {
        dst: None,
        sign: false,
    };
}
