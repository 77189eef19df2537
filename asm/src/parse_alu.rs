//! Assignments to registers: arithmetic, moves, byte order, 64-bit immediates; loads by way of
//! `parse_memory`.

use skep_isa::{AluOp, EndianOp, Imm64, Insn, Operand, Reg, Width, opcode};

use crate::cursor::{Cursor, Read};
use crate::lex::Tok;
use crate::parse::{Refers, Statement, imm32, operand, reg, reg_of, register, wide_reg};
use crate::parse_memory;

/// Reads `REG = …` or `REG op= …`.
pub(crate) fn assignment(cur: &mut Cursor<'_>) -> Read<Statement> {
    let mark = cur.mark();
    let (width, dst) = reg(cur)?;
    if cur.take_op("=") {
        return value(cur, mark, width, dst);
    }
    let op = match cur.peek() {
        Some(Tok::Op(op)) => alu_op(op),
        _ => None,
    };
    let Some(op) = op else {
        return Err(cur.expected("an assignment (= += -= *= /= s/= |= &= <<= >>= s>>= %= s%= ^=)"));
    };
    cur.next();
    let src = operand(cur, width)?;
    Ok(Insn::Alu {
        op,
        width,
        dst,
        src,
    }
    .into())
}

fn alu_op(op: &str) -> Option<AluOp> {
    Some(match op {
        "+=" => AluOp::Add,
        "-=" => AluOp::Sub,
        "*=" => AluOp::Mul,
        "/=" => AluOp::Div,
        "s/=" => AluOp::SDiv,
        "|=" => AluOp::Or,
        "&=" => AluOp::And,
        "<<=" => AluOp::Lsh,
        ">>=" => AluOp::Rsh,
        "%=" => AluOp::Mod,
        "s%=" => AluOp::SMod,
        "^=" => AluOp::Xor,
        "s>>=" => AluOp::Arsh,
        _ => return None,
    })
}

/// Reads what stands behind `REG =`; `mark` is before the register.
fn value(cur: &mut Cursor<'_>, mark: usize, width: Width, dst: Reg) -> Read<Statement> {
    if cur.at_signed() {
        return number(cur, width, dst);
    }
    match cur.peek() {
        Some(Tok::Op("-")) => {
            cur.next();
            let src = reg_of(cur, width)?;
            if src != dst {
                return Err(cur.since(mark).error("negation works in place: `r1 = -r1`"));
            }
            Ok(Insn::Neg { width, dst }.into())
        }
        Some(Tok::Op("(")) => sign_extension(cur, width, dst),
        Some(Tok::Op("*")) => Ok(parse_memory::load(cur, mark, width, dst)?.into()),
        Some(Tok::Word(word)) if register(word).is_some() => {
            let src = Operand::Reg(reg_of(cur, width)?);
            Ok(Insn::Alu {
                op: AluOp::Mov,
                width,
                dst,
                src,
            }
            .into())
        }
        Some(Tok::Word(word)) => {
            if let Some((op, bits)) = endian(word) {
                return byte_order(cur, mark, width, dst, op, bits);
            }
            if let Some(insn) = parse_memory::atomic_value(cur, mark, width, dst)? {
                return Ok(insn.into());
            }
            let called = matches!(cur.peek_at(1), Some(Tok::Op("(")));
            if *word == "addr_space_cast" && called {
                return addr_space_cast(cur, dst);
            }
            wide_symbol(cur, mark, width, dst)
        }
        Some(Tok::Text(_)) => wide_symbol(cur, mark, width, dst),
        _ => Err(cur.expected("a value")),
    }
}

