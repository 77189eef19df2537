//! What one instruction on one path may not do, in the kernel's words.

use std::fmt::Write;

use skep_isa::AluOp;

use super::value::ty;
use crate::number::{BoundsViolation, Scalar};
use crate::violation::{ReservedIn, ReturnPlace, WalkViolation};

/// The lines that the kernel logs.
#[expect(clippy::too_many_lines, reason = "a table of texts, one per rule")]
pub(super) fn text(violation: &WalkViolation) -> String {
    use WalkViolation as W;
    match violation {
        W::NoSuchRegister { reg } => format!("R{reg} is invalid"),
        W::UninitializedRegister { reg } => format!("R{} !read_ok", reg.index()),
        W::FramePointerWrite => "frame pointer is read only".to_owned(),
        W::OutOfProgram { idx, len } => format!("invalid insn idx {idx} insn_cnt {len}"),
        W::DivisionByZero => "div by zero".to_owned(),
        W::InvalidShift { by } => format!("invalid shift {by}"),
        W::PointerArithmetic { reg } => {
            format!("R{} pointer arithmetic prohibited", reg.index())
        }
        W::PartialPointerCopy { reg } => format!("R{} partial copy of pointer", reg.index()),
        W::PointerSignExtension { reg } => {
            format!("R{} sign-extension part of pointer", reg.index())
        }
        W::Invariant {
            place,
            bounds,
            scalar,
        } => invariant(place, *bounds, scalar),
        W::PointerComparison { reg } => {
            format!("R{} pointer comparison prohibited", reg.index())
        }
        W::NoFuncInfo => "missing btf func_info".to_owned(),
        W::CallbackNotStatic => "callback function not static".to_owned(),
        W::LdAbsProgType => {
            "BPF_LD_[ABS|IND] instructions not allowed for this program type".to_owned()
        }
        W::LdAbsNoCtx => "at the time of BPF_LD_ABS|IND R6 != pointer to skb".to_owned(),
        W::LdAbsInCallback => "cannot use BPF_LD_[ABS|IND] within callback".to_owned(),
        W::ExceptionCallbackArgument => {
            "exception cb only supports single integer argument".to_owned()
        }
        W::DifferentPointers => "same insn cannot be used with different pointers".to_owned(),
        W::ReservedField { kind } => format!("BPF_{} uses reserved fields", reserved_name(*kind)),
        W::UnknownAlu { op } => format!("invalid BPF_ALU opcode {op:x}"),
        W::UnknownJump { op } => format!("invalid BPF_JMP/JMP32 opcode {op:x}"),
        W::UnknownClass { class } => format!("unknown insn class {class}"),
        W::InvalidLdImm => "invalid BPF_LD_IMM insn".to_owned(),
        W::UnknownAtomic { code, imm } => atomic(*code, *imm),
        W::UnknownLoadMode => "invalid BPF_LD mode".to_owned(),
        W::MayGotoImmediate { imm } => format!("invalid may_goto imm {imm}"),
        W::AddressSpaces => {
            "addr_space_cast insn can only convert between address space 1 and 0".to_owned()
        }
        W::NoArena => {
            "addr_space_cast insn can only be used in a program that has an associated arena"
                .to_owned()
        }
        W::Pointer32 { reg } => format!("R{} 32-bit pointer arithmetic prohibited", reg.index()),
        W::PointerMaybeNull { reg, pointer } => format!(
            "R{} pointer arithmetic on {} prohibited, null-check it first",
            reg.index(),
            ty(pointer)
        ),
        W::PointerKind { reg, pointer } => {
            format!(
                "R{} pointer arithmetic on {} prohibited",
                reg.index(),
                ty(pointer)
            )
        }
        W::PointerPointer { reg, op } => {
            format!(
                "R{} pointer {} pointer prohibited",
                reg.index(),
                op_text(*op)
            )
        }
        W::ScalarMinusPointer { reg } => {
            format!("R{} tried to subtract pointer from scalar", reg.index())
        }
        W::StackMinus { reg } => {
            format!("R{} subtraction from stack pointer prohibited", reg.index())
        }
        W::PointerBitwise { reg, op } => {
            format!(
                "R{} bitwise operator {} on pointer prohibited",
                reg.index(),
                op_text(*op)
            )
        }
        W::PointerOperator { reg, op } => format!(
            "R{} pointer arithmetic with {} operator prohibited",
            reg.index(),
            op_text(*op)
        ),
        W::OffsetConstant { pointer, value } => {
            format!(
                "math between {} pointer and {value} is not allowed",
                ty(pointer)
            )
        }
        W::OffsetFixed { pointer, off } => {
            format!("{} pointer offset {off} is not allowed", ty(pointer))
        }
        W::OffsetUnbounded { pointer } => format!(
            "math between {} pointer and register with unbounded min value is not allowed",
            ty(pointer)
        ),
        W::OffsetMin { pointer, min } => {
            format!("value {min} makes {} pointer be out of bounds", ty(pointer))
        }
        W::ReferenceLeak {
            id,
            insn_idx,
            place,
        } => format!(
            "Unreleased reference id={id} alloc_insn={insn_idx}\n\
             {place} would lead to reference leak"
        ),
        W::SectionLeak { section, place } => {
            format!("{place} cannot be used inside {section}-ed region")
        }
        W::ReturnLeaksAddress { reg } => format!("R{} leaks addr as return value", reg.index()),
        W::SubprogReturnNoScalar { reg, value } => format!(
            "At subprogram exit the register R{} is not a scalar value ({})",
            reg.index(),
            ty(value)
        ),
        W::ReturnNoScalar { place, reg, value } => format!(
            "{} the register R{} is not a known value ({})",
            place_text(*place),
            reg.index(),
            ty(value)
        ),
        W::ReturnRange {
            place,
            reg,
            scalar,
            min,
            max,
        } => {
            let mut text = format!("{} the register R{} has", place_text(*place), reg.index());
            push_range(&mut text, scalar);
            let _ = write!(text, " should have been in [{min}, {max}]");
            if *place == ReturnPlace::VoidHookExit {
                text.push_str(
                    "\nNote, BPF_LSM_CGROUP that attach to void LSM hooks can't modify return value!",
                );
            }
            text
        }
    }
}

