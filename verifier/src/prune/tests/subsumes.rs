//! Which values, slots and states cover which.

use super::super::id_map::IdMap;
use super::super::pool::Pool;
use super::super::stored::Stored;
use super::super::subsumes::{Comparison, Exactness, Place};
use super::*;
use crate::number::Scalar;
use skep_isa::Width;

use crate::state::{
    ByteKind, Delta, Frame, Link, MapId, Number, Pointer, PtrFlags, Region, Slot, State, Value,
};

const LAST_ID: u32 = 1000;

fn covers(exactness: Exactness, old: &State, cur: &State) -> bool {
    let ctx = prepared(vec![mov(0, 1), mov(0, 2), EXIT]);
    let mut ids = IdMap::default();
    let mut pool = Pool::default();
    let old = Stored::new(&mut old.clone(), None, &mut pool);
    let mut comparison = Comparison {
        ctx,
        pool: &pool,
        ids: &mut ids,
        last_id: LAST_ID,
        exactness,
        at: Place::default(),
    };
    comparison.covers(&old, cur)
}

/// A state before `r0 = r1`, at which `r1` and `r2` are alive.
fn state(r1: Value, r2: Value) -> State {
    let mut frame = Frame::new(0, 0, None);
    frame.regs[1] = r1;
    frame.regs[2] = r2;
    State::new(frame, 0)
}

fn values(old: Value, precise: bool, cur: Value, exactness: Exactness) -> bool {
    let mut old = state(old, Value::constant(0));
    old.precise[0].regs = u16::from(precise) << 1;
    covers(exactness, &old, &state(cur, Value::constant(0)))
}

fn range(min: u64, max: u64) -> Value {
    Value::scalar(Scalar::from_range(min, max))
}

fn linked(id: u32, by: Option<(i32, Width)>) -> Value {
    let link = Some(Link {
        id,
        delta: by.map(|(by, width)| Delta { by, width }),
    });
    Value::Scalar(Number {
        scalar: Scalar::unknown(),
        link,
        old_frame: crate::state::OldFrame::OUTERMOST,
    })
}

fn map_value(id: u32) -> Value {
    let region = Region::MapValue {
        map: MapId(0),
        uid: 0,
    };
    let mut pointer = Pointer::new(region, PtrFlags::MAYBE_NULL);
    pointer.id = id;
    Value::Pointer(pointer)
}

fn packet(range: i32) -> Value {
    Value::Pointer(Pointer::new(Region::Packet { range }, PtrFlags::empty()))
}

#[test]
fn numbers_that_nothing_depends_on_cover_all_numbers() {
    use Exactness::{Exact, Precision, Range};
    assert!(values(
        Value::constant(1),
        false,
        Value::constant(2),
        Precision
    ));
    assert!(!values(
        Value::constant(1),
        true,
        Value::constant(2),
        Precision
    ));
    assert!(!values(
        Value::constant(1),
        false,
        Value::constant(2),
        Range
    ));
    assert!(!values(Value::constant(1), false, map_value(1), Precision));
    assert!(values(range(0, 9), true, range(2, 3), Precision));
    assert!(values(range(0, 9), false, range(2, 3), Range));
    assert!(!values(range(2, 3), true, range(0, 9), Precision));
    assert!(!values(range(0, 9), false, range(2, 3), Exact));
    assert!(values(range(0, 9), false, range(0, 9), Exact));
}

#[test]
fn a_register_that_was_not_set_covers_all_but_in_loops() {
    use Exactness::{Exact, Precision, Range};
    assert!(values(Value::Uninit, false, Value::constant(1), Precision));
    assert!(!values(Value::Uninit, false, Value::constant(1), Range));
    assert!(!values(Value::Uninit, false, Value::constant(1), Exact));
    assert!(values(Value::Uninit, false, Value::Uninit, Range));
    assert!(!values(Value::constant(1), false, Value::Uninit, Precision));
}

#[test]
fn dead_registers_do_not_count() {
    let mut old = state(Value::constant(1), Value::constant(0));
    old.cur_mut().regs[7] = map_value(1);
    let cur = state(Value::constant(1), Value::constant(0));
    assert!(covers(Exactness::Range, &old, &cur));
    assert!(covers(Exactness::Exact, &old, &cur));
}

