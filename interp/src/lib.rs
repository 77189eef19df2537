//! Execute programs one instruction at a time, checking everything.
//!
//! A [`Machine`] holds programs made ready for one simulated kernel ([`skep_sim::Sim`]). It does not know
//! the verifier and trusts nobody: every access goes through the kernel's shadow, every helper checks its
//! arguments, and what goes wrong is a [`Stop`] that names the slot and the cause. That makes it the
//! oracle for "an accepted program never traps".

mod exec;
mod frames;
mod fuse;
mod observe;
mod op;
mod program;
mod run;
mod simple;
mod word;

use skep_isa::InsnIdx;
use skep_sim::{ProgId, RunInput, RunOutput, Sim};
use skep_spec::{MapType, ProgramSpec};

pub use observe::{Nobody, Observer, Step};
pub use program::Program;
pub use skep_sim::{LoadError, RunError, Stop};

use exec::{Exec, Stopped};
use skep_sim::helpers::Engine;

/// Instructions that a run may execute where nothing else is said.
pub const BUDGET: u64 = 1 << 30;

/// What a run gave, and what it cost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Return value, packet and context.
    pub output: RunOutput,
    /// Instructions that were executed, a 64-bit load counting once.
    pub insns: u64,
}

/// Programs that can call each other, ready to run.
#[derive(Debug, Default)]
pub struct Machine {
    programs: Vec<Program>,
}

impl Machine {
    /// A machine without programs.
    pub fn new() -> Machine {
        Machine::default()
    }

    /// Makes a program ready for `sim`, with which it must run from then on. Its maps are those of `sim`
    /// that were made from the same requests; missing ones are made.
    ///
    /// # Errors
    /// What is no program, or names what does not exist.
    pub fn load(&mut self, sim: &mut Sim, spec: &ProgramSpec) -> Result<ProgId, LoadError> {
        let program = Program::new(sim, spec)?;
        self.programs.push(program);
        Ok(ProgId(self.programs.len() as u32 - 1))
    }

    /// The programs, by their numbers.
    pub fn programs(&self) -> &[Program] {
        &self.programs
    }

    /// The first program of that name.
    pub fn by_name(&self, name: &str) -> Option<ProgId> {
        let at = self.programs.iter().position(|p| p.name == name)?;
        Some(ProgId(at as u32))
    }

    /// Says which loads read through pointers that may be wrong, and give 0 then: what a verifier knows.
    pub fn set_probe_loads(&mut self, prog: ProgId, slots: &[InsnIdx]) {
        if let Some(program) = self.programs.get_mut(prog.0 as usize) {
            program.set_probe_loads(slots);
        }
    }

    /// Fills the slots of prog_arrays that name programs of this machine, as loaders do.
    pub fn fill_program_slots(&self, sim: &mut Sim) {
        let mut slots = Vec::new();
        for map in sim
            .maps()
            .iter()
            .filter(|m| m.spec().ty == MapType::ProgArray)
        {
            for (index, name) in &map.spec().slots {
                slots.extend(self.by_name(name).map(|prog| (map.id(), *index, prog)));
            }
        }
        for (map, index, prog) in slots {
            // A slot that is out of range stays empty.
            let _ = sim.set_program(map, index, prog);
        }
    }

    /// Runs a program once.
    ///
    /// # Errors
    /// An input that the kernel would refuse, or the trap that ended the run.
    pub fn run(&self, sim: &mut Sim, prog: ProgId, input: &RunInput) -> Result<Outcome, RunError> {
        self.run_observed(sim, prog, input, BUDGET, Nobody)
    }

    /// Runs a program once, with a budget of instructions and someone looking on.
    ///
    /// # Errors
    /// As [`Machine::run`].
    pub fn run_observed(
        &self,
        sim: &mut Sim,
        prog: ProgId,
        input: &RunInput,
        budget: u64,
        observer: impl Observer,
    ) -> Result<Outcome, RunError> {
        let program = self
            .programs
            .get(prog.0 as usize)
            .ok_or(RunError::NoProgram(prog))?;
        let ctx = sim
            .begin(program.ty, program.attach, input)
            .map_err(RunError::Input)?;
        match self.call(sim, prog, [ctx, 0, 0, 0, 0], budget, observer) {
            Ok((r0, insns)) => Ok(Outcome {
                output: sim.finish(r0),
                insns,
            }),
            Err(stop) => {
                sim.abandon();
                Err(RunError::Stop(stop))
            }
        }
    }

    /// Lets time pass up to a moment, in ns since boot, and calls what timers and work queues are due by
    /// then, in their order: how many were called.
    ///
    /// # Errors
    /// The trap that ended a callback.
    pub fn run_timers(&self, sim: &mut Sim, until_ns: u64, budget: u64) -> Result<u64, Stop> {
        let mut called = 0;
        let budget = i64::try_from(budget).unwrap_or(i64::MAX);
        let mut left = budget;
        while let Some(due) = sim.expire_timer(until_ns) {
            called += 1;
            let mut exec = Exec::new(&self.programs, due.prog, budget);
            exec.left = left;
            let result = exec.callback(sim, due.func, due.args);
            // Every call counts, so that timers that start each other come to an end.
            left = exec.left.saturating_sub(1);
            result.map_err(|trap| exec.stop(due.prog, trap))?;
        }
        sim.clock.now_ns = sim.clock.now_ns.max(until_ns);
        Ok(called)
    }

    /// Executes a program between [`Sim::begin`] and [`Sim::finish`]: R0 and the number of instructions.
    ///
    /// # Errors
    /// The trap that ended it.
    pub fn call<O: Observer>(
        &self,
        sim: &mut Sim,
        prog: ProgId,
        args: [u64; 5],
        budget: u64,
        mut observer: O,
    ) -> Result<(u64, u64), Stop> {
        let budget = i64::try_from(budget).unwrap_or(i64::MAX);
        let mut watch = |step: &Step<'_>| observer.before(step);
        let mut exec = Exec::new(&self.programs, prog, budget);
        if O::ACTIVE {
            exec.observer = Some(&mut watch);
        }
        match exec.execute(sim, &args) {
            Ok(r0) => Ok((r0, budget.saturating_sub(exec.left) as u64)),
            Err(Stopped) => {
                let trap = exec.trap();
                Err(exec.stop(prog, trap))
            }
        }
    }
}
