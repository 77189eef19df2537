//! Maps: lookup, update, delete, push, pop, peek.

use super::Row;
use super::call::{Call, status};
use crate::errno::Errno;
use crate::fault::Access;
use crate::maps::{Bytes, Cpus, Kind, MapId};
use crate::trap::Trap;

pub(super) const HELPERS: &[Row] = &[
    ("bpf_map_lookup_elem", lookup),
    ("bpf_map_lookup_percpu_elem", lookup_percpu),
    ("bpf_map_update_elem", update),
    ("bpf_map_delete_elem", delete),
    ("bpf_map_push_elem", push),
    ("bpf_map_pop_elem", pop),
    ("bpf_map_peek_elem", peek),
    ("bpf_kptr_xchg", kptr_xchg),
    ("bpf_spin_lock", no_op),
    ("bpf_spin_unlock", no_op),
    ("bpf_get_local_storage", local_storage),
    ("bpf_sk_storage_get", storage_get),
    ("bpf_task_storage_get", storage_get),
    ("bpf_inode_storage_get", storage_get),
    ("bpf_cgrp_storage_get", storage_get),
    ("bpf_sk_storage_delete", storage_delete),
    ("bpf_task_storage_delete", storage_delete),
    ("bpf_inode_storage_delete", storage_delete),
    ("bpf_cgrp_storage_delete", storage_delete),
];

/// `BPF_LOCAL_STORAGE_GET_F_CREATE`.
const STORAGE_CREATE: u64 = 1;

/// Value of a key for a program on that CPU.
#[inline]
fn lookup_on(call: &mut Call<'_>, cpu: u32) -> Result<u64, Trap> {
    let id = call.map_id(1)?;
    let key = call.arg(2);
    let Some(map) = call.sim.maps.get_mut(id) else {
        return Err(call.bad(1, "a map"));
    };
    if !map.has_keys() {
        return Err(call.not_for_map(1));
    }
    call.sim.mem.check(key, map.key_size(), Access::Read)?;
    let is_outer = matches!(map.kind, Kind::Refs(_));
    let found = map.lookup(&call.sim.mem, Bytes::Guest(key), cpu);
    Ok(match found {
        Some(inner) if is_outer => call.sim.maps.handle(MapId(inner as u32)),
        found => found.unwrap_or(0),
    })
}

fn lookup(call: &mut Call<'_>) -> Result<u64, Trap> {
    let cpu = call.sim.cpu;
    lookup_on(call, cpu)
}

fn lookup_percpu(call: &mut Call<'_>) -> Result<u64, Trap> {
    let cpu = call.arg32(3);
    if cpu >= call.sim.config().cpus {
        return Ok(0);
    }
    lookup_on(call, cpu)
}

fn update(call: &mut Call<'_>) -> Result<u64, Trap> {
    let id = call.map_id(1)?;
    let (key, value, flags) = (call.arg(2), call.arg(3), call.arg(4));
    let cpus = Cpus::This(call.sim.cpu);
    let Some(map) = call.sim.maps.get_mut(id) else {
        return Err(call.bad(1, "a map"));
    };
    if !map.has_keys() {
        return Err(call.not_for_map(1));
    }
    let mem = &mut call.sim.mem;
    mem.check(key, map.key_size(), Access::Read)?;
    mem.check(value, map.value_size(), Access::Read)?;
    let done = map.update(mem, Bytes::Guest(key), Bytes::Guest(value), flags, cpus);
    Ok(status(done))
}

fn delete(call: &mut Call<'_>) -> Result<u64, Trap> {
    let id = call.map_id(1)?;
    let key = call.arg(2);
    let Some(map) = call.sim.maps.get_mut(id) else {
        return Err(call.bad(1, "a map"));
    };
    if !map.has_keys() {
        return Err(call.not_for_map(1));
    }
    call.sim.mem.check(key, map.key_size(), Access::Read)?;
    Ok(status(map.delete(&mut call.sim.mem, Bytes::Guest(key))))
}

