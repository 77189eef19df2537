//! Programs made in code: instructions appended one by one, with labels for what is not yet known.
//!
//! ```
//! use skep_asm::Builder;
//! use skep_isa::{JmpOp, Reg};
//! let insns = Builder::new()
//!     .mov(Reg::R0, 1)
//!     .jump(JmpOp::Eq, Reg::R1, 0, "out")
//!     .mov(Reg::R0, 2)
//!     .label("out")
//!     .exit()
//!     .finish()
//!     .unwrap();
//! assert_eq!(insns.len(), 4);
//! assert_eq!(insns[1].off, 1);
//! ```

use std::fmt;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use skep_isa::{
    AluOp, AtomicOp, CallTarget, EndianOp, Imm64, Insn, JmpOp, Operand, RawInsn, Reg, Size, Width,
    encode,
};
use skep_spec::{MapSpec, ProgType, ProgramSpec};

use crate::link::set_distance;

/// A place in a program: by name, or by a number for labels that are made up on the way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Label<'l> {
    /// A name.
    Name(&'l str),
    /// A number.
    Number(u32),
}

impl<'l> From<&'l str> for Label<'l> {
    fn from(name: &'l str) -> Self {
        Label::Name(name)
    }
}

impl From<u32> for Label<'_> {
    fn from(number: u32) -> Self {
        Label::Number(number)
    }
}

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Label::Name(name) => f.write_str(name),
            Label::Number(number) => write!(f, "{number}"),
        }
    }
}

/// Why labels could not become distances.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BuildError {
    /// A label is used and stands nowhere.
    UnknownLabel(String),
    /// A label stands twice.
    DuplicateLabel(String),
    /// A label is too far away for the jump at this slot.
    TooFar {
        /// The label.
        label: String,
        /// The jump's slot.
        insn_idx: usize,
        /// Slots from the next slot to the label.
        distance: i64,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::UnknownLabel(label) => write!(f, "there is no label `{label}`"),
            BuildError::DuplicateLabel(label) => write!(f, "the label `{label}` stands twice"),
            BuildError::TooFar {
                label,
                insn_idx,
                distance,
            } => {
                write!(
                    f,
                    "slot {insn_idx}: `{label}` is {distance} slots away, which is too far"
                )
            }
        }
    }
}

impl std::error::Error for BuildError {}

/// Builds a program's instructions. It can be used again after [`Builder::finish`] and then keeps
/// its memory.
#[derive(Clone, Debug, Default)]
pub struct Builder<'l> {
    insns: Vec<RawInsn>,
    labels: FxHashMap<Label<'l>, usize>,
    /// Slots whose distance is open.
    open: Vec<(usize, Insn, Label<'l>)>,
    duplicate: Option<Label<'l>>,
}

impl<'l> Builder<'l> {
    /// An empty program.
    pub fn new() -> Self {
        Self::default()
    }

    /// Slots so far: the index of the next instruction.
    pub fn slots(&self) -> usize {
        self.insns.len()
    }

    /// Appends an instruction whose distances, if it has any, are known.
    pub fn insn(&mut self, insn: Insn) -> &mut Self {
        let (first, second) = encode(&insn);
        self.insns.push(first);
        self.insns.extend(second);
        self
    }

    /// Appends a slot as it is.
    pub fn raw(&mut self, slot: RawInsn) -> &mut Self {
        self.insns.push(slot);
        self
    }

    /// Puts a label before the next instruction.
    pub fn label(&mut self, label: impl Into<Label<'l>>) -> &mut Self {
        let label = label.into();
        if self.labels.insert(label, self.insns.len()).is_some() {
            self.duplicate.get_or_insert(label);
        }
        self
    }

    fn open(&mut self, insn: Insn, label: Label<'l>) -> &mut Self {
        self.open.push((self.insns.len(), insn, label));
        self.insn(insn)
    }

    /// `dst = src`.
    pub fn mov(&mut self, dst: Reg, src: impl Into<Operand>) -> &mut Self {
        self.alu(AluOp::Mov, dst, src)
    }

