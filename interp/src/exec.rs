//! The loop.
//!
//! Instructions are counted where control moves: straight-line code ends by itself, so the budget needs
//! no look at every instruction. Register numbers are an enum, so that indexing needs no check. Callbacks run in a nested loop; the depth of frames bounds that too.

use skep_isa::InsnIdx;
use skep_sim::helpers::{Call, Engine};
use skep_sim::{Access, Fault, MapId, Memory, ProgId, ProgramTypes, Sim, Trap, Why, layout};

use crate::observe::{Observer, Step};
use crate::op::{Code, NO_REGS, Op, Regs};
use crate::program::{Program, atomic};
use crate::word::Word;

/// Loops that one `may_goto` budget allows (`BPF_MAX_LOOPS`).
const MAY_GOTO: u32 = 8 << 20;
/// Tail calls of one run (`MAX_TAIL_CALL_CNT`).
const TAIL_CALLS: u32 = 33;

/// What a function that called another must find again.
#[derive(Clone, Copy)]
struct Saved {
    program: usize,
    pc: usize,
    callee: [u64; 4],
    frame: u64,
    may_goto: u32,
}

/// An execution of one program and what it calls.
pub(crate) struct Exec<'m, O> {
    pub(crate) programs: &'m [Program],
    pub(crate) observer: O,
    /// The program that runs.
    pub(crate) program: usize,
    /// Instructions that are left; negative when the budget is used up.
    pub(crate) left: i64,
    pub(crate) budget: i64,
    /// Frames that are open.
    pub(crate) depth: u32,
    pub(crate) tail_calls: u32,
    /// Where the innermost trap happened.
    pub(crate) stopped: Option<(ProgId, InsnIdx)>,
}

impl<O: Observer> Engine for Exec<'_, O> {
    fn callback(&mut self, sim: &mut Sim, func: u64, args: [u64; 5]) -> Result<u64, Trap> {
        let off = func.wrapping_sub(layout::FUNCS);
        let slot = usize::try_from(off / 8).unwrap_or(usize::MAX);
        let program = self.programs.get(self.program);
        let known = |p: &Program| p.funcs.binary_search(&slot).is_ok();
        if !off.is_multiple_of(8) || !program.is_some_and(known) {
            return Err(Trap::NotFunction { addr: func });
        }
        let mut regs = NO_REGS;
        for (to, from) in regs.iter_mut().skip(1).zip(args) {
            *to = from;
        }
        let program = self.program;
        let result = self.function(sim, slot, &mut regs);
        self.program = program;
        result
    }

    fn program(&self) -> ProgId {
        ProgId(self.program as u32)
    }

    fn types(&self) -> Option<&ProgramTypes> {
        Some(&self.programs.get(self.program)?.types)
    }
}

/// The bits of an access that failed.
#[cold]
#[inline(never)]
fn fault(mem: &Memory, addr: u64, len: u64, access: Access) -> Trap {
    mem.fault(addr, len, access).into()
}

/// A store that the shadow refused: to a field that the kernel narrows, or a fault.
#[cold]
#[inline(never)]
fn store_slow(sim: &mut Sim, addr: u64, len: u64, value: u64) -> Result<(), Trap> {
    if sim.store_ctx_field(addr, len, value) {
        return Ok(());
    }
    Err(fault(sim.memory(), addr, len, Access::Write))
}

