//! Calls: of functions, of helpers, of other programs.
//!
//! Rust is called through the state's table, with the state first. In the body of a function the stack
//! pointer is 8 behind a multiple of 16, so an odd number of pushes aligns it. In sandboxed code all
//! guest registers survive a call, as they do in the interpreter.

use skep_isa::{InsnIdx, Reg, Size};
use skep_sim::{ArrayLayout, Callee, FRAME_STEP, MapId, Trap};
use skep_spec::MapType;

use super::effects::{CALLEE, bit};
use super::{COUNT, Compiler, STATE, Site, TEMP, TrapKind, host, state};
use crate::direct::TailSite;
use crate::options::Opt;
use crate::run::{MAY_GOTO, TAIL_CALLS, Thunk, field};
use crate::x64::{Alu, Bytes, Cond, Gpr, Label, Mem, Wide};

/// R5 to R1: pushed in this order they lie in memory as R1 to R5.
const ARGS: [Reg; 5] = [Reg::R5, Reg::R4, Reg::R3, Reg::R2, Reg::R1];
/// Guest registers that Rust does not keep, and one more for the alignment.
const LOST: [Gpr; 7] = [
    Gpr::Rax,
    Gpr::Rdi,
    Gpr::Rsi,
    Gpr::Rdx,
    Gpr::R9,
    Gpr::R8,
    Gpr::Rax,
];
/// Bytes from one stack frame to the next.
const STEP: i32 = FRAME_STEP as i32;

/// The helper that is compiled specially.
const LOOKUP: &str = "bpf_map_lookup_elem";

