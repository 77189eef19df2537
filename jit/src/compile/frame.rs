//! How a run begins and ends.
//!
//! Rust calls a program's entry with R1 to R5 where they live and the state's address in `rcx`. The entry
//! keeps the registers that belong to Rust, notes the stack pointer, and calls the slot that the state
//! names; a trap in whatever depth, and in whatever program, restores that stack pointer and leaves the same
//! way. A light program
//! has neither state nor stack pointer: its entry keeps the registers that it changes, and runs on into
//! slot 0. Guest memory never moves, so where it and the first frame lie are constants.

use skep_isa::{Insn, Reg};
use skep_sim::Callee;

use super::effects::bit;
use super::{COUNT, Compiler, EXTRA, STATE, TEMP, TrapKind, host, state};
use crate::options::Opt;
use crate::run::field;
use crate::x64::{Alu, Bytes, Gpr, Label, Mem, Wide};

/// Registers that belong to the caller, in the order of pushing.
const KEPT: [Gpr; 6] = [Gpr::Rbp, Gpr::Rbx, Gpr::R12, Gpr::R13, Gpr::R14, Gpr::R15];

/// Of those, guest registers.
const GUEST: [Reg; 5] = [Reg::R6, Reg::R7, Reg::R8, Reg::R9, Reg::R10];

