//! Messages of sockets (`struct sk_msg_md`): how much of one a verdict is for, and changes to it.

use super::Row;
use super::call::{Call, status};
use crate::errno::Errno;
use crate::hooks::fields::sk_msg;
use crate::hooks::{Run, TableRun};
use crate::trap::Trap;

pub(super) const HELPERS: &[Row] = &[
    ("bpf_msg_apply_bytes", note_bytes),
    ("bpf_msg_cork_bytes", note_bytes),
    ("bpf_msg_pull_data", pull_data),
    ("bpf_msg_push_data", push_data),
    ("bpf_msg_pop_data", pop_data),
];

/// Bytes of a message at most, as far as programs can make it longer.
const MAX: u64 = 128 << 10;

fn run(call: &Call<'_>) -> Result<TableRun, Trap> {
    call.expect_ctx(1)?;
    match &call.sim.run {
        Run::Table(run) => Ok(*run),
        Run::Idle | Run::Xdp(_) | Run::Skb(_) | Run::Raw(_) => Err(call.bad(1, "a message")),
    }
}

/// Nothing is waited for here: a message comes whole.
fn note_bytes(call: &mut Call<'_>) -> Result<u64, Trap> {
    run(call).map(|_| 0)
}

/// All bytes can be reached already.
fn pull_data(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (start, end, flags) = (call.arg32(2), call.arg32(3), call.arg(4));
    let run = run(call)?;
    let bad = flags != 0 || end <= start || u64::from(end) > run.end - run.data;
    Ok(status(if bad { Err(Errno::INVAL) } else { Ok(()) }))
}

/// Moves what lies behind a place, and the end.
fn shift(call: &mut Call<'_>, mut run: TableRun, from: u64, to: u64) {
    let (from, to) = (run.data + from, run.data + to);
    call.sim.mem.copy(from, to, run.end - from);
    run.end = run.end - from + to;
    let size = run.end - run.data;
    let at = call.sim.ctx + sk_msg::SIZE;
    call.sim.mem.poke_le::<4>(at, size);
    call.sim.set_table(run);
}

/// Inserts bytes, which the kernel leaves as they were in memory and we make zero.
fn push_data(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (start, len, flags) = (
        u64::from(call.arg32(2)),
        u64::from(call.arg32(3)),
        call.arg(4),
    );
    let run = run(call)?;
    let size = run.end - run.data;
    if flags != 0 {
        return Ok(Errno::INVAL.as_ret());
    }
    if len == 0 {
        return Ok(0);
    }
    if start > size {
        return Ok(Errno::INVAL.as_ret());
    }
    if size + len > MAX {
        return Ok(Errno::NOMEM.as_ret());
    }
    shift(call, run, start, start + len);
    call.sim.mem.fill(run.data + start, len, 0);
    Ok(0)
}

fn pop_data(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (start, len, flags) = (
        u64::from(call.arg32(2)),
        u64::from(call.arg32(3)),
        call.arg(4),
    );
    let run = run(call)?;
    let size = run.end - run.data;
    if flags != 0 {
        return Ok(Errno::INVAL.as_ret());
    }
    if len == 0 {
        return Ok(0);
    }
    if start >= size || start + len > size {
        return Ok(Errno::INVAL.as_ret());
    }
    shift(call, run, start + len, start);
    Ok(0)
}
