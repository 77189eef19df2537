//! Captures: every packet in turn, a verdict for each and a table of verdicts.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write, stdout};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use skep_host::maps::Snapshot;
use skep_host::packet::capture::{self, Frame};
use skep_host::packet::takes_packet;
use skep_host::text::names;
use skep_interp::RunError;
use skep_sim::RunInput;
use skep_spec::ProgType;

use crate::args::TextFormat;
use crate::exit::Tally;
use crate::failure::Failure;
use crate::progress::Count;
use crate::style::{DIM, TITLE};
use crate::verify::finish;

use super::{Ready, RunArgs, input_of, live, print, refused, tell_trap};

/// Bytes of a capture at most.
const MAX_CAPTURE: u64 = 1 << 30;
/// Packets whose verdicts are shown one by one; JSON has more.
const MOST_SHOWN: usize = 32;
const MOST_IN_JSON: usize = 1 << 16;
/// Packets between two looks at the clock.
const STRIDE: u64 = 1 << 14;

/// What became of a packet.
struct Judged {
    number: usize,
    len: usize,
    out_len: usize,
    retval: u32,
}

/// Sums over all runs.
#[derive(Default)]
struct Sums {
    /// Packets and bytes by return value.
    verdicts: BTreeMap<u32, (u64, u64)>,
    runs: u64,
    /// Instructions, where the engine counts them.
    insns: Option<u64>,
    /// Packets that no test run takes: shorter than their headers.
    refused: u64,
}

/// Gives every packet of the captures to the program, `--repeat` times over.
///
/// # Errors
/// A capture that cannot be read, or whose packets the program cannot be given.
pub(super) fn run(ready: &mut Ready, args: &RunArgs, mut tally: Tally) -> Result<Tally, Failure> {
    let ty = ready.unit.spec.ty;
    if !takes_packet(ty) {
        let what = format!("--pcap: programs of type {ty} have no packets");
        return Err(Failure::new(what).help("--ctx sets fields of their context"));
    }
    let frames = read_captures(args)?;
    let mut inputs = Vec::with_capacity(frames.len());
    for frame in &frames {
        inputs.push(input_of(ready, frame.data.clone(), args)?);
    }
    let mut writer = args.write.as_deref().map(Writer::create).transpose()?;
    let before = Snapshot::take(&mut ready.sim);
    let begin = Instant::now();
    let (mut sums, mut judged) = (Sums::default(), Vec::new());
    let ended = pass(ready, args, &inputs, &mut sums, |number, retval, data| {
        if judged.len() < MOST_IN_JSON {
            let len = inputs.get(number).map_or(0, |i| i.data.len());
            judged.push(Judged {
                number,
                len,
                out_len: data.len(),
                retval,
            });
        }
        match &mut writer {
            Some(writer) if goes_on(ty, retval) => {
                let time = frames.get(number).map_or(0, |f| f.time_ns);
                writer.packet(time, data)
            }
            Some(_) | None => Ok(()),
        }
    });
    let took = begin.elapsed();
    if let Some(writer) = writer {
        writer.finish()?;
    }
    let stopped = ended?;
    let printed = match args.format {
        TextFormat::Human => human(ready, &judged, &sums, before, took),
        TextFormat::Json => document(ready, &judged, &sums, before),
    };
    let mut tally = match stopped {
        Some((number, stop)) => {
            anstream::eprintln!("packet {} of the captures:", number + 1);
            tell_trap(&ready.unit, &ready.sim, &stop, args, &mut tally);
            return finish(printed, tally);
        }
        None => finish(printed, tally)?,
    };
    if args.on_kernel {
        live::compare_all(ready, &inputs, args, &mut tally)?;
    }
    Ok(tally)
}

