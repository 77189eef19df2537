//! Programs of one kernel, and running them.

use skep_isa::InsnIdx;
use skep_sim::{
    Linker, LoadError, Placement, ProgId, ProgramTypes, RunError, RunInput, RunOutput, Sim,
};
use skep_spec::{MapType, ProgramSpec};

use crate::compile::{Request, compile};
use crate::debug::{self, Registration};
use crate::direct::Direct;
use crate::options::{Mode, Opts, Proof};
pub use crate::program::Program;
use crate::run;

/// The name of the function at an address that compiled code calls, for listings.
pub fn function_name(address: u64) -> Option<&'static str> {
    run::Thunk::name_at(address)
}

/// Compiled programs that can call each other.
#[derive(Debug, Default)]
pub struct Jit {
    /// While a debugger knows of the programs; forgotten before they are.
    debugged: Option<Registration>,
    programs: Vec<Program>,
    direct: Direct,
    /// The kernel they were compiled for, once there is one.
    kernel: Option<u64>,
    opts: Opts,
}

impl Jit {
    /// A machine without programs.
    pub fn new() -> Jit {
        Jit::default()
    }

    /// The same, with a choice of optimisations.
    pub fn with_opts(opts: Opts) -> Jit {
        Jit {
            opts,
            ..Jit::default()
        }
    }

    /// Compiles a program for `sim`, with which it must run from then on, so that it can do no harm
    /// whatever it is. Its maps are those of `sim` that were made from the same requests; missing ones
    /// are made. `probes` are the loads that give 0 where nothing can be read.
    ///
    /// # Errors
    /// What is no program, or names what does not exist; a kernel whose memory is no mapping, or not the
    /// one of the programs before.
    pub fn load(
        &mut self,
        sim: &mut Sim,
        spec: &ProgramSpec,
        probes: &[InsnIdx],
    ) -> Result<ProgId, LoadError> {
        let dead = &[];
        self.add(sim, spec, Mode::Sandboxed, Proof { probes, dead })
    }

    /// Compiles a program for `sim` without checks.
    ///
    /// # Safety
    /// A verifier accepted this very request, for a kernel whose contexts, helpers and maps are as `sim`'s;
    /// `proof` is what it found out, and names every load through a pointer that may be wrong when it is
    /// used. Between runs nobody changes guest memory but through maps and inputs.
    ///
    /// # Errors
    /// As [`Jit::load`].
    pub unsafe fn load_verified(
        &mut self,
        sim: &mut Sim,
        spec: &ProgramSpec,
        proof: Proof<'_>,
    ) -> Result<ProgId, LoadError> {
        self.add(sim, spec, Mode::Verified, proof)
    }

    fn add(
        &mut self,
        sim: &mut Sim,
        spec: &ProgramSpec,
        mode: Mode,
        proof: Proof<'_>,
    ) -> Result<ProgId, LoadError> {
        if sim.config().placement != Placement::Fixed || !sim.memory().is_mapped() {
            return Err(LoadError::Engine("guest memory is no mapping"));
        }
        if self.kernel.is_some_and(|kernel| kernel != sim.serial()) {
            return Err(LoadError::Engine("a program of another kernel"));
        }
        self.kernel = Some(sim.serial());
        let linker = Linker::new(sim, spec)?;
        // A proof lets pointers into an arena point to any of its 4 GiB, most of which is not there.
        let mode = if linker.arena().is_some() {
            Mode::Sandboxed
        } else {
            mode
        };
        let mut probes = proof.probes.to_vec();
        probes.sort_unstable();
        let id = ProgId(self.programs.len() as u32);
        let request = Request {
            linker: &linker,
            raw: &spec.insns,
            ty: spec.ty,
            mode,
            opts: self.opts,
            bmi2: std::arch::is_x86_feature_detected!("bmi2"),
            catcher: ProgramTypes::of(spec).catcher(),
            probes: &probes,
            dead: if mode == Mode::Verified {
                proof.dead
            } else {
                &[]
            },
            prog: id.0,
            tails: self.direct.len(),
        };
        let compiled = compile(&request)?;
        self.direct.add(&compiled.tails);
        let program = Program::new(spec, compiled, linker, mode)?;
        self.programs.push(program);
        Ok(id)
    }

