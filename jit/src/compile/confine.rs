//! Sandboxed code: checks of addresses, and the budget.
//!
//! The offset of an address in guest memory is compared with the last one there; what is refused is a trap
//! that carries the offset. The red zones at both ends of guest memory are refused, so that what lies within
//! one of an address that is not is in guest memory too, and needs no comparison of its own.
//!
//! Every turn of a loop is charged at its head. If an address is checked before control may leave, one jump
//! does for both.

use skep_isa::{AluOp, Insn, InsnIdx, Operand, Reg, Size, Width};
use skep_sim::{FRAME, Sim, layout};

use super::effects::{EVERY, bit, effects};
use super::plan::Loop;
use super::{Compiler, EXTRA, Step, TEMP, TrapKind, bytes, host, state};
use crate::options::{Mode, Opt};
use crate::run::{ORIGIN, field};
use crate::x64::{Alu, Cond, Gpr, Mem, Wide};

/// Bytes before and behind an address that a check is about, whatever the access needs.
const CHECKED: i32 = layout::RED_ZONE as i32;

/// Which offsets from registers have been found to lie in guest memory, on the way to here.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// From where, and behind which.
    by_reg: [Option<(i32, i32)>; 11],
    /// Whether anything is known.
    any: bool,
    /// Checks so far.
    pub(super) made: usize,
}

impl Checked {
    /// Whether an access needs no check.
    #[inline(always)]
    fn covers(&self, base: Reg, off: i32, bytes: i32) -> bool {
        let known = self.by_reg.get(base.index()).copied().flatten();
        known.is_some_and(|(from, to)| from <= off && off + bytes <= to)
    }

    /// Notes a check, beside those it touches.
    fn add(&mut self, base: Reg, off: i32) {
        if let Some(known) = self.by_reg.get_mut(base.index()) {
            self.any = true;
            let (from, to) = (off - CHECKED, off + CHECKED);
            let near = known.filter(|known| known.0 <= to && from <= known.1);
            *known = Some(near.map_or((from, to), |near| (near.0.min(from), near.1.max(to))));
        }
    }

    /// What arithmetic leaves of it: copies and sums know what their operands did.
    #[inline(always)]
    fn compute(&mut self, op: AluOp, width: Width, dst: Reg, src: Operand) {
        let result = if matches!(op, AluOp::Mov | AluOp::Add) && width == Width::W64 {
            self.computed(op, dst, src)
        } else {
            None
        };
        if let Some(known) = self.by_reg.get_mut(dst.index()) {
            *known = result;
        }
    }

    fn computed(&self, op: AluOp, dst: Reg, src: Operand) -> Option<(i32, i32)> {
        match (op, src) {
            (AluOp::Mov, Operand::Reg(src)) => *self.by_reg.get(src.index())?,
            (AluOp::Add, Operand::Imm(imm)) => {
                let (from, to) = (*self.by_reg.get(dst.index())?)?;
                Some((from.checked_sub(imm)?, to.checked_sub(imm)?))
            }
            (_, Operand::Reg(_) | Operand::Imm(_)) => None,
        }
    }

    /// Forgets what was found out about registers, given as bits.
    pub(super) fn forget(&mut self, mut regs: u16) {
        self.any &= regs != EVERY;
        while regs != 0 {
            if let Some(known) = self.by_reg.get_mut(regs.trailing_zeros() as usize) {
                *known = None;
            }
            regs &= regs - 1;
        }
    }
}

