//! Sockets chosen and put away: maps of sockets, and what picks one of them.

use skep_spec::{MapType, ProgType};

use super::Row;
use super::call::{Call, status};
use crate::errno::Errno;
use crate::fault::Access;
use crate::hooks::fields::sk_lookup;
use crate::hooks::{Run, TableRun};
use crate::maps::{Bytes, Kind, MapId};
use crate::sim::Redirect;
use crate::trap::Trap;

pub(super) const HELPERS: &[Row] = &[
    ("bpf_sock_map_update", map_update),
    ("bpf_sock_hash_update", map_update),
    ("bpf_sk_redirect_map", redirect_map),
    ("bpf_sk_redirect_hash", redirect_map),
    ("bpf_msg_redirect_map", redirect_map),
    ("bpf_msg_redirect_hash", redirect_map),
    ("bpf_sk_select_reuseport", select_reuseport),
    ("bpf_sk_assign", assign),
];

const SK_DROP: u64 = 0;
const SK_PASS: u64 = 1;
/// `BPF_F_INGRESS`.
const INGRESS: u64 = 1;
/// `BPF_SK_LOOKUP_F_REPLACE` and `BPF_SK_LOOKUP_F_NO_REUSEPORT`.
const REPLACE: u64 = 1;
const NO_REUSEPORT: u64 = 2;

/// The socket in the map of argument `map` under the key of argument `key`; the outer error says that
/// the map is no map of sockets.
fn find(call: &Call<'_>, map: usize, key: usize) -> Result<(MapId, Option<u64>), Trap> {
    let subject = call.map(map)?;
    let Kind::Sockets(sockets) = &subject.kind else {
        return Err(call.not_for_map(map));
    };
    let at = call.arg(key);
    call.sim.mem.check(at, subject.key_size(), Access::Read)?;
    Ok((
        subject.id(),
        sockets.lookup(&call.sim.mem, Bytes::Guest(at)),
    ))
}

fn map_update(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (key, flags) = (call.arg(3), call.arg(4));
    let id = call.map_id(2)?;
    call.expect_ctx(1)?;
    let (sk, size) = (call.sim.sock, call.map(2)?.key_size());
    call.sim.mem.check(key, size, Access::Read)?;
    let sim = &mut *call.sim;
    match sim.maps.get_mut(id).map(|map| &mut map.kind) {
        Some(Kind::Sockets(sockets)) => Ok(status(sockets.insert_socket(
            &mut sim.mem,
            Bytes::Guest(key),
            sk,
            flags,
        ))),
        _ => Err(call.not_for_map(2)),
    }
}

fn redirect_map(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.expect_ctx(1)?;
    let flags = call.arg(4);
    // An array's key is a number, a hash's lies in memory.
    let is_array = call.map(2)?.spec().ty == MapType::Sockmap;
    let (map, socket, index) = if is_array {
        let index = call.arg32(3);
        let subject = call.map(2)?;
        let Kind::Sockets(sockets) = &subject.kind else {
            return Err(call.not_for_map(2));
        };
        let key = index.to_le_bytes();
        let socket = sockets.lookup(&call.sim.mem, Bytes::Host(&key));
        (subject.id(), socket, index.into())
    } else {
        let (map, socket) = find(call, 2, 3)?;
        (map, socket, 0)
    };
    if flags & !INGRESS != 0 || socket.is_none() {
        return Ok(SK_DROP);
    }
    call.sim.output.redirect = Some(Redirect::Map { map, index, flags });
    Ok(SK_PASS)
}

fn select_reuseport(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.expect_ctx(1)?;
    let flags = call.arg(4);
    if flags != 0 {
        return Ok(Errno::INVAL.as_ret());
    }
    let (map, socket) = find(call, 2, 3)?;
    if socket.is_none() {
        return Ok(Errno::NOENT.as_ret());
    }
    let index = call.sim.mem.peek_le::<4>(call.arg(3));
    call.sim.output.redirect = Some(Redirect::Map { map, index, flags });
    Ok(0)
}

/// Chooses the socket of a lookup, or, in traffic control, of a packet: there only of one that comes in,
/// which no packet of a test run does.
fn assign(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.expect_ctx(1)?;
    let (sk, flags) = (call.arg(2), call.arg(3));
    let of_lookup = matches!(
        call.sim.run,
        Run::Table(TableRun {
            ty: ProgType::SkLookup,
            ..
        })
    );
    if !of_lookup {
        return Ok(if flags != 0 || sk == 0 {
            Errno::INVAL.as_ret()
        } else {
            Errno::OPNOTSUPP.as_ret()
        });
    }
    if flags & !(REPLACE | NO_REUSEPORT) != 0 {
        return Ok(Errno::INVAL.as_ret());
    }
    let at = call.sim.ctx + sk_lookup::SK;
    if call.sim.mem.peek_le::<8>(at) != 0 && flags & REPLACE == 0 {
        return Ok(Errno::EXIST.as_ret());
    }
    call.sim.mem.poke_le::<8>(at, sk);
    Ok(0)
}
