//! Stack traces. The stacks are those that the process was given ([`crate::Process`]).

use super::Row;
use super::call::{Call, ret};
use crate::errno::Errno;
use crate::maps::Kind;
use crate::trap::Trap;

pub(super) const HELPERS: &[Row] = &[
    ("bpf_get_stackid", get_stackid),
    ("bpf_get_stack", get_stack),
    ("bpf_get_task_stack", get_stack),
];

/// How many of the innermost addresses are left out.
const SKIP: u64 = 0xff;
/// `BPF_F_USER_STACK`, `BPF_F_FAST_STACK_CMP`, `BPF_F_REUSE_STACKID`.
const USER: u64 = 1 << 8;
const SAME_HASH: u64 = 1 << 9;
const REPLACE: u64 = 1 << 10;

/// The wanted stack without what is to be skipped; `None` if more is to be skipped than there is.
fn trace<'a>(call: &'a Call<'_>, flags: u64) -> Option<&'a [u64]> {
    let process = &call.sim.process;
    let stack = if flags & USER != 0 {
        &process.user_stack
    } else {
        &process.kernel_stack
    };
    stack.get((flags & SKIP) as usize..)
}

fn get_stackid(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (id, flags) = (call.map_id(2)?, call.arg(3));
    if flags & !(SKIP | USER | SAME_HASH | REPLACE) != 0 {
        return Ok(Errno::INVAL.as_ret());
    }
    let Some(trace) = trace(call, flags).filter(|trace| !trace.is_empty()) else {
        return Ok(Errno::FAULT.as_ret());
    };
    let trace = trace.to_vec();
    let (same_hash, replace) = (flags & SAME_HASH != 0, flags & REPLACE != 0);
    match call.sim.maps.get_mut(id).map(|map| &mut map.kind) {
        Some(Kind::Stacks(stacks)) => Ok(ret(stacks
            .insert(&trace, same_hash, replace)
            .map(u64::from))),
        _ => Err(call.not_for_map(2)),
    }
}

fn get_stack(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (size, flags) = (u64::from(call.arg32(3)), call.arg(4));
    call.bytes_mut(2, size)?.fill(0);
    if flags & !(SKIP | USER) != 0 || !size.is_multiple_of(8) {
        return Ok(Errno::INVAL.as_ret());
    }
    let Some(trace) = trace(call, flags) else {
        return Ok(Errno::FAULT.as_ret());
    };
    let words = trace.iter().take((size / 8) as usize);
    let bytes: Vec<u8> = words.flat_map(|ip| ip.to_le_bytes()).collect();
    let to = call.arg(2);
    call.sim.mem.poke(to, &bytes);
    Ok(bytes.len() as u64)
}
