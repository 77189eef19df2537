//! Two objects joined into one: what each declares, the other defines.
//!
//! Where Debian's `bpftool` is installed, its `gen object` must make the same programs of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use skep_btf::{Btf, Kind};
use skep_loader::{Options, join, open};
use skep_spec::{MapSpec, ObjectSpec};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

const FIRST: &[u8] = include_bytes!("data/linked1.o");
const SECOND: &[u8] = include_bytes!("data/linked2.o");
const BASIC: &[u8] = include_bytes!("data/basic.o");

fn options() -> Options {
    let mut types = skep_btf::BtfBuilder::new();
    let int = types.int("int", 4, skep_btf::IntEncoding::SIGNED);
    types.structure("seen", 8, &[("here", int, 32, 0)]);
    Options {
        kernel_btf: Some(Arc::new(Btf::parse(types.to_bytes()).unwrap())),
        kconfig: Some("CONFIG_HZ=250\n".to_string()),
        ..Options::default()
    }
}

fn joined() -> Vec<u8> {
    join(&[("linked1.o", FIRST), ("linked2.o", SECOND)]).unwrap()
}

fn opened(bytes: &[u8]) -> ObjectSpec {
    open("linked.o", bytes, &options()).unwrap()
}

/// What matters of a map, types by their text.
fn shape(map: &MapSpec) -> String {
    let name = |id: u32| {
        let btf = map.btf.as_ref().filter(|_| id != 0);
        btf.map(|btf| btf.type_name(id.into()))
    };
    format!(
        "{} {} {} {} {} {:?} {:?} {:?} {:?}",
        map.name,
        map.ty,
        map.key_size,
        map.value_size,
        map.max_entries,
        map.flags,
        map.init,
        name(map.btf_key_id),
        name(map.btf_value_id),
    )
}

#[test]
fn nothing_is_left_to_wait_for() {
    let object = opened(&joined());
    let names: Vec<_> = object.programs.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["main_one", "main_two", "other_two"]);
    for program in &object.programs {
        assert_eq!(program.unresolved, [], "{}", program.name);
        assert!(program.btf.is_some() && !program.line_info.is_empty());
    }
    let maps: Vec<_> = object.maps.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(
        maps,
        ["one", "two", "linked.data", "linked.bss", "linked.kconfig"]
    );
    let data = object.map("linked.data").unwrap();
    assert_eq!(data.init.as_deref(), Some(&[1, 0, 0, 0, 2, 0, 0, 0, 3][..]));
    // Two static counters of one name stay two.
    assert_eq!(object.map("linked.bss").unwrap().value_size, 8);
}

#[test]
fn a_strong_function_takes_the_place_of_a_weak_one() {
    let object = opened(&joined());
    let main = object.program("main_one").unwrap();
    let btf = main.btf.as_ref().unwrap();
    let pick = main
        .func_info
        .iter()
        .find(|f| btf.ty(f.type_id.into()).unwrap().name() == "pick");
    let start = pick.unwrap().insn_off as usize;
    let adds = |imm: i32| main.insns[start..start + 4].iter().any(|i| i.imm == imm);
    assert!(adds(-100) && !adds(100));
}

#[test]
fn equal_types_are_kept_once() {
    let object = opened(&joined());
    let btf = object.btf.unwrap();
    let count = |kind: Kind, name: &str| {
        let all = btf.named(name);
        all.filter(|id| btf.kind(*id) == Some(kind)).count()
    };
    assert_eq!(count(Kind::Struct, "shared"), 1);
    assert_eq!(count(Kind::Int, "int"), 1);
    assert_eq!(count(Kind::Func, "first"), 1);
    assert_eq!(count(Kind::Var, "two"), 1);
    assert_eq!(count(Kind::Var, "counter"), 2);
    let (small, _) = skep_btf::dedup(&btf).unwrap();
    assert_eq!(small.ids().len(), btf.ids().len(), "nothing more to merge");
}

