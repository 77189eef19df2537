//! The same C compiled for this machine: what a program could cost.
//!
//! The benchmark's source and a loop that calls it are compiled apart, so that no call is optimised away,
//! and run as a process that prints its own time. Without the compiler there is no such engine.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::Case;

/// The compiler that the benchmarks are meant for.
const CLANG: &str = "clang-19";

/// A compiled benchmark.
pub(super) struct Native {
    folder: PathBuf,
    packet: PathBuf,
}

impl Native {
    /// Compiles a benchmark; `None` where that is not possible.
    pub(super) fn new(case: &Case) -> Option<Native> {
        let source = case.folder.join("progs/raw.c");
        if case.raw.is_none() || !source.is_file() {
            return None;
        }
        let name = format!("skep-bench-{}-{}", std::process::id(), case.name);
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).ok()?;
        let native = Native {
            packet: case.folder.join("packet.bin"),
            folder,
        };
        let main = native.folder.join("main.c");
        fs::write(&main, harness(&case.name)).ok()?;
        let core = native.folder.join("core.o");
        let core_made = Command::new(CLANG)
            .args(["-O2", "-march=native", "-DNATIVE", "-c"])
            .args([
                format!("-DP_{}", case.name),
                format!("-DNAME={}", case.name),
            ])
            .arg(&source)
            .arg("-o")
            .arg(&core)
            .output()
            .ok()?;
        let program = native.folder.join("bench");
        let made = Command::new(CLANG)
            .arg("-O2")
            .args([&main, &core])
            .arg("-o")
            .arg(&program)
            .output()
            .ok()?;
        (core_made.status.success() && made.status.success()).then_some(native)
    }

    /// Runs it so often: ns of one run, and its result.
    pub(super) fn run(&self, times: u32) -> Option<(f64, Option<u64>)> {
        let program = self.folder.join("bench");
        let output = Command::new(program)
            .arg(&self.packet)
            .arg(times.to_string())
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let (ns, r0) = text.trim().split_once(' ')?;
        Some((ns.parse().ok()?, r0.parse().ok()))
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // A folder in the temporary directory that cannot be removed is the system's to remove.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Reads the packet, calls the benchmark in a loop, prints ns per call and the result.
fn harness(name: &str) -> String {
    format!(
        "#include <stdio.h>
#include <stdlib.h>
#include <time.h>
unsigned long long native_{name}(unsigned char *memory, unsigned long long length);
static unsigned char memory[65536];
int main(int argc, char **argv) {{
    FILE *file = fopen(argv[1], \"rb\");
    if (argc < 3 || !file) return 2;
    unsigned long long length = fread(memory, 1, sizeof memory, file), r0 = 0;
    long times = atol(argv[2]);
    struct timespec from, to;
    for (int i = 0; i < 3; i++) r0 = native_{name}(memory, length);
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (long i = 0; i < times; i++) {{
        r0 = native_{name}(memory, length);
        __asm__ volatile(\"\" : \"+r\"(r0) : : \"memory\");
    }}
    clock_gettime(CLOCK_MONOTONIC, &to);
    double ns = (to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec);
    printf(\"%f %llu\\n\", ns / times, r0);
    return 0;
}}
"
    )
}
