//! Kernel functions on tasks and control groups, of which there is one each, and exceptions.

use super::Row;
use super::call::Call;
use super::probe::string_at;
use crate::errno::Errno;
use crate::trap::Trap;

pub(super) const KFUNCS: &[Row] = &[
    ("bpf_task_acquire", same),
    ("bpf_task_release", nothing),
    ("bpf_task_from_pid", task_from_pid),
    ("bpf_task_from_vpid", task_from_pid),
    ("bpf_cgroup_acquire", same),
    ("bpf_cgroup_release", nothing),
    ("bpf_throw", throw),
    ("bpf_copy_from_user_str", copy_from_user_str),
    ("bpf_map_sum_elem_count", sum_elem_count),
];

fn same(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(call.arg(1))
}

fn nothing(_: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(0)
}

fn task_from_pid(call: &mut Call<'_>) -> Result<u64, Trap> {
    let is_own = call.arg32(1) == call.sim.process.pid;
    Ok(if is_own { call.sim.task } else { 0 })
}

/// Leaves all functions at once: the engine takes it from here.
fn throw(call: &mut Call<'_>) -> Result<u64, Trap> {
    Err(Trap::Thrown(call.arg(1)))
}

fn copy_from_user_str(call: &mut Call<'_>) -> Result<u64, Trap> {
    /// `BPF_F_PAD_ZEROS`.
    const PAD_ZEROS: u64 = 1;
    let (to, len, from, flags) = (
        call.arg(1),
        u64::from(call.arg32(2)),
        call.arg(3),
        call.arg(4),
    );
    call.bytes_mut(1, len)?;
    if flags & !PAD_ZEROS != 0 {
        return Ok(Errno::INVAL.as_ret());
    }
    if len == 0 {
        return Ok(0);
    }
    let mem = &mut call.sim.mem;
    match string_at(mem, from, len) {
        Ok(copied) => {
            mem.copy(from, to, copied);
            mem.poke(to + copied - 1, &[0]);
            if flags & PAD_ZEROS != 0 {
                mem.fill(to + copied, len - copied, 0);
            }
            Ok(copied)
        }
        Err(errno) => {
            if flags & PAD_ZEROS != 0 {
                mem.fill(to, len, 0);
            }
            Ok(errno.as_ret())
        }
    }
}

fn sum_elem_count(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(call.map(1)?.entry_count().unwrap_or(0))
}
