//! Values in words that people use: what a register holds when the kernel's notation is not enough.

use crate::number::Scalar;
use crate::report::scene::Scene;
use crate::state::{MapId, Pointer, PtrFlags, Region, SockKind, Value};

/// What a value is, without a full stop: `a pointer into a value of map "counts", which may be null`.
pub(super) fn value(scene: Scene<'_>, value: &Value) -> String {
    match value {
        Value::Uninit => "nothing: it was not written on this path".to_owned(),
        Value::Scalar(number) => scalar(&number.scalar),
        Value::Pointer(pointer) => self::pointer(scene, pointer),
    }
}

/// What is known of a number.
pub(super) fn scalar(scalar: &Scalar) -> String {
    if let Some(value) = scalar.const_value() {
        return format!("the number {}", value as i64);
    }
    let (umin, umax) = (scalar.umin(), scalar.umax());
    let (smin, smax) = (scalar.smin(), scalar.smax());
    if umin == 0 && umax == u64::MAX && smin == i64::MIN && smax == i64::MAX {
        return "a number of which nothing is known".to_owned();
    }
    if smin < 0 && (smin, smax) != (i64::MIN, i64::MAX) {
        return format!("a number from {smin} to {smax}");
    }
    if umax == u64::MAX {
        return format!("a number of at least {umin}");
    }
    format!("a number from {umin} to {umax}")
}

/// `1 byte`, `8 bytes`.
pub(super) fn bytes(count: i32) -> String {
    if count == 1 {
        "1 byte".to_owned()
    } else {
        format!("{count} bytes")
    }
}

fn pointer(scene: Scene<'_>, pointer: &Pointer) -> String {
    let mut text = region(scene, pointer);
    if let Some(at) = offset(pointer) {
        text.push_str(&at);
    }
    if pointer.maybe_null() {
        text.push_str(", which may be null");
    }
    if pointer.flags.contains(PtrFlags::UNTRUSTED) {
        text.push_str(", which may be stale");
    }
    if pointer.flags.contains(PtrFlags::RDONLY) {
        text.push_str(", which may only be read");
    }
    text
}

fn region(scene: Scene<'_>, pointer: &Pointer) -> String {
    let map = |id: MapId| match (scene.map_name(id), scene.map(id)) {
        ("", _) => "an inner map".to_owned(),
        (name, _) => format!("map \"{name}\""),
    };
    match pointer.region {
        Region::Ctx => "the program's context".to_owned(),
        Region::ConstMap { map: id, .. } => map(id),
        Region::MapValue { map: id, .. } => {
            let size = scene.map(id).map_or(0, |spec| spec.value_size);
            format!("a pointer into a value ({size} bytes) of {}", map(id))
        }
        Region::MapKey { map: id, .. } => format!("a pointer to a key of {}", map(id)),
        Region::Stack { frame } => format!("a pointer into the stack of frame {frame}"),
        Region::PacketMeta { range } => packet("packet metadata", range),
        Region::Packet { range } => packet("the packet", range),
        Region::PacketEnd => "the end of the packet (data_end)".to_owned(),
        Region::FlowKeys => "a pointer to the flow keys".to_owned(),
        Region::Sock(kind) => match kind {
            SockKind::Socket => "a pointer to a socket",
            SockKind::Common => "a pointer to the common part of a socket",
            SockKind::Tcp => "a pointer to a TCP socket",
            SockKind::Xdp => "a pointer to an XDP socket",
        }
        .to_owned(),
        Region::TpBuffer => "a pointer to the tracepoint's buffer".to_owned(),
        Region::Btf { source, id } => {
            format!("a pointer to struct {}", scene.type_name(source, id))
        }
        Region::Mem { size, .. } if pointer.flags.contains(PtrFlags::RINGBUF) => {
            format!("a pointer to a ring buffer record of {size} bytes")
        }
        Region::Mem { size, .. } => format!("a pointer to {size} bytes of memory"),
        Region::Arena => "a pointer into the arena".to_owned(),
        Region::Buf => "a pointer to a buffer".to_owned(),
        Region::Func { .. } => "the address of a function".to_owned(),
        Region::ConstDynptr { .. } => "a dynptr".to_owned(),
        Region::Object(_) => "an object on the stack".to_owned(),
    }
}

fn packet(what: &str, range: i32) -> String {
    match range {
        ..0 => format!("a pointer into {what}, at or beyond its end"),
        0 => format!("a pointer into {what}, none of which was compared with its end"),
        _ => format!("a pointer into {what}, of which {range} bytes are known to be there"),
    }
}

/// Where it points, if that is not the start.
fn offset(pointer: &Pointer) -> Option<String> {
    if matches!(pointer.region, Region::Ctx | Region::ConstMap { .. }) && pointer.off == 0 {
        return None;
    }
    match pointer.var.const_value() {
        Some(var) => {
            let at = (var as i64).wrapping_add(pointer.off.into());
            (at != 0).then(|| format!(", at offset {at}"))
        }
        None => {
            let fixed = match pointer.off {
                0 => String::new(),
                off => format!("{off} plus "),
            };
            Some(format!(", at offset {fixed}{}", scalar(&pointer.var)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_say_as_much_as_is_known() {
        assert_eq!(scalar(&Scalar::constant(u64::MAX)), "the number -1");
        assert_eq!(
            scalar(&Scalar::unknown()),
            "a number of which nothing is known"
        );
        assert_eq!(
            scalar(&Scalar::from_range(0, 255)),
            "a number from 0 to 255"
        );
        assert_eq!(
            scalar(&Scalar::from_signed_range(-4, 7)),
            "a number from -4 to 7"
        );
    }
}
