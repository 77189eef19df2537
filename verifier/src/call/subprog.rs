//! Calls of the program's own subprograms: static ones are walked into, global ones are believed to
//! be what their prototype says.

use skep_isa::{InsnIdx, Reg};

use crate::env::Env;
use crate::state::{Entry, Frame, Region, State, Value};
use crate::violation::{CallViolation, Check, ReturnPlace, Stop, WalkViolation};
use crate::walk::Next;

/// One bit for each argument register.
const ARGS: u16 = 0b11_1110;

impl Env<'_> {
    /// `call subprog` (`check_func_call`).
    pub(crate) fn check_subprog_call(&mut self, target: InsnIdx) -> Check<Next> {
        let Some(index) = self.ctx.subprog_at(target) else {
            return Err(Stop::undecided("a call that leads to no subprogram"));
        };
        if self.ctx.subprogs[index].is_global {
            self.check_global_call(index)?;
            return Ok(Next::Fallthrough);
        }
        let callsite = self.state.insn_idx;
        let mut callee = self.new_frame(&self.state, index, callsite)?;
        let caller = self.state.cur();
        for reg in Reg::ARGS {
            callee.regs[reg.index()] = caller.regs[reg.index()];
        }
        let precise = self.state.precise[self.state.curframe()].regs & ARGS;
        self.state.forget_caller_saved();
        self.state.push_frame(callee);
        let last = self.state.curframe();
        self.state.precise[last].regs = precise;
        self.reset_live_stack_callchain();
        self.log_entered();
        Ok(Next::Goto(target))
    }

    /// A frame for a subprogram entered from the current frame of `state`, with nothing in it.
    pub(super) fn new_frame(
        &self,
        state: &State,
        subprog: usize,
        callsite: InsnIdx,
    ) -> Check<Frame> {
        let number = state.curframe() + 1;
        if number >= self.ctx.facts.limits().frames {
            return Err(CallViolation::TooDeep { frames: number + 1 }.into());
        }
        Ok(Frame::new(number, subprog, Some(callsite)))
    }

    /// `exit` of a subprogram (`prepare_func_exit`).
    pub(crate) fn leave_subprog(&mut self) -> Check<Next> {
        let result = *self.state.reg(Reg::R0);
        let is_stack = |value: &Value| {
            value
                .pointer()
                .is_some_and(|p| matches!(p.region, Region::Stack { .. }) && p.flags.is_empty())
        };
        if is_stack(&result) {
            return Err(CallViolation::ReturnsStack.into());
        }
        let in_callback = self.state.cur().entry == Entry::Callback;
        if in_callback {
            self.check_callback_result(&result)?;
        }
        let Some(callsite) = self.state.cur().callsite else {
            return Ok(Next::PathEnd);
        };
        let next = if in_callback { callsite } else { callsite + 1 };
        if !in_callback {
            self.return_result(result);
        }
        self.log_leaving(next);
        self.state.pop_frame();
        // After a callback, back to the call, which may run it once more. Numbers that changed in this
        // round and on which nothing depends are forgotten, else rounds would never be alike.
        if in_callback && let Some(before) = self.find_prev_entry(None, callsite) {
            self.widen_current_scalars(before);
        }
        Ok(Next::Goto(next))
    }

    /// Whatever r0 is, the caller gets it, its precision included.
    fn return_result(&mut self, result: Value) {
        let bit = 1 << Reg::R0.index();
        let precise = self.state.is_precise(Reg::R0);
        let Some(caller) = self.state.curframe().checked_sub(1) else {
            return;
        };
        self.state.frame_mut(caller).regs[Reg::R0.index()] = result;
        let marks = &mut self.state.precise[caller].regs;
        *marks = if precise { *marks | bit } else { *marks & !bit };
    }

    /// A callback says by a number whether it wants to be called again.
    fn check_callback_result(&mut self, result: &Value) -> Check<()> {
        if !matches!(result, Value::Scalar(_)) {
            return Err(CallViolation::CallbackNoScalar.into());
        }
        self.mark_precise(Reg::R0)?;
        let range = self.state.cur().callback_ret;
        let (min, max) = (range.min, range.max);
        let scalar = result.var();
        if scalar.smin() < i64::from(min) || scalar.smax() > i64::from(max) {
            let (place, reg) = (ReturnPlace::Callback, Reg::R0);
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
