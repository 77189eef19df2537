//! Small objects, opened: programs, linking, maps, and what older compilers wrote.

use skep_isa::{RawInsn, opcode, pseudo};
use skep_loader::{ErrorKind, Options, open};
use skep_spec::{AttachType, MapFlags, MapType, ObjectSpec, ProgFlags, ProgType, ProgramSpec};

const BASIC: &[u8] = include_bytes!("data/basic.o");
const OLD: &[u8] = include_bytes!("data/old.o");

fn basic() -> ObjectSpec {
    open("dir/basic.bpf.o", BASIC, &Options::default()).expect("a sound object")
}

fn program<'a>(object: &'a ObjectSpec, name: &str) -> &'a ProgramSpec {
    object.program(name).expect("a program of the object")
}

/// The slots that call subprograms or load their addresses, with the slots they lead to.
fn links(program: &ProgramSpec) -> Vec<(usize, i64)> {
    let leads = |i: &RawInsn| {
        (i.code == opcode::CALL && i.src() == pseudo::CALL)
            || (i.is_ld_imm64() && i.src() == pseudo::FUNC)
    };
    let target = |(at, i): (usize, &RawInsn)| (at, at as i64 + 1 + i64::from(i.imm));
    program
        .insns
        .iter()
        .enumerate()
        .filter(|(_, i)| leads(i))
        .map(target)
        .collect()
}

/// The maps that loads name, in the order of the loads, with the offsets into their values.
fn loads(program: &ProgramSpec) -> Vec<(String, Option<i32>)> {
    let mut found = Vec::new();
    for (at, insn) in program.insns.iter().enumerate() {
        if insn.is_ld_imm64() && matches!(insn.src(), pseudo::MAP_FD | pseudo::MAP_VALUE) {
            let map = &program.maps[insn.imm as usize];
            let value = insn.src() == pseudo::MAP_VALUE;
            found.push((map.name.clone(), value.then(|| program.insns[at + 1].imm)));
        }
    }
    found
}

#[test]
fn programs_are_typed_by_their_sections() {
    let object = basic();
    assert_eq!(
        (object.name.as_str(), object.license.as_str()),
        ("basic", "Dual BSD/GPL")
    );
    let names: Vec<_> = object.programs.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["xdp_drop", "xdp_main", "probe", "unknown_section"]);
    let main = program(&object, "xdp_main");
    assert_eq!(
        (main.ty, main.attach, main.flags),
        (ProgType::Xdp, AttachType::Xdp, ProgFlags::empty())
    );
    assert!(main.autoload && main.unresolved.is_empty());

    let probe = program(&object, "probe");
    assert_eq!(
        (probe.ty, probe.attach),
        (ProgType::Tracing, AttachType::TraceFentry)
    );
    assert_eq!(
        (probe.section.as_str(), probe.attach_to.as_str()),
        ("fentry.s/some_function", "some_function")
    );
    assert_eq!(probe.flags, ProgFlags::SLEEPABLE);
    assert!(!probe.autoload);
    assert_eq!(
        probe.unresolved[0].what,
        "attach target some_function of the kernel"
    );

    let unknown = program(&object, "unknown_section");
    assert_eq!(unknown.ty, ProgType::Unspec);
    assert_eq!(
        unknown.unresolved[0].what,
        "program type: section `mystery` does not tell it"
    );
}

#[test]
fn subprograms_follow_depth_first() {
    let object = basic();
    // left calls bottom.
    let drop = program(&object, "xdp_drop");
    assert_eq!(drop.insns.len(), 3 + 3 + 13);
    assert_eq!(links(drop), [(1, 3), (3, 6)]);
    // main calls right (which calls bottom) and left, and loads the address of each.
    let main = program(&object, "xdp_main");
    let (right, bottom, left, each) = (39, 39 + 8, 39 + 8 + 13, 39 + 8 + 13 + 3);
    let callers: Vec<i64> = links(main).iter().map(|l| l.1).collect();
    assert_eq!(callers, [right, left, each, bottom, bottom]);
    let starts: Vec<u32> = main.func_info.iter().map(|f| f.insn_off).collect();
    assert_eq!(
        starts,
        [0, right as u32, bottom as u32, left as u32, each as u32]
    );
    assert_eq!(main.insns.len(), each as usize + 7);
    let btf = main.btf.as_ref().unwrap();
    let functions: Vec<_> = main
        .func_info
        .iter()
        .map(|f| btf.ty(f.type_id.into()).unwrap().name())
        .collect();
    assert_eq!(functions, ["xdp_main", "right", "bottom", "left", "each"]);
    assert!(main.line_info.is_sorted_by_key(|l| l.insn_off));
    let line = main.line_at(bottom as usize).unwrap();
    assert_eq!(btf.string(line.line_off).unwrap().trim(), "seen += x;");
}

#[test]
fn instructions_name_maps_and_places_in_global_data() {
    let object = basic();
    let value = |name: &str, off| (name.to_string(), Some(off));
    let map = |name: &str| (name.to_string(), None);
    assert_eq!(
        loads(program(&object, "xdp_main")),
        [
            map("counts"),
            value(".data.custom", 0),
            map("jumps"),
            map("outer"),
            value("basic.bss", 0),
            value("basic.bss", 8),
            value("basic.data", 0),
            value("basic.rodata", 0),
        ]
    );
    assert_eq!(loads(program(&object, "probe")), [map("events")]);
}

