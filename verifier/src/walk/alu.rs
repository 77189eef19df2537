//! Arithmetic: moves, byte order, negation, and two-operand operations on numbers.
//! What happens to pointers is in `pointer_math`.

use skep_isa::{AluOp, EndianOp, Operand, Reg, Width};
use skep_spec::{Capability, ProgFlags};

use super::Next;
use crate::env::Env;
use crate::number::{BoundsViolation, Scalar};
use crate::state::{Delta, Link, Number, OldFrame, Pointer, PtrFlags, Region, Value};
use crate::violation::{Check, WalkViolation};

impl Env<'_> {
    /// `dst = src`, or `dst op= src`.
    pub(super) fn check_alu(
        &mut self,
        op: AluOp,
        width: Width,
        dst: Reg,
        src: Operand,
    ) -> Check<Next> {
        if op == AluOp::Mov {
            self.check_mov(width, dst, src)?;
            if matches!(src, Operand::Imm(_)) {
                // A constant does not contradict itself.
                return Ok(Next::Fallthrough);
            }
        } else {
            if let Operand::Reg(reg) = src {
                self.check_reg_readable(reg)?;
            }
            self.check_reg_readable(dst)?;
            if let Operand::Imm(imm) = src {
                check_immediate(op, width, imm)?;
            }
            self.check_reg_writable(dst)?;
            self.binary(op, width, dst, src)?;
        }
        self.check_invariants(dst, "alu")?;
        Ok(Next::Fallthrough)
    }

    fn check_mov(&mut self, width: Width, dst: Reg, src: Operand) -> Check<()> {
        let src = match src {
            Operand::Imm(imm) => {
                self.check_reg_writable(dst)?;
                let value = match width {
                    Width::W64 => i64::from(imm) as u64,
                    Width::W32 => u64::from(imm as u32),
                };
                self.state.set_reg(dst, Value::constant(value));
                return Ok(());
            }
            Operand::Reg(src) => src,
        };
        self.check_reg_readable(src)?;
        self.check_reg_writable(dst)?;
        if width == Width::W64 {
            self.link_before_copy(src);
            self.state.copy_reg(dst, src);
            return Ok(());
        }
        if self.leaks(src) {
            return Err(WalkViolation::PartialPointerCopy { reg: src }.into());
        }
        match *self.state.reg(src) {
            Value::Scalar(number) => {
                let fits = number.scalar.width() <= 32;
                if fits {
                    self.link_before_copy(src);
                }
                self.state.copy_reg(dst, src);
                self.change_number(dst, |number| {
                    if !fits {
                        number.link = None;
                    }
                    number.scalar = number.scalar.moved(Width::W32);
                });
            }
            Value::Pointer(_) | Value::Uninit => {
                let cut = Scalar::unknown().moved(Width::W32);
                self.state.set_reg(dst, Value::scalar(cut));
            }
        }
        Ok(())
    }

    /// `dst = (s8|s16|s32)src`.
    pub(super) fn check_movsx(
        &mut self,
        width: Width,
        bits: u8,
        dst: Reg,
        src: Reg,
    ) -> Check<Next> {
        self.check_reg_readable(src)?;
        self.check_reg_writable(dst)?;
        if self.leaks(src) {
            return Err(match width {
                Width::W64 => WalkViolation::PointerSignExtension { reg: src },
                Width::W32 => WalkViolation::PartialPointerCopy { reg: src },
            }
            .into());
        }
        match *self.state.reg(src) {
            Value::Scalar(number) => {
                // Below the sign bit the extension is a copy, and copies stay linked.
                let is_copy = number.scalar.umax() < 1u64 << (bits - 1);
                if is_copy {
                    self.link_before_copy(src);
                }
                self.state.copy_reg(dst, src);
                self.change_number(dst, |number| {
                    if !is_copy {
                        number.link = None;
                    }
                    number.scalar = number.scalar.sign_extend(bits, width);
                });
            }
            Value::Pointer(_) | Value::Uninit => {
                let cut = Scalar::unknown().moved(width);
                self.state.set_reg(dst, Value::scalar(cut));
            }
        }
        self.check_invariants(dst, "alu")?;
        Ok(Next::Fallthrough)
    }

    /// `dst = addr_space_cast(src, dst_as, src_as)`.
    pub(super) fn check_addr_space_cast(
        &mut self,
        dst: Reg,
        src: Reg,
        dst_as: u16,
        src_as: u16,
    ) -> Check<Next> {
        if !matches!((dst_as, src_as), (0, 1) | (1, 0)) {
            return Err(WalkViolation::AddressSpaces.into());
        }
        if !self.ctx.has_arena() {
            return Err(WalkViolation::NoArena.into());
        }
        self.check_reg_readable(src)?;
        self.check_reg_writable(dst)?;
        let value = if dst_as == 0 {
            let mut pointer = Pointer::new(Region::Arena, PtrFlags::empty());
            pointer.var = Scalar::unknown();
            Value::Pointer(pointer)
        } else {
            Value::unknown()
        };
        self.state.set_reg(dst, value);
        Ok(Next::Fallthrough)
    }

    /// `dst = -dst`.
    pub(super) fn check_neg(&mut self, width: Width, dst: Reg) -> Check<Next> {
        self.check_unary(dst, false, |scalar| scalar.neg(width))
    }

    /// `dst = le16 dst` and its kin.
    pub(super) fn check_endian(&mut self, op: EndianOp, bits: u8, dst: Reg) -> Check<Next> {
        // On a little-endian machine le64 changes nothing.
        let is_copy = op == EndianOp::ToLe && bits == 64;
        let tracked = self.ctx.facts.has(Capability::TrackedByteSwaps);
        self.check_unary(dst, is_copy && tracked, |scalar| {
            if tracked {
                scalar.swap(op, bits)
            } else {
                Scalar::unknown()
            }
        })
    }

    fn check_unary(
        &mut self,
        dst: Reg,
        is_copy: bool,
        result: impl FnOnce(Scalar) -> Scalar,
    ) -> Check<Next> {
        self.check_reg_readable(dst)?;
        if self.leaks(dst) {
            return Err(WalkViolation::PointerArithmetic { reg: dst }.into());
        }
        self.check_reg_writable(dst)?;
        match self.state.reg(dst).number().map(|n| n.scalar) {
            Some(scalar) => self.change_number(dst, |number| {
                number.scalar = result(scalar);
                if !is_copy {
                    number.link = None;
                }
            }),
            None => self.state.set_reg(dst, Value::unknown()),
        }
        self.check_invariants(dst, "alu")?;
        Ok(Next::Fallthrough)
    }

    /// Two-operand arithmetic after its operands were found readable
    /// (`adjust_reg_min_max_vals`).
    fn binary(&mut self, op: AluOp, width: Width, dst: Reg, src: Operand) -> Check<()> {
        if let (Value::Scalar(left), Operand::Imm(imm)) = (self.state.reg(dst), src) {
            let left = *left;
            return self.scalar_binary(op, width, dst, src, &left, &Scalar::immediate(imm));
        }
        let left = *self.state.reg(dst);
        if let Value::Pointer(Pointer {
            region: Region::Arena,
            ..
        }) = left
        {
            return Ok(());
        }
        let right = match src {
            Operand::Imm(imm) => Value::scalar(Scalar::immediate(imm)),
            Operand::Reg(reg) => *self.state.reg(reg),
        };
        match (left, right) {
            (Value::Scalar(left), Value::Scalar(right)) => {
                if let Operand::Reg(reg) = src
                    && self.state.is_precise(dst)
                {
                    self.mark_precise(reg)?;
                }
                self.scalar_binary(op, width, dst, src, &left, &right.scalar)
            }
            (Value::Pointer(pointer), Value::Scalar(off)) => {
                if let Operand::Reg(reg) = src {
                    self.mark_precise(reg)?;
                }
                self.pointer_math(op, width, dst, &pointer, &off, false)
            }
            (Value::Scalar(off), Value::Pointer(pointer)) => {
                self.mark_precise(dst)?;
                self.pointer_math(op, width, dst, &pointer, &off, true)
            }
            (Value::Pointer(_), Value::Pointer(_)) => {
                if op == AluOp::Sub && self.ctx.facts.lane().ptr_leaks {
                    self.state.set_reg(dst, Value::unknown());
                    return Ok(());
                }
                Err(WalkViolation::PointerPointer { reg: dst, op }.into())
            }
            // Both were found readable.
            (Value::Uninit, _) | (_, Value::Uninit) => {
                Err(WalkViolation::UninitializedRegister { reg: dst }.into())
            }
        }
    }

    fn scalar_binary(
        &mut self,
        op: AluOp,
        width: Width,
        dst: Reg,
        src: Operand,
        left: &Number,
        right: &Scalar,
    ) -> Check<()> {
        let mut scalar = left.scalar;
        if Scalar::is_safe_to_compute(op, width, right)
            && let Some(fork) = scalar.fork(op, right)
            && self.ctx.facts.has(Capability::ForkedSigns)
        {
            // The pushed path takes up this instruction again with the other value.
            let idx = self.state.insn_idx;
            let branch = self.push_branch(idx, idx)?;
            if let Value::Scalar(number) = &mut branch.cur_mut().regs[dst.index()] {
                number.scalar = fork.pushed;
            }
            scalar = fork.here;
        }
        let result = scalar.alu(op, width, right);
        let link = match left.link {
            None => None,
            Some(_) => self.link_after(op, width, left, right, src == Operand::Reg(dst)),
        };
        let forgotten = !Scalar::is_safe_to_compute(op, width, right);
        self.change_number(dst, |number| {
            number.scalar = result;
            number.link = link;
            if forgotten {
                number.old_frame = OldFrame::OUTERMOST;
            }
        });
        Ok(())
    }

    /// Adding or subtracting a constant keeps the link and remembers the difference, once.
    fn link_after(
        &self,
        op: AluOp,
        width: Width,
        left: &Number,
        right: &Scalar,
        is_same: bool,
    ) -> Option<Link> {
        let link = left.link?;
        if !self.ctx.facts.has(Capability::LinkedDifferences) {
            return self.link_after_add(op, width, left, right, is_same);
        }
        let (by, fits) = match width {
            Width::W64 => (right.const_value()? as i64, true),
            // A sum that was cut says nothing about numbers that were not.
            Width::W32 => (
                right.const_subreg()? as i32 as i64,
                left.scalar.umax() <= u32::MAX.into(),
            ),
        };
        let by = match op {
            AluOp::Add => i32::try_from(by).ok()?,
            AluOp::Sub => i32::try_from(by).ok()?.checked_neg()?,
            AluOp::Mul
            | AluOp::Div
            | AluOp::SDiv
            | AluOp::Or
            | AluOp::And
            | AluOp::Lsh
            | AluOp::Rsh
            | AluOp::Mod
            | AluOp::SMod
            | AluOp::Xor
            | AluOp::Mov
            | AluOp::Arsh => return None,
        };
        let linkable = fits && !is_same && link.delta.is_none() && self.ctx.facts.lane().bpf;
        linkable.then_some(Link {
            id: link.id,
            delta: Some(Delta { by, width }),
        })
    }

    /// The same before differences were linked: what counts is what the source holds afterwards.
    fn link_after_add(
        &self,
        op: AluOp,
        width: Width,
        left: &Number,
        right: &Scalar,
        is_same: bool,
    ) -> Option<Link> {
        let link = left.link?;
        let value = right.const_value()? as i64;
        let by = if is_same {
            value.wrapping_mul(2)
        } else {
            value
        };
        let by = i32::try_from(by).ok().filter(|&by| by >= 0)?;
        let linkable = op == AluOp::Add
            && width == Width::W64
            && link.delta.is_none()
            && self.ctx.facts.lane().bpf;
        linkable.then_some(Link {
            id: link.id,
            delta: Some(Delta { by, width }),
        })
    }

    /// Gives a number that is about to be copied a family, so that a later comparison of either
    /// copy teaches about both (`assign_scalar_id_before_mov`).
    pub(crate) fn link_before_copy(&mut self, reg: Reg) {
        let Value::Scalar(number) = *self.state.reg(reg) else {
            return;
        };
        let link = match number.link {
            // Constants do not add up along copies: the copied number starts a new family.
            Some(Link { delta: Some(_), .. }) => None,
            link => link,
        };
        let link = match link {
            None if !number.scalar.is_const() => Some(Link {
                id: self.learned.next_id(),
                delta: None,
            }),
            link => link,
        };
        if link != number.link {
            self.change_number(reg, |number| number.link = link);
        }
    }

    /// Changes a number in place; its precision mark stays.
    pub(crate) fn change_number(&mut self, reg: Reg, change: impl FnOnce(&mut Number)) {
        self.state.scratch_reg(reg);
        if let Value::Scalar(number) = &mut self.state.cur_mut().regs[reg.index()] {
            change(number);
        }
    }

    /// Forgets, or with the testing flag refuses, bounds that contradict each other
    /// (`reg_bounds_sanity_check`).
    #[inline]
    pub(crate) fn check_invariants(&mut self, reg: Reg, place: &'static str) -> Check<()> {
        let violation = match self.state.reg(reg) {
            Value::Scalar(number) => number.scalar.violation(),
            Value::Pointer(pointer) => pointer.var.violation(),
            Value::Uninit => None,
        };
        match violation {
            None => Ok(()),
            Some(violation) => self.settle_register(reg, place, violation),
        }
    }

    #[cold]
    fn settle_register(
        &mut self,
        reg: Reg,
        place: &'static str,
        violation: BoundsViolation,
    ) -> Check<()> {
        let scalar = self.state.reg(reg).var();
        let violation = WalkViolation::Invariant {
            place,
            bounds: violation,
            scalar,
        };
        if self.ctx.spec.flags.contains(ProgFlags::TEST_REG_INVARIANTS) {
            return Err(violation.into());
        }
        self.log_notice(violation);
        match &mut self.state.cur_mut().regs[reg.index()] {
            Value::Scalar(number) => number.scalar.reset_unbounded(),
            Value::Pointer(pointer) => pointer.var.reset_unbounded(),
            Value::Uninit => {}
        }
        Ok(())
    }
}

fn check_immediate(op: AluOp, width: Width, imm: i32) -> Check<()> {
    let divides = matches!(op, AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod);
    if divides && imm == 0 {
        return Err(WalkViolation::DivisionByZero.into());
    }
    let shifts = matches!(op, AluOp::Lsh | AluOp::Rsh | AluOp::Arsh);
    if shifts && u32::try_from(imm).map_or(true, |by| by >= width.bits()) {
        return Err(WalkViolation::InvalidShift { by: imm }.into());
    }
    Ok(())
}
