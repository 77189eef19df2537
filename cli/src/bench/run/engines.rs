//! The engines, each ready to run one program over and over.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use skep_interp::{BUDGET, Machine, Nobody};
use skep_isa::RawInsn;
use skep_jit::Jit;
use skep_kernel::{Kernel, LiveProgram, LoadOptions, LoadedObject, RunRequest};
use skep_loader::{Options, open};
use skep_sim::{ProgId, RunInput, Sim};
use skep_spec::{Facts, KernelVersion, MapType, ObjectSpec, Profile, ProgType, ProgramSpec};

use super::native::Native;
use super::{Case, median};
use crate::vouch;

/// All of them, in the order of printing.
pub(super) const NAMES: [&str; 7] = [
    "interp",
    "jit",
    "jit-sandboxed",
    "rbpf-interp",
    "rbpf-jit",
    "kernel",
    "native",
];

/// Times that a program is compiled in a row, of which the median counts: enough for the processor to get used
/// to it.
const COMPILED: usize = 400;

/// Bytes of bytecode that rbpf's compiler is given at most.
const RBPF_MOST: usize = 8 << 10;

/// Runs a program so often; gives the ns of one run, and the result if it is known.
type Run<'a> = Box<dyn FnMut(u32) -> Option<(f64, Option<u64>)> + 'a>;

/// Compiles a program over and over; gives the ns that it takes.
type Compile<'a> = Box<dyn FnMut() -> Option<f64> + 'a>;

/// One engine with a program in it.
pub(super) struct Engine<'a> {
    pub(super) name: &'static str,
    /// What a run costs besides the program, in ns.
    pub(super) overhead: f64,
    compile: Option<Compile<'a>>,
    run: Run<'a>,
}

impl Engine<'_> {
    /// What compiling takes, in ns, if it is compiled here.
    pub(super) fn compile(&mut self) -> Option<f64> {
        self.compile.as_mut()?()
    }

    /// Runs the program so often.
    pub(super) fn run(&mut self, times: u32) -> Option<(f64, Option<u64>)> {
        (self.run)(times)
    }
}

/// Times calls.
fn timed(times: u32, mut call: impl FnMut() -> Option<u64>) -> Option<(f64, Option<u64>)> {
    let mut r0 = call()?;
    let start = Instant::now();
    for _ in 0..times {
        r0 = std::hint::black_box(call()?);
    }
    let ns = start.elapsed().as_nanos() as f64 / f64::from(times);
    Some((ns, Some(r0)))
}

/// A program in a simulated kernel, with the arguments of its calls. Our engines share it: only one kernel
/// of a process has its memory at its own addresses, as the only one of another process would.
struct Guest {
    sim: RefCell<Sim>,
    object: ObjectSpec,
    args: [u64; 5],
    raw: bool,
}

impl Guest {
    fn new(case: &Case) -> Option<Guest> {
        let raw = case.raw.is_some();
        let object = match &case.raw {
            Some(bytes) => {
                let slots = RawInsn::slots_from_le_bytes(bytes)?;
                let mut object = ObjectSpec::default();
                object
                    .programs
                    .push(ProgramSpec::new(&case.name, ProgType::Unspec, slots));
                object
            }
            None => open(&case.name, case.xdp.as_deref()?, &Options::default()).ok()?,
        };
        let mut sim = Sim::new(&object.maps).ok()?;
        fill_tries(&mut sim);
        let program = object.programs.first()?;
        let (first, second) = if raw {
            (
                sim.begin_memory(&case.packet).ok()?,
                case.packet.len() as u64,
            )
        } else {
            let input = RunInput::packet(&case.packet);
            (sim.begin(program.ty, program.attach, &input).ok()?, 0)
        };
        Some(Guest {
            sim: RefCell::new(sim),
            object,
            args: [first, second, 0, 0, 0],
            raw,
        })
    }
}

/// Gives tries the routes that benchmarks look up.
fn fill_tries(sim: &mut Sim) {
    let tries = sim
        .maps()
        .iter()
        .filter(|m| m.spec().ty == MapType::LpmTrie);
    let tries: Vec<_> = tries.map(skep_sim::Map::id).collect();
    for id in tries {
        for (key, value) in routes() {
            // What does not fit stays out.
            let _ = sim.map_update(id, &key, &value, 0);
        }
    }
}

