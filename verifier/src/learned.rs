//! What the walk learns per instruction and per subprogram, across all paths; never undone.

use skep_isa::InsnIdx;

use crate::access::{Place, WalkCache};
use crate::state::{MapId, PointerType, PtrFlags, RegionKind};

/// What is known of the map that a helper call was given, over all paths.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum MapSeen {
    /// No path has reached the call.
    #[default]
    None,
    /// Always this map.
    One(MapId),
    /// Different maps.
    Several,
}

/// What is known of the constant key that a helper call was given, over all paths.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum KeySeen {
    /// No path has reached the call.
    #[default]
    None,
    /// Always this key.
    One(u64),
    /// Different keys, or an unknown one.
    Several,
}

/// What is known of a call of `bpf_loop`, over all paths: whether it can become a plain loop.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum LoopSeen {
    /// No path has reached the call.
    #[default]
    None,
    /// Always this subprogram, without flags.
    One(usize),
    /// Different subprograms, or flags.
    Several,
}

/// What was learned at one instruction.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct InsnLearned {
    /// Some path came here: the instruction is not removed as dead.
    pub(crate) seen: bool,
    /// The type of the pointer through which a load or store went.
    pub(crate) pointer: Option<PointerType>,
    /// The map of a helper call.
    pub(crate) map: MapSeen,
    /// The constant key of a helper call.
    pub(crate) key: KeySeen,
    /// What a call of `bpf_loop` runs.
    pub(crate) bpf_loop: LoopSeen,
}

/// What was learned of one subprogram.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct SubprogLearned {
    /// Deepest stack access, in bytes.
    pub(crate) stack_depth: u32,
    /// The stack of fast calls is used otherwise too: it stays.
    pub(crate) fastcall_void: bool,
    /// Some path hands it to a helper that calls it.
    pub(crate) is_callback: bool,
    /// Some path hands it to a helper that has it called later.
    pub(crate) is_async_callback: bool,
    /// A global subprogram that some path calls.
    pub(crate) called: bool,
    /// A global subprogram that was verified on its own.
    pub(crate) verified: bool,
}

/// Everything learned.
#[derive(Clone, Debug)]
pub(crate) struct Learned {
    /// By instruction.
    pub(crate) insns: Vec<InsnLearned>,
    /// By subprogram.
    pub(crate) subprogs: Vec<SubprogLearned>,
    /// Some path throws an exception.
    pub(crate) throws: bool,
    /// Members of kernel structures that were looked up.
    pub(crate) walks: WalkCache,
    /// Members of the program's own structures that were looked up.
    pub(crate) own_walks: WalkCache,
    /// Members of a kernel structure that a program like this may write, once it wrote to one.
    pub(crate) writable: Option<Vec<Place>>,
    /// The last id given out; ids are shared by links, origins and references.
    last_id: u32,
    /// Instructions processed.
    pub(crate) insns_processed: u64,
    /// Instructions of the jump classes processed.
    pub(crate) jumps_processed: u64,
    /// `insns_processed` when a state was last remembered.
    pub(crate) insns_at_last_state: u64,
    /// `jumps_processed` when a state was last remembered.
    pub(crate) jumps_at_last_state: u64,
}

impl Learned {
    /// Nothing learned yet.
    pub(crate) fn new(insns: usize, subprogs: usize) -> Learned {
        Learned {
            insns: vec![InsnLearned::default(); insns],
            subprogs: vec![SubprogLearned::default(); subprogs],
            throws: false,
            walks: WalkCache::default(),
            own_walks: WalkCache::default(),
            writable: None,
            last_id: 0,
            insns_processed: 0,
            jumps_processed: 0,
            insns_at_last_state: 0,
            jumps_at_last_state: 0,
        }
    }

    /// The slots whose pointers may be wrong: reads through them are probed (`convert_ctx_accesses`).
    pub(crate) fn probe_loads(&self) -> Vec<InsnIdx> {
        let untrusted_memory = PtrFlags::RDONLY.union(PtrFlags::UNTRUSTED);
        let probed = |ty: &PointerType| {
            let of_kernel = ty.kind == RegionKind::Btf;
            let of_memory = ty.kind == RegionKind::Mem;
            of_kernel && (ty.flags.is_empty() || ty.flags.contains(PtrFlags::UNTRUSTED))
                || of_memory && ty.flags.contains(untrusted_memory)
        };
        let insns = self.insns.iter().enumerate();
        insns
            .filter(|(_, insn)| insn.pointer.as_ref().is_some_and(probed))
            .map(|(idx, _)| idx)
            .collect()
    }

    /// A new id, never 0.
    pub(crate) fn next_id(&mut self) -> u32 {
        self.last_id += 1;
        self.last_id
    }

    /// The last id given out.
    pub(crate) fn last_id(&self) -> u32 {
        self.last_id
    }

    /// What was learned at an instruction.
    pub(crate) fn at(&mut self, idx: InsnIdx) -> &mut InsnLearned {
        &mut self.insns[idx]
    }
}
