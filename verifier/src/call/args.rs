//! One argument of a helper call: is it what the prototype asks for, and what does it tell the
//! arguments after it and the call itself.

use skep_isa::{Reg, Size};
use skep_spec::tables::{Arg, ArgType, HelperFlags, Mods};
use skep_spec::{Capability, MapFlags, MapType};

use super::{CallMeta, PercpuObject, id};
use crate::env::Env;
use crate::prepare::FieldKind;
use crate::state::{BtfSource, PtrFlags, Region, Value};
use crate::violation::{ArgumentViolation, Check, Stop};

impl Env<'_> {
    /// Argument `index`, from 0 (`check_func_arg`).
    pub(super) fn check_helper_arg(
        &mut self,
        meta: &mut CallMeta,
        index: usize,
        arg: &Arg,
    ) -> Check<()> {
        let Some(&reg) = Reg::ARGS.get(index) else {
            return Ok(());
        };
        self.check_reg_readable(reg)?;
        if arg.ty == ArgType::Anything {
            if self.leaks(reg) {
                return Err(ArgumentViolation::Leak { reg }.into());
            }
            return Ok(());
        }
        let value = *self.state.reg(reg);
        let is_packet = value.pointer().is_some_and(|p| {
            matches!(p.region, Region::Packet { .. } | Region::PacketMeta { .. })
                && p.flags.is_empty()
        });
        let takes_packets = meta.proto.has(HelperFlags::PKT_ACCESS);
        if is_packet && !self.may_access_packet(false, Some(takes_packets)) {
            return Err(ArgumentViolation::PacketMemory.into());
        }
        let (ty, mods) = self.resolve_map_value(meta, arg)?;
        let is_null = value.is_null() && mods.contains(Mods::MAYBE_NULL);
        if !is_null {
            self.check_arg_type(meta, reg, ty, mods)?;
            self.check_arg_offset(reg, Some(ty), mods)?;
        }
        self.check_argument_reference(meta, reg, ty, mods)?;
        let before = index.checked_sub(1).and_then(|at| meta.proto.args.get(at));
        let writes = before.is_some_and(|memory| memory.has(Mods::WRITE));
        match ty {
            ArgType::ConstMapPtr => self.note_map(meta, &value),
            ArgType::MapKey => self.check_map_key(meta, reg),
            ArgType::MapValue if is_null => Ok(()),
            ArgType::MapValue => self.check_map_value_arg(meta, reg, mods),
            ArgType::Mem => self.check_memory(meta, reg, arg, mods),
            ArgType::ConstSize => self.check_size(meta, index, writes, false),
            ArgType::ConstSizeOrZero => self.check_size(meta, index, writes, true),
            ArgType::ConstAllocSizeOrZero => self.check_alloc_size(meta, reg),
            ArgType::SpinLock => match value {
                Value::Pointer(pointer) => self.check_spin_lock(meta, reg, &pointer),
                Value::Scalar(_) | Value::Uninit => Ok(()),
            },
            ArgType::Func => {
                if let Some(Region::Func { subprog }) = value.pointer().map(|p| p.region) {
                    meta.callback = Some(subprog as usize);
                }
                Ok(())
            }
            ArgType::ConstStr => self.check_const_string(reg).map(|_| ()),
            ArgType::Timer => self.check_timer(meta, reg, &value),
            ArgType::Dynptr => {
                meta.dynptr = self.check_helper_dynptr(index, reg, mods)?.or(meta.dynptr);
                Ok(())
            }
            ArgType::KptrXchgDest => self.check_kptr_dest(meta, reg),
            ArgType::PercpuBtfId => note_percpu(meta, &value),
            ArgType::Anything
            | ArgType::Arena
            | ArgType::Ctx
            | ArgType::SockCommon
            | ArgType::Socket
            | ArgType::BtfId(_)
            | ArgType::BtfIdOfField
            | ArgType::RingbufMem
            | ArgType::BtfIdSockCommon
            | ArgType::Stack => Ok(()),
        }
    }

    /// What a value argument is for that map (`resolve_map_arg_type`).
    fn resolve_map_value(&self, meta: &CallMeta, arg: &Arg) -> Check<(ArgType, Mods)> {
        let map = meta.map.map(|(map, _)| self.ctx.map(map).spec.ty);
        match (arg.ty, map) {
            (ArgType::MapValue, Some(MapType::Sockmap | MapType::Sockhash)) => {
                if arg.mods.is_empty() {
                    Ok((ArgType::BtfIdSockCommon, Mods::empty()))
                } else {
                    Err(ArgumentViolation::SocketMapValue.into())
                }
            }
            // A bloom filter is asked about the value, it returns none.
            (ArgType::MapValue, Some(MapType::BloomFilter))
                if meta.proto.id == id::MAP_PEEK_ELEM =>
            {
                Ok((ArgType::MapValue, Mods::empty()))
            }
            _ => Ok((arg.ty, arg.mods)),
        }
    }

    fn note_map(&self, meta: &mut CallMeta, value: &Value) -> Check<()> {
        let Some(Region::ConstMap { map, uid }) = value.pointer().map(|p| p.region) else {
            return Ok(());
        };
        // A timer must be given the very map that it lies in.
        if let Some((timer_map, timer_uid)) = meta.map
            && (timer_map, timer_uid) != (map, uid)
        {
            return Err(ArgumentViolation::OtherMap {
                timer_uid,
                map_uid: uid,
            }
            .into());
        }
        meta.map = Some((map, uid));
        Ok(())
    }

    /// A timer in a map's value, which then counts as the map argument (`process_timer_func`).
    fn check_timer(&self, meta: &mut CallMeta, reg: Reg, value: &Value) -> Check<()> {
        let Value::Pointer(pointer) = value else {
            return Ok(());
        };
        self.check_field(reg, pointer, FieldKind::Timer)?;
        if let Region::MapValue { map, uid } = pointer.region {
            meta.map = Some((map, uid));
        }
        Ok(())
    }

    fn check_map_key(&mut self, meta: &mut CallMeta, reg: Reg) -> Check<()> {
        let Some((map, _)) = meta.map else {
            return Err(no_map());
        };
        let spec = self.ctx.map(map).spec;
        let size = spec.key_size;
        self.check_helper_mem_access(reg, size, false, false, None)?;
        let flags = if self.ctx.facts.has(Capability::NullFromInnerArrays) {
            spec.flags
        } else {
            MapFlags::empty()
        };
        let facts = self.ctx.facts.map_type(spec.ty);
        if facts.is_some_and(|facts| facts.elides_null_in(flags)) {
            meta.key = self.constant_key(reg, size)?;
        }
        Ok(())
    }

    fn check_map_value_arg(&mut self, meta: &mut CallMeta, reg: Reg, mods: Mods) -> Check<()> {
        let Some((map, _)) = meta.map else {
            return Err(no_map());
        };
        let size = self.ctx.map(map).spec.value_size;
        let writes = mods.contains(Mods::WRITE);
        meta.raw_mode = mods.contains(Mods::UNINIT);
        self.check_helper_mem_access(reg, size, writes, false, meta.raw())
    }

    /// Memory: its size is fixed, or the next argument, which is where it is checked.
    fn check_memory(&mut self, meta: &mut CallMeta, reg: Reg, arg: &Arg, mods: Mods) -> Check<()> {
        meta.raw_mode = mods.contains(Mods::UNINIT);
        if !mods.contains(Mods::FIXED_SIZE) {
            return Ok(());
        }
        let writes = mods.contains(Mods::WRITE);
        self.check_helper_mem_access(reg, arg.size, writes, false, meta.raw())?;
        if mods.contains(Mods::ALIGNED)
            && let Value::Pointer(pointer) = *self.state.reg(reg)
        {
            let size = if arg.size == 8 { Size::DW } else { Size::W };
            self.check_alignment(&pointer, 0, size, true)?;
        }
        Ok(())
    }

    /// The size of the memory argument before it.
    fn check_size(
        &mut self,
        meta: &mut CallMeta,
        index: usize,
        writes: bool,
        zero_allowed: bool,
    ) -> Check<()> {
        let (Some(&reg), Some(&memory)) = (
            Reg::ARGS.get(index),
            index.checked_sub(1).and_then(|at| Reg::ARGS.get(at)),
        ) else {
            return Ok(());
        };
        meta.size_max = self.state.reg(reg).var().umax();
        self.check_mem_size_reg(memory, reg, writes, zero_allowed, meta.raw())
    }

    fn check_alloc_size(&mut self, meta: &mut CallMeta, reg: Reg) -> Check<()> {
        let Some(size) = self.state.reg(reg).var().const_value() else {
            return Err(ArgumentViolation::AllocSize { reg }.into());
        };
        meta.mem_size = size as u32;
        self.mark_precise(reg)
    }
}

/// Prototypes name the map first; one that does not is a fault of the tables.
fn no_map() -> Stop {
    Stop::undecided("a key or value without map")
}

/// The variable of which a CPU's copy is asked for.
fn note_percpu(meta: &mut CallMeta, value: &Value) -> Check<()> {
    let Some(pointer) = value.pointer() else {
        return Ok(());
    };
    let Region::Btf { source, id } = pointer.region else {
        return Ok(());
    };
    let allocated = pointer.flags.contains(PtrFlags::RCU);
    if !allocated && source == BtfSource::Program {
        return Err(Stop::undecided(
            "per-CPU objects of the program's own types",
        ));
    }
    meta.percpu = Some(PercpuObject {
        source,
        id,
        allocated,
    });
    Ok(())
}
