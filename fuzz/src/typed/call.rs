//! Functions of the program: callbacks of helpers, static ones, global ones with typed arguments.

use skep_isa::{AluOp, Reg};

use super::model::{HOMES, Obj, Trust, Val};
use super::stock::{HASH, KPTRS, LOCKED, PLAIN, Takes, USER_RINGBUF};
use super::writer::{Kind, Writer};

/// Functions of one program.
const MOST: usize = 6;

impl Writer<'_> {
    pub(super) fn step_callback(&mut self) {
        if self.functions.len() >= MOST {
            return;
        }
        let callback = self.stock.funcs.callback;
        if !self.can("loop") {
            return;
        }
        // What the callback is given beside its own: a pointer into this frame, or nothing.
        let shared = self.rng.chance(60);
        let given = if shared {
            Val::Mem {
                size: 16,
                null: false,
            }
        } else {
            Val::Num
        };
        let size = self.rng.pick([2, 3, 5]);
        match self.rng.below(5) {
            0 | 1 => {
                let label = self.plan(Kind::Callback, callback, vec![Val::Num, given], size);
                let rounds = self.rng.pick([1, 2, 5, 100]);
                self.given(Reg::R3, shared);
                self.out
                    .mov(Reg::R1, rounds)
                    .func(Reg::R2, label)
                    .mov(Reg::R4, 0);
                self.helper("loop");
            }
            2 => {
                let map = self.rng.pick([PLAIN, HASH, LOCKED, KPTRS]);
                let args = vec![
                    Val::Nothing,
                    Val::Mem {
                        size: 4,
                        null: false,
                    },
                    Val::Value { map, null: false },
                ];
                let label = self.plan(Kind::Callback, callback, args, size);
                self.given(Reg::R3, shared);
                self.map(Reg::R1, map);
                self.out.func(Reg::R2, label).mov(Reg::R4, 0);
                self.helper("for_each_map_elem");
            }
            3 => self.find_vma(given, shared, size),
            _ => {
                let label = self.plan(Kind::Callback, callback, vec![Val::Nothing, given], size);
                self.given(Reg::R3, shared);
                self.map(Reg::R1, USER_RINGBUF);
                self.out.func(Reg::R2, label).mov(Reg::R4, 0);
                self.helper("user_ringbuf_drain");
            }
        }
        self.result_number();
    }

    /// The callback sees the task and a part of its memory.
    fn find_vma(&mut self, given: Val, shared: bool, size: i32) {
        let structures = (
            self.structure_of(Obj::Task),
            self.stock.structure("vm_area_struct"),
        );
        let (Some(task), Some(vma)) = structures else {
            return;
        };
        if !self.can("find_vma") {
            return;
        }
        let typed = |ty| Val::Btf {
            ty,
            trust: Trust::Trusted,
            null: false,
            held: 0,
        };
        let args = vec![typed(task), typed(vma), given];
        let Some(task) = self.argument(Obj::Task) else {
            return;
        };
        let label = self.plan(Kind::Callback, self.stock.funcs.callback, args, size);
        self.out.mov(Reg::R1, task);
        self.given(Reg::R4, shared);
        self.out
            .mov(Reg::R2, 0)
            .func(Reg::R3, label)
            .mov(Reg::R5, 0);
        self.helper("find_vma");
    }

    /// What a callback is given.
    fn given(&mut self, dst: Reg, shared: bool) {
        if shared && !self.fault(8) {
            self.scratch(dst, 16);
        } else if self.fault(10) {
            self.out.mov(dst, 7);
        } else {
            self.out.mov(dst, 0);
        }
    }

    fn result_number(&mut self) {
        if self.rng.chance(40) {
            self.keep(Reg::R0, Val::Num);
        }
    }

    /// A static function, which sees its caller's values; references that it is given stay the caller's.
    pub(super) fn step_sub(&mut self) {
        if self.functions.len() >= MOST || self.kind != Kind::Main {
            return;
        }
        let mut args = Vec::new();
        for arg in [Reg::R1, Reg::R2] {
            let Some(at) = self.any() else { return };
            self.out.mov(arg, HOMES[at]);
            args.push(self.model.regs[at]);
        }
        let id = self.stock.funcs.sub;
        let size = self.rng.pick([2, 4, 6]);
        let label = self.plan(Kind::Sub, id, args, size);
        self.out.call(label);
        self.result_number();
    }

    pub(super) fn step_global(&mut self) {
        if self.functions.len() >= MOST {
            return;
        }
        let (id, takes) = self.rng.pick(self.stock.funcs.globals);
        let Some(inside) = self.global_argument(takes) else {
            return;
        };
        self.out.mov(Reg::R2, 3);
        let known = self
            .functions
            .iter()
            .find(|f| f.type_id == id && f.kind == Kind::Global);
        let label = match known.map(|f| f.label) {
            Some(label) => label,
            None => {
                let size = self.rng.pick([2, 4]);
                self.plan(Kind::Global, id, vec![inside, Val::Num], size)
            }
        };
        self.out.call(label);
        self.result_number();
    }

    /// Puts what the function takes into its register; what it is inside.
    fn global_argument(&mut self, takes: Takes) -> Option<Val> {
        let typed = |ty, trust, null| Val::Btf {
            ty,
            trust,
            null,
            held: 0,
        };
        let task = self.structure_of(Obj::Task).unwrap_or_default();
        let inside = match takes {
            Takes::Task => {
                let reg = self.argument(Obj::Task)?;
                self.out.mov(Reg::R1, reg);
                typed(task, Trust::Trusted, false)
            }
            Takes::TaskOrNull => {
                if self.rng.chance(50) {
                    self.out.mov(Reg::R1, 0);
                } else {
                    let reg = self.argument(Obj::Task)?;
                    self.out.mov(Reg::R1, reg);
                }
                typed(task, Trust::Trusted, true)
            }
            Takes::UntrustedTask => {
                let reg = if self.rng.chance(50) {
                    self.argument(Obj::Task).unwrap_or(Reg::FP)
                } else {
                    self.any_reg()
                };
                self.out.mov(Reg::R1, reg);
                typed(task, Trust::Loose, false)
            }
            Takes::Cgroup => {
                let reg = self.argument(Obj::Cgroup)?;
                self.out.mov(Reg::R1, reg);
                typed(
                    self.structure_of(Obj::Cgroup).unwrap_or_default(),
                    Trust::Trusted,
                    false,
                )
            }
            Takes::Memory => {
                let size = if self.fault(12) { 8 } else { 16 };
                self.scratch(Reg::R1, size);
                if size == 8 {
                    self.out.alu(AluOp::Add, Reg::R1, 48);
                }
                Val::Mem {
                    size: 16,
                    null: false,
                }
            }
            Takes::Ctx => {
                let ctx = self.find(|val| val == Val::Ctx);
                let reg = ctx.map_or(Reg::FP, |at| HOMES[at]);
                self.out.mov(Reg::R1, reg);
                Val::Ctx
            }
        };
        Some(inside)
    }

    fn any_reg(&mut self) -> Reg {
        self.any().map_or(Reg::FP, |at| HOMES[at])
    }
}
