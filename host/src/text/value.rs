//! Keys and values of maps as people read them: by their C type where it is known, else as a number
//! or hex digits.

use std::ops::Range;

use skep_btf::{Btf, Type, TypeId};

/// Nesting that is shown.
const MOST_DEPTH: usize = 8;
/// Elements and members that are shown of one value.
const MOST_ITEMS: usize = 64;

/// A value of that type; 0 is no type.
pub fn text(btf: Option<&Btf>, ty: u32, bytes: &[u8]) -> String {
    let mut left = MOST_ITEMS;
    let typed = btf
        .filter(|_| ty != 0)
        .and_then(|btf| typed(btf, TypeId(ty), bytes, 0, &mut left));
    typed.unwrap_or_else(|| untyped(bytes))
}

/// A number of 1, 2, 4 or 8 bytes, else hex digits.
pub fn untyped(bytes: &[u8]) -> String {
    match bytes.len() {
        1 | 2 | 4 | 8 => unsigned(bytes).to_string(),
        _ => hex(bytes),
    }
}

/// Hex digits.
pub fn hex(bytes: &[u8]) -> String {
    let pairs: Vec<_> = bytes.iter().map(|b| format!("{b:02x}")).collect();
    pairs.join(" ")
}

fn unsigned(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn signed(bytes: &[u8]) -> i64 {
    let shift = 64u32.saturating_sub(8 * bytes.len() as u32);
    (unsigned(bytes).checked_shl(shift).unwrap_or(0)).cast_signed() >> shift.min(63)
}

fn typed(btf: &Btf, ty: TypeId, bytes: &[u8], depth: usize, left: &mut usize) -> Option<String> {
    let (id, ty) = btf.resolve(ty).ok()?;
    if depth > MOST_DEPTH {
        return None;
    }
    let bytes = bytes.get(..btf.size_of(id).ok()? as usize)?;
    match ty {
        Type::Int(int) if int.encoding.is_bool() => Some((unsigned(bytes) != 0).to_string()),
        Type::Int(int) if bytes.len() <= 8 => Some(if int.encoding.is_signed() {
            signed(bytes).to_string()
        } else {
            unsigned(bytes).to_string()
        }),
        Type::Ptr(_) => Some(format!("{:#x}", unsigned(bytes))),
        Type::Enum(e) | Type::Enum64(e) => {
            let value = if e.signed {
                signed(bytes).cast_unsigned()
            } else {
                unsigned(bytes)
            };
            let name = e
                .values
                .iter()
                .find(|v| v.value == value)
                .map(|v| v.name().to_owned());
            Some(name.unwrap_or_else(|| value.to_string()))
        }
        Type::Array(array) => array_text(btf, array.elem, bytes, depth, left),
        Type::Struct(composite) | Type::Union(composite) => {
            let mut parts = Vec::new();
            for member in composite.members.iter().filter(|m| !m.is_bitfield()) {
                if *left == 0 {
                    parts.push("…".to_owned());
                    break;
                }
                *left -= 1;
                let rest = bytes.get(member.offset() as usize..)?;
                let value = typed(btf, member.ty, rest, depth + 1, left)?;
                parts.push(match member.name() {
                    "" => value,
                    name => format!("{name}={value}"),
                });
            }
            Some(format!("{{{}}}", parts.join(", ")))
        }
        Type::Void
        | Type::Int(_)
        | Type::Fwd(_)
        | Type::Typedef(_)
        | Type::Volatile(_)
        | Type::Const(_)
        | Type::Restrict(_)
        | Type::Func(_)
        | Type::FuncProto(_)
        | Type::Var(_)
        | Type::DataSec(_)
        | Type::Float(_)
        | Type::DeclTag(_)
        | Type::TypeTag(_) => None,
    }
}

/// The variables of a section of global data: name, type and place of each.
pub fn variables(btf: Option<&Btf>, ty: u32) -> Vec<(String, u32, Range<usize>)> {
    let section = btf.and_then(|btf| Some((btf, btf.ty(TypeId(ty)).ok()?.as_datasec()?)));
    let Some((btf, section)) = section else {
        return Vec::new();
    };
    let place = |info: skep_btf::VarSecInfo| {
        let var = btf.ty(info.ty).ok()?.as_var()?;
        let off = info.offset as usize;
        Some((
            var.name().to_owned(),
            var.ty.0,
            off..off.checked_add(info.size as usize)?,
        ))
    };
    section.vars.iter().filter_map(place).collect()
}

fn array_text(
    btf: &Btf,
    element: TypeId,
    bytes: &[u8],
    depth: usize,
    left: &mut usize,
) -> Option<String> {
    let size = btf.size_of(element).ok()? as usize;
    if size == 0 {
        return Some("[]".to_owned());
    }
    if size == 1 && is_char(btf, element) {
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        let text = String::from_utf8_lossy(bytes.get(..end)?);
        return Some(format!("{text:?}"));
    }
    let mut parts = Vec::new();
    for chunk in bytes.chunks_exact(size) {
        if *left == 0 {
            parts.push("…".to_owned());
            break;
        }
        *left -= 1;
        parts.push(typed(btf, element, chunk, depth + 1, left)?);
    }
    Some(format!("[{}]", parts.join(", ")))
}

fn is_char(btf: &Btf, ty: TypeId) -> bool {
    match btf.resolve(ty) {
        Ok((_, Type::Int(int))) => int.name() == "char",
        Ok(_) | Err(_) => false,
    }
}
