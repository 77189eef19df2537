//! Loads, stores and atomics.
//!
//! Verified code accesses guest memory as it is told. Sandboxed code computes the offset in guest memory
//! and compares it with the last one there; what is refused is a trap that carries the offset. Nothing
//! else runs while a program does (the kernel is borrowed), so atomics need no `lock`.

use skep_isa::{AtomicOp, Insn, InsnIdx, Operand, Reg, Size};
use skep_sim::{FRAME, Sim, layout};

use super::arena::Miss;
use super::effects::{bit, effects};
use super::{COUNT, Compiler, EXTRA, Step, TEMP, TrapKind, bytes, host, state};
use crate::options::{Mode, Opt};
use crate::run::{Thunk, field};
use crate::x64::{Alu, Bytes, Cond, Gpr, Label, Mem, Wide};

/// Bytes from an address that a check is about, whatever the access needs.
const CHECKED: i32 = 8;

/// Which offsets from registers have been found to lie in guest memory, on the way to here.
#[derive(Debug, Default)]
pub(super) struct Checked {
    by_reg: [Option<(i32, i32)>; 11],
    /// Whether anything is known.
    any: bool,
}

impl Checked {
    /// Whether an access needs no check.
    fn covers(&self, base: Reg, off: i32, bytes: i32) -> bool {
        let known = self.by_reg.get(base.index()).copied().flatten();
        known.is_some_and(|(from, to)| from <= off && off + bytes <= to)
    }

    /// Notes a check, beside those it touches.
    fn add(&mut self, base: Reg, off: i32) {
        if let Some(known) = self.by_reg.get_mut(base.index()) {
            self.any = true;
            let (from, to) = (off, off + CHECKED);
            let near = known.filter(|known| known.0 <= to && from <= known.1);
            *known = Some(near.map_or((from, to), |near| (near.0.min(from), near.1.max(to))));
        }
    }

    /// Forgets what was found out about registers, given as bits.
    fn forget(&mut self, mut regs: u16) {
        while regs != 0 {
            if let Some(known) = self.by_reg.get_mut(regs.trailing_zeros() as usize) {
                *known = None;
            }
            regs &= regs - 1;
        }
    }
}

