//! Every recorded load request comes back from its disassembly.
//!
//! Needs the shared corpus beside the repository (or `SKEP_CORPUS`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use skep_asm::{Options, assemble, disassemble, disassemble_program};
use skep_corpus::{BtfStore, Request, RequestReader};
use skep_spec::{MapSpec, ObjectSpec, ProgramSpec};

const SETS: [&str; 6] = [
    "xdp-tools-1.3",
    "libbpf-tools-0.26",
    "selftests-6.12",
    "xdp-tools-1.3.guest-6.18.15",
    "libbpf-tools-0.26.guest-6.18.15",
    "selftests-6.12.guest-6.18.15",
];

fn corpus() -> PathBuf {
    match std::env::var_os("SKEP_CORPUS") {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus"),
    }
}

/// The programs' BTF; empty without the corpus, where there are no requests either.
fn btf() -> BtfStore {
    BtfStore::open(&corpus().join("loads/btf.tar.xz")).unwrap_or_else(|_| BtfStore::empty())
}

/// The requests of a set, or none with a word about it.
fn requests(set: &str, store: &BtfStore) -> Vec<Request> {
    let path = corpus().join("loads").join(format!("{set}.jsonl.xz"));
    match RequestReader::open(&path, store) {
        Ok(reader) => reader.map(|request| request.unwrap()).collect(),
        Err(error) => {
            eprintln!("skipped: needs the shared corpus (SKEP_CORPUS): {error}");
            Vec::new()
        }
    }
}

/// Everything of a map that a source tells.
fn shape(map: &MapSpec) -> String {
    let mut map = map.clone();
    map.btf = None;
    let inner = map.inner.take().map(|inner| shape(&inner));
    format!("{map:?} {inner:?}")
}

/// What differs between a program and its copy, or nothing.
fn difference(program: &ProgramSpec, copy: &ProgramSpec) -> Option<String> {
    if program.insns != copy.insns {
        let at = program
            .insns
            .iter()
            .zip(&copy.insns)
            .position(|(a, b)| a != b);
        return Some(format!("instructions differ at {at:?}"));
    }
    if program.func_info != copy.func_info {
        return Some("functions differ".to_owned());
    }
    let btf = |spec: &ProgramSpec| spec.btf.as_ref().map(|btf| btf.bytes().len());
    if !program.func_info.is_empty() && btf(program) != btf(copy) {
        return Some("BTF differs".to_owned());
    }
    let maps = |spec: &ProgramSpec| spec.maps.iter().map(|m| shape(m)).collect::<Vec<_>>();
    if maps(program) != maps(copy) {
        return Some(format!(
            "maps differ: {:#?} {:#?}",
            maps(program),
            maps(copy)
        ));
    }
    let head = |spec: &ProgramSpec| {
        let ProgramSpec {
            name,
            section,
            ty,
            attach,
            flags,
            license,
            attach_to,
            autoload,
            ..
        } = spec.clone();
        (
            name,
            section,
            ty,
            attach,
            flags,
            license,
            attach_to,
            autoload,
            spec.attach_btf_id,
        )
    };
    (head(program) != head(copy)).then(|| format!("{:?} became {:?}", head(program), head(copy)))
}

#[test]
fn every_recorded_program_survives_disassembly() {
    let store = btf();
    let mut count = 0;
    for set in SETS {
        for request in requests(set, &store) {
            let text = disassemble_program(&request.spec);
            let btf = request.spec.btf.clone();
            let object = assemble(
                &text,
                &Options {
                    btf,
                    ..Options::default()
                },
            );
            let copy = object.unwrap_or_else(|e| panic!("{}: {e}\n{text}", request.id));
            assert_eq!(copy.programs.len(), 1);
            if let Some(what) = difference(&request.spec, &copy.programs[0]) {
                panic!("{set}: {}: {what}\n{text}", request.id);
            }
            count += 1;
        }
    }
    eprintln!("{count} programs");
}

#[test]
fn recorded_objects_survive_disassembly() {
    let store = btf();
    let all = requests("xdp-tools-1.3", &store);
    for programs in all.chunk_by(|a, b| a.file == b.file) {
        let mut object = ObjectSpec {
            license: "GPL".to_owned(),
            ..ObjectSpec::default()
        };
        object.programs = programs.iter().map(|r| r.spec.clone()).collect();
        object.maps = object
            .programs
            .iter()
            .flat_map(|p| p.maps.iter().cloned())
            .collect();
        let text = disassemble(&object);
        let btf = object.programs[0].btf.clone();
        let copy = assemble(
            &text,
            &Options {
                btf,
                ..Options::default()
            },
        );
        let copy = copy.unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(object.programs.len(), copy.programs.len());
        for (program, copy) in object.programs.iter().zip(&copy.programs) {
            if program.name == copy.name {
                assert_eq!(difference(program, copy), None, "{text}");
            }
        }
    }
}
