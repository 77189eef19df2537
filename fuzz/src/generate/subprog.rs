//! Subprograms: static ones that see their caller's values, global ones with a contract, callbacks.

use skep_isa::{Reg, Size};
use skep_spec::MapSpec;

use super::body::{Body, Label};
use super::model::{MemKind, Model, Val};
use crate::catalogue::GlobalArg;

/// What a function is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// The program's first.
    Main,
    /// Verified with its callers.
    Static,
    /// Verified by itself; index into the stock's functions.
    Global(usize),
    /// Called by a helper.
    Callback,
}

/// A function of the program.
#[derive(Clone, Debug)]
pub(super) struct Function {
    pub(super) label: Label,
    pub(super) kind: Kind,
    /// What it is called with.
    pub(super) args: Vec<Val>,
    /// Bytes of packet behind those arguments that are packet pointers.
    pub(super) rooms: Vec<(u32, u32)>,
    /// BTF id of its type, where the program has function information.
    pub(super) type_id: u32,
    /// Times that it runs, at least.
    pub(super) rounds: u32,
    /// The argument that it returns; else a number.
    pub(super) returns: Option<usize>,
    /// Its first slot, once it is written.
    pub(super) start: u32,
}

/// A callback's address, and whether it is given a pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Callback {
    pub(super) label: Label,
    pub(super) ctx: bool,
}

/// Functions of one program, as a rule.
const MOST: usize = 8;
/// Functions of a program whose functions call each other in a chain.
const CHAIN: usize = 11;

