//! struct_ops: a kernel's table of functions, some of which are programs.
//!
//! The object declares values of the table's struct in `.struct_ops` or `.struct_ops.link`;
//! relocations say which program fills which member. The kernel may have the members elsewhere, so
//! the value is laid out anew for it, and each program attaches to a member's number there.

use crate::code::Code;
use crate::elf::{Elf, Home, MAX_NAME};
use crate::error::Error;
use crate::maps::{MapDef, Place};
use rustc_hash::FxHashMap;
use skep_btf::{Btf, Composite, Kind, Member, Type, TypeId, essential_name};
use skep_spec::{MapFlags, MapSpec, MapType};
use std::collections::BTreeMap;

/// Prefix of the struct that wraps a table in the kernel.
const VALUE_PREFIX: &str = "bpf_struct_ops_";

/// The struct_ops values of an object.
#[derive(Debug, Default)]
pub(crate) struct StructOps {
    pub(crate) maps: Vec<MapDef>,
    /// For each program that fills a member: what it attaches to.
    pub(crate) programs: FxHashMap<usize, Attach>,
    /// Whether the object has any.
    pub(crate) is_declared: bool,
}

/// What a struct_ops program attaches to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attach {
    /// A member (by index) of the struct with this id in the kernel's BTF.
    Member { struct_id: u32, index: u32 },
    /// Not known, for this reason.
    Unknown(String),
}

/// One value as the object declares it.
struct Value<'b> {
    name: &'b str,
    section: usize,
    offset: u64,
    links: bool,
    ty: Composite<'b>,
    data: &'b [u8],
    /// The functions that fill members, by member index.
    fillers: BTreeMap<usize, usize>,
}

impl StructOps {
    /// Finds all values and, with the kernel's types, lays them out.
    pub(crate) fn find<'d>(
        elf: &'d Elf<'d>,
        code: &Code,
        btf: Option<&'d Btf>,
        kernel: Option<&Btf>,
    ) -> Result<StructOps, Error> {
        let mut ops = StructOps::default();
        for (index, section) in elf.sections.iter().enumerate() {
            let bare = section.name.strip_prefix('?').unwrap_or(section.name);
            if !section.has_bits() || !matches!(bare, ".struct_ops" | ".struct_ops.link") {
                continue;
            }
            let fail = |why: &str| Error::damaged(why).in_section(section.name);
            let btf = btf.ok_or_else(|| fail("struct_ops values without BTF"))?;
            ops.is_declared = true;
            let mut values = find_values(elf, index, btf, bare == ".struct_ops.link")?;
            fill(elf, index, code, &mut values)?;
            for value in values {
                ops.add(btf, kernel, code, value)?;
            }
        }
        Ok(ops)
    }

    fn add(
        &mut self,
        btf: &Btf,
        kernel: Option<&Btf>,
        code: &Code,
        value: Value<'_>,
    ) -> Result<(), Error> {
        let mut spec = MapSpec::new(value.name, MapType::StructOps, 4, value.ty.size, 1);
        if value.links {
            spec.flags |= MapFlags::LINK;
        }
        spec.slots = value
            .fillers
            .iter()
            .filter_map(|(i, f)| code.functions.get(*f).map(|f| (*i as u32, f.name.clone())))
            .collect();
        let table = match kernel {
            None => Err(format!("struct_ops type {} of the kernel", value.ty.name())),
            Some(kernel) => KernelTable::find(kernel, essential_name(value.ty.name())),
        };
        match table.and_then(|table| table.lay_out(btf, &value)) {
            Ok(laid) => {
                spec.value_size = laid.size;
                spec.vmlinux_value_id = laid.value_id;
                spec.init = Some(laid.data);
                for (function, attach) in laid.attaches {
                    self.programs.entry(function).or_insert(attach);
                }
            }
            Err(why) => {
                spec.init = Some(value.data.to_vec());
                for function in value.fillers.values() {
                    let unknown = Attach::Unknown(why.clone());
                    self.programs.entry(*function).or_insert(unknown);
                }
            }
        }
        let place = Place::StructOps {
            section: value.section,
            offset: value.offset,
        };
        self.maps.push(MapDef { spec, place });
        Ok(())
    }
}

