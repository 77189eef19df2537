//! Going back over instructions, one at a time.

use super::super::backtrack::{Obstacle, Wanted, step_back};
use super::super::history::{Entries, History, HistoryFlags, LinkedAt, LinkedRegs};
use super::*;
use skep_isa::Reg;

fn regs(numbers: &[u8]) -> u16 {
    numbers.iter().fold(0, |mask, &number| mask | 1 << number)
}

/// What is wanted in frame 0 before each instruction of `idx`, going back from `last`.
fn back(
    ctx: &Ctx<'_>,
    wanted: &mut Wanted,
    idx: usize,
    next: usize,
    recorded: Option<(HistoryFlags, LinkedRegs)>,
) -> Result<(), Obstacle> {
    let (mut entries, mut history) = (Entries::default(), History::default());
    if let Some((flags, linked)) = recorded {
        entries.push(&mut history, idx, idx.checked_sub(1), flags, linked);
    }
    step_back(ctx, idx, Some(next), entries.last(history), wanted)
}

fn wanting(frame: usize, numbers: &[u8]) -> Wanted {
    let mut wanted = Wanted::none(frame);
    wanted.want_regs(frame, regs(numbers));
    wanted
}

#[test]
fn arithmetic_wants_both_operands() {
    let ctx = prepared(vec![
        mov_imm(1, 1),
        mov_imm(2, 2),
        add(1, 2),
        mov(0, 1),
        EXIT,
    ]);
    let mut wanted = wanting(0, &[0]);
    back(ctx, &mut wanted, 3, 4, None).unwrap();
    assert_eq!(wanted.regs(0), regs(&[1]));
    back(ctx, &mut wanted, 2, 3, None).unwrap();
    assert_eq!(wanted.regs(0), regs(&[1, 2]));
    back(ctx, &mut wanted, 1, 2, None).unwrap();
    back(ctx, &mut wanted, 0, 1, None).unwrap();
    assert!(wanted.is_empty());
}

#[test]
fn the_frame_pointer_is_never_wanted() {
    let ctx = prepared(vec![mov(1, 10), mov_imm(0, 0), EXIT]);
    let mut wanted = wanting(0, &[1]);
    back(ctx, &mut wanted, 0, 1, None).unwrap();
    assert!(wanted.is_empty());
}

#[test]
fn spill_and_fill_carry_a_number() {
    let ctx = prepared(vec![mov_imm(6, 1), store(10, -8, 6), load(0, 10, -8), EXIT]);
    let access = Some((HistoryFlags::stack_access(0, 0), LinkedRegs::NONE));
    let mut wanted = wanting(0, &[0]);
    back(ctx, &mut wanted, 2, 3, access).unwrap();
    assert_eq!((wanted.regs(0), wanted.slots(0)), (0, 1));
    back(ctx, &mut wanted, 1, 2, access).unwrap();
    assert_eq!((wanted.regs(0), wanted.slots(0)), (regs(&[6]), 0));
}

#[test]
fn a_load_that_was_not_recorded_ends_the_trail() {
    let ctx = prepared(vec![load(0, 1, 0), EXIT]);
    let mut wanted = wanting(0, &[0]);
    back(ctx, &mut wanted, 0, 1, None).unwrap();
    assert!(wanted.is_empty());
}

#[test]
fn a_number_that_was_a_pointer_is_not_followed() {
    let ctx = prepared(vec![store(2, 0, 1), mov_imm(0, 0), EXIT]);
    let mut wanted = wanting(0, &[2]);
    assert_eq!(
        back(ctx, &mut wanted, 0, 1, None),
        Err(Obstacle::Unsupported)
    );
}

#[test]
fn an_atomic_that_fetches_is_taken_for_a_store() {
    // Live kernel: r1, which receives the old value, stays wanted.
    let fetch_add = RawInsn::new(0xdb, 10, 1, -8, 0x01);
    let ctx = prepared(vec![fetch_add, mov_imm(0, 0), EXIT]);
    let mut wanted = wanting(0, &[1]);
    let access = Some((HistoryFlags::stack_access(0, 0), LinkedRegs::NONE));
    back(ctx, &mut wanted, 0, 1, access).unwrap();
    assert_eq!((wanted.regs(0), wanted.slots(0)), (regs(&[1]), 0));
}

