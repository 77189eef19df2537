//! Numbers: where they come from, arithmetic in both widths, and the many ways to bound one.

use skep_isa::{AluOp, EndianOp, Insn, JmpOp, Operand, Reg, Size, Width};

use super::body::Body;
use super::model::Val;

const OPS: [AluOp; 14] = [
    AluOp::Add,
    AluOp::Sub,
    AluOp::Mul,
    AluOp::Div,
    AluOp::SDiv,
    AluOp::Or,
    AluOp::And,
    AluOp::Lsh,
    AluOp::Rsh,
    AluOp::Mod,
    AluOp::SMod,
    AluOp::Xor,
    AluOp::Mov,
    AluOp::Arsh,
];

pub(super) const CONDITIONS: [JmpOp; 11] = [
    JmpOp::Eq,
    JmpOp::Ne,
    JmpOp::Gt,
    JmpOp::Ge,
    JmpOp::Lt,
    JmpOp::Le,
    JmpOp::Set,
    JmpOp::SGt,
    JmpOp::SGe,
    JmpOp::SLt,
    JmpOp::SLe,
];

/// Helpers without arguments that return any number, for every program type.
const NUMBERS: [u32; 3] = [5, 7, 8];

impl Body<'_> {
    /// An immediate: mostly small or at some border.
    pub(super) fn imm(&mut self) -> i32 {
        match self.rng.below(10) {
            0..=3 => self.rng.range(0, 16) as i32,
            4 => self.rng.range(-16, -1) as i32,
            5 => (1i32 << self.rng.below(31)).wrapping_add(self.rng.range(-1, 1) as i32),
            6 => (-1i32 << self.rng.below(31)).wrapping_add(self.rng.range(-1, 1) as i32),
            7 => self
                .rng
                .pick([i32::MIN, i32::MAX, -1, 0, 0xff, 0xffff, 0x7fff, 0x8000]),
            8 => self.rng.range(0, 4096) as i32,
            _ => self.rng.next() as i32,
        }
    }

    fn wide(&mut self) -> u64 {
        match self.rng.below(5) {
            0 => 1u64 << self.rng.below(64),
            1 => u64::MAX >> self.rng.below(64),
            2 => u64::MAX << self.rng.below(64),
            3 => self
                .rng
                .pick([0x1_0000_0000, 0xffff_ffff, 0x8000_0000, i64::MIN as u64]),
            _ => self.rng.next(),
        }
    }

    pub(super) fn width(&mut self) -> Width {
        if self.rng.chance(35) {
            Width::W32
        } else {
            Width::W64
        }
    }

    /// Puts a number that is not known into some register.
    pub(super) fn unknown(&mut self) -> Reg {
        for _ in 0..4 {
            let found = match self.rng.below(9) {
                0 | 1 => Some(self.number_of_helper()),
                2 | 3 => self.ctx_number(),
                4 | 5 => self.memory_number(),
                6 => self.reg_with(|val| matches!(val, Val::Num { lo, hi } if hi - lo > 8)),
                _ => self.stack_number(),
            };
            if let Some(reg) = found {
                return reg;
            }
        }
        self.number_of_helper()
    }

    /// A call that returns any number; the result is kept where it stands or moved.
    fn number_of_helper(&mut self) -> Reg {
        if self.protect & 0x3f != 0 {
            return self.stack_number().unwrap_or(Reg::R0);
        }
        self.save_pointers();
        let helper = self.rng.pick(NUMBERS);
        self.call_helper(helper, Val::ANY);
        if self.rng.chance(60) {
            self.keep(Reg::R0)
        } else {
            Reg::R0
        }
    }

    /// Before a call: pointers in R1 to R5 that exist nowhere else are often saved.
    pub(super) fn save_pointers(&mut self) {
        for reg in [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5, Reg::R0] {
            let val = self.model.get(reg);
            let alone = self.regs_with(|other| other == val).len() < 2;
            let wanted = if val == Val::Ctx { 95 } else { 50 };
            if val.is_pointer() && alone && self.rng.chance(wanted) {
                match self.free_saved() {
                    Some(saved) if self.rng.chance(70) => self.mov(saved, reg),
                    Some(_) | None => self.spill(reg),
                }
            }
        }
    }

    /// A load from uninitialised or forgotten stack.
    fn stack_number(&mut self) -> Option<Reg> {
        let size = self.size();
        let len = size.bytes() as i32;
        let off = -len * self.rng.range(1, i64::from((self.stack / len).max(1))) as i32;
        if !matches!(
            self.model.slot(off),
            super::model::Slot::Empty | super::model::Slot::Misc
        ) {
            return None;
        }
        let dst = self.free();
        self.load(size, dst, Reg::FP, off, num_of(size));
        Some(dst)
    }

    pub(super) fn size(&mut self) -> Size {
        self.rng
            .pick([Size::B, Size::H, Size::W, Size::W, Size::DW, Size::DW])
    }

    /// A register with a number, an existing one if possible.
    pub(super) fn number(&mut self) -> Reg {
        if self.rng.chance(80)
            && let Some(reg) = self.reg_with(Val::is_num)
        {
            return reg;
        }
        self.new_number()
    }

    /// Another register with a number.
    pub(super) fn new_number(&mut self) -> Reg {
        if self.rng.chance(60) {
            return self.unknown();
        }
        let dst = self.free();
        self.constant(dst);
        dst
    }

    /// A constant.
    pub(super) fn constant(&mut self, dst: Reg) {
        if self.rng.chance(12) {
            let value = self.wide();
            self.mov_imm64(dst, value);
        } else {
            let imm = self.imm();
            if self.rng.chance(25) {
                self.alu(AluOp::Mov, Width::W32, dst, imm.into());
            } else {
                self.mov_imm(dst, imm);
            }
        }
    }

    /// A register with a number that may be overwritten.
    pub(super) fn target(&mut self) -> Reg {
        let protect = self.protect;
        let found = self.regs_with(Val::is_num);
        let free: Vec<_> = found
            .into_iter()
            .filter(|r| protect >> r.number() & 1 == 0)
            .collect();
        match self.rng.choose(&free) {
            Some(reg) if self.rng.chance(85) => *reg,
            Some(_) | None => {
                let dst = self.free();
                self.constant(dst);
                dst
            }
        }
    }

    /// One arithmetic instruction on numbers.
    pub(super) fn step_alu(&mut self) {
        let dst = self.target();
        let width = self.width();
        match self.rng.below(20) {
            0 => {
                self.emit(Insn::Neg { width, dst });
                self.model.set(dst, full(width));
            }
            1 => self.swap(dst),
            2 | 3 => {
                let src = self.number();
                let bits = self.rng.pick([8, 16, 32]);
                let bits = if width == Width::W32 && bits == 32 {
                    16
                } else {
                    bits
                };
                self.emit(Insn::MovSx {
                    width,
                    bits,
                    dst,
                    src,
                });
                self.model.set(dst, full(width));
            }
            4 | 5 => {
                // Copies share what is learned of them later.
                let src = self.number();
                self.alu(AluOp::Mov, width, dst, src.into());
                if self.rng.chance(50) {
                    let imm = self.rng.range(-8, 64) as i32;
                    self.alu(AluOp::Add, width, dst, imm.into());
                }
            }
            _ => {
                let op = self.rng.pick(OPS);
                let src = self.alu_operand(op, width);
                if self.fault(2) {
                    let src = self
                        .rng
                        .pick([Reg::R1, Reg::R2, Reg::R3, Reg::R5, Reg::R10]);
                    self.alu(op, width, dst, src.into());
                } else {
                    self.alu(op, width, dst, src);
                }
            }
        }
    }

    fn swap(&mut self, dst: Reg) {
        let op = self
            .rng
            .pick([EndianOp::ToLe, EndianOp::ToBe, EndianOp::Swap]);
        let bits = self.rng.pick([16, 32, 64]);
        self.emit(Insn::Endian { op, bits, dst });
        let hi = if bits == 64 {
            u64::MAX
        } else {
            (1 << bits) - 1
        };
        self.model.set(dst, Val::Num { lo: 0, hi });
    }

    fn alu_operand(&mut self, op: AluOp, width: Width) -> Operand {
        if self.rng.chance(45) {
            return self.number().into();
        }
        let imm = match op {
            AluOp::Lsh | AluOp::Rsh | AluOp::Arsh => {
                let bits = i64::from(width.bits());
                if self.fault(5) {
                    bits as i32
                } else {
                    self.rng.range(0, bits - 1) as i32
                }
            }
            AluOp::Div | AluOp::Mod | AluOp::SDiv | AluOp::SMod => {
                if self.fault(5) {
                    0
                } else {
                    self.imm().checked_add(1).unwrap_or(1).max(1)
                }
            }
            AluOp::Add
            | AluOp::Sub
            | AluOp::Mul
            | AluOp::Or
            | AluOp::And
            | AluOp::Xor
            | AluOp::Mov => self.imm(),
        };
        imm.into()
    }

    /// `dst op= src` on numbers.
    pub(super) fn alu(&mut self, op: AluOp, width: Width, dst: Reg, src: Operand) {
        self.emit(Insn::Alu {
            op,
            width,
            dst,
            src,
        });
        let right = match src {
            Operand::Reg(reg) => self.model.get(reg),
            Operand::Imm(imm) => Val::known(imm as i64 as u64),
        };
        let result = match (self.model.get(dst), right) {
            (_, val) if op == AluOp::Mov && width == Width::W64 => val,
            (Val::Num { lo, hi }, Val::Num { lo: l, hi: h }) => {
                narrow(result_range(op, (lo, hi), (l, h)), width)
            }
            (_, Val::Num { lo, hi }) if op == AluOp::Mov => narrow((lo, hi), width),
            _ => Val::Other,
        };
        self.model.set(dst, result);
    }

    /// A register with a number that a verifier can see to be at most `max`.
    pub(super) fn bounded(&mut self, max: u64) -> Reg {
        let ready = self.reg_with(|val| matches!(val, Val::Num { hi, .. } if hi <= max));
        if let Some(reg) = ready
            && self.rng.chance(25)
        {
            return reg;
        }
        let source = self.unknown();
        let max = self.border(max);
        // Only a register of its own may be masked.
        let reg = if self.protect >> source.number() & 1 == 1 || self.rng.chance(25) {
            let copy = self.free();
            self.mov(copy, source);
            copy
        } else {
            source
        };
        let before = self.guard(&[reg, source]);
        let result = match self.rng.below(12) {
            0..=2 => self.bound_by_mask(reg, max),
            3..=6 => self.bound_by_jump(reg, max),
            7 => self.bound_signed(reg, max),
            8 => self.bound_narrow(reg, max),
            9 => self.bound_copy(reg, max),
            10 => self.bound_spilled(reg, max),
            _ => self.bound_by_register(reg, max),
        };
        self.protect = before;
        result
    }

    /// A limit that is right, or wrong by a little.
    fn border(&mut self, max: u64) -> u64 {
        if self.fault(6) {
            return max + self.rng.pick([1, 1, 2, 8, 1 << 20]);
        }
        if self.rng.chance(60) {
            max
        } else {
            self.rng.below(max + 1)
        }
    }

    fn set_max(&mut self, reg: Reg, max: u64) -> Reg {
        self.model.set(reg, Val::Num { lo: 0, hi: max });
        reg
    }

    fn bound_by_mask(&mut self, reg: Reg, max: u64) -> Reg {
        let bits = (max + 1).checked_ilog2().unwrap_or(63).min(30);
        let width = self.width();
        let mask = (1i32 << bits) - 1;
        if bits > 0 && self.rng.chance(25) {
            let shift = (width.bits() - bits) as i32;
            self.alu(AluOp::Rsh, width, reg, shift.into());
        } else {
            self.alu(AluOp::And, width, reg, mask.into());
        }
        if self.rng.chance(15) {
            let factor = self.rng.pick([1, 2, 4]);
            if (mask as u64) * factor <= max {
                self.alu(AluOp::Mul, Width::W64, reg, (factor as i32).into());
                return self.set_max(reg, mask as u64 * factor);
            }
        }
        self.set_max(reg, mask as u64)
    }

    fn bound_by_jump(&mut self, reg: Reg, max: u64) -> Reg {
        let max = max.min(i32::MAX as u64 - 1) as i32;
        let (op, imm) = self.rng.pick([(JmpOp::Gt, max), (JmpOp::Ge, max + 1)]);
        if self.rng.chance(60) {
            let fail = self.fail;
            self.jump(op, Width::W64, reg, imm.into(), fail);
        } else {
            let (op, imm) = self.rng.pick([(JmpOp::Le, max), (JmpOp::Lt, max + 1)]);
            self.unless(op, Width::W64, reg, imm.into());
        }
        self.set_max(reg, max as u64)
    }

    /// Goes on where the condition holds and fails elsewhere.
    pub(super) fn unless(&mut self, op: JmpOp, width: Width, reg: Reg, src: Operand) {
        let ok = self.label();
        self.jump(op, width, reg, src, ok);
        let fail = self.fail;
        self.goto(fail);
        self.place(ok);
    }

    fn bound_signed(&mut self, reg: Reg, max: u64) -> Reg {
        let max = max.min(i32::MAX as u64) as i32;
        let fail = self.fail;
        if self.rng.chance(50) {
            self.jump(JmpOp::SGt, Width::W64, reg, max.into(), fail);
            if !self.fault(25) {
                self.jump(JmpOp::SLt, Width::W64, reg, 0.into(), fail);
            }
        } else {
            self.unless(JmpOp::SLe, Width::W64, reg, max.into());
            if !self.fault(25) {
                self.unless(JmpOp::SGe, Width::W64, reg, 0.into());
            }
        }
        self.set_max(reg, max as u64)
    }

    /// Bounds the low half; the high half must be zero before or after.
    fn bound_narrow(&mut self, reg: Reg, max: u64) -> Reg {
        let max = max.min(i32::MAX as u64) as i32;
        let (fail, early) = (self.fail, self.rng.chance(50));
        let skip = self.fault(25);
        if early && !skip {
            self.alu(AluOp::Mov, Width::W32, reg, reg.into());
        }
        match self.rng.below(3) {
            0 => self.jump(JmpOp::Gt, Width::W32, reg, max.into(), fail),
            1 => self.unless(JmpOp::Le, Width::W32, reg, max.into()),
            _ => {
                self.jump(JmpOp::SGt, Width::W32, reg, max.into(), fail);
                self.jump(JmpOp::SLt, Width::W32, reg, 0.into(), fail);
            }
        }
        if !early && !skip {
            self.alu(AluOp::Mov, Width::W32, reg, reg.into());
        }
        self.set_max(reg, max as u64)
    }

    /// Bounds a copy, perhaps at a distance, and uses the original, or the other way round.
    fn bound_copy(&mut self, reg: Reg, max: u64) -> Reg {
        let max = max.min(i32::MAX as u64 - 64) as i32;
        let copy = self.free();
        let width = if self.rng.chance(20) {
            Width::W32
        } else {
            Width::W64
        };
        self.alu(AluOp::Mov, width, copy, reg.into());
        let delta = if self.rng.chance(40) {
            self.rng.range(1, 32) as i32
        } else {
            0
        };
        if delta != 0 {
            self.alu(AluOp::Add, Width::W64, copy, delta.into());
        }
        let fail = self.fail;
        if delta == 0 && self.rng.chance(50) {
            self.jump(JmpOp::Gt, Width::W64, reg, max.into(), fail);
            return self.set_max(copy, max as u64);
        }
        self.jump(JmpOp::Gt, Width::W64, copy, (max + delta).into(), fail);
        if delta != 0 && self.rng.chance(70) {
            self.jump(JmpOp::Lt, Width::W64, copy, delta.into(), fail);
        }
        self.set_max(reg, max as u64)
    }

    /// Spills, bounds one and uses the other.
    fn bound_spilled(&mut self, reg: Reg, max: u64) -> Reg {
        let off = self.spill_slot();
        self.store(Size::DW, Reg::FP, off, reg.into());
        let fail = self.fail;
        let max = max.min(i32::MAX as u64) as i32;
        if self.rng.chance(50) {
            self.jump(JmpOp::Gt, Width::W64, reg, max.into(), fail);
            let dst = self.free();
            self.load(Size::DW, dst, Reg::FP, off, Val::ANY);
            return self.set_max(dst, max as u64);
        }
        let dst = self.free();
        self.load(Size::DW, dst, Reg::FP, off, Val::ANY);
        self.jump(JmpOp::Gt, Width::W64, dst, max.into(), fail);
        let result = if self.rng.chance(50) { reg } else { dst };
        self.set_max(result, max as u64)
    }

    /// Copies of one number in registers and slots, at distances, of which one is then bounded.
    pub(super) fn step_family(&mut self) {
        let first = self.unknown();
        let before = self.guard(&[first]);
        let mut regs = vec![first];
        for _ in 0..self.rng.range(1, 4) {
            let dst = self.free();
            let width = if self.rng.chance(20) {
                Width::W32
            } else {
                Width::W64
            };
            let from = self.rng.choose(&regs).copied().unwrap_or(first);
            self.alu(AluOp::Mov, width, dst, from.into());
            if self.rng.chance(40) {
                let imm = self.rng.pick([1, 4, 8, -1, -4, 100, 1 << 29]);
                let op = if self.rng.chance(20) {
                    AluOp::Sub
                } else {
                    AluOp::Add
                };
                let width = if self.rng.chance(15) {
                    Width::W32
                } else {
                    Width::W64
                };
                self.alu(op, width, dst, imm.into());
            }
            regs.push(dst);
            self.guard(&[dst]);
            if self.rng.chance(40) {
                let (size, off) = self.rng.pick([(Size::DW, 0), (Size::DW, 0), (Size::W, 0)]);
                let slot = self.spill_slot() + off;
                self.store(size, Reg::FP, slot, dst.into());
            }
        }
        self.protect = before;
        let bound = self.rng.choose(&regs).copied().unwrap_or(first);
        let op = self.rng.pick(CONDITIONS);
        let imm = if self.rng.chance(50) {
            self.imm()
        } else {
            self.rng.range(0, 64) as i32
        };
        let (width, fail) = (self.width(), self.fail);
        if self.rng.chance(50) {
            self.jump(op, width, bound, imm.into(), fail);
        } else {
            let label = self.label();
            self.jump(op, width, bound, imm.into(), label);
            self.step_alu();
            self.place(label);
        }
    }

    /// Compares with a register that holds the limit.
    fn bound_by_register(&mut self, reg: Reg, max: u64) -> Reg {
        let limit = self.free();
        if max > i32::MAX as u64 {
            self.mov_imm64(limit, max);
        } else {
            self.mov_imm(limit, max as i32);
        }
        let fail = self.fail;
        match self.rng.below(3) {
            0 => self.jump(JmpOp::Gt, Width::W64, reg, limit.into(), fail),
            1 => self.jump(JmpOp::Lt, Width::W64, limit, reg.into(), fail),
            _ => self.unless(JmpOp::Ge, Width::W64, limit, reg.into()),
        }
        self.set_max(reg, max)
    }
}

