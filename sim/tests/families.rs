//! Helpers and kernel functions by family: what they answer, and what they leave behind.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use common::Kernel;
use proptest::prelude::*;
use skep_btf::{Btf, BtfBuilder, IntEncoding};
use skep_sim::helpers::{Call, Engine, find_kfunc};
use skep_sim::{Errno, MapId, ProgId, ProgramTypes, RunInput, Sim, Trap};
use skep_spec::{AttachType, MapSpec, MapType, ProgType, ProgramSpec};

const ANY: AttachType = AttachType::CgroupInetIngress;

fn during(ty: ProgType, input: &RunInput) -> (Kernel, u64) {
    let mut kernel = Kernel::new(&[]);
    kernel.ty = ty;
    let ctx = kernel.sim.begin(ty, ANY, input).unwrap();
    (kernel, ctx)
}

/// Memory of the program's own: its stack.
fn stack(kernel: &mut Kernel, bytes: &[u8]) -> u64 {
    let top = kernel.sim.open_frame(0).unwrap();
    let at = top - 512;
    let room = kernel.sim.memory_mut().write(at, bytes.len() as u64);
    room.unwrap().copy_from_slice(bytes);
    at
}

#[test]
fn socket_options_keep_what_is_set() {
    let (mut kernel, ctx) = during(ProgType::SockOps, &RunInput::default());
    let at = stack(&mut kernel, &7u32.to_le_bytes());
    let mut call = |name, args: [u64; 5]| kernel.status(name, &args);
    assert_eq!(call("setsockopt", [ctx, 1, 7, at, 4]), Ok(()));
    assert_eq!(call("getsockopt", [ctx, 1, 7, at + 16, 4]), Ok(()));
    assert_eq!(call("getsockopt", [ctx, 6, 2, at + 32, 4]), Ok(()));
    // No such option, a wrong size, one that is for reading.
    let bad = Err(Errno::INVAL);
    assert_eq!(call("setsockopt", [ctx, 1, 9999, at, 4]), bad);
    assert_eq!(call("setsockopt", [ctx, 1, 7, at, 8]), bad);
    assert_eq!(call("setsockopt", [ctx, 1, 69, at, 8]), bad);
    assert_eq!(kernel.get(at + 16, 4), 7u32.to_le_bytes());
    assert_eq!(kernel.get(at + 32, 4), [0; 4]);
}

#[test]
fn events_of_connections_are_asked_for_by_flags() {
    let (mut kernel, ctx) = during(ProgType::SockOps, &RunInput::default());
    assert_eq!(
        kernel.call("sock_ops_cb_flags_set", &[ctx, 0x84]).unwrap(),
        0x80
    );
    assert_eq!(kernel.get(ctx + 84, 4), [4, 0, 0, 0]);
}

