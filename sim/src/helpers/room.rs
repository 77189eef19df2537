//! Helpers that make a packet longer or shorter: tail, head, tunnels, protocols, VLAN tags.

use super::call::{Call, status};
use super::skb::{clear_hash, run};
use crate::errno::Errno;
use crate::hooks::fields::sk_buff;
use crate::hooks::{
    ETH_HLEN, ETH_P_802_2, ETH_P_802_3, ETH_P_802_3_MIN, ETH_P_IP, ETH_P_IPV6, Run, SkbRun,
};
use crate::sim::Sim;
use crate::trap::Trap;

/// Bytes of a packet at most (`BPF_SKB_MAX_LEN`): four pages without the kernel's own tail.
const MAX_LEN: u64 = 4 * 4096 - 320;
/// Bytes of an IPv4, IPv6, UDP and GRE header, and of a VLAN tag.
const IPV4: u64 = 20;
const IPV6: u64 = 40;
const VLAN: u64 = 4;
/// Ethernet types of VLAN tags.
const ETH_P_8021Q: u16 = 0x8100;
const ETH_P_8021AD: u16 = 0x88a8;

/// The packet's protocol, in host order.
fn protocol(sim: &Sim) -> u16 {
    (sim.mem.peek_le::<4>(sim.ctx + sk_buff::PROTOCOL) as u16).swap_bytes()
}

fn set_protocol(sim: &mut Sim, protocol: u16) {
    let at = sim.ctx + sk_buff::PROTOCOL;
    sim.mem.poke_le::<4>(at, protocol.swap_bytes().into());
}

pub(super) fn is_ip(sim: &Sim) -> bool {
    matches!(protocol(sim), ETH_P_IP | ETH_P_IPV6)
}

/// Changes the packet, then makes its new bounds known.
fn change(
    call: &mut Call<'_>,
    how: impl FnOnce(&mut Sim, &mut SkbRun) -> Result<(), Errno>,
) -> Result<u64, Trap> {
    run(call)?;
    let Run::Skb(mut run) = std::mem::take(&mut call.sim.run) else {
        return Ok(0);
    };
    let done = how(call.sim, &mut run);
    call.sim.set_skb(run);
    Ok(status(done))
}

/// Makes room for `len` zero bytes behind the first `off`, by moving what is before them down.
fn push(sim: &mut Sim, run: &mut SkbRun, off: u64, len: u64) -> Result<(), Errno> {
    if run.data - len < sim.room.base() {
        return Err(Errno::NOMEM);
    }
    sim.mem.copy(run.data, run.data - len, off);
    run.data -= len;
    sim.mem.fill(run.data + off, len, 0);
    Ok(())
}

/// Takes out `len` bytes behind the first `off`.
fn pop(sim: &mut Sim, run: &mut SkbRun, off: u64, len: u64) -> Result<(), Errno> {
    if off + len > run.len() {
        return Err(Errno::NOMEM);
    }
    sim.mem.copy(run.data, run.data + len, off);
    run.data += len;
    Ok(())
}

/// The same, with the headers before the place moving along (`bpf_skb_net_hdr_push`).
fn net_push(sim: &mut Sim, run: &mut SkbRun, off: u64, len: u64) -> Result<(), Errno> {
    push(sim, run, off, len)?;
    (run.mac, run.net) = (run.mac - len, run.net - len);
    Ok(())
}

fn net_pop(sim: &mut Sim, run: &mut SkbRun, off: u64, len: u64) -> Result<(), Errno> {
    pop(sim, run, off, len)?;
    (run.mac, run.net) = (run.mac + len, run.net + len);
    Ok(())
}

pub(super) fn change_tail(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (new, flags) = (u64::from(call.arg32(2)), call.arg(3));
    change(call, |sim, run| {
        let least = run.net.saturating_sub(run.data);
        if flags != 0 || new > MAX_LEN || new < least {
            return Err(Errno::INVAL);
        }
        if run.encap {
            return Err(Errno::NOTSUPP);
        }
        let end = run.data + new;
        if end > sim.room.limit() {
            return Err(Errno::NOMEM);
        }
        if end > run.end {
            sim.mem.fill(run.end, end - run.end, 0);
        }
        run.end = end;
        Ok(())
    })
}

pub(super) fn change_head(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (room, flags) = (call.arg32(2), call.arg(3));
    change(call, |sim, run| {
        if flags != 0 || (room as i32) < 0 || run.len() + u64::from(room) > MAX_LEN {
            return Err(Errno::INVAL);
        }
        push(sim, run, 0, room.into())?;
        run.mac = run.data;
        Ok(())
    })
}

