//! A kernel to ask: what does not change between questions, and the BTF that it was already given.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use skep_btf::Btf;
use skep_spec::KernelVersion;

use crate::sys::{self, Fd};
use crate::{Errno, NotAvailable, host};

/// BTF descriptors that are kept open. Programs of one object come one after the other, but damaged ones
/// of many objects come mixed, and BTF is much work to load; descriptors are a scarce resource.
const BTF_CACHE: usize = 128;

/// The running kernel, ready to be asked. It can be shared between threads.
#[derive(Debug)]
pub struct Kernel {
    release: String,
    version: KernelVersion,
    pub(crate) cpus: usize,
    pub(crate) page: usize,
    btfs: Mutex<VecDeque<LoadedBtf>>,
    /// Stands where a request names no map.
    no_map: Option<Fd>,
}

/// BTF in the kernel. Holding the `Arc` keeps its address from being used again.
#[derive(Debug)]
struct LoadedBtf {
    btf: Arc<Btf>,
    fd: Arc<Fd>,
}

/// The kernel's refusal of BTF.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct BtfError {
    pub(crate) errno: Errno,
    pub(crate) message: String,
}

impl Kernel {
    /// The running kernel.
    ///
    /// # Errors
    /// Why it cannot be asked.
    pub fn open() -> Result<Kernel, NotAvailable> {
        host::available()?;
        Ok(Kernel::open_unchecked())
    }

    /// The running kernel without asking first whether it answers this process.
    pub(crate) fn open_unchecked() -> Kernel {
        Kernel {
            release: host::release().unwrap_or_default(),
            version: host::version().unwrap_or(KernelVersion::new(0, 0, 0)),
            cpus: host::possible_cpus().unwrap_or(1),
            page: sys::page_size(),
            btfs: Mutex::default(),
            no_map: Fd::useless(),
        }
    }

    /// Release name, such as `6.18.15+deb13-cloud-amd64`.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// Version.
    pub fn version(&self) -> KernelVersion {
        self.version
    }

    /// Number of possible CPUs: values of a per-CPU map.
    pub fn cpus(&self) -> usize {
        self.cpus
    }

    /// A descriptor of no map, or a number that is none. Requests that name no map by mistake usually
    /// hold 0, which is open in most processes, so the kernel finds something that is no map.
    pub(crate) fn no_map(&self) -> i32 {
        self.no_map
            .as_ref()
            .map_or(-1, |fd| fd.number().cast_signed())
    }

    /// The descriptor of this BTF, loading it if the kernel does not have it from us.
    pub(crate) fn btf_fd(&self, btf: &Arc<Btf>) -> Result<Arc<Fd>, BtfError> {
        let mut cache = self.btfs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = cache.iter().position(|l| Arc::ptr_eq(&l.btf, btf))
            && let Some(hit) = cache.remove(at)
        {
            let fd = Arc::clone(&hit.fd);
            cache.push_back(hit);
            return Ok(fd);
        }
        let fd = Arc::new(load_btf(btf.bytes())?);
        if cache.len() >= BTF_CACHE {
            cache.pop_front();
        }
        cache.push_back(LoadedBtf {
            btf: Arc::clone(btf),
            fd: Arc::clone(&fd),
        });
        Ok(fd)
    }
}

/// Loads BTF; only a refusal is asked about again, with a log.
fn load_btf(bytes: &[u8]) -> Result<Fd, BtfError> {
    let errno = match sys::btf_load(bytes, &mut []) {
        Ok(fd) => return Ok(fd),
        Err(errno) => errno,
    };
    let mut log = vec![0; 64 << 10];
    match sys::btf_load(bytes, &mut log) {
        Ok(fd) => Ok(fd),
        Err(_) => {
            let text = crate::log::text(log);
            let message = text
                .lines()
                .rfind(|l| !l.trim().is_empty())
                .unwrap_or("")
                .to_owned();
            Err(BtfError { errno, message })
        }
    }
}
