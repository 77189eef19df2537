//! What a helper call leaves in r0.

use skep_isa::Reg;
use skep_spec::MapType;
use skep_spec::tables::{HelperFlags, Mods, RetType};

use super::{CallMeta, PercpuObject, id};
use crate::env::Env;
use crate::number::Scalar;
use crate::state::{BtfSource, Pointer, PtrFlags, Region, SockKind, Value};
use crate::violation::{Check, Stop};

/// Greatest error number that a helper returns, negated.
const MAX_ERRNO: i32 = 4095;

impl Env<'_> {
    /// Sets r0.
    pub(super) fn set_helper_result(&mut self, meta: &CallMeta) -> Check<()> {
        let ret = meta.proto.ret;
        let mut flags = flags_of(ret.mods);
        let region = match ret.ty {
            RetType::Integer => {
                let number = self.refined_result(meta);
                self.state.set_reg(Reg::R0, Value::scalar(number));
                return Ok(());
            }
            RetType::Void => {
                self.state.set_reg(Reg::R0, Value::Uninit);
                return Ok(());
            }
            RetType::MapValue => {
                let Some((map, uid)) = meta.map else {
                    return Err(Stop::undecided("a value without map"));
                };
                if meta.proto.id == id::MAP_LOOKUP_ELEM && self.is_present(meta) {
                    flags -= PtrFlags::MAYBE_NULL;
                }
                Region::MapValue { map, uid }
            }
            RetType::Socket => Region::Sock(SockKind::Socket),
            RetType::TcpSock => Region::Sock(SockKind::Tcp),
            RetType::SockCommon => Region::Sock(SockKind::Common),
            RetType::Mem => Region::Mem {
                size: meta.mem_size,
                dynptr_id: 0,
            },
            RetType::BtfId(name) => {
                let id = self.ctx.kernel_structure(name)?;
                Region::Btf {
                    source: BtfSource::Kernel,
                    id,
                }
            }
            RetType::DynptrMem => Region::Mem {
                size: meta.mem_size,
                dynptr_id: meta.dynptr.map_or(0, |dynptr| dynptr.id),
            },
            RetType::MemOrBtfId => {
                let region = self.cpu_copy(meta)?;
                if matches!(region, Region::Btf { .. }) {
                    flags -= PtrFlags::RDONLY;
                    if meta.percpu.is_some_and(|of| of.allocated) {
                        flags = PtrFlags::ALLOC | PtrFlags::RCU;
                    }
                }
                region
            }
            RetType::BtfIdOfField => {
                let (region, more) = self.taken_from_kptr(meta)?;
                flags |= more;
                region
            }
        };
        let mut pointer = Pointer::new(region, flags);
        let is_value = matches!(region, Region::MapValue { .. });
        if pointer.maybe_null() || (is_value && self.ctx.may_hold_lock(&pointer)) {
            pointer.id = self.new_id();
        }
        if meta.proto.has(HelperFlags::PTR_CAST) {
            pointer.ref_id = meta.ref_id;
        } else if meta.proto.has(HelperFlags::DYNPTR_REF) {
            pointer.ref_id = meta.dynptr.map_or(0, |dynptr| dynptr.ref_id);
        } else if self.acquires(meta) {
            let id = self.acquire_reference();
            (pointer.id, pointer.ref_id) = (id, id);
        }
        self.state.set_reg(Reg::R0, Value::Pointer(pointer));
        Ok(())
    }

    /// One CPU's copy of a per-CPU variable.
    fn cpu_copy(&self, meta: &CallMeta) -> Check<Region> {
        let Some(PercpuObject { source, id, .. }) = meta.percpu else {
            return Err(Stop::undecided("a per-CPU copy without variable"));
        };
        if source == BtfSource::Program {
            return Ok(Region::Btf { source, id });
        }
        match self.size_unless_structure(id)? {
            Some(size) => Ok(Region::Mem { size, dynptr_id: 0 }),
            None => Ok(Region::Btf {
                source: BtfSource::Kernel,
                id,
            }),
        }
    }

    pub(super) fn new_id(&mut self) -> u32 {
        self.learned.next_id()
    }

    /// Whether the key is one that the array certainly has.
    fn is_present(&self, meta: &CallMeta) -> bool {
        let (Some((map, _)), Some(key)) = (meta.map, meta.key) else {
            return false;
        };
        key < u64::from(self.ctx.map(map).spec.max_entries)
    }

    /// Whether the result must be released (`is_acquire_function`).
    fn acquires(&self, meta: &CallMeta) -> bool {
        let sockets = meta.map.is_some_and(|(map, _)| {
            matches!(
                self.ctx.map(map).spec.ty,
                MapType::Sockmap | MapType::Sockhash
            )
        });
        meta.proto.has(HelperFlags::ACQUIRES) || (meta.proto.id == id::MAP_LOOKUP_ELEM && sockets)
    }

    /// What is known of a number that a helper returns (`do_refine_retval_range`).
    fn refined_result(&self, meta: &CallMeta) -> Scalar {
        let mut number = Scalar::unknown();
        match meta.proto.id {
            id::GET_STACK
            | id::GET_TASK_STACK
            | id::PROBE_READ_STR
            | id::PROBE_READ_KERNEL_STR
            | id::PROBE_READ_USER_STR => {
                number.set_s32_range(-MAX_ERRNO, meta.size_max as i32);
            }
            id::GET_SMP_PROCESSOR_ID => {
                let cpus = u64::from(self.ctx.facts.environment().cpus);
                number = Scalar::from_range(0, cpus.saturating_sub(1));
            }
            _ => {}
        }
        number
    }
}

fn flags_of(mods: Mods) -> PtrFlags {
    let pairs = [
        (Mods::MAYBE_NULL, PtrFlags::MAYBE_NULL),
        (Mods::RDONLY, PtrFlags::RDONLY),
        (Mods::RINGBUF, PtrFlags::RINGBUF),
        (Mods::TRUSTED, PtrFlags::TRUSTED),
    ];
    let given = pairs
        .iter()
        .filter(|(modifier, _)| mods.contains(*modifier));
    given.fold(PtrFlags::empty(), |flags, (_, flag)| flags | *flag)
}
