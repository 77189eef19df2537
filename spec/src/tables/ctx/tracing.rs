//! Contexts that are registers, records or bytes: tracing, infrared, system calls.
//!
//! `field(offset, width, elements, name, value of a read, sizes of reads)`, then who may write.

use super::CtxValue::{Scalar, TpBuffer};
use super::Sizes::{Begins, Exact, Narrow, Within};
use super::{CtxTable, field};
use crate::tables::hook::When::Always;

/// Registers of the interrupted code, on x86-64.
#[rustfmt::skip]
pub static KPROBE: CtxTable = CtxTable { name: "pt_regs", size: 168, fields: &[
    field(  0, 8, 21, "regs",          Scalar,   Within).writes(Within, Always),
]};

/// The record of a tracepoint: the pointer in front is hidden, what follows depends on the event.
#[rustfmt::skip]
pub static TRACEPOINT: CtxTable = CtxTable { name: "", size: 8192, fields: &[
    field(  8, 8, 1023, "record",      Scalar,   Within),
]};

/// `struct bpf_perf_event_data`, on x86-64.
#[rustfmt::skip]
pub static PERF_EVENT: CtxTable = CtxTable { name: "bpf_perf_event_data", size: 184, fields: &[
    field(  0, 8, 21, "regs",          Scalar,   Exact),
    field(168, 8,  1, "sample_period", Scalar,   Narrow),
    field(176, 8,  1, "addr",          Scalar,   Narrow),
]};

/// `struct bpf_raw_tracepoint_args`: the arguments, without types.
#[rustfmt::skip]
pub static RAW_TRACEPOINT: CtxTable = CtxTable { name: "bpf_raw_tracepoint_args", size: 96, fields: &[
    field(  0, 8, 12, "args",          Scalar,   Within),
]};

/// The same, where the first argument is a buffer. The kernel looks at its first byte alone.
#[rustfmt::skip]
pub static RAW_TRACEPOINT_WRITABLE: CtxTable = CtxTable { name: "bpf_raw_tracepoint_args", size: 96, fields: &[
    field(  0, 8,  1, "buffer",        TpBuffer, Exact),
    field(  1, 1, 95, "args",          Scalar,   Within),
]};

/// One sample of an infrared receiver.
#[rustfmt::skip]
pub static LIRC: CtxTable = CtxTable { name: "", size: 4, fields: &[
    field(  0, 4,  1, "sample",        Scalar,   Exact),
]};

/// What user space gave to the program: any bytes.
#[rustfmt::skip]
pub static SYSCALL: CtxTable = CtxTable { name: "", size: 65535, fields: &[
    field(  0, 1, 65535, "",           Scalar,   Begins).writes(Begins, Always),
]};
