//! Instructions, one function per form, named and commented as in Intel's manual.
//!
//! Each puts an opcode row together with its operands; how prefixes, ModRM and SIB bytes come about is
//! [`Asm::op`]'s business. Only what the compiler emits is here, and a test decodes every form.

use super::asm::Asm;
use super::reg::{Bytes, Gpr, Mem, Rm, Wide};
use super::row::{ByImm, Regs, Row, Short};

/// The eight operations that share one shape: `/digit`, and the high bits of the opcode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Alu {
    Add = 0,
    Or = 1,
    And = 4,
    Sub = 5,
    Xor = 6,
    Cmp = 7,
}

/// Shifts and rotations: `/digit`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shift {
    Rol = 0,
    Shl = 4,
    Shr = 5,
    Sar = 7,
}

/// Operations on one operand: `/digit` of `F7`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unary {
    Neg = 3,
    Div = 6,
    Idiv = 7,
}

/// Conditions: the low four bits of `Jcc`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Cond {
    B = 0x2,
    Ae = 0x3,
    E = 0x4,
    Ne = 0x5,
    Be = 0x6,
    A = 0x7,
    L = 0xc,
    Ge = 0xd,
    Le = 0xe,
    G = 0xf,
}

impl Cond {
    /// The opposite condition.
    pub(crate) const fn not(self) -> Cond {
        match self {
            Cond::B => Cond::Ae,
            Cond::Ae => Cond::B,
            Cond::E => Cond::Ne,
            Cond::Ne => Cond::E,
            Cond::Be => Cond::A,
            Cond::A => Cond::Be,
            Cond::L => Cond::Ge,
            Cond::Ge => Cond::L,
            Cond::Le => Cond::G,
            Cond::G => Cond::Le,
        }
    }
}

/// `0F B6/B7 /r  MOVZX r32, r/m`, `8B /r  MOV r, r/m`.
const fn loading(size: Bytes) -> Row {
    match size {
        Bytes::B1 => Row::two(Wide::D, 0xb6).of_byte_rm(),
        Bytes::B2 => Row::two(Wide::D, 0xb7),
        Bytes::B4 => Row::one(Wide::D, 0x8b),
        Bytes::B8 => Row::one(Wide::Q, 0x8b),
    }
}

/// The same from memory, by size.
static LOADS: [Short; 4] = [
    Short::new(loading(Bytes::B1)),
    Short::new(loading(Bytes::B2)),
    Short::new(loading(Bytes::B4)),
    Short::new(loading(Bytes::B8)),
];

#[rustfmt::skip]
impl Asm {
    /// `01 /r  ADD r/m, r` and its kin.
    pub(crate) fn alu_rm_r(&mut self, op: Alu, w: Wide, dst: impl Into<Rm>, src: Gpr) {
        self.op(Row::one(w, (op as u8) << 3 | 0x01), src.number(), dst.into());
    }

    /// `03 /r  ADD r, r/m` and its kin, from memory.
    pub(crate) fn alu_r_m(&mut self, op: Alu, w: Wide, dst: Gpr, src: Mem) {
        self.op(Row::one(w, (op as u8) << 3 | 0x03), dst.number(), src.into());
    }

    /// `83 /n ib  ADD r/m, imm8` or `81 /n id  ADD r/m, imm32` (sign-extended), and their kin.
    pub(crate) fn alu_rm_i(&mut self, op: Alu, w: Wide, dst: impl Into<Rm>, imm: i32) {
        match (dst.into(), i8::try_from(imm)) {
            (Rm::Reg(dst), _) => self.op_imm(w, ByImm::digit(op as u8, dst), imm),
            (dst, Ok(imm)) => self.op(Row::one(w, 0x83).with_imm8(imm as u8), op as u8, dst),
            (dst, Err(_)) => self.op(Row::one(w, 0x81).with_imm32(imm), op as u8, dst),
        }
    }

    /// `85 /r  TEST r, r`.
    pub(crate) fn test_r_r(&mut self, w: Wide, a: Gpr, b: Gpr) {
        self.op_regs(w, 0x85, Regs::new(b, a));
    }

    /// `F7 /0 id  TEST r, imm32`.
    pub(crate) fn test_r_i(&mut self, w: Wide, a: Gpr, imm: i32) {
        self.op(Row::one(w, 0xf7).with_imm32(imm), 0, a.into());
    }

    /// `C1 /n ib  SHL r, imm8` and its kin.
    pub(crate) fn shift_i(&mut self, op: Shift, w: Wide, dst: Gpr, by: u8) {
        self.op(Row::one(w, 0xc1).with_imm8(by), op as u8, dst.into());
    }

