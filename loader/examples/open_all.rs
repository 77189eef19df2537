//! What the objects of folders hold: `open_all [--kernel BTF] DIR…`; errors in full.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use skep_btf::Btf;
use skep_loader::{Options, open};
use std::sync::Arc;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = Options::default();
    let mut args = std::env::args().skip(1);
    let (mut objects, mut programs, mut complete, mut maps, mut errors) = (0, 0, 0, 0, 0);
    let mut spent = std::time::Duration::ZERO;
    while let Some(arg) = args.next() {
        if arg == "--kernel" {
            let path = args.next().ok_or("--kernel wants a file")?;
            options.kernel_btf = Some(Arc::new(Btf::parse(std::fs::read(path)?)?));
            continue;
        }
        let mut paths: Vec<_> = std::fs::read_dir(arg)?.filter_map(Result::ok).collect();
        paths.sort_by_key(|e| e.path());
        for entry in paths {
            let bytes = std::fs::read(entry.path())?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let start = Instant::now();
            let opened = open(&name, &bytes, &options);
            spent += start.elapsed();
            objects += 1;
            match opened {
                Ok(object) => {
                    programs += object.programs.len();
                    complete += object
                        .programs
                        .iter()
                        .filter(|p| p.unresolved.is_empty())
                        .count();
                    maps += object.maps.len();
                    for part in &object.skipped {
                        println!("{name}: skipped {}: {}", part.name, part.why);
                    }
                }
                Err(error) => {
                    errors += 1;
                    println!("{name}: {error}");
                }
            }
        }
    }
    println!(
        "{objects} objects in {spent:?}: {programs} programs ({complete} complete), {maps} maps, \
         {errors} errors"
    );
    Ok(())
}
