//! Copies of values and frames as they were when a rule was broken: for messages and explanations.

use super::scene::Scene;
use super::value::{Extent, FrameText, Slots};
use crate::state::{Entry, Pointer, Precise, Refs, Slot, State, Value};

/// A copy of a value as it was when a rule was broken, for messages.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ValueView(pub(crate) Value);

impl From<Value> for ValueView {
    fn from(value: Value) -> ValueView {
        ValueView(value)
    }
}

impl From<Pointer> for ValueView {
    fn from(pointer: Pointer) -> ValueView {
        ValueView(Value::Pointer(pointer))
    }
}

/// A copy of the current frame of a state as it was when a rule was broken. It shares nothing with the
/// walk, so that verdicts can go to other threads.
#[derive(Clone, PartialEq, Debug)]
pub struct StateView {
    number: usize,
    regs: Box<[Value; 11]>,
    slots: Vec<Slot>,
    entry: Entry,
    precise: Precise,
    refs: Box<Refs>,
}

impl StateView {
    /// The current frame of a state.
    pub(crate) fn of(state: &State) -> StateView {
        let number = state.curframe();
        StateView {
            number,
            regs: Box::new(state.cur().regs),
            slots: state.cur().stack.slots().copied().collect(),
            entry: state.cur().entry,
            precise: state.precise.get(number).copied().unwrap_or_default(),
            refs: Box::new((*state.refs).clone()),
        }
    }

    /// Appends it as the kernel's log prints it, with a newline at the end.
    pub(crate) fn push(&self, out: &mut String, scene: Scene<'_>) {
        self.text(scene).push(out, Extent::All);
    }

    fn text<'a>(&'a self, scene: Scene<'a>) -> FrameText<'a> {
        let StateView {
            number,
            regs,
            slots,
            entry,
            precise,
            refs,
        } = self;
        FrameText {
            scene,
            number: *number,
            regs,
            slots: Slots::Copy(slots),
            entry: *entry,
            precise: *precise,
            refs,
        }
    }

    /// A register's value as the kernel prints it; `None` where nothing was written.
    pub(crate) fn reg_text(&self, scene: Scene<'_>, reg: usize) -> Option<String> {
        let value = self
            .regs
            .get(reg)
            .filter(|&value| *value != Value::Uninit)?;
        let mut text = String::new();
        self.text(scene)
            .push_value(&mut text, value, self.precise.regs >> reg & 1 != 0);
        Some(text)
    }

    /// What a register holds.
    pub(crate) fn reg(&self, reg: usize) -> Option<&Value> {
        self.regs.get(reg)
    }
}

/// Programs of one object are verified by several threads.
const _: fn() = || {
    fn crosses_threads<T: Send + Sync>() {}
    crosses_threads::<crate::Verdict>();
};