impl Compiler<'_> {
    /// Before the code of a slot: what was found out on another way there does not count.
    pub(super) fn enter_slot(&mut self, idx: InsnIdx) {
        if self.checked.any && !self.plan.is_inner(idx) {
            self.checked = Checked::default();
        }
    }

    /// Behind the code of some slots: what they changed is as unknown as ever.
    pub(super) fn leave_slots(&mut self, idx: InsnIdx, step: Step) {
        if !self.checked.any {
            return;
        }
        for insn in self.insns.get(idx..idx + step.slots()).unwrap_or_default() {
            // Most instructions, and all that they write.
            if let Insn::Alu { dst, .. } | Insn::Load { dst, .. } = *insn {
                self.checked.forget(bit(dst));
                continue;
            }
            if matches!(insn, Insn::Call(_) | Insn::CallReg(_)) {
                self.checked = Checked::default();
            }
            self.checked.forget(effects(insn, Mode::Sandboxed).1);
        }
    }

    /// The operand for an access of guest memory, checked where it must be; and where the code behind the
    /// access begins, if there is a way around it.
    #[inline(always)]
    pub(super) fn address(
        &mut self,
        idx: InsnIdx,
        (size, base, off): (Size, Reg, i16),
        miss: Miss,
    ) -> (Mem, Option<Label>) {
        if self.proved() {
            let (b, off) = (host(base), off.into());
            let mem = if self.identity {
                Mem::new(b, off)
            } else {
                Mem::indexed(EXTRA, b, 0, off)
            };
            return (mem, None);
        }
        self.checked_address(idx, (size, base, off), miss)
    }

    /// The same in sandboxed code.
    #[inline(never)]
    fn checked_address(
        &mut self,
        idx: InsnIdx,
        (size, base, off): (Size, Reg, i16),
        miss: Miss,
    ) -> (Mem, Option<Label>) {
        if let Some(arena) = self.arena
            && !self.is_in_frame(size, base, off)
        {
            let (mem, done) = self.arena_address(arena, idx, (size, base, off), miss);
            return (mem, Some(done));
        }
        (self.confined_address(idx, size, base, off), None)
    }

    /// Whether an access is one of the function's frame.
    fn is_in_frame(&self, size: Size, base: Reg, off: i16) -> bool {
        let bytes = size.bytes() as i32;
        // The frame pointer is what we made it, and its frame exists.
        let in_frame = base == Reg::R10 && !self.plan.writes_fp;
        in_frame && (-(FRAME as i32)..=-bytes).contains(&i32::from(off))
    }

    /// The operand in sandboxed code of programs without an arena.
    pub(super) fn confined_address(
        &mut self,
        idx: InsnIdx,
        size: Size,
        base: Reg,
        off: i16,
    ) -> Mem {
        let in_frame = self.is_in_frame(size, base, off);
        let off = i32::from(off);
        let b = host(base);
        let bytes = size.bytes() as i32;
        if in_frame {
            if self.identity {
                return Mem::new(b, off);
            }
            self.asm.mov_r_i(TEMP, self.delta());
            return Mem::indexed(TEMP, b, 0, off);
        }
        if self.checked.covers(base, off, bytes) {
            if self.identity {
                return Mem::new(b, off);
            }
            self.asm.mov_r_i(TEMP, self.delta());
            return Mem::indexed(TEMP, b, 0, off);
        }
        let from_base = Mem::new(b, off - layout::BASE as i32);
        self.asm.lea(Wide::Q, TEMP, from_base);
        self.asm
            .alu_r_m(Alu::Cmp, Wide::Q, TEMP, state(field::LAST));
        self.trap_if(Cond::A, TrapKind::Memory, idx);
        if self.has(Opt::MergeChecks) {
            self.checked.add(base, off);
        }
        if self.identity {
            Mem::new(b, off)
        } else {
            self.asm
                .alu_r_m(Alu::Add, Wide::Q, TEMP, state(field::HOST_BASE));
            Mem::new(TEMP, 0)
        }
    }

    pub(super) fn load(
        &mut self,
        idx: InsnIdx,
        size: Size,
        sign: bool,
        dst: Reg,
        base: Reg,
        off: i16,
    ) {
        if let Ok(at) = self.plan.folded.binary_search_by_key(&idx, |f| f.0)
            && let Some(folded) = self.plan.folded.get(at)
        {
            return self.asm.mov_r_i(host(dst), folded.1);
        }
        if self.request.probes.binary_search(&idx).is_ok() {
            return self.probe(idx, size, dst, base, off);
        }
        let (mem, done) = self.address(idx, (size, base, off), Miss::Clear(dst));
        if sign {
            self.asm.load_signed(bytes(size), Wide::Q, host(dst), mem);
        } else {
            self.asm.load(bytes(size), host(dst), mem);
        }
        self.bind_done(done);
    }

    pub(super) fn store(&mut self, idx: InsnIdx, size: Size, base: Reg, off: i16, src: Operand) {
        let narrowed = Sim::may_narrow_ctx_field(self.request.ty, off, size.bytes());
        if narrowed {
            self.store_ctx_field(idx, base, off, src);
        }
        let stored = narrowed.then(|| {
            let stored = self.asm.label();
            self.asm.jcc(Cond::E, stored);
            stored
        });
        let (mem, done) = self.address(idx, (size, base, off), Miss::Drop);
        match src {
            Operand::Reg(src) => self.asm.store(bytes(size), mem, host(src)),
            Operand::Imm(imm) => self.asm.store_i(bytes(size), mem, imm),
        }
        self.bind_done(done);
        if narrowed {
            // One way here has no check.
            self.checked.forget(bit(base));
        }
        self.bind_done(stored);
    }

    /// Where the base is the context, stores to a field that the kernel narrows; then `E` holds.
    fn store_ctx_field(&mut self, idx: InsnIdx, base: Reg, off: i16, src: Operand) {
        let ordinary = self.asm.label();
        let b = host(base);
        self.asm.mov_r_r(Wide::Q, TEMP, b);
        self.asm.alu_r_m(Alu::Cmp, Wide::Q, TEMP, state(field::CTX));
        self.asm.jcc(Cond::Ne, ordinary);
        match src {
            Operand::Reg(src) => self.asm.mov_r_r(Wide::D, COUNT, host(src)),
            Operand::Imm(imm) => self.asm.mov_r_i(COUNT, (imm as u32).into()),
        }
        self.asm.alu_rm_i(Alu::Add, Wide::Q, TEMP, off.into());
        self.thunk_with(idx, Thunk::StoreCtx, true);
        self.asm.alu_rm_r(Alu::Cmp, Wide::D, COUNT, COUNT);
        self.asm.bind(ordinary);
    }

    /// A load through a pointer that may be wrong.
    fn probe(&mut self, idx: InsnIdx, size: Size, dst: Reg, base: Reg, off: i16) {
        self.asm
            .lea(Wide::Q, TEMP, Mem::new(host(base), off.into()));
        self.asm.mov_r_i(COUNT, size.bytes().into());
        self.thunk_with(idx, Thunk::Probe, false);
        self.asm.mov_r_r(Wide::Q, host(dst), TEMP);
    }

    pub(super) fn atomic(
        &mut self,
        idx: InsnIdx,
        (op, fetch, size): (AtomicOp, bool, Size),
        base: Reg,
        off: i16,
        src: Reg,
    ) {
        let w = if size == Size::DW { Wide::Q } else { Wide::D };
        if !self.proved() && (self.arena.is_none() || self.is_in_frame(size, base, off)) {
            self.check_aligned(idx, size, base, off);
        }
        let miss = if op == AtomicOp::Cmpxchg && w == Wide::D {
            Miss::Narrow
        } else {
            Miss::Atomic
        };
        let (mem, done) = self.address(idx, (size, base, off), miss);
        let s = host(src);
        match (op, fetch) {
            (AtomicOp::Add, false) => self.asm.alu_rm_r(Alu::Add, w, mem, s),
            (AtomicOp::Or, false) => self.asm.alu_rm_r(Alu::Or, w, mem, s),
            (AtomicOp::And, false) => self.asm.alu_rm_r(Alu::And, w, mem, s),
            (AtomicOp::Xor, false) => self.asm.alu_rm_r(Alu::Xor, w, mem, s),
            (AtomicOp::Add, true) => self.asm.xadd(w, mem, s),
            (AtomicOp::Or, true) => self.fetch(Some(Alu::Or), size, mem, s),
            (AtomicOp::And, true) => self.fetch(Some(Alu::And), size, mem, s),
            (AtomicOp::Xor, true) => self.fetch(Some(Alu::Xor), size, mem, s),
            (AtomicOp::Xchg, _) => self.fetch(None, size, mem, s),
            (AtomicOp::Cmpxchg, _) => {
                self.asm.cmpxchg(w, mem, s);
                // The machine leaves the upper half alone where the comparison holds.
                if w == Wide::D {
                    self.asm.mov_r_r(Wide::D, Gpr::Rax, Gpr::Rax);
                }
            }
        }
        self.bind_done(done);
    }

    /// Changes memory with `src`, and puts what was there into `src`.
    fn fetch(&mut self, op: Option<Alu>, size: Size, mem: Mem, src: Gpr) {
        let w = if size == Size::DW { Wide::Q } else { Wide::D };
        let size = if w == Wide::Q { Bytes::B8 } else { Bytes::B4 };
        self.asm.load(size, COUNT, mem);
        match op {
            Some(op) => self.asm.alu_rm_r(op, w, mem, src),
            None => self.asm.store(size, mem, src),
        }
        self.asm.mov_r_r(w, src, COUNT);
    }

    /// Atomics must be aligned; the trap's value is the offset, as for any other access.
    fn check_aligned(&mut self, idx: InsnIdx, size: Size, base: Reg, off: i16) {
        let from_base = Mem::new(host(base), i32::from(off) - layout::BASE as i32);
        self.asm.lea(Wide::Q, TEMP, from_base);
        self.asm.test_r_i(Wide::D, TEMP, size.bytes() as i32 - 1);
        self.trap_if(Cond::Ne, TrapKind::Memory, idx);
    }
}

const _: () = assert!(layout::BASE.is_multiple_of(8));
