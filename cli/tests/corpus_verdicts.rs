//! Every program of the corpus against what Linux said of it: verdict, message, instructions processed.
//!
//! A difference that is known stands in `corpus/known_gaps.tsv` with its reason, and must still be one:
//! a gap that closed fails until its row is removed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skep_btf::Btf;
use skep_corpus::read_btf;
use skep_corpus::verdicts::{self, GapKind, KernelVerdict, read_known_gaps, read_verdicts};
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

/// How objects are opened: with the kernel types that some of them need.
fn options(btf: &Arc<Btf>) -> Options {
    Options {
        kernel_btf: Some(Arc::clone(btf)),
        ..Options::default()
    }
}

fn recorded() -> Vec<KernelVerdict> {
    read_verdicts(&corpus().join("verdicts.tsv")).unwrap()
}

/// What skep says: verdict (`None` where it has none), instructions processed, message.
fn judge(
    object: &ObjectSpec,
    program: &str,
    facts: &Facts,
) -> (Option<verdicts::Verdict>, u64, String) {
    let program = object
        .program(program)
        .unwrap_or_else(|| panic!("no program {program}"));
    match verify(program, facts, &Config::default(), &mut Silent) {
        Verdict::Accepted(accepted) => (
            Some(verdicts::Verdict::Accepted),
            accepted.stats.total_insns,
            String::new(),
        ),
        Verdict::Rejected(rejection) => {
            let text = explain(&rejection, program, facts).message;
            // The table leaves dumps of states out.
            let state = |l: &&str| l.starts_with("cur state:") || l.starts_with("old state:");
            let message = text.lines().rfind(|l| !state(l)).unwrap_or("").to_owned();
            (
                Some(verdicts::Verdict::Rejected),
                rejection.stats.total_insns,
                message,
            )
        }
        Verdict::Undecided(missing) => (None, 0, missing.feature),
    }
}

#[test]
fn verdicts_are_the_kernels() {
    let gaps = corpus().join("known_gaps.tsv");
    let mut known = read_known_gaps(&gaps).unwrap();
    known.retain(|gap| gap.kind == GapKind::Verdict);
    let btf = Arc::new(read_btf(&corpus().join("kernel-types.btf")).unwrap());
    let mut objects: BTreeMap<String, ObjectSpec> = BTreeMap::new();
    let (mut faults, mut closed, mut seen) = (Vec::new(), Vec::new(), 0);
    for row in recorded() {
        let Some(profile) = Profile::built_in(row.kernel.parse().unwrap()) else {
            continue;
        };
        // The kernel did not look at it: there is no verdict to compare.
        if row.verdict == verdicts::Verdict::NotLoadable {
            continue;
        }
        let profile = profile.with_btf(Arc::clone(&btf));
        let spec = objects.entry(row.object.clone()).or_insert_with(|| {
            let bytes = fs::read(corpus().join("objects").join(&row.object)).unwrap();
            open(&row.object, &bytes, &options(&btf))
                .unwrap_or_else(|e| panic!("{}: {e}", row.object))
        });
        let (verdict, insns, message) = judge(spec, &row.program, &Facts::new(profile));
        let same = verdict == Some(row.verdict)
            && message == row.message
            && row.total_insns.is_none_or(|n| n == insns);
        let is_known = known.iter().any(|gap| {
            (&gap.object, &gap.program, &gap.kernel) == (&row.object, &row.program, &row.kernel)
        });
        seen += 1;
        if !same && !is_known {
            faults.push(format!(
                "skep: {verdict:?}, {insns} insns, {message:?}; Linux: {row:?}"
            ));
        }
        if same && is_known {
            closed.push(format!("{}/{}", row.object, row.program));
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
        "known gaps that closed: {}",
        closed.join(", ")
    );
}

#[test]
fn every_program_of_an_object_has_a_verdict() {
    let rows = recorded();
    let btf = Arc::new(read_btf(&corpus().join("kernel-types.btf")).unwrap());
    let folders = ["", "unjudged/"].map(|folder| (folder, corpus().join("objects").join(folder)));
    let files = folders.iter().flat_map(|(folder, path)| {
        let entries = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        entries.map(move |path| (*folder, path))
    });
    for (folder, path) in files.filter(|(_, path)| path.is_file()) {
        let name = format!("{folder}{}", path.file_name().unwrap().to_string_lossy());
        let object = open(&name, &fs::read(&path).unwrap(), &options(&btf)).unwrap();
        for program in object.programs {
            let judged = rows
                .iter()
                .any(|r| r.object == name && r.program == program.name);
            assert!(judged, "{name}/{} has no row in verdicts.tsv", program.name);
        }
    }
}
