//! The running kernel answers as it should. Without one, each test says what it lacks and ends.
//!
//! Programs are of plain types and are only loaded and test-run; nothing is attached.

use std::sync::Arc;

use skep_isa::{RawInsn, pseudo};
use skep_kernel::{
    Answer, Errno, Kernel, LoadOptions, LoadedObject, NotJudged, RunRequest, available,
};
use skep_spec::{
    AttachType, MapFlags, MapSpec, MapType, ObjectSpec, ProgType, ProgramSpec, Unresolved,
};

fn kernel() -> Option<Kernel> {
    match Kernel::open() {
        Ok(kernel) => Some(kernel),
        Err(reason) => {
            eprintln!("skipped: {reason}");
            None
        }
    }
}

const EXIT: RawInsn = RawInsn::new(0x95, 0, 0, 0, 0);

fn mov(dst: u8, imm: i32) -> RawInsn {
    RawInsn::new(0xb7, dst, 0, 0, imm)
}

fn ld_map(dst: u8, kind: u8, index: i32) -> [RawInsn; 2] {
    [RawInsn::new(0x18, dst, kind, 0, index), RawInsn::default()]
}

fn xdp(name: &str, insns: &[RawInsn]) -> ProgramSpec {
    let mut spec = ProgramSpec::new(name, ProgType::Xdp, insns.to_vec());
    spec.attach = AttachType::Xdp;
    spec
}

/// A packet that is long enough for every kernel.
fn packet() -> RunRequest {
    RunRequest {
        data: (0..64).collect(),
        data_out: 256,
        ..RunRequest::default()
    }
}

#[test]
fn being_available_and_opening_agree() {
    assert_eq!(available().is_ok(), Kernel::open().is_ok());
}

#[test]
fn a_sound_program_is_accepted_and_runs() {
    let Some(kernel) = kernel() else { return };
    let outcome = kernel.load(&xdp("two", &[mov(0, 2), EXIT]), &LoadOptions::default());
    assert_eq!(
        (outcome.answer, outcome.errno),
        (Answer::Accepted, None),
        "{}",
        outcome.log
    );
    assert_eq!(outcome.message, "");
    let stats = outcome.stats.unwrap();
    assert_eq!((stats.total_insns, stats.stack_depth), (2, Some(vec![0])));
    let program = outcome.program.unwrap();
    let run = program.test_run(&packet()).unwrap();
    assert_eq!((run.retval, run.data_cut), (2, false));
    assert_eq!(run.data, packet().data);
    let short = RunRequest {
        data_out: 10,
        ..packet()
    };
    assert_eq!(program.test_run(&short).unwrap_err(), Errno::NOSPC);
    let live = RunRequest {
        flags: 2,
        ..packet()
    };
    assert_eq!(
        program.test_run(&live).unwrap_err(),
        Errno::PERM,
        "live frames"
    );
    let info = program.info().unwrap();
    assert_eq!((info.name.as_str(), info.verified_insns), ("two", 2));
    assert_eq!(info.xlated.last(), Some(&EXIT));
}

#[test]
fn an_unsound_program_is_rejected_with_the_kernels_words() {
    let Some(kernel) = kernel() else { return };
    for options in [
        LoadOptions::default(),
        LoadOptions::quiet(),
        LoadOptions::verbose(),
    ] {
        let outcome = kernel.load(&xdp("none", &[EXIT]), &options);
        assert_eq!(
            (outcome.answer, outcome.errno),
            (Answer::Rejected, Some(Errno::ACCES))
        );
        assert_eq!(outcome.message, "R0 !read_ok");
        assert!(outcome.program.is_none());
    }
}

#[test]
fn a_slot_without_a_map_is_the_programs_fault() {
    let Some(kernel) = kernel() else { return };
    let [a, b] = ld_map(1, pseudo::MAP_FD, 3);
    let outcome = kernel.load(
        &xdp("nomap", &[a, b, mov(0, 0), EXIT]),
        &LoadOptions::default(),
    );
    assert_eq!(
        (outcome.answer, outcome.errno),
        (Answer::Rejected, Some(Errno::INVAL))
    );
    assert!(
        outcome
            .message
            .ends_with("is not pointing to valid bpf_map"),
        "{}",
        outcome.message
    );
}

#[test]
fn what_is_no_verdict_is_not_called_one() {
    let Some(kernel) = kernel() else { return };
    let reason = |spec: &ProgramSpec| match kernel.load(spec, &LoadOptions::default()).answer {
        Answer::NotJudged(reason) => reason,
        answer @ (Answer::Accepted | Answer::Rejected) => panic!("{answer:?}"),
    };
    let mut spec = ProgramSpec::new("p", ProgType::CgroupSkb, vec![mov(0, 0), EXIT]);
    spec.attach = AttachType::SkLookup;
    assert_eq!(reason(&spec), NotJudged::BeforeVerifier(Errno::INVAL));
    spec.unresolved.push(Unresolved {
        insn_idx: 0,
        what: "kfunc bpf_bees".to_owned(),
    });
    assert_eq!(
        reason(&spec),
        NotJudged::Unresolved("kfunc bpf_bees".to_owned())
    );
    let mut spec = xdp("p", &[mov(0, 0), EXIT]);
    spec.maps
        .push(Arc::new(MapSpec::new("odd", MapType::Array, 3, 4, 1)));
    let NotJudged::Map(error) = reason(&spec) else {
        panic!("{:?}", reason(&spec))
    };
    assert_eq!(error.to_string(), "map `odd`: cannot be created: EINVAL");
    let mut spec = xdp("p", &[mov(0, 0), EXIT]);
    spec.license = "G\0PL".to_owned();
    assert!(matches!(reason(&spec), NotJudged::BadRequest(_)));
}

