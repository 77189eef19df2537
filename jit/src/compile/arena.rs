//! Accesses in programs with an arena, where some have no effect.
//!
//! What a program does where its arena has no page is left out, as where a kernel's instruction faults: the
//! register of a load becomes 0, every other one stays as it is. Such programs are never compiled without
//! checks. In the arena's place in guest memory a table says which pages are there; what is on none of them
//! or outside of guest memory is asked about in Rust, and everything else is as in other sandboxed code.

use skep_isa::{Insn, InsnIdx, Reg, Size};
use skep_sim::{Access, layout};

use super::effects::bit;
use super::{COUNT, Compiler, TEMP, TrapKind, bytes, host, state};
use crate::options::Mode;
use crate::run::{ArenaAccess, Thunk, field};
use crate::x64::{Alu, Bytes, Cond, Gpr, Label, Mem, Shift, Wide};

/// The arena of a program.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arena {
    map: u32,
    /// Where its place in guest memory begins, as an offset there.
    from: u64,
    len: i32,
    /// Where its table of pages is, as an offset there.
    /// None if that is too far.
    table: Option<i32>,
}

/// Bytes of a page, as a shift.
const PAGE_SHIFT: u8 = 12;

/// What an access does, and to which register where there is no page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Miss {
    /// A load, whose register becomes 0.
    Clear(Reg),
    /// A load with an order: a kernel's fault handler does not know it for one.
    Keep,
    /// A store.
    Drop,
    /// An atomic operation.
    Atomic,
    /// An exchange of 32 bits if they are equal: R0 has no upper half afterwards.
    Narrow,
}

impl Miss {
    fn access(self) -> Access {
        match self {
            Miss::Clear(_) | Miss::Keep => Access::Read,
            Miss::Drop => Access::Write,
            Miss::Atomic | Miss::Narrow => Access::Atomic,
        }
    }
}

/// An access that may have to ask.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    idx: InsnIdx,
    what: ArenaAccess,
    miss: Miss,
    /// Where it looks at the table, and which byte of the arena's place it begins with.
    look: Label,
    arena: Arena,
    /// Where it asks, where it goes on if memory is there, and if it is not.
    ask: Label,
    access: Label,
    done: Label,
}