fn reserved_name(kind: ReservedIn) -> &'static str {
    match kind {
        ReservedIn::Neg => "NEG",
        ReservedIn::End => "END",
        ReservedIn::Mov => "MOV",
        ReservedIn::Alu => "ALU",
        ReservedIn::St => "ST",
        ReservedIn::Stx => "STX",
        ReservedIn::Ldx => "LDX",
        ReservedIn::Jmp => "JMP/JMP32",
        ReservedIn::Call => "CALL",
        ReservedIn::Ja => "JA",
        ReservedIn::Exit => "EXIT",
        ReservedIn::LdImm64 => "LD_IMM64",
        ReservedIn::LdAbs => "LD_[ABS|IND]",
        ReservedIn::Atomic => "ATOMIC",
    }
}

/// Operations that exist in another size only, and those that do not exist.
fn atomic(_code: u8, imm: i32) -> String {
    const FETCH: i32 = 1;
    let exists = matches!(imm & !FETCH, 0x00 | 0x40 | 0x50 | 0xa0) || matches!(imm, 0xe1 | 0xf1);
    if exists {
        return "invalid atomic operand size".to_owned();
    }
    format!("BPF_ATOMIC uses invalid atomic opcode {imm:02x}")
}

/// An operator as the kernel's texts show it; signed division and remainder look like the others.
fn op_text(op: AluOp) -> &'static str {
    match op {
        AluOp::Add => "+=",
        AluOp::Sub => "-=",
        AluOp::Mul => "*=",
        AluOp::Div | AluOp::SDiv => "/=",
        AluOp::Or => "|=",
        AluOp::And => "&=",
        AluOp::Lsh => "<<=",
        AluOp::Rsh => ">>=",
        AluOp::Mod | AluOp::SMod => "%=",
        AluOp::Xor => "^=",
        AluOp::Mov => "=",
        AluOp::Arsh => "s>>=",
    }
}

