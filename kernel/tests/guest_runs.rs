//! Programs that are not test-run on the machine itself, in a guest and in the simulated kernel: return
//! value, packet and maps must be the same.
//!
//! Lightweight tunnels, flow dissectors, socket lookups and netfilter hooks, and whatever calls kernel
//! functions or uses locks, timers, objects or arenas: of the project's own corpus and, where they are
//! there, of public sets. Fields of maps that belong to the kernel (locks, trees, …) are its own business.
//! What differs for a reason stands in `corpus/known_gaps.tsv`. Without qemu or an image the test says
//! what it skips.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

#[path = "../../cli/tests/support/packets.rs"]
mod packets;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use skep_btf::{Btf, Type, TypeId};
use skep_corpus::verdicts::{GapKind, read_known_gaps};
use skep_interp::{Machine, RunError};
use skep_isa::{CallTarget, Insn, decode_all};
use skep_kernel::guest::{Guest, GuestError, GuestOptions, Image};
use skep_kernel::{Answer, Errno, LoadOptions, LoadOutcome, NotJudged, RunRequest};
use skep_loader::{Options, open};
use skep_sim::{Config, RunInput, Sim};
use skep_spec::tables::{CtxValue, ctx, helpers};
use skep_spec::{KernelVersion, MapType, ProgType, ProgramSpec};

use packets::Packets;

/// Inputs per program.
const INPUTS: usize = 16;

const TYPES: [ProgType; 13] = [
    ProgType::SocketFilter,
    ProgType::SchedCls,
    ProgType::SchedAct,
    ProgType::Xdp,
    ProgType::CgroupSkb,
    ProgType::RawTracepoint,
    ProgType::Syscall,
    ProgType::LwtIn,
    ProgType::LwtOut,
    ProgType::LwtXmit,
    ProgType::FlowDissector,
    ProgType::SkLookup,
    ProgType::Netfilter,
];

/// Types that are not run on the machine itself.
const GUESTS: [ProgType; 6] = [
    ProgType::LwtIn,
    ProgType::LwtOut,
    ProgType::LwtXmit,
    ProgType::FlowDissector,
    ProgType::SkLookup,
    ProgType::Netfilter,
];

/// Helpers that reach what belongs to the kernel.
const REACHING: [&str; 9] = [
    "bpf_spin_lock",
    "bpf_timer_init",
    "bpf_timer_start",
    "bpf_timer_cancel",
    "bpf_kptr_xchg",
    "bpf_user_ringbuf_drain",
    "bpf_per_cpu_ptr",
    "bpf_this_cpu_ptr",
    "bpf_get_current_task_btf",
];

/// Map entries that are compared at most.
const ENTRIES: u32 = 4096;

/// Whether a program belongs in a guest.
fn is_guests(program: &ProgramSpec) -> bool {
    let kernels = |insn: &Insn| {
        let is_kfunc = matches!(insn, Insn::Call(CallTarget::Kfunc { .. }));
        is_kfunc || matches!(insn, Insn::AddrSpaceCast { .. })
    };
    let insns = decode_all(&program.insns).unwrap_or_default();
    GUESTS.contains(&program.ty)
        || insns.iter().any(kernels)
        || calls(program, |name| REACHING.contains(&name))
}

/// Whether a program calls such a helper.
fn calls(program: &ProgramSpec, such: impl Fn(&str) -> bool) -> bool {
    let insns = decode_all(&program.insns).unwrap_or_default();
    insns.iter().any(|insn| {
        let Insn::Call(CallTarget::Helper(id)) = insn else {
            return false;
        };
        let row = u32::try_from(*id).ok().and_then(helpers::first);
        row.is_some_and(|row| such(row.name))
    })
}

