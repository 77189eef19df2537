//! Timers call compiled functions as they call interpreted ones.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use skep_asm::{Options, assemble};
use skep_interp::Machine;
use skep_jit::{BUDGET, Jit, Proof};
use skep_sim::{RunError, RunInput, Sim, Trap};

/// Its timer starts itself again, 1,000 ns later, until it has rung five times.
const SOURCE: &str = "
.license \"GPL\"
.struct bpf_timer { u64 opaque[2] } align 8
.struct timed { u64 count, struct bpf_timer timer }
.map timers array key u32 value struct timed entries 4
.func u64 ring(u64 map, u64 key, u64 value)
    *(u64 *)(r10 - 8) = r3
    r1 = *(u64 *)(r3 + 0)
    r1 += 1
    *(u64 *)(r3 + 0) = r1
    if r1 == 5 goto rung
    r1 = *(u64 *)(r10 - 8)
    r1 += 8
    r2 = 1000
    r3 = 0
    call timer_start
rung:
    r0 = 0
    exit
.prog main sched_cls
    *(u32 *)(r10 - 8) = 2
    r2 = r10
    r2 += -8
    r1 = timers ll
    call map_lookup_elem
    if r0 == 0 goto out
    r6 = r0
    r1 = r6
    r1 += 8
    r2 = timers ll
    r3 = 1
    call timer_init
    r1 = r6
    r1 += 8
    r2 = func ring ll
    call timer_set_callback
    r1 = r6
    r1 += 8
    r2 = 1000
    r3 = 0
    call timer_start
out:
    r0 = 0
    exit
";

fn count(sim: &mut Sim) -> Vec<u8> {
    let timers = sim.map("timers").unwrap();
    sim.map_lookup(timers, &2u32.to_le_bytes()).unwrap()[..8].to_vec()
}

#[test]
#[expect(unsafe_code, reason = "the interpreter has run the program")]
fn timers_ring_until_they_are_not_started_again() {
    let object = assemble(SOURCE, &Options::default()).unwrap();
    let (program, packet) = (&object.programs[0], RunInput::packet(&[0; 64]));
    let mut sim = Sim::new(&object.maps).unwrap();
    let mut machine = Machine::new();
    let id = machine.load(&mut sim, program).unwrap();
    machine.run(&mut sim, id, &packet).unwrap();
    let begin = sim.clock.now_ns;
    assert_eq!(machine.run_timers(&mut sim, begin + 2500, BUDGET), Ok(2));
    assert_eq!(machine.run_timers(&mut sim, begin + 9000, BUDGET), Ok(3));
    let (want, end) = (count(&mut sim), sim.clock.now_ns);
    assert_eq!(want, 5u64.to_le_bytes());
    for verified in [false, true] {
        let (mut sim, mut jit) = (Sim::new(&object.maps).unwrap(), Jit::new());
        let id = if verified {
            // SAFETY: the run above ended without a trap.
            unsafe { jit.load_verified(&mut sim, program, Proof::default()) }
        } else {
            jit.load(&mut sim, program, &[])
        };
        let id = id.unwrap();
        jit.run(&mut sim, id, &packet, BUDGET).unwrap();
        assert_eq!(jit.run_timers(&mut sim, begin + 2500, BUDGET), Ok(2));
        assert_eq!(jit.run_timers(&mut sim, begin + 9000, BUDGET), Ok(3));
        assert_eq!((count(&mut sim), sim.clock.now_ns), (want.clone(), end));
    }
}

#[test]
fn what_a_timer_calls_uses_up_the_budget() {
    let object = assemble(SOURCE, &Options::default()).unwrap();
    let (mut sim, mut jit) = (Sim::new(&object.maps).unwrap(), Jit::new());
    let id = jit.load(&mut sim, &object.programs[0], &[]).unwrap();
    jit.run(&mut sim, id, &RunInput::packet(&[0; 64]), BUDGET)
        .unwrap();
    let begin = sim.clock.now_ns;
    let Err(RunError::Stop(stop)) = jit.run_timers(&mut sim, begin + 9000, 20) else {
        panic!("it goes on without a budget");
    };
    assert!(matches!(stop.trap, Trap::Budget { .. }), "{stop:?}");
}
