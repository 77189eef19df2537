//! What the command prints, as transcripts: those of `README.md` and of `tests/transcripts/`.
//!
//! A block marked `console` holds commands behind `$ ` and what they print, stdout before stderr; a
//! last line `[exit N]` claims the exit code. Times stand as `0.00 s`. With `UPDATE_TRANSCRIPTS=1` the
//! files are rewritten with what is printed now.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/fixtures.rs"]
mod fixtures;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Words of a command line; quotes keep spaces.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut open) = (Vec::new(), String::new(), false, false);
    for c in line.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                open = true;
            }
            ' ' if !quoted => {
                if open || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                open = false;
            }
            c => word.push(c),
        }
    }
    if open || !word.is_empty() {
        words.push(word);
    }
    words
}

/// Text with every `N.NN s` as `0.00 s`.
fn without_times(text: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    for line in text.lines() {
        match (line.rfind(" ("), line.strip_suffix(" s)")) {
            (Some(at), Some(_)) => out.push(format!("{} (0.00 s)", &line[..at])),
            _ => out.push(line.trim_end().to_owned()),
        }
    }
    out.join("\n")
}

/// What a command line prints, and its exit code.
fn run(line: &str, folder: &Path) -> (String, i32) {
    let words = words(line);
    assert_eq!(words[0], "skep", "a transcript runs skep: {line}");
    let output = Command::new(env!("CARGO_BIN_EXE_skep"))
        .args(&words[1..])
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = without_times(&String::from_utf8(text).unwrap());
    (text.trim_end().to_owned(), output.status.code().unwrap())
}

/// The file as it should be, block by block.
fn replay(text: &str, folder: &Path) -> String {
    let mut out = Vec::new();
    let mut lines = text.lines().peekable();
    let mut inside = false;
    while let Some(line) = lines.next() {
        inside = line == "```console" || inside && line != "```";
        out.push(line.to_owned());
        let Some(command) = line.strip_prefix("$ ").filter(|_| inside) else {
            continue;
        };
        let mut claims_exit = false;
        while let Some(next) = lines
            .peek()
            .filter(|n| **n != "```" && !n.starts_with("$ "))
        {
            claims_exit = claims_exit || next.starts_with("[exit ");
            lines.next();
        }
        let (printed, code) = run(command, folder);
        out.push(printed);
        if claims_exit {
            out.push(format!("[exit {code}]"));
        }
        out.push(String::new());
    }
    out.join("\n") + "\n"
}

/// A file without empty lines, in which transcripts may differ.
fn tight(text: &str) -> Vec<&str> {
    text.lines().filter(|l| !l.is_empty()).collect()
}

fn check(path: &Path, folder: &Path) {
    let text = fs::read_to_string(path).unwrap();
    let now = replay(&text, folder);
    assert!(
        text.contains("\n$ skep "),
        "{} holds no transcript",
        path.display()
    );
    if std::env::var_os("UPDATE_TRANSCRIPTS").is_some() {
        fs::write(path, now).unwrap();
        return;
    }
    let (want, got) = (without_times(&text), without_times(&now));
    for (want, got) in tight(&want).iter().zip(tight(&got)) {
        assert_eq!(
            *want,
            got,
            "{}; UPDATE_TRANSCRIPTS=1 rewrites it",
            path.display()
        );
    }
    assert_eq!(tight(&want).len(), tight(&got).len(), "{}", path.display());
}

#[test]
fn the_readme_tells_the_truth() {
    check(&root().join("README.md"), &root());
}

#[test]
fn transcripts_are_what_is_printed() {
    let folder = fixtures::Folder::new("transcripts");
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut files: Vec<_> = fs::read_dir(cases)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        if !skep_jit::AVAILABLE && file.ends_with("jit.md") {
            eprintln!("skipped: {} needs x86-64 Linux", file.display());
            continue;
        }
        check(&file, folder.path());
    }
}

#[test]
fn no_damage_makes_it_panic() {
    let folder = fixtures::Folder::new("damage");
    let whole = fixtures::object("xdp_count_protocols.o");
    let path = folder.path().join("damaged.o");
    for turn in 0..60 {
        let mut bytes = whole.clone();
        if turn % 2 == 0 {
            bytes.truncate(whole.len() * turn / 60);
        } else {
            // A different byte each time, spread over the file.
            let at = (turn * 7919) % bytes.len();
            bytes[at] ^= 0xff;
        }
        fs::write(&path, bytes).unwrap();
        for command in ["verify", "inspect", "dis"] {
            let (printed, code) = run(&format!("skep {command} damaged.o"), folder.path());
            assert!(
                [0, 1, 2, 4].contains(&code),
                "turn {turn}: exit {code}\n{printed}"
            );
            assert!(
                !printed.contains("internal error"),
                "turn {turn}: {printed}"
            );
        }
    }
}
