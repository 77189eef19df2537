//! Values, frames and states as the kernel's log prints them (`print_verifier_state`).
//!
//! Small numbers are decimal, others hexadecimal; bounds that say nothing are left out, and bounds that
//! say the same share one number.

use std::fmt::Write;

use crate::number::{Scalar, Tnum};
use crate::prepare::Ctx;
use crate::state::{
    BtfSource, ByteKind, Entry, Number, Pointer, Precise, PtrFlags, Refs, Region, Slot, SockKind,
    Stack, StackObject, State, Value,
};

use super::scene::Scene;

/// One frame of a state, to be printed.
#[derive(Clone, Copy)]
pub(crate) struct FrameText<'a> {
    pub(crate) scene: Scene<'a>,
    pub(crate) number: usize,
    pub(crate) regs: &'a [Value; 11],
    pub(crate) slots: Slots<'a>,
    pub(crate) entry: Entry,
    pub(crate) precise: Precise,
    pub(crate) refs: &'a Refs,
}

/// The touched slots of a frame.
#[derive(Clone, Copy)]
pub(crate) enum Slots<'a> {
    /// Of a frame under way.
    Stack(&'a Stack),
    /// Of a copy.
    Copy(&'a [Slot]),
}

impl<'a> Slots<'a> {
    fn get(self, index: usize) -> Option<&'a Slot> {
        match self {
            Slots::Stack(stack) => stack.get(index),
            Slots::Copy(slots) => slots.get(index),
        }
    }
}

/// What of a frame is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Everything.
    All,
    /// What is named here.
    Only(Precise),
}

