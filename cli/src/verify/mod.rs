//! `skep verify`: a verdict for each program and kernel, and why not.
//!
//! Units are read in order, judged by several threads and printed in order; the exit code sums up.

mod csv;
mod human;
mod json;
pub(crate) mod judge;

use std::io;

use clap::Args;
use skep_spec::KernelVersion;

use crate::args::{Format, InputArgs, kernel_version};
use crate::exit::Tally;
use crate::failure::Failure;
use crate::input::{Units, btf_store};
use crate::kernels::Kernels;
use crate::pool;
use crate::progress::Progress;

use judge::{Judgement, Outcome, judge};

/// Say for each program whether a kernel would load it, and why not
///
/// Exit code: 0 all accepted, 1 some rejected, 2 usage or bad input, 4 some undecided.
#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,

    /// Judge for this kernel; repeatable. Captured requests are judged for the kernel that they were
    /// recorded on [default: 6.18]
    #[arg(long, value_name = "VERSION", value_parser = kernel_version)]
    pub(crate) kernel: Vec<KernelVersion>,

    /// Show the kernel's log: 1 the path that fails, 2 all paths; add 4 for statistics
    #[arg(short, long, value_name = "N", default_value_t = 0)]
    pub(crate) log_level: u32,

    /// Programs to verify at the same time [default: one per CPU]
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<usize>,

    /// How to print the verdicts
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// What prints outcomes.
trait Report {
    /// Takes the next outcome.
    fn outcome(&mut self, outcome: &Outcome) -> io::Result<()>;

    /// Takes something that could not be read; it is told on stderr as well.
    fn failure(&mut self, failure: &Failure) -> io::Result<()>;

    /// Everything was said.
    fn finish(&mut self) -> io::Result<()>;
}

/// Runs the command.
///
/// # Errors
/// What made it impossible from the start.
pub(crate) fn run(args: &VerifyArgs) -> Result<Tally, Failure> {
    if args.format == Format::Csv && args.log_level != 0 {
        return Err(Failure::new("--format csv has no room for the log of -l")
            .help("use --format json, or leave -l out"));
    }
    let mut kernels =
        Kernels::new(&args.kernel, args.input.btf.as_deref())?.opening(&args.input.open)?;
    let store = btf_store(&args.input)?;
    let units = Units::new(&args.input, &mut kernels, &store);
    let progress = Progress::new(units.sources());
    let many_kernels = args.kernel.len() > 1;
    let mut report: Box<dyn Report> = match args.format {
        Format::Human => Box::new(human::Human::new(many_kernels)),
        Format::Json => Box::new(json::Json::new()),
        Format::Csv => Box::new(csv::Csv::new()),
    };
    let mut tally = Tally::default();
    let mut printed = Ok(());
    let level = args.log_level;
    let work = |unit: Result<_, Failure>| unit.map(|unit| judge(unit, level));
    pool::in_order(pool::threads(args.jobs), units, work, |result| {
        // After stdout is gone, verdicts still count for the exit code.
        if printed.is_err() {
            return;
        }
        match result {
            Ok(outcome) => {
                match outcome.judgement {
                    Judgement::Accepted(_) => {}
                    Judgement::Rejected(_) => tally.failed = true,
                    Judgement::Undecided { .. } => tally.undecided = true,
                }
                progress.at(outcome.unit.source, &outcome.unit.file);
                printed = progress.aside(|| report.outcome(&outcome));
            }
            Err(failure) => {
                tally.bad_input = true;
                printed = progress.aside(|| {
                    let printed = report.failure(&failure);
                    failure.print();
                    printed
                });
            }
        }
    });
    progress.finish();
    finish(printed.and_then(|()| report.finish()), tally)
}

/// A closed pipe (`| head`) is no error; anything else that befalls stdout is.
pub(crate) fn finish(printed: io::Result<()>, tally: Tally) -> Result<Tally, Failure> {
    match printed {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(Failure::of("standard output", e)),
        Ok(()) | Err(_) => Ok(tally),
    }
}
