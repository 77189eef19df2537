//! `skep fuzz`: generated and damaged subjects by the thousand, each put to an oracle.
//!
//! A run is bounded in number and time, and repeatable: the same seed, files and folder give the same
//! subjects. Of kernels programs are only loaded, or test-run where an oracle says so; a running kernel
//! that becomes tainted is asked no more.

mod folder;
mod kernels;
mod print;
mod state;

use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use skep_corpus::BtfStore;
use skep_fuzz::campaign;
use skep_fuzz::oracle::{Guests, Outcome, is_plain, judge};
use skep_fuzz::{Bench, Oracle, Subject};
use skep_kernel::tainted;
use skep_spec::ProgramSpec;

use crate::args::{InputArgs, OpenArgs, TextFormat};
use crate::exit::Tally;
use crate::failure::{Failure, note};
use crate::input::{Units, btf_store, shown};
use crate::kernels::Kernels;
use crate::pool;
use crate::verify::finish;

use folder::Folder;
use kernels::KernelArgs;
use print::{Printer, Run};

/// Put generated programs, and damaged ones, to oracles
///
/// Without --oracle all of them have their turn, those that ask the running kernel if it can be asked
/// (as root). Programs are loaded, and test-run by `kernel_runs_the_same`; nothing is attached. A run with
/// the same seed and files sees the same subjects; with --corpus it goes on where it was interrupted, and
/// the summary is of the whole. Exit code: 0 nothing found, 1 something found, 2 usage, bad input or no
/// kernel to ask.
#[derive(Args, Debug)]
pub(crate) struct FuzzArgs {
    /// The oracle to ask; repeatable; --list names them
    #[arg(long, value_name = "NAME", value_parser = oracle)]
    oracle: Vec<Oracle>,

    #[command(flatten)]
    kernels: KernelArgs,

    /// Name the oracles and end
    #[arg(long)]
    list: bool,

    /// Subjects for each oracle
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    count: u64,

    /// Seconds for the whole run, shared out among the oracles
    #[arg(long, value_name = "S", default_value_t = 60)]
    time: u64,

    /// Where to begin
    #[arg(long, value_name = "K", default_value_t = 1)]
    seed: u64,

    /// Put this file to the oracle once, and say what it says
    #[arg(long, value_name = "FILE")]
    once: Option<PathBuf>,

    /// Also damage the programs of these files: objects, assembly, captured requests, folders
    #[arg(long, value_name = "FILE", num_args = 1..)]
    damage: Vec<PathBuf>,

    /// Folder or tar archive with the programs' BTF that captured requests name
    #[arg(long, value_name = "DIR")]
    btf_dir: Option<PathBuf>,

    /// Keep findings, programs that met something new, and how far the run came, in this folder
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,

    /// Findings of each oracle that are made small and shown
    #[arg(long, value_name = "N", default_value_t = 5)]
    show: usize,

    /// Show what differs without being a finding, too: other counts, other messages, no verdict
    #[arg(long)]
    remarks: bool,

    /// Name the rules and table rows that nothing met
    #[arg(long)]
    blind: bool,

    /// Subjects to look at at the same time [default: one per CPU]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,

    /// How to print the summary
    #[arg(long, value_enum, default_value_t)]
    format: TextFormat,
}

fn oracle(text: &str) -> Result<Oracle, String> {
    Oracle::all()
        .find(|oracle| oracle.name() == text)
        .ok_or_else(|| {
            let names: Vec<_> = Oracle::all().map(Oracle::name).collect();
            format!("oracles are {}", names.join(", "))
        })
}

/// Subjects that a thread takes at once.
const BATCH: u64 = 32;
/// The same where guests are asked, which do better with many at a time.
const GUEST_BATCH: u64 = 128;
/// Time after which the state of a run is written again.
const REMEMBER: Duration = Duration::from_secs(5);
/// Subjects of the first batches, so that there is something to see at once.
const FIRST: u64 = 4;

