//! The path of a relocation: from a root type through fields and array elements.

use super::compat::fields_are_compatible;
use super::{CoreError, Usage, essential_name, matches, types_are_compatible};
use crate::btf::Btf;
use crate::ext::{CoreRelo, CoreReloKind};
use crate::kinds::TypeId;
use crate::types::Type;

/// The longest path, in steps of the record (libbpf's limit).
const MAX_STEPS: usize = 64;
/// Members visited to match one path; shared anonymous types can have exponentially many.
const BUDGET: usize = 1 << 18;

/// One meaningful step: a named field or an array element. Anonymous types are passed through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// The composite that holds the field, or the type of the element.
    pub(super) ty: TypeId,
    /// Index of the member or element.
    pub(super) idx: u32,
    /// Whether it is a field with a name.
    pub(super) is_field: bool,
}

/// A relocation's path in one BTF.
#[derive(Debug, Clone)]
pub(super) struct Spec {
    pub(super) kind: CoreReloKind,
    pub(super) root: TypeId,
    pub(super) steps: Vec<Step>,
    /// Steps including those through anonymous types.
    raw_len: usize,
    /// Offset of the last step from the root, in bits.
    pub(super) bit_offset: u64,
}

impl Spec {
    fn empty(kind: CoreReloKind, root: TypeId) -> Spec {
        Spec {
            kind,
            root,
            steps: Vec::new(),
            raw_len: 0,
            bit_offset: 0,
        }
    }

    /// Reads the access string of a relocation (`0:1:2`) against the program's types.
    pub(super) fn parse(btf: &Btf, relo: &CoreRelo) -> Result<Spec, CoreError> {
        let text = btf.string(relo.access)?;
        let mut spec = Spec::empty(relo.kind, relo.ty);
        let indexes = parse_indexes(text).ok_or(CoreError::BadAccess)?;
        if indexes.len() > MAX_STEPS {
            return Err(CoreError::TooDeep);
        }
        let (first, rest) = indexes.split_first().ok_or(CoreError::BadAccess)?;
        match relo.kind.usage() {
            Usage::Unknown => Err(CoreError::UnknownKind),
            Usage::Type if text == "0" => Ok(spec),
            Usage::Type => Err(CoreError::BadAccess),
            Usage::EnumValue => {
                let (ty, decoded) = btf.resolve(relo.ty)?;
                let values = decoded.as_enum().ok_or(CoreError::BadAccess)?.values;
                if !rest.is_empty() || *first as usize >= values.len() {
                    return Err(CoreError::BadAccess);
                }
                spec.steps.push(Step {
                    ty,
                    idx: *first,
                    is_field: true,
                });
                Ok(spec)
            }
            Usage::Field => {
                spec.follow(btf, *first, rest)?;
                Ok(spec)
            }
        }
    }

    fn follow(&mut self, btf: &Btf, first: u32, rest: &[u32]) -> Result<(), CoreError> {
        let mut ty = btf.skip_mods_and_typedefs(self.root)?;
        self.steps.push(Step {
            ty,
            idx: first,
            is_field: false,
        });
        self.bit_offset = u64::from(first) * u64::from(btf.size_of(ty)?) * 8;
        for idx in rest {
            let (at, decoded) = btf.resolve(ty)?;
            if let Some(composite) = decoded.as_composite() {
                let member = composite
                    .members
                    .get(*idx as usize)
                    .ok_or(CoreError::BadAccess)?;
                self.bit_offset += u64::from(member.bit_offset);
                if !member.is_called("") {
                    self.steps.push(Step {
                        ty: at,
                        idx: *idx,
                        is_field: true,
                    });
                }
                ty = member.ty;
            } else if let Some(array) = decoded.as_array() {
                let flexible = array.nelems == 0 && is_last_field(btf, self.steps.last());
                if !flexible && *idx >= array.nelems {
                    return Err(CoreError::BadAccess);
                }
                ty = btf.skip_mods_and_typedefs(array.elem)?;
                self.steps.push(Step {
                    ty,
                    idx: *idx,
                    is_field: false,
                });
                self.bit_offset += u64::from(*idx) * u64::from(btf.size_of(ty)?) * 8;
            } else {
                return Err(CoreError::BadAccess);
            }
        }
        Ok(())
    }

    /// The same path in a candidate type of the kernel, or `None` if it has no such path.
    pub(super) fn find_in(
        &self,
        local: &Btf,
        target: &Btf,
        id: TypeId,
    ) -> Result<Option<Spec>, CoreError> {
        match self.kind.usage() {
            Usage::Unknown => Err(CoreError::UnknownKind),
            Usage::Type => {
                let found = if self.kind == CoreReloKind::TypeMatches {
                    matches::types_match(local, self.root, target, id)?
                } else {
                    types_are_compatible(local, self.root, target, id)?
                };
                Ok(found.then(|| Spec::empty(self.kind, id)))
            }
            Usage::EnumValue => self.find_value(local, target, id),
            Usage::Field => self.find_field(local, target, id),
        }
    }

    fn find_value(&self, local: &Btf, target: &Btf, id: TypeId) -> Result<Option<Spec>, CoreError> {
        let wanted = essential_name(self.value_name(local)?);
        let (ty, decoded) = target.resolve(id)?;
        let Some(values) = decoded.as_enum().map(|e| e.values) else {
            return Ok(None);
        };
        let found = values
            .iter()
            .position(|v| essential_name(v.name()) == wanted);
        Ok(found.map(|idx| {
            let mut spec = Spec::empty(self.kind, id);
            spec.steps.push(Step {
                ty,
                idx: idx as u32,
                is_field: true,
            });
            spec
        }))
    }

