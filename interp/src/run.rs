//! The loop.
//!
//! Instructions are counted where control moves: straight-line code ends by itself, so the budget needs
//! no look at every instruction. Register numbers are an enum, so that indexing needs no check. The loop
//! holds what nearly every instruction needs and nothing else; what is rare or long is a function of its
//! own, which keeps the machine's registers for the loop. There are two of them, one for observers: neither
//! is generic, so that every binary runs the code that was compiled here.

use std::slice::Iter;

use skep_sim::{Access, ProgId, Sim, Trap};

use crate::exec::{
    Exec, MAY_GOTO, Stopped, atomic, cast, fault, no_frame, packet, probe, store_slow,
};
use crate::observe::Step;
use crate::op::{Code, NO_REGS, Op};
use crate::word::Word;

/// What a function that called another must find again.
///
/// R6 to R9 do not lie side by side, so that they are not copied in pairs: a wide load of registers that
/// were just written one by one waits until they have reached the cache.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Saved<'m> {
    r6: u64,
    program: u32,
    may_goto: u32,
    r7: u64,
    frame: u64,
    r8: u64,
    rest: Iter<'m, Op>,
    r9: u64,
}

/// What stands for the rest of a function whose packet load failed.
static EXIT: &[Op] = &[Op {
    code: Code::Exit,
    ..Op::NONE
}];

