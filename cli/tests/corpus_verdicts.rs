//! Every program of the corpus against what Linux said of it: verdict, message, instructions processed.
//!
//! A difference that is known stands in `corpus/known_gaps.tsv` with its reason, and must still be one:
//! a gap that closed fails until its row is removed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use skep_loader::{Options, open};
use skep_spec::{Facts, ObjectSpec, Profile};
use skep_verifier::report::{Silent, explain};
use skep_verifier::{Config, Verdict, verify};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("corpus")
}

/// The rows of a tab-separated table with a header: cells by column.
fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let Some(header) = lines.next() else {
        return Vec::new();
    };
    let columns: Vec<_> = header.split('\t').collect();
    let cells = |line: &str| {
        let cells: Vec<_> = line.split('\t').map(str::to_owned).collect();
        assert_eq!(cells.len(), columns.len(), "{}: {line}", path.display());
        columns.iter().map(|c| (*c).to_owned()).zip(cells).collect()
    };
    lines.map(cells).collect()
}

/// What skep says, in the table's words: verdict, instructions processed, message.
fn judge(object: &ObjectSpec, program: &str, facts: &Facts) -> (String, String, String) {
    let program = object
        .program(program)
        .unwrap_or_else(|| panic!("no program {program}"));
    match verify(program, facts, &Config::default(), &mut Silent) {
        Verdict::Accepted(accepted) => (
            "success".to_owned(),
            accepted.stats.total_insns.to_string(),
            String::new(),
        ),
        Verdict::Rejected(rejection) => {
            let text = explain(&rejection, program, facts).message;
            // The table leaves dumps of states out.
            let state = |l: &&str| l.starts_with("cur state:") || l.starts_with("old state:");
            let message = text.lines().rfind(|l| !state(l)).unwrap_or("");
            (
                "failure".to_owned(),
                rejection.stats.total_insns.to_string(),
                message.to_owned(),
            )
        }
        Verdict::Undecided(missing) => ("undecided".to_owned(), String::new(), missing.feature),
    }
}

#[test]
fn verdicts_are_the_kernels() {
    let known: Vec<_> = rows(&corpus().join("known_gaps.tsv"))
        .iter()
        .map(|row| {
            (
                row["object"].clone(),
                row["program"].clone(),
                row["kernel"].clone(),
            )
        })
        .collect();
    let mut objects: BTreeMap<String, ObjectSpec> = BTreeMap::new();
    let (mut faults, mut closed, mut seen) = (Vec::new(), Vec::new(), 0);
    for row in rows(&corpus().join("verdicts.tsv")) {
        let (object, program, kernel) = (&row["object"], &row["program"], &row["kernel"]);
        let profile = Profile::built_in(kernel.parse().unwrap());
        let Some(profile) = profile else { continue };
        let spec = objects.entry(object.clone()).or_insert_with(|| {
            let bytes = fs::read(corpus().join("objects").join(object)).unwrap();
            open(object, &bytes, &Options::default()).unwrap_or_else(|e| panic!("{object}: {e}"))
        });
        let (verdict, insns, message) = judge(spec, program, &Facts::new(profile));
        let same = verdict == row["verdict"]
            && message == row["message"]
            && (row["total_insns"].is_empty() || insns == row["total_insns"]);
        let is_known = known.contains(&(object.clone(), program.clone(), kernel.clone()));
        seen += 1;
        if !same && !is_known {
            faults.push(format!(
                "{object}/{program}: {verdict}, {insns} insns, {message:?}; Linux {kernel}: {}, {} \
                 insns, {:?}",
                row["verdict"], row["total_insns"], row["message"]
            ));
        }
        if same && is_known {
            closed.push(format!("{object}/{program}"));
        }
    }
    assert!(seen > 0, "the table is empty");
    assert!(
        faults.is_empty(),
        "{} of {seen} differ:\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert!(
        closed.is_empty(),
        "no longer gaps, remove their rows: {}",
        closed.join(", ")
    );
}

#[test]
fn every_program_of_an_object_has_a_verdict() {
    let rows = rows(&corpus().join("verdicts.tsv"));
    for entry in fs::read_dir(corpus().join("objects")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let object = open(&name, &fs::read(&path).unwrap(), &Options::default()).unwrap();
        for program in object.programs {
            let judged = rows
                .iter()
                .any(|r| r["object"] == name && r["program"] == program.name);
            assert!(judged, "{name}/{} has no row in verdicts.tsv", program.name);
        }
    }
}
