//! Kernel functions that programs call by BTF id: number iterators, and sections that need nothing here.

use super::Row;
use super::call::{Call, status};
use crate::errno::Errno;
use crate::fault::Access;
use crate::trap::Trap;

pub(super) const KFUNCS: &[Row] = &[
    ("bpf_iter_num_new", iter_num_new),
    ("bpf_iter_num_next", iter_num_next),
    ("bpf_iter_num_destroy", iter_num_destroy),
    ("bpf_rcu_read_lock", nothing),
    ("bpf_rcu_read_unlock", nothing),
    ("bpf_preempt_disable", nothing),
    ("bpf_preempt_enable", nothing),
    ("bpf_local_irq_save", irq_save),
    ("bpf_local_irq_restore", nothing),
    ("bpf_cast_to_kern_ctx", first_argument),
    ("bpf_rdonly_cast", first_argument),
];

/// `BPF_MAX_LOOPS`.
const MAX_LOOPS: i64 = 8 << 20;

fn nothing(_: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(0)
}

fn first_argument(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(call.arg(1))
}

fn irq_save(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.bytes_mut(1, 8)?.fill(0);
    Ok(0)
}

/// Writes an iterator over numbers: the current one and the end, 32 bits each.
fn set_range(call: &mut Call<'_>, current: i32, end: i32) -> Result<(), Trap> {
    let at = call.arg(1);
    call.sim.mem.check(at, 8, Access::Write)?;
    call.sim.mem.poke_le::<4>(at, current as u32 as u64);
    call.sim.mem.poke_le::<4>(at + 4, end as u32 as u64);
    Ok(())
}

fn iter_num_new(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (start, end) = (call.arg32(2) as i32, call.arg32(3) as i32);
    let range = if start > end {
        Err(Errno::INVAL)
    } else if i64::from(end) - i64::from(start) > MAX_LOOPS {
        Err(Errno::TOOBIG)
    } else {
        Ok((start.wrapping_sub(1), end))
    };
    let (current, end) = range.unwrap_or((0, 0));
    set_range(call, current, end)?;
    Ok(status(range.map(drop)))
}

fn iter_num_next(call: &mut Call<'_>) -> Result<u64, Trap> {
    let at = call.arg(1);
    call.sim.mem.check(at, 8, Access::Atomic)?;
    let current = call.sim.mem.peek_le::<4>(at) as u32 as i32;
    let end = call.sim.mem.peek_le::<4>(at + 4) as u32 as i32;
    // The first number may be the smallest of all: one below wraps around and comes back here.
    let next = current.wrapping_add(1);
    if next >= end {
        set_range(call, 0, 0)?;
        return Ok(0);
    }
    set_range(call, next, end)?;
    Ok(at)
}

fn iter_num_destroy(call: &mut Call<'_>) -> Result<u64, Trap> {
    set_range(call, 0, 0)?;
    Ok(0)
}
