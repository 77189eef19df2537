//! Copies of values and frames as they were when a rule was broken: for messages and explanations.

use super::scene::Scene;
use super::value::{Extent, FrameText, Slots};
use crate::number::Scalar;
use crate::state::{ByteKind, Entry, Pointer, Precise, Refs, Region, Slot, State, Value};

/// What is known of a register or a stack slot, for those who compare it with what a run finds there.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Known {
    /// Nothing that a run could contradict.
    Nothing,
    /// A number within these bounds.
    Number(Scalar),
    /// A pointer into the frame's own stack: the frame pointer, a fixed and a variable offset.
    Stack {
        /// Fixed part, in bytes.
        off: i32,
        /// Variable part.
        var: Scalar,
    },
    /// A pointer into the context.
    Context {
        /// Fixed part, in bytes.
        off: i32,
        /// Variable part.
        var: Scalar,
    },
    /// Another pointer.
    Pointer {
        /// Whether it may be null.
        maybe_null: bool,
    },
}

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

    /// Frames below this one.
    pub fn depth(&self) -> usize {
        self.number
    }

    /// What is known of a register (0 to 10), as far as it can be told without addresses.
    pub fn known(&self, reg: usize) -> Known {
        self.regs
            .get(reg)
            .map_or(Known::Nothing, |value| self.known_of(value))
    }

    /// What is known of the eight bytes at `8 * (slot + 1)` below the frame pointer.
    pub fn known_slot(&self, slot: usize) -> Known {
        match self.slots.get(slot) {
            Some(slot) if slot.bytes.iter().all(|byte| *byte == ByteKind::Zero) => {
                Known::Number(Scalar::constant(0))
            }
            Some(slot) if slot.bytes.iter().all(|byte| *byte == ByteKind::Spill) => {
                self.known_of(&slot.value)
            }
            Some(_) | None => Known::Nothing,
        }
    }

    /// Slots of the frame's stack that were touched.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    fn known_of(&self, value: &Value) -> Known {
        match value {
            Value::Uninit => Known::Nothing,
            Value::Scalar(number) => Known::Number(number.scalar),
            Value::Pointer(pointer) => match pointer.region {
                Region::Stack { frame } if frame as usize == self.number => Known::Stack {
                    off: pointer.off,
                    var: pointer.var,
                },
                Region::Ctx => Known::Context {
                    off: pointer.off,
                    var: pointer.var,
                },
                Region::ConstMap { .. }
                | Region::MapValue { .. }
                | Region::MapKey { .. }
                | Region::FlowKeys
                | Region::Mem { .. }
                | Region::Buf => Known::Pointer {
                    maybe_null: pointer.maybe_null(),
                },
                // Where these are, and whether they are at all, the one who runs the program says.
                Region::Stack { .. }
                | Region::PacketMeta { .. }
                | Region::Packet { .. }
                | Region::PacketEnd
                | Region::Sock(_)
                | Region::TpBuffer
                | Region::Btf { .. }
                | Region::Object(_)
                | Region::Arena
                | Region::Func { .. }
                | Region::ConstDynptr { .. } => Known::Nothing,
            },
        }
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