/// All numbers of a width.
pub(super) fn full(width: Width) -> Val {
    match width {
        Width::W32 => Val::Num {
            lo: 0,
            hi: u64::from(u32::MAX),
        },
        Width::W64 => Val::ANY,
    }
}

/// What a load of that size can give.
pub(super) fn num_of(size: Size) -> Val {
    Val::Num {
        lo: 0,
        hi: u64::MAX >> (64 - size.bits()),
    }
}

fn narrow((lo, hi): (u64, u64), width: Width) -> Val {
    if width == Width::W32 && hi > u64::from(u32::MAX) {
        return full(Width::W32);
    }
    Val::Num { lo, hi }
}

fn result_range(op: AluOp, (lo, hi): (u64, u64), (l, h): (u64, u64)) -> (u64, u64) {
    let any = (0, u64::MAX);
    match op {
        AluOp::Mov => (l, h),
        AluOp::Add => match (lo.checked_add(l), hi.checked_add(h)) {
            (Some(lo), Some(hi)) => (lo, hi),
            _ => any,
        },
        AluOp::Sub if lo >= h => (lo - h, hi - l),
        AluOp::Mul => match hi.checked_mul(h) {
            Some(hi) => (lo * l, hi),
            None => any,
        },
        AluOp::And => (0, hi.min(h)),
        AluOp::Rsh if l == h && h < 64 => (lo >> h, hi >> h),
        AluOp::Lsh if l == h && h < 64 && hi <= u64::MAX >> h => (lo << h, hi << h),
        AluOp::Sub
        | AluOp::Div
        | AluOp::SDiv
        | AluOp::Or
        | AluOp::Lsh
        | AluOp::Rsh
        | AluOp::Mod
        | AluOp::SMod
        | AluOp::Xor
        | AluOp::Arsh => any,
    }
}