    /// `dst = src` in 32 bits.
    pub fn mov32(&mut self, dst: Reg, src: impl Into<Operand>) -> &mut Self {
        self.alu32(AluOp::Mov, dst, src)
    }

    /// `dst op= src`.
    pub fn alu(&mut self, op: AluOp, dst: Reg, src: impl Into<Operand>) -> &mut Self {
        self.insn(Insn::Alu {
            op,
            width: Width::W64,
            dst,
            src: src.into(),
        })
    }

    /// `dst op= src` in 32 bits.
    pub fn alu32(&mut self, op: AluOp, dst: Reg, src: impl Into<Operand>) -> &mut Self {
        self.insn(Insn::Alu {
            op,
            width: Width::W32,
            dst,
            src: src.into(),
        })
    }

    /// `dst = (s8|s16|s32)src`; `bits` is 8, 16 or 32.
    pub fn mov_sx(&mut self, bits: u8, dst: Reg, src: Reg) -> &mut Self {
        self.insn(Insn::MovSx {
            width: Width::W64,
            bits,
            dst,
            src,
        })
    }

    /// `dst = -dst`.
    pub fn neg(&mut self, dst: Reg) -> &mut Self {
        self.insn(Insn::Neg {
            width: Width::W64,
            dst,
        })
    }

    /// Byte order of `dst`; `bits` is 16, 32 or 64.
    pub fn endian(&mut self, op: EndianOp, bits: u8, dst: Reg) -> &mut Self {
        self.insn(Insn::Endian { op, bits, dst })
    }

    /// `dst = value ll`: two slots.
    pub fn imm64(&mut self, dst: Reg, value: u64) -> &mut Self {
        self.insn(Insn::LoadImm64 {
            dst,
            imm: Imm64::Value(value),
        })
    }

    /// `dst = map[…] ll`: the map of that index in the program's maps. Two slots.
    pub fn map(&mut self, dst: Reg, index: i32) -> &mut Self {
        self.insn(Insn::LoadImm64 {
            dst,
            imm: Imm64::Map(index),
        })
    }

    /// `dst = map_value[…]+off ll`. Two slots.
    pub fn map_value(&mut self, dst: Reg, map: i32, off: u32) -> &mut Self {
        self.insn(Insn::LoadImm64 {
            dst,
            imm: Imm64::MapValue { map, off },
        })
    }

    /// `dst = func label ll`. Two slots.
    pub fn func(&mut self, dst: Reg, label: impl Into<Label<'l>>) -> &mut Self {
        self.open(
            Insn::LoadImm64 {
                dst,
                imm: Imm64::Func(0),
            },
            label.into(),
        )
    }

    /// `dst = *(size *)(base + off)`.
    pub fn load(&mut self, size: Size, dst: Reg, base: Reg, off: i16) -> &mut Self {
        self.insn(Insn::Load {
            size,
            sign: false,
            dst,
            base,
            off,
        })
    }

    /// The same with sign extension.
    pub fn load_sx(&mut self, size: Size, dst: Reg, base: Reg, off: i16) -> &mut Self {
        self.insn(Insn::Load {
            size,
            sign: true,
            dst,
            base,
            off,
        })
    }

    /// `*(size *)(base + off) = src`.
    pub fn store(&mut self, size: Size, base: Reg, off: i16, src: impl Into<Operand>) -> &mut Self {
        self.insn(Insn::Store {
            size,
            base,
            off,
            src: src.into(),
        })
    }

    /// An atomic operation without result.
    pub fn atomic(&mut self, op: AtomicOp, size: Size, base: Reg, off: i16, src: Reg) -> &mut Self {
        let fetch = matches!(op, AtomicOp::Xchg | AtomicOp::Cmpxchg);
        self.insn(Insn::Atomic {
            op,
            fetch,
            size,
            base,
            off,
            src,
        })
    }

