//! Two engines: the interpreter and compiled code, on the same programs and inputs over simulated kernels
//! of the same seed, must return the same and leave the same packets, contexts and maps.
//!
//! Each program is compiled on the verifier's word, without checks, and sandboxed; with all optimisations or,
//! by its seed, without some.

use std::collections::BTreeMap;

use skep_interp::{Machine, Nobody};
use skep_jit::{AVAILABLE, Jit, Opt, Opts, Proof};
use skep_sim::{
    Config as SimConfig, LoadError, MapId, Placement, ProgId, RunError, RunInput, RunOutput, Sim,
    Trap,
};
use skep_spec::{MapType, ProgramSpec};
use skep_verifier::report::Silent;
use skep_verifier::{Accepted, Config, Verdict, verify};

use super::bench::careful;
use super::runs::{can_run, fill_maps, input};
use super::{Bench, Finding, Judged, Outcome};
use crate::Rng;

/// Runs of each program.
const RUNS: u32 = 4;
/// Instructions of one run. What takes longer in the interpreter is not compared.
const BUDGET: u64 = 100_000;
/// The same for compiled code, which counts only jumps back and calls.
const AMPLE: u64 = 1 << 30;
/// Bytes of guest memory.
const ARENA: usize = 32 << 20;

pub(super) fn judge(bench: &Bench, spec: &ProgramSpec, seed: u64) -> Judged {
    let outcome = interp_equals_jit(spec, bench, seed);
    let here = (!matches!(outcome, Outcome::Skipped(_))).then_some(true);
    Judged {
        here,
        ..Judged::new(outcome)
    }
}

/// Runs an accepted program in both engines, on inputs that the seed determines. Programs that could tell
/// addresses or read what was never written are left out: both differ from machine to machine.
pub fn interp_equals_jit(spec: &ProgramSpec, bench: &Bench, seed: u64) -> Outcome {
    if !AVAILABLE || !can_run(spec.ty) {
        return Outcome::Skipped("programs of its type are not run, or not here");
    }
    let facts = careful(bench.facts());
    let accepted = match verify(spec, &facts, &Config::default(), &mut Silent) {
        Verdict::Accepted(accepted) => accepted,
        Verdict::Rejected(_) => return Outcome::Skipped("it is rejected, or could tell addresses"),
        Verdict::Undecided(_) => return Outcome::Skipped("it has no verdict"),
    };
    let mut rng = Rng::new(seed);
    let config = SimConfig {
        arena: ARENA,
        seed: rng.next(),
        ..SimConfig::default()
    };
    let filling = rng.next();
    let inputs: Vec<RunInput> = (0..RUNS).map(|_| input(spec, &mut rng)).collect();
    let ours = match interpret(spec, &accepted, &config, filling, &inputs) {
        Ok(ours) => ours,
        Err(why) => return Outcome::Skipped(why),
    };
    let opts = opts(seed);
    for verified in [true, false] {
        let config = SimConfig {
            placement: Placement::Fixed,
            ..config.clone()
        };
        let mut jit = Jit::with_opts(opts);
        let Ok(mut sim) = Sim::with_config(config, &spec.maps) else {
            return Outcome::Skipped("its maps are not simulated");
        };
        let Ok(prog) = compile(&mut jit, &mut sim, spec, &accepted, verified) else {
            return Outcome::Skipped("it is not compiled");
        };
        fill_maps(&mut sim, &mut Rng::new(filling));
        for (input, ours) in inputs.iter().zip(&ours) {
            let theirs = jit.run(&mut sim, prog, input, AMPLE);
            if let Some(what) = difference(ours, &theirs, &mut sim) {
                return Outcome::Found(Finding {
                    kind: what.to_owned(),
                    text: describe(what, input, &ours.run, &theirs, (verified, opts)),
                });
            }
        }
    }
    Outcome::Fine
}

/// What a run in the interpreter came to, and what the maps held then.
struct Ours {
    run: Result<RunOutput, RunError>,
    maps: Contents,
}

