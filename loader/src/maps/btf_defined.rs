//! Maps declared in `.maps`: a struct whose members' types spell out the definition.
//!
//! A number is written as a pointer to an array of that length (`__uint`), a type as a pointer to
//! it (`__type`), and a 64-bit number as an enumeration with one value (`__ulong`).

use super::{MAX_MAPS, MapDef, Place};
use crate::code::Code;
use crate::elf::{Elf, Home, MAX_NAME};
use crate::error::{Error, ErrorKind};
use rustc_hash::{FxHashMap, FxHashSet};
use skep_btf::{Btf, Composite, Kind, Member, Type, TypeId, VarLinkage};
use skep_spec::{MapFlags, MapSpec, MapType, Skipped};

const SECTION: &str = ".maps";

/// More members than any definition has; keeps repeated nonsense from taking long.
const MAX_MEMBERS: usize = 64;

/// `LIBBPF_PIN_BY_NAME`.
const PIN_BY_NAME: u32 = 1;

/// The maps declared in `.maps`, by their offsets.
///
/// What loaders refuse and kernels never see is noted in `skipped`.
pub(crate) fn find_btf_maps(
    elf: &Elf<'_>,
    btf: Option<&Btf>,
    skipped: &mut Vec<Skipped>,
) -> Result<Vec<MapDef>, Error> {
    let Some((index, section)) = elf.section(SECTION) else {
        return Ok(Vec::new());
    };
    let no_btf = || match elf.section(".BTF") {
        Some((_, types)) if types.is_compressed() => {
            Error::new(ErrorKind::Compressed).in_section(types.name)
        }
        Some(_) | None => Error::damaged("map definitions without BTF").in_section(SECTION),
    };
    let btf = btf.ok_or_else(no_btf)?;
    let id = btf
        .find_by_name(Kind::DataSec, SECTION)
        .ok_or_else(no_btf)?;
    let datasec = btf.ty(id)?.as_datasec().ok_or_else(no_btf)?;
    if datasec.vars.len() > MAX_MAPS {
        return Err(Error::damaged("too many maps").in_section(SECTION));
    }

    let mut maps = Vec::new();
    for entry in datasec.vars {
        let fail = |name: &str, why: &str| {
            Error::map(name, why)
                .in_section(SECTION)
                .at(u64::from(entry.offset))
        };
        let var = btf
            .ty(entry.ty)?
            .as_var()
            .ok_or_else(|| fail("?", "not a variable"))?;
        if var.name().len() > MAX_NAME {
            return Err(fail("?", "name is too long"));
        }
        // Another object defines it.
        if var.linkage == VarLinkage::Extern {
            continue;
        }
        if u64::from(entry.offset) + u64::from(entry.size) > section.size {
            return Err(fail(var.name(), "definition lies outside the section"));
        }
        if var.linkage != VarLinkage::Global {
            return Err(fail(var.name(), "definition is not global"));
        }
        let def = btf.ty(btf.skip_mods_and_typedefs(var.ty)?)?;
        let def = def
            .as_struct()
            .ok_or_else(|| fail(var.name(), "definition is not a struct"))?;
        let parsed = Definition::parse(btf, var.name(), def, false)
            .map_err(|e| e.in_section(SECTION).at(u64::from(entry.offset)))?;
        if let Some(pinning) = parsed.unknown_pinning {
            skipped.push(Skipped {
                name: var.name().to_string(),
                why: format!("pinning {pinning}, which libbpf refuses"),
            });
        }
        maps.push(MapDef {
            spec: parsed.spec(var.name()),
            place: Place::Declared {
                section: index,
                offset: u64::from(entry.offset),
            },
        });
    }
    Ok(maps)
}

/// A definition as far as it has been read.
#[derive(Default)]
struct Definition {
    ty: Option<MapType>,
    key_size: u32,
    value_size: u32,
    key_id: TypeId,
    value_id: TypeId,
    max_entries: u32,
    flags: u32,
    numa_node: u32,
    extra: u64,
    pinned: bool,
    unknown_pinning: Option<u32>,
    inner: Option<Box<Definition>>,
}

