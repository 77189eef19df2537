//! The one place where compiled code is let run without checks, and the reasons why it may.

use skep_jit::{Jit, Proof};
use skep_sim::{LoadError, ProgId, Sim};
use skep_spec::{Facts, ProgramSpec};
use skep_verifier::report::Silent;
use skep_verifier::{Accepted, Config, Verdict, verify};

/// Verifies a program and, if it is accepted, compiles it without checks. `None` without that verdict.
///
/// # Errors
/// What does not load.
pub(crate) fn load_accepted(
    jit: &mut Jit,
    sim: &mut Sim,
    spec: &ProgramSpec,
    facts: &Facts,
) -> Option<Result<ProgId, LoadError>> {
    let verdict = verify(spec, facts, &Config::default(), &mut Silent);
    let Verdict::Accepted(Accepted {
        probe_loads, dead, ..
    }) = verdict
    else {
        return None;
    };
    let proof = Proof {
        probes: &probe_loads,
        dead: &dead,
    };
    // SAFETY: the verifier has just accepted this very request, and what it found out is handed on; guest memory is changed by maps and inputs alone.
    Some(unsafe { jit.load_verified(sim, spec, proof) })
}

/// Compiles a benchmark without checks: bytecode of a folder whose C is compiled and run as well.
///
/// # Errors
/// What does not load.
pub(crate) fn load_trusted(
    jit: &mut Jit,
    sim: &mut Sim,
    spec: &ProgramSpec,
) -> Result<ProgId, LoadError> {
    // SAFETY: it is run on the one input on which it has ended in the checking interpreter, and whoever
    // runs a folder of benchmarks trusts it with native code.
    unsafe { jit.load_verified(sim, spec, Proof::default()) }
}

/// Runs a benchmark that another compiler has compiled, on its memory.
pub(crate) fn run_foreign(vm: &rbpf::EbpfVmMbuff<'_>, memory: &mut [u8]) -> Option<u64> {
    // SAFETY: as in `load_trusted`; the memory is as long as the program is told.
    unsafe { vm.execute_program_jit(&mut [], memory) }.ok()
}
