//! Rules of single helpers, and the callbacks that some of them run.

use skep_isa::Reg;
use skep_spec::{AttachType, ProgType};

use super::{CallMeta, id};
use crate::env::Env;
use crate::learned::LoopSeen;
use crate::state::Value;
use crate::violation::{CallViolation, Check};

impl Env<'_> {
    /// What is asked of one helper only, once its arguments are what they should be.
    pub(super) fn check_special(&mut self, meta: &CallMeta) -> Check<()> {
        match meta.proto.id {
            id::TAIL_CALL => self.check_no_leak("tail_call", false, true),
            id::GET_LOCAL_STORAGE => {
                if self.state.reg(Reg::R2).is_null() {
                    Ok(())
                } else {
                    Err(CallViolation::LocalStorageFlags.into())
                }
            }
            id::FOR_EACH_MAP_ELEM => self.call_for_each(meta),
            id::SNPRINTF => self.check_snprintf(),
            id::LOOP => self.check_loop(meta),
            id::SET_RETVAL => self.check_set_retval(),
            id::FIND_VMA => self.call_find_vma(meta),
            id::TIMER_SET_CALLBACK => self.call_timer_later(meta),
            id::DYNPTR_FROM_MEM => self.check_dynptr_memory(),
            id::USER_RINGBUF_DRAIN => self.call_user_ringbuf(meta),
            _ => Ok(()),
        }
    }

    /// `bpf_loop`: the callback is walked once more as long as the number of rounds allows.
    fn check_loop(&mut self, meta: &CallMeta) -> Check<()> {
        self.note_loop(meta)?;
        // The prototype takes anything, but only numbers can be made precise.
        if matches!(self.state.reg(Reg::R1), Value::Pointer(_)) {
            return Err(CallViolation::RoundsArePointer.into());
        }
        self.mark_precise(Reg::R1)?;
        let rounds = self.state.reg(Reg::R1).var().umax();
        if u64::from(self.state.cur().callback_depth) < rounds {
            return self.call_loop(meta);
        }
        self.state.cur_mut().callback_depth = 0;
        self.log_loop_limit();
        Ok(())
    }

    /// Calls that always run the same callback without flags are turned into loops; that depends on
    /// the flags being zero (`update_loop_inline_state`).
    fn note_loop(&mut self, meta: &CallMeta) -> Check<()> {
        let idx = self.state.insn_idx;
        let seen = self.learned.at(idx).bpf_loop;
        if seen == LoopSeen::Several {
            return Ok(());
        }
        let callback = meta.callback.unwrap_or(0);
        let flagless = self.state.reg(Reg::R4).is_null();
        if flagless {
            self.mark_precise(Reg::R4)?;
        }
        let same = seen == LoopSeen::None || seen == LoopSeen::One(callback);
        self.learned.at(idx).bpf_loop = if flagless && same {
            LoopSeen::One(callback)
        } else {
            LoopSeen::Several
        };
        Ok(())
    }

    fn check_set_retval(&self) -> Check<()> {
        let spec = self.ctx.spec;
        let cgroup = spec.ty == ProgType::Lsm && spec.attach == AttachType::LsmCgroup;
        if cgroup && self.ctx.returns_nothing() {
            return Err(CallViolation::VoidHookResult.into());
        }
        Ok(())
    }

    /// `bpf_get_func_ip` (`check_get_func_ip`).
    pub(super) fn check_func_ip(&self, meta: &CallMeta) -> Check<()> {
        if meta.proto.id != id::GET_FUNC_IP {
            return Ok(());
        }
        let hook = &self.ctx.hook;
        if hook.ty == ProgType::Kprobe || (hook.ty == ProgType::Tracing && hook.has_trampoline()) {
            Ok(())
        } else if hook.ty == ProgType::Tracing {
            Err(CallViolation::FuncIpTrampoline.into())
        } else {
            Err(CallViolation::FuncIpProgType { ty: hook.ty }.into())
        }
    }
}
