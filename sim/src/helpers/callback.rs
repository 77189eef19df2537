//! Helpers that call back: loops and walks over maps.

use super::Row;
use super::call::Call;
use crate::errno::Errno;
use crate::fault::Access;
use crate::maps::{ElementKey, Kind};
use crate::trap::Trap;

pub(super) const HELPERS: &[Row] = &[
    ("bpf_loop", bpf_loop),
    ("bpf_for_each_map_elem", for_each_map_elem),
];

/// `BPF_MAX_LOOPS`.
const MAX_LOOPS: u32 = 8 << 20;

fn bpf_loop(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (loops, func, data, flags) = (call.arg32(1), call.arg(2), call.arg(3), call.arg(4));
    if flags != 0 {
        return Ok(Errno::INVAL.as_ret());
    }
    if loops > MAX_LOOPS {
        return Ok(Errno::TOOBIG.as_ret());
    }
    for i in 0..loops {
        let stop = call
            .engine
            .callback(call.sim, func, [i.into(), data, 0, 0, 0])?;
        if stop != 0 {
            return Ok(u64::from(i) + 1);
        }
    }
    Ok(loops.into())
}

fn for_each_map_elem(call: &mut Call<'_>) -> Result<u64, Trap> {
    let id = call.map_id(1)?;
    let (func, data, flags) = (call.arg(2), call.arg(3), call.arg(4));
    if !matches!(call.map(1)?.kind, Kind::Array(_) | Kind::Hash(_)) {
        return Err(call.not_for_map(1));
    }
    if flags != 0 {
        return Ok(Errno::INVAL.as_ret());
    }
    let (handle, cpu, scratch) = (call.arg(1), call.sim.cpu, call.sim.scratch);
    let (mut place, mut visited) = (0, 0);
    loop {
        let element = call
            .sim
            .maps
            .get(id)
            .and_then(|map| map.element(place, cpu));
        let Some((next, key, value)) = element else {
            return Ok(visited);
        };
        let key = match key {
            ElementKey::At(addr) => addr,
            ElementKey::Index(index) => {
                call.sim.mem.poke_le::<4>(scratch, index.into());
                scratch
            }
        };
        debug_assert!(call.sim.mem.check(key, 1, Access::Read).is_ok());
        visited += 1;
        let stop = call
            .engine
            .callback(call.sim, func, [handle, key, value, data, 0])?;
        if stop != 0 {
            return Ok(visited);
        }
        place = next;
    }
}
