//! Files of people are hostile input: whatever is in them, they are read or refused, never panicked about.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use skep_host::test::file::File;
use skep_host::topology::Topology;

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/cases");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn test_files_cut_anywhere_are_read_or_refused() {
    let mut refused = 0;
    for path in cases() {
        let text = fs::read_to_string(&path).unwrap();
        for (cut, _) in text.char_indices() {
            refused += usize::from(File::parse(&text[..cut]).is_err());
        }
        // A character that does not belong there.
        for (at, c) in text.char_indices().step_by(3) {
            let mut damaged = text.clone();
            damaged.replace_range(at..at + c.len_utf8(), "}");
            refused += usize::from(File::parse(&damaged).is_err());
        }
    }
    assert!(refused > 1000, "only {refused} refused");
}

#[test]
fn a_damaged_test_runs_or_is_refused() {
    let folder = std::env::temp_dir().join(format!("skep-damage-{}", std::process::id()));
    fs::create_dir_all(folder.join("cases")).unwrap();
    fs::create_dir_all(folder.join("objects")).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    let name = "xdp_lru_flows";
    let object = format!("objects/{name}.o");
    fs::copy(root.join(&object), folder.join(&object)).unwrap();
    let text = fs::read_to_string(root.join(format!("cases/{name}.toml"))).unwrap();
    let path = folder.join("cases/damaged.toml");
    let (mut ran, mut refused) = (0, 0);
    for (at, c) in text
        .char_indices()
        .filter(|(_, c)| c.is_ascii_alphanumeric())
        .step_by(7)
    {
        let mut damaged = text.clone();
        let other = if c == '9' { "8" } else { "9" };
        damaged.replace_range(at..=at, other);
        fs::write(&path, damaged).unwrap();
        match skep_host::test::run(&path) {
            Ok(_) => ran += 1,
            Err(_) => refused += 1,
        }
    }
    fs::remove_dir_all(&folder).unwrap();
    assert!(
        ran > 10 && refused > 10,
        "{ran} ran, {refused} were refused"
    );
}

#[test]
fn a_topology_that_is_none_is_refused() {
    for path in cases() {
        let error = Topology::open(&path).unwrap_err();
        assert!(error.what.contains("line "), "{error}");
    }
}
