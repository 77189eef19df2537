//! The assembler: registers, instruction forms, labels.

mod asm;
mod form;
mod reg;
#[cfg(test)]
mod tests;

pub(crate) use asm::{Asm, ByImm, Label, Regs};
pub(crate) use form::{Alu, Cond, Shift, Unary};
pub(crate) use reg::{Bytes, Gpr, Mem, Wide};