impl Compiler<'_> {
    /// The program's arena.
    pub(super) fn find_arena(&self) -> Option<Arena> {
        if self.request.mode == Mode::Verified {
            return None;
        }
        let map = self.request.linker.arena()?;
        let place = self.request.linker.sim().arena_place(map)?;
        let offset = |addr: u64| addr.wrapping_sub(layout::BASE);
        Some(Arena {
            map: map.0,
            from: offset(place.addr),
            len: i32::try_from(place.len).unwrap_or(i32::MAX),
            table: i32::try_from(offset(place.table)).ok(),
        })
    }

    /// The operand for an access, and where the code behind the access begins.
    pub(super) fn arena_address(
        &mut self,
        arena: Arena,
        idx: InsnIdx,
        (size, base, off): (Size, Reg, i16),
        miss: Miss,
    ) -> (Mem, Label) {
        let [look, ask, access, done] = std::array::from_fn(|_| self.asm.label());
        let what = ArenaAccess {
            size: size.bytes(),
            access: miss.access(),
            map: arena.map,
        };
        let from_base = Mem::new(host(base), i32::from(off) - layout::BASE as i32);
        self.asm.lea(Wide::Q, TEMP, from_base);
        if what.access == Access::Atomic {
            self.asm.test_r_i(Wide::D, TEMP, size.bytes() as i32 - 1);
            self.asm.jcc(Cond::Ne, ask);
        }
        self.asm
            .alu_r_m(Alu::Cmp, Wide::Q, TEMP, state(field::LAST));
        self.asm.jcc(Cond::A, ask);
        self.asm.mov_r_i(COUNT, arena.from.wrapping_neg());
        self.asm.alu_rm_r(Alu::Add, Wide::Q, COUNT, TEMP);
        self.asm.alu_rm_i(Alu::Cmp, Wide::Q, COUNT, arena.len);
        self.asm.jcc(Cond::B, look);
        self.asm.bind(access);
        self.asked.push(Asked {
            idx,
            what,
            miss,
            look,
            arena,
            ask,
            access,
            done,
        });
        if self.identity {
            return (Mem::new(TEMP, layout::BASE as i32), done);
        }
        self.asm
            .alu_r_m(Alu::Add, Wide::Q, TEMP, state(field::HOST_BASE));
        (Mem::new(TEMP, 0), done)
    }

    /// A load with an order.
    pub(super) fn load_acquire(&mut self, idx: InsnIdx, size: Size, dst: Reg, base: Reg, off: i16) {
        if self.arena.is_none() {
            return self.load(idx, size, false, dst, base, off);
        }
        let (mem, done) = self.address(idx, (size, base, off), Miss::Keep);
        self.asm.load(bytes(size), host(dst), mem);
        self.bind_done(done);
    }

    /// Where an access that misses goes on.
    pub(super) fn bind_done(&mut self, done: Option<Label>) {
        if let Some(done) = done {
            self.asm.bind(done);
        }
    }

    /// Goes back to an access if the pages of its first and last byte are there. `rcx` has the place of the
    /// first byte.
    fn look(&mut self, asked: &Asked) {
        self.asm.bind(asked.look);
        let Some(table) = asked.arena.table else {
            return;
        };
        let last = u64::from(asked.what.size) - 1;
        self.row_of_page(table);
        if last == 0 {
            self.asm.jcc(Cond::Ne, asked.access);
            return;
        }
        self.asm.jcc(Cond::E, asked.ask);
        self.asm.mov_r_i(COUNT, last.wrapping_sub(asked.arena.from));
        self.asm.alu_rm_r(Alu::Add, Wide::Q, COUNT, TEMP);
        self.row_of_page(table);
        self.asm.jcc(Cond::Ne, asked.access);
    }

    /// Looks up the page of the byte in `rcx`: `Ne` holds if it is there.
    fn row_of_page(&mut self, table: i32) {
        self.asm.shift_i(Shift::Shr, Wide::Q, COUNT, PAGE_SHIFT);
        self.asm
            .alu_r_m(Alu::Add, Wide::Q, COUNT, state(field::HOST_BASE));
        self.asm.load(Bytes::B1, COUNT, Mem::new(COUNT, table));
        self.asm.test_r_r(Wide::D, COUNT, COUNT);
    }

    /// What accesses do that ask.
    pub(super) fn asked_code(&mut self) {
        for asked in std::mem::take(&mut self.asked) {
            self.look(&asked);
            self.asm.bind(asked.ask);
            self.asm.mov_r_i(COUNT, asked.what.to_bits());
            self.thunk_with(asked.idx, Thunk::Arena, false);
            self.asm.test_r_r(Wide::D, COUNT, COUNT);
            self.asm.jcc(Cond::E, asked.access);
            // 1 is a trap, 2 a miss.
            self.asm.alu_rm_i(Alu::Cmp, Wide::D, COUNT, 1);
            self.trap_if(Cond::E, TrapKind::Pending, asked.idx);
            match asked.miss {
                Miss::Clear(dst) => self.asm.mov_r_i(host(dst), 0),
                Miss::Narrow => self.asm.mov_r_r(Wide::D, Gpr::Rax, Gpr::Rax),
                Miss::Keep | Miss::Drop | Miss::Atomic => {}
            }
            self.asm.jmp(asked.done);
        }
    }

    /// The registers that an instruction writes, but leaves alone if it misses the arena's pages, as bits.
    pub(super) fn kept_by_miss(&self, insn: &Insn) -> u16 {
        if self.arena.is_none() {
            0
        } else if let Insn::LoadAcquire { dst, .. } = *insn {
            bit(dst)
        } else if let Insn::Atomic { src, .. } = *insn {
            bit(src) | bit(Reg::R0)
        } else {
            0
        }
    }
}
