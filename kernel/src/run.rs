//! `BPF_PROG_TEST_RUN`: run a loaded program once on given data, without attaching it.

use crate::sys::attr::TestRun;
use crate::sys::{self, RunParts};
use crate::{Errno, LiveProgram};

/// What a test run is given. Which parts a program type takes differs; a part that it does not take
/// must stay empty, or the kernel answers `EINVAL`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RunRequest {
    /// The packet.
    pub data: Vec<u8>,
    /// Bytes of output packet to make room for; 0 asks for none.
    pub data_out: usize,
    /// The context, in the layout that user space sees (`struct __sk_buff`, `struct xdp_md`, …).
    pub ctx: Vec<u8>,
    /// Bytes of output context to make room for; 0 asks for none.
    pub ctx_out: usize,
    /// Runs; 0 means once. The result is that of the last.
    pub repeat: u32,
    /// `BPF_F_TEST_*` flags.
    pub flags: u32,
    /// The CPU to run on, with the flag that asks for it.
    pub cpu: u32,
    /// Packets per batch, with live frames.
    pub batch_size: u32,
}

/// What a test run gives back.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RunOutcome {
    /// What the program returned.
    pub retval: u32,
    /// Average time of one run, in ns.
    pub duration_ns: u32,
    /// The packet afterwards.
    pub data: Vec<u8>,
    /// The context afterwards; for programs of type syscall the one given, as they left it.
    pub ctx: Vec<u8>,
    /// Whether the packet was longer than the room for it; then `data` is its beginning.
    pub data_cut: bool,
}

/// What runs of a program that was loaded for them gave.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ran {
    /// One a request, in order.
    pub runs: Vec<Result<RunOutcome, Errno>>,
    /// The entries of each of the program's maps afterwards; none where they cannot be listed.
    pub maps: Vec<Vec<(Vec<u8>, Vec<u8>)>>,
}

/// `BPF_F_TEST_XDP_LIVE_FRAMES`: packets would leave through real devices.
const LIVE_FRAMES: u32 = 1 << 1;
/// Bytes of packet or context at most; kernels take far less.
const MAX_BYTES: usize = 64 << 20;

impl LiveProgram {
    /// Runs the program on the request's data.
    ///
    /// # Errors
    /// The kernel's answer: `ENOTSUPP` for types that cannot be test-run, `EINVAL` for data that the
    /// type does not take. Live frames are refused with `EPERM`: they would reach real devices.
    pub fn test_run(&self, request: &RunRequest) -> Result<RunOutcome, Errno> {
        if request.flags & LIVE_FRAMES != 0 {
            return Err(Errno::PERM);
        }
        if request.data_out > MAX_BYTES || request.ctx_out > MAX_BYTES {
            return Err(Errno::TOOBIG);
        }
        let mut data = vec![0; request.data_out];
        let mut ctx_in = request.ctx.clone();
        let mut ctx = vec![0; request.ctx_out];
        let mut attr = TestRun {
            repeat: request.repeat,
            flags: request.flags,
            cpu: request.cpu,
            batch_size: request.batch_size,
            ..TestRun::default()
        };
        let mut parts = RunParts {
            data_in: &request.data,
            data_out: &mut data,
            ctx_in: &mut ctx_in,
            ctx_out: &mut ctx,
        };
        attr = sys::test_run(&self.fd, attr, &mut parts)?;
        let data_len = attr.data_size_out as usize;
        let data_cut = data_len > data.len();
        data.truncate(data_len);
        if ctx.is_empty() {
            ctx = ctx_in;
        } else {
            ctx.truncate(attr.ctx_size_out as usize);
        }
        Ok(RunOutcome {
            retval: attr.retval,
            duration_ns: attr.duration,
            data,
            ctx,
            data_cut,
        })
    }
}
