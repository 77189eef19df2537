//! Captured requests: a whole one is read as it was given, and damage is named by line and key.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skep_btf::{BtfBuilder, IntEncoding};
use skep_corpus::recorded::read_set;
use skep_corpus::{BtfStore, Recorded, Request, RequestError, RequestReader};
use skep_isa::RawInsn;
use skep_spec::{AttachType, FuncInfo, MapFlags, MapType, ProgFlags, ProgType};

fn read(text: &str, store: &BtfStore) -> Vec<Result<Request, RequestError>> {
    let source = Box::new(Cursor::new(text.to_owned().into_bytes()));
    RequestReader::new(Path::new("set.jsonl"), source, store).collect()
}

fn one(text: &str) -> Result<Request, RequestError> {
    let mut all = read(text, &BtfStore::empty());
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// `r1 = map fd 25; r2 = map value fd 19 + 8; r3 = map fd 7 (not recorded); r0 = 0; exit`
const INSNS: &str = "1811000019000000000000000000000018220000130000000000000008000000\
                     18130000070000000000000000000000b7000000000000009500000000000000";

fn whole() -> String {
    format!(
        r#"{{"id":"a.o/main#2","file":"a.o","prog":"main","section":"xdp","kernel":"6.18.44",
        "verdict":"failure","errno":13,"prog_type":6,"expected_attach_type":37,"prog_flags":40,
        "attach_btf_id":3,"license":"GPL","insn_cnt":8,"insns":"{INSNS}","btf":"types",
        "func_info_rec":12,"func_info":"000000000200000099999999050000000300000099999999",
        "maps":[{{"fd":19,"name":"a.bss","type":2,"key":4,"value":16,"max":1,"flags":1024,"btf_key":0,
        "btf_value":1,"vmlinux_value_id":0,"extra":7,"frozen":1,"init":"0102"}},
        {{"fd":25,"name":"outer","type":12,"key":4,"value":4,"max":2,"flags":0,
        "inner":{{"type":1,"key":8,"value":8,"max":3,"flags":1}}}}],
        "target":{{"kind":"prog","file":"b.o","prog":"p","attach_name":"f","btf":"types"}},
        "xlated":"b7000000000000009500000000000000"}}"#
    )
    .replace('\n', "")
}

/// A folder with one BTF file, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("skep-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for the test");
        let mut btf = BtfBuilder::new();
        btf.int("int", 4, IntEncoding::SIGNED);
        std::fs::write(path.join("types.btf"), btf.to_bytes()).expect("a file for the test");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("the test's folder");
    }
}

#[test]
fn a_whole_request_is_read_as_it_was_given() {
    let folder = Folder::new("whole");
    let store = BtfStore::open(&folder.0).unwrap();
    let request = read(&whole(), &store).remove(0).unwrap();
    assert_eq!(
        (request.id.as_str(), request.kernel.as_str()),
        ("a.o/main#2", "6.18.44")
    );
    assert_eq!(
        (request.verdict, request.errno),
        (Some(Recorded::Failure), Some(13))
    );
    let spec = &request.spec;
    assert_eq!((spec.ty, spec.attach), (ProgType::Xdp, AttachType::Xdp));
    assert_eq!(
        spec.flags,
        ProgFlags::TEST_STATE_FREQ | ProgFlags::XDP_HAS_FRAGS
    );
    assert_eq!((spec.attach_btf_id, spec.license.as_str()), (3, "GPL"));
    let funcs = [(0, 2), (5, 3)].map(|(insn_off, type_id)| FuncInfo { insn_off, type_id });
    assert_eq!(spec.func_info, funcs);
    let types = spec.btf.as_ref().unwrap();
    let [bss, outer] = spec.maps.as_slice() else {
        panic!("{:?}", spec.maps)
    };
    assert_eq!(
        (bss.ty, bss.value_size, bss.extra, bss.frozen),
        (MapType::Array, 16, 7, true)
    );
    assert_eq!(
        (bss.flags, bss.init.as_deref()),
        (MapFlags::MMAPABLE, Some(&[1, 2][..]))
    );
    assert!(Arc::ptr_eq(bss.btf.as_ref().unwrap(), types));
    let inner = outer.inner.as_ref().unwrap();
    assert_eq!(
        (inner.ty, inner.flags),
        (MapType::Hash, MapFlags::NO_PREALLOC)
    );
    let target = request.target.unwrap();
    assert!(target.is_program && Arc::ptr_eq(target.btf.as_ref().unwrap(), types));
    assert_eq!(request.xlated.unwrap().len(), 2);
}

#[test]
fn slots_name_maps_by_index() {
    let folder = Folder::new("slots");
    let store = BtfStore::open(&folder.0).unwrap();
    let request = read(&whole(), &store).remove(0).unwrap();
    let imms: Vec<i32> = request.spec.insns.iter().map(|slot| slot.imm).collect();
    assert_eq!(
        imms,
        [1, 0, 0, 8, -8, 0, 0, 0],
        "fd 25, fd 19 + 8, fd 7 of no map, then r0 = 0; exit"
    );
    assert_eq!(request.spec.insns[7], RawInsn::new(0x95, 0, 0, 0, 0));
}

