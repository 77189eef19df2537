//! The function being written: instructions, labels, the model at the current place, choices.
//!
//! Steps (in the other files) emit code through this and keep the model up to date. A *fault* is a
//! deliberate mistake: a step asks [`Body::fault`] where it could make one, and few programs make more
//! than one, so that what a verifier must find is hidden in otherwise correct code.

use skep_asm::Builder;
use skep_isa::{AluOp, CallTarget, Imm64, Insn, JmpOp, Operand, Reg, Size, Width};
use skep_spec::Facts;
use skep_spec::tables::Hook;

use super::Step;
use super::model::{MemKind, Model, Slot, Val};
use super::subprog::Function;
use crate::Rng;
use crate::catalogue::Catalogue;

/// A place in the code.
pub(super) type Label = u32;

/// A program under construction, and the function that is being written.
pub(super) struct Body<'g> {
    pub(super) rng: Rng,
    pub(super) out: Builder<'static>,
    pub(super) cat: &'g Catalogue,
    pub(super) facts: &'g Facts,
    pub(super) hook: Hook<'static>,
    /// Maps of the program, by index into the stock.
    pub(super) maps: Vec<usize>,
    /// Functions, the main one first.
    pub(super) functions: Vec<Function>,
    /// Deliberate mistakes still to be made.
    pub(super) faults: u32,
    /// The function that is being written.
    pub(super) function: usize,
    /// What holds here.
    pub(super) model: Model,
    /// Whether control comes here at all.
    pub(super) reached: bool,
    /// Where failing checks go.
    pub(super) fail: Label,
    /// Bit per register that must not be overwritten.
    pub(super) protect: u16,
    /// Bit per slot of the stack that must not be overwritten.
    pub(super) kept: u64,
    /// Instructions that the function may still get.
    pub(super) left: i32,
    /// Depth of branches and loops.
    pub(super) nest: u32,
    /// Times that the code here runs, at least.
    pub(super) rounds: u32,
    /// Bytes of stack that the function uses.
    pub(super) stack: i32,
    /// Every function begins by calling the next.
    pub(super) chained: bool,
    /// Kinds of steps and how often they are taken.
    pub(super) weights: Vec<(u32, Step)>,
    /// Labels that are jumped to and stand somewhere further on.
    pub(super) ahead: Vec<Label>,
    /// Where the surrounding loops end.
    pub(super) ends: Vec<Label>,
    /// A reference is held: no tail calls, no packet loads.
    pub(super) holding: bool,
    joins: Vec<(Label, Model)>,
    next_label: Label,
    next_id: u32,
}

