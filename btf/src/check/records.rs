//! Rules that one type's record must obey by itself.

use super::refused;
use crate::btf::Btf;
use crate::error::Error;
use crate::kinds::{Kind, TypeId, VarLinkage};
use crate::types::{Composite, DataSec, Enum, Int, Type};

/// The largest type id, by the kernel's definition.
const MAX_ID: u32 = 0x000f_ffff;
/// Bits of a type's info word that mean something.
const INFO_MASK: u32 = 0x9f00_ffff;
/// Bits of an integer's data word that mean something.
const INT_MASK: u32 = 0x0fff_ffff;
/// The widest integer, in bits.
const MAX_INT_BITS: u32 = 128;
/// `KSYM_NAME_LEN`: the longest name, in bytes.
const NAME_LEN: usize = 512;

pub(super) fn check(btf: &Btf) -> Result<(), Error> {
    if btf.end() > MAX_ID {
        return Err(refused(TypeId(btf.end()), "Too many types"));
    }
    for (id, ty) in btf.types() {
        let Some((_, at)) = btf.locate(id) else {
            continue;
        };
        let record = Record {
            info: btf.word(at + 4),
            word: btf.word(at + 8),
            extra: btf.word(at + 12),
            name: btf.word(at),
        };
        check_one(ty, &record).map_err(|rule| refused(id, rule))?;
    }
    Ok(())
}

/// The parts of a record that views do not show.
struct Record {
    info: u32,
    word: u32,
    extra: u32,
    name: u32,
}

impl Record {
    fn has_list(&self) -> bool {
        self.info & 0xffff != 0
    }

    fn has_flag(&self) -> bool {
        self.info >> 31 != 0
    }

    /// No list and no flag, as most kinds want it.
    fn plain(&self) -> Result<(), &'static str> {
        if self.has_list() {
            return Err("vlen != 0");
        }
        self.no_flag()
    }

    fn no_flag(&self) -> Result<(), &'static str> {
        if self.has_flag() {
            Err("Invalid btf_info kind_flag")
        } else {
            Ok(())
        }
    }

    fn nameless(&self) -> Result<(), &'static str> {
        if self.name != 0 {
            Err("Invalid name")
        } else {
            Ok(())
        }
    }

    /// A name is absent or an identifier.
    fn maybe_named(&self, name: &str) -> Result<(), &'static str> {
        if self.name == 0 { Ok(()) } else { named(name) }
    }
}

fn check_one(ty: Type<'_>, r: &Record) -> Result<(), &'static str> {
    if r.info & !INFO_MASK != 0 {
        return Err("Invalid btf_info");
    }
    match ty {
        Type::Void => Ok(()),
        Type::Int(int) => r.plain().and_then(|()| check_int(int, r.extra)),
        Type::Ptr(_) | Type::Volatile(_) | Type::Const(_) | Type::Restrict(_) => {
            r.plain().and_then(|()| r.nameless())
        }
        Type::Typedef(def) => r.plain().and_then(|()| named(def.name())),
        Type::TypeTag(tag) if tag.name().is_empty() => Err("Invalid name"),
        // The flag marks a compiler attribute since 6.14.
        Type::TypeTag(_) if r.has_list() => Err("vlen != 0"),
        Type::TypeTag(_) => Ok(()),
        Type::Fwd(_) if r.has_list() => Err("vlen != 0"),
        Type::Fwd(_) if r.word != 0 => Err("type != 0"),
        Type::Fwd(fwd) => named(fwd.name()),
        Type::Array(array) => {
            r.nameless()?;
            r.plain()?;
            if r.word != 0 {
                return Err("size != 0");
            }
            if array.elem.is_void() {
                return Err("Invalid elem");
            }
            if array.index.is_void() {
                Err("Invalid index")
            } else {
                Ok(())
            }
        }
        Type::Struct(c) | Type::Union(c) => r.maybe_named(c.name()).and_then(|()| check_members(c)),
        Type::Enum(e) | Type::Enum64(e) => r.maybe_named(e.name()).and_then(|()| check_values(e)),
        Type::FuncProto(_) => r.nameless().and_then(|()| r.no_flag()),
        Type::Func(func) => {
            named(func.name())?;
            if func.linkage.raw() > 1 {
                return Err("Invalid func linkage");
            }
            r.no_flag()
        }
        Type::Var(var) => {
            r.plain()?;
            named(var.name())?;
            if var.ty.is_void() {
                return Err("Invalid type_id");
            }
            match var.linkage {
                VarLinkage::Static | VarLinkage::Global => Ok(()),
                VarLinkage::Extern | VarLinkage::Other(_) => Err("Linkage not supported"),
            }
        }
        Type::DataSec(section) => check_section(section, r),
        Type::Float(float) => {
            r.plain()?;
            if matches!(float.size, 2 | 4 | 8 | 12 | 16) {
                Ok(())
            } else {
                Err("Invalid type_size")
            }
        }
        Type::DeclTag(tag) => {
            if tag.name().is_empty() {
                return Err("Invalid value");
            }
            if r.has_list() {
                return Err("vlen != 0");
            }
            let component = tag.component.unwrap_or(0);
            if component > i32::MAX as u32 {
                Err("Invalid component_idx")
            } else {
                Ok(())
            }
        }
    }
}

/// Letters, digits, underscores and dots, not beginning with a digit.
pub(super) fn named(name: &str) -> Result<(), &'static str> {
    let ok = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
    let first = name
        .bytes()
        .next()
        .is_some_and(|b| ok(b) && !b.is_ascii_digit());
    let valid = first && name.len() <= NAME_LEN && name.bytes().all(ok);
    if valid { Ok(()) } else { Err("Invalid name") }
}

