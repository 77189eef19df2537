//! Counted loops of sandboxed code: straight ones whose number of turns and whose addresses are known before
//! the first turn.
//!
//! Where a register goes up by the same step every turn until it meets a bound, and every address is a sum of
//! registers that do so or stay as they are, all turns are charged and the first and last address of each
//! kind checked at once. If that does, the loop runs without checks; if not, or if what was assumed does not
//! hold (the bound may lie behind), it runs with them, in code of its own behind the program.

use skep_isa::{AluOp, Insn, InsnIdx, JmpOp, Operand, Reg, Size, Width};

use super::effects::{EVERY, bit, effects};
use super::flow::Comparison;
use super::plan::Loop;
use super::{COUNT, Compiler, EXTRA, TEMP, host, state};
use crate::options::{Mode, Opt};
use crate::run::{ORIGIN, field};
use crate::x64::{Alu, Cond, Label, Mem, Shift, Wide};

/// How far the counting register may go in a loop.
const FAR: i32 = 1 << 28;
/// Largest offset from the registers of an address.
const OFFSET: i32 = 1 << 20;
/// Kinds of addresses that a loop may have.
const KINDS: usize = 4;

/// What a register holds in a turn: a sum of what registers held at its beginning, and a constant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Sum {
    /// One or two, in order.
    regs: [Option<Reg>; 2],
    add: i32,
}

impl Sum {
    fn of(reg: Reg) -> Sum {
        let regs = [Some(reg), None];
        Sum { regs, add: 0 }
    }

    fn plus(self, imm: i32) -> Option<Sum> {
        let add = self.add.checked_add(imm)?;
        Some(Sum { add, ..self })
    }

    fn sum(self, other: Sum) -> Option<Sum> {
        let ([Some(a), None], [Some(b), None]) = (self.regs, other.regs) else {
            return None;
        };
        let (first, second) = if a.index() <= b.index() {
            (a, b)
        } else {
            (b, a)
        };
        let regs = [Some(first), Some(second)];
        Sum {
            regs,
            add: self.add,
        }
        .plus(other.add)
    }
}

/// Addresses that are the same but for a constant.
#[derive(Clone, Copy, Debug)]
struct Kind {
    regs: [Option<Reg>; 2],
    /// The lowest and the highest constant.
    low: i32,
    high: i32,
}

/// A loop whose turns are known.
#[derive(Debug)]
pub(super) struct Counted {
    turn: Loop,
    /// The jump at its end, and the slot behind it.
    back: InsnIdx,
    next: InsnIdx,
    stays: (Comparison, bool),
    index: Reg,
    bound: Operand,
    /// By how much the index goes up in a turn: a power of two.
    step: i32,
    /// Kinds of addresses, and by how many steps they go up in a turn.
    kinds: Vec<(Kind, i32)>,
}

/// A counted loop with checks, which is compiled behind the program.
#[derive(Debug)]
pub(super) struct Slow {
    label: Label,
    counted: Counted,
}

