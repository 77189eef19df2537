//! Programs of types that are not test-run on the machine itself, in a guest and in the simulated
//! kernel: return value, packet and maps must be the same.
//!
//! Lightweight tunnels, flow dissectors, socket lookups and netfilter hooks, of the project's own corpus
//! and, where they are there, of public sets. What differs for a reason stands in
//! `corpus/known_gaps.tsv`. Without qemu or an image the test says what it skips.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

#[path = "../../cli/tests/support/packets.rs"]
mod packets;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use skep_corpus::verdicts::{GapKind, read_known_gaps};
use skep_interp::{Machine, RunError};
use skep_kernel::guest::{Guest, GuestError, GuestOptions, Image};
use skep_kernel::{Answer, LoadOptions, LoadOutcome, NotJudged, RunRequest};
use skep_loader::{Options, open};
use skep_sim::{Config, RunInput, Sim};
use skep_spec::tables::{CtxValue, ctx};
use skep_spec::{KernelVersion, MapType, ProgType, ProgramSpec};

use packets::Packets;

/// Inputs per program.
const INPUTS: usize = 16;

const TYPES: [ProgType; 6] = [
    ProgType::LwtIn,
    ProgType::LwtOut,
    ProgType::LwtXmit,
    ProgType::FlowDissector,
    ProgType::SkLookup,
    ProgType::Netfilter,
];

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
        let is_run = |p: &&ProgramSpec| TYPES.contains(&p.ty) && p.unresolved.is_empty();
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
            (Err(RunError::Input(ours)), Err(theirs)) if ours.to_string() == theirs.to_string() => {
            }
            (ours, theirs) => {
                let ours = ours.map(|o| o.output.retval).map_err(|e| e.to_string());
                return fail(format!("{ours:?}, kernel {theirs:?}"));
            }
        }
    }
    for (map, theirs) in program.maps.iter().zip(&outcome.ran.maps) {
        let listed = [
            MapType::Array,
            MapType::Hash,
            MapType::PercpuArray,
            MapType::PercpuHash,
        ];
        let Some(id) = sim.map(&map.name).filter(|_| listed.contains(&map.ty)) else {
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
    let cases = cases(&options, &scratch);
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
    let gaps = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/known_gaps.tsv");
    let gaps = read_known_gaps(&gaps).unwrap().into_iter();
    let known: BTreeSet<(String, String)> = gaps
        .filter(|gap| gap.kind == GapKind::Run)
        .map(|gap| (gap.object, gap.program))
        .collect();
    let (mut same, mut faults) = (0, Vec::new());
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
            Ok(()) => same += 1,
            Err(_) if known.contains(&(file.clone(), program.name.clone())) => {}
            Err(why) => faults.push(format!("{name} ({}): {why}", program.ty)),
        }
    }
    eprintln!("{same} of {} programs run as in the guest", cases.len());
    assert!(
        faults.is_empty(),
        "{} differ:\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert!(same > 0);
}
