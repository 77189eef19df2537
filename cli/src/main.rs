//! `skep`: verify, run, inspect, assemble and cross-check eBPF programs.
//!
//! This file reads the command line and calls one command; each command has its own file or folder.
//! Results go to stdout, everything else to stderr; the exit code says what came out (see `exit`).

mod args;
mod asm;
mod bench;
mod conformance;
mod crosscheck;
mod diagnostic;
mod dis;
mod exit;
mod failure;
mod fuzz;
mod input;
mod inspect;
mod jit;
mod kernels;
mod link;
mod live;
mod opening;
mod panics;
mod pool;
mod progress;
mod run;
mod select;
mod style;
mod test;
mod verify;
#[expect(
    unsafe_code,
    reason = "letting compiled code run; each block says who vouches for it"
)]
mod vouch;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    // Under qemu this command is the guest's only process.
    if skep_kernel::guest::is_agent() {
        return match skep_kernel::guest::serve() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    // One that loads programs, for a crosscheck that outlives it.
    if skep_kernel::loader::is_loader() {
        return match skep_kernel::loader::serve() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let cli = Cli::parse();
    panics::install();
    let result = match &cli.command {
        Command::Verify(args) => verify::run(args),
        Command::Crosscheck(args) => crosscheck::run(args),
        Command::Run(args) => run::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Dis(args) => dis::run(args),
        Command::Asm(args) => asm::run(args),
        Command::Jit(args) => jit::run(args),
        Command::Link(args) => link::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Conformance(args) => conformance::run(args),
        Command::Test(args) => test::run(args),
        Command::Fuzz(args) => fuzz::run(args),
    };
    match result {
        Ok(tally) => tally.code(),
        Err(failure) => {
            failure.print();
            exit::BAD_INPUT.into()
        }
    }
}
