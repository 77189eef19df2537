//! Into compiled code, and what comes back.

use skep_isa::{Insn, InsnIdx};
use skep_sim::{Access, Fault, ProgId, Sim, Stop, Trap, Why};

use super::state::{MAY_GOTO, NO_TRAP, ORIGIN, State};
use super::thunks::last_offset;
use crate::compile::TrapKind;
use crate::direct::Direct;
use crate::program::Program;

/// The largest budget; when it has been used up, what is left of it is more.
const MOST: u64 = u64::MAX >> 1;

/// An entry: R1, R2, R3, the state, R5, R4, as the guest registers lie.
type Entry = unsafe extern "sysv64" fn(u64, u64, u64, *mut State<'_>, u64, u64) -> u64;

/// Runs a light program, which has no state and cannot trap.
#[inline(always)]
pub(crate) fn run_light(sim: &mut Sim, program: &Program, args: [u64; 5]) -> u64 {
    sim.use_frame();
    // SAFETY: a light program uses no state, and calls nothing; otherwise as in `run`.
    unsafe { enter(std::ptr::null_mut(), program, args) }
}

/// Runs a program of `programs` with these arguments in the first frame.
///
/// # Errors
/// Where it stopped, and why.
pub(crate) fn run(
    (programs, direct): (&[Program], &Direct),
    sim: &mut Sim,
    prog: ProgId,
    program: &Program,
    args: [u64; 5],
    budget: u64,
) -> Result<u64, Box<Stop>> {
    let mut state = state_of((programs, direct), sim, program, budget);
    let state = &raw mut state;
    // SAFETY: `state` lives until we return and holds the exclusive borrow of `sim`, which we do not use
    // before; `program` is one of `programs`.
    let r0 = unsafe { enter(state, program, args) };
    // SAFETY: compiled code has returned; nobody else holds the state.
    let state = unsafe { &mut *state };
    if state.at.trap_at == NO_TRAP {
        return Ok(r0);
    }
    stopped(state, sim, prog)
}

/// The state of a run that begins with a program.
#[inline(always)]
fn state_of<'m>(
    (programs, direct): (&'m [Program], &'m Direct),
    sim: &mut Sim,
    program: &Program,
    budget: u64,
) -> State<'m> {
    sim.open_chain();
    let direct = direct.targets(programs, sim);
    let last = last_offset(sim.memory());
    let ctx = sim.context().map_or(0, |(at, _)| at);
    State {
        at: program.start,
        exit_rsp: 0,
        budget: budget.min(MOST),
        last,
        ctx,
        direct,
        programs,
        sim: &raw mut *sim,
        limit: budget,
        pending: None,
        stopped: None,
    }
}

/// Calls a function of a program outside of any run, as a timer does. What is left of the budget.
///
/// # Errors
/// Where it stopped, and why.
pub(crate) fn call_function(
    (programs, direct): (&[Program], &Direct),
    sim: &mut Sim,
    prog: ProgId,
    func: u64,
    args: [u64; 5],
    budget: u64,
) -> Result<u64, Box<Stop>> {
    let stop = |insn_idx, trap| {
        Box::new(Stop {
            prog,
            insn_idx,
            trap,
        })
    };
    let Some(program) = programs.get(prog.0 as usize) else {
        return Err(stop(0, Trap::NotFunction { addr: func }));
    };
    let slot = program.function_at(func).map_err(|trap| stop(0, trap))?;
    let mut state = state_of((programs, direct), sim, program, budget);
    let frame = state.at.top;
    match callback(&raw mut state, sim, program, slot, frame, args) {
        Ok(_) => Ok(state.budget),
        Err(trap) => {
            let (prog, insn_idx) = state.stopped.unwrap_or((prog, slot));
            Err(Box::new(Stop {
                prog,
                insn_idx,
                trap,
            }))
        }
    }
}

/// What a trap comes to: a result where it is an exception, else a stop.
#[cold]
#[inline(never)]
fn stopped(state: &mut State<'_>, sim: &mut Sim, prog: ProgId) -> Result<u64, Box<Stop>> {
    let mut trap = take_trap(state, sim);
    if let Trap::Thrown(value) = trap {
        match catch(state, sim, value) {
            Ok(r0) => return Ok(r0),
            Err(error) => trap = error,
        }
    }
    let (prog, insn_idx) = state.stopped.unwrap_or((prog, 0));
    Err(Box::new(Stop {
        prog,
        insn_idx,
        trap,
    }))
}

/// What comes of an exception: the result of the program's own function for it, else its value.
///
/// # Errors
/// The trap that ended that function.
#[cold]
fn catch(state: &mut State<'_>, sim: &mut Sim, value: u64) -> Result<u64, Trap> {
    let programs = state.programs;
    let thrower = state.stopped.take().map_or(0, |(prog, _)| prog.0 as usize);
    let Some(program) = programs.get(thrower) else {
        return Ok(value);
    };
    let Some(slot) = program.types.catcher() else {
        return Ok(value);
    };
    state.at.trap_at = NO_TRAP;
    let frame = state.at.top;
    callback(state, sim, program, slot, frame, [value, 0, 0, 0, 0])
}