/// More values, members and references than any object has; keeps hostile ones from taking long.
const MAX_VALUES: usize = 256;
const MAX_MEMBERS: usize = 1024;
const MAX_RELOCS: usize = 1 << 16;

fn find_values<'b>(
    elf: &'b Elf<'b>,
    index: usize,
    btf: &'b Btf,
    links: bool,
) -> Result<Vec<Value<'b>>, Error> {
    let Some(section) = elf.sections.get(index) else {
        return Ok(Vec::new());
    };
    let fail = |why: &str| Error::damaged(why).in_section(section.name);
    let id = btf.find_by_name(Kind::DataSec, section.name);
    let id = id.ok_or_else(|| fail("BTF does not describe the section"))?;
    let datasec = btf
        .ty(id)?
        .as_datasec()
        .ok_or_else(|| fail("BTF has no such section"))?;
    if datasec.vars.len() > MAX_VALUES {
        return Err(fail("too many struct_ops values"));
    }
    let mut values = Vec::new();
    for entry in datasec.vars {
        let var = btf
            .ty(entry.ty)?
            .as_var()
            .ok_or_else(|| fail("not a variable"))?;
        let (_, ty) = btf.resolve(var.ty)?;
        let fail = |why: &str| {
            Error::map(var.name(), why)
                .in_section(section.name)
                .at(u64::from(entry.offset))
        };
        let ty = ty.as_struct().filter(|s| !s.name().is_empty());
        let ty = ty.ok_or_else(|| fail("not a named struct"))?;
        if ty.members.len() > MAX_MEMBERS || var.name().len() > MAX_NAME {
            return Err(fail("too many members, or too long a name"));
        }
        let start = entry.offset as usize;
        let data = section
            .data
            .get(start..start.saturating_add(ty.size as usize));
        values.push(Value {
            name: var.name(),
            section: index,
            offset: u64::from(entry.offset),
            links,
            ty,
            data: data.ok_or_else(|| fail("the value lies outside the section"))?,
            fillers: BTreeMap::new(),
        });
    }
    values.sort_by_key(|v| v.offset);
    Ok(values)
}

/// Notes which programs fill which members.
fn fill(elf: &Elf<'_>, index: usize, code: &Code, values: &mut [Value<'_>]) -> Result<(), Error> {
    let Some(section) = elf.sections.get(index) else {
        return Ok(());
    };
    if section.relocs.len() > MAX_RELOCS {
        return Err(Error::damaged("too many references").in_section(section.name));
    }
    for reloc in &section.relocs {
        let symbol = elf.symbols.get(reloc.symbol);
        let name = symbol.map_or("?", |s| s.name);
        let fail = |why: &str| {
            Error::relocation(name, why)
                .in_section(section.name)
                .at(reloc.offset)
        };
        let function = symbol.and_then(|s| match s.home {
            Home::Section(home) if s.value % 8 == 0 => {
                code.function_at(home, usize::try_from(s.value / 8).ok()?)
            }
            Home::Section(_) | Home::Undefined | Home::Special(_) => None,
        });
        let function = function.ok_or_else(|| fail("not a program"))?;
        let at = values.partition_point(|v| v.offset <= reloc.offset);
        let value = at.checked_sub(1).and_then(|at| values.get_mut(at));
        let value = value.ok_or_else(|| fail("no struct_ops value at this place"))?;
        let bits = (reloc.offset - value.offset).saturating_mul(8);
        let member = value
            .ty
            .members
            .iter()
            .position(|m| u64::from(m.bit_offset) == bits);
        let member = member.ok_or_else(|| fail("no member at this place"))?;
        value.fillers.insert(member, function);
    }
    Ok(())
}

