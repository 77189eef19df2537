//! Slots to instructions. Every unused field must be zero: what is reserved today may mean
//! something tomorrow, and kernels refuse it too.

use std::fmt;

use crate::insn::{CallTarget, Imm64, Insn, Operand};
use crate::raw::{InsnIdx, RawInsn, class, mode, opcode, pseudo};
use crate::{AluOp, AtomicOp, EndianOp, JmpOp, Reg, Size, Width};

/// Why a slot is no instruction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FormError {
    /// No instruction has this opcode byte.
    UnknownOpcode(u8),
    /// A register number above 10.
    BadRegister(u8),
    /// A field that this instruction does not use is not zero.
    ReservedField,
    /// The offset, immediate or source field selects no known variant of the opcode.
    UnknownVariant,
    /// A 64-bit immediate load without (or with a malformed) second slot.
    TruncatedImm64,
    /// The slot index lies behind the end of the program.
    OutOfProgram,
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormError::UnknownOpcode(code) => write!(f, "unknown opcode {code:#04x}"),
            FormError::BadRegister(reg) => write!(f, "register r{reg} does not exist"),
            FormError::ReservedField => write!(f, "a reserved field is not zero"),
            FormError::UnknownVariant => write!(f, "no such variant of this opcode"),
            FormError::TruncatedImm64 => write!(f, "64-bit immediate load without its second slot"),
            FormError::OutOfProgram => write!(f, "slot lies outside of the program"),
        }
    }
}

impl std::error::Error for FormError {}

/// Decodes the slot at `idx`. The second slot of a 64-bit immediate load must not be asked for:
/// alone it is an unknown opcode.
#[inline]
pub fn decode(insns: &[RawInsn], idx: InsnIdx) -> Result<Insn, FormError> {
    let raw = *insns.get(idx).ok_or(FormError::OutOfProgram)?;
    match raw.class() {
        class::LD => decode_ld(raw, insns.get(idx + 1).copied()),
        class::LDX => decode_ldx(raw),
        class::ST => decode_st(raw),
        class::STX => decode_stx(raw),
        class::ALU => decode_alu(raw, Width::W32),
        class::ALU64 => decode_alu(raw, Width::W64),
        class::JMP => decode_jmp(raw, Width::W64),
        _ => decode_jmp(raw, Width::W32),
    }
}

/// Decodes every slot; second slots of 64-bit immediate loads become [`Insn::Imm64Hi`].
/// The error names the first slot that is no instruction.
pub fn decode_all(insns: &[RawInsn]) -> Result<Vec<Insn>, (InsnIdx, FormError)> {
    decode_noting(insns, |_| {})
}

/// The same, and tells the slots, in order, of all instructions but arithmetic without variants and plain
/// loads, of which most of any program consists.
///
/// # Errors
/// As [`decode_all`].
#[inline]
pub fn decode_noting(
    insns: &[RawInsn],
    mut note: impl FnMut(InsnIdx),
) -> Result<Vec<Insn>, (InsnIdx, FormError)> {
    let mut out = Vec::with_capacity(insns.len());
    while let Some(&raw) = insns.get(out.len()) {
        if push_plain(&mut out, raw, &mut note) {
            continue;
        }
        let idx = out.len();
        note(idx);
        let insn = decode(insns, idx).map_err(|e| (idx, e))?;
        out.push(insn);
        if matches!(insn, Insn::LoadImm64 { .. }) {
            out.push(Insn::Imm64Hi);
        }
    }
    Ok(out)
}

/// Puts arithmetic without variants, loads and stores behind the instructions: most of any program, told
/// from the rest at little cost. Whether the slot was one; it is something else, or wrong, if not.
#[inline(always)]
fn push_plain(out: &mut Vec<Insn>, raw: RawInsn, note: &mut impl FnMut(InsnIdx)) -> bool {
    let (Some((dst, src)), plain) = (PAIRS[usize::from(raw.regs)], PLAIN[usize::from(raw.code)])
    else {
        return false;
    };
    if let Plain::Alu(op, width) = plain {
        let by_reg = raw.code & opcode::SRC_REG != 0;
        // What the other kind of operand would use is zero.
        let unused = if by_reg { raw.imm } else { raw.src().into() };
        if unused | i32::from(raw.off) != 0 {
            return false;
        }
        let src = if by_reg {
            Operand::Reg(src)
        } else {
            Operand::Imm(raw.imm)
        };
        out.push(Insn::Alu {
            op,
            width,
            dst,
            src,
        });
        return true;
    }
    if raw.imm != 0 {
        return false;
    }
    match plain {
        Plain::Load(size) => out.push(Insn::Load {
            size,
            sign: false,
            dst,
            base: src,
            off: raw.off,
        }),
        Plain::Store(size) => {
            note(out.len());
            out.push(Insn::Store {
                size,
                base: dst,
                off: raw.off,
                src: Operand::Reg(src),
            });
        }
        Plain::Alu(..) | Plain::Other => return false,
    }
    true
}

