//! What the kernel's own selftests return, here as on the kernel that confirmed them.
//!
//! Selftests carry the value that they expect a test run to return; a recorded table says which of
//! those a real kernel returned. Every such program that the verifier decides is run here with the
//! selftests' own input; the few that return an address are known gaps, one row each. Without the recorded programs the test says that it skips.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a test that skips says so")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use skep_corpus::read_btf;
use skep_corpus::verdicts::{GapKind, read_known_gaps};
use skep_interp::Machine;
use skep_loader::{Options, open};
use skep_sim::{RunInput, Sim};
use skep_spec::{Facts, KernelVersion, ObjectSpec, Profile, ProgType};
use skep_verifier::report::Silent;
use skep_verifier::{Config, Verdict, verify};

/// Bytes of the packet that the selftests' runner gives: all zero.
const PACKET: usize = 64;

/// Programs that are run below, object by object: name and value.
type Expected = BTreeMap<String, Vec<(String, u32)>>;

/// The folder of recorded programs, if it is there.
fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let folder = std::env::var_os("SKEP_CORPUS").map_or(beside, PathBuf::from);
    if folder.join("verdicts/selftests-6.12.csv").is_file() {
        return Some(folder);
    }
    eprintln!("skipped: no recorded selftests in {}", folder.display());
    None
}

/// Where differences are explained.
fn gaps() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/known_gaps.tsv")
}

/// Programs whose difference of that kind has a row, by object and name.
fn explained(kind: GapKind) -> BTreeSet<(String, String)> {
    let gaps = read_known_gaps(&gaps()).unwrap().into_iter();
    let gaps = gaps.filter(|gap| gap.kind == kind);
    gaps.map(|gap| (gap.object, gap.program)).collect()
}

/// The confirmed values.
fn expected(table: &Path) -> Expected {
    let mut expected = Expected::new();
    let mut rows = csv::Reader::from_path(table).unwrap();
    let columns = rows.headers().unwrap().clone();
    let at = |name: &str| columns.iter().position(|column| column == name).unwrap();
    let (file, program, ok, value) = (
        at("file"),
        at("program"),
        at("retval_ok"),
        at("test_run_retval"),
    );
    for row in rows.records() {
        let row = row.unwrap();
        if &row[ok] == "1" {
            let value: i64 = row[value].parse().unwrap();
            expected
                .entry(row[file].to_owned())
                .or_default()
                .push((row[program].to_owned(), value as u32));
        }
    }
    expected
}

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The objects, unpacked.
fn unpack(shared: &Path) -> Option<Folder> {
    let folder = std::env::temp_dir().join(format!("skep-selftests-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let folder = Folder(folder);
    let done = Command::new("tar")
        .arg("-xJf")
        .arg(shared.join("selftests-6.12.tar.xz"))
        .arg("-C")
        .arg(&folder.0)
        .output();
    if done.is_ok_and(|done| done.status.success()) {
        return Some(folder);
    }
    eprintln!("skipped: the selftests' objects cannot be unpacked");
    None
}

/// What a run returned.
struct Ran {
    retval: u32,
    /// It is an address or the half of one, which differs from kernel to kernel.
    is_address: bool,
}

/// Runs a program of an object as the selftests' runner does.
fn run(
    object: &ObjectSpec,
    name: &str,
    facts: &Facts,
    probe_loads: &[usize],
) -> Result<Ran, String> {
    let program = object.program(name).ok_or("no such program")?;
    let made = |map: &&Arc<_>| program.maps.iter().any(|m| Arc::ptr_eq(m, map));
    let maps: Vec<_> = object.maps.iter().filter(made).cloned().collect();
    let mut sim = Sim::new(&maps).map_err(|e| e.to_string())?;
    if let Some(btf) = &facts.profile().btf {
        sim.set_kernel_btf(Arc::clone(btf));
    }
    let mut machine = Machine::new();
    let id = machine.load(&mut sim, program).map_err(|e| e.to_string())?;
    machine.set_probe_loads(id, probe_loads);
    for other in object.programs.iter().filter(|p| p.name != name) {
        let named = maps
            .iter()
            .any(|m| m.slots.iter().any(|s| s.1 == other.name));
        if named {
            machine.load(&mut sim, other).map_err(|e| e.to_string())?;
        }
    }
    machine.fill_program_slots(&mut sim);
    let input = if program.ty == ProgType::Syscall {
        RunInput::default()
    } else {
        RunInput::packet(&[0; PACKET])
    };
    match machine.run(&mut sim, id, &input) {
        Ok(outcome) => {
            let base = sim.memory().base() as u32;
            let memory = base..base.saturating_add(sim.memory().committed() as u32);
            Ok(Ran {
                retval: outcome.output.retval,
                is_address: memory.contains(&outcome.output.retval),
            })
        }
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn confirmed_selftests_return_their_value() {
    let Some(shared) = shared() else { return };
    let Some(folder) = unpack(&shared) else {
        return;
    };
    let btf = shared.join("../btf/6.18.44-live.btf.zst");
    let btf = Arc::new(read_btf(&btf).unwrap());
    let version = KernelVersion::new(6, 18, 0);
    let profile = Profile::built_in(version)
        .unwrap()
        .with_btf(Arc::clone(&btf));
    let facts = Facts::new(profile);
    let options = Options {
        kernel_btf: Some(btf),
        kernel_version: Some(version),
        ..Options::default()
    };
    let known = explained(GapKind::Trap);
    let address_is_known = explained(GapKind::Run);
    let (mut same, mut undecided, mut addresses, mut faults) = (0, 0, 0, Vec::new());
    for (file, programs) in expected(&shared.join("verdicts/selftests-6.12.csv")) {
        let bytes = fs::read(folder.0.join("selftests-6.12").join(&file)).unwrap();
        let object = open(&file, &bytes, &options).unwrap();
        for (name, value) in programs {
            let program = object.program(&name).unwrap();
            let mut decided = true;
            let probe_loads = match verify(program, &facts, &Config::default(), &mut Silent) {
                Verdict::Accepted(accepted) => accepted.probe_loads,
                // It runs all the same, since the kernel took it, but what it needs may be missing.
                Verdict::Undecided(_) => {
                    undecided += 1;
                    decided = false;
                    Vec::new()
                }
                Verdict::Rejected(_) => {
                    faults.push(format!("{file}/{name}: rejected"));
                    continue;
                }
            };
            let is_known = known.contains(&(file.clone(), name.clone()));
            let fault = match run(&object, &name, &facts, &probe_loads) {
                Ok(ran) if ran.retval == value && is_known => {
                    format!("{file}/{name}: a known gap that closed")
                }
                _ if is_known => continue,
                Ok(ran) if ran.retval == value => {
                    same += 1;
                    continue;
                }
                Ok(ran)
                    if ran.is_address
                        && address_is_known.contains(&(file.clone(), name.clone())) =>
                {
                    addresses += 1;
                    continue;
                }
                Ok(ran) => format!("{file}/{name}: {}, expected {value}", ran.retval),
                Err(why) => format!("{file}/{name}: {why}"),
            };
            if decided {
                faults.push(fault);
            } else {
                eprintln!("without a verdict: {fault}");
            }
        }
    }
    eprintln!(
        "{same} programs return the confirmed value, {addresses} an address; {undecided} of all have \
         no verdict here"
    );
    assert!(
        faults.is_empty(),
        "{} programs do not:\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert!(same >= 500, "only {same} programs were run");
}