/// Whether a type has fields that belong to the kernel, which shows user space something else.
fn has_own_fields(btf: &Btf, id: TypeId, depth: u32) -> bool {
    const NAMES: [&str; 8] = [
        "bpf_spin_lock",
        "bpf_res_spin_lock",
        "bpf_timer",
        "bpf_wq",
        "bpf_list_head",
        "bpf_list_node",
        "bpf_rb_root",
        "bpf_rb_node",
    ];
    let Some(depth) = depth.checked_sub(1) else {
        return false;
    };
    let inside = |id| has_own_fields(btf, id, depth);
    match btf.ty(id) {
        Ok(Type::Struct(c) | Type::Union(c)) => {
            NAMES.contains(&c.name()) || c.members.iter().any(|m| inside(m.ty))
        }
        Ok(Type::Array(array)) => inside(array.elem),
        Ok(Type::DataSec(section)) => section.vars.iter().any(|v| inside(v.ty)),
        Ok(Type::Var(var)) => inside(var.ty),
        Ok(Type::Typedef(named)) => inside(named.ty),
        // A tagged pointer is one to a kernel object.
        Ok(Type::Ptr(to)) => matches!(btf.ty(to), Ok(Type::TypeTag(_))),
        Ok(_) | Err(_) => false,
    }
}

/// A program with its file's name.
type Case = (String, ProgramSpec);

/// The programs of the folder's objects that are run.
fn programs(folder: &Path, options: &Options) -> Vec<Case> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|e| e.path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "o"));
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let Ok(object) = open(&file, &fs::read(&path).unwrap(), options) else {
            continue;
        };
        // Slots of maps hold other programs, which are not loaded beside.
        let is_alone = |p: &ProgramSpec| p.maps.iter().all(|map| map.slots.is_empty());
        let is_run =
            |p: &&ProgramSpec| TYPES.contains(&p.ty) && p.unresolved.is_empty() && is_guests(p);
        let programs = object.programs.iter().filter(is_run);
        found.extend(
            programs
                .filter(|p| is_alone(p))
                .map(|p| (file.clone(), p.clone())),
        );
    }
    found
}

/// What a program is run on, number by number.
fn inputs(program: &ProgramSpec) -> Vec<RunInput> {
    let mut noise = Packets::new(&program.name);
    let mut words = |count: usize| -> RunInput {
        let word = |_| (noise.below(300) as u64).to_le_bytes();
        RunInput::context(&(0..count).flat_map(word).collect::<Vec<u8>>())
    };
    if program.ty == ProgType::RawTracepoint {
        return (0..INPUTS).map(|_| words(12)).collect();
    }
    if program.ty == ProgType::Syscall {
        return (0..INPUTS).map(|n| words(4 * n)).collect();
    }
    if program.ty != ProgType::SkLookup {
        let zero = RunInput::packet(&[0; 64]);
        let packets = noise.filter(|packet| has_whole_header(packet));
        let packets = packets.map(|packet| RunInput::packet(&packet));
        return std::iter::once(zero).chain(packets).take(INPUTS).collect();
    }
    let table = ctx::of(ProgType::SkLookup).unwrap();
    let mut context = || {
        let mut context: Vec<u8> = (0..table.size).map(|_| noise.below(5) as u8).collect();
        for field in table.fields {
            let place = field.off as usize..field.end() as usize;
            match field.name {
                "family" => context[place].copy_from_slice(&2_u32.to_le_bytes()),
                "protocol" => context[place].copy_from_slice(&6_u32.to_le_bytes()),
                "remote_ip6" | "local_ip6" => context[place].fill(0),
                _ if field.value != CtxValue::Scalar => context[place].fill(0),
                _ => {}
            }
        }
        RunInput::context(&context)
    };
    (0..INPUTS).map(|_| context()).collect()
}

/// Whether an IP header is not cut short: later kernels of the series refuse such packets for skbs.
fn has_whole_header(packet: &[u8]) -> bool {
    match packet {
        [_, _, _, _, _, _, _, _, _, _, _, _, 0x08, 0x00, rest @ ..] => rest.len() >= 20,
        [_, _, _, _, _, _, _, _, _, _, _, _, 0x86, 0xdd, rest @ ..] => rest.len() >= 40,
        _ => true,
    }
}