impl<'m> Exec<'m, '_> {
    /// Executes from a slot of the current program on, to the exit of the function: R0.
    pub(crate) fn run(
        &mut self,
        sim: &mut Sim,
        start: usize,
        args: &[u64; 5],
        frame: u64,
    ) -> Result<u64, Stopped> {
        if self.observer.is_some() {
            self.steps::<true>(sim, start, args, frame)
        } else {
            self.steps::<false>(sim, start, args, frame)
        }
    }

    #[inline(never)]
    #[expect(clippy::too_many_lines, reason = "one row per operation: a table, not a story")]
    #[rustfmt::skip]
    fn steps<const OBSERVED: bool>(&mut self, sim: &mut Sim, start: usize, args: &[u64; 5], frame: u64) -> Result<u64, Stopped> {
        let mut code = self.code::<OBSERVED>();
        // What comes next, up to the end of the program.
        let mut rest = code.get(start..).unwrap_or_default().iter();
        // Instructions that are left are this many and those of `rest`.
        let mut left = self.left - rest.len() as i64;
        let floor = self.saved.len();
        let mut may_goto = MAY_GOTO;
        let mut r = NO_REGS;
        (r[1], r[2], r[3], r[4], r[5], r[10]) = (args[0], args[1], args[2], args[3], args[4], frame);

        macro_rules! go { ($to:expr) => {{
            let now = left + rest.len() as i64;
            if now < 0 { break self.out_of_budget(); }
            rest = code.get($to as usize..).unwrap_or_default().iter();
            left = now - rest.len() as i64;
        }}; }
        // Leaves out the slot that follows.
        macro_rules! skip { () => {{ let _ = rest.next(); }}; }

        let trap = loop {
            let Some(op) = rest.next() else { break Trap::NotInsn };
            if OBSERVED {
                let step = Step {
                    sim: &*sim, prog: ProgId(self.program as u32), insn_idx: code.len() - rest.len() - 1,
                    regs: &r, depth: self.depth() - 1,
                };
                if self.observer.as_mut().is_some_and(|watch| watch(&step).is_break()) { break Trap::Interrupted; }
            }
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
                    None => break fault(sim.memory(), addr, $n, Access::Read),
                }
            }}; }
            macro_rules! store { ($n:literal, $int:ty, $value:expr) => {{
                let addr = r[d].wrapping_add_signed(op.off as i64);
                let value = $value as $int;
                if !sim.memory_mut().store::<$n>(addr, value.to_le_bytes())
                    && let Err(trap) = store_slow(sim, addr, $n, value as u64) { break trap }
            }}; }
            macro_rules! fused_jump { ($f:ident, $with:expr) => {{
                skip!();
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
                Code::Wide => { r[d] = op.imm as u64; skip!(); left += 1; }

                Code::LoadB => load!(1, u8, u64), Code::LoadH => load!(2, u16, u64),
                Code::LoadW => load!(4, u32, u64), Code::LoadD => load!(8, u64, u64),
                Code::LoadSB => load!(1, i8, i64), Code::LoadSH => load!(2, i16, i64), Code::LoadSW => load!(4, i32, i64),
                Code::StoreBR => store!(1, u8, r[s]), Code::StoreHR => store!(2, u16, r[s]),
                Code::StoreWR => store!(4, u32, r[s]), Code::StoreDR => store!(8, u64, r[s]),
                Code::StoreBI => store!(1, u8, op.imm), Code::StoreHI => store!(2, u16, op.imm),
                Code::StoreWI => store!(4, u32, op.imm), Code::StoreDI => store!(8, u64, op.imm),
                Code::Probe => r[d] = probe(sim.memory(), r[s].wrapping_add_signed(op.off.into()), op.imm),
                Code::Cast => match cast(sim, &mut r, op) { Ok(()) => {}, Err(trap) => break trap },
                Code::Atomic => if let Err(trap) = atomic(sim.memory_mut(), &mut r, op) { break trap },
                Code::Packet => match packet(sim, &mut r, op) {
                    Ok(true) => {}
                    // Out of the packet: the function returns 0.
                    Ok(false) => {
                        left += rest.len() as i64 - EXIT.len() as i64;
                        rest = EXIT.iter();
                    }
                    Err(trap) => break trap,
                },

                Code::Goto => go!(op.off),
                Code::MayGoto => if may_goto == 0 { go!(op.off) } else { may_goto -= 1 },
                Code::Helper => {
                    self.left = left + rest.len() as i64;
                    let result = self.helper(sim, &r, op);
                    left = self.left - rest.len() as i64;
                    match result { Ok(value) => r[0] = value, Err(trap) => break trap }
                }
                Code::TailCall => match self.tail_call(sim, &r) {
                    Ok(false) => {}
                    Ok(true) => {
                        let now = left + rest.len() as i64;
                        code = self.code::<OBSERVED>();
                        rest = code.iter();
                        left = now - rest.len() as i64;
                        may_goto = MAY_GOTO;
                        if now < 0 { break self.out_of_budget() }
                    }
                    Err(trap) => break trap,
                },
                Code::Subprog => {
                    let Some(frame) = sim.enter_frame(self.depth(), op.imm == 0) else { break no_frame(sim) };
                    let program = self.program as u32;
                    let back = Saved { r6: r[6], program, may_goto, r7: r[7], frame: r[10], r8: r[8], rest: rest.clone(), r9: r[9] };
                    self.saved.push(back);
                    r[10] = frame;
                    may_goto = MAY_GOTO;
                    go!(op.off);
                }
                Code::Exit => {
                    let now = left + rest.len() as i64;
                    let back = if self.saved.len() > floor { self.saved.pop() } else { None };
                    let Some(back) = back else {
                        self.left = now;
                        return Ok(r[0]);
                    };
                    sim.close_frame(self.depth());
                    if self.program != back.program as usize {
                        self.program = back.program as usize;
                        code = self.code::<OBSERVED>();
                    }
                    (r[6], r[7], r[8], r[9], r[10]) = (back.r6, back.r7, back.r8, back.r9, back.frame);
                    may_goto = back.may_goto;
                    rest = back.rest;
                    left = now - rest.len() as i64;
                }
                Code::Trap => break self.trap_of(op),
                Code::NotInsn => break Trap::NotInsn,

                Code::MovAddI => { r[d] = r[s].wrapping_add(op.imm as u64); skip!() }
                Code::MovAddR => { r[d] = r[s].wrapping_add(r[op.aux.index()]); skip!() }
                Code::MovLsh64 => { r[d] = r[s].wrapping_shl(op.imm as u32); skip!() }
                Code::MovRsh64 => { r[d] = r[s].wrapping_shr(op.imm as u32); skip!() }
                Code::MovLsh32 => { r[d] = u64::from((r[s] as u32).wrapping_shl(op.imm as u32)); skip!() }
                Code::MovRsh32 => { r[d] = u64::from((r[s] as u32).wrapping_shr(op.imm as u32)); skip!() }
                Code::LshOr64 => { r[d] = r[d].wrapping_shl(op.imm as u32) | r[op.aux.index()]; skip!() }
                Code::LshOr32 => { r[d] = u64::from((r[d] as u32).wrapping_shl(op.imm as u32) | r[op.aux.index()] as u32); skip!() }
                Code::AddEqI => fused_jump!(is_eq, (op.imm >> 32) as u64),
                Code::AddNeI => fused_jump!(is_ne, (op.imm >> 32) as u64),
                Code::AddEqR => fused_jump!(is_eq, r[op.aux.index()]),
                Code::AddNeR => fused_jump!(is_ne, r[op.aux.index()]),
                Code::AddLtR => fused_jump!(is_lt, r[op.aux.index()]),
                Code::AddGtR => fused_jump!(is_gt, r[op.aux.index()]),
            }
        };
        self.left = left + rest.len() as i64;
        Err(self.stop_before(sim, code.len() - rest.len(), floor, trap))
    }
}
