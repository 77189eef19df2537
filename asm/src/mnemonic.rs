//! The second dialect: uBPF's mnemonics, `mov r0, 2`, `ldxw r1, [r2+4]`, `jeq r1, 3, +5`.
//!
//! Mnemonics and pseudo-C may be mixed; labels, directives and comments are the same. Registers
//! may be written `%r1`, and commas may be missing.

use skep_isa::{AluOp, AtomicOp, EndianOp, Imm64, Insn, JmpOp, Operand, Reg, Size, Width};

use crate::cursor::{Cursor, Read};
use crate::lex::Tok;
use crate::parse::{Statement, imm32, jump, wide_reg};

/// Reads an instruction that begins with a mnemonic; `None` if the word is none.
pub(crate) fn statement(cur: &mut Cursor<'_>) -> Read<Option<Statement>> {
    let Some(Tok::Word(word)) = cur.peek() else {
        return Ok(None);
    };
    let Some(form) = form(word) else {
        return Ok(None);
    };
    cur.next();
    let statement = match form {
        Form::Alu(op, width) => {
            let (dst, src) = (dst(cur)?, source(cur, width)?);
            Insn::Alu {
                op,
                width,
                dst,
                src,
            }
            .into()
        }
        Form::Neg(width) => Insn::Neg {
            width,
            dst: register(cur)?,
        }
        .into(),
        Form::MovSx(width, bits) => {
            let (dst, src) = (dst(cur)?, register(cur)?);
            Insn::MovSx {
                width,
                bits,
                dst,
                src,
            }
            .into()
        }
        Form::Endian(op, bits) => {
            let dst = register(cur)?;
            Insn::Endian { op, bits, dst }.into()
        }
        Form::LoadImm64 => load_imm64(cur)?.into(),
        Form::Load(size, sign) => {
            let dst = dst(cur)?;
            let (base, off) = address(cur)?;
            Insn::Load {
                size,
                sign,
                dst,
                base,
                off,
            }
            .into()
        }
        Form::Store(size, from_reg) => store(cur, size, from_reg)?.into(),
        Form::Packet(size, is_indexed) => packet(cur, size, is_indexed)?.into(),
        Form::Jump(op, width) => return conditional(cur, op, width).map(Some),
        Form::Goto(far) => return jump(cur, !far, |off| Insn::Goto { off, far }).map(Some),
        Form::Xadd(size) => atomic(cur, AtomicOp::Add, false, size)?.into(),
    };
    Ok(Some(statement))
}

/// Reads what follows `lock` in this dialect; `None` if it is the other one.
pub(crate) fn locked(cur: &mut Cursor<'_>) -> Read<Option<Insn>> {
    let Some(Tok::Word(word)) = cur.peek() else {
        return Ok(None);
    };
    let (bare, size) = match word.strip_suffix("32") {
        Some(bare) => (bare, Size::W),
        None => (*word, Size::DW),
    };
    let (bare, fetch) = match bare.strip_prefix("fetch_") {
        Some(bare) => (bare, true),
        None => (bare, false),
    };
    let (op, fetch) = match bare {
        "add" => (AtomicOp::Add, fetch),
        "or" => (AtomicOp::Or, fetch),
        "and" => (AtomicOp::And, fetch),
        "xor" => (AtomicOp::Xor, fetch),
        // These two always fetch.
        "xchg" if !fetch => (AtomicOp::Xchg, true),
        "cmpxchg" if !fetch => (AtomicOp::Cmpxchg, true),
        _ => return Ok(None),
    };
    cur.next();
    atomic(cur, op, fetch, size).map(Some)
}

/// What a mnemonic stands for, and so what follows it.
#[derive(Clone, Copy)]
enum Form {
    Alu(AluOp, Width),
    Neg(Width),
    MovSx(Width, u8),
    Endian(EndianOp, u8),
    LoadImm64,
    Load(Size, bool),
    /// Whether a register is stored.
    Store(Size, bool),
    /// Whether a register is added to the offset.
    Packet(Size, bool),
    Jump(JmpOp, Width),
    /// Whether the distance has 32 bits.
    Goto(bool),
    Xadd(Size),
}

fn form(word: &str) -> Option<Form> {
    let fixed = match word {
        "lddw" => Form::LoadImm64,
        "ja" => Form::Goto(false),
        "ja32" => Form::Goto(true),
        "stxxaddw" => Form::Xadd(Size::W),
        "stxxadddw" => Form::Xadd(Size::DW),
        _ => {
            return sized(word)
                .or_else(|| endian(word))
                .or_else(|| computing(word));
        }
    };
    Some(fixed)
}

/// Mnemonics that end in the size of an access.
fn sized(word: &str) -> Option<Form> {
    let size = |text: &str| {
        Some(match text {
            "b" => Size::B,
            "h" => Size::H,
            "w" => Size::W,
            "dw" => Size::DW,
            _ => return None,
        })
    };
    let after = |prefix: &str| word.strip_prefix(prefix).and_then(size);
    None.or_else(|| after("ldabs").map(|s| Form::Packet(s, false)))
        .or_else(|| after("ldind").map(|s| Form::Packet(s, true)))
        .or_else(|| after("ldxs").map(|s| Form::Load(s, true)))
        .or_else(|| after("ldx").map(|s| Form::Load(s, false)))
        .or_else(|| after("stx").map(|s| Form::Store(s, true)))
        .or_else(|| after("st").map(|s| Form::Store(s, false)))
}

