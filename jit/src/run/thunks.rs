//! What compiled code calls in Rust.
//!
//! Each takes the run's state first and gives two numbers: a result, and what to do about it (0: go on).
//! A trap is left in the state. A panic ends the process here, since nothing may unwind through compiled
//! code; helpers do not panic.

use skep_sim::helpers::{Call, Engine};
use skep_sim::{Access, Fault, MapId, Memory, ProgId, ProgramTypes, Sim, Trap, Why, layout};

use super::enter;
use super::state::{MAY_GOTO, State};

/// Two registers' worth of result.
#[repr(C)]
pub(crate) struct Answer {
    value: u64,
    what: u64,
}

impl Answer {
    const fn of(value: u64) -> Answer {
        Answer { value, what: GO_ON }
    }

    const TRAP: Answer = Answer { value: 0, what: 1 };
    const MISS: Answer = Answer { value: 0, what: 2 };
}

const GO_ON: u64 = 0;
/// Tail calls of one run (`MAX_TAIL_CALL_CNT`).
pub(crate) const TAIL_CALLS: u64 = 33;

type StatePtr = *mut State<'static>;
type Helper = unsafe extern "sysv64" fn(StatePtr, *const [u64; 5], u64, u64, u64) -> Answer;
type TailCall = unsafe extern "sysv64" fn(StatePtr, u64, u64, u64, u64) -> Answer;
type Lookup = unsafe extern "sysv64" fn(StatePtr, u64, u64) -> u64;
type PacketLoad = unsafe extern "sysv64" fn(StatePtr, u64, u64, u64) -> Answer;
type OfAddress = unsafe extern "sysv64" fn(StatePtr, u64, u64) -> Answer;

/// What compiled code calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Thunk {
    Helper,
    TailCall,
    Lookup,
    /// In a hash with keys of that many bytes.
    Lookup4,
    Lookup8,
    Lookup16,
    PacketLoad,
    Probe,
    StoreCtx,
    Cast,
    Arena,
    Deeper,
}

/// What an access does that asks whether its memory is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ArenaAccess {
    /// Bytes.
    pub(crate) size: u32,
    pub(crate) access: Access,
    /// The number of the arena.
    pub(crate) map: u32,
}

impl ArenaAccess {
    const ALL: [Access; 3] = [Access::Read, Access::Write, Access::Atomic];

    /// All of it in one number.
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.map) << 16 | (self.access as u64) << 8 | u64::from(self.size)
    }

    fn from_bits(bits: u64) -> ArenaAccess {
        let access = ArenaAccess::ALL.get((bits >> 8 & 0xff) as usize);
        ArenaAccess {
            size: bits as u32 & 0xff,
            access: access.copied().unwrap_or(Access::Atomic),
            map: (bits >> 16) as u32,
        }
    }
}

impl Thunk {
    const ALL: [Thunk; 12] = [
        Thunk::Helper,
        Thunk::TailCall,
        Thunk::Lookup,
        Thunk::Lookup4,
        Thunk::Lookup8,
        Thunk::Lookup16,
        Thunk::PacketLoad,
        Thunk::Probe,
        Thunk::StoreCtx,
        Thunk::Cast,
        Thunk::Arena,
        Thunk::Deeper,
    ];

    /// The one at an address, by its name.
    pub(crate) fn name_at(address: u64) -> Option<&'static str> {
        let thunk = Thunk::ALL.into_iter().find(|t| t.address() == address)?;
        Some(match thunk {
            Thunk::Helper => "helper",
            Thunk::TailCall => "tail_call",
            Thunk::Lookup => "lookup",
            Thunk::Lookup4 => "lookup_4",
            Thunk::Lookup8 => "lookup_8",
            Thunk::Lookup16 => "lookup_16",
            Thunk::PacketLoad => "packet_load",
            Thunk::Probe => "probe",
            Thunk::StoreCtx => "store_ctx",
            Thunk::Cast => "cast",
            Thunk::Arena => "arena",
            Thunk::Deeper => "deeper",
        })
    }

    /// Its address.
    pub(crate) fn address(self) -> u64 {
        let code: *const () = match self {
            Thunk::Helper => helper as Helper as *const (),
            Thunk::TailCall => tail_call as TailCall as *const (),
            Thunk::Lookup => lookup as Lookup as *const (),
            Thunk::Lookup4 => lookup_hash::<4> as Lookup as *const (),
            Thunk::Lookup8 => lookup_hash::<8> as Lookup as *const (),
            Thunk::Lookup16 => lookup_hash::<16> as Lookup as *const (),
            Thunk::PacketLoad => packet_load as PacketLoad as *const (),
            Thunk::Probe => probe as OfAddress as *const (),
            Thunk::StoreCtx => store_ctx as OfAddress as *const (),
            Thunk::Cast => cast as OfAddress as *const (),
            Thunk::Arena => arena as OfAddress as *const (),
            Thunk::Deeper => deeper as OfAddress as *const (),
        };
        code.addr() as u64
    }
}

/// Leaves a trap in the state.
#[cold]
fn trap(state: &mut State<'_>, trap: Trap) -> Answer {
    state.pending = Some(Box::new(trap));
    Answer::TRAP
}

