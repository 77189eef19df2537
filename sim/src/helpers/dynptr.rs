//! Dynamic pointers: 16 bytes in the program's stack that say where memory is, of what kind and size.
//!
//! Address (of the data, or of the context for packets), size with the kind above its low 28 bits, and
//! offset, as in the kernel's `struct bpf_dynptr_kern`. A null pointer is all zeros.

use super::call::{Call, ret, status};
use super::{Row, skb, xdp};
use crate::arena::Perm;
use crate::errno::Errno;
use crate::fault::{Access, Owner};
use crate::hooks::{Run, TableRun};
use crate::maps::{Kind, RingState};
use crate::trap::Trap;

pub(super) const HELPERS: &[Row] = &[
    ("bpf_dynptr_from_mem", from_mem),
    ("bpf_dynptr_read", read),
    ("bpf_dynptr_write", write),
    ("bpf_dynptr_data", data),
    ("bpf_ringbuf_reserve_dynptr", reserve),
    ("bpf_ringbuf_submit_dynptr", submit),
    ("bpf_ringbuf_discard_dynptr", discard),
    ("bpf_user_ringbuf_drain", drain),
];

/// Kernel functions on dynamic pointers.
pub(super) const KFUNCS: &[Row] = &[
    ("bpf_dynptr_from_skb", from_packet),
    ("bpf_dynptr_from_xdp", from_packet),
    ("bpf_dynptr_slice", slice),
    ("bpf_dynptr_slice_rdwr", slice_rdwr),
    ("bpf_dynptr_adjust", adjust),
    ("bpf_dynptr_is_null", is_null),
    ("bpf_dynptr_is_rdonly", is_rdonly),
    ("bpf_dynptr_size", size),
    ("bpf_dynptr_clone", clone),
];

/// Bytes of a dynamic pointer.
const LEN: u64 = 16;
/// The size field: bytes, kind, and whether it is read-only.
const SIZE: u64 = (1 << 24) - 1;
const KIND_SHIFT: u64 = 28;
const READ_ONLY: u64 = 1 << 31;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Memory {
    Local = 1,
    Ring = 2,
    Packet = 3,
}

/// A dynamic pointer that is not null.
#[derive(Clone, Copy, Debug)]
struct Dynptr {
    data: u64,
    size: u64,
    off: u64,
    memory: Memory,
    read_only: bool,
}

impl Call<'_> {
    /// The dynamic pointer in argument `n`; `None` if it is null.
    fn dynptr(&self, n: usize) -> Result<Option<Dynptr>, Trap> {
        let at = self.arg(n);
        self.sim.mem.check(at, LEN, Access::Read)?;
        let mem = &self.sim.mem;
        let (data, size, off) = (
            mem.peek_le::<8>(at),
            mem.peek_le::<4>(at + 8),
            mem.peek_le::<4>(at + 12),
        );
        let memory = match (size >> KIND_SHIFT) & 7 {
            1 => Memory::Local,
            2 => Memory::Ring,
            3 => Memory::Packet,
            _ if data == 0 => return Ok(None),
            _ => return Err(self.bad(n, "a dynptr")),
        };
        Ok((data != 0).then_some(Dynptr {
            data,
            size: size & SIZE,
            off,
            memory,
            read_only: size & READ_ONLY != 0,
        }))
    }

    fn set_dynptr(&mut self, at: u64, dynptr: Option<Dynptr>) -> Result<(), Trap> {
        self.sim.mem.check(at, LEN, Access::Write)?;
        let (data, size, off) = dynptr.map_or((0, 0, 0), |d| {
            let read_only = if d.read_only { READ_ONLY } else { 0 };
            (
                d.data,
                d.size | (d.memory as u64) << KIND_SHIFT | read_only,
                d.off,
            )
        });
        self.sim.mem.poke_le::<8>(at, data);
        self.sim.mem.poke_le::<4>(at + 8, size);
        self.sim.mem.poke_le::<4>(at + 12, off);
        Ok(())
    }
}

impl Dynptr {
    /// Where `len` bytes from `off` on begin, if they lie inside.
    fn at(&self, off: u64, len: u64) -> Result<u64, Errno> {
        if len > self.size || off > self.size - len {
            return Err(Errno::TOOBIG);
        }
        Ok(self.off + off)
    }
}

fn from_mem(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (data, size, flags, to) = (
        call.arg(1),
        u64::from(call.arg32(2)),
        call.arg(3),
        call.arg(4),
    );
    call.bytes(1, size)?;
    let made = match (size > SIZE, flags) {
        (true, _) => Err(Errno::TOOBIG),
        (false, 0) => Ok(()),
        (false, _) => Err(Errno::INVAL),
    };
    let local = |()| Dynptr {
        data,
        size,
        off: 0,
        memory: Memory::Local,
        read_only: false,
    };
    call.set_dynptr(to, made.ok().map(local))?;
    Ok(status(made))
}