#[test]
fn maps_are_declared_and_made_of_global_data() {
    let object = basic();
    let names: Vec<_> = object.maps.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "first",
            "second",
            "outer",
            "jumps",
            "counts",
            "events",
            "basic.rodata",
            "basic.data",
            ".data.custom",
            "basic.bss"
        ]
    );
    let map = |name: &str| object.map(name).unwrap();
    let counts = map("counts");
    assert_eq!(
        (
            counts.ty,
            counts.key_size,
            counts.value_size,
            counts.max_entries,
            counts.flags
        ),
        (MapType::Hash, 4, 8, 16, MapFlags::NO_PREALLOC)
    );
    let btf = counts.btf.as_ref().unwrap();
    assert_eq!(btf.type_name(counts.btf_value_id.into()), "__u64");

    let outer = map("outer");
    let inner = outer.inner.as_ref().unwrap();
    assert_eq!(
        (outer.value_size, inner.ty, inner.value_size),
        (4, MapType::Array, 8)
    );
    assert_eq!(
        outer.slots,
        [(1, "first".to_string()), (3, "second".to_string())]
    );
    assert_eq!(map("jumps").slots, [(2, "xdp_drop".to_string())]);
    assert_eq!(
        (map("events").max_entries, map("events").pinned),
        (8192, true)
    );

    let rodata = map("basic.rodata");
    assert!(rodata.is_constant());
    assert_eq!(rodata.flags, MapFlags::RDONLY_PROG | MapFlags::MMAPABLE);
    assert_eq!(rodata.init.as_deref(), Some(&[7, 0, 0, 0][..]));
    let data = map("basic.data");
    assert_eq!((data.flags, data.frozen), (MapFlags::MMAPABLE, false));
    assert_eq!(data.init.as_deref(), Some(&[3, 0, 0, 0][..]));
    // Nothing in .bss is visible from outside: one variable is static, the other hidden.
    let bss = map("basic.bss");
    assert_eq!(
        (bss.flags, bss.value_size, &bss.init),
        (MapFlags::empty(), 16, &None)
    );
    assert_eq!(
        bss.btf
            .as_ref()
            .unwrap()
            .ty(bss.btf_value_id.into())
            .unwrap()
            .name(),
        ".bss"
    );
}

#[test]
fn btf_is_corrected_for_the_kernel() {
    let object = basic();
    let btf = object.btf.unwrap();
    let section = |name: &str| {
        let id = btf.find_by_name(skep_btf::Kind::DataSec, name).unwrap();
        btf.ty(id).unwrap().as_datasec().unwrap()
    };
    assert_eq!(section(".maps").size, 232);
    assert_eq!(section("license").size, 13);
    assert!(section(".maps").vars.iter().is_sorted_by_key(|v| v.offset));
    let linkage = |name: &str| {
        let id = btf.find_by_name(skep_btf::Kind::Func, name).unwrap();
        btf.ty(id).unwrap().as_func().unwrap().linkage
    };
    assert_eq!(linkage("right"), skep_btf::FuncLinkage::Static);
    assert_eq!(linkage("left"), skep_btf::FuncLinkage::Global);
}

#[test]
fn old_objects_open_too() {
    let object = open("old.o", OLD, &Options::default()).unwrap();
    assert_eq!(
        (object.kernel_version, object.license.as_str()),
        (0x40f00, "GPL")
    );
    let names: Vec<_> = object
        .programs
        .iter()
        .map(|p| (p.name.as_str(), p.ty))
        .collect();
    assert_eq!(names, [("first", ProgType::Xdp), ("second", ProgType::Xdp)]);
    let second = program(&object, "second");
    assert_eq!(second.insns.len(), 4 + 2);
    assert_eq!(links(second), [(2, 4)]);
    assert_eq!(loads(second), [("outer".to_string(), None)]);

    let counts = object.map("counts").unwrap();
    assert_eq!(
        (counts.ty, counts.max_entries, counts.pinned),
        (MapType::Hash, 16, true)
    );
    let outer = object.map("outer").unwrap();
    assert_eq!(outer.inner.as_ref().unwrap().name, "counts");
    assert_eq!(outer.slots, [(0, "counts".to_string())]);
}

#[test]
fn other_files_are_refused_with_a_reason() {
    let kind = |bytes: &[u8]| open("x", bytes, &Options::default()).unwrap_err().kind;
    assert_eq!(kind(b""), ErrorKind::NotElf);
    assert_eq!(kind(b"#!/bin/sh\n"), ErrorKind::NotElf);
    let changed = |at: usize, value: u8| {
        let mut bytes = BASIC.to_vec();
        bytes[at] = value;
        kind(&bytes)
    };
    assert_eq!(changed(4, 1), ErrorKind::Not64Bit);
    assert_eq!(changed(16, 2), ErrorKind::NotRelocatable(2));
    assert_eq!(changed(18, 62), ErrorKind::OtherMachine(62));
    assert!(matches!(kind(&BASIC[..100]), ErrorKind::Damaged(_)));
}

#[test]
fn errors_name_section_and_offset() {
    // The first relocation of section xdp then refers to a symbol that does not exist.
    let mut bytes = BASIC.to_vec();
    let rel = bytes
        .windows(16)
        .position(|w| w[..8] == 8u64.to_le_bytes() && w[8..12] == 10u32.to_le_bytes())
        .unwrap();
    bytes[rel + 12] = 200;
    let error = open("x", &bytes, &Options::default()).unwrap_err();
    assert_eq!(
        (error.section.as_deref(), error.offset),
        (Some("xdp"), Some(8))
    );
    assert_eq!(
        error.to_string(),
        "damaged ELF file: a relocation has no symbol, in section `xdp`, at byte 0x8"
    );
}