impl Compiler<'_> {
    /// Compiles what begins at a slot that control comes to, whose label is here.
    #[inline(always)]
    pub(super) fn confined_step(&mut self, idx: InsnIdx, insn: &Insn) -> Step {
        self.enter_slot(idx);
        if let Insn::Load {
            size,
            sign: false,
            dst,
            base,
            off,
        } = *insn
            && self.loads_are_confined
        {
            let written = bit(dst);
            let mem = self.confined_address(idx, size, base, off);
            let (size, dst) = (bytes(size), host(dst));
            match mem.index {
                None => self.asm.load_at(size, dst, mem.base, mem.disp),
                Some(_) => self.asm.load(size, dst, mem),
            }
            self.checked.forget(written);
            return Step::ONE;
        }
        let step = self.step(idx, insn);
        if self.checked.any {
            if let Insn::Alu {
                op,
                width,
                dst,
                src,
            } = *insn
                && step.slots() == 1
            {
                self.checked.compute(op, width, dst, src);
            } else {
                self.leave_slots(idx, step);
            }
        }
        step
    }

    /// Before the label of a slot, or behind that of a loop's head: what the turn costs is taken now, unless
    /// that can wait for a check.
    #[inline(never)]
    pub(super) fn settle(&mut self, turn: Loop, idx: InsnIdx, insn: &Insn) {
        let waits = idx == turn.head || self.plan.is_inner(idx);
        if !(waits && self.is_ordinary(insn)) {
            self.owed = None;
            self.charge(turn.head, turn.slots);
        }
    }

    /// Whether control comes to what follows an instruction, and to nothing else, and what it accesses is
    /// confined to all of guest memory and nothing more to do about it.
    pub(super) fn is_ordinary(&self, insn: &Insn) -> bool {
        match *insn {
            Insn::Alu { .. }
            | Insn::MovSx { .. }
            | Insn::Neg { .. }
            | Insn::Endian { .. }
            | Insn::LoadImm64 { .. }
            | Insn::Imm64Hi => true,
            Insn::Load { .. } => self.loads_are_confined,
            Insn::Store { size, off, .. } => {
                let narrowed = Sim::may_narrow_ctx_field(self.request.ty, off, size.bytes());
                self.arena.is_none() && !narrowed
            }
            Insn::LoadAcquire { .. }
            | Insn::StoreRelease { .. }
            | Insn::Atomic { .. }
            | Insn::AddrSpaceCast { .. }
            | Insn::LoadPacket { .. }
            | Insn::Jump { .. }
            | Insn::Goto { .. }
            | Insn::MayGoto { .. }
            | Insn::Call(_)
            | Insn::CallReg(_)
            | Insn::Exit => false,
        }
    }

    /// Before the code of a slot: what was found out on another way there does not count.
    fn enter_slot(&mut self, idx: InsnIdx) {
        if self.checked.any && !self.plan.is_inner(idx) {
            self.checked.forget(EVERY);
        }
    }

    /// Behind the code of some slots: what they changed is as unknown as ever.
    fn leave_slots(&mut self, idx: InsnIdx, step: Step) {
        for insn in self.insns.get(idx..idx + step.slots()).unwrap_or_default() {
            if let Insn::Alu {
                op,
                width,
                dst,
                src,
            } = *insn
            {
                self.checked.compute(op, width, dst, src);
                continue;
            }
            if matches!(insn, Insn::Call(_) | Insn::CallReg(_)) {
                self.checked.forget(EVERY);
            }
            self.checked.forget(effects(insn, Mode::Sandboxed).1);
        }
    }

    /// Whether an access is one of the function's frame.
    #[inline(always)]
    pub(super) fn is_in_frame(&self, size: Size, base: Reg, off: i16) -> bool {
        let bytes = size.bytes() as i32;
        // The frame pointer is what we made it, and its frame exists.
        let in_frame = base == Reg::R10 && !self.plan.writes_fp;
        in_frame && (-(FRAME as i32)..=-bytes).contains(&i32::from(off))
    }

    /// The operand in sandboxed code of programs without an arena.
    #[inline(always)]
    pub(super) fn confined_address(
        &mut self,
        idx: InsnIdx,
        size: Size,
        base: Reg,
        off: i16,
    ) -> Mem {
        let off_base = i32::from(off);
        let checked = self.is_in_frame(size, base, off)
            || self.checked.covers(base, off_base, size.bytes() as i32)
            || self.unchecked;
        if checked && self.identity {
            return Mem::new(host(base), off_base);
        }
        self.other_address(idx, host(base), base, off_base, checked)
    }

    /// The same where there is a check, or guest memory lies elsewhere.
    #[inline(never)]
    fn other_address(&mut self, idx: InsnIdx, b: Gpr, base: Reg, off: i32, checked: bool) -> Mem {
        if checked {
            self.asm.mov_r_i(TEMP, self.delta());
            return Mem::indexed(TEMP, b, 0, off);
        }
        self.asm
            .lea(Wide::Q, TEMP, Mem::new(b, off - ORIGIN as i32));
        if let Some(turn) = self.owed.take() {
            // One jump for both: where the budget does not do, what is left of it is no offset either.
            self.take_budget(turn.slots);
            self.asm.cmov_r_r(Cond::B, TEMP, EXTRA);
        }
        self.asm
            .alu_r_m(Alu::Cmp, Wide::Q, TEMP, state(field::LAST));
        self.trap_if(Cond::A, TrapKind::Memory, idx);
        self.checked.made += 1;
        if self.has(Opt::MergeChecks) {
            self.checked.add(base, off);
        }
        if self.identity {
            Mem::new(b, off)
        } else {
            self.asm
                .alu_r_m(Alu::Add, Wide::Q, TEMP, state(field::HOST_BASE));
            Mem::new(TEMP, (ORIGIN - layout::BASE) as i32)
        }
    }

    /// Takes from the budget, in sandboxed code.
    pub(super) fn charge(&mut self, idx: InsnIdx, slots: usize) {
        if !self.proved() {
            self.take_budget(slots);
            self.trap_if(Cond::B, TrapKind::Budget, idx);
        }
    }

    /// Takes from the budget; `B` holds if it does not do.
    fn take_budget(&mut self, slots: usize) {
        let slots = i32::try_from(slots).unwrap_or(i32::MAX);
        self.asm.alu_rm_i(Alu::Sub, Wide::Q, EXTRA, slots);
    }
}
