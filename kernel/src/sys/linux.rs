//! Linux: the call itself, descriptors, and the mapping that an arena needs.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::Cmd;
use crate::Errno;

/// A descriptor of a program, map or BTF; closed when dropped.
#[derive(Debug)]
pub(crate) struct Fd(OwnedFd);

impl Fd {
    /// Takes over a descriptor.
    ///
    /// # Safety
    /// It must be open and owned by nobody else.
    pub(super) unsafe fn new(fd: i32) -> Fd {
        // SAFETY: the caller's promise.
        Fd(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// A descriptor that is open and of no use to `bpf(2)`.
    pub(crate) fn useless() -> Option<Fd> {
        Some(Fd(std::fs::File::open("/dev/null").ok()?.into()))
    }

    /// Its number, as attributes hold it.
    pub(crate) fn number(&self) -> u32 {
        self.0.as_raw_fd().cast_unsigned()
    }
}

fn last_errno() -> Errno {
    Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

/// Calls `bpf(2)`.
///
/// # Safety
/// `attr` must be the command's part of the union without padding, and every address in it must be
/// null or point to memory that is valid, for the length that the attribute or the descriptor
/// implies, for what the command does with it.
pub(super) unsafe fn bpf<T>(cmd: Cmd, attr: &mut T) -> Result<i32, Errno> {
    // SAFETY: `attr` is valid for reads and writes of its size; what it points to is the caller's promise.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            cmd as libc::c_long,
            std::ptr::from_mut(attr),
            size_of::<T>() as libc::c_long,
        )
    };
    if answer < 0 {
        Err(last_errno())
    } else {
        i32::try_from(answer).map_err(|_| Errno::RANGE)
    }
}

/// Memory shared with a map; unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    addr: usize,
    len: usize,
}

impl Mapping {
    /// Maps `len` bytes of a map at `addr` (0: anywhere), never over something else.
    pub(crate) fn new(fd: &Fd, addr: u64, len: usize) -> Result<Mapping, Errno> {
        let at = usize::try_from(addr).map_err(|_| Errno::RANGE)?;
        let fixed = if at == 0 {
            0
        } else {
            libc::MAP_FIXED_NOREPLACE
        };
        // SAFETY: with no address or MAP_FIXED_NOREPLACE no existing mapping is touched, and nothing in
        // this process holds references into the new one.
        let got = unsafe {
            libc::mmap(
                std::ptr::without_provenance_mut(at),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | fixed,
                fd.0.as_raw_fd(),
                0,
            )
        };
        if got == libc::MAP_FAILED {
            return Err(last_errno());
        }
        Ok(Mapping {
            addr: got.addr(),
            len,
        })
    }

    /// Maps the first `len` bytes of a file.
    pub(crate) fn of_file(file: std::fs::File, len: usize) -> Result<Mapping, Errno> {
        Mapping::new(&Fd(file.into()), 0, len)
    }

    /// Copies bytes out; `None` if they reach beyond the end.
    pub(crate) fn read(&self, at: usize, len: usize) -> Option<Vec<u8>> {
        let from = self.place(at, len)?;
        let mut bytes = vec![0; len];
        // SAFETY: `place` found `len` bytes of the mapping, which `bytes` does not overlap; what others
        // write at the same time may tear, which any bytes may.
        unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), len) };
        Some(bytes)
    }

    /// Copies bytes in, after all that was written before; does nothing if they reach beyond the end.
    pub(crate) fn write(&self, at: usize, bytes: &[u8]) {
        if let Some(to) = self.place(at, bytes.len()) {
            std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
            // SAFETY: `place` found room for `bytes` in the mapping, which nothing holds references into.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        }
    }

    /// The address of these bytes, if all lie in the mapping.
    fn place(&self, at: usize, len: usize) -> Option<*mut u8> {
        let fits = at.checked_add(len)? <= self.len;
        fits.then(|| std::ptr::with_exposed_provenance_mut(self.addr + at))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the range that `new` mapped, which nobody has references into.
        unsafe { libc::munmap(std::ptr::without_provenance_mut(self.addr), self.len) };
    }
}

/// Lifts the limit on locked memory, which kernels before 5.11 charge maps and programs to.
pub(crate) fn raise_memlock() {
    let limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: the struct is valid for the call. A refusal changes nothing.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) };
}

/// Mounts a file system that has no device.
pub(crate) fn mount(kind: &std::ffi::CStr, at: &std::ffi::CStr) -> std::io::Result<()> {
    // SAFETY: the strings end with their NUL; the call reads them and nothing else.
    let done = unsafe {
        libc::mount(
            kind.as_ptr(),
            at.as_ptr(),
            kind.as_ptr(),
            0,
            std::ptr::null(),
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

/// Bytes of a page.
pub(crate) fn page_size() -> usize {
    // SAFETY: the call takes a number and returns one.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096).max(1)
}

/// Switches a terminal to passing on every byte as it is.
pub(crate) fn make_raw(terminal: &std::fs::File) -> std::io::Result<()> {
    let fd = terminal.as_raw_fd();
    let mut settings = std::mem::MaybeUninit::<libc::termios>::uninit();
    // SAFETY: the descriptor is open while `terminal` is borrowed, and the struct is large enough.
    if unsafe { libc::tcgetattr(fd, settings.as_mut_ptr()) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the successful call above filled the struct.
    let mut settings = unsafe { settings.assume_init() };
    // SAFETY: both calls take a pointer to a whole struct.
    let done = unsafe {
        libc::cfmakeraw(&raw mut settings);
        libc::tcsetattr(fd, libc::TCSANOW, &raw const settings)
    };
    if done == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

/// Has the command's process killed when the thread that starts it ends, however it ends.
pub(crate) fn end_with_thread(command: &mut Command) {
    let ask = || {
        // SAFETY: the call takes two numbers and is one that a forked child may make.
        match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec the closure makes one system call and neither allocates nor locks.
    unsafe { command.pre_exec(ask) };
}
