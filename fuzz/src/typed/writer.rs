//! Writing a typed program: values find homes, functions are planned and written, ends are put right.

use skep_asm::Builder;
use skep_btf::TypeId;
use skep_isa::{AluOp, Imm64, Insn, JmpOp, Reg, Size};
use skep_spec::tables::Hook;
use skep_spec::tables::helper::HelperFlags;
use skep_spec::tables::helpers::named;
use skep_spec::tables::kfunc::{KfuncAccess, KfuncFlags};
use skep_spec::{AttachType, Facts, ProgType};

use super::arg::{self, Arg};
use super::homes::slot_off;
use super::model::{HOMES, Held, Model, Obj, SCRATCH, SLOTS, Section, Val};
use super::stock::Stock;
use crate::Rng;

/// What a function is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Main,
    Sub,
    Global,
    Callback,
}

/// A function of the program.
#[derive(Clone, Debug)]
pub(super) struct Function {
    pub(super) label: u32,
    pub(super) kind: Kind,
    pub(super) type_id: u32,
    pub(super) args: Vec<Val>,
    pub(super) start: u32,
    pub(super) size: i32,
}

#[derive(Debug)]
pub(super) struct Writer<'s> {
    pub(super) rng: Rng,
    pub(super) stock: &'s Stock,
    facts: &'s Facts,
    hook: Hook<'s>,
    pub(super) ty: ProgType,
    pub(super) attach: AttachType,
    pub(super) faults: i32,
    pub(super) out: Builder<'static>,
    pub(super) maps: Vec<usize>,
    pub(super) functions: Vec<Function>,
    /// Whether its functions use much of the stack.
    deep: bool,
    pub(super) args: Vec<Arg>,
    pub(super) model: Model,
    pub(super) kind: Kind,
    pub(super) left: i32,
    pub(super) nest: u32,
    /// Weights of the steps of this program.
    pub(super) weights: Vec<(u32, Step)>,
    next_label: u32,
    next_id: u32,
}

/// A kind of step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Arg,
    Walk,
    Check,
    Source,
    Acquire,
    Release,
    Use,
    Kfunc,
    Kptr,
    Storage,
    Section,
    Lock,
    Callback,
    Timer,
    Global,
    Sub,
    Branch,
    Loop,
    Move,
    Noise,
    Store,
}

const STEPS: &[(u32, Step)] = &[
    (10, Step::Arg),
    (18, Step::Walk),
    (12, Step::Check),
    (6, Step::Source),
    (9, Step::Acquire),
    (6, Step::Release),
    (8, Step::Use),
    (7, Step::Kfunc),
    (6, Step::Kptr),
    (5, Step::Storage),
    (5, Step::Section),
    (5, Step::Lock),
    (4, Step::Callback),
    (2, Step::Timer),
    (3, Step::Global),
    (3, Step::Sub),
    (7, Step::Branch),
    (2, Step::Loop),
    (5, Step::Move),
    (4, Step::Noise),
    (4, Step::Store),
];

/// What a program is mostly made of.
const TASTES: &[&[Step]] = &[
    &[],
    &[Step::Walk, Step::Arg, Step::Move],
    &[Step::Acquire, Step::Release, Step::Check, Step::Branch],
    &[Step::Kptr, Step::Check, Step::Kfunc],
    &[Step::Section, Step::Walk, Step::Kfunc],
    &[Step::Lock, Step::Branch, Step::Store],
    &[Step::Callback, Step::Sub, Step::Global],
    &[Step::Storage, Step::Source, Step::Walk],
    &[Step::Timer, Step::Callback],
    &[Step::Use, Step::Arg, Step::Source],
];

