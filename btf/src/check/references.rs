//! Rules between types: what may refer to what, sizes, circles, the order of type tags.

use super::records::is_source_only;
use super::refused;
use crate::btf::Btf;
use crate::error::{Error, ErrorKind};
use crate::kinds::{Kind, TypeId};
use crate::types::{Array, Composite, DataSec, DeclTag, FuncProto, Int, Member, Type};
use crate::walk::MAX_DEPTH;

pub(super) fn check(btf: &Btf) -> Result<(), Error> {
    find_circle(btf, by_value)?;
    find_circle(btf, by_pointer)?;
    for (id, ty) in btf.types() {
        let checker = Checker { btf, id };
        match ty {
            Type::Typedef(def) => checker.target(def.ty)?,
            Type::TypeTag(tag) => checker.target(tag.ty)?,
            Type::Ptr(to) | Type::Const(to) | Type::Volatile(to) | Type::Restrict(to) => {
                checker.target(to)?;
            }
            Type::Var(var) => {
                if checker.is_source_only(var.ty) || checker.sized(var.ty).is_none() {
                    return Err(checker.fail("Invalid type_id"));
                }
            }
            Type::Array(array) => checker.array(array)?,
            Type::Struct(c) | Type::Union(c) => checker.members(c)?,
            Type::DataSec(section) => checker.section(section)?,
            Type::DeclTag(tag) => checker.decl_tag(tag)?,
            Type::FuncProto(proto) => checker.proto(proto)?,
            Type::Func(func) => checker.func(func.proto)?,
            Type::Void
            | Type::Int(_)
            | Type::Enum(_)
            | Type::Enum64(_)
            | Type::Fwd(_)
            | Type::Float(_) => {}
        }
    }
    check_tags(btf)
}

struct Checker<'a> {
    btf: &'a Btf,
    id: TypeId,
}

impl<'a> Checker<'a> {
    fn fail(&self, rule: &'static str) -> Error {
        refused(self.id, rule)
    }

    fn fail_arg(&self, arg: usize) -> Error {
        Error::new(ErrorKind::RefusedArg(arg)).in_type(self.id)
    }

    fn is_source_only(&self, id: TypeId) -> bool {
        self.btf.kind(id).is_none_or(is_source_only)
    }

    /// The type behind modifiers if it has a size, and the size.
    fn sized(&self, id: TypeId) -> Option<(Type<'a>, u32)> {
        let (id, ty) = self.btf.resolve(id).ok()?;
        let size = self.btf.size_of(id).ok()?;
        Some((ty, size))
    }

    /// What pointers and modifiers may refer to: anything with a size, `void`, forward
    /// declarations and prototypes.
    fn target(&self, id: TypeId) -> Result<(), Error> {
        let unsized_ok = || {
            let kind = self.btf.resolve(id).map(|r| r.1.kind());
            matches!(kind, Ok(Kind::Void | Kind::Fwd | Kind::FuncProto))
        };
        if self.is_source_only(id) || (self.sized(id).is_none() && !unsized_ok()) {
            return Err(self.fail("Invalid type_id"));
        }
        Ok(())
    }

    fn array(&self, array: Array) -> Result<(), Error> {
        let index = self.sized(array.index).and_then(|(ty, _)| ty.as_int());
        if self.is_source_only(array.index) || !index.is_some_and(is_regular) {
            return Err(self.fail("Invalid index"));
        }
        let elem = self
            .sized(array.elem)
            .filter(|_| !self.is_source_only(array.elem));
        let (elem, size) = elem.ok_or_else(|| self.fail("Invalid elem"))?;
        if elem.as_int().is_some_and(|int| !is_regular(int)) {
            return Err(self.fail("Invalid array of int"));
        }
        match size.checked_mul(array.nelems) {
            Some(_) => Ok(()),
            None => Err(self.fail("Array size overflows U32_MAX")),
        }
    }

    fn members(&self, c: Composite<'a>) -> Result<(), Error> {
        for member in c.members {
            let found = self
                .sized(member.ty)
                .filter(|_| !self.is_source_only(member.ty));
            let (ty, size) = found.ok_or_else(|| self.fail("Invalid member"))?;
            let is_flagged = c.members.is_flagged();
            check_member(c.size, member, ty, size, is_flagged).map_err(|rule| self.fail(rule))?;
        }
        Ok(())
    }