    /// An atomic operation that returns the old value in `src` (or `r0` for a comparison).
    pub fn atomic_fetch(
        &mut self,
        op: AtomicOp,
        size: Size,
        base: Reg,
        off: i16,
        src: Reg,
    ) -> &mut Self {
        self.insn(Insn::Atomic {
            op,
            fetch: true,
            size,
            base,
            off,
            src,
        })
    }

    /// `if dst op src goto label`.
    pub fn jump(
        &mut self,
        op: JmpOp,
        dst: Reg,
        src: impl Into<Operand>,
        label: impl Into<Label<'l>>,
    ) -> &mut Self {
        let insn = Insn::Jump {
            op,
            width: Width::W64,
            dst,
            src: src.into(),
            off: 0,
        };
        self.open(insn, label.into())
    }

    /// The same in 32 bits.
    pub fn jump32(
        &mut self,
        op: JmpOp,
        dst: Reg,
        src: impl Into<Operand>,
        label: impl Into<Label<'l>>,
    ) -> &mut Self {
        let insn = Insn::Jump {
            op,
            width: Width::W32,
            dst,
            src: src.into(),
            off: 0,
        };
        self.open(insn, label.into())
    }

    /// `goto label`.
    pub fn goto(&mut self, label: impl Into<Label<'l>>) -> &mut Self {
        self.open(Insn::Goto { off: 0, far: false }, label.into())
    }

    /// `gotol label`, which reaches everything.
    pub fn gotol(&mut self, label: impl Into<Label<'l>>) -> &mut Self {
        self.open(Insn::Goto { off: 0, far: true }, label.into())
    }

    /// `may_goto label`.
    pub fn may_goto(&mut self, label: impl Into<Label<'l>>) -> &mut Self {
        self.open(Insn::MayGoto { off: 0 }, label.into())
    }

    /// `call` of a helper by number.
    pub fn call_helper(&mut self, id: i32) -> &mut Self {
        self.insn(Insn::Call(CallTarget::Helper(id)))
    }

    /// `call` of a subprogram.
    pub fn call(&mut self, label: impl Into<Label<'l>>) -> &mut Self {
        self.open(Insn::Call(CallTarget::Subprog(0)), label.into())
    }

    /// `call` of a kernel function by its id in the kernel's BTF.
    pub fn call_kfunc(&mut self, id: i32) -> &mut Self {
        self.insn(Insn::Call(CallTarget::Kfunc { id, btf_idx: 0 }))
    }

    /// `exit`.
    pub fn exit(&mut self) -> &mut Self {
        self.insn(Insn::Exit)
    }

    /// The instructions with all distances filled in. The builder is empty afterwards.
    pub fn finish(&mut self) -> Result<Vec<RawInsn>, BuildError> {
        let result = self.fill();
        let insns = std::mem::take(&mut self.insns);
        self.labels.clear();
        self.open.clear();
        self.duplicate = None;
        result.map(|()| insns)
    }

    /// [`Builder::finish`] as a load request.
    pub fn program(
        &mut self,
        name: &str,
        ty: ProgType,
        maps: Vec<Arc<MapSpec>>,
    ) -> Result<ProgramSpec, BuildError> {
        let mut spec = ProgramSpec::new(name, ty, self.finish()?);
        spec.maps = maps;
        Ok(spec)
    }

    fn fill(&mut self) -> Result<(), BuildError> {
        if let Some(label) = self.duplicate {
            return Err(BuildError::DuplicateLabel(label.to_string()));
        }
        for (idx, insn, label) in &self.open {
            let slot = self.labels.get(label);
            let slot = *slot.ok_or_else(|| BuildError::UnknownLabel(label.to_string()))?;
            let distance = slot as i64 - *idx as i64 - 1;
            let filled = set_distance(*insn, distance);
            let Some(filled) = filled else {
                let (label, insn_idx) = (label.to_string(), *idx);
                return Err(BuildError::TooFar {
                    label,
                    insn_idx,
                    distance,
                });
            };
            if let Some(slot) = self.insns.get_mut(*idx) {
                *slot = encode(&filled).0;
            }
        }
        Ok(())
    }
}
