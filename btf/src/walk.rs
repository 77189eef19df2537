//! Walks from type to type: modifiers, sizes, alignment, members, tags.
//!
//! Types may refer to each other in circles that no C compiler would make; every walk counts its
//! steps and gives up with an error.

use crate::btf::Btf;
use crate::error::{Error, ErrorKind};
use crate::kinds::TypeId;
use crate::types::{Composite, FuncProto, Member, Type};

/// The longest chain of modifiers, typedefs and arrays, and the deepest nesting, that is followed.
/// The kernel stops at the same depth (`MAX_RESOLVE_DEPTH`).
pub const MAX_DEPTH: usize = 32;

/// Bytes of a pointer: BPF is a 64-bit machine, and so are the kernels it runs in.
const PTR_SIZE: u32 = 8;

/// A member found by name or offset, possibly inside anonymous structs and unions.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    /// The member.
    pub member: Member<'a>,
    /// The composite type that declares it.
    pub parent: TypeId,
    /// Its index there.
    pub index: usize,
    /// Offset from the start of the outermost composite, in bits.
    pub bit_offset: u64,
}

impl Btf {
    fn too_deep(id: TypeId) -> Error {
        Error::new(ErrorKind::TooDeep).in_type(id)
    }

    /// The type behind any number of `const`, `volatile`, `restrict` and type tags.
    ///
    /// # Errors
    /// A bad id, or a chain longer than [`MAX_DEPTH`].
    pub fn skip_mods(&self, id: TypeId) -> Result<TypeId, Error> {
        self.skip(id, |ty| ty.modified())
    }

    /// The type behind any number of modifiers, type tags and typedefs.
    ///
    /// # Errors
    /// A bad id, or a chain longer than [`MAX_DEPTH`].
    pub fn skip_mods_and_typedefs(&self, id: TypeId) -> Result<TypeId, Error> {
        self.skip(id, |ty| {
            if let Type::Typedef(def) = ty {
                Some(def.ty)
            } else {
                ty.modified()
            }
        })
    }