fn endian(word: &str) -> Option<Form> {
    let names = [
        ("le", EndianOp::ToLe),
        ("be", EndianOp::ToBe),
        ("bswap", EndianOp::Swap),
        ("swap", EndianOp::Swap),
    ];
    names.iter().find_map(|(name, op)| {
        let bits = match word.strip_prefix(name)? {
            "16" => 16,
            "32" => 32,
            "64" => 64,
            _ => return None,
        };
        Some(Form::Endian(*op, bits))
    })
}

/// Arithmetic and jumps, with `32` or `64` behind.
fn computing(word: &str) -> Option<Form> {
    if let Some(bits) = word.strip_prefix("movsx") {
        return Some(match bits {
            "832" => Form::MovSx(Width::W32, 8),
            "1632" => Form::MovSx(Width::W32, 16),
            "864" => Form::MovSx(Width::W64, 8),
            "1664" => Form::MovSx(Width::W64, 16),
            "3264" => Form::MovSx(Width::W64, 32),
            _ => return None,
        });
    }
    let (bare, width) = if let Some(bare) = word.strip_suffix("32") {
        (bare, Width::W32)
    } else {
        (word.strip_suffix("64").unwrap_or(word), Width::W64)
    };
    Some(match bare {
        "add" => Form::Alu(AluOp::Add, width),
        "sub" => Form::Alu(AluOp::Sub, width),
        "mul" => Form::Alu(AluOp::Mul, width),
        "div" => Form::Alu(AluOp::Div, width),
        "sdiv" => Form::Alu(AluOp::SDiv, width),
        "or" => Form::Alu(AluOp::Or, width),
        "and" => Form::Alu(AluOp::And, width),
        "lsh" => Form::Alu(AluOp::Lsh, width),
        "rsh" => Form::Alu(AluOp::Rsh, width),
        "mod" => Form::Alu(AluOp::Mod, width),
        "smod" => Form::Alu(AluOp::SMod, width),
        "xor" => Form::Alu(AluOp::Xor, width),
        "mov" => Form::Alu(AluOp::Mov, width),
        "arsh" => Form::Alu(AluOp::Arsh, width),
        "neg" => Form::Neg(width),
        "jeq" => Form::Jump(JmpOp::Eq, width),
        "jne" => Form::Jump(JmpOp::Ne, width),
        "jgt" => Form::Jump(JmpOp::Gt, width),
        "jge" => Form::Jump(JmpOp::Ge, width),
        "jlt" => Form::Jump(JmpOp::Lt, width),
        "jle" => Form::Jump(JmpOp::Le, width),
        "jset" => Form::Jump(JmpOp::Set, width),
        "jsgt" => Form::Jump(JmpOp::SGt, width),
        "jsge" => Form::Jump(JmpOp::SGe, width),
        "jslt" => Form::Jump(JmpOp::SLt, width),
        "jsle" => Form::Jump(JmpOp::SLe, width),
        _ => return None,
    })
}

/// Reads a register; in this dialect its name does not tell the width.
fn register(cur: &mut Cursor<'_>) -> Read<Reg> {
    cur.take_op("%");
    wide_reg(cur)
}

/// Reads the first of two operands.
fn dst(cur: &mut Cursor<'_>) -> Read<Reg> {
    let reg = register(cur)?;
    cur.take_op(",");
    Ok(reg)
}

/// Reads a register or a number, of which 32 bits matter.
fn source(cur: &mut Cursor<'_>, width: Width) -> Read<Operand> {
    if cur.at_signed() {
        return Ok(Operand::Imm(imm32(cur, width == Width::W32)?));
    }
    Ok(Operand::Reg(register(cur)?))
}

/// Reads `[rN+4]`.
fn address(cur: &mut Cursor<'_>) -> Read<(Reg, i16)> {
    cur.expect_op("[")?;
    let base = register(cur)?;
    let off = if cur.at_op("]") {
        0
    } else {
        cur.i16("the offset")?
    };
    cur.expect_op("]")?;
    Ok((base, off))
}

fn store(cur: &mut Cursor<'_>, size: Size, from_reg: bool) -> Read<Insn> {
    let (base, off) = address(cur)?;
    cur.take_op(",");
    let src = if from_reg {
        Operand::Reg(register(cur)?)
    } else {
        Operand::Imm(imm32(cur, false)?)
    };
    Ok(Insn::Store {
        size,
        base,
        off,
        src,
    })
}

fn packet(cur: &mut Cursor<'_>, size: Size, is_indexed: bool) -> Read<Insn> {
    let index = if is_indexed { Some(dst(cur)?) } else { None };
    let off = cur.i32("the offset")?;
    Ok(Insn::LoadPacket { size, index, off })
}

fn conditional(cur: &mut Cursor<'_>, op: JmpOp, width: Width) -> Read<Statement> {
    let (dst, src) = (dst(cur)?, source(cur, width)?);
    cur.take_op(",");
    jump(cur, true, |off| Insn::Jump {
        op,
        width,
        dst,
        src,
        off: off as i16,
    })
}

fn atomic(cur: &mut Cursor<'_>, op: AtomicOp, fetch: bool, size: Size) -> Read<Insn> {
    let (base, off) = address(cur)?;
    cur.take_op(",");
    let src = register(cur)?;
    Ok(Insn::Atomic {
        op,
        fetch,
        size,
        base,
        off,
        src,
    })
}

fn load_imm64(cur: &mut Cursor<'_>) -> Read<Insn> {
    let dst = dst(cur)?;
    let mark = cur.mark();
    let value = cur.signed("a number")?;
    let bits = i64::try_from(value)
        .map(i64::cast_unsigned)
        .or_else(|_| u64::try_from(value));
    let bits = bits.map_err(|_| {
        cur.since(mark)
            .error(format!("{value} does not fit 64 bits"))
    })?;
    Ok(Insn::LoadImm64 {
        dst,
        imm: Imm64::Value(bits),
    })
}
