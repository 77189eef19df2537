//! What is checked after all paths were walked: the stack that calls add up to, and addresses of
//! subprograms that were removed as dead.
//!
//! The depth of each subprogram is known only now, and spills around fast calls may be taken out
//! first, so a program whose paths are all fine can still be refused here.

mod dead_code;
mod stack_depth;

use skep_isa::opcode;

use crate::env::Env;
use crate::learned::LoopSeen;
use crate::violation::{Check, KfuncViolation, Stop};

impl Env<'_> {
    /// The refusals that come after the walk.
    pub(crate) fn check_after_walk(&mut self) -> Check<()> {
        self.remove_fastcall_spills();
        self.check_max_stack_depth()?;
        self.check_kfuncs()?;
        self.check_addresses()
    }

    /// Calls of kernel functions that are none must be in dead code. What the kernel says of unknown
    /// ones is unknown, also where no path comes to them.
    fn check_kfuncs(&self) -> Check<()> {
        let kfuncs = &self.ctx.kfuncs;
        for (insn, learned) in self.ctx.insns.iter().zip(&self.learned.insns) {
            if kfuncs.is_unknown(*insn) {
                return Err(Stop::undecided("kernel function calls"));
            }
            if learned.seen && kfuncs.is_unresolved(*insn) {
                return Err(KfuncViolation::Unresolved.into());
            }
        }
        Ok(())
    }

    /// Bytes of stack per subprogram as the kernel prints them in the end: those that no path came to
    /// are removed as dead, a loop budget takes two slots and an inlined `bpf_loop` three.
    pub(crate) fn stack_depths(&self) -> Vec<u32> {
        const BUDGET: u32 = 16;
        const INLINED_LOOP: u32 = 24;
        let mut depths = Vec::new();
        for (index, subprog) in self.ctx.subprogs.iter().enumerate() {
            let range = subprog.start..subprog.end;
            let seen = |idx: usize| self.learned.insns[idx].seen;
            if index != 0 && !range.clone().any(seen) {
                continue;
            }
            let is_budget = |idx: usize| {
                let insn = self.ctx.insns[idx];
                insn.code == opcode::JCOND && insn.off != 0 && seen(idx)
            };
            let budget = if range.clone().any(is_budget) {
                BUDGET
            } else {
                0
            };
            let is_inlined = |idx: usize| {
                matches!(self.learned.insns[idx].bpf_loop, LoopSeen::One(_))
                    && self.ctx.facts.environment().jit
            };
            let inlined = if range.clone().any(is_inlined) {
                INLINED_LOOP
            } else {
                0
            };
            // Room for inlined loops begins at a multiple of a slot.
            let depth = self.learned.subprogs[index].stack_depth;
            depths.push(depth.next_multiple_of(8) + inlined + budget);
        }
        if self.learned.throws && !self.ctx.has_exception_callback() {
            // The handler that the kernel adds.
            depths.push(0);
        }
        depths
    }

    /// Takes the stack of fast calls off subprograms that use it for nothing else
    /// (`remove_fastcall_spills_fills`).
    fn remove_fastcall_spills(&mut self) {
        for (subprog, learned) in self.ctx.subprogs.iter().zip(&mut self.learned.subprogs) {
            let pairs = &self.ctx.fastcalls.pairs[subprog.start..subprog.end];
            let removes = !learned.fastcall_void && pairs.iter().any(|&pairs| pairs > 0);
            if removes && !subprog.keeps_fastcall_stack {
                learned.stack_depth = subprog.fastcall_stack_off.unsigned_abs();
            }
        }
    }
}