    /// `66 C1 /0 ib  ROL r16, imm8`.
    pub(crate) fn rol16_i(&mut self, dst: Gpr, by: u8) {
        self.op(Row::one(Wide::D, 0xc1).with_prefix(0x66).with_imm8(by), Shift::Rol as u8, dst.into());
    }

    /// `D3 /n  SHL r, cl` and its kin.
    pub(crate) fn shift_cl(&mut self, op: Shift, w: Wide, dst: Gpr) {
        self.op(Row::one(w, 0xd3), op as u8, dst.into());
    }

    /// `VEX.LZ.66.0F38.W F7 /r  SHLX r, r, r`, `F3 … SARX`, `F2 … SHRX` (BMI2).
    pub(crate) fn shift_x(&mut self, op: Shift, w: Wide, dst: Gpr, src: Gpr, by: Gpr) {
        let pp = match op { Shift::Shl => 1, Shift::Sar => 2, Shift::Shr | Shift::Rol => 3 };
        self.vex(0x02, pp, w, 0xf7, dst, by, src, None);
    }

    /// `VEX.LZ.F2.0F3A.W F0 /r ib  RORX r, r, imm8` (BMI2).
    pub(crate) fn rorx(&mut self, w: Wide, dst: Gpr, src: Gpr, by: u8) {
        self.vex(0x03, 3, w, 0xf0, dst, Gpr::Rax, src, Some(by));
    }

    /// `F7 /n  NEG r` and its kin.
    pub(crate) fn unary(&mut self, op: Unary, w: Wide, dst: Gpr) {
        self.op(Row::one(w, 0xf7), op as u8, dst.into());
    }

    /// `0F AF /r  IMUL r, r`.
    pub(crate) fn imul_r_r(&mut self, w: Wide, dst: Gpr, src: Gpr) {
        self.op(Row::two(w, 0xaf), dst.number(), src.into());
    }

    /// `6B /r ib` or `69 /r id  IMUL r, r, imm`.
    pub(crate) fn imul_r_r_i(&mut self, w: Wide, dst: Gpr, src: Gpr, imm: i32) {
        self.op_imm(w, ByImm::imul(dst, src), imm);
    }

    /// `REX.W 0F 4x /r  CMOVcc r64, r64`.
    pub(crate) fn cmov_r_r(&mut self, cond: Cond, dst: Gpr, src: Gpr) {
        self.op(Row::two(Wide::Q, 0x40 | cond as u8), dst.number(), src.into());
    }

    /// `99  CDQ` or `REX.W 99  CQO`.
    pub(crate) fn sign_into_rdx(&mut self, w: Wide) {
        match w { Wide::D => self.bytes([0x99]), Wide::Q => self.bytes([0x48, 0x99]) }
    }

    /// `89 /r  MOV r, r`.
    pub(crate) fn mov_r_r(&mut self, w: Wide, dst: Gpr, src: Gpr) {
        self.op_regs(w, 0x89, Regs::new(src, dst));
    }

    /// The shortest of `31 /r  XOR r32, r32`, `B8+r id  MOV r32, imm32`, `REX.W C7 /0 id` and
    /// `REX.W B8+r io`. Flags may change.
    pub(crate) fn mov_r_i(&mut self, dst: Gpr, imm: u64) {
        if imm == 0 {
            self.alu_rm_r(Alu::Xor, Wide::D, dst, dst);
        } else if let Ok(imm) = u32::try_from(imm) {
            self.op_reg(Wide::D, 0xb8, dst);
            self.bytes(imm.to_le_bytes());
        } else if let Ok(imm) = i32::try_from(imm as i64) {
            self.op(Row::one(Wide::Q, 0xc7).with_imm32(imm), 0, dst.into());
        } else {
            self.op_reg(Wide::Q, 0xb8, dst);
            self.bytes(imm.to_le_bytes());
        }
    }

    /// Loads bytes into a register whose other bits it clears.
    pub(crate) fn load(&mut self, size: Bytes, dst: Gpr, src: impl Into<Rm>) {
        match src.into() {
            Rm::Mem(Mem { base, index: None, disp }) => self.load_at(size, dst, base, disp),
            src @ (Rm::Reg(_) | Rm::Mem(_)) => self.op(loading(size), dst.number(), src),
        }
    }

    /// The same from memory at a register and a displacement.
    #[inline(always)]
    pub(crate) fn load_at(&mut self, size: Bytes, dst: Gpr, base: Gpr, disp: i32) {
        self.op_base(LOADS[size as usize], dst, base, disp);
    }