impl Body<'_> {
    /// Writes the main function and all that it came to need.
    pub(super) fn functions(&mut self, size: i32) {
        let main = self.label();
        let types = self.cat.mains.clone();
        let type_id = self.rng.choose(&types).copied().unwrap_or(0);
        self.functions.push(Function {
            label: main,
            kind: Kind::Main,
            args: vec![Val::Ctx],
            rooms: Vec::new(),
            type_id,
            rounds: 1,
            returns: None,
            start: 0,
        });
        let mut next = 0;
        while let Some(function) = self.functions.get(next).cloned() {
            self.function = next;
            let share = if next == 0 {
                size
            } else {
                (size / 4).clamp(4, 40)
            };
            self.write(&function, share);
            next += 1;
        }
    }

    fn write(&mut self, function: &Function, size: i32) {
        if let Some(this) = self.functions.get_mut(self.function) {
            this.start = self.out.slots() as u32;
        }
        self.model = Model::entry(&function.args);
        for (id, room) in &function.rooms {
            self.model.set_room(*id, *room);
        }
        self.reached = true;
        self.fail = self.label();
        self.protect = 0;
        self.kept = 0;
        self.nest = 0;
        self.rounds = function.rounds;
        self.holding = false;
        self.left = size;
        self.stack = match function.kind {
            Kind::Main => self.rng.pick([32, 64, 64, 128, 128, 256, 384, 512]),
            Kind::Static | Kind::Global(_) | Kind::Callback => {
                self.rng.pick([8, 16, 32, 32, 64, 96, 200])
            }
        };
        self.place(function.label);
        if self.chained && self.functions.len() < CHAIN {
            self.call_static();
        }
        let returned = function.returns.and_then(|at| Reg::ARGS.get(at).copied());
        let returned = returned.map(|reg| self.keep(reg));
        if let Some(reg) = returned {
            self.guard(&[reg]);
        }
        if function.kind == Kind::Main && self.rng.chance(75) {
            self.keep(Reg::R1);
        }
        while self.left > 0 && self.reached {
            self.step();
            if !self.reached {
                self.land();
            }
        }
        while let Some(label) = self.ahead.pop() {
            self.place(label);
        }
        self.finish(function, returned);
    }

    /// The returns of the ordinary and of the failing path.
    fn finish(&mut self, function: &Function, returned: Option<Reg>) {
        let callback = function.kind == Kind::Callback;
        if self.reached {
            match returned {
                Some(reg) => self.mov(Reg::R0, reg),
                None if callback => self.callback_result(),
                None => self.return_value(),
            }
            if !self.fault(3) {
                self.emit(skep_isa::Insn::Exit);
            }
        }
        if self.is_wanted(self.fail) {
            let fail = self.fail;
            self.place(fail);
            match returned {
                Some(reg) if self.model.get(reg).is_init() => self.mov(Reg::R0, reg),
                Some(_) | None if callback => self.mov_imm(Reg::R0, 1),
                Some(_) | None => {
                    let faults = std::mem::take(&mut self.faults);
                    self.return_value();
                    self.faults = faults;
                }
            }
            self.emit(skep_isa::Insn::Exit);
        }
    }

    fn callback_result(&mut self) {
        if self.fault(8) {
            let wrong = self.rng.pick([2, -1, 1 << 20]);
            self.mov_imm(Reg::R0, wrong);
        } else if self.rng.chance(20) {
            let num = self.number();
            self.mov(Reg::R0, num);
            self.alu(
                skep_isa::AluOp::And,
                skep_isa::Width::W64,
                Reg::R0,
                1.into(),
            );
        } else {
            let result = self.rng.pick([0, 0, 0, 1]);
            self.mov_imm(Reg::R0, result);
        }
    }

    /// Plans a function that a helper calls.
    pub(super) fn new_callback(&mut self, helper: u32, map: Option<&MapSpec>) -> Option<Callback> {
        let label = self.label();
        let ctx = self.rng.chance(70);
        let id = self.id();
        let given = if ctx {
            Val::Mem {
                kind: MemKind::Caller,
                id,
                lo: 0,
                hi: 0,
                len: 16,
                null: false,
            }
        } else {
            Val::known(0)
        };
        let args = match helper {
            181 => vec![Val::ANY, given],
            164 => {
                let map = map?;
                let (key, value) = (self.id(), self.id());
                let mem = |kind, id, len| Val::Mem {
                    kind,
                    id,
                    lo: 0,
                    hi: 0,
                    len,
                    null: false,
                };
                let kind = MemKind::Value {
                    writable: true,
                    readable: true,
                };
                vec![
                    Val::Other,
                    mem(MemKind::Key, key, map.key_size),
                    mem(kind, value, map.value_size),
                    given,
                ]
            }
            209 => vec![Val::Other, given],
            _ => return None,
        };
        let type_id = self.static_type();
        self.functions.push(Function {
            label,
            kind: Kind::Callback,
            args,
            rooms: Vec::new(),
            type_id,
            rounds: self.rounds.saturating_mul(8),
            returns: None,
            start: 0,
        });
        Some(Callback { label, ctx })
    }

    fn static_type(&mut self) -> u32 {
        let types = self.cat.statics.clone();
        self.rng.choose(&types).copied().unwrap_or(0)
    }

    fn most_functions(&self) -> usize {
        if self.chained { CHAIN } else { MOST }
    }

    /// A call of a subprogram.
    pub(super) fn step_call(&mut self) {
        if self.protect & 0x3f != 0 || self.holding && self.rng.chance(50) {
            return;
        }
        let global = self.rng.chance(35);
        let later: Vec<usize> = (self.function + 1..self.functions.len())
            .filter(|at| {
                self.functions
                    .get(*at)
                    .is_some_and(|f| f.kind != Kind::Callback)
            })
            .collect();
        let again = self.rng.choose(&later).copied();
        if let Some(at) = again
            && (self.rng.chance(50) || self.functions.len() >= self.most_functions())
        {
            self.call_again(at);
        } else if self.functions.len() >= self.most_functions() {
            if self.fault(5) {
                // Recursion.
                self.call_function(self.function);
            }
        } else if global {
            self.call_global();
        } else {
            self.call_static();
        }
    }

    fn call_function(&mut self, at: usize) {
        let Some(function) = self.functions.get(at).cloned() else {
            return;
        };
        let returned = function.returns.and_then(|arg| {
            let reg = Reg::ARGS.get(arg)?;
            Some(self.model.get(*reg))
        });
        self.left -= 1;
        self.out.call(function.label);
        self.model.clobber();
        self.model.set(Reg::R0, returned.unwrap_or(Val::ANY));
        if self.rng.chance(50) {
            self.keep(Reg::R0);
        }
    }

    /// A static function made for the values at hand.
    fn call_static(&mut self) {
        self.save_pointers();
        let count = self.rng.below(5) as usize;
        let before = self.protect;
        for reg in Reg::ARGS.iter().take(count).copied() {
            self.free_argument(reg);
            self.guard(&[reg]);
        }
        self.protect = before;
        let passed: Vec<Val> = Reg::ARGS
            .iter()
            .take(count)
            .map(|reg| self.model.get(*reg))
            .collect();
        let args: Vec<Val> = passed.iter().map(|val| self.seen_by_callee(*val)).collect();
        let rooms = passed.iter().filter_map(|val| match val {
            Val::Packet { id, .. } => Some((*id, self.model.room(*id))),
            _ => None,
        });
        let rooms = rooms.collect();
        let pointer = args
            .iter()
            .position(|val| matches!(val, Val::Mem { null: false, .. } | Val::Ctx));
        let returns = pointer.filter(|_| self.rng.chance(15));
        let label = self.label();
        let type_id = self.static_type();
        let rounds = self.rounds;
        self.functions.push(Function {
            label,
            kind: Kind::Static,
            args,
            rooms,
            type_id,
            rounds,
            returns,
            start: 0,
        });
        self.call_function(self.functions.len() - 1);
    }

    fn free_argument(&mut self, reg: Reg) {
        match self.rng.below(8) {
            0 | 1 => {
                if let Some(ctx) = self.reg_with(|val| val == Val::Ctx) {
                    self.mov(reg, ctx);
                } else {
                    self.constant(reg);
                }
            }
            2 => {
                let off = self.buffer(16, true);
                self.frame_address(reg, off);
            }
            3 | 4 => {
                match self.reg_with(|val| val.is_init() && !matches!(val, Val::Stack { .. })) {
                    Some(from) => self.mov(reg, from),
                    None => self.constant(reg),
                }
            }
            5 => match self.reg_with(Val::is_num) {
                Some(from) => self.mov(reg, from),
                None => self.constant(reg),
            },
            _ => self.constant(reg),
        }
    }

    /// The caller's stack is memory to the callee.
    fn seen_by_callee(&mut self, val: Val) -> Val {
        match val {
            Val::Stack { hi, .. } if hi < 0 => Val::Mem {
                kind: MemKind::Caller,
                id: self.id(),
                lo: 0,
                hi: 0,
                len: hi.unsigned_abs().min(16),
                null: false,
            },
            Val::Stack { .. } => Val::Other,
            other => other,
        }
    }

    /// A call with the arguments that a known function expects.
    fn call_again(&mut self, at: usize) {
        let Some(function) = self.functions.get(at).cloned() else {
            return;
        };
        if let Kind::Global(global) = function.kind {
            self.global_arguments(global);
            self.call_function(at);
            return;
        }
        self.save_pointers();
        let before = self.protect;
        for (reg, arg) in Reg::ARGS.into_iter().zip(&function.args) {
            let done = match *arg {
                Val::Num { lo, hi } if lo == hi && self.rng.chance(50) => {
                    self.mov_imm(reg, lo as i32);
                    true
                }
                Val::Num { .. } => {
                    self.constant(reg);
                    true
                }
                Val::Mem {
                    kind: MemKind::Caller,
                    ..
                } => {
                    let off = self.buffer(16, true);
                    self.frame_address(reg, off);
                    true
                }
                wanted => match self.reg_with(|val| val == wanted) {
                    Some(from) => {
                        self.mov(reg, from);
                        true
                    }
                    None => false,
                },
            };
            if !done && !self.fault(10) {
                self.protect = before;
                return;
            }
            self.guard(&[reg]);
        }
        self.protect = before;
        self.call_function(at);
    }

    fn call_global(&mut self) {
        let ty = self.hook.ty;
        let fits = |types: &[_]| types.is_empty() || types.contains(&ty);
        let refused = self.fault(10);
        let all = self.cat.globals.iter().enumerate();
        let fitting: Vec<usize> = all
            .filter(|(_, f)| f.refused == refused && fits(&f.types))
            .map(|(at, _)| at)
            .collect();
        let Some(global) = self.rng.choose(&fitting).copied() else {
            return;
        };
        let Some(shape) = self.cat.globals.get(global).cloned() else {
            return;
        };
        let mut args = Vec::new();
        for arg in &shape.args {
            let id = self.id();
            args.push(match *arg {
                GlobalArg::Ctx => Val::Ctx,
                GlobalArg::Number => Val::ANY,
                GlobalArg::Mem(len) => Val::Mem {
                    kind: MemKind::Arg,
                    id,
                    lo: 0,
                    hi: 0,
                    len,
                    null: true,
                },
                GlobalArg::MemNonNull(len) => Val::Mem {
                    kind: MemKind::Arg,
                    id,
                    lo: 0,
                    hi: 0,
                    len,
                    null: false,
                },
            });
        }
        let label = self.label();
        self.functions.push(Function {
            label,
            kind: Kind::Global(global),
            args,
            rooms: Vec::new(),
            type_id: shape.type_id,
            rounds: 1,
            returns: None,
            start: 0,
        });
        self.global_arguments(global);
        self.call_function(self.functions.len() - 1);
    }

    fn global_arguments(&mut self, global: usize) {
        let Some(shape) = self.cat.globals.get(global).cloned() else {
            return;
        };
        self.save_pointers();
        let before = self.protect;
        for (reg, arg) in Reg::ARGS.into_iter().zip(&shape.args) {
            if self.fault(4) {
                self.free_argument(reg);
                self.guard(&[reg]);
                continue;
            }
            match *arg {
                GlobalArg::Ctx => match self.ctx() {
                    Some(ctx) => self.mov(reg, ctx),
                    None => self.mov_imm(reg, 0),
                },
                GlobalArg::Number => match self.reg_with(Val::is_num) {
                    Some(from) if self.rng.chance(50) => self.mov(reg, from),
                    Some(_) | None => self.constant(reg),
                },
                GlobalArg::Mem(_) if self.rng.chance(25) => self.mov_imm(reg, 0),
                GlobalArg::Mem(len) | GlobalArg::MemNonNull(len) => {
                    let regs = self.regs_with(|val| {
                        matches!(val, Val::Mem { lo: 0, hi: 0, len: l, null: false, kind: MemKind::Value { writable: true, readable: true }, .. } if l >= len)
                    });
                    match self.rng.choose(&regs).copied() {
                        Some(from) if self.rng.chance(50) => self.mov(reg, from),
                        Some(_) | None => {
                            let len = if self.fault(6) { len - 1 } else { len };
                            let off = self.buffer(len, true);
                            self.frame_address(reg, off);
                            self.smear(off, len);
                        }
                    }
                }
            }
            self.guard(&[reg]);
        }
        self.protect = before;
    }

    /// An argument that may be NULL is checked.
    pub(super) fn step_check_argument(&mut self) {
        let found = self.reg_with(|val| matches!(val, Val::Mem { null: true, .. }));
        if let Some(reg) = found
            && let Val::Mem { id, .. } = self.model.get(reg)
        {
            self.check_null(id, reg);
        } else if self.rng.chance(20) {
            // Something in R1 to R5 is spilled for later.
            let reg = self.reg_with(Val::is_init);
            if let Some(reg) = reg.filter(|reg| *reg != Reg::FP) {
                let off = self.spill_slot();
                self.store(Size::DW, Reg::FP, off, reg.into());
            }
        }
    }
}