/// One packet after the other; the packet at which a trap ended it all, if one did.
fn pass(
    ready: &mut Ready,
    args: &RunArgs,
    inputs: &[RunInput],
    sums: &mut Sums,
    mut see: impl FnMut(usize, u32, &[u8]) -> Result<(), Failure>,
) -> Result<Option<(usize, skep_interp::Stop)>, Failure> {
    let total = inputs.len() as u64 * u64::from(args.repeat);
    let progress = Count::new(total);
    for round in 0..args.repeat {
        for (number, input) in inputs.iter().enumerate() {
            let traced = args.trace.then_some(&ready.unit);
            let run = ready
                .engine
                .run(&mut ready.sim, ready.prog, input, args.max_insns, traced);
            match run {
                Ok(ran) => {
                    let output = &ran.output;
                    let of_verdict = sums.verdicts.entry(output.retval).or_default();
                    of_verdict.0 += 1;
                    of_verdict.1 += input.data.len() as u64;
                    if let Some(insns) = ran.insns {
                        *sums.insns.get_or_insert(0) += insns;
                    }
                    if round == 0 {
                        see(number, output.retval, &output.data)?;
                    }
                }
                Err(RunError::Stop(stop)) => return Ok(Some((number, stop))),
                // Captures hold frames that are too short to be run; the rest goes on.
                Err(RunError::Input(_)) if args.ctx.is_empty() => sums.refused += 1,
                Err(error) => return Err(refused(&ready.engine, ready.prog, &error, args)),
            }
            sums.runs += 1;
            if sums.runs.is_multiple_of(STRIDE) {
                progress.at(sums.runs);
            }
        }
    }
    progress.finish();
    Ok(None)
}

fn read_captures(args: &RunArgs) -> Result<Vec<Frame>, Failure> {
    let mut frames = Vec::new();
    for path in &args.pcap {
        let mut bytes = Vec::new();
        let place = path.display();
        let file = File::open(path).map_err(|e| Failure::of(&place, crate::input::plain(&e)))?;
        file.take(MAX_CAPTURE + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| Failure::of(&place, e))?;
        if bytes.len() as u64 > MAX_CAPTURE {
            return Err(Failure::of(place, "the capture is larger than 1 GiB"));
        }
        frames.extend(capture::read(&bytes).map_err(|e| e.in_place(&place))?);
    }
    if frames.is_empty() {
        return Err(Failure::new("the captures hold no packets"));
    }
    Ok(frames)
}

/// Whether a packet goes on behind the program, which is what `--write` keeps.
fn goes_on(ty: ProgType, retval: u32) -> bool {
    match ty {
        ProgType::Xdp => !matches!(retval, 0 | 1),
        ProgType::SchedCls | ProgType::SchedAct => retval != 2,
        ProgType::LwtIn | ProgType::LwtOut | ProgType::LwtXmit | ProgType::LwtSeg6local => {
            retval != 2
        }
        ProgType::Unspec
        | ProgType::SocketFilter
        | ProgType::Kprobe
        | ProgType::Tracepoint
        | ProgType::PerfEvent
        | ProgType::CgroupSkb
        | ProgType::CgroupSock
        | ProgType::SockOps
        | ProgType::SkSkb
        | ProgType::CgroupDevice
        | ProgType::SkMsg
        | ProgType::RawTracepoint
        | ProgType::CgroupSockAddr
        | ProgType::LircMode2
        | ProgType::SkReuseport
        | ProgType::FlowDissector
        | ProgType::CgroupSysctl
        | ProgType::RawTracepointWritable
        | ProgType::CgroupSockopt
        | ProgType::Tracing
        | ProgType::StructOps
        | ProgType::Ext
        | ProgType::Lsm
        | ProgType::SkLookup
        | ProgType::Syscall
        | ProgType::Netfilter => retval != 0,
    }
}

/// A capture that is written.
struct Writer<'a> {
    path: &'a Path,
    out: BufWriter<File>,
}

