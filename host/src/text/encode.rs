//! Values that people write, turned into the bytes of a C type.
//!
//! Numbers fill integers, booleans `bool`s, names enumerators; objects set members of structures by name,
//! lists elements of arrays; text fills arrays of characters. Everywhere, `hex:0a000001` gives the bytes
//! themselves, and addresses stand as they are written: `10.0.0.1` in four bytes, `2001:db8::1` in
//! sixteen, `02:00:00:00:00:01` in six, all in network order. What is not mentioned is zero, and is not
//! compared where the value is an expectation.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;
use skep_btf::{Btf, Type, TypeId};

use super::parse::{fits, hex_bytes, mac, number};

/// Bytes, and which of them were given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Encoded {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Whether each was given; what was not is zero.
    pub given: Vec<bool>,
}

impl Encoded {
    fn all(bytes: Vec<u8>) -> Encoded {
        Encoded {
            given: vec![true; bytes.len()],
            bytes,
        }
    }

    fn none(size: usize) -> Encoded {
        Encoded {
            bytes: vec![0; size],
            given: vec![false; size],
        }
    }

    fn put(&mut self, at: usize, part: &Encoded) {
        let (end, len) = (at + part.bytes.len(), self.bytes.len());
        if let (Some(to), Some(given)) = (
            self.bytes.get_mut(at..end.min(len)),
            self.given.get_mut(at..end.min(len)),
        ) {
            to.copy_from_slice(&part.bytes[..to.len()]);
            given.copy_from_slice(&part.given[..given.len()]);
        }
    }

    /// Whether bytes are these, where something was given.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        let same = |((want, given), got): ((&u8, &bool), &u8)| !given || want == got;
        self.bytes.len() == bytes.len() && self.bytes.iter().zip(&self.given).zip(bytes).all(same)
    }
}

/// Nesting that is understood.
const MOST_DEPTH: usize = 16;

/// The bytes of a value of `size` bytes; `ty` is its type, or 0 where none is known.
///
/// # Errors
/// What does not fit, and where.
pub fn encode(btf: Option<&Btf>, ty: u32, size: usize, value: &Value) -> Result<Encoded, String> {
    let resolved = btf.filter(|_| ty != 0).map(|btf| (btf, TypeId(ty)));
    if let Some((btf, ty)) = resolved
        && btf
            .size_of(ty)
            .is_ok_and(|of_type| of_type as usize == size)
    {
        return typed(btf, ty, value, 0);
    }
    untyped(size, value)
}

/// A value without a type: a number, bytes, an address, or a list of numbers of a byte each.
fn untyped(size: usize, value: &Value) -> Result<Encoded, String> {
    match value {
        Value::String(text) => match special(text, size)? {
            Some(bytes) => Ok(Encoded::all(bytes)),
            None => integer(value, size).map(Encoded::all),
        },
        Value::Array(items) => {
            if items.len() != size {
                return Err(format!("a list of {} bytes, not {size}", items.len()));
            }
            let mut bytes = Vec::new();
            for item in items {
                bytes.extend(integer(item, 1)?);
            }
            Ok(Encoded::all(bytes))
        }
        Value::Number(_) | Value::Bool(_) => integer(value, size).map(Encoded::all),
        Value::Object(_) => Err("the type is not known: give a number or `hex:…`".to_owned()),
        Value::Null => Err("no value".to_owned()),
    }
}

/// Bytes and addresses, which are not in the machine's order.
fn special(text: &str, size: usize) -> Result<Option<Vec<u8>>, String> {
    if let Some(digits) = text.strip_prefix("hex:") {
        let bytes = hex_bytes(digits)?;
        return if bytes.len() == size {
            Ok(Some(bytes))
        } else {
            Err(format!(
                "`{digits}` is {} long, not {size} bytes",
                count(bytes.len())
            ))
        };
    }
    Ok(match size {
        4 => text.parse::<Ipv4Addr>().ok().map(|a| a.octets().to_vec()),
        6 => mac(text).map(|a| a.to_vec()),
        16 => text.parse::<Ipv6Addr>().ok().map(|a| a.octets().to_vec()),
        _ => None,
    })
}