    fn skip(
        &self,
        id: TypeId,
        step: impl Fn(&Type<'_>) -> Option<TypeId>,
    ) -> Result<TypeId, Error> {
        let mut at = id;
        for _ in 0..=MAX_DEPTH {
            match step(&self.ty(at)?) {
                Some(next) => at = next,
                None => return Ok(at),
            }
        }
        Err(Self::too_deep(id))
    }

    /// The type with modifiers and typedefs skipped, decoded, and its id.
    ///
    /// # Errors
    /// As [`Btf::skip_mods_and_typedefs`].
    pub fn resolve(&self, id: TypeId) -> Result<(TypeId, Type<'_>), Error> {
        let id = self.skip_mods_and_typedefs(id)?;
        Ok((id, self.ty(id)?))
    }

    /// Size of a value of the type, in bytes.
    ///
    /// # Errors
    /// A type without size (`void`, a function, a forward declaration), a size beyond 4 GiB, or
    /// nesting deeper than [`MAX_DEPTH`].
    pub fn size_of(&self, id: TypeId) -> Result<u32, Error> {
        let mut at = id;
        let mut count: u64 = 1;
        for _ in 0..=MAX_DEPTH {
            let size = match self.ty(at)? {
                Type::Int(t) => t.size,
                Type::Ptr(_) => PTR_SIZE,
                Type::Struct(t) | Type::Union(t) => t.size,
                Type::Enum(t) | Type::Enum64(t) => t.size,
                Type::Float(t) => t.size,
                Type::DataSec(t) => t.size,
                Type::Array(t) => {
                    // An empty dimension makes the whole empty, but its element must have a size.
                    count = count.saturating_mul(u64::from(t.nelems));
                    at = t.elem;
                    continue;
                }
                Type::Typedef(t) | Type::TypeTag(t) => {
                    at = t.ty;
                    continue;
                }
                Type::Const(ty) | Type::Volatile(ty) | Type::Restrict(ty) => {
                    at = ty;
                    continue;
                }
                Type::Var(t) => {
                    at = t.ty;
                    continue;
                }
                Type::Void
                | Type::Fwd(_)
                | Type::Func(_)
                | Type::FuncProto(_)
                | Type::DeclTag(_) => return Err(Error::new(ErrorKind::NoSize).in_type(at)),
            };
            return u32::try_from(count.saturating_mul(u64::from(size)))
                .map_err(|_| Error::new(ErrorKind::SizeOverflow).in_type(id));
        }
        Err(Self::too_deep(id))
    }

    /// Natural alignment of the type, in bytes; 1 for packed composites.
    ///
    /// # Errors
    /// As [`Btf::size_of`].
    pub fn align_of(&self, id: TypeId) -> Result<u32, Error> {
        let mut budget = MEMBER_BUDGET;
        self.align_within(id, MAX_DEPTH, &mut budget)
    }

    fn align_within(&self, id: TypeId, depth: usize, budget: &mut usize) -> Result<u32, Error> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(Self::too_deep(id));
        };
        let mut at = self.skip_mods_and_typedefs(id)?;
        for _ in 0..=MAX_DEPTH {
            let Type::Array(array) = self.ty(at)? else {
                break;
            };
            at = self.skip_mods_and_typedefs(array.elem)?;
        }
        match self.ty(at)?.as_composite() {
            None => Ok(self.size_of(at)?.clamp(1, PTR_SIZE)),
            Some(composite) => {
                let mut align = 1;
                for member in composite.members {
                    let Some(left) = budget.checked_sub(1) else {
                        return Err(Self::too_deep(id));
                    };
                    *budget = left;
                    let own = self.align_within(member.ty, depth, budget)?;
                    if !member.is_bitfield()
                        && u64::from(member.bit_offset) % (u64::from(own) * 8) != 0
                    {
                        return Ok(1);
                    }
                    align = align.max(own);
                }
                Ok(if composite.size % align == 0 {
                    align
                } else {
                    1
                })
            }
        }
    }

    /// The composite behind modifiers and typedefs.
    ///
    /// # Errors
    /// As [`Btf::skip_mods_and_typedefs`], or a type that is not a struct or union.
    pub fn composite(&self, id: TypeId) -> Result<Composite<'_>, Error> {
        let (at, ty) = self.resolve(id)?;
        ty.as_composite()
            .ok_or_else(|| Error::new(ErrorKind::WrongKind("a struct or union")).in_type(at))
    }

    /// The prototype of a function, of a prototype, or of a pointer to one.
    ///
    /// # Errors
    /// As [`Btf::skip_mods_and_typedefs`], or a type that is none of these.
    pub fn prototype(&self, id: TypeId) -> Result<FuncProto<'_>, Error> {
        let (mut at, mut ty) = self.resolve(id)?;
        if let Type::Ptr(target) = ty {
            (at, ty) = self.resolve(target)?;
        }
        if let Type::Func(func) = ty {
            (at, ty) = self.resolve(func.proto)?;
        }
        ty.as_func_proto()
            .ok_or_else(|| Error::new(ErrorKind::WrongKind("a function prototype")).in_type(at))
    }

    /// The member of this name, looked up also in anonymous structs and unions.
    ///
    /// # Errors
    /// As [`Btf::composite`], or nesting deeper than [`MAX_DEPTH`].
    pub fn member(&self, id: TypeId, name: &str) -> Result<Option<Field<'_>>, Error> {
        let mut budget = MEMBER_BUDGET;
        self.member_within(id, name, 0, MAX_DEPTH, &mut budget)
    }

    fn member_within(
        &self,
        id: TypeId,
        name: &str,
        base: u64,
        depth: usize,
        budget: &mut usize,
    ) -> Result<Option<Field<'_>>, Error> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(Self::too_deep(id));
        };
        let (parent, ty) = self.resolve(id)?;
        let Some(composite) = ty.as_composite() else {
            return Err(Error::new(ErrorKind::WrongKind("a struct or union")).in_type(parent));
        };
        for (index, member) in composite.members.iter().enumerate() {
            let Some(left) = budget.checked_sub(1) else {
                return Err(Self::too_deep(id));
            };
            *budget = left;
            let bit_offset = base + u64::from(member.bit_offset);
            let anonymous = member.is_called("");
            if !anonymous && member.is_called(name) {
                return Ok(Some(Field {
                    member,
                    parent,
                    index,
                    bit_offset,
                }));
            }
            if anonymous
                && let (inner, Type::Struct(_) | Type::Union(_)) = self.resolve(member.ty)?
                && let Some(found) = self.member_within(inner, name, bit_offset, depth, budget)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The type tags directly behind a pointer (`__user`, `__kptr`, …), outermost first; empty
    /// for other types.
    pub fn pointer_tags(&self, id: TypeId) -> impl Iterator<Item = &str> {
        let target = self.ty(id).ok().and_then(Type::as_ptr);
        let mut at = target.unwrap_or(TypeId::VOID);
        let mut left = MAX_DEPTH;
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let Ok(Type::TypeTag(tag)) = self.ty(at) else {
                return None;
            };
            at = tag.ty;
            Some(tag.name())
        })
    }
}

/// Members visited by one lookup. Anonymous types can share their parts so that a small blob has
/// exponentially many paths; the largest struct of a kernel has a few hundred members.
const MEMBER_BUDGET: usize = 1 << 18;