impl<'a> FrameText<'a> {
    /// Frame `number` of a state.
    pub(crate) fn of(ctx: &'a Ctx<'a>, state: &'a State, number: usize) -> FrameText<'a> {
        let frame = state.frame(number);
        FrameText {
            scene: Scene {
                spec: ctx.spec,
                facts: ctx.facts,
            },
            number,
            regs: &frame.regs,
            slots: Slots::Stack(&frame.stack),
            entry: frame.entry,
            precise: state.precise.get(number).copied().unwrap_or_default(),
            refs: &state.refs,
        }
    }

    /// Appends the frame with a space before each item and a newline at the end.
    pub(crate) fn push(&self, out: &mut String, extent: Extent) {
        if self.number != 0 {
            let _ = write!(out, " frame{}:", self.number);
        }
        let (regs, slots) = match extent {
            Extent::All => (u16::MAX, u64::MAX),
            Extent::Only(only) => (only.regs, only.slots),
        };
        for (index, value) in self.regs.iter().enumerate() {
            if *value == Value::Uninit || regs >> index & 1 == 0 {
                continue;
            }
            let _ = write!(out, " R{index}=");
            self.push_value(out, value, self.precise.regs >> index & 1 != 0);
        }
        let touched = (0..).map_while(|index| self.slots.get(index));
        for (index, slot) in touched.enumerate() {
            if slots >> (index & 63) & 1 != 0 {
                self.push_slot(out, index, slot);
            }
        }
        self.push_refs(out);
        match self.entry {
            Entry::Callback => out.push_str(" cb"),
            Entry::AsyncCallback => out.push_str(" async_cb"),
            Entry::Plain | Entry::ExceptionCallback => {}
        }
        out.push('\n');
    }

    fn push_slot(&self, out: &mut String, index: usize, slot: &Slot) {
        if slot.bytes.iter().all(|&byte| byte == ByteKind::Invalid) {
            return;
        }
        let off = -8 * (index as i64 + 1);
        if let Some((object, kept)) = slot.object() {
            self.push_object(out, off, object, &kept);
            return;
        }
        let _ = write!(out, " fp{off}=");
        if !slot.is_spilled() {
            out.extend(slot.bytes.map(byte_char));
            return;
        }
        // Only what lies above the spilled part shows as bytes.
        out.extend(
            slot.bytes
                .iter()
                .take_while(|&&b| b != ByteKind::Spill)
                .map(|&b| byte_char(b)),
        );
        self.push_value(
            out,
            &slot.value,
            self.precise.slots >> (index & 63) & 1 != 0,
        );
    }

    /// An object is shown where its first slot is.
    fn push_object(&self, out: &mut String, off: i64, object: StackObject, kept: &Pointer) {
        match object {
            StackObject::Dynptr { kind, first: true } => {
                let _ = write!(out, " fp{off}=dynptr_{}(", kind.name());
                if kept.id != 0 {
                    let _ = write!(out, "id={}", kept.id);
                }
                if kept.ref_id != 0 {
                    let _ = write!(out, ",ref_id={}", kept.ref_id);
                }
                out.push(')');
            }
            StackObject::Iter { id, active, depth } if kept.ref_id != 0 => {
                let name = self.scene.iter_name(id);
                let state = if active { "active" } else { "drained" };
                let _ = write!(
                    out,
                    " fp{off}=iter_{name}(ref_id={},state={state},depth={depth})",
                    kept.ref_id
                );
            }
            StackObject::Dynptr { first: false, .. }
            | StackObject::Iter { .. }
            | StackObject::Irq { .. } => {}
        }
    }

    fn push_refs(&self, out: &mut String) {
        let ids = self
            .refs
            .list
            .iter()
            .map(|held| held.id)
            .filter(|&id| id != 0);
        for (nth, id) in ids.enumerate() {
            let _ = write!(out, "{}{id}", if nth == 0 { " refs=" } else { "," });
        }
    }

    /// Appends one value (`print_reg_state`).
    pub(crate) fn push_value(&self, out: &mut String, value: &Value, precise: bool) {
        match value {
            Value::Uninit => out.push('?'),
            Value::Scalar(number) => push_number(out, number, precise),
            Value::Pointer(pointer) => self.push_pointer(out, pointer),
        }
    }

    fn push_pointer(&self, out: &mut String, pointer: &Pointer) {
        out.push_str(&type_text(pointer));
        match pointer.region {
            Region::Arena => return,
            Region::Stack { frame } => {
                if frame as usize != self.number {
                    let _ = write!(out, "[{frame}]");
                }
                if let Some(var) = pointer.var.const_value() {
                    push_signed(out, (var as i64).wrapping_add(pointer.off.into()));
                    return;
                }
            }
            Region::Btf { source, id } => out.push_str(self.scene.type_name(source, id)),
            Region::Ctx
            | Region::ConstMap { .. }
            | Region::MapValue { .. }
            | Region::MapKey { .. }
            | Region::PacketMeta { .. }
            | Region::Packet { .. }
            | Region::PacketEnd
            | Region::FlowKeys
            | Region::Sock(_)
            | Region::TpBuffer
            | Region::Mem { .. }
            | Region::Buf
            | Region::Func { .. }
            | Region::ConstDynptr { .. }
            | Region::Object(_) => {}
        }
        let mut list = List { out, begun: false };
        list.out.push('(');
        self.push_attributes(&mut list, pointer);
        list.out.push(')');
    }

    fn push_attributes(&self, list: &mut List<'_>, pointer: &Pointer) {
        if pointer.id != 0 {
            let _ = write!(list.next(), "id={}", pointer.id);
        }
        if pointer.ref_id != 0 {
            let _ = write!(list.next(), "ref_obj_id={}", pointer.ref_id);
        }
        let non_owning = PtrFlags::ALLOC | PtrFlags::NON_OWN_REF;
        if pointer.flags.contains(non_owning) && matches!(pointer.region, Region::Btf { .. }) {
            list.next().push_str("non_own_ref");
        }
        if let Region::ConstMap { map, .. }
        | Region::MapValue { map, .. }
        | Region::MapKey { map, .. } = pointer.region
            && let Some(spec) = self.scene.map(map)
        {
            let name = self.scene.map_name(map);
            if !name.is_empty() {
                let _ = write!(list.next(), "map={name}");
            }
            let _ = write!(list.next(), "ks={},vs={}", spec.key_size, spec.value_size);
        }
        if pointer.off != 0 {
            list.next().push_str("off=");
            push_signed(list.out, pointer.off.into());
        }
        match pointer.region {
            Region::Packet { range } | Region::PacketMeta { range } => {
                list.next().push_str("r=");
                push_unsigned(list.out, i64::from(range) as u64);
            }
            Region::Mem { size, .. } => {
                list.next().push_str("sz=");
                push_unsigned(list.out, size.into());
            }
            Region::ConstDynptr { kind } => {
                let _ = write!(list.next(), "type={}", kind.name());
            }
            Region::Ctx
            | Region::ConstMap { .. }
            | Region::MapValue { .. }
            | Region::MapKey { .. }
            | Region::Stack { .. }
            | Region::PacketEnd
            | Region::FlowKeys
            | Region::Sock(_)
            | Region::TpBuffer
            | Region::Btf { .. }
            | Region::Arena
            | Region::Buf
            | Region::Func { .. }
            | Region::Object(_) => {}
        }
        match pointer.var.const_value() {
            Some(0) => {}
            Some(var) => {
                list.next().push_str("imm=");
                push_signed(list.out, var as i64);
            }
            None => push_scalar(list, &pointer.var),
        }
    }
}

/// Items with commas between them.
struct List<'o> {
    out: &'o mut String,
    begun: bool,
}

