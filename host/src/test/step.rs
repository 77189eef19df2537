//! The steps of a test: maps before, input, a run, what is expected.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use skep_interp::{BUDGET, Machine, Nobody, RunError};
use skep_sim::{Config, ProgId, RunInput, RunOutput, Sim};
use skep_spec::{MapType, ProgType, ProgramSpec};
use skep_verifier::report::{Silent, explain};
use skep_verifier::{Verdict, verify};

use super::check::{Ran, check};
use super::file::{Entry, Packet, Step, Test};
use super::{Outcome, Suite, TestResult, beside, read};
use crate::packet::{self, capture, takes_bytes};
use crate::{Error, arguments, context, maps};

/// Runs of a step at most.
const MOST_REPEATS: u32 = 100_000_000;

/// A machine with a test's programs in it.
#[derive(Debug)]
pub struct Subject {
    /// The simulated kernel.
    pub sim: Sim,
    /// The programs.
    pub machine: Machine,
}

/// Someone who runs the same beside the simulated machine: a real kernel.
pub trait Beside {
    /// An entry of a map is set, or deleted, before a run.
    ///
    /// # Errors
    /// When that cannot be done.
    fn set(&mut self, map: &str, key: &[u8], value: Option<&[u8]>) -> Result<(), Error>;

    /// A program has run here: how its run there differs, if it does.
    ///
    /// # Errors
    /// When it cannot be run there.
    fn ran(
        &mut self,
        program: &ProgramSpec,
        input: &RunInput,
        output: &RunOutput,
    ) -> Result<Option<String>, Error>;
}

/// Nobody beside.
struct Alone;

impl Beside for Alone {
    fn set(&mut self, _: &str, _: &[u8], _: Option<&[u8]>) -> Result<(), Error> {
        Ok(())
    }

    fn ran(
        &mut self,
        _: &ProgramSpec,
        _: &RunInput,
        _: &RunOutput,
    ) -> Result<Option<String>, Error> {
        Ok(None)
    }
}

impl Suite {
    /// Runs a test with someone beside, on that many CPUs.
    ///
    /// # Errors
    /// What makes no sense in the test, or cannot be done there.
    pub fn run_test_beside(
        &self,
        test: &Test,
        cpus: u32,
        beside: &mut dyn Beside,
    ) -> Result<TestResult, Error> {
        let place = format!("{}: test `{}`", self.path.display(), test.name);
        run_beside(self, test, Some(cpus), beside).map_err(|e| e.in_place(place))
    }

    /// The program that a test (or a step of it) runs.
    ///
    /// # Errors
    /// None is named and there are several, or there is none of that name.
    pub fn program(&self, test: &Test, step: Option<&Step>) -> Result<&ProgramSpec, Error> {
        let named = step.and_then(|s| s.program.as_ref());
        let named = named
            .or(test.program.as_ref())
            .or(self.file.program.as_ref());
        let names = || {
            let names: Vec<_> = self
                .object
                .programs
                .iter()
                .map(|p| p.name.as_str())
                .collect();
            format!("there are {}", names.join(", "))
        };
        match (named, self.object.programs.as_slice()) {
            (Some(name), _) => self.object.program(name).ok_or_else(|| {
                Error::new(format!("the object has no program `{name}`")).help(names())
            }),
            (None, [only]) => Ok(only),
            (None, _) => {
                Err(Error::new("no program is named, and the object has several").help(names()))
            }
        }
    }
}

pub(super) fn run(suite: &Suite, test: &Test) -> Result<TestResult, Error> {
    run_beside(suite, test, None, &mut Alone)
}