/// Prefixes and values of a trie over IPv4 addresses.
fn routes() -> impl Iterator<Item = ([u8; 8], [u8; 8])> {
    let many = (0..512u32).map(|i| {
        let address = [7 * i + 10, 13 * i, i, 3 * i].map(|byte| byte as u8);
        (8 + i % 25, address, 2u64)
    });
    many.chain([(24, [10, 0, 0, 2], 3)])
        .map(|(len, address, value)| {
            let mut key = [0; 8];
            key[..4].copy_from_slice(&len.to_le_bytes());
            key[4..].copy_from_slice(&address);
            (key, value.to_le_bytes())
        })
}

/// The engines that can run a program.
pub(super) fn all(case: &Case) -> Vec<Engine<'_>> {
    let mut all = Vec::new();
    let mut add = |name, run, overhead, compile| {
        if let Some(run) = run {
            all.push(Engine {
                name,
                overhead,
                compile,
                run,
            });
        }
    };
    if let Some(guest) = Guest::new(case).map(Rc::new) {
        add("interp", interp(&guest), 0.0, None);
        for (name, verified) in [("jit", true), ("jit-sandboxed", false)] {
            let compile = jit_compiles(&guest, verified);
            add(name, jit(&guest, verified), 0.0, compile);
        }
    }
    add("rbpf-interp", rbpf_interp(case), 0.0, None);
    let (run, compile) = rbpf_jit(case).unzip();
    add("rbpf-jit", run, 0.0, compile);
    let (run, overhead) = kernel(case).unzip();
    add("kernel", run, overhead.unwrap_or(0.0), None);
    if let Some(native) = Native::new(case) {
        let run: Run<'_> = Box::new(move |times| native.run(times));
        add("native", Some(run), 0.0, None);
    }
    all
}

/// What it takes to compile, in ns, without throwing away what was made.
fn compiles<T>(mut compile: impl FnMut() -> Option<T>) -> Option<f64> {
    let mut times = Vec::with_capacity(COMPILED);
    for _ in 0..COMPILED {
        let start = Instant::now();
        let made = compile()?;
        times.push(start.elapsed().as_nanos() as f64);
        drop(made);
    }
    median(times)
}

/// Compiles bytecode that needs no verifier.
fn jit_compiles(guest: &Rc<Guest>, verified: bool) -> Option<Compile<'static>> {
    if !guest.raw {
        return None;
    }
    let guest = Rc::clone(guest);
    Some(Box::new(move || {
        let program = guest.object.programs.first()?;
        let sim = &mut guest.sim.borrow_mut();
        compiles(|| {
            let mut jit = Jit::new();
            let loaded = if verified {
                vouch::load_trusted(&mut jit, sim, program)
            } else {
                jit.load(sim, program, &[])
            };
            loaded.ok().map(|_| jit)
        })
    }))
}

fn interp(guest: &Rc<Guest>) -> Option<Run<'static>> {
    let sim = &mut guest.sim.borrow_mut();
    let mut machine = Machine::new();
    for program in &guest.object.programs {
        machine.load(sim, program).ok()?;
    }
    machine.fill_program_slots(sim);
    let guest = Rc::clone(guest);
    Some(Box::new(move |times| {
        let sim = &mut guest.sim.borrow_mut();
        let mut call = || machine.call(sim, ProgId(0), guest.args, BUDGET, Nobody);
        timed(times, || call().ok().map(|(r0, _)| r0))
    }))
}

fn jit(guest: &Rc<Guest>, verified: bool) -> Option<Run<'static>> {
    // What the checking interpreter does not run is not run without checks.
    interp(guest)?(1)?;
    let sim = &mut guest.sim.borrow_mut();
    let mut jit = Jit::new();
    let facts = Facts::new(Profile::built_in(KernelVersion::new(6, 18, 0))?);
    for program in &guest.object.programs {
        let loaded = if !verified {
            jit.load(sim, program, &[])
        } else if guest.raw {
            vouch::load_trusted(&mut jit, sim, program)
        } else {
            vouch::load_accepted(&mut jit, sim, program, &facts)?
        };
        loaded.ok()?;
    }
    jit.fill_program_slots(sim);
    let guest = Rc::clone(guest);
    Some(Box::new(move |times| {
        let sim = &mut guest.sim.borrow_mut();
        let args = guest.args;
        timed(times, || {
            jit.call(sim, ProgId(0), args, skep_jit::BUDGET).ok()
        })
    }))
}

