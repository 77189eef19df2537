//! Whether a type matches in every detail the program knows (`bpf_core_type_matches`).
//!
//! Names, kinds, sizes and signs must agree; the program's members and values must exist in the
//! kernel's type and match in turn. Behind a pointer only name and kind of composites count.

use super::{CoreError, essential_name};
use crate::btf::Btf;
use crate::kinds::TypeId;
use crate::types::{Composite, Enum, Type};

/// The longest chain and the deepest nesting that are followed (libbpf's limits).
const MAX_CHAIN: usize = 32;
const MAX_LEVEL: usize = 32;
/// Pairs of types and names compared.
const BUDGET: usize = 1 << 18;

/// Whether the program's type matches the kernel's. The caller has compared the names of the roots.
///
/// # Errors
/// Types nested too deep, or bad ids.
pub fn types_match(
    local: &Btf,
    local_id: TypeId,
    target: &Btf,
    target_id: TypeId,
) -> Result<bool, CoreError> {
    Matcher {
        local,
        target,
        budget: BUDGET,
    }
    .types(local_id, target_id, false, MAX_LEVEL)
}

struct Matcher<'a> {
    local: &'a Btf,
    target: &'a Btf,
    budget: usize,
}

fn names_match(local: &str, target: &str) -> bool {
    if target.is_empty() {
        local.is_empty()
    } else {
        essential_name(local) == essential_name(target)
    }
}

impl Matcher<'_> {
    fn spend(&mut self) -> Result<(), CoreError> {
        self.budget = self.budget.checked_sub(1).ok_or(CoreError::TooDeep)?;
        Ok(())
    }

    fn types(
        &mut self,
        local_id: TypeId,
        target_id: TypeId,
        behind_ptr: bool,
        level: usize,
    ) -> Result<bool, CoreError> {
        if level == 0 {
            return Err(CoreError::TooDeep);
        }
        let (mut local_id, mut target_id, mut behind_ptr) = (local_id, target_id, behind_ptr);
        for _ in 0..MAX_CHAIN {
            self.spend()?;
            let (_, a) = self.local.resolve(local_id)?;
            let (_, b) = self.target.resolve(target_id)?;
            if !names_match(a.name(), b.name()) {
                return Ok(false);
            }
            match (a, b) {
                (Type::Void, Type::Void) => return Ok(true),
                (Type::Int(a), Type::Int(b)) => {
                    return Ok(a.size == b.size && a.is_signed() == b.is_signed());
                }
                (Type::Ptr(a), Type::Ptr(b)) => {
                    behind_ptr = true;
                    (local_id, target_id) = (a, b);
                }
                (Type::Array(a), Type::Array(b)) => {
                    if a.nelems != b.nelems {
                        return Ok(false);
                    }
                    (local_id, target_id) = (a.elem, b.elem);
                }
                (Type::Enum(a) | Type::Enum64(a), Type::Enum(b) | Type::Enum64(b)) => {
                    return self.enums(a, b);
                }
                (Type::Fwd(a), Type::Fwd(b)) => return Ok(a.is_union == b.is_union),
                (Type::Fwd(a), Type::Struct(b) | Type::Union(b)) => {
                    return Ok(behind_ptr && a.is_union == b.is_union);
                }
                (Type::Struct(a) | Type::Union(a), Type::Fwd(b)) => {
                    return Ok(behind_ptr && a.is_union == b.is_union);
                }
                (Type::Struct(a) | Type::Union(a), Type::Struct(b) | Type::Union(b)) => {
                    if a.is_union != b.is_union {
                        return Ok(false);
                    }
                    return if behind_ptr {
                        Ok(true)
                    } else {
                        self.composites(a, b, level)
                    };
                }
                (Type::FuncProto(a), Type::FuncProto(b)) => {
                    if a.params.len() != b.params.len() {
                        return Ok(false);
                    }
                    for (p, q) in a.params.iter().zip(b.params) {
                        if !self.types(p.ty, q.ty, behind_ptr, level - 1)? {
                            return Ok(false);
                        }
                    }
                    (local_id, target_id) = (a.ret, b.ret);
                }
                _ => return Ok(false),
            }
        }
        Err(CoreError::TooDeep)
    }

    /// Whether every value of the first is, by name, in the second.
    fn enums(&mut self, a: Enum<'_>, b: Enum<'_>) -> Result<bool, CoreError> {
        if a.size != b.size || a.values.len() > b.values.len() {
            return Ok(false);
        }
        for value in a.values {
            let mut found = false;
            for other in b.values {
                self.spend()?;
                found = names_match(value.name(), other.name());
                if found {
                    break;
                }
            }
            if !found {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether every member of the first has a match in the second.
    fn composites(
        &mut self,
        a: Composite<'_>,
        b: Composite<'_>,
        level: usize,
    ) -> Result<bool, CoreError> {
        if a.members.len() > b.members.len() {
            return Ok(false);
        }
        for member in a.members {
            let mut found = false;
            for other in b.members {
                self.spend()?;
                if names_match(member.name(), other.name()) {
                    found = self.types(member.ty, other.ty, false, level - 1)?;
                }
                if found {
                    break;
                }
            }
            if !found {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
