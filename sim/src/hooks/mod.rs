//! Where programs run: what a run is given, how its context is laid out, what it gives back.
//!
//! Packets follow `BPF_PROG_TEST_RUN` of Linux 6.18 (`net/bpf/test_run.c`): the same inputs are refused,
//! the same fields are set, the same bytes come out. Other contexts are bytes that the caller gives.
//! The 32-bit packet pointers of contexts hold whole guest addresses, so that plain loads read them.

mod device;
pub(crate) mod fields;
mod skb;
mod table;
mod xdp;

use skep_spec::tables::ctx::{self, CtxTable, Sizes};
use skep_spec::tables::hook::Hook;
use skep_spec::{AttachType, ProgType};

use crate::arena::Perm;
use crate::errno::Errno;
use crate::memory::Memory;
use crate::sim::Sim;

pub use device::{Packet, Place, VlanTag};

pub(crate) use skb::{ETH_P_802_2, ETH_P_802_3, ETH_P_802_3_MIN, ETH_P_IP, ETH_P_IPV6, SkbRun};
pub(crate) use table::TableRun;
pub(crate) use xdp::XdpRun;

/// Bytes of the longest context: that of system call programs.
pub(crate) const CTX_ROOM: u64 = 64 << 10;
/// Bytes of an Ethernet header.
pub(crate) const ETH_HLEN: u64 = 14;
/// Index of the loopback device, on which test runs take place.
const LOOPBACK: u64 = 1;
/// The state of a socket that is not connected.
const TCP_CLOSE: u64 = 7;

/// What a run is given. Packets and contexts are as in `BPF_PROG_TEST_RUN`; for types that cannot be
/// test-run on a kernel, `ctx` is the context itself.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RunInput {
    /// The packet, with its Ethernet header; or what the context points to: a message, a packet from its
    /// transport header on, an option's value, a tracepoint's buffer. Empty for all others.
    pub data: Vec<u8>,
    /// The context in user space's layout: `struct xdp_md`, `struct __sk_buff`, arguments, a record.
    pub ctx: Option<Vec<u8>>,
}

impl RunInput {
    /// A packet.
    pub fn packet(data: &[u8]) -> RunInput {
        RunInput {
            data: data.to_vec(),
            ctx: None,
        }
    }

    /// A context.
    pub fn context(ctx: &[u8]) -> RunInput {
        RunInput {
            data: Vec::new(),
            ctx: Some(ctx.to_vec()),
        }
    }

    /// The registers at the entry of a function with these arguments (at most six), or, with a result, at
    /// its end: the context of kprobes, as `struct pt_regs` of x86-64.
    pub fn registers(args: &[u64], result: u64) -> RunInput {
        /// Where the argument registers lie: di, si, dx, cx, r8, r9.
        const ARGS: [usize; 6] = [112, 104, 96, 88, 72, 64];
        const AX: usize = 80;
        const IP: usize = 128;
        const SP: usize = 152;
        let mut regs = vec![0; ctx::KPROBE.size as usize];
        let mut set = |off: usize, value: u64| put(&mut regs, off as u64, &value.to_le_bytes());
        for (off, arg) in ARGS.into_iter().zip(args) {
            set(off, *arg);
        }
        set(AX, result);
        set(IP, 0xffff_ffff_8100_0000);
        set(SP, 0xffff_c900_0000_0000);
        RunInput::context(&regs)
    }

    /// Arguments of a raw tracepoint, or of a function with BTF.
    pub fn args(args: &[u64]) -> RunInput {
        let bytes: Vec<u8> = args.iter().flat_map(|arg| arg.to_le_bytes()).collect();
        RunInput::context(&bytes)
    }
}

/// What a run of that type is given: as `data` and as `ctx` of a [`RunInput`].
pub const fn input_of(ty: ProgType) -> &'static str {
    match ty {
        ProgType::Unspec => "nothing runs",
        ProgType::Xdp => "an Ethernet frame, fragments where it is long; `xdp_md`",
        ProgType::SocketFilter
        | ProgType::SchedCls
        | ProgType::SchedAct
        | ProgType::CgroupSkb
        | ProgType::LwtIn
        | ProgType::LwtOut
        | ProgType::LwtXmit
        | ProgType::LwtSeg6local => "an Ethernet frame; fields of `__sk_buff` that test runs take",
        ProgType::SkSkb => "bytes of a stream; fields of `__sk_buff`",
        ProgType::FlowDissector => "an Ethernet frame; `bpf_flow_keys` with flags; gives the keys",
        ProgType::Netfilter => "an Ethernet frame; needs the kernel's types",
        ProgType::SkMsg => "the message; `sk_msg_md`",
        ProgType::SkReuseport => "bytes from the transport header on; `sk_reuseport_md`",
        ProgType::SkLookup => "`bpf_sk_lookup`",
        ProgType::SockOps => "bytes of the packet, if any; `bpf_sock_ops`",
        ProgType::CgroupSock => "`bpf_sock`",
        ProgType::CgroupSockAddr => "`bpf_sock_addr`",
        ProgType::CgroupSockopt => "the option's value; `bpf_sockopt`",
        ProgType::CgroupDevice => "`bpf_cgroup_dev_ctx`",
        ProgType::CgroupSysctl => "`bpf_sysctl`; name and values from the simulated kernel",
        ProgType::Kprobe => "`pt_regs`, or arguments and a result",
        ProgType::PerfEvent => "`bpf_perf_event_data`",
        ProgType::Tracepoint => "the event's record",
        ProgType::RawTracepoint => "up to 12 arguments",
        ProgType::RawTracepointWritable => "the buffer; the other arguments",
        ProgType::LircMode2 => "one sample",
        ProgType::Syscall => "a record of any size, which is given back",
        ProgType::Tracing | ProgType::Lsm | ProgType::StructOps => {
            "arguments by name, objects by their kernel types"
        }
        ProgType::Ext => "what the replaced function's argument points to",
    }
}