#[test]
fn a_log_grows_until_it_fits_and_its_cap_hides_no_verdict() {
    let Some(kernel) = kernel() else { return };
    let mut insns = vec![mov(0, 0); 40_000];
    insns.push(EXIT);
    let spec = xdp("long", &insns);
    let whole = kernel.load(&spec, &LoadOptions::verbose());
    assert_eq!(whole.answer, Answer::Accepted);
    assert!(
        whole.log.len() > 1 << 20,
        "the first buffer would have sufficed"
    );
    assert!(whole.log.contains("\n39999: ") && whole.stats.is_some());
    let capped = kernel.load(
        &spec,
        &LoadOptions {
            log_cap: 4096,
            ..LoadOptions::verbose()
        },
    );
    assert_eq!(capped.answer, Answer::Accepted);
    assert!(capped.log.len() <= 4096 && !capped.log.is_empty());
    insns.pop();
    let capped = LoadOptions {
        log_cap: 4096,
        ..LoadOptions::verbose()
    };
    let outcome = kernel.load(&xdp("endless", &insns), &capped);
    assert_eq!(
        (outcome.answer, outcome.errno),
        (Answer::Rejected, Some(Errno::INVAL))
    );
    let silent = LoadOptions {
        log_level: 0,
        ..LoadOptions::default()
    };
    let outcome = kernel.load(&spec, &silent);
    assert_eq!(
        (outcome.answer, outcome.log.as_str()),
        (Answer::Accepted, "")
    );
}

#[test]
fn maps_are_read_and_written() {
    let Some(kernel) = kernel() else { return };
    let spec = Arc::new(MapSpec::new("hash", MapType::Hash, 4, 3, 8));
    let map = kernel.create_map(&spec).unwrap();
    assert_eq!((map.key_bytes(), map.value_bytes()), (4, 3));
    assert_eq!(map.next_key(None), Ok(None));
    map.update(&[1, 0, 0, 0], b"abc", 0).unwrap();
    map.update(&[2, 0, 0, 0], b"def", 1).unwrap();
    assert_eq!(map.update(&[2, 0, 0, 0], b"ghi", 1), Err(Errno::EXIST));
    assert_eq!(map.update(&[2, 0, 0, 0], b"toolong", 0), Err(Errno::INVAL));
    assert_eq!(map.lookup(&[2, 0, 0]), Err(Errno::INVAL));
    assert_eq!(map.lookup(&[2, 0, 0, 0]).unwrap(), b"def");
    let mut entries = map.entries(10).unwrap();
    entries.sort();
    assert_eq!(entries[0], (vec![1, 0, 0, 0], b"abc".to_vec()));
    assert_eq!((entries.len(), map.entries(1).unwrap().len()), (2, 1));
    map.delete(&[2, 0, 0, 0]).unwrap();
    assert_eq!(map.lookup(&[2, 0, 0, 0]), Err(Errno::NOENT));
    assert_eq!(map.info().unwrap().name, "hash");
}

#[test]
fn a_per_cpu_map_has_a_value_for_each_cpu() {
    let Some(kernel) = kernel() else { return };
    let mut spec = MapSpec::new("percpu", MapType::PercpuArray, 4, 5, 1);
    spec.init = Some(vec![1, 2, 3, 4, 5]);
    let map = kernel.create_map(&Arc::new(spec)).unwrap();
    assert_eq!(map.value_bytes(), 8 * kernel.cpus());
    let value = map.lookup(&[0; 4]).unwrap();
    assert!(
        value.chunks(8).all(|cpu| cpu == [1, 2, 3, 4, 5, 0, 0, 0]),
        "{value:?}"
    );
}

#[test]
fn special_maps_are_made_as_the_kernel_wants_them() {
    let Some(kernel) = kernel() else { return };
    let mut devmap = MapSpec::new("devs", MapType::Devmap, 4, 4, 4);
    devmap.flags = MapFlags::RDONLY_PROG;
    let map = kernel.create_map(&Arc::new(devmap)).unwrap();
    assert!(
        map.info().unwrap().flags.contains(MapFlags::RDONLY_PROG),
        "the kernel adds it"
    );
    let ring = MapSpec::new("ring", MapType::Ringbuf, 0, 0, 5000);
    let map = kernel.create_map(&Arc::new(ring)).unwrap();
    assert_eq!(map.info().unwrap().max_entries % 4096, 0);
    let events = MapSpec::new("events", MapType::PerfEventArray, 4, 4, 0);
    let map = kernel.create_map(&Arc::new(events)).unwrap();
    assert_eq!(map.info().unwrap().max_entries as usize, kernel.cpus());
    let mut inner = MapSpec::new("outer", MapType::ArrayOfMaps, 4, 4, 2);
    inner.inner = Some(Box::new(MapSpec::new("inner", MapType::Array, 4, 4, 1)));
    kernel.create_map(&Arc::new(inner)).unwrap();
    let error = kernel
        .create_map(&Arc::new(MapSpec::new(
            "outer",
            MapType::ArrayOfMaps,
            4,
            4,
            2,
        )))
        .unwrap_err();
    assert_eq!(error.map, "outer");
}

