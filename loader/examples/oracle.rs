//! How many captured load requests the loader reproduces:
//! `oracle OBJECT_DIR LOADS.jsonl KERNEL_BTF [BTF_DIR [KCONFIG]]`.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

#[path = "../tests/support/oracle.rs"]
mod oracle;

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [objects, loads, kernel, rest @ ..] = args.as_slice() else {
        return Err("usage: oracle OBJECT_DIR LOADS.jsonl KERNEL_BTF [BTF_DIR [KCONFIG]]".into());
    };
    let report = oracle::compare(
        Path::new(objects),
        Path::new(loads),
        Path::new(kernel),
        rest.first().map(Path::new),
        rest.get(1).map(Path::new),
    )?;
    for (why, ids) in &report.differing {
        println!(
            "{:5} {why}: {}",
            ids.len(),
            ids.iter().take(4).cloned().collect::<Vec<_>>().join(" ")
        );
    }
    println!(
        "{} requests, {} with the same instructions, {} equal in every field",
        report.total, report.same_code, report.equal
    );
    Ok(())
}
