//! Calls of all kinds, loops and their budgets, packet loads, and looking on.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::ops::ControlFlow;

use common::{load, packet, r0, run, run_with, run_within, stop};
use skep_interp::{BUDGET, LoadError, Machine, RunError, Step};
use skep_isa::RawInsn;
use skep_sim::{ProgId, RunInput, Sim, Trap};
use skep_spec::{ProgType, ProgramSpec};

#[test]
fn calls_keep_callee_saved_registers() {
    let source = "
    .prog main socket_filter
        r6 = 1
        r7 = 2
        r8 = 3
        r9 = 4
        r1 = 40
        call clobber
        r0 += r6
        r0 += r7
        r0 += r8
        r0 += r9
        exit
    .func clobber
        r6 = 100
        r7 = 100
        r8 = 100
        r9 = 100
        r0 = r1
        exit";
    assert_eq!(run(source).unwrap().output.r0, 50);
}

#[test]
fn frames_are_limited() {
    let recursion = "
    .prog main socket_filter
        call again
        exit
    .func again
        call again
        exit";
    let stop = stop(recursion);
    assert_eq!(stop.trap, Trap::Frames { limit: 8 * 34 });
    // The kernel is usable again afterwards.
    let (mut sim, machine) = load(recursion);
    for _ in 0..2 {
        assert!(machine.run(&mut sim, ProgId(0), &packet()).is_err());
        assert!(sim.open_frame(0).is_some());
        sim.close_frame(0);
    }
}

#[test]
fn endless_loops_use_up_the_budget() {
    let result = run_within(".prog main socket_filter\nagain:\ngoto again\n", 1000);
    let Err(RunError::Stop(stop)) = result else {
        panic!("{result:?}")
    };
    assert_eq!(stop.trap, Trap::Budget { limit: 1000 });
    assert_eq!(stop.insn_idx, 0);
}

#[test]
fn may_goto_ends_by_itself() {
    let body = "r0 = 0\nagain:\nmay_goto out\nr0 += 1\ngoto again\nout:";
    assert_eq!(r0(body), 8 << 20);
}

const TAIL: &str = "
    .map progs prog_array key 4 value 4 entries 4 slots 1=main
    .map calls array key 4 value 8 entries 1
    .prog main socket_filter
        r2 = map_value[calls] ll
        r3 = *(u64 *)(r2 + 0)
        r3 += 1
        *(u64 *)(r2 + 0) = r3
        r2 = map[progs] ll
        r3 = INDEX
        call tail_call
        r0 = 77
        exit";

#[test]
fn tail_calls_stop_after_33() {
    assert_eq!(run(&TAIL.replace("INDEX", "1")).unwrap().output.r0, 77);
    let (mut sim, machine) = load(&TAIL.replace("INDEX", "1"));
    let outcome = machine.run(&mut sim, ProgId(0), &packet()).unwrap();
    assert_eq!(outcome.output.r0, 77);
    let calls = sim.map("calls").unwrap();
    assert_eq!(
        sim.map_lookup(calls, &[0; 4]),
        Ok(34u64.to_le_bytes().to_vec())
    );
}

#[test]
fn tail_calls_to_nothing_fall_through() {
    for index in ["0", "3", "4", "-1"] {
        assert!(run(&TAIL.replace("INDEX", index)).is_ok());
        let (mut sim, machine) = load(&TAIL.replace("INDEX", index));
        let outcome = machine.run(&mut sim, ProgId(0), &packet()).unwrap();
        assert_eq!(outcome.output.r0, 77, "index {index}");
        let calls = sim.map("calls").unwrap();
        assert_eq!(
            sim.map_lookup(calls, &[0; 4]),
            Ok(1u64.to_le_bytes().to_vec())
        );
    }
}

#[test]
fn a_tail_call_in_a_function_returns_to_the_caller() {
    let source = "
    .map progs prog_array key 4 value 4 entries 1 slots 0=other
    .prog main socket_filter
        r6 = r1
        call leave
        r0 += 1
        exit
    .func leave
        r2 = map[progs] ll
        r3 = 0
        call tail_call
        r0 = 0
        exit
    .prog other socket_filter
        r0 = 41
        exit";
    assert_eq!(run(source).unwrap().output.r0, 42);
}

#[test]
fn a_tail_call_in_a_function_leaves_the_callers_frame_alone() {
    let source = "
    .map progs prog_array key 4 value 4 entries 1 slots 0=other
    .prog main socket_filter
        *(u64 *)(r10 - 8) = 5
        call leave
        r1 = *(u64 *)(r10 - 8)
        r0 += r1
        exit
    .func leave
        *(u64 *)(r10 - 8) = 6
        r2 = map[progs] ll
        r3 = 0
        call tail_call
        r0 = 0
        exit
    .prog other socket_filter
        *(u64 *)(r10 - 8) = 30
        r0 = *(u64 *)(r10 - 8)
        exit";
    assert_eq!(run(source).unwrap().output.r0, 35);
}