impl<O: Observer> Exec<'_, O> {
    /// Runs a function of the current program in a new frame, to its exit.
    pub(crate) fn function(
        &mut self,
        sim: &mut Sim,
        pc: usize,
        regs: &mut Regs,
    ) -> Result<u64, Trap> {
        let depth = self.depth;
        let program = self.programs.get(self.program);
        let frameless = pc == 0 && program.is_some_and(|program| program.frameless);
        let frame = sim.enter_frame(depth, !frameless);
        let limit = sim.stack().limit();
        regs[10] = frame.ok_or(Trap::Frames { limit })?;
        self.depth += 1;
        let result = self.run(sim, pc, regs);
        while self.depth > depth {
            self.depth -= 1;
            sim.close_frame(self.depth);
        }
        result
    }

    /// What comes of an exception: the result of the program's own function for it, else its value.
    #[cold]
    pub(crate) fn catch(&mut self, sim: &mut Sim, value: u64) -> Result<u64, Trap> {
        self.stopped = None;
        let program = self.programs.get(self.program);
        let Some(slot) = program.and_then(|program| program.types.catcher()) else {
            return Ok(value);
        };
        let mut regs = NO_REGS;
        regs[1] = value;
        self.function(sim, slot, &mut regs)
    }

    /// What is executed: every instruction by itself where someone looks on.
    #[inline(always)]
    fn ops(program: &Program) -> &[Op] {
        if O::ACTIVE {
            &program.ops
        } else {
            &program.fused
        }
    }

    /// Notes where the innermost trap happened.
    #[cold]
    fn stop(&mut self, pc: usize, trap: Trap) -> Trap {
        let at = (ProgId(self.program as u32), pc.wrapping_sub(1));
        self.stopped.get_or_insert(at);
        trap
    }

    #[cold]
    fn out_of_budget(&self) -> Trap {
        Trap::Budget {
            limit: self.budget as u64,
        }
    }

    #[expect(clippy::too_many_lines, reason = "one row per operation: a table, not a story")]
    #[rustfmt::skip]
    fn run(&mut self, sim: &mut Sim, start: usize, regs: &mut Regs) -> Result<u64, Trap> {
        let programs = self.programs;
        let Some(mut program) = programs.get(self.program) else {
            return Err(Trap::NotInsn);
        };
        let mut ops = Self::ops(program);
        let mut saved: Vec<Saved> = Vec::new();
        let mut may_goto = MAY_GOTO;
        let mut left = self.left;
        // The slot where counting continues.
        let mut from = start;
        let mut pc = start;
        let mut r = *regs;

        macro_rules! trap { ($trap:expr) => {{ let trap = $trap; self.left = left; return Err(self.stop(pc, trap)); }}; }
        macro_rules! go { ($to:expr) => {{
            left -= (pc - from) as i64;
            if left < 0 { trap!(self.out_of_budget()); }
            pc = $to as usize;
            from = pc;
        }}; }

        loop {
            let Some(op) = ops.get(pc) else { trap!(Trap::NotInsn) };
            if O::ACTIVE {
                let step = Step {
                    sim: &*sim, prog: ProgId(self.program as u32), insn_idx: pc,
                    regs: &r, depth: self.depth - 1,
                };
                if self.observer.before(&step).is_break() {
                    pc += 1;
                    trap!(Trap::Interrupted);
                }
            }
            pc += 1;
            let d = op.dst.index();
            let s = op.src.index();

            macro_rules! i64 { ($f:ident) => { r[d] = Word::$f(r[d], op.imm as u64) }; }
            macro_rules! r64 { ($f:ident) => { r[d] = Word::$f(r[d], r[s]) }; }
            macro_rules! i32 { ($f:ident) => { r[d] = u64::from(Word::$f(r[d] as u32, op.imm as u32)) }; }
            macro_rules! r32 { ($f:ident) => { r[d] = u64::from(Word::$f(r[d] as u32, r[s] as u32)) }; }
            macro_rules! ji64 { ($f:ident) => { if Word::$f(r[d], op.imm as u64) { go!(op.off) } }; }
            macro_rules! jr64 { ($f:ident) => { if Word::$f(r[d], r[s]) { go!(op.off) } }; }
            macro_rules! ji32 { ($f:ident) => { if Word::$f(r[d] as u32, op.imm as u32) { go!(op.off) } }; }
            macro_rules! jr32 { ($f:ident) => { if Word::$f(r[d] as u32, r[s] as u32) { go!(op.off) } }; }
            macro_rules! load { ($n:literal, $int:ty, $wide:ty) => {{
                let addr = r[s].wrapping_add_signed(op.off as i64);
                match sim.memory().load::<$n>(addr) {
                    Some(bytes) => r[d] = <$int>::from_le_bytes(bytes) as $wide as u64,
                    None => trap!(fault(sim.memory(), addr, $n, Access::Read)),
                }
            }}; }
            macro_rules! store { ($n:literal, $int:ty, $value:expr) => {{
                let addr = r[d].wrapping_add_signed(op.off as i64);
                let value = $value as $int;
                if !sim.memory_mut().store::<$n>(addr, value.to_le_bytes())
                    && let Err(trap) = store_slow(sim, addr, $n, value as u64) { trap!(trap) }
            }}; }

            macro_rules! fused_jump { ($f:ident, $with:expr) => {{
                pc += 1;
                r[d] = r[d].wrapping_add(op.imm as i32 as u64);
                if Word::$f(r[s], $with) { go!(op.off) }
            }}; }

            match op.code {
                Code::Add64I => i64!(add), Code::Add64R => r64!(add), Code::Add32I => i32!(add), Code::Add32R => r32!(add),
                Code::Sub64I => i64!(sub), Code::Sub64R => r64!(sub), Code::Sub32I => i32!(sub), Code::Sub32R => r32!(sub),
                Code::Mul64I => i64!(mul), Code::Mul64R => r64!(mul), Code::Mul32I => i32!(mul), Code::Mul32R => r32!(mul),
                Code::Div64I => i64!(div), Code::Div64R => r64!(div), Code::Div32I => i32!(div), Code::Div32R => r32!(div),
                Code::SDiv64I => i64!(sdiv), Code::SDiv64R => r64!(sdiv), Code::SDiv32I => i32!(sdiv), Code::SDiv32R => r32!(sdiv),
                Code::Or64I => i64!(or), Code::Or64R => r64!(or), Code::Or32I => i32!(or), Code::Or32R => r32!(or),
                Code::And64I => i64!(and), Code::And64R => r64!(and), Code::And32I => i32!(and), Code::And32R => r32!(and),
                Code::Lsh64I => i64!(lsh), Code::Lsh64R => r64!(lsh), Code::Lsh32I => i32!(lsh), Code::Lsh32R => r32!(lsh),
                Code::Rsh64I => i64!(rsh), Code::Rsh64R => r64!(rsh), Code::Rsh32I => i32!(rsh), Code::Rsh32R => r32!(rsh),
                Code::Mod64I => i64!(rem), Code::Mod64R => r64!(rem), Code::Mod32I => i32!(rem), Code::Mod32R => r32!(rem),
                Code::SMod64I => i64!(srem), Code::SMod64R => r64!(srem), Code::SMod32I => i32!(srem), Code::SMod32R => r32!(srem),
                Code::Xor64I => i64!(xor), Code::Xor64R => r64!(xor), Code::Xor32I => i32!(xor), Code::Xor32R => r32!(xor),
                Code::Mov64I => i64!(mov), Code::Mov64R => r64!(mov), Code::Mov32I => i32!(mov), Code::Mov32R => r32!(mov),
                Code::Arsh64I => i64!(arsh), Code::Arsh64R => r64!(arsh), Code::Arsh32I => i32!(arsh), Code::Arsh32R => r32!(arsh),

                Code::Eq64I => ji64!(is_eq), Code::Eq64R => jr64!(is_eq), Code::Eq32I => ji32!(is_eq), Code::Eq32R => jr32!(is_eq),
                Code::Ne64I => ji64!(is_ne), Code::Ne64R => jr64!(is_ne), Code::Ne32I => ji32!(is_ne), Code::Ne32R => jr32!(is_ne),
                Code::Gt64I => ji64!(is_gt), Code::Gt64R => jr64!(is_gt), Code::Gt32I => ji32!(is_gt), Code::Gt32R => jr32!(is_gt),
                Code::Ge64I => ji64!(is_ge), Code::Ge64R => jr64!(is_ge), Code::Ge32I => ji32!(is_ge), Code::Ge32R => jr32!(is_ge),
                Code::Lt64I => ji64!(is_lt), Code::Lt64R => jr64!(is_lt), Code::Lt32I => ji32!(is_lt), Code::Lt32R => jr32!(is_lt),
                Code::Le64I => ji64!(is_le), Code::Le64R => jr64!(is_le), Code::Le32I => ji32!(is_le), Code::Le32R => jr32!(is_le),
                Code::Set64I => ji64!(has_common_bit), Code::Set64R => jr64!(has_common_bit), Code::Set32I => ji32!(has_common_bit), Code::Set32R => jr32!(has_common_bit),
                Code::SGt64I => ji64!(is_sgt), Code::SGt64R => jr64!(is_sgt), Code::SGt32I => ji32!(is_sgt), Code::SGt32R => jr32!(is_sgt),
                Code::SGe64I => ji64!(is_sge), Code::SGe64R => jr64!(is_sge), Code::SGe32I => ji32!(is_sge), Code::SGe32R => jr32!(is_sge),
                Code::SLt64I => ji64!(is_slt), Code::SLt64R => jr64!(is_slt), Code::SLt32I => ji32!(is_slt), Code::SLt32R => jr32!(is_slt),
                Code::SLe64I => ji64!(is_sle), Code::SLe64R => jr64!(is_sle), Code::SLe32I => ji32!(is_sle), Code::SLe32R => jr32!(is_sle),

                Code::Neg64 => r[d] = r[d].wrapping_neg(),
                Code::Neg32 => r[d] = u64::from((r[d] as u32).wrapping_neg()),
                Code::MovS8To64 => r[d] = r[s] as i8 as u64,
                Code::MovS16To64 => r[d] = r[s] as i16 as u64,
                Code::MovS32To64 => r[d] = r[s] as i32 as u64,
                Code::MovS8To32 => r[d] = u64::from(r[s] as i8 as u32),
                Code::MovS16To32 => r[d] = u64::from(r[s] as i16 as u32),
                Code::Low16 => r[d] &= 0xffff,
                Code::Low32 => r[d] &= 0xffff_ffff,
                Code::Nop => {}
                Code::Be16 => r[d] = u64::from((r[d] as u16).swap_bytes()),
                Code::Be32 => r[d] = u64::from((r[d] as u32).swap_bytes()),
                Code::Be64 => r[d] = r[d].swap_bytes(),
                Code::Wide => { r[d] = op.imm as u64; pc += 1; from += 1; }

                Code::LoadB => load!(1, u8, u64), Code::LoadH => load!(2, u16, u64),
                Code::LoadW => load!(4, u32, u64), Code::LoadD => load!(8, u64, u64),
                Code::LoadSB => load!(1, i8, i64), Code::LoadSH => load!(2, i16, i64), Code::LoadSW => load!(4, i32, i64),
                Code::StoreBR => store!(1, u8, r[s]), Code::StoreHR => store!(2, u16, r[s]),
                Code::StoreWR => store!(4, u32, r[s]), Code::StoreDR => store!(8, u64, r[s]),
                Code::StoreBI => store!(1, u8, op.imm), Code::StoreHI => store!(2, u16, op.imm),
                Code::StoreWI => store!(4, u32, op.imm), Code::StoreDI => store!(8, u64, op.imm),
                Code::Probe => r[d] = probe(sim.memory(), r[s].wrapping_add_signed(op.off.into()), op.imm),
                Code::Cast => match sim.arena_cast(MapId(op.imm as u32), r[s], op.off != 0) {
                    Some(addr) => r[d] = addr,
                    None => trap!(Trap::NotSimulated("an arena")),
                },
                Code::Atomic => if let Err(trap) = atomic(sim.memory_mut(), &mut r, op) { trap!(trap) },
                Code::Packet => {
                    let index = if op.off < 0 { r[s] as i32 } else { 0 };
                    match sim.packet_load(r[6], index.wrapping_add(op.imm as i32), op.off.unsigned_abs() as u8) {
                        Ok(Some(value)) => r[0] = value,
                        // Out of the packet: the function returns 0.
                        Ok(None) => { r[0] = 0; ops = EXIT; left -= (pc - from) as i64; pc = 0; from = 0; }
                        Err(trap) => trap!(trap),
                    }
                }

                Code::Goto => go!(op.off),
                Code::MayGoto => {
                    if may_goto == 0 { go!(op.off) } else { may_goto -= 1 }
                }
                Code::Helper => {
                    let Some(&(name, function)) = program.helpers.get(op.imm as usize) else { trap!(Trap::NotInsn) };
                    left -= (pc - from) as i64;
                    from = pc;
                    self.left = left;
                    if left < 0 { trap!(self.out_of_budget()) }
                    let args = [r[1], r[2], r[3], r[4], r[5]];
                    let mut call = Call { sim: &mut *sim, args, name, engine: &mut *self };
                    match function(&mut call) {
                        Ok(value) => r[0] = value,
                        Err(trap) => { left = self.left; trap!(trap) }
                    }
                    left = self.left;
                }
                Code::TailCall => {
                    let Some(target) = sim.tail_call_target(r[2], r[3] as u32) else {
                        trap!(Trap::BadArgument { helper: "bpf_tail_call", arg: 2, wanted: "a prog_array", got: r[2] })
                    };
                    let next = target.and_then(|id| programs.get(id.0 as usize).map(|p| (id, p)));
                    if let Some((id, next)) = next.filter(|_| self.tail_calls < TAIL_CALLS) {
                        self.tail_calls += 1;
                        self.program = id.0 as usize;
                        program = next;
                        ops = Self::ops(program);
                        may_goto = MAY_GOTO;
                        go!(0);
                    }
                }
                Code::Subprog => {
                    let Some(frame) = sim.enter_frame(self.depth, op.imm == 0) else { trap!(Trap::Frames { limit: sim.stack().limit() }) };
                    self.depth += 1;
                    saved.push(Saved { program: self.program, pc, callee: [r[6], r[7], r[8], r[9]], frame: r[10], may_goto });
                    r[10] = frame;
                    may_goto = MAY_GOTO;
                    go!(op.off);
                }
                Code::Exit => {
                    left -= (pc - from) as i64;
                    let Some(back) = saved.pop() else {
                        self.left = left;
                        *regs = r;
                        return Ok(r[0]);
                    };
                    self.depth -= 1;
                    sim.close_frame(self.depth);
                    self.program = back.program;
                    let Some(caller) = programs.get(back.program) else { trap!(Trap::NotInsn) };
                    program = caller;
                    ops = Self::ops(program);
                    [r[6], r[7], r[8], r[9]] = back.callee;
                    r[10] = back.frame;
                    may_goto = back.may_goto;
                    pc = back.pc;
                    from = pc;
                }
                Code::Trap => {
                    let trap = program.traps.get(op.imm as usize).cloned().unwrap_or(Trap::NotInsn);
                    trap!(trap)
                }
                Code::NotInsn => trap!(Trap::NotInsn),

                Code::MovAddI => { r[d] = r[s].wrapping_add(op.imm as u64); pc += 1 }
                Code::MovAddR => { r[d] = r[s].wrapping_add(r[op.aux.index()]); pc += 1 }
                Code::MovLsh64 => { r[d] = r[s].wrapping_shl(op.imm as u32); pc += 1 }
                Code::MovRsh64 => { r[d] = r[s].wrapping_shr(op.imm as u32); pc += 1 }
                Code::MovLsh32 => { r[d] = u64::from((r[s] as u32).wrapping_shl(op.imm as u32)); pc += 1 }
                Code::MovRsh32 => { r[d] = u64::from((r[s] as u32).wrapping_shr(op.imm as u32)); pc += 1 }
                Code::LshOr64 => { r[d] = r[d].wrapping_shl(op.imm as u32) | r[op.aux.index()]; pc += 1 }
                Code::LshOr32 => { r[d] = u64::from((r[d] as u32).wrapping_shl(op.imm as u32) | r[op.aux.index()] as u32); pc += 1 }
                Code::AddEqI => fused_jump!(is_eq, (op.imm >> 32) as u64),
                Code::AddNeI => fused_jump!(is_ne, (op.imm >> 32) as u64),
                Code::AddEqR => fused_jump!(is_eq, r[op.aux.index()]),
                Code::AddNeR => fused_jump!(is_ne, r[op.aux.index()]),
                Code::AddLtR => fused_jump!(is_lt, r[op.aux.index()]),
                Code::AddGtR => fused_jump!(is_gt, r[op.aux.index()]),
            }
        }
    }
}

