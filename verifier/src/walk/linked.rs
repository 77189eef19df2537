//! Linked numbers: copies of one number, possibly with a constant added. A comparison that teaches
//! about one member teaches about all.

use skep_isa::{Reg, Width};

use crate::prepare::Ctx;
use crate::prune::{LinkedAt, LinkedRegs};
use crate::state::{Delta, Number, State, Value};

/// Adds every number of that family that is alive: the current frame first, then its callers,
/// registers before slots. Those for which there is no room leave the family
/// (`collect_linked_regs`).
pub(super) fn collect(ctx: &Ctx<'_>, linked: &mut LinkedRegs, state: &mut State, family: u32) {
    for frame in (0..=state.curframe()).rev() {
        let alive = ctx.flow[state.frame_insn_idx(frame)].live_regs;
        for reg in Reg::ALL.into_iter().filter(|&reg| reg != Reg::FP) {
            if alive & (1 << reg.index()) != 0
                && member(&state.frame(frame).regs[reg.index()], family)
                && !linked.push(frame, LinkedAt::Reg(reg))
            {
                unlink(&mut state.frame_mut(frame).regs[reg.index()]);
            }
        }
        for index in 0..state.frame(frame).stack.len() {
            let slot = state.frame(frame).stack.slot(index);
            if slot.is_spilled()
                && member(&slot.value, family)
                && !linked.push(frame, LinkedAt::Slot(index))
            {
                unlink(&mut state.frame_mut(frame).stack.slot_mut(index).value);
            }
        }
    }
}

/// Teaches the members of `known`'s family what is known of it, in the current frame of `state`
/// (`sync_linked_regs`).
pub(super) fn sync(linked: LinkedRegs, state: &mut State, known: Reg) {
    let current = state.curframe();
    let Value::Scalar(Number {
        scalar,
        link: Some(link),
        old_frame,
    }) = *state.reg(known)
    else {
        return;
    };
    let precise = state.is_precise(known);
    for (frame, at) in linked.iter() {
        if frame == current && at == LinkedAt::Reg(known) {
            continue;
        }
        let Value::Scalar(Number {
            link: Some(own), ..
        }) = value_at(state, frame, at)
        else {
            continue;
        };
        if own.id != link.id {
            continue;
        }
        let taught = match (own.delta, link.delta) {
            (Some(a), Some(b)) if a.width != b.width => continue,
            (a, b) => {
                let by = |delta: Option<Delta>| delta.map_or(0, |d| i64::from(d.by));
                let narrow = |delta: Option<Delta>| delta.is_some_and(|d| d.width == Width::W32);
                let difference = by(a) - by(b);
                if difference == 0 {
                    Number {
                        scalar,
                        link: Some(link),
                        old_frame,
                    }
                } else if narrow(a) || narrow(b) {
                    Number {
                        scalar: scalar.linked32(difference),
                        link: Some(own),
                        old_frame,
                    }
                } else {
                    Number {
                        scalar: scalar.linked(difference),
                        link: Some(own),
                        old_frame,
                    }
                }
            }
        };
        set(state, frame, at, Value::Scalar(taught), precise);
    }
}

fn member(value: &Value, family: u32) -> bool {
    value
        .number()
        .and_then(|n| n.link)
        .is_some_and(|l| l.id == family)
}

fn unlink(value: &mut Value) {
    if let Value::Scalar(number) = value {
        number.link = None;
    }
}

fn value_at(state: &State, frame: usize, at: LinkedAt) -> Value {
    match at {
        LinkedAt::Reg(reg) => state.frame(frame).regs[reg.index()],
        LinkedAt::Slot(slot) => state.frame(frame).stack.slot(slot).value,
    }
}

fn set(state: &mut State, frame: usize, at: LinkedAt, value: Value, precise: bool) {
    match at {
        LinkedAt::Reg(reg) => {
            state.frame_mut(frame).regs[reg.index()] = value;
            let marks = &mut state.precise[frame].regs;
            *marks = (*marks & !(1 << reg.index())) | (u16::from(precise) << reg.index());
        }
        LinkedAt::Slot(slot) => {
            state.frame_mut(frame).stack.slot_mut(slot).value = value;
            let marks = &mut state.precise[frame].slots;
            *marks = (*marks & !(1 << slot)) | (u64::from(precise) << slot);
        }
    }
}