impl List<'_> {
    /// Where the next item is to be written.
    fn next(&mut self) -> &mut String {
        if self.begun {
            self.out.push(',');
        }
        self.begun = true;
        self.out
    }
}

fn push_number(out: &mut String, number: &Number, precise: bool) {
    if precise {
        out.push('P');
    }
    if let Some(value) = number.scalar.const_value() {
        push_signed(out, value as i64);
        return;
    }
    out.push_str("scalar(");
    let mut list = List { out, begun: false };
    if let Some(link) = number.link {
        let _ = write!(list.next(), "id={}", link.id);
        if let Some(delta) = link.delta {
            let _ = write!(list.out, "{:+}", delta.by);
        }
    }
    push_scalar(&mut list, &number.scalar);
    out.push(')');
}

/// Appends ranges and known bits (`print_scalar_ranges` and what follows it).
fn push_scalar(list: &mut List<'_>, scalar: &Scalar) {
    let low = |value: i32| {
        let wide = i64::from(value);
        // In hexadecimal a sign extension would hide that this is 32 bits.
        if is_small(wide) {
            wide as u64
        } else {
            u64::from(value as u32)
        }
    };
    let bounds = [
        ("smin", scalar.smin() as u64, scalar.smin() != i64::MIN),
        ("smax", scalar.smax() as u64, scalar.smax() != i64::MAX),
        ("umin", scalar.umin(), scalar.umin() != 0),
        ("umax", scalar.umax(), scalar.umax() != u64::MAX),
        (
            "smin32",
            low(scalar.s32_min()),
            scalar.s32_min() != i32::MIN,
        ),
        (
            "smax32",
            low(scalar.s32_max()),
            scalar.s32_max() != i32::MAX,
        ),
        ("umin32", u64::from(scalar.u32_min()), scalar.u32_min() != 0),
        (
            "umax32",
            u64::from(scalar.u32_max()),
            scalar.u32_max() != u32::MAX,
        ),
    ];
    let mut wanted = bounds.map(|(_, _, says_something)| says_something);
    for (index, (name, value, _)) in bounds.into_iter().enumerate() {
        if !wanted[index] {
            continue;
        }
        let is_signed = |name: &str| name.starts_with('s');
        let is_negative = |name: &str, value: u64| is_signed(name) && (value as i64) < 0;
        let _ = write!(list.next(), "{name}=");
        // Every second entry behind this one is of the same end, minimum or maximum.
        for other in (index + 2..bounds.len()).step_by(2) {
            let (other_name, other_value, _) = bounds[other];
            if wanted[other]
                && other_value == value
                && is_negative(other_name, other_value) == is_negative(name, value)
            {
                wanted[other] = false;
                let _ = write!(list.out, "{other_name}=");
            }
        }
        if is_signed(name) {
            push_signed(list.out, value as i64);
        } else {
            push_unsigned(list.out, value);
        }
    }
    if scalar.known() != Tnum::UNKNOWN {
        let _ = write!(list.next(), "var_off={}", tnum_text(scalar.known()));
    }
}

