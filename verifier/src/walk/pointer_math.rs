//! Adding to and subtracting from pointers: which kinds allow it, how far, and what is known of the
//! result (`adjust_ptr_min_max_vals`).

use skep_isa::{AluOp, Reg, Width};

use crate::env::Env;
use crate::number::Scalar;
use crate::state::{Number, Pointer, PtrFlags, Region, Value};
use crate::violation::{Check, Stop, WalkViolation};

/// Offsets of this size and more, either way, are refused.
const MAX_VAR_OFF: i64 = 1 << 29;

impl Env<'_> {
    /// `dst = pointer op off`, or with `reversed` `dst = off op pointer`.
    pub(super) fn pointer_math(
        &mut self,
        op: AluOp,
        width: Width,
        dst: Reg,
        pointer: &Pointer,
        number: &Number,
        reversed: bool,
    ) -> Check<()> {
        let off = &number.scalar;
        let known = off.is_const();
        let contradicts = off.smin() > off.smax()
            || off.umin() > off.umax()
            || (known && (off.smin() != off.smax() || off.umin() != off.umax()));
        if contradicts {
            // Such numbers come from dead branches; what is computed from them is tainted.
            self.state.set_reg(dst, Value::unknown());
            return Ok(());
        }
        if width == Width::W32 {
            if op == AluOp::Sub && self.ctx.facts.lane().ptr_leaks {
                self.state.set_reg(dst, Value::unknown());
                return Ok(());
            }
            return Err(WalkViolation::Pointer32 { reg: dst }.into());
        }
        if pointer.maybe_null() {
            let pointer = (*pointer).into();
            return Err(WalkViolation::PointerMaybeNull { reg: dst, pointer }.into());
        }
        if matches!(pointer.region, Region::Mem { .. })
            && pointer.flags.contains(PtrFlags::UNTRUSTED)
        {
            // Reads are probed at run time, wherever the pointer leads. A number that such a
            // pointer is added to stays a number.
            return Ok(());
        }
        check_kind(op, dst, pointer, off)?;
        // The kernel keeps a number's distance from its family where it keeps a pointer's offset.
        let distance = number
            .link
            .and_then(|link| link.delta)
            .map_or(0, |delta| delta.by);
        check_sane(pointer, distance, off)?;
        check_sane(pointer, pointer.off, &pointer.var)?;
        let result = match op {
            AluOp::Add => self.add(pointer, off),
            AluOp::Sub => {
                if reversed {
                    return Err(WalkViolation::ScalarMinusPointer { reg: dst }.into());
                }
                if matches!(pointer.region, Region::Stack { .. }) {
                    return Err(WalkViolation::StackMinus { reg: dst }.into());
                }
                self.sub(pointer, off)
            }
            AluOp::And | AluOp::Or | AluOp::Xor => {
                return Err(WalkViolation::PointerBitwise { reg: dst, op }.into());
            }
            AluOp::Mul
            | AluOp::Div
            | AluOp::SDiv
            | AluOp::Lsh
            | AluOp::Rsh
            | AluOp::Mod
            | AluOp::SMod
            | AluOp::Mov
            | AluOp::Arsh => return Err(WalkViolation::PointerOperator { reg: dst, op }.into()),
        };
        check_sane(pointer, result.off, &result.var)?;
        let var = result.var.pointer_finish();
        let result = Pointer { var, ..result };
        let result = if reversed {
            self.in_number(result, number)?
        } else {
            result
        };
        self.state.set_reg(dst, Value::Pointer(result));
        Ok(())
    }

    /// The sum of a number and a pointer, in the number's register. 6.18 turns that register into a
    /// pointer without taking over which frame's stack it is and which reference it depends on, so it
    /// has no reference and the frame that the number has: a sum of a pointer and a number is another
    /// thing.
    fn in_number(&self, mut pointer: Pointer, number: &Number) -> Check<Pointer> {
        if let Region::Stack { frame } = &mut pointer.region
            && self.ctx.subprogs.len() > 1
        {
            // What a frame left behind that is gone leads the kernel nowhere.
            let innermost = self.state.curframe() as u32;
            *frame = number
                .old_frame
                .number()
                .filter(|&old| old <= innermost)
                .ok_or_else(|| Stop::undecided("stack pointers added to what was a pointer"))?;
        }
        pointer.ref_id = 0;
        Ok(pointer)
    }

    fn add(&mut self, pointer: &Pointer, off: &Scalar) -> Pointer {
        let fixed = off
            .const_value()
            .map(|v| i64::from(pointer.off).wrapping_add(v as i64));
        if let Some(Ok(fixed)) = fixed.map(i32::try_from) {
            return Pointer {
                off: fixed,
                ..*pointer
            };
        }
        let var = pointer.var.pointer_add(off);
        let mut result = Pointer { var, ..*pointer };
        if is_packet(pointer) {
            result.id = self.learned.next_id();
            forget_range(&mut result);
        }
        result
    }

    fn sub(&mut self, pointer: &Pointer, off: &Scalar) -> Pointer {
        let fixed = off
            .const_value()
            .map(|v| i64::from(pointer.off).wrapping_sub(v as i64));
        if let Some(Ok(fixed)) = fixed.map(i32::try_from) {
            return Pointer {
                off: fixed,
                ..*pointer
            };
        }
        let var = pointer.var.pointer_sub(off);
        let mut result = Pointer { var, ..*pointer };
        if is_packet(pointer) {
            result.id = self.learned.next_id();
            // Going down keeps what was proved; going up does not.
            if off.smin() < 0 {
                forget_range(&mut result);
            }
        }
        result
    }
}

