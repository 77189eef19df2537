//! The invariants of `ARCHITECTURE.md` and the habits of the house, kept by a test.
//!
//! Each test looks at the files of the workspace and names every place that breaks its rule.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// All files below a folder, in order, without build results and hidden folders.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Files with that ending and their text, by their path from the root.
fn texts(endings: &[&str]) -> Vec<(String, String)> {
    let root = root();
    let mut texts = Vec::new();
    for path in files(&root) {
        let name = path
            .strip_prefix(&root)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        if endings.iter().any(|ending| name.ends_with(ending)) {
            let bytes = fs::read(&path).unwrap();
            texts.push((name, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    assert!(!texts.is_empty());
    texts
}

fn sources() -> Vec<(String, String)> {
    texts(&[".rs"])
}

/// Fails with one line per fault.
fn check(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}:\n  {}", faults.join("\n  "));
}

/// The crates of the workspace, in the order in which they may know each other, and what each may
/// depend on.
const CRATES: [(&str, &[&str]); 14] = [
    ("isa", &[]),
    ("btf", &[]),
    ("spec", &["isa", "btf"]),
    ("asm", &["isa", "btf", "spec"]),
    ("loader", &["isa", "btf", "spec"]),
    ("verifier", &["isa", "btf", "spec"]),
    ("sim", &["isa", "btf", "spec"]),
    ("kernel", &["isa", "btf", "spec"]),
    ("interp", &["isa", "spec", "sim"]),
    ("jit", &["isa", "spec", "sim"]),
    ("corpus", &["isa", "btf", "spec", "asm", "loader"]),
    (
        "host",
        &[
            "isa", "btf", "spec", "asm", "loader", "verifier", "sim", "interp",
        ],
    ),
    (
        "fuzz",
        &[
            "isa", "btf", "spec", "asm", "loader", "verifier", "sim", "interp", "jit", "kernel",
            "corpus", "host",
        ],
    ),
    (
        "cli",
        &[
            "isa", "btf", "spec", "asm", "loader", "verifier", "sim", "interp", "jit", "kernel",
            "corpus", "fuzz", "host",
        ],
    ),
];

/// Crates of others that the product is built from.
const OTHERS: [&str; 25] = [
    "annotate-snippets",
    "anstream",
    "anstyle",
    "bitflags",
    "clap",
    "comfy-table",
    "csv",
    "etherparse",
    "goblin",
    "hashbrown",
    "iced-x86",
    "indexmap",
    "indicatif",
    "libc",
    "lzma-rust2",
    "object",
    "pcap-parser",
    "quick-junit",
    "rbpf",
    "rustc-hash",
    "ruzstd",
    "serde",
    "serde_json",
    "smallvec",
    "toml",
];

/// The names in a manifest's tables of normal dependencies, table by table.
fn tables(manifest: &str) -> Vec<Vec<String>> {
    let mut tables = Vec::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            inside = table == "dependencies" || table.ends_with(".dependencies");
            tables.push(Vec::new());
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            let name = line.split(['.', '=', ' ']).next().unwrap_or("");
            let table = tables.last_mut().unwrap();
            table.push(name.trim_matches('"').to_owned());
        }
    }
    tables
}

/// The names in all of them.
fn dependencies(manifest: &str) -> Vec<String> {
    tables(manifest).concat()
}

#[test]
fn crates_depend_only_on_what_the_map_allows() {
    let mut faults = Vec::new();
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for entry in fs::read_dir(root()).unwrap() {
        let path = entry.unwrap().path();
        let Ok(manifest) = fs::read_to_string(path.join("Cargo.toml")) else {
            continue;
        };
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some((_, allowed)) = CRATES.iter().find(|row| row.0 == name) else {
            faults.push(format!("{name} is not in the map"));
            continue;
        };
        if !manifest.contains(&format!("name = \"skep-{name}\"")) {
            faults.push(format!("{name}: the package is not named skep-{name}"));
        }
        for dependency in dependencies(&manifest) {
            let known = match dependency.strip_prefix("skep-") {
                Some(ours) => allowed.contains(&ours),
                None => OTHERS.contains(&dependency.as_str()),
            };
            if !known {
                faults.push(format!("{name} depends on {dependency}"));
            }
        }
        if !manifest.contains("[lints]\nworkspace = true") {
            faults.push(format!("{name}: the workspace's lints are not asked for"));
        }
    }
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for (name, _) in CRATES {
        let is_member = manifest.contains(&format!("\"{name}\""));
        if is_member && !architecture.contains(&format!("`{name}/`")) {
            faults.push(format!("ARCHITECTURE.md does not mention {name}/"));
        }
    }
    check(
        "a crate depends on what the map of ARCHITECTURE.md allows",
        &faults,
    );
}

#[test]
fn a_manifest_is_read_as_cargo_reads_it() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\nb = \"1\"\n\
                    [dev-dependencies]\nc = \"1\"\n[target.'cfg(unix)'.dependencies]\nd = { x = 1 }\n";
    assert_eq!(dependencies(manifest), ["a", "b", "d"]);
}

#[test]
fn every_file_says_what_it_is_about() {
    let faults: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! ") || text.starts_with("//! \n"))
        .map(|(name, _)| name)
        .collect();
    check("a file opens with `//!` and what it is about", &faults);
}

/// Lines of a file at most; tables may be longer.
const MOST_LINES: usize = 700;

#[test]
fn files_hold_one_concept() {
    let faults: Vec<_> = sources()
        .into_iter()
        .filter(|(name, text)| !name.contains("/tables/") && text.lines().count() > MOST_LINES)
        .map(|(name, text)| format!("{name} has {} lines", text.lines().count()))
        .collect();
    check("a file has about six hundred lines at most", &faults);
}

