//! What packets of both kinds share: the size check against a device.

use super::call::Call;
use crate::errno::Errno;
use crate::fault::Access;
use crate::trap::Trap;

/// Largest packet of the only device, and the length of its link-layer header.
const MTU: i64 = 65536;
const LINK_HEADER: i64 = 14;
/// The loopback device.
const LOOPBACK: u32 = 1;
/// `BPF_MTU_CHK_RET_FRAG_NEEDED`.
const FRAG_NEEDED: u64 = 1;

/// `bpf_check_mtu` for a packet of that length; `flags` are those that it may have.
pub(super) fn check_mtu(call: &mut Call<'_>, len: u64, flags: u64) -> Result<u64, Trap> {
    let (ifindex, mtu_len, diff) = (call.arg32(2), call.arg(3), call.arg32(4) as i32);
    call.sim.mem.check(mtu_len, 4, Access::Atomic)?;
    if call.arg(5) & !flags != 0 {
        return Ok(Errno::INVAL.as_ret());
    }
    let given = call.sim.mem.peek_le::<4>(mtu_len) as i64;
    if call.arg(5) != 0 && (diff != 0 || given != 0) {
        return Ok(Errno::INVAL.as_ret());
    }
    if ifindex > LOOPBACK {
        return Ok(Errno::NODEV.as_ret());
    }
    let len = if given != 0 {
        given + LINK_HEADER
    } else {
        len as i64
    };
    let fits = len + i64::from(diff) <= MTU + LINK_HEADER;
    call.sim.mem.poke_le::<4>(mtu_len, MTU as u64);
    Ok(if fits { 0 } else { FRAG_NEEDED })
}
