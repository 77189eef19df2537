//! A helper call, check by check in the kernel's order: that decides which error a program gets.

use skep_isa::Reg;
use skep_spec::tables::attach::{D_PATH, SLEEPABLE_LSM};
use skep_spec::tables::{Condition, HelperFlags, HelperProto, helpers};
use skep_spec::{AttachType, ProgType};

use super::{CallMeta, id};
use crate::env::Env;
use crate::state::{DynptrKind, Value};
use crate::violation::{CallViolation, Check, NoSleep};
use crate::walk::Next;

impl Env<'_> {
    /// `call helper` (`check_helper_call`).
    pub(crate) fn check_helper_call(&mut self, number: i32) -> Check<Next> {
        let proto = self.check_helper_allowed(number)?;
        let mut meta = CallMeta::new(proto);
        for (index, arg) in proto.args.iter().enumerate() {
            self.check_helper_arg(&mut meta, index, arg)?;
        }
        self.record_map(&meta)?;
        self.record_key(&meta)?;
        self.write_raw_memory(&meta)?;
        self.release_argument(&meta)?;
        self.check_special(&meta)?;
        self.state.forget_caller_saved();
        self.set_helper_result(&meta)?;
        self.check_map_for_helper(&meta)?;
        self.check_func_ip(&meta)?;
        if proto.id == id::TAIL_CALL {
            return self.take_tail_call();
        }
        let writes_packet = proto.id == id::DYNPTR_WRITE
            && meta
                .dynptr
                .is_some_and(|dynptr| matches!(dynptr.kind, DynptrKind::Skb | DynptrKind::SkbMeta));
        if proto.has(HelperFlags::CHANGES_PKT_DATA) || writes_packet {
            self.clear_packet_pointers();
        }
        Ok(Next::Fallthrough)
    }

    /// A tail call that is taken ends the subprogram that it stands in: the caller goes on with
    /// whatever the other program returned. The path on which it fails is walked later.
    fn take_tail_call(&mut self) -> Check<Next> {
        if self.state.curframe() == 0 {
            return Ok(Next::Fallthrough);
        }
        let idx = self.state.insn_idx;
        self.push_branch(idx + 1, idx)?;
        self.clear_packet_pointers();
        self.state.set_reg(Reg::R0, Value::unknown());
        // As at an exit.
        self.update_live_stack();
        self.leave_subprog()
    }

    /// Whether the program may call the helper here at all.
    fn check_helper_allowed(&self, number: i32) -> Check<&'static HelperProto> {
        let known = helpers::HELPERS.last().map_or(0, |proto| proto.id);
        let Some(id) = u32::try_from(number).ok().filter(|&id| id <= known) else {
            return Err(CallViolation::NoSuchHelper { id: number }.into());
        };
        let Some(proto) = self.ctx.facts.helper(&self.ctx.hook, id) else {
            return Err(CallViolation::HelperUnavailable { id }.into());
        };
        if proto.has(HelperFlags::GPL_ONLY) && !self.ctx.spec.is_gpl_compatible() {
            return Err(CallViolation::GplOnly.into());
        }
        if !self.condition_holds(proto.condition) {
            return Err(CallViolation::NotHere.into());
        }
        if !proto.has(HelperFlags::MIGHT_SLEEP) {
            return Ok(proto);
        }
        if !self.in_sleepable() {
            return Err(CallViolation::Sleeps.into());
        }
        match self.no_sleep_section() {
            Some(section) => Err(CallViolation::SleepsInSection { id, section }.into()),
            None => Ok(proto),
        }
    }

    /// Whether code at this place may sleep, critical sections apart (`in_sleepable`).
    pub(crate) fn in_sleepable(&self) -> bool {
        self.ctx.is_sleepable() || self.state.in_sleepable
    }

    /// A section of the path in which nothing may sleep.
    pub(super) fn no_sleep_section(&self) -> Option<NoSleep> {
        let refs = &self.state.refs;
        if refs.active_rcu {
            Some(NoSleep::Rcu)
        } else if refs.active_preempt_locks > 0 {
            Some(NoSleep::Preempt)
        } else if refs.active_irq_id != 0 {
            Some(NoSleep::Irq)
        } else {
            None
        }
    }

    /// The helper's own condition on where the program attaches (`fn->allowed`).
    fn condition_holds(&self, condition: Condition) -> bool {
        let hook = &self.ctx.hook;
        let sleeps = || SLEEPABLE_LSM.contains(&hook.target);
        match condition {
            Condition::Always => true,
            Condition::SleepableLsmHook => sleeps(),
            Condition::DPath if hook.ty == ProgType::Lsm => sleeps(),
            Condition::DPath => {
                hook.attach == AttachType::TraceIter || D_PATH.contains(&hook.target)
            }
            Condition::SkStorageTracing => {
                let places = [AttachType::TraceIter, AttachType::TraceRawTp];
                let functions = [AttachType::TraceFentry, AttachType::TraceFexit];
                let itself = hook.target.starts_with("bpf_sk_storage");
                let there =
                    places.contains(&hook.attach) || (functions.contains(&hook.attach) && !itself);
                there && !hook.on_prog
            }
        }
    }

    /// What was spilled in memory that the helper fills is gone.
    fn write_raw_memory(&mut self, meta: &CallMeta) -> Check<()> {
        match meta.raw.range {
            Some((reg, size)) => self.write_stack_bytes(reg, size),
            None => Ok(()),
        }
    }
}
