//! Whether two types can stand for each other: loosely for fields, less so for whole types.

use super::{CoreError, essential_name, kinds_are_compatible};
use crate::btf::Btf;
use crate::kinds::{Kind, TypeId};
use crate::types::{Int, Type};

/// The longest chain of pointers and arrays that is followed (libbpf's limit).
const MAX_CHAIN: usize = 32;
/// Pairs of types compared; prototypes can share parameters so that there are exponentially many.
const BUDGET: usize = 1 << 16;

/// Whether a field of one type can be read as the other: any two composites, any two pointers,
/// any two integers; enumerations of one name; arrays by their elements.
pub(super) fn fields_are_compatible(
    local: &Btf,
    local_id: TypeId,
    target: &Btf,
    target_id: TypeId,
) -> Result<bool, CoreError> {
    let (mut local_id, mut target_id) = (local_id, target_id);
    for _ in 0..=MAX_CHAIN {
        let (_, a) = local.resolve(local_id)?;
        let (_, b) = target.resolve(target_id)?;
        if a.as_composite().is_some() && b.as_composite().is_some() {
            return Ok(true);
        }
        if !kinds_are_compatible(a.kind(), b.kind()) {
            return Ok(false);
        }
        match (a, b) {
            (Type::Array(a), Type::Array(b)) => (local_id, target_id) = (a.elem, b.elem),
            (Type::Int(a), Type::Int(b)) => return Ok(ints_are_compatible(a, b)),
            _ => {
                return Ok(match a.kind() {
                    Kind::Ptr | Kind::Float => true,
                    Kind::Fwd | Kind::Enum | Kind::Enum64 => {
                        let (a, b) = (essential_name(a.name()), essential_name(b.name()));
                        a.is_empty() || b.is_empty() || a == b
                    }
                    Kind::Void
                    | Kind::Int
                    | Kind::Array
                    | Kind::Struct
                    | Kind::Union
                    | Kind::Typedef
                    | Kind::Volatile
                    | Kind::Const
                    | Kind::Restrict
                    | Kind::Func
                    | Kind::FuncProto
                    | Kind::Var
                    | Kind::DataSec
                    | Kind::DeclTag
                    | Kind::TypeTag => false,
                });
            }
        }
    }
    Err(CoreError::TooDeep)
}

/// Only the deprecated integers that are bit-fields by themselves do not match.
fn ints_are_compatible(a: Int<'_>, b: Int<'_>) -> bool {
    a.offset == 0 && b.offset == 0
}

/// Whether the program's type could be the kernel's: the same kind down to composites, whose
/// insides do not count. The caller has compared the names.
///
/// # Errors
/// Types nested too deep, or bad ids.
pub fn types_are_compatible(
    local: &Btf,
    local_id: TypeId,
    target: &Btf,
    target_id: TypeId,
) -> Result<bool, CoreError> {
    let mut budget = BUDGET;
    compatible(local, local_id, target, target_id, MAX_CHAIN, &mut budget)
}

fn compatible(
    local: &Btf,
    local_id: TypeId,
    target: &Btf,
    target_id: TypeId,
    level: usize,
    budget: &mut usize,
) -> Result<bool, CoreError> {
    // Even typedefs must agree at the root.
    if !kinds_are_compatible(local.ty(local_id)?.kind(), target.ty(target_id)?.kind()) {
        return Ok(false);
    }
    let (mut local_id, mut target_id) = (local_id, target_id);
    for _ in 0..MAX_CHAIN {
        *budget = budget.checked_sub(1).ok_or(CoreError::TooDeep)?;
        let (_, a) = local.resolve(local_id)?;
        let (_, b) = target.resolve(target_id)?;
        if !kinds_are_compatible(a.kind(), b.kind()) {
            return Ok(false);
        }
        match (a, b) {
            (Type::Int(a), Type::Int(b)) => return Ok(ints_are_compatible(a, b)),
            (Type::Ptr(a), Type::Ptr(b)) => (local_id, target_id) = (a, b),
            (Type::Array(a), Type::Array(b)) => (local_id, target_id) = (a.elem, b.elem),
            (Type::FuncProto(a), Type::FuncProto(b)) => {
                if a.params.len() != b.params.len() {
                    return Ok(false);
                }
                for (p, q) in a.params.iter().zip(b.params) {
                    let level = level.checked_sub(1).ok_or(CoreError::TooDeep)?;
                    let p = local.skip_mods_and_typedefs(p.ty)?;
                    let q = target.skip_mods_and_typedefs(q.ty)?;
                    if !compatible(local, p, target, q, level, budget)? {
                        return Ok(false);
                    }
                }
                local_id = local.skip_mods_and_typedefs(a.ret)?;
                target_id = target.skip_mods_and_typedefs(b.ret)?;
            }
            _ => {
                return Ok(matches!(
                    a.kind(),
                    Kind::Void | Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 | Kind::Fwd
                ));
            }
        }
    }
    Err(CoreError::TooDeep)
}
