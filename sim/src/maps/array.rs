//! Arrays, one value per index and, where wanted, per CPU; global data is an array of one.
//!
//! All values lie in one object. Small arrays keep a red zone of 8 bytes behind each value, so that a
//! step from one value into the next is noticed, which the kernel could not.

use skep_spec::MapSpec;

use super::create::{has_lock, room_for};
use super::{Bytes, Cpus, MapId, flags, index_of, value_perm};
use crate::errno::Errno;
use crate::fault::Owner;
use crate::memory::Memory;

/// Arrays of more values than this lie densely.
const SPACED: u32 = 1 << 16;

/// Where an array's values lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArrayLayout {
    /// Guest address of value 0 of CPU 0.
    pub base: u64,
    /// Bytes from one value to the next.
    pub stride: u64,
    /// Bytes from one CPU's values to the next CPU's; 0 where CPUs share them.
    pub cpu_stride: u64,
    /// Values.
    pub entries: u32,
}

#[derive(Debug)]
pub(crate) struct Array {
    layout: ArrayLayout,
    value_size: u64,
    cpus: u32,
    has_lock: bool,
}

impl Array {
    pub(crate) fn new(
        mem: &mut Memory,
        id: MapId,
        spec: &MapSpec,
        cpus: Option<u32>,
    ) -> Result<Array, Errno> {
        let (entries, value_size) = (spec.max_entries, u64::from(spec.value_size));
        let gap = if entries <= SPACED { 8 } else { 0 };
        let stride = value_size.next_multiple_of(8) + gap;
        let per_cpu = stride * u64::from(entries);
        let copies = u64::from(cpus.unwrap_or(1));
        let base = room_for(mem, per_cpu.saturating_mul(copies), Owner::Map(id.0))?;
        let perm = value_perm(spec);
        if gap == 0 && value_size == stride {
            mem.allow(base, per_cpu * copies, perm);
        } else {
            for value in 0..u64::from(entries) * copies {
                mem.allow(base + value * stride, value_size, perm);
            }
        }
        if let Some(init) = &spec.init {
            let init = init.get(..spec.value_size as usize).unwrap_or(init);
            mem.poke(base, init);
        }
        let cpu_stride = if cpus.is_some() { per_cpu } else { 0 };
        Ok(Array {
            layout: ArrayLayout {
                base,
                stride,
                cpu_stride,
                entries,
            },
            value_size,
            cpus: cpus.unwrap_or(0),
            has_lock: has_lock(spec),
        })
    }

    pub(crate) fn layout(&self) -> ArrayLayout {
        self.layout
    }

    /// CPUs that have values of their own; 0 where they share them.
    pub(crate) fn cpus(&self) -> u32 {
        self.cpus
    }

    #[inline]
    pub(crate) fn at(&self, index: u32, cpu: u32) -> Option<u64> {
        let ArrayLayout {
            base,
            stride,
            cpu_stride,
            entries,
        } = self.layout;
        (index < entries).then(|| base + u64::from(index) * stride + u64::from(cpu) * cpu_stride)
    }

    #[inline]
    pub(crate) fn lookup(&self, mem: &Memory, key: Bytes<'_>, cpu: u32) -> Option<u64> {
        self.at(index_of(mem, key), cpu)
    }

    pub(crate) fn update(
        &mut self,
        mem: &mut Memory,
        key: Bytes<'_>,
        value: Bytes<'_>,
        flag: u64,
        cpus: Cpus,
    ) -> Result<(), Errno> {
        if flag & !flags::LOCK > flags::EXIST {
            return Err(Errno::INVAL);
        }
        let index = index_of(mem, key);
        let first = self.at(index, 0).ok_or(Errno::TOOBIG)?;
        if flag & flags::NOEXIST != 0 {
            return Err(Errno::EXIST);
        }
        if flag & flags::LOCK != 0 && !self.has_lock {
            return Err(Errno::INVAL);
        }
        put(mem, value, cpus, self.cpus, self.value_size, |cpu| {
            first + u64::from(cpu) * self.layout.cpu_stride
        });
        Ok(())
    }
}

/// Copies a value to where it belongs: one place, that of a CPU, or those of all `copies` CPUs.
pub(crate) fn put(
    mem: &mut Memory,
    value: Bytes<'_>,
    cpus: Cpus,
    copies: u32,
    size: u64,
    at: impl Fn(u32) -> u64,
) {
    match cpus {
        Cpus::This(cpu) => value.copy_to(mem, at(if copies == 0 { 0 } else { cpu }), size),
        Cpus::All if copies == 0 => value.copy_to(mem, at(0), size),
        Cpus::All => {
            let step = size.next_multiple_of(8);
            for cpu in 0..copies {
                let skip = u64::from(cpu) * step;
                let part = match value {
                    Bytes::Guest(addr) => Bytes::Guest(addr + skip),
                    Bytes::Host(bytes) => Bytes::Host(bytes.get(skip as usize..).unwrap_or(&[])),
                };
                // All of the step, padding included, as the kernel does.
                part.copy_to(mem, at(cpu), step);
            }
        }
    }
}