#[test]
fn loops_call_back_until_told_to_stop() {
    let source = "
    .prog main socket_filter
        *(u64 *)(r10 - 8) = 0
        r1 = 10
        r2 = func body ll
        r3 = r10
        r3 += -8
        r4 = 0
        call loop
        r1 = *(u64 *)(r10 - 8)
        r1 <<= 32
        r0 |= r1
        exit
    .func body
        r3 = *(u64 *)(r2 + 0)
        r3 += r1
        *(u64 *)(r2 + 0) = r3
        r0 = 0
        if r1 != LAST goto out
        r0 = 1
    out:
        exit";
    let all = run(&source.replace("LAST", "100")).unwrap().output.r0;
    assert_eq!((all >> 32, all & 0xff), (45, 10));
    let some = run(&source.replace("LAST", "3")).unwrap().output.r0;
    assert_eq!((some >> 32, some & 0xff), (6, 4));
}

#[test]
fn walks_over_maps_see_every_element() {
    let source = "
    .map m KIND key 4 value 8 entries 8
    .prog main socket_filter
        *(u64 *)(r10 - 8) = 0
        r1 = map[m] ll
        r2 = func body ll
        r3 = r10
        r3 += -8
        r4 = 0
        call for_each_map_elem
        r1 = *(u64 *)(r10 - 8)
        r1 <<= 32
        r0 |= r1
        exit
    .func body
        r2 = *(u32 *)(r2 + 0)
        r3 = *(u64 *)(r3 + 0)
        r3 *= r2
        r1 = *(u64 *)(r4 + 0)
        r1 += r3
        *(u64 *)(r4 + 0) = r1
        r0 = 0
        exit";
    for (kind, visited) in [("array", 8), ("hash", 3)] {
        let outcome = run_with(&source.replace("KIND", kind), &[], |sim| {
            let map = sim.map("m").unwrap();
            for (key, value) in [(1u32, 10u64), (4, 20), (7, 30)] {
                sim.map_update(map, &key.to_le_bytes(), &value.to_le_bytes(), 0)
                    .unwrap();
            }
        });
        let r0 = outcome.unwrap().output.r0;
        assert_eq!((r0 >> 32, r0 & 0xff), (10 + 80 + 210, visited), "{kind}");
    }
}

#[test]
fn a_callback_that_is_no_function_traps() {
    let stop = stop(".prog main socket_filter\nr1 = 1\nr2 = 4\nr3 = 0\nr4 = 0\ncall loop\nexit");
    assert_eq!(
        (stop.insn_idx, stop.trap),
        (4, Trap::NotFunction { addr: 4 })
    );
}

#[test]
fn traps_in_callbacks_name_the_callbacks_instruction() {
    let source = "
    .prog main socket_filter
        r1 = 1
        r2 = func body ll
        r3 = 0
        r4 = 0
        call loop
        exit
    .func body
        r0 = 0
        r0 = *(u64 *)(r0 + 0)
        exit";
    assert_eq!(stop(source).insn_idx, 8);
}

#[test]
fn packet_loads_are_big_endian_and_end_the_function_where_they_miss() {
    assert_eq!(r0("r6 = r1\nr0 = *(u16 *)skb[0]"), 0x4500);
    assert_eq!(
        r0("r6 = r1\nr2 = 20\nr0 = *(u32 *)skb[r2 + 2]"),
        0x0203_0405
    );
    assert_eq!(
        r0("r6 = r1\nr0 = *(u16 *)skb[-0x200000 + 12]"
            .replace("-0x200000 + 12", "-2097140")
            .as_str()),
        0x0800
    );
    assert_eq!(r0("r6 = r1\nr0 = *(u8 *)skb[-1048576]"), 0x45);
    assert_eq!(r0("r6 = r1\nr8 = 5\nr0 = *(u32 *)skb[48]\nr0 = r8"), 0);
    let in_function = "
    .prog main socket_filter
        r6 = r1
        call miss
        r0 += 3
        exit
    .func miss
        r6 = r1
        r0 = *(u8 *)skb[1000]
        r0 = 100
        exit";
    assert_eq!(run(in_function).unwrap().output.r0, 3);
}

#[test]
fn what_is_not_simulated_is_named_when_it_is_reached() {
    let source = ".prog main socket_filter\nr0 = 1\nif r0 == 1 goto out\ncall btf:77\nout:\nexit";
    assert_eq!(run(source).unwrap().output.r0, 1);
    let stop = stop(&source.replace("== 1", "== 2"));
    assert!(matches!(stop.trap, Trap::KfuncNotSimulated { id: 77, .. }));
    assert!(stop.trap.is_missing_feature());
    let missing = common::trap("call tcp_gen_syncookie").1;
    assert!(matches!(
        missing,
        Trap::HelperNotSimulated {
            name: "bpf_tcp_gen_syncookie",
            ..
        }
    ));
    assert!(matches!(
        common::trap("call 9999").1,
        Trap::HelperNotSimulated { id: 9999, name: "" }
    ));
}