    fn value_name<'b>(&self, btf: &'b Btf) -> Result<&'b str, CoreError> {
        let step = self.steps.first().ok_or(CoreError::BadAccess)?;
        let values = btf
            .ty(step.ty)?
            .as_enum()
            .ok_or(CoreError::BadAccess)?
            .values;
        Ok(values
            .get(step.idx as usize)
            .ok_or(CoreError::BadAccess)?
            .name())
    }

    fn find_field(&self, local: &Btf, target: &Btf, id: TypeId) -> Result<Option<Spec>, CoreError> {
        let mut spec = Spec::empty(self.kind, id);
        let mut ty = id;
        let mut budget = BUDGET;
        for (i, step) in self.steps.iter().enumerate() {
            let (at, decoded) = target.resolve(ty)?;
            if step.is_field {
                let composite = local
                    .ty(step.ty)?
                    .as_composite()
                    .ok_or(CoreError::BadAccess)?;
                let member = composite.members.get(step.idx as usize);
                let member = member.ok_or(CoreError::BadAccess)?;
                let wanted = Wanted {
                    local,
                    ty: member.ty,
                    name: member.name(),
                };
                match spec.match_member(&wanted, target, at, &mut budget)? {
                    Some(next) => ty = next,
                    None => return Ok(None),
                }
                continue;
            }
            ty = at;
            if i > 0 {
                let Some(array) = decoded.as_array() else {
                    return Ok(None);
                };
                let flexible = array.nelems == 0 && is_last_field(target, spec.steps.last());
                if !flexible && step.idx >= array.nelems {
                    return Ok(None);
                }
                ty = target.skip_mods_and_typedefs(array.elem)?;
            }
            spec.step_raw()?;
            spec.steps.push(Step {
                ty,
                idx: step.idx,
                is_field: false,
            });
            spec.bit_offset += u64::from(step.idx) * u64::from(target.size_of(ty)?) * 8;
        }
        Ok(Some(spec))
    }

    fn step_raw(&mut self) -> Result<(), CoreError> {
        if self.raw_len >= MAX_STEPS {
            return Err(CoreError::TooDeep);
        }
        self.raw_len += 1;
        Ok(())
    }

    /// Looks for a member of the wanted name, in anonymous types too; its type if it is found and
    /// compatible. The recursion is as deep as the path is long.
    fn match_member(
        &mut self,
        wanted: &Wanted<'_>,
        target: &Btf,
        id: TypeId,
        budget: &mut usize,
    ) -> Result<Option<TypeId>, CoreError> {
        let (id, decoded) = target.resolve(id)?;
        let Some(composite) = decoded.as_composite() else {
            return Ok(None);
        };
        for (idx, member) in composite.members.iter().enumerate() {
            *budget = budget.checked_sub(1).ok_or(CoreError::TooDeep)?;
            self.step_raw()?;
            let before = self.bit_offset;
            self.bit_offset += u64::from(member.bit_offset);
            if member.is_called("") {
                if let Some(found) = self.match_member(wanted, target, member.ty, budget)? {
                    return Ok(Some(found));
                }
            } else if member.is_called(wanted.name) {
                if !fields_are_compatible(wanted.local, wanted.ty, target, member.ty)? {
                    return Ok(None);
                }
                self.steps.push(Step {
                    ty: id,
                    idx: idx as u32,
                    is_field: true,
                });
                return Ok(Some(member.ty));
            }
            self.bit_offset = before;
            self.raw_len -= 1;
        }
        Ok(None)
    }
}

/// The field that is looked for.
struct Wanted<'a> {
    local: &'a Btf,
    ty: TypeId,
    name: &'a str,
}

/// Whether the step is the last member of a composite, where an array may be flexible.
fn is_last_field(btf: &Btf, step: Option<&Step>) -> bool {
    let Some(step) = step.filter(|s| s.is_field) else {
        return false;
    };
    let members = btf
        .ty(step.ty)
        .ok()
        .and_then(Type::as_composite)
        .map(|c| c.members.len());
    members == Some(step.idx as usize + 1)
}

/// The numbers of an access string; `None` if it is anything else.
fn parse_indexes(text: &str) -> Option<Vec<u32>> {
    text.split(':')
        .take(MAX_STEPS + 1)
        .map(|part| part.parse::<u32>().ok().filter(|n| *n <= i32::MAX as u32))
        .collect()
}

/// The root and path of a relocation as C writes them.
pub(super) fn subject(btf: &Btf, relo: &CoreRelo) -> String {
    let mut out = btf.type_name(relo.ty);
    let Ok(spec) = Spec::parse(btf, relo) else {
        return format!("{out} ({})", btf.string(relo.access).unwrap_or("?"));
    };
    for (i, step) in spec.steps.iter().enumerate() {
        let Ok(ty) = btf.ty(step.ty) else { break };
        let idx = step.idx as usize;
        if let Some(e) = ty
            .as_enum()
            .filter(|_| relo.kind.usage() == Usage::EnumValue)
        {
            out.push_str("::");
            out.push_str(e.values.get(idx).map_or("?", |v| v.name()));
        } else if step.is_field {
            out.push('.');
            let members = ty.as_composite().map(|c| c.members);
            out.push_str(members.and_then(|m| m.get(idx)).map_or("?", |m| m.name()));
        } else if i > 0 || idx > 0 {
            out.push_str(&format!("[{idx}]"));
        }
    }
    out
}
