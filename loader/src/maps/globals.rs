//! Global variables set by name before anything is loaded: `limit=4`, `table[2]=7`,
//! `config.mode=FAST`.
//!
//! The object's types say where a variable lies and what its value looks like. Any variable of
//! global data can be set, constants included: that is what `const volatile` is for.

use super::{MapDef, Place};
use crate::elf::Elf;
use crate::error::{Error, ErrorKind};
use skep_btf::{Btf, Type, TypeId};

/// Sets variables; each is a name, with `.member` and `[index]`, and a value as text.
pub(crate) fn set_globals(
    elf: &Elf<'_>,
    btf: Option<&Btf>,
    maps: &mut [MapDef],
    globals: &[(String, String)],
) -> Result<(), Error> {
    for (name, value) in globals {
        let fail = |why: String| {
            Error::new(ErrorKind::Global {
                name: name.clone(),
                why,
            })
        };
        let btf = btf.ok_or_else(|| fail("the object has no types".to_string()))?;
        let place = find(elf, btf, maps, name).map_err(fail)?;
        let map = maps.get_mut(place.map).map(|m| &mut m.spec);
        let Some(map) = map else { continue };
        let size = map.value_size as usize;
        let init = map.init.get_or_insert_with(|| vec![0; size]);
        place
            .store(btf, init, elf.is_big_endian, value)
            .map_err(fail)?;
    }
    Ok(())
}

/// Where a variable, or a part of one, lies.
struct Spot {
    map: usize,
    ty: TypeId,
    /// Offset in the map's value, in bytes.
    offset: usize,
    /// Bit offset from there and width, of a bit-field.
    bits: Option<(u32, u32)>,
}

fn find(elf: &Elf<'_>, btf: &Btf, maps: &[MapDef], path: &str) -> Result<Spot, String> {
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (name, rest) = path.split_at(end);
    let mut spot = find_variable(elf, btf, maps, name)
        .ok_or_else(|| format!("the object has no global variable `{name}`"))?;
    let mut rest = rest;
    while let Some(first) = rest.chars().next() {
        let step = rest.get(1..).unwrap_or("");
        if first == '[' {
            let (index, after) = step.split_once(']').ok_or("a `]` is missing")?;
            let index = parse_number(index)
                .and_then(|n| u32::try_from(n).ok())
                .ok_or_else(|| format!("`{index}` is no index"))?;
            spot.element(btf, index)?;
            rest = after;
        } else {
            let end = step.find(['.', '[']).unwrap_or(step.len());
            let (member, after) = step.split_at(end);
            spot.member(btf, member)?;
            rest = after;
        }
    }
    Ok(spot)
}

fn find_variable(elf: &Elf<'_>, btf: &Btf, maps: &[MapDef], name: &str) -> Option<Spot> {
    for (index, map) in maps.iter().enumerate() {
        let Place::Data { section } = map.place else {
            continue;
        };
        let id = btf.named(elf.section_name(section)).next();
        let Some(datasec) = id.and_then(|id| btf.ty(id).ok()).and_then(Type::as_datasec) else {
            continue;
        };
        for entry in datasec.vars {
            if let Some(var) = btf.ty(entry.ty).ok().and_then(Type::as_var)
                && var.name() == name
            {
                return Some(Spot {
                    map: index,
                    ty: var.ty,
                    offset: entry.offset as usize,
                    bits: None,
                });
            }
        }
    }
    None
}

impl Spot {
    fn element(&mut self, btf: &Btf, index: u32) -> Result<(), String> {
        let (_, ty) = btf.resolve(self.ty).map_err(|e| e.to_string())?;
        let array = ty.as_array().ok_or("only arrays have elements")?;
        // The length may have been given by a new size of the section: the map is the limit.
        if array.nelems != 0 && index >= array.nelems {
            return Err(format!("the array has {} elements", array.nelems));
        }
        let size = btf.size_of(array.elem).map_err(|e| e.to_string())? as usize;
        self.offset = size
            .checked_mul(index as usize)
            .and_then(|off| off.checked_add(self.offset))
            .ok_or("the index is too large")?;
        self.ty = array.elem;
        Ok(())
    }

    fn member(&mut self, btf: &Btf, name: &str) -> Result<(), String> {
        let found = btf.member(self.ty, name).map_err(|e| e.to_string())?;
        let field =
            found.ok_or_else(|| format!("{} has no member `{name}`", btf.type_name(self.ty)))?;
        let byte = usize::try_from(field.bit_offset / 8).unwrap_or(usize::MAX);
        self.offset = self.offset.saturating_add(byte);
        let width = u32::from(field.member.bitfield_size);
        self.bits = (width != 0).then_some(((field.bit_offset % 8) as u32, width));
        self.ty = field.member.ty;
        Ok(())
    }

