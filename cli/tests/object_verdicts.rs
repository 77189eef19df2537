//! Objects of public sets through our own loader, against what was recorded of each program.
//!
//! The recorder gave some programs what their objects do not say: flags that a tag asks for, another
//! attach target, sizes of maps that a tool sets, values of its kernel's configuration, a type where
//! the section tells none. A verdict that differs must become the recorded one once one of these is
//! taken over from the recorded request, and nothing else. Without the sets the test says that it skips.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a test that skips says so")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use skep_corpus::{BtfStore, Recorded, Request, RequestReader, read_btf};
use skep_loader::{Options, open};
use skep_spec::{Facts, KernelVersion, MapSpec, ObjectSpec, Profile, ProgramSpec};
use skep_verifier::report::{Silent, explain};
use skep_verifier::{Config, Verdict, verify};

/// Kernels that judged, their patch levels, and how the requests that each judged are marked.
const KERNELS: [(&str, u16, &str); 2] = [
    ("6.18.44-live", 44, ""),
    ("6.18.15+deb13-cloud-amd64", 15, ".guest-6.18.15"),
];
const SETS: [&str; 3] = ["selftests-6.12", "libbpf-tools-0.26", "xdp-tools-1.3"];

/// What the recorder may have given a program beyond its object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Given {
    Nothing,
    Type,
    Flags,
    Target,
    MapSizes,
    Configuration,
}

const GIVEN: [Given; 4] = [
    Given::Flags,
    Given::Target,
    Given::MapSizes,
    Given::Configuration,
];

#[derive(Default, Debug)]
struct Tally {
    agreed: BTreeMap<Given, usize>,
    undecided: usize,
    faults: Vec<String>,
}

/// Whether a program waits for a type: its section tells none, or it is that of an extension's target.
fn lacks_type(what: &str) -> bool {
    what.starts_with("program type: ") || what.starts_with("target program with a function")
}

/// Takes over one thing from the recorded request.
fn give(program: &mut ProgramSpec, request: &Request, given: Given) {
    match given {
        Given::Nothing => {}
        Given::Type => {
            program.ty = request.spec.ty;
            program.attach = request.spec.attach;
            program.unresolved.retain(|u| !lacks_type(&u.what));
        }
        Given::Flags => program.flags = request.spec.flags,
        Given::Target => {
            program.attach_btf_id = request.spec.attach_btf_id;
            program
                .unresolved
                .retain(|u| !u.what.contains("attach target"));
        }
        Given::MapSizes => {
            for map in &mut program.maps {
                if let Some(recorded) = same_name(map, request) {
                    let map = Arc::make_mut(map);
                    map.key_size = recorded.key_size;
                    map.value_size = recorded.value_size;
                    map.max_entries = recorded.max_entries;
                }
            }
        }
        Given::Configuration => {
            for map in &mut program.maps {
                if let Some(recorded) = same_name(map, request)
                    && map.name.ends_with(".kconfig")
                {
                    Arc::make_mut(map).init.clone_from(&recorded.init);
                }
            }
            let is_value = |what: &str| what.starts_with("configuration value ");
            program.unresolved.retain(|u| !is_value(&u.what));
        }
    }
}

/// The recorded map of the same name, of which kernels keep 15 bytes.
fn same_name<'a>(map: &MapSpec, request: &'a Request) -> Option<&'a Arc<MapSpec>> {
    let is_same = |other: &&Arc<MapSpec>| map.name.starts_with(&other.name);
    request.spec.maps.iter().find(is_same)
}

/// What the verifier says; `None` where it is undecided.
fn judge(program: &ProgramSpec, facts: &Facts) -> Option<(Recorded, String)> {
    match verify(program, facts, &Config::default(), &mut Silent) {
        Verdict::Accepted(_) => Some((Recorded::Success, String::new())),
        Verdict::Rejected(why) => Some((Recorded::Failure, explain(&why, program, facts).message)),
        Verdict::Undecided(_) => None,
    }
}

