//! What engines share when they make a load request executable and when they run it: what an instruction
//! names in this kernel, and the ways in which loading and running fail.

use std::fmt;

use skep_isa::{CallTarget, FormError, Imm64, Insn, InsnIdx, decode_noting};
use skep_spec::{ProgType, ProgramSpec};

use crate::arena::layout;
use crate::errno::Errno;
use crate::helpers::{self, Helper, HelperFn};
use crate::maps::{MapError, MapId};
use crate::sim::{ProgId, Sim};
use crate::trap::Trap;

/// Why a program cannot be executed at all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LoadError {
    /// A slot is no instruction.
    Form(InsnIdx, FormError),
    /// A jump or call leaves the program or lands in the middle of an instruction.
    Target(InsnIdx),
    /// An instruction names a map that the request does not have, or a value that the map does not have.
    Map(InsnIdx),
    /// A map cannot be made.
    MapError(MapError),
    /// The program has no instructions.
    Empty,
    /// The engine cannot work here, for this reason.
    Engine(&'static str),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Form(at, error) => write!(f, "instruction {at}: {error}"),
            LoadError::Target(at) => write!(f, "instruction {at} jumps to no instruction"),
            LoadError::Map(at) => write!(f, "instruction {at} names no map or value of one"),
            LoadError::MapError(error) => error.fmt(f),
            LoadError::Empty => f.write_str("the program has no instructions"),
            LoadError::Engine(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for LoadError {}

/// A run that a trap ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stop {
    /// The program in which it happened, which after tail calls is not the one that was started.
    pub prog: ProgId,
    /// The slot of the instruction.
    pub insn_idx: InsnIdx,
    /// What happened.
    pub trap: Trap,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "instruction {}: {}", self.insn_idx, self.trap)
    }
}

impl std::error::Error for Stop {}

/// Why a run gave no result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RunError {
    /// The kernel would not have started it (`BPF_PROG_TEST_RUN`).
    Input(Errno),
    /// It started, and a trap ended it.
    Stop(Stop),
    /// There is no such program.
    NoProgram(ProgId),
    /// The program was loaded for another simulated kernel.
    OtherKernel,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Input(errno) => write!(f, "the input is refused: {errno}"),
            RunError::Stop(stop) => stop.fmt(f),
            RunError::NoProgram(id) => write!(f, "there is no program #{}", id.0),
            RunError::OtherKernel => f.write_str("the program was loaded for another kernel"),
        }
    }
}

impl std::error::Error for RunError {}

/// What a call instruction does.
#[derive(Clone, Debug)]
pub enum Callee {
    /// Enters the function at that slot.
    Subprog(InsnIdx),
    /// Runs a helper or kernel function, with its name.
    Function(&'static str, HelperFn),
    /// Leaves for another program.
    TailCall,
    /// Is not simulated.
    Trap(Trap),
}

/// A load request's instructions, and what they name in one kernel.
#[derive(Debug)]
pub struct Linker<'a> {
    sim: &'a Sim,
    maps: Vec<MapId>,
    insns: Vec<Insn>,
    others: Vec<InsnIdx>,
    ty: ProgType,
}

