//! What packets of both kinds share: questions about devices and routes.

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

/// `bpf_fib_lookup`: devices forward nothing, so the answer is always that forwarding is off
/// (`BPF_FIB_LKUP_RET_FWD_DISABLED`), once the question is one that the kernel would take.
pub(super) fn fib_lookup(call: &mut Call<'_>) -> Result<u64, Trap> {
    /// Bytes of `struct bpf_fib_lookup`, its flags, and where it holds the device.
    const PARAMS: u64 = 64;
    const FLAGS: u64 = 0x3f;
    const IFINDEX: u64 = 8;
    const AF_INET: u64 = 2;
    const AF_INET6: u64 = 10;
    const FORWARDING_OFF: u64 = 5;
    call.expect_ctx(1)?;
    let (params, len, flags) = (
        call.arg(2),
        u64::from(call.arg32(3)),
        u64::from(call.arg32(4)),
    );
    // The helper itself reads what programs may only write.
    call.sim.mem.check(params, len, Access::Write)?;
    let family = call.sim.mem.peek_le::<1>(params);
    let ifindex = call.sim.mem.peek_le::<4>(params + IFINDEX);
    Ok(if len < PARAMS || flags & !FLAGS != 0 {
        Errno::INVAL.as_ret()
    } else if !matches!(family, AF_INET | AF_INET6) {
        Errno::AFNOSUPPORT.as_ret()
    } else if ifindex == 0 {
        Errno::NODEV.as_ret()
    } else {
        FORWARDING_OFF
    })
}

/// `bpf_check_mtu` for a packet of that length; `flags` are those that it may have.
pub(super) fn check_mtu(call: &mut Call<'_>, len: u64, flags: u64) -> Result<u64, Trap> {
    let (ifindex, mtu_len, diff) = (call.arg32(2), call.arg(3), call.arg32(4) as i32);
    call.sim.mem.check(mtu_len, 4, Access::Write)?;
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
