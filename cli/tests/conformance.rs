//! `skep conformance` as a suite drives it: the tests of `corpus/conformance/`, each a process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::process::{Command, Stdio};

use skep_corpus::conformance::{Expect, cases};

/// Output, errors and exit code of the plugin.
fn plugin(memory: &[u8], program: &str, options: &[&str]) -> (String, String, i32) {
    let hex: String = memory.iter().map(|b| format!("{b:02x}")).collect();
    let mut child = Command::new(env!("CARGO_BIN_EXE_skep"))
        .arg("conformance")
        .args((!hex.is_empty()).then_some(hex))
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A plugin that refuses its arguments does not read the program.
    let _ = child.stdin.take().unwrap().write_all(program.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (text(output.stdout), text(output.stderr), code)
}

#[test]
fn the_protocol_gives_what_the_tests_claim() {
    let engines: &[&str] = if skep_jit::AVAILABLE {
        &["--interp", "--jit"]
    } else {
        &["--interp"]
    };
    let all = cases().unwrap();
    let pairs = all
        .iter()
        .flat_map(|case| engines.iter().map(move |engine| (case, *engine)));
    for (number, (case, engine)) in pairs.enumerate() {
        let slots: Vec<String> = case.slots.iter().map(|s| format!("{s:?}")).collect();
        // Pairs of digits may stand apart.
        let program = slots.join(if number % 3 == 0 { "" } else { " " });
        let (out, error, code) = plugin(&case.memory, &program, &[engine]);
        match &case.expect {
            Expect::R0(r0) => assert_eq!(
                (out.trim(), code),
                (format!("{r0:x}").as_str(), 0),
                "{}: {error}",
                case.name
            ),
            Expect::Refused(why) => {
                assert_eq!((out.as_str(), code), ("", 1), "{}", case.name);
                assert!(error.contains(why.as_str()), "{}: {error}", case.name);
            }
        }
    }
}

#[test]
fn what_is_not_in_the_protocol_is_bad_input() {
    for (program, why) in [
        ("xyz", "not pairs of hex digits"),
        ("b70", "not pairs of hex digits"),
        ("b700", "no multiple of 8"),
    ] {
        let (out, error, code) = plugin(&[], program, &[]);
        assert_eq!((out.as_str(), code), ("", 2), "{program}");
        assert!(error.contains(why), "{program}: {error}");
    }
}

#[test]
fn an_endless_program_ends_with_a_named_trap() {
    let (out, error, code) = plugin(&[], "05 00 ff ff 00 00 00 00", &[]);
    assert_eq!((out.as_str(), code), ("", 1));
    assert!(error.contains("instructions"), "{error}");
}
