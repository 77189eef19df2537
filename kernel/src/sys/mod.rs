//! The system calls: the only unsafe code of this crate.
//!
//! Every function here is safe to call: it takes slices and owned descriptors, and builds from them
//! the addresses and lengths that the kernel sees. On other systems than Linux each call answers
//! `ENOSYS`, so that the rest of the crate is the same everywhere. Nothing here attaches or pins.

use std::ffi::CStr;

use crate::Errno;

pub(crate) mod attr;
mod map;

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod imp;
#[cfg(not(target_os = "linux"))]
#[path = "other.rs"]
mod imp;

use attr::{BtfLoad, MapElem, ObjInfo, ProgInfo, ProgLoad, TestRun};
pub(crate) use imp::{Fd, Mapping, end_with_thread, make_raw, mount, page_size, raise_memlock};
pub(crate) use map::MapFd;

/// Commands of `bpf(2)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Cmd {
    MapCreate = 0,
    MapLookup = 1,
    MapUpdate = 2,
    MapDelete = 3,
    MapNextKey = 4,
    ProgLoad = 5,
    TestRun = 10,
    ObjInfo = 15,
    BtfLoad = 18,
    MapFreeze = 22,
}

/// The address of a slice as the kernel wants it; null for an empty one, which several commands
/// demand where a buffer makes no sense.
fn address<T>(slice: &[T]) -> u64 {
    if slice.is_empty() {
        0
    } else {
        slice.as_ptr() as u64
    }
}

/// As [`address`], for a buffer that the kernel writes.
fn address_mut<T>(slice: &mut [T]) -> u64 {
    if slice.is_empty() {
        0
    } else {
        slice.as_mut_ptr() as u64
    }
}

fn length<T>(slice: &[T]) -> Result<u32, Errno> {
    u32::try_from(slice.len()).map_err(|_| Errno::TOOBIG)
}

/// What a program load points to.
pub(crate) struct ProgParts<'a> {
    /// 8 bytes a slot.
    pub(crate) insns: &'a [u8],
    pub(crate) license: &'a CStr,
    /// 8 bytes a record.
    pub(crate) func_info: &'a [u8],
    /// 16 bytes a record.
    pub(crate) line_info: &'a [u8],
    pub(crate) fd_array: &'a [i32],
}

/// Loads a program. `attr` gives the numbers; addresses and lengths are set here. Returns also how
/// many bytes the log needs, 0 if this kernel does not say.
pub(crate) fn prog_load(
    mut attr: ProgLoad,
    parts: &ProgParts<'_>,
    log: &mut [u8],
) -> (Result<Fd, Errno>, u32) {
    let lengths = || {
        Ok((
            length(parts.insns)?,
            length(parts.func_info)?,
            length(parts.line_info)?,
        ))
    };
    let (insns, funcs, lines) = match lengths() {
        Ok(lengths) => lengths,
        Err(e) => return (Err(e), 0),
    };
    attr.insns = address(parts.insns);
    attr.insn_cnt = insns / 8;
    attr.license = parts.license.as_ptr() as u64;
    attr.func_info = address(parts.func_info);
    attr.func_info_cnt = funcs / 8;
    attr.func_info_rec_size = if funcs == 0 { 0 } else { 8 };
    attr.line_info = address(parts.line_info);
    attr.line_info_cnt = lines / 16;
    attr.line_info_rec_size = if lines == 0 { 0 } else { 16 };
    attr.fd_array = address(parts.fd_array);
    attr.log_buf = address_mut(log);
    attr.log_size = u32::try_from(log.len()).unwrap_or(u32::MAX);
    // SAFETY: `insns`, `func_info`, `line_info` and `log` were set above from slices that outlive the
    // call, with their lengths rounded down to whole records; `license` ends with its NUL. The kernel
    // only reads `fd_array`, and a read beyond its end stays in user memory and is checked there.
    let answer = unsafe { imp::bpf(Cmd::ProgLoad, &mut attr) };
    // SAFETY: a successful load returns a descriptor that is new and ours.
    (answer.map(|fd| unsafe { Fd::new(fd) }), attr.log_true_size)
}

/// Loads BTF, with the kernel's complaint in `log` if it has one.
pub(crate) fn btf_load(btf: &[u8], log: &mut [u8]) -> Result<Fd, Errno> {
    let mut attr = BtfLoad {
        btf: address(btf),
        btf_size: length(btf)?,
        btf_log_size: length(log)?,
        btf_log_level: u32::from(!log.is_empty()),
        btf_log_buf: address_mut(log),
        btf_log_true_size: 0,
    };
    // SAFETY: both addresses are of slices that outlive the call, with their lengths.
    let fd = unsafe { imp::bpf(Cmd::BtfLoad, &mut attr) }?;
    // SAFETY: a successful load returns a descriptor that is new and ours.
    Ok(unsafe { Fd::new(fd) })
}

/// Buffers of a test run.
pub(crate) struct RunParts<'a> {
    pub(crate) data_in: &'a [u8],
    pub(crate) data_out: &'a mut [u8],
    /// Mutable: programs of type syscall get it back here.
    pub(crate) ctx_in: &'a mut [u8],
    pub(crate) ctx_out: &'a mut [u8],
}

/// Runs a program. `attr` gives the numbers; addresses and lengths are set here.
pub(crate) fn test_run(
    prog: &Fd,
    mut attr: TestRun,
    parts: &mut RunParts<'_>,
) -> Result<TestRun, Errno> {
    attr.prog_fd = prog.number();
    attr.data_in = address(parts.data_in);
    attr.data_size_in = length(parts.data_in)?;
    attr.data_size_out = length(parts.data_out)?;
    attr.data_out = address_mut(parts.data_out);
    attr.ctx_size_in = length(parts.ctx_in)?;
    attr.ctx_in = address_mut(parts.ctx_in);
    attr.ctx_size_out = length(parts.ctx_out)?;
    attr.ctx_out = address_mut(parts.ctx_out);
    // SAFETY: all four addresses are of slices that outlive the call, with their lengths; those that
    // the kernel writes (`data_out`, `ctx_out`, `ctx_in`) come from mutable slices.
    unsafe { imp::bpf(Cmd::TestRun, &mut attr) }?;
    Ok(attr)
}

/// What the kernel knows of a program; its instructions and map ids as far as the buffers reach.
pub(crate) fn prog_info(
    prog: &Fd,
    xlated: &mut [u8],
    map_ids: &mut [u32],
) -> Result<ProgInfo, Errno> {
    let mut info = ProgInfo {
        xlated_prog_len: length(xlated)?,
        xlated_prog_insns: address_mut(xlated),
        nr_map_ids: length(map_ids)?,
        map_ids: address_mut(map_ids),
        ..ProgInfo::default()
    };
    let mut attr = ObjInfo {
        bpf_fd: prog.number(),
        info_len: size_of::<ProgInfo>() as u32,
        info: (&raw mut info) as u64,
    };
    // SAFETY: `info` is exclusively ours, as long as `info_len` says; the buffers that it names are
    // mutable slices with their lengths, and all its other lengths are zero.
    unsafe { imp::bpf(Cmd::ObjInfo, &mut attr) }?;
    Ok(info)
}

/// The map commands that take a descriptor and nothing else.
fn map_command(cmd: Cmd, fd: &Fd) -> Result<(), Errno> {
    let mut attr = MapElem {
        map_fd: fd.number(),
        ..MapElem::default()
    };
    // SAFETY: the attribute holds no address.
    unsafe { imp::bpf(cmd, &mut attr) }.map(drop)
}
