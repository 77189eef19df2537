//! One program in every engine and mode: the interpreter, compiled with and without trust, with all
//! optimisations, none, and all but each. Result, memory, maps and traps must be the same.

use skep_interp::{Machine, Nobody, Outcome, RunError, Stop};
use skep_jit::{AVAILABLE, Jit, Opt, Opts, Proof};
use skep_sim::{MapId, ProgId, RunInput, RunOutput, Sim, Trap};
use skep_spec::{Facts, KernelVersion, ObjectSpec, Profile, ProgramSpec};
use skep_verifier::report::Silent;
use skep_verifier::{Config, Verdict, verify};

/// The slots that control never comes to, where Linux 6.18's verifier accepts the program.
pub(crate) fn dead(program: &ProgramSpec) -> Vec<usize> {
    let facts = Facts::new(Profile::built_in(KernelVersion::new(6, 18, 0)).unwrap());
    match verify(program, &facts, &Config::default(), &mut Silent) {
        Verdict::Accepted(accepted) => accepted.dead,
        Verdict::Rejected(_) | Verdict::Undecided(_) => Vec::new(),
    }
}

/// What a run leaves behind.
#[derive(PartialEq, Debug)]
struct After {
    output: skep_sim::Output,
    memory: Vec<u8>,
    entries: Vec<String>,
}

fn after(sim: &mut Sim) -> After {
    let ids: Vec<MapId> = sim.maps().iter().map(skep_sim::Map::id).collect();
    let entries = ids
        .into_iter()
        .map(|id| format!("{:?}", sim.map_entries(id)));
    let entries = entries.collect();
    let memory = sim.memory().bytes().to_vec();
    let output = sim.take_output();
    After {
        output,
        memory,
        entries,
    }
}

/// Runs the first program of an object in all engines.
pub(crate) fn run_all(
    object: &ObjectSpec,
    probes: &[usize],
    input: &RunInput,
    budget: u64,
    prepare: impl Fn(&mut Sim),
) -> Result<Outcome, RunError> {
    let mut sim = Sim::new(&object.maps).unwrap();
    let mut machine = Machine::new();
    for program in &object.programs {
        machine.load(&mut sim, program).unwrap();
    }
    machine.set_probe_loads(ProgId(0), probes);
    machine.fill_program_slots(&mut sim);
    prepare(&mut sim);
    let result = machine.run_observed(&mut sim, ProgId(0), input, budget, Nobody);
    let left = after(&mut sim);
    drop(sim);
    if AVAILABLE {
        let dead: Vec<_> = object.programs.iter().map(dead).collect();
        let mut choices = vec![Opts::ALL, Opts::NONE];
        choices.extend(Opt::ALL.iter().map(|opt| Opts::ALL.without(*opt)));
        for opts in choices {
            for verified in [false, true] {
                // An unproved program must not run without checks.
                if verified && result.is_err() {
                    continue;
                }
                let mut sim = Sim::new(&object.maps).unwrap();
                let jit = load(&mut sim, object, probes, &dead, (opts, verified));
                prepare(&mut sim);
                let got = jit.run(&mut sim, ProgId(0), input, budget);
                compare(&result, &got, &left, &mut sim, (verified, opts));
            }
        }
    }
    result
}

#[expect(
    unsafe_code,
    reason = "programs that ran without a trap run again without checks"
)]
fn load(
    sim: &mut Sim,
    object: &ObjectSpec,
    probes: &[usize],
    dead: &[Vec<usize>],
    (opts, verified): (Opts, bool),
) -> Jit {
    let mut jit = Jit::with_opts(opts);
    for (at, (program, dead)) in object.programs.iter().zip(dead).enumerate() {
        let probes = if at == 0 { probes } else { &[] };
        let loaded = if verified {
            // SAFETY: this very run ended without a trap in the checking interpreter.
            unsafe { jit.load_verified(sim, program, Proof { probes, dead }) }
        } else {
            jit.load(sim, program, probes)
        };
        loaded.unwrap();
    }
    jit.fill_program_slots(sim);
    jit
}

fn compare(
    want: &Result<Outcome, RunError>,
    got: &Result<RunOutput, RunError>,
    left: &After,
    sim: &mut Sim,
    how: (bool, Opts),
) {
    match (want, got) {
        (Ok(want), Ok(got)) => assert_eq!(&want.output, got, "{how:?}"),
        // Inside of guest memory the sandbox sees no borders.
        (
            Err(RunError::Stop(Stop {
                trap: Trap::Memory(fault),
                ..
            })),
            _,
        ) => {
            let end = sim.memory().base() + sim.memory().committed() as u64;
            let inside = (sim.memory().base()..end).contains(&fault.addr);
            if !inside {
                assert_eq!(want.as_ref().err(), got.as_ref().err(), "{how:?}");
            }
            return;
        }
        (Err(want), got) => assert_eq!(Err(want), got.as_ref(), "{how:?}"),
        (Ok(_), Err(error)) => panic!("{error} {how:?}"),
    }
    let now = after(sim);
    assert_eq!(
        (now.entries, now.output),
        (left.entries.clone(), left.output.clone()),
        "{how:?}"
    );
    let memory = &now.memory;
    let differs = memory.iter().zip(&left.memory).position(|(a, b)| a != b);
    assert_eq!(differs, None, "{how:?}");
    assert_eq!(memory.len(), left.memory.len(), "{how:?}");
}
