//! What exploring everything refuses and the kernel's pruning does not see: writes that are refused for what
//! they overwrite, in slots that nobody reads.
//!
//! Linux 6.18.44 says the same of each to a loader without `CAP_PERFMON` (the last of the unseen ones to all),
//! but for writes at a varying offset: where it guards against speculation, it refuses those before it looks.

use skep_fuzz::oracle::{Outcome, prune_equals_no_prune};
use skep_spec::{Facts, Lane, Profile, ProgramSpec};
use skep_verifier::report::Silent;
use skep_verifier::{Config, Prune, Verdict, verify};

/// With the programs' flag every prune point remembers a state; the path that does not jump is walked first.
const HEAD: &str = "
.license GPL
.map values array key 4 value 8 entries 1
";

/// Accepted, though there is a path on which a pointer is overwritten.
const UNSEEN: &str = "
.prog part_of_a_pointer_spilled_on_the_second_path sched_cls flags test_state_freq
    r6 = r1
    call get_prandom_u32
    if r0 s> 0 goto spill
    goto join
spill:
    *(u64 *)(r10 - 8) = r6
join:
    *(u8 *)(r10 - 1) = 0
    r0 = 0
    exit

.prog part_of_a_pointer_where_a_number_was sched_cls flags test_state_freq
    r6 = r1
    call get_prandom_u32
    if r0 s> 0 goto spill
    *(u64 *)(r10 - 8) = 5
    goto join
spill:
    *(u64 *)(r10 - 8) = r6
join:
    *(u8 *)(r10 - 1) = 0
    r0 = 0
    exit

.prog output_over_a_pointer sched_cls flags test_state_freq
    r6 = r1
    call get_prandom_u32
    if r0 s> 0 goto spill
    goto join
spill:
    *(u64 *)(r10 - 8) = r6
join:
    r1 = r6
    r2 = 0
    r3 = r10
    r3 += -8
    r4 = 8
    call skb_load_bytes
    r0 = 0
    exit

.prog somewhere_in_what_one_path_did_not_write sched_cls flags test_state_freq
    call get_prandom_u32
    r6 = r0
    r6 &= 1
    if r0 s> 0 goto join
    *(u32 *)(r10 - 12) = 0
join:
    r3 = r10
    r3 += -12
    r3 += r6
    *(u8 *)(r3 + 0) = 0
    r0 = 0
    exit

.prog somewhere_in_a_number_where_bytes_were sched_cls flags test_state_freq
    r6 = r1
    *(u64 *)(r10 - 8) = 0
    call get_prandom_u32
    r7 = r0
    r8 = r0
    r8 &= 1
    if r7 s> 0 goto spill
    r1 = r6
    r2 = 0
    r3 = r10
    r3 += -8
    r4 = 8
    call skb_load_bytes
    goto join
spill:
    *(u64 *)(r10 - 8) = r7
join:
    r3 = r10
    r3 += -8
    r3 += r8
    *(u8 *)(r3 + 0) = 0
    r0 = *(u64 *)(r10 - 8)
    r0 = 0
    exit
";

/// As above, but whoever loads it.
const UNSEEN_BY_ALL: &str = "
.prog output_over_a_window sched_cls flags test_state_freq
    r6 = r1
    call get_prandom_u32
    if r0 s> 0 goto made
    goto join
made:
    r1 = map_value[values] ll
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -16
    call dynptr_from_mem
join:
    r1 = r6
    r2 = 0
    r3 = r10
    r3 += -16
    r4 = 4
    call skb_load_bytes
    r0 = 0
    exit
";

/// Refused either way: the write is on the first path, or states differ in what is read later.
const SEEN: &str = "
.prog part_of_a_pointer_spilled_on_the_first_path sched_cls flags test_state_freq
    r6 = r1
    call get_prandom_u32
    if r0 s> 0 goto join
    *(u64 *)(r10 - 8) = r6
join:
    *(u8 *)(r10 - 1) = 0
    r0 = 0
    exit

.prog part_of_a_pointer_where_paths_differ_in_what_is_read sched_cls flags test_state_freq
    r6 = r1
    call get_prandom_u32
    r7 = 0
    if r0 s> 0 goto spill
    goto join
spill:
    *(u64 *)(r10 - 8) = r6
    r7 = r10
join:
    *(u8 *)(r10 - 1) = 0
    r0 = r7
    r0 = 0
    exit

.prog part_of_a_pointer_where_bytes_were_that_are_read sched_cls flags test_state_freq
    r6 = r1
    call get_prandom_u32
    if r0 s> 0 goto spill
    r1 = r6
    r2 = 0
    r3 = r10
    r3 += -8
    r4 = 8
    call skb_load_bytes
    goto join
spill:
    *(u64 *)(r10 - 8) = r6
join:
    *(u8 *)(r10 - 1) = 0
    r0 = *(u8 *)(r10 - 8)
    r0 = 0
    exit

