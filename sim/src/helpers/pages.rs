//! Pages of arenas.

use super::Row;
use super::call::Call;
use crate::maps::Kind;
use crate::trap::Trap;

pub(super) const KFUNCS: &[Row] = &[
    ("bpf_arena_alloc_pages", alloc),
    ("bpf_arena_free_pages", free),
];

fn alloc(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (addr, count, flags) = (call.arg(2), u64::from(call.arg32(3)), call.arg(5));
    let id = call.map_id(1)?;
    let sim = &mut *call.sim;
    match sim.maps.get_mut(id).map(|map| &mut map.kind) {
        Some(Kind::Pages(_)) if flags != 0 => Ok(0),
        Some(Kind::Pages(pages)) => Ok(pages.allocate(&mut sim.mem, addr, count)),
        _ => Err(call.not_for_map(1)),
    }
}

fn free(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (addr, count) = (call.arg(2), u64::from(call.arg32(3)));
    let id = call.map_id(1)?;
    let sim = &mut *call.sim;
    match sim.maps.get_mut(id).map(|map| &mut map.kind) {
        Some(Kind::Pages(pages)) => {
            pages.release(&mut sim.mem, addr, count);
            Ok(0)
        }
        _ => Err(call.not_for_map(1)),
    }
}