/// Runs the command.
///
/// # Errors
/// What made it impossible from the start, or a kernel that became tainted.
pub(crate) fn run(args: &FuzzArgs) -> Result<Tally, Failure> {
    if args.list {
        return finish(print::oracles(), Tally::default());
    }
    let (mut bench, oracles) = args.kernels.bench(&args.oracle)?;
    if let Some(path) = &args.once {
        return once(path, &oracles, &bench);
    }
    let folder = args.corpus.as_deref().map(Folder::open).transpose()?;
    let subjects = add_programs(args, &mut bench, folder.as_ref())?;
    let mut printer = Printer::new(args.format, args.remarks, args.blind);
    let mut tally = Tally::default();
    let mut printed = Ok(());
    let time = Duration::from_secs(args.time) / u32::try_from(oracles.len()).unwrap_or(1).max(1);
    for oracle in oracles {
        let run = one(
            args,
            oracle,
            &bench,
            (folder.as_ref(), &subjects),
            time,
            &mut printer,
        )?;
        tally.failed |= run.seen.found() != 0;
        printed = printed.and_then(|()| {
            let shown = show(args, &run, &bench, folder.as_ref())?;
            printer.run(&run, &bench, &shown)
        });
        if run.sick {
            return Err(sick());
        }
        if let Some(why) = bench.guests().and_then(Guests::failure) {
            return Err(Failure::of("the guest", why));
        }
        if printed.is_err() {
            break;
        }
    }
    finish(printed.and_then(|()| printer.finish()), tally)
}

/// Puts a file to each oracle: its bytes to readers, its programs to the others.
fn once(path: &Path, oracles: &[Oracle], bench: &Bench) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for oracle in oracles {
        let subjects = match oracle {
            Oracle::NeverPanics(_) | Oracle::ElfReadersAgree => {
                let bytes = std::fs::read(path).map_err(|e| Failure::of(shown(path), e))?;
                vec![Subject::Bytes(bytes)]
            }
            Oracle::KernelAgrees
            | Oracle::AcceptedNeverTraps
            | Oracle::AbstractContainsConcrete
            | Oracle::PruneEqualsNoPrune
            | Oracle::KernelRunsTheSame
            | Oracle::InterpEqualsJit
            | Oracle::AsmRoundTrip
            | Oracle::NumbersContain
            | Oracle::RequestsGetAVerdict => programs(vec![path.to_owned()], None)?
                .into_iter()
                .map(|(spec, _)| Subject::Program(Box::new(spec)))
                .collect(),
        };
        for subject in subjects {
            let outcome = judge(*oracle, bench, &subject, 0).outcome;
            tally.failed |= matches!(outcome, Outcome::Found(_));
            print::outcome(*oracle, &outcome).map_err(|e| Failure::of("standard output", e))?;
        }
    }
    Ok(tally)
}

/// The programs of files, which a kernel of ours may see or not, and the kernel that they were captured on.
fn programs(
    inputs: Vec<PathBuf>,
    btf_dir: Option<PathBuf>,
) -> Result<Vec<(ProgramSpec, String)>, Failure> {
    let input = InputArgs {
        inputs,
        prog: Vec::new(),
        ty: None,
        attach_type: None,
        btf: None,
        btf_dir,
        open: OpenArgs::default(),
    };
    let store: BtfStore = btf_store(&input)?;
    let mut kernels = Kernels::new(&[], None)?;
    let mut programs = Vec::new();
    for unit in Units::new(&input, &mut kernels, &store) {
        let unit = unit?;
        if unit.blocked.is_none() {
            programs.push(((*unit.spec).clone(), unit.recorded_on));
        }
    }
    Ok(programs)
}

fn sick() -> Failure {
    Failure::new("the running kernel became tainted; no more programs were loaded")
        .help("look at the kernel's log: it hit a bug of its own")
}

/// Gives the bench the programs and files to damage; says what of the subjects that determines. Plain
/// programs are for any kernel, others for guests of the kernel that they were captured on.
fn add_programs(
    args: &FuzzArgs,
    bench: &mut Bench,
    folder: Option<&Folder>,
) -> Result<String, Failure> {
    let mut inputs = args.damage.clone();
    if let Some(folder) = folder {
        inputs.extend(folder.programs(args.seed, args.count)?);
    }
    for path in &args.damage {
        if path.is_file()
            && let Ok(bytes) = std::fs::read(path)
            && bytes.len() < 1 << 20
        {
            bench.add_file(bytes);
        }
    }
    let guest = bench.guests().map(|guests| guests.image().version);
    let (mut plain, mut typed, mut left) = (0, 0, 0);
    if !inputs.is_empty() {
        for (spec, recorded_on) in programs(inputs, args.btf_dir.clone())? {
            let fits = guest.is_some() && recorded_on.parse().ok() == guest;
            if is_plain(&spec) {
                bench.add_program(spec);
                plain += 1;
            } else if fits && bench.add_typed_program(spec).is_ok() {
                typed += 1;
            } else {
                left += 1;
            }
        }
        note(format_args!(
            "{plain} programs are damaged, and {typed} for guests; {left} are left out, which only a \
             guest of the kernel that they are for may see"
        ));
    }
    let kernels = args.kernels.subjects();
    Ok(format!("{kernels}, {plain} and {typed} damaged"))
}

