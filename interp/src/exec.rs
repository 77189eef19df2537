//! An execution: its functions and frames, and the operations that are too long for the loop (`run`).
//!
//! Callbacks run in a nested loop; the depth of frames bounds that too.

use skep_isa::InsnIdx;
use skep_sim::helpers::{Call, Engine};
use skep_sim::{Access, Fault, MapId, Memory, ProgId, ProgramTypes, Sim, Stop, Trap, Why, layout};

use crate::observe::Watch;
use crate::op::{Op, Regs};
use crate::program::{KEEPS, Program, atomic};
use crate::run::{Missed, Saved};

/// Loops that one `may_goto` budget allows (`BPF_MAX_LOOPS`).
pub(crate) const MAY_GOTO: u32 = 8 << 20;
/// Tail calls of one run (`MAX_TAIL_CALL_CNT`).
const TAIL_CALLS: u32 = 33;

/// A trap ended it: [`Exec::trap`] says which. Results with nothing in them but a number stay in registers,
/// where traps would send every one of them through memory.
#[derive(Debug)]
pub(crate) struct Stopped;

/// An execution of one program and what it calls.
pub(crate) struct Exec<'m, 'o> {
    programs: &'m [Program],
    /// Who looks on, if anyone does.
    pub(crate) observer: Option<&'o mut Watch<'o>>,
    /// The program that runs.
    pub(crate) program: usize,
    /// Instructions that are left; negative when the budget is used up.
    pub(crate) left: i64,
    budget: i64,
    /// Functions that run in loops of their own: the program's, and callbacks inside.
    pub(crate) loops: u32,
    tail_calls: u32,
    /// What callers wait for; nested loops leave those of the loops around them alone.
    pub(crate) saved: Vec<Saved<'m>>,
    /// Where to go on behind an access that missed an arena's pages.
    pub(crate) missed: Option<Box<Missed>>,
    /// What ended it.
    trap: Option<Trap>,
    /// Where the innermost trap happened.
    stopped: Option<(ProgId, InsnIdx)>,
}

