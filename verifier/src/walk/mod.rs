//! Walks every path of the program in the kernel's order: last pushed, first taken up.
//!
//! `step` says what one instruction does to a path; this file decides what is walked next: the main
//! program first, then, one by one, the global subprograms that were called.

mod alu;
mod branch;
mod exit;
mod imm;
mod linked;
mod malformed;
mod nullness;
mod packet;
mod pointer_math;
mod step;

pub(crate) use nullness::lift_null;

use skep_isa::{InsnIdx, Reg, opcode};
use skep_spec::{Facts, ProgType, ProgramSpec};

use crate::env::Env;
use crate::learned::Learned;
use crate::number::Scalar;
use crate::prepare::{self, Ctx, GlobalArg};
use crate::prune::{Explored, HistoryFlags, LinkedRegs, Visited};
use crate::report::{self, LogState, StateView, Trace};
use crate::state::{BtfSource, Entry, Frame, Pointer, PtrFlags, Region, State, Value};
use crate::violation::{Check, LimitViolation, Stop, Unmodelled, WalkViolation};
use crate::{Accepted, Config, Rejection, Stats, Verdict};

/// Frames of ended paths that are kept for new ones.
const MAX_SPARES: usize = 16;

/// Where a path goes after an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// To the next slot.
    Fallthrough,
    /// To that slot.
    Goto(InsnIdx),
    /// Nowhere: the program ends.
    PathEnd,
}

/// Says what a kernel would answer to a load request.
///
/// `facts` are those of the kernel meant; `trace` receives the log in the kernel's own words as far
/// as its level asks for it. The answer depends on the arguments alone.
pub fn verify(
    spec: &ProgramSpec,
    facts: &Facts,
    config: &Config,
    trace: &mut dyn Trace,
) -> Verdict {
    let ctx = match prepare::prepare(spec, facts, config, trace) {
        Ok(ctx) => ctx,
        Err((stop, at)) => {
            report::log_unprepared(&stop, spec, facts, trace);
            return verdict_of(stop, at, Vec::new(), None, Stats::default());
        }
    };
    let mut env = Env::new(&ctx, trace);
    env.log_prepared();
    let result = env.walk_all();
    let stats = env.stats();
    match result {
        Ok(()) => {
            env.log_closing(&stats);
            let probe_loads = env.learned.probe_loads();
            let dead = env.dead();
            Verdict::Accepted(Accepted {
                stats,
                probe_loads,
                dead,
            })
        }
        Err(stop) => {
            // What comes after verification adds to the depths and drops dead subprograms.
            let stack_depths = env.learned.subprogs.iter().map(|s| s.stack_depth).collect();
            let stats = Stats {
                stack_depths,
                ..stats
            };
            if let Stop::Rejected(violation) = &stop {
                env.log_violation(violation);
            }
            env.log_closing(&stats);
            if !env.at_insn {
                return verdict_of(stop, None, Vec::new(), None, stats);
            }
            let state = Some(StateView::of(&env.state));
            verdict_of(stop, Some(env.state.insn_idx), env.path(), state, stats)
        }
    }
}

fn verdict_of(
    stop: Stop,
    at: Option<InsnIdx>,
    path: Vec<(InsnIdx, InsnIdx)>,
    state: Option<StateView>,
    stats: Stats,
) -> Verdict {
    match stop {
        Stop::Rejected(violation) => {
            let violation = *violation;
            Verdict::Rejected(Box::new(Rejection {
                at,
                violation,
                path,
                state,
                stats,
            }))
        }
        Stop::Undecided(feature) => Verdict::Undecided(Unmodelled { at, feature }),
    }
}

