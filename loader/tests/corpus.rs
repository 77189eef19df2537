//! The shared corpus of captured load requests, if it is there: `SKEP_CORPUS`, or `../shared/corpus`
//! beside the workspace.
//!
//! Requests are reproduced except where the capture itself changed them (map sizes that a tool
//! sets at run time, flags that a test asks for) or where they depend on what an object does not
//! say (the type of programs in unknown sections, target programs). Instructions never differ.

#[path = "support/oracle.rs"]
mod oracle;

use std::path::{Path, PathBuf};
use std::process::Command;

const SETS: [&str; 3] = ["xdp-tools-1.3", "libbpf-tools-0.26", "selftests-6.12"];

/// The reasons for which a request may differ.
const ALLOWED: [&str; 12] = [
    // Set by the capturing tool before loading.
    "flags: ",
    "map max ",
    "map value ",
    "map key ",
    "map contents",
    // Added by the kernel itself.
    "map flags (type 14)",
    "map flags (type 25)",
    // Not in the object.
    "needs program type: ",
    "needs target program ",
    "needs address of kernel symbol ",
    "needs configuration value ",
    "needs the section names no attach target",
];

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
fn unpack(root: &Path, set: &str, to: &Path) -> bool {
    std::fs::create_dir_all(to).is_ok()
        && run(Command::new("tar")
            .arg("-xJf")
            .arg(root.join(format!("{set}.tar.xz")))
            .arg("-C")
            .arg(to))
        && run(Command::new("sh").arg("-c").arg(format!(
            "xz -dc '{}' > '{}'",
            root.join(format!("loads/{set}.jsonl.xz")).display(),
            to.join("loads.jsonl").display(),
        )))
        && run(Command::new("tar")
            .arg("-xJf")
            .arg(root.join("loads/btf.tar.xz"))
            .arg("-C")
            .arg(to))
        && run(Command::new("zstd")
            .arg("-dqf")
            .arg(root.join("../btf/6.18.44-live.btf.zst"))
            .arg("-o")
            .arg(to.join("kernel.btf")))
}

#[test]
fn captured_requests_are_reproduced() {
    let Some(root) = corpus() else { return };
    for set in SETS {
        let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("loader-{set}"));
        if !unpack(&root, set, &to) {
            return;
        }
        let report = oracle::compare(
            &to.join(set),
            &to.join("loads.jsonl"),
            &to.join("kernel.btf"),
            Some(&to.join("btf")),
            None,
        )
        .expect("a readable corpus");
        eprintln!(
            "{set}: of {} requests {} have the same instructions, {} are the same in every field",
            report.total, report.same_code, report.equal
        );
        for (why, ids) in &report.differing {
            let allowed = ALLOWED.iter().any(|prefix| why.starts_with(prefix));
            assert!(allowed, "{why}: {}", ids.join(" "));
        }
        assert!(report.equal > 0);
    }
}
