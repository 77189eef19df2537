//! The structure of a whole program: instructions that exist, jumps that land on one, functions that end.
//!
//! What is checked holds for every program of RFC 9669, whatever runs it; what a kernel's verifier asks
//! beyond that, such as immediate shift counts below the width, is its own business.

use std::fmt;

use crate::insn::{CallTarget, Imm64, Insn};
use crate::raw::{InsnIdx, RawInsn};
use crate::{FormError, Reg, decode_all};

/// Why a sequence of slots is no program.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ProgramError {
    /// It has no instructions.
    Empty,
    /// A slot is no instruction.
    Form(InsnIdx, FormError),
    /// A jump, a call or a function's address leaves the program or names the middle of an instruction.
    Target(InsnIdx),
    /// A jump leaves its function.
    LeavesFunction(InsnIdx),
    /// The last instruction of a function is neither `exit` nor a jump that is always taken.
    FallsThrough(InsnIdx),
    /// The frame pointer r10 is written.
    WritesFramePointer(InsnIdx),
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProgramError::Empty => f.write_str("the program has no instructions"),
            ProgramError::Form(at, error) => write!(f, "instruction {at}: {error}"),
            ProgramError::Target(at) => write!(f, "instruction {at} jumps to no instruction"),
            ProgramError::LeavesFunction(at) => {
                write!(f, "instruction {at} jumps into another function")
            }
            ProgramError::FallsThrough(at) => write!(
                f,
                "instruction {at} is the last instruction of its function and neither exit nor goto"
            ),
            ProgramError::WritesFramePointer(at) => {
                write!(f, "instruction {at} writes the frame pointer r10")
            }
        }
    }
}

impl std::error::Error for ProgramError {}

/// The instructions of a program, if its slots are one.
///
/// # Errors
/// The first thing that is wrong: form before structure.
pub fn check_program(slots: &[RawInsn]) -> Result<Vec<Insn>, ProgramError> {
    let insns = decode_all(slots).map_err(|(at, error)| ProgramError::Form(at, error))?;
    if insns.is_empty() {
        return Err(ProgramError::Empty);
    }
    let starts = function_starts(&insns)?;
    for (idx, insn) in insns.iter().enumerate() {
        if written(insn) == Some(Reg::R10) {
            return Err(ProgramError::WritesFramePointer(idx));
        }
        if let Some(off) = insn.jump_off() {
            let to = target(&insns, idx, off)?;
            // Functions are told apart by how many begin at or before a slot.
            let function = |slot| starts.partition_point(|start| *start <= slot);
            if function(to) != function(idx) {
                return Err(ProgramError::LeavesFunction(idx));
            }
        }
    }
    let ends = starts.iter().skip(1).copied().chain([insns.len()]);
    for end in ends {
        let last = end.saturating_sub(1);
        let ends_well = matches!(insns.get(last), Some(Insn::Exit | Insn::Goto { .. }));
        if !ends_well {
            return Err(ProgramError::FallsThrough(last));
        }
    }
    Ok(insns)
}

/// Where functions begin: the program itself, and what is called or whose address is taken.
fn function_starts(insns: &[Insn]) -> Result<Vec<InsnIdx>, ProgramError> {
    let mut starts = vec![0];
    for (idx, insn) in insns.iter().enumerate() {
        if let Insn::Call(CallTarget::Subprog(off))
        | Insn::LoadImm64 {
            imm: Imm64::Func(off),
            ..
        } = *insn
        {
            starts.push(target(insns, idx, off)?);
        }
    }
    starts.sort_unstable();
    starts.dedup();
    Ok(starts)
}

fn target(insns: &[Insn], idx: InsnIdx, off: i32) -> Result<InsnIdx, ProgramError> {
    let to = idx as i64 + 1 + i64::from(off);
    let to = usize::try_from(to).map_err(|_| ProgramError::Target(idx))?;
    match insns.get(to) {
        None | Some(Insn::Imm64Hi) => Err(ProgramError::Target(idx)),
        Some(_) => Ok(to),
    }
}

/// The register that an instruction names as its destination, r0 of calls aside.
fn written(insn: &Insn) -> Option<Reg> {
    match *insn {
        Insn::Alu { dst, .. }
        | Insn::MovSx { dst, .. }
        | Insn::Neg { dst, .. }
        | Insn::Endian { dst, .. }
        | Insn::AddrSpaceCast { dst, .. }
        | Insn::LoadImm64 { dst, .. }
        | Insn::Load { dst, .. }
        | Insn::LoadAcquire { dst, .. } => Some(dst),
        Insn::Atomic { op, fetch, src, .. } => {
            (fetch && op != crate::AtomicOp::Cmpxchg).then_some(src)
        }
        Insn::Imm64Hi
        | Insn::Store { .. }
        | Insn::StoreRelease { .. }
        | Insn::LoadPacket { .. }
        | Insn::Jump { .. }
        | Insn::Goto { .. }
        | Insn::MayGoto { .. }
        | Insn::Call(_)
        | Insn::CallReg(_)
        | Insn::Exit => None,
    }
}