impl<'g> Body<'g> {
    pub(super) fn new(
        rng: Rng,
        cat: &'g Catalogue,
        facts: &'g Facts,
        hook: Hook<'static>,
    ) -> Body<'g> {
        Body {
            rng,
            out: Builder::new(),
            cat,
            facts,
            hook,
            maps: Vec::new(),
            functions: Vec::new(),
            faults: 0,
            function: 0,
            model: Model::entry(&[]),
            reached: true,
            fail: 0,
            protect: 0,
            kept: 0,
            left: 0,
            nest: 0,
            rounds: 1,
            stack: 64,
            chained: false,
            weights: Vec::new(),
            ahead: Vec::new(),
            ends: Vec::new(),
            holding: false,
            joins: Vec::new(),
            next_label: 0,
            next_id: 0,
        }
    }

    /// Whether to make a deliberate mistake here.
    pub(super) fn fault(&mut self, percent: u32) -> bool {
        let now = self.faults > 0 && self.rng.chance(percent);
        self.faults -= u32::from(now);
        now
    }

    pub(super) fn label(&mut self) -> Label {
        self.next_label += 1;
        self.next_label
    }

    pub(super) fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    /// Appends an instruction; the model is the caller's business.
    pub(super) fn emit(&mut self, insn: Insn) {
        self.left -= 1;
        self.out.insn(insn);
    }

    fn join(&mut self, label: Label, model: Model) {
        match self.joins.iter_mut().find(|(of, _)| *of == label) {
            Some((_, known)) => known.meet(&model),
            None => self.joins.push((label, model)),
        }
    }

    /// `goto label`.
    pub(super) fn goto(&mut self, label: Label) {
        self.left -= 1;
        if self.rng.chance(3) {
            self.out.gotol(label);
        } else {
            self.out.goto(label);
        }
        let model = self.model.clone();
        self.join(label, model);
        self.reached = false;
    }

    /// `if dst op src goto label`; both sides learn what the model can express.
    pub(super) fn jump(&mut self, op: JmpOp, width: Width, dst: Reg, src: Operand, label: Label) {
        self.left -= 1;
        match width {
            Width::W64 => self.out.jump(op, dst, src, label),
            Width::W32 => self.out.jump32(op, dst, src, label),
        };
        let mut taken = self.model.clone();
        if let (Val::Num { lo, hi }, Operand::Imm(imm), Width::W64) =
            (self.model.get(dst), src, width)
        {
            let bound = imm as i64 as u64;
            taken.set(dst, refine(lo, hi, op, bound, true));
            self.model.set(dst, refine(lo, hi, op, bound, false));
        }
        self.join(label, taken);
    }

    /// `may_goto label`.
    pub(super) fn may_goto(&mut self, label: Label) {
        self.left -= 1;
        self.out.may_goto(label);
        let model = self.model.clone();
        self.join(label, model);
    }

    /// Puts a label here. A label that lies behind its jumps brings their models; one that nothing
    /// jumps to yet (a loop's head) keeps the current one.
    pub(super) fn place(&mut self, label: Label) {
        self.out.label(label);
        if let Some(at) = self.joins.iter().position(|(of, _)| *of == label) {
            let (_, model) = self.joins.swap_remove(at);
            if self.reached {
                self.model.meet(&model);
            } else {
                self.model = model;
            }
            self.reached = true;
        }
    }

    /// Whether something jumps to a label that is not placed yet.
    pub(super) fn is_wanted(&self, label: Label) -> bool {
        self.joins.iter().any(|(of, _)| *of == label)
    }

    /// `dst = src` in 64 bits.
    pub(super) fn mov(&mut self, dst: Reg, src: Reg) {
        self.emit(Insn::Alu {
            op: AluOp::Mov,
            width: Width::W64,
            dst,
            src: src.into(),
        });
        self.model.set(dst, self.model.get(src));
    }

    /// `dst = imm`.
    pub(super) fn mov_imm(&mut self, dst: Reg, imm: i32) {
        self.emit(Insn::Alu {
            op: AluOp::Mov,
            width: Width::W64,
            dst,
            src: imm.into(),
        });
        self.model.set(dst, Val::known(imm as i64 as u64));
    }

    /// `dst = imm ll`.
    pub(super) fn mov_imm64(&mut self, dst: Reg, value: u64) {
        self.left -= 1;
        self.emit(Insn::LoadImm64 {
            dst,
            imm: Imm64::Value(value),
        });
        self.model.set(dst, Val::known(value));
    }

    /// `dst op= imm` in 64 bits, for pointers too.
    pub(super) fn add_imm(&mut self, dst: Reg, imm: i32) {
        self.emit(Insn::Alu {
            op: AluOp::Add,
            width: Width::W64,
            dst,
            src: imm.into(),
        });
        let moved = match self.model.get(dst) {
            Val::Stack { lo, hi } => Val::Stack {
                lo: lo.saturating_add(imm),
                hi: hi.saturating_add(imm),
            },
            Val::Mem {
                kind,
                id,
                lo,
                hi,
                len,
                null,
            } => {
                let (lo, hi) = (lo.saturating_add(imm), hi.saturating_add(imm));
                Val::Mem {
                    kind,
                    id,
                    lo,
                    hi,
                    len,
                    null,
                }
            }
            Val::Packet { id, off, meta } => Val::Packet {
                id,
                off: off.saturating_add(imm),
                meta,
            },
            Val::Num { lo, hi } if lo == hi => Val::known(lo.wrapping_add(imm as i64 as u64)),
            Val::Num { lo, hi } if imm >= 0 && hi < 1 << 40 => Val::Num {
                lo: lo + imm as u64,
                hi: hi + imm as u64,
            },
            Val::Num { .. } => Val::ANY,
            Val::Uninit
            | Val::Ctx
            | Val::Map { .. }
            | Val::PacketEnd
            | Val::Sock { .. }
            | Val::Other => Val::Other,
        };
        self.model.set(dst, moved);
    }

    /// The program's index of a map of the stock.
    pub(super) fn map_index(&mut self, map: usize) -> i32 {
        let known = self.maps.iter().position(|of| *of == map);
        let at = known.unwrap_or_else(|| {
            self.maps.push(map);
            self.maps.len() - 1
        });
        at as i32
    }

    /// `dst = map ll`.
    pub(super) fn load_map(&mut self, dst: Reg, map: usize) {
        let index = self.map_index(map);
        self.left -= 1;
        self.emit(Insn::LoadImm64 {
            dst,
            imm: Imm64::Map(index),
        });
        self.model.set(dst, Val::Map { map });
    }

    /// `call helper`; R0 to R5 are gone, R0 gets `ret`.
    pub(super) fn call_helper(&mut self, id: u32, ret: Val) {
        self.emit(Insn::Call(CallTarget::Helper(id as i32)));
        self.model.clobber();
        self.model.set(Reg::R0, ret);
    }

    /// `dst = *(size *)(base + off)` with this result.
    pub(super) fn load(&mut self, size: Size, dst: Reg, base: Reg, off: i32, val: Val) {
        self.emit(Insn::Load {
            size,
            sign: false,
            dst,
            base,
            off: off as i16,
        });
        self.model.set(dst, val);
    }

    /// `*(size *)(base + off) = src`.
    pub(super) fn store(&mut self, size: Size, base: Reg, off: i32, src: Operand) {
        self.emit(Insn::Store {
            size,
            base,
            off: off as i16,
            src,
        });
        let val = match src {
            Operand::Reg(reg) => self.model.get(reg),
            Operand::Imm(imm) => Val::known(imm as i64 as u64),
        };
        self.stored(base, off, size.bytes(), val);
    }

    /// Remembers a store through a pointer.
    pub(super) fn stored(&mut self, base: Reg, off: i32, len: u32, val: Val) {
        if let Val::Stack { lo, hi } = self.model.get(base) {
            if lo == hi {
                self.model.store(lo.saturating_add(off), len, val);
            } else {
                let span = len
                    .saturating_add(hi.saturating_sub(lo).unsigned_abs())
                    .min(512);
                self.smear(lo.saturating_add(off), span);
            }
        }
    }

    /// Bytes of the stack become unknown one by one.
    pub(super) fn smear(&mut self, off: i32, len: u32) {
        for at in 0..len.min(512) {
            self.model.store(off.saturating_add(at as i32), 1, Val::ANY);
        }
    }

    /// Whether a register may be overwritten.
    fn is_free(&self, reg: Reg) -> bool {
        self.protect >> reg.number() & 1 == 0
    }

    /// How gladly a register is overwritten.
    fn worth(&self, reg: Reg) -> u32 {
        if !self.is_free(reg) {
            return 0;
        }
        match self.model.get(reg) {
            Val::Uninit | Val::Other => 12,
            Val::Num { .. } => 4,
            Val::Ctx if self.regs_with(|val| val == Val::Ctx).len() < 2 => 0,
            Val::Ctx
            | Val::Stack { .. }
            | Val::Map { .. }
            | Val::Mem { .. }
            | Val::Packet { .. }
            | Val::PacketEnd
            | Val::Sock { .. } => 1,
        }
    }

    fn free_of(&mut self, numbers: std::ops::RangeInclusive<usize>) -> Option<Reg> {
        let regs = Reg::ALL.get(numbers).unwrap_or_default();
        let list: Vec<_> = regs.iter().map(|reg| (self.worth(*reg), *reg)).collect();
        self.rng.weighted(&list).copied()
    }

    /// A register to write.
    pub(super) fn free(&mut self) -> Reg {
        self.free_of(0..=9).unwrap_or(Reg::R0)
    }

    /// A register to write that calls leave alone, if there is one.
    pub(super) fn free_saved(&mut self) -> Option<Reg> {
        self.free_of(6..=9)
    }

    /// Registers whose value is like that.
    pub(super) fn regs_with(&self, like: impl Fn(Val) -> bool) -> Vec<Reg> {
        let regs = Reg::ALL.iter().copied();
        regs.filter(|reg| like(self.model.get(*reg))).collect()
    }

    /// One of the registers whose value is like that.
    pub(super) fn reg_with(&mut self, like: impl Fn(Val) -> bool) -> Option<Reg> {
        let regs = self.regs_with(like);
        self.rng.choose(&regs).copied()
    }

    /// A register with the context: perhaps filled from a slot first.
    pub(super) fn ctx(&mut self) -> Option<Reg> {
        self.reg_with(|val| val == Val::Ctx)
            .or_else(|| self.fill_like(|val| val == Val::Ctx))
    }

    /// Loads a spilled value like that.
    pub(super) fn fill_like(&mut self, like: impl Fn(Val) -> bool) -> Option<Reg> {
        let slots = (1..=64).map(|n| -8 * n);
        let mut found: Vec<(i32, Val)> = Vec::new();
        for off in slots {
            if let Slot::Spill(val) = self.model.slot(off)
                && like(val)
            {
                found.push((off, val));
            }
        }
        let (off, val) = *self.rng.choose(&found)?;
        let dst = self.free();
        self.load(Size::DW, dst, Reg::FP, off, val);
        Some(dst)
    }

    /// Moves a value where calls leave it alone, if there is room; says where it is then.
    pub(super) fn keep(&mut self, reg: Reg) -> Reg {
        if reg.number() >= 6 {
            return reg;
        }
        match self.free_saved() {
            Some(saved) => {
                self.mov(saved, reg);
                saved
            }
            None => reg,
        }
    }

    /// Makes registers unwritable and says what the mask was.
    pub(super) fn guard(&mut self, regs: &[Reg]) -> u16 {
        let before = self.protect;
        for reg in regs {
            self.protect |= 1 << reg.number();
        }
        before
    }

    /// Makes the slot of an offset unwritable and says what the mask was.
    pub(super) fn keep_slot(&mut self, off: i32) -> u64 {
        let before = self.kept;
        self.kept |= slot_bit(off);
        before
    }

    /// Whether the slot of an offset had better be spared: something relies on it.
    pub(super) fn is_kept(&self, off: i32) -> bool {
        let pointer = matches!(self.model.slot(off), Slot::Spill(val) if val.is_pointer());
        pointer || self.kept & slot_bit(off) != 0
    }

    /// Bytes that may be accessed around a pointer: from the first to before the second.
    pub(super) fn window(&self, val: Val) -> Option<(i32, i32)> {
        match val {
            Val::Stack { lo, hi } => Some((-self.stack - lo, -hi)),
            Val::Mem {
                lo,
                hi,
                len,
                null: false,
                ..
            } => Some((-lo, len as i32 - hi)),
            Val::Packet { id, off, .. } => Some((-off, self.model.room(id) as i32 - off)),
            Val::Uninit
            | Val::Num { .. }
            | Val::Ctx
            | Val::Map { .. }
            | Val::Mem { .. }
            | Val::PacketEnd
            | Val::Sock { .. }
            | Val::Other => None,
        }
        .filter(|(from, to)| from < to)
    }

    /// The kind of memory behind a pointer.
    pub(super) fn mem_kind(val: Val) -> Option<MemKind> {
        if let Val::Mem { kind, .. } = val {
            Some(kind)
        } else {
            None
        }
    }
}