#[test]
fn what_is_not_said_is_empty() {
    let request =
        one(r#"{"id":"x","prog_type":1,"insns":"9500000000000000","license":""}"#).unwrap();
    assert_eq!(
        (request.verdict, request.errno, request.prog.as_str()),
        (None, None, "x")
    );
    assert_eq!(request.spec.insns.len(), 1);
    assert!(request.spec.btf.is_none() && request.spec.maps.is_empty());
}

#[test]
fn errors_name_file_line_and_key() {
    let sound = r#"{"id":"x","prog_type":1,"insns":"9500000000000000","license":""}"#;
    let with = |more: &str| sound.replace('}', &format!(",{more}}}"));
    for (line, message) in [
        (
            "{",
            "is no JSON: EOF while parsing an object at line 1 column 1",
        ),
        ("[]", "`` is no object"),
        (r#"{"id":7}"#, "`id` is no text"),
        (r#"{"id":"x","license":""}"#, "`prog_type` is missing"),
        (&sound.replace(":1", ":99"), "`prog_type` is no known type"),
        (
            &sound.replace("00\"", "0\""),
            "`insns` is no even number of hex digits",
        ),
        (
            &sound.replace("0000\"", "\""),
            "`insns` is no whole number of 8-byte slots",
        ),
        (
            &with(r#""insn_cnt":2"#),
            "`insn_cnt` differs from the number of instructions",
        ),
        (&with(r#""verdict":"maybe""#), "`verdict` is no verdict"),
        (
            &with(r#""expected_attach_type":4000"#),
            "`expected_attach_type` is no known attach type",
        ),
        (
            &with(r#""btf":"../x""#),
            "`btf` cannot be had: there is no BTF named `../x`",
        ),
        (&with(r#""maps":{}"#), "`maps` is no list"),
        (
            &with(r#""maps":[{"fd":1,"type":2},7]"#),
            "`maps[1]` is no object",
        ),
        (&with(r#""maps":[{"type":2}]"#), "`maps[0].fd` is missing"),
        (
            &with(r#""maps":[{"fd":1,"type":200}]"#),
            "`maps[0].type` is no known map type",
        ),
        (
            &with(r#""maps":[{"fd":1,"type":2,"value":1,"init":"0000"}]"#),
            "`maps[0].init` is longer than the map's value",
        ),
        (
            &with(r#""maps":[{"fd":1,"type":12,"inner":{"key":1}}]"#),
            "`maps[0].inner.type` is missing",
        ),
        (
            &with(r#""func_info":"00","func_info_rec":0"#),
            "`func_info_rec` is no size of a record",
        ),
        (
            &with(r#""func_info":"00","func_info_rec":8"#),
            "`func_info` is no whole number of records",
        ),
    ] {
        let mut all = read(&format!("{sound}\n\n{line}\n{sound}\n"), &BtfStore::empty());
        assert_eq!(all.len(), 3, "the lines around it are read: {line}");
        let error = all.remove(1).unwrap_err();
        let message = message.strip_prefix("`` ").unwrap_or(message);
        assert_eq!(error.to_string(), format!("set.jsonl:3: {message}"));
        assert!(all.iter().all(Result::is_ok));
    }
}

#[test]
fn deep_nesting_and_odd_bytes_are_errors() {
    assert!(one(&"[".repeat(100_000)).is_err());
    assert!(one("{\"id\":\"\u{0}\"}").is_err());
    let source = Box::new(Cursor::new(b"\xff\xfe\n{}".to_vec()));
    let store = BtfStore::empty();
    let all: Vec<_> = RequestReader::new(Path::new("x"), source, &store).collect();
    assert!(all.len() == 2 && all.iter().all(Result::is_err));
    assert_eq!(
        RequestReader::open(Path::new("/absent"), &store)
            .err()
            .map(|e| e.line),
        Some(0)
    );
}

/// The shared corpus beside the repository.
fn shared() -> Option<PathBuf> {
    let root = match std::env::var_os("SKEP_CORPUS") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus"),
    };
    root.join("loads").is_dir().then_some(root)
}

#[test]
fn every_recorded_request_is_read() {
    let Some(root) = shared() else {
        return eprintln!("skipped: needs the shared corpus (SKEP_CORPUS)");
    };
    let store = BtfStore::open(&root.join("loads/btf.tar.xz")).unwrap();
    for (set, requests, accepted) in [
        ("xdp-tools-1.3", 95, 95),
        ("libbpf-tools-0.26", 215, 171),
        ("selftests-6.12", 3096, 1833),
        ("selftests-6.12.guest-6.18.15", 353, 196),
        ("libbpf-tools-0.26.guest-6.18.15", 59, 58),
    ] {
        let path = root.join(format!("loads/{set}.jsonl.xz"));
        let (mut seen, mut success) = (0, 0);
        for request in RequestReader::open(&path, &store).unwrap() {
            let request = request.unwrap();
            assert!(!request.spec.insns.is_empty(), "{}", request.id);
            seen += 1;
            success += usize::from(request.verdict == Some(Recorded::Success));
        }
        assert_eq!((seen, success), (requests, accepted), "{set}");
    }
    let rows = read_set(&root.join("verdicts/selftests-6.12.csv")).unwrap();
    assert_eq!(rows.len(), 3423);
    assert_eq!(
        rows.iter()
            .filter(|r| r.verdict == Recorded::Failure)
            .count(),
        973
    );
}

#[test]
fn recorded_kernels_types_are_read_compressed() {
    let Some(root) = shared() else {
        return eprintln!("skipped: needs the shared corpus (SKEP_CORPUS)");
    };
    let path = root.join("../btf/6.18.44-live.btf.zst");
    let btf = skep_corpus::read_btf(&path).unwrap();
    assert!(
        btf.find_by_name(skep_btf::Kind::Struct, "task_struct")
            .is_some()
    );
}
