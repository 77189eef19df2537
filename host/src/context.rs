//! The context of a run, field by field: `NAME=VALUE`.
//!
//! Names are those of the kernel's structure where the type has one that is the same for all programs,
//! else the members of the structure that the program's own first parameter points to.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use serde_json::{Map, Value};
use skep_btf::{Btf, TypeId};
use skep_spec::tables::ctx;
use skep_spec::{ProgType, ProgramSpec};

use crate::Error;
use crate::packet::takes_packet;
use crate::text::parse::{Setting, fits, number};

/// Where a field lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    off: usize,
    width: usize,
    count: usize,
}

/// Bytes of a context whose size nothing says: arguments of functions and tracepoints.
const ARGUMENTS: usize = 12 * 8;

/// The context in user space's layout, from settings like `mark=7`; `None` where the hook makes it.
///
/// # Errors
/// A field that the context does not have, or a value that does not fit.
pub fn build(
    program: &ProgramSpec,
    settings: &[String],
    packet_len: usize,
) -> Result<Option<Vec<u8>>, Error> {
    if settings.is_empty() && takes_packet(program.ty) {
        return Ok(None);
    }
    let size = match (program.ty, ctx::of(program.ty)) {
        (ProgType::Syscall, _) => syscall_size(program, settings),
        (_, Some(table)) => table.size as usize,
        (_, None) => ARGUMENTS,
    };
    let mut bytes = vec![0; size];
    let mut sets_end = false;
    for text in settings {
        let setting = Setting::read(text).ok_or_else(|| {
            Error::new(format!("`{text}`")).help("write it like mark=7 or cb[0]=1")
        })?;
        sets_end = sets_end || setting.name == "data_end";
        set(&mut bytes, program, &setting)?;
    }
    // A test run of XDP wants to know where the linear part of the packet ends.
    if program.ty == ProgType::Xdp && !sets_end {
        let end = u32::try_from(packet_len).unwrap_or(u32::MAX);
        if let Some(to) = place(program, "data_end").and_then(|p| bytes.get_mut(p.off..p.off + 4)) {
            to.copy_from_slice(&end.to_le_bytes());
        }
    }
    Ok(Some(bytes))
}

fn set(bytes: &mut [u8], program: &ProgramSpec, setting: &Setting<'_>) -> Result<(), Error> {
    let place = place(program, setting.name).ok_or_else(|| {
        let what = format!("the context of {} has no `{}`", program.ty, setting.name);
        match names(program) {
            names if names.is_empty() => Error::new(what),
            names => Error::new(what).help(format!("it has {}", names.join(", "))),
        }
    })?;
    let bad = |why: String| Error::new(format!("{}: {why}", setting.name));
    let index = match setting.index {
        Some(index) => index
            .parse()
            .map_err(|_| bad(format!("`{index}` is no index")))?,
        None => 0,
    };
    let at = place
        .width
        .checked_mul(index)
        .and_then(|at| at.checked_add(place.off));
    let room = at
        .and_then(|at| bytes.get_mut(at..))
        .filter(|_| index < place.count.max(1));
    let room = room.ok_or_else(|| bad(format!("[{index}] lies behind its end")))?;
    // Text goes into arrays of characters.
    if place.width == 1 && setting.index.is_none() && number(setting.value).is_none() {
        let text = setting.value.as_bytes();
        if text.len() > place.count.min(room.len()) {
            return Err(bad(format!("it has room for {} bytes", place.count)));
        }
        room.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
        return Ok(());
    }
    if let Some(address) = address(setting.value, place.width, room.len()) {
        room.iter_mut()
            .zip(&address)
            .for_each(|(to, from)| *to = *from);
        return Ok(());
    }
    let value =
        number(setting.value).ok_or_else(|| bad(format!("`{}` is no number", setting.value)))?;
    if !fits(value, place.width) {
        return Err(bad(format!(
            "{} does not fit {} bytes",
            setting.value, place.width
        )));
    }
    let value = value.to_le_bytes();
    room.iter_mut()
        .zip(&value)
        .take(place.width)
        .for_each(|(to, from)| *to = *from);
    Ok(())
}

/// An address in network order: IPv4 in a word, IPv6 in four.
fn address(text: &str, width: usize, room: usize) -> Option<Vec<u8>> {
    if width == 4
        && let Ok(address) = text.parse::<Ipv4Addr>()
    {
        return Some(address.octets().to_vec());
    }
    let address = text.parse::<Ipv6Addr>().ok()?;
    (room >= 16).then(|| address.octets().to_vec())
}