fn run_beside(
    suite: &Suite,
    test: &Test,
    cpus: Option<u32>,
    other: &mut dyn Beside,
) -> Result<TestResult, Error> {
    let program = suite.program(test, None)?;
    let mut result = TestResult {
        name: test.name.clone(),
        program: program.name.clone(),
        outcome: Outcome::Passed,
        insns: 0,
    };
    if let Some(outcome) = judged(suite, test, program) {
        result.outcome = outcome;
        return Ok(result);
    }
    let mut subject = prepare(suite, test, cpus)?;
    put_all(&mut subject.sim, &test.maps, other)?;
    let (mut failures, steps) = (Vec::new(), test.all_steps());
    let several = steps.len() > 1;
    for (number, step) in steps.iter().enumerate() {
        let place = format!("step {}", number + 1);
        let ended = run_step(suite, test, step, &mut subject, other)
            .map_err(|e| if several { e.in_place(&place) } else { e })?;
        result.insns += ended.insns;
        if let Some(missing) = ended.missing {
            result.outcome = Outcome::Undecided(missing);
            return Ok(result);
        }
        let named = |why: String| {
            if several {
                format!("{place}: {why}")
            } else {
                why
            }
        };
        failures.extend(ended.failures.into_iter().map(named));
    }
    if !failures.is_empty() {
        result.outcome = Outcome::Failed(failures);
    }
    Ok(result)
}

/// What the verdict alone decides: a rejection, wanted or not. No verdict is no objection.
fn judged(suite: &Suite, test: &Test, program: &ProgramSpec) -> Option<Outcome> {
    if test.verify == Some(false) && test.rejected.is_none() {
        return None;
    }
    let config = skep_verifier::Config::default();
    let verdict = verify(program, &suite.facts, &config, &mut Silent);
    let message = match &verdict {
        Verdict::Rejected(rejection) => explain(rejection, program, &suite.facts).message,
        Verdict::Accepted(_) | Verdict::Undecided(_) => String::new(),
    };
    let failed = |why: String| Some(Outcome::Failed(vec![why]));
    match (verdict, &test.rejected) {
        (Verdict::Rejected(_), Some(wanted)) if message.contains(wanted.as_str()) => {
            Some(Outcome::Passed)
        }
        (Verdict::Rejected(_), Some(wanted)) => failed(format!(
            "rejected with `{}`, not `{wanted}`",
            message.trim()
        )),
        (Verdict::Rejected(_), None) => {
            failed(format!("the program is rejected: {}", message.trim()))
        }
        (Verdict::Undecided(missing), Some(_)) => Some(Outcome::Undecided(missing.feature)),
        (Verdict::Accepted(_), Some(wanted)) => {
            failed(format!("accepted, not rejected with `{wanted}`"))
        }
        (Verdict::Accepted(_) | Verdict::Undecided(_), None) => None,
    }
}

/// A machine at the beginning of a test.
///
/// # Errors
/// A map or program that cannot be had.
pub fn prepare(suite: &Suite, test: &Test, cpus: Option<u32>) -> Result<Subject, Error> {
    let mut config = Config {
        seed: test.seed.unwrap_or(1),
        ..Config::default()
    };
    config.cpus = cpus.unwrap_or(config.cpus);
    let mut programs = vec![suite.program(test, None)?];
    for step in &test.steps {
        programs.push(suite.program(test, Some(step))?);
    }
    let slots: Vec<_> = suite
        .object
        .maps
        .iter()
        .filter(|m| m.ty == MapType::ProgArray)
        .flat_map(|m| &m.slots)
        .collect();
    programs.extend(slots.iter().filter_map(|s| suite.object.program(&s.1)));
    let needed = |name: &str| {
        programs
            .iter()
            .any(|p| p.maps.iter().any(|m| m.name == name))
    };
    let specs = suite.object.maps.iter();
    let specs: Vec<_> = specs
        .filter(|m| needed(&m.name) || suite.facts.check_map(m).is_ok())
        .cloned()
        .collect();
    let mut sim = Sim::with_config(config, &specs).map_err(|e| Error::new(e.to_string()))?;
    if let Some(btf) = suite.facts.btf() {
        sim.set_kernel_btf(Arc::clone(btf));
    }
    if let Some(comm) = &test.process.comm {
        sim.process.comm.clone_from(comm);
    }
    if let Some(pid) = test.process.pid {
        (sim.process.pid, sim.process.tgid) = (pid, pid);
    }
    if let Some(uid) = test.process.uid {
        (sim.process.uid, sim.process.gid) = (uid, uid);
    }
    let mut machine = Machine::new();
    for program in programs {
        if machine.by_name(&program.name).is_none() {
            let prog = machine
                .load(&mut sim, program)
                .map_err(|e| Error::of(&program.name, e))?;
            machine.set_probe_loads(prog, &probe_loads(suite, program));
        }
    }
    machine.fill_program_slots(&mut sim);
    Ok(Subject { sim, machine })
}

