//! Redirection of packets. Nothing leaves: what was asked for is recorded.

use skep_spec::MapType;

use super::Row;
use super::call::Call;
use crate::hooks::Run;
use crate::maps::Kind;
use crate::sim::Redirect;
use crate::trap::Trap;

pub(super) const HELPERS: &[Row] = &[
    ("bpf_redirect", redirect),
    ("bpf_redirect_map", redirect_map),
    ("bpf_redirect_peer", redirect_peer),
    ("bpf_redirect_neigh", redirect_neigh),
];

/// Actions of traffic control and XDP.
const TC_ACT_SHOT: u64 = 2;
const TC_ACT_REDIRECT: u64 = 7;
const XDP_ABORTED: u64 = 0;
const XDP_REDIRECT: u64 = 4;
/// The bits of the flags that are an action to return where there is no target.
const ACTION_MASK: u64 = 3;
/// `BPF_F_BROADCAST` and `BPF_F_EXCLUDE_INGRESS`.
const BROADCAST: u64 = 8;
const EXCLUDE_INGRESS: u64 = 16;
/// `BPF_F_INGRESS`.
const INGRESS: u64 = 1;
/// Bytes of `struct bpf_redir_neigh`.
const NEIGHBOUR: u64 = 20;

fn redirect(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (ifindex, flags) = (call.arg32(1), call.arg(2));
    let is_xdp = matches!(call.sim.run, Run::Xdp(_));
    let (allowed, refused, done) = if is_xdp {
        (0, XDP_ABORTED, XDP_REDIRECT)
    } else {
        (INGRESS, TC_ACT_SHOT, TC_ACT_REDIRECT)
    };
    if flags & !allowed != 0 {
        return Ok(refused);
    }
    call.sim.output.redirect = Some(Redirect::Device { ifindex, flags });
    Ok(done)
}

fn redirect_peer(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (ifindex, flags) = (call.arg32(1), call.arg(2));
    if flags != 0 {
        return Ok(TC_ACT_SHOT);
    }
    call.sim.output.redirect = Some(Redirect::Peer { ifindex });
    Ok(TC_ACT_REDIRECT)
}

fn redirect_neigh(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (ifindex, len, flags) = (call.arg32(1), u64::from(call.arg32(3)), call.arg(4));
    call.bytes(2, len)?;
    if len != 0 && len < NEIGHBOUR || flags != 0 {
        return Ok(TC_ACT_SHOT);
    }
    call.sim.output.redirect = Some(Redirect::Neighbour { ifindex });
    Ok(TC_ACT_REDIRECT)
}

fn redirect_map(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (index, flags) = (call.arg(2), call.arg(3));
    let map = call.map(1)?;
    let (id, ty) = (map.id(), map.spec().ty);
    let Kind::Sparse(sparse) = &map.kind else {
        return Err(call.not_for_map(1));
    };
    let to_devices = matches!(ty, MapType::Devmap | MapType::DevmapHash);
    let extra = if to_devices {
        BROADCAST | EXCLUDE_INGRESS
    } else {
        0
    };
    if flags & !(ACTION_MASK | extra) != 0 {
        return Ok(XDP_ABORTED);
    }
    // The kernel looks the entry up by the low 32 bits.
    let found = sparse.at(index as u32).is_some();
    if !found && flags & BROADCAST == 0 {
        call.sim.output.redirect = None;
        return Ok(flags & ACTION_MASK);
    }
    call.sim.output.redirect = Some(Redirect::Map {
        map: id,
        index,
        flags,
    });
    Ok(XDP_REDIRECT)
}
