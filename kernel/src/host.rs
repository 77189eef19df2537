//! The machine: whether its kernel can be asked, which it is, and its types.

use std::fmt;
use std::fs;
use std::io::{self, Read};

use skep_spec::{KernelVersion, MapType, ProgType};

use crate::Errno;
use crate::sys::attr::{MapCreate, ProgLoad};
use crate::sys::{self, MapFd, ProgParts};

/// Why no kernel can be asked here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotAvailable {
    /// The system is not Linux.
    NotLinux,
    /// The kernel has no `bpf(2)`.
    NoSyscall,
    /// The process lacks a capability.
    MissingCapability(&'static str),
    /// The process has the capabilities and is refused all the same: by a seccomp filter, lockdown,
    /// or because it is root only in a user namespace.
    Forbidden,
    /// Another error of the first call.
    Failed(Errno),
}

impl fmt::Display for NotAvailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotAvailable::NotLinux => f.write_str("needs Linux"),
            NotAvailable::NoSyscall => f.write_str("needs a kernel with bpf(2)"),
            NotAvailable::MissingCapability(name) => write!(f, "needs {name}"),
            NotAvailable::Forbidden => {
                f.write_str("bpf(2) is forbidden here (seccomp, lockdown or a user namespace)")
            }
            NotAvailable::Failed(errno) => write!(f, "bpf(2) fails with {errno}"),
        }
    }
}

impl std::error::Error for NotAvailable {}

/// Capabilities whose absence changes verdicts: without the last two, programs are judged by the
/// stricter rules for unprivileged users or types are refused. Any of them is included in the first.
const CAP_SYS_ADMIN: u32 = 21;
const NEEDED: [(u32, &str); 3] = [(39, "CAP_BPF"), (38, "CAP_PERFMON"), (12, "CAP_NET_ADMIN")];

/// Whether this process can ask this kernel for privileged verdicts, and why not.
///
/// # Errors
/// The first reason found.
pub fn available() -> Result<(), NotAvailable> {
    if !cfg!(target_os = "linux") {
        return Err(NotAvailable::NotLinux);
    }
    if let Some(held) = effective_capabilities() {
        let has = |bit: u32| held >> bit & 1 == 1;
        if let Some((_, name)) = NEEDED
            .iter()
            .find(|(bit, _)| !has(*bit) && !has(CAP_SYS_ADMIN))
        {
            return Err(NotAvailable::MissingCapability(name));
        }
    }
    match probe() {
        Ok(()) => Ok(()),
        Err(Errno::NOSYS) => Err(NotAvailable::NoSyscall),
        Err(Errno::PERM) => Err(NotAvailable::Forbidden),
        Err(errno) => Err(NotAvailable::Failed(errno)),
    }
}

/// A map and a two-instruction program that every kernel accepts from a privileged process.
fn probe() -> Result<(), Errno> {
    if version().is_some_and(|v| !v.at_least(5, 11)) {
        sys::raise_memlock();
    }
    let map = MapCreate {
        map_type: MapType::Hash.number(),
        key_size: 4,
        value_size: 4,
        max_entries: 1,
        ..MapCreate::default()
    };
    MapFd::create(map, 1)?;
    let prog = ProgLoad {
        prog_type: ProgType::Xdp.number(),
        ..ProgLoad::default()
    };
    let parts = ProgParts {
        insns: &[0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0],
        license: c"GPL",
        func_info: &[],
        line_info: &[],
        fd_array: &[],
    };
    sys::prog_load(prog, &parts, &mut []).0.map(drop)
}

fn effective_capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// The running kernel's release name, such as `6.18.15+deb13-cloud-amd64`.
pub fn release() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    Some(text.trim().to_owned())
}

/// The running kernel's version.
pub fn version() -> Option<KernelVersion> {
    release()?.parse().ok()
}

/// The kernel's taint mask, 0 for a healthy one; `None` where it cannot be read. If it changes while
/// programs are loaded or run, the kernel has hit a bug of its own and should be asked no more.
pub fn tainted() -> Option<u64> {
    fs::read_to_string("/proc/sys/kernel/tainted")
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// Bytes of kernel BTF that are read at most; real kernels have five to ten million.
const MAX_BTF: u64 = 256 << 20;

/// The running kernel's BTF.
///
/// # Errors
/// When the kernel exposes none.
pub fn vmlinux_btf() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open("/sys/kernel/btf/vmlinux")?
        .take(MAX_BTF)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Number of possible CPUs: how many values a per-CPU map has for user space. `None` if unknown.
pub fn possible_cpus() -> Option<usize> {
    count_ranges(&fs::read_to_string("/sys/devices/system/cpu/possible").ok()?)
}

/// The number of CPUs in a list such as `0-3,8`.
fn count_ranges(list: &str) -> Option<usize> {
    let mut count = 0usize;
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        count = count.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_are_counted() {
        assert_eq!(count_ranges("0\n"), Some(1));
        assert_eq!(count_ranges("0-1"), Some(2));
        assert_eq!(count_ranges("0-3,8,10-11"), Some(7));
        for bad in ["", "x", "3-1", "0-18446744073709551615"] {
            assert_eq!(count_ranges(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_reason_is_a_sentence_for_people() {
        let reason = NotAvailable::MissingCapability("CAP_BPF");
        assert_eq!(format!("skipped: {reason}"), "skipped: needs CAP_BPF");
    }
}