impl Compiler<'_> {
    /// A straight loop from `turn.head` to the jump at `back`, if its turns are known.
    pub(super) fn counted(&self, turn: Loop, back: InsnIdx) -> Option<Counted> {
        if self.proved() || !self.has(Opt::HoistChecks) {
            return None;
        }
        let &Insn::Jump {
            op,
            width: Width::W64,
            dst: index,
            src: bound,
            off,
        } = self.insns.get(back)?
        else {
            return None;
        };
        let direct = self.target(back, off.into()) == turn.head;
        if !direct && !self.plan.is_inner(back + 1) {
            return None;
        }
        // It goes on where the comparison holds, or it does not.
        match (op, direct) {
            (JmpOp::Ne | JmpOp::Lt, true) | (JmpOp::Eq | JmpOp::Ge, false) => {}
            (
                JmpOp::Eq
                | JmpOp::Gt
                | JmpOp::Ge
                | JmpOp::Set
                | JmpOp::Ne
                | JmpOp::SGt
                | JmpOp::SGe
                | JmpOp::Lt
                | JmpOp::Le
                | JmpOp::SLt
                | JmpOp::SLe,
                _,
            ) => return None,
        }
        let mut kinds = Vec::new();
        let held = self.follow_turn(turn.head, back, &mut kinds)?;
        let step_of = |reg: Reg| {
            let sum = held.get(reg.index()).copied().flatten()?;
            (sum.regs == Sum::of(reg).regs).then_some(sum.add)
        };
        let step = step_of(index).filter(|step| *step > 0 && step.count_ones() == 1)?;
        if let Operand::Reg(bound) = bound
            && step_of(bound) != Some(0)
        {
            return None;
        }
        let mut steps = Vec::with_capacity(kinds.len());
        for kind in kinds {
            let mut stride = 0_i32;
            for reg in kind.regs.into_iter().flatten() {
                stride = stride.checked_add(step_of(reg)?)?;
            }
            let times = stride / step;
            let fits = stride % step == 0 && [0, 1, 2, 4, 8].contains(&times);
            let near = -OFFSET <= kind.low && kind.high <= OFFSET && stride <= OFFSET;
            if !(fits && near) {
                return None;
            }
            steps.push((kind, times));
        }
        Some(Counted {
            turn,
            back,
            next: back + if direct { 1 } else { 2 },
            stays: ((op, Width::W64, index, bound), direct),
            index,
            bound,
            step,
            kinds: steps,
        })
    }

    /// What registers hold at the end of a turn, as far as it is known, and the kinds of addresses that must
    /// be checked. None if one of them is unknown.
    fn follow_turn(
        &self,
        head: InsnIdx,
        back: InsnIdx,
        kinds: &mut Vec<Kind>,
    ) -> Option<[Option<Sum>; 11]> {
        let mut held = Reg::ALL.map(|reg| Some(Sum::of(reg)));
        for insn in self.insns.get(head..back)? {
            if !self.is_ordinary(insn) {
                return None;
            }
            if let Insn::Load {
                size, base, off, ..
            }
            | Insn::Store {
                size, base, off, ..
            } = *insn
            {
                self.note(&held, (size, base, off), kinds)?;
            }
            let written = written(&held, insn);
            let (_, defs) = effects(insn, Mode::Sandboxed);
            for reg in Reg::ALL {
                if defs & bit(reg) != 0 {
                    held[reg.index()] = written;
                }
            }
        }
        Some(held)
    }

    /// Notes an access that must be checked.
    fn note(
        &self,
        held: &[Option<Sum>; 11],
        (size, base, off): (Size, Reg, i16),
        kinds: &mut Vec<Kind>,
    ) -> Option<()> {
        if self.is_in_frame(size, base, off) {
            return Some(());
        }
        let Sum { regs, add } = held[base.index()]?.plus(off.into())?;
        match kinds.iter_mut().find(|kind| kind.regs == regs) {
            Some(kind) => (kind.low, kind.high) = (kind.low.min(add), kind.high.max(add)),
            None => kinds.push(Kind {
                regs,
                low: add,
                high: add,
            }),
        }
        (kinds.len() <= KINDS).then_some(())
    }

    /// Compiles a counted loop; gives the slot that comes next.
    pub(super) fn counted_loop(&mut self, counted: Counted) -> InsnIdx {
        let (slow, top) = (self.asm.label(), self.asm.label());
        self.asm.bind_slot(counted.turn.head);
        self.enter_counted(&counted, slow);
        if self.has(Opt::AlignLoops) {
            self.asm.align();
        }
        self.asm.bind(top);
        self.unchecked = true;
        self.loop_body(counted.turn.head, counted.back);
        self.unchecked = false;
        self.asm.bind_slot(counted.back);
        self.stay(&counted, top);
        let next = counted.next;
        let label = slow;
        self.slow.push(Slow { label, counted });
        next
    }

    /// Goes on with the next turn, if there is one.
    fn stay(&mut self, counted: &Counted, top: Label) {
        let (comparison, direct) = counted.stays;
        let cond = self.compare(comparison);
        self.asm.jcc(if direct { cond } else { cond.not() }, top);
    }

    /// Charges and checks all turns, or goes to where each is charged and checked by itself.
    fn enter_counted(&mut self, counted: &Counted, slow: Label) {
        let index = host(counted.index);
        match counted.bound {
            Operand::Imm(imm) => self.asm.mov_r_i(COUNT, i64::from(imm).cast_unsigned()),
            Operand::Reg(reg) => self.asm.mov_r_r(Wide::Q, COUNT, host(reg)),
        }
        // How far the index goes.
        self.asm.alu_rm_r(Alu::Sub, Wide::Q, COUNT, index);
        self.asm.lea(Wide::Q, TEMP, Mem::new(COUNT, -1));
        self.asm.alu_rm_i(Alu::Cmp, Wide::Q, TEMP, FAR - 1);
        self.asm.jcc(Cond::A, slow);
        if counted.step > 1 {
            self.asm.test_r_i(Wide::D, COUNT, counted.step - 1);
            self.asm.jcc(Cond::Ne, slow);
        }
        for &(kind, times) in &counted.kinds {
            let disp = kind.low - ORIGIN as i32;
            let first = match kind.regs {
                [Some(a), Some(b)] => Mem::indexed(host(a), host(b), 0, disp),
                [Some(reg), None] | [None, Some(reg)] => Mem::new(host(reg), disp),
                [None, None] => continue,
            };
            self.asm.lea(Wide::Q, TEMP, first);
            self.asm
                .alu_r_m(Alu::Cmp, Wide::Q, TEMP, state(field::LAST));
            self.asm.jcc(Cond::A, slow);
            let (apart, scale) = (kind.high - kind.low, times.trailing_zeros() as u8);
            let last = match (times, apart) {
                (0, 0) => continue,
                (0, _) => Mem::new(TEMP, apart),
                // The last turn begins a step before the bound.
                _ => Mem::indexed(TEMP, COUNT, scale, apart - times * counted.step),
            };
            self.asm.lea(Wide::Q, TEMP, last);
            self.asm
                .alu_r_m(Alu::Cmp, Wide::Q, TEMP, state(field::LAST));
            self.asm.jcc(Cond::A, slow);
        }
        let turns = counted.step.trailing_zeros() as u8;
        if turns > 0 {
            self.asm.shift_i(Shift::Shr, Wide::Q, COUNT, turns);
        }
        let slots = i32::try_from(counted.turn.slots).unwrap_or(i32::MAX);
        self.asm.imul_r_r_i(Wide::Q, COUNT, COUNT, slots);
        self.asm.alu_rm_r(Alu::Cmp, Wide::Q, EXTRA, COUNT);
        self.asm.jcc(Cond::B, slow);
        self.asm.alu_rm_r(Alu::Sub, Wide::Q, EXTRA, COUNT);
    }

    /// The loops with checks.
    pub(super) fn slow_code(&mut self) {
        for Slow { label, counted } in std::mem::take(&mut self.slow) {
            self.checked.forget(EVERY);
            self.asm.bind(label);
            let (turn, insns) = (counted.turn, self.insns);
            self.owed = Some(turn);
            let mut idx = turn.head;
            while let Some(insn) = insns.get(idx) {
                if let Some(turn) = self.owed {
                    self.settle(turn, idx, insn);
                }
                if idx >= counted.back {
                    break;
                }
                idx += self.any_step(idx, insn).slots();
            }
            self.stay(&counted, label);
            let next = self.slot(counted.next);
            self.asm.jmp(next);
        }
    }
}

/// What an instruction puts into the register that it writes.
fn written(held: &[Option<Sum>; 11], insn: &Insn) -> Option<Sum> {
    let Insn::Alu {
        op,
        width: Width::W64,
        dst,
        src,
    } = *insn
    else {
        return None;
    };
    match (op, src) {
        (AluOp::Mov, Operand::Reg(src)) => held[src.index()],
        (AluOp::Add, Operand::Imm(imm)) => held[dst.index()]?.plus(imm),
        (AluOp::Add, Operand::Reg(src)) => held[dst.index()]?.sum(held[src.index()]?),
        (_, Operand::Reg(_) | Operand::Imm(_)) => None,
    }
}
