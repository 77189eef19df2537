//! Options of sockets, and the hooks of sockets and sysctls on control groups.
//!
//! Options are bytes under their level and number; one that was never set reads as zeros. Which exist
//! is the kernel's list of what programs may touch.

use skep_spec::tables::sockopts;

use super::Row;
use super::call::{Call, status};
use crate::errno::Errno;
use crate::hooks::fields::sock_ops;
use crate::trap::Trap;

pub(super) const HELPERS: &[Row] = &[
    ("bpf_setsockopt", setsockopt),
    ("bpf_getsockopt", getsockopt),
    ("bpf_bind", bind),
    ("bpf_sock_ops_cb_flags_set", cb_flags_set),
    ("bpf_sysctl_get_name", sysctl_name),
    ("bpf_sysctl_get_current_value", sysctl_current),
    ("bpf_sysctl_get_new_value", sysctl_new),
    ("bpf_sysctl_set_new_value", sysctl_set),
];

fn known(level: u32, name: u32, write: bool) -> Option<u32> {
    let row = sockopts::of(level, name)?;
    (!write || row.writable).then_some(row.size)
}

fn setsockopt(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (level, name, len) = (call.arg32(2), call.arg32(3), u64::from(call.arg32(5)));
    let value = call.bytes(4, len)?.to_vec();
    let set = match known(level, name, true) {
        // An option of no fixed size is text.
        Some(0) if !value.is_empty() => Ok(()),
        Some(size) if size != 0 && len == u64::from(size) => Ok(()),
        Some(_) | None => Err(Errno::INVAL),
    };
    if set.is_ok() {
        call.sim.sockopts.insert((level, name), value);
    }
    Ok(status(set))
}

fn getsockopt(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (level, name, len) = (call.arg32(2), call.arg32(3), u64::from(call.arg32(5)));
    let stored = call.sim.sockopts.get(&(level, name)).cloned();
    let size = known(level, name, false);
    let buf = call.bytes_mut(4, len)?;
    buf.fill(0);
    let fits = match size {
        Some(0) => !buf.is_empty(),
        Some(size) => len == u64::from(size),
        None => false,
    };
    if !fits {
        return Ok(Errno::INVAL.as_ret());
    }
    for (to, from) in buf.iter_mut().zip(stored.unwrap_or_default()) {
        *to = from;
    }
    Ok(0)
}

/// Binds nothing: says whether the address is one.
fn bind(call: &mut Call<'_>) -> Result<u64, Trap> {
    const AF_INET: u64 = 2;
    const AF_INET6: u64 = 10;
    /// Bytes of an address of either family (`SIN6_LEN_RFC2133` is what the kernel asks for).
    const INET: u64 = 16;
    const INET6: u64 = 24;
    let len = u64::from(call.arg32(3));
    call.bytes(2, len)?;
    let family = call.sim.mem.peek_le::<2>(call.arg(2));
    Ok(status(match family {
        _ if len < 2 => Err(Errno::INVAL),
        AF_INET if len < INET => Err(Errno::INVAL),
        AF_INET6 if len < INET6 => Err(Errno::INVAL),
        AF_INET | AF_INET6 => Ok(()),
        _ => Err(Errno::AFNOSUPPORT),
    }))
}

fn cb_flags_set(call: &mut Call<'_>) -> Result<u64, Trap> {
    /// `BPF_SOCK_OPS_ALL_CB_FLAGS`.
    const ALL: u64 = 0x7f;
    call.expect_ctx(1)?;
    let flags = u64::from(call.arg32(2));
    let at = call.sim.ctx + sock_ops::CB_FLAGS;
    call.sim.mem.poke_le::<4>(at, flags & ALL);
    Ok(flags & !ALL)
}

/// Copies text with its end, cut off if there is too little room: its length, or `E2BIG`.
fn copy_text(call: &mut Call<'_>, text: &[u8]) -> Result<u64, Trap> {
    let len = u64::from(call.arg32(3));
    let buf = call.bytes_mut(2, len)?;
    buf.fill(0);
    let Some(room) = buf.len().checked_sub(1) else {
        return Ok(Errno::INVAL.as_ret());
    };
    for (to, from) in buf.iter_mut().take(room).zip(text) {
        *to = *from;
    }
    Ok(if text.len() > room {
        Errno::TOOBIG.as_ret()
    } else {
        text.len() as u64
    })
}

fn sysctl_name(call: &mut Call<'_>) -> Result<u64, Trap> {
    /// `BPF_F_SYSCTL_BASE_NAME`.
    const BASE_NAME: u64 = 1;
    call.expect_ctx(1)?;
    let flags = call.arg(4);
    if flags & !BASE_NAME != 0 {
        return Ok(Errno::INVAL.as_ret());
    }
    let name = call.sim.sysctl.name.clone();
    let name = match name.rsplit_once('/') {
        Some((_, base)) if flags & BASE_NAME != 0 => base,
        _ => &name,
    };
    copy_text(call, name.as_bytes())
}

fn sysctl_current(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.expect_ctx(1)?;
    let value = call.sim.sysctl.current.clone();
    copy_text(call, value.as_bytes())
}

fn sysctl_new(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.expect_ctx(1)?;
    match call.sim.sysctl.new.clone() {
        Some(value) => copy_text(call, value.as_bytes()),
        None => {
            let len = u64::from(call.arg32(3));
            call.bytes_mut(2, len)?.fill(0);
            Ok(Errno::INVAL.as_ret())
        }
    }
}

fn sysctl_set(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.expect_ctx(1)?;
    let len = u64::from(call.arg32(3));
    let text = String::from_utf8_lossy(call.bytes(2, len)?).into_owned();
    if call.sim.sysctl.new.is_none() || text.is_empty() {
        return Ok(Errno::INVAL.as_ret());
    }
    call.sim.sysctl.new = Some(text.trim_end_matches('\0').to_owned());
    Ok(0)
}
