//! Maps of programs, maps, events, devices, sockets and kernel objects against plain models, under random
//! sequences of operations.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use common::Kernel;
use proptest::prelude::*;
use skep_sim::{Errno, MapId, map_flags};
use skep_spec::{AttachType, MapFlags, MapSpec, MapType, ProgType};

const MAP: MapId = MapId(0);

/// One step: what is done, to which key, with which value and flags.
type Step = (u8, u32, u32, u64);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let flags = prop_oneof![4 => Just(0), 1 => Just(1), 1 => Just(2), 1 => 3u64..9];
    prop::collection::vec((0u8..5, 0u32..7, 0u32..6, flags), 1..80)
}

fn kernel(spec: MapSpec) -> Kernel {
    Kernel::new(&[Arc::new(spec)])
}

/// What distinguishes the types that hold numbers.
struct Rules {
    ty: MapType,
    value_size: u32,
    max: u32,
    /// Keys are indexes below the number of entries.
    is_array: bool,
    /// What an update may be refused for, given flags, whether the key is there, and the number.
    refuses: fn(u64, bool, u32) -> Option<Errno>,
    /// What a deletion of a missing key gives, and one beyond an array's end.
    missing: Result<(), Errno>,
    beyond: Result<(), Errno>,
    /// A number that takes the entry out instead.
    removes: Option<u32>,
    /// What user space's lookup gives, if not the number.
    lookup: Option<Errno>,
}

fn only_any(flags: u64, _: bool, _: u32) -> Option<Errno> {
    (flags != 0).then_some(Errno::INVAL)
}

fn like_hash(flags: u64, found: bool, _: u32) -> Option<Errno> {
    match flags {
        map_flags::NOEXIST if found => Some(Errno::EXIST),
        map_flags::EXIST if !found => Some(Errno::NOENT),
        3.. => Some(Errno::INVAL),
        _ => None,
    }
}

/// There is never "nothing" in a devmap's array.
fn like_devmap(flags: u64, _: bool, _: u32) -> Option<Errno> {
    match flags {
        map_flags::NOEXIST => Some(Errno::EXIST),
        3.. => Some(Errno::INVAL),
        _ => None,
    }
}

fn like_devmap_hash(flags: u64, found: bool, number: u32) -> Option<Errno> {
    match flags {
        3.. => Some(Errno::INVAL),
        _ if number == 0 => Some(Errno::INVAL),
        map_flags::NOEXIST if found => Some(Errno::EXIST),
        _ => None,
    }
}

fn rules() -> Vec<Rules> {
    let array = Rules {
        ty: MapType::ProgArray,
        value_size: 4,
        max: 4,
        is_array: true,
        refuses: only_any,
        missing: Err(Errno::NOENT),
        beyond: Err(Errno::TOOBIG),
        removes: None,
        lookup: None,
    };
    vec![
        Rules { ..array },
        Rules {
            ty: MapType::CgroupArray,
            ..array
        },
        Rules {
            ty: MapType::ArrayOfMaps,
            ..array
        },
        Rules {
            ty: MapType::HashOfMaps,
            is_array: false,
            refuses: like_hash,
            ..array
        },
        Rules {
            ty: MapType::Devmap,
            refuses: like_devmap,
            missing: Ok(()),
            beyond: Err(Errno::INVAL),
            removes: Some(0),
            ..array
        },
        Rules {
            ty: MapType::DevmapHash,
            is_array: false,
            refuses: like_devmap_hash,
            ..array
        },
        Rules {
            ty: MapType::Xskmap,
            refuses: like_hash,
            missing: Ok(()),
            beyond: Err(Errno::INVAL),
            lookup: Some(Errno::OPNOTSUPP),
            ..array
        },
        Rules {
            ty: MapType::Sockmap,
            value_size: 8,
            refuses: like_hash,
            missing: Err(Errno::INVAL),
            beyond: Err(Errno::INVAL),
            ..array
        },
        Rules {
            ty: MapType::Sockhash,
            value_size: 8,
            is_array: false,
            refuses: like_hash,
            ..array
        },
        Rules {
            ty: MapType::ReuseportSockarray,
            value_size: 8,
            refuses: like_hash,
            ..array
        },
    ]
}