/// Puts subjects to one oracle until their number, the time or the kernel is exhausted.
fn one(
    args: &FuzzArgs,
    oracle: Oracle,
    bench: &Bench,
    (folder, subjects): (Option<&Folder>, &str),
    time: Duration,
    printer: &mut Printer,
) -> Result<Run, Failure> {
    let resumed = folder.map(|folder| folder.resume(oracle, args.seed, subjects, bench.facts()));
    let mut state = resumed.transpose()?.flatten().unwrap_or_default();
    subjects.clone_into(&mut state.subjects);
    let (from, before) = (state.next, Duration::from_millis(state.millis));
    printer.begin(oracle, args.seed, from, args.count, time);
    let (start, taint) = (Instant::now(), tainted());
    let ill = || oracle.needs_kernel() && tainted() != taint;
    let guests = bench.guests().filter(|_| oracle == Oracle::KernelAgrees);
    let most = guests.map_or(BATCH, |_| GUEST_BATCH);
    let next = Cell::new(from);
    let batches = std::iter::from_fn(|| {
        let at = next.get();
        let failed = || guests.is_some_and(|guests| guests.failure().is_some());
        if at >= args.count || start.elapsed() >= time || ill() || failed() {
            return None;
        }
        let size = if at - from < 16 * FIRST { FIRST } else { most };
        next.set(at.saturating_add(size).min(args.count));
        Some(at..next.get())
    });
    let mut kept = Ok(());
    let mut remembered = start;
    // What is not begun in time is left for another run.
    let work = |at: Range<u64>| {
        let begun = start.elapsed() < time;
        begun.then(|| (at.end, campaign::batch(oracle, bench, args.seed, at)))
    };
    let mut over = false;
    pool::in_order(pool::threads(args.jobs), batches, work, |part| {
        let Some((end, part)) = part.filter(|_| !over) else {
            over = true;
            return;
        };
        let news = state.seen.merge(part);
        state.next = end;
        let spent = before + start.elapsed();
        state.millis = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX);
        printer.progress(&state.seen, from, start.elapsed());
        if let (Some(folder), true) = (folder, kept.is_ok()) {
            kept = news
                .iter()
                .try_for_each(|seed| folder.keep(&bench.subject(oracle, *seed), *seed));
            if remembered.elapsed() >= REMEMBER && kept.is_ok() {
                remembered = Instant::now();
                kept = folder.remember(oracle, args.seed, &state);
            }
        }
    });
    printer.end();
    if let (Some(folder), true) = (folder, state.next != from) {
        kept = kept.and_then(|()| folder.remember(oracle, args.seed, &state));
    }
    kept?;
    Ok(Run {
        oracle,
        seed: args.seed,
        time: Duration::from_millis(state.millis),
        left: args.count.saturating_sub(state.next),
        seen: state.seen,
        // One that asks no kernel has not made it sick.
        sick: ill(),
    })
}

/// Reports of what was found: made small, and kept where there is a folder.
fn show(
    args: &FuzzArgs,
    run: &Run,
    bench: &Bench,
    folder: Option<&Folder>,
) -> io::Result<Vec<String>> {
    let remarks = run.seen.remarks.iter().filter(|_| args.remarks);
    let sorts = run.seen.findings.iter().chain(remarks);
    let mut shown = Vec::new();
    for (kind, sort) in sorts.take(args.show) {
        let report = campaign::report(run.oracle, bench, sort.seed, kind);
        if let Some(folder) = folder {
            folder.finding(run.oracle, sort.seed, &report)?;
        }
        shown.push(report);
    }
    Ok(shown)
}
