//! A guest boots, judges programs, and gets up again after it is shut down by one.
//!
//! Needs qemu and the image of a 6.18 kernel where `skep_kernel::guest::Image::find` looks; says what it
//! skips where one is missing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use std::path::PathBuf;
use std::sync::Arc;

use skep_isa::{RawInsn, pseudo};
use skep_kernel::guest::{Guest, GuestError, GuestOptions, Image};
use skep_kernel::{Answer, LoadOptions, LoadOutcome, NotJudged};
use skep_spec::{MapSpec, MapType, ProgType, ProgramSpec};

fn guest() -> Option<Guest> {
    let image = match Image::find("6.18") {
        Ok(image) => image,
        Err(why) => {
            eprintln!("skipped: {why}");
            return None;
        }
    };
    let init = PathBuf::from(env!("CARGO_BIN_EXE_skep-agent"));
    Some(Guest::new(image, init, GuestOptions::default()))
}

fn program(insns: Vec<RawInsn>) -> ProgramSpec {
    ProgramSpec::new("p", ProgType::SocketFilter, insns)
}

fn exit() -> RawInsn {
    RawInsn::new(0x95, 0, 0, 0, 0)
}

fn zero() -> RawInsn {
    RawInsn::new(0xb7, 0, 0, 0, 0)
}

#[test]
fn a_guest_judges_in_batches_and_one_by_one() {
    let Some(mut guest) = guest() else { return };
    let good = program(vec![zero(), exit()]);
    let bad = program(vec![exit()]);
    let map = Arc::new(MapSpec::new("m", MapType::Array, 4, 8, 1));
    let load = RawInsn::new(0x18, 1, pseudo::MAP_FD, 0, 0);
    let mut with_map = program(vec![load, RawInsn::default(), zero(), exit()]);
    with_map.maps = vec![map];
    let mut no_map = with_map.clone();
    no_map.maps = vec![Arc::new(MapSpec::new("m", MapType::Array, 3, 8, 1))];
    let quiet = LoadOptions::quiet();
    let outcomes = match guest.ask(&[&good, &bad, &with_map, &no_map], &quiet) {
        Ok(outcomes) => outcomes,
        Err(why @ GuestError::NoQemu(..)) => {
            eprintln!("skipped: {why}");
            return;
        }
        Err(why) => panic!("{why}"),
    };
    let insns = |outcome: &LoadOutcome| outcome.stats.as_ref().unwrap().total_insns;
    assert_eq!(
        (&outcomes[0].answer, insns(&outcomes[0])),
        (&Answer::Accepted, 2)
    );
    assert_eq!(outcomes[1].answer, Answer::Rejected);
    assert_eq!(outcomes[1].message, "R0 !read_ok");
    assert_eq!(
        (&outcomes[2].answer, insns(&outcomes[2])),
        (&Answer::Accepted, 3)
    );
    assert!(matches!(
        outcomes[3].answer,
        Answer::NotJudged(NotJudged::Map(_))
    ));
    // Now over the line, with a map that it knows and a log.
    let again = guest.ask(&[&with_map], &LoadOptions::verbose()).unwrap();
    assert_eq!(again[0].answer, Answer::Accepted);
    assert!(again[0].log.contains("r0 = 0"), "{}", again[0].log);
    for _ in 0..20 {
        let again = guest.ask(&[&bad, &good], &quiet).unwrap();
        assert_eq!(again[0].message, "R0 !read_ok");
        assert_eq!(again[1].answer, Answer::Accepted);
    }
}

#[test]
fn an_emulator_that_is_missing_is_named() {
    let Some(guest) = guest() else { return };
    let qemu = PathBuf::from("/nonexistent/qemu");
    let options = GuestOptions {
        qemu,
        ..GuestOptions::default()
    };
    let init = PathBuf::from(env!("CARGO_BIN_EXE_skep-agent"));
    let mut guest = Guest::new(guest.image().clone(), init, options);
    let error = guest
        .ask(&[&program(vec![exit()])], &LoadOptions::quiet())
        .unwrap_err();
    assert!(error.to_string().contains("/nonexistent/qemu"), "{error}");
}