/// What an opcode byte says of an instruction without variants.
#[derive(Clone, Copy)]
enum Plain {
    Load(Size),
    Store(Size),
    Alu(AluOp, Width),
    Other,
}

/// By opcode byte.
const PLAIN: [Plain; 256] = {
    let mut all = [Plain::Other; 256];
    let mut code = 0;
    while code < 256 {
        let byte = code as u8;
        let class = byte & 0x07;
        let width = if class == class::ALU64 {
            Width::W64
        } else {
            Width::W32
        };
        if byte & 0xe7 == mode::MEM | class::LDX {
            all[code] = Plain::Load(Size::from_code(byte));
        } else if byte & 0xe7 == mode::MEM | class::STX {
            all[code] = Plain::Store(Size::from_code(byte));
        } else if (class == class::ALU || class == class::ALU64)
            && let Some(op) = OPS[code >> 4]
        {
            all[code] = Plain::Alu(op, width);
        }
        code += 1;
    }
    all
};

/// Destination and source by the byte that has both numbers.
const PAIRS: [Option<(Reg, Reg)>; 256] = {
    let mut all = [None; 256];
    let mut regs = 0;
    while regs < 256 {
        if let (Some(dst), Some(src)) = (Reg::new(regs as u8 & 0xf), Reg::new((regs >> 4) as u8)) {
            all[regs] = Some((dst, src));
        }
        regs += 1;
    }
    all
};

#[inline]
fn reg(number: u8) -> Result<Reg, FormError> {
    Reg::new(number).ok_or(FormError::BadRegister(number))
}

#[inline]
fn require(condition: bool, error: FormError) -> Result<(), FormError> {
    if condition { Ok(()) } else { Err(error) }
}

#[inline]
fn reserved_zero(condition: bool) -> Result<(), FormError> {
    require(condition, FormError::ReservedField)
}

#[inline(never)]
fn decode_ld(raw: RawInsn, next: Option<RawInsn>) -> Result<Insn, FormError> {
    if raw.code == opcode::LD_IMM64 {
        let hi = next.ok_or(FormError::TruncatedImm64)?;
        require(
            hi.code == 0 && hi.regs == 0 && hi.off == 0,
            FormError::TruncatedImm64,
        )?;
        reserved_zero(raw.off == 0)?;
        let dst = reg(raw.dst())?;
        let imm = match raw.src() {
            0 => Imm64::Value((raw.imm as u32 as u64) | ((hi.imm as u32 as u64) << 32)),
            pseudo::MAP_FD => {
                reserved_zero(hi.imm == 0)?;
                Imm64::Map(raw.imm)
            }
            pseudo::MAP_VALUE => Imm64::MapValue {
                map: raw.imm,
                off: hi.imm as u32,
            },
            pseudo::BTF_ID => Imm64::BtfVar {
                id: raw.imm,
                btf_fd: hi.imm,
            },
            pseudo::FUNC => {
                reserved_zero(hi.imm == 0)?;
                Imm64::Func(raw.imm)
            }
            pseudo::MAP_IDX => {
                reserved_zero(hi.imm == 0)?;
                Imm64::MapIdx(raw.imm)
            }
            pseudo::MAP_IDX_VALUE => Imm64::MapIdxValue {
                idx: raw.imm,
                off: hi.imm as u32,
            },
            _ => return Err(FormError::UnknownVariant),
        };
        return Ok(Insn::LoadImm64 { dst, imm });
    }
    let size = Size::from_code(raw.code);
    let index = match raw.code & 0xe0 {
        mode::ABS => {
            reserved_zero(raw.src() == 0)?;
            None
        }
        mode::IND => Some(reg(raw.src())?),
        _ => return Err(FormError::UnknownOpcode(raw.code)),
    };
    require(size != Size::DW, FormError::UnknownOpcode(raw.code))?;
    reserved_zero(raw.dst() == 0 && raw.off == 0)?;
    Ok(Insn::LoadPacket {
        size,
        index,
        off: raw.imm,
    })
}

#[inline]
fn decode_ldx(raw: RawInsn) -> Result<Insn, FormError> {
    let size = Size::from_code(raw.code);
    let sign = match raw.code & 0xe0 {
        mode::MEM => false,
        mode::MEMSX if size != Size::DW => true,
        _ => return Err(FormError::UnknownOpcode(raw.code)),
    };
    reserved_zero(raw.imm == 0)?;
    Ok(Insn::Load {
        size,
        sign,
        dst: reg(raw.dst())?,
        base: reg(raw.src())?,
        off: raw.off,
    })
}

