//! CO-RE: finding, in a kernel's types, what a program was compiled to expect.
//!
//! A relocation names a type of the program and, in it, a field, a value or the type itself. Types
//! of the same name in the kernel are candidates; names may carry a flavour (`task_struct___old`)
//! that does not count. The rules are libbpf's: fields match by name along the path, whatever
//! else has changed around them.

mod compat;
mod matches;
mod spec;
mod value;

use crate::btf::Btf;
use crate::error::Error;
use crate::ext::{CoreRelo, CoreReloKind};
use crate::kinds::{Kind, TypeId};
use rustc_hash::FxHashMap;
use spec::Spec;
use std::fmt;

pub use compat::types_are_compatible;
pub use matches::types_match;

/// What kind of thing a relocation asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// A field along a path.
    Field,
    /// A type.
    Type,
    /// A value of an enumeration.
    EnumValue,
    /// A number that nobody knows.
    Unknown,
}

impl CoreReloKind {
    /// What kind of thing it asks about.
    pub fn usage(self) -> Usage {
        match self {
            CoreReloKind::FieldByteOffset
            | CoreReloKind::FieldByteSize
            | CoreReloKind::FieldExists
            | CoreReloKind::FieldSigned
            | CoreReloKind::FieldLshift
            | CoreReloKind::FieldRshift => Usage::Field,
            CoreReloKind::TypeIdLocal
            | CoreReloKind::TypeIdTarget
            | CoreReloKind::TypeExists
            | CoreReloKind::TypeSize
            | CoreReloKind::TypeMatches => Usage::Type,
            CoreReloKind::EnumValueExists | CoreReloKind::EnumValue => Usage::EnumValue,
            CoreReloKind::Other(_) => Usage::Unknown,
        }
    }
}

/// The answer to a relocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CoreValue {
    /// What the compiler should have written into the instruction.
    pub original: u64,
    /// What belongs there in the target kernel.
    pub new: u64,
    /// Nothing matches: the instruction must never be reached.
    pub poison: bool,
    /// Whether the instruction must hold `original` now; bit-fields and ids may differ.
    pub validate: bool,
    /// Size of the field in the program's type, in bytes, or 0 if it does not matter.
    pub original_size: u32,
    /// Size of the field in the kernel's type, in bytes.
    pub new_size: u32,
    /// The sizes differ in a way that a load or store cannot be adjusted to.
    pub unadjustable: bool,
}

/// Why a relocation has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoreError {
    /// The record contradicts the program's own types.
    BadAccess,
    /// The path is longer than 64 steps, or types nest too deep.
    TooDeep,
    /// The kind is not known.
    UnknownKind,
    /// Types without a name cannot be looked for.
    Anonymous,
    /// Candidates disagree.
    Ambiguous,
    /// A bit-field that no load of at most 8 bytes covers.
    BitField,
    /// The question makes no sense for an array element.
    ArrayElement,
    /// A type without size, a bad id.
    Btf(Error),
}

impl From<Error> for CoreError {
    fn from(error: Error) -> Self {
        CoreError::Btf(error)
    }
}

impl fmt::Display for CoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CoreError::BadAccess => f.write_str("the record does not fit the program's types"),
            CoreError::TooDeep => f.write_str("types are nested too deep"),
            CoreError::UnknownKind => f.write_str("unknown kind of relocation"),
            CoreError::Anonymous => f.write_str("a type without a name cannot be looked for"),
            CoreError::Ambiguous => f.write_str("the kernel's types of that name disagree"),
            CoreError::BitField => f.write_str("no load covers the bit-field"),
            CoreError::ArrayElement => f.write_str("not answerable for an array element"),
            CoreError::Btf(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for CoreError {}

/// Answers the relocations of one object against one kernel.
///
/// Candidates that a relocation of a type ruled out are not asked again for that type.
#[derive(Debug)]
pub struct CoreResolver<'a> {
    local: &'a Btf,
    target: &'a Btf,
    candidates: FxHashMap<TypeId, Vec<TypeId>>,
}

