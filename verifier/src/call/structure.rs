//! Structures of the kernel as arguments: by name, and as the first part of a larger one.

use skep_btf::TypeId;
use skep_isa::Reg;

use crate::access::{WalkFault, is_structure};
use crate::env::Env;
use crate::violation::{ArgumentViolation, Check, Stop};

impl Env<'_> {
    /// Bytes of a kernel type that is no structure.
    pub(super) fn size_unless_structure(&self, id: u32) -> Check<Option<u32>> {
        let btf = self.ctx.kernel_types()?;
        let no_size = || ArgumentViolation::VariableSize { id };
        let (resolved, ty) = btf.resolve(TypeId(id)).map_err(|_| no_size())?;
        if ty.as_composite().is_some() {
            return Ok(None);
        }
        match btf.size_of(resolved) {
            Ok(size) => Ok(Some(size)),
            Err(_) => Err(ArgumentViolation::VariableSize { id: resolved.0 }.into()),
        }
    }

    /// A pointer `off` bytes into a structure points to one of the expected type, be it a part of the
    /// larger one.
    pub(super) fn check_structure(
        &self,
        reg: Reg,
        id: u32,
        off: i32,
        expected: u32,
        strict: bool,
    ) -> Check<()> {
        if self.is_structure_at(id, off, expected, strict)? {
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

    /// Whether `off` bytes into a structure of the kernel one of the expected type begins
    /// (`btf_struct_ids_match`). `strict` forbids parts of larger ones.
    pub(super) fn is_structure_at(
        &self,
        id: u32,
        off: i32,
        expected: u32,
        strict: bool,
    ) -> Check<bool> {
        if off == 0 && id == expected {
            return Ok(true);
        }
        let btf = self.ctx.kernel_types()?;
        let start = u32::try_from(off).unwrap_or(u32::MAX);
        match is_structure(btf, TypeId(id), start, TypeId(expected), strict) {
            Ok(is) => Ok(is),
            Err(WalkFault::Refused(_)) => Ok(false),
            Err(WalkFault::EmptyElement | WalkFault::Malformed) => {
                Err(Stop::undecided("kernel types that make no sense"))
            }
        }
    }
}
