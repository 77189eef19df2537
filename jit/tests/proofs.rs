//! What is known of a program makes code shorter or faster, and changes no result.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod engines;

use skep_asm::{Options, assemble};
use skep_jit::{Jit, Opt, Opts, Proof};
use skep_sim::{RunInput, Sim};

/// The code of a program with what the verifier knows of it, for each choice of optimisations: in one
/// kernel, since code depends on where guest memory lies.
#[expect(unsafe_code, reason = "compiled only, never run")]
fn codes(source: &str, choices: [Opts; 2]) -> [Vec<u8>; 2] {
    let object = assemble(source, &Options::default()).unwrap();
    let program = &object.programs[0];
    let mut sim = Sim::new(&object.maps).unwrap();
    let (probes, dead) = (&[][..], engines::dead(program));
    let proof = Proof {
        probes,
        dead: &dead,
    };
    choices.map(|opts| {
        let mut jit = Jit::with_opts(opts);
        // SAFETY: nothing runs it.
        unsafe { jit.load_verified(&mut sim, program, proof) }.unwrap();
        jit.programs()[0].code().to_vec()
    })
}

/// Runs the program in all engines, where it gives `r0`; its code with and without an optimisation.
fn check(source: &str, opt: Opt, r0: u64) -> [Vec<u8>; 2] {
    let object = assemble(source, &Options::default()).unwrap();
    let input = RunInput::packet(&[0; 64]);
    let run = engines::run_all(&object, &[], &input, skep_jit::BUDGET, |_| {});
    assert_eq!(run.unwrap().output.r0, r0, "{source}");
    codes(source, [Opts::ALL, Opts::ALL.without(opt)])
}

#[test]
fn branches_that_constants_decide_are_left_out() {
    let source = "
.map settings array key 4 value 8 entries 1 flags rdonly_prog frozen init \"01 00 00 00 00 00 00 00\"
.prog main socket_filter
    r1 = map_value[settings] ll
    r2 = *(u64 *)(r1 + 0)
    r0 = 7
    if r2 == 1 goto out
    r0 = 3
    r0 *= 5
    r0 ^= 9
out:
    exit
";
    let [with, without] = check(source, Opt::DeadCode, 7);
    assert!(with.len() < without.len());
    let [with, without] = check(source, Opt::FoldConstants, 7);
    assert_ne!(with, without);
}

#[test]
fn checks_of_pointers_that_are_not_null_are_left_out() {
    let source = "
.map counts array key 4 value 8 entries 4
.prog main socket_filter
    *(u32 *)(r10 - 8) = 2
    r2 = r10
    r2 += -8
    r1 = map[counts] ll
    call map_lookup_elem
    if r0 == 0 goto none
    r1 = 1
    *(u64 *)(r0 + 0) = r1
    r0 = 1
    exit
none:
    r0 = 2
    r0 *= 21
    r0 ^= 3
    exit
";
    let [with, without] = check(source, Opt::DeadCode, 1);
    assert!(with.len() < without.len());
}

#[test]
fn both_ways_of_an_open_branch_stay() {
    let source = "
.prog main socket_filter
    r2 = *(u32 *)(r1 + 0)
    r0 = 1
    if r2 == 50 goto out
    r0 = 2
out:
    exit
";
    let [with, without] = check(source, Opt::DeadCode, 1);
    assert_eq!(with, without);
}

#[test]
fn a_map_found_in_a_map_is_looked_up_in() {
    let source = "
.map inner array key 4 value 8 entries 1 init \"2a 00 00 00 00 00 00 00\"
.map outer array_of_maps key 4 value 4 entries 1 slots 0=inner inner array key 4 value 8 entries 1
.prog main socket_filter
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r0 = map[outer] ll
    r1 = r0
    call map_lookup_elem
    if r0 == 0 goto none
    r1 = r0
    r2 = r10
    r2 += -4
    call map_lookup_elem
    if r0 == 0 goto none
    r0 = *(u64 *)(r0 + 0)
    exit
none:
    r0 = 1
    exit
";
    check(source, Opt::DirectLookup, 42);
}

/// Four programs that call each other by tail calls, the last of which comes back to the first.
const CHAIN: &str = "
.map progs prog_array key 4 value 4 entries 4 slots 1=two,2=three,3=main
.map calls array key 4 value 8 entries 1
.prog main socket_filter
    r2 = map_value[calls] ll
    r3 = *(u64 *)(r2 + 0)
    r3 += 1
    *(u64 *)(r2 + 0) = r3
    r2 = map[progs] ll
    r3 = 1
    call tail_call
    r0 = 70
    exit
.prog two socket_filter
    r2 = map[progs] ll
    r3 = 2
    call tail_call
    r0 = 71
    exit
.prog three socket_filter
    r2 = map[progs] ll
    r3 = 3
    call tail_call
    r0 = 72
    exit
";

#[test]
fn direct_tail_calls_are_counted() {
    let [with, without] = check(CHAIN, Opt::DirectTailCall, 70);
    assert_ne!(with, without);
}