/// Calls helper `site` of program `prog` with R1 to R5, from a function with that frame pointer.
///
/// # Safety
/// Compiled code calls it with the state it was entered with, whose `sim` is the exclusive borrow of the
/// call that entered, and with five registers on its stack.
unsafe extern "sysv64" fn helper(
    state: StatePtr,
    args: *const [u64; 5],
    site: u64,
    frame: u64,
    prog: u64,
) -> Answer {
    // SAFETY: the caller's contract: the state outlives compiled code, which does not touch it while we
    // run, and `args` points to five pushed registers.
    let (state_ref, args) = unsafe { (&mut *state, *args) };
    let program = state_ref.programs.get(prog as usize);
    let Some(site) = program.and_then(|p| p.sites.get(site as usize)).copied() else {
        return trap(state_ref, Trap::NotInsn);
    };
    // SAFETY: `sim` is derived from the exclusive borrow that `enter`'s caller holds and does not use
    // before compiled code returns.
    let sim = unsafe { &mut *state_ref.sim };
    let mut engine = Callbacks { state, frame, prog };
    let mut call = Call {
        sim,
        args,
        name: site.name,
        engine: &mut engine,
    };
    let answer = (site.function)(&mut call);
    // SAFETY: as above; callbacks have returned.
    let state = unsafe { &mut *state };
    match answer {
        Ok(value) => {
            // SAFETY: as above; the borrow in `call` has ended.
            let sim = unsafe { &*state.sim };
            state.last = last_offset(sim.memory());
            Answer::of(value)
        }
        Err(error) => trap(state, error),
    }
}

/// The last offset from `ORIGIN` that is not in the red zone which guest memory ends with.
pub(crate) fn last_offset(memory: &Memory) -> u64 {
    (memory.committed() as u64).saturating_sub(2 * layout::RED_ZONE + 1)
}

/// Finds the code of a tail call's target; 0 says that the call fails and execution goes on.
///
/// # Safety
/// As [`helper`].
unsafe extern "sysv64" fn tail_call(
    state: StatePtr,
    map: u64,
    index: u64,
    prog: u64,
    frame: u64,
) -> Answer {
    // SAFETY: as in `helper`.
    let state = unsafe { &mut *state };
    // SAFETY: as in `helper`.
    let sim = unsafe { &*state.sim };
    let Some(target) = sim.tail_call_target(map, index as u32) else {
        return trap(
            state,
            Trap::BadArgument {
                helper: "bpf_tail_call",
                arg: 2,
                wanted: "a prog_array",
                got: map,
            },
        );
    };
    let here = state.programs.get(prog as usize);
    let next = target.and_then(|id| state.programs.get(id.0 as usize));
    // Kernels refuse programs of another type when the slot is filled.
    let next = next.filter(|next| here.is_some_and(|here| here.ty == next.ty));
    let mixed = next.is_some_and(|next| here.is_some_and(|here| here.mode != next.mode));
    if mixed {
        // They disagree about a register.
        let what = "a tail call between confined code and code without checks";
        return trap(state, Trap::NotSimulated(what));
    }
    match next {
        Some(next) if state.at.tail_calls < TAIL_CALLS => {
            state.at.tail_calls += 1;
            state.at.may_goto = MAY_GOTO;
            state.at.frame = frame;
            Answer::of(next.code.at(next.tail) as u64)
        }
        Some(_) | None => Answer::of(0),
    }
}

/// The address of the value of the key at `key`.
///
/// # Safety
/// As [`helper`].
unsafe extern "sysv64" fn lookup(state: StatePtr, map: u64, key: u64) -> u64 {
    // SAFETY: as in `helper`.
    let sim = unsafe { &mut *(*state).sim };
    sim.lookup_unchecked(MapId(map as u32), key)
}

/// The same in a hash with keys of `N` bytes.
///
/// # Safety
/// As [`helper`].
unsafe extern "sysv64" fn lookup_hash<const N: usize>(state: StatePtr, map: u64, key: u64) -> u64 {
    // SAFETY: as in `helper`.
    let sim = unsafe { &mut *(*state).sim };
    sim.lookup_hash_unchecked::<N>(MapId(map as u32), key)
}

/// A load from the packet in network order.
///
/// # Safety
/// As [`helper`].
unsafe extern "sysv64" fn packet_load(state: StatePtr, ctx: u64, off: u64, size: u64) -> Answer {
    // SAFETY: as in `helper`.
    let state = unsafe { &mut *state };
    // SAFETY: as in `helper`.
    let sim = unsafe { &*state.sim };
    match sim.packet_load(ctx, off as u32 as i32, size as u8) {
        Ok(Some(value)) => Answer::of(value),
        Ok(None) => Answer::MISS,
        Err(error) => trap(state, error),
    }
}

/// A load that gives 0 where nothing can be read.
///
/// # Safety
/// As [`helper`].
unsafe extern "sysv64" fn probe(state: StatePtr, addr: u64, size: u64) -> Answer {
    // SAFETY: as in `helper`.
    let sim = unsafe { &*(*state).sim };
    let mem = sim.memory();
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
    Answer::of(value.unwrap_or(0))
}