/// The loads through kernel pointers that may be wrong, which the verifier knows; only programs that
/// know the kernel's types have any.
fn probe_loads(suite: &Suite, program: &ProgramSpec) -> Vec<usize> {
    if suite.facts.btf().is_none() {
        return Vec::new();
    }
    let config = skep_verifier::Config::default();
    match verify(program, &suite.facts, &config, &mut Silent) {
        Verdict::Accepted(accepted) => accepted.probe_loads,
        Verdict::Rejected(_) | Verdict::Undecided(_) => Vec::new(),
    }
}

/// What came of a step.
#[derive(Default)]
struct Ended {
    failures: Vec<String>,
    /// What the simulator lacks.
    missing: Option<String>,
    insns: u64,
}

fn run_step(
    suite: &Suite,
    test: &Test,
    step: &Step,
    subject: &mut Subject,
    other: &mut dyn Beside,
) -> Result<Ended, Error> {
    let program = suite.program(test, Some(step))?;
    let Some(prog) = subject.machine.by_name(&program.name) else {
        return Err(Error::new(format!("{} is not loaded", program.name)));
    };
    put_all(&mut subject.sim, &step.maps, other)?;
    subject.sim.clock.advance(step.advance_ns);
    let cpus = subject.sim.config().cpus;
    subject.sim.cpu = step.cpu.unwrap_or(0);
    if subject.sim.cpu >= cpus {
        return Err(Error::new(format!(
            "cpu = {}: there are {cpus}, from 0",
            subject.sim.cpu
        )));
    }
    let inputs = inputs(&suite.path, program, step, &mut subject.sim)?;
    let mut given = Given {
        prog,
        program,
        test,
        verdicts: BTreeMap::new(),
        ended: Ended::default(),
    };
    let mut last = None;
    for _ in 0..step.repeat.unwrap_or(1).min(MOST_REPEATS) {
        for input in &inputs {
            last = Some(given.run(subject, input, other)?);
            if given.ended.missing.is_some() {
                return Ok(given.ended);
            }
        }
    }
    let output = subject.sim.take_output();
    let ran = Ran {
        program,
        input: inputs.last(),
        result: last,
        verdicts: given.verdicts,
        output,
    };
    given
        .ended
        .failures
        .extend(check(&step.expect, &ran, &mut subject.sim)?);
    Ok(given.ended)
}

/// A program that gets its inputs.
struct Given<'a> {
    prog: ProgId,
    program: &'a ProgramSpec,
    test: &'a Test,
    verdicts: BTreeMap<u32, u64>,
    ended: Ended,
}

