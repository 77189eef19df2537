//! Values as C would initialise them, by their BTF types.

use std::fmt::Write;

use skep_btf::{Btf, Endian, Type, TypeId};

/// Elements of an array, and members of a struct, that are shown.
const MOST: usize = 16;
/// Structs within structs that are shown.
const DEPTH: usize = 4;
/// Bytes of a whole value's text at most.
const LONGEST: usize = 400;

/// The value of a type that lies in these bytes: `{ .mode = FAST, .name = "bees" }`.
pub(super) fn text(btf: &Btf, ty: TypeId, bytes: &[u8]) -> String {
    let mut out = String::new();
    write_value(&mut out, btf, ty, bytes, DEPTH);
    if let Some((end, _)) = out.char_indices().nth(LONGEST) {
        out.truncate(end);
        out.push('…');
    }
    out
}

fn write_value(out: &mut String, btf: &Btf, id: TypeId, bytes: &[u8], depth: usize) {
    if out.len() > LONGEST {
        return;
    }
    let Ok((_, ty)) = btf.resolve(id) else {
        return out.push('?');
    };
    let size = btf.size_of(id).unwrap_or(0) as usize;
    let Some(bytes) = bytes.get(..size) else {
        return out.push('?');
    };
    if let Some(array) = ty.as_array() {
        return write_array(out, btf, array, bytes, depth);
    }
    if let Some(composite) = ty.as_composite() {
        return write_members(out, btf, composite, bytes, depth);
    }
    let number = number(btf.endian(), bytes);
    write_number(out, ty, number, size);
}

fn number(endian: Endian, bytes: &[u8]) -> u64 {
    let join = |n: u64, b: &u8| n << 8 | u64::from(*b);
    let bytes = bytes.get(..bytes.len().min(8)).unwrap_or(&[]);
    match endian {
        Endian::Little => bytes.iter().rev().fold(0, join),
        Endian::Big => bytes.iter().fold(0, join),
    }
}

/// A number of `size` bytes as its type shows it.
fn write_number(out: &mut String, ty: Type<'_>, number: u64, size: usize) {
    let unused = 64 - 8 * size.clamp(1, 8) as u32;
    let signed = (number << unused).cast_signed() >> unused;
    let _ = if let Some(e) = ty.as_enum() {
        let value = if e.signed {
            signed.cast_unsigned()
        } else {
            number
        };
        match e.values.iter().find(|v| v.value == value) {
            Some(value) => write!(out, "{}", value.name()),
            None => write!(out, "{signed}"),
        }
    } else if let Some(int) = ty.as_int() {
        if int.encoding.is_bool() {
            write!(out, "{}", number != 0)
        } else if size > 8 {
            write!(out, "…")
        } else if int.is_signed() {
            write!(out, "{signed}")
        } else {
            write!(out, "{number}")
        }
    } else if let Type::Float(float) = ty {
        if float.size == 4 {
            write!(out, "{}", f32::from_bits(number as u32))
        } else {
            write!(out, "{}", f64::from_bits(number))
        }
    } else {
        write!(out, "{number:#x}")
    };
}

fn write_array(out: &mut String, btf: &Btf, array: skep_btf::Array, bytes: &[u8], depth: usize) {
    let elem = btf.resolve(array.elem).ok().and_then(|(_, ty)| ty.as_int());
    if elem.is_some_and(|int| int.size == 1 && int.name() == "char")
        && let Some(text) = as_text(bytes)
    {
        let _ = write!(out, "{text:?}");
        return;
    }
    let size = btf.size_of(array.elem).unwrap_or(0) as usize;
    if bytes.iter().all(|b| *b == 0) || size == 0 {
        return out.push_str("{ 0 }");
    }
    if depth == 0 {
        return out.push_str("{ … }");
    }
    out.push_str("{ ");
    for (index, elem) in bytes.chunks(size).enumerate() {
        if index == MOST {
            out.push_str(", …");
            break;
        }
        if index != 0 {
            out.push_str(", ");
        }
        write_value(out, btf, array.elem, elem, depth - 1);
    }
    out.push_str(" }");
}

/// Bytes that are text with zeros behind.
fn as_text(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let (text, rest) = bytes.split_at_checked(end)?;
    let text = std::str::from_utf8(text).ok()?;
    (rest.iter().all(|b| *b == 0) && !text.contains(|c: char| c.is_control() && c != '\n'))
        .then_some(text)
}

fn write_members(
    out: &mut String,
    btf: &Btf,
    composite: skep_btf::Composite<'_>,
    bytes: &[u8],
    depth: usize,
) {
    if bytes.iter().all(|b| *b == 0) {
        return out.push_str("{ 0 }");
    }
    if depth == 0 {
        return out.push_str("{ … }");
    }
    out.push_str("{ ");
    // All members of a union show the same bytes: the first is enough.
    let shown = if composite.is_union { 1 } else { MOST };
    for (index, member) in composite.members.iter().enumerate() {
        if index == shown {
            if !composite.is_union {
                out.push_str(", …");
            }
            break;
        }
        if index != 0 {
            out.push_str(", ");
        }
        if !member.name().is_empty() {
            let _ = write!(out, ".{} = ", member.name());
        }
        let from = member.offset() as usize;
        if !member.is_bitfield() {
            let rest = bytes.get(from..).unwrap_or(&[]);
            write_value(out, btf, member.ty, rest, depth - 1);
        } else if btf.endian() == Endian::Little {
            let rest = bytes.get(from..).unwrap_or(&[]);
            let word = number(Endian::Little, rest) >> (member.bit_offset % 8);
            let mask = u64::MAX >> (64 - u32::from(member.bitfield_size).clamp(1, 64));
            let _ = write!(out, "{}", word & mask);
        } else {
            out.push('?');
        }
    }
    out.push_str(" }");
}
