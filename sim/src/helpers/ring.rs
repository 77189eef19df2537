//! Ring buffers.

use super::Row;
use super::call::{Call, status};
use crate::errno::Errno;
use crate::fault::Owner;
use crate::maps::{Kind, MapId, Ring, RingState};
use crate::memory::Memory;
use crate::trap::Trap;

pub(super) const HELPERS: &[Row] = &[
    ("bpf_ringbuf_output", output),
    ("bpf_ringbuf_reserve", reserve),
    ("bpf_ringbuf_submit", submit),
    ("bpf_ringbuf_discard", discard),
    ("bpf_ringbuf_query", query),
];

/// `BPF_RB_NO_WAKEUP` and `BPF_RB_FORCE_WAKEUP`.
const WAKEUP_FLAGS: u64 = 3;

fn with_ring<T>(
    call: &mut Call<'_>,
    use_it: impl FnOnce(&mut Ring, &mut Memory) -> T,
) -> Result<T, Trap> {
    let id = call.map_id(1)?;
    let sim = &mut *call.sim;
    match sim.maps.get_mut(id).map(|map| &mut map.kind) {
        Some(Kind::Ring(ring)) => Ok(use_it(ring, &mut sim.mem)),
        _ => Err(call.not_for_map(1)),
    }
}

fn output(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (data, size, flags) = (call.arg(2), call.arg(3), call.arg(4));
    call.bytes(2, size)?;
    if flags & !WAKEUP_FLAGS != 0 {
        return Ok(Errno::INVAL.as_ret());
    }
    let sent = with_ring(call, |ring, mem| {
        let at = ring.reserve(mem, size).ok_or(Errno::AGAIN)?;
        mem.copy(data, at, size);
        ring.finish(mem, at, RingState::Submitted);
        Ok(())
    })?;
    Ok(status(sent))
}

fn reserve(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (size, flags) = (call.arg(2), call.arg(3));
    if flags != 0 {
        return Ok(0);
    }
    with_ring(call, |ring, mem| ring.reserve(mem, size).unwrap_or(0))
}

fn finish(call: &mut Call<'_>, state: RingState) -> Result<u64, Trap> {
    let at = call.arg(1);
    finish_record(call, at, state)
}

/// Ends the record at an address.
pub(super) fn finish_record(call: &mut Call<'_>, at: u64, state: RingState) -> Result<u64, Trap> {
    let bad = call.bad(1, "a reserved record of a ring buffer");
    let sim = &mut *call.sim;
    let Some((_, _, Owner::Ring(id))) = sim.mem.object_at(at) else {
        return Err(bad);
    };
    let finished = match sim.maps.get_mut(MapId(id)).map(|map| &mut map.kind) {
        Some(Kind::Ring(ring)) => ring.finish(&mut sim.mem, at, state),
        _ => false,
    };
    if finished { Ok(0) } else { Err(bad) }
}

fn submit(call: &mut Call<'_>) -> Result<u64, Trap> {
    finish(call, RingState::Submitted)
}

fn discard(call: &mut Call<'_>) -> Result<u64, Trap> {
    finish(call, RingState::Discarded)
}

fn query(call: &mut Call<'_>) -> Result<u64, Trap> {
    let flags = call.arg(2);
    with_ring(call, |ring, _| {
        let (size, waiting, consumer, producer) = ring.positions();
        match flags {
            0 => waiting,
            1 => size,
            2 => consumer,
            3 => producer,
            _ => 0,
        }
    })
}