    /// The programs that are loaded as lines of a map that perf reads from `/tmp/perf-PID.map`.
    pub fn perf_map(&self) -> String {
        debug::perf_map(&self.programs)
    }

    /// Tells gdb, now or when it comes, where the programs are that are loaded.
    pub fn register_with_debugger(&mut self) {
        self.debugged = None;
        self.debugged = Some(Registration::new(&self.programs));
    }

    /// The programs, by their numbers.
    pub fn programs(&self) -> &[Program] {
        &self.programs
    }

    /// The first program of that name.
    pub fn by_name(&self, name: &str) -> Option<ProgId> {
        let at = self.programs.iter().position(|p| p.name() == name)?;
        Some(ProgId(at as u32))
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
    pub fn run(
        &self,
        sim: &mut Sim,
        prog: ProgId,
        input: &RunInput,
        budget: u64,
    ) -> Result<RunOutput, RunError> {
        let program = self.program(sim, prog)?;
        let ctx = sim
            .begin(program.ty, program.attach, input)
            .map_err(RunError::Input)?;
        match run::run(
            (&self.programs, &self.direct),
            sim,
            prog,
            program,
            [ctx, 0, 0, 0, 0],
            budget,
        ) {
            Ok(r0) => Ok(sim.finish(r0)),
            Err(stop) => {
                sim.abandon();
                Err(RunError::Stop(*stop))
            }
        }
    }

    /// Lets time pass up to a moment, in ns since boot, and calls what timers and work queues are due by
    /// then, in their order: how many were called.
    ///
    /// # Errors
    /// A kernel that is not the programs', or the trap that ended a callback.
    pub fn run_timers(&self, sim: &mut Sim, until_ns: u64, budget: u64) -> Result<u64, RunError> {
        if self.kernel.is_some_and(|kernel| kernel != sim.serial()) {
            return Err(RunError::OtherKernel);
        }
        let (mut called, mut left) = (0, budget);
        while let Some(due) = sim.expire_timer(until_ns) {
            called += 1;
            left = run::call_function(
                (&self.programs, &self.direct),
                sim,
                due.prog,
                due.func,
                due.args,
                left,
            )
            .map_err(|stop| RunError::Stop(*stop))?
            // Every call counts, so that timers that start each other come to an end.
            .saturating_sub(1);
        }
        sim.clock.now_ns = sim.clock.now_ns.max(until_ns);
        Ok(called)
    }

    /// Executes a program between [`Sim::begin`] and [`Sim::finish`]: R0.
    ///
    /// # Errors
    /// The trap that ended it.
    #[inline(always)]
    pub fn call(
        &self,
        sim: &mut Sim,
        prog: ProgId,
        args: [u64; 5],
        budget: u64,
    ) -> Result<u64, RunError> {
        // One by one, so that a light program gets them in registers.
        let [r1, r2, r3, r4, r5] = args;
        let program = self.program(sim, prog)?;
        if program.light {
            return Ok(run::run_light(sim, program, [r1, r2, r3, r4, r5]));
        }
        self.call_with_state(sim, prog, program, [r1, r2, r3, r4, r5], budget)
    }

    /// The same for a program that is not light, which is no part of what is inlined.
    #[cold]
    #[inline(never)]
    fn call_with_state(
        &self,
        sim: &mut Sim,
        prog: ProgId,
        program: &Program,
        args: [u64; 5],
        budget: u64,
    ) -> Result<u64, RunError> {
        run::run(
            (&self.programs, &self.direct),
            sim,
            prog,
            program,
            args,
            budget,
        )
        .map_err(|stop| RunError::Stop(*stop))
    }

    #[inline(always)]
    fn program(&self, sim: &Sim, prog: ProgId) -> Result<&Program, RunError> {
        if self.kernel != Some(sim.serial()) {
            return Err(RunError::OtherKernel);
        }
        let program = self.programs.get(prog.0 as usize);
        program.ok_or(RunError::NoProgram(prog))
    }
}