fn reserve(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (size, flags, to) = (u64::from(call.arg32(2)), call.arg(3), call.arg(4));
    let id = call.map_id(1)?;
    let mem = &mut call.sim.mem;
    let record = match call.sim.maps.get_mut(id).map(|map| &mut map.kind) {
        Some(Kind::Ring(_)) if flags != 0 => Err(Errno::INVAL),
        Some(Kind::Ring(_)) if size > SIZE => Err(Errno::TOOBIG),
        Some(Kind::Ring(ring)) => ring.reserve(mem, size).ok_or(Errno::INVAL),
        _ => return Err(call.not_for_map(1)),
    };
    let ring = |data| Dynptr {
        data,
        size,
        off: 0,
        memory: Memory::Ring,
        read_only: false,
    };
    call.set_dynptr(to, record.ok().map(ring))?;
    Ok(status(record.map(drop)))
}

fn finish(call: &mut Call<'_>, state: RingState) -> Result<u64, Trap> {
    let at = call.arg(1);
    if let Some(dynptr) = call.dynptr(1)? {
        super::ring::finish_record(call, dynptr.data, state)?;
        call.set_dynptr(at, None)?;
    }
    Ok(0)
}

/// Hands the samples of user space to a callback, each by a dynamic pointer, until it wants no more.
fn drain(call: &mut Call<'_>) -> Result<u64, Trap> {
    /// `BPF_RB_NO_WAKEUP` and `BPF_RB_FORCE_WAKEUP`.
    const WAKEUP: u64 = 3;
    /// Samples of one call (`BPF_MAX_USER_RINGBUF_SAMPLES`).
    const MOST: u64 = 128 << 10;
    let (func, data, flags) = (call.arg(2), call.arg(3), call.arg(4));
    let id = call.map_id(1)?;
    if flags & !WAKEUP != 0 {
        return Ok(Errno::INVAL.as_ret());
    }
    let full = Trap::ArenaFull;
    let owner = Owner::Kernel("sample");
    let at = call.sim.mem.alloc(LEN, 8, owner).ok_or(full.clone())?;
    call.sim.mem.allow(at, LEN, Perm::ReadWrite);
    let mut drained = 0;
    while drained < MOST {
        let sample = match call.sim.maps.get_mut(id).map(|map| &mut map.kind) {
            Some(Kind::UserRing(ring)) => ring.take(),
            _ => return Err(call.not_for_map(1)),
        };
        let Some(sample) = sample else { break };
        let (len, mem) = (sample.len() as u64, &mut call.sim.mem);
        let bytes = mem.alloc(len, 8, owner).ok_or(full.clone())?;
        mem.poke(bytes, &sample);
        mem.allow(bytes, len, Perm::Read);
        let dynptr = Dynptr {
            data: bytes,
            size: len,
            off: 0,
            memory: Memory::Local,
            read_only: true,
        };
        call.set_dynptr(at, Some(dynptr))?;
        drained += 1;
        let args = [at, data, 0, 0, 0];
        let stop = call.engine.callback(call.sim, func, args);
        call.sim.mem.retire(bytes);
        if stop? != 0 {
            break;
        }
    }
    call.sim.mem.retire(at);
    Ok(drained)
}

fn submit(call: &mut Call<'_>) -> Result<u64, Trap> {
    finish(call, RingState::Submitted)
}

fn discard(call: &mut Call<'_>) -> Result<u64, Trap> {
    finish(call, RingState::Discarded)
}

/// Calls a packet helper on the dynptr's packet.
fn on_packet(
    call: &mut Call<'_>,
    dynptr: &Dynptr,
    args: [u64; 4],
    helpers: (super::HelperFn, super::HelperFn),
) -> Result<u64, Trap> {
    let [a, b, c, d] = args;
    let helper = if matches!(call.sim.run, Run::Xdp(_)) {
        helpers.1
    } else {
        helpers.0
    };
    helper(&mut Call {
        sim: &mut *call.sim,
        args: [dynptr.data, a, b, c, d],
        name: call.name,
        engine: &mut *call.engine,
    })
}

fn read(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (to, len, off, flags) = (
        call.arg(1),
        u64::from(call.arg32(2)),
        u64::from(call.arg32(4)),
        call.arg(5),
    );
    call.bytes_mut(1, len)?;
    let Some(dynptr) = call.dynptr(3)?.filter(|_| flags == 0) else {
        return Ok(Errno::INVAL.as_ret());
    };
    let at = match dynptr.at(off, len) {
        Ok(at) => at,
        Err(errno) => return Ok(errno.as_ret()),
    };
    if dynptr.memory == Memory::Packet {
        return on_packet(
            call,
            &dynptr,
            [at, to, len, 0],
            (skb::load_bytes, xdp::load_bytes),
        );
    }
    call.sim.mem.check(dynptr.data + at, len, Access::Read)?;
    call.sim.mem.copy(dynptr.data + at, to, len);
    Ok(0)
}

