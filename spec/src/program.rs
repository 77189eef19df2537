//! A program's load request.

use std::sync::Arc;

use bitflags::bitflags;
use skep_btf::Btf;
use skep_isa::{InsnIdx, RawInsn};

use crate::{AttachType, CoreAccess, MapSpec, ProgType};

bitflags! {
    /// `prog_flags` of `BPF_PROG_LOAD`.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct ProgFlags: u32 {
        /// Every access must be aligned to its size.
        const STRICT_ALIGNMENT = 1 << 0;
        /// No access need be aligned; overrides strict alignment.
        const ANY_ALIGNMENT = 1 << 1;
        /// Testing: high halves of 32-bit results are randomised. No effect on the verdict.
        const TEST_RND_HI32 = 1 << 2;
        /// Testing: every prune point stores a state.
        const TEST_STATE_FREQ = 1 << 3;
        /// The program may sleep.
        const SLEEPABLE = 1 << 4;
        /// XDP program that understands packets in several fragments.
        const XDP_HAS_FRAGS = 1 << 5;
        /// XDP program bound to one device.
        const XDP_DEV_BOUND_ONLY = 1 << 6;
        /// Testing: a register whose bounds contradict each other is an error.
        const TEST_REG_INVARIANTS = 1 << 7;
        /// Bits that have no name here are kept.
        const _ = !0;
    }
}

/// Where a function begins, and its BTF.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FuncInfo {
    /// First slot of the function.
    pub insn_off: u32,
    /// BTF id of its `FUNC`.
    pub type_id: u32,
}

/// Which source line an instruction came from. Strings are offsets into the program's BTF.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LineInfo {
    /// First slot that belongs to the line.
    pub insn_off: u32,
    /// File name.
    pub file_name_off: u32,
    /// The line's text.
    pub line_off: u32,
    /// Line number in the high 22 bits, column in the low 10.
    pub line_col: u32,
}

impl LineInfo {
    /// Line number, from 1.
    pub const fn line(self) -> u32 {
        self.line_col >> 10
    }

    /// Column, from 1; 0 where it is unknown.
    pub const fn column(self) -> u32 {
        self.line_col & 0x3ff
    }
}

/// The BPF program that an ext, fentry or similar program attaches to.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its type.
    pub ty: ProgType,
    /// Its expected attach type.
    pub attach: AttachType,
    /// Its BTF, to which [`ProgramSpec::attach_btf_id`] refers.
    pub btf: Arc<Btf>,
    /// Its functions.
    pub func_info: Vec<FuncInfo>,
    /// Whether it may change packet data.
    pub changes_pkt_data: bool,
    /// Whether it may sleep.
    pub might_sleep: bool,
}

/// Something that must be resolved against a kernel before the request is complete, and is not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unresolved {
    /// The slot that waits for it.
    pub insn_idx: InsnIdx,
    /// What is missing, as a user would name it: `CO-RE relocation of struct task_struct.pid`.
    pub what: String,
}

/// What `BPF_PROG_LOAD` is given for one program.
///
/// In `insns`, slots that name a map (`pseudo::MAP_FD`, `pseudo::MAP_VALUE`) hold an index into
/// `maps` where the kernel's request holds a file descriptor. A negative number names no map: -1 less the
/// descriptor that was asked for.
#[derive(Clone, Debug)]
pub struct ProgramSpec {
    /// Name: the C function's.
    pub name: String,
    /// ELF section that it came from, or empty.
    pub section: String,
    /// Program type.
    pub ty: ProgType,
    /// Expected attach type.
    pub attach: AttachType,
    /// Flags.
    pub flags: ProgFlags,
    /// Licence, as declared.
    pub license: String,
    /// All slots, subprograms behind the main program.
    pub insns: Vec<RawInsn>,
    /// The maps that instructions refer to by index.
    pub maps: Vec<Arc<MapSpec>>,
    /// The program's own BTF.
    pub btf: Option<Arc<Btf>>,
    /// Functions, ascending by offset.
    pub func_info: Vec<FuncInfo>,
    /// Source lines, ascending by offset.
    pub line_info: Vec<LineInfo>,
    /// What its section names behind the `/`: a function, tracepoint, hook or symbol; else empty.
    pub attach_to: String,
    /// Whether loaders load it unasked; `SEC("?…")` says no.
    pub autoload: bool,
    /// BTF id of the kernel function or type that it attaches to, or 0.
    pub attach_btf_id: u32,
    /// The BPF program that it attaches to, if it does.
    pub target: Option<Target>,
    /// CO-RE relocations that were applied, or would be, by slot, ascending.
    pub core: Vec<(InsnIdx, Arc<CoreAccess>)>,
    /// What could not be resolved; a request with any is incomplete.
    pub unresolved: Vec<Unresolved>,
}

impl ProgramSpec {
    /// A request with nothing but its type and instructions.
    pub fn new(name: &str, ty: ProgType, insns: Vec<RawInsn>) -> ProgramSpec {
        ProgramSpec {
            name: name.to_owned(),
            section: String::new(),
            ty,
            attach: AttachType::CgroupInetIngress,
            flags: ProgFlags::empty(),
            license: "GPL".to_owned(),
            insns,
            maps: Vec::new(),
            btf: None,
            func_info: Vec::new(),
            line_info: Vec::new(),
            attach_to: String::new(),
            autoload: true,
            attach_btf_id: 0,
            target: None,
            core: Vec::new(),
            unresolved: Vec::new(),
        }
    }

    /// Whether the licence lets the program call GPL-only functions, by the kernel's list.
    pub fn is_gpl_compatible(&self) -> bool {
        matches!(
            self.license.as_str(),
            "GPL"
                | "GPL v2"
                | "GPL and additional rights"
                | "Dual BSD/GPL"
                | "Dual MIT/GPL"
                | "Dual MPL/GPL"
        )
    }

    /// The CO-RE relocation of a slot.
    pub fn core_at(&self, idx: InsnIdx) -> Option<&Arc<CoreAccess>> {
        let at = self.core.partition_point(|c| c.0 < idx);
        self.core.get(at).filter(|c| c.0 == idx).map(|c| &c.1)
    }

    /// The source line that a slot belongs to: the last record at or before it.
    pub fn line_at(&self, idx: InsnIdx) -> Option<&LineInfo> {
        let after = self
            .line_info
            .partition_point(|l| (l.insn_off as usize) <= idx);
        self.line_info.get(after.checked_sub(1)?)
    }
}
