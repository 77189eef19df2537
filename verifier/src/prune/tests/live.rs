//! The fixed point of stack liveness over small graphs.

use super::super::stack_live::{AliveSlots, LiveEvent, StackLiveness};
use super::*;
use crate::state::{Frame, State};

const FP8: u64 = 1 << 0;
const FP16: u64 = 1 << 1;

/// The state of a path at `idx` with one frame per call given, main first.
fn at(ctx: &Ctx<'_>, idx: usize, calls: &[usize]) -> State {
    let mut state = State::new(Frame::new(0, 0, None), idx);
    for (number, &callsite) in calls.iter().enumerate() {
        let entry = callsite as i64 + 1 + i64::from(ctx.insns[callsite].imm);
        let subprog = ctx.subprog_at(entry as usize).unwrap();
        state.push_frame(Frame::new(number + 1, subprog, Some(callsite)));
    }
    state
}

/// One instruction of a path: where, what it reads and what it writes, each as (frame, slots).
type Step = (usize, Option<(usize, u64)>, Option<(usize, u64)>);

/// Walks a path within one call chain.
fn walk(live: &mut StackLiveness, ctx: &Ctx<'_>, calls: &[usize], path: &[Step]) {
    live.forget_current();
    for &(idx, read, write) in path {
        let state = at(ctx, idx, calls);
        live.reset_writes(ctx, &state, idx);
        if let Some((frame, slots)) = read {
            live.mark_read(ctx, &state, frame, idx, slots);
        }
        if let Some((frame, slots)) = write {
            live.mark_write(frame, slots);
        }
        live.commit_writes();
    }
}

fn alive(live: &mut StackLiveness, ctx: &Ctx<'_>, idx: usize, calls: &[usize]) -> AliveSlots {
    live.alive_slots(ctx, &at(ctx, idx, calls))
}

#[test]
fn a_slot_is_alive_between_write_and_read() {
    let ctx = prepared(vec![
        store_imm(10, -8, 1),
        mov_imm(1, 0),
        load(0, 10, -8),
        EXIT,
    ]);
    let mut live = StackLiveness::new(false);
    walk(
        &mut live,
        ctx,
        &[],
        &[
            (0, None, Some((0, FP8))),
            (1, None, None),
            (2, Some((0, FP8)), None),
            (3, None, None),
        ],
    );
    live.update(ctx, &at(ctx, 3, &[]));
    let slots: Vec<u64> = (0..4)
        .map(|idx| alive(&mut live, ctx, idx, &[])[0])
        .collect();
    assert_eq!(slots, [0, FP8, FP8, 0]);
}

#[test]
fn nothing_is_alive_before_the_marks_are_spread() {
    let ctx = prepared(vec![mov_imm(0, 0), load(0, 10, -8), EXIT]);
    let mut live = StackLiveness::new(false);
    walk(
        &mut live,
        ctx,
        &[],
        &[(0, None, None), (1, Some((0, FP8)), None), (2, None, None)],
    );
    assert_eq!(alive(&mut live, ctx, 1, &[])[0], 0);
    live.update(ctx, &at(ctx, 2, &[]));
    assert_eq!(alive(&mut live, ctx, 0, &[])[0], FP8);
}

#[test]
fn a_write_on_one_of_two_branches_does_not_end_life() {
    let ctx = prepared(vec![
        call(RANDOM),
        jump_eq(0, 0, 1),
        store_imm(10, -8, 1),
        load(0, 10, -8),
        EXIT,
    ]);
    let mut live = StackLiveness::new(false);
    let read = (3, Some((0, FP8)), None);
    walk(
        &mut live,
        ctx,
        &[],
        &[
            (0, None, None),
            (1, None, None),
            (2, None, Some((0, FP8))),
            read,
        ],
    );
    live.update(ctx, &at(ctx, 4, &[]));
    let slots: Vec<u64> = (0..4)
        .map(|idx| alive(&mut live, ctx, idx, &[])[0])
        .collect();
    assert_eq!(slots, [FP8, FP8, 0, FP8]);
}

#[test]
fn a_write_that_another_visit_does_not_repeat_is_not_certain() {
    let ctx = prepared(vec![mov(1, 10), store_imm(1, 0, 5), load(0, 10, -8), EXIT]);
    let mut live = StackLiveness::new(false);
    let read = (2, Some((0, FP8)), None);
    walk(
        &mut live,
        ctx,
        &[],
        &[(0, None, None), (1, None, Some((0, FP8))), read],
    );
    live.update(ctx, &at(ctx, 3, &[]));
    assert_eq!(alive(&mut live, ctx, 1, &[])[0], 0);
    walk(
        &mut live,
        ctx,
        &[],
        &[(0, None, None), (1, None, Some((0, FP16))), read],
    );
    live.update(ctx, &at(ctx, 3, &[]));
    assert_eq!(alive(&mut live, ctx, 1, &[])[0], FP8);
}