pub(super) fn change_proto(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (to, flags) = ((call.arg32(2) as u16).swap_bytes(), call.arg(3));
    run(call)?;
    if flags != 0 {
        return Ok(Errno::INVAL.as_ret());
    }
    change(call, |sim, run| {
        let off = run.net - run.mac;
        match (protocol(sim), to) {
            (ETH_P_IP, ETH_P_IPV6) => net_push(sim, run, off, IPV6 - IPV4)?,
            (ETH_P_IPV6, ETH_P_IP) => net_pop(sim, run, off, IPV6 - IPV4)?,
            _ => return Err(Errno::NOTSUPP),
        }
        set_protocol(sim, to);
        clear_hash(sim);
        Ok(())
    })
}

/// Flags of `bpf_skb_adjust_room`.
mod adj {
    pub(super) const FIXED_GSO: u64 = 1 << 0;
    pub(super) const ENCAP_IPV4: u64 = 1 << 1;
    pub(super) const ENCAP_IPV6: u64 = 1 << 2;
    pub(super) const ENCAP_GRE: u64 = 1 << 3;
    pub(super) const ENCAP_UDP: u64 = 1 << 4;
    pub(super) const NO_CSUM_RESET: u64 = 1 << 5;
    pub(super) const ENCAP_ETH: u64 = 1 << 6;
    pub(super) const DECAP_IPV4: u64 = 1 << 7;
    pub(super) const DECAP_IPV6: u64 = 1 << 8;
    pub(super) const ENCAP_L3: u64 = ENCAP_IPV4 | ENCAP_IPV6;
    pub(super) const DECAP: u64 = DECAP_IPV4 | DECAP_IPV6;
    pub(super) const INNER_MAC_SHIFT: u64 = 56;
    pub(super) const ALL: u64 = FIXED_GSO
        | ENCAP_L3
        | ENCAP_GRE
        | ENCAP_UDP
        | NO_CSUM_RESET
        | ENCAP_ETH
        | DECAP
        | 0xff << INNER_MAC_SHIFT;
}

fn net_header(protocol: u16) -> u64 {
    if protocol == ETH_P_IP { IPV4 } else { IPV6 }
}

pub(super) fn adjust_room(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (diff, mode, flags) = (call.arg32(2) as i32, call.arg32(3), call.arg(4));
    change(call, |sim, run| {
        if flags & !adj::ALL != 0 {
            return Err(Errno::INVAL);
        }
        let by = u64::from(diff.unsigned_abs());
        if by > 0xfff {
            return Err(Errno::FAULT);
        }
        if !is_ip(sim) {
            return Err(Errno::NOTSUPP);
        }
        let header = net_header(protocol(sim));
        let off = match mode {
            0 => run.net - run.mac + header,
            1 => run.net - run.mac,
            _ => return Err(Errno::NOTSUPP),
        };
        let mut least = header;
        if flags & adj::DECAP != 0 {
            least = match flags & adj::DECAP {
                adj::DECAP_IPV4 if diff < 0 => IPV4,
                adj::DECAP_IPV6 if diff < 0 => IPV6,
                _ => return Err(Errno::INVAL),
            };
        }
        let have = run.end.saturating_sub(run.net);
        let too_short = diff < 0 && (by >= have || have - by < least);
        if too_short || diff >= 0 && run.len() + by > MAX_LEN {
            return Err(Errno::NOTSUPP);
        }
        if diff < 0 {
            shrink(sim, run, off, by, flags)
        } else {
            grow(sim, run, off, by, flags)
        }
    })
}

fn shrink(sim: &mut Sim, run: &mut SkbRun, off: u64, by: u64, flags: u64) -> Result<(), Errno> {
    if flags & !(adj::DECAP | adj::FIXED_GSO | adj::NO_CSUM_RESET) != 0 {
        return Err(Errno::INVAL);
    }
    net_pop(sim, run, off, by)?;
    match flags & adj::DECAP {
        adj::DECAP_IPV4 => set_protocol(sim, ETH_P_IP),
        adj::DECAP_IPV6 => set_protocol(sim, ETH_P_IPV6),
        _ => {}
    }
    Ok(())
}