impl Compiler<'_> {
    pub(super) fn call(&mut self, idx: InsnIdx) {
        match self.plan.callee(idx).cloned() {
            Some(Callee::Subprog(to)) => self.subprog(idx, to),
            Some(Callee::TailCall) => self.tail_call(idx),
            Some(Callee::Trap(trap)) => self.known_trap(idx, trap),
            Some(callee @ Callee::Function(name, function)) => {
                if let Some(layout) = self.inline_array(idx, &callee) {
                    self.array_lookup(idx, layout);
                } else if let Some((map, thunk)) = self.direct_lookup(idx, name) {
                    self.lookup(map, thunk);
                } else {
                    self.helper(idx, Site { name, function });
                }
            }
            None => {}
        }
    }

    fn subprog(&mut self, idx: InsnIdx, to: InsnIdx) {
        self.charge(idx, 1);
        let kept = if self.proved() {
            self.plan.kept(idx, to)
        } else {
            CALLEE
        };
        let callee_saved = [Reg::R6, Reg::R7, Reg::R8, Reg::R9];
        let mut saved: Vec<Gpr> = callee_saved
            .into_iter()
            .filter(|reg| kept & bit(*reg) != 0)
            .map(host)
            .collect();
        let own_frame = self.plan.writes_fp;
        if own_frame {
            saved.push(Gpr::Rbp);
        }
        let loops = self.plan.may_goto;
        if (saved.len() + usize::from(loops)).is_multiple_of(2) {
            saved.push(TEMP);
        }
        for &reg in &saved {
            self.asm.push(reg);
        }
        if loops {
            self.asm.push_m(state(field::MAY_GOTO));
            self.asm
                .store_i(Bytes::B4, state(field::MAY_GOTO), MAY_GOTO as i32);
        }
        if own_frame {
            self.asm.load(Bytes::B8, Gpr::Rbp, state(field::FRAME));
        }
        self.asm.lea(Wide::Q, Gpr::Rbp, Mem::new(Gpr::Rbp, -STEP));
        self.asm
            .alu_r_m(Alu::Cmp, Wide::Q, Gpr::Rbp, state(field::DEEPEST));
        let (deeper, back) = (self.asm.label(), self.asm.label());
        self.asm.jcc(Cond::B, deeper);
        self.asm.bind(back);
        self.deeper.push((deeper, back, idx));
        if own_frame {
            self.asm.store(Bytes::B8, state(field::FRAME), Gpr::Rbp);
        }
        let to = self.slot(to);
        self.asm.call(to);
        if own_frame {
            self.asm
                .alu_rm_i(Alu::Add, Wide::Q, state(field::FRAME), STEP);
        } else {
            self.asm.lea(Wide::Q, Gpr::Rbp, Mem::new(Gpr::Rbp, STEP));
        }
        if loops {
            self.asm.pop_m(state(field::MAY_GOTO));
        }
        for &reg in saved.iter().rev() {
            self.asm.pop(reg);
        }
    }

    /// What calls do that need a deeper frame than are open. The stack pointer is a multiple of 16 there.
    pub(super) fn deeper_code(&mut self) {
        for (deeper, back, idx) in std::mem::take(&mut self.deeper) {
            self.asm.bind(deeper);
            self.asm.push(TEMP);
            self.asm.mov_r_r(Wide::Q, TEMP, Gpr::Rbp);
            self.thunk_with(idx, Thunk::Deeper, true);
            self.asm.pop(TEMP);
            self.asm.jmp(back);
        }
    }

    /// An arena's address in the other window.
    pub(super) fn cast(&mut self, idx: InsnIdx, dst: Reg, src: Reg, dst_as: u16) {
        let Some(map) = self.request.linker.arena() else {
            return self.known_trap(idx, Trap::NotSimulated("an arena"));
        };
        self.asm.mov_r_r(Wide::Q, TEMP, host(src));
        let which = u64::from(map.0) << 1 | u64::from(dst_as != 0);
        self.asm.mov_r_i(COUNT, which);
        self.thunk_with(idx, Thunk::Cast, true);
        self.asm.mov_r_r(Wide::Q, host(dst), TEMP);
    }

    /// Puts the frame pointer of the running function into an argument register.
    fn frame_into(&mut self, reg: Gpr) {
        if self.plan.writes_fp {
            self.asm.load(Bytes::B8, reg, state(field::FRAME));
        } else {
            self.asm.mov_r_r(Wide::Q, reg, Gpr::Rbp);
        }
    }

    fn helper(&mut self, idx: InsnIdx, site: Site) {
        self.charge(idx, 1);
        self.sites.push(site);
        let number = self.sites.len() as u64 - 1;
        for reg in ARGS {
            self.asm.push(host(reg));
        }
        self.save_extra();
        self.asm.mov_r_r(Wide::Q, Gpr::Rdi, STATE);
        self.asm.mov_r_r(Wide::Q, Gpr::Rsi, Gpr::Rsp);
        self.asm.mov_r_i(Gpr::Rdx, number);
        self.frame_into(COUNT);
        self.asm.mov_r_i(Gpr::R8, self.request.prog.into());
        self.call_rust(Thunk::Helper);
        self.asm.mov_r_r(Wide::D, COUNT, Gpr::Rdx);
        if self.proved() {
            self.asm
                .alu_rm_i(Alu::Add, Wide::Q, Gpr::Rsp, 8 * ARGS.len() as i32);
        } else {
            for reg in ARGS.into_iter().rev() {
                self.asm.pop(host(reg));
            }
        }
        self.load_extra();
        self.trap_if_pending(idx);
    }

    /// Calls Rust with `r11` and `rcx` and puts its result into `r11`; guest registers stay as they are.
    pub(super) fn thunk_with(&mut self, idx: InsnIdx, thunk: Thunk, may_trap: bool) {
        self.save_lost();
        self.asm.mov_r_r(Wide::Q, Gpr::Rdi, STATE);
        self.asm.mov_r_r(Wide::Q, Gpr::Rsi, TEMP);
        self.asm.mov_r_r(Wide::Q, Gpr::Rdx, COUNT);
        self.call_rust(thunk);
        self.restore_lost();
        if may_trap {
            self.trap_if_pending(idx);
        }
    }

    /// Calls Rust; the address goes through a register that holds no argument.
    fn call_rust(&mut self, thunk: Thunk) {
        self.asm.mov_r_i(TEMP, thunk.address());
        self.asm.call_r(TEMP);
    }

    fn save_lost(&mut self) {
        for reg in LOST {
            self.asm.push(reg);
        }
        self.save_extra();
    }

    /// Puts the result into `r11` and what goes with it into `rcx`.
    fn restore_lost(&mut self) {
        self.asm.mov_r_r(Wide::Q, TEMP, Gpr::Rax);
        self.asm.mov_r_r(Wide::Q, COUNT, Gpr::Rdx);
        for reg in LOST.into_iter().rev() {
            self.asm.pop(reg);
        }
        self.load_extra();
    }

    /// `r0 = *(size *)skb[index + off]`; where that misses the packet, the function returns 0.
    pub(super) fn load_packet(&mut self, idx: InsnIdx, size: Size, index: Option<Reg>, off: i32) {
        self.asm.mov_r_i(COUNT, (off as u32).into());
        if let Some(index) = index {
            self.asm.alu_rm_r(Alu::Add, Wide::D, COUNT, host(index));
        }
        self.save_lost();
        self.asm.mov_r_r(Wide::Q, Gpr::Rdi, STATE);
        self.asm.mov_r_r(Wide::Q, Gpr::Rsi, host(Reg::R6));
        self.asm.mov_r_r(Wide::D, Gpr::Rdx, COUNT);
        self.asm.mov_r_i(COUNT, size.bytes().into());
        self.call_rust(Thunk::PacketLoad);
        self.restore_lost();
        let hit = self.asm.label();
        self.asm.mov_r_r(Wide::Q, Gpr::Rax, TEMP);
        self.asm.test_r_r(Wide::D, COUNT, COUNT);
        self.asm.jcc(Cond::E, hit);
        // 1 is a trap, 2 a miss.
        self.asm.alu_rm_i(Alu::Cmp, Wide::D, COUNT, 1);
        self.trap_if(Cond::E, TrapKind::Pending, idx);
        self.exit_with_zero();
        self.asm.bind(hit);
    }

    fn tail_call(&mut self, idx: InsnIdx) {
        self.charge(idx, 1);
        let proved = self.proved() && !self.plan.writes_fp;
        if let Some((map, index)) = self.plan.tail_at(idx)
            && proved
            && self.has(Opt::DirectTailCall)
        {
            self.direct_tail_call(TailSite {
                map,
                index,
                prog: self.request.prog,
            });
        }
        self.save_lost();
        self.asm.mov_r_r(Wide::Q, Gpr::Rdi, STATE);
        // R2 and R3 are already where the second and third argument belong.
        self.asm.mov_r_i(COUNT, self.request.prog.into());
        self.frame_into(Gpr::R8);
        self.call_rust(Thunk::TailCall);
        self.restore_lost();
        self.trap_if_pending(idx);
        let stay: Label = self.asm.label();
        self.asm.test_r_r(Wide::Q, TEMP, TEMP);
        self.asm.jcc(Cond::E, stay);
        // A light program's entry expects the state there.
        self.asm.mov_r_r(Wide::Q, COUNT, STATE);
        self.asm.jmp_r(TEMP);
        self.asm.bind(stay);
    }

    /// Leaves for the program in the table, if there is one and this is not one tail call too many; else
    /// the ordinary way is behind.
    fn direct_tail_call(&mut self, site: TailSite) {
        let off = 8 * (self.request.tails + self.tails.len()) as i32;
        self.tails.push(site);
        let look = self.asm.label();
        self.asm.load(Bytes::B8, COUNT, state(field::DIRECT));
        self.asm.load(Bytes::B8, TEMP, Mem::new(COUNT, off));
        self.asm.test_r_r(Wide::Q, TEMP, TEMP);
        self.asm.jcc(Cond::E, look);
        let count = state(field::TAIL_CALLS);
        self.asm
            .alu_rm_i(Alu::Cmp, Wide::Q, count, TAIL_CALLS as i32);
        self.asm.jcc(Cond::Ae, look);
        self.asm.alu_rm_i(Alu::Add, Wide::Q, count, 1);
        self.asm
            .store_i(Bytes::B8, state(field::MAY_GOTO), MAY_GOTO as i32);
        self.asm.store(Bytes::B8, state(field::FRAME), Gpr::Rbp);
        self.asm.mov_r_r(Wide::Q, COUNT, STATE);
        self.asm.jmp_r(TEMP);
        self.asm.bind(look);
    }

    /// The array whose lookup a call is, if it can be compiled in place.
    pub(super) fn inline_array(&self, idx: InsnIdx, callee: &Callee) -> Option<ArrayLayout> {
        if !matches!(callee, Callee::Function(LOOKUP, _)) {
            return None;
        }
        if !self.proved() || !self.has(Opt::InlineArray) {
            return None;
        }
        let map = self
            .request
            .linker
            .sim()
            .maps()
            .get(self.plan.map_at(idx)?)?;
        let layout = map.array_layout()?;
        let fits = i32::try_from(layout.stride).is_ok();
        (fits && layout.cpu_stride == 0).then_some(layout)
    }

    fn array_lookup(&mut self, idx: InsnIdx, layout: ArrayLayout) {
        let (none, done) = (self.asm.label(), self.asm.label());
        self.load(idx, Size::W, false, Reg::R0, Reg::R2, 0);
        self.asm
            .alu_rm_i(Alu::Cmp, Wide::D, Gpr::Rax, layout.entries as i32);
        self.asm.jcc(Cond::Ae, none);
        let stride = layout.stride as i32;
        self.asm.imul_r_r_i(Wide::Q, Gpr::Rax, Gpr::Rax, stride);
        match i32::try_from(layout.base) {
            Ok(base) => self.asm.alu_rm_i(Alu::Add, Wide::Q, Gpr::Rax, base),
            Err(_) => {
                self.asm.mov_r_i(TEMP, layout.base);
                self.asm.alu_rm_r(Alu::Add, Wide::Q, Gpr::Rax, TEMP);
            }
        }
        self.asm.jmp(done);
        self.asm.bind(none);
        self.asm.mov_r_i(Gpr::Rax, 0);
        self.asm.bind(done);
    }

    /// The map whose lookup a call is and what looks it up, if the helper's checks say nothing new.
    fn direct_lookup(&self, idx: InsnIdx, name: &str) -> Option<(MapId, Thunk)> {
        if name != LOOKUP || !self.proved() || !self.has(Opt::DirectLookup) {
            return None;
        }
        let id = self.plan.map_at(idx)?;
        let spec = self.request.linker.sim().maps().get(id)?.spec();
        let hash = matches!(
            spec.ty,
            MapType::Hash | MapType::PercpuHash | MapType::LruHash | MapType::LruPercpuHash
        );
        let other = matches!(
            spec.ty,
            MapType::Array | MapType::PercpuArray | MapType::LpmTrie
        );
        let thunk = match spec.key_size {
            4 if hash => Thunk::Lookup4,
            8 if hash => Thunk::Lookup8,
            16 if hash => Thunk::Lookup16,
            _ => Thunk::Lookup,
        };
        (hash || other).then_some((id, thunk))
    }

    fn lookup(&mut self, map: MapId, thunk: Thunk) {
        self.asm.push(Gpr::Rax);
        self.asm.mov_r_r(Wide::Q, Gpr::Rdx, host(Reg::R2));
        self.asm.mov_r_i(Gpr::Rsi, map.0.into());
        self.asm.mov_r_r(Wide::Q, Gpr::Rdi, STATE);
        self.call_rust(thunk);
        self.asm.pop(COUNT);
        self.load_extra();
    }
}
