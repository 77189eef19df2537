//! Helpers of XDP programs.

use super::Row;
use super::call::{Call, status};
use super::packet::{check_mtu, fib_lookup};
use crate::errno::Errno;
use crate::fault::Access;
use crate::hooks::{Run, XdpRun};
use crate::sim::Sim;
use crate::trap::Trap;

pub(super) const HELPERS: &[Row] = &[
    ("bpf_xdp_adjust_head", adjust_head),
    ("bpf_xdp_adjust_meta", adjust_meta),
    ("bpf_xdp_adjust_tail", adjust_tail),
    ("bpf_xdp_get_buff_len", get_buff_len),
    ("bpf_xdp_load_bytes", load_bytes),
    ("bpf_xdp_store_bytes", store_bytes),
    ("bpf_check_mtu", xdp_check_mtu),
    ("bpf_fib_lookup", fib_lookup),
];

/// Offsets and lengths at most.
const MAX: u64 = 0xffff;

/// The packet of the context in argument 1.
fn run<'a>(call: &'a Call<'_>) -> Result<&'a XdpRun, Trap> {
    call.expect_ctx(1)?;
    match &call.sim.run {
        Run::Xdp(run) => Ok(run),
        Run::Idle | Run::Skb(_) | Run::Table(_) | Run::Raw(_) => {
            Err(call.bad(1, "the context of an XDP program"))
        }
    }
}

fn adjust(
    call: &mut Call<'_>,
    how: impl FnOnce(&mut Sim, &mut XdpRun, i32) -> Result<(), Errno>,
) -> Result<u64, Trap> {
    run(call)?;
    let by = call.arg32(2) as i32;
    let Run::Xdp(mut run) = std::mem::take(&mut call.sim.run) else {
        return Ok(0);
    };
    let done = how(call.sim, &mut run, by);
    call.sim.set_xdp(run);
    Ok(status(done))
}

fn adjust_head(call: &mut Call<'_>) -> Result<u64, Trap> {
    adjust(call, Sim::xdp_adjust_head)
}

fn adjust_meta(call: &mut Call<'_>) -> Result<u64, Trap> {
    adjust(call, Sim::xdp_adjust_meta)
}

fn adjust_tail(call: &mut Call<'_>) -> Result<u64, Trap> {
    adjust(call, Sim::xdp_adjust_tail)
}

fn get_buff_len(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(run(call)?.len())
}

/// Where `len` bytes from `off` lie: in the frame, and in the fragments.
fn place(run: &XdpRun, off: u64, len: u64) -> Result<(u64, u64, usize), Errno> {
    if off > MAX || len > MAX {
        return Err(Errno::FAULT);
    }
    if off + len > run.len() {
        return Err(Errno::INVAL);
    }
    let linear = run.end - run.data;
    let first = linear.saturating_sub(off).min(len);
    Ok((run.data + off, first, off.saturating_sub(linear) as usize))
}

pub(super) fn load_bytes(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (off, to, len) = (
        u64::from(call.arg32(2)),
        call.arg(3),
        u64::from(call.arg32(4)),
    );
    let run = run(call)?;
    call.sim.mem.check(to, len, Access::Write)?;
    let (at, first, frag) = match place(run, off, len) {
        Ok(place) => place,
        Err(errno) => return Ok(errno.as_ret()),
    };
    let rest = run.frags.get(frag..frag + (len - first) as usize);
    let rest = rest.unwrap_or_default().to_vec();
    call.sim.mem.copy(at, to, first);
    call.sim.mem.poke(to + first, &rest);
    Ok(0)
}

pub(super) fn store_bytes(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (off, from, len) = (
        u64::from(call.arg32(2)),
        call.arg(3),
        u64::from(call.arg32(4)),
    );
    let run = run(call)?;
    let bytes = call.bytes(3, len)?.to_vec();
    let (at, first, frag) = match place(run, off, len) {
        Ok(place) => place,
        Err(errno) => return Ok(errno.as_ret()),
    };
    call.sim.mem.copy(from, at, first);
    if let Run::Xdp(run) = &mut call.sim.run
        && let Some(to) = run.frags.get_mut(frag..frag + (len - first) as usize)
    {
        to.copy_from_slice(bytes.get(first as usize..).unwrap_or_default());
    }
    Ok(0)
}

fn xdp_check_mtu(call: &mut Call<'_>) -> Result<u64, Trap> {
    let run = run(call)?;
    let len = run.end - run.data;
    check_mtu(call, len, 0)
}
