//! What the tests of the simulator share: helpers called as a program would.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;

use skep_sim::helpers::{Call, Engine, Helper, find, find_kfunc};
use skep_sim::{Errno, MapId, Sim, Trap};
use skep_spec::tables::helpers as table;
use skep_spec::{MapSpec, ProgType};

/// An engine without functions to call back.
struct NoEngine;

impl Engine for NoEngine {
    fn callback(&mut self, _: &mut Sim, func: u64, _: [u64; 5]) -> Result<u64, Trap> {
        Err(Trap::NotFunction { addr: func })
    }
}

/// A kernel, and memory for the arguments of helpers.
pub(crate) struct Kernel {
    pub(crate) sim: Sim,
    pub(crate) ty: ProgType,
}

/// Bytes of the memory for arguments.
const ROOM: usize = 4096;

impl Kernel {
    pub(crate) fn new(maps: &[Arc<MapSpec>]) -> Kernel {
        let sim = Sim::new(maps).unwrap();
        let ty = ProgType::SchedCls;
        Kernel { sim, ty }
    }

    /// Calls the helper of that name.
    pub(crate) fn call(&mut self, name: &str, args: &[u64]) -> Result<u64, Trap> {
        let id = table::named(name).unwrap().id as i32;
        let (name, helper) = find(id, self.ty)?;
        let Helper::Function(function) = helper else {
            panic!("{name} is no function");
        };
        let mut all = [0; 5];
        all[..args.len()].copy_from_slice(args);
        function(&mut Call {
            sim: &mut self.sim,
            args: all,
            name,
            engine: &mut NoEngine,
        })
    }

    /// Calls the kernel function of that name.
    pub(crate) fn kfunc(&mut self, name: &str, args: &[u64]) -> Result<u64, Trap> {
        let (name, function) = find_kfunc(name).unwrap();
        let mut all = [0; 5];
        all[..args.len()].copy_from_slice(args);
        function(&mut Call {
            sim: &mut self.sim,
            args: all,
            name,
            engine: &mut NoEngine,
        })
    }

    /// The same for helpers that give an error number or nothing.
    pub(crate) fn status(&mut self, name: &str, args: &[u64]) -> Result<(), Errno> {
        let r0 = self.call(name, args).unwrap() as i64;
        match r0 {
            0 => Ok(()),
            _ => Err(errno(r0)),
        }
    }

    /// Puts bytes into guest memory, one behind the other with 64 bytes between them.
    pub(crate) fn put(&mut self, parts: &[&[u8]]) -> Vec<u64> {
        let mut all = vec![0; ROOM];
        let (mut at, mut offsets) = (0, Vec::new());
        for part in parts {
            all[at..at + part.len()].copy_from_slice(part);
            offsets.push(at as u64);
            at = (at + part.len() + 64).next_multiple_of(8);
        }
        let base = self.sim.begin_memory(&all).unwrap();
        offsets.iter().map(|off| base + off).collect()
    }

    pub(crate) fn get(&self, at: u64, len: usize) -> Vec<u8> {
        self.sim.memory().read(at, len as u64).unwrap().to_vec()
    }

    pub(crate) fn fill(&mut self, at: u64, len: u64, byte: u8) {
        self.sim.memory_mut().write(at, len).unwrap().fill(byte);
    }

    fn handle(&self, map: MapId) -> u64 {
        self.sim.maps().handle(map)
    }

    pub(crate) fn update(
        &mut self,
        map: MapId,
        key: &[u8],
        value: &[u8],
        flags: u64,
    ) -> Result<(), Errno> {
        let at = self.put(&[key, value]);
        let map = self.handle(map);
        self.status("map_update_elem", &[map, at[0], at[1], flags])
    }

    pub(crate) fn delete(&mut self, map: MapId, key: &[u8]) -> Result<(), Errno> {
        let at = self.put(&[key]);
        let map = self.handle(map);
        self.status("map_delete_elem", &[map, at[0]])
    }

    pub(crate) fn lookup_address(&mut self, map: MapId, key: &[u8]) -> u64 {
        let at = self.put(&[key]);
        let map = self.handle(map);
        self.call("map_lookup_elem", &[map, at[0]]).unwrap()
    }

    pub(crate) fn lookup(&mut self, map: MapId, key: &[u8], len: usize) -> Option<Vec<u8>> {
        match self.lookup_address(map, key) {
            0 => None,
            at => Some(self.get(at, len)),
        }
    }

    pub(crate) fn push(&mut self, map: MapId, value: &[u8], flags: u64) -> Result<(), Errno> {
        let at = self.put(&[value]);
        let map = self.handle(map);
        self.status("map_push_elem", &[map, at[0], flags])
    }

    fn take(&mut self, helper: &str, map: MapId, len: usize) -> Option<Vec<u8>> {
        let at = self.put(&[&vec![0xaa; len]]);
        let map = self.handle(map);
        match self.status(helper, &[map, at[0]]) {
            Ok(()) => Some(self.get(at[0], len)),
            Err(errno) => {
                assert_eq!(errno, Errno::NOENT);
                assert_eq!(self.get(at[0], len), vec![0; len]);
                None
            }
        }
    }

    pub(crate) fn pop(&mut self, map: MapId, len: usize) -> Option<Vec<u8>> {
        self.take("map_pop_elem", map, len)
    }

    pub(crate) fn peek(&mut self, map: MapId, len: usize) -> Option<Vec<u8>> {
        self.take("map_peek_elem", map, len)
    }

    pub(crate) fn contains(&mut self, map: MapId, value: &[u8]) -> bool {
        let at = self.put(&[value]);
        let map = self.handle(map);
        self.status("map_peek_elem", &[map, at[0]]).is_ok()
    }

    pub(crate) fn ring_reserve(&mut self, map: MapId, len: u64) -> Option<u64> {
        let map = self.handle(map);
        let at = self.call("ringbuf_reserve", &[map, len, 0]).unwrap();
        (at != 0).then_some(at)
    }

    /// Submits or discards a record; `false` if there is none at that address.
    pub(crate) fn ring_finish(&mut self, at: u64, keep: bool) -> bool {
        let helper = if keep {
            "ringbuf_submit"
        } else {
            "ringbuf_discard"
        };
        self.call(helper, &[at, 0]).is_ok()
    }
}

/// The error number of a negative result.
pub(crate) fn errno(r0: i64) -> Errno {
    let error = Errno::new(r0 as i32);
    assert!(r0 < 0 && !error.name().is_empty(), "result {r0}");
    error
}