/// Enters a program.
///
/// # Safety
/// `state` is valid and nobody else uses it or what its `sim` points to; the program was compiled for that
/// kernel, and may run on it: it is sandboxed, or whoever loaded it vouched for it.
#[inline(always)]
unsafe fn enter(state: *mut State<'_>, program: &Program, args: [u64; 5]) -> u64 {
    let [r1, r2, r3, r4, r5] = args;
    // SAFETY: `entry` is the beginning of code that `compile` made for this signature and that lives as
    // long as the program; what it may do is the caller's contract.
    unsafe {
        let entry: Entry = std::mem::transmute(program.code.entry());
        entry(r1, r2, r3, state, r5, r4)
    }
}

/// Calls a function of the running program back.
///
/// # Errors
/// The trap that ended it.
pub(super) fn callback(
    state: *mut State<'_>,
    sim: &mut Sim,
    program: &Program,
    slot: InsnIdx,
    frame: u64,
    args: [u64; 5],
) -> Result<u64, Trap> {
    // SAFETY: the state belongs to compiled code that waits for the helper that called us.
    let outer = unsafe { &mut *state };
    let saved = (
        outer.exit_rsp,
        outer.at.frame,
        outer.at.target,
        outer.at.leave,
        outer.at.may_goto,
        outer.sim,
    );
    if outer.budget < program.callback_cost(slot) {
        return Err(Trap::Budget { limit: outer.limit });
    }
    outer.budget -= program.callback_cost(slot);
    outer.at.frame = frame;
    outer.at.target = program.code.at(program.slot_code(slot)).addr() as u64;
    outer.at.leave = program.start.leave;
    outer.at.may_goto = MAY_GOTO;
    outer.sim = &raw mut *sim;
    // SAFETY: as in `run`: `sim` is borrowed by the helper for us, and not used until compiled code returns.
    let r0 = unsafe { enter(state, program, args) };
    // SAFETY: as above.
    let outer = unsafe { &mut *state };
    (
        outer.exit_rsp,
        outer.at.frame,
        outer.at.target,
        outer.at.leave,
        outer.at.may_goto,
        outer.sim,
    ) = saved;
    if outer.at.trap_at == NO_TRAP {
        return Ok(r0);
    }
    let trap = take_trap(outer, sim);
    outer.at.trap_at = NO_TRAP;
    Err(trap)
}

/// What the trap was that compiled code left, and where.
#[cold]
fn take_trap(state: &mut State<'_>, sim: &Sim) -> Trap {
    let (kind, slot) = TrapKind::split(state.at.trap_at);
    let prog = super::thunks::prog_id(state.at.trap_prog);
    state.stopped.get_or_insert((prog, slot));
    let program = state.programs.get(prog.0 as usize);
    match kind {
        // A check of an address may be one of the budget too.
        TrapKind::Memory if state.budget > MOST => Trap::Budget { limit: state.limit },
        TrapKind::Memory => {
            let insn = program.and_then(|p| p.insns.get(slot));
            let addr = state.at.trap_value.wrapping_add(ORIGIN);
            insn.map_or(Trap::NotInsn, |insn| fault(sim, insn, addr))
        }
        TrapKind::Budget => Trap::Budget { limit: state.limit },
        TrapKind::NotInsn => Trap::NotInsn,
        TrapKind::Known => program
            .and_then(|p| p.traps.iter().find(|t| t.0 == slot))
            .map_or(Trap::NotInsn, |t| t.1.clone()),
        TrapKind::Pending => state.pending.take().map_or(Trap::NotInsn, |trap| *trap),
    }
}

/// The refused access of an instruction.
fn fault(sim: &Sim, insn: &Insn, addr: u64) -> Trap {
    let (size, access) = match insn {
        Insn::Load { size, .. } | Insn::LoadAcquire { size, .. } => (size, Access::Read),
        Insn::Store { size, .. } | Insn::StoreRelease { size, .. } => (size, Access::Write),
        Insn::Atomic { size, .. } => (size, Access::Atomic),
        Insn::Alu { .. }
        | Insn::MovSx { .. }
        | Insn::Neg { .. }
        | Insn::Endian { .. }
        | Insn::AddrSpaceCast { .. }
        | Insn::LoadImm64 { .. }
        | Insn::Imm64Hi
        | Insn::LoadPacket { .. }
        | Insn::Jump { .. }
        | Insn::Goto { .. }
        | Insn::MayGoto { .. }
        | Insn::Call(_)
        | Insn::CallReg(_)
        | Insn::Exit => return Trap::NotInsn,
    };
    let len = u64::from(size.bytes());
    if access == Access::Atomic && !addr.is_multiple_of(len) {
        let why = Why::Misaligned;
        return Fault {
            addr,
            len,
            access,
            why,
        }
        .into();
    }
    sim.memory().fault(addr, len, access).into()
}
