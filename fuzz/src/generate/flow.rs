//! Branches and loops.

use skep_isa::{AluOp, Insn, JmpOp, Operand, Reg, Size, Width};

use super::body::{Body, Label};
use super::model::{Model, Slot, Val};
use super::scalar::CONDITIONS;

/// Iterations of all surrounding loops together.
const MAX_ROUNDS: u32 = 600;

impl Body<'_> {
    /// Steps until the budget is used up or `count` are done.
    pub(super) fn block(&mut self, count: u32) {
        for _ in 0..count {
            if self.left <= 0 || !self.reached {
                return;
            }
            self.step();
        }
    }

    /// A jump on numbers whose two sides meet again, or one side fails.
    pub(super) fn step_branch(&mut self) {
        if self.nest > 3 {
            return;
        }
        let other = self.label();
        self.condition(other);
        self.nest += 1;
        let steps = self.rng.range(1, 4) as u32;
        let before = self.guard_pointers();
        self.block(steps);
        if self.rng.chance(60) {
            self.place(other);
        } else {
            let end = self.label();
            if self.reached {
                self.goto(end);
            }
            self.place(other);
            let steps = self.rng.range(1, 4) as u32;
            self.block(steps);
            self.place(end);
        }
        self.protect = before;
        self.nest -= 1;
    }

    /// Pointers mostly survive branches, so that they can be used where the paths meet.
    fn guard_pointers(&mut self) -> u16 {
        let regs = self.regs_with(Val::is_pointer);
        let saved: Vec<Reg> = regs
            .into_iter()
            .filter(|reg| reg.number() >= 6 && reg.number() < 10)
            .collect();
        if self.rng.chance(85) {
            self.guard(&saved)
        } else {
            self.protect
        }
    }

    /// A conditional jump on what is at hand.
    pub(super) fn condition(&mut self, label: Label) {
        let op = self.rng.pick(CONDITIONS);
        let width = self.width();
        if self.rng.chance(6)
            && let Some(reg) = self.reg_with(|val| val.is_pointer() && val != Val::PacketEnd)
        {
            // A pointer that cannot be NULL, compared with NULL or with another one.
            let op = self.rng.pick([JmpOp::Eq, JmpOp::Ne]);
            let src = match self.reg_with(Val::is_pointer) {
                Some(other) if self.rng.chance(40) => Operand::Reg(other),
                Some(_) | None => Operand::Imm(0),
            };
            self.jump(op, width, reg, src, label);
            return;
        }
        let reg = self.number();
        if self.rng.chance(35) {
            let before = self.guard(&[reg]);
            let other = self.number();
            self.protect = before;
            self.jump(op, width, reg, other.into(), label);
        } else {
            let imm = self.imm();
            self.jump(op, width, reg, imm.into(), label);
        }
    }

    /// A jump over what comes next, to where no block ends.
    pub(super) fn step_skip(&mut self) {
        if self.ahead.len() > 5 || self.holding || self.nest > 4 {
            return;
        }
        let label = self.label();
        self.condition(label);
        self.ahead.push(label);
    }

    /// Puts one of the labels here that are jumped to.
    pub(super) fn land(&mut self) {
        if self.holding || self.ahead.is_empty() {
            return;
        }
        let at = self.rng.index(self.ahead.len());
        let label = self.ahead.swap_remove(at);
        self.place(label);
    }

    /// Leaves the innermost loop.
    pub(super) fn step_break(&mut self) {
        if let Some(label) = self.ends.last().copied()
            && !self.holding
        {
            self.condition(label);
        }
    }

    /// A loop of some kind.
    pub(super) fn step_loop(&mut self) {
        if self.nest > 2 || self.left < 12 || self.rounds >= MAX_ROUNDS {
            return;
        }
        let end = self.label();
        self.ends.push(end);
        match self.rng.below(10) {
            0..=3 => self.counted(),
            4..=6 => self.data_bounded(),
            7 => self.counter_in_stack(),
            _ => self.budgeted(),
        }
        self.ends.pop();
        if self.is_wanted(end) {
            self.place(end);
        }
    }

    fn rounds_of(&mut self) -> u32 {
        let most = (MAX_ROUNDS / self.rounds.max(1)).max(2);
        let rounds = self.rng.pick([1, 2, 3, 4, 5, 8, 10, 16, 24, 40, 100]);
        // Programs that run into the limit take seconds: a few are enough.
        if self.rng.chance(2) && self.fault(4) {
            1_000_000
        } else {
            rounds.min(most)
        }
    }

    /// The loop's head: what changes in the loop is forgotten. Returns what was guarded before and the
    /// model at the head.
    fn head(&mut self, label: Label, fixed: &[Reg]) -> (u16, Model) {
        let pointers = self.regs_with(Val::is_pointer);
        let pointers: Vec<Reg> = pointers.into_iter().filter(|reg| *reg != Reg::FP).collect();
        // Whatever a call in the body would destroy is not relied on.
        let calls = self.rng.chance(50);
        if calls {
            let low: Vec<Reg> = pointers
                .iter()
                .copied()
                .filter(|r| r.number() < 6)
                .collect();
            for reg in low {
                let val = self.model.get(reg);
                if val == Val::Ctx && self.regs_with(|v| v == Val::Ctx).len() < 2 {
                    if let Some(saved) = self.free_saved() {
                        if fixed.contains(&saved) {
                            self.spill(reg);
                        } else {
                            self.mov(saved, reg);
                        }
                    } else {
                        self.spill(reg);
                    }
                }
            }
            for reg in Reg::CALLER_SAVED {
                if !fixed.contains(&reg) && self.protect >> reg.number() & 1 == 0 {
                    self.model.set(reg, Val::Uninit);
                }
            }
        }
        self.model.widen();
        self.place(label);
        let pointers = self.regs_with(|val| val.is_pointer());
        let pointers: Vec<Reg> = pointers.into_iter().filter(|reg| *reg != Reg::FP).collect();
        let before = self.guard(&pointers);
        self.guard(fixed);
        if !calls {
            // A bit that no register has keeps helpers out.
            self.protect |= 1;
        }
        (before, self.model.clone())
    }

    /// Before the jump back: what the head relies on holds again.
    fn restore(&mut self, head: &Model) {
        for reg in Reg::ALL {
            let (was, is) = (head.get(reg), self.model.get(reg));
            if was.is_num() && !is.is_num() && reg != Reg::FP {
                self.mov_imm(reg, 0);
            }
        }
        for n in 1..=64 {
            let off = -8 * n;
            let (was, is) = (head.slot(off), self.model.slot(off));
            match was {
                Slot::Spill(val) if was != is && val.is_pointer() => {
                    let regs = self.regs_with(|other| other == val);
                    if let Some(reg) = regs.first() {
                        self.store(Size::DW, Reg::FP, off, Operand::Reg(*reg));
                    }
                }
                Slot::Spill(val) if val.is_num() => {
                    if matches!(is, Slot::Spill(val) if !val.is_num()) {
                        self.store(Size::DW, Reg::FP, off, 0.into());
                    }
                }
                Slot::Empty | Slot::Misc | Slot::Spill(_) => {}
            }
        }
    }

    fn loop_body(&mut self, rounds: u32, before: u16) {
        let (outer, left) = (self.rounds, self.left);
        self.rounds = self.rounds.saturating_mul(rounds.clamp(1, MAX_ROUNDS));
        // Each branch in a loop may double the paths with every round.
        let depth = if rounds > 6 { 4 } else { 1 };
        self.nest += depth;
        let budget = if rounds > 6 { 8 } else { 20 };
        self.left = left.min(budget);
        let given = self.left;
        let steps = self.rng.range(0, 3) as u32;
        self.block(steps);
        self.left = left - (given - self.left);
        self.nest -= depth;
        self.rounds = outer;
        let _ = before;
    }

    /// `for (i = a; i < b; i += c)` with its test at the end.
    fn counted(&mut self) {
        let rounds = self.rounds_of();
        let counter = self.free();
        let step = self.rng.pick([1, 1, 1, 2, 3]);
        let total = (rounds as i32).saturating_mul(step);
        let down = self.rng.chance(30);
        self.mov_imm(counter, if down { total } else { 0 });
        let outer = self.guard(&[counter]);
        let head = self.label();
        let (_, model) = self.head(head, &[counter]);
        self.loop_body(rounds, outer);
        if !self.reached {
            self.protect = outer;
            return;
        }
        self.restore(&model);
        let width = self.width();
        if !self.fault(5) {
            let delta = if down { -step } else { step };
            self.alu(AluOp::Add, width, counter, delta.into());
        }
        let (op, limit) = if down {
            self.rng
                .pick([(JmpOp::Ne, 0), (JmpOp::SGt, 0), (JmpOp::Gt, 0)])
        } else {
            self.rng.pick([
                (JmpOp::Lt, total),
                (JmpOp::Ne, total),
                (JmpOp::SLt, total),
                (JmpOp::Le, total - 1),
                (JmpOp::SLe, total - 1),
            ])
        };
        self.jump_back(op, width, counter, limit.into(), head);
        self.protect = outer;
    }

    /// A jump to a label that lies before; nothing is remembered for it.
    fn jump_back(&mut self, op: JmpOp, width: Width, reg: Reg, src: Operand, head: Label) {
        self.left -= 1;
        match width {
            Width::W64 => self.out.jump(op, reg, src, head),
            Width::W32 => self.out.jump32(op, reg, src, head),
        };
        self.model.set(reg, Val::ANY);
    }

    fn go_back(&mut self, head: Label) {
        self.left -= 1;
        self.out.goto(head);
        self.reached = false;
    }

    /// The number of rounds is data with a bound, or a constant of a map.
    fn data_bounded(&mut self) {
        let most = self.rng.pick([3u64, 7, 15, 31]);
        let limit = if self.rng.chance(20) {
            self.constant_of_map()
        } else if self.rng.chance(3) && self.fault(6) {
            self.unknown()
        } else {
            self.bounded(most)
        };
        let limit = self.keep(limit);
        let outer = self.guard(&[limit]);
        let counter = self.free();
        self.mov_imm(counter, 0);
        self.guard(&[counter]);
        let (head, done) = (self.label(), self.label());
        let (_, model) = self.head(head, &[counter, limit]);
        let width = self.width();
        match self.rng.below(3) {
            0 => self.jump(JmpOp::Ge, width, counter, limit.into(), done),
            1 => self.jump(JmpOp::SGe, width, counter, limit.into(), done),
            _ => self.jump(JmpOp::Le, width, limit, counter.into(), done),
        }
        self.loop_body(most as u32 + 1, outer);
        if self.reached {
            self.restore(&model);
            self.alu(AluOp::Add, Width::W64, counter, 1.into());
            self.go_back(head);
        }
        self.place(done);
        self.protect = outer;
    }

    /// The counter lives in the stack.
    fn counter_in_stack(&mut self) {
        let rounds = self.rounds_of();
        let off = self.spill_slot();
        let size = self.rng.pick([Size::DW, Size::DW, Size::W]);
        self.store(size, Reg::FP, off, 0.into());
        let outer = self.protect;
        let head = self.label();
        let (_, model) = self.head(head, &[]);
        let kept = self.keep_slot(off);
        self.loop_body(rounds, outer);
        self.kept = kept;
        if !self.reached {
            self.protect = outer;
            return;
        }
        self.restore(&model);
        let counter = self.free();
        self.load(size, counter, Reg::FP, off, Val::ANY);
        self.alu(AluOp::Add, Width::W64, counter, 1.into());
        self.store(size, Reg::FP, off, counter.into());
        let width = self.width();
        self.jump_back(JmpOp::Lt, width, counter, (rounds as i32).into(), head);
        self.protect = outer;
    }

    /// A loop that `may_goto` ends.
    fn budgeted(&mut self) {
        let counter = self.free();
        self.mov_imm(counter, 0);
        let outer = self.protect;
        let keep = self.rng.chance(50);
        let fixed: Vec<Reg> = if keep { vec![counter] } else { Vec::new() };
        self.guard(&fixed);
        let (head, done) = (self.label(), self.label());
        let (_, model) = self.head(head, &fixed);
        if !self.fault(8) {
            self.may_goto(done);
        }
        self.loop_body(20, outer);
        if self.reached {
            self.restore(&model);
            if self.model.get(counter).is_num() && self.rng.chance(60) {
                self.alu(AluOp::Add, Width::W64, counter, 1.into());
                // A counter without a bound never looks the same again, and the walk has no end.
                if !self.rng.chance(1) {
                    let most = self.rng.pick([4, 16, 64]);
                    self.jump(JmpOp::Gt, Width::W64, counter, most.into(), done);
                }
            }
            self.go_back(head);
        }
        if self.is_wanted(done) {
            self.place(done);
        }
        self.protect = outer;
    }

    /// A jump far out of the program, into the middle of a load, to itself.
    pub(super) fn step_wild_jump(&mut self) {
        if !self.fault(15) {
            return;
        }
        let off = self
            .rng
            .pick([-1i16, 0, 1, 2, 3, -2, -5, 100, i16::MAX, i16::MIN]);
        let dst = self.number();
        let op = self.rng.pick(CONDITIONS);
        let insn = match self.rng.below(3) {
            0 => Insn::Goto {
                off: off.into(),
                far: false,
            },
            1 => Insn::MayGoto { off },
            _ => Insn::Jump {
                op,
                width: Width::W64,
                dst,
                src: Operand::Imm(0),
                off,
            },
        };
        self.emit(insn);
    }
}