fn follows(rules: &Rules, steps: &[Step]) {
    let mut kernel = kernel(MapSpec::new("m", rules.ty, 4, rules.value_size, rules.max));
    let mut model: BTreeMap<u32, u32> = BTreeMap::new();
    for step in steps {
        let &(action, key, number, flags) = step;
        let name = key.to_le_bytes();
        let outside = rules.is_array && key >= rules.max;
        let found = model.contains_key(&key);
        match action {
            0..=2 => {
                let full = !rules.is_array && !found && model.len() >= rules.max as usize;
                let want = match (rules.refuses)(flags, found, number) {
                    Some(Errno::INVAL) => Err(Errno::INVAL),
                    _ if outside => Err(Errno::TOOBIG),
                    Some(errno) => Err(errno),
                    None if full => Err(Errno::TOOBIG),
                    None => Ok(()),
                };
                let mut value = number.to_le_bytes().to_vec();
                value.resize(rules.value_size as usize, 0);
                let got = kernel.sim.map_update(MAP, &name, &value, flags);
                assert_eq!(got, want, "{} {step:?}", rules.ty);
                if want.is_ok() {
                    if rules.removes == Some(number) {
                        model.remove(&key);
                    } else {
                        model.insert(key, number);
                    }
                }
            }
            3 => {
                let want = match model.remove(&key) {
                    _ if outside => rules.beyond,
                    Some(_) => Ok(()),
                    None => rules.missing,
                };
                let got = kernel.sim.map_delete(MAP, &name);
                assert_eq!(got, want, "{} {step:?}", rules.ty);
            }
            _ => {
                let want = match (rules.lookup, model.get(&key)) {
                    (Some(errno), _) => Err(errno),
                    (None, Some(number)) => {
                        let mut value = number.to_le_bytes().to_vec();
                        value.resize(rules.value_size as usize, 0);
                        Ok(value)
                    }
                    (None, None) => Err(Errno::NOENT),
                };
                let got = kernel.sim.map_lookup(MAP, &name);
                assert_eq!(got, want, "{} {step:?}", rules.ty);
            }
        }
    }
    if rules.lookup.is_none() {
        let entries = kernel.sim.map_entries(MAP).unwrap();
        assert_eq!(entries.len(), model.len(), "{}", rules.ty);
    }
}

