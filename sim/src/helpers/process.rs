//! The process, the CPU and the control group that a program runs in.

use super::Row;
use super::call::{Call, status};
use crate::errno::Errno;
use crate::trap::Trap;

pub(super) const HELPERS: &[Row] = &[
    ("bpf_get_smp_processor_id", cpu),
    ("bpf_get_numa_node_id", zero),
    ("bpf_get_current_pid_tgid", pid_tgid),
    ("bpf_get_current_uid_gid", uid_gid),
    ("bpf_get_current_comm", comm),
    ("bpf_get_current_task", task),
    ("bpf_get_current_task_btf", task),
    ("bpf_get_current_cgroup_id", cgroup_id),
    ("bpf_get_current_ancestor_cgroup_id", ancestor_cgroup_id),
    ("bpf_get_ns_current_pid_tgid", ns_pid_tgid),
    ("bpf_get_cgroup_classid", classid),
    ("bpf_get_retval", get_retval),
    ("bpf_set_retval", set_retval),
    ("bpf_get_netns_cookie", netns_cookie),
    ("bpf_send_signal", zero),
    ("bpf_send_signal_thread", zero),
    ("bpf_get_attach_cookie", zero),
    ("bpf_get_func_ip", zero),
];

fn cpu(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(call.sim.cpu.into())
}

fn zero(_: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(0)
}

/// The error that the control group's hooks decided on so far.
fn get_retval(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(i64::from(call.sim.retval) as u64)
}

fn set_retval(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.sim.retval = call.arg32(1) as i32;
    Ok(0)
}

/// The only network namespace.
fn netns_cookie(_: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(1)
}

fn pid_tgid(call: &mut Call<'_>) -> Result<u64, Trap> {
    let process = &call.sim.process;
    Ok(u64::from(process.tgid) << 32 | u64::from(process.pid))
}

fn uid_gid(call: &mut Call<'_>) -> Result<u64, Trap> {
    let process = &call.sim.process;
    Ok(u64::from(process.gid) << 32 | u64::from(process.uid))
}

fn comm(call: &mut Call<'_>) -> Result<u64, Trap> {
    let size = u64::from(call.arg32(2));
    let name = call.sim.comm();
    let buf = call.bytes_mut(1, size)?;
    // Like `strscpy_pad`: cut, terminated and padded with zeros.
    buf.fill(0);
    let room = buf.len().saturating_sub(1);
    for (to, from) in buf.iter_mut().take(room).zip(name) {
        *to = from;
    }
    Ok(0)
}

fn task(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(call.sim.task)
}

fn cgroup_id(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(call.sim.process.cgroup_id)
}

/// The control group is a child of the root: level 1 is itself, level 0 the root.
fn ancestor_cgroup_id(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(match call.arg32(1) {
        0 => 1,
        1 => call.sim.process.cgroup_id,
        _ => 0,
    })
}

/// The namespace is the only one, whatever device and inode the program names.
fn ns_pid_tgid(call: &mut Call<'_>) -> Result<u64, Trap> {
    let size = u64::from(call.arg32(4));
    let (pid, tgid) = (call.sim.process.pid, call.sim.process.tgid);
    let buf = call.bytes_mut(3, size)?;
    let Some(to) = buf.first_chunk_mut::<8>().filter(|_| size == 8) else {
        buf.fill(0);
        return Ok(status(Err(Errno::INVAL)));
    };
    let (a, b) = to.split_at_mut(4);
    a.copy_from_slice(&pid.to_le_bytes());
    b.copy_from_slice(&tgid.to_le_bytes());
    Ok(0)
}

fn classid(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(call.sim.process.classid.into())
}
