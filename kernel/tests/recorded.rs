//! Captured requests get their recorded verdict and figures from the running kernel again.
//!
//! Needs the shared corpus beside the repository (or `SKEP_CORPUS`) and a kernel of its series.

use std::path::{Path, PathBuf};

use skep_btf::Btf;
use skep_corpus::recorded::read_set;
use skep_corpus::{BtfStore, Recorded, RequestReader, read_btf};
use skep_kernel::{Answer, Kernel, LoadOptions, rebase, tainted, vmlinux_btf};

/// Folder of the shared corpus, and whether the kernel can be asked and is of the recorded series.
fn ready() -> Result<(PathBuf, Kernel), String> {
    let root = match std::env::var_os("SKEP_CORPUS") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus"),
    };
    if !root.join("loads").is_dir() {
        return Err("needs the shared corpus (SKEP_CORPUS)".to_owned());
    }
    let kernel = Kernel::open().map_err(|reason| reason.to_string())?;
    let version = kernel.version();
    if (version.major, version.minor) != (6, 18) {
        return Err(format!("needs Linux 6.18, this is {}", kernel.release()));
    }
    Ok((root, kernel))
}

#[test]
fn recorded_verdicts_and_figures_come_back() {
    let (root, kernel) = match ready() {
        Ok(ready) => ready,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    let from = read_btf(&root.join("../btf/6.18.44-live.btf.zst")).unwrap();
    let to = Btf::parse(vmlinux_btf().unwrap()).unwrap();
    let store = BtfStore::open(&root.join("loads/btf.tar.xz")).unwrap();
    let rows = read_set(&root.join("verdicts/xdp-tools-1.3.csv")).unwrap();
    let taint = tainted();
    let mut judged = 0;
    let set = root.join("loads/xdp-tools-1.3.jsonl.xz");
    for request in RequestReader::open(&set, &store).unwrap() {
        let request = request.unwrap();
        assert_eq!(request.verdict, Some(Recorded::Success), "{}", request.id);
        let spec = rebase(&request.spec, &from, &to).unwrap();
        let outcome = kernel.load(&spec, &LoadOptions::quiet());
        assert_eq!(
            outcome.answer,
            Answer::Accepted,
            "{}: {}",
            request.id,
            outcome.message
        );
        let row = rows
            .iter()
            .find(|r| r.file == request.file && r.program == request.prog);
        let stats = outcome.stats.unwrap();
        assert_eq!(
            row.unwrap().total_insns,
            Some(stats.total_insns),
            "{}",
            request.id
        );
        assert_eq!(
            row.unwrap().total_states,
            Some(stats.total_states),
            "{}",
            request.id
        );
        assert_eq!(
            tainted(),
            taint,
            "the kernel became tainted by {}",
            request.id
        );
        judged += 1;
    }
    assert_eq!(judged, 95);
}
