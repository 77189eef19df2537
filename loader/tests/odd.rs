//! Objects that are unlike most: of the other byte order, without programs, waiting for others,
//! inside other files.

use skep_loader::{ErrorKind, Options, find_embedded, is_bpf_object, open, survey};
use skep_spec::{LineInfo, ProgramSpec};

const BASIC: &[u8] = include_bytes!("data/basic.o");
const BASIC_BE: &[u8] = include_bytes!("data/basic-be.o");
const TYPES: &[u8] = include_bytes!("data/types.o");
const LINKED: &[u8] = include_bytes!("data/linked1.o");

#[test]
fn a_big_endian_object_reads_as_its_little_endian_twin() {
    let little = open("basic.o", BASIC, &Options::default()).unwrap();
    let big = open("basic.o", BASIC_BE, &Options::default()).unwrap();
    assert!(big.big_endian && !little.big_endian);
    assert_eq!(big.license, little.license);
    assert_eq!(big.programs.len(), little.programs.len());
    for (big, little) in big.programs.iter().zip(&little.programs) {
        assert_eq!(
            (&big.name, big.ty, &big.section),
            (&little.name, little.ty, &little.section)
        );
        // Sources differ by nothing that depends on the byte order.
        assert_eq!(big.insns, little.insns, "{}", big.name);
        let lines = |p: &ProgramSpec| -> Vec<_> {
            let line = |l: &LineInfo| (l.insn_off, l.line_col);
            p.line_info.iter().map(line).collect()
        };
        assert_eq!(lines(big), lines(little), "{}", big.name);
        assert_eq!(big.func_info.len(), little.func_info.len());
    }
    for (big, little) in big.maps.iter().zip(&little.maps) {
        assert_eq!(
            (&big.name, big.ty, big.value_size, big.flags, &big.slots),
            (
                &little.name,
                little.ty,
                little.value_size,
                little.flags,
                &little.slots
            )
        );
    }
    let rodata = big.map("basic.rodata").unwrap();
    assert_eq!(rodata.init.as_deref(), Some(&[0, 0, 0, 7][..]));
}

/// The object with its section `name` marked as compressed (SHF_COMPRESSED).
fn compressed(object: &[u8], name: &str) -> Vec<u8> {
    let survey = survey(object).expect("a good object");
    let index = survey.sections.iter().position(|s| s.name == name);
    let index = index.expect("a section of that name");
    let table = object[40..48].iter().rev();
    let table = table.fold(0, |n, byte| n << 8 | usize::from(*byte));
    let mut bytes = object.to_vec();
    bytes[table + 64 * index + 9] |= 0x08;
    bytes
}

#[test]
fn compressed_sections_are_named() {
    let code = compressed(BASIC, ".BTF.ext");
    let object = open("basic.o", &code, &Options::default()).unwrap();
    assert_eq!(object.skipped[0].name, ".BTF.ext");
    assert_eq!(object.skipped[0].why, "a compressed section");
    let error = open("basic.o", &compressed(BASIC, ".BTF"), &Options::default()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Compressed);
    assert_eq!(error.section.as_deref(), Some(".BTF"));
}

#[test]
fn types_and_data_alone_are_an_object_too() {
    let object = open("types.o", TYPES, &Options::default()).unwrap();
    assert!(object.programs.is_empty());
    let names: Vec<_> = object.maps.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["types.bss"]);
    assert!(object.btf.is_some());
}

#[test]
fn what_another_object_defines_is_waited_for() {
    let object = open("linked1.o", LINKED, &Options::default()).unwrap();
    let program = object.program("main_one").unwrap();
    let needs: Vec<_> = program.unresolved.iter().map(|u| u.what.as_str()).collect();
    for name in ["two", "second", "second_data"] {
        let what = format!("definition of `{name}`, which another object holds");
        assert!(needs.contains(&what.as_str()), "{name}: {needs:?}");
    }
}

#[test]
fn sections_that_nobody_knows_are_named() {
    let mut bytes = BASIC.to_vec();
    let name = b".data.custom\0";
    // The name occurs in the types, too; the table of section names is the last.
    let at = bytes.windows(name.len()).rposition(|w| w == name).unwrap();
    bytes[at..at + 5].copy_from_slice(b".dota");
    let found = survey(&bytes).unwrap();
    let section = found
        .sections
        .iter()
        .find(|s| s.name == ".dota.custom")
        .unwrap();
    assert_eq!(section.role, "unknown");
    let error = open("basic.o", &bytes, &Options::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "reference to `custom`: section `.dota.custom` holds neither maps nor global data, \
         in section `xdp`, at byte 0x78"
    );
}

#[test]
fn objects_inside_other_files_are_found_whole() {
    assert!(is_bpf_object(BASIC) && find_embedded(BASIC).is_empty());
    let mut host = b"some host file \x7fELF and more".to_vec();
    let first = host.len();
    host.extend_from_slice(BASIC);
    host.extend_from_slice(b"between");
    let second = host.len();
    host.extend_from_slice(TYPES);
    host.extend_from_slice(b"behind");
    let found = find_embedded(&host);
    let places: Vec<_> = found.iter().map(|e| (e.offset, e.len)).collect();
    assert_eq!(places, [(first, BASIC.len()), (second, TYPES.len())]);
    // Cut short, an object is none.
    for end in first..first + BASIC.len() {
        assert_eq!(find_embedded(&host[..end]), []);
    }
}

#[test]
fn a_host_names_the_place_of_its_objects() {
    // The tests themselves are a host: the objects are constants of theirs.
    let Ok(own) = std::env::current_exe().and_then(std::fs::read) else {
        return eprintln!("skipped: the test cannot read itself");
    };
    let found = find_embedded(&own);
    let twin = found
        .iter()
        .find(|e| &own[e.offset..e.offset + e.len] == BASIC_BE);
    let twin = twin.expect("the constant is in the file");
    assert!(!twin.place.is_empty());
}