    fn section(&self, section: DataSec<'a>) -> Result<(), Error> {
        for entry in section.vars {
            let var = self.btf.ty(entry.ty)?.as_var();
            let var = var.ok_or_else(|| self.fail("Not a VAR kind member"))?;
            let (_, size) = self
                .sized(var.ty)
                .ok_or_else(|| self.fail("Invalid type"))?;
            if entry.size < size {
                return Err(self.fail("Invalid size"));
            }
        }
        Ok(())
    }

    fn decl_tag(&self, tag: DeclTag<'a>) -> Result<(), Error> {
        let target = self.btf.ty(tag.ty)?;
        let components = if let Some(composite) = target.as_composite() {
            composite.members.len()
        } else if let Some(func) = target.as_func() {
            let proto = self.btf.ty(func.proto)?.as_func_proto();
            proto.map_or(0, |p| p.params.len())
        } else if matches!(target.kind(), Kind::Var | Kind::Typedef) {
            0
        } else {
            return Err(self.fail("Invalid type_id"));
        };
        match tag.component {
            Some(index) if index as usize >= components => Err(self.fail("Invalid component_idx")),
            Some(_) | None => Ok(()),
        }
    }

    fn proto(&self, proto: FuncProto<'a>) -> Result<(), Error> {
        let bad = |id| self.is_source_only(id) || self.sized(id).is_none();
        if !proto.ret.is_void() && bad(proto.ret) {
            return Err(self.fail("Invalid return type"));
        }
        let last = proto.params.len();
        for (i, param) in proto.params.iter().enumerate() {
            let number = i + 1;
            let is_rest = param.ty.is_void() && number == last;
            let valid = if is_rest {
                param.name().is_empty()
            } else {
                !bad(param.ty) && (param.name().is_empty() || is_identifier(param.name()))
            };
            if !valid {
                return Err(self.fail_arg(number));
            }
        }
        Ok(())
    }

    /// A function's parameters must have names; a prototype's by itself need not.
    fn func(&self, proto: TypeId) -> Result<(), Error> {
        let proto = self.btf.ty(proto)?.as_func_proto();
        let proto = proto.ok_or_else(|| self.fail("Invalid type_id"))?;
        let nameless = |p: crate::types::Param<'_>| p.name().is_empty() && !p.ty.is_void();
        match proto.params.iter().position(nameless) {
            Some(i) => Err(self.fail_arg(i + 1)),
            None => Ok(()),
        }
    }
}

fn is_identifier(name: &str) -> bool {
    super::records::named(name).is_ok()
}

/// An integer that is no bit-field by itself and of a width that machines have.
fn is_regular(int: Int<'_>) -> bool {
    int.offset == 0 && matches!(int.bits, 8 | 16 | 32 | 64 | 128)
}

/// Bits that can be copied at once.
const MAX_COPY_BITS: u64 = 128;

/// Whether a member lies within its composite and is aligned as its kind wants.
fn check_member(
    whole: u32,
    member: Member<'_>,
    ty: Type<'_>,
    size: u32,
    is_flagged: bool,
) -> Result<(), &'static str> {
    let whole = u64::from(whole) * 8;
    let offset = u64::from(member.bit_offset);
    let within = |bits: u64| {
        if offset + bits > whole {
            Err("Member exceeds struct_size")
        } else {
            Ok(())
        }
    };
    if let Some(int) = ty.as_int() {
        return check_int_member(int, member, is_flagged).and_then(|bits| {
            let start = (offset + u64::from(int.offset) * u64::from(!is_flagged)) / 8 * 8;
            if start + bits.div_ceil(8) * 8 > whole {
                Err("Member exceeds struct_size")
            } else {
                Ok(())
            }
        });
    }
    let is_enum = ty.as_enum().is_some();
    if is_enum && is_flagged && member.is_bitfield() {
        let bits = u64::from(member.bitfield_size);
        return if bits > 32 {
            Err("Invalid member bitfield_size")
        } else {
            within(bits)
        };
    }
    if member.is_bitfield() {
        // Only integers and enumerations can be bit-fields.
        return Err("Invalid member bitfield_size");
    }
    if let Type::Float(float) = ty {
        let align = u64::from(float.size.clamp(1, 8)) * 8;
        if offset % align != 0 {
            return Err("Member is not properly aligned");
        }
    }
    if offset % 8 != 0 {
        return Err("Member is not byte aligned");
    }
    // A flagged enumeration counts as 32 bits whatever its size.
    within(if is_enum && is_flagged {
        32
    } else {
        u64::from(size) * 8
    })
}