#[test]
fn addresses_are_bound_if_they_are_some() {
    let (mut kernel, ctx) = during(ProgType::CgroupSockAddr, &RunInput::default());
    let mut address = [0; 28];
    address[0] = 2;
    let at = stack(&mut kernel, &address);
    assert_eq!(kernel.status("bind", &[ctx, at, 16]), Ok(()));
    assert_eq!(kernel.status("bind", &[ctx, at, 8]), Err(Errno::INVAL));
    let at = stack(&mut kernel, &[10, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(kernel.status("bind", &[ctx, at, 16]), Err(Errno::INVAL));
    assert_eq!(kernel.status("bind", &[ctx, at, 28]), Ok(()));
    let at = stack(&mut kernel, &[1, 0]);
    assert_eq!(
        kernel.status("bind", &[ctx, at, 28]),
        Err(Errno::AFNOSUPPORT)
    );
}

#[test]
fn sysctls_are_read_and_replaced() {
    let (mut kernel, ctx) = during(ProgType::CgroupSysctl, &RunInput::default());
    let at = stack(&mut kernel, &[1; 32]);
    assert_eq!(
        kernel.call("sysctl_get_name", &[ctx, at, 32, 0]).unwrap(),
        19
    );
    assert_eq!(kernel.get(at, 20), b"net/ipv4/ip_forward\0");
    assert_eq!(
        kernel.call("sysctl_get_name", &[ctx, at, 32, 1]).unwrap(),
        10
    );
    assert_eq!(kernel.get(at, 11), b"ip_forward\0");
    let short = kernel.status("sysctl_get_name", &[ctx, at, 4, 1]);
    assert_eq!(short, Err(Errno::TOOBIG));
    assert_eq!(kernel.get(at, 4), b"ip_\0");
    assert_eq!(
        kernel
            .call("sysctl_get_current_value", &[ctx, at, 8])
            .unwrap(),
        1
    );
    // It is not being written.
    let new = kernel.status("sysctl_get_new_value", &[ctx, at, 8]);
    assert_eq!(new, Err(Errno::INVAL));
    kernel.sim.sysctl.new = Some("1".to_owned());
    assert_eq!(
        kernel.call("sysctl_get_new_value", &[ctx, at, 8]).unwrap(),
        1
    );
    let at = stack(&mut kernel, b"2");
    assert_eq!(kernel.status("sysctl_set_new_value", &[ctx, at, 1]), Ok(()));
    assert_eq!(kernel.sim.sysctl.new.as_deref(), Some("2"));
}

#[test]
fn tunnels_are_of_the_run() {
    let (mut kernel, ctx) = during(ProgType::SchedCls, &RunInput::packet(&[0; 60]));
    let at = stack(&mut kernel, &[9; 44]);
    let get = |kernel: &mut Kernel, flags| {
        kernel.status("skb_get_tunnel_key", &[ctx, at + 64, 44, flags])
    };
    assert_eq!(get(&mut kernel, 0), Err(Errno::INVAL));
    let set = |kernel: &mut Kernel, len, flags| {
        kernel.status("skb_set_tunnel_key", &[ctx, at, len, flags])
    };
    assert_eq!(set(&mut kernel, 43, 0), Err(Errno::INVAL));
    assert_eq!(set(&mut kernel, 44, 32), Err(Errno::INVAL));
    assert_eq!(set(&mut kernel, 44, 0), Ok(()));
    assert_eq!(get(&mut kernel, 0), Ok(()));
    assert_eq!(kernel.get(at + 64, 44), [9; 44]);
    assert_eq!(get(&mut kernel, 1), Err(Errno::PROTO));
    kernel.sim.finish(0);
    kernel
        .sim
        .begin(ProgType::SchedCls, ANY, &RunInput::packet(&[0; 60]))
        .unwrap();
    stack(&mut kernel, &[0]);
    assert_eq!(get(&mut kernel, 0), Err(Errno::INVAL));
}

#[test]
fn control_groups_are_the_root_and_one_below() {
    let map = MapSpec::new("groups", MapType::CgroupArray, 4, 4, 3);
    let mut kernel = Kernel::new(&[Arc::new(map)]);
    kernel.sim.process.cgroup_id = 77;
    for (index, id) in [(0u32, 77u32), (1, 78)] {
        let set = kernel
            .sim
            .map_update(MapId(0), &index.to_le_bytes(), &id.to_le_bytes(), 0);
        set.unwrap();
    }
    let handle = kernel.sim.maps().handle(MapId(0));
    let under = |kernel: &mut Kernel, index| {
        kernel
            .call("current_task_under_cgroup", &[handle, index])
            .unwrap()
    };
    assert_eq!([0, 1].map(|i| under(&mut kernel, i)), [1, 0]);
    assert_eq!(under(&mut kernel, 2), Errno::AGAIN.as_ret());
    assert_eq!(under(&mut kernel, 3), Errno::TOOBIG.as_ret());
}

#[test]
fn timers_fire_once_and_in_order() {
    let map = MapSpec::new("timers", MapType::Array, 4, 32, 3);
    let mut kernel = Kernel::new(&[Arc::new(map)]);
    let handle = kernel.sim.maps().handle(MapId(0));
    let places: Vec<_> = (0..3u32)
        .map(|i| kernel.lookup_address(MapId(0), &i.to_le_bytes()))
        .collect();
    let mut call = |name, at, args: [u64; 2]| kernel.status(name, &[at, args[0], args[1]]);
    let bad = Err(Errno::INVAL);
    assert_eq!(call("timer_start", places[0], [5, 0]), bad);
    for &at in &places {
        assert_eq!(call("timer_init", at, [handle, 1]), Ok(()));
        assert_eq!(call("timer_start", at, [5, 0]), bad, "no callback");
        assert_eq!(call("timer_set_callback", at, [0x1000, 0]), Ok(()));
    }
    assert_eq!(call("timer_init", places[0], [handle, 1]), Err(Errno::BUSY));
    assert_eq!(
        call("timer_init", places[0], [handle, 5]),
        bad,
        "no such clock"
    );
    for (at, ns) in [(0, 300), (1, 100), (2, 200)] {
        assert_eq!(call("timer_start", places[at], [ns, 0]), Ok(()));
    }
    assert_eq!(call("timer_start", places[0], [1, 8]), bad);
    assert_eq!(kernel.call("timer_cancel", &[places[2]]).unwrap(), 1);
    assert_eq!(kernel.call("timer_cancel", &[places[2]]).unwrap(), 0);
    let now = kernel.sim.clock.now_ns;
    assert_eq!(kernel.sim.next_timer(), Some(now + 100));
    let first = kernel.sim.expire_timer(now + 1000).unwrap();
    assert_eq!((first.prog, first.func), (ProgId(0), 0x1000));
    assert_eq!((first.args[0], first.args[2]), (handle, places[1]));
    assert_eq!(kernel.get(first.args[1], 4), [1, 0, 0, 0]);
    assert_eq!(kernel.sim.clock.now_ns, now + 100);
    assert!(kernel.sim.expire_timer(now + 200).is_none());
    assert_eq!(
        kernel.sim.expire_timer(now + 300).unwrap().args[2],
        places[0]
    );
    assert!(kernel.sim.expire_timer(u64::MAX).is_none());
}

#[test]
fn iterators_print_and_receivers_report() {
    let (mut kernel, ctx) = during(ProgType::LircMode2, &RunInput::context(&[0; 4]));
    assert_eq!(kernel.status("rc_keydown", &[ctx, 3, 0x1e, 1]), Ok(()));
    assert_eq!(kernel.status("rc_repeat", &[ctx]), Ok(()));
    let keys = kernel.sim.take_output().keys;
    assert_eq!(keys, ["key 0x1e of protocol 3, toggle 1", "repeat"]);
    let at = stack(&mut kernel, b"%d bees\0\0\x2a\0\0\0\0\0\0\0");
    kernel.ty = ProgType::Tracing;
    let printed = kernel.status("seq_printf", &[1, at, 8, at + 9, 8]);
    assert_eq!(printed, Ok(()));
    assert_eq!(kernel.status("seq_write", &[1, at + 3, 4]), Ok(()));
    assert_eq!(kernel.sim.take_output().seq, b"42 beesbees");
}

/// An engine with types of its own, whose callbacks compare the number behind a node.
struct WithTypes(ProgramTypes);

/// Offset of the number behind an object's node.
const NUMBER: u64 = 56;

impl Engine for WithTypes {
    fn callback(&mut self, sim: &mut Sim, _: u64, args: [u64; 5]) -> Result<u64, Trap> {
        let number = |node: u64| sim.memory().read(node + NUMBER - 24, 8).unwrap()[0];
        Ok(u64::from(number(args[0]) < number(args[1])))
    }

    fn types(&self) -> Option<&ProgramTypes> {
        Some(&self.0)
    }
}

/// `struct item { struct bpf_list_node l; struct bpf_rb_node r; u64 number; }` and what uses it.
struct Items {
    sim: Sim,
    engine: WithTypes,
    ty: u64,
    root: u64,
    head: u64,
}

impl Items {
    fn new() -> Items {
        let mut b = BtfBuilder::new();
        let long = b.int("u64", 8, IntEncoding::UNSIGNED);
        let list = b.structure("bpf_list_node", 24, &[("__opaque", long, 0, 0)]);
        let tree = b.structure("bpf_rb_node", 32, &[("__opaque", long, 0, 0)]);
        let fields = [
            ("l", list, 0, 0),
            ("r", tree, 192, 0),
            ("number", long, 448, 0),
        ];
        let item = b.structure("item", 64, &fields);
        let mut spec = ProgramSpec::new("p", ProgType::SchedCls, Vec::new());
        spec.btf = Some(Arc::new(Btf::parse(b.to_bytes()).unwrap()));
        let map = Arc::new(MapSpec::new("heads", MapType::Array, 4, 32, 1));
        let mut sim = Sim::new(&[map]).unwrap();
        let root = sim
            .maps()
            .get(MapId(0))
            .unwrap()
            .array_layout()
            .unwrap()
            .base;
        sim.begin(ProgType::SchedCls, ANY, &RunInput::packet(&[0; 60]))
            .unwrap();
        Items {
            sim,
            engine: WithTypes(ProgramTypes::of(&spec)),
            ty: item.0.into(),
            root,
            head: root + 16,
        }
    }

    fn call(&mut self, name: &str, args: &[u64]) -> Result<u64, Trap> {
        let (name, function) = find_kfunc(name).unwrap();
        let mut all = [0; 5];
        all[..args.len()].copy_from_slice(args);
        function(&mut Call {
            sim: &mut self.sim,
            args: all,
            name,
            engine: &mut self.engine,
        })
    }

    fn make(&mut self, number: u8) -> u64 {
        let at = self.call("bpf_obj_new_impl", &[self.ty, 0]).unwrap();
        self.sim.memory_mut().write(at + NUMBER, 8).unwrap()[0] = number;
        at
    }

    fn number(&self, object: u64) -> u8 {
        self.sim.memory().read(object + NUMBER, 8).unwrap()[0]
    }
}

#[test]
fn objects_live_as_long_as_they_are_referred_to() {
    let mut items = Items::new();
    let at = items.make(1);
    // Nodes are for the kernel's functions alone.
    assert!(items.sim.memory_mut().write(at, 8).is_err());
    items.call("bpf_refcount_acquire_impl", &[at, 0]).unwrap();
    items.call("bpf_obj_drop_impl", &[at, 0]).unwrap();
    items.sim.finish(0);
    assert_eq!(items.number(at), 1);
    items.call("bpf_obj_drop_impl", &[at, 0]).unwrap();
    items.sim.finish(0);
    assert!(items.sim.memory().read(at + NUMBER, 8).is_err());
    assert!(items.call("bpf_obj_drop_impl", &[at, 0]).is_err());
}

#[test]
fn a_node_is_in_one_place_at_a_time() {
    let mut items = Items::new();
    let (head, at) = (items.head, items.make(1));
    let push = |items: &mut Items| {
        items
            .call("bpf_list_push_back_impl", &[head, at, 0, 0])
            .unwrap()
    };
    assert_eq!(push(&mut items), 0);
    items.call("bpf_refcount_acquire_impl", &[at, 0]).unwrap();
    assert_eq!(push(&mut items), Errno::INVAL.as_ret());
}

#[test]
fn exceptions_carry_a_value() {
    let mut items = Items::new();
    assert_eq!(items.call("bpf_throw", &[7]), Err(Trap::Thrown(7)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn lists_are_double_ended(steps in prop::collection::vec((0u8..4, any::<u8>()), 1..40)) {
        let mut items = Items::new();
        let head = items.head;
        let mut model = VecDeque::new();
        for (action, number) in steps {
            match action {
                0 | 1 => {
                    let at = items.make(number);
                    let name = ["bpf_list_push_front_impl", "bpf_list_push_back_impl"][usize::from(action)];
                    prop_assert_eq!(items.call(name, &[head, at, 0, 0]).unwrap(), 0);
                    if action == 0 { model.push_front(number) } else { model.push_back(number) }
                }
                _ => {
                    let (name, want) = if action == 2 {
                        ("bpf_list_pop_front", model.pop_front())
                    } else {
                        ("bpf_list_pop_back", model.pop_back())
                    };
                    let at = items.call(name, &[head]).unwrap();
                    prop_assert_eq!((at != 0).then(|| items.number(at)), want);
                }
            }
        }
    }

    #[test]
    fn trees_are_sorted(steps in prop::collection::vec((any::<bool>(), any::<u8>()), 1..60)) {
        let mut items = Items::new();
        let root = items.root;
        let mut model = BTreeSet::new();
        let mut serial = 0u32;
        let mut places: Vec<(u8, u32, u64)> = Vec::new();
        for (add, number) in steps {
            if add || model.is_empty() {
                let at = items.make(number);
                prop_assert_eq!(items.call("bpf_rbtree_add_impl", &[root, at + 24, 1, 0, 0]).unwrap(), 0);
                // Equals keep the order of their coming.
                model.insert((number, serial));
                places.push((number, serial, at + 24));
                serial += 1;
            } else {
                let gone = places.remove(usize::from(number) % places.len());
                model.remove(&(gone.0, gone.1));
                let removed = items.call("bpf_rbtree_remove", &[root, gone.2]).unwrap();
                prop_assert_eq!(removed, gone.2);
                prop_assert_eq!(items.call("bpf_rbtree_remove", &[root, gone.2]).unwrap(), 0);
            }
            let first = items.call("bpf_rbtree_first", &[root]).unwrap();
            let want = model.first().map(|first| {
                places.iter().find(|p| (p.0, p.1) == *first).unwrap().2
            });
            prop_assert_eq!((first != 0).then_some(first), want);
        }
        // Emptied from the front it comes out in order.
        for (number, serial) in model {
            let first = items.call("bpf_rbtree_first", &[root]).unwrap();
            let want = places.iter().find(|p| (p.0, p.1) == (number, serial)).unwrap().2;
            prop_assert_eq!(first, want);
            items.call("bpf_rbtree_remove", &[root, first]).unwrap();
        }
        prop_assert_eq!(items.call("bpf_rbtree_root", &[root]).unwrap(), 0);
    }

    #[test]
    fn bits_are_met_in_order(words in prop::collection::vec(any::<u64>(), 1..4)) {
        let mut kernel = Kernel::new(&[]);
        kernel.sim.begin(ProgType::SchedCls, ANY, &RunInput::packet(&[0; 60])).unwrap();
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        let at = stack(&mut kernel, &bytes);
        let iter = at + 64;
        let args = [iter, at, words.len() as u64];
        prop_assert_eq!(kernel.kfunc("bpf_iter_bits_new", &args).unwrap(), 0);
        let mut got = Vec::new();
        loop {
            let bit = kernel.kfunc("bpf_iter_bits_next", &[iter]).unwrap();
            if bit == 0 { break }
            let number = kernel.get(bit, 4);
            got.push(u32::from_le_bytes(number.try_into().unwrap()));
        }
        let want: Vec<u32> = (0..words.len() as u32 * 64)
            .filter(|bit| words[(bit / 64) as usize] >> (bit % 64) & 1 != 0)
            .collect();
        prop_assert_eq!(got, want);
        kernel.kfunc("bpf_iter_bits_destroy", &[iter]).unwrap();
    }

    #[test]
    fn masks_are_sets_of_cpus(steps in prop::collection::vec((0u8..5, 0u64..4), 1..40)) {
        let mut kernel = Kernel::new(&[]);
        let [a, b] = [(), ()].map(|()| kernel.kfunc("bpf_cpumask_create", &[]).unwrap());
        let mut model: [BTreeSet<u64>; 2] = Default::default();
        for (action, cpu) in steps {
            let which = usize::from(action % 2);
            let mask = [a, b][which];
            match action {
                0 | 1 => {
                    let was = kernel.kfunc("bpf_cpumask_test_and_set_cpu", &[cpu, mask]).unwrap();
                    // Two CPUs exist; others are passed over.
                    let want = cpu < 2 && !model[which].insert(cpu);
                    prop_assert_eq!(was, u64::from(want));
                }
                2 | 3 => {
                    kernel.kfunc("bpf_cpumask_clear_cpu", &[cpu, mask]).unwrap();
                    model[which].remove(&cpu);
                }
                _ => {
                    kernel.kfunc("bpf_cpumask_or", &[a, a, b]).unwrap();
                    let more = model[1].clone();
                    model[0].extend(more);
                }
            }
            let ask = |kernel: &mut Kernel, name, args: &[u64]| kernel.kfunc(name, args).unwrap();
            let count = ask(&mut kernel, "bpf_cpumask_weight", &[a]);
            prop_assert_eq!(count, model[0].len() as u64);
            let first = ask(&mut kernel, "bpf_cpumask_first", &[a]);
            prop_assert_eq!(first, model[0].first().copied().unwrap_or(2));
            let inside = ask(&mut kernel, "bpf_cpumask_subset", &[a, b]);
            prop_assert_eq!(inside == 1, model[0].is_subset(&model[1]));
            let common = ask(&mut kernel, "bpf_cpumask_intersects", &[a, b]);
            prop_assert_eq!(common == 1, !model[0].is_disjoint(&model[1]));
        }
    }
}
