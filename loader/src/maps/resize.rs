//! Sections of global data with another size than compiled: an array at the end grows or shrinks.
//!
//! The section's type follows, as in libbpf's `bpf_map__set_value_size`: the last variable must be
//! an array whose elements fill the new size. If it is not, the map loses its types.

use super::{MapDef, Place};
use crate::elf::Elf;
use crate::error::{Error, ErrorKind};
use skep_btf::{Btf, BtfBuilder, Type, TypeId};

/// The largest size of a section; kernels refuse more.
const MAX_SIZE: u32 = 1 << 30;

/// Gives sections of global data new sizes; the types as they are then, if any changed.
pub(crate) fn resize(
    elf: &Elf<'_>,
    btf: Option<&Btf>,
    maps: &mut [MapDef],
    sizes: &[(String, u32)],
) -> Result<Option<Btf>, Error> {
    let mut out = None;
    for (section, size) in sizes {
        let fail = |why: &str| {
            Error::new(ErrorKind::Global {
                name: section.clone(),
                why: why.to_string(),
            })
        };
        let own = |place: Place| matches!(place, Place::Data { section: s } if elf.section_name(s) == section);
        let map = maps.iter_mut().find(|m| own(m.place));
        let map = map.ok_or_else(|| fail("the object has no such section of global data"))?;
        if *size == 0 || *size > MAX_SIZE {
            return Err(fail("a section has 1 byte to 1 GiB"));
        }
        map.spec.value_size = *size;
        if let Some(init) = &mut map.spec.init {
            init.resize(*size as usize, 0);
        }
        let Some(known) = out.as_ref().or(btf) else {
            continue;
        };
        match resize_type(known, TypeId(map.spec.btf_value_id), *size) {
            Some(resized) => out = Some(resized),
            None => (map.spec.btf_key_id, map.spec.btf_value_id) = (0, 0),
        }
    }
    Ok(out)
}

/// The types with the section's last variable, an array, made to fill it.
fn resize_type(btf: &Btf, section: TypeId, size: u32) -> Option<Btf> {
    let datasec = btf.ty(section).ok().and_then(Type::as_datasec)?;
    let mut vars: Vec<_> = datasec.vars.iter().collect();
    let last = vars.last_mut()?;
    let var = btf.ty(last.ty).ok().and_then(Type::as_var)?;
    let (_, ty) = btf.resolve(var.ty).ok()?;
    let array = ty.as_array()?;
    let room = size.checked_sub(last.offset)?;
    let elem = btf.size_of(array.elem).ok().filter(|s| *s != 0)?;
    if room == 0 || !room.is_multiple_of(elem) {
        return None;
    }
    let mut out = BtfBuilder::from_btf(btf);
    let resized = out.array(array.elem, array.index, room / elem);
    out.set_var(last.ty, resized, var.linkage);
    last.size = room;
    out.set_datasec(section, size, &vars);
    Btf::parse(out.to_bytes()).ok()
}
