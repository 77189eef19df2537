//! A loader answers like the kernel that it asks, and one that dies or hangs is an error in time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use skep_isa::RawInsn;
use skep_kernel::loader::{Loader, LoaderError};
use skep_kernel::{Answer, LoadOptions, available};
use skep_spec::{ProgType, ProgramSpec};

fn program(insns: Vec<RawInsn>) -> ProgramSpec {
    ProgramSpec::new("p", ProgType::SocketFilter, insns)
}

fn exit() -> RawInsn {
    RawInsn::new(0x95, 0, 0, 0, 0)
}

fn load_with(executable: &str, limit: Duration) -> Result<(), LoaderError> {
    let mut loader = Loader::new(PathBuf::from(executable), limit);
    let outcome = loader.load(&program(vec![exit()]), &LoadOptions::quiet());
    outcome.map(drop)
}

#[test]
fn what_dies_is_an_error() {
    let start = Instant::now();
    let limit = Duration::from_secs(60);
    let outcome = load_with("/bin/true", limit);
    assert!(matches!(outcome, Err(LoaderError::Died)), "{outcome:?}");
    assert!(start.elapsed() < limit);
}

#[test]
fn what_hangs_is_an_error_in_time() {
    let name = format!("skep-loader-that-hangs-{}", std::process::id());
    let script = std::env::temp_dir().join(name);
    // It gives back what it is sent, and waits for more.
    std::fs::write(&script, "#!/bin/sh\nexec cat\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    let outcome = load_with(script.to_str().unwrap(), Duration::from_millis(100));
    std::fs::remove_file(&script).unwrap();
    assert!(matches!(outcome, Err(LoaderError::Hangs(_))), "{outcome:?}");
}

#[test]
fn what_is_not_there_is_named() {
    let outcome = load_with("/nonexistent/loader", Duration::from_secs(1));
    let error = outcome.unwrap_err();
    assert!(error.to_string().contains("/nonexistent/loader"), "{error}");
}

#[test]
fn a_loader_says_what_the_kernel_says() {
    if let Err(why) = available() {
        eprintln!("skipped: needs CAP_BPF: {why}");
        return;
    }
    let agent = PathBuf::from(env!("CARGO_BIN_EXE_skep-agent"));
    let mut loader = Loader::new(agent, Duration::from_secs(60));
    let quiet = LoadOptions::quiet();
    let zero = RawInsn::new(0xb7, 0, 0, 0, 0);
    for _ in 0..3 {
        let good = loader.load(&program(vec![zero, exit()]), &quiet).unwrap();
        assert_eq!(good.answer, Answer::Accepted);
        let bad = loader.load(&program(vec![exit()]), &quiet).unwrap();
        assert_eq!(bad.answer, Answer::Rejected);
        assert_eq!(bad.message, "R0 !read_ok");
    }
}
