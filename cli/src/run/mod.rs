//! `skep run`: run one program at its simulated hook, interpreted or compiled, and show what it did.
//!
//! The program is verified first: what a kernel would not load is not run unless asked for. The run
//! depends on the object and the options alone.

mod args;
mod engine;
mod live;
mod many;
mod print;
mod topology;
mod trace;

use std::path::Path;
use std::sync::Arc;

use skep_host::maps::{self, MapChange, Snapshot};
use skep_host::{arguments, context, packet};
use skep_interp::{Machine, RunError};
use skep_isa::{RawInsn, opcode};
use skep_sim::{Config, Output, ProgId, RunInput, RunOutput, Sim};
use skep_spec::{MapType, ObjectSpec, ProgramSpec};

use crate::args::TextFormat;
use crate::diagnostic;
use crate::exit::Tally;
use crate::failure::{Failure, note};
use crate::input::{Source, Unit, expand, is_file, little_endian, open_source};
use crate::kernels::{Kernel, Kernels};
use crate::progress::Count;
use crate::verify::finish;
use crate::verify::judge::{Judgement, judge};

pub(crate) use args::RunArgs;
use engine::{Engine, EngineArg, Ran};

/// What a run did, compared with a program that does nothing.
struct Effects {
    ran: Ran,
    /// Packet and context as they are without the program.
    untouched: RunOutput,
    output: Output,
    maps: Vec<MapChange>,
}

/// A program in a simulated kernel, ready to run.
struct Ready {
    unit: Unit,
    object: ObjectSpec,
    sim: Sim,
    engine: Engine,
    prog: ProgId,
}

/// Runs the command.
///
/// # Errors
/// What makes a run impossible.
pub(crate) fn run(args: &RunArgs) -> Result<Tally, Failure> {
    if let Some(path) = &args.topology {
        return topology::run(path, args);
    }
    if args.trace && args.engine == EngineArg::Jit {
        return Err(
            Failure::new("--trace: compiled code does not show its steps")
                .help("--engine interp does"),
        );
    }
    let mut tally = Tally::default();
    let Some(mut ready) = prepare(args, &mut tally)? else {
        return Ok(tally);
    };
    if !args.pcap.is_empty() {
        return many::run(&mut ready, args, tally);
    }
    let ty = ready.unit.spec.ty;
    if args.packet.is_none() && packet::takes_packet(ty) {
        note("no --packet: the packet is UDP over IPv4, 60 bytes");
    }
    let data = packet::find(ty, args.packet.as_deref(), "--packet")?;
    let input = input_of(&mut ready, data, args)?;
    match execute(&mut ready, &input, args) {
        Ok(effects) => {
            let unit = &ready.unit;
            let printed = match args.format {
                TextFormat::Human => print::human(unit, &effects, args.repeat),
                TextFormat::Json => print::json(unit, &effects, args.repeat),
            };
            if let Some(path) = &args.write {
                let packets = [(0, effects.ran.output.data.as_slice())];
                many::write_capture(path, packets)?;
            }
            if args.on_kernel {
                live::compare(&ready, &[input], &effects, args, &mut tally)?;
            }
            finish(printed, tally)
        }
        Err(Ended::Input(failure)) => Err(failure),
        Err(Ended::Trap(error)) => {
            tell_trap(&ready.unit, &ready.sim, &error, args, &mut tally);
            Ok(tally)
        }
    }
}

/// Reads, verifies and loads the program; `None` if it may not run.
fn prepare(args: &RunArgs, tally: &mut Tally) -> Result<Option<Ready>, Failure> {
    let kernels = Kernels::new(&[], args.btf.as_deref())?.opening(&args.open)?;
    let kernel = kernels.first()?;
    let input = args
        .input
        .as_deref()
        .ok_or_else(|| Failure::new("no file is given"))?;
    let (source, named) = find_source(input)?;
    let object = open_source(&source, &kernel)?;
    little_endian(&source, &object)?;
    let program = choose(&source, &object, args.prog.as_deref().or(named.as_deref()))?;
    let unit = unit(&source, program, &kernel);
    if !args.no_verify && !may_run(&unit, tally) {
        return Ok(None);
    }
    let config = Config {
        seed: args.seed,
        ..Config::default()
    };
    if args.cpu >= config.cpus {
        let what = format!("--cpu {}: there are {} CPUs, from 0", args.cpu, config.cpus);
        return Err(Failure::new(what));
    }
    let maps = maps::usable(&object, program, &kernel.facts);
    let mut sim = Sim::with_config(config, &maps).map_err(|e| Failure::of(source.shown(), e))?;
    if let Some(btf) = kernel.facts.btf() {
        sim.set_kernel_btf(Arc::clone(btf));
    }
    sim.cpu = args.cpu;
    sim.process.comm.clone_from(&args.comm);
    (sim.process.pid, sim.process.tgid) = (args.pid, args.pid);
    (sim.process.uid, sim.process.gid) = (args.uid, args.uid);
    for setting in &args.map {
        maps::set(&mut sim, setting)?;
    }
    let mut engine = Engine::new(args.engine);
    let no_verify = args.no_verify;
    let prog = load(&mut engine, &mut sim, &object, program, &kernel, no_verify)?;
    if args.perf_map || args.gdb {
        engine.publish(args.perf_map, args.gdb)?;
    }
    Ok(Some(Ready {
        unit,
        object,
        sim,
        engine,
        prog,
    }))
}

