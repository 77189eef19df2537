//! How long opening a BTF takes: `cargo run --release -p skep-btf --example open [FILE]`.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use skep_btf::{Btf, Kind};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "/sys/kernel/btf/vmlinux".to_string());
    let bytes = std::fs::read(&path)?;
    println!("{path}: {} bytes", bytes.len());
    for _ in 0..5 {
        let copy = bytes.clone();
        let start = Instant::now();
        let btf = Btf::parse(copy)?;
        let parsed = start.elapsed();
        let found = btf.find_by_name(Kind::Struct, "task_struct");
        let indexed = start.elapsed() - parsed;
        let tags = btf
            .ids()
            .filter(|id| btf.decl_tags(*id).next().is_some())
            .count();
        println!(
            "{} types: parse {parsed:?}, first name (task_struct {found:?}) {indexed:?}, \
             {tags} tagged types in {:?}",
            btf.end(),
            start.elapsed() - parsed - indexed,
        );
    }
    Ok(())
}
