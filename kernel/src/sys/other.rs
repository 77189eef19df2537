//! Systems without `bpf(2)`: every call answers `ENOSYS`.

use super::Cmd;
use crate::Errno;

/// A descriptor; here no call ever gives one.
#[derive(Debug)]
pub(crate) struct Fd(());

impl Fd {
    /// # Safety
    /// Always safe: nothing is owned.
    pub(super) unsafe fn new(_: i32) -> Fd {
        Fd(())
    }

    pub(crate) fn useless() -> Option<Fd> {
        None
    }

    pub(crate) fn number(&self) -> u32 {
        u32::MAX
    }
}

/// # Safety
/// Always safe: it does nothing.
pub(super) unsafe fn bpf<T>(_: Cmd, _: &mut T) -> Result<i32, Errno> {
    Err(Errno::NOSYS)
}

/// Memory shared with a map; here no call ever gives any.
#[derive(Debug)]
pub(crate) struct Mapping(());

impl Mapping {
    pub(crate) fn new(_: &Fd, _: u64, _: usize) -> Result<Mapping, Errno> {
        Err(Errno::NOSYS)
    }

    pub(crate) fn of_file(_: std::fs::File, _: usize) -> Result<Mapping, Errno> {
        Err(Errno::NOSYS)
    }

    pub(crate) fn read(&self, _: usize, _: usize) -> Option<Vec<u8>> {
        None
    }

    pub(crate) fn write(&self, _: usize, _: &[u8]) {}
}

pub(crate) fn mount(_: &std::ffi::CStr, _: &std::ffi::CStr) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

pub(crate) fn raise_memlock() {}

pub(crate) fn page_size() -> usize {
    4096
}

pub(crate) fn make_raw(_: &std::fs::File) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

pub(crate) fn end_with_thread(_: &mut std::process::Command) {}
