//! `skep bench`: how fast skep is, measured beside the running kernel.
//!
//! `skep bench verify` verifies each program five times and then has the kernel do so, so that both see
//! the same machine and find their own data in its caches. Programs are loaded, never attached, never run.

mod live;
mod measure;
mod print;
mod run;
mod summary;

use std::path::Path;

use clap::{Args, Subcommand};

use crate::args::{Format, InputArgs};
use crate::exit::Tally;
use crate::failure::Failure;
use crate::input::{Units, btf_store};
use crate::kernels::Kernels;
use crate::progress::Progress;
use crate::verify::finish;

use live::Live;
use measure::measure;
use print::Printer;
use summary::Summary;

/// Measure how fast skep is, beside the running kernel
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Subcommand, Debug)]
enum BenchCommand {
    Verify(BenchVerifyArgs),
    Run(run::BenchRunArgs),
}

/// Verify programs, here and by the running kernel, and divide the times
///
/// Times are in µs, each the least of five; the kernel's are its own figures. A ratio below 1 means
/// that skep is faster; there is none where the verdicts differ. Without the privilege to ask the
/// kernel, only skep is measured. A summary follows on standard error. Exit code: 0 measured, 2 usage
/// or bad input.
#[derive(Args, Debug)]
struct BenchVerifyArgs {
    #[command(flatten)]
    input: InputArgs,

    /// How to print the times
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
///
/// # Errors
/// What made it impossible from the start.
pub(crate) fn run(args: &BenchArgs) -> Result<Tally, Failure> {
    match &args.command {
        BenchCommand::Verify(args) => verify(args),
        BenchCommand::Run(args) => run::run(args),
    }
}

fn verify(args: &BenchVerifyArgs) -> Result<Tally, Failure> {
    let live = Live::open();
    if let Err(why) = &live {
        anstream::eprintln!("skipped: {why}");
    }
    let live = live.ok();
    let versions: Vec<_> = live.iter().map(Live::version).collect();
    // What a kernel with types is asked, it is asked with its own unless others are given.
    let own = live
        .as_ref()
        .and_then(Live::btf)
        .map(|_| Path::new("running"));
    let mut kernels =
        Kernels::new(&versions, args.input.btf.as_deref().or(own))?.opening(&args.input.open)?;
    let store = btf_store(&args.input)?;
    let units = Units::new(&args.input, &mut kernels, &store);
    let progress = Progress::new(units.sources());
    let mut printer = Printer::new(args.format);
    let mut summary = Summary::default();
    let mut tally = Tally::default();
    let mut printed = Ok(());
    for unit in units {
        match unit {
            Ok(unit) => {
                progress.at(unit.source, &unit.file);
                let timing = measure(&unit, live.as_ref());
                summary.add(&timing);
                printed = progress.aside(|| printer.timing(&timing));
            }
            Err(failure) => {
                tally.bad_input = true;
                progress.aside(|| failure.print());
            }
        }
        if printed.is_err() {
            break;
        }
    }
    progress.finish();
    let tally = finish(printed.and_then(|()| printer.finish()), tally)?;
    summary.print();
    match live {
        Some(live) if live.is_sick() => Err(live::sick()),
        Some(_) | None => Ok(tally),
    }
}
