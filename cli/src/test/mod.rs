//! `skep test`: tests of programs from tables, each in a machine of its own.

mod beside;
mod print;

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use skep_host::test::{Outcome, Report, Suite};

use crate::exit::Tally;
use crate::failure::Failure;
use crate::select::Names;
use crate::verify::finish;

/// Run tests of programs: input, and what is expected of it
///
/// A test file is TOML; README.md shows one. Programs are verified, then run with every access checked.
/// Exit code: 0 all passed, 1 some failed, 2 usage or bad input, 4 some need what is not simulated.
#[derive(Args, Debug)]
pub(crate) struct TestArgs {
    /// Test files, or folders of them (*.toml)
    #[arg(required = true, value_name = "FILE")]
    inputs: Vec<PathBuf>,

    /// Only tests of this name; `*` and `?` are wildcards; repeatable
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,

    /// Run the programs in the running kernel too, by BPF_PROG_TEST_RUN, and compare: programs of plain
    /// types only; nothing is attached
    #[arg(long)]
    on_kernel: bool,

    /// How to print the results
    #[arg(long, value_enum, default_value_t)]
    format: TestFormat,
}

/// How results are printed.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
enum TestFormat {
    /// For people
    #[default]
    Human,
    /// One JSON document with a versioned schema
    Json,
    /// JUnit's XML, for build servers
    Junit,
}

/// Runs the command.
///
/// # Errors
/// Never; what is wrong with one file is told, and the rest goes on.
pub(crate) fn run(args: &TestArgs) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    let names = Names::new(&args.names);
    let mut reports = Vec::new();
    for path in files(&args.inputs) {
        let report = path.and_then(|path| run_file(&path, &names, args.on_kernel));
        match report {
            Ok(report) => reports.push(report),
            Err(failure) => {
                tally.bad_input = true;
                failure.print();
            }
        }
    }
    let tests = || reports.iter().flat_map(|r| &r.tests);
    if tests().next().is_none() && !tally.bad_input {
        return Err(Failure::new("no test has such a name"));
    }
    for test in tests() {
        match test.outcome {
            Outcome::Passed => {}
            Outcome::Failed(_) => tally.failed = true,
            Outcome::Undecided(_) => tally.undecided = true,
        }
    }
    if reports.is_empty() {
        return Ok(tally);
    }
    let printed = match args.format {
        TestFormat::Human => print::human(&reports),
        TestFormat::Json => print::json(&reports),
        TestFormat::Junit => print::junit(&reports),
    };
    finish(printed, tally)
}

fn run_file(path: &Path, names: &Names, on_kernel: bool) -> Result<Report, Failure> {
    let suite = Suite::open(path)?;
    let mut tests = Vec::new();
    for test in suite.file.tests.iter().filter(|t| names.chooses(&t.name)) {
        tests.push(if on_kernel {
            beside::run(&suite, test)?
        } else {
            suite.run_test(test)?
        });
    }
    Ok(Report {
        file: path.display().to_string(),
        tests,
    })
}

/// The files of the arguments; a folder stands for those in it that end in `.toml`.
fn files(inputs: &[PathBuf]) -> Vec<Result<PathBuf, Failure>> {
    let mut files = Vec::new();
    for input in inputs {
        if !input.is_dir() {
            files.push(Ok(input.clone()));
            continue;
        }
        let entries = match fs::read_dir(input) {
            Ok(entries) => entries,
            Err(e) => {
                files.push(Err(Failure::of(input.display(), crate::input::plain(&e))));
                continue;
            }
        };
        let paths = entries.filter_map(|e| Some(e.ok()?.path()));
        let mut paths: Vec<_> = paths
            .filter(|p| p.extension().is_some_and(|e| e == "toml"))
            .collect();
        paths.sort();
        if paths.is_empty() {
            let what = "the folder holds no test files (*.toml)";
            files.push(Err(Failure::of(input.display(), what)));
        }
        files.extend(paths.into_iter().map(Ok));
    }
    files
}