fn push(call: &mut Call<'_>) -> Result<u64, Trap> {
    let id = call.map_id(1)?;
    let (value, flags) = (call.arg(2), call.arg(3));
    let size = call.map(1)?.value_size();
    let sim = &mut *call.sim;
    sim.mem.check(value, size, Access::Read)?;
    match sim.maps.get_mut(id).map(|map| &mut map.kind) {
        Some(Kind::Queue(queue)) => Ok(status(queue.push(&sim.mem, Bytes::Guest(value), flags))),
        Some(Kind::Bloom(bloom)) => Ok(status(bloom.push(&sim.mem, Bytes::Guest(value), flags))),
        _ => Err(call.not_for_map(1)),
    }
}

fn take(call: &mut Call<'_>, remove: bool) -> Result<u64, Trap> {
    let id = call.map_id(1)?;
    let value = call.arg(2);
    let size = call.map(1)?.value_size();
    let sim = &mut *call.sim;
    match sim.maps.get_mut(id).map(|map| &mut map.kind) {
        Some(Kind::Queue(queue)) => {
            sim.mem.check(value, size, Access::Write)?;
            let taken = queue.get(remove);
            match &taken {
                Some(bytes) => sim.mem.poke(value, bytes),
                None => sim.mem.fill(value, size, 0),
            }
            Ok(status(taken.map(drop).ok_or(Errno::NOENT)))
        }
        Some(Kind::Bloom(bloom)) if !remove => {
            sim.mem.check(value, size, Access::Read)?;
            let found = bloom.contains(&sim.mem, Bytes::Guest(value));
            Ok(status(if found { Ok(()) } else { Err(Errno::NOENT) }))
        }
        _ => Err(call.not_for_map(1)),
    }
}

fn pop(call: &mut Call<'_>) -> Result<u64, Trap> {
    take(call, true)
}

fn peek(call: &mut Call<'_>) -> Result<u64, Trap> {
    take(call, false)
}

/// Puts a pointer into a map's value and gives the one that was there.
fn kptr_xchg(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (at, new) = (call.arg(1), call.arg(2));
    call.sim.mem.check(at, 8, Access::Atomic)?;
    let old = call.sim.mem.peek_le::<8>(at);
    call.sim.mem.poke_le::<8>(at, new);
    Ok(old)
}

/// Locks: nothing else runs.
fn no_op(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.bytes(1, 4)?;
    Ok(0)
}

/// The value of the control group and program: there is one of each.
fn local_storage(call: &mut Call<'_>) -> Result<u64, Trap> {
    storage(call, 0, None, true)
}

fn storage_get(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (object, init, flags) = (call.arg(2), call.arg(3), call.arg(4));
    if object == 0 || flags & !STORAGE_CREATE != 0 {
        return Ok(0);
    }
    let size = call.map(1)?.value_size();
    let create = flags & STORAGE_CREATE != 0;
    let init = (init != 0).then_some(init);
    if let Some(init) = init {
        call.sim.mem.check(init, size, Access::Read)?;
    }
    storage(call, object, init, create)
}

fn storage(call: &mut Call<'_>, object: u64, init: Option<u64>, create: bool) -> Result<u64, Trap> {
    let id = call.map_id(1)?;
    let sim = &mut *call.sim;
    let Some(Kind::Storage(storage)) = sim.maps.get_mut(id).map(|map| &mut map.kind) else {
        return Err(call.not_for_map(1));
    };
    match storage.get(object, sim.cpu) {
        Some(value) => Ok(value),
        None if create => Ok(storage
            .create(&mut sim.mem, object, init, sim.cpu)
            .unwrap_or(0)),
        None => Ok(0),
    }
}

fn storage_delete(call: &mut Call<'_>) -> Result<u64, Trap> {
    let id = call.map_id(1)?;
    let object = call.arg(2);
    let sim = &mut *call.sim;
    let Some(Kind::Storage(storage)) = sim.maps.get_mut(id).map(|map| &mut map.kind) else {
        return Err(call.not_for_map(1));
    };
    if object == 0 {
        return Ok(Errno::INVAL.as_ret());
    }
    Ok(status(storage.delete(&mut sim.mem, object)))
}
