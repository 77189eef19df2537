//! Several instructions as one machine instruction.
//!
//! Each rule looks at the instructions from one slot on, and applies where control cannot come to any but
//! the first and where what is left out is read by nobody. Each is an [`Opt`] that can be switched off.

use skep_isa::{AluOp, Insn, InsnIdx, Operand, Reg, Width};
use skep_sim::Sim;

use super::{Compiler, Step, bytes, host, wide};
use crate::options::Opt;
use crate::x64::{Bytes, Mem, Shift, Wide};

/// A shift by a constant of a copy of a register, or of the register itself.
struct Shifted {
    /// Instructions that it takes.
    len: usize,
    from: Reg,
    to: Reg,
    left: bool,
    by: u32,
    width: Width,
}

impl Compiler<'_> {
    /// Compiles the instructions from `idx` on together, the first of which is a move or a shift, if a rule
    /// applies.
    #[inline(never)]
    pub(super) fn fused_alu(&mut self, idx: InsnIdx) -> Option<Step> {
        // Each rule needs another operation behind, which nobody else comes to.
        self.alu_at(idx + 1)?;
        if !self.plan.is_inner(idx + 1) {
            return None;
        }
        let rotated = self.has(Opt::Rotate).then(|| self.rotate(idx)).flatten();
        let extended = || self.has(Opt::Extend).then(|| self.extension(idx)).flatten();
        if let Some((slots, apply)) = rotated.or_else(extended) {
            apply.emit(self, idx);
            return Some(Step::new(slots, Some(apply.dst())));
        }
        self.has(Opt::Lea).then(|| self.lea(idx)).flatten()
    }

    fn alu_at(&self, idx: InsnIdx) -> Option<(AluOp, Width, Reg, Operand)> {
        match self.insns.get(idx) {
            Some(&Insn::Alu {
                op,
                width,
                dst,
                src,
            }) => Some((op, width, dst, src)),
            Some(_) | None => None,
        }
    }

    /// Whether control comes to slots `from..to` only one after the other.
    fn is_straight(&self, from: InsnIdx, to: InsnIdx) -> bool {
        (from..to).all(|slot| self.plan.is_inner(slot))
    }

    fn shifted(&self, idx: InsnIdx) -> Option<Shifted> {
        let (mut from, mut len) = (None, 0);
        let (op, width, dst, src) = self.alu_at(idx)?;
        let mut shift = (op, width, dst, src);
        if let (AluOp::Mov, Operand::Reg(src)) = (op, src) {
            shift = self.alu_at(idx + 1)?;
            // A copy of 32 bits is as good as one of 64 if the shift is of 32.
            if shift.2 != dst || width == Width::W32 && shift.1 == Width::W64 {
                return None;
            }
            (from, len) = (Some(src), 1);
        }
        let (op, width, to, Operand::Imm(by)) = shift else {
            return None;
        };
        let left = match op {
            AluOp::Lsh => true,
            AluOp::Rsh => false,
            AluOp::Add
            | AluOp::Sub
            | AluOp::Mul
            | AluOp::Div
            | AluOp::SDiv
            | AluOp::Or
            | AluOp::And
            | AluOp::Mod
            | AluOp::SMod
            | AluOp::Xor
            | AluOp::Mov
            | AluOp::Arsh => return None,
        };
        let by = u32::try_from(by).ok().filter(|by| *by < width.bits())?;
        Some(Shifted {
            len: len + 1,
            from: from.unwrap_or(to),
            to,
            left,
            by,
            width,
        })
    }

    /// `t = x; t >>= 64 - n; d = x; d <<= n; d |= t` and its variants: `d` is `x` rotated by `n`.
    fn rotate(&self, idx: InsnIdx) -> Option<(usize, Apply)> {
        let first = self.shifted(idx)?;
        let second = self.shifted(idx + first.len)?;
        let at = idx + first.len + second.len;
        let (AluOp::Or, width, dst, Operand::Reg(src)) = self.alu_at(at)? else {
            return None;
        };
        let (a, b) = (&first, &second);
        // The second must still find what the first one shifted.
        let whole = b.from != a.to && a.from == b.from && a.to != b.to;
        let opposite = a.left != b.left && a.by + b.by == width.bits();
        let same_width = a.width == width && b.width == width;
        let or_of_both = (dst, src) == (a.to, b.to) || (dst, src) == (b.to, a.to);
        if !(whole && opposite && same_width && or_of_both && self.is_straight(idx + 1, at + 1)) {
            return None;
        }
        // One of the two is left out, so nobody may want it.
        if self.is_live(at, src) {
            return None;
        }
        // The source may be one of the two itself, and is then what is left out or the result.
        let by = if a.left { a.by } else { b.by };
        let (from, w) = (a.from, wide(width));
        Some((at + 1 - idx, Apply::Rotate { w, from, dst, by }))
    }

    /// `r <<= 32; r >>= 32`: the lower half alone, with or without its sign.
    fn extension(&self, idx: InsnIdx) -> Option<(usize, Apply)> {
        let (AluOp::Lsh, Width::W64, reg, Operand::Imm(32)) = self.alu_at(idx)? else {
            return None;
        };
        let (op, Width::W64, same, Operand::Imm(32)) = self.alu_at(idx + 1)? else {
            return None;
        };
        if same != reg || !self.is_straight(idx + 1, idx + 2) {
            return None;
        }
        if op == AluOp::Rsh {
            return Some((2, Apply::ZeroExtend(reg)));
        }
        (op == AluOp::Arsh).then_some((2, Apply::SignExtend(reg)))
    }

    /// `d = s; d += constant`; where only the next load or store wants `d`, that does the addition. The sum
    /// of two registers stays a move, which costs no unit of the processor, and an addition: with a `lea`,
    /// as with a load that adds them itself, loops of a load or two take a third longer on some processors.
    fn lea(&mut self, idx: InsnIdx) -> Option<Step> {
        let (AluOp::Mov, width, dst, Operand::Reg(src)) = self.alu_at(idx)? else {
            return None;
        };
        let (AluOp::Add, same_width, same, Operand::Imm(disp)) = self.alu_at(idx + 1)? else {
            return None;
        };
        if same != dst || same_width != width {
            return None;
        }
        if width == Width::W64
            && self.has(Opt::Address)
            && let Some(dst) = self.access(idx + 2, dst, src, disp)
        {
            return Some(Step::new(3, dst));
        }
        self.asm
            .lea(wide(width), host(dst), Mem::new(host(src), disp));
        Some(Step::new(2, Some(dst)))
    }

    /// Compiles a load or store at `idx` through `reg`, which holds that sum and is wanted no more.
    /// What it writes, if there is one and no check is in the way.
    fn access(&mut self, idx: InsnIdx, reg: Reg, src: Reg, disp: i32) -> Option<Option<Reg>> {
        let plain = self.proved() && self.identity && self.plan.is_inner(idx);
        let probed = self.request.probes.binary_search(&idx).is_ok();
        if !plain || probed {
            return None;
        }
        let at = |off: i16| Some(Mem::new(host(src), disp.checked_add(off.into())?));
        if let Some(&Insn::Load {
            size,
            sign,
            dst,
            base,
            off,
        }) = self.insns.get(idx)
            && base == reg
            && (dst == reg || !self.is_live(idx, reg))
            && let Some(mem) = at(off)
        {
            if sign {
                self.asm.load_signed(bytes(size), Wide::Q, host(dst), mem);
            } else {
                self.asm.load(bytes(size), host(dst), mem);
            }
            return Some(Some(dst));
        }
        if let Some(&Insn::Store {
            size,
            base,
            off,
            src,
        }) = self.insns.get(idx)
            && base == reg
            && src != Operand::Reg(reg)
            && !self.is_live(idx, reg)
            && !Sim::may_narrow_ctx_field(self.request.ty, off, size.bytes())
            && let Some(mem) = at(off)
        {
            match src {
                Operand::Reg(src) => self.asm.store(bytes(size), mem, host(src)),
                Operand::Imm(imm) => self.asm.store_i(bytes(size), mem, imm),
            }
            return Some(None);
        }
        None
    }

    /// `if a op b goto next; goto to; next:`.
    pub(super) fn inverted_jump(&mut self, idx: InsnIdx) -> Option<Step> {
        let &Insn::Jump {
            op,
            width,
            dst,
            src,
            off: 1,
        } = self.insns.get(idx)?
        else {
            return None;
        };
        let &Insn::Goto { off, .. } = self.insns.get(idx + 1)? else {
            return None;
        };
        let to = self.target(idx + 1, off);
        let dead = [idx + 1, idx + 2, to]
            .iter()
            .any(|slot| self.plan.is_dead(*slot));
        if dead || !self.plan.is_inner(idx + 1) {
            return None;
        }
        self.jump_unless((op, width, dst, src), to);
        Some(Step::new(2, None))
    }
}