/// The bits to be copied for an integer member, from the byte in which it begins.
fn check_int_member(
    int: Int<'_>,
    member: Member<'_>,
    is_flagged: bool,
) -> Result<u64, &'static str> {
    let offset = u64::from(member.bit_offset);
    let mut bits = u64::from(int.bits);
    let mut start = offset;
    if is_flagged {
        if !is_regular(int) {
            return Err("Invalid member base type");
        }
        if !member.is_bitfield() {
            if offset % 8 != 0 {
                return Err("Invalid member offset");
            }
        } else if u64::from(member.bitfield_size) > bits {
            return Err("Invalid member bitfield_size");
        } else {
            bits = u64::from(member.bitfield_size);
        }
    } else {
        start += u64::from(int.offset);
    }
    let copied = bits + start % 8;
    if copied > MAX_COPY_BITS {
        Err("nr_copy_bits exceeds 128")
    } else {
        Ok(copied)
    }
}

/// What a type contains by value.
fn by_value(ty: Type<'_>, push: &mut dyn FnMut(TypeId)) {
    if let Some(to) = ty.modified() {
        push(to);
    } else if let Type::Typedef(def) = ty {
        push(def.ty);
    } else if let Type::Array(array) = ty {
        push(array.elem);
        push(array.index);
    } else if let Some(composite) = ty.as_composite() {
        composite.members.iter().for_each(|m| push(m.ty));
    }
}

/// What a pointer or modifier leads to without passing through anything with contents.
fn by_pointer(ty: Type<'_>, push: &mut dyn FnMut(TypeId)) {
    if let Some(to) = ty.modified().or(ty.as_ptr()) {
        push(to);
    } else if let Type::Typedef(def) = ty {
        push(def.ty);
    }
}

/// Looks for types that lead back to themselves along `edges`.
fn find_circle(btf: &Btf, edges: fn(Type<'_>, &mut dyn FnMut(TypeId))) -> Result<(), Error> {
    const NEW: u8 = 0;
    const OPEN: u8 = 1;
    const DONE: u8 = 2;
    let start = btf.start();
    let mut state = vec![NEW; btf.ids().len()];
    let mut stack: Vec<(TypeId, bool)> = Vec::new();
    let index = |id: TypeId| id.0.checked_sub(start).map(|i| i as usize);
    for root in btf.ids() {
        stack.push((root, false));
        while let Some((id, leaving)) = stack.pop() {
            let Some(slot) = index(id).and_then(|i| state.get_mut(i)) else {
                continue;
            };
            if leaving {
                *slot = DONE;
                continue;
            }
            match *slot {
                DONE => continue,
                OPEN => return Err(refused(id, "Loop detected")),
                _ => *slot = OPEN,
            }
            stack.push((id, true));
            let ty = btf.ty(id)?;
            // An entry for an open type can only come from a path through it: entries that were
            // pushed before it was opened lie below its own end on the stack.
            edges(ty, &mut |to| {
                let known = index(to).and_then(|i| state.get(i)).copied();
                if known.is_some_and(|s| s != DONE) {
                    stack.push((to, false));
                }
            });
        }
    }
    Ok(())
}

/// Type tags must come before other modifiers, and chains have an end.
fn check_tags(btf: &Btf) -> Result<(), Error> {
    for (id, ty) in btf.types() {
        let mut in_tags = matches!(ty, Type::TypeTag(_));
        let mut at = ty;
        let mut left = MAX_DEPTH;
        loop {
            let next = if let Type::Typedef(def) = at {
                Some(def.ty)
            } else {
                at.modified()
            };
            let Some(next) = next else { break };
            left = left
                .checked_sub(1)
                .ok_or_else(|| refused(id, "Max chain length or cycle detected"))?;
            let is_tag = matches!(at, Type::TypeTag(_));
            if is_tag && !in_tags {
                return Err(refused(id, "Type tags don't precede modifiers"));
            }
            in_tags &= is_tag;
            at = btf.ty(next)?;
        }
    }
    Ok(())
}
