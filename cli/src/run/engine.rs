//! What executes a program: the interpreter, which checks every access, or compiled code.

use std::fs;

use clap::ValueEnum;
use skep_interp::{BUDGET, Machine, Nobody, RunError};
use skep_isa::InsnIdx;
use skep_jit::Jit;
use skep_sim::{LoadError, ProgId, RunInput, RunOutput, Sim};
use skep_spec::{AttachType, Facts, ProgType, ProgramSpec};
use skep_verifier::report::Silent;
use skep_verifier::{Config, Verdict, verify};

use crate::failure::{Failure, note};
use crate::input::Unit;
use crate::vouch;

use super::trace::Trace;

/// Which engine.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum EngineArg {
    /// The interpreter, which checks every access
    #[default]
    Interp,
    /// Compiled code: without checks where the program is accepted, else confined to guest memory
    Jit,
}

/// An engine with the programs that are loaded.
pub(super) enum Engine {
    Interp(Machine),
    Jit(Jit),
}

/// What came of a run: what it left, and the number of instructions where the engine counts them.
pub(super) struct Ran {
    pub(super) output: RunOutput,
    pub(super) insns: Option<u64>,
}

impl Engine {
    pub(super) fn new(which: EngineArg) -> Engine {
        match which {
            EngineArg::Interp => Engine::Interp(Machine::new()),
            EngineArg::Jit if skep_jit::AVAILABLE => Engine::Jit(Jit::new()),
            EngineArg::Jit => {
                note("the compiler makes code for x86-64 Linux only; the interpreter runs instead");
                Engine::Interp(Machine::new())
            }
        }
    }

    /// Loads a program.
    ///
    /// # Errors
    /// What is no program, or is not simulated.
    pub(super) fn load(
        &mut self,
        sim: &mut Sim,
        spec: &ProgramSpec,
        facts: &Facts,
    ) -> Result<ProgId, LoadError> {
        match self {
            Engine::Interp(machine) => {
                let prog = machine.load(sim, spec)?;
                if let Some(probes) = probe_loads(spec, facts) {
                    machine.set_probe_loads(prog, &probes);
                }
                Ok(prog)
            }
            Engine::Jit(jit) => match vouch::load_accepted(jit, sim, spec, facts) {
                Some(loaded) => loaded,
                None => {
                    let name = &spec.name;
                    note(format_args!(
                        "{name} is not accepted, so its code is confined to guest memory"
                    ));
                    jit.load(sim, spec, &[])
                }
            },
        }
    }

    pub(super) fn fill_program_slots(&self, sim: &mut Sim) {
        match self {
            Engine::Interp(machine) => machine.fill_program_slots(sim),
            Engine::Jit(jit) => jit.fill_program_slots(sim),
        }
    }

    /// Names the programs to tools that look at machine code.
    ///
    /// # Errors
    /// The interpreter has no machine code; a map that cannot be written.
    pub(super) fn publish(&mut self, perf_map: bool, gdb: bool) -> Result<(), Failure> {
        let Engine::Jit(jit) = self else {
            return Err(Failure::new("there is no machine code to name")
                .help("--engine jit compiles the program"));
        };
        if perf_map {
            let path = format!("/tmp/perf-{}.map", std::process::id());
            fs::write(&path, jit.perf_map()).map_err(|e| Failure::of(path, e))?;
        }
        if gdb {
            jit.register_with_debugger();
        }
        Ok(())
    }

    /// Type and attach type of a program.
    pub(super) fn kind(&self, prog: ProgId) -> Option<(ProgType, AttachType)> {
        let at = prog.0 as usize;
        match self {
            Engine::Interp(machine) => machine.programs().get(at).map(|p| (p.ty(), p.attach())),
            Engine::Jit(jit) => jit.programs().get(at).map(|p| (p.ty(), p.attach())),
        }
    }

    /// Runs a program once; the interpreter shows its steps if there is something to show them of.
    ///
    /// # Errors
    /// An input that the hook does not take, or the trap that ended the run.
    pub(super) fn run(
        &self,
        sim: &mut Sim,
        prog: ProgId,
        input: &RunInput,
        budget: Option<u64>,
        traced: Option<&Unit>,
    ) -> Result<Ran, RunError> {
        match self {
            Engine::Interp(machine) => {
                let budget = budget.unwrap_or(BUDGET);
                let outcome = match traced {
                    Some(unit) => {
                        machine.run_observed(sim, prog, input, budget, Trace::new(unit))?
                    }
                    None => machine.run_observed(sim, prog, input, budget, Nobody)?,
                };
                Ok(Ran {
                    output: outcome.output,
                    insns: Some(outcome.insns),
                })
            }
            Engine::Jit(jit) => {
                let budget = budget.unwrap_or(skep_jit::BUDGET);
                let output = jit.run(sim, prog, input, budget)?;
                let insns = None;
                Ok(Ran { output, insns })
            }
        }
    }
}

/// Where the kernel's types are known, the verifier says which loads may find nothing.
fn probe_loads(spec: &ProgramSpec, facts: &Facts) -> Option<Vec<InsnIdx>> {
    facts.btf()?;
    match verify(spec, facts, &Config::default(), &mut Silent) {
        Verdict::Accepted(accepted) => Some(accepted.probe_loads),
        Verdict::Rejected(_) | Verdict::Undecided(_) => None,
    }
}
