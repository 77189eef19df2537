//! `skep fuzz`: generated and damaged subjects by the thousand, each put to an oracle.
//!
//! A run is bounded in number and time, and repeatable: the same seed, files and folder give the same
//! subjects. Of the running kernel programs are only loaded, or test-run where an oracle says so; a kernel
//! that becomes tainted is asked no more.

mod folder;
mod print;

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use skep_corpus::BtfStore;
use skep_fuzz::campaign::{self, Tally as Seen};
use skep_fuzz::oracle::{Outcome, is_plain, judge, live_facts};
use skep_fuzz::{Bench, LiveKernel, Oracle, Subject};
use skep_kernel::tainted;
use skep_spec::{Facts, Profile, ProgramSpec};

use crate::args::{InputArgs, OpenArgs, TextFormat};
use crate::exit::Tally;
use crate::failure::{Failure, note};
use crate::input::{Units, btf_store, shown};
use crate::kernels::Kernels;
use crate::pool;
use crate::verify::finish;

use folder::Folder;
use print::{Printer, Run};

/// Put generated programs, and damaged ones, to oracles
///
/// Without --oracle all of them have their turn, those that ask the running kernel if it can be asked
/// (as root). Programs are loaded, and test-run by `kernel_runs_the_same`; nothing is attached. A run with
/// the same seed and files sees the same subjects. Exit code: 0 nothing found, 1 something found, 2 usage,
/// bad input or no kernel to ask.
#[derive(Args, Debug)]
pub(crate) struct FuzzArgs {
    /// The oracle to ask; repeatable; --list names them
    #[arg(long, value_name = "NAME", value_parser = oracle)]
    oracle: Vec<Oracle>,

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

    /// Keep findings, programs that met something new, and the place to go on from, in this folder
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
    let kernel = LiveKernel::open(Arc::new(live_facts()));
    if let (Err(why), Some(asked)) = (&kernel, args.oracle.iter().find(|o| o.needs_kernel())) {
        let what = format!("{} needs a kernel to ask: {why}", asked.name());
        return Err(Failure::new(what).help("run it as root, or choose another --oracle"));
    }
    let mut oracles = args.oracle.clone();
    if oracles.is_empty() {
        oracles.extend(Oracle::all().filter(|oracle| kernel.is_ok() || !oracle.needs_kernel()));
        if let Err(why) = &kernel {
            note(format_args!(
                "oracles that ask a kernel are left out: {why}"
            ));
        }
    }
    let mut bench = match kernel {
        Ok(kernel) => Bench::with_kernel(kernel),
        Err(_) => Bench::new(Arc::new(Facts::new(Profile::linux_6_18()))),
    };
    if let Some(path) = &args.once {
        return once(path, &oracles, &bench);
    }
    let folder = args.corpus.as_deref().map(Folder::open).transpose()?;
    add_programs(args, &mut bench, folder.as_ref())?;
    let mut printer = Printer::new(args.format, args.remarks, args.blind);
    let mut tally = Tally::default();
    let mut printed = Ok(());
    let time = Duration::from_secs(args.time) / u32::try_from(oracles.len()).unwrap_or(1).max(1);
    for oracle in oracles {
        let run = one(args, oracle, &bench, folder.as_ref(), time, &mut printer)?;
        tally.failed |= run.seen.found() != 0;
        printed = printed.and_then(|()| {
            let shown = show(args, &run, &bench, folder.as_ref())?;
            printer.run(&run, &bench, &shown)
        });
        if run.sick {
            return Err(sick());
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
                .map(|spec| Subject::Program(Box::new(spec)))
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

/// The programs of files, which a kernel of ours may see or not.
fn programs(inputs: Vec<PathBuf>, btf_dir: Option<PathBuf>) -> Result<Vec<ProgramSpec>, Failure> {
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
            programs.push((*unit.spec).clone());
        }
    }
    Ok(programs)
}

fn sick() -> Failure {
    Failure::new("the running kernel became tainted; no more programs were loaded")
        .help("look at the kernel's log: it hit a bug of its own")
}

/// Gives the bench the programs and files to damage. Only plain programs are taken: what is damaged may be
/// put to the running kernel.
fn add_programs(
    args: &FuzzArgs,
    bench: &mut Bench,
    folder: Option<&Folder>,
) -> Result<(), Failure> {
    let mut inputs = args.damage.clone();
    inputs.extend(
        folder
            .map(Folder::programs)
            .transpose()?
            .unwrap_or_default(),
    );
    for path in &args.damage {
        if path.is_file()
            && let Ok(bytes) = std::fs::read(path)
            && bytes.len() < 1 << 20
        {
            bench.add_file(bytes);
        }
    }
    if inputs.is_empty() {
        return Ok(());
    }
    let (mut taken, mut left) = (0, 0);
    for spec in programs(inputs, args.btf_dir.clone())? {
        if is_plain(&spec) {
            bench.add_program(spec);
            taken += 1;
        } else {
            left += 1;
        }
    }
    note(format_args!(
        "{taken} programs are damaged; {left} are left out, which only a kernel of their own may see"
    ));
    Ok(())
}

/// Puts subjects to one oracle until their number, the time or the kernel is exhausted.
fn one(
    args: &FuzzArgs,
    oracle: Oracle,
    bench: &Bench,
    folder: Option<&Folder>,
    time: Duration,
    printer: &mut Printer,
) -> Result<Run, Failure> {
    let from = folder.map_or(Ok(0), |folder| folder.resume(oracle, args.seed))?;
    printer.begin(oracle, args.seed, from, args.count, time);
    let (start, taint) = (Instant::now(), tainted());
    let end = from.saturating_add(args.count);
    let next = Cell::new(from);
    let batches = std::iter::from_fn(|| {
        let at = next.get();
        if at >= end || start.elapsed() >= time || oracle.needs_kernel() && tainted() != taint {
            return None;
        }
        let size = if at - from < 16 * FIRST { FIRST } else { BATCH };
        next.set(at.saturating_add(size).min(end));
        Some(at..next.get())
    });
    let mut seen = Seen::default();
    let mut kept = Ok(());
    let work = |positions| campaign::batch(oracle, bench, args.seed, positions);
    pool::in_order(pool::threads(args.jobs), batches, work, |part| {
        let news = seen.merge(part);
        printer.progress(&seen, start.elapsed());
        if let (Some(folder), true) = (folder, kept.is_ok()) {
            kept = news
                .iter()
                .try_for_each(|seed| folder.keep(&bench.subject(oracle, *seed), *seed));
        }
    });
    printer.end();
    if let Some(folder) = folder {
        kept = kept.and_then(|()| folder.remember(oracle, args.seed, next.get()));
    }
    kept?;
    Ok(Run {
        oracle,
        seed: args.seed,
        seen,
        time: start.elapsed(),
        // One that asks no kernel has not made it sick.
        sick: oracle.needs_kernel() && tainted() != taint,
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
