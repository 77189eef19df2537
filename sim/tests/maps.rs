//! Maps against plain models, under random sequences of operations.
//!
//! Programs' operations go through the helpers, user space's through the map commands; the model is
//! the same for both.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use common::Kernel;
use proptest::prelude::*;
use skep_sim::{Errno, MapId, Sim, map_flags};
use skep_spec::{MapFlags, MapSpec, MapType};

/// Who does it.
#[derive(Clone, Copy, Debug)]
enum Side {
    Program,
    User,
}

#[derive(Clone, Debug)]
enum Action {
    Update(Side, u8, u8, u64),
    Delete(Side, u8),
    Lookup(Side, u8),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let side = prop_oneof![Just(Side::Program), Just(Side::User)];
    let flags = prop_oneof![4 => Just(0), 1 => Just(1), 1 => Just(2), 1 => 3u64..12];
    let action = prop_oneof![
        4 => (side.clone(), 0u8..10, any::<u8>(), flags)
            .prop_map(|(side, key, value, flags)| Action::Update(side, key, value, flags)),
        2 => (side.clone(), 0u8..10).prop_map(|(side, key)| Action::Delete(side, key)),
        2 => (side, 0u8..10).prop_map(|(side, key)| Action::Lookup(side, key)),
    ];
    prop::collection::vec(action, 1..80)
}

/// A map under test.
struct Subject {
    kernel: Kernel,
    id: MapId,
    key_size: usize,
    value_size: usize,
}

impl Subject {
    fn new(spec: MapSpec) -> Subject {
        let (key_size, value_size) = (spec.key_size as usize, spec.value_size as usize);
        let kernel = Kernel::new(&[Arc::new(spec)]);
        Subject {
            kernel,
            id: MapId(0),
            key_size,
            value_size,
        }
    }

    fn key(&self, key: u8) -> Vec<u8> {
        let mut bytes = vec![0; self.key_size];
        bytes[0] = key;
        bytes
    }

    fn value(&self, value: u8) -> Vec<u8> {
        vec![value; self.value_size]
    }

    fn update(&mut self, side: Side, key: u8, value: u8, flags: u64) -> Result<(), Errno> {
        let (key, value) = (self.key(key), self.value(value));
        match side {
            Side::Program => self.kernel.update(self.id, &key, &value, flags),
            Side::User => self.kernel.sim.map_update(self.id, &key, &value, flags),
        }
    }

    fn delete(&mut self, side: Side, key: u8) -> Result<(), Errno> {
        let key = self.key(key);
        match side {
            Side::Program => self.kernel.delete(self.id, &key),
            Side::User => self.kernel.sim.map_delete(self.id, &key),
        }
    }

    fn lookup(&mut self, side: Side, key: u8) -> Option<Vec<u8>> {
        let key = self.key(key);
        match side {
            Side::Program => self.kernel.lookup(self.id, &key, self.value_size),
            Side::User => self.kernel.sim.map_lookup(self.id, &key).ok(),
        }
    }

    fn entries(&mut self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let entries = self.kernel.sim.map_entries(self.id).unwrap();
        entries.into_iter().map(|e| (e.key, e.value)).collect()
    }
}

