//! Runs against `BPF_PROG_TEST_RUN`: the same programs, the same packets, here and in the running
//! kernel; return value and output packet must be equal each time.
//!
//! Every accepted XDP, tc, socket filter and cgroup_skb program of the corpus gets structured and random
//! packets. Maps keep their contents from packet to packet on both sides. Nothing is attached. Without
//! a kernel that answers, the test says what it skipped.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a test that skips says so")]

#[path = "support/packets.rs"]
mod packets;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use skep_btf::Btf;
use skep_interp::{Machine, RunError};
use skep_kernel::{Answer, Kernel, LoadOptions, LoadedObject, RunRequest, tainted, vmlinux_btf};
use skep_loader::{Options, open};
use skep_sim::{Config, RunInput, Sim};
use skep_spec::{MapSpec, ObjectSpec, ProgType, ProgramSpec};

use packets::Packets;

/// Packets per program.
const PACKETS: usize = 1000;

/// Instructions of a run that would go on until `may_goto` runs out of time.
const ENDLESS: u64 = 1_000_000;

fn can_run(program: &ProgramSpec) -> bool {
    matches!(
        program.ty,
        ProgType::Xdp
            | ProgType::SchedCls
            | ProgType::SchedAct
            | ProgType::SocketFilter
            | ProgType::CgroupSkb
    )
}

fn kernel() -> Option<Kernel> {
    match Kernel::open() {
        Ok(kernel) if kernel.version().at_least(6, 18) => Some(kernel),
        Ok(kernel) => {
            eprintln!(
                "skipped: the running kernel is {}, not 6.18",
                kernel.release()
            );
            None
        }
        Err(why) => {
            eprintln!("skipped: {why}");
            None
        }
    }
}

/// Runs a program of an object on all packets in both places: how many packets were compared.
fn compare(kernel: &Kernel, object: &ObjectSpec, program: &ProgramSpec) -> Result<usize, String> {
    let only = |p: &ProgramSpec| p.name == program.name;
    let loaded = LoadedObject::load(kernel, object, only, &LoadOptions::quiet());
    let Some(outcome) = loaded.outcome(&program.name) else {
        return Ok(0);
    };
    let Some(live) = outcome
        .program
        .as_ref()
        .filter(|_| outcome.answer == Answer::Accepted)
    else {
        return Ok(0);
    };
    let config = Config {
        cpus: kernel.cpus() as u32,
        ..Config::default()
    };
    // Some maps get their size from the tool that loads them; no program that uses one got here.
    let made = |map: &&Arc<MapSpec>| loaded.map(&map.name).is_some();
    let maps: Vec<_> = object.maps.iter().filter(made).cloned().collect();
    let mut sim = Sim::with_config(config, &maps).map_err(|e| e.to_string())?;
    let mut machine = Machine::new();
    let id = machine.load(&mut sim, program).map_err(|e| e.to_string())?;
    for other in object.programs.iter().filter(|p| p.name != program.name) {
        if loaded.program(&other.name).is_some() {
            machine.load(&mut sim, other).map_err(|e| e.to_string())?;
        }
    }
    machine.fill_program_slots(&mut sim);
    for (number, packet) in Packets::new(&program.name).take(PACKETS).enumerate() {
        let request = RunRequest {
            data: packet.clone(),
            data_out: 1 << 16,
            ..RunRequest::default()
        };
        let theirs = live.test_run(&request).map(|run| (run.retval, run.data));
        let ours = machine.run(&mut sim, id, &RunInput::packet(&packet));
        let same = match (&ours, &theirs) {
            // What only the clock ends, ends elsewhere each time.
            (Ok(ours), Ok(_)) if ours.insns > ENDLESS => continue,
            (Err(RunError::Stop(stop)), _) if stop.trap.is_missing_feature() => {
                eprintln!("skipped: {}: {}", program.name, stop.trap);
                return Ok(0);
            }
            (Ok(ours), Ok(theirs)) => {
                (ours.output.retval, &ours.output.data) == (theirs.0, &theirs.1)
            }
            (Err(RunError::Input(ours)), Err(theirs)) => ours.to_string() == theirs.to_string(),
            (Ok(_) | Err(_), Ok(_) | Err(_)) => false,
        };
        if !same {
            return Err(format!(
                "packet {number} of {} bytes: {ours:02x?}, kernel {theirs:02x?}: {packet:02x?}",
                packet.len()
            ));
        }
    }
    Ok(PACKETS)
}

fn compare_all(kernel: &Kernel, paths: &[PathBuf], options: &Options) -> (usize, Vec<String>) {
    let (mut programs, mut faults) = (0, Vec::new());
    let taint = tainted();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let object = open(&name, &fs::read(path).unwrap(), options).unwrap();
        for program in object.programs.iter().filter(|p| can_run(p)) {
            match compare(kernel, &object, program) {
                Ok(0) => {}
                Ok(_) => programs += 1,
                Err(fault) => faults.push(format!("{name}/{}: {fault}", program.name)),
            }
            assert_eq!(
                tainted(),
                taint,
                "the kernel became tainted by {name}/{}",
                program.name
            );
        }
    }
    (programs, faults)
}

fn objects(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "o"));
    paths.sort();
    paths
}

#[test]
fn the_corpus_runs_as_in_the_kernel() {
    let Some(kernel) = kernel() else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let paths = objects(&root.join("corpus/objects"));
    let (programs, faults) = compare_all(&kernel, &paths, &Options::default());
    assert!(
        faults.is_empty(),
        "{} programs differ:\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert!(programs >= 40, "only {programs} programs were compared");
    eprintln!("{programs} programs, {PACKETS} packets each: as in the kernel");
}

/// Objects of others, where there is a folder of them: what is not simulated may be among them.
#[test]
fn xdp_tools_run_as_in_the_kernel() {
    let Some(kernel) = kernel() else { return };
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let set = std::env::var_os("SKEP_CORPUS").map_or(beside, PathBuf::from);
    let set = set.join("xdp-tools-1.3.tar.xz");
    let folder = std::env::temp_dir().join(format!("skep-xdp-tools-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let unpack = Command::new("tar")
        .arg("-xJf")
        .arg(&set)
        .arg("-C")
        .arg(&folder)
        .output();
    if !unpack.is_ok_and(|done| done.status.success()) {
        eprintln!("skipped: no objects of xdp-tools in {}", set.display());
        return;
    }
    let paths = objects(&folder.join("xdp-tools-1.3"));
    let btf = vmlinux_btf()
        .ok()
        .and_then(|bytes| Btf::parse(bytes).ok())
        .map(Arc::new);
    let options = Options {
        kernel_btf: btf,
        kernel_version: Some(kernel.version()),
        cpus: kernel.cpus() as u32,
        ..Options::default()
    };
    let (programs, faults) = compare_all(&kernel, &paths, &options);
    fs::remove_dir_all(&folder).unwrap();
    assert!(
        faults.is_empty(),
        "{} programs differ:\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert!(programs >= 3, "only {programs} programs were compared");
    eprintln!("{programs} programs, {PACKETS} packets each: as in the kernel");
}
