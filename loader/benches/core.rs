//! Opening objects that ask about a kernel's types, the kernel's BTF included.
//!
//! The types are those in `SKEP_BTF`, else the running kernel's; the objects those in the folder
//! `SKEP_OBJECTS`, else the project's own. Memory is the peak of the whole process. Time on the
//! processor is told as well, since other processes do not change it.

#![allow(
    missing_docs,
    reason = "what criterion's macros make has no documentation"
)]

use criterion::{Criterion, criterion_group, criterion_main};
use skep_btf::Btf;
use skep_loader::{Options, open};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const OWN: &[u8] = include_bytes!("../tests/data/kernel.o");

fn objects() -> Vec<(String, Vec<u8>)> {
    let Some(folder) = std::env::var_os("SKEP_OBJECTS") else {
        return vec![("kernel.o".to_string(), OWN.to_vec())];
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|e| e.path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "o"));
    paths.sort();
    let read = |p: &PathBuf| Some((p.display().to_string(), std::fs::read(p).ok()?));
    paths.iter().filter_map(read).collect()
}

fn kernel() -> Option<Vec<u8>> {
    let path = std::env::var_os("SKEP_BTF").map(PathBuf::from);
    let path = path.unwrap_or_else(|| Path::new("/sys/kernel/btf/vmlinux").to_path_buf());
    std::fs::read(path).ok()
}

/// Peak memory of this process in KiB, where the system tells.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Nanoseconds that this thread has spent on a processor, where the system tells.
fn on_processor() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split_whitespace().next()?.parse().ok()
}

/// Tells the mean time on the processor of many rounds.
fn tell_processor_time(what: &str, mut round: impl FnMut()) {
    const ROUNDS: u32 = 200;
    let Some(before) = on_processor() else { return };
    (0..ROUNDS).for_each(|_| round());
    let Some(after) = on_processor() else { return };
    let each = (after - before) as f64 / f64::from(ROUNDS) / 1e6;
    eprintln!("{what}: {each:.2} ms on the processor");
}

fn core(c: &mut Criterion) {
    let Some(kernel) = kernel() else {
        eprintln!("skipped: no kernel BTF (SKEP_BTF, or /sys/kernel/btf/vmlinux)");
        return;
    };
    let objects = objects();
    let open_all = |options: &Options| {
        for (name, bytes) in &objects {
            let _ = black_box(open(name, bytes, options));
        }
    };
    let fresh = || Options {
        kernel_btf: Btf::parse(kernel.clone()).ok().map(Arc::new),
        ..Options::default()
    };
    c.bench_function("parse kernel BTF", |b| {
        b.iter(|| Btf::parse(kernel.clone()))
    });
    let largest = objects.iter().max_by_key(|(_, bytes)| bytes.len());
    if let Some((name, bytes)) = largest {
        c.bench_function("kernel BTF and the largest object", |b| {
            b.iter(|| open(name, bytes, &fresh()));
        });
        tell_processor_time("kernel BTF and the largest object", || {
            let _ = black_box(open(name, bytes, &fresh()));
        });
    }
    c.bench_function("kernel BTF and all objects", |b| {
        b.iter(|| open_all(&fresh()))
    });
    let warm = fresh();
    c.bench_function("all objects, BTF at hand", |b| b.iter(|| open_all(&warm)));
    eprintln!("{} objects, peak memory {:?} KiB", objects.len(), peak());
}

criterion_group!(benches, core);
criterion_main!(benches);
