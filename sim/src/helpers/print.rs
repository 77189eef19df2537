//! Text out: `bpf_printk` in both forms, and `bpf_snprintf`.

use super::Row;
use super::call::Call;
use super::format::format;
use crate::errno::Errno;
use crate::fault::Access;
use crate::trap::Trap;

pub(super) const HELPERS: &[Row] = &[
    ("bpf_trace_printk", trace_printk),
    ("bpf_trace_vprintk", trace_vprintk),
    ("bpf_snprintf", snprintf),
];

/// Bytes of a trace line, its end included (`MAX_BPRINTF_BUF`).
const LINE: usize = 1024;
/// Arguments at most (`MAX_BPRINTF_VARARGS`).
const MAX_ARGS: u64 = 12;

fn print(call: &mut Call<'_>, fmt_size: u64, args: &[u64]) -> Result<u64, Trap> {
    let fmt = call.bytes(1, fmt_size)?;
    let text = match format(&call.sim.mem, fmt, args, LINE) {
        Ok(text) => text,
        Err(errno) => return Ok(errno.as_ret()),
    };
    if call.sim.may_output(text.bytes.len()) {
        // The trace file shows text up to its first zero byte, a line per event.
        let shown = text.bytes.split(|&b| b == 0).next().unwrap_or_default();
        let line = String::from_utf8_lossy(shown);
        let line = line.strip_suffix('\n').unwrap_or(&line).to_owned();
        call.sim.output.printk.push(line);
    }
    Ok(text.len as u64)
}

fn trace_printk(call: &mut Call<'_>) -> Result<u64, Trap> {
    let size = u64::from(call.arg32(2));
    let args = [call.arg(3), call.arg(4), call.arg(5)];
    print(call, size, &args)
}

/// The arguments in memory, if their number is one the kernel takes.
pub(super) fn arguments(call: &Call<'_>, at: usize, bytes: u64) -> Result<Option<Vec<u64>>, Trap> {
    if !bytes.is_multiple_of(8) || bytes > MAX_ARGS * 8 || bytes != 0 && call.arg(at) == 0 {
        return Ok(None);
    }
    let (words, _) = call.bytes(at, bytes)?.as_chunks::<8>();
    Ok(Some(
        words.iter().map(|word| u64::from_le_bytes(*word)).collect(),
    ))
}

fn trace_vprintk(call: &mut Call<'_>) -> Result<u64, Trap> {
    let size = u64::from(call.arg32(2));
    let bytes = u64::from(call.arg32(4));
    match arguments(call, 3, bytes)? {
        Some(args) => print(call, size, &args),
        None => Ok(Errno::INVAL.as_ret()),
    }
}

fn snprintf(call: &mut Call<'_>) -> Result<u64, Trap> {
    let size = u64::from(call.arg32(2));
    let (to, bytes) = (call.arg(1), u64::from(call.arg32(5)));
    if size != 0 {
        call.sim.mem.check(to, size, Access::Write)?;
    }
    let Some(args) = arguments(call, 4, bytes)? else {
        return Ok(Errno::INVAL.as_ret());
    };
    let fmt = call.string(3)?;
    let text = match format(&call.sim.mem, &fmt, &args, size as usize) {
        Ok(text) => text,
        Err(errno) => return Ok(errno.as_ret()),
    };
    if size != 0 {
        call.sim.mem.poke(to, &text.bytes);
        call.sim.mem.poke(to + text.bytes.len() as u64, &[0]);
    }
    Ok(text.len as u64 + 1)
}

impl Call<'_> {
    /// The string that argument `n` points to, with its zero byte: constant text in a read-only map.
    pub(super) fn string(&self, n: usize) -> Result<Vec<u8>, Trap> {
        let mut text = Vec::new();
        loop {
            let at = self.arg(n).wrapping_add(text.len() as u64);
            let Some([byte]) = self.sim.mem.load::<1>(at) else {
                return Err(self.sim.mem.fault(at, 1, Access::Read).into());
            };
            text.push(byte);
            if byte == 0 {
                return Ok(text);
            }
        }
    }
}
