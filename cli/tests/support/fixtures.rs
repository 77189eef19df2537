//! Files that are wrong in one way each, made from good ones.

#[path = "runs.rs"]
mod runs;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skep_asm::{Options, assemble, write_elf};
use skep_spec::{MapSpec, MapType, ObjectSpec};

/// A folder of its own, removed when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes it and fills it.
    pub(crate) fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("skep-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("no-objects")).unwrap();
        for (name, bytes) in files().into_iter().chain(runs::files()) {
            fs::write(path.join(name), bytes).unwrap();
        }
        Folder(path)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An object of the corpus.
pub(crate) fn object(name: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read(root.join("corpus/objects").join(name)).unwrap()
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    let good = object("xdp_count_protocols.o");
    let patched = |at: usize, bytes: &[u8]| {
        let mut all = good.clone();
        all[at..at + bytes.len()].copy_from_slice(bytes);
        all
    };
    let loader = |name: &str| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        fs::read(root.join("loader/tests/data").join(name)).unwrap()
    };
    let x86 = patched(18, &[62, 0]);
    let relocation = section(&good, ".relxdp").0 + 8;
    let btf = section(&good, ".BTF").0;
    vec![
        ("good.o", good.clone()),
        ("text.o", b"#!/bin/sh\necho I am no object\n".to_vec()),
        ("empty.o", Vec::new()),
        ("truncated.o", good[..600].to_vec()),
        ("header-only.o", good[..40].to_vec()),
        ("x86.o", x86.clone()),
        ("tool", [&x86[..64], &good].concat()),
        (
            "tools",
            [&x86[..64], &good, &object("execve_comm.o")].concat(),
        ),
        ("big-endian.o", loader("basic-be.o")),
        ("globals.o", loader("globals.o")),
        ("types.o", loader("types.o")),
        ("kernel.o", loader("kernel.o")),
        ("linked1.o", loader("linked1.o")),
        ("linked2.o", loader("linked2.o")),
        ("32-bit.o", patched(4, &[1])),
        ("no-programs.o", no_programs()),
        (
            "unknown-section.o",
            elf(".prog work xdp section \"frobnicate\"\n r0 = 0\n exit\n"),
        ),
        (
            "bad-relocation.o",
            patched(relocation + 4, &[0xff, 0xff, 0, 0]),
        ),
        ("corrupt-btf.o", patched(btf, &[0, 0])),
        (
            "bad.s",
            b".prog pass xdp\n    r0 = 2\n    exot\n    r1 = nothing\n".to_vec(),
        ),
        (
            "no-program.s",
            b".map counts array key 4 value 8 entries 1\n".to_vec(),
        ),
        (
            "cut.jsonl",
            b"{\"id\":\"a.o/main\",\"prog_type\":6".to_vec(),
        ),
        (
            "btf.jsonl",
            request(",\"btf\":\"abc\"", "6.18.44").into_bytes(),
        ),
        ("old.jsonl", request("", "5.10.223").into_bytes()),
        ("good.jsonl", request("", "6.18.44").into_bytes()),
    ]
}

fn request(more: &str, kernel: &str) -> String {
    format!(
        "{{\"id\":\"a.o/main\",\"file\":\"a.o\",\"prog\":\"main\",\"kernel\":\"{kernel}\",\
         \"prog_type\":6,\"license\":\"GPL\",\"maps\":[],\
         \"insns\":\"b7000000020000009500000000000000\"{more}}}\n"
    )
}

fn elf(text: &str) -> Vec<u8> {
    write_elf(&assemble(text, &Options::default()).unwrap(), None).unwrap()
}

fn no_programs() -> Vec<u8> {
    let map = MapSpec::new("counts", MapType::Array, 4, 8, 1);
    let object = ObjectSpec {
        maps: vec![Arc::new(map)],
        ..ObjectSpec::default()
    };
    write_elf(&object, None).unwrap()
}

/// Offset and size of a section in a 64-bit little-endian object that is known to be good.
fn section(elf: &[u8], name: &str) -> (usize, usize) {
    let number = |at: usize, size: usize| {
        elf[at..at + size]
            .iter()
            .rev()
            .fold(0usize, |n, b| n << 8 | usize::from(*b))
    };
    let (table, count, names) = (number(40, 8), number(60, 2), number(62, 2));
    let row = |index: usize| {
        let at = table + index * 64;
        (number(at, 4), number(at + 24, 8), number(at + 32, 8))
    };
    let strings = row(names).1;
    for index in 0..count {
        let (label, offset, size) = row(index);
        if elf[strings + label..].starts_with(format!("{name}\0").as_bytes()) {
            return (offset, size);
        }
    }
    panic!("no section {name}");
}
