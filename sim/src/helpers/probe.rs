//! Reads of memory that may not be there.
//!
//! All objects of the arena can be read, also those that programs may not access directly; everything
//! else is a bad address. User space's memory is whatever [`Sim::add_user_memory`] put there.

use super::Row;
use super::call::{Call, ret};
use crate::arena::Perm;
use crate::errno::Errno;
use crate::fault::Owner;
use crate::memory::Memory;
use crate::sim::Sim;
use crate::trap::Trap;

pub(super) const HELPERS: &[Row] = &[
    ("bpf_probe_read", read),
    ("bpf_probe_read_kernel", read_kernel),
    ("bpf_probe_read_user", read),
    ("bpf_copy_from_user", read),
    ("bpf_probe_read_str", read_str),
    ("bpf_probe_read_kernel_str", read_kernel_str),
    ("bpf_probe_read_user_str", read_str),
    ("bpf_probe_write_user", write_user),
];

impl Sim {
    /// Puts bytes into the memory of the simulated process and gives their address, which programs can
    /// read with `bpf_probe_read_user` and its kin. `None` if the arena is full.
    pub fn add_user_memory(&mut self, bytes: &[u8]) -> Option<u64> {
        let len = bytes.len() as u64;
        let at = self.mem.alloc(len, 8, Owner::Kernel("process's memory"))?;
        self.mem.poke(at, bytes);
        // Programs have no pointers to it, only numbers.
        self.mem.allow(at, len, Perm::No);
        Some(at)
    }
}

/// Bytes that can be read from an address on, at most `len`.
pub(super) fn readable(mem: &Memory, addr: u64, len: u64) -> u64 {
    match mem.object_at(addr) {
        Some((start, size, _)) => (start + size - addr).min(len),
        None => 0,
    }
}

/// What a bad address is for reads of the kernel's memory: one that cannot be the kernel's is
/// `ERANGE` (`copy_from_kernel_nofault_allowed`).
fn kernel_error(addr: u64) -> Errno {
    const KERNEL: u64 = 0xffff_8000_0000_0000;
    if addr < KERNEL {
        Errno::RANGE
    } else {
        Errno::FAULT
    }
}

fn read(call: &mut Call<'_>) -> Result<u64, Trap> {
    read_or(call, Errno::FAULT)
}

fn read_kernel(call: &mut Call<'_>) -> Result<u64, Trap> {
    let error = kernel_error(call.arg(3));
    read_or(call, error)
}

fn read_or(call: &mut Call<'_>, error: Errno) -> Result<u64, Trap> {
    let (to, len, from) = (call.arg(1), u64::from(call.arg32(2)), call.arg(3));
    call.bytes_mut(1, len)?;
    let mem = &mut call.sim.mem;
    if readable(mem, from, len) < len {
        mem.fill(to, len, 0);
        return Ok(error.as_ret());
    }
    mem.copy(from, to, len);
    Ok(0)
}

fn read_str(call: &mut Call<'_>) -> Result<u64, Trap> {
    read_str_or(call, Errno::FAULT)
}

fn read_kernel_str(call: &mut Call<'_>) -> Result<u64, Trap> {
    let error = kernel_error(call.arg(3));
    read_str_or(call, error)
}

fn read_str_or(call: &mut Call<'_>, error: Errno) -> Result<u64, Trap> {
    let (to, len, from) = (call.arg(1), u64::from(call.arg32(2)), call.arg(3));
    call.bytes_mut(1, len)?;
    if len == 0 {
        return Ok(0);
    }
    let mem = &mut call.sim.mem;
    let copied = string_at(mem, from, len).map_err(|_| error);
    match copied {
        Ok(copied) => {
            mem.copy(from, to, copied);
            mem.poke(to + copied - 1, &[0]);
        }
        Err(_) => mem.fill(to, len, 0),
    }
    Ok(ret(copied))
}

/// Bytes of the string at an address with its end, at most `len`; a bad address before either is an error.
pub(super) fn string_at(mem: &Memory, from: u64, len: u64) -> Result<u64, Errno> {
    let have = readable(mem, from, len);
    match mem.peek(from, have).iter().position(|&b| b == 0) {
        Some(end) => Ok(end as u64 + 1),
        None if have < len => Err(Errno::FAULT),
        None => Ok(len),
    }
}

fn write_user(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (to, from, len) = (call.arg(1), call.arg(2), u64::from(call.arg32(3)));
    call.bytes(2, len)?;
    let mem = &mut call.sim.mem;
    let user = matches!(
        mem.object_at(to),
        Some((_, _, Owner::Kernel("process's memory")))
    );
    if !user || readable(mem, to, len) < len {
        return Ok(Errno::FAULT.as_ret());
    }
    mem.copy(from, to, len);
    Ok(0)
}