fn write(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (off, from, len, flags) = (
        u64::from(call.arg32(2)),
        call.arg(3),
        u64::from(call.arg32(4)),
        call.arg(5),
    );
    call.bytes(3, len)?;
    let Some(dynptr) = call.dynptr(1)?.filter(|d| !d.read_only) else {
        return Ok(Errno::INVAL.as_ret());
    };
    let at = match dynptr.at(off, len) {
        Ok(at) => at,
        Err(errno) => return Ok(errno.as_ret()),
    };
    let of_skb = dynptr.memory == Memory::Packet && !matches!(call.sim.run, Run::Xdp(_));
    if flags != 0 && !of_skb {
        return Ok(Errno::INVAL.as_ret());
    }
    if dynptr.memory == Memory::Packet {
        return on_packet(
            call,
            &dynptr,
            [at, from, len, flags],
            (skb::store_bytes, xdp::store_bytes),
        );
    }
    call.sim.mem.check(dynptr.data + at, len, Access::Write)?;
    call.sim.mem.copy(from, dynptr.data + at, len);
    Ok(0)
}

fn data(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (off, len) = (u64::from(call.arg32(2)), u64::from(call.arg32(3)));
    let dynptr = call
        .dynptr(1)?
        .filter(|d| !d.read_only && d.memory != Memory::Packet);
    Ok(dynptr
        .and_then(|d| Some(d.data + d.at(off, len).ok()?))
        .unwrap_or(0))
}

fn from_packet(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (data, flags, to) = (call.arg(1), call.arg(2), call.arg(3));
    if let Run::Table(run) = call.sim.run {
        return from_table(call, run, flags, to);
    }
    call.expect_ctx(1)?;
    let writers = |run: &crate::hooks::SkbRun| run.may_write();
    let (size, read_only) = match &call.sim.run {
        Run::Xdp(run) => (run.len(), false),
        Run::Skb(run) => (run.len(), !writers(run)),
        Run::Idle | Run::Table(_) | Run::Raw(_) => {
            return Err(call.bad(1, "the context of a packet"));
        }
    };
    if flags != 0 {
        call.set_dynptr(to, None)?;
        return Ok(Errno::INVAL.as_ret());
    }
    let (off, memory) = (0, Memory::Packet);
    call.set_dynptr(
        to,
        Some(Dynptr {
            data,
            size,
            off,
            memory,
            read_only,
        }),
    )?;
    Ok(0)
}

/// A packet that is reached through a kernel object: its bytes, to be read.
fn from_table(call: &mut Call<'_>, run: TableRun, flags: u64, to: u64) -> Result<u64, Trap> {
    let dynptr = Dynptr {
        data: run.data,
        size: run.end - run.data,
        off: 0,
        memory: Memory::Local,
        read_only: true,
    };
    let made = if flags == 0 {
        Ok(())
    } else {
        Err(Errno::INVAL)
    };
    call.set_dynptr(to, made.ok().map(|()| dynptr))?;
    Ok(status(made))
}

fn slice(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (off, buf, len) = (
        u64::from(call.arg32(2)),
        call.arg(3),
        u64::from(call.arg32(4)),
    );
    let Some(dynptr) = call.dynptr(1)? else {
        return Ok(0);
    };
    let Ok(at) = dynptr.at(off, len) else {
        return Ok(0);
    };
    if dynptr.memory != Memory::Packet {
        return Ok(dynptr.data + at);
    }
    // Packets lie in one piece up to the end of the frame; beyond that the bytes are copied.
    let (start, end) = match &call.sim.run {
        Run::Xdp(run) => (run.data, run.end),
        Run::Skb(run) => (run.data, run.end),
        Run::Idle | Run::Table(_) | Run::Raw(_) => return Ok(0),
    };
    if start + at + len <= end {
        return Ok(start + at);
    }
    if buf == 0 {
        return Ok(0);
    }
    let copied = on_packet(
        call,
        &dynptr,
        [at, buf, len, 0],
        (skb::load_bytes, xdp::load_bytes),
    )?;
    Ok(if copied == 0 { buf } else { 0 })
}

fn slice_rdwr(call: &mut Call<'_>) -> Result<u64, Trap> {
    match call.dynptr(1)? {
        Some(dynptr) if !dynptr.read_only => slice(call),
        Some(_) | None => Ok(0),
    }
}

fn adjust(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (at, start, end) = (
        call.arg(1),
        u64::from(call.arg32(2)),
        u64::from(call.arg32(3)),
    );
    let Some(dynptr) = call.dynptr(1)?.filter(|_| start <= end) else {
        return Ok(Errno::INVAL.as_ret());
    };
    if start > dynptr.size || end > dynptr.size {
        return Ok(Errno::RANGE.as_ret());
    }
    let (off, size) = (dynptr.off + start, end - start);
    call.set_dynptr(
        at,
        Some(Dynptr {
            off,
            size,
            ..dynptr
        }),
    )?;
    Ok(0)
}

fn is_null(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(call.dynptr(1)?.is_none().into())
}

fn is_rdonly(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(call.dynptr(1)?.is_some_and(|d| d.read_only).into())
}

fn size(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(ret(call.dynptr(1)?.map(|d| d.size).ok_or(Errno::INVAL)))
}

fn clone(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (dynptr, to) = (call.dynptr(1)?, call.arg(2));
    call.set_dynptr(to, dynptr)?;
    Ok(status(dynptr.map(drop).ok_or(Errno::INVAL)))
}
