//! Perf events: records for user space.

use super::Row;
use super::call::{Call, status};
use crate::errno::Errno;
use crate::hooks::Run;
use crate::maps::Kind;
use crate::sim::PerfRecord;
use crate::trap::Trap;
use skep_spec::MapType;

pub(super) const HELPERS: &[Row] = &[("bpf_perf_event_output", output)];

/// `BPF_F_INDEX_MASK`; as an index it means the current CPU.
const INDEX_MASK: u64 = 0xffff_ffff;
/// `BPF_F_CTXLEN_MASK`: how much of the packet follows the data.
const CTXLEN_MASK: u64 = 0xf_ffff << 32;

fn output(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (flags, size) = (call.arg(3), call.arg(5));
    let data = call.bytes(4, size)?.to_vec();
    let map = call.map(2)?;
    let id = map.id();
    let Kind::Refs(refs) = &map.kind else {
        return Err(call.not_for_map(2));
    };
    if refs.ty() != MapType::PerfEventArray {
        return Err(call.not_for_map(2));
    }
    let index = match flags & INDEX_MASK {
        INDEX_MASK => call.sim.cpu.into(),
        index => index,
    };
    let listens = u32::try_from(index).ok().and_then(|i| refs.at(i)).is_some();
    let in_range = index < refs.entries().into();
    let extra = match packet_part(call, flags) {
        Ok(extra) => extra,
        Err(errno) => return Ok(errno.as_ret()),
    };
    let sent = match (in_range, listens, index == u64::from(call.sim.cpu)) {
        (false, ..) => Err(Errno::TOOBIG),
        (true, false, _) => Err(Errno::NOENT),
        (true, true, false) => Err(Errno::OPNOTSUPP),
        (true, true, true) => Ok(()),
    };
    if sent.is_ok() && call.sim.may_output(data.len() + extra.len()) {
        let mut data = data;
        data.extend_from_slice(&extra);
        call.sim.output.perf.push(PerfRecord {
            map: id,
            index: index as u32,
            data,
        });
    }
    Ok(status(sent))
}

/// The bytes of the packet that the flags ask for.
fn packet_part(call: &Call<'_>, flags: u64) -> Result<Vec<u8>, Errno> {
    let wanted = (flags & CTXLEN_MASK) >> 32;
    let (start, end, frags): (u64, u64, &[u8]) = match &call.sim.run {
        Run::Xdp(run) => (run.data, run.end, &run.frags),
        Run::Skb(run) => (run.data, run.end, &[]),
        Run::Idle | Run::Table(_) | Run::Raw(_) if wanted == 0 => (0, 0, &[]),
        Run::Idle | Run::Table(_) | Run::Raw(_) => return Err(Errno::INVAL),
    };
    if flags & !(CTXLEN_MASK | INDEX_MASK) != 0 {
        return Err(Errno::INVAL);
    }
    let linear = end - start;
    if wanted > linear + frags.len() as u64 {
        return Err(Errno::FAULT);
    }
    let mut part = call.sim.mem.peek(start, wanted.min(linear)).to_vec();
    let rest = wanted.saturating_sub(linear) as usize;
    part.extend_from_slice(frags.get(..rest).unwrap_or_default());
    Ok(part)
}