    /// `0F BE/BF /r  MOVSX r, r/m`, `REX.W 63 /r  MOVSXD r64, r/m32`; eight bytes have no sign to extend.
    pub(crate) fn load_signed(&mut self, size: Bytes, w: Wide, dst: Gpr, src: impl Into<Rm>) {
        let row = match size {
            Bytes::B1 => Row::two(w, 0xbe).of_byte_rm(),
            Bytes::B2 => Row::two(w, 0xbf),
            Bytes::B4 => Row::one(w, 0x63),
            Bytes::B8 => Row::one(Wide::Q, 0x8b),
        };
        self.op(row, dst.number(), src.into());
    }

    /// `88 /r  MOV r/m8, r8`, `66 89`, `89`, `REX.W 89`.
    pub(crate) fn store(&mut self, size: Bytes, dst: Mem, src: Gpr) {
        let row = match size {
            Bytes::B1 => Row::one(Wide::D, 0x88).of_byte_reg(),
            Bytes::B2 => Row::one(Wide::D, 0x89).with_prefix(0x66),
            Bytes::B4 => Row::one(Wide::D, 0x89),
            Bytes::B8 => Row::one(Wide::Q, 0x89),
        };
        self.op(row, src.number(), dst.into());
    }

    /// `C6 /0 ib  MOV m8, imm8`, `66 C7 /0 iw`, `C7 /0 id`, `REX.W C7 /0 id` (sign-extended).
    pub(crate) fn store_i(&mut self, size: Bytes, dst: Mem, imm: i32) {
        let row = match size {
            Bytes::B1 => Row::one(Wide::D, 0xc6).with_imm8(imm as u8),
            Bytes::B2 => Row::one(Wide::D, 0xc7).with_prefix(0x66).with_imm16(imm as u16),
            Bytes::B4 => Row::one(Wide::D, 0xc7).with_imm32(imm),
            Bytes::B8 => Row::one(Wide::Q, 0xc7).with_imm32(imm),
        };
        self.op(row, 0, dst.into());
    }

    /// `8D /r  LEA r, m`.
    pub(crate) fn lea(&mut self, w: Wide, dst: Gpr, src: Mem) {
        self.op(Row::one(w, 0x8d), dst.number(), src.into());
    }

    /// `0F C8+r  BSWAP r`.
    pub(crate) fn bswap(&mut self, w: Wide, dst: Gpr) {
        self.op_reg_two(w, 0xc8, dst);
    }

    /// `0F C1 /r  XADD m, r`.
    pub(crate) fn xadd(&mut self, w: Wide, dst: Mem, src: Gpr) {
        self.op(Row::two(w, 0xc1), src.number(), dst.into());
    }

    /// `0F B1 /r  CMPXCHG m, r`.
    pub(crate) fn cmpxchg(&mut self, w: Wide, dst: Mem, src: Gpr) {
        self.op(Row::two(w, 0xb1), src.number(), dst.into());
    }

    /// `50+r  PUSH r64`.
    pub(crate) fn push(&mut self, reg: Gpr) {
        self.op_reg(Wide::D, 0x50, reg);
    }

    /// `58+r  POP r64`.
    pub(crate) fn pop(&mut self, reg: Gpr) {
        self.op_reg(Wide::D, 0x58, reg);
    }

    /// `FF /6  PUSH m64`.
    pub(crate) fn push_m(&mut self, src: Mem) {
        self.op(Row::one(Wide::D, 0xff), 6, src.into());
    }

    /// `8F /0  POP m64`.
    pub(crate) fn pop_m(&mut self, dst: Mem) {
        self.op(Row::one(Wide::D, 0x8f), 0, dst.into());
    }

    /// `FF /2  CALL m64`.
    pub(crate) fn call_m(&mut self, target: Mem) {
        self.op(Row::one(Wide::D, 0xff), 2, target.into());
    }

    /// `FF /2  CALL r64`.
    pub(crate) fn call_r(&mut self, target: Gpr) {
        self.op(Row::one(Wide::D, 0xff), 2, target.into());
    }

    /// `FF /4  JMP m64`.
    pub(crate) fn jmp_m(&mut self, target: Mem) {
        self.op(Row::one(Wide::D, 0xff), 4, target.into());
    }

    /// `FF /4  JMP r64`.
    pub(crate) fn jmp_r(&mut self, target: Gpr) {
        self.op(Row::one(Wide::D, 0xff), 4, target.into());
    }

    /// `C3  RET`.
    pub(crate) fn ret(&mut self) {
        self.bytes([0xc3]);
    }
}
