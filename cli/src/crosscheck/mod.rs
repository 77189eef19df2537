//! `skep crosscheck`: the same programs judged here and by a kernel, the running one or one under qemu,
//! side by side.
//!
//! Programs are loaded one by one with maps made anew, never attached, never run; into the running kernel
//! by child processes, so that one of its bugs ends in an error. Only what a kernel's
//! verifier said counts: a kernel that lacks memory or a policy that refuses a type says nothing.

mod compare;
mod oracle;
mod print;

use clap::Args;

use crate::args::{Format, InputArgs};
use crate::exit::Tally;
use crate::failure::Failure;
use crate::input::{Units, btf_store};
use crate::kernels::Kernels;
use crate::pool;
use crate::progress::Progress;
use crate::verify::{finish, judge::judge};

use compare::{Agreement, Pair};
use oracle::{Oracle, Wanted};
use print::Printer;

/// Compare skep's verdicts with those of the running kernel, or of another one under qemu
///
/// Programs are loaded one by one and never attached or run. The running kernel needs CAP_BPF,
/// CAP_PERFMON and CAP_NET_ADMIN; a guest needs qemu-system-x86_64 and a kernel's image. Exit code: 0 all agree, 1 some differ, 2 usage, bad input or no kernel to ask,
/// 4 some undecided or not judged.
#[derive(Args, Debug)]
pub(crate) struct CrosscheckArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,

    /// Whom to ask: the running kernel, or one under qemu, named by its version (`guest:6.18`) or by
    /// its image (`guest:FILE`)
    #[arg(long, value_name = "KERNEL", default_value = "running")]
    pub(crate) kernel: Wanted,

    /// Count another message, or another number of instructions processed, as a difference
    #[arg(long)]
    pub(crate) strict: bool,

    /// Programs to compare at the same time [default: one per CPU]
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<usize>,

    /// How to print the comparison
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// Runs the command.
///
/// # Errors
/// What made it impossible from the start, such as no kernel to ask.
pub(crate) fn run(args: &CrosscheckArgs) -> Result<Tally, Failure> {
    let kernel = Oracle::open(&args.kernel)?;
    let btf = kernel.btf(args.input.btf.as_deref())?;
    let kernels = Kernels::only(kernel.release(), kernel.version(), btf, kernel.cpus())?;
    let mut kernels = kernels.opening(&args.input.open)?;
    let store = btf_store(&args.input)?;
    let units = Units::new(&args.input, &mut kernels, &store);
    let progress = Progress::new(units.sources());
    let mut printer = Printer::new(args.format, kernel.release());
    let mut tally = Tally::default();
    let (mut printed, taint) = (Ok(()), kernel.tainted());
    let mut sick = false;
    let compare =
        |unit: Result<_, Failure>| unit.and_then(|unit| Pair::new(judge(unit, 0), &kernel));
    // A kernel that hits a bug of its own is asked no more.
    let units = units.take_while(|_| kernel.tainted() == taint);
    pool::in_order(pool::threads(args.jobs), units, compare, |result| {
        sick = sick || kernel.tainted() != taint;
        if printed.is_err() {
            return;
        }
        match result {
            Ok(pair) => {
                match pair.agreement(args.strict) {
                    Agreement::Same => {}
                    Agreement::Differs => tally.failed = true,
                    Agreement::Undecided | Agreement::NotJudged => tally.undecided = true,
                }
                progress.at(pair.skep.unit.source, &pair.skep.unit.file);
                printed = progress.aside(|| printer.pair(&pair, args.strict));
            }
            Err(failure) => {
                tally.bad_input = true;
                printed = progress.aside(|| {
                    let printed = printer.flush();
                    failure.print();
                    printed
                });
            }
        }
    });
    progress.finish();
    let tally = finish(printed.and_then(|()| printer.finish()), tally)?;
    if sick {
        return Err(Failure::new(
            "the running kernel became tainted; no more programs were loaded",
        )
        .help("look at the kernel's log: it hit a bug of its own"));
    }
    Ok(tally)
}