#[test]
fn programs_that_are_none_do_not_load() {
    let mut sim = Sim::new(&[]).unwrap();
    let mut load = |slots: &[u64]| {
        let slots = slots
            .iter()
            .map(|s| RawInsn::from_le_bytes(s.to_be_bytes()))
            .collect();
        Machine::new().load(
            &mut sim,
            &ProgramSpec::new("x", ProgType::SocketFilter, slots),
        )
    };
    const EXIT: u64 = 0x9500_0000_0000_0000;
    assert_eq!(load(&[]), Err(LoadError::Empty));
    assert!(matches!(
        load(&[0xff00_0000_0000_0000]),
        Err(LoadError::Form(0, _))
    ));
    // Jumps past the end, before the beginning, and into a wide load.
    assert_eq!(
        load(&[0x0500_0100_0000_0000, EXIT]),
        Err(LoadError::Target(0))
    );
    assert_eq!(
        load(&[0x0500_fdff_0000_0000, EXIT]),
        Err(LoadError::Target(0))
    );
    let wide = 0x1800_0000_0000_0000;
    assert_eq!(
        load(&[0x0500_0100_0000_0000, wide, 0, EXIT]),
        Err(LoadError::Target(0))
    );
    // A map that the request does not have.
    assert_eq!(
        load(&[0x1811_0000_0000_0000, 0, EXIT]),
        Err(LoadError::Map(0))
    );
    // Running off the end is found out only by running.
    assert!(load(&[0xb700_0000_0000_0000]).is_ok());
    let stop = stop(".prog main socket_filter\nr0 = 0\n");
    assert_eq!((stop.insn_idx, stop.trap), (1, Trap::NotInsn));
}

#[test]
fn an_observer_sees_every_instruction_and_may_interrupt() {
    let (mut sim, machine) = load(".prog main socket_filter\nr0 = 5\nr0 += 1\nr0 += 1\nexit");
    let mut seen = Vec::new();
    let look = |step: &Step<'_>| {
        seen.push((step.insn_idx, step.regs[0]));
        ControlFlow::Continue(())
    };
    let outcome = machine
        .run_observed(&mut sim, ProgId(0), &packet(), BUDGET, look)
        .unwrap();
    assert_eq!(outcome.output.r0, 7);
    assert_eq!(seen, [(0, 0), (1, 5), (2, 6), (3, 7)]);
    let halt = |step: &Step<'_>| match step.insn_idx {
        2 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let result = machine.run_observed(&mut sim, ProgId(0), &packet(), BUDGET, halt);
    let Err(RunError::Stop(stop)) = result else {
        panic!("{result:?}")
    };
    assert_eq!((stop.insn_idx, stop.trap), (2, Trap::Interrupted));
}

#[test]
fn inputs_that_the_kernel_refuses_do_not_run() {
    let (mut sim, machine) = load(".prog main socket_filter\nr0 = 0\nexit");
    let short = machine.run(&mut sim, ProgId(0), &RunInput::packet(&[0; 13]));
    assert_eq!(short, Err(RunError::Input(skep_sim::Errno::INVAL)));
    let none = machine.run(&mut sim, ProgId(9), &packet());
    assert_eq!(none, Err(RunError::NoProgram(ProgId(9))));
}

#[test]
fn runs_repeat_exactly() {
    let source = "
    .prog main socket_filter
        call ktime_get_ns
        r6 = r0
        call get_prandom_u32
        r0 += r6
        r1 = *(u64 *)(r10 - 8)
        r0 += r1
        *(u64 *)(r10 - 8) = 9
        exit";
    assert!(run(source).is_ok());
    let results = || {
        let (mut sim, machine) = load(source);
        [0; 3].map(|_| {
            machine
                .run(&mut sim, ProgId(0), &packet())
                .unwrap()
                .output
                .r0
        })
    };
    let [a, b, c] = results();
    assert_eq!(results(), [a, b, c]);
    assert!(a != b && b != c);
}

#[test]
fn who_looks_on_sees_slots_of_the_program_alone() {
    let source = "
    .prog main socket_filter
        r6 = r1
        call part
        r0 += 7
        exit
    .func part
        r6 = r1
        r0 = *(u8 *)skb[1000]
        r0 = 5
        exit";
    let (mut sim, machine) = load(source);
    let mut seen = Vec::new();
    let look = |step: &Step<'_>| {
        seen.push(step.insn_idx);
        ControlFlow::Continue(())
    };
    let watched = machine.run_observed(&mut sim, ProgId(0), &packet(), BUDGET, look);
    assert_eq!(watched.unwrap().output.r0, 7);
    // The load is out of the packet and ends its function.
    assert_eq!(seen, [0, 1, 4, 5, 2, 3]);
    assert_eq!(run(source).unwrap().output.r0, 7);
}