impl<'a> Writer<'a> {
    fn create(path: &'a Path) -> Result<Writer<'a>, Failure> {
        let file = File::create(path).map_err(|e| Failure::of(path.display(), e))?;
        let mut out = BufWriter::new(file);
        out.write_all(&capture::header())
            .map_err(|e| Failure::of(path.display(), e))?;
        Ok(Writer { path, out })
    }

    fn packet(&mut self, time_ns: u64, data: &[u8]) -> Result<(), Failure> {
        let written = self.out.write_all(&capture::record(time_ns, data));
        written.map_err(|e| Failure::of(self.path.display(), e))
    }

    fn finish(mut self) -> Result<(), Failure> {
        let written = self.out.flush();
        written.map_err(|e| Failure::of(self.path.display(), e))
    }
}

/// Writes packets to a new capture.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write_capture<'a>(
    path: &Path,
    packets: impl IntoIterator<Item = (u64, &'a [u8])>,
) -> Result<(), Failure> {
    let mut bytes = capture::header();
    for (time, data) in packets {
        bytes.extend(capture::record(time, data));
    }
    fs::write(path, bytes).map_err(|e| Failure::of(path.display(), e))
}

/// A return value by its name, else as a number.
pub(super) fn verdict_text(ty: ProgType, retval: u32) -> String {
    match names::verdict(ty, retval) {
        name if name.is_empty() => retval.cast_signed().to_string(),
        name => name,
    }
}

fn human(
    ready: &mut Ready,
    judged: &[Judged],
    sums: &Sums,
    before: Snapshot,
    took: Duration,
) -> io::Result<()> {
    let (unit, ty) = (&ready.unit, ready.unit.spec.ty);
    let mut out = anstream::stdout().lock();
    writeln!(out, "{TITLE}{}/{}{TITLE:#}  {ty}", unit.file, unit.prog)?;
    for packet in judged.iter().take(MOST_SHOWN) {
        let text = verdict_text(ty, packet.retval);
        let length = if packet.len == packet.out_len {
            format!("{} bytes", packet.len)
        } else {
            format!("{} -> {} bytes", packet.len, packet.out_len)
        };
        writeln!(
            out,
            "  {DIM}packet{DIM:#} {:<4} {length:<16} {text}",
            packet.number + 1
        )?;
    }
    if judged.len() > MOST_SHOWN {
        writeln!(out, "  {DIM}… and more{DIM:#}")?;
    }
    if sums.runs == 0 {
        return Ok(());
    }
    let width = sums
        .verdicts
        .keys()
        .map(|v| verdict_text(ty, *v).chars().count());
    let width = width.max().unwrap_or(0).max(8);
    writeln!(
        out,
        "  {DIM}{:width$}  {:>12}  {:>7}  {:>14}{DIM:#}",
        "verdict", "packets", "share", "bytes"
    )?;
    for (retval, (packets, bytes)) in &sums.verdicts {
        let share = 100.0 * *packets as f64 / sums.runs.max(1) as f64;
        let text = verdict_text(ty, *retval);
        writeln!(
            out,
            "  {TITLE}{text:width$}{TITLE:#}  {packets:>12}  {share:>5.1} %  {bytes:>14}"
        )?;
    }
    if sums.refused > 0 {
        writeln!(out, "  {:width$}  {:>12}", "too short", sums.refused)?;
    }
    let how = match sums.insns {
        Some(insns) => {
            let each = insns.checked_div(sums.runs).unwrap_or(0);
            format!("{each} instructions each on average")
        }
        None => "as machine code".to_owned(),
    };
    writeln!(out, "  {} packets, {how}", sums.runs)?;
    print::output(&mut out, &ready.sim.take_output())?;
    for change in &before.changes(&mut ready.sim) {
        print::map(&mut out, change)?;
    }
    drop(out);
    if took > Duration::from_millis(500) {
        let million = sums.runs as f64 / took.as_secs_f64() / 1e6;
        anstream::eprintln!(
            "{DIM}{million:.2} million packets a second ({:.2} s){DIM:#}",
            took.as_secs_f64()
        );
    }
    Ok(())
}

fn document(ready: &mut Ready, judged: &[Judged], sums: &Sums, before: Snapshot) -> io::Result<()> {
    let ty = ready.unit.spec.ty;
    let packets: Vec<Value> = judged
        .iter()
        .map(|p| {
            json!({
                "number": p.number + 1, "len": p.len, "out_len": p.out_len,
                "retval": p.retval, "verdict": names::verdict(ty, p.retval),
            })
        })
        .collect();
    let verdicts: Vec<Value> = sums
        .verdicts
        .iter()
        .map(|(retval, (packets, bytes))| {
            json!({
                "retval": retval, "verdict": names::verdict(ty, *retval),
                "packets": packets, "bytes": bytes,
            })
        })
        .collect();
    let output = ready.sim.take_output();
    let maps: Vec<Value> = before
        .changes(&mut ready.sim)
        .iter()
        .map(print::json_map)
        .collect();
    let document = json!({
        "schema": "skep.run-packets/1",
        "file_name": ready.unit.file,
        "prog_name": ready.unit.prog,
        "prog_type": ty.name(),
        "runs": sums.runs,
        "insns": sums.insns,
        "refused": sums.refused,
        "packets": packets,
        "verdicts": verdicts,
        "printk": output.printk,
        "maps": maps,
    });
    writeln!(stdout().lock(), "{document:#}")
}
