//! Structures of the kernel as arguments: by name, and as the first part of a larger one.

use skep_btf::{Btf, Kind, TypeId};
use skep_isa::Reg;

use crate::env::Env;
use crate::violation::{ArgumentViolation, Check, Stop};

/// Structures inside structures are followed that deep.
const MAX_NESTING: usize = 64;

impl Env<'_> {
    fn kernel_btf(&self) -> Check<&Btf> {
        match self.ctx.facts.btf() {
            Some(btf) => Ok(btf),
            None => Err(Stop::undecided(
                "structures of a kernel whose types are not known",
            )),
        }
    }

    /// The id of a kernel structure.
    pub(super) fn kernel_structure(&self, name: &str) -> Check<u32> {
        match self.kernel_btf()?.find_by_name(Kind::Struct, name) {
            Some(id) => Ok(id.0),
            None => Err(Stop::undecided(format!(
                "struct {name}, which the kernel lacks"
            ))),
        }
    }

    /// Whether a pointer `off` bytes into a structure points to one of the expected type, be it a
    /// part of the larger one (`btf_struct_ids_match`).
    pub(super) fn check_structure(
        &self,
        reg: Reg,
        id: u32,
        off: i32,
        expected: u32,
        strict: bool,
    ) -> Check<()> {
        if off == 0 && id == expected {
            return Ok(());
        }
        let btf = self.kernel_btf()?;
        if !strict && begins_with(btf, TypeId(id), off, TypeId(expected)) {
            return Ok(());
        }
        let pointer = (*self.state.reg(reg)).into();
        Err(ArgumentViolation::Structure {
            reg,
            pointer,
            expected,
        }
        .into())
    }
}

fn begins_with(btf: &Btf, mut id: TypeId, off: i32, expected: TypeId) -> bool {
    let Ok(mut off) = u32::try_from(off) else {
        return false;
    };
    for _ in 0..MAX_NESTING {
        match part_at(btf, id, off) {
            Some(part) if part == expected => return true,
            Some(part) => (id, off) = (part, 0),
            None => return false,
        }
    }
    false
}

/// The structure that begins exactly there in another one, the largest first.
fn part_at(btf: &Btf, mut id: TypeId, mut off: u32) -> Option<TypeId> {
    for _ in 0..MAX_NESTING {
        let composite = btf.composite(id).ok()?;
        let (start, part) = composite.members.iter().find_map(|member| {
            if member.is_bitfield() || member.offset() > off {
                return None;
            }
            let (mut start, mut ty) = (member.offset(), member.ty);
            let size = btf.size_of(ty).ok()?;
            if off - start >= size {
                return None;
            }
            while let Some(array) = btf.resolve(ty).ok()?.1.as_array() {
                let elem = btf.size_of(array.elem).ok().filter(|&size| size > 0)?;
                start += (off - start) / elem * elem;
                ty = array.elem;
            }
            let (part, resolved) = btf.resolve(ty).ok()?;
            resolved.as_composite().map(|_| (start, part))
        })?;
        if start == off {
            return Some(part);
        }
        (id, off) = (part, off - start);
    }
    None
}
