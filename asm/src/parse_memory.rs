//! Loads, stores and atomics, in the kernel's spelling (`atomic64_xchg((u64 *)(r1 +0), r2)`) and in
//! clang's (`xchg_64(r1 + 0, r2)`).

use skep_isa::{AtomicOp, Insn, Operand, Reg, Size, Width};

use crate::cursor::{Cursor, Read};
use crate::lex::Tok;
use crate::parse::{imm32, operand, reg, reg_of, wide_reg};

/// A memory operand.
struct Place {
    size: Size,
    sign: bool,
    base: Reg,
    off: i16,
}

fn size(cur: &mut Cursor<'_>) -> Read<(Size, bool)> {
    let mark = cur.mark();
    let found = match cur.word("a size (u8 … u64, s8 … s32)")? {
        "u8" => (Size::B, false),
        "u16" => (Size::H, false),
        "u32" => (Size::W, false),
        "u64" => (Size::DW, false),
        "s8" => (Size::B, true),
        "s16" => (Size::H, true),
        "s32" => (Size::W, true),
        other => {
            let message = format!("`{other}` is no access size (u8 … u64, s8 … s32)");
            return Err(cur.since(mark).error(message));
        }
    };
    Ok(found)
}

/// Reads `(u32 *)`.
fn cast(cur: &mut Cursor<'_>) -> Read<(Size, bool)> {
    cur.expect_op("(")?;
    let found = size(cur)?;
    cur.expect_op("*")?;
    cur.expect_op(")")?;
    Ok(found)
}

/// Reads `r1`, `r1 + 4`, `r1 -4`, `r1 + -4`.
fn address(cur: &mut Cursor<'_>) -> Read<(Reg, i16)> {
    let base = wide_reg(cur)?;
    let off = match cur.peek() {
        Some(Tok::Op("+" | "-")) => cur.i16("the offset")?,
        _ => 0,
    };
    Ok((base, off))
}

/// Reads `(u32 *)(r1 + 4)`.
fn place(cur: &mut Cursor<'_>) -> Read<Place> {
    let (size, sign) = cast(cur)?;
    cur.expect_op("(")?;
    let (base, off) = address(cur)?;
    cur.expect_op(")")?;
    Ok(Place {
        size,
        sign,
        base,
        off,
    })
}

/// Sign-extending sizes exist for loads only.
fn unsigned(cur: &Cursor<'_>, mark: usize, place: &Place) -> Read<()> {
    if place.sign {
        Err(cur.since(mark).error("only loads extend the sign"))
    } else {
        Ok(())
    }
}

/// Reads a register that holds a value of that size: `w` names suit up to 32 bits.
fn value_reg(cur: &mut Cursor<'_>, size: Size) -> Read<Reg> {
    let (_, reg) = if size == Size::DW {
        (Width::W64, wide_reg(cur)?)
    } else {
        reg(cur)?
    };
    Ok(reg)
}

/// Reads the right side of `REG = *(…`; `mark` is before the register.
pub(crate) fn load(cur: &mut Cursor<'_>, mark: usize, width: Width, dst: Reg) -> Read<Insn> {
    cur.expect_op("*")?;
    if let Some(Tok::Word("skb")) = cur.peek_at(4) {
        return packet(cur, mark, width, dst);
    }
    let Place {
        size,
        sign,
        base,
        off,
    } = place(cur)?;
    if width == Width::W32 && (sign || size == Size::DW) {
        return Err(cur
            .since(mark)
            .error("this load fills 64 bits: use the `r` register"));
    }
    Ok(Insn::Load {
        size,
        sign,
        dst,
        base,
        off,
    })
}

/// Reads `(u8 *)skb[14]` or `(u8 *)skb[r1 + 14]`.
fn packet(cur: &mut Cursor<'_>, mark: usize, width: Width, dst: Reg) -> Read<Insn> {
    let (size, sign) = cast(cur)?;
    cur.next();
    cur.expect_op("[")?;
    let index = if cur.at_signed() {
        None
    } else {
        Some(wide_reg(cur)?)
    };
    let off = if cur.at_op("]") { 0 } else { imm32(cur, true)? };
    cur.expect_op("]")?;
    if (width, dst) != (Width::W64, Reg::R0) {
        return Err(cur.since(mark).error("packet loads go to r0"));
    }
    if sign || size == Size::DW {
        return Err(cur.since(mark).error("packet loads are u8, u16 or u32"));
    }
    Ok(Insn::LoadPacket { size, index, off })
}

