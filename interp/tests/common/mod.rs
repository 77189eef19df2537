//! What the tests of the engines share: programs from text, run once in each engine and mode.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../../../jit/tests/engines/mod.rs"]
mod engines;

use skep_asm::{Options, assemble};
use skep_interp::{Machine, Outcome, RunError, Stop};
use skep_sim::{RunInput, Sim, Trap};
use skep_spec::ObjectSpec;

/// An object from assembly text.
pub(crate) fn object(source: &str) -> ObjectSpec {
    assemble(source, &Options::default()).unwrap_or_else(|e| panic!("{e}\n{source}"))
}

/// A kernel with the object's maps, and a machine with its programs.
pub(crate) fn load(source: &str) -> (Sim, Machine) {
    let object = object(source);
    let mut sim = Sim::new(&object.maps).unwrap();
    let mut machine = Machine::new();
    for program in &object.programs {
        machine.load(&mut sim, program).unwrap();
    }
    machine.fill_program_slots(&mut sim);
    (sim, machine)
}

/// An IPv4 packet of 64 bytes to the loopback device.
pub(crate) fn packet() -> RunInput {
    let mut data = vec![0; 64];
    data[12] = 8;
    data[14] = 0x45;
    for (i, byte) in data[34..].iter_mut().enumerate() {
        *byte = i as u8;
    }
    RunInput::packet(&data)
}

/// Runs the first program over [`packet`], in the interpreter and compiled; all must agree.
pub(crate) fn run(source: &str) -> Result<Outcome, RunError> {
    run_with(source, &[], |_| {})
}

/// The same in kernels that `prepare` has changed first, with loads that may fail.
pub(crate) fn run_with(
    source: &str,
    probes: &[usize],
    prepare: impl Fn(&mut Sim),
) -> Result<Outcome, RunError> {
    engines::run_all(
        &object(source),
        probes,
        &packet(),
        skep_interp::BUDGET,
        prepare,
    )
}

/// The same with a budget.
pub(crate) fn run_within(source: &str, budget: u64) -> Result<Outcome, RunError> {
    engines::run_all(&object(source), &[], &packet(), budget, |_| {})
}

/// All of R0 of a socket filter with that body.
pub(crate) fn r0(body: &str) -> u64 {
    run(&format!(".prog main socket_filter\n{body}\nexit\n"))
        .unwrap()
        .output
        .r0
}

/// The stop of a program.
pub(crate) fn stop(source: &str) -> Stop {
    match run(source) {
        Err(RunError::Stop(stop)) => stop,
        other => panic!("{other:?}\n{source}"),
    }
}

/// The trap of a socket filter with that body, and its slot.
pub(crate) fn trap(body: &str) -> (usize, Trap) {
    let stop = stop(&format!(".prog main socket_filter\n{body}\nexit\n"));
    (stop.insn_idx, stop.trap)
}