fn check_int(int: Int<'_>, data: u32) -> Result<(), &'static str> {
    if data & !INT_MASK != 0 {
        return Err("Invalid int_data");
    }
    let bits = u32::from(int.bits) + u32::from(int.offset);
    if bits > MAX_INT_BITS {
        return Err("nr_bits exceeds 128");
    }
    if bits.div_ceil(8) > int.size {
        return Err("nr_bits exceeds type_size");
    }
    if matches!(int.encoding.0, 0 | 1 | 2 | 4) {
        Ok(())
    } else {
        Err("Unsupported encoding")
    }
}

fn check_members(c: Composite<'_>) -> Result<(), &'static str> {
    let mut last = 0;
    for member in c.members {
        if !member.name().is_empty() {
            named(member.name())?;
        }
        if member.ty.is_void() {
            return Err("Invalid type_id");
        }
        // Members ascend; in a union all are at the start.
        if member.bit_offset < last || (c.is_union && member.bit_offset != 0) {
            return Err("Invalid member bits_offset");
        }
        if member.bit_offset.div_ceil(8) > c.size {
            return Err("Member bits_offset exceeds its struct size");
        }
        last = member.bit_offset;
    }
    Ok(())
}

fn check_values(e: Enum<'_>) -> Result<(), &'static str> {
    if e.size > 8 || !e.size.is_power_of_two() {
        return Err("Unexpected size");
    }
    e.values.iter().try_for_each(|v| named(v.name()))
}

fn check_section(section: DataSec<'_>, r: &Record) -> Result<(), &'static str> {
    if section.size == 0 {
        return Err("size == 0");
    }
    r.no_flag()?;
    let name = section.name();
    let printable = name.bytes().all(|b| (0x20..0x7f).contains(&b));
    if name.is_empty() || name.len() > NAME_LEN || !printable {
        return Err("Invalid name");
    }
    let mut end = 0;
    for var in section.vars {
        if var.ty.is_void() {
            return Err("Invalid type_id");
        }
        if u64::from(var.offset) < end || var.offset >= section.size {
            return Err("Invalid offset");
        }
        if var.size == 0 || var.size > section.size {
            return Err("Invalid size");
        }
        end = u64::from(var.offset) + u64::from(var.size);
        if end > u64::from(section.size) {
            return Err("Invalid offset+size");
        }
    }
    Ok(())
}

/// Whether a type may only be referred from (never to): variables, sections, declaration tags.
pub(super) fn is_source_only(kind: Kind) -> bool {
    matches!(kind, Kind::Var | Kind::DataSec | Kind::DeclTag)
}
