//! The deepest stack that a chain of calls can need.
//!
//! Calls in code that no path reached count too. Tracing programs may be given a private stack, on
//! which each larger subprogram is limited by itself instead of the chain.

use rustc_hash::FxHashSet;
use skep_isa::{InsnIdx, opcode, pseudo};
use skep_spec::tables::prog_types::PrivateStack;

use crate::env::Env;
use crate::violation::{Check, KfuncViolation, LimitViolation, Stop};

/// Subprograms of at least that many bytes are worth a private stack.
const PRIVATE_MIN: u32 = 64;
/// Callers of a subprogram that tail-calls may have used less than this.
const TAIL_CALL_MAX: u32 = 256;

/// Where a subprogram's stack lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Unknown,
    Ordinary,
    Private,
}

/// Subprograms whose call chains were followed to their ends without a fault, each with the depth and
/// the number of callers it was entered at, and whether a callback is among them. Without this a few
/// calls of calls would take forever.
type Followed = FxHashSet<(usize, u32, usize, bool)>;

/// A caller to which the search returns.
struct Return {
    idx: InsnIdx,
    subprog: usize,
}

impl Env<'_> {
    /// `check_max_stack_depth`.
    pub(super) fn check_max_stack_depth(&mut self) -> Check<()> {
        let tail_calls = self.ctx.subprogs.iter().any(|s| s.has_tail_call);
        let private = !tail_calls && self.may_have_private_stack()?;
        let mut modes = vec![Mode::Unknown; self.ctx.subprogs.len()];
        let mut followed = Followed::default();
        // From the last to the first: what an asynchronous callback can reach is marked before the
        // main program is looked at, since both may run at once.
        for root in (0..self.ctx.subprogs.len()).rev() {
            if root == 0 || self.runs_later(root) {
                let private = private && root == 0;
                if private {
                    // With private stacks the same chain takes less.
                    followed.clear();
                }
                self.check_depth_from(root, private, &mut modes, &mut followed)?;
            }
        }
        Ok(())
    }

    /// Whether a subprogram is called by the kernel some time, not by the program: by a timer or work
    /// queue, or when an exception was thrown.
    fn runs_later(&self, subprog: usize) -> bool {
        self.learned.subprogs[subprog].is_async_callback
            || self.ctx.subprogs[subprog].is_exception_callback
    }

    /// `bpf_enable_priv_stack`.
    fn may_have_private_stack(&self) -> Check<bool> {
        if !self.ctx.facts.environment().jit_private_stack {
            return Ok(false);
        }
        let Some(facts) = self.ctx.facts.prog_type(self.ctx.spec.ty) else {
            return Ok(false);
        };
        match facts.private_stack {
            PrivateStack::No => Ok(false),
            PrivateStack::Yes => Ok(true),
            PrivateStack::IfRecursionChecked => Ok(self.ctx.checks_recursion()),
        }
    }

    /// Bytes that a subprogram's stack takes.
    fn rounded_depth(&self, subprog: usize) -> u32 {
        let depth = self.learned.subprogs[subprog].stack_depth;
        if self.ctx.facts.environment().jit {
            depth.next_multiple_of(16)
        } else {
            depth.max(1).next_multiple_of(32)
        }
    }

    /// Follows all call chains from a root (`check_max_stack_depth_subprog`).
    fn check_depth_from(
        &self,
        root: usize,
        private: bool,
        modes: &mut [Mode],
        followed: &mut Followed,
    ) -> Check<()> {
        let limits = self.ctx.facts.limits();
        let mut callers: Vec<Return> = Vec::new();
        let mut subprog = root;
        let mut depth = 0;
        let mut idx = self.ctx.subprogs[root].start;
        let mut entering = true;
        loop {
            if entering {
                depth += self.enter(subprog, private, depth, callers.len(), modes)?;
                entering = false;
            }
            let in_callback = self.is_callback(subprog)
                || callers
                    .iter()
                    .any(|caller| self.is_callback(caller.subprog));
            let key = |subprog, depth, callers| {
                let in_callback = in_callback || self.is_callback(subprog);
                (subprog, depth, callers, in_callback)
            };
            match self.next_callee(subprog, in_callback, &mut idx)? {
                Some(callee) if followed.contains(&key(callee, depth, callers.len() + 1)) => {}
                Some(callee) => {
                    callers.push(Return { idx, subprog });
                    if callers.len() >= limits.frames {
                        let frames = callers.len();
                        return Err(LimitViolation::CallChain { frames }.into());
                    }
                    subprog = callee;
                    idx = self.ctx.subprogs[callee].start;
                    entering = true;
                }
                None => {
                    if modes[subprog] != Mode::Private {
                        depth -= self.rounded_depth(subprog);
                    }
                    followed.insert(key(subprog, depth, callers.len()));
                    let Some(caller) = callers.pop() else {
                        return Ok(());
                    };
                    (idx, subprog) = (caller.idx, caller.subprog);
                }
            }
        }
    }

    /// Bytes that entering a subprogram adds to the chain.
    fn enter(
        &self,
        subprog: usize,
        private: bool,
        depth: u32,
        callers: usize,
        modes: &mut [Mode],
    ) -> Check<u32> {
        let limit = self.ctx.facts.limits().stack;
        if !private {
            modes[subprog] = Mode::Ordinary;
        }
        if subprog != 0 && self.ctx.subprogs[subprog].has_tail_call && depth >= TAIL_CALL_MAX {
            return Err(LimitViolation::TailCallStack { depth }.into());
        }
        let own = self.rounded_depth(subprog);
        if private && modes[subprog] == Mode::Unknown && own >= PRIVATE_MIN {
            modes[subprog] = Mode::Private;
        }
        if modes[subprog] == Mode::Private {
            if own > limit {
                return Err(LimitViolation::SubprogStack { subprog, size: own }.into());
            }
            return Ok(0);
        }
        if depth + own > limit {
            let (calls, size) = (callers + 1, depth + own);
            return Err(LimitViolation::CombinedStack { calls, size }.into());
        }
        Ok(own)
    }

    /// Whether somebody else than the program calls a subprogram.
    fn is_callback(&self, subprog: usize) -> bool {
        self.learned.subprogs[subprog].is_callback
            || self.ctx.subprogs[subprog].is_exception_callback
    }

    /// The next subprogram that this one calls or names, from `idx` on, which is moved behind it. No
    /// exception may pass through the kernel, so none is thrown in a callback.
    fn next_callee(
        &self,
        subprog: usize,
        in_callback: bool,
        idx: &mut InsnIdx,
    ) -> Check<Option<usize>> {
        while *idx < self.ctx.subprogs[subprog].end {
            let at = *idx;
            *idx += 1;
            let insn = self.ctx.insns[at];
            if in_callback && self.ctx.kfuncs.is_throw(insn) {
                return Err(KfuncViolation::ThrowInCallback { idx: at, subprog }.into());
            }
            let calls = insn.code == opcode::CALL && insn.src() == pseudo::CALL;
            let names = insn.is_ld_imm64() && insn.src() == pseudo::FUNC;
            if !calls && !names {
                continue;
            }
            let entry = usize::try_from(at as i64 + i64::from(insn.imm) + 1).ok();
            let Some(callee) = entry.and_then(|entry| self.ctx.subprog_at(entry)) else {
                return Err(Stop::undecided("a call that leads to no subprogram"));
            };
            if self.runs_later(callee) {
                // It runs later, on a stack of its own, unless it is called.
                if !calls {
                    continue;
                }
                if self.ctx.subprogs[callee].is_exception_callback {
                    return Err(LimitViolation::ExceptionCallbackCalled { idx: at }.into());
                }
            }
            return Ok(Some(callee));
        }
        Ok(None)
    }
}