impl Given<'_> {
    fn run(
        &mut self,
        subject: &mut Subject,
        input: &RunInput,
        other: &mut dyn Beside,
    ) -> Result<Result<RunOutput, String>, Error> {
        let budget = self.test.max_insns.unwrap_or(BUDGET);
        let Subject { sim, machine } = subject;
        match machine.run_observed(sim, self.prog, input, budget, Nobody) {
            Ok(outcome) => {
                self.ended.insns += outcome.insns;
                *self.verdicts.entry(outcome.output.retval).or_default() += 1;
                let differs = other.ran(self.program, input, &outcome.output)?;
                self.ended.failures.extend(differs);
                Ok(Ok(outcome.output))
            }
            Err(RunError::Stop(stop)) if stop.trap.is_missing_feature() => {
                self.ended.missing = Some(stop.trap.to_string());
                Ok(Err(stop.to_string()))
            }
            Err(RunError::Stop(stop)) => Ok(Err(stop.to_string())),
            Err(error) => Err(Error::new(format!(
                "a program of type {} cannot be run so: {error}",
                self.program.ty
            ))),
        }
    }
}

/// What the runs of a step are given.
fn inputs(
    file: &Path,
    program: &ProgramSpec,
    step: &Step,
    sim: &mut Sim,
) -> Result<Vec<RunInput>, Error> {
    if step.ctx.is_empty() && step.packet.is_none() && step.pcap.is_none() {
        let input = arguments::input(sim, program, &step.args);
        if let Some(input) = input.map_err(|e| e.in_place("args"))? {
            return Ok(vec![input]);
        }
    }
    let settings = context::settings(&step.ctx).map_err(|e| e.in_place("ctx"))?;
    let mut packets = Vec::new();
    match (&step.packet, &step.pcap) {
        (Some(_), Some(_)) => return Err(Error::new("a step has a packet or a pcap, not both")),
        (Some(packet), None) => packets.push(packet_of(file, program.ty, packet, "packet")?),
        (None, Some(pcap)) => {
            let path = beside(file, pcap);
            let frames = capture::read(&read(&path)?).map_err(|e| e.in_place(path.display()))?;
            packets.extend(frames.into_iter().map(|f| f.data));
        }
        (None, None) => packets.push(packet::find(program.ty, None, "packet")?),
    }
    let mut inputs = Vec::new();
    for data in packets {
        let ctx = context::build(program, &settings, data.len()).map_err(|e| e.in_place("ctx"))?;
        inputs.push(RunInput { data, ctx });
    }
    Ok(inputs)
}

/// The bytes of a packet in a test file.
pub(super) fn packet_of(
    file: &Path,
    ty: ProgType,
    packet: &Packet,
    place: &str,
) -> Result<Vec<u8>, Error> {
    if !takes_bytes(ty) {
        return Err(Error::new(format!(
            "{place}: programs of type {ty} have no packet"
        )));
    }
    match packet {
        Packet::Text(text) => {
            let path = beside(file, text);
            let is_file = !text.is_empty() && path.is_file();
            packet::bytes_for(
                ty,
                &if is_file {
                    path.display().to_string()
                } else {
                    text.clone()
                },
                place,
            )
        }
        Packet::Layers(table) => {
            let layers = Packet::layers(table).map_err(|e| e.in_place(place))?;
            layers.bytes().map_err(|e| e.in_place(place))
        }
    }
}

/// Sets entries of maps.
fn put_all(
    sim: &mut Sim,
    all: &BTreeMap<String, Vec<Entry>>,
    other: &mut dyn Beside,
) -> Result<(), Error> {
    for (name, entries) in all {
        let id = maps::find(sim, name, "maps")?;
        for (number, entry) in entries.iter().enumerate() {
            let place = format!("maps.{name}, entry {}", number + 1);
            let set = match &entry.value {
                Some(value) if !entry.absent => maps::put(sim, id, entry.key.as_ref(), value),
                Some(_) | None if entry.absent => maps::delete(sim, id, entry.key.as_ref()),
                Some(_) | None => Err(Error::new("an entry needs a value, or absent = true")),
            };
            set.map_err(|e| e.in_place(&place))?;
            let (key, value) = maps::bytes_of(sim, id, entry.key.as_ref(), entry.value.as_ref())?;
            other
                .set(name, &key, value.as_deref())
                .map_err(|e| e.in_place(&place))?;
        }
    }
    Ok(())
}