fn grow(sim: &mut Sim, run: &mut SkbRun, off: u64, by: u64, flags: u64) -> Result<(), Errno> {
    let inner_mac = flags >> adj::INNER_MAC_SHIFT;
    let encap = flags & adj::ENCAP_L3;
    let mac_len = run.net - run.mac;
    if encap != 0 {
        let both = |bits| flags & bits == bits;
        if both(adj::ENCAP_L3)
            || both(adj::ENCAP_GRE | adj::ENCAP_UDP)
            || flags & adj::ENCAP_ETH != 0 && inner_mac < ETH_HLEN
        {
            return Err(Errno::INVAL);
        }
        if run.encap {
            return Err(Errno::ALREADY);
        }
        if inner_mac > by {
            return Err(Errno::INVAL);
        }
    }
    net_push(sim, run, off, by)?;
    if encap != 0 {
        run.encap = true;
        run.net = run.data + mac_len;
        let outer = if encap == adj::ENCAP_IPV6 {
            ETH_P_IPV6
        } else {
            ETH_P_IP
        };
        set_protocol(sim, outer);
    }
    Ok(())
}

/// The VLAN tag beside the packet, if there is one: its type and content.
fn tag(sim: &Sim) -> Option<(u16, u16)> {
    let field = |off| sim.mem.peek_le::<4>(sim.ctx + off) as u16;
    let present = field(sk_buff::VLAN_PRESENT) != 0;
    present.then(|| {
        (
            field(sk_buff::VLAN_PROTO).swap_bytes(),
            field(sk_buff::VLAN_TCI),
        )
    })
}

fn set_tag(sim: &mut Sim, tag: Option<(u16, u16)>) {
    let (proto, tci) = tag.unwrap_or_default();
    for (field, value) in [
        (sk_buff::VLAN_PRESENT, u16::from(tag.is_some())),
        (sk_buff::VLAN_PROTO, proto.swap_bytes()),
        (sk_buff::VLAN_TCI, tci),
    ] {
        sim.mem.poke_le::<4>(sim.ctx + field, value.into());
    }
}

/// The new tag stands beside the packet; one that stood there moves into it.
pub(super) fn vlan_push(call: &mut Call<'_>) -> Result<u64, Trap> {
    let proto = (call.arg32(2) as u16).swap_bytes();
    let tci = call.arg32(3) as u16;
    let proto = if proto == ETH_P_8021AD {
        proto
    } else {
        ETH_P_8021Q
    };
    change(call, |sim, run| {
        if let Some((old_proto, old_tci)) = tag(sim) {
            let to_data = run.data - run.mac;
            run.data = run.mac;
            let moved = push(sim, run, 12, VLAN);
            if moved.is_ok() {
                (run.mac, run.net) = (run.data, run.net - VLAN);
                let be = [old_proto.to_be_bytes(), old_tci.to_be_bytes()].concat();
                sim.mem.poke(run.data + 12, &be);
                set_protocol(sim, old_proto);
            }
            run.data += to_data;
            moved?;
        }
        set_tag(sim, Some((proto, tci)));
        Ok(())
    })
}

/// The tag beside the packet goes, and the next one comes out of the packet.
pub(super) fn vlan_pop(call: &mut Call<'_>) -> Result<u64, Trap> {
    change(call, |sim, run| {
        if tag(sim).is_some() {
            set_tag(sim, None);
        } else if is_vlan(protocol(sim)) {
            take_tag(sim, run)?;
        } else {
            return Ok(());
        }
        let proto = protocol(sim);
        if is_vlan(proto) {
            let tci = take_tag(sim, run)?;
            set_tag(sim, Some((proto, tci)));
        }
        Ok(())
    })
}

fn is_vlan(protocol: u16) -> bool {
    matches!(protocol, ETH_P_8021Q | ETH_P_8021AD)
}

/// Takes the outermost tag out of the packet and gives its content (`__skb_vlan_pop`).
fn take_tag(sim: &mut Sim, run: &mut SkbRun) -> Result<u16, Errno> {
    if run.end - run.mac < ETH_HLEN + VLAN {
        return Err(Errno::NOMEM);
    }
    let header = |off| (sim.mem.peek_le::<2>(run.mac + off) as u16).swap_bytes();
    let (tci, inner, payload) = (header(14), header(16), header(18));
    let to_data = run.data - run.mac;
    run.data = run.mac;
    pop(sim, run, 12, VLAN)?;
    run.mac = run.data;
    run.data += to_data;
    run.net = run.net.max(run.mac + ETH_HLEN);
    // Below the smallest type it is a length, and the packet IEEE 802.2 or Novell's.
    let inner = match (inner, payload) {
        (ETH_P_802_3_MIN.., _) => inner,
        (_, 0xffff) => ETH_P_802_3,
        _ => ETH_P_802_2,
    };
    set_protocol(sim, inner);
    Ok(tci)
}