impl Definition {
    fn parse(
        btf: &Btf,
        name: &str,
        def: Composite<'_>,
        is_inner: bool,
    ) -> Result<Definition, Error> {
        let mut out = Definition::default();
        if def.members.len() > MAX_MEMBERS {
            return Err(Error::map(name, "definition has too many members"));
        }
        let last = def.members.len().saturating_sub(1);
        for (i, member) in def.members.iter().enumerate() {
            let fail = |why: String| Error::map(name, why);
            match member.name() {
                "type" => {
                    let number = uint(btf, name, member)?;
                    out.ty = Some(
                        MapType::new(number)
                            .ok_or_else(|| fail(format!("type {number} is not known")))?,
                    );
                }
                "max_entries" => out.max_entries = uint(btf, name, member)?,
                "map_flags" => out.flags = uint(btf, name, member)?,
                "numa_node" => out.numa_node = uint(btf, name, member)?,
                "map_extra" => out.extra = ulong(btf, name, member)?,
                "key_size" => out.set_key_size(name, uint(btf, name, member)?)?,
                "value_size" => out.set_value_size(name, uint(btf, name, member)?)?,
                "key" => {
                    let target = pointee(btf, name, member)?;
                    out.set_key_size(name, btf.size_of(target)?)?;
                    out.key_id = target;
                }
                "value" => {
                    let target = pointee(btf, name, member)?;
                    out.set_value_size(name, btf.size_of(target)?)?;
                    out.value_id = target;
                }
                "pinning" if !is_inner => match uint(btf, name, member)? {
                    0 => {}
                    PIN_BY_NAME => out.pinned = true,
                    other => out.unknown_pinning = Some(other),
                },
                "values" if !is_inner && i == last => out.set_values(btf, name, member)?,
                "values" | "pinning" => {
                    return Err(fail(format!(
                        "member `{}` is not allowed here",
                        member.name()
                    )));
                }
                other => return Err(fail(format!("unknown member `{other}`"))),
            }
        }
        if out.ty.is_none_or(|ty| ty == MapType::Unspec) {
            return Err(Error::map(name, "no type"));
        }
        Ok(out)
    }

    fn set_key_size(&mut self, name: &str, size: u32) -> Result<(), Error> {
        if self.key_size != 0 && self.key_size != size {
            return Err(Error::map(
                name,
                format!("key sizes {} and {size}", self.key_size),
            ));
        }
        self.key_size = size;
        Ok(())
    }

    fn set_value_size(&mut self, name: &str, size: u32) -> Result<(), Error> {
        if self.value_size != 0 && self.value_size != size {
            return Err(Error::map(
                name,
                format!("value sizes {} and {size}", self.value_size),
            ));
        }
        self.value_size = size;
        Ok(())
    }

    /// `__array(values, …)`: the type of inner maps, or of the programs in a program array.
    fn set_values(&mut self, btf: &Btf, name: &str, member: Member<'_>) -> Result<(), Error> {
        let fail = |why: &str| Error::map(name, format!("member `values`: {why}"));
        let of_maps = matches!(self.ty, Some(MapType::ArrayOfMaps | MapType::HashOfMaps));
        if !of_maps && self.ty != Some(MapType::ProgArray) {
            return Err(fail("only for maps of maps and program arrays"));
        }
        self.set_value_size(name, 4)?;
        let array = btf.ty(member.ty)?.as_array().filter(|a| a.nelems == 0);
        let array = array.ok_or_else(|| fail("not an array of no elements"))?;
        let (_, elem) = btf.resolve(array.elem)?;
        let target = elem
            .as_ptr()
            .ok_or_else(|| fail("elements are not pointers"))?;
        let (_, target) = btf.resolve(target)?;
        if !of_maps {
            return match target.as_func_proto() {
                Some(_) => Ok(()),
                None => Err(fail("elements are not functions")),
            };
        }
        let inner = target
            .as_struct()
            .ok_or_else(|| fail("elements are not structs"))?;
        let inner_name = format!("{name}.inner");
        self.inner = Some(Box::new(Definition::parse(btf, &inner_name, inner, true)?));
        Ok(())
    }

    fn spec(self, name: &str) -> MapSpec {
        let ty = self.ty.unwrap_or(MapType::Unspec);
        let mut spec = MapSpec::new(name, ty, self.key_size, self.value_size, self.max_entries);
        spec.flags = MapFlags::from_bits_retain(self.flags);
        spec.extra = self.extra;
        spec.numa_node = self.numa_node;
        spec.btf_key_id = self.key_id.0;
        spec.btf_value_id = self.value_id.0;
        spec.pinned = self.pinned;
        spec.inner = self
            .inner
            .map(|inner| Box::new(inner.spec(&format!("{name}.inner"))));
        spec
    }
}

fn member_error(name: &str, member: Member<'_>, want: &str) -> Error {
    Error::map(name, format!("member `{}` is not {want}", member.name()))
}

/// The number spelt as a pointer to an array.
fn uint(btf: &Btf, name: &str, member: Member<'_>) -> Result<u32, Error> {
    let fail = || member_error(name, member, "a number (`__uint`)");
    let (_, ty) = btf.resolve(member.ty)?;
    let target = ty.as_ptr().ok_or_else(fail)?;
    Ok(btf.ty(target)?.as_array().ok_or_else(fail)?.nelems)
}

