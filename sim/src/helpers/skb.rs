//! Helpers of programs whose context is `struct __sk_buff`: bytes, checksums, metadata.

use super::Row;
use super::call::{Call, status};
use super::csum::{add, fold, partial};
use super::packet::{check_mtu, fib_lookup};
use super::room;
use crate::errno::Errno;
use crate::fault::Access;
use crate::hooks::fields::sk_buff;
use crate::hooks::{Run, SkbRun};
use crate::sim::{PacketCopy, Sim};
use crate::trap::Trap;

pub(super) const HELPERS: &[Row] = &[
    ("bpf_skb_load_bytes", load_bytes),
    ("bpf_skb_load_bytes_relative", load_bytes_relative),
    ("bpf_skb_store_bytes", store_bytes),
    ("bpf_l3_csum_replace", l3_csum_replace),
    ("bpf_l4_csum_replace", l4_csum_replace),
    ("bpf_csum_update", csum_update),
    ("bpf_csum_level", csum_level),
    ("bpf_clone_redirect", clone_redirect),
    ("bpf_skb_pull_data", pull_data),
    ("bpf_skb_change_type", change_type),
    ("bpf_set_hash_invalid", set_hash_invalid),
    ("bpf_get_hash_recalc", get_hash_recalc),
    ("bpf_set_hash", set_hash),
    ("bpf_skb_set_tstamp", set_tstamp),
    ("bpf_check_mtu", skb_check_mtu),
    ("bpf_fib_lookup", fib_lookup),
    ("bpf_get_route_realm", zero),
    ("bpf_get_socket_cookie", cookie),
    ("bpf_get_socket_uid", zero),
    ("bpf_skb_cgroup_classid", zero),
    ("bpf_skb_cgroup_id", zero),
    ("bpf_sk_fullsock", same_socket),
    ("bpf_skb_change_tail", room::change_tail),
    ("bpf_skb_change_head", room::change_head),
    ("bpf_skb_change_proto", room::change_proto),
    ("bpf_skb_adjust_room", room::adjust_room),
    ("bpf_skb_vlan_push", room::vlan_push),
    ("bpf_skb_vlan_pop", room::vlan_pop),
];

/// Offsets of checksum fields at most.
const MAX_CSUM_OFF: u64 = 0xffff;
/// Bits of the flags that say how many bytes changed.
const FIELD_MASK: u64 = 0xf;
/// `BPF_F_PSEUDO_HDR`, `BPF_F_MARK_MANGLED_0`, `BPF_F_MARK_ENFORCE`, `BPF_F_IPV6`.
const PSEUDO_HDR: u64 = 1 << 4;
const MARK_MANGLED_0: u64 = 1 << 5;
const MARK_ENFORCE: u64 = 1 << 6;
const IPV6: u64 = 1 << 7;

/// The packet of the context in argument 1.
pub(super) fn run<'a>(call: &'a Call<'_>) -> Result<&'a SkbRun, Trap> {
    call.expect_ctx(1)?;
    match &call.sim.run {
        Run::Skb(run) => Ok(run),
        Run::Idle | Run::Xdp(_) | Run::Table(_) | Run::Raw(_) => {
            Err(call.bad(1, "the context of a packet"))
        }
    }
}

fn zero(_: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(0)
}

fn cookie(_: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(1)
}

/// Every socket here is a full one.
fn same_socket(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(call.arg(1))
}

fn load(call: &mut Call<'_>, start: u64, off: u64, max: u64) -> Result<u64, Trap> {
    let (to, len) = (call.arg(3), u64::from(call.arg32(4)));
    let end = run(call)?.end;
    call.sim.mem.check(to, len, Access::Write)?;
    if off > max || start + off + len > end {
        call.sim.mem.fill(to, len, 0);
        return Ok(Errno::FAULT.as_ret());
    }
    call.sim.mem.copy(start + off, to, len);
    Ok(0)
}

pub(super) fn load_bytes(call: &mut Call<'_>) -> Result<u64, Trap> {
    let start = run(call)?.data;
    let off = call.arg32(2).into();
    load(call, start, off, i32::MAX as u64)
}

