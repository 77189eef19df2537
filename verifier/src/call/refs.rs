//! Objects that calls acquire and release, and the values that die with them.

use skep_isa::Reg;
use skep_spec::tables::{ArgType, Mods};

use super::{CallMeta, id};
use crate::env::Env;
use crate::state::{Pointer, PtrFlags, Region, Value};
use crate::violation::{ArgumentViolation, CallViolation, Check};

/// Slices of dynptrs over packets.
const PACKET_SLICE: PtrFlags = PtrFlags::DYNPTR_SKB
    .union(PtrFlags::DYNPTR_XDP)
    .union(PtrFlags::DYNPTR_SKB_META);

impl Env<'_> {
    /// An object from now on held; its id (`acquire_reference`).
    pub(super) fn acquire_reference(&mut self) -> u32 {
        let id = self.learned.next_id();
        let insn_idx = self.state.insn_idx;
        self.state.refs_mut().acquire(id, insn_idx);
        id
    }

    /// Gives up an object: everything that depended on it is worthless. False if it is not held
    /// (`release_reference`).
    pub(super) fn release_reference(&mut self, id: u32) -> bool {
        if !self.state.forget_ref(id) {
            return false;
        }
        self.invalidate(|pointer| pointer.ref_id == id);
        true
    }

    /// References that do not own their object die when the lock is given up
    /// (`invalidate_non_owning_refs`).
    pub(super) fn forget_borrowed(&mut self) {
        self.invalidate(|pointer| pointer.flags.contains(PtrFlags::NON_OWN_REF));
    }

    /// The packet may have moved: pointers into it are worthless, in all frames
    /// (`clear_all_pkt_pointers`).
    pub(super) fn clear_packet_pointers(&mut self) {
        self.invalidate(|pointer| {
            let slice = matches!(pointer.region, Region::Mem { .. })
                && pointer.flags.intersects(PACKET_SLICE);
            pointer.is_any_packet() || slice
        });
    }

    /// Turns pointers into numbers that nothing is known of; where pointers may not leak, into
    /// nothing (`mark_reg_invalid`).
    pub(super) fn invalidate(&mut self, concerns: impl Fn(&Pointer) -> bool) {
        let ptr_leaks = self.ctx.facts.lane().ptr_leaks;
        let worthless = if ptr_leaks {
            Value::unknown()
        } else {
            Value::Uninit
        };
        self.state.update_values(
            |value| value.pointer().is_some_and(&concerns),
            |value| *value = worthless,
        );
    }

    /// An argument that depends on a reference, or gives one up.
    pub(super) fn check_argument_reference(
        &self,
        meta: &mut CallMeta,
        reg: Reg,
        ty: ArgType,
        mods: Mods,
    ) -> Check<()> {
        let value = *self.state.reg(reg);
        let ref_id = value.pointer().map_or(0, |p| p.ref_id);
        if mods.contains(Mods::RELEASE) {
            if ty == ArgType::Dynptr {
                self.check_dynptr_held(reg)?;
            } else if ref_id == 0 && !value.is_null() {
                return Err(ArgumentViolation::Unreferenced { reg }.into());
            }
            meta.released = Some(reg);
        }
        if ref_id != 0 && ty != ArgType::KptrXchgDest {
            if meta.ref_id != 0 {
                let other = meta.ref_id;
                return Err(ArgumentViolation::TwoReferences {
                    reg,
                    id: ref_id,
                    other,
                }
                .into());
            }
            meta.ref_id = ref_id;
        }
        Ok(())
    }

    /// Gives up what the call releases.
    pub(super) fn release_argument(&mut self, meta: &CallMeta) -> Check<()> {
        let Some(reg) = meta.released else {
            return Ok(());
        };
        if meta.releases_dynptr() {
            return self.release_dynptr(reg);
        }
        let released = if meta.ref_id != 0 && meta.proto.id == id::KPTR_XCHG {
            self.give_up_to_kptr(meta.ref_id)
        } else if meta.ref_id != 0 {
            self.release_reference(meta.ref_id)
        } else {
            self.state.reg(reg).is_null()
        };
        if !released {
            return Err(CallViolation::NotAcquired { id: meta.proto.id }.into());
        }
        Ok(())
    }
}
