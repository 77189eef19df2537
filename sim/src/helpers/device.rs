//! What programs leave with a packet's tunnel, and keys that infrared receivers report.

use super::Row;
use super::call::Call;
use crate::errno::Errno;
use crate::fault::Access;
use crate::trap::Trap;

pub(super) const HELPERS: &[Row] = &[
    ("bpf_skb_set_tunnel_key", set_key),
    ("bpf_skb_get_tunnel_key", get_key),
    ("bpf_skb_set_tunnel_opt", set_options),
    ("bpf_skb_get_tunnel_opt", get_options),
    ("bpf_skb_get_xfrm_state", no_state),
    ("bpf_rc_keydown", key_down),
    ("bpf_rc_repeat", repeat),
    ("bpf_rc_pointer_rel", pointer),
    ("bpf_perf_event_read", counter),
    ("bpf_perf_event_read_value", counter_value),
    ("bpf_perf_prog_read_value", counter_value_of_program),
];

/// Bytes of `struct bpf_tunnel_key`, and of the forms of it that older programs have.
const KEY: u64 = 44;
const SHORTER: [u64; 3] = [8, 26, 28];
/// `BPF_F_TUNINFO_IPV6`.
const IPV6: u64 = 1;
/// `BPF_F_TUNINFO_FLAGS`.
const TUNINFO_FLAGS: u64 = 16;
/// Bytes of options at most (`IP_TUNNEL_OPTS_MAX`).
const MAX_OPTIONS: u64 = 255;

/// The tunnel that a program gave its packet.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Tunnel {
    key: Vec<u8>,
    ipv6: bool,
    options: Vec<u8>,
}

fn set_key(call: &mut Call<'_>) -> Result<u64, Trap> {
    /// `BPF_F_ZERO_CSUM_TX`, `_DONT_FRAGMENT`, `_SEQ_NUMBER`, `_NO_TUNNEL_KEY`.
    const FLAGS: u64 = 2 | 4 | 8 | 16;
    call.expect_ctx(1)?;
    let (size, flags) = (u64::from(call.arg32(3)), call.arg(4));
    let mut key = call.bytes(2, size)?.to_vec();
    if flags & !(IPV6 | FLAGS) != 0 || size != KEY && !SHORTER.contains(&size) {
        return Ok(Errno::INVAL.as_ret());
    }
    key.resize(KEY as usize, 0);
    let tunnel = Tunnel {
        key,
        ipv6: flags & IPV6 != 0,
        options: Vec::new(),
    };
    call.sim.tunnel = Some(tunnel);
    Ok(0)
}

fn get_key(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.expect_ctx(1)?;
    let (to, size, flags) = (call.arg(2), u64::from(call.arg32(3)), call.arg(4));
    call.bytes_mut(2, size)?.fill(0);
    let tunnel = call.sim.tunnel.clone();
    let Some(tunnel) = tunnel.filter(|_| flags & !(IPV6 | TUNINFO_FLAGS) == 0) else {
        return Ok(Errno::INVAL.as_ret());
    };
    if tunnel.ipv6 != (flags & IPV6 != 0) {
        return Ok(Errno::PROTO.as_ret());
    }
    if size != KEY && !SHORTER.contains(&size) {
        return Ok(Errno::INVAL.as_ret());
    }
    let part = tunnel.key.get(..size as usize).unwrap_or_default();
    call.sim.mem.poke(to, part);
    Ok(0)
}

fn set_options(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.expect_ctx(1)?;
    let size = u64::from(call.arg32(3));
    let options = call.bytes(2, size)?.to_vec();
    let Some(tunnel) = call.sim.tunnel.as_mut().filter(|_| size % 4 == 0) else {
        return Ok(Errno::INVAL.as_ret());
    };
    if size > MAX_OPTIONS {
        return Ok(Errno::NOMEM.as_ret());
    }
    tunnel.options = options;
    Ok(0)
}

/// How many bytes of options there are, which must fit.
fn get_options(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.expect_ctx(1)?;
    let (to, size) = (call.arg(2), u64::from(call.arg32(3)));
    call.bytes_mut(2, size)?.fill(0);
    let options = call.sim.tunnel.clone().unwrap_or_default().options;
    if options.is_empty() {
        return Ok(Errno::NOENT.as_ret());
    }
    if size < options.len() as u64 {
        return Ok(Errno::NOMEM.as_ret());
    }
    call.sim.mem.poke(to, &options);
    Ok(options.len() as u64)
}

/// Packets came by no encrypted way.
fn no_state(call: &mut Call<'_>) -> Result<u64, Trap> {
    let size = u64::from(call.arg32(4));
    call.bytes_mut(3, size)?.fill(0);
    Ok(Errno::INVAL.as_ret())
}

fn note(call: &mut Call<'_>, what: String) -> Result<u64, Trap> {
    call.expect_ctx(1)?;
    if call.sim.may_output(what.len()) {
        call.sim.output.keys.push(what);
    }
    Ok(0)
}

fn key_down(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (protocol, code, toggle) = (call.arg32(2), call.arg(3), call.arg32(4));
    let what = format!(
        "key {code:#x} of protocol {protocol}, toggle {}",
        toggle & 1
    );
    note(call, what)
}

fn repeat(call: &mut Call<'_>) -> Result<u64, Trap> {
    note(call, "repeat".to_owned())
}

fn pointer(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (x, y) = (call.arg32(2) as i32, call.arg32(3) as i32);
    note(call, format!("pointer moved by {x}, {y}"))
}

/// Performance counters stand still.
fn counter(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.map(1)?;
    Ok(0)
}

/// Bytes of `struct bpf_perf_event_value`.
const VALUE: u64 = 24;

fn zero_value(call: &mut Call<'_>, at: usize, size: u64) -> Result<u64, Trap> {
    call.sim.mem.check(call.arg(at), size, Access::Write)?;
    call.bytes_mut(at, size)?.fill(0);
    Ok(if size == VALUE {
        0
    } else {
        Errno::INVAL.as_ret()
    })
}

fn counter_value(call: &mut Call<'_>) -> Result<u64, Trap> {
    let size = u64::from(call.arg32(4));
    zero_value(call, 3, size)
}

fn counter_value_of_program(call: &mut Call<'_>) -> Result<u64, Trap> {
    let size = u64::from(call.arg32(3));
    zero_value(call, 2, size)
}