#[test]
#[expect(unsafe_code, reason = "the interpreter has run the programs")]
fn direct_tail_calls_follow_the_map() {
    let object = assemble(CHAIN, &Options::default()).unwrap();
    let (mut sim, mut jit) = (Sim::new(&object.maps).unwrap(), Jit::new());
    for program in &object.programs {
        // SAFETY: `direct_tail_calls_are_counted` runs them in the interpreter, without a trap.
        unsafe { jit.load_verified(&mut sim, program, Proof::default()) }.unwrap();
    }
    let packet = RunInput::packet(&[0; 64]);
    let progs = sim.map("progs").unwrap();
    let id = |name: &str| jit.by_name(name).unwrap();
    let r0 = |sim: &mut Sim| {
        jit.run(sim, id("main"), &packet, skep_jit::BUDGET)
            .unwrap()
            .r0
    };
    assert_eq!(r0(&mut sim), 70, "nothing in the slots");
    sim.set_program(progs, 1, id("two")).unwrap();
    assert_eq!(r0(&mut sim), 71);
    sim.set_program(progs, 2, id("three")).unwrap();
    assert_eq!(r0(&mut sim), 72);
    sim.set_program(progs, 1, id("three")).unwrap();
    assert_eq!(r0(&mut sim), 72);
    sim.map_delete(progs, &1u32.to_le_bytes()).unwrap();
    assert_eq!(r0(&mut sim), 70);
}

/// Two numbers of 32 bits and two of 64, divided in a loop that a number of 64 bits may or may not come into.
fn division(start: &str) -> String {
    format!(
        "
.prog main socket_filter
    *(u64 *)(r10 - 8) = 1071
    *(u64 *)(r10 - 16) = 462
    r6 = *({start} *)(r10 - 8)
    r7 = *(u32 *)(r10 - 16)
again:
    r8 = r6
    r8 %= r7
    r6 = r7
    r7 = r8
    if r7 != 0 goto again
    r0 = r6
    r0 /= 3
    exit
"
    )
}

#[test]
fn divisions_of_short_numbers_are_short() {
    let [with, without] = check(&division("u32"), Opt::ShortDivide, 7);
    assert!(with.len() < without.len());
    // One way into the loop is enough to spoil it.
    let [with, without] = check(&division("u64"), Opt::ShortDivide, 7);
    assert_eq!(with, without);
}

#[test]
fn upper_halves_that_are_zero_are_not_cleared() {
    let source = |size: &str, call: &str| {
        format!(
            "
.prog main socket_filter
    *(u64 *)(r10 - 8) = 5
    r6 = *({size} *)(r10 - 8)
    {call}
    r6 <<= 32
    r6 >>= 32
    w6 = w6
    r0 = r6
    exit
"
        )
    };
    for (size, call, known) in [
        ("u32", "", true),
        ("u32", "call get_smp_processor_id", true),
        ("u32", "if r6 == 9 goto 0", true),
        ("s32", "", false),
        ("u64", "", false),
        ("u32", "r6 += 0", false),
        ("u32", "r6 >>= 1\n r6 *= 2\n r6 |= 1", false),
    ] {
        let [with, without] = check(&source(size, call), Opt::ZeroExtend, 5);
        // The second of the two that clear it is always in vain.
        let saved = without.len() - with.len();
        assert_eq!(saved >= 4, known, "{size} {call}: {saved}");
    }
}

#[test]
fn loops_are_put_in_order() {
    // The product is wanted at once, what comes before it only in the end.
    let source = "
.prog main socket_filter
    r0 = 1
    r1 = 0
    r2 = 0
    r3 = 7
again:
    r1 += 1
    r2 += 3
    r4 = r2
    r4 ^= 1
    r5 = r4
    r0 *= r3
    r0 += 1
    r0 *= r3
    if r1 != 3 goto again
    r0 ^= r5
    exit
";
    let expected = (0..3).fold(1u64, |r0, _| (r0 * 7 + 1) * 7) ^ (9 ^ 1);
    let [with, without] = check(source, Opt::Schedule, expected);
    assert_eq!(with.len(), without.len());
    assert_ne!(with, without);
}

/// A program that puts in and takes out two elements of a hash and asks for both in between: a bit for each
/// answer that is an element.
fn hash_program(ty: &str, key_size: u32) -> String {
    let ask = |key: i32| {
        format!(
            "
    *(u64 *)(r10 - 16) = {key}
    *(u64 *)(r10 - 8) = {key}
    r1 = map[flows] ll
    r2 = r10
    r2 += -16
    call map_lookup_elem
    r6 <<= 1
    if r0 == 0 goto +2
    r1 = *(u64 *)(r0 + 0)
    r6 += r1
"
        )
    };
    let put = |key: i32| {
        format!(
            "
    *(u64 *)(r10 - 16) = {key}
    *(u64 *)(r10 - 8) = {key}
    *(u64 *)(r10 - 24) = 1
    r1 = map[flows] ll
    r2 = r10
    r2 += -16
    r3 = r10
    r3 += -24
    r4 = 0
    call map_update_elem
"
        )
    };
    let take = |key: i32| {
        format!(
            "
    *(u64 *)(r10 - 16) = {key}
    *(u64 *)(r10 - 8) = {key}
    r1 = map[flows] ll
    r2 = r10
    r2 += -16
    call map_delete_elem
"
        )
    };
    let steps = [
        ask(0),
        put(0),
        ask(0),
        ask(0),
        ask(7),
        take(0),
        ask(0),
        // In the same slot as the one before.
        put(7),
        ask(0),
        ask(7),
        put(7),
        ask(7),
        put(0),
        ask(7),
        ask(0),
        ask(7),
    ];
    format!(
        "
.map flows {ty} key {key_size} value 8 entries 8
.prog main socket_filter
    r6 = 0
{}
    r0 = r6
    exit
",
        steps.concat()
    )
}

#[test]
fn hashes_are_looked_up_in_with_keys_of_any_size() {
    for ty in ["hash", "percpu_hash", "lru_hash", "lru_percpu_hash"] {
        for key_size in [4, 8, 12, 16] {
            let source = hash_program(ty, key_size);
            let [with, without] = check(&source, Opt::DirectLookup, 0b011_0001_1111);
            assert!(with.len() < without.len(), "{ty} {key_size}");
        }
    }
}
