//! The map of a helper call: whether it goes with the helper, and what is remembered of it and of a
//! constant key over all paths.

use skep_isa::Reg;
use skep_spec::tables::MapForHelper;

use super::{CallMeta, id};
use crate::env::Env;
use crate::learned::{KeySeen, MapSeen};
use crate::state::{ByteKind, Region, SLOT_BYTES, Value};
use crate::violation::{CallViolation, Check};

impl Env<'_> {
    /// Whether the map goes with the helper, asked from both sides (`check_map_func_compatibility`).
    pub(super) fn check_map_for_helper(&self, meta: &CallMeta) -> Check<()> {
        let Some((map, _)) = meta.map else {
            return Ok(());
        };
        let (ctx, id) = (self.ctx, meta.proto.id);
        let map = ctx.map(map).spec.ty;
        let sockets = match ctx.facts.map_for_helper(&ctx.hook, map, meta.proto) {
            MapForHelper::Allowed => return self.check_tail_calls_supported(id),
            MapForHelper::SocketsInUse => true,
            MapForHelper::Refused => false,
        };
        Err(CallViolation::MapForHelper { id, map, sockets }.into())
    }

    fn check_tail_calls_supported(&self, helper: u32) -> Check<()> {
        let environment = self.ctx.facts.environment();
        let supported = environment.jit && environment.jit_subprog_tailcalls;
        if helper == id::TAIL_CALL && self.ctx.subprogs.len() > 1 && !supported {
            return Err(CallViolation::TailCallMixed.into());
        }
        Ok(())
    }

    /// Remembers the map at this call (`record_func_map`).
    pub(super) fn record_map(&mut self, meta: &CallMeta) -> Check<()> {
        let recorded = matches!(
            meta.proto.id,
            id::TAIL_CALL
                | id::MAP_LOOKUP_ELEM
                | id::MAP_UPDATE_ELEM
                | id::MAP_DELETE_ELEM
                | id::MAP_PUSH_ELEM
                | id::MAP_POP_ELEM
                | id::MAP_PEEK_ELEM
                | id::FOR_EACH_MAP_ELEM
                | id::REDIRECT_MAP
                | id::MAP_LOOKUP_PERCPU_ELEM
        );
        let (Some((map, _)), true) = (meta.map, recorded) else {
            return Ok(());
        };
        let changes = matches!(
            meta.proto.id,
            id::MAP_DELETE_ELEM | id::MAP_UPDATE_ELEM | id::MAP_PUSH_ELEM | id::MAP_POP_ELEM
        );
        if changes && self.is_map_read_only(map) {
            return Err(CallViolation::ReadOnlyMap.into());
        }
        let seen = &mut self.learned.at(self.state.insn_idx).map;
        *seen = match *seen {
            MapSeen::None => MapSeen::One(map),
            MapSeen::One(before) if before == map => MapSeen::One(map),
            MapSeen::One(_) | MapSeen::Several => MapSeen::Several,
        };
        Ok(())
    }

    /// Remembers the constant index of a tail call (`record_func_key`).
    pub(super) fn record_key(&mut self, meta: &CallMeta) -> Check<()> {
        if meta.proto.id != id::TAIL_CALL {
            return Ok(());
        }
        let Some((map, _)) = meta.map else {
            return Err(CallViolation::NoProgArray.into());
        };
        let spec = self.ctx.map(map).spec;
        if spec.ty != skep_spec::MapType::ProgArray {
            return Err(CallViolation::NoProgArray.into());
        }
        let index = match *self.state.reg(Reg::R3) {
            Value::Scalar(number) => number.scalar.const_value(),
            Value::Pointer(_) | Value::Uninit => None,
        };
        let index = index.filter(|&index| index < u64::from(spec.max_entries));
        if index.is_some() {
            self.mark_precise(Reg::R3)?;
        }
        let seen = &mut self.learned.at(self.state.insn_idx).key;
        *seen = match (*seen, index) {
            (KeySeen::None, Some(index)) => KeySeen::One(index),
            (KeySeen::One(before), Some(index)) if before == index => KeySeen::One(index),
            (KeySeen::None | KeySeen::One(_) | KeySeen::Several, _) => KeySeen::Several,
        };
        Ok(())
    }

    /// The key behind a stack pointer, if it is known; it then has to be exact
    /// (`get_constant_map_key`).
    pub(super) fn constant_key(&mut self, reg: Reg, size: u32) -> Check<Option<u64>> {
        let Value::Pointer(pointer) = *self.state.reg(reg) else {
            return Ok(None);
        };
        let Region::Stack { frame } = pointer.region else {
            return Ok(None);
        };
        let (true, true, Some(var)) = (
            self.ctx.facts.lane().bpf,
            pointer.flags.is_empty(),
            pointer.var.const_value(),
        ) else {
            return Ok(None);
        };
        let off = i64::from(pointer.off).wrapping_add(var as i64);
        let Ok(place) = usize::try_from(-1 - off) else {
            return Ok(None);
        };
        let (frame, index, byte) = (frame as usize, place / SLOT_BYTES, place % SLOT_BYTES);
        let slot = self.state.frame(frame).stack.slot(index);
        let run = |kind| {
            slot.bytes[..=byte]
                .iter()
                .rev()
                .take_while(|&&byte| byte == kind)
                .count() as u32
        };
        if run(ByteKind::Zero) >= size {
            return Ok(Some(0));
        }
        if !slot.is_spilled_scalar() || run(ByteKind::Spill) != size {
            return Ok(None);
        }
        let Some(key) = slot.value.var().const_value() else {
            return Ok(None);
        };
        self.mark_precise_slot(frame, index)?;
        Ok(Some(key))
    }
}