fn request(input: &RunInput) -> RunRequest {
    RunRequest {
        data: input.data.clone(),
        data_out: if input.data.is_empty() { 0 } else { 1 << 16 },
        ctx: input.ctx.clone().unwrap_or_default(),
        ..RunRequest::default()
    }
}

/// What is not simulated is a trap that names it.
const MISSING: &str = "something is not simulated";

/// Runs a program here on the same inputs: `Err` says what differs from the guest's.
fn compare(
    program: &ProgramSpec,
    inputs: &[RunInput],
    outcome: &LoadOutcome,
    options: &Options,
) -> Result<(), String> {
    let config = Config {
        cpus: skep_kernel::guest::CPUS,
        ..Config::default()
    };
    let mut sim = Sim::with_config(config, &program.maps).map_err(|e| e.to_string())?;
    if let Some(btf) = &options.kernel_btf {
        sim.set_kernel_btf(Arc::clone(btf));
    }
    (sim.process.tgid, sim.process.pid) = (1, 1);
    "init".clone_into(&mut sim.process.comm);
    let mut machine = Machine::new();
    let id = machine.load(&mut sim, program).map_err(|e| e.to_string())?;
    for (number, (input, theirs)) in inputs.iter().zip(&outcome.ran.runs).enumerate() {
        let ours = machine.run(&mut sim, id, input);
        let fail = |why: String| Err(format!("#{number}: {why}"));
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => {
                let ours = ours.output;
                if ours.retval != theirs.retval {
                    let (a, b) = (ours.retval as i32, theirs.retval as i32);
                    return fail(format!("returned {a}, kernel {b}"));
                }
                // Of netfilter's packets the kernel gives nothing back.
                let is_given = !input.data.is_empty() && program.ty != ProgType::Netfilter;
                if is_given && ours.data != theirs.data {
                    let (a, b) = (&ours.data, &theirs.data);
                    return fail(format!("packet {a:02x?}, kernel {b:02x?}"));
                }
            }
            // A context shorter than what the program reads: refused there, a trap here.
            (Err(RunError::Stop(_)), Err(Errno::INVAL)) if program.ty == ProgType::Syscall => {}
            (Err(RunError::Stop(stop)), _) if stop.trap.is_missing_feature() => {
                return Err(MISSING.to_owned());
            }
            (Err(RunError::Input(ours)), Err(theirs)) if ours.to_string() == theirs.to_string() => {
            }
            (ours, theirs) => {
                let ours = ours.map(|o| o.output.retval).map_err(|e| e.to_string());
                return fail(format!("{ours:?}, kernel {theirs:?}"));
            }
        }
    }
    // What timers do, they do in real time.
    let timed = calls(program, |name| name == "bpf_timer_start");
    let maps = program.maps.iter().filter(|_| !timed);
    for (map, theirs) in maps.zip(&outcome.ran.maps) {
        let listed = [
            MapType::Array,
            MapType::Hash,
            MapType::PercpuArray,
            MapType::PercpuHash,
        ];
        let own_fields = map.btf.as_ref();
        let own_fields = own_fields.map(|btf| has_own_fields(btf, TypeId(map.btf_value_id), 16));
        let is_listed = listed.contains(&map.ty) && map.max_entries <= ENTRIES;
        let Some(id) = sim
            .map(&map.name)
            .filter(|_| is_listed && own_fields != Some(true))
        else {
            continue;
        };
        let ours = sim.map_entries(id).map_err(|e| e.to_string())?;
        let mut ours: Vec<_> = ours.into_iter().map(|e| (e.key, e.value)).collect();
        let mut theirs = theirs.clone();
        ours.sort();
        theirs.sort();
        if ours != theirs {
            return Err(format!("map {} differs", map.name));
        }
    }
    Ok(())
}