#[test]
fn one_object_joined_is_itself() {
    let alone = join(&[("basic.o", BASIC)]).unwrap();
    let (own, copy) = (
        open("basic.o", BASIC, &Options::default()).unwrap(),
        open("basic.o", &alone, &Options::default()).unwrap(),
    );
    assert_eq!(own.programs.len(), copy.programs.len());
    for program in &own.programs {
        let copy = copy.program(&program.name).unwrap();
        assert_eq!(program.insns, copy.insns, "{}", program.name);
        assert_eq!(program.func_info.len(), copy.func_info.len());
        assert_eq!(program.line_info.len(), copy.line_info.len());
    }
    let shapes =
        |object: &ObjectSpec| -> Vec<String> { object.maps.iter().map(|m| shape(m)).collect() };
    assert_eq!(shapes(&own), shapes(&copy));
}

#[test]
fn what_contradicts_is_refused() {
    let twice = join(&[("a.o", BASIC), ("b.o", BASIC)]).unwrap_err();
    assert_eq!(twice.file, "b.o");
    assert!(twice.why.ends_with("is defined a second time"), "{twice}");
    let licence = join(&[("a.o", FIRST), ("b.o", BASIC)]).unwrap_err();
    assert_eq!(licence.why, "another `license` than the objects before");
    let none = join(&[("a.o", b"no object")]).unwrap_err();
    assert_eq!(none.to_string(), "a.o: not an ELF file, at byte 0x0");
    assert!(join(&[]).is_err());
}

#[test]
fn damaged_objects_are_errors_or_joined() {
    for at in 0..SECOND.len() {
        let mut bad = SECOND.to_vec();
        bad[at] ^= 0xff;
        if let Ok(bytes) = join(&[("a.o", FIRST), ("b.o", &bad)]) {
            let _ = open("linked.o", &bytes, &Options::default());
        }
    }
}

/// The programs and maps of both linkers' objects are the same.
fn same_as_bpftool(files: &[PathBuf], folder: &Path) {
    let theirs = folder.join("bpftool.o");
    let run = Command::new("bpftool")
        .args(["gen", "object"])
        .arg(&theirs)
        .args(files)
        .output();
    match run {
        Ok(out) if out.status.success() => {}
        Ok(out) => panic!("bpftool: {}", String::from_utf8_lossy(&out.stderr)),
        Err(e) => return eprintln!("skipped: bpftool: {e}"),
    }
    let bytes: Vec<_> = files.iter().map(|f| std::fs::read(f).unwrap()).collect();
    let names: Vec<_> = files.iter().map(|f| f.display().to_string()).collect();
    let inputs: Vec<_> = names
        .iter()
        .zip(&bytes)
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    let ours = opened(&join(&inputs).unwrap());
    // Older versions give declared maps the wrong place, and no loader takes the result.
    let theirs = match open("linked.o", &std::fs::read(theirs).unwrap(), &options()) {
        Ok(theirs) => theirs,
        Err(e) => return eprintln!("skipped: {names:?}: bpftool's object does not open: {e}"),
    };
    assert_eq!(ours.programs.len(), theirs.programs.len());
    for program in &theirs.programs {
        let own = ours.program(&program.name).unwrap();
        assert_eq!(own.insns, program.insns, "{}", program.name);
        assert_eq!((own.ty, own.attach), (program.ty, program.attach));
        let maps = |p: &skep_spec::ProgramSpec| -> Vec<String> {
            p.maps.iter().map(|m| shape(m)).collect()
        };
        assert_eq!(maps(own), maps(program), "{}", program.name);
        assert_eq!(own.func_info.len(), program.func_info.len());
        assert_eq!(own.line_info.len(), program.line_info.len());
    }
}

#[test]
fn bpftool_makes_the_same_programs() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("join");
    std::fs::create_dir_all(&folder).unwrap();
    same_as_bpftool(&[data.join("linked1.o"), data.join("linked2.o")], &folder);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let root = std::env::var_os("SKEP_CORPUS").map_or(beside, PathBuf::from);
    let archive = root.join("selftests-6.12.tar.xz");
    let unpacked = Command::new("tar")
        .arg("-xJf")
        .arg(&archive)
        .arg("-C")
        .arg(&folder)
        .output()
        .is_ok_and(|out| out.status.success());
    if !unpacked {
        return eprintln!("skipped: {} cannot be unpacked", archive.display());
    }
    for name in ["linked_funcs", "linked_maps", "linked_vars"] {
        let file = |n: u8| folder.join(format!("selftests-6.12/{name}{n}.bpf.o"));
        same_as_bpftool(&[file(1), file(2)], &folder);
    }
}
