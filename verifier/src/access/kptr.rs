//! Pointers in map values: kernel objects that a value points to or owns, and pinned user memory.
//!
//! A value that owns an object gives it up only in exchange for another one. Otherwise such pointers are
//! loaded and stored whole. What is loaded can be trusted only inside an RCU read section, and only where
//! RCU protects the object (`check_map_kptr_access` and what it calls).

use skep_btf::TypeId;
use skep_isa::{Reg, class, mode};
use skep_spec::tables::btf_lists;

use super::{Stored, WalkFault, is_structure};
use crate::env::Env;
use crate::prepare::{FieldKind, FieldTarget, MapField};
use crate::state::{BtfSource, MapId, Pointer, PtrFlags, Region, Value};
use crate::violation::{Check, KptrViolation, Stop};

impl Env<'_> {
    /// The pointer that lies exactly where an access to a map's value goes.
    pub(super) fn kptr_at(&self, map: MapId, pointer: &Pointer, off: i32) -> Option<MapField> {
        let var = pointer.var.const_value()?;
        let at = i64::from(off).wrapping_add(var as i64);
        let fields = &self.ctx.map(map).fields;
        let found = fields.iter().find(|f| i64::from(f.off) == at)?;
        found.kind.is_kptr().then_some(*found)
    }

    /// An access that touches a pointer must be to all of it, at a known place.
    pub(super) fn check_kptr_place(
        &self,
        field: &MapField,
        pointer: &Pointer,
        off: i32,
        size: i32,
    ) -> Check<()> {
        let name = field.kind.name();
        let Some(var) = pointer.var.const_value() else {
            return Err(KptrViolation::Place { name }.into());
        };
        let at = (off as i64 as u64).wrapping_add(var);
        if at != u64::from(field.off) {
            let (at, off) = (field.off, at);
            return Err(KptrViolation::Offset { name, at, off }.into());
        }
        if size != field.size as i32 {
            return Err(KptrViolation::Size { name }.into());
        }
        Ok(())
    }

    /// Loads and stores are for plain instructions.
    fn check_kptr_mode(&self) -> Check<()> {
        let insn = self.ctx.insns[self.state.insn_idx];
        if insn.code & 0xe0 == mode::MEM {
            return Ok(());
        }
        Err(KptrViolation::Mode.into())
    }

    /// What loading a pointer gives.
    pub(super) fn read_kptr(&mut self, field: &MapField) -> Check<Value> {
        self.check_kptr_mode()?;
        if self.ctx.insns[self.state.insn_idx].class() != class::LDX {
            return Err(Stop::undecided("kernel pointers read by a call"));
        }
        let (source, id) = known_target(field)?;
        let mut loaded = if field.kind == FieldKind::Uptr {
            let size = self.ctx.spec.btf.as_deref().and_then(|btf| {
                let ty = btf.ty(TypeId(id)).ok()?;
                Some(ty.as_struct()?.size)
            });
            let Some(size) = size else {
                return Err(Stop::undecided("user memory of unknown type"));
            };
            let region = Region::Mem { size, dynptr_id: 0 };
            Pointer::new(region, PtrFlags::MAYBE_NULL)
        } else {
            let flags = self.flags_of_kptr(field.kind, source, id)?;
            Pointer::new(Region::Btf { source, id }, flags)
        };
        loaded.id = self.learned.next_id();
        Ok(Value::Pointer(loaded))
    }

    /// How far a loaded pointer can be trusted (`btf_ld_kptr_type`).
    fn flags_of_kptr(&self, kind: FieldKind, source: BtfSource, id: u32) -> Check<PtrFlags> {
        let mut is_safe = kind == FieldKind::KptrPercpu;
        if kind == FieldKind::KptrRef {
            is_safe = source == BtfSource::Program || {
                let ty = self.ctx.kernel_types()?.ty(TypeId(id));
                ty.is_ok_and(|ty| btf_lists::RCU_PROTECTED.contains(&ty.name()))
            };
        }
        if !is_safe || !self.in_rcu_section() {
            return Ok(PtrFlags::MAYBE_NULL | PtrFlags::UNTRUSTED);
        }
        let mut flags = PtrFlags::MAYBE_NULL | PtrFlags::RCU;
        if kind == FieldKind::KptrPercpu {
            flags |= PtrFlags::PERCPU;
        } else if source == BtfSource::Program {
            flags |= PtrFlags::ALLOC;
        }
        if source == BtfSource::Program && self.is_node(id) {
            flags |= PtrFlags::NON_OWN_REF;
        }
        Ok(flags)
    }

    /// Whether objects of that structure can be in a list or tree.
    fn is_node(&self, id: u32) -> bool {
        let nodes = [FieldKind::ListNode, FieldKind::RbNode];
        let fields = self.ctx.object_fields(id).unwrap_or_default();
        fields.iter().any(|field| nodes.contains(&field.kind))
    }

    /// Stores a pointer.
    pub(super) fn write_kptr(&mut self, field: &MapField, stored: Stored) -> Check<()> {
        self.check_kptr_mode()?;
        if field.kind != FieldKind::KptrUnref {
            let name = if field.kind == FieldKind::Uptr {
                "uptr"
            } else {
                "referenced kptr"
            };
            return Err(KptrViolation::Store { name }.into());
        }
        match stored {
            Stored::Reg(reg) if self.state.reg(reg).is_null() => Ok(()),
            Stored::Reg(reg) => self.check_kptr_type(field, reg),
            Stored::Imm(0) => Ok(()),
            Stored::Imm(_) => {
                let at = field.off;
                Err(KptrViolation::Immediate { at }.into())
            }
            Stored::Unknown => Err(Stop::undecided("kernel pointers written by a call")),
        }
    }

    /// What is put into a value must be of the type that it holds
    /// (`map_kptr_match_type`).
    pub(crate) fn check_kptr_type(&self, field: &MapField, reg: Reg) -> Check<()> {
        let value = *self.state.reg(reg);
        let (wanted_source, wanted) = known_target(field)?;
        let untrusted = field.kind == FieldKind::KptrUnref;
        let bad = |named| {
            let region = Region::Btf {
                source: wanted_source,
                id: wanted,
            };
            let wanted = Value::Pointer(Pointer::new(region, PtrFlags::empty()));
            Stop::from(KptrViolation::Type {
                reg,
                value: value.into(),
                named,
                wanted: wanted.into(),
                untrusted,
            })
        };
        let Value::Pointer(pointer) = value else {
            return Err(Stop::undecided(
                "a number as kernel pointer, on which kernels fail",
            ));
        };
        let Region::Btf { source, id } = pointer.region else {
            return Err(Stop::undecided(
                "another pointer as kernel pointer, on which kernels fail",
            ));
        };
        let mut allowed = PtrFlags::MAYBE_NULL;
        if source == BtfSource::Kernel {
            allowed |= PtrFlags::TRUSTED | PtrFlags::RCU;
            if untrusted {
                allowed |= PtrFlags::UNTRUSTED;
            }
        } else {
            allowed |= PtrFlags::ALLOC;
            if field.kind == FieldKind::KptrPercpu {
                allowed |= PtrFlags::PERCPU;
            }
        }
        if !allowed.contains(pointer.flags) {
            return Err(bad(false));
        }
        self.check_pointer_offset(&pointer, reg, true)?;
        if source != wanted_source {
            return Err(bad(true));
        }
        let btf = self.ctx.types_of(source)?;
        let off = u32::try_from(pointer.off).unwrap_or(u32::MAX);
        match is_structure(btf, TypeId(id), off, TypeId(wanted), !untrusted) {
            Ok(true) => Ok(()),
            Ok(false) | Err(WalkFault::Refused(_)) => Err(bad(true)),
            Err(WalkFault::EmptyElement | WalkFault::Malformed) => {
                Err(Stop::undecided("types that make no sense"))
            }
        }
    }
}

/// The structure that a pointer in a value leads to.
pub(crate) fn known_target(field: &MapField) -> Check<(BtfSource, u32)> {
    if let FieldTarget::Structure { source, id } = field.to {
        return Ok((source, id));
    }
    Err(Stop::undecided("kernel pointers in maps of other types"))
}