impl<'a> Linker<'a> {
    /// Decodes a request. Its maps are looked up in the kernel, and made where they are missing.
    ///
    /// # Errors
    /// What is no program, and maps that cannot be made.
    pub fn new(sim: &'a mut Sim, spec: &ProgramSpec) -> Result<Linker<'a>, LoadError> {
        let mut others = Vec::with_capacity(spec.insns.len() / 2);
        let insns = decode_noting(&spec.insns, |idx| others.push(idx))
            .map_err(|(at, error)| LoadError::Form(at, error))?;
        if insns.is_empty() {
            return Err(LoadError::Empty);
        }
        let mut maps = Vec::with_capacity(spec.maps.len());
        for map in &spec.maps {
            maps.push(sim.map_of(map).map_err(LoadError::MapError)?);
        }
        let ty = spec.ty;
        Ok(Linker {
            sim,
            maps,
            insns,
            others,
            ty,
        })
    }

    /// The kernel.
    pub fn sim(&self) -> &Sim {
        self.sim
    }

    /// The instructions, one per slot.
    pub fn insns(&self) -> &[Insn] {
        &self.insns
    }

    /// The slots, in order, of all instructions but arithmetic without variants and plain loads.
    pub fn others(&self) -> &[InsnIdx] {
        &self.others
    }

    /// The instructions alone.
    pub fn into_insns(self) -> Vec<Insn> {
        self.insns
    }

    /// The slot that a jump, call or function pointer at `idx` leads to, which must begin an instruction.
    ///
    /// # Errors
    /// [`LoadError::Target`].
    pub fn target(&self, idx: InsnIdx, off: i32) -> Result<InsnIdx, LoadError> {
        let to = idx as i64 + 1 + i64::from(off);
        let to = usize::try_from(to).map_err(|_| LoadError::Target(idx))?;
        match self.insns.get(to) {
            None | Some(Insn::Imm64Hi) => Err(LoadError::Target(idx)),
            Some(_) => Ok(to),
        }
    }

    /// The map of that number in the request.
    ///
    /// # Errors
    /// [`LoadError::Map`].
    pub fn map(&self, idx: InsnIdx, number: i32) -> Result<MapId, LoadError> {
        let number = usize::try_from(number).ok();
        let map = number.and_then(|number| self.maps.get(number)).copied();
        map.ok_or(LoadError::Map(idx))
    }

    /// The request's arena, of which there is one at most.
    pub fn arena(&self) -> Option<MapId> {
        let is_arena = |id: &MapId| self.sim.arena_address(*id, 0).is_some();
        self.maps.iter().copied().find(is_arena)
    }

    /// What a 64-bit immediate load puts into its register, or the trap that it is.
    ///
    /// # Errors
    /// Names of nothing.
    pub fn wide(&self, idx: InsnIdx, imm: Imm64) -> Result<Result<u64, Trap>, LoadError> {
        Ok(Ok(match imm {
            Imm64::Value(value) => value,
            Imm64::Map(map) | Imm64::MapIdx(map) => self.sim.maps().handle(self.map(idx, map)?),
            Imm64::MapValue { map, off } | Imm64::MapIdxValue { idx: map, off } => {
                let id = self.map(idx, map)?;
                let map = self.sim.maps().get(id).ok_or(LoadError::Map(idx))?;
                let in_arena = self.sim.arena_address(id, off.into());
                let in_array = map.array_layout().map(|l| l.base + u64::from(off));
                in_arena.or(in_array).ok_or(LoadError::Map(idx))?
            }
            Imm64::Func(off) => layout::FUNCS + 8 * self.target(idx, off)? as u64,
            Imm64::BtfVar { .. } => {
                return Ok(Err(Trap::NotSimulated("a variable of the kernel")));
            }
        }))
    }

    /// What a call calls.
    ///
    /// # Errors
    /// [`LoadError::Target`].
    pub fn callee(&self, idx: InsnIdx, target: CallTarget) -> Result<Callee, LoadError> {
        let id = match target {
            CallTarget::Subprog(off) => return Ok(Callee::Subprog(self.target(idx, off)?)),
            CallTarget::Kfunc { id, .. } => {
                let name = self.sim.kernel_function(id).unwrap_or_default();
                return Ok(match helpers::find_kfunc(name) {
                    Some((name, function)) => Callee::Function(name, function),
                    None => Callee::Trap(Trap::KfuncNotSimulated {
                        id,
                        name: name.to_owned(),
                    }),
                });
            }
            CallTarget::Helper(id) => id,
        };
        Ok(match helpers::find(id, self.ty) {
            Ok((_, Helper::TailCall)) => Callee::TailCall,
            Ok((name, Helper::Function(function))) => Callee::Function(name, function),
            Err(trap) => Callee::Trap(trap),
        })
    }

    /// Slots whose address some instruction takes, in order: the functions that may be called back.
    ///
    /// # Errors
    /// [`LoadError::Target`].
    pub fn funcs(&self) -> Result<Vec<InsnIdx>, LoadError> {
        let mut funcs = Vec::new();
        for (idx, insn) in self.insns.iter().enumerate() {
            if let Insn::LoadImm64 {
                imm: Imm64::Func(off),
                ..
            } = *insn
            {
                funcs.push(self.target(idx, off)?);
            }
        }
        funcs.sort_unstable();
        funcs.dedup();
        Ok(funcs)
    }
}