/// A number of bytes, in words.
fn count(bytes: usize) -> String {
    match bytes {
        1 => "1 byte".to_owned(),
        more => format!("{more} bytes"),
    }
}

fn integer(value: &Value, size: usize) -> Result<Vec<u8>, String> {
    let bits = match value {
        Value::Bool(is) => Some(u64::from(*is)),
        Value::Number(n) => n.as_u64().or_else(|| n.as_i64().map(i64::cast_unsigned)),
        Value::String(text) => number(text),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let bits = bits.ok_or_else(|| format!("`{}` is no number", shown(value)))?;
    if !fits(bits, size) {
        return Err(format!("{} does not fit {size} bytes", shown(value)));
    }
    let fill = if bits.cast_signed() < 0 && size > 8 {
        0xff
    } else {
        0
    };
    let mut bytes = bits.to_le_bytes().to_vec();
    bytes.resize(size, fill);
    Ok(bytes)
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

fn typed(btf: &Btf, ty: TypeId, value: &Value, depth: usize) -> Result<Encoded, String> {
    if depth > MOST_DEPTH {
        return Err("the type is nested too deeply".to_owned());
    }
    let damaged = |e: &dyn std::fmt::Display| format!("its type is damaged: {e}");
    let (id, resolved) = btf.resolve(ty).map_err(|e| damaged(&e))?;
    let size = btf.size_of(id).map_err(|e| damaged(&e))? as usize;
    if let Value::String(text) = value
        && let Some(bytes) = special(text, size)?
    {
        return Ok(Encoded::all(bytes));
    }
    match resolved {
        Type::Array(array) => list(btf, array.elem, size, value, depth),
        Type::Struct(composite) | Type::Union(composite) => {
            let Value::Object(members) = value else {
                return Err(format!(
                    "`{}` is no object: the type has members",
                    shown(value)
                ));
            };
            let mut out = Encoded::none(size);
            for (name, value) in members {
                let (off, ty) = member(btf, id, name, 0).ok_or_else(|| {
                    let names: Vec<_> = composite
                        .members
                        .iter()
                        .map(|m| m.name())
                        .filter(|n| !n.is_empty())
                        .collect();
                    format!(
                        "there is no member `{name}`; there are {}",
                        names.join(", ")
                    )
                })?;
                let part = typed(btf, ty, value, depth + 1).map_err(|e| format!("{name}: {e}"))?;
                out.put(off, &part);
            }
            Ok(out)
        }
        Type::Enum(e) | Type::Enum64(e) => {
            let named = value
                .as_str()
                .and_then(|name| e.values.iter().find(|v| v.name() == name));
            match named {
                Some(named) => {
                    let mut bytes = named.value.to_le_bytes().to_vec();
                    bytes.resize(size, 0);
                    Ok(Encoded::all(bytes))
                }
                None => integer(value, size).map(Encoded::all),
            }
        }
        Type::Int(_) | Type::Ptr(_) | Type::Float(_) => integer(value, size).map(Encoded::all),
        Type::Void
        | Type::Fwd(_)
        | Type::Typedef(_)
        | Type::Volatile(_)
        | Type::Const(_)
        | Type::Restrict(_)
        | Type::Func(_)
        | Type::FuncProto(_)
        | Type::Var(_)
        | Type::DataSec(_)
        | Type::DeclTag(_)
        | Type::TypeTag(_) => Err("the type has no values".to_owned()),
    }
}

/// Offset and type of a member, those of anonymous structures included.
fn member(btf: &Btf, ty: TypeId, name: &str, depth: usize) -> Option<(usize, TypeId)> {
    if depth > MOST_DEPTH {
        return None;
    }
    let composite = btf.composite(ty).ok()?;
    for member in composite.members.iter().filter(|m| !m.is_bitfield()) {
        let off = member.offset() as usize;
        if member.name() == name {
            return Some((off, member.ty));
        }
        if member.name().is_empty() {
            let (id, _) = btf.resolve(member.ty).ok()?;
            if let Some((inner, ty)) = self::member(btf, id, name, depth + 1) {
                return Some((off + inner, ty));
            }
        }
    }
    None
}

fn list(
    btf: &Btf,
    element: TypeId,
    size: usize,
    value: &Value,
    depth: usize,
) -> Result<Encoded, String> {
    let each = btf.size_of(element).map_err(|e| e.to_string())? as usize;
    let mut out = Encoded::none(size);
    match value {
        Value::String(text) if each == 1 => {
            if text.len() > size {
                return Err(format!("`{text}` has more than {size} bytes"));
            }
            // Behind the text, all is zero.
            let mut bytes = text.clone().into_bytes();
            bytes.resize(size, 0);
            Ok(Encoded::all(bytes))
        }
        Value::Array(items) => {
            let most = size.checked_div(each).unwrap_or(0);
            if items.len() > most {
                return Err(format!("a list of {} for {most} elements", items.len()));
            }
            for (index, item) in items.iter().enumerate() {
                let part =
                    typed(btf, element, item, depth + 1).map_err(|e| format!("[{index}]: {e}"))?;
                out.put(index * each, &part);
            }
            Ok(out)
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err(format!("`{}` is no list", shown(value)))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bytes(size: usize, value: &Value) -> Result<Vec<u8>, String> {
        encode(None, 0, size, value).map(|e| e.bytes)
    }

    #[test]
    fn numbers_and_addresses_without_a_type() {
        assert_eq!(bytes(4, &json!(258)), Ok(vec![2, 1, 0, 0]));
        assert_eq!(bytes(2, &json!(-1)), Ok(vec![0xff, 0xff]));
        assert_eq!(bytes(2, &json!("0x10")), Ok(vec![0x10, 0]));
        assert_eq!(bytes(4, &json!("10.0.0.1")), Ok(vec![10, 0, 0, 1]));
        assert_eq!(
            bytes(6, &json!("02:00:00:00:00:01")),
            Ok(vec![2, 0, 0, 0, 0, 1])
        );
        assert_eq!(bytes(16, &json!("::1")).unwrap()[15], 1);
        assert_eq!(bytes(3, &json!("hex:010203")), Ok(vec![1, 2, 3]));
        assert_eq!(bytes(2, &json!([1, 2])), Ok(vec![1, 2]));
        for bad in [
            json!("x"),
            json!(70000),
            json!({"a": 1}),
            json!([1]),
            json!("hex:01"),
            json!(null),
            json!(1.5),
        ] {
            assert!(bytes(2, &bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn structures_by_member_and_only_what_is_given_is_compared() {
        let text = "
            .struct inner { u16 port, char name[6] }
            .struct key { u32 addr, struct inner inner, u8 rest[3] }
            .map m hash key struct key value struct key entries 1
            .prog p xdp
                r1 = map[m] ll
                r0 = 2
                exit
        ";
        let object = skep_asm::assemble(text, &skep_asm::Options::default()).unwrap();
        let map = &object.maps[0];
        let btf = map.btf.as_deref();
        let size = map.key_size as usize;
        let value = json!({"addr": "10.0.0.1", "inner": {"name": "abc"}, "rest": [1]});
        let made = encode(btf, map.btf_key_id, size, &value).unwrap();
        assert_eq!(
            made.bytes[..13],
            [10, 0, 0, 1, 0, 0, b'a', b'b', b'c', 0, 0, 0, 1]
        );
        let mut other = made.bytes.clone();
        other[4] = 9;
        assert!(made.matches(&other), "the port was not given");
        other[6] = b'z';
        assert!(!made.matches(&other));
        for bad in [
            json!({"nobody": 1}),
            json!(5),
            json!({"inner": 1}),
            json!({"inner": {"name": "too long"}}),
            json!({"rest": [1, 2, 3, 4]}),
        ] {
            assert!(encode(btf, map.btf_key_id, size, &bad).is_err(), "{bad}");
        }
    }
}