/// Walks a map by its keys.
fn keys(kernel: &Kernel, most: usize) -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = Vec::new();
    while let Ok(key) = kernel.sim.map_next_key(MAP, keys.last().map(Vec::as_slice)) {
        keys.push(key);
        assert!(keys.len() <= most, "the walk does not end");
    }
    keys
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn maps_of_numbers_follow_their_rules(steps in steps()) {
        for rules in rules() {
            follows(&rules, &steps);
        }
    }

    #[test]
    fn cpu_maps_hold_queues_of_cpus_that_exist(steps in steps()) {
        let mut kernel = kernel(MapSpec::new("m", MapType::Cpumap, 4, 4, 4));
        let mut model: BTreeMap<u32, u32> = BTreeMap::new();
        for (action, key, number, flags) in steps {
            let (name, value) = (key.to_le_bytes(), (number * 8192).to_le_bytes());
            let want = match flags {
                3.. => Err(Errno::INVAL),
                _ if key >= 4 => Err(Errno::TOOBIG),
                map_flags::NOEXIST => Err(Errno::EXIST),
                _ if number * 8192 > 16384 => Err(Errno::OVERFLOW),
                // Two CPUs exist.
                _ if key >= 2 => Err(Errno::NODEV),
                _ => Ok(()),
            };
            if action < 3 {
                prop_assert_eq!(kernel.sim.map_update(MAP, &name, &value, flags), want);
                if want.is_ok() && number == 0 {
                    model.remove(&key);
                } else if want.is_ok() {
                    model.insert(key, number * 8192);
                }
            } else if action == 3 {
                let want = if key < 4 { Ok(()) } else { Err(Errno::INVAL) };
                prop_assert_eq!(kernel.sim.map_delete(MAP, &name), want);
                model.remove(&key);
            } else {
                let want = model.get(&key).map(|n| n.to_le_bytes().to_vec());
                prop_assert_eq!(kernel.sim.map_lookup(MAP, &name).ok(), want);
            }
        }
    }

    #[test]
    fn walks_meet_every_key_once(numbers in prop::collection::btree_set(1u32..50, 0..8)) {
        for ty in [MapType::HashOfMaps, MapType::DevmapHash, MapType::Sockhash] {
            let value_size = if ty == MapType::Sockhash { 8 } else { 4 };
            let mut kernel = kernel(MapSpec::new("m", ty, 4, value_size, 8));
            for number in &numbers {
                let mut value = number.to_le_bytes().to_vec();
                value.resize(value_size as usize, 0);
                kernel.sim.map_update(MAP, &number.to_le_bytes(), &value, 0).unwrap();
            }
            let mut found: Vec<_> = keys(&kernel, 8);
            found.sort();
            let mut want: Vec<_> = numbers.iter().map(|n| n.to_le_bytes().to_vec()).collect();
            want.sort();
            prop_assert_eq!(found, want, "{}", ty);
        }
    }

    #[test]
    fn storage_belongs_to_its_object(steps in prop::collection::vec((0u8..4, 1u64..5, any::<u8>()), 1..60)) {
        let types = [
            (MapType::SkStorage, "sk_storage"),
            (MapType::TaskStorage, "task_storage"),
            (MapType::InodeStorage, "inode_storage"),
            (MapType::CgrpStorage, "cgrp_storage"),
        ];
        for (ty, helper) in types {
            let mut spec = MapSpec::new("m", ty, 4, 8, 0);
            spec.flags = MapFlags::NO_PREALLOC;
            let mut kernel = kernel(spec);
            let handle = kernel.sim.maps().handle(MAP);
            let mut model: BTreeMap<u64, u8> = BTreeMap::new();
            for &(action, object, byte) in &steps {
                let object = object << 12;
                let (get, delete) = (format!("{helper}_get"), format!("{helper}_delete"));
                match action {
                    0 | 1 => {
                        let create = u64::from(action);
                        let at = kernel.call(&get, &[handle, object, 0, create]).unwrap();
                        let exists = model.contains_key(&object) || action == 1;
                        prop_assert_eq!(at != 0, exists, "{}", ty);
                        if at != 0 {
                            let old = model.entry(object).or_insert(0);
                            prop_assert_eq!(kernel.get(at, 8), vec![*old; 8]);
                            kernel.fill(at, 8, byte);
                            *old = byte;
                        }
                    }
                    2 => {
                        let want = model.remove(&object).map(drop).ok_or(Errno::NOENT);
                        prop_assert_eq!(kernel.status(&delete, &[handle, object]), want);
                    }
                    _ => {
                        let at = kernel.call(&get, &[handle, object, 0, 2]).unwrap();
                        prop_assert_eq!(at, 0, "a flag that does not exist");
                    }
                }
            }
        }
    }

    #[test]
    fn user_ring_buffers_hold_what_fits(lens in prop::collection::vec(0usize..1500, 1..20)) {
        let mut kernel = kernel(MapSpec::new("m", MapType::UserRingbuf, 0, 0, 4096));
        let (mut used, mut waiting) = (0, VecDeque::new());
        for len in lens {
            let room = (len + 8).next_multiple_of(8);
            let want = if used + room <= 4096 { Ok(()) } else { Err(Errno::NOSPC) };
            prop_assert_eq!(kernel.sim.ring_produce(MAP, &vec![7; len]), want);
            if want.is_ok() {
                used += room;
                waiting.push_back(len);
            }
        }
        prop_assert_eq!(kernel.sim.ring_produce(MAP, &[0; 5000]), Err(Errno::TOOBIG));
        prop_assert!(!waiting.is_empty());
    }

    #[test]
    fn arenas_give_pages_that_nobody_else_has(steps in prop::collection::vec((0u8..3, 1u64..4, 0u64..8), 1..40)) {
        let mut spec = MapSpec::new("m", MapType::Arena, 0, 0, 8);
        spec.flags = MapFlags::MMAPABLE;
        let mut kernel = kernel(spec);
        let handle = kernel.sim.maps().handle(MAP);
        let user = kernel.sim.arena_address(MAP, 0).unwrap();
        let mut taken = [false; 8];
        for (action, count, page) in steps {
            let (from, to) = (page as usize, (page + count) as usize);
            match action {
                0 | 1 => {
                    let addr = if action == 0 { 0 } else { user + page * 4096 };
                    let got = kernel.kfunc("bpf_arena_alloc_pages", &[handle, addr, count, 0, 0]);
                    let fits = |at: usize| at + count as usize <= 8
                        && taken[at..at + count as usize].iter().all(|t| !t);
                    let want = if action == 0 {
                        (0..8).find(|at| fits(*at))
                    } else {
                        Some(from).filter(|at| fits(*at))
                    };
                    let address = want.map_or(0, |at| user + at as u64 * 4096);
                    prop_assert_eq!(got.unwrap(), address);
                    if let Some(at) = want {
                        taken[at..at + count as usize].fill(true);
                    }
                }
                _ => {
                    let addr = user + page * 4096;
                    kernel.kfunc("bpf_arena_free_pages", &[handle, addr, count]).unwrap();
                    taken[from..to.min(8)].fill(false);
                }
            }
        }
        // Both windows show the same place.
        let there = kernel.sim.arena_cast(MAP, user + 4104, false).unwrap();
        prop_assert_eq!(kernel.sim.arena_cast(MAP, there, true), Some(user + 4104));
        // What is not allocated is not there, and not forbidden either.
        for (page, taken) in (0u64..).zip(taken) {
            let there = kernel.sim.arena_cast(MAP, user + page * 4096 + 8, false).unwrap();
            prop_assert_eq!(kernel.sim.memory().read(there, 8).is_ok(), taken);
            prop_assert!(kernel.sim.is_in_arena(MAP, there));
        }
    }

    #[test]
    fn perf_events_take_records_of_their_cpu(index in 0u32..6, cpu in 0u32..2, ty in 0usize..2) {
        let mut kernel = kernel(MapSpec::new("m", MapType::PerfEventArray, 4, 4, 4));
        kernel.sim.cpu = cpu;
        kernel.ty = [ProgType::Kprobe, ProgType::RawTracepoint][ty];
        let data = kernel.put(&[&[5; 8]]);
        let handle = kernel.sim.maps().handle(MAP);
        let ctx = kernel.sim.context().unwrap().0;
        let want = match index {
            _ if index == cpu => Ok(()),
            0 | 1 => Err(Errno::OPNOTSUPP),
            2 | 3 => Err(Errno::NOENT),
            _ => Err(Errno::TOOBIG),
        };
        let args = [ctx, handle, index.into(), data[0], 8];
        prop_assert_eq!(kernel.status("perf_event_output", &args), want);
        prop_assert_eq!(kernel.sim.take_output().perf.len(), usize::from(want.is_ok()));
    }

    #[test]
    fn stack_traces_are_found_by_their_number(stacks in prop::collection::vec(prop::collection::vec(1u64..9, 1..6), 1..12)) {
        let mut kernel = kernel(MapSpec::new("m", MapType::StackTrace, 4, 32, 64));
        kernel.ty = ProgType::Kprobe;
        let handle = kernel.sim.maps().handle(MAP);
        let mut model: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for stack in stacks {
            kernel.sim.process.kernel_stack.clone_from(&stack);
            let ctx = kernel.sim.begin(ProgType::Kprobe, AttachType::CgroupInetIngress, &Default::default()).unwrap();
            let id = kernel.call("get_stackid", &[ctx, handle, 0]).unwrap();
            let kept: Vec<u64> = stack.into_iter().take(4).collect();
            if id as i64 >= 0 {
                let old = model.entry(id).or_insert_with(|| kept.clone());
                prop_assert_eq!(&*old, &kept);
            } else {
                prop_assert_eq!(id, Errno::EXIST.as_ret());
            }
        }
        for (id, stack) in &model {
            let mut bytes: Vec<u8> = stack.iter().flat_map(|ip| ip.to_le_bytes()).collect();
            bytes.resize(32, 0);
            let key = (*id as u32).to_le_bytes();
            prop_assert_eq!(kernel.sim.map_lookup(MAP, &key), Ok(bytes));
            prop_assert_eq!(kernel.sim.map_update(MAP, &key, &[0; 32], 0), Err(Errno::INVAL));
            prop_assert_eq!(kernel.sim.map_delete(MAP, &key), Ok(()));
            prop_assert_eq!(kernel.sim.map_delete(MAP, &key), Err(Errno::NOENT));
        }
    }

    #[test]
    fn storage_of_a_control_group_lasts_for_one_run(bytes in prop::collection::vec(any::<u8>(), 1..10)) {
        for ty in [MapType::CgroupStorage, MapType::PercpuCgroupStorage] {
            let mut kernel = kernel(MapSpec::new("m", ty, 16, 8, 0));
            kernel.ty = ProgType::CgroupSkb;
            let handle = kernel.sim.maps().handle(MAP);
            let packet = skep_sim::RunInput::packet(&[0; 60]);
            for byte in &bytes {
                kernel.sim.begin(kernel.ty, AttachType::CgroupInetEgress, &packet).unwrap();
                let at = kernel.call("get_local_storage", &[handle, 0]).unwrap();
                prop_assert_eq!(kernel.get(at, 8), vec![0; 8]);
                kernel.fill(at, 8, *byte);
                prop_assert_eq!(kernel.call("get_local_storage", &[handle, 0]).unwrap(), at);
                kernel.sim.finish(1);
            }
        }
    }

    #[test]
    fn tables_of_functions_are_set_once(steps in steps()) {
        let mut kernel = kernel(MapSpec::new("m", MapType::StructOps, 4, 8, 1));
        let mut model: Option<u8> = None;
        for (action, key, number, flags) in steps {
            let (name, value) = (key.to_le_bytes(), [number as u8; 8]);
            match action {
                0..=2 => {
                    let want = match (flags, key, model) {
                        (1.., ..) => Err(Errno::INVAL),
                        (_, 1.., _) => Err(Errno::TOOBIG),
                        (.., Some(_)) => Err(Errno::BUSY),
                        (.., None) => Ok(()),
                    };
                    prop_assert_eq!(kernel.sim.map_update(MAP, &name, &value, flags), want);
                    if want.is_ok() {
                        model = Some(number as u8);
                    }
                }
                3 => {
                    let want = model.take().map(drop).ok_or(Errno::NOENT);
                    prop_assert_eq!(kernel.sim.map_delete(MAP, &name), want);
                }
                _ => {
                    let want = if key == 0 {
                        Ok(vec![model.unwrap_or(0); 8])
                    } else {
                        Err(Errno::NOENT)
                    };
                    prop_assert_eq!(kernel.sim.map_lookup(MAP, &name), want);
                }
            }
        }
    }
}