#[test]
fn linked_numbers_are_wanted_together() {
    let ctx = prepared(vec![jump_eq(1, 0, 0), mov_imm(0, 0), EXIT]);
    let mut linked = LinkedRegs::NONE;
    linked.push(0, LinkedAt::Reg(Reg::R1));
    linked.push(0, LinkedAt::Slot(3));
    let entry = Some((HistoryFlags::NONE, linked));
    let mut wanted = wanting(0, &[6]);
    back(ctx, &mut wanted, 0, 1, entry).unwrap();
    assert_eq!((wanted.regs(0), wanted.slots(0)), (regs(&[6]), 0));
    wanted.want_slots(0, 1 << 3);
    back(ctx, &mut wanted, 0, 1, entry).unwrap();
    assert_eq!((wanted.regs(0), wanted.slots(0)), (regs(&[1, 6]), 1 << 3));
}

#[test]
fn a_comparison_of_registers_wants_both_if_either() {
    let compare = RawInsn::new(0x1d, 1, 2, 0, 0);
    let ctx = prepared(vec![compare, mov_imm(0, 0), EXIT]);
    let mut wanted = wanting(0, &[1]);
    back(ctx, &mut wanted, 0, 1, None).unwrap();
    assert_eq!(wanted.regs(0), regs(&[1, 2]));
    let mut wanted = wanting(0, &[1]);
    let stack = Some((HistoryFlags::SRC_NOT_SCALAR, LinkedRegs::NONE));
    back(ctx, &mut wanted, 0, 1, stack).unwrap();
    assert_eq!(wanted.regs(0), regs(&[1]));
    let mut wanted = wanting(0, &[6]);
    back(ctx, &mut wanted, 0, 1, None).unwrap();
    assert_eq!(wanted.regs(0), regs(&[6]));
}

#[test]
fn results_come_from_the_callee_and_arguments_from_the_caller() {
    // 0: r1 = 1; 1: call 3; 2: exit; 3: r0 = r1; 4: exit
    let ctx = prepared(vec![mov_imm(1, 1), call_subprog(1), EXIT, mov(0, 1), EXIT]);
    let mut wanted = wanting(0, &[0, 6]);
    back(ctx, &mut wanted, 4, 2, None).unwrap();
    assert_eq!(wanted.frame, 1);
    assert_eq!((wanted.regs(0), wanted.regs(1)), (regs(&[6]), regs(&[0])));
    back(ctx, &mut wanted, 3, 4, None).unwrap();
    back(ctx, &mut wanted, 1, 3, None).unwrap();
    assert_eq!(wanted.frame, 0);
    assert_eq!((wanted.regs(0), wanted.regs(1)), (regs(&[1, 6]), 0));
}

#[test]
fn a_helper_sets_r0_and_needs_no_argument() {
    let ctx = prepared(vec![call(RANDOM), EXIT]);
    let mut wanted = wanting(0, &[0, 6]);
    back(ctx, &mut wanted, 0, 1, None).unwrap();
    assert_eq!(wanted.regs(0), regs(&[6]));
    let mut wanted = wanting(0, &[1]);
    let result = back(ctx, &mut wanted, 0, 1, None);
    assert!(matches!(result, Err(Obstacle::Inconsistent(_))));
}

#[test]
fn a_tail_call_that_was_taken_ended_the_callee() {
    // Live kernel: `frame0: regs=r6 before 13: call bpf_tail_call`, then `frame1: regs=`.
    let ctx = prepared(vec![
        mov_imm(6, 4),
        call_subprog(2),
        mov(0, 6),
        EXIT,
        call(RANDOM),
        EXIT,
    ]);
    let mut wanted = wanting(0, &[6]);
    back(ctx, &mut wanted, 4, 2, None).unwrap();
    assert_eq!(wanted.frame, 1);
    assert_eq!((wanted.regs(0), wanted.regs(1)), (regs(&[6]), 0));
}