/// What stands for the rest of a function whose packet load failed.
static EXIT: &[Op] = &[Op {
    code: Code::Exit,
    ..Op::NONE
}];

/// A load that gives 0 where nothing can be read.
fn probe(mem: &Memory, addr: u64, size: i64) -> u64 {
    let value = match size {
        1 => mem.load::<1>(addr).map(|b| u64::from(b[0])),
        2 => mem
            .load::<2>(addr)
            .map(|b| u64::from(u16::from_le_bytes(b))),
        4 => mem
            .load::<4>(addr)
            .map(|b| u64::from(u32::from_le_bytes(b))),
        _ => mem.load::<8>(addr).map(u64::from_le_bytes),
    };
    value.unwrap_or(0)
}

/// An atomic operation; nothing else runs, so it is a load and a store.
fn atomic(mem: &mut Memory, r: &mut Regs, op: &Op) -> Result<(), Trap> {
    let (d, s) = (op.dst.index(), op.src.index());
    let addr = r[d].wrapping_add_signed(op.off.into());
    let size = (op.imm >> 8) as u64;
    let refuse = |mem: &Memory| Trap::from(mem.fault(addr, size, Access::Atomic));
    if !addr.is_multiple_of(size) {
        let (len, access, why) = (size, Access::Atomic, Why::Misaligned);
        return Err(Fault {
            addr,
            len,
            access,
            why,
        }
        .into());
    }
    let wide = size == 8;
    let old = if wide {
        mem.load::<8>(addr).map(u64::from_le_bytes)
    } else {
        mem.load::<4>(addr)
            .map(|b| u64::from(u32::from_le_bytes(b)))
    };
    let old = old.ok_or_else(|| refuse(mem))?;
    let fetch = op.imm & atomic::FETCH != 0;
    let kind = op.imm & 0xff & !atomic::FETCH;
    let operand = r[s];
    let expected = if wide { r[0] } else { r[0] & 0xffff_ffff };
    let new = match kind {
        atomic::ADD => old.wrapping_add(operand),
        atomic::OR => old | operand,
        atomic::AND => old & operand,
        atomic::XOR => old ^ operand,
        atomic::CMPXCHG if old != expected => old,
        _ => operand,
    };
    let stored = if wide {
        mem.store::<8>(addr, new.to_le_bytes())
    } else {
        mem.store::<4>(addr, (new as u32).to_le_bytes())
    };
    if !stored {
        return Err(refuse(mem));
    }
    match kind {
        atomic::CMPXCHG => r[0] = old,
        _ if fetch => r[s] = old,
        _ => {}
    }
    Ok(())
}