fn compare(object: &ObjectSpec, request: &Request, facts: &Facts, tally: &mut Tally) {
    let recorded = match request.verdict {
        Some(verdict @ (Recorded::Success | Recorded::Failure)) => verdict,
        Some(Recorded::NotLoadable | Recorded::NeedsTarget) | None => return,
    };
    let Some(program) = object.program(&request.prog) else {
        tally
            .faults
            .push(format!("{}: no such program", request.id));
        return;
    };
    let mut program = program.clone();
    let mut given = Given::Nothing;
    if program.unresolved.iter().any(|u| lacks_type(&u.what)) {
        given = Given::Type;
        give(&mut program, request, given);
    }
    // The target's types, where it is another program, are not in the object.
    if request.target.as_ref().is_some_and(|t| t.is_program) {
        return;
    }
    let mut said = judge(&program, facts);
    for next in GIVEN {
        if said.as_ref().is_some_and(|said| said.0 == recorded) {
            break;
        }
        give(&mut program, request, next);
        given = next;
        said = judge(&program, facts);
    }
    match said {
        None => tally.undecided += 1,
        Some((verdict, _)) if verdict == recorded => *tally.agreed.entry(given).or_default() += 1,
        Some((verdict, why)) => tally.faults.push(format!(
            "{}: recorded {}, ours {}: {why}",
            request.id,
            recorded.name(),
            verdict.name()
        )),
    }
}

/// Unpacks a set's objects; `false` where there is none.
fn unpack(shared: &Path, set: &str, to: &Path) -> bool {
    let archive = shared.join(format!("{set}.tar.xz"));
    let mut tar = Command::new("tar");
    let done = tar.arg("-xJf").arg(archive).arg("-C").arg(to).output();
    done.is_ok_and(|done| done.status.success())
}

/// Compares a set that one kernel judged; the number of its requests.
fn compare_set(root: &Path, objects: &Path, set: &str, kernel: (&str, u16, &str)) -> Option<Tally> {
    let (name, patch, mark) = kernel;
    let store = BtfStore::open(&root.join("loads/btf.tar.xz")).ok()?;
    let btf = Arc::new(read_btf(&root.join(format!("../btf/{name}.btf.zst"))).unwrap());
    let version = KernelVersion::new(6, 18, patch);
    let facts = Facts::new(
        Profile::built_in(version)
            .unwrap()
            .with_btf(Arc::clone(&btf)),
    );
    let options = Options {
        kernel_btf: Some(btf),
        kernel_version: Some(version),
        ..Options::default()
    };
    let mut opened: BTreeMap<String, ObjectSpec> = BTreeMap::new();
    let mut tally = Tally::default();
    let path = root.join(format!("loads/{set}{mark}.jsonl.xz"));
    for request in RequestReader::open(&path, &store).unwrap() {
        let request = request.unwrap();
        let object = opened.entry(request.file.clone()).or_insert_with(|| {
            let bytes = fs::read(objects.join(set).join(&request.file)).unwrap();
            open(&request.file, &bytes, &options).unwrap()
        });
        compare(object, &request, &facts, &mut tally);
    }
    Some(tally)
}

#[test]
fn objects_get_the_recorded_verdicts() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let root = std::env::var_os("SKEP_CORPUS").map_or(beside, PathBuf::from);
    let folder = std::env::temp_dir().join(format!("skep-objects-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (mut total, mut faults) = (0, Vec::new());
    for set in SETS {
        if !unpack(&root, set, &folder) {
            eprintln!("skipped: no objects of {set} in {}", root.display());
            continue;
        }
        for kernel in KERNELS {
            let Some(tally) = compare_set(&root, &folder, set, kernel) else {
                eprintln!("skipped: no requests in {}", root.display());
                continue;
            };
            let Tally {
                agreed, undecided, ..
            } = &tally;
            eprintln!(
                "{set} on {}: agreed {agreed:?}, undecided {undecided}",
                kernel.0
            );
            total += agreed.values().sum::<usize>();
            faults.extend(tally.faults);
        }
    }
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(faults, [] as [String; 0]);
    assert!(total == 0 || total > 3000, "only {total} programs agree");
}