fn hash_like(ty: MapType, max: u32, actions: &[Action]) {
    for flags in [MapFlags::empty(), MapFlags::NO_PREALLOC] {
        let mut spec = MapSpec::new("m", ty, 5, 12, max);
        spec.flags = flags;
        if ty == MapType::LruHash && !flags.is_empty() {
            // What makes room takes elements of its own store.
            let refused = Sim::new(&[Arc::new(spec)]).map(drop);
            assert_eq!(refused.unwrap_err().errno, Errno::NOTSUPP);
            continue;
        }
        let mut subject = Subject::new(spec);
        let mut model = BTreeMap::new();
        for action in actions {
            match *action {
                Action::Update(side, key, value, flag) => {
                    let found = model.contains_key(&key);
                    let want = match flag {
                        map_flags::NOEXIST if found => Err(Errno::EXIST),
                        map_flags::EXIST if !found => Err(Errno::NOENT),
                        3.. => Err(Errno::INVAL),
                        _ if !found && model.len() == max as usize => Err(Errno::TOOBIG),
                        _ => Ok(()),
                    };
                    assert_eq!(subject.update(side, key, value, flag), want, "{action:?}");
                    if want.is_ok() {
                        model.insert(key, value);
                    }
                }
                Action::Delete(side, key) => {
                    let want = model.remove(&key).map(drop).ok_or(Errno::NOENT);
                    assert_eq!(subject.delete(side, key), want, "{action:?}");
                }
                Action::Lookup(side, key) => {
                    let want = model.get(&key).map(|&value| subject.value(value));
                    assert_eq!(subject.lookup(side, key), want, "{action:?}");
                }
            }
        }
        let want: BTreeMap<_, _> = model
            .iter()
            .map(|(&key, &value)| (subject.key(key), subject.value(value)))
            .collect();
        assert_eq!(subject.entries(), want);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn hash_maps_are_maps(actions in actions(), max in 1u32..12) {
        hash_like(MapType::Hash, max, &actions);
    }

    #[test]
    fn lru_maps_that_do_not_overflow_are_maps(actions in actions()) {
        hash_like(MapType::LruHash, 10, &actions);
    }

    #[test]
    fn lru_maps_make_room_and_keep_what_is_new(keys in prop::collection::vec(0u8..40, 1..120)) {
        let mut subject = Subject::new(MapSpec::new("m", MapType::LruHash, 5, 12, 6));
        let mut latest = BTreeMap::new();
        for (i, key) in keys.into_iter().enumerate() {
            subject.update(Side::Program, key, i as u8, 0).unwrap();
            latest.insert(subject.key(key), subject.value(i as u8));
            let wanted = subject.value(i as u8);
            prop_assert_eq!(subject.lookup(Side::User, key), Some(wanted));
            let entries = subject.entries();
            prop_assert!(entries.len() <= 6);
            prop_assert!(entries.iter().all(|(key, value)| latest.get(key) == Some(value)));
        }
    }

    #[test]
    fn arrays_are_arrays(actions in actions(), max in 1u32..10) {
        let mut subject = Subject::new(MapSpec::new("m", MapType::Array, 4, 13, max));
        let mut model = vec![0; max as usize];
        for action in &actions {
            match *action {
                Action::Update(side, key, value, flag) => {
                    let slot = model.get_mut(usize::from(key));
                    let user = matches!(side, Side::User);
                    let locked = flag & map_flags::LOCK != 0;
                    let want = match (slot, flag & !map_flags::LOCK) {
                        (_, 3..) => Err(Errno::INVAL),
                        _ if locked && user => Err(Errno::INVAL),
                        (None, _) => Err(Errno::TOOBIG),
                        (_, map_flags::NOEXIST) => Err(Errno::EXIST),
                        // No lock in the value.
                        _ if locked => Err(Errno::INVAL),
                        (Some(slot), _) => {
                            *slot = value;
                            Ok(())
                        }
                    };
                    prop_assert_eq!(subject.update(side, key, value, flag), want, "{:?}", action);
                }
                Action::Delete(side, key) => {
                    prop_assert_eq!(subject.delete(side, key), Err(Errno::INVAL));
                }
                Action::Lookup(side, key) => {
                    let want = model.get(usize::from(key)).map(|&value| subject.value(value));
                    prop_assert_eq!(subject.lookup(side, key), want);
                }
            }
        }
        prop_assert_eq!(subject.entries().len(), max as usize);
    }

    #[test]
    fn per_cpu_values_are_apart(writes in prop::collection::vec((0u32..2, 0u8..4, any::<u8>()), 1..40)) {
        for ty in [MapType::PercpuArray, MapType::PercpuHash, MapType::LruPercpuHash] {
            let mut subject = Subject::new(MapSpec::new("m", ty, 4, 12, 4));
            let mut model: BTreeMap<(u8, u32), u8> = BTreeMap::new();
            for &(cpu, key, value) in &writes {
                subject.kernel.sim.cpu = cpu;
                subject.update(Side::Program, key, value, 0).unwrap();
                model.insert((key, cpu), value);
                let got = subject.lookup(Side::User, key).unwrap();
                let parts: Vec<_> = (0..2)
                    .map(|cpu| model.get(&(key, cpu)).copied().unwrap_or(0))
                    .collect();
                prop_assert_eq!(&got[..12], &vec![parts[0]; 12][..], "{}", ty);
                prop_assert_eq!(&got[16..28], &vec![parts[1]; 12][..], "{}", ty);
            }
        }
    }

    #[test]
    fn tries_find_the_longest_prefix(
        steps in prop::collection::vec((0u8..3, 0u32..34, any::<[u8; 4]>(), any::<u8>()), 1..60),
    ) {
        let mut spec = MapSpec::new("m", MapType::LpmTrie, 8, 1, 12);
        spec.flags = MapFlags::NO_PREALLOC;
        let mut kernel = Kernel::new(&[Arc::new(spec)]);
        let id = MapId(0);
        // A model that knows nothing of trees: prefixes as numbers.
        let mut model: BTreeMap<(u32, u32), u8> = BTreeMap::new();
        for (action, bits, data, value) in steps {
            let data = data.map(|byte| byte & 0xc1);
            let network = |bits: u32| {
                u32::from_be_bytes(data).checked_shr(32 - bits.min(32)).unwrap_or(0)
            };
            let key = [bits.to_le_bytes(), data].concat();
            let old = model.contains_key(&(bits, network(bits)));
            match action {
                0 => {
                    let want = match bits {
                        33.. => Err(Errno::INVAL),
                        _ if !old && model.len() == 12 => Err(Errno::NOSPC),
                        _ => Ok(()),
                    };
                    prop_assert_eq!(kernel.update(id, &key, &[value], 0), want);
                    if want.is_ok() {
                        model.insert((bits, network(bits)), value);
                    }
                }
                1 => {
                    let want = match model.remove(&(bits, network(bits))) {
                        _ if bits > 32 => Err(Errno::INVAL),
                        Some(_) => Ok(()),
                        None => Err(Errno::NOENT),
                    };
                    prop_assert_eq!(kernel.sim.map_delete(id, &key), want);
                }
                _ => {
                    let longest = (0..=bits)
                        .rev()
                        .find_map(|len| model.get(&(len, network(len))).copied())
                        .filter(|_| bits <= 32);
                    let got = kernel.lookup(id, &key, 1);
                    prop_assert_eq!(got, longest.map(|value| vec![value]));
                }
            }
            prop_assert_eq!(kernel.sim.map_entries(id).unwrap().len(), model.len());
        }
    }

    #[test]
    fn queues_and_stacks_keep_their_order(
        steps in prop::collection::vec((0u8..4, any::<u8>(), 0u64..5), 1..60),
    ) {
        for ty in [MapType::Queue, MapType::Stack] {
            let mut kernel = Kernel::new(&[Arc::new(MapSpec::new("m", ty, 0, 3, 4))]);
            let mut model: VecDeque<u8> = VecDeque::new();
            for &(action, value, flag) in &steps {
                let next = if ty == MapType::Queue { model.front() } else { model.back() };
                let next = next.map(|&value| vec![value; 3]);
                match action {
                    0 | 1 => {
                        let want = match flag {
                            1 | 3.. => Err(Errno::INVAL),
                            0 if model.len() == 4 => Err(Errno::TOOBIG),
                            _ => Ok(()),
                        };
                        prop_assert_eq!(kernel.push(MapId(0), &[value; 3], flag), want);
                        if want.is_ok() {
                            if model.len() == 4 {
                                model.pop_front();
                            }
                            model.push_back(value);
                        }
                    }
                    2 => {
                        prop_assert_eq!(kernel.pop(MapId(0), 3), next);
                        if ty == MapType::Queue { model.pop_front() } else { model.pop_back() };
                    }
                    _ => {
                        prop_assert_eq!(kernel.peek(MapId(0), 3), next.clone());
                        prop_assert_eq!(kernel.sim.map_lookup(MapId(0), &[]).ok(), next);
                    }
                }
            }
        }
    }

    #[test]
    fn bloom_filters_never_forget(values in prop::collection::vec(any::<u64>(), 1..50)) {
        let mut kernel = Kernel::new(&[Arc::new(MapSpec::new("m", MapType::BloomFilter, 0, 8, 100))]);
        for value in &values {
            kernel.push(MapId(0), &value.to_le_bytes(), 0).unwrap();
        }
        prop_assert!(values.iter().all(|v| kernel.contains(MapId(0), &v.to_le_bytes())));
        let wrong = (0..1000u64)
            .map(|i| i.wrapping_mul(0x1234_5678_9abc_def1) ^ 0xfeed)
            .filter(|v| !values.contains(v) && kernel.contains(MapId(0), &v.to_le_bytes()))
            .count();
        prop_assert!(wrong < 100, "{} of 1000", wrong);
    }

    #[test]
    fn ring_buffers_hand_over_in_order(
        steps in prop::collection::vec((0u8..5, 0u64..1500, any::<u8>()), 1..60),
    ) {
        let mut kernel = Kernel::new(&[Arc::new(MapSpec::new("m", MapType::Ringbuf, 0, 0, 4096))]);
        let id = MapId(0);
        // Reserved records in order: address, length, and what becomes of them.
        let mut model: VecDeque<(u64, u64, Option<Option<u8>>)> = VecDeque::new();
        for (action, len, fill) in steps {
            let used: u64 = model.iter().map(|r| (r.1 + 8).next_multiple_of(8)).sum();
            let fits = used + (len + 8).next_multiple_of(8) <= 4095;
            match action {
                0 | 1 => {
                    let at = kernel.ring_reserve(id, len);
                    prop_assert_eq!(at.is_some(), fits);
                    model.extend(at.map(|at| (at, len, None)));
                }
                2 | 3 => {
                    let Some(record) = model.iter_mut().find(|r| r.2.is_none()) else { continue };
                    let keep = action == 2;
                    kernel.fill(record.0, record.1, fill);
                    prop_assert!(kernel.ring_finish(record.0, keep));
                    prop_assert!(!kernel.ring_finish(record.0, keep));
                    record.2 = Some(keep.then_some(fill));
                }
                _ => {
                    let got = kernel.sim.ring_consume(id);
                    let mut want = Vec::new();
                    while let Some(&(_, len, Some(fate))) = model.front() {
                        model.pop_front();
                        want.extend(fate.map(|fill| vec![fill; len as usize]));
                    }
                    let got: Vec<_> = got.into_iter().map(|r| r.data).collect();
                    prop_assert_eq!(got, want);
                }
            }
        }
    }
}

#[test]
fn maps_of_maps_lead_to_maps() {
    let mut outer = MapSpec::new("outer", MapType::ArrayOfMaps, 4, 4, 3);
    outer.slots = vec![(1, "inner".to_owned())];
    let inner = MapSpec::new("inner", MapType::Array, 4, 8, 2);
    let mut kernel = Kernel::new(&[Arc::new(outer), Arc::new(inner)]);
    let found = kernel.lookup_address(MapId(0), &1u32.to_le_bytes());
    assert_eq!(kernel.sim.maps().by_handle(found), Some(MapId(1)));
    assert_eq!(kernel.lookup_address(MapId(0), &0u32.to_le_bytes()), 0);
    kernel
        .sim
        .map_delete(MapId(0), &1u32.to_le_bytes())
        .unwrap();
    assert_eq!(kernel.lookup_address(MapId(0), &1u32.to_le_bytes()), 0);
    assert_eq!(
        kernel.sim.map_delete(MapId(0), &9u32.to_le_bytes()),
        Err(Errno::TOOBIG)
    );
}

#[test]
fn device_maps_answer_as_the_kernel_does() {
    let mut kernel = Kernel::new(&[Arc::new(MapSpec::new("d", MapType::Devmap, 4, 4, 3))]);
    let mut update = |key: u32, value: u32, flags| {
        kernel
            .sim
            .map_update(MapId(0), &key.to_le_bytes(), &value.to_le_bytes(), flags)
    };
    assert_eq!(update(0, 2, 0), Ok(()));
    assert_eq!(update(3, 2, 0), Err(Errno::TOOBIG));
    assert_eq!(update(1, 2, map_flags::NOEXIST), Err(Errno::EXIST));
    assert_eq!(update(1, 2, 9), Err(Errno::INVAL));
    assert_eq!(
        kernel.sim.map_lookup(MapId(0), &[0; 4]),
        Ok(vec![2, 0, 0, 0])
    );
    assert_eq!(
        kernel.sim.map_lookup(MapId(0), &[1, 0, 0, 0]),
        Err(Errno::NOENT)
    );
}

#[test]
fn frozen_maps_are_not_written() {
    let mut spec = MapSpec::new("m", MapType::Array, 4, 4, 1);
    (spec.frozen, spec.init) = (true, Some(vec![1, 2, 3, 4]));
    spec.flags = MapFlags::RDONLY_PROG;
    let mut kernel = Kernel::new(&[Arc::new(spec)]);
    assert_eq!(
        kernel.sim.map_update(MapId(0), &[0; 4], &[0; 4], 0),
        Err(Errno::PERM)
    );
    assert_eq!(
        kernel.sim.map_lookup(MapId(0), &[0; 4]),
        Ok(vec![1, 2, 3, 4])
    );
}

#[test]
fn sizes_that_no_kernel_takes_are_refused() {
    let make = |ty, key, value, entries| {
        let spec = Arc::new(MapSpec::new("m", ty, key, value, entries));
        skep_sim::Sim::new(&[spec]).map(drop).map_err(|e| e.errno)
    };
    assert_eq!(make(MapType::Array, 8, 4, 1), Err(Errno::INVAL));
    assert_eq!(make(MapType::Array, 4, 0, 1), Err(Errno::INVAL));
    assert_eq!(make(MapType::Hash, 4, 4, 0), Err(Errno::INVAL));
    assert_eq!(make(MapType::Hash, u32::MAX, 4, 1), Err(Errno::TOOBIG));
    assert_eq!(
        make(MapType::Array, 4, 1 << 20, u32::MAX),
        Err(Errno::NOMEM)
    );
    assert_eq!(make(MapType::LpmTrie, 8, 4, 1), Err(Errno::INVAL));
    assert_eq!(make(MapType::Queue, 4, 4, 1), Err(Errno::INVAL));
    assert_eq!(make(MapType::Hash, 4, 4, u32::MAX), Ok(()));
}

#[test]
fn a_pointer_to_a_replaced_value_still_reads_the_old_one() {
    let spec = MapSpec::new("m", MapType::Hash, 4, 8, 4);
    let mut kernel = Kernel::new(&[Arc::new(spec)]);
    let key = [1, 0, 0, 0];
    kernel.update(MapId(0), &key, &[1; 8], 0).unwrap();
    let old = kernel.lookup_address(MapId(0), &key);
    kernel.update(MapId(0), &key, &[2; 8], 0).unwrap();
    let new = kernel.lookup_address(MapId(0), &key);
    assert_ne!(old, new);
    let read = |at| kernel.sim.memory().read(at, 8).map(<[u8]>::to_vec);
    assert_eq!((read(old), read(new)), (Ok(vec![1; 8]), Ok(vec![2; 8])));
}
