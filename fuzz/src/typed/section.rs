//! Sections: RCU, preemption, interrupt flags, spin locks; and timers, whose fields are like locks'.

use skep_isa::{AluOp, Reg, Size};

use super::model::{HOMES, SCRATCH, Section, Val};
use super::stock::{
    LOCK_AT, LOCKED, LOCKED_HASH, LOCKED_STORAGE, OUTER, TIMER_AT, TIMERS, TIMERS_TOO,
};
use super::writer::{Kind, Writer};

impl Writer<'_> {
    pub(super) fn step_section(&mut self) {
        if self.model.sections.len() >= 2 && !self.fault(10) {
            let last = self.model.sections.len() - 1;
            // Out of order, at times: interrupt flags must nest.
            let at = if self.fault(20) { 0 } else { last };
            return self.leave(at);
        }
        let section = match self.rng.below(6) {
            0..=2 => Section::Rcu,
            3 => Section::Preempt,
            _ => Section::Irq(SCRATCH - 96 - 8 * self.model.sections.len() as i32),
        };
        if !self.can("bpf_rcu_read_lock") {
            return;
        }
        let made = match section {
            Section::Rcu => self.kfunc("bpf_rcu_read_lock"),
            Section::Preempt => self.kfunc("bpf_preempt_disable"),
            Section::Irq(off) => {
                self.out.mov(Reg::R1, Reg::FP).alu(AluOp::Add, Reg::R1, off);
                self.kfunc("bpf_local_irq_save")
            }
            Section::Lock(_) => false,
        };
        if !made {
            return;
        }
        self.model.sections.push(section);
        let at = self.model.sections.len() - 1;
        if self.nest < 3 && self.rng.chance(60) {
            let steps = self.rng.pick([1, 2, 3]);
            self.nested(steps);
            if self.model.sections.len() > at && !self.fault(8) {
                self.leave(at);
            }
        }
    }

    /// Leaves a section.
    pub(super) fn leave(&mut self, at: usize) {
        if at >= self.model.sections.len() {
            return;
        }
        match self.model.sections.remove(at) {
            Section::Rcu => {
                self.kfunc("bpf_rcu_read_unlock");
            }
            Section::Preempt => {
                self.kfunc("bpf_preempt_enable");
            }
            Section::Irq(off) => {
                self.out.mov(Reg::R1, Reg::FP).alu(AluOp::Add, Reg::R1, off);
                self.kfunc("bpf_local_irq_restore");
            }
            Section::Lock(reg) => self.unlock(reg),
        }
    }

    fn unlock(&mut self, reg: Reg) {
        let off = if self.fault(5) { LOCK_AT + 4 } else { LOCK_AT };
        self.out.mov(Reg::R1, reg).alu(AluOp::Add, Reg::R1, off);
        self.helper("spin_unlock");
    }

    pub(super) fn step_lock(&mut self) {
        if let Some(at) = self
            .model
            .sections
            .iter()
            .position(|s| matches!(s, Section::Lock(_)))
            && !self.fault(12)
        {
            return self.leave(at);
        }
        if !self.can_lock() || !self.can("spin_lock") {
            return;
        }
        let value = self.find(|val| {
            matches!(
                val,
                Val::Value {
                    map: LOCKED | LOCKED_HASH | LOCKED_STORAGE,
                    null: false
                }
            )
        });
        let at = match value {
            Some(at) => at,
            None => {
                let at = if self.rng.chance(15) {
                    self.inner_value()
                } else {
                    let map = self.rng.pick([LOCKED, LOCKED_HASH]);
                    self.lookup(map)
                };
                if !self.fault(8) {
                    self.check_here(at);
                }
                at
            }
        };
        let off = if self.fault(6) {
            self.rng.pick([0, 4, 16])
        } else {
            LOCK_AT
        };
        self.out
            .mov(Reg::R1, HOMES[at])
            .alu(AluOp::Add, Reg::R1, off);
        self.helper("spin_lock");
        self.model.sections.push(Section::Lock(HOMES[at]));
        let place = self.model.sections.len() - 1;
        // A few accesses; anything else is a mistake.
        for _ in 0..self.rng.below(3) {
            let off = self.rng.pick([0, 16]);
            if self.rng.chance(50) {
                self.out.load(Size::DW, Reg::R1, HOMES[at], off);
                self.keep(Reg::R1, Val::Num);
            } else {
                self.out.store(Size::DW, HOMES[at], off, 1);
            }
        }
        if self.fault(25) {
            self.nested(1);
        }
        let other = self.model.regs.iter().position(|val| {
            matches!(
                val,
                Val::Value {
                    map: LOCKED | LOCKED_HASH,
                    null: false
                }
            )
        });
        if let Some(other) = other
            && self.fault(10)
        {
            self.model.sections.truncate(place);
            return self.unlock(HOMES[other]);
        }
        if !self.fault(8) && self.model.sections.len() > place {
            self.leave(place);
        }
    }

    /// A value of a map in a map.
    fn inner_value(&mut self) -> usize {
        self.scratch(Reg::R2, 8);
        self.map(Reg::R1, OUTER);
        self.helper("map_lookup_elem");
        let out = self.label();
        self.out.jump(skep_isa::JmpOp::Ne, Reg::R0, 0, out);
        self.end_here();
        self.out.label(out).mov(Reg::R1, Reg::R0);
        self.scratch(Reg::R2, 8);
        self.helper("map_lookup_elem");
        self.keep(
            Reg::R0,
            Val::Value {
                map: LOCKED,
                null: true,
            },
        )
    }

    /// An end in the middle: everything is given back there and still held here.
    pub(super) fn end_here(&mut self) {
        let before = self.model.clone();
        self.end();
        self.model = before;
    }

    pub(super) fn step_timer(&mut self) {
        if !self.can_lock() || !self.can("timer_init") {
            return;
        }
        let value = self.find(|val| {
            matches!(
                val,
                Val::Value {
                    map: TIMERS | TIMERS_TOO,
                    null: false
                }
            )
        });
        let Some(at) = value else {
            let map = self.rng.pick([TIMERS, TIMERS_TOO]);
            let at = self.lookup(map);
            if !self.fault(8) {
                self.check(at);
            }
            return;
        };
        let Val::Value { map, .. } = self.model.regs[at] else {
            return;
        };
        let off = if self.fault(6) {
            self.rng.pick([0, 4, 24])
        } else {
            TIMER_AT
        };
        self.out
            .mov(Reg::R1, HOMES[at])
            .alu(AluOp::Add, Reg::R1, off);
        match self.rng.below(4) {
            0 => {
                let map = if self.fault(10) {
                    TIMERS + TIMERS_TOO - map
                } else {
                    map
                };
                self.map(Reg::R2, map);
                self.out.mov(Reg::R3, 1);
                self.helper("timer_init");
            }
            1 if self.functions.len() < 7 => {
                let args = vec![
                    Val::Nothing,
                    Val::Mem {
                        size: 4,
                        null: false,
                    },
                    Val::Value { map, null: false },
                ];
                let id = self.stock.funcs.callback;
                let label = self.plan(Kind::Callback, id, args, 3);
                self.out.func(Reg::R2, label);
                self.helper("timer_set_callback");
            }
            2 => {
                self.out.mov(Reg::R2, 1000).mov(Reg::R3, 0);
                self.helper("timer_start");
            }
            _ => self.helper("timer_cancel"),
        }
    }
}
