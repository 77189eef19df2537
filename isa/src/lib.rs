//! One eBPF instruction: its bytes, its typed form, its text.
//!
//! [`RawInsn`] is the eight bytes of a slot, [`Insn`] is their meaning, made once by [`decode`].
//! Instructions are counted in slots of 8 bytes ([`InsnIdx`]), as the kernel's log does: a 64-bit
//! immediate load takes two. The set is that of RFC 9669 and Linux 6.18 (ISA v4 with load-acquire,
//! store-release, `may_goto` and address space casts). Nothing here knows which program types or
//! kernels allow what.

mod check;
mod decode;
mod encode;
mod insn;
mod op;
mod raw;
mod reg;
mod text;
mod text_clang;
mod text_kernel;

pub use check::{ProgramError, check_program};
pub use decode::{FormError, decode, decode_all, decode_noting};
pub use encode::encode;
pub use insn::{CallTarget, Imm64, Insn, Operand};
pub use op::{AluOp, AtomicOp, EndianOp, JmpOp, Size, Width};
pub use raw::{InsnIdx, RawInsn, class, mode, opcode, pseudo};
pub use reg::Reg;
pub use text::{ClangText, KernelText, Names, NoNames, clang_text, kernel_text};