/// The project's own objects, and those of public sets.
fn cases(options: &Options, scratch: &Path) -> Vec<Case> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/objects");
    let mut cases = programs(&own, options);
    assert!(!cases.is_empty());
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let shared = std::env::var_os("SKEP_CORPUS").map_or(beside, PathBuf::from);
    let archive = shared.join("selftests-6.12.tar.xz");
    let mut tar = Command::new("tar");
    let done = tar
        .arg("-xJf")
        .arg(&archive)
        .arg("-C")
        .arg(scratch)
        .output();
    if done.is_ok_and(|done| done.status.success()) {
        cases.extend(programs(&scratch.join("selftests-6.12"), options));
    } else {
        eprintln!("skipped: {}", archive.display());
    }
    cases
}

/// The guest's kernel, as `corpus/known_gaps.tsv` names it.
const KERNEL: &str = "6.18.15";

/// Programs that differ for a known reason, on some kernels.
fn known(on: impl Fn(&str) -> bool) -> BTreeSet<(String, String)> {
    let gaps = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/known_gaps.tsv");
    let gaps = read_known_gaps(&gaps).unwrap().into_iter();
    gaps.filter(|gap| matches!(gap.kind, GapKind::Run | GapKind::Trap) && on(&gap.kernel))
        .map(|gap| (gap.object, gap.program))
        .collect()
}

#[test]
fn other_types_run_as_in_a_guest() {
    let image = match Image::find("6.18") {
        Ok(image) => image,
        Err(why) => return eprintln!("skipped: {why}"),
    };
    let options = Options {
        kernel_btf: Some(Arc::clone(&image.btf)),
        kernel_version: Some(KernelVersion::new(6, 18, 15)),
        ..Options::default()
    };
    let scratch = std::env::temp_dir().join(format!("skep-guest-runs-{}", std::process::id()));
    fs::create_dir_all(&scratch).unwrap();
    let elsewhere = known(|kernel| kernel != KERNEL);
    let known = known(|kernel| kernel == KERNEL);
    let is = |set: &BTreeSet<(String, String)>, file: &str, program: &ProgramSpec| {
        set.contains(&(file.to_owned(), program.name.clone()))
    };
    let mut cases = cases(&options, &scratch);
    cases.retain(|(file, program)| !is(&elsewhere, file, program));
    fs::remove_dir_all(&scratch).unwrap();
    let inputs: Vec<Vec<RunInput>> = cases.iter().map(|case| inputs(&case.1)).collect();
    let runs: Vec<Vec<RunRequest>> = inputs
        .iter()
        .map(|i| i.iter().map(request).collect())
        .collect();
    let asked: Vec<_> = cases
        .iter()
        .zip(&runs)
        .map(|(case, runs)| (&case.1, &runs[..]))
        .collect();
    let init = PathBuf::from(env!("CARGO_BIN_EXE_skep-agent"));
    let mut guest = Guest::new(image, init, GuestOptions::default());
    let outcomes = match guest.run(&asked, &LoadOptions::quiet()) {
        Ok(outcomes) => outcomes,
        Err(why @ GuestError::NoQemu(..)) => return eprintln!("skipped: {why}"),
        Err(why) => panic!("{why}"),
    };
    let (mut same, mut missing, mut faults) = (0, 0, Vec::new());
    for (((file, program), inputs), outcome) in cases.iter().zip(&inputs).zip(&outcomes) {
        let name = format!("{file}/{}", program.name);
        match &outcome.answer {
            Answer::Accepted => {}
            Answer::NotJudged(NotJudged::Guest(why)) => {
                eprintln!("{name}: the guest: {why}");
                continue;
            }
            Answer::Rejected | Answer::NotJudged(_) => continue,
        }
        match compare(program, inputs, outcome, &options) {
            Ok(()) if is(&known, file, program) => {
                faults.push(format!("{name}: a known gap that closed"));
            }
            Ok(()) => same += 1,
            Err(_) if is(&known, file, program) => {}
            Err(why) if why == MISSING => missing += 1,
            Err(why) => faults.push(format!("{name} ({}): {why}", program.ty)),
        }
    }
    eprintln!(
        "{same} of {} programs run as in the guest, {missing} need what is not simulated",
        cases.len()
    );
    assert!(
        faults.is_empty(),
        "{} differ:\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert!(same > 0);
}