/// A store of four bytes into the context, to a field that may be one that the kernel narrows.
///
/// # Safety
/// As [`helper`].
unsafe extern "sysv64" fn store_ctx(state: StatePtr, addr: u64, value: u64) -> Answer {
    // SAFETY: as in `helper`.
    let state = unsafe { &mut *state };
    // SAFETY: as in `helper`.
    let sim = unsafe { &mut *state.sim };
    let bytes = (value as u32).to_le_bytes();
    let stored = sim.memory_mut().store::<4>(addr, bytes) || sim.store_ctx_field(addr, 4, value);
    if stored {
        return Answer::of(0);
    }
    let fault = sim.memory().fault(addr, 4, Access::Write);
    trap(state, fault.into())
}

/// An arena's address in the other window; `which` is twice the map's number, and 1 for user space's.
///
/// # Safety
/// As [`helper`].
unsafe extern "sysv64" fn cast(state: StatePtr, addr: u64, which: u64) -> Answer {
    // SAFETY: as in `helper`.
    let state = unsafe { &mut *state };
    // SAFETY: as in `helper`.
    let sim = unsafe { &*state.sim };
    let map = MapId((which >> 1) as u32);
    match sim.arena_cast(map, addr, which & 1 != 0) {
        Some(addr) => Answer::of(addr),
        None => trap(state, Trap::NotSimulated("an arena")),
    }
}

/// Whether an access of a program with an arena, at an offset in guest memory, is to be done, which then is
/// the result, or misses the arena's pages.
///
/// # Safety
/// As [`helper`].
unsafe extern "sysv64" fn arena(state: StatePtr, off: u64, bits: u64) -> Answer {
    // SAFETY: as in `helper`.
    let state = unsafe { &mut *state };
    // SAFETY: as in `helper`.
    let sim = unsafe { &*state.sim };
    let ArenaAccess { size, access, map } = ArenaAccess::from_bits(bits);
    let (mem, len) = (sim.memory(), u64::from(size));
    let addr = off.wrapping_add(mem.base());
    let is_in_arena = sim.is_in_arena(MapId(map), addr);
    if access == Access::Atomic && !is_in_arena && !addr.is_multiple_of(len.max(1)) {
        let why = Why::Misaligned;
        return trap(
            state,
            Trap::Memory(Fault {
                addr,
                len,
                access,
                why,
            }),
        );
    }
    match mem.check(addr, len, access) {
        Ok(()) => Answer::of(off),
        Err(_) if is_in_arena => Answer::MISS,
        Err(fault) => trap(state, fault.into()),
    }
}

/// Opens the frame whose frame pointer that is: one deeper than all that are open.
///
/// # Safety
/// As [`helper`].
unsafe extern "sysv64" fn deeper(state: StatePtr, frame: u64, _: u64) -> Answer {
    // SAFETY: as in `helper`.
    let state = unsafe { &mut *state };
    // SAFETY: as in `helper`.
    let sim = unsafe { &mut *state.sim };
    if open_deeper(state, sim, frame) {
        return Answer::of(0);
    }
    let limit = sim.stack().limit();
    trap(state, Trap::Frames { limit })
}

/// The same in words of our own. Whether there is such a frame.
fn open_deeper(state: &mut State<'_>, sim: &mut Sim, frame: u64) -> bool {
    let depth = state.at.top.wrapping_sub(frame) / skep_sim::FRAME_STEP;
    let opened = u32::try_from(depth)
        .ok()
        .and_then(|depth| sim.open_frame(depth));
    if opened == Some(frame) {
        state.at.deepest = frame;
    }
    opened == Some(frame)
}

/// What helpers call back through.
struct Callbacks {
    state: StatePtr,
    /// The frame pointer of the function that called the helper.
    frame: u64,
    prog: u64,
}

impl Engine for Callbacks {
    fn callback(&mut self, sim: &mut Sim, func: u64, args: [u64; 5]) -> Result<u64, Trap> {
        // SAFETY: the state is the one that compiled code gave to `helper`, which waits for us.
        let state = unsafe { &mut *self.state };
        let programs = state.programs;
        let program = programs.get(self.prog as usize).ok_or(Trap::NotInsn)?;
        let slot = program.function_at(func)?;
        let frame = self.frame.wrapping_sub(skep_sim::FRAME_STEP);
        if frame < state.at.deepest && !open_deeper(state, sim, frame) {
            let limit = sim.stack().limit();
            return Err(Trap::Frames { limit });
        }
        state.last = last_offset(sim.memory());
        enter::callback(self.state, sim, program, slot, frame, args)
    }

    fn program(&self) -> ProgId {
        ProgId(self.prog as u32)
    }

    fn types(&self) -> Option<&ProgramTypes> {
        // SAFETY: as in `callback`; the programs are borrowed for as long as the state.
        let programs = unsafe { (*self.state).programs };
        Some(&programs.get(self.prog as usize)?.types)
    }
}

/// Which program a number in the state stands for.
pub(crate) fn prog_id(number: u32) -> ProgId {
    ProgId(number)
}
