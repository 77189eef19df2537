//! Values that belong to kernel objects: sockets, tasks, inodes, control groups.
//!
//! The key is the object's address; user space has no way to them here.

use std::collections::BTreeMap;

use skep_spec::MapSpec;

use super::create::room_for;
use super::{Bytes, MapId, value_perm};
use crate::arena::Perm;
use crate::errno::Errno;
use crate::fault::Owner;
use crate::memory::Memory;

#[derive(Debug)]
pub(crate) struct Storage {
    id: MapId,
    value_size: u64,
    cpus: u32,
    perm: Perm,
    values: BTreeMap<u64, u64>,
}

impl Storage {
    pub(crate) fn new(id: MapId, spec: &MapSpec, cpus: Option<u32>) -> Storage {
        Storage {
            id,
            value_size: spec.value_size.into(),
            cpus: cpus.unwrap_or(0),
            perm: value_perm(spec),
            values: BTreeMap::new(),
        }
    }

    fn step(&self) -> u64 {
        self.value_size.next_multiple_of(8) + 8
    }

    fn on_cpu(&self, at: u64, cpu: u32) -> u64 {
        if self.cpus == 0 {
            at
        } else {
            at + u64::from(cpu) * self.step()
        }
    }

    pub(crate) fn get(&self, object: u64, cpu: u32) -> Option<u64> {
        self.values.get(&object).map(|&at| self.on_cpu(at, cpu))
    }

    /// A value for an object that has none, a copy of `init` or zeros.
    pub(crate) fn create(
        &mut self,
        mem: &mut Memory,
        object: u64,
        init: Option<u64>,
        cpu: u32,
    ) -> Result<u64, Errno> {
        let copies = u64::from(self.cpus.max(1));
        let at = room_for(mem, self.step() * copies, Owner::Map(self.id.0))?;
        for copy in 0..copies {
            mem.allow(at + copy * self.step(), self.value_size, self.perm);
        }
        if let Some(init) = init {
            Bytes::Guest(init).copy_to(mem, at, self.value_size);
        }
        self.values.insert(object, at);
        Ok(self.on_cpu(at, cpu))
    }

    pub(crate) fn clear(&mut self, mem: &mut Memory) {
        for (_, at) in std::mem::take(&mut self.values) {
            mem.retire(at);
        }
    }

    pub(crate) fn delete(&mut self, mem: &mut Memory, object: u64) -> Result<(), Errno> {
        let at = self.values.remove(&object).ok_or(Errno::NOENT)?;
        mem.retire(at);
        Ok(())
    }
}