/// The number spelt as a pointer to an array, or as an enumeration of one value.
fn ulong(btf: &Btf, name: &str, member: Member<'_>) -> Result<u64, Error> {
    let (_, ty) = btf.resolve(member.ty)?;
    let Some(values) = ty.as_enum().map(|e| e.values) else {
        return uint(btf, name, member).map(u64::from);
    };
    let value = values.first().filter(|_| values.len() == 1);
    value
        .map(|v| v.value)
        .ok_or_else(|| member_error(name, member, "one number (`__ulong`)"))
}

/// The type spelt as a pointer to it.
fn pointee(btf: &Btf, name: &str, member: Member<'_>) -> Result<TypeId, Error> {
    let target = btf.ty(member.ty)?.as_ptr();
    target.ok_or_else(|| member_error(name, member, "a type (`__type`)"))
}

/// More initial values than any object has.
const MAX_SLOTS: usize = 1 << 16;

/// Bytes of a slot in the initialiser of `values`.
const SLOT: u64 = 8;

/// Records which maps or programs the initialisers of maps of maps and program arrays name.
pub(crate) fn fill_slots(
    elf: &Elf<'_>,
    btf: Option<&Btf>,
    code: &Code,
    maps: &mut [MapDef],
) -> Result<(), Error> {
    let (Some((index, section)), Some(btf)) = (elf.section(SECTION), btf) else {
        return Ok(());
    };
    let Some(id) = btf.find_by_name(Kind::DataSec, SECTION) else {
        return Ok(());
    };
    let Some(datasec) = btf.ty(id)?.as_datasec() else {
        return Ok(());
    };
    let mut vars: Vec<_> = datasec.vars.iter().collect();
    vars.sort_by_key(|v| v.offset);
    let names: FxHashSet<String> = maps.iter().map(|m| m.spec.name.clone()).collect();
    let entries: FxHashSet<(&str, Home, u64)> = code
        .functions
        .iter()
        .filter(|f| f.entry)
        .map(|f| {
            (
                f.name.as_str(),
                Home::Section(f.section),
                f.start as u64 * SLOT,
            )
        })
        .collect();
    let places: FxHashMap<Place, usize> =
        maps.iter().enumerate().map(|(i, m)| (m.place, i)).collect();
    if section.relocs.len() > MAX_SLOTS {
        return Err(Error::damaged("too many initial values of maps").in_section(SECTION));
    }
    for reloc in &section.relocs {
        let fail = |symbol: &str, why: &str| {
            Error::relocation(symbol, why)
                .in_section(SECTION)
                .at(reloc.offset)
        };
        let symbol = elf
            .symbols
            .get(reloc.symbol)
            .ok_or_else(|| fail("?", "no such symbol"))?;
        let fail = |why: &str| fail(symbol.name, why);
        let at = vars.partition_point(|v| u64::from(v.offset) <= reloc.offset);
        let var = at.checked_sub(1).and_then(|at| vars.get(at)).filter(|v| {
            reloc.offset.saturating_add(SLOT) <= u64::from(v.offset) + u64::from(v.size)
        });
        let var = var.ok_or_else(|| fail("no map definition at this place"))?;
        let offset = u64::from(var.offset);
        let place = Place::Declared {
            section: index,
            offset,
        };
        let map = places.get(&place).and_then(|i| maps.get_mut(*i));
        let map = map.ok_or_else(|| fail("no map definition at this place"))?;
        if matches!(map.spec.ty, MapType::ArrayOfMaps | MapType::HashOfMaps) {
            if symbol.home != Home::Section(index) || !names.contains(symbol.name) {
                return Err(fail("not a map"));
            }
        } else if map.spec.ty != MapType::ProgArray {
            return Err(fail("this map takes no initial values"));
        } else if !entries.contains(&(symbol.name, symbol.home, symbol.value)) {
            return Err(fail("not a program"));
        }
        let first = values_offset(btf, var.ty)?.ok_or_else(|| fail("map has no `values`"))?;
        let slot = (reloc.offset - offset)
            .checked_sub(u64::from(first))
            .filter(|off| off % SLOT == 0)
            .ok_or_else(|| fail("not a whole slot of `values`"))?;
        map.spec
            .slots
            .push(((slot / SLOT) as u32, symbol.name.to_string()));
    }
    Ok(())
}

/// Offset of the member `values`, in bytes, if the definition ends with one.
fn values_offset(btf: &Btf, var: TypeId) -> Result<Option<u32>, Error> {
    let Type::Var(var) = btf.ty(var)? else {
        return Ok(None);
    };
    let last = btf.composite(var.ty)?.members.last();
    Ok(last.filter(|m| m.name() == "values").map(|m| m.offset()))
}