fn number(cur: &mut Cursor<'_>, width: Width, dst: Reg) -> Read<Statement> {
    let mark = cur.mark();
    let mut ahead = cur.clone();
    let value = ahead.signed("a number")?;
    // The kernel's log does not mark 64-bit immediates; their opcode does.
    if !ahead.take_word("ll") && cur.logged() != Some(opcode::LD_IMM64) {
        let src = Operand::Imm(imm32(cur, width == Width::W32).map_err(|mut error| {
            if width == Width::W64 {
                error
                    .message
                    .push_str("; a 64-bit immediate is written with ` ll` behind it");
            }
            error
        })?);
        return Ok(Insn::Alu {
            op: AluOp::Mov,
            width,
            dst,
            src,
        }
        .into());
    }
    *cur = ahead;
    let bits = u64::try_from(value)
        .ok()
        .or_else(|| i64::try_from(value).ok().map(|v| v as u64))
        .ok_or_else(|| {
            cur.since(mark)
                .error(format!("{value} does not fit 64 bits"))
        })?;
    if width == Width::W32 {
        return Err(cur
            .since(mark)
            .error("a 64-bit immediate needs a 64-bit register"));
    }
    Ok(Insn::LoadImm64 {
        dst,
        imm: Imm64::Value(bits),
    }
    .into())
}

fn sign_extension(cur: &mut Cursor<'_>, width: Width, dst: Reg) -> Read<Statement> {
    cur.expect_op("(")?;
    let mark = cur.mark();
    let bits = match cur.word("s8, s16 or s32")? {
        "s8" => 8,
        "s16" => 16,
        "s32" if width == Width::W64 => 32,
        _ => {
            return Err(cur
                .since(mark)
                .error("expected s8, s16, or s32 to a 64-bit register"));
        }
    };
    cur.expect_op(")")?;
    let src = reg_of(cur, width)?;
    Ok(Insn::MovSx {
        width,
        bits,
        dst,
        src,
    }
    .into())
}

fn endian(word: &str) -> Option<(EndianOp, u8)> {
    Some(match word {
        "le16" => (EndianOp::ToLe, 16),
        "le32" => (EndianOp::ToLe, 32),
        "le64" => (EndianOp::ToLe, 64),
        "be16" => (EndianOp::ToBe, 16),
        "be32" => (EndianOp::ToBe, 32),
        "be64" => (EndianOp::ToBe, 64),
        "bswap16" => (EndianOp::Swap, 16),
        "bswap32" => (EndianOp::Swap, 32),
        "bswap64" => (EndianOp::Swap, 64),
        _ => return None,
    })
}

fn byte_order(
    cur: &mut Cursor<'_>,
    mark: usize,
    width: Width,
    dst: Reg,
    op: EndianOp,
    bits: u8,
) -> Read<Statement> {
    cur.next();
    let src = wide_reg(cur)?;
    if src != dst || width != Width::W64 {
        return Err(cur
            .since(mark)
            .error("byte order changes in place: `r1 = be16 r1`"));
    }
    Ok(Insn::Endian { op, bits, dst }.into())
}

fn addr_space_cast(cur: &mut Cursor<'_>, dst: Reg) -> Read<Statement> {
    cur.next();
    cur.expect_op("(")?;
    let src = wide_reg(cur)?;
    cur.expect_op(",")?;
    let dst_as = cur.number("the address space", u16::MAX.into())? as u16;
    cur.expect_op(",")?;
    let src_as = cur.number("the address space", u16::MAX.into())? as u16;
    cur.expect_op(")")?;
    Ok(Insn::AddrSpaceCast {
        dst,
        src,
        dst_as,
        src_as,
    }
    .into())
}

/// Reads a named 64-bit immediate; the `ll` behind it may be missing.
fn wide_symbol(cur: &mut Cursor<'_>, mark: usize, width: Width, dst: Reg) -> Read<Statement> {
    let (imm, refers) = symbol(cur)?;
    let _ = cur.take_word("ll");
    if width == Width::W32 {
        return Err(cur
            .since(mark)
            .error("a 64-bit immediate needs a 64-bit register"));
    }
    Ok(Statement {
        insn: Insn::LoadImm64 { dst, imm },
        refers,
    })
}

type Symbol = (Imm64, Option<(Refers, crate::error::Span)>);