    fn store(&self, btf: &Btf, init: &mut [u8], big: bool, text: &str) -> Result<(), String> {
        let (_, ty) = btf.resolve(self.ty).map_err(|e| e.to_string())?;
        let size = btf.size_of(self.ty).map_err(|e| e.to_string())? as usize;
        let out = self
            .offset
            .checked_add(size)
            .and_then(|end| init.get_mut(self.offset..end))
            .ok_or("it lies outside of the section")?;
        if let Some(array) = ty.as_array() {
            let is_char = btf.size_of(array.elem) == Ok(1);
            if !is_char {
                return Err("an array is set element by element, as NAME[0]=VALUE".to_string());
            }
            return put_text(text, out);
        }
        let value = scalar(ty, text)?;
        if let Some((shift, width)) = self.bits {
            return put_bits(out, big, shift, width, value);
        }
        put(out, big, value)
    }
}

fn put_text(text: &str, out: &mut [u8]) -> Result<(), String> {
    let text = text
        .strip_prefix('"')
        .and_then(|t| t.strip_suffix('"'))
        .unwrap_or(text);
    if text.len() >= out.len() {
        return Err(format!(
            "the array has room for {} bytes and a NUL",
            out.len().saturating_sub(1)
        ));
    }
    out.fill(0);
    for (to, from) in out.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    Ok(())
}

/// The value as the type understands it.
fn scalar(ty: Type<'_>, text: &str) -> Result<i128, String> {
    let wrong = || format!("`{text}` is no value of {}", kind_of(ty));
    if let Some(e) = ty.as_enum()
        && let Some(value) = e.values.iter().find(|v| v.name() == text)
    {
        return Ok(i128::from(value.value as i64));
    }
    if ty.as_int().is_some() && matches!(text, "true" | "false") {
        return Ok(i128::from(text == "true"));
    }
    if let Type::Float(float) = ty {
        let value: f64 = text.parse().map_err(|_| wrong())?;
        return match float.size {
            4 => Ok(i128::from((value as f32).to_bits())),
            8 => Ok(i128::from(value.to_bits())),
            _ => Err(wrong()),
        };
    }
    if ty.as_composite().is_some() {
        return Err("a struct is set member by member, as NAME.MEMBER=VALUE".to_string());
    }
    let value = parse_number(text)
        .or_else(|| parse_char(text))
        .ok_or_else(wrong)?;
    let size = if ty.as_ptr().is_some() {
        8
    } else {
        let int = ty.as_int().map(|i| i.size);
        int.or(ty.as_enum().map(|e| e.size)).unwrap_or(0)
    };
    let is_bool = ty.as_int().is_some_and(|i| i.encoding.is_bool());
    let bits = size * 8;
    let fits = match bits {
        1..=64 => value >= -(1i128 << (bits - 1)) && value < 1i128 << bits,
        _ => false,
    };
    if !fits || is_bool && !(0..=1).contains(&value) {
        return Err(format!("{text} does not fit {}", kind_of(ty)));
    }
    Ok(value)
}

fn kind_of(ty: Type<'_>) -> String {
    match ty.name() {
        "" => "the variable's type".to_string(),
        name => format!("`{name}`"),
    }
}

/// Decimal or hexadecimal, with sign.
fn parse_number(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let number = match digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None => digits.parse::<u64>().ok()?,
    };
    let number = i128::from(number);
    Some(if negative { -number } else { number })
}

fn parse_char(text: &str) -> Option<i128> {
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    let mut chars = inner.chars();
    let c = chars.next().filter(char::is_ascii)?;
    chars.next().is_none().then_some(i128::from(c as u32))
}

fn put(out: &mut [u8], big: bool, value: i128) -> Result<(), String> {
    let len = out.len();
    let bytes = value.to_le_bytes();
    let own = bytes
        .get(..len)
        .ok_or("a value of this size cannot be set")?;
    out.copy_from_slice(own);
    if big {
        out.reverse();
    }
    Ok(())
}

/// Puts a value into bits that are counted from the lowest of the first byte.
fn put_bits(out: &mut [u8], big: bool, shift: u32, width: u32, value: i128) -> Result<(), String> {
    if big || shift + width > 64 || width == 0 || out.len() > 8 {
        return Err("this bit-field cannot be set".to_string());
    }
    if value < -(1i128 << (width - 1)) || value >= 1i128 << width {
        return Err(format!("{value} does not fit {width} bits"));
    }
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(out.iter()) {
        *to = *from;
    }
    let mask = (u64::MAX >> (64 - width)) << shift;
    let word = u64::from_le_bytes(bytes) & !mask | (value as u64) << shift & mask;
    for (to, from) in out.iter_mut().zip(word.to_le_bytes()) {
        *to = from;
    }
    Ok(())
}
