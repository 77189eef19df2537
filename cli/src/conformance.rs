//! `skep conformance`: the plugin protocol of eBPF conformance suites.
//!
//! The argument is the program's memory as hex digits, standard input the program as hex digits, standard
//! output r0 as hex digits. A program that is refused, or that a trap ends, gives an error and exit code 1.

use std::io::{Read, Write, stdin, stdout};

use clap::Args;
use skep_corpus::conformance::{hex, ready};
use skep_interp::{Machine, Nobody};
use skep_isa::RawInsn;
use skep_jit::Jit;
use skep_sim::Sim;
use skep_spec::{ProgType, ProgramSpec};

use crate::exit::Tally;
use crate::failure::Failure;
use crate::verify::finish;

/// Run one program as a plugin of an eBPF conformance suite
///
/// Reads the program from standard input as hex digits and prints what it returns, in hex. It starts
/// with r1 = memory and r2 = its length; helper 5 returns its argument, and there is no other. Nothing is
/// verified, every access is checked. Exit code: 0 it returned, 1 it was refused or trapped, 2 usage or
/// bad input.
#[derive(Args, Debug)]
pub(crate) struct ConformanceArgs {
    /// The program's memory, as hex digits
    #[arg(value_name = "HEX")]
    memory: Option<String>,

    /// Run it in the interpreter, which is the default
    #[arg(long)]
    interp: bool,

    /// Compile it, confined to its memory, and run that
    #[arg(long, conflicts_with = "interp")]
    jit: bool,
}

/// Instructions that a program may execute: far more than suites ask for.
const MOST_INSNS: u64 = 1 << 26;
/// Bytes of a program's text at most.
const MAX_TEXT: u64 = 64 << 20;

/// Runs the command.
///
/// # Errors
/// What is not written in the protocol's way.
pub(crate) fn run(args: &ConformanceArgs) -> Result<Tally, Failure> {
    let memory = match args.memory.as_deref() {
        Some(text) => hex(text).ok_or_else(|| {
            Failure::new(format!("the memory `{text}` is not pairs of hex digits"))
        })?,
        None => Vec::new(),
    };
    let slots = program()?;
    let result = ready(&slots).map_err(|e| e.to_string()).and_then(|slots| {
        if args.jit {
            compile(slots, &memory)
        } else {
            interpret(slots, &memory)
        }
    });
    match result {
        Ok(r0) => finish(writeln!(stdout().lock(), "{r0:x}"), Tally::default()),
        Err(why) => {
            Failure::new(why).print();
            Ok(Tally {
                failed: true,
                ..Tally::default()
            })
        }
    }
}

/// The program on standard input.
fn program() -> Result<Vec<RawInsn>, Failure> {
    let place = "standard input";
    let mut text = String::new();
    stdin()
        .lock()
        .take(MAX_TEXT)
        .read_to_string(&mut text)
        .map_err(|e| Failure::of(place, e))?;
    let bytes = hex(&text).ok_or_else(|| {
        Failure::of(place, "the program is not pairs of hex digits")
            .help("it is one line of them, 16 digits for each instruction")
    })?;
    RawInsn::slots_from_le_bytes(&bytes).ok_or_else(|| {
        Failure::of(
            place,
            format_args!(
                "the program has {} bytes, which is no multiple of 8",
                bytes.len()
            ),
        )
    })
}

/// A machine with the memory in it, and the arguments of the program.
fn machine(memory: &[u8]) -> Result<(Sim, [u64; 5]), String> {
    let mut sim = Sim::new(&[]).map_err(|e| e.to_string())?;
    let at = sim
        .begin_memory(memory)
        .map_err(|_| "the memory is longer than 64 KiB".to_owned())?;
    Ok((sim, [at, memory.len() as u64, 0, 0, 0]))
}

fn interpret(slots: Vec<RawInsn>, memory: &[u8]) -> Result<u64, String> {
    let (mut sim, args) = machine(memory)?;
    let mut machine = Machine::new();
    let spec = ProgramSpec::new("conformance", ProgType::Unspec, slots);
    let prog = machine.load(&mut sim, &spec).map_err(|e| e.to_string())?;
    let result = machine.call(&mut sim, prog, args, MOST_INSNS, Nobody);
    result.map(|(r0, _)| r0).map_err(|e| e.to_string())
}

fn compile(slots: Vec<RawInsn>, memory: &[u8]) -> Result<u64, String> {
    let (mut sim, args) = machine(memory)?;
    let mut jit = Jit::new();
    let spec = ProgramSpec::new("conformance", ProgType::Unspec, slots);
    let prog = jit.load(&mut sim, &spec, &[]).map_err(|e| e.to_string())?;
    let result = jit.call(&mut sim, prog, args, MOST_INSNS);
    result.map_err(|e| e.to_string())
}