fn symbol(cur: &mut Cursor<'_>) -> Read<Symbol> {
    let bracket = matches!(cur.peek_at(1), Some(Tok::Op("[")));
    let named = matches!(cur.peek_at(1), Some(Tok::Word(w)) if *w != "ll")
        || matches!(cur.peek_at(1), Some(Tok::Text(_)));
    match cur.peek() {
        Some(Tok::Word("map")) if bracket => match index_or_name(cur)? {
            Ok(index) => Ok((Imm64::Map(index), None)),
            Err((name, span)) => Ok((Imm64::Map(0), Some((Refers::Map(name), span)))),
        },
        Some(Tok::Word("map_value")) if bracket => {
            let map = index_or_name(cur)?;
            let off = offset(cur)?;
            match map {
                Ok(map) => Ok((Imm64::MapValue { map, off }, None)),
                Err((name, span)) => {
                    let imm = Imm64::MapValue { map: 0, off };
                    Ok((imm, Some((Refers::MapValue(name), span))))
                }
            }
        }
        Some(Tok::Word("map_idx")) if bracket => Ok((Imm64::MapIdx(bracketed(cur)?.0), None)),
        Some(Tok::Word("map_idx_value")) if bracket => {
            let (idx, _) = bracketed(cur)?;
            Ok((
                Imm64::MapIdxValue {
                    idx,
                    off: offset(cur)?,
                },
                None,
            ))
        }
        Some(Tok::Word("btf_var")) if bracket => {
            let (id, fd) = bracketed(cur)?;
            Ok((Imm64::BtfVar { id, btf_fd: fd }, None))
        }
        Some(Tok::Word("func")) if named => {
            cur.next();
            named_symbol(cur, Imm64::Func(0), Refers::Func)
        }
        Some(Tok::Word("func")) if matches!(cur.peek_at(1), Some(Tok::Op("+" | "-"))) => {
            cur.next();
            Ok((Imm64::Func(cur.i32("the distance")?), None))
        }
        Some(Tok::Word("ksym")) if named => {
            cur.next();
            named_symbol(cur, Imm64::BtfVar { id: 0, btf_fd: 0 }, Refers::Ksym)
        }
        _ => named_symbol(cur, Imm64::Map(0), Refers::Symbol),
    }
}

fn named_symbol(
    cur: &mut Cursor<'_>,
    imm: Imm64,
    refers: impl FnOnce(String) -> Refers,
) -> Read<Symbol> {
    let mark = cur.mark();
    let name = cur.name("a name")?;
    Ok((imm, Some((refers(name), cur.since(mark)))))
}

/// Reads `WORD[#5]` or `WORD[name]`.
fn index_or_name(cur: &mut Cursor<'_>) -> Read<Result<i32, (String, crate::error::Span)>> {
    cur.next();
    cur.expect_op("[")?;
    let mark = cur.mark();
    let found = if cur.take_op("#") {
        Ok(cur.i32("the map's index")?)
    } else {
        let name = cur.name("a map's name")?;
        Err((name, cur.since(mark)))
    };
    cur.expect_op("]")?;
    Ok(found)
}

/// Reads `WORD[5]` or `WORD[5, 6]`.
fn bracketed(cur: &mut Cursor<'_>) -> Read<(i32, i32)> {
    cur.next();
    cur.expect_op("[")?;
    let first = cur.i32("a number")?;
    let second = if cur.take_op(",") {
        cur.i32("a number")?
    } else {
        0
    };
    cur.expect_op("]")?;
    Ok((first, second))
}

/// Reads the offset behind `map_value[name]`, if there is one.
fn offset(cur: &mut Cursor<'_>) -> Read<u32> {
    let mark = cur.mark();
    if !cur.at_signed() {
        return Ok(0);
    }
    let off = cur.signed("the offset")?;
    u32::try_from(off)
        .or_else(|_| i32::try_from(off).map(|off| off as u32))
        .map_err(|_| {
            cur.since(mark)
                .error(format!("the offset {off} does not fit 32 bits"))
        })
}