impl Engine for Exec<'_, '_> {
    fn callback(&mut self, sim: &mut Sim, func: u64, args: [u64; 5]) -> Result<u64, Trap> {
        let off = func.wrapping_sub(layout::FUNCS);
        let slot = usize::try_from(off / 8).unwrap_or(usize::MAX);
        let program = self.programs.get(self.program);
        let known = |p: &Program| p.funcs.binary_search(&slot).is_ok();
        if !off.is_multiple_of(8) || !program.is_some_and(known) {
            return Err(Trap::NotFunction { addr: func });
        }
        let program = self.program;
        let result = self.function(sim, slot, &args);
        self.program = program;
        result.map_err(|Stopped| self.trap())
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
pub(crate) fn fault(mem: &Memory, addr: u64, len: u64, access: Access) -> Trap {
    mem.fault(addr, len, access).into()
}

/// A store that the shadow refused: to a field that the kernel narrows, or a fault.
#[cold]
#[inline(never)]
pub(crate) fn store_slow(sim: &mut Sim, addr: u64, len: u64, value: u64) -> Result<(), Trap> {
    let value = value & (u64::MAX >> (64 - 8 * len.clamp(1, 8)));
    if sim.store_ctx_field(addr, len, value) {
        return Ok(());
    }
    Err(fault(sim.memory(), addr, len, Access::Write))
}

impl<'m, 'o> Exec<'m, 'o> {
    /// Nothing was executed yet.
    pub(crate) fn new(programs: &'m [Program], program: ProgId, budget: i64) -> Exec<'m, 'o> {
        Exec {
            programs,
            observer: None,
            program: program.0 as usize,
            left: budget,
            budget,
            loops: 0,
            tail_calls: 0,
            saved: Vec::new(),
            missed: None,
            trap: None,
            stopped: None,
        }
    }

    /// Runs a program: its R0.
    #[inline(always)]
    pub(crate) fn execute(&mut self, sim: &mut Sim, args: &[u64; 5]) -> Result<u64, Stopped> {
        let result = self.function(sim, 0, args);
        if result.is_err() {
            return self.catch(sim);
        }
        result
    }

    /// Runs a function of the current program in a new frame, to its exit.
    #[inline(always)]
    fn function(&mut self, sim: &mut Sim, slot: InsnIdx, args: &[u64; 5]) -> Result<u64, Stopped> {
        let depth = self.depth();
        let program = self.programs.get(self.program);
        let frameless = slot == 0 && program.is_some_and(|program| program.frameless);
        let Some(frame) = sim.enter_frame(depth, !frameless) else {
            self.trap = Some(no_frame(sim));
            return Err(Stopped);
        };
        self.loops += 1;
        let result = self.run(sim, slot, args, frame);
        self.loops -= 1;
        sim.close_frame(depth);
        result
    }

    /// Functions that were entered and not left.
    #[inline(always)]
    pub(crate) fn depth(&self) -> u32 {
        self.loops + self.saved.len() as u32
    }

    /// Ends the loop before a slot: with a trap, or to go on there ([`Exec::missed`]).
    #[cold]
    #[inline(never)]
    pub(crate) fn stop_or_miss(
        &mut self,
        sim: &mut Sim,
        next: InsnIdx,
        (floor, may_goto): (usize, u32),
        r: &mut Regs,
        trap: Trap,
    ) -> Stopped {
        if !self.misses(sim, r, next.wrapping_sub(1), &trap) {
            return self.stop_before(sim, next, floor, trap);
        }
        let regs = *r;
        self.missed = Some(Box::new(Missed {
            next,
            floor,
            may_goto,
            regs,
        }));
        Stopped
    }

    /// Whether an operation that memory refused is done with: one in the window of the program's arena. Where
    /// there is no page it has no effect but on the register of a load.
    fn misses(&self, sim: &mut Sim, r: &mut Regs, at: InsnIdx, trap: &Trap) -> bool {
        let program = self.programs.get(self.program);
        let arena = program.and_then(|program| Some((program.arena?, program.ops.get(at)?)));
        let (Trap::Memory(fault), Some((map, op))) = (trap, arena) else {
            return false;
        };
        // The faults of helpers and of packet loads are traps in any case.
        let kind = op.code.access();
        if kind != Some(fault.access) || !sim.is_in_arena(map, fault.addr) {
            return false;
        }
        match fault.access {
            Access::Read if op.imm == KEEPS => {}
            Access::Read => r[op.dst.index()] = 0,
            Access::Write => {}
            Access::Atomic => atomic_missed(sim.memory_mut(), r, op),
        }
        true
    }

    /// What comes of an exception: the result of the program's own function for it, else its value.
    #[cold]
    #[inline(never)]
    fn catch(&mut self, sim: &mut Sim) -> Result<u64, Stopped> {
        let Some(Trap::Thrown(value)) = self.trap else {
            return Err(Stopped);
        };
        (self.trap, self.stopped) = (None, None);
        let program = self.programs.get(self.program);
        let Some(slot) = program.and_then(|program| program.types.catcher()) else {
            return Ok(value);
        };
        self.function(sim, slot, &[value, 0, 0, 0, 0])
    }

    /// What ended it; once.
    #[cold]
    pub(crate) fn trap(&mut self) -> Trap {
        self.trap.take().unwrap_or(Trap::NotInsn)
    }

    /// The end by a trap, where the innermost one happened.
    #[cold]
    pub(crate) fn stop(&self, prog: ProgId, trap: Trap) -> Stop {
        let (prog, insn_idx) = self.stopped.unwrap_or((prog, 0));
        Stop {
            prog,
            insn_idx,
            trap,
        }
    }

    /// What is executed: every instruction by itself where someone looks on.
    #[inline(always)]
    pub(crate) fn code<const OBSERVED: bool>(&self) -> &'m [Op] {
        match self.programs.get(self.program) {
            Some(program) if OBSERVED => &program.ops,
            Some(program) => &program.fused,
            None => &[],
        }
    }

    /// Notes where the innermost trap happened: before this slot. Leaves all functions but those that called
    /// before the loop began.
    #[cold]
    #[inline(never)]
    pub(crate) fn stop_before(
        &mut self,
        sim: &mut Sim,
        next: InsnIdx,
        floor: usize,
        trap: Trap,
    ) -> Stopped {
        while self.saved.len() > floor {
            self.saved.pop();
            sim.close_frame(self.depth());
        }
        let at = (ProgId(self.program as u32), next.wrapping_sub(1));
        self.stopped.get_or_insert(at);
        self.trap = Some(trap);
        Stopped
    }

    #[cold]
    pub(crate) fn out_of_budget(&self) -> Trap {
        Trap::Budget {
            limit: self.budget as u64,
        }
    }

    /// The trap that an operation stands for.
    #[cold]
    #[inline(never)]
    pub(crate) fn trap_of(&self, op: &Op) -> Trap {
        let program = self.programs.get(self.program);
        let trap = program.and_then(|program| program.traps.get(op.imm as usize));
        trap.cloned().unwrap_or(Trap::NotInsn)
    }

    /// Calls a helper: what goes to R0.
    #[inline(never)]
    pub(crate) fn helper(&mut self, sim: &mut Sim, r: &Regs, op: &Op) -> Result<u64, Trap> {
        let program = self.programs.get(self.program);
        let helper = program.and_then(|program| program.helpers.get(op.imm as usize));
        let Some(&(name, function)) = helper else {
            return Err(Trap::NotInsn);
        };
        if self.left < 0 {
            return Err(self.out_of_budget());
        }
        let args = [r[1], r[2], r[3], r[4], r[5]];
        function(&mut Call {
            sim,
            args,
            name,
            engine: self,
        })
    }

    /// Makes another program the one that runs; whether there is one.
    #[inline(never)]
    pub(crate) fn tail_call(&mut self, sim: &mut Sim, r: &Regs) -> Result<bool, Trap> {
        let Some(target) = sim.tail_call_target(r[2], r[3] as u32) else {
            return Err(Trap::BadArgument {
                helper: "bpf_tail_call",
                arg: 2,
                wanted: "a prog_array",
                got: r[2],
            });
        };
        let exists = |id: &ProgId| self.programs.get(id.0 as usize).is_some();
        match target.filter(exists) {
            Some(id) if self.tail_calls < TAIL_CALLS => {
                self.tail_calls += 1;
                self.program = id.0 as usize;
                Ok(true)
            }
            Some(_) | None => Ok(false),
        }
    }
}

/// There are no more frames.
#[cold]
#[inline(never)]
pub(crate) fn no_frame(sim: &Sim) -> Trap {
    let limit = sim.stack().limit();
    Trap::Frames { limit }
}

/// An arena's address in the other window.
#[inline(never)]
pub(crate) fn cast(sim: &mut Sim, r: &mut Regs, op: &Op) -> Result<(), Trap> {
    let addr = sim.arena_cast(MapId(op.imm as u32), r[op.src.index()], op.off != 0);
    r[op.dst.index()] = addr.ok_or(Trap::NotSimulated("an arena"))?;
    Ok(())
}

/// A load from the packet; whether it lies inside.
#[inline(never)]
pub(crate) fn packet(sim: &mut Sim, r: &mut Regs, op: &Op) -> Result<bool, Trap> {
    let index = if op.off < 0 {
        r[op.src.index()] as i32
    } else {
        0
    };
    let off = index.wrapping_add(op.imm as i32);
    let value = sim.packet_load(r[6], off, op.off.unsigned_abs() as u8)?;
    r[0] = value.unwrap_or(0);
    Ok(value.is_some())
}

/// A load that gives 0 where nothing can be read.
#[inline(never)]
pub(crate) fn probe(mem: &Memory, addr: u64, size: i64) -> u64 {
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

/// An atomic operation.
#[inline(never)]
pub(crate) fn atomic(mem: &mut Memory, r: &mut Regs, op: &Op) -> Result<(), Trap> {
    let addr = r[op.dst.index()].wrapping_add_signed(op.off.into());
    let (len, access) = ((op.imm >> 8) as u64, Access::Atomic);
    if !addr.is_multiple_of(len) {
        let why = Why::Misaligned;
        return Err(Trap::from(Fault {
            addr,
            len,
            access,
            why,
        }));
    }
    if atomic_at(mem, r, op) {
        return Ok(());
    }
    Err(mem.fault(addr, len, access).into())
}

/// One in an arena's window, which was refused: it need not be aligned.
fn atomic_missed(mem: &mut Memory, r: &mut Regs, op: &Op) {
    let exchange = op.imm & 0xff & !atomic::FETCH == atomic::CMPXCHG;
    if !atomic_at(mem, r, op) && exchange && op.imm >> 8 == 4 {
        // A kernel's verifier has put an instruction behind it that does this.
        r[0] &= 0xffff_ffff;
    }
}

/// An atomic operation wherever it is; nothing else runs, so it is a load and a store. Whether it was done.
#[inline(always)]
fn atomic_at(mem: &mut Memory, r: &mut Regs, op: &Op) -> bool {
    let addr = r[op.dst.index()].wrapping_add_signed(op.off.into());
    let size = (op.imm >> 8) as u64;
    let s = op.src.index();
    let wide = size == 8;
    let old = if wide {
        mem.load::<8>(addr).map(u64::from_le_bytes)
    } else {
        mem.load::<4>(addr)
            .map(|b| u64::from(u32::from_le_bytes(b)))
    };
    let Some(old) = old else { return false };
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
        return false;
    }
    match kind {
        atomic::CMPXCHG => r[0] = old,
        _ if fetch => r[s] = old,
        _ => {}
    }
    true
}
