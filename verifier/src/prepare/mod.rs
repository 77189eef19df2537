//! Everything that is computed once, before the first path is walked: instruction form, pseudo
//! immediates, subprograms, control flow, live registers. The result, [`Ctx`], never changes.

use skep_isa::{FormError, Insn, InsnIdx, RawInsn};
use skep_spec::{Facts, MapSpec, ProgramSpec};

use crate::Config;
use crate::state::MapId;

/// What control flow says about one instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct InsnFlow {
    /// States are compared, and may be remembered, before it.
    pub(crate) prune_point: bool,
    /// The history of a path records arriving at it.
    pub(crate) jump_point: bool,
    /// A state is remembered here whatever the heuristics say.
    pub(crate) force_checkpoint: bool,
    /// It calls a helper or kernel function that takes a synchronous callback.
    pub(crate) calls_callback: bool,
    /// Number of its strongly connected component, 0 if it is in no loop.
    pub(crate) scc: u32,
    /// Registers alive before it, one bit each.
    pub(crate) live_regs: u16,
}

/// An argument of a global subprogram, as its prototype declares it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum GlobalArg {
    /// Any number.
    Scalar,
    /// The program's context.
    Ctx,
    /// Memory of that many bytes, null allowed or not.
    Mem {
        /// Bytes.
        size: u32,
        /// Null is allowed.
        nullable: bool,
        /// The callee may only read it.
        rdonly: bool,
        /// The callee may not trust it at all.
        untrusted: bool,
    },
    /// A pointer into an arena.
    Arena,
    /// A dynptr.
    Dynptr,
    /// A trusted kernel object.
    Btf {
        /// Type in the kernel's BTF.
        id: u32,
        /// Null is allowed.
        nullable: bool,
        /// Only probed reads are allowed.
        untrusted: bool,
    },
}

/// One subprogram; number 0 is the main program.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Subprog {
    /// First slot.
    pub(crate) start: InsnIdx,
    /// One past the last slot.
    pub(crate) end: InsnIdx,
    /// Name in BTF, or empty.
    pub(crate) name: String,
    /// Verified on its own, by its prototype.
    pub(crate) is_global: bool,
    /// Prototype of a global subprogram, or `None` where BTF says nothing usable.
    pub(crate) args: Option<Vec<GlobalArg>>,
    /// It contains a tail call.
    pub(crate) has_tail_call: bool,
    /// It, or something that it calls, contains a tail call.
    pub(crate) tail_call_reachable: bool,
    /// It contains a legacy packet load.
    pub(crate) has_ld_abs: bool,
    /// It, or something that it calls, may change packet data.
    pub(crate) changes_pkt_data: bool,
    /// It, or something that it calls, may sleep.
    pub(crate) might_sleep: bool,
    /// Its address is taken for a synchronous or asynchronous callback.
    pub(crate) is_callback: bool,
    /// It is called later, by a timer or work queue.
    pub(crate) is_async_callback: bool,
    /// It handles exceptions.
    pub(crate) is_exception_callback: bool,
    /// Lowest stack offset that belongs to spills around fast calls, in bytes (negative), or 0.
    pub(crate) fastcall_stack_off: i32,
}

/// A map that the program can reach.
#[derive(Clone, Debug)]
pub(crate) struct MapInfo<'a> {
    /// Its creation request.
    pub(crate) spec: &'a MapSpec,
    /// Shape of its inner maps.
    pub(crate) inner: Option<MapId>,
}

/// The prepared program.
#[derive(Debug)]
pub(crate) struct Ctx<'a> {
    /// The request.
    pub(crate) spec: &'a ProgramSpec,
    /// The kernel.
    pub(crate) facts: &'a Facts,
    /// How to verify.
    pub(crate) config: &'a Config,
    /// All slots.
    pub(crate) insns: &'a [RawInsn],
    /// Their meaning; an error is raised when a path reaches it.
    pub(crate) decoded: Vec<Result<Insn, FormError>>,
    /// Control flow, by slot.
    pub(crate) flow: Vec<InsnFlow>,
    /// Subprograms, ascending by start.
    pub(crate) subprogs: Vec<Subprog>,
    /// The request's maps in order, then the shapes of their inner maps.
    pub(crate) maps: Vec<MapInfo<'a>>,
}

impl<'a> Ctx<'a> {
    /// The map of that id.
    pub(crate) fn map(&self, id: MapId) -> &MapInfo<'a> {
        &self.maps[id.0 as usize]
    }

    /// The subprogram that a slot belongs to.
    pub(crate) fn subprog_of(&self, idx: InsnIdx) -> usize {
        self.subprogs.partition_point(|s| s.start <= idx).saturating_sub(1)
    }

    /// The subprogram that begins at a slot.
    pub(crate) fn subprog_at(&self, idx: InsnIdx) -> Option<usize> {
        self.subprogs.binary_search_by_key(&idx, |s| s.start).ok()
    }
}
