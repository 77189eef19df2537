//! Stack trace maps: traces by a number that is their hash.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use rustc_hash::FxBuildHasher;
use skep_spec::MapSpec;

use crate::errno::Errno;

#[derive(Debug)]
pub(crate) struct Stacks {
    /// Addresses of a trace at most.
    depth: usize,
    buckets: u32,
    traces: BTreeMap<u32, Vec<u64>>,
}

impl Stacks {
    pub(crate) fn new(spec: &MapSpec) -> Stacks {
        Stacks {
            depth: spec.value_size as usize / 8,
            buckets: spec
                .max_entries
                .checked_next_power_of_two()
                .unwrap_or(1 << 31),
            traces: BTreeMap::new(),
        }
    }

    /// The number of a trace. `same_hash` takes a trace of the same hash for the same; `replace` lets
    /// the new trace take the place of another.
    pub(crate) fn insert(
        &mut self,
        trace: &[u64],
        same_hash: bool,
        replace: bool,
    ) -> Result<u32, Errno> {
        let trace = trace.get(..self.depth).unwrap_or(trace);
        let hash = |trace: &[u64]| FxBuildHasher.hash_one(trace) >> 20;
        let id = hash(trace) as u32 & (self.buckets - 1);
        match self.traces.get(&id) {
            Some(old) if old == trace || same_hash && hash(old) == hash(trace) => return Ok(id),
            Some(_) if !replace => return Err(Errno::EXIST),
            Some(_) | None => {}
        }
        self.traces.insert(id, trace.to_vec());
        Ok(id)
    }

    /// A trace as user space reads it: addresses, then zeros.
    pub(crate) fn get(&self, id: u32) -> Option<Vec<u8>> {
        let trace = self.traces.get(&id)?;
        let mut bytes: Vec<u8> = trace.iter().flat_map(|ip| ip.to_le_bytes()).collect();
        bytes.resize(self.depth * 8, 0);
        Some(bytes)
    }

    pub(crate) fn delete(&mut self, id: u32) -> Result<(), Errno> {
        if id >= self.buckets {
            return Err(Errno::TOOBIG);
        }
        self.traces.remove(&id).map(drop).ok_or(Errno::NOENT)
    }

    pub(crate) fn next_key(&self, key: Option<u32>) -> Option<Vec<u8>> {
        let next = match key.filter(|key| self.traces.contains_key(key)) {
            Some(key) => self.traces.range(key.checked_add(1)?..).next(),
            None => self.traces.first_key_value(),
        };
        next.map(|(id, _)| id.to_le_bytes().to_vec())
    }
}
