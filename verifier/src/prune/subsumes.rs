//! Whether everything that may follow from the current state may follow from a remembered one.
//!
//! The three levels are the kernel's: by precision (what the verdict did not depend on may differ),
//! exact (is this a loop that changes nothing?), by range (may a loop body be taken as walked before
//! all of its paths are finished?). The ids of both states are matched in one order: references,
//! then frames outermost first, registers, then slots.

use skep_isa::Width;

use super::id_map::{DISTANT32, DISTANT64, IdMap};
use super::pool::Pool;
use super::stored::{CallChain, Stored, StoredFrame, StoredSlot};
use crate::config::Prune;
use crate::number::Scalar;
use crate::prepare::Ctx;
use crate::state::{
    ByteKind, Delta, Frame, Number, OldFrame, Pointer, Precise, Ref, RefKind, Refs, Region,
    SLOT_BYTES, Slot, StackObject, State, Value,
};

/// How much two states must have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Exactness {
    /// What the verdict depended on, once all paths from the remembered state are finished.
    Precision,
    /// Everything.
    Exact,
    /// Ranges, whether or not the verdict depended on them.
    Range,
}

/// A place in two states that are being compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Place {
    /// None of the below.
    #[default]
    Elsewhere,
    /// A register of a frame.
    Reg { frame: u8, reg: u8 },
    /// A slot of a frame.
    Slot { frame: u8, slot: u8 },
}

/// What comparisons share.
pub(super) struct Comparison<'a> {
    /// The program.
    pub(super) ctx: &'a Ctx<'a>,
    /// The values of remembered states.
    pub(super) pool: &'a Pool,
    /// Matched ids.
    pub(super) ids: &'a mut IdMap,
    /// The last id given out.
    pub(super) last_id: u32,
    /// How much must agree.
    pub(super) exactness: Exactness,
    /// Where the states are compared; at first, where it is likely that they differ.
    pub(super) at: Place,
}