/// Runs the program in the interpreter.
///
/// # Errors
/// Why there is nothing to compare.
fn interpret(
    spec: &ProgramSpec,
    accepted: &Accepted,
    config: &SimConfig,
    filling: u64,
    inputs: &[RunInput],
) -> Result<Vec<Ours>, &'static str> {
    let config = SimConfig {
        placement: Placement::Buffer,
        ..config.clone()
    };
    let mut sim = Sim::with_config(config, &spec.maps).map_err(|_| "its maps are not simulated")?;
    let mut machine = Machine::new();
    let prog = machine
        .load(&mut sim, spec)
        .map_err(|_| "it is not simulated")?;
    machine.set_probe_loads(prog, &accepted.probe_loads);
    fill_maps(&mut sim, &mut Rng::new(filling));
    let mut ours = Vec::with_capacity(inputs.len());
    for input in inputs {
        let run = machine.run_observed(&mut sim, prog, input, BUDGET, Nobody);
        let run = run.map(|run| run.output);
        match &run {
            Err(RunError::Stop(stop))
                if stop.trap.is_missing_feature() || matches!(stop.trap, Trap::Budget { .. }) =>
            {
                return Err("the run is not simulated to its end");
            }
            // Without checks it must not run at all then.
            Err(RunError::Stop(_)) => return Err("it traps, which another oracle asks about"),
            Ok(_) | Err(_) => {}
        }
        let maps = contents(&mut sim);
        ours.push(Ours { run, maps });
    }
    Ok(ours)
}

/// The optimisations that a program is compiled with: all, none, or all but one.
fn opts(seed: u64) -> Opts {
    match seed % 8 {
        0 => Opts::NONE,
        1 | 2 => {
            let at = (seed / 8) as usize % Opt::ALL.len();
            let opt = Opt::ALL.get(at);
            opt.map_or(Opts::ALL, |opt| Opts::ALL.without(*opt))
        }
        3 => Opts::default(),
        _ => Opts::ALL,
    }
}

/// Compiles a program: on the verifier's word, or sandboxed. The one place of this crate that says that
/// running without checks is sound.
#[expect(
    unsafe_code,
    reason = "a proof is handed to the compiler; the block says where it is from"
)]
fn compile(
    jit: &mut Jit,
    sim: &mut Sim,
    spec: &ProgramSpec,
    accepted: &Accepted,
    verified: bool,
) -> Result<ProgId, LoadError> {
    if !verified {
        return jit.load(sim, spec, &accepted.probe_loads);
    }
    let proof = Proof {
        probes: &accepted.probe_loads,
        dead: &accepted.dead,
    };
    // SAFETY: `accepted` is the verifier's proof for this very request, made by the caller for Linux 6.18,
    // whose contexts, helpers and maps are those that `sim` simulates; its facts are handed on. Only this
    // function's caller has `sim`, and between runs it touches maps alone.
    unsafe { jit.load_verified(sim, spec, proof) }
}

fn difference(
    ours: &Ours,
    theirs: &Result<RunOutput, RunError>,
    sim: &mut Sim,
) -> Option<&'static str> {
    match (&ours.run, theirs) {
        (Ok(ours), Ok(theirs)) if ours.r0 != theirs.r0 => Some("the return value"),
        (Ok(ours), Ok(theirs)) if ours.data != theirs.data => Some("the packet"),
        (Ok(ours), Ok(theirs)) if ours.ctx != theirs.ctx => Some("the context"),
        (Ok(_), Ok(_)) => (ours.maps != contents(sim)).then_some("a map"),
        (Err(RunError::Input(_)), Err(RunError::Input(_))) => None,
        (Err(_), Err(_)) => Some("why it does not run"),
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => Some("whether it runs"),
    }
}

/// Key and value.
type Entry = (Vec<u8>, Vec<u8>);
/// Entries by map.
type Contents = BTreeMap<u32, Vec<Entry>>;

/// What is in the maps whose contents are bytes.
fn contents(sim: &mut Sim) -> Contents {
    let plain = |ty: MapType| matches!(ty, MapType::Array | MapType::Hash | MapType::LruHash);
    let maps = sim.maps().iter();
    let ids: Vec<MapId> = maps
        .filter(|map| plain(map.spec().ty))
        .map(|map| map.id())
        .collect();
    let mut all = BTreeMap::new();
    for id in ids {
        let entries = sim.map_entries(id).unwrap_or_default().into_iter();
        let mut entries: Vec<_> = entries.map(|entry| (entry.key, entry.value)).collect();
        entries.sort();
        all.insert(id.0, entries);
    }
    all
}

fn describe(
    what: &str,
    input: &RunInput,
    ours: &Result<RunOutput, RunError>,
    theirs: &Result<RunOutput, RunError>,
    (verified, opts): (bool, Opts),
) -> String {
    let told = |run: &Result<RunOutput, RunError>| match run {
        Ok(run) => format!("returns {:#x}, packet {:02x?}", run.r0, run.data),
        Err(error) => error.to_string(),
    };
    let mode = if verified { "verified" } else { "sandboxed" };
    format!(
        "{what} differs\n  input    {input:02x?}\n  interp   {}\n  {mode} {opts:?} {}",
        told(ours),
        told(theirs)
    )
}