fn is_small(value: i64) -> bool {
    (i64::from(i16::MIN)..=i64::from(i16::MAX)).contains(&value)
}

fn push_signed(out: &mut String, value: i64) {
    let _ = if is_small(value) {
        write!(out, "{value}")
    } else {
        write!(out, "{value:#x}")
    };
}

fn push_unsigned(out: &mut String, value: u64) {
    let is_small = value <= u64::from(u16::MAX);
    let _ = if is_small {
        write!(out, "{value}")
    } else {
        write!(out, "{value:#x}")
    };
}

/// Known bits as the kernel prints them (`tnum_strn`).
pub(crate) fn tnum_text(tnum: Tnum) -> String {
    let mut out = String::new();
    if tnum.is_const() {
        push_unsigned(&mut out, tnum.value());
    } else {
        let _ = write!(out, "({:#x}; {:#x})", tnum.value(), tnum.mask());
    }
    out
}

fn byte_char(byte: ByteKind) -> char {
    match byte {
        ByteKind::Invalid => '?',
        ByteKind::Spill => 'r',
        ByteKind::Misc => 'm',
        ByteKind::Zero => '0',
        ByteKind::Dynptr => 'd',
        ByteKind::Iter => 'i',
        ByteKind::IrqFlag => 'f',
    }
}

/// A value's type as messages name it (`reg_type_str`).
pub(crate) fn value_type_text(value: &Value) -> String {
    match value {
        Value::Uninit => "?".to_owned(),
        Value::Scalar(_) => "scalar".to_owned(),
        Value::Pointer(pointer) => type_text(pointer),
    }
}

/// A pointer's type as messages name it; the name of a structure comes behind it.
pub(crate) fn type_text(pointer: &Pointer) -> String {
    const PREFIXES: [(PtrFlags, &str); 7] = [
        (PtrFlags::RDONLY, "rdonly_"),
        (PtrFlags::RINGBUF, "ringbuf_"),
        (PtrFlags::USER, "user_"),
        (PtrFlags::PERCPU, "percpu_"),
        (PtrFlags::RCU, "rcu_"),
        (PtrFlags::UNTRUSTED, "untrusted_"),
        (PtrFlags::TRUSTED, "trusted_"),
    ];
    let mut out = String::new();
    for (flag, prefix) in PREFIXES {
        if pointer.flags.contains(flag) {
            out.push_str(prefix);
        }
    }
    out.push_str(region_text(pointer.region));
    if pointer.maybe_null() {
        let is_btf = matches!(pointer.region, Region::Btf { .. });
        out.push_str(if is_btf { "or_null_" } else { "_or_null" });
    }
    out
}

fn region_text(region: Region) -> &'static str {
    match region {
        Region::Ctx => "ctx",
        Region::ConstMap { .. } => "map_ptr",
        Region::MapValue { .. } => "map_value",
        Region::MapKey { .. } => "map_key",
        Region::Stack { .. } => "fp",
        Region::PacketMeta { .. } => "pkt_meta",
        Region::Packet { .. } => "pkt",
        Region::PacketEnd => "pkt_end",
        Region::FlowKeys => "flow_keys",
        Region::Sock(SockKind::Socket) => "sock",
        Region::Sock(SockKind::Common) => "sock_common",
        Region::Sock(SockKind::Tcp) => "tcp_sock",
        Region::Sock(SockKind::Xdp) => "xdp_sock",
        Region::TpBuffer => "tp_buffer",
        Region::Btf {
            source: BtfSource::Kernel | BtfSource::Program,
            ..
        } => "ptr_",
        Region::Mem { .. } => "mem",
        Region::Arena => "arena",
        Region::Buf => "buf",
        Region::Func { .. } => "func",
        Region::ConstDynptr { .. } => "dynptr_ptr",
        Region::Object(_) => "fp",
    }
}

#[cfg(test)]
mod tests;