/// Reads `*(u32 *)(r1 + 4) = …`, and the atomics without result: `*(u32 *)(r1 + 4) += r2`.
pub(crate) fn store(cur: &mut Cursor<'_>) -> Read<Insn> {
    let mark = cur.mark();
    cur.expect_op("*")?;
    let at = place(cur)?;
    unsigned(cur, mark, &at)?;
    let Place {
        size, base, off, ..
    } = at;
    let op = match cur.peek() {
        Some(Tok::Op("=")) => {
            cur.next();
            let src = if cur.at_signed() {
                Operand::Imm(imm32(cur, size != Size::DW)?)
            } else if matches!(cur.peek(), Some(Tok::Word(_))) {
                Operand::Reg(value_reg(cur, size)?)
            } else {
                operand(cur, Width::W64)?
            };
            return Ok(Insn::Store {
                size,
                base,
                off,
                src,
            });
        }
        Some(Tok::Op("+=")) => AtomicOp::Add,
        Some(Tok::Op("|=")) => AtomicOp::Or,
        Some(Tok::Op("&=")) => AtomicOp::And,
        Some(Tok::Op("^=")) => AtomicOp::Xor,
        _ => return Err(cur.expected("`=`, or an atomic `+=`, `|=`, `&=` or `^=`")),
    };
    cur.next();
    atomic_size(cur, mark, size)?;
    let src = value_reg(cur, size)?;
    Ok(Insn::Atomic {
        op,
        fetch: false,
        size,
        base,
        off,
        src,
    })
}

fn atomic_size(cur: &Cursor<'_>, mark: usize, size: Size) -> Read<()> {
    if matches!(size, Size::W | Size::DW) {
        return Ok(());
    }
    Err(cur.since(mark).error("atomics are u32 or u64"))
}

/// Reads `store_release((u64 *)(r1 + 0), r2)`.
pub(crate) fn store_release(cur: &mut Cursor<'_>) -> Read<Insn> {
    let mark = cur.mark();
    cur.next();
    cur.expect_op("(")?;
    let at = place(cur)?;
    unsigned(cur, mark, &at)?;
    cur.expect_op(",")?;
    let src = value_reg(cur, at.size)?;
    cur.expect_op(")")?;
    Ok(Insn::StoreRelease {
        size: at.size,
        base: at.base,
        off: at.off,
        src,
    })
}

/// Which atomic a word names, and the size that the word tells.
fn atomic_name(word: &str) -> Option<(Option<AtomicOp>, Option<Size>)> {
    use AtomicOp::{Add, And, Cmpxchg, Or, Xchg, Xor};
    Some(match word {
        "load_acquire" => (None, None),
        "xchg_64" => (Some(Xchg), Some(Size::DW)),
        "xchg32_32" => (Some(Xchg), Some(Size::W)),
        "cmpxchg_64" => (Some(Cmpxchg), Some(Size::DW)),
        "cmpxchg32_32" => (Some(Cmpxchg), Some(Size::W)),
        _ => {
            let op = word
                .strip_prefix("atomic64_")
                .or_else(|| word.strip_prefix("atomic_"))?;
            let op = match op {
                "fetch_add" => Add,
                "fetch_or" => Or,
                "fetch_and" => And,
                "fetch_xor" => Xor,
                "xchg" => Xchg,
                "cmpxchg" => Cmpxchg,
                _ => return None,
            };
            (Some(op), None)
        }
    })
}

/// Reads an atomic with a result, if the next word is one; `mark` is before the result's register.
pub(crate) fn atomic_value(
    cur: &mut Cursor<'_>,
    mark: usize,
    width: Width,
    dst: Reg,
) -> Read<Option<Insn>> {
    let (Some(Tok::Word(word)), Some(Tok::Op("("))) = (cur.peek(), cur.peek_at(1)) else {
        return Ok(None);
    };
    let Some((op, told_size)) = atomic_name(word) else {
        return Ok(None);
    };
    cur.next();
    cur.expect_op("(")?;
    let at = match told_size {
        Some(size) => {
            let (base, off) = address(cur)?;
            Place {
                size,
                sign: false,
                base,
                off,
            }
        }
        None => place(cur)?,
    };
    unsigned(cur, mark, &at)?;
    let Place {
        size, base, off, ..
    } = at;
    if size == Size::DW && width == Width::W32 {
        return Err(cur.since(mark).error("a u64 does not fit a `w` register"));
    }
    let Some(op) = op else {
        cur.expect_op(")")?;
        return Ok(Some(Insn::LoadAcquire {
            size,
            dst,
            base,
            off,
        }));
    };
    atomic_size(cur, mark, size)?;
    if word.starts_with("atomic64_") && size != Size::DW {
        return Err(cur.since(mark).error("`atomic64_` needs `u64 *`"));
    }
    cur.expect_op(",")?;
    if op == AtomicOp::Cmpxchg {
        let old = reg_of(cur, width)?;
        cur.expect_op(",")?;
        if (old, dst) != (Reg::R0, Reg::R0) {
            return Err(cur
                .since(mark)
                .error("cmpxchg compares with r0 and returns to r0"));
        }
    }
    let value_mark = cur.mark();
    let src = reg_of(cur, width)?;
    cur.expect_op(")")?;
    if op != AtomicOp::Cmpxchg && src != dst {
        let message = "the old value goes to the register that held the operand";
        return Err(cur.since(value_mark).error(message));
    }
    Ok(Some(Insn::Atomic {
        op,
        fetch: true,
        size,
        base,
        off,
        src,
    }))
}