/// What a run is given.
fn input_of(ready: &mut Ready, data: Vec<u8>, args: &RunArgs) -> Result<RunInput, Failure> {
    let mut values = serde_json::Map::new();
    for text in &args.arg {
        let (name, value) = arguments::read(text).map_err(|e| e.in_place("--arg"))?;
        values.insert(name, value);
    }
    if args.ctx.is_empty() && data.is_empty() {
        let input = arguments::input(&mut ready.sim, &ready.unit.spec, &values);
        if let Some(input) = input.map_err(|e| e.in_place("--arg"))? {
            return Ok(input);
        }
    }
    let settings = context::read(&args.ctx).map_err(|e| e.in_place("--ctx"))?;
    let ctx =
        context::build(&ready.unit.spec, &settings, data.len()).map_err(|e| e.in_place("--ctx"))?;
    Ok(RunInput { data, ctx })
}

/// The file, and the program behind it: `a.o`, or `a.o/main`.
pub(crate) fn find_source(input: &Path) -> Result<(Source, Option<String>), Failure> {
    let (path, prog) = match input
        .parent()
        .filter(|parent| !input.exists() && is_file(parent))
    {
        Some(file) => (
            file,
            input.file_name().map(|n| n.to_string_lossy().into_owned()),
        ),
        None => (input, None),
    };
    let mut sources = expand(&[path.to_owned()]);
    match sources.pop() {
        Some(source) if sources.is_empty() => Ok((source?, prog)),
        Some(_) | None => Err(Failure::of(path.display(), "give a single file")),
    }
}

pub(crate) fn choose<'a>(
    source: &Source,
    object: &'a ObjectSpec,
    name: Option<&str>,
) -> Result<&'a ProgramSpec, Failure> {
    let names = || {
        let names: Vec<_> = object.programs.iter().map(|p| p.name.as_str()).collect();
        names.join(", ")
    };
    match (name, object.programs.as_slice()) {
        (Some(name), _) => object.program(name).ok_or_else(|| {
            Failure::of(source.shown(), format_args!("there is no program `{name}`"))
                .help(format!("it holds {}", names()))
        }),
        (None, [only]) => Ok(only),
        (None, programs) => {
            let what = format!("it holds {} programs", programs.len());
            let first = programs.first().map_or("", |p| &p.name);
            Err(Failure::of(source.shown(), what).help(format!(
                "choose one, such as {}/{first}; there are {}",
                source.shown(),
                names()
            )))
        }
    }
}

pub(crate) fn unit(source: &Source, program: &ProgramSpec, kernel: &Arc<Kernel>) -> Unit {
    Unit {
        file: source.file(),
        prog: program.name.clone(),
        spec: Arc::new(program.clone()),
        kernel: Arc::clone(kernel),
        blocked: None,
        recorded_on: String::new(),
        source: 0,
    }
}

/// Whether the program's verdict lets it run; says why not, or that there is none.
fn may_run(unit: &Unit, tally: &mut Tally) -> bool {
    let name = format!("{}/{}", unit.file, unit.prog);
    match judge(unit.clone(), 0).judgement {
        Judgement::Accepted(_) => true,
        Judgement::Rejected(refusal) => {
            tally.failed = true;
            anstream::eprint!("{}", diagnostic::draw(unit, &refusal).trim_start());
            Failure::new(format!("{name} is rejected, so it was not run"))
                .help("--no-verify runs it all the same, with every access checked")
                .print();
            false
        }
        Judgement::Undecided { feature, .. } => {
            note(format_args!("{name} has no verdict: it needs {feature}"));
            true
        }
    }
}