#[inline]
fn decode_st(raw: RawInsn) -> Result<Insn, FormError> {
    require(
        raw.code & 0xe0 == mode::MEM,
        FormError::UnknownOpcode(raw.code),
    )?;
    reserved_zero(raw.src() == 0)?;
    Ok(Insn::Store {
        size: Size::from_code(raw.code),
        base: reg(raw.dst())?,
        off: raw.off,
        src: Operand::Imm(raw.imm),
    })
}

#[inline]
fn decode_stx(raw: RawInsn) -> Result<Insn, FormError> {
    let size = Size::from_code(raw.code);
    let (base, src, off) = (reg(raw.dst())?, reg(raw.src())?, raw.off);
    match raw.code & 0xe0 {
        mode::MEM => {
            reserved_zero(raw.imm == 0)?;
            Ok(Insn::Store {
                size,
                base,
                off,
                src: Operand::Reg(src),
            })
        }
        mode::ATOMIC => decode_atomic(raw, size, base, src),
        _ => Err(FormError::UnknownOpcode(raw.code)),
    }
}

fn decode_atomic(raw: RawInsn, size: Size, base: Reg, src: Reg) -> Result<Insn, FormError> {
    let off = raw.off;
    let (op, fetch) = match raw.imm {
        0x00 => (AtomicOp::Add, false),
        0x01 => (AtomicOp::Add, true),
        0x40 => (AtomicOp::Or, false),
        0x41 => (AtomicOp::Or, true),
        0x50 => (AtomicOp::And, false),
        0x51 => (AtomicOp::And, true),
        0xa0 => (AtomicOp::Xor, false),
        0xa1 => (AtomicOp::Xor, true),
        0xe1 => (AtomicOp::Xchg, true),
        0xf1 => (AtomicOp::Cmpxchg, true),
        // Only these two exist in byte and half-word size; registers change their roles.
        0x100 => {
            return Ok(Insn::LoadAcquire {
                size,
                dst: base,
                base: src,
                off,
            });
        }
        0x110 => {
            return Ok(Insn::StoreRelease {
                size,
                base,
                off,
                src,
            });
        }
        _ => return Err(FormError::UnknownVariant),
    };
    require(
        matches!(size, Size::W | Size::DW),
        FormError::UnknownVariant,
    )?;
    Ok(Insn::Atomic {
        op,
        fetch,
        size,
        base,
        off,
        src,
    })
}

#[inline]
fn operand(raw: RawInsn) -> Result<Operand, FormError> {
    if raw.code & opcode::SRC_REG != 0 {
        reserved_zero(raw.imm == 0)?;
        Ok(Operand::Reg(reg(raw.src())?))
    } else {
        reserved_zero(raw.src() == 0)?;
        Ok(Operand::Imm(raw.imm))
    }
}

#[inline]
fn decode_alu(raw: RawInsn, width: Width) -> Result<Insn, FormError> {
    let op = match OPS[usize::from(raw.code >> 4)].filter(|_| raw.off == 0) {
        Some(op) => op,
        None => match (raw.code & 0xf0, raw.off) {
            (opcode::END, _) => return decode_endian(raw, width),
            (opcode::MOV, _) => return decode_mov_variant(raw, width),
            (opcode::NEG, _) => return decode_neg(raw, width),
            (opcode::DIV, 1) => AluOp::SDiv,
            (opcode::MOD, 1) => AluOp::SMod,
            (0x00..=0xc0, _) => return Err(FormError::ReservedField),
            _ => return Err(FormError::UnknownOpcode(raw.code)),
        },
    };
    Ok(Insn::Alu {
        op,
        width,
        dst: reg(raw.dst())?,
        src: operand(raw)?,
    })
}

/// Operations by the high four bits of the opcode, where offset 0 says no more.
const OPS: [Option<AluOp>; 16] = {
    let mut ops = [None; 16];
    let rows = [
        (opcode::ADD, AluOp::Add),
        (opcode::SUB, AluOp::Sub),
        (opcode::MUL, AluOp::Mul),
        (opcode::DIV, AluOp::Div),
        (opcode::OR, AluOp::Or),
        (opcode::AND, AluOp::And),
        (opcode::LSH, AluOp::Lsh),
        (opcode::RSH, AluOp::Rsh),
        (opcode::MOD, AluOp::Mod),
        (opcode::XOR, AluOp::Xor),
        (opcode::MOV, AluOp::Mov),
        (opcode::ARSH, AluOp::Arsh),
    ];
    let mut at = 0;
    while at < rows.len() {
        ops[(rows[at].0 >> 4) as usize] = Some(rows[at].1);
        at += 1;
    }
    ops
};

#[cold]
fn decode_neg(raw: RawInsn, width: Width) -> Result<Insn, FormError> {
    require(raw.code & opcode::SRC_REG == 0, FormError::UnknownVariant)?;
    reserved_zero(raw.src() == 0 && raw.off == 0 && raw.imm == 0)?;
    Ok(Insn::Neg {
        width,
        dst: reg(raw.dst())?,
    })
}

