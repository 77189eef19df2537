//! Whether kernels would take BTF files: `cargo run -p skep-btf --example check FILE…`.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use skep_btf::Btf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for path in std::env::args().skip(1) {
        let result = Btf::parse(std::fs::read(&path)?).and_then(|btf| btf.check_for_kernel());
        match result {
            Ok(()) => println!("{path}: taken"),
            Err(error) => println!("{path}: {error}"),
        }
    }
    Ok(())
}