/// What a run gives back.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RunOutput {
    /// What the program returned, as the kernel reports it.
    pub retval: u32,
    /// All of R0.
    pub r0: u64,
    /// The packet afterwards: of XDP programs from its metadata on.
    pub data: Vec<u8>,
    /// The context afterwards, as the kernel gives it back.
    pub ctx: Vec<u8>,
}

/// The run that is going on.
#[derive(Debug, Default)]
pub(crate) enum Run {
    /// None.
    #[default]
    Idle,
    Xdp(XdpRun),
    Skb(SkbRun),
    /// A structure that is neither of these.
    Table(TableRun),
    /// A context of that many bytes, and nothing else.
    Raw(u64),
}

impl Sim {
    /// Prepares a run: memory for the context and the packet. Gives the context's address, which is the
    /// program's first argument, or 0 where the context is empty.
    ///
    /// # Errors
    /// As `BPF_PROG_TEST_RUN`: `EINVAL` for a packet too short or too long, or a context with bytes that
    /// may not be set; `ENOTSUPP` for types that are not simulated.
    pub fn begin(
        &mut self,
        ty: ProgType,
        attach: AttachType,
        input: &RunInput,
    ) -> Result<u64, Errno> {
        self.mem.end_grace_period();
        self.stack.reset(&mut self.mem);
        self.maps.reset_cgroup_storage(&mut self.mem);
        self.describe_task();
        self.tunnel = None;
        self.attach = attach;
        let hook = Hook::new(ty, attach);
        match ty {
            ProgType::Xdp => self.begin_xdp(&hook, input)?,
            ProgType::SocketFilter
            | ProgType::SchedCls
            | ProgType::SchedAct
            | ProgType::CgroupSkb
            | ProgType::LwtIn
            | ProgType::LwtOut
            | ProgType::LwtXmit
            | ProgType::LwtSeg6local
            | ProgType::FlowDissector
            | ProgType::SkSkb => self.begin_skb(&hook, input)?,
            ProgType::SockOps
            | ProgType::SkMsg
            | ProgType::SkReuseport
            | ProgType::SkLookup
            | ProgType::CgroupSock
            | ProgType::CgroupSockAddr
            | ProgType::CgroupSockopt
            | ProgType::RawTracepointWritable
            | ProgType::Netfilter => {
                let table = ctx::of(ty).ok_or(Errno::NOTSUPP)?;
                self.begin_table(&hook, table, input)?;
            }
            ProgType::Unspec => return Err(Errno::NOTSUPP),
            ProgType::Kprobe
            | ProgType::Tracepoint
            | ProgType::PerfEvent
            | ProgType::CgroupDevice
            | ProgType::RawTracepoint
            | ProgType::LircMode2
            | ProgType::CgroupSysctl
            | ProgType::Tracing
            | ProgType::StructOps
            | ProgType::Lsm
            // It replaces a function: what is given is what that function's argument points to.
            | ProgType::Ext
            | ProgType::Syscall => self.begin_raw(&hook, input)?,
        }
        Ok(self.ctx)
    }

    /// Prepares a run over plain memory, outside of any hook: gives the address of a writable copy, with
    /// which the program is called as `prog(memory, length)`.
    ///
    /// # Errors
    /// `EINVAL` for more than 64 KiB.
    pub fn begin_memory(&mut self, bytes: &[u8]) -> Result<u64, Errno> {
        let len = bytes.len() as u64;
        if len > CTX_ROOM {
            return Err(Errno::INVAL);
        }
        self.mem.end_grace_period();
        self.stack.reset(&mut self.mem);
        self.hide_ctx(len);
        self.mem.poke(self.ctx, bytes);
        self.mem.allow(self.ctx, len, Perm::ReadWrite);
        self.run = Run::Raw(len);
        Ok(self.ctx)
    }

    /// Ends a run: what the program returned, and what became of packet and context.
    pub fn finish(&mut self, r0: u64) -> RunOutput {
        let (data, ctx) = match std::mem::take(&mut self.run) {
            Run::Idle => (Vec::new(), Vec::new()),
            Run::Xdp(run) => self.finish_xdp(&run),
            Run::Skb(run) => self.finish_skb(run),
            Run::Table(run) => self.finish_table(&run),
            Run::Raw(len) => (Vec::new(), self.mem.peek(self.ctx, len).to_vec()),
        };
        self.mem.end_grace_period();
        RunOutput {
            retval: r0 as u32,
            r0,
            data,
            ctx,
        }
    }

