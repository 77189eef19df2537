//! Loads, stores and atomics.
//!
//! Verified code accesses guest memory as it is told, sandboxed code as `confine` says. Nothing else runs
//! while a program does (the kernel is borrowed), so atomics need no `lock`.

use skep_isa::{AtomicOp, InsnIdx, Operand, Reg, Size};
use skep_sim::Sim;

use super::arena::Miss;
use super::effects::bit;
use super::{COUNT, Compiler, EXTRA, TEMP, TrapKind, bytes, host, state};
use crate::run::{ORIGIN, Thunk, field};
use crate::x64::{Alu, Bytes, Cond, Gpr, Label, Mem, Wide};

impl Compiler<'_> {
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
        let from_origin = Mem::new(host(base), i32::from(off) - ORIGIN as i32);
        self.asm.lea(Wide::Q, TEMP, from_origin);
        self.asm.test_r_i(Wide::D, TEMP, size.bytes() as i32 - 1);
        self.trap_if(Cond::Ne, TrapKind::Memory, idx);
    }
}

const _: () = assert!(ORIGIN.is_multiple_of(8));