fn is_packet(pointer: &Pointer) -> bool {
    matches!(
        pointer.region,
        Region::Packet { .. } | Region::PacketMeta { .. }
    )
}

fn forget_range(pointer: &mut Pointer) {
    match &mut pointer.region {
        Region::Packet { range } | Region::PacketMeta { range } => *range = 0,
        Region::Ctx
        | Region::ConstMap { .. }
        | Region::MapValue { .. }
        | Region::MapKey { .. }
        | Region::Stack { .. }
        | Region::PacketEnd
        | Region::FlowKeys
        | Region::Sock(_)
        | Region::TpBuffer
        | Region::Btf { .. }
        | Region::Mem { .. }
        | Region::Arena
        | Region::Buf
        | Region::Func { .. }
        | Region::ConstDynptr { .. }
        | Region::Object(_) => {}
    }
}

fn check_kind(op: AluOp, dst: Reg, pointer: &Pointer, off: &Scalar) -> Check<()> {
    let zero_added = op == AluOp::Add && off.const_value() == Some(0);
    let allowed = match pointer.region {
        Region::Ctx
        | Region::MapValue { .. }
        | Region::MapKey { .. }
        | Region::Stack { .. }
        | Region::PacketMeta { .. }
        | Region::Packet { .. }
        | Region::TpBuffer
        | Region::Btf { .. }
        | Region::Mem { .. }
        | Region::Buf
        | Region::Func { .. }
        | Region::ConstDynptr { .. }
        | Region::Object(_) => true,
        Region::FlowKeys => off.is_const(),
        Region::ConstMap { .. } => zero_added,
        Region::PacketEnd | Region::Sock(_) | Region::Arena => false,
    };
    if allowed {
        return Ok(());
    }
    Err(WalkViolation::PointerKind {
        reg: dst,
        pointer: (*pointer).into(),
    }
    .into())
}

/// Whether a fixed and a variable offset are small enough to calculate with
/// (`check_reg_sane_offset`).
fn check_sane(pointer: &Pointer, fixed: i32, var: &Scalar) -> Check<()> {
    let pointer = (*pointer).into();
    if let Some(value) = var.const_value().map(|v| v as i64)
        && (value >= MAX_VAR_OFF || value <= -MAX_VAR_OFF)
    {
        return Err(WalkViolation::OffsetConstant { pointer, value }.into());
    }
    if i64::from(fixed) >= MAX_VAR_OFF || i64::from(fixed) <= -MAX_VAR_OFF {
        return Err(WalkViolation::OffsetFixed {
            pointer,
            off: fixed,
        }
        .into());
    }
    if var.smin() == i64::MIN {
        return Err(WalkViolation::OffsetUnbounded { pointer }.into());
    }
    if var.smin() >= MAX_VAR_OFF || var.smin() <= -MAX_VAR_OFF {
        return Err(WalkViolation::OffsetMin {
            pointer,
            min: var.smin(),
        }
        .into());
    }
    Ok(())
}
