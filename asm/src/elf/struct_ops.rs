//! struct_ops values: variables of a kernel's table of functions, in `.struct_ops` or
//! `.struct_ops.link`, with a reference to a program at each member that one fills.
//!
//! A value comes as the object declares it, its bytes laid out by the object's own struct, or as it was
//! laid out for a kernel; the latter is put back into the object's struct by the names of its members.

use object::SectionKind;
use object::SymbolKind;
use object::write::SectionId;
use skep_btf::{Btf, Composite, Kind, Type, TypeId};
use skep_spec::{MapFlags, MapSpec};

use super::Writer;
use crate::elf_error::ElfError;

/// Sections of values by name, each with the type, offset and size of its variables.
pub(super) type Values = Vec<(String, Vec<(TypeId, u32, u32)>)>;

/// A value in the object.
struct Place {
    section: String,
    /// The struct, in the object's own BTF.
    ty: TypeId,
    size: u32,
    /// Where the object's own BTF puts it, and the size of that section.
    fixed: Option<(u32, u32)>,
}

impl Writer<'_> {
    /// Writes one value; those that the object's BTF does not place are added to `values`.
    pub(super) fn struct_ops(
        &mut self,
        map: &MapSpec,
        values: &mut Values,
    ) -> Result<(), ElfError> {
        let bad = |why| ElfError::Map {
            map: map.name.clone(),
            why,
        };
        let own = self.object.btf.clone();
        let own = own.as_deref().ok_or_else(|| bad(NO_STRUCT))?;
        let is_own = self.btf.is_own(&map.btf);
        let place = place(own, map, is_own).ok_or_else(|| bad(NO_STRUCT))?;
        let ty = own.ty(place.ty).ok().and_then(Type::as_struct);
        let ty = ty.ok_or_else(|| bad(NO_STRUCT))?;
        let bytes = match map.vmlinux_value_id {
            0 => padded(map, place.size),
            id => {
                let kernel = self.kernel_btf.ok_or_else(|| bad(NO_KERNEL))?;
                from_kernel(own, ty, kernel, TypeId(id), map)
            }
        };
        let bytes = bytes.ok_or_else(|| bad("its bytes do not fit its struct"))?;
        let (section, offset) = self.put(&place, &bytes)?;
        let at = (section, offset, place.size.into());
        self.symbol(&map.name, Some(at), SymbolKind::Data, true)?;
        if place.fixed.is_none() {
            let var = self.btf.variable(&map.name, place.ty);
            let row = (var, offset as u32, place.size);
            match values.iter_mut().find(|known| known.0 == place.section) {
                Some(known) => known.1.push(row),
                None => values.push((place.section.clone(), vec![row])),
            }
        }
        for (index, program) in &map.slots {
            let member = ty.members.get(*index as usize);
            let member = member.ok_or_else(|| bad("its struct has no such member"))?;
            let to = offset + u64::from(member.offset());
            self.slots.push((section, to, program.clone()));
        }
        Ok(())
    }

    /// Puts a value's bytes into its section; section and offset.
    fn put(&mut self, place: &Place, bytes: &[u8]) -> Result<(SectionId, u64), ElfError> {
        let is_new = !self.sections.contains_key(&place.section);
        let section = self.section(&place.section, SectionKind::Data)?;
        let Some((offset, whole)) = place.fixed else {
            self.spend(place.size.into())?;
            return Ok((section, self.out.append_section_data(section, bytes, 8)));
        };
        if is_new {
            self.spend(whole.into())?;
            let zeros = vec![0; whole as usize];
            self.out.append_section_data(section, &zeros, 8);
        }
        let from = offset as usize;
        let data = self.out.section_mut(section).data_mut();
        if let Some(to) = data.get_mut(from..from.saturating_add(bytes.len())) {
            to.copy_from_slice(bytes);
        }
        Ok((section, offset.into()))
    }
}

const NO_STRUCT: &str = "give its value a struct: `value struct tcp_congestion_ops`";
const NO_KERNEL: &str = "it was laid out for a kernel whose BTF is needed to write it";

/// Where a value goes: to where the object's own BTF has it, else by what the map says of its value.
fn place(own: &Btf, map: &MapSpec, is_own: bool) -> Option<Place> {
    let sections = own.types().filter_map(|(_, ty)| ty.as_datasec());
    for section in sections.filter(|s| is_struct_ops(s.name())) {
        for entry in section.vars.iter() {
            let var = own.ty(entry.ty).ok().and_then(Type::as_var);
            if let Some(var) = var.filter(|var| var.name() == map.name) {
                let end = |e: skep_btf::VarSecInfo| e.offset.saturating_add(e.size);
                return Some(Place {
                    section: section.name().to_owned(),
                    ty: own.resolve(var.ty).ok()?.0,
                    size: entry.size,
                    fixed: Some((entry.offset, section.vars.iter().map(end).max()?)),
                });
            }
        }
    }
    if !is_own || map.btf_value_id == 0 {
        return None;
    }
    let (ty, _) = own.resolve(TypeId(map.btf_value_id)).ok()?;
    let link = map.flags.contains(MapFlags::LINK);
    Some(Place {
        section: if link {
            ".struct_ops.link"
        } else {
            ".struct_ops"
        }
        .to_owned(),
        ty,
        size: own.size_of(ty).ok()?,
        fixed: None,
    })
}

fn is_struct_ops(section: &str) -> bool {
    let bare = section.strip_prefix('?').unwrap_or(section);
    matches!(bare, ".struct_ops" | ".struct_ops.link")
}

/// The initial bytes, zeros behind them.
fn padded(map: &MapSpec, size: u32) -> Option<Vec<u8>> {
    let mut bytes = map.init.clone().unwrap_or_default();
    if bytes.len() > size as usize || size > LARGEST {
        return None;
    }
    bytes.resize(size as usize, 0);
    Some(bytes)
}

/// The kernel's largest table has a few kilobytes.
const LARGEST: u32 = 1 << 20;

/// The object's struct from a value laid out for a kernel, whose wrapper has the id `wrapper` there.
fn from_kernel(
    own: &Btf,
    ty: Composite<'_>,
    kernel: &Btf,
    wrapper: TypeId,
    map: &MapSpec,
) -> Option<Vec<u8>> {
    let wrapper = kernel.ty(wrapper).ok()?.as_struct()?;
    let name = skep_btf::essential_name(ty.name());
    let table = kernel.find_by_name(Kind::Struct, name)?;
    let start = wrapper.members.iter().find(|m| m.ty == table)?.offset();
    let table = kernel.ty(table).ok()?.as_struct()?;
    let laid = map.init.as_deref().unwrap_or(&[]);
    if ty.size > LARGEST {
        return None;
    }
    let mut bytes = vec![0; ty.size as usize];
    for member in ty.members.iter() {
        let is_same = |m: &skep_btf::Member<'_>| m.name() == member.name();
        let Some(found) = table.members.iter().find(is_same) else {
            continue;
        };
        let size = own.size_of(member.ty).ok()? as usize;
        let from = start.checked_add(found.offset())? as usize;
        let to = member.offset() as usize;
        if let (Some(source), Some(target)) = (
            laid.get(from..from.checked_add(size)?),
            bytes.get_mut(to..to.checked_add(size)?),
        ) {
            target.copy_from_slice(source);
        }
    }
    Some(bytes)
}