fn slot_bit(off: i32) -> u64 {
    let at = off.saturating_neg().saturating_sub(1).clamp(0, 511) / 8;
    1 << at
}

/// What an unsigned comparison with a constant says of a range.
fn refine(lo: u64, hi: u64, op: JmpOp, bound: u64, taken: bool) -> Val {
    let (mut l, mut h) = (lo, hi);
    match (op, taken) {
        (JmpOp::Gt, true) | (JmpOp::Le, false) => l = l.max(bound.saturating_add(1)),
        (JmpOp::Gt, false) | (JmpOp::Le, true) => h = h.min(bound),
        (JmpOp::Ge, true) | (JmpOp::Lt, false) => l = l.max(bound),
        (JmpOp::Ge, false) | (JmpOp::Lt, true) => h = h.min(bound.saturating_sub(1)),
        (JmpOp::Eq, true) | (JmpOp::Ne, false) => (l, h) = (l.max(bound), h.min(bound)),
        (JmpOp::Eq, false) | (JmpOp::Ne, true) => {}
        (JmpOp::Set | JmpOp::SGt | JmpOp::SGe | JmpOp::SLt | JmpOp::SLe, _) => {}
    }
    if l > h {
        Val::Num { lo, hi }
    } else {
        Val::Num { lo: l, hi: h }
    }
}