/// The table and its wrapper in the kernel.
struct KernelTable<'k> {
    kernel: &'k Btf,
    id: TypeId,
    ty: Composite<'k>,
    value_id: TypeId,
    value: Composite<'k>,
    /// Where the table lies in the wrapper, in bytes.
    data_off: u32,
}

/// A value laid out for the kernel.
struct Laid {
    size: u32,
    value_id: u32,
    data: Vec<u8>,
    attaches: Vec<(usize, Attach)>,
}

/// The largest wrapper that is laid out; the kernel's largest is a few kilobytes.
const MAX_SIZE: u32 = 1 << 20;

impl<'k> KernelTable<'k> {
    fn find(kernel: &'k Btf, name: &str) -> Result<Self, String> {
        let find = |name: &str| {
            let id = kernel.find_by_name(Kind::Struct, name)?;
            kernel
                .ty(id)
                .ok()
                .and_then(Type::as_struct)
                .map(|ty| (id, ty))
        };
        let missing = || format!("struct_ops type {name}: the kernel has none");
        let (value_id, value) = find(&format!("{VALUE_PREFIX}{name}")).ok_or_else(missing)?;
        let (id, ty) = find(name).ok_or_else(missing)?;
        let member = value
            .members
            .iter()
            .find(|m| m.ty == id)
            .ok_or_else(missing)?;
        if value.size > MAX_SIZE {
            return Err(format!("struct_ops type {name} is too large"));
        }
        Ok(KernelTable {
            kernel,
            id,
            ty,
            value_id,
            value,
            data_off: member.offset(),
        })
    }

    fn lay_out(&self, btf: &Btf, value: &Value<'_>) -> Result<Laid, String> {
        let mut laid = Laid {
            size: self.value.size,
            value_id: self.value_id.0,
            data: vec![0; self.value.size as usize],
            attaches: Vec::new(),
        };
        for (index, member) in value.ty.members.iter().enumerate() {
            let filler = value.fillers.get(&index).copied();
            self.place(btf, value, member, filler, &mut laid)?;
        }
        Ok(laid)
    }

    fn place(
        &self,
        btf: &Btf,
        value: &Value<'_>,
        member: Member<'_>,
        filler: Option<usize>,
        laid: &mut Laid,
    ) -> Result<(), String> {
        let name = member.name();
        let fail = |why: &str| format!("struct_ops member {}.{name}: {why}", value.ty.name());
        let size = btf.size_of(member.ty).map_err(|e| fail(&e.to_string()))? as usize;
        let from = member.offset() as usize;
        let bytes = value.data.get(from..from + size).unwrap_or(&[]);
        let found = self
            .ty
            .members
            .iter()
            .enumerate()
            .find(|(_, m)| m.name() == name);
        let Some((index, target)) = found else {
            if bytes.iter().any(|b| *b != 0) {
                return Err(fail("the kernel has none, and it is set"));
            }
            return Ok(());
        };
        if member.is_bitfield() || target.is_bitfield() {
            return Err(fail("bit-fields are not supported"));
        }
        let ours = btf.resolve(member.ty).map_err(|e| fail(&e.to_string()))?.1;
        let (theirs_id, theirs) = self
            .kernel
            .resolve(target.ty)
            .map_err(|e| fail(&e.to_string()))?;
        if ours.kind() != theirs.kind() {
            return Err(fail("the kernel's has another kind of type"));
        }
        if let Type::Ptr(_) = ours {
            if let Some(function) = filler {
                let attach = Attach::Member {
                    struct_id: self.id.0,
                    index: index as u32,
                };
                laid.attaches.push((function, attach));
            }
            return Ok(());
        }
        if self.kernel.size_of(theirs_id).ok() != Some(size as u32) {
            return Err(fail("the kernel's has another size"));
        }
        let to = (self.data_off + target.offset()) as usize;
        match laid.data.get_mut(to..to + size) {
            Some(out) if bytes.len() == size => out.copy_from_slice(bytes),
            _ => return Err(fail("it lies outside the value")),
        }
        Ok(())
    }
}
