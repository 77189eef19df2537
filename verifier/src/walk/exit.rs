//! The end of a path: what must have been released, and what may be returned.

use skep_isa::Reg;
use skep_spec::tables::prog_types::Returns;
use skep_spec::{AttachType, ProgType};

use super::Next;
use crate::env::Env;
use crate::number::Scalar;
use crate::state::{Entry, RefKind, ReturnRange, Value};
use crate::violation::{Check, RequestViolation, ReturnPlace, Stop, WalkViolation};

impl Env<'_> {
    /// `exit`: back to the caller, or the end of the path (`process_bpf_exit_full`).
    pub(super) fn check_exit(&mut self) -> Check<Next> {
        let outermost = self.state.curframe() == 0;
        self.check_no_leak("BPF_EXIT instruction in main prog", false, outermost)?;
        if !outermost {
            self.update_live_stack();
            return self.leave_subprog();
        }
        self.check_return_code(Reg::R0)?;
        Ok(Next::PathEnd)
    }

    /// Refuses to end, throw or load from the packet while something is held that would never be
    /// released; `place` is the kernel's name for what is attempted (`check_resource_leak`).
    pub(crate) fn check_no_leak(
        &mut self,
        place: &'static str,
        throws: bool,
        sections: bool,
    ) -> Check<()> {
        let refs = &self.state.refs;
        let section = |section| Err(WalkViolation::SectionLeak { section, place }.into());
        if sections && refs.active_locks > 0 {
            return section("bpf_spin_lock");
        }
        // A synchronous callback may not release its caller's references, nor must it.
        let in_callback = self.state.cur().in_callback();
        if (throws || self.state.curframe() == 0 || in_callback)
            && let Some(leak) = self.leaked_reference(throws)
        {
            let (id, insn_idx) = (leak.id, leak.insn_idx);
            return Err(WalkViolation::ReferenceLeak {
                id,
                insn_idx,
                place,
            }
            .into());
        }
        let refs = &self.state.refs;
        if sections && refs.active_irq_id != 0 {
            return section("bpf_local_irq_save");
        }
        if sections && refs.active_rcu {
            return section("bpf_rcu_read_lock");
        }
        if sections && refs.active_preempt_locks > 0 {
            return section("bpf_preempt_disable");
        }
        Ok(())
    }

    /// The kernel reports every leaked reference and then refuses; the first names the violation.
    fn leaked_reference(&self, throws: bool) -> Option<crate::state::Ref> {
        if !throws && self.state.curframe() != 0 {
            // Leaving a callback: its caller's references are compared when it returns.
            return None;
        }
        self.state
            .refs
            .list
            .iter()
            .find(|r| r.kind == RefKind::Object)
            .copied()
    }

    /// The value that a program returns must lie in the range of its type (`check_return_code`).
    pub(crate) fn check_return_code(&mut self, reg: Reg) -> Check<()> {
        let frame = self.state.frame(0);
        let (subprog, entry, callback_ret) = (frame.subprog, frame.entry, frame.callback_ret);
        let is_exception = entry == Entry::ExceptionCallback;
        if subprog == 0 || is_exception {
            let ty = self.ctx.spec.ty;
            let cgroup = self.ctx.spec.attach == AttachType::LsmCgroup;
            let may_be_void = ty == ProgType::StructOps || (ty == ProgType::Lsm && !cgroup);
            if may_be_void && self.ctx.returns_nothing() {
                return Ok(());
            }
        }
        self.check_reg_readable(reg)?;
        if self.leaks(reg) {
            return Err(WalkViolation::ReturnLeaksAddress { reg }.into());
        }
        if entry == Entry::AsyncCallback {
            return self.check_return_range(reg, ReturnPlace::AsyncCallback, callback_ret);
        }
        if subprog != 0 && !is_exception {
            let value = *self.state.reg(reg);
            if matches!(value, Value::Scalar(_)) {
                return Ok(());
            }
            let value = value.into();
            return Err(WalkViolation::SubprogReturnNoScalar { reg, value }.into());
        }
        let Some(facts) = self.ctx.facts.prog_type(self.ctx.spec.ty) else {
            return Ok(());
        };
        match facts.returns_for(&self.ctx.hook) {
            Returns::Any => Ok(()),
            Returns::Range(min, max) => {
                let range = ReturnRange { min, max };
                self.check_return_range(reg, ReturnPlace::ProgramExit, range)
            }
            Returns::LsmHook => match self.lsm_returns() {
                Some(range) => self.check_hook_result(reg, range),
                None => Ok(()),
            },
            Returns::LsmCgroupHook if self.ctx.returns_nothing() => {
                let range = ReturnRange { min: 1, max: 1 };
                self.check_return_range(reg, ReturnPlace::VoidHookExit, range)
            }
            Returns::LsmCgroupHook => {
                let range = ReturnRange { min: 0, max: 1 };
                self.check_return_range(reg, ReturnPlace::ProgramExit, range)
            }
            Returns::Member if self.ctx.returns_pointer() => {
                Err(Stop::undecided("members that return pointers"))
            }
            Returns::Member => Ok(()),
            Returns::Refused => Err(RequestViolation::AttachType.into()),
        }
    }

    /// The result of a hook: its callers look at the low half.
    fn check_hook_result(&mut self, reg: Reg, range: ReturnRange) -> Check<()> {
        let place = ReturnPlace::ProgramExit;
        let scalar = self.check_precise_number(reg, place)?;
        let (min, max) = (range.min, range.max);
        if scalar.s32_min() < min || scalar.s32_max() > max {
            return Err(WalkViolation::ReturnRange {
                place,
                reg,
                scalar,
                min,
                max,
            }
            .into());
        }
        Ok(())
    }

    /// A returned value that must be a number; the verdict depends on it.
    fn check_precise_number(&mut self, reg: Reg, place: ReturnPlace) -> Check<Scalar> {
        let Value::Scalar(_) = *self.state.reg(reg) else {
            let value = (*self.state.reg(reg)).into();
            return Err(WalkViolation::ReturnNoScalar { place, reg, value }.into());
        };
        self.mark_precise(reg)?;
        Ok(self.state.reg(reg).var())
    }

    fn check_return_range(
        &mut self,
        reg: Reg,
        place: ReturnPlace,
        range: ReturnRange,
    ) -> Check<()> {
        let scalar = self.check_precise_number(reg, place)?;
        let (min, max) = (range.min, range.max);
        if scalar.smin() < i64::from(min) || scalar.smax() > i64::from(max) {
            return Err(WalkViolation::ReturnRange {
                place,
                reg,
                scalar,
                min,
                max,
            }
            .into());
        }
        Ok(())
    }
}