impl<'a> CoreResolver<'a> {
    /// A resolver from a program's types to a kernel's.
    pub fn new(local: &'a Btf, target: &'a Btf) -> Self {
        CoreResolver {
            local,
            target,
            candidates: FxHashMap::default(),
        }
    }

    /// The answer to one relocation.
    ///
    /// # Errors
    /// A record that contradicts the program's types, or candidates that disagree. That nothing
    /// matches is no error: see [`CoreValue::poison`].
    pub fn resolve(&mut self, relo: &CoreRelo) -> Result<CoreValue, CoreError> {
        let local = Spec::parse(self.local, relo)?;
        if let Some(value) = local_answer(relo) {
            return Ok(value);
        }
        if self.local.ty(relo.ty)?.name().is_empty() {
            return Err(CoreError::Anonymous);
        }
        let candidates = match self.candidates.get(&relo.ty) {
            Some(known) => known.clone(),
            None => self.find_candidates(relo.ty)?,
        };
        let mut answer: Option<(CoreValue, u64)> = None;
        let mut matching = Vec::new();
        for id in &candidates {
            let Some(spec) = local.find_in(self.local, self.target, *id)? else {
                continue;
            };
            let value = value::calculate(self.local, &local, Some((self.target, &spec)))?;
            if let Some((first, bit_offset)) = &answer
                && (*bit_offset != spec.bit_offset
                    || first.poison != value.poison
                    || first.new != value.new)
            {
                return Err(CoreError::Ambiguous);
            }
            answer.get_or_insert((value, spec.bit_offset));
            matching.push(*id);
        }
        let kept = if matching.is_empty() {
            candidates
        } else {
            matching
        };
        self.candidates.insert(relo.ty, kept);
        match answer {
            Some((value, _)) => Ok(value),
            None => value::calculate(self.local, &local, None),
        }
    }

    /// The kernel's types with the same name, flavours aside, and kind.
    fn find_candidates(&self, id: TypeId) -> Result<Vec<TypeId>, CoreError> {
        let name = essential_name(self.local.ty(id)?.name());
        let kind = self.local.kind(id).unwrap_or(Kind::Void);
        let mut found = self.target.same_essence(name);
        found.retain(|id| {
            self.target
                .kind(*id)
                .is_some_and(|k| kinds_are_compatible(kind, k))
        });
        Ok(found)
    }
}

/// The answer to a relocation that concerns the program's own types alone.
fn local_answer(relo: &CoreRelo) -> Option<CoreValue> {
    let id = u64::from(relo.ty.0);
    (relo.kind == CoreReloKind::TypeIdLocal).then(|| CoreValue {
        original: id,
        new: id,
        ..CoreValue::default()
    })
}

impl Btf {
    /// The answer to a relocation that needs no kernel, if this is one.
    pub fn core_local(&self, relo: &CoreRelo) -> Option<CoreValue> {
        local_answer(relo)
    }

    /// What a relocation of this BTF asks about, as C would write it: `struct task_struct.pid`.
    pub fn core_subject(&self, relo: &CoreRelo) -> String {
        spec::subject(self, relo)
    }
}

/// The name without its flavour: what stands before the last `___` between other characters.
pub fn essential_name(name: &str) -> &str {
    let bytes = name.as_bytes();
    let is_separator = |at: usize| match bytes.get(at..at + 5) {
        Some([before, b'_', b'_', b'_', after]) => *before != b'_' && *after != b'_',
        _ => false,
    };
    let last = (0..bytes.len().saturating_sub(4))
        .rev()
        .find(|at| is_separator(*at));
    last.and_then(|at| name.get(..=at)).unwrap_or(name)
}

/// Kinds that may stand for each other: the same, or both enumerations.
pub(crate) fn kinds_are_compatible(a: Kind, b: Kind) -> bool {
    let is_enum = |kind| matches!(kind, Kind::Enum | Kind::Enum64);
    a == b || (is_enum(a) && is_enum(b))
}
