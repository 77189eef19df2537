//! A program in compiled form.

use skep_isa::{Insn, InsnIdx};
use skep_sim::{Linker, LoadError, ProgramTypes, Trap, layout};
use skep_spec::{AttachType, ProgType, ProgramSpec};

use crate::code::Code;
use crate::compile::{Compiled, Site};
use crate::options::Mode;
use crate::run::{MAY_GOTO, NO_TRAP, Start};

/// A compiled program.
#[derive(Debug)]
pub struct Program {
    pub(crate) name: String,
    pub(crate) ty: ProgType,
    pub(crate) attach: AttachType,
    pub(crate) mode: Mode,
    pub(crate) insns: Vec<Insn>,
    pub(crate) code: Code,
    /// Where each slot's code begins; `u32::MAX` inside of what was compiled as one.
    pub(crate) offs: Vec<u32>,
    /// Where the code of the last slot ends.
    pub(crate) end: u32,
    pub(crate) tail: u32,
    pub(crate) light: bool,
    /// What its runs begin with.
    pub(crate) start: Start,
    pub(crate) sites: Vec<Site>,
    pub(crate) traps: Vec<(InsnIdx, Trap)>,
    pub(crate) callbacks: Vec<InsnIdx>,
    /// Its own types.
    pub(crate) types: ProgramTypes,
}

impl Program {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its type.
    pub fn ty(&self) -> ProgType {
        self.ty
    }

    /// Its expected attach type.
    pub fn attach(&self) -> AttachType {
        self.attach
    }

    /// Its instructions, one per slot.
    pub fn insns(&self) -> &[Insn] {
        &self.insns
    }

    /// Its machine code.
    pub fn code(&self) -> &[u8] {
        self.code.bytes()
    }

    /// The address of its machine code in this process.
    pub fn address(&self) -> u64 {
        self.code.at(0).addr() as u64
    }

    /// Offset of a slot's machine code; `None` where it belongs to the slot before, and behind the end. In
    /// loops the code of slots may stand in another order than they.
    pub fn offset(&self, slot: InsnIdx) -> Option<usize> {
        let off = self.offs.get(slot).copied()?;
        (off != u32::MAX).then_some(off as usize)
    }

    /// Where the machine code of the last slot ends; traps and the like are behind.
    pub fn end(&self) -> usize {
        self.end as usize
    }

    pub(crate) fn slot_code(&self, slot: InsnIdx) -> u32 {
        self.offs.get(slot).copied().unwrap_or(0)
    }

    /// The function whose address that is, if it may be called back.
    ///
    /// # Errors
    /// [`Trap::NotFunction`].
    pub(crate) fn function_at(&self, addr: u64) -> Result<InsnIdx, Trap> {
        let off = addr.wrapping_sub(layout::FUNCS);
        let slot = usize::try_from(off / 8).unwrap_or(usize::MAX);
        if !off.is_multiple_of(8) || self.callbacks.binary_search(&slot).is_err() {
            return Err(Trap::NotFunction { addr });
        }
        Ok(slot)
    }

    /// Budget that a call of a function from outside costs: the slots up to its first exit.
    pub(crate) fn callback_cost(&self, slot: InsnIdx) -> u64 {
        let rest = self.insns.get(slot..).unwrap_or_default();
        let exit = rest.iter().position(|insn| matches!(insn, Insn::Exit));
        exit.unwrap_or(rest.len()) as u64 + 1
    }

    /// Puts what was compiled into executable memory.
    pub(crate) fn new(
        spec: &ProgramSpec,
        compiled: Compiled,
        linker: Linker<'_>,
        mode: Mode,
    ) -> Result<Program, LoadError> {
        let (memory, stack) = (linker.sim().memory(), linker.sim().stack());
        let host_base = memory.host_base().addr() as u64;
        let last = stack.frames().saturating_sub(1);
        let code = Code::new(&compiled.code, compiled.entry)
            .ok_or(LoadError::Engine("no memory for code"))?;
        let slot_0 = compiled.offs.first().copied().unwrap_or(0);
        let start = Start {
            frame: stack.top(0),
            target: code.at(slot_0).addr() as u64,
            leave: code.at(compiled.leave).addr() as u64,
            host_base,
            deepest: stack.top(last),
            top: stack.top(0),
            trap_value: 0,
            trap_at: NO_TRAP,
            trap_prog: 0,
            may_goto: MAY_GOTO,
            tail_calls: 0,
        };
        Ok(Program {
            name: spec.name.clone(),
            ty: spec.ty,
            attach: spec.attach,
            mode,
            insns: linker.into_insns(),
            code,
            offs: compiled.offs,
            end: compiled.end,
            tail: compiled.tail,
            light: compiled.light,
            start,
            sites: compiled.sites,
            traps: compiled.traps,
            callbacks: compiled.callbacks,
            types: ProgramTypes::of(spec),
        })
    }
}
