//! Instructions as text, in the two styles that people meet.
//!
//! [`KernelText`] prints a slot as the kernel's verifier log does (`(07) r2 += -8`), [`ClangText`] as
//! `llvm-objdump` does (`r2 += -0x8`). Both take raw slots, so that what is no instruction has a text
//! too: the kernel prints `BUG_db` there, the LLVM tool `<unknown>`. Neither knows the names of
//! helpers, kfuncs or maps; whoever does implements [`Names`].

use std::fmt;

use crate::raw::{InsnIdx, RawInsn};
use crate::{Insn, encode};

pub use crate::text_clang::ClangText;
pub use crate::text_kernel::KernelText;

/// Names that an instruction's own bytes do not hold. Each answer may be `None`: not known.
pub trait Names {
    /// The helper of that number, with its prefix: `bpf_map_lookup_elem`.
    fn helper(&self, id: i32) -> Option<&str> {
        let _ = id;
        None
    }

    /// The kernel function of that BTF id; `btf_idx` is the call's offset field.
    fn kfunc(&self, id: i32, btf_idx: i16) -> Option<&str> {
        let _ = (id, btf_idx);
        None
    }

    /// What stands for a 64-bit immediate; `first` is the load's first slot, `value` its 64 bits.
    /// The kernel's style prints the number where this is `None`.
    fn imm64(&self, first: RawInsn, value: u64) -> Option<String> {
        let _ = (first, value);
        None
    }
}

/// Knows no names.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNames;

impl Names for NoNames {}

/// The slot at `idx` in the kernel's style, or `None` behind the end of the program.
pub fn kernel_text<'a>(
    insns: &[RawInsn],
    idx: InsnIdx,
    names: &'a dyn Names,
) -> Option<KernelText<'a>> {
    let raw = *insns.get(idx)?;
    Some(KernelText::new(raw, insns.get(idx + 1).copied(), names))
}

/// The slot at `idx` in the style of `llvm-objdump`, or `None` behind the end of the program.
pub fn clang_text(insns: &[RawInsn], idx: InsnIdx) -> Option<ClangText> {
    let raw = *insns.get(idx)?;
    Some(ClangText::new(raw, insns.get(idx + 1).copied()))
}

impl fmt::Display for Insn {
    /// In the kernel's style, without the opcode.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (raw, next) = encode(self);
        KernelText::new(raw, next, &NoNames).without_opcode().fmt(f)
    }
}

/// The value of a 64-bit immediate load from its two slots; a missing second slot counts as zero.
pub(crate) fn imm64_value(first: RawInsn, second: Option<RawInsn>) -> u64 {
    let hi = second.map_or(0, |s| s.imm as u32 as u64);
    hi << 32 | first.imm as u32 as u64
}