fn load_bytes_relative(call: &mut Call<'_>) -> Result<u64, Trap> {
    let run = run(call)?;
    let (mac, net) = (run.mac, run.net);
    let off = call.arg32(2).into();
    match call.arg32(5) {
        0 => load(call, mac, off, 0xffff),
        1 => load(call, net, off, 0xffff),
        // No such header: nothing is in range.
        _ => load(call, mac, u64::from(u32::MAX), 0),
    }
}

pub(super) fn store_bytes(call: &mut Call<'_>) -> Result<u64, Trap> {
    const RECOMPUTE_CSUM: u64 = 1;
    const INVALIDATE_HASH: u64 = 2;
    let (off, len) = (u64::from(call.arg32(2)), u64::from(call.arg32(4)));
    let (from, flags) = (call.arg(3), call.arg(5));
    let (data, packet) = (run(call)?.data, run(call)?.len());
    call.bytes(3, len)?;
    if flags & !(RECOMPUTE_CSUM | INVALIDATE_HASH) != 0 {
        return Ok(Errno::INVAL.as_ret());
    }
    if off > i32::MAX as u64 || off + len > packet {
        return Ok(Errno::FAULT.as_ret());
    }
    call.sim.mem.copy(from, data + off, len);
    if flags & INVALIDATE_HASH != 0 {
        clear_hash(call.sim);
    }
    Ok(0)
}

/// Address of the checksum at the offset in argument 2.
fn csum_at(call: &Call<'_>) -> Result<Result<u64, Errno>, Trap> {
    let off = u64::from(call.arg32(2));
    let run = run(call)?;
    let bad = off > MAX_CSUM_OFF || !off.is_multiple_of(2) || off + 2 > run.len();
    Ok(if bad {
        Err(Errno::FAULT)
    } else {
        Ok(run.data + off)
    })
}

/// The checksum after a difference of sums was added (`csum_fold(csum_add(diff, ~csum))`).
fn by_diff(csum: u16, diff: u32) -> u16 {
    !fold(add(diff, u32::from(!csum)))
}

/// The difference between two values of a field of that many bytes.
fn difference(from: u64, to: u64, bytes: u64) -> u32 {
    match bytes {
        2 => add(u32::from(!(from as u16)), u32::from(to as u16)),
        _ => add(!(from as u32), to as u32),
    }
}

fn l3_csum_replace(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (from, to, flags) = (call.arg(3), call.arg(4), call.arg(5));
    let at = csum_at(call)?;
    if flags & !FIELD_MASK != 0 {
        return Ok(Errno::INVAL.as_ret());
    }
    let at = match at {
        Ok(at) => at,
        Err(errno) => return Ok(errno.as_ret()),
    };
    let diff = match flags & FIELD_MASK {
        0 if from == 0 => to as u32,
        size @ (2 | 4) => difference(from, to, size),
        _ => return Ok(Errno::INVAL.as_ret()),
    };
    let old = call.sim.mem.peek_le::<2>(at) as u16;
    call.sim.mem.poke_le::<2>(at, by_diff(old, diff).into());
    Ok(0)
}

fn l4_csum_replace(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (from, to, flags) = (call.arg(3), call.arg(4), call.arg(5));
    let at = csum_at(call)?;
    if flags & !(MARK_MANGLED_0 | MARK_ENFORCE | PSEUDO_HDR | FIELD_MASK | IPV6) != 0 {
        return Ok(Errno::INVAL.as_ret());
    }
    let at = match at {
        Ok(at) => at,
        Err(errno) => return Ok(errno.as_ret()),
    };
    let old = call.sim.mem.peek_le::<2>(at) as u16;
    let mangled = flags & MARK_MANGLED_0 != 0;
    if mangled && flags & MARK_ENFORCE == 0 && old == 0 {
        return Ok(0);
    }
    let diff = match flags & FIELD_MASK {
        0 if from == 0 => to as u32,
        size @ (2 | 4) => difference(from, to, size),
        _ => return Ok(Errno::INVAL.as_ret()),
    };
    let mut new = by_diff(old, diff);
    if mangled && new == 0 {
        new = 0xffff;
    }
    call.sim.mem.poke_le::<2>(at, new.into());
    Ok(0)
}

/// The packet's sum is not known to the device, so there is nothing to update.
fn csum_update(call: &mut Call<'_>) -> Result<u64, Trap> {
    run(call)?;
    Ok(Errno::NOTSUPP.as_ret())
}

