//! The loop.
//!
//! Instructions are counted where control moves: straight-line code ends by itself, so the budget needs
//! no look at every instruction. Register numbers are an enum, so that indexing needs no check. The loop
//! holds what nearly every instruction needs and nothing else; what is rare or long is a function of its
//! own, which keeps the machine's registers for the loop. There are four of them, for observers or not and
//! for what goes on behind a [`Missed`]: none is generic, so that every binary runs the code that was
//! compiled here.

use skep_sim::{Access, ProgId, Sim, Trap};

use crate::exec::{
    Exec, MAY_GOTO, Stopped, atomic, cast, fault, no_frame, packet, probe, store_slow,
};
use crate::observe::Step;
use crate::op::{Code, NO_REGS, Op, Regs, with_codes};
use crate::simple::{bytes, compute, holds, load, store, stored};

/// Where execution goes on behind an access that missed an arena's pages. It leaves the loop and enters
/// another instance of it, so that the loop of all other programs has no way back into it.
#[derive(Clone, Debug)]
pub(crate) struct Missed {
    pub(crate) next: usize,
    pub(crate) floor: usize,
    pub(crate) may_goto: u32,
    pub(crate) regs: Regs,
}

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
    rest: &'m [Op],
    r9: u64,
}

impl<'m> Exec<'m, '_> {
    /// Executes from a slot of the current program on, to the exit of the function: R0.
    #[inline(always)]
    pub(crate) fn run(
        &mut self,
        sim: &mut Sim,
        start: usize,
        args: &[u64; 5],
        frame: u64,
    ) -> Result<u64, Stopped> {
        let result = if self.observer.is_some() {
            self.steps::<true, false>(sim, start, args, frame)
        } else {
            self.steps::<false, false>(sim, start, args, frame)
        };
        if result.is_err() && self.missed.is_some() {
            return self.go_on(sim);
        }
        result
    }

    /// Goes on behind an access that missed an arena's pages, to the exit of the function.
    #[cold]
    #[inline(never)]
    fn go_on(&mut self, sim: &mut Sim) -> Result<u64, Stopped> {
        loop {
            let result = if self.observer.is_some() {
                self.steps::<true, true>(sim, 0, &[0; 5], 0)
            } else {
                self.steps::<false, true>(sim, 0, &[0; 5], 0)
            };
            if result.is_ok() || self.missed.is_none() {
                return result;
            }
        }
    }

    #[inline(never)]
    #[expect(clippy::too_many_lines, reason = "one row per operation: a table, not a story")]
    #[rustfmt::skip]
    fn steps<const OBSERVED: bool, const MISSED: bool>(&mut self, sim: &mut Sim, start: usize, args: &[u64; 5], frame: u64) -> Result<u64, Stopped> {
        let mut code = self.code::<OBSERVED>();
        // What comes behind an operation, up to the end of the program.
        let mut rest = code.get(start..).unwrap_or_default();
        // Instructions that are left are this many and those of `rest`.
        let mut left = self.left - rest.len() as i64;
        let mut floor = self.saved.len();
        let mut may_goto = MAY_GOTO;
        let mut r = NO_REGS;
        (r[1], r[2], r[3], r[4], r[5], r[10]) = (args[0], args[1], args[2], args[3], args[4], frame);
        if MISSED && let Some(miss) = self.missed.take() {
            rest = code.get(miss.next..).unwrap_or_default();
            left = self.left - rest.len() as i64;
            (floor, may_goto, r) = (miss.floor, miss.may_goto, miss.regs);
        }

        let (mut op, behind) = rest.split_first().unwrap_or((&Op::NONE, &[]));
        rest = behind;

        macro_rules! go { ($to:expr) => {{
            let now = left + rest.len() as i64;
            if now < 0 { break self.out_of_budget(); }
            let Some(there) = code.get($to as usize..) else { break Trap::NotInsn };
            left = now - there.len() as i64;
            rest = there;
            next!();
        }}; }

        // Goes on with the next operation. Every operation does so itself, and not the loop: what is left of
        // getting to one is then short enough for compilers to put it behind many operations, and processors
        // predict each of these jumps by itself.
        macro_rules! next { () => {
            let Some((first, behind)) = rest.split_first() else { break Trap::NotInsn };
            (op, rest) = (first, behind);
        }; }

        // Does one operation of a kind and goes on with the next.
        macro_rules! one {
            (alu $code:ident $op:ident $($d:ident $s:ident)?) => {{ compute(Code::$code, $op, $op.dst, $op.src, &mut r); next!(); }};
            (same $code:ident $op:ident $d:ident $s:ident) => {{ compute(Code::$code, $op, $d, $op.src, &mut r); next!(); }};
            (turn $code:ident $op:ident $d:ident $s:ident) => {{ compute(Code::$code, $op, $s, $op.src, &mut r); next!(); }};
            (back $code:ident $op:ident $d:ident $s:ident) => {{ compute(Code::$code, $op, $s, $d, &mut r); next!(); }};
            (jump $code:ident $op:ident $($d:ident $s:ident)?) => {{
                if holds(Code::$code, $op, &r) { go!($op.off); continue; }
                next!();
            }};
            (call $code:ident $op:ident $($d:ident $s:ident)?) => {{
                let Some(frame) = sim.enter_frame(self.depth(), $op.imm == 0) else { break no_frame(sim) };
                let program = self.program as u32;
                let back = Saved { r6: r[6], program, may_goto, r7: r[7], frame: r[10], r8: r[8], rest, r9: r[9] };
                self.saved.push(back);
                r[10] = frame;
                may_goto = MAY_GOTO;
                go!($op.off);
                continue;
            }};
            (exit $code:ident $op:ident $($d:ident $s:ident)?) => {{
                let _: &Op = $op;
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
                left = now - back.rest.len() as i64;
                rest = back.rest;
                next!();
                continue;
            }};
            (load $code:ident $op:ident) => {{
                let addr = r[$op.src.index()].wrapping_add_signed($op.off.into());
                let Some(value) = load(Code::$code, sim.memory(), addr) else {
                    break fault(sim.memory(), addr, bytes(Code::$code), Access::Read);
                };
                r[$op.dst.index()] = value;
                next!();
            }};
            (store $code:ident $op:ident) => {{
                let addr = r[$op.dst.index()].wrapping_add_signed($op.off.into());
                let value = stored(Code::$code, $op, &r);
                if !store(Code::$code, sim.memory_mut(), addr, value)
                    && let Err(trap) = store_slow(sim, addr, bytes(Code::$code), value) { break trap; }
                next!();
            }};
        }

        let trap = loop {
            if OBSERVED {
                let step = Step {
                    sim: &*sim, prog: ProgId(self.program as u32), insn_idx: code.len() - rest.len() - 1,
                    regs: &r, depth: self.depth() - 1,
                };
                if self.observer.as_mut().is_some_and(|watch| watch(&step).is_break()) {
                    break Trap::Interrupted;
                }
            }

            macro_rules! execute { (
                alu { $($alu:ident)* } jump { $($jump:ident)* } load { $($load:ident)* } store { $($store:ident)* }
                other { $($(#[$doc:meta])* $other:ident)* }
                fused { $($fused:ident: $first:ident $code:ident $($kind:ident $part:ident)+;)* }
            ) => { match op.code {
                $(Code::$alu => one!(alu $alu op),)*
                $(Code::$jump => one!(jump $jump op),)*
                $(Code::$load => one!(load $load op),)*
                $(Code::$store => one!(store $store op),)*
                $(Code::$fused => {
                    // Read once, so that the compiler knows where a sequence stays in one register.
                    let (_d, _s) = (op.dst, op.src);
                    one!($first $code op _d _s);
                    $(one!($kind $part op _d _s);)+
                })*
                Code::Wide => {
                    r[op.dst.index()] = op.imm as u64;
                    rest = rest.get(1..).unwrap_or_default();
                    left += 1;
                    next!();
                }

                Code::Probe => {
                    r[op.dst.index()] = probe(sim.memory(), r[op.src.index()].wrapping_add_signed(op.off.into()), op.imm);
                    next!();
                }
                Code::Cast => { if let Err(trap) = cast(sim, &mut r, op) { break trap } next!(); }
                Code::Atomic => { if let Err(trap) = atomic(sim.memory_mut(), &mut r, op) { break trap } next!(); }
                Code::Packet => { match packet(sim, &mut r, op) {
                    Ok(true) => { next!(); }
                    // Out of the packet: the function returns 0, with an exit that stands nowhere.
                    Ok(false) => one!(exit Exit op),
                    Err(trap) => break trap,
                } }

                Code::MayGoto => { if may_goto == 0 { go!(op.off); continue; } may_goto -= 1; next!(); }
                Code::Helper => {
                    self.left = left + rest.len() as i64;
                    let result = self.helper(sim, &r, op);
                    left = self.left - rest.len() as i64;
                    match result { Ok(value) => r[0] = value, Err(trap) => break trap }
                    next!();
                }
                Code::TailCall => { match self.tail_call(sim, &r) {
                    Ok(false) => {}
                    Ok(true) => {
                        let now = left + rest.len() as i64;
                        code = self.code::<OBSERVED>();
                        rest = code;
                        left = now - rest.len() as i64;
                        may_goto = MAY_GOTO;
                        if now < 0 { break self.out_of_budget() }
                    }
                    Err(trap) => break trap,
                } next!(); }
                Code::Subprog => one!(call Subprog op),
                Code::Exit => one!(exit Exit op),
                Code::Trap => break self.trap_of(op),
                Code::NotInsn => break Trap::NotInsn,
            }}; }
            with_codes!(execute);
        };
        self.left = left + rest.len() as i64;
        Err(self.stop_or_miss(sim, code.len() - rest.len(), (floor, may_goto), &mut r, trap))
    }
}
