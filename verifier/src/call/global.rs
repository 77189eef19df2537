//! Calls of global subprograms: the arguments must fit the prototype, for which the subprogram is
//! verified on its own.

use skep_isa::Reg;
use skep_spec::tables::{ArgType, Mods};

use super::dynptr::DynptrUse;
use super::kfunc_args::is_dynptr;
use crate::env::Env;
use crate::prepare::GlobalArg;
use crate::state::{Region, Value};
use crate::violation::{Check, GlobalViolation, KfuncArgViolation, KfuncTarget, Stop, Violation};

impl Env<'_> {
    pub(super) fn check_global_call(&mut self, index: usize) -> Check<()> {
        let fault = self.find_argument_fault(index)?;
        let subprog = &self.ctx.subprogs[index];
        if self.state.refs.active_locks > 0 {
            return Err(GlobalViolation::UnderLock.into());
        }
        let may_not_sleep = self.no_sleep_section().is_some() || !self.in_sleepable();
        if subprog.might_sleep && may_not_sleep {
            return Err(GlobalViolation::Sleeps.into());
        }
        if let Some(fault) = fault {
            let (start, fault) = (subprog.start, Box::new(fault));
            return Err(GlobalViolation::Arguments {
                subprog: index,
                start,
                fault,
            }
            .into());
        }
        self.log_global_call(index);
        if self.ctx.subprogs[index].changes_pkt_data {
            self.clear_packet_pointers();
        }
        self.learned.subprogs[index].called = true;
        self.state.forget_caller_saved();
        self.state.set_reg(Reg::R0, Value::unknown());
        Ok(())
    }

    /// The first argument that does not fit the prototype (`btf_check_func_arg_match`). It is told
    /// only after other faults of the call.
    fn find_argument_fault(&mut self, index: usize) -> Check<Option<Violation>> {
        let args = match &self.ctx.subprogs[index].args {
            Ok(args) => args,
            Err(violation) => return Ok(Some(violation.clone().into())),
        };
        for (nth, (&reg, arg)) in Reg::ARGS.iter().zip(args).enumerate() {
            match self.check_global_arg(nth, reg, *arg) {
                Ok(()) => {}
                Err(Stop::Rejected(violation)) => return Ok(Some(*violation)),
                Err(stop @ Stop::Undecided(_)) => return Err(stop),
            }
        }
        Ok(None)
    }

    fn check_global_arg(&mut self, nth: usize, reg: Reg, arg: GlobalArg) -> Check<()> {
        let value = *self.state.reg(reg);
        match arg {
            GlobalArg::Scalar => match value {
                Value::Scalar(_) => Ok(()),
                Value::Pointer(_) | Value::Uninit => Err(GlobalViolation::NoScalar { reg }.into()),
            },
            // Reads through it are probed: anything will do.
            GlobalArg::Mem {
                untrusted: true, ..
            }
            | GlobalArg::Btf {
                untrusted: true, ..
            } => Ok(()),
            GlobalArg::Ctx => {
                self.check_arg_offset(reg, None, Mods::empty())?;
                let is_ctx = value
                    .pointer()
                    .is_some_and(|p| p.region == Region::Ctx && p.flags.is_empty());
                if is_ctx {
                    Ok(())
                } else {
                    Err(GlobalViolation::NoCtx { arg: nth }.into())
                }
            }
            GlobalArg::Mem { size, nullable, .. } => {
                self.check_arg_offset(reg, None, Mods::empty())?;
                self.check_mem_reg(reg, size)?;
                if !nullable && value.pointer().is_some_and(|p| p.maybe_null()) {
                    return Err(GlobalViolation::MaybeNull { arg: nth }.into());
                }
                Ok(())
            }
            GlobalArg::Arena => {
                let fits = match value {
                    Value::Scalar(_) => true,
                    Value::Pointer(pointer) => pointer.region == Region::Arena,
                    Value::Uninit => false,
                };
                if fits {
                    Ok(())
                } else {
                    Err(GlobalViolation::NoArena { reg }.into())
                }
            }
            GlobalArg::Dynptr => {
                self.check_arg_offset(reg, Some(ArgType::Dynptr), Mods::empty())?;
                if !is_dynptr(&value) {
                    let wanted = KfuncTarget::Dynptr;
                    return Err(KfuncArgViolation::Target { arg: nth, wanted }.into());
                }
                let wanted = DynptrUse {
                    mutates: false,
                    kind: None,
                };
                self.check_dynptr(nth, reg, wanted).map(|_| ())
            }
            GlobalArg::Btf { nullable: true, .. } if value.is_null() => Ok(()),
            GlobalArg::Btf { id, nullable, .. } => {
                self.check_global_structure(reg, id, nullable)?;
                self.check_arg_offset(reg, None, Mods::empty())
            }
        }
    }
}
