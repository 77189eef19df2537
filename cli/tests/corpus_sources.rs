//! The corpus' assembly sources against the objects kept with them: `corpus/build.sh` must have been
//! run since a source changed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use skep_asm::{assemble, write_elf};
use skep_loader::{Options, open};
use skep_spec::{MapSpec, ObjectSpec, ProgramSpec};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("corpus")
}

/// The names in a folder of the corpus that end so, without the ending.
fn names(folder: &str, ending: &str) -> BTreeSet<String> {
    fs::read_dir(corpus().join(folder))
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(ending).map(str::to_owned)
        })
        .collect()
}

fn read_object(name: &str, bytes: &[u8]) -> ObjectSpec {
    open(name, bytes, &Options::default()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The map without its types, whose numbers are the assembler's own affair.
fn map_text(map: &MapSpec) -> String {
    let mut map = map.clone();
    map.btf = None;
    format!("{map:?}")
}

fn program_text(program: &ProgramSpec) -> String {
    let lines: Vec<_> = program
        .line_info
        .iter()
        .map(|l| (l.insn_off, l.line(), l.column()))
        .collect();
    let maps: Vec<_> = program.maps.iter().map(|map| map_text(map)).collect();
    format!(
        "{} {} {} {:?} {} {:?}\n{:?}\n{lines:?}\n{maps:#?}",
        program.name,
        program.ty,
        program.attach,
        program.flags,
        program.license,
        program.section,
        program.insns
    )
}

fn object_text(object: &ObjectSpec) -> String {
    let programs = object.programs.iter().map(program_text);
    let maps = object.maps.iter().map(|map| map_text(map));
    programs.chain(maps).collect::<Vec<_>>().join("\n")
}

#[test]
fn assembly_sources_make_the_objects() {
    let sources = names("programs", ".bpf.s");
    assert!(!sources.is_empty(), "there are no sources");
    for name in sources {
        let path = format!("programs/{name}.bpf.s");
        let source = fs::read_to_string(corpus().join(&path)).unwrap();
        let options = skep_asm::Options {
            file_name: path,
            debug_info: true,
            ..skep_asm::Options::default()
        };
        let assembled = assemble(&source, &options).unwrap_or_else(|e| panic!("{name}: {e}"));
        let fresh = read_object(&name, &write_elf(&assembled, None).unwrap());
        let kept = fs::read(corpus().join(format!("objects/{name}.o"))).unwrap();
        let kept = read_object(&name, &kept);
        assert!(
            kept.programs.iter().all(|p| !p.line_info.is_empty()),
            "{name}: no source lines"
        );
        let (fresh, kept) = (object_text(&fresh), object_text(&kept));
        assert!(
            fresh == kept,
            "{name}: run corpus/build.sh\n--- source\n{fresh}\n--- object\n{kept}"
        );
    }
}

#[test]
fn every_object_has_a_source() {
    let mut sources = names("programs", ".bpf.s");
    sources.extend(names("programs", ".c"));
    let mut objects = names("objects", ".o");
    objects.extend(names("objects/unjudged", ".o"));
    assert_eq!(sources, objects);
}