impl<'s> Writer<'s> {
    pub(super) fn new(
        mut rng: Rng,
        stock: &'s Stock,
        facts: &'s Facts,
        (ty, attach, sleepable): (ProgType, AttachType, bool),
        target: TypeId,
        faults: i32,
    ) -> Writer<'s> {
        let taste = rng.choose(TASTES).copied().unwrap_or_default();
        let weights = STEPS
            .iter()
            .map(|(weight, step)| {
                (
                    if taste.contains(step) {
                        weight * 6
                    } else {
                        *weight
                    },
                    *step,
                )
            })
            .collect();
        let args = arg::arguments(stock, ty, attach, target);
        let named = stock.kernel.ty(target).map_or("", |ty| ty.name());
        let target = named.strip_prefix("btf_trace_").unwrap_or(named);
        let hook = Hook {
            sleepable,
            target,
            ..Hook::new(ty, attach)
        };
        Writer {
            rng,
            stock,
            facts,
            hook,
            ty,
            attach,
            faults,
            out: Builder::new(),
            maps: Vec::new(),
            functions: Vec::new(),
            deep: false,
            args,
            model: Model::new(),
            kind: Kind::Main,
            left: 0,
            nest: 0,
            weights,
            next_label: 0,
            next_id: 0,
        }
    }

    /// Writes the main function and all that it came to need.
    pub(super) fn program(&mut self, size: i32) {
        let main = self.stock.funcs.main;
        self.deep = self.rng.chance(5);
        self.plan(Kind::Main, main, vec![Val::Ctx], size);
        let mut next = 0;
        while let Some(function) = self.functions.get(next).cloned() {
            if let Some(this) = self.functions.get_mut(next) {
                this.start = self.out.slots() as u32;
            }
            self.function(&function);
            next += 1;
        }
    }

    /// Plans a function; its label.
    pub(super) fn plan(&mut self, kind: Kind, type_id: u32, args: Vec<Val>, size: i32) -> u32 {
        let label = self.label();
        self.functions.push(Function {
            label,
            kind,
            type_id,
            args,
            start: 0,
            size,
        });
        label
    }

    fn function(&mut self, function: &Function) {
        self.out.label(function.label);
        self.model = Model::new();
        self.kind = function.kind;
        self.left = function.size;
        self.nest = 0;
        for (at, val) in function.args.iter().enumerate().take(3) {
            if let (Some(home), Some(arg)) = (HOMES.get(at), Reg::ARGS.get(at)) {
                self.out.mov(*home, *arg);
                self.model.regs[at] = *val;
            }
        }
        if self.deep {
            let off = -8 * self.rng.range(12, 36) as i16;
            self.out.store(Size::DW, Reg::FP, off, 0);
        }
        while self.left > 0 {
            self.step();
        }
        self.end();
    }

    /// Gives back what is held, leaves sections, and returns.
    pub(super) fn end(&mut self) {
        self.settle(0, 0);
        self.result();
        self.out.exit();
    }

    /// Gives back references but the first `held`, and leaves sections but the first `sections`.
    pub(super) fn settle(&mut self, held: usize, sections: usize) {
        while self.model.sections.len() > sections {
            let last = self.model.sections.len() - 1;
            if self.fault(10) {
                self.model.sections.remove(last);
            } else {
                self.leave(last);
            }
        }
        while let Some(last) = self
            .model
            .held
            .get(held..)
            .and_then(|open| open.last())
            .copied()
        {
            if self.fault(10) {
                self.model.held.retain(|other| *other != last);
            } else {
                self.give_back(last);
            }
        }
    }

    /// The value to return.
    fn result(&mut self) {
        let wrong = self.fault(6);
        match (self.kind, wrong) {
            (Kind::Callback, false) => {
                let result = self.rng.pick([0, 0, 0, 1]);
                self.out.mov(Reg::R0, result);
            }
            (_, false) => {
                let result = if self.ty == ProgType::CgroupSock {
                    1
                } else {
                    0
                };
                self.out.mov(Reg::R0, result);
            }
            (_, true) => {
                let result = self.rng.pick([1, 2, -1, 7, -4096, 1 << 20]);
                self.out.mov(Reg::R0, result);
            }
        }
    }

    fn step(&mut self) {
        self.left -= 1;
        let Some(step) = self.rng.weighted(&self.weights).copied() else {
            return;
        };
        match step {
            Step::Arg => self.step_arg(),
            Step::Walk => self.step_walk(),
            Step::Check => self.step_check(),
            Step::Source => self.step_source(),
            Step::Acquire => self.step_acquire(),
            Step::Release => self.step_release(),
            Step::Use => self.step_use(),
            Step::Kfunc => self.step_kfunc(),
            Step::Kptr => self.step_kptr(),
            Step::Storage => self.step_storage(),
            Step::Section => self.step_section(),
            Step::Lock => self.step_lock(),
            Step::Callback => self.step_callback(),
            Step::Timer => self.step_timer(),
            Step::Global => self.step_global(),
            Step::Sub => self.step_sub(),
            Step::Branch => self.step_branch(),
            Step::Loop => self.step_loop(),
            Step::Move => self.step_move(),
            Step::Noise => self.step_noise(),
            Step::Store => self.step_store(),
        }
    }

    /// Steps that leave references and sections as they found them.
    pub(super) fn nested(&mut self, steps: i32) {
        let (held, sections) = (self.model.held.len(), self.model.sections.len());
        let outer = std::mem::replace(&mut self.left, steps);
        self.nest += 1;
        while self.left > 0 {
            self.step();
        }
        self.settle(held, sections);
        self.nest -= 1;
        self.left = outer - steps / 2;
    }

    /// Whether to make a mistake here.
    pub(super) fn fault(&mut self, percent: u32) -> bool {
        let now = self.faults > 0 && self.rng.chance(percent);
        self.faults -= i32::from(now);
        now
    }

    pub(super) fn label(&mut self) -> u32 {
        self.next_label += 1;
        self.next_label
    }

    pub(super) fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    /// Whether such programs may call a helper or kernel function; at times it is called all the same.
    pub(super) fn can(&mut self, name: &str) -> bool {
        let allowed = match named(name) {
            Some(row) => {
                let proto = self.facts.helper(&self.hook, row.id);
                proto.is_some_and(|proto| {
                    self.hook.sleepable || !proto.flags.contains(HelperFlags::MIGHT_SLEEP)
                })
            }
            None => match self.facts.kfunc(&self.hook, name) {
                KfuncAccess::Allowed(row) => {
                    self.hook.sleepable || !row.flags.contains(KfuncFlags::SLEEPABLE)
                }
                KfuncAccess::Refused | KfuncAccess::Unknown => false,
            },
        };
        allowed || self.fault(4)
    }

    /// Whether such programs may lock and time objects in maps.
    pub(super) fn can_lock(&mut self) -> bool {
        let tracing = self.facts.prog_type(self.ty).is_some_and(|row| row.tracing);
        !tracing || self.fault(4)
    }

    pub(super) fn helper(&mut self, name: &str) {
        let id = named(name).map_or(0, |row| row.id);
        self.out.call_helper(id.cast_signed());
    }

    /// Calls a kernel function, if this kernel has it.
    pub(super) fn kfunc(&mut self, name: &str) -> bool {
        let Some(id) = self.stock.kfunc(name) else {
            return false;
        };
        self.out.call_kfunc(id);
        true
    }

    /// `dst = map`.
    pub(super) fn map(&mut self, dst: Reg, map: usize) {
        let index = self.maps.iter().position(|known| *known == map);
        let index = index.unwrap_or_else(|| {
            self.maps.push(map);
            self.maps.len() - 1
        });
        self.out.map(dst, index as i32);
    }

    pub(super) fn variable(&mut self, dst: Reg, id: TypeId) {
        let imm = Imm64::BtfVar {
            id: id.0.cast_signed(),
            btf_fd: 0,
        };
        self.out.insn(Insn::LoadImm64 { dst, imm });
    }

    /// A new reference.
    pub(super) fn hold(&mut self, obj: Obj) -> u32 {
        let id = self.id();
        self.model.held.push(Held { id, obj });
        id
    }

    /// Registers that calls destroy hold nothing here: only homes and the frame count.
    pub(super) fn step_branch(&mut self) {
        if self.nest > 2 {
            return;
        }
        let skip = self.label();
        let op = self
            .rng
            .pick([JmpOp::Eq, JmpOp::Ne, JmpOp::Gt, JmpOp::SLt, JmpOp::Set]);
        let cond = self.number();
        let imm = self.rng.pick([0, 1, 7, 100, -1]);
        self.out.jump(op, cond, imm, skip);
        let before = self.model.clone();
        let steps = self.rng.pick([1, 2, 3]);
        self.nested(steps);
        if self.rng.chance(30) && self.nest == 0 {
            let other = self.label();
            let then = std::mem::replace(&mut self.model, before);
            self.out.goto(other).label(skip);
            let steps = self.rng.pick([1, 2]);
            self.nested(steps);
            self.model.meet(&then);
            self.out.label(other);
        } else {
            self.model.meet(&before);
            self.out.label(skip);
        }
    }

    pub(super) fn step_loop(&mut self) {
        if self.nest > 1 {
            return;
        }
        let (head, out) = (self.label(), self.label());
        let rounds = self.rng.pick([2, 3, 5]);
        let counter = SCRATCH as i16;
        self.out.store(Size::DW, Reg::FP, counter, 0).label(head);
        // What changes in the body holds nothing at the next round's start.
        let before = self.model.clone();
        self.model.slots = [Val::Nothing; SLOTS];
        for at in 0..4 {
            if self.model.regs[at].held() == 0 && self.model.regs[at] != Val::Ctx {
                self.model.regs[at] = Val::Nothing;
            }
        }
        self.out.load(Size::DW, Reg::R1, Reg::FP, counter);
        self.out.jump(JmpOp::Ge, Reg::R1, rounds, out);
        self.out.alu(AluOp::Add, Reg::R1, 1);
        self.out.store(Size::DW, Reg::FP, counter, Reg::R1);
        self.nested(2);
        self.out.goto(head).label(out);
        self.model.meet(&before);
    }

    /// A register with a number, not among the homes.
    pub(super) fn number(&mut self) -> Reg {
        if let Some(at) = (0..4).find(|at| self.model.regs[*at] == Val::Num)
            && self.rng.chance(80)
        {
            return HOMES[at];
        }
        let name = self.rng.pick(["get_prandom_u32", "ktime_get_ns"]);
        let locked = self
            .model
            .sections
            .iter()
            .any(|s| matches!(s, Section::Lock(_)));
        if locked && !self.rng.chance(5) {
            self.out.mov(Reg::R0, 3);
        } else {
            self.helper(name);
        }
        Reg::R0
    }

    pub(super) fn step_move(&mut self) {
        let Some(at) = self.any() else { return };
        match self.rng.below(3) {
            0 => {
                let slot = self.rng.index(SLOTS);
                if self.model.slots[slot].held() == 0 {
                    self.spill(at, slot);
                }
            }
            1 => {
                let val = self.model.regs[at];
                self.keep(HOMES[at], val);
            }
            _ => {
                let slot = self.rng.index(SLOTS);
                if self.model.slots[slot] != Val::Nothing {
                    let val = self.model.slots[slot];
                    let at = self.home();
                    if self.model.slots[slot] == val {
                        self.out.load(Size::DW, HOMES[at], Reg::FP, slot_off(slot));
                        self.model.regs[at] = val;
                    }
                }
            }
        }
    }

    pub(super) fn step_noise(&mut self) {
        let num = self.number();
        let at = self.keep(num, Val::Num);
        let op = self
            .rng
            .pick([AluOp::Add, AluOp::And, AluOp::Lsh, AluOp::Xor]);
        let imm = self.rng.pick([1, 3, 7, 15]);
        self.out.alu(op, HOMES[at], imm);
    }
}