impl<'a> Env<'a> {
    fn new(ctx: &'a Ctx<'a>, trace: &'a mut dyn Trace) -> Env<'a> {
        let log_level = trace.level();
        let shows_states = trace.wants_states();
        let mut explored = Explored::new(ctx);
        if report::wants_prune_events(log_level) {
            explored.keep_events();
        }
        Env {
            ctx,
            state: State::new(Frame::new(0, 0, None), 0),
            learned: Learned::new(ctx.insns.len(), ctx.subprogs.len()),
            explored,
            pending: Vec::new(),
            spares: Vec::new(),
            trace,
            log_level,
            shows_states,
            log: LogState::default(),
            at_insn: false,
        }
    }

    fn walk_all(&mut self) -> Check<()> {
        self.walk_subprog(0)?;
        self.walk_global_subprogs()?;
        self.at_insn = false;
        self.check_after_walk()
    }

    /// Global subprograms are verified once each, if some path calls them, for any arguments that
    /// match their prototype (`do_check_subprogs`).
    fn walk_global_subprogs(&mut self) -> Check<()> {
        if self.ctx.spec.func_info.is_empty() {
            return Ok(());
        }
        for (index, subprog) in self.ctx.subprogs.iter().enumerate() {
            if subprog.is_exception_callback {
                self.learned.subprogs[index].called = true;
            }
        }
        // Each may call further ones, also such as come before it.
        loop {
            let mut found = false;
            for index in 1..self.ctx.subprogs.len() {
                let learned = self.learned.subprogs[index];
                if !self.ctx.subprogs[index].is_global || !learned.called || learned.verified {
                    continue;
                }
                self.walk_subprog(index)?;
                self.log_subprog_safe(index);
                self.learned.subprogs[index].verified = true;
                found = true;
            }
            if !found {
                return Ok(());
            }
        }
    }

    /// Walks the main program or a global subprogram from its entry (`do_check_common`).
    fn walk_subprog(&mut self, index: usize) -> Check<()> {
        self.at_insn = false;
        let start = self.ctx.subprogs[index].start;
        let mut frame = Frame::new(0, index, None);
        if index != 0 || self.ctx.spec.ty == ProgType::Ext {
            self.log_validating(index);
            self.set_arguments(index, &mut frame)?;
        } else {
            let context = Pointer::new(Region::Ctx, PtrFlags::empty());
            frame.regs[Reg::R1.index()] = Value::Pointer(context);
        }
        self.state = State::new(frame, start);
        self.state.in_sleepable = self.ctx.is_sleepable();
        self.reset_live_stack_callchain();
        self.walk_paths()?;
        self.log_subprog_done();
        self.explored.clear();
        Ok(())
    }

    fn set_arguments(&mut self, index: usize, frame: &mut Frame) -> Check<()> {
        let subprog = &self.ctx.subprogs[index];
        let args = match &subprog.args {
            Ok(args) => args,
            Err(violation) => return Err(violation.clone().into()),
        };
        if subprog.is_exception_callback {
            frame.entry = Entry::ExceptionCallback;
            if *args != [GlobalArg::Scalar] {
                return Err(WalkViolation::ExceptionCallbackArgument.into());
            }
        }
        for (reg, arg) in Reg::ARGS.into_iter().zip(args) {
            frame.regs[reg.index()] = self.argument(*arg)?;
        }
        Ok(())
    }

    fn argument(&mut self, arg: GlobalArg) -> Check<Value> {
        let flag = |set: bool, flag: PtrFlags| if set { flag } else { PtrFlags::empty() };
        Ok(match arg {
            GlobalArg::Scalar | GlobalArg::Arena => Value::scalar(Scalar::unknown()),
            GlobalArg::Ctx => Value::Pointer(Pointer::new(Region::Ctx, PtrFlags::empty())),
            GlobalArg::Mem {
                size,
                nullable,
                rdonly,
                untrusted,
            } => {
                let flags = flag(nullable, PtrFlags::MAYBE_NULL)
                    | flag(rdonly, PtrFlags::RDONLY)
                    | flag(untrusted, PtrFlags::UNTRUSTED);
                let mut pointer = Pointer::new(Region::Mem { size, dynptr_id: 0 }, flags);
                if nullable {
                    pointer.id = self.learned.next_id();
                }
                Value::Pointer(pointer)
            }
            GlobalArg::Btf {
                id,
                nullable,
                untrusted,
            } => {
                // A kernel that lacks the type refuses the calls.
                self.ctx.kernel_types()?;
                let flags = flag(nullable, PtrFlags::MAYBE_NULL)
                    | flag(untrusted, PtrFlags::UNTRUSTED)
                    | flag(!untrusted, PtrFlags::TRUSTED);
                let region = Region::Btf {
                    source: BtfSource::Kernel,
                    id,
                };
                let mut pointer = Pointer::new(region, flags);
                pointer.id = self.learned.next_id();
                Value::Pointer(pointer)
            }
            GlobalArg::Dynptr => self.const_dynptr(),
        })
    }

    /// Walks until no branch is pending (`do_check`).
    fn walk_paths(&mut self) -> Check<()> {
        let mut prev: Option<InsnIdx> = None;
        let mut resumed = false;
        loop {
            let idx = self.state.insn_idx;
            self.at_insn = true;
            if idx >= self.ctx.insns.len() {
                return Err(WalkViolation::OutOfProgram {
                    idx,
                    len: self.ctx.insns.len(),
                }
                .into());
            }
            self.count_insn()?;
            self.state.last_insn_idx = prev;
            let flow = self.ctx.flow[idx];
            let pruned = flow.prune_point && self.visit_prune_point()? == Visited::Pruned;
            if pruned {
                self.log_pruned(resumed);
            } else {
                if flow.jump_point {
                    self.push_history(HistoryFlags::NONE, LinkedRegs::NONE)?;
                }
                self.log_insn(resumed);
                if self.shows_states {
                    self.trace.state(idx, &StateView::of(&self.state));
                }
                self.learned.at(idx).seen = true;
                resumed = false;
                prev = Some(idx);
                self.reset_stack_write_marks(idx);
                let depth = self.state.curframe();
                let next = self.step()?;
                self.commit_stack_write_marks();
                // Returning from a subprogram is shown with the caller's whole state.
                resumed |=
                    self.state.curframe() < depth && self.ctx.insns[idx].code == opcode::EXIT;
                match next {
                    Next::Fallthrough => {
                        self.state.insn_idx = idx + 1;
                        continue;
                    }
                    Next::Goto(target) => {
                        self.state.insn_idx = target;
                        continue;
                    }
                    Next::PathEnd => {}
                }
            }
            self.close_path()?;
            self.update_live_stack();
            let Some(pending) = self.pending.pop() else {
                return Ok(());
            };
            self.resume(pending, &mut prev);
            resumed = true;
        }
    }

    fn resume(&mut self, pending: crate::env::Pending, prev: &mut Option<InsnIdx>) {
        self.log_rewind(pending.log_position);
        self.explored.effort.give_back(pending.bytes());
        let ended = std::mem::replace(&mut self.state, pending.state);
        if self.spares.len() < MAX_SPARES {
            self.spares.extend(ended.into_spare());
        }
        self.state.scratch_all();
        *prev = Some(pending.prev_idx);
    }

    fn count_insn(&mut self) -> Check<()> {
        self.explored.effort.check()?;
        self.learned.insns_processed += 1;
        let processed = self.learned.insns_processed;
        if processed > self.ctx.facts.limits().processed {
            return Err(LimitViolation::TooManyProcessed { processed }.into());
        }
        if self
            .ctx
            .config
            .max_processed
            .is_some_and(|max| processed > max)
        {
            return Err(Stop::undecided(
                "more instructions than the configured budget",
            ));
        }
        Ok(())
    }

    fn stats(&self) -> Stats {
        let counts = self.explored.counts();
        Stats {
            total_insns: self.learned.insns_processed,
            total_states: counts.total,
            peak_states: counts.peak,
            max_states_per_insn: counts.max_per_insn,
            stack_depths: self.stack_depths(),
        }
    }
}