impl Comparison<'_> {
    /// Whether `old` covers `cur` (`states_equal`). Both are at the same instruction.
    pub(super) fn covers(&mut self, old: &Stored, cur: &State) -> bool {
        if old.last_frame() != cur.curframe()
            || old.speculative && !cur.speculative
            || old.in_sleepable != cur.in_sleepable
        {
            return false;
        }
        self.ids.reset(self.last_id);
        if self.at != Place::Elsewhere {
            // What does not agree while no ids are matched does not agree later either.
            if !self.place_covers(old, cur) {
                return false;
            }
            self.ids.reset(self.last_id);
            self.at = Place::Elsewhere;
        }
        if !self.refs_agree(&old.refs, &cur.refs) {
            return false;
        }
        (0..=old.last_frame()).all(|number| {
            let live = match self.ctx.flow.get(old.at(number)) {
                Some(flow) => flow.live_regs,
                None => u16::MAX,
            };
            old.entered_by(number) == cur.entered_by(number)
                && self.frame_covers(
                    number as u8,
                    &old.frames[number],
                    &old.precise[number],
                    cur.frame(number),
                    live,
                )
        })
    }

    /// Whether what lies at one place of `old` covers what lies there in `cur`, if it is compared at all.
    fn place_covers(&mut self, old: &Stored, cur: &State) -> bool {
        let pool = self.pool;
        match self.at {
            Place::Elsewhere => true,
            Place::Reg { frame, reg } => {
                let (number, reg) = (usize::from(frame), usize::from(reg));
                let live = self.ctx.flow.get(old.at(number));
                let (Some(frame), true) = (
                    old.frames.get(number),
                    live.is_none_or(|flow| flow.live_regs >> reg & 1 != 0),
                ) else {
                    return true;
                };
                let precise = old.precise[number].regs >> reg & 1 != 0;
                let cur = &cur.frame(number).regs[reg];
                self.value_covers(pool.get(frame.regs[reg]), precise, cur)
            }
            Place::Slot { frame, slot } => {
                let (number, index) = (usize::from(frame), usize::from(slot));
                let slot = old.frames.get(number).and_then(|f| f.slots.get(index));
                let Some(slot) = slot else {
                    return true;
                };
                let precise = old.precise[number].slots >> (index & 63) & 1 != 0;
                self.slot_covers(slot, precise, cur.frame(number).stack.get(index))
            }
        }
    }

    fn refs_agree(&mut self, old: &Refs, cur: &Refs) -> bool {
        old.list.len() == cur.list.len()
            && old.active_locks == cur.active_locks
            && old.active_preempt_locks == cur.active_preempt_locks
            && old.active_rcu == cur.active_rcu
            && self.ids.agree(old.active_irq_id, cur.active_irq_id)
            && self.active_locks_agree(old, cur)
            && old
                .list
                .iter()
                .zip(&cur.list)
                .all(|(old, cur)| self.ref_agrees(old, cur))
    }

    fn active_locks_agree(&mut self, old: &Refs, cur: &Refs) -> bool {
        let (old_id, old_owner) = old.active_lock.map_or((0, None), |(id, o)| (id, Some(o)));
        let (cur_id, cur_owner) = cur.active_lock.map_or((0, None), |(id, o)| (id, Some(o)));
        self.ids.agree(old_id, cur_id) && old_owner == cur_owner
    }

    fn ref_agrees(&mut self, old: &Ref, cur: &Ref) -> bool {
        self.ids.agree(old.id, cur.id)
            && match (old.kind, cur.kind) {
                (RefKind::Object, RefKind::Object) | (RefKind::Irq, RefKind::Irq) => true,
                (RefKind::Lock { .. }, RefKind::Lock { .. })
                | (RefKind::ResLock { .. }, RefKind::ResLock { .. }) => old.kind == cur.kind,
                (
                    RefKind::Object | RefKind::Irq | RefKind::Lock { .. } | RefKind::ResLock { .. },
                    _,
                ) => false,
            }
    }

    fn frame_covers(
        &mut self,
        number: u8,
        old: &StoredFrame,
        precise: &Precise,
        cur: &Frame,
        live: u16,
    ) -> bool {
        if old.callback_depth > cur.callback_depth {
            return false;
        }
        let mut live = live & 0x7ff;
        while live != 0 {
            let reg = live.trailing_zeros() as usize;
            live &= live - 1;
            let precise = precise.regs >> reg & 1 != 0;
            let pool = self.pool;
            if !self.value_covers(pool.get(old.regs[reg]), precise, &cur.regs[reg]) {
                self.at = Place::Reg {
                    frame: number,
                    reg: reg as u8,
                };
                return false;
            }
        }
        self.stack_covers(number, old, precise.slots, cur)
    }

    /// Whether a remembered value covers a current one (`regsafe`).
    pub(super) fn value_covers(&mut self, old: &Value, precise: bool, cur: &Value) -> bool {
        if self.exactness == Exactness::Exact {
            return self.values_equal(old, cur);
        }
        match (old, cur) {
            (Value::Uninit, Value::Uninit) => true,
            (Value::Uninit, Value::Scalar(_) | Value::Pointer(_)) => {
                self.exactness == Exactness::Precision
            }
            (Value::Scalar(old), Value::Scalar(cur)) => self.number_covers(old, precise, cur),
            (Value::Pointer(old), Value::Pointer(cur)) => {
                old.same_type(cur) && self.pointer_covers(old, cur)
            }
            (Value::Scalar(_), Value::Uninit | Value::Pointer(_))
            | (Value::Pointer(_), Value::Uninit | Value::Scalar(_)) => false,
        }
    }

    fn number_covers(&mut self, old: &Number, precise: bool, cur: &Number) -> bool {
        // The planted fault forgets what the verdict depended on.
        let precise = precise && !cfg!(feature = "planted-fault");
        let precise = precise || !self.ctx.facts.lane().bpf;
        if !precise && self.exactness == Exactness::Precision {
            return true;
        }
        let (old_delta, cur_delta) = (delta(old), delta(cur));
        // What was tied to nothing stays so; else the tie must be of the same kind.
        (old.link.is_none() || old_delta == cur_delta)
            && old.scalar.contains(&cur.scalar)
            && self.ids.numbers_agree(link_id(old), link_id(cur))
    }

    fn pointer_covers(&mut self, old: &Pointer, cur: &Pointer) -> bool {
        match old.region {
            Region::MapKey { .. }
            | Region::MapValue { .. }
            | Region::Mem { .. }
            | Region::Buf
            | Region::TpBuffer => {
                old.off == cur.off
                    && old.region == cur.region
                    && old.var.contains(&cur.var)
                    && self.ids.agree(old.id, cur.id)
                    && self.ids.agree(old.ref_id, cur.ref_id)
            }
            Region::PacketMeta { range: old_range } | Region::Packet { range: old_range } => {
                let (Region::PacketMeta { range: cur_range } | Region::Packet { range: cur_range }) =
                    cur.region
                else {
                    return false;
                };
                self.range_covers(old_range, cur_range)
                    && old.off == cur.off
                    && self.ids.agree(old.id, cur.id)
                    && old.var.contains(&cur.var)
            }
            Region::Stack { .. } => self.pointers_equal(old, cur) && old.region == cur.region,
            Region::Arena => true,
            Region::Ctx
            | Region::ConstMap { .. }
            | Region::PacketEnd
            | Region::FlowKeys
            | Region::Sock(_)
            | Region::Btf { .. }
            | Region::Func { .. }
            | Region::ConstDynptr { .. }
            | Region::Object(_) => self.pointers_equal(old, cur),
        }
    }

    /// Whether what was proved of a packet's length suffices for what was relied upon. "At" and
    /// "beyond the end" are negative; where the kernel knows that they are no lengths, nothing but the
    /// same covers them.
    fn range_covers(&self, old: i32, cur: i32) -> bool {
        let exact = skep_spec::Capability::ExactNegativePacketRange;
        if (old < 0 || cur < 0) && self.ctx.facts.has(exact) {
            return old == cur;
        }
        old <= cur
    }

    /// `regs_exact`: the frame of a stack pointer does not count, which only matters to the exact
    /// level.
    fn pointers_equal(&mut self, old: &Pointer, cur: &Pointer) -> bool {
        let same_region = match (old.region, cur.region) {
            (Region::Stack { .. }, Region::Stack { .. }) => true,
            (old, cur) => old == cur,
        };
        same_region
            && old.flags == cur.flags
            && old.off == cur.off
            && old.origin == cur.origin
            && old.var == cur.var
            && self.ids.agree(old.id, cur.id)
            && self.ids.agree(old.ref_id, cur.ref_id)
    }

    /// `regs_exact` of numbers: a distance of zero is none, but its flag is part of the id.
    pub(super) fn numbers_equal(&mut self, old: &Number, cur: &Number) -> bool {
        let distance = |number| delta(number).map_or(0, |delta| delta.by);
        old.scalar == cur.scalar
            && distance(old) == distance(cur)
            && self.ids.agree(link_id(old), link_id(cur))
    }

    fn values_equal(&mut self, old: &Value, cur: &Value) -> bool {
        match (old, cur) {
            (Value::Uninit, Value::Uninit) => true,
            (Value::Scalar(old), Value::Scalar(cur)) => self.numbers_equal(old, cur),
            (Value::Pointer(old), Value::Pointer(cur)) => self.pointers_equal(old, cur),
            (Value::Uninit | Value::Scalar(_) | Value::Pointer(_), _) => false,
        }
    }

    /// Whether the remembered stack covers the current one (`stacksafe`).
    fn stack_covers(&mut self, number: u8, old: &StoredFrame, precise: u64, cur: &Frame) -> bool {
        let cur = &cur.stack;
        let refusing = |slot: usize| Place::Slot {
            frame: number,
            slot: slot as u8,
        };
        let by_writes = self.by_writes();
        let is_written = |slot| cur.slot(slot).bytes != [ByteKind::Invalid; SLOT_BYTES];
        if by_writes && (old.slots.len()..cur.len()).any(is_written) {
            return false;
        }
        let by_precision = self.exactness == Exactness::Precision;
        if by_precision && !by_writes && self.ctx.facts.lane().uninit_stack {
            // Slots of which nothing is known cover everything.
            let mut known = old.known_slots;
            while known != 0 {
                let index = known.trailing_zeros() as usize;
                known &= known - 1;
                let precise = precise >> index & 1 != 0;
                if !self.slot_covers(&old.slots[index], precise, cur.get(index)) {
                    self.at = refusing(index);
                    return false;
                }
            }
            return true;
        }
        for (index, slot) in old.slots.iter().enumerate() {
            let precise = precise >> (index & 63) & 1 != 0;
            if !self.slot_covers(slot, precise, cur.get(index)) {
                self.at = refusing(index);
                return false;
            }
        }
        true
    }

    /// Whether it counts what writes find in the stack, beside what reads do.
    fn by_writes(&self) -> bool {
        self.ctx.config.prune == Prune::ByWrites && self.exactness != Exactness::Exact
    }

    fn slot_covers(&mut self, old: &StoredSlot, precise: bool, cur: Option<&Slot>) -> bool {
        let by_precision = self.exactness == Exactness::Precision;
        let by_writes = self.by_writes();
        let uninit = self.ctx.facts.lane().uninit_stack && !by_writes;
        let pool = self.pool;
        for (at, &kind) in old.bytes.iter().enumerate() {
            if !by_precision && cur.is_none_or(|cur| cur.bytes[at] != kind) {
                return false;
            }
            if by_writes
                && kind == ByteKind::Invalid
                && cur.is_some_and(|cur| cur.bytes[at] != ByteKind::Invalid)
            {
                return false;
            }
            if kind == ByteKind::Invalid || uninit && kind == ByteKind::Misc {
                continue;
            }
            let Some(cur) = cur else { return false };
            // A number spilled whole and eight bytes of unknown content fill alike.
            let old_value = pool.get(old.value);
            if !by_writes
                && let (Some(old_number), Some(cur_number)) = (
                    filled_number(&old.bytes, old_value, uninit),
                    filled_number(&cur.bytes, &cur.value, uninit),
                )
            {
                let precise = precise && old.bytes[0] == ByteKind::Spill;
                return self.value_covers(old_number, precise, cur_number);
            }
            if kind == ByteKind::Misc && cur.bytes[at] == ByteKind::Zero {
                continue;
            }
            if kind != cur.bytes[at] {
                return false;
            }
            if at == SLOT_BYTES - 1 {
                return self.objects_cover(kind, old_value, precise, cur);
            }
        }
        true
    }

    /// Compares what lies in two slots whose bytes are of one kind.
    fn objects_cover(&mut self, kind: ByteKind, old: &Value, precise: bool, cur: &Slot) -> bool {
        match kind {
            ByteKind::Spill => self.value_covers(old, precise, &cur.value),
            ByteKind::Misc | ByteKind::Zero | ByteKind::Invalid => true,
            ByteKind::Dynptr | ByteKind::Iter | ByteKind::IrqFlag => {
                match (old.pointer(), cur.value.pointer()) {
                    (Some(old), Some(cur)) => self.kept_covers(old, cur),
                    (None, _) | (_, None) => false,
                }
            }
        }
    }

    /// Compares what is kept of two objects. Which dynptr it is does not count, nor how often an
    /// iterator went round: then loops would never be alike.
    fn kept_covers(&mut self, old: &Pointer, cur: &Pointer) -> bool {
        let same = match (old.region, cur.region) {
            (
                Region::Object(StackObject::Iter { id, active, .. }),
                Region::Object(StackObject::Iter {
                    id: cur_id,
                    active: cur_active,
                    ..
                }),
            ) => id == cur_id && active == cur_active,
            (old, cur) => old == cur,
        };
        same && self.ids.agree(old.ref_id, cur.ref_id)
    }
}

