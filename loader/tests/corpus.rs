//! The shared corpus of captured load requests, if it is there: `SKEP_CORPUS`, or `../shared/corpus`
//! beside the workspace.
//!
//! Requests are reproduced in every field except where the capture itself changed them or where
//! they depend on what an object does not say; `support/oracle.rs` has the rules. Every object of
//! the sets opens, also those that hold types alone or wait for others.

#[path = "support/oracle.rs"]
mod oracle;

use std::path::{Path, PathBuf};
use std::process::Command;

/// Objects, their captured requests, and the kernel that these were captured on.
const SETS: [(&str, &str, &str); 6] = [
    ("xdp-tools-1.3", "xdp-tools-1.3", "6.18.44-live"),
    ("libbpf-tools-0.26", "libbpf-tools-0.26", "6.18.44-live"),
    ("selftests-6.12", "selftests-6.12", "6.18.44-live"),
    ("xdp-tools-1.3", "xdp-tools-1.3.guest-6.18.15", GUEST),
    (
        "libbpf-tools-0.26",
        "libbpf-tools-0.26.guest-6.18.15",
        GUEST,
    ),
    ("selftests-6.12", "selftests-6.12.guest-6.18.15", GUEST),
];

const GUEST: &str = "6.18.15+deb13-cloud-amd64";

fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let root = std::env::var_os("SKEP_CORPUS").map_or(beside, PathBuf::from);
    if root.join("loads").is_dir() {
        return Some(root);
    }
    eprintln!("skipped: no corpus at {}", root.display());
    None
}

fn run(command: &mut Command) -> bool {
    let done = command.status().is_ok_and(|status| status.success());
    if !done {
        eprintln!("skipped: {command:?} failed");
    }
    done
}

/// Unpacks one set and the kernel's types; `false` if a tool is missing.
fn unpack(root: &Path, set: &str, loads: &str, kernel: &str, to: &Path) -> bool {
    std::fs::create_dir_all(to).is_ok()
        && run(Command::new("tar")
            .arg("-xJf")
            .arg(root.join(format!("{set}.tar.xz")))
            .arg("-C")
            .arg(to))
        && run(Command::new("sh").arg("-c").arg(format!(
            "xz -dc '{}' > '{}'",
            root.join(format!("loads/{loads}.jsonl.xz")).display(),
            to.join("loads.jsonl").display(),
        )))
        && run(Command::new("tar")
            .arg("-xJf")
            .arg(root.join("loads/btf.tar.xz"))
            .arg("-C")
            .arg(to))
        && run(Command::new("zstd")
            .arg("-dqf")
            .arg(root.join(format!("../btf/{kernel}.btf.zst")))
            .arg("-o")
            .arg(to.join("kernel.btf")))
}

#[test]
fn captured_requests_are_reproduced() {
    let Some(root) = corpus() else { return };
    for (set, loads, kernel) in SETS {
        let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("loader-{loads}"));
        if !unpack(&root, set, loads, kernel, &to) {
            return;
        }
        let report = oracle::compare(
            &to.join(set),
            &to.join("loads.jsonl"),
            &to.join("kernel.btf"),
            &to.join("btf"),
        )
        .expect("a readable corpus");
        let failed = oracle::unopened(&to.join(set)).expect("a readable corpus");
        assert_eq!(failed, [] as [String; 0]);
        eprintln!(
            "{loads}: of {} requests {} have the same instructions, {} are the same in every field",
            report.total, report.same_code, report.equal
        );
        for (why, ids) in &report.explained {
            eprintln!("{:6} differences: {why}", ids.len());
        }
        assert_eq!(report.unexplained, [] as [String; 0]);
        assert!(report.total > 0);
    }
}