#[test]
fn a_loop_carries_life_round() {
    // 0: call random; 1: if r0 == 0 goto 4; 2: r1 = *(fp-8); 3: goto 0; 4: r0 = 0; 5: exit
    let ctx = prepared(vec![
        call(RANDOM),
        jump_eq(0, 0, 2),
        load(1, 10, -8),
        goto(-4),
        mov_imm(0, 0),
        EXIT,
    ]);
    let mut live = StackLiveness::new(false);
    walk(
        &mut live,
        ctx,
        &[],
        &[
            (0, None, None),
            (1, None, None),
            (2, Some((0, FP8)), None),
            (3, None, None),
        ],
    );
    live.update(ctx, &at(ctx, 0, &[]));
    let slots: Vec<u64> = (0..6)
        .map(|idx| alive(&mut live, ctx, idx, &[])[0])
        .collect();
    assert_eq!(slots, [FP8, FP8, FP8, FP8, 0, 0]);
}

/// Main calls a subprogram that writes one of main's slots and reads another.
fn caller_and_callee() -> &'static Ctx<'static> {
    prepared(vec![
        store_imm(10, -8, 1),
        store_imm(10, -16, 1),
        call_subprog(3),
        load(0, 10, -8),
        load(0, 10, -16),
        EXIT,
        store_imm(2, 0, 7),
        load(0, 2, -8),
        EXIT,
    ])
}

#[test]
fn what_a_callee_writes_is_dead_before_the_call() {
    let ctx = caller_and_callee();
    let mut live = StackLiveness::new(false);
    let (store8, store16) = ((0, None, Some((0, FP8))), (1, None, Some((0, FP16))));
    walk(&mut live, ctx, &[], &[store8, store16]);
    walk(
        &mut live,
        ctx,
        &[2],
        &[
            (6, None, Some((0, FP8))),
            (7, Some((0, FP16)), None),
            (8, None, None),
        ],
    );
    live.update(ctx, &at(ctx, 8, &[2]));
    walk(
        &mut live,
        ctx,
        &[],
        &[(3, Some((0, FP8)), None), (4, Some((0, FP16)), None)],
    );
    live.update(ctx, &at(ctx, 5, &[]));
    assert_eq!(alive(&mut live, ctx, 2, &[])[0], FP16);
    assert_eq!(alive(&mut live, ctx, 3, &[])[0], FP8 | FP16);
    // Within the callee: what it reads itself, and what main reads after the call.
    let inside = alive(&mut live, ctx, 6, &[2]);
    assert_eq!(inside.as_slice(), [FP8 | FP16, 0]);
}

#[test]
fn the_log_is_told_what_the_kernel_tells() {
    // The program, the path and the result are those of a load of the live kernel.
    let (fp328, fp336) = (1 << 40, 1 << 41);
    let ctx = prepared(vec![
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
    ]);
    let mut live = StackLiveness::new(true);
    let tail = [
        (11, Some((0, fp328)), None),
        (12, Some((0, fp336)), None),
        (13, None, None),
        (14, None, None),
    ];
    let mut path: Vec<Step> = (0..9).map(|idx| (idx, None, None)).collect();
    path[3].2 = Some((0, fp328));
    path[4].2 = Some((0, fp336));
    path.push((10, None, Some((0, fp328))));
    path.extend(tail);
    walk(&mut live, ctx, &[], &path);
    live.update(ctx, &at(ctx, 14, &[]));
    let told: Vec<String> = live
        .events
        .as_mut()
        .unwrap()
        .drain(..)
        .map(|e| text(&e))
        .collect();
    let expected = [
        "12 +live 20000000000",
        "11 +live 30000000000",
        "10 +live 20000000000",
        "10 +written 10000000000",
        "9 +live 20000000000",
        "9 +written 10000000000",
        "6 +live 20000000000",
        "6 +written 10000000000",
        "4 +written 30000000000",
        "3 +written 30000000000",
        "2 +written 30000000000",
        "0 +written 30000000000",
        "2 sweeps",
    ];
    assert_eq!(told, expected);
    // The second path writes the other slot. Both lie beyond the 32 that the kernel looks at, so that
    // it changes nothing.
    let mut path = vec![(9, None, None), (10, None, Some((0, fp336)))];
    path.extend(tail);
    walk(&mut live, ctx, &[], &path);
    live.update(ctx, &at(ctx, 14, &[]));
    assert_eq!(live.events.as_mut().unwrap().len(), 0);
}

fn text(event: &LiveEvent) -> String {
    match event {
        LiveEvent::Live { idx, old, new, .. } => format!("{idx} +live {:x}", new & !old),
        LiveEvent::Written { idx, old, new, .. } => format!("{idx} +written {:x}", new & !old),
        LiveEvent::Done { sweeps, .. } => format!("{sweeps} sweeps"),
    }
}
