//! `bpf_kptr_xchg`: what a map's value or an object owns, in exchange for something else that is held.

use skep_isa::Reg;

use super::CallMeta;
use crate::access::known_target;
use crate::env::Env;
use crate::prepare::{FieldKind, MapField};
use crate::state::{BtfSource, Pointer, PtrFlags, Region, Value};
use crate::violation::{Check, FieldViolation, Stop};

impl Env<'_> {
    /// The place of the pointer (`process_kptr_func`).
    pub(super) fn check_kptr_dest(&self, meta: &mut CallMeta, reg: Reg) -> Check<()> {
        let Some(pointer) = self.state.reg(reg).pointer() else {
            return Err(Stop::undecided("an exchange with nothing"));
        };
        let fields = if let Region::MapValue { map, uid } = pointer.region {
            let info = self.ctx.map(map);
            if info.spec.btf.is_none() {
                let (pointer, field) = ((*pointer).into(), "bpf_kptr_xchg");
                return Err(FieldViolation::NoBtf { pointer, field }.into());
            }
            meta.map = Some((map, uid));
            &info.fields[..]
        } else {
            self.ctx.fields_behind(pointer).unwrap_or_default()
        };
        let Some(var) = pointer.var.const_value() else {
            let field = "kptr";
            return Err(FieldViolation::Place { reg, field }.into());
        };
        let is_kptr = |field: &&MapField| field.kind.is_kptr() && field.kind != FieldKind::Uptr;
        if !fields.iter().any(|field| is_kptr(&field)) {
            return Err(FieldViolation::NoKptr { reg }.into());
        }
        let off = pointer.off.wrapping_add(var as i32) as u32;
        let Some(field) = fields.iter().filter(is_kptr).find(|f| f.off == off) else {
            return Err(FieldViolation::KptrNotAt { off }.into());
        };
        if field.kind == FieldKind::KptrUnref {
            return Err(FieldViolation::KptrNotOwned { off }.into());
        }
        meta.kptr = Some(*field);
        Ok(())
    }

    /// What is put there; its kind was checked. Objects of the program are taken as well as the kernel's.
    pub(super) fn check_kptr_source(&self, meta: &CallMeta, reg: Reg) -> Check<()> {
        match &meta.kptr {
            Some(field) => self.check_kptr_type(field, reg),
            None => Err(Stop::undecided("an exchange with nothing")),
        }
    }

    /// What was put there is not held any more. Per-CPU objects can be used until the RCU read section
    /// ends.
    pub(super) fn give_up_to_kptr(&mut self, ref_id: u32) -> bool {
        if !self.state.forget_ref(ref_id) {
            return false;
        }
        let in_rcu = self.in_rcu_section();
        let percpu = PtrFlags::ALLOC | PtrFlags::PERCPU;
        let stays = |pointer: &Pointer| in_rcu && pointer.flags.contains(percpu);
        self.state.update_values(
            |value| {
                value
                    .pointer()
                    .is_some_and(|p| p.ref_id == ref_id && stays(p))
            },
            |value| {
                if let Value::Pointer(pointer) = value {
                    pointer.ref_id = 0;
                    pointer.flags -= PtrFlags::ALLOC;
                    pointer.flags |= PtrFlags::RCU;
                }
            },
        );
        self.invalidate(|pointer| pointer.ref_id == ref_id);
        true
    }

    /// What was there before.
    pub(super) fn taken_from_kptr(&self, meta: &CallMeta) -> Check<(Region, PtrFlags)> {
        let Some(field) = meta.kptr else {
            return Err(Stop::undecided("an exchange with nothing"));
        };
        let (source, id) = known_target(&field)?;
        let mut flags = PtrFlags::empty();
        if source == BtfSource::Program {
            flags |= PtrFlags::ALLOC;
            if field.kind == FieldKind::KptrPercpu {
                flags |= PtrFlags::PERCPU;
            }
        }
        Ok((Region::Btf { source, id }, flags))
    }
}