    /// Drops a run that did not end.
    pub fn abandon(&mut self) {
        self.run = Run::Idle;
        self.mem.end_grace_period();
    }

    /// The context's address and length, if a program runs.
    #[inline]
    pub fn context(&self) -> Option<(u64, u64)> {
        let len = match &self.run {
            Run::Idle => return None,
            Run::Xdp(_) => fields::XDP_MD,
            Run::Skb(_) => fields::SK_BUFF,
            Run::Table(run) => run.len,
            Run::Raw(len) => *len,
        };
        Some((self.ctx, len))
    }

    fn begin_raw(&mut self, hook: &Hook<'_>, input: &RunInput) -> Result<(), Errno> {
        if !input.data.is_empty() {
            return Err(Errno::INVAL);
        }
        let bytes = input.ctx.as_deref().unwrap_or_default();
        // Types with a structure of fixed size get all of it; the others what they are given.
        let loose = matches!(
            hook.ty,
            ProgType::Tracepoint | ProgType::Syscall | ProgType::Ext
        );
        let fixed = ctx::of(hook.ty).filter(|_| !loose);
        let len = fixed.map_or(bytes.len() as u64, |table| table.size.into());
        if bytes.len() as u64 > len.min(CTX_ROOM) {
            return Err(Errno::INVAL);
        }
        self.hide_ctx(len);
        self.mem.fill(self.ctx, len, 0);
        self.mem.poke(self.ctx, bytes);
        match fixed {
            Some(table) => expose(&mut self.mem, self.ctx, table, hook),
            None => {
                let writable = matches!(hook.ty, ProgType::Syscall | ProgType::Ext);
                let perm = if writable {
                    Perm::ReadWrite
                } else {
                    Perm::Read
                };
                self.mem.allow(self.ctx, len, perm);
            }
        }
        self.run = Run::Raw(len);
        Ok(())
    }

    /// Makes the context inaccessible before another one of `next_len` bytes is laid out.
    fn hide_ctx(&mut self, next_len: u64) {
        self.mem.allow(self.ctx, self.context_used, Perm::No);
        (self.context_used, self.exposed) = (next_len, None);
    }

    /// Lays out a context of a type's own structure: which fields that type may access.
    fn show_ctx(&mut self, hook: &Hook<'_>, table: &CtxTable) {
        let shown = Some((hook.ty, hook.attach));
        if self.exposed != shown {
            self.hide_ctx(table.size.into());
            expose(&mut self.mem, self.ctx, table, hook);
            self.exposed = shown;
        }
    }
}

/// Lets a program access those fields of its context that its type may.
///
/// Fields that the kernel narrows or filters when they are written stay unwritable: the engine takes
/// such stores to [`Sim::store_ctx_field`].
fn expose(mem: &mut Memory, at: u64, table: &CtxTable, hook: &Hook<'_>) {
    for field in table.fields {
        let (read, write) = (field.loads.holds(hook), field.stores.holds(hook));
        let narrowed = matches!(field.name, "queue_mapping" | "tc_index" | "tc_classid");
        let perm = match (read, write && !narrowed) {
            (true, true) => Perm::ReadWrite,
            (true, false) => Perm::Read,
            (false, true) => Perm::Write,
            (false, false) => Perm::No,
        };
        let mut len = u64::from(field.width) * u64::from(field.count);
        // A field that was four bytes wide once is still read so, with nothing behind it.
        if field.load == Sizes::NarrowOrFour {
            len = len.max(4);
        }
        mem.allow(at + u64::from(field.off), len, perm);
    }
}

/// Whether bytes are zero, those beyond the end included.
fn is_zero(bytes: &[u8], from: u64, to: u64) -> bool {
    let to = (to as usize).min(bytes.len());
    bytes
        .get(from as usize..to)
        .is_none_or(|part| part.iter().all(|&b| b == 0))
}

/// The context that user space gave, as long as the kernel's structure: what is beyond must be zero.
fn user_ctx(input: &RunInput, size: u64) -> Result<Option<Vec<u8>>, Errno> {
    let Some(ctx) = &input.ctx else {
        return Ok(None);
    };
    if !is_zero(ctx, size, ctx.len() as u64) {
        return Err(Errno::TOOBIG);
    }
    let mut ctx = ctx.clone();
    ctx.resize(size as usize, 0);
    Ok(Some(ctx))
}

/// A 32-bit field of a context in user space's hands.
fn get32(ctx: &[u8], off: u64) -> u32 {
    ctx.get(off as usize..)
        .and_then(|rest| rest.first_chunk::<4>())
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Sets bytes of a context in user space's hands.
fn put(ctx: &mut [u8], off: u64, bytes: &[u8]) {
    let off = off as usize;
    if let Some(to) = ctx.get_mut(off..off + bytes.len()) {
        to.copy_from_slice(bytes);
    }
}