/// Loads the program and those that it can reach by tail calls.
fn load(
    engine: &mut Engine,
    sim: &mut Sim,
    object: &ObjectSpec,
    program: &ProgramSpec,
    kernel: &Arc<Kernel>,
    no_verify: bool,
) -> Result<ProgId, Failure> {
    let prog = engine
        .load(sim, program, &kernel.facts)
        .map_err(|e| Failure::new(format!("{}: {e}", program.name)))?;
    let arrays = object.maps.iter().filter(|m| m.ty == MapType::ProgArray);
    let mut names: Vec<_> = arrays
        .flat_map(|m| &m.slots)
        .map(|slot| slot.1.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    for name in names.into_iter().filter(|name| *name != program.name) {
        let Some(callee) = object.program(name) else {
            continue;
        };
        let unit = Unit {
            file: object.name.clone(),
            prog: callee.name.clone(),
            spec: Arc::new(callee.clone()),
            kernel: Arc::clone(kernel),
            blocked: None,
            recorded_on: String::new(),
            source: 0,
        };
        let rejected = !no_verify && matches!(judge(unit, 0).judgement, Judgement::Rejected(_));
        if rejected || engine.load(sim, callee, &kernel.facts).is_err() {
            note(format_args!(
                "{name} cannot be loaded; its slots in program arrays stay empty"
            ));
        }
    }
    engine.fill_program_slots(sim);
    Ok(prog)
}

/// Why there is no result.
enum Ended {
    /// The hook does not take the input.
    Input(Failure),
    /// A trap.
    Trap(skep_interp::Stop),
}

fn execute(ready: &mut Ready, input: &RunInput, args: &RunArgs) -> Result<Effects, Ended> {
    let Ready {
        unit,
        sim,
        engine,
        prog,
        ..
    } = ready;
    let ended = |error| match error {
        RunError::Stop(stop) => Ended::Trap(stop),
        RunError::Input(_) | RunError::NoProgram(_) | RunError::OtherKernel => {
            Ended::Input(refused(engine, *prog, &error, args))
        }
    };
    let untouched = run_nothing(engine, sim, *prog, input).map_err(ended)?;
    let before = Snapshot::take(sim);
    let traced = args.trace.then_some(&*unit);
    let mut once = || engine.run(sim, *prog, input, args.max_insns, traced);
    let mut ran = once().map_err(ended)?;
    let progress = Count::new(args.repeat.into());
    for turn in 1..args.repeat {
        ran = once().map_err(ended)?;
        if turn % (1 << 14) == 0 {
            progress.at(turn.into());
        }
    }
    progress.finish();
    let maps = before.changes(sim);
    Ok(Effects {
        ran,
        untouched,
        output: sim.take_output(),
        maps,
    })
}

/// What packet and context are for a program that does nothing at the same hook.
fn run_nothing(
    engine: &Engine,
    sim: &mut Sim,
    prog: ProgId,
    input: &RunInput,
) -> Result<RunOutput, RunError> {
    let Some((ty, attach)) = engine.kind(prog) else {
        return Err(RunError::NoProgram(prog));
    };
    let zero = RawInsn::new(0xb7, 0, 0, 0, 0);
    let exit = RawInsn::new(opcode::EXIT, 0, 0, 0, 0);
    let mut spec = ProgramSpec::new("nothing", ty, vec![zero, exit]);
    spec.attach = attach;
    let mut nothing = Machine::new();
    match nothing.load(sim, &spec) {
        Ok(id) => nothing.run(sim, id, input).map(|outcome| outcome.output),
        Err(_) => Ok(RunOutput::default()),
    }
}

/// An input that the hook does not take.
fn refused(engine: &Engine, prog: ProgId, error: &RunError, args: &RunArgs) -> Failure {
    let what = match engine.kind(prog) {
        Some((ty, _)) => format!("a program of type {ty} cannot be run so: {error}"),
        None => error.to_string(),
    };
    let failure = Failure::new(what);
    if args.ctx.is_empty() {
        failure
    } else {
        failure
            .help("a test run takes the context fields that BPF_PROG_TEST_RUN takes, and no others")
    }
}

/// Tells where and why a run ended early, and what it had printed by then.
fn tell_trap(unit: &Unit, sim: &Sim, stop: &skep_interp::Stop, args: &RunArgs, tally: &mut Tally) {
    for line in &sim.output().printk {
        anstream::eprintln!("printk: {line}");
    }
    // Behind a tail call, the slot is another program's.
    let text = stop.trap.to_string();
    let drawing = if stop.prog == ProgId(0) {
        diagnostic::draw_at(unit, stop.insn_idx, &text)
    } else {
        format!("error: {text} (insn {} of another program)", stop.insn_idx)
    };
    anstream::eprintln!("{}", drawing.trim());
    if stop.trap.is_missing_feature() {
        tally.undecided = true;
        return;
    }
    tally.failed = true;
    if !args.no_verify {
        note("a program that a kernel accepts must not trap: please report this run");
    }
}