/// What a rule found.
enum Apply {
    Rotate {
        w: Wide,
        from: Reg,
        dst: Reg,
        by: u32,
    },
    ZeroExtend(Reg),
    SignExtend(Reg),
}

impl Apply {
    /// The register that it writes.
    fn dst(&self) -> Reg {
        match *self {
            Apply::Rotate { dst, .. } => dst,
            Apply::ZeroExtend(reg) | Apply::SignExtend(reg) => reg,
        }
    }

    fn emit(&self, compiler: &mut Compiler<'_>, idx: InsnIdx) {
        let bmi2 = compiler.request.bmi2 && compiler.has(Opt::Bmi2);
        let asm = &mut compiler.asm;
        match *self {
            Apply::Rotate { w, from, dst, by } => {
                let bits = if w == Wide::Q { 64 } else { 32 };
                if from == dst {
                    asm.shift_i(Shift::Rol, w, host(dst), by as u8);
                } else if bmi2 {
                    asm.rorx(w, host(dst), host(from), (bits - by) as u8);
                } else {
                    asm.mov_r_r(w, host(dst), host(from));
                    asm.shift_i(Shift::Rol, w, host(dst), by as u8);
                }
            }
            Apply::ZeroExtend(reg) => compiler.shorten(idx, Width::W32, reg),
            Apply::SignExtend(reg) => {
                asm.load_signed(Bytes::B4, Wide::Q, host(reg), host(reg));
            }
        }
    }
}