impl Compiler<'_> {
    /// Whether a program can do without state: it is proved, calls nothing, and nothing in it can trap.
    pub(super) fn is_light(&self) -> bool {
        let last = self.insns.last();
        let ends = matches!(last, Some(Insn::Exit | Insn::Goto { .. }));
        let mut calls = self.plan.callees().iter();
        self.proved()
            && self.has(Opt::Light)
            && ends
            && self.plan.plain
            && calls.all(|(idx, callee)| self.inline_array(*idx, callee).is_some())
    }

    /// The code that Rust calls.
    pub(super) fn entry(&mut self, entry: Label, tail: Label, leave: Label) {
        if self.light {
            return self.light_entry(entry, tail);
        }
        self.asm.bind(entry);
        let pad = self.push_kept();
        if pad {
            self.asm.alu_rm_i(Alu::Sub, Wide::Q, Gpr::Rsp, 8);
        }
        self.asm.mov_r_r(Wide::Q, STATE, COUNT);
        self.asm.store(Bytes::B8, state(field::EXIT_RSP), Gpr::Rsp);
        self.asm.load(Bytes::B8, Gpr::Rbp, state(field::FRAME));
        self.load_extra();
        if !self.proved() {
            // What nobody has written reads as zero, as in the interpreter.
            self.asm.mov_r_i(host(Reg::R0), 0);
            for reg in [Reg::R6, Reg::R7, Reg::R8, Reg::R9] {
                if self.may_use(reg) {
                    self.asm.mov_r_i(host(reg), 0);
                }
            }
        }
        self.asm.call_m(state(field::TARGET));
        self.asm.bind(leave);
        self.leave_run(pad);
    }

    /// Keeps what Rust wants to find again. Whether the stack pointer must move by eight more, to be a
    /// multiple of 16.
    fn push_kept(&mut self) -> bool {
        let mut kept = 0;
        for reg in KEPT {
            if self.keeps(reg) {
                self.asm.push(reg);
                kept += 1;
            }
        }
        kept % 2 == 0
    }

    /// Whether a run may change a register that belongs to Rust.
    fn keeps(&self, reg: Gpr) -> bool {
        let guest = GUEST.into_iter().find(|guest| host(*guest) == reg);
        guest.is_none_or(|guest| guest == Reg::R10 || self.may_use(guest))
    }

    /// Whether a run may read or change a guest register. Another program may do so with any.
    fn may_use(&self, reg: Reg) -> bool {
        let mut callees = self.plan.callees().iter();
        let leaves = callees.any(|(_, callee)| matches!(callee, Callee::TailCall));
        leaves || self.plan.mentions & bit(reg) != 0
    }

    /// Back to Rust.
    fn leave_run(&mut self, pad: bool) {
        if !self.proved() {
            self.asm.store(Bytes::B8, state(field::BUDGET), EXTRA);
        }
        if pad {
            self.asm.alu_rm_i(Alu::Add, Wide::Q, Gpr::Rsp, 8);
        }
        for reg in KEPT.into_iter().rev() {
            if self.keeps(reg) {
                self.asm.pop(reg);
            }
        }
        self.asm.ret();
    }

    /// Traps come here with kind and slot in `ecx` and their value in `r11`.
    pub(super) fn trap_code(&mut self) {
        for (label, at) in std::mem::take(&mut self.stubs) {
            self.asm.bind(label);
            self.trap_now(at);
        }
        self.asm.bind(self.trap);
        self.asm.store(Bytes::B4, state(field::TRAP_AT), COUNT);
        self.asm.store(Bytes::B8, state(field::TRAP_VALUE), TEMP);
        let prog = self.request.prog as i32;
        self.asm.store_i(Bytes::B4, state(field::TRAP_PROG), prog);
        self.asm.load(Bytes::B8, Gpr::Rsp, state(field::EXIT_RSP));
        // The program that the run began with knows what it pushed; its own `r10` it has no use for.
        if !self.proved() {
            self.asm.store(Bytes::B8, state(field::BUDGET), EXTRA);
        }
        self.asm.jmp_m(state(field::LEAVE));
    }

    /// What `r10` holds, again.
    pub(super) fn load_extra(&mut self) {
        if !self.proved() {
            self.asm.load(Bytes::B8, EXTRA, state(field::BUDGET));
        } else if !self.identity {
            self.asm.mov_r_i(EXTRA, self.delta());
        }
    }

    /// Before a call of Rust, which may use up budget by calling back.
    pub(super) fn save_extra(&mut self) {
        if !self.proved() {
            self.asm.store(Bytes::B8, state(field::BUDGET), EXTRA);
        }
    }

    /// The guest registers that a light program must keep.
    fn light_kept(&self) -> impl DoubleEndedIterator<Item = Reg> + use<> {
        let mentions = self.plan.mentions;
        GUEST
            .into_iter()
            .filter(move |reg| mentions & bit(*reg) != 0)
    }

    /// A run begins in the first frame, a tail call in the frame of the function that it leaves, whose
    /// state is in `rcx`.
    fn light_entry(&mut self, entry: Label, tail: Label) {
        let sim = self.request.linker.sim();
        let uses_frame = self.plan.mentions & bit(Reg::R10) != 0;
        let body = self.asm.label();
        if uses_frame {
            self.asm.bind(tail);
            self.light_push();
            self.asm
                .load(Bytes::B8, Gpr::Rbp, Mem::new(COUNT, field::FRAME));
            self.asm.jmp(body);
            self.asm.bind(entry);
            self.light_push();
            self.asm.mov_r_i(Gpr::Rbp, sim.stack().top(0));
            self.asm.bind(body);
        } else {
            self.asm.bind(tail);
            self.asm.bind(entry);
            self.light_push();
        }
        self.load_extra();
    }

    fn light_push(&mut self) {
        for reg in self.light_kept() {
            self.asm.push(host(reg));
        }
    }

    /// What leads from guest to host addresses.
    pub(super) fn delta(&self) -> u64 {
        let memory = self.request.linker.sim().memory();
        (memory.host_base().addr() as u64).wrapping_sub(memory.base())
    }

    /// What a light program does before it returns.
    pub(super) fn leave(&mut self) {
        for reg in self.light_kept().rev() {
            self.asm.pop(host(reg));
        }
    }

    /// The end of a call of Rust that may come back with a trap: `ecx` says whether it did.
    pub(super) fn trap_if_pending(&mut self, idx: usize) {
        self.asm.test_r_r(Wide::D, COUNT, COUNT);
        self.trap_if(crate::x64::Cond::Ne, TrapKind::Pending, idx);
    }
}
