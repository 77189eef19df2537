//! Remembered states: what they hold, and what they share.

use std::rc::Rc;

use super::super::explored::StateId;
use super::super::pool::Pool;
use super::super::stored::Stored;
use crate::state::{ByteKind, Frame, Slot, State, Value};

fn spilled(value: u64) -> Slot {
    Slot {
        bytes: [ByteKind::Spill; 8],
        value: Value::constant(value),
    }
}

/// A path in a callee, with numbers in both frames.
fn path() -> State {
    let mut state = State::new(Frame::new(0, 0, None), 3);
    *state.cur_mut().stack.slot_mut(9) = spilled(1);
    state.cur_mut().regs[6] = Value::constant(2);
    state.push_frame(Frame::new(1, 1, Some(7)));
    *state.cur_mut().stack.slot_mut(0) = spilled(3);
    state
}

fn frames(state: &State) -> Vec<Frame> {
    state.frames().map(|frame| (**frame).clone()).collect()
}

#[test]
fn a_state_comes_back_as_it_was() {
    let mut pool = Pool::default();
    let mut state = path();
    let stored = Stored::new(&mut state, None, &mut pool);
    assert_eq!(frames(&stored.restore(&pool)), frames(&state));
}

#[test]
fn what_has_not_changed_is_shared() {
    let mut pool = Pool::default();
    let mut state = path();
    let first = Stored::new(&mut state, None, &mut pool);
    state.parent = Some(StateId(0));
    state.cur_mut().regs[1] = Value::constant(4);
    let second = Stored::new(&mut state, Some(&first), &mut pool);
    assert!(Rc::ptr_eq(&first.frames[0], &second.frames[0]));
    assert!(!Rc::ptr_eq(&first.frames[1], &second.frames[1]));
    assert!(Rc::ptr_eq(&first.frames[1].slots, &second.frames[1].slots));
    assert_eq!(frames(&second.restore(&pool)), frames(&state));
}

#[test]
fn a_branch_that_writes_does_not_see_the_other() {
    let mut pool = Pool::default();
    let mut state = path();
    let first = Stored::new(&mut state, None, &mut pool);
    state.parent = Some(StateId(0));
    let mut branch = state.clone();
    *state.frame_mut(0).stack.slot_mut(2) = spilled(10);
    *branch.frame_mut(0).stack.slot_mut(9) = spilled(11);
    *branch.cur_mut().stack.slot_mut(5) = spilled(12);
    for state in [&mut state, &mut branch] {
        let stored = Stored::new(state, Some(&first), &mut pool);
        assert_eq!(frames(&stored.restore(&pool)), frames(state));
    }
    assert_ne!(frames(&state), frames(&branch));
}

#[test]
fn a_new_frame_is_not_taken_for_the_one_that_was_left() {
    let mut pool = Pool::default();
    let mut state = path();
    let first = Stored::new(&mut state, None, &mut pool);
    state.parent = Some(StateId(0));
    state.pop_frame();
    state.push_frame(Frame::new(1, 1, Some(8)));
    let second = Stored::new(&mut state, Some(&first), &mut pool);
    assert_eq!(frames(&second.restore(&pool)), frames(&state));
}

#[test]
fn erasing_leaves_other_states_alone() {
    let mut pool = Pool::default();
    let mut state = path();
    let before = frames(&state);
    let first = Stored::new(&mut state, None, &mut pool);
    state.parent = Some(StateId(0));
    let mut second = Stored::new(&mut state, Some(&first), &mut pool);
    second.erase(0, 1 << 10, 0);
    assert_eq!(frames(&first.restore(&pool)), before);
    let erased = second.restore(&pool);
    assert_eq!(erased.frame(0).regs[6], Value::Uninit);
    assert_eq!(*erased.frame(0).stack.slot(9), Slot::EMPTY);
    assert_eq!(erased.frame(0).stack.len(), 10);
    assert_eq!(erased.frame(1), &before[1]);
}