/// A number of which nothing is known.
static UNKNOWN: Value = Value::Scalar(Number {
    scalar: Scalar::UNKNOWN,
    link: None,
    old_frame: OldFrame::OUTERMOST,
});

/// What a fill of eight bytes would read, if that is a number: the spilled one, or an unknown one from
/// bytes of unknown content.
fn filled_number<'v>(
    bytes: &[ByteKind; SLOT_BYTES],
    value: &'v Value,
    uninit: bool,
) -> Option<&'v Value> {
    if bytes[0] == ByteKind::Spill && matches!(value, Value::Scalar(_)) {
        return Some(value);
    }
    let unknown = bytes
        .iter()
        .all(|&kind| kind == ByteKind::Misc || kind == ByteKind::Invalid && uninit);
    unknown.then_some(&UNKNOWN)
}

/// Id of a number's family as the kernel has it: with a flag where there is a distance; 0 without.
fn link_id(number: &Number) -> u32 {
    let Some(link) = number.link else { return 0 };
    link.id
        | match link.delta.map(|delta| delta.width) {
            None => 0,
            Some(Width::W64) => DISTANT64,
            Some(Width::W32) => DISTANT32,
        }
}

fn delta(number: &Number) -> Option<Delta> {
    number.link.and_then(|link| link.delta)
}