.prog part_of_a_pointer_where_a_number_was_that_is_read sched_cls flags test_state_freq
    r6 = r1
    call get_prandom_u32
    if r0 s> 0 goto spill
    *(u64 *)(r10 - 8) = 5
    goto join
spill:
    *(u64 *)(r10 - 8) = r6
join:
    *(u8 *)(r10 - 1) = 0
    r0 = *(u8 *)(r10 - 8)
    r0 = 0
    exit

.prog part_of_a_pointer_where_a_number_decides sched_cls flags test_state_freq
    *(u64 *)(r10 - 8) = r1
    call get_prandom_u32
    r7 = 0
    if r0 s> 0 goto other
    goto join
other:
    r7 = 1
join:
    if r7 == 0 goto out
    *(u8 *)(r10 - 1) = 0
out:
    r0 = 0
    exit

.prog somewhere_in_a_pointer_where_bytes_were_that_are_read sched_cls flags test_state_freq
    r6 = r1
    call get_prandom_u32
    r8 = r0
    r8 &= 1
    if r0 s> 0 goto spill
    r1 = r6
    r2 = 0
    r3 = r10
    r3 += -8
    r4 = 8
    call skb_load_bytes
    goto join
spill:
    *(u64 *)(r10 - 8) = r6
join:
    r3 = r10
    r3 += -8
    r3 += r8
    *(u8 *)(r3 + 0) = 0
    r0 = *(u64 *)(r10 - 8)
    r0 = 0
    exit
";

fn programs(text: &str) -> Vec<(String, ProgramSpec)> {
    let text = format!("{HEAD}{text}");
    let object = skep_asm::assemble(&text, &skep_asm::Options::default());
    let object = object.unwrap_or_else(|errors| panic!("{errors}"));
    let programs = object.programs.into_iter();
    let programs: Vec<_> = programs.map(|spec| (spec.name.clone(), spec)).collect();
    assert!(!programs.is_empty());
    programs
}

/// Of a loader who may see no pointers and read no uninitialised stack.
fn careful() -> Facts {
    let mut profile = Profile::linux_6_18();
    profile.lane = Lane {
        ptr_leaks: false,
        uninit_stack: false,
        ..Lane::PRIVILEGED
    };
    Facts::new(profile)
}

fn accepts(spec: &ProgramSpec, facts: &Facts, prune: Prune) -> bool {
    let config = Config {
        prune,
        ..Config::default()
    };
    match verify(spec, facts, &config, &mut Silent) {
        Verdict::Accepted(_) => true,
        Verdict::Rejected(_) => false,
        Verdict::Undecided(why) => panic!("{why:?}"),
    }
}

/// By the kernel's pruning, by one that counts what writes find, and by none.
fn verdicts(spec: &ProgramSpec, facts: &Facts) -> [bool; 3] {
    [Prune::ByReads, Prune::ByWrites, Prune::Nothing].map(|prune| accepts(spec, facts, prune))
}

#[test]
fn writes_that_the_kernel_does_not_see_are_no_findings() {
    let (careful, privileged) = (careful(), Facts::new(Profile::linux_6_18()));
    let of_all = programs(UNSEEN_BY_ALL);
    let of_careful = programs(UNSEEN).into_iter().chain(of_all.clone());
    let asked = of_careful.map(|asked| (asked, &careful));
    for ((name, spec), facts) in asked.chain(of_all.into_iter().map(|asked| (asked, &privileged))) {
        assert_eq!(verdicts(&spec, facts), [true, false, false], "{name}");
        let outcome = prune_equals_no_prune(&spec, facts);
        assert!(matches!(outcome, Outcome::Fine), "{name}: {outcome:?}");
    }
}

#[cfg(not(feature = "planted-faults"))]
#[test]
fn writes_that_the_kernel_sees_are_refused_either_way() {
    let careful = careful();
    for (name, spec) in programs(SEEN) {
        assert_eq!(verdicts(&spec, &careful), [false; 3], "{name}");
        let outcome = prune_equals_no_prune(&spec, &careful);
        assert!(matches!(outcome, Outcome::Fine), "{name}: {outcome:?}");
    }
}

/// The fault that is planted in pruning forgets what was marked precise. It is found even where what goes
/// unseen because of it is a write of the kind that may go unseen by the kernel's rule.
#[cfg(feature = "planted-faults")]
#[test]
fn a_fault_is_found_even_by_such_writes() {
    let careful = careful();
    let mut found = Vec::new();
    for (name, spec) in programs(SEEN) {
        match prune_equals_no_prune(&spec, &careful) {
            Outcome::Found(_) => found.push(name),
            Outcome::Fine => {}
            outcome @ (Outcome::Skipped(_) | Outcome::Remark(_)) => panic!("{name}: {outcome:?}"),
        }
    }
    assert_eq!(found, ["part_of_a_pointer_where_a_number_decides"]);
}