#[test]
fn links_must_agree_between_two_numbers() {
    let pair = |a, b| {
        let mut state = state(linked(a, None), linked(b, None));
        state.precise[0].regs = 0b110;
        state
    };
    let covers = |old: &State, cur: &State| covers(Exactness::Precision, old, cur);
    assert!(covers(&pair(1, 1), &pair(5, 5)));
    assert!(covers(&pair(1, 2), &pair(5, 6)));
    assert!(!covers(&pair(1, 1), &pair(5, 6)));
    assert!(!covers(&pair(1, 2), &pair(5, 5)));
    // One that is tied to nothing is as good as one with an id of its own.
    let free = state(Value::unknown(), linked(6, None));
    assert!(covers(&pair(1, 2), &free));
    assert!(!covers(&pair(1, 1), &free));
    // Live kernel: what was tied to nothing covers what is tied.
    let mut old = state(Value::unknown(), Value::unknown());
    old.precise[0].regs = 0b110;
    assert!(covers(&old, &pair(5, 5)));
}

#[test]
fn distances_from_the_family_must_be_the_same() {
    let precision = Exactness::Precision;
    let distant = |by, width| linked(9, Some((by, width)));
    let old = linked(1, Some((4, Width::W64)));
    assert!(values(old, true, distant(4, Width::W64), precision));
    assert!(!values(old, true, distant(5, Width::W64), precision));
    assert!(!values(old, true, distant(4, Width::W32), precision));
    assert!(!values(old, true, linked(9, None), precision));
    assert!(!values(
        linked(1, None),
        true,
        distant(4, Width::W64),
        precision
    ));
    assert!(values(
        Value::unknown(),
        true,
        distant(4, Width::W64),
        precision
    ));
}

#[test]
fn pointers_need_the_same_type_and_a_wider_range() {
    let precision = Exactness::Precision;
    assert!(values(map_value(1), false, map_value(2), precision));
    assert!(!values(map_value(1), false, map_value(0), precision));
    assert!(values(packet(8), false, packet(14), precision));
    assert!(!values(packet(14), false, packet(8), precision));
    // Known to lie at or beyond the end: no length to be compared.
    assert!(!values(packet(-1), false, packet(8), precision));
    assert!(values(packet(-1), false, packet(-1), precision));
}

fn spilled(value: Value) -> Slot {
    Slot {
        bytes: [ByteKind::Spill; 8],
        value,
    }
}

fn filled(kind: ByteKind) -> Slot {
    Slot {
        bytes: [kind; 8],
        value: Value::Uninit,
    }
}

fn slots(old: Slot, cur: Slot, exactness: Exactness) -> bool {
    let state = |slot| {
        let mut state = state(Value::constant(0), Value::constant(0));
        *state.cur_mut().stack.slot_mut(0) = slot;
        state.precise[0].slots = 1;
        state
    };
    covers(exactness, &state(old), &state(cur))
}

#[test]
fn slots_cover_by_what_a_fill_would_read() {
    use ByteKind::{Invalid, Misc, Zero};
    use Exactness::{Precision, Range};
    let one = spilled(Value::constant(1));
    assert!(slots(filled(Invalid), one, Precision));
    assert!(!slots(filled(Invalid), one, Range));
    assert!(slots(filled(Misc), one, Precision));
    assert!(slots(filled(Misc), spilled(map_value(1)), Precision));
    assert!(!slots(filled(Misc), one, Range));
    assert!(slots(filled(Zero), filled(Zero), Precision));
    assert!(!slots(filled(Zero), filled(Misc), Precision));
    assert!(!slots(filled(Zero), one, Precision));
    assert!(slots(spilled(Value::unknown()), filled(Misc), Precision));
    assert!(slots(spilled(Value::unknown()), one, Precision));
    assert!(!slots(one, filled(Misc), Precision));
    assert!(!slots(one, filled(Invalid), Precision));
    assert!(!slots(one, spilled(map_value(1)), Precision));
}

#[test]
fn a_stack_that_was_never_touched_covers_a_deeper_one() {
    let shallow = state(Value::constant(0), Value::constant(0));
    let mut deep = shallow.clone();
    *deep.cur_mut().stack.slot_mut(3) = spilled(map_value(1));
    assert!(covers(Exactness::Range, &shallow, &deep));
    assert!(!covers(Exactness::Precision, &deep, &shallow));
}

#[test]
fn a_call_of_fewer_callback_rounds_covers_one_of_more() {
    let old = state(Value::constant(0), Value::constant(0));
    let mut cur = old.clone();
    cur.cur_mut().callback_depth = 1;
    assert!(covers(Exactness::Precision, &old, &cur));
    assert!(!covers(Exactness::Precision, &cur, &old));
}

#[test]
fn sleeping_must_be_as_allowed_as_before() {
    let old = state(Value::constant(0), Value::constant(0));
    let mut cur = old.clone();
    cur.in_sleepable = true;
    assert!(!covers(Exactness::Precision, &old, &cur));
    assert!(!covers(Exactness::Precision, &cur, &old));
}
