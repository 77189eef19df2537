//! The assembler: registers, instruction forms, labels.

mod asm;
mod form;
mod reg;
mod row;
#[cfg(test)]
mod tests;

pub(crate) use asm::{Asm, Label};
pub(crate) use form::{Alu, Cond, Shift, Unary};
pub(crate) use reg::{Bytes, Gpr, Mem, Wide};
pub(crate) use row::{ByImm, Regs};