fn place_text(place: ReturnPlace) -> &'static str {
    match place {
        ReturnPlace::ProgramExit | ReturnPlace::VoidHookExit => "At program exit",
        ReturnPlace::AsyncCallback => "At async callback return",
        ReturnPlace::Callback => "At callback return",
    }
}

/// The signed ends of a number, as far as there are any.
fn push_range(text: &mut String, scalar: &Scalar) {
    let (min, max) = (scalar.smin(), scalar.smax());
    if min > i64::MIN {
        let _ = write!(text, " smin={min}");
    }
    if max < i64::MAX {
        let _ = write!(text, " smax={max}");
    }
    if min == i64::MIN && max == i64::MAX {
        text.push_str(" unknown scalar value");
    }
}

fn invariant(place: &str, bounds: BoundsViolation, scalar: &Scalar) -> String {
    let what = match bounds {
        BoundsViolation::CrossedRange => "range bounds violation",
        BoundsViolation::ConstOutOfSync => "const tnum out of sync with range bounds",
        BoundsViolation::ConstSubregOutOfSync => "const subreg tnum out of sync with range bounds",
    };
    let known = scalar.known();
    format!(
        "verifier bug: REG INVARIANTS VIOLATION ({place}): {what} u64=[{:#x}, {:#x}] \
         s64=[{:#x}, {:#x}] u32=[{:#x}, {:#x}] s32=[{:#x}, {:#x}] var_off=({:#x}, {:#x})",
        scalar.umin(),
        scalar.umax(),
        scalar.smin(),
        scalar.smax(),
        scalar.u32_min(),
        scalar.u32_max(),
        scalar.s32_min(),
        scalar.s32_max(),
        known.value(),
        known.mask(),
    )
}

#[cfg(test)]
mod tests {
    use skep_isa::Reg;

    use super::*;
    use crate::state::{Pointer, PtrFlags, Region, Value};

    #[test]
    fn a_return_range_shows_the_ends_that_are_known() {
        let range = |scalar| WalkViolation::ReturnRange {
            place: ReturnPlace::ProgramExit,
            reg: Reg::R0,
            scalar,
            min: 0,
            max: 1,
        };
        assert_eq!(
            text(&range(Scalar::constant(2))),
            "At program exit the register R0 has smin=2 smax=2 should have been in [0, 1]"
        );
        assert_eq!(
            text(&range(Scalar::unknown())),
            "At program exit the register R0 has unknown scalar value should have been in [0, 1]"
        );
    }

    #[test]
    fn a_leak_names_what_was_acquired_and_where() {
        let leak = WalkViolation::ReferenceLeak {
            id: 2,
            insn_idx: 7,
            place: "BPF_EXIT instruction in main prog",
        };
        assert_eq!(
            text(&leak),
            "Unreleased reference id=2 alloc_insn=7\n\
             BPF_EXIT instruction in main prog would lead to reference leak"
        );
    }

    #[test]
    fn pointer_types_carry_their_modifiers() {
        let region = Region::Mem {
            size: 8,
            dynptr_id: 0,
        };
        let flags = PtrFlags::RINGBUF | PtrFlags::MAYBE_NULL;
        let pointer = Value::Pointer(Pointer::new(region, flags)).into();
        let violation = WalkViolation::PointerMaybeNull {
            reg: Reg::R0,
            pointer,
        };
        assert_eq!(
            text(&violation),
            "R0 pointer arithmetic on ringbuf_mem_or_null prohibited, null-check it first"
        );
    }

    #[test]
    fn an_atomic_of_the_wrong_size_is_told_apart_from_an_unknown_one() {
        let of = |imm| text(&WalkViolation::UnknownAtomic { code: 0xc3, imm });
        assert_eq!(of(0x01), "invalid atomic operand size");
        assert_eq!(of(0x10), "BPF_ATOMIC uses invalid atomic opcode 10");
    }
}