fn decode_endian(raw: RawInsn, width: Width) -> Result<Insn, FormError> {
    let op = match (width, raw.code & opcode::SRC_REG != 0) {
        (Width::W32, false) => EndianOp::ToLe,
        (Width::W32, true) => EndianOp::ToBe,
        (Width::W64, false) => EndianOp::Swap,
        (Width::W64, true) => return Err(FormError::ReservedField),
    };
    reserved_zero(raw.src() == 0 && raw.off == 0)?;
    require(matches!(raw.imm, 16 | 32 | 64), FormError::UnknownVariant)?;
    Ok(Insn::Endian {
        op,
        bits: raw.imm as u8,
        dst: reg(raw.dst())?,
    })
}

fn decode_mov_variant(raw: RawInsn, width: Width) -> Result<Insn, FormError> {
    require(raw.code & opcode::SRC_REG != 0, FormError::ReservedField)?;
    let (dst, src) = (reg(raw.dst())?, reg(raw.src())?);
    match (raw.off, width) {
        (1, Width::W64) => {
            let (dst_as, src_as) = ((raw.imm as u32 >> 16) as u16, raw.imm as u16);
            Ok(Insn::AddrSpaceCast {
                dst,
                src,
                dst_as,
                src_as,
            })
        }
        (8 | 16, _) | (32, Width::W64) => {
            reserved_zero(raw.imm == 0)?;
            Ok(Insn::MovSx {
                width,
                bits: raw.off as u8,
                dst,
                src,
            })
        }
        _ => Err(FormError::UnknownVariant),
    }
}

fn decode_jmp(raw: RawInsn, width: Width) -> Result<Insn, FormError> {
    let op = match raw.code & 0xf0 {
        0x00 => return decode_goto(raw, width),
        0x80 if width == Width::W64 => return decode_call(raw),
        0x90 if raw.code == opcode::EXIT => {
            reserved_zero(raw.regs == 0 && raw.off == 0 && raw.imm == 0)?;
            return Ok(Insn::Exit);
        }
        0xe0 if raw.code == opcode::JCOND => {
            reserved_zero(raw.regs == 0 && raw.imm == 0)?;
            return Ok(Insn::MayGoto { off: raw.off });
        }
        opcode::JEQ => JmpOp::Eq,
        opcode::JGT => JmpOp::Gt,
        opcode::JGE => JmpOp::Ge,
        opcode::JSET => JmpOp::Set,
        opcode::JNE => JmpOp::Ne,
        opcode::JSGT => JmpOp::SGt,
        opcode::JSGE => JmpOp::SGe,
        opcode::JLT => JmpOp::Lt,
        opcode::JLE => JmpOp::Le,
        opcode::JSLT => JmpOp::SLt,
        opcode::JSLE => JmpOp::SLe,
        _ => return Err(FormError::UnknownOpcode(raw.code)),
    };
    Ok(Insn::Jump {
        op,
        width,
        dst: reg(raw.dst())?,
        src: operand(raw)?,
        off: raw.off,
    })
}

fn decode_goto(raw: RawInsn, width: Width) -> Result<Insn, FormError> {
    require(
        raw.code & opcode::SRC_REG == 0,
        FormError::UnknownOpcode(raw.code),
    )?;
    match width {
        Width::W64 => {
            reserved_zero(raw.regs == 0 && raw.imm == 0)?;
            Ok(Insn::Goto {
                off: raw.off.into(),
                far: false,
            })
        }
        Width::W32 => {
            reserved_zero(raw.regs == 0 && raw.off == 0)?;
            Ok(Insn::Goto {
                off: raw.imm,
                far: true,
            })
        }
    }
}

fn decode_call(raw: RawInsn) -> Result<Insn, FormError> {
    if raw.code == opcode::CALLX {
        reserved_zero(raw.src() == 0 && raw.off == 0)?;
        // clang has put the register into either field over time.
        let number = if raw.dst() == 0 && raw.imm != 0 {
            raw.imm as u8
        } else {
            raw.dst()
        };
        return Ok(Insn::CallReg(reg(number)?));
    }
    reserved_zero(raw.dst() == 0)?;
    let target = match raw.src() {
        0 => CallTarget::Helper(raw.imm),
        pseudo::CALL => CallTarget::Subprog(raw.imm),
        pseudo::KFUNC_CALL => {
            return Ok(Insn::Call(CallTarget::Kfunc {
                id: raw.imm,
                btf_idx: raw.off,
            }));
        }
        _ => return Err(FormError::UnknownVariant),
    };
    reserved_zero(raw.off == 0)?;
    Ok(Insn::Call(target))
}
