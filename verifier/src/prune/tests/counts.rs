//! Whole programs with the counts that the live kernel (6.18.44) printed for them.

use skep_spec::ProgFlags;

use super::*;
use crate::violation::{LimitViolation, Violation};
use crate::{Verdict, verify};

/// Instructions, total states, peak states, states per instruction.
type Counts = (u64, u32, u32, u32);

fn verdict(insns: Vec<RawInsn>, flags: ProgFlags) -> Verdict {
    let mut spec = ProgramSpec::new("test", ProgType::SocketFilter, insns);
    spec.flags = flags;
    let facts = Facts::new(Profile::linux_6_18());
    verify(&spec, &facts, &Config::default(), &mut Silent)
}

fn counts(insns: Vec<RawInsn>, flags: ProgFlags) -> Counts {
    let verdict = verdict(insns, flags);
    let Verdict::Accepted(accepted) = verdict else {
        panic!("{verdict:?}")
    };
    let stats = accepted.stats;
    let (total, peak) = (stats.total_states, stats.peak_states);
    (stats.total_insns, total, peak, stats.max_states_per_insn)
}

/// `may_goto off`.
fn may_goto(off: i16) -> RawInsn {
    RawInsn::new(opcode::JCOND, 0, 0, off, 0)
}

/// `dst &= imm`.
fn and_imm(dst: u8, imm: i32) -> RawInsn {
    RawInsn::new(0x57, dst, 0, 0, imm)
}

#[test]
fn a_loop_of_may_goto_ends_after_one_round() {
    let insns = vec![
        call(RANDOM),
        mov(6, 0),
        and_imm(6, 255),
        mov_imm(7, 0),
        may_goto(2),
        mov(7, 6),
        goto(-3),
        mov(0, 6),
        EXIT,
    ];
    assert_eq!(counts(insns, ProgFlags::empty()), (10, 1, 2, 0));
}

#[test]
fn a_counter_in_a_loop_of_may_goto_is_widened() {
    let insns = vec![
        call(RANDOM),
        mov(6, 0),
        and_imm(6, 255),
        mov_imm(7, 0),
        may_goto(3),
        mov(8, 6),
        add_imm(7, 1),
        goto(-4),
        mov(0, 6),
        add(0, 7),
        EXIT,
    ];
    assert_eq!(counts(insns, ProgFlags::empty()), (26, 3, 4, 2));
}

#[test]
fn numbers_that_are_tied_are_covered_by_numbers_that_are_not() {
    let insns = vec![
        call(RANDOM),
        mov(6, 0),
        and_imm(6, 7),
        call(RANDOM),
        mov(7, 0),
        and_imm(7, 7),
        call(RANDOM),
        jump_eq(0, 0, 1),
        goto(1),
        mov(7, 6),
        mov(1, 10),
        add_imm(1, -32),
        add(1, 6),
        mov(2, 10),
        add_imm(2, -32),
        add(2, 7),
        RawInsn::new(0x72, 1, 0, 0, 0),
        RawInsn::new(0x72, 2, 0, 0, 0),
        mov_imm(0, 0),
        EXIT,
    ];
    assert_eq!(counts(insns, ProgFlags::TEST_STATE_FREQ), (21, 5, 5, 0));
}

#[test]
fn two_paths_that_write_different_slots_are_both_walked() {
    let insns = vec![
        mov(6, 1),
        call(RANDOM),
        mov(7, 0),
        store_imm(10, -328, 1),
        store_imm(10, -336, 1),
        mov(1, 10),
        jump_eq(7, 0, 2),
        add_imm(1, -328),
        goto(1),
        add_imm(1, -336),
        store_imm(1, 0, 5),
        load(0, 10, -328),
        load(0, 10, -336),
        mov_imm(0, 0),
        EXIT,
    ];
    assert_eq!(counts(insns, ProgFlags::TEST_STATE_FREQ), (20, 5, 5, 1));
}

#[test]
fn a_loop_that_changes_nothing_is_rejected() {
    let insns = vec![
        call(RANDOM),
        jump_eq(0, 0, 1),
        goto(-1),
        mov_imm(0, 0),
        EXIT,
    ];
    let verdict = verdict(insns, ProgFlags::empty());
    let Verdict::Rejected(rejection) = verdict else {
        panic!("{verdict:?}")
    };
    assert_eq!((rejection.at, rejection.stats.total_insns), (Some(2), 9));
    assert!(matches!(
        rejection.violation,
        Violation::Limit(LimitViolation::InfiniteLoop { idx: 2, .. })
    ));
}

#[test]
fn a_counting_loop_is_walked_to_its_end() {
    // r6 = 0; do { r6 += 1 } while (r6 != 200)
    let back = RawInsn::new(0x55, 6, 0, -2, 200);
    let insns = vec![mov_imm(6, 0), add_imm(6, 1), back, mov_imm(0, 0), EXIT];
    assert_eq!(counts(insns, ProgFlags::empty()), (403, 11, 11, 4));
}