fn rbpf_interp(case: &Case) -> Option<Run<'_>> {
    let vm = rbpf::EbpfVmRaw::new(case.with_length.as_deref()).ok()?;
    let mut memory = case.packet.clone();
    // What it does not run right it does not run at all.
    let right = vm.execute_program(&mut memory).ok()?;
    if case.expected.is_some_and(|want| want != right) {
        return None;
    }
    Some(Box::new(move |times| {
        timed(times, || vm.execute_program(&mut memory).ok())
    }))
}

/// rbpf's compiler, and compiling with it.
fn rbpf_jit(case: &Case) -> Option<(Run<'_>, Compile<'_>)> {
    let code = case.raw.as_deref()?;
    // Its room for code has a fixed size, and where that does not do it panics.
    if code.len() > RBPF_MOST {
        return None;
    }
    // The compiled program is given the metadata's address and length, which here are the packet's.
    let mut vm = rbpf::EbpfVmMbuff::new(Some(code)).ok()?;
    vm.jit_compile().ok()?;
    let mut other = rbpf::EbpfVmMbuff::new(Some(code)).ok()?;
    let compile = move || compiles(|| other.jit_compile().ok());
    let mut memory = case.packet.clone();
    // What its interpreter refuses, or its compiled code does wrong, is not measured.
    rbpf_interp(case)?(1)?;
    let right = vouch::run_foreign(&vm, &mut memory)?;
    if case.expected.is_some_and(|want| want != right) {
        return None;
    }
    let run = move |times| timed(times, || vouch::run_foreign(&vm, &mut memory));
    Some((Box::new(run), Box::new(compile)))
}

/// The first program of an object in the running kernel.
fn live(kernel: &Kernel, name: &str, bytes: &[u8]) -> Option<LoadedObject> {
    let object = open(name, bytes, &Options::default()).ok()?;
    let first = object.programs.first()?.name.clone();
    let loaded = LoadedObject::load(kernel, &object, |p| p.name == first, &LoadOptions::quiet());
    for (name, map) in &loaded.maps {
        let spec = object.maps.iter().find(|m| m.name == *name);
        if let (Some(spec), Ok(map)) = (spec, map)
            && spec.ty == MapType::LpmTrie
        {
            for (key, value) in routes() {
                // As in `fill_tries`.
                let _ = map.update(&key, &value, 0);
            }
        }
    }
    Some(loaded)
}

fn program(loaded: &LoadedObject) -> Option<&LiveProgram> {
    loaded.programs.first()?.1.program.as_ref()
}

/// The kernel, and what it takes to run nothing.
fn kernel(case: &Case) -> Option<(Run<'_>, f64)> {
    thread_local! {
        static EMPTY: OnceCell<Option<f64>> = const { OnceCell::new() };
    }
    let kernel = Kernel::open().ok()?;
    let loaded = live(&kernel, &case.name, case.xdp.as_deref()?)?;
    program(&loaded)?;
    let run = move |loaded: &LoadedObject, times: u32| {
        let request = RunRequest {
            data: case.packet.clone(),
            repeat: times.max(1000),
            ..RunRequest::default()
        };
        let outcome = program(loaded)?.test_run(&request).ok()?;
        Some((
            f64::from(outcome.duration_ns),
            Some(u64::from(outcome.retval)),
        ))
    };
    let empty = EMPTY.with(|empty| {
        *empty.get_or_init(|| {
            let bytes = std::fs::read(case.folder.join("obj/empty.xdp.o")).ok()?;
            let empty = live(&kernel, "empty", &bytes)?;
            let times = (0..20).filter_map(|_| Some(run(&empty, 100_000)?.0));
            Some(times.fold(f64::INFINITY, f64::min))
        })
    });
    let overhead = empty?;
    Some((Box::new(move |times| run(&loaded, times)), overhead))
}