/// Settings as they are given: each `NAME=VALUE`, a JSON object of them, or a file of TOML or JSON.
///
/// # Errors
/// What cannot be read, or is no table of fields.
pub fn read(given: &[String]) -> Result<Vec<String>, Error> {
    let mut all = Vec::new();
    for text in given {
        let path = Path::new(text);
        let ending = path.extension().and_then(|e| e.to_str());
        let table: Option<Map<String, Value>> = if text.starts_with('{') {
            Some(serde_json::from_str(text).map_err(|e| Error::new(e.to_string()))?)
        } else if ending == Some("json") && !text.contains('=') {
            let text = crate::test::read_text(path)?;
            Some(serde_json::from_str(&text).map_err(|e| Error::of(path.display(), e))?)
        } else if ending == Some("toml") && !text.contains('=') {
            let text = crate::test::read_text(path)?;
            let read = toml::from_str(&text);
            Some(read.map_err(|e| crate::text::toml_error(&text, &e).in_place(path.display()))?)
        } else {
            None
        };
        match table {
            Some(table) => all.extend(settings(&table)?),
            None => all.push(text.clone()),
        }
    }
    Ok(all)
}

/// The settings that a table of fields stands for: lists set elements, everything else a field.
///
/// # Errors
/// A value that is neither number nor text.
pub fn settings(table: &Map<String, Value>) -> Result<Vec<String>, Error> {
    let text = |name: &str, value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) => Ok(value.to_string()),
        Value::Bool(is) => Ok(u8::from(*is).to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(Error::new(format!(
            "{name}: `{value}` is neither a number nor text"
        ))),
    };
    let mut settings = Vec::new();
    for (name, value) in table {
        if let Value::Array(items) = value {
            for (index, item) in items.iter().enumerate() {
                settings.push(format!("{name}[{index}]={}", text(name, item)?));
            }
        } else {
            settings.push(format!("{name}={}", text(name, value)?));
        }
    }
    Ok(settings)
}

/// A field by name: of the kernel's structure, else of the program's.
fn place(program: &ProgramSpec, name: &str) -> Option<Place> {
    let rows = ctx::of(program.ty).map_or(&[][..], |table| table.fields);
    if let Some(field) = rows.iter().find(|f| f.name == name && !name.is_empty()) {
        let (off, width, count) = (field.off, field.width, field.count);
        return Some(Place {
            off: off as usize,
            width: width as usize,
            count: count as usize,
        });
    }
    let (btf, members) = parameter(program)?;
    members
        .into_iter()
        .find(|m| m.0 == name)
        .and_then(|m| place_of(btf, m.1, m.2))
}

/// The fields that can be set.
fn names(program: &ProgramSpec) -> Vec<String> {
    let table = ctx::of(program.ty).map_or(&[][..], |table| table.fields);
    let mut names: Vec<String> = table
        .iter()
        .map(|f| f.name.to_owned())
        .filter(|n| !n.is_empty())
        .collect();
    let members = parameter(program).map(|p| p.1).unwrap_or_default();
    for (name, ..) in members {
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Name, offset in bytes and type.
type Member = (String, usize, TypeId);

/// The members of the structure that the program's parameter points to.
fn parameter(program: &ProgramSpec) -> Option<(&Btf, Vec<Member>)> {
    let btf = program.btf.as_deref()?;
    let proto = btf
        .prototype(TypeId(program.func_info.first()?.type_id))
        .ok()?;
    let to = btf.resolve(proto.params.first()?.ty).ok()?.1.as_ptr()?;
    let composite = btf.composite(to).ok()?;
    let members = composite.members.iter().filter(|m| !m.is_bitfield());
    Some((
        btf,
        members
            .map(|m| (m.name().to_owned(), m.offset() as usize, m.ty))
            .collect(),
    ))
}

fn place_of(btf: &Btf, off: usize, ty: TypeId) -> Option<Place> {
    let (element, count) = match btf.resolve(ty).ok()?.1.as_array() {
        // A flexible array ends where the context does.
        Some(array) if array.nelems == 0 => (array.elem, usize::MAX),
        Some(array) => (array.elem, array.nelems as usize),
        None => (ty, 1),
    };
    let width = btf.size_of(element).ok()?;
    matches!(width, 1 | 2 | 4 | 8).then_some(Place {
        off,
        width: width as usize,
        count,
    })
}

/// System call programs get what they are given: as much as is set.
fn syscall_size(program: &ProgramSpec, settings: &[String]) -> usize {
    let ends = settings.iter().filter_map(|text| {
        let place = place(program, Setting::read(text)?.name)?;
        Some(place.off + place.width.saturating_mul(place.count.min(1 << 12)))
    });
    ends.max().unwrap_or(0)
}
