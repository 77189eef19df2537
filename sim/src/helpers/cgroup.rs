//! Control groups: there is the root and one below it, in which the process and its sockets are.

use super::Row;
use super::call::Call;
use crate::errno::Errno;
use crate::maps::Kind;
use crate::trap::Trap;

pub(super) const HELPERS: &[Row] = &[
    ("bpf_current_task_under_cgroup", task_under),
    ("bpf_skb_under_cgroup", packet_under),
    ("bpf_skb_ancestor_cgroup_id", ancestor_of_second),
    ("bpf_sk_cgroup_id", own),
    ("bpf_sk_ancestor_cgroup_id", ancestor_of_second),
];

/// The root's id.
const ROOT: u64 = 1;

/// Whether the group in a map's entry is the process's own or the root.
fn under(call: &Call<'_>, map: usize, index: u32) -> Result<u64, Trap> {
    let Kind::Refs(refs) = &call.map(map)?.kind else {
        return Err(call.not_for_map(map));
    };
    if index >= refs.entries() {
        return Ok(Errno::TOOBIG.as_ret());
    }
    Ok(match refs.at(index).map(u64::from) {
        Some(id) => (id == ROOT || id == call.sim.process.cgroup_id).into(),
        None => Errno::AGAIN.as_ret(),
    })
}

fn task_under(call: &mut Call<'_>) -> Result<u64, Trap> {
    under(call, 1, call.arg32(2))
}

fn packet_under(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.expect_ctx(1)?;
    under(call, 2, call.arg32(3))
}

/// Packets and sockets of a test run belong to no control group that has an id.
fn own(_: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(0)
}

fn ancestor_of_second(_: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(0)
}