/// Places in sources where a word stands, as `file:line: text`.
fn places(texts: &[(String, String)], wrong: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in texts {
        // This file names what it looks for.
        if name == "cli/tests/tidy.rs" {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            if wrong(name, line) {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

#[test]
fn nothing_is_left_for_later() {
    let marks = [
        "TODO",
        "FIXME",
        "todo!(",
        "unimplemented!(",
        "#[ignore",
        "dbg!(",
    ];
    let faults = places(&sources(), |_, line| {
        marks.iter().any(|mark| line.contains(mark))
    });
    check("no marks are left over", &faults);
}

#[test]
fn unsafe_code_stays_in_its_rooms() {
    // The last two hand a proof to the compiler.
    let allowed = [
        "kernel/",
        "jit/",
        "sim/src/arena/",
        "fuzz/src/oracle/engines.rs",
        "cli/src/vouch.rs",
    ];
    let faults = places(&sources(), |name, line| {
        let line = line.trim_start();
        let words = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"];
        !line.starts_with("//")
            && words.iter().any(|word| line.contains(word))
            && !allowed.iter().any(|room| name.starts_with(room))
    });
    check(
        "unsafe code is only in kernel, jit, the arena of sim and where a proof is handed on",
        &faults,
    );
}

#[test]
fn libraries_know_no_threads_clock_or_environment() {
    let words = [
        "thread::",
        "Instant::",
        "SystemTime",
        "std::env::var",
        "std::process::",
    ];
    let libraries = [
        "isa/",
        "btf/",
        "spec/",
        "asm/",
        "loader/",
        "verifier/",
        "sim/",
        "interp/",
        "host/",
    ];
    let faults = places(&sources(), |name, line| {
        libraries
            .iter()
            .any(|library| name.starts_with(&format!("{library}src/")))
            && !line.trim_start().starts_with("//")
            && words.iter().any(|word| line.contains(word))
    });
    check(
        "what builds for the web has no threads, clock or environment",
        &faults,
    );
}

#[test]
fn nothing_speaks_of_the_machine_it_was_written_on() {
    let texts = texts(&[
        ".rs", ".md", ".toml", ".sh", ".s", ".c", ".h", ".tsv", "run",
    ]);
    let words = ["/work/", "/root/", "/home/", "/tmp/c/", "/tmp/k/"];
    let faults = places(&texts, |_, line| {
        words.iter().any(|word| line.contains(word))
    });
    check("no paths of one machine", &faults);
}

#[test]
fn members_and_dependencies_are_sorted() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut faults = Vec::new();
    let members: Vec<_> = manifest
        .lines()
        .skip_while(|l| !l.starts_with("members"))
        .skip(1)
        .take_while(|l| *l != "]")
        .collect();
    if !members.is_sorted() {
        faults.push("members of the workspace".to_owned());
    }
    for path in files(&root()).iter().filter(|p| p.ends_with("Cargo.toml")) {
        let text = fs::read_to_string(path).unwrap();
        // The workspace's list has ours behind the others'.
        let workspace = path.parent() == Some(&root());
        for names in tables(&text) {
            let ours = |name: &&String| !(workspace && name.starts_with("skep-"));
            if !names.iter().filter(ours).is_sorted() {
                faults.push(path.strip_prefix(root()).unwrap().display().to_string());
            }
        }
    }
    check("lists are in order", &faults);
}

/// The rows of a table of the corpus, without comments and header.
fn rows(name: &str) -> Vec<Vec<String>> {
    let Ok(text) = fs::read_to_string(root().join("corpus").join(name)) else {
        return Vec::new();
    };
    let lines = text
        .lines()
        .filter(|l| !l.starts_with('#') && !l.is_empty());
    lines
        .skip(1)
        .map(|l| l.split('\t').map(str::to_owned).collect())
        .collect()
}

fn stems(folder: &str, endings: &[&str]) -> BTreeSet<String> {
    let names = fs::read_dir(root().join("corpus").join(folder)).unwrap();
    let names = names.map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
    names
        .filter_map(|n| {
            endings
                .iter()
                .find_map(|e| n.strip_suffix(e))
                .map(str::to_owned)
        })
        .collect()
}

#[test]
fn every_object_of_the_corpus_has_a_source_and_a_verdict() {
    let mut objects = stems("objects", &[".o"]);
    objects.extend(stems("objects/unjudged", &[".o"]));
    assert_eq!(
        objects,
        stems("programs", &[".bpf.s", ".c"]),
        "objects and their sources"
    );
    let judged: BTreeSet<String> = rows("verdicts.tsv")
        .iter()
        .map(|row| {
            row[0]
                .trim_start_matches("unjudged/")
                .trim_end_matches(".o")
                .to_owned()
        })
        .collect();
    assert_eq!(objects, judged, "objects and recorded verdicts");
}

#[test]
fn a_known_gap_is_a_program_with_a_verdict() {
    let mut judged = BTreeMap::new();
    for row in rows("verdicts.tsv") {
        let twice = judged.insert((row[0].clone(), row[1].clone(), row[2].clone()), ());
        assert!(twice.is_none(), "two verdicts on {}/{}", row[0], row[1]);
    }
    // Runs of programs of other sets differ too; those have no verdict here.
    for row in rows("known_gaps.tsv")
        .into_iter()
        .filter(|row| row[3] == "verdict")
    {
        let key = (row[0].clone(), row[1].clone(), row[2].clone());
        assert!(
            judged.contains_key(&key),
            "the gap {}/{} has no verdict",
            row[0],
            row[1]
        );
    }
}
