//! Where there is no compiler: the same functions, and nothing loads.

use skep_isa::{Insn, InsnIdx};
use skep_sim::{LoadError, ProgId, RunError, RunInput, RunOutput, Sim};
use skep_spec::{AttachType, ProgType, ProgramSpec};

use crate::options::{Opt, Opts, Proof};

/// Why nothing loads.
const NOT_HERE: LoadError = LoadError::Engine(
    "the compiler makes code for x86-64 Linux only; the interpreter runs everywhere",
);

/// Names no function.
pub fn function_name(_: u64) -> Option<&'static str> {
    None
}

/// Compiled programs: none.
#[derive(Debug, Default)]
pub struct Jit {
    programs: Vec<Program>,
}

/// A compiled program, of which there is none.
#[derive(Debug)]
pub enum Program {}

impl Program {
    /// Its name.
    pub fn name(&self) -> &str {
        match *self {}
    }

    /// Its type.
    pub fn ty(&self) -> ProgType {
        match *self {}
    }

    /// Its expected attach type.
    pub fn attach(&self) -> AttachType {
        match *self {}
    }

    /// Its instructions, one per slot.
    pub fn insns(&self) -> &[Insn] {
        match *self {}
    }

    /// Its machine code.
    pub fn code(&self) -> &[u8] {
        match *self {}
    }

    /// The address of its machine code in this process.
    pub fn address(&self) -> u64 {
        match *self {}
    }

    /// Where the machine code of the last slot ends.
    pub fn end(&self) -> usize {
        match *self {}
    }

    /// Offset of a slot's machine code.
    pub fn offset(&self, _: InsnIdx) -> Option<usize> {
        match *self {}
    }
}

impl Jit {
    /// A machine without programs.
    pub fn new() -> Jit {
        Jit::default()
    }

    /// The same.
    pub fn with_opts(opts: Opts) -> Jit {
        let _ = opts.has(Opt::Rotate);
        Jit::default()
    }

    /// Loads nothing.
    ///
    /// # Errors
    /// Always.
    pub fn load(
        &mut self,
        _: &mut Sim,
        _: &ProgramSpec,
        _: &[InsnIdx],
    ) -> Result<ProgId, LoadError> {
        Err(NOT_HERE)
    }

    /// Loads nothing.
    ///
    /// # Safety
    /// None is needed here.
    ///
    /// # Errors
    /// Always.
    #[expect(unsafe_code, reason = "the signature it has elsewhere")]
    pub unsafe fn load_verified(
        &mut self,
        _: &mut Sim,
        _: &ProgramSpec,
        _: Proof<'_>,
    ) -> Result<ProgId, LoadError> {
        Err(NOT_HERE)
    }

    /// No lines.
    pub fn perf_map(&self) -> String {
        String::new()
    }

    /// There is nothing to tell.
    pub fn register_with_debugger(&mut self) {}

    /// The programs, by their numbers.
    pub fn programs(&self) -> &[Program] {
        &self.programs
    }

    /// The first program of that name.
    pub fn by_name(&self, _: &str) -> Option<ProgId> {
        None
    }

    /// Fills nothing.
    pub fn fill_program_slots(&self, _: &mut Sim) {}

    /// Runs nothing.
    ///
    /// # Errors
    /// Always.
    pub fn run(
        &self,
        _: &mut Sim,
        prog: ProgId,
        _: &RunInput,
        _: u64,
    ) -> Result<RunOutput, RunError> {
        Err(RunError::NoProgram(prog))
    }

    /// Runs nothing.
    ///
    /// # Errors
    /// Always.
    pub fn call(&self, _: &mut Sim, prog: ProgId, _: [u64; 5], _: u64) -> Result<u64, RunError> {
        Err(RunError::NoProgram(prog))
    }

    /// Calls nothing.
    ///
    /// # Errors
    /// Never.
    pub fn run_timers(&self, _: &mut Sim, _: u64, _: u64) -> Result<u64, RunError> {
        Ok(0)
    }
}