fn csum_level(call: &mut Call<'_>) -> Result<u64, Trap> {
    run(call)?;
    Ok(match call.arg(2) {
        0 => Errno::ACCES.as_ret(),
        1..=3 => 0,
        _ => Errno::INVAL.as_ret(),
    })
}

fn clone_redirect(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (ifindex, flags) = (call.arg32(2), call.arg(3));
    let run = run(call)?;
    let (data, len) = (run.data, run.len());
    // There is no device without index; all others are taken to exist.
    if flags & !1 != 0 || ifindex == 0 {
        return Ok(Errno::INVAL.as_ret());
    }
    if call.sim.may_output(len as usize) {
        let data = call.sim.mem.peek(data, len).to_vec();
        call.sim.output.clones.push(PacketCopy {
            ifindex,
            flags,
            data,
        });
    }
    Ok(0)
}

/// All bytes are linear already; more than there are cannot be pulled.
fn pull_data(call: &mut Call<'_>) -> Result<u64, Trap> {
    let len = u64::from(call.arg32(2));
    let have = run(call)?.len();
    Ok(status(if len > have {
        Err(Errno::NOMEM)
    } else {
        Ok(())
    }))
}

fn change_type(call: &mut Call<'_>) -> Result<u64, Trap> {
    const LAST_OK: u64 = 3;
    run(call)?;
    let (ctx, ty) = (call.sim.ctx, u64::from(call.arg32(2)));
    let old = call.sim.mem.peek_le::<4>(ctx + sk_buff::PKT_TYPE);
    if old > LAST_OK || ty > LAST_OK {
        return Ok(Errno::INVAL.as_ret());
    }
    call.sim.mem.poke_le::<4>(ctx + sk_buff::PKT_TYPE, ty);
    Ok(0)
}

pub(super) fn clear_hash(sim: &mut Sim) {
    sim.mem.poke_le::<4>(sim.ctx + sk_buff::HASH, 0);
}

fn set_hash_invalid(call: &mut Call<'_>) -> Result<u64, Trap> {
    run(call)?;
    clear_hash(call.sim);
    Ok(0)
}

/// The hash that is set, else one of the packet's addresses and ports. The kernel's depends on a
/// random key; ours on the first bytes of the network and transport headers.
fn get_hash_recalc(call: &mut Call<'_>) -> Result<u64, Trap> {
    let run = run(call)?;
    let (net, end) = (run.net, run.end);
    let at = call.sim.ctx + sk_buff::HASH;
    let old = call.sim.mem.peek_le::<4>(at);
    if old != 0 {
        return Ok(old);
    }
    let bytes = call.sim.mem.peek(net, end.saturating_sub(net).min(44));
    let sum = partial(bytes, 0x5bd1_e995);
    let hash = u64::from(sum.wrapping_mul(0x9e37_79b1)).max(1);
    call.sim.mem.poke_le::<4>(at, hash);
    Ok(hash)
}

fn set_hash(call: &mut Call<'_>) -> Result<u64, Trap> {
    run(call)?;
    let hash = call.arg32(2).into();
    call.sim
        .mem
        .poke_le::<4>(call.sim.ctx + sk_buff::HASH, hash);
    Ok(0)
}

fn set_tstamp(call: &mut Call<'_>) -> Result<u64, Trap> {
    run(call)?;
    let (ctx, tstamp, ty) = (call.sim.ctx, call.arg(2), call.arg32(3));
    if !room::is_ip(call.sim) {
        return Ok(Errno::OPNOTSUPP.as_ret());
    }
    if ty > 2 || ty != 0 && tstamp == 0 {
        return Ok(Errno::INVAL.as_ret());
    }
    call.sim.mem.poke_le::<8>(ctx + sk_buff::TSTAMP, tstamp);
    call.sim
        .mem
        .poke_le::<1>(ctx + sk_buff::TSTAMP_TYPE, ty.into());
    Ok(0)
}

fn skb_check_mtu(call: &mut Call<'_>) -> Result<u64, Trap> {
    const SEGS: u64 = 1;
    let len = run(call)?.len();
    check_mtu(call, len, SEGS)
}