/// `r0 = *(u32 *)(global data of map 0)`
fn read_global(name: &str, data: &Arc<MapSpec>) -> ProgramSpec {
    let [a, b] = ld_map(1, pseudo::MAP_VALUE, 0);
    let mut spec = xdp(name, &[a, b, RawInsn::new(0x61, 0, 1, 0, 0), EXIT]);
    spec.maps.push(Arc::clone(data));
    spec
}

fn global_data() -> Arc<MapSpec> {
    let mut data = MapSpec::new(".rodata", MapType::Array, 4, 8, 1);
    data.init = Some(vec![7, 1]);
    data.flags = MapFlags::RDONLY_PROG;
    data.frozen = true;
    Arc::new(data)
}

#[test]
fn global_data_is_written_and_frozen() {
    let Some(kernel) = kernel() else { return };
    let outcome = kernel.load(
        &read_global("global", &global_data()),
        &LoadOptions::default(),
    );
    let program = outcome.program.unwrap_or_else(|| panic!("{}", outcome.log));
    assert_eq!(program.test_run(&packet()).unwrap().retval, 0x107);
    let map = program.map(".rodata").unwrap();
    assert_eq!(map.update(&[0; 4], &[0; 8], 0), Err(Errno::PERM));
    assert_eq!(program.info().unwrap().map_ids, [map.info().unwrap().id]);
}

/// Calls slot `index` of map 0, a prog_array; returns 1 if that is empty.
fn tail_caller(name: &str, array: &Arc<MapSpec>, index: i32) -> ProgramSpec {
    let [a, b] = ld_map(2, pseudo::MAP_FD, 0);
    let call = RawInsn::new(0x85, 0, 0, 0, 12);
    let mut spec = xdp(name, &[a, b, mov(3, index), call, mov(0, 1), EXIT]);
    spec.maps.push(Arc::clone(array));
    spec
}

#[test]
fn an_object_shares_maps_and_fills_its_slots() {
    let Some(kernel) = kernel() else { return };
    let mut array = MapSpec::new("jumps", MapType::ProgArray, 4, 4, 4);
    array.slots = vec![(1, "target".to_owned()), (2, "absent".to_owned())];
    let array = Arc::new(array);
    let data = global_data();
    let object = ObjectSpec {
        name: "object".to_owned(),
        maps: vec![Arc::clone(&array), Arc::clone(&data)],
        programs: vec![
            tail_caller("main", &array, 1),
            read_global("target", &data),
            read_global("unasked", &data),
        ],
        ..ObjectSpec::default()
    };
    let options = LoadOptions::default();
    let loaded = LoadedObject::load(&kernel, &object, |p| p.name == "main", &options);
    let names: Vec<_> = loaded.programs.iter().map(|p| p.0.as_str()).collect();
    assert_eq!(names, ["main", "target"]);
    let run = |name: &str| {
        loaded
            .program(name)
            .unwrap()
            .test_run(&packet())
            .unwrap()
            .retval
    };
    assert_eq!((run("main"), run("target")), (0x107, 0x107));
    assert_eq!(loaded.slot_errors.len(), 1);
    assert_eq!(
        (
            loaded.slot_errors[0].symbol.as_str(),
            loaded.slot_errors[0].errno
        ),
        ("absent", None)
    );
    let target = loaded.program("target").unwrap();
    assert!(Arc::ptr_eq(
        target.map(".rodata").unwrap(),
        loaded.map(".rodata").unwrap()
    ));
}

#[test]
fn a_map_of_maps_holds_the_objects_other_maps() {
    let Some(kernel) = kernel() else { return };
    let data = Arc::new(MapSpec::new("one", MapType::Array, 4, 4, 1));
    let mut outer = MapSpec::new("outer", MapType::HashOfMaps, 8, 4, 2);
    outer.inner = Some(Box::new(MapSpec::new("inner", MapType::Array, 4, 4, 1)));
    outer.slots = vec![(5, "one".to_owned())];
    let object = ObjectSpec {
        maps: vec![data, Arc::new(outer)],
        ..ObjectSpec::default()
    };
    let loaded = LoadedObject::load(&kernel, &object, |_| true, &LoadOptions::default());
    assert_eq!(loaded.slot_errors, []);
    let id = loaded.map("one").unwrap().info().unwrap().id;
    let slot = loaded
        .map("outer")
        .unwrap()
        .lookup(&[5, 0, 0, 0, 0, 0, 0, 0])
        .unwrap();
    assert_eq!(slot, id.to_ne_bytes());
}
