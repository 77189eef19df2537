//! One instruction's text to an instruction, with what it refers to by name left open.
//!
//! Both printed styles are read, the kernel's and clang's, in any spacing; README.md lists the forms.
//! This file has jumps, calls and the choice between forms; `parse_alu` and `parse_memory` the rest,
//! `mnemonic` the dialect of mnemonics.

use skep_isa::{CallTarget, Imm64, Insn, JmpOp, Operand, Reg, Width};

use crate::cursor::{Cursor, Read};
use crate::error::Span;
use crate::lex::Tok;
use crate::{mnemonic, parse_alu, parse_memory};

/// What an instruction refers to by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Refers {
    /// A label that it jumps to.
    Jump(String),
    /// What it calls: a label, a function of the file or a helper; with the number behind `#`.
    Call(String, Option<i32>),
    /// A kernel function that it calls.
    Kfunc(String),
    /// A label or function of which it takes the address.
    Func(String),
    /// A map.
    Map(String),
    /// A map in whose value it takes an address.
    MapValue(String),
    /// A kernel variable.
    Ksym(String),
    /// A map or a function, whichever has that name.
    Symbol(String),
}

/// An instruction whose open field is still zero.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Statement {
    /// The instruction.
    pub(crate) insn: Insn,
    /// What goes into its open field.
    pub(crate) refers: Option<(Refers, Span)>,
}

impl From<Insn> for Statement {
    fn from(insn: Insn) -> Statement {
        Statement { insn, refers: None }
    }
}

/// Reads the instruction that the cursor stands before, to the end of its line.
pub(crate) fn statement(cur: &mut Cursor<'_>) -> Read<Statement> {
    let statement = match cur.peek() {
        Some(Tok::Op("*")) => parse_memory::store(cur)?.into(),
        Some(Tok::Word(word)) => match *word {
            "if" => conditional(cur)?,
            "goto" | "gotol" | "may_goto" => goto(cur)?,
            "call" => call(cur)?,
            "callx" => {
                cur.next();
                Insn::CallReg(wide_reg(cur)?).into()
            }
            "exit" => {
                cur.next();
                Insn::Exit.into()
            }
            "lock" => {
                cur.next();
                match mnemonic::locked(cur)? {
                    Some(insn) => insn.into(),
                    None => parse_memory::store(cur)?.into(),
                }
            }
            "store_release" => parse_memory::store_release(cur)?.into(),
            "ld_pseudo" => ld_pseudo(cur)?.into(),
            word if register(word).is_some() => parse_alu::assignment(cur)?,
            word => match mnemonic::statement(cur)? {
                Some(statement) => statement,
                None => return Err(cur.here().error(format!("unknown instruction `{word}`"))),
            },
        },
        _ => return Err(cur.expected("an instruction")),
    };
    cur.end()?;
    Ok(statement)
}

/// The register of that name, and the width under which it is named.
pub(crate) fn register(word: &str) -> Option<(Width, Reg)> {
    let (width, digits) = match word.as_bytes().first()? {
        b'r' => (Width::W64, word.get(1..)?),
        b'w' => (Width::W32, word.get(1..)?),
        _ => return None,
    };
    let plain = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    if !plain || leading_zero {
        return None;
    }
    Some((width, Reg::new(digits.parse().ok()?)?))
}

/// Reads a register under either name.
pub(crate) fn reg(cur: &mut Cursor<'_>) -> Read<(Width, Reg)> {
    match cur.peek() {
        Some(Tok::Word(word)) => match register(word) {
            Some(found) => {
                cur.next();
                Ok(found)
            }
            None => Err(cur.expected("a register (r0 to r10, w0 to w10)")),
        },
        _ => Err(cur.expected("a register (r0 to r10, w0 to w10)")),
    }
}

/// Reads a register that must be named `r`.
pub(crate) fn wide_reg(cur: &mut Cursor<'_>) -> Read<Reg> {
    let mark = cur.mark();
    match reg(cur)? {
        (Width::W64, reg) => Ok(reg),
        (Width::W32, reg) => {
            let number = reg.number();
            Err(cur
                .since(mark)
                .error(format!("expected a 64-bit register: `r{number}`")))
        }
    }
}

/// Reads a register that must be named for this width.
pub(crate) fn reg_of(cur: &mut Cursor<'_>, width: Width) -> Read<Reg> {
    let mark = cur.mark();
    let (found, reg) = reg(cur)?;
    if found == width {
        return Ok(reg);
    }
    let w = match width {
        Width::W32 => 'w',
        Width::W64 => 'r',
    };
    Err(cur
        .since(mark)
        .error(format!("the widths differ: expected `{w}{}`", reg.number())))
}

/// Reads the second operand of an operation of this width.
pub(crate) fn operand(cur: &mut Cursor<'_>, width: Width) -> Read<Operand> {
    if cur.at_signed() {
        return Ok(Operand::Imm(imm32(cur, width == Width::W32)?));
    }
    if let Some(Tok::Word(word)) = cur.peek()
        && register(word).is_some()
    {
        return Ok(Operand::Reg(reg_of(cur, width)?));
    }
    Err(cur.expected("a register or a number"))
}

/// Reads a 32-bit immediate. Where only its 32 bits matter (`pattern`), and in lines copied from a
/// log, 0xffffffff is -1; elsewhere it would silently become another number and is refused.
pub(crate) fn imm32(cur: &mut Cursor<'_>, pattern: bool) -> Read<i32> {
    let mark = cur.mark();
    let value = cur.signed("a number")?;
    if let Ok(imm) = i32::try_from(value) {
        return Ok(imm);
    }
    match u32::try_from(value) {
        Ok(bits) if pattern || cur.logged().is_some() => Ok(bits as i32),
        _ => Err(cur.since(mark).error(format!(
            "{value} does not fit a sign-extended 32-bit immediate"
        ))),
    }
}

/// Reads `pc+7`, `+7`, or a label, and what llvm-objdump prints behind: `<label+0x38>`.
fn target(cur: &mut Cursor<'_>) -> Read<Result<i32, (String, Span)>> {
    let mark = cur.mark();
    let found = if let Some(Tok::Word("pc")) = cur.peek() {
        cur.next();
        Ok(cur.i32("the distance")?)
    } else if cur.at_signed() {
        Ok(cur.i32("the distance")?)
    } else {
        let name = cur.name("a label or a distance")?;
        Err((name, cur.since(mark)))
    };
    if cur.take_op("<") {
        while !cur.at_op(">") && !cur.is_done() {
            cur.next();
        }
        cur.expect_op(">")?;
    }
    Ok(found)
}

/// A statement that jumps to `target`; `insn` makes the instruction for a distance in slots.
pub(crate) fn jump(
    cur: &mut Cursor<'_>,
    near: bool,
    insn: impl FnOnce(i32) -> Insn,
) -> Read<Statement> {
    let mark = cur.mark();
    match target(cur)? {
        Ok(off) if near && i16::try_from(off).is_err() => Err(cur
            .since(mark)
            .error(format!("the distance {off} does not fit 16 bits"))),
        Ok(off) => Ok(insn(off).into()),
        Err((name, span)) => Ok(Statement {
            insn: insn(0),
            refers: Some((Refers::Jump(name), span)),
        }),
    }
}

fn goto(cur: &mut Cursor<'_>) -> Read<Statement> {
    match cur.word("a jump")? {
        "goto" => jump(cur, true, |off| Insn::Goto { off, far: false }),
        "gotol" => jump(cur, false, |off| Insn::Goto { off, far: true }),
        _ => jump(cur, true, |off| Insn::MayGoto { off: off as i16 }),
    }
}

fn conditional(cur: &mut Cursor<'_>) -> Read<Statement> {
    cur.next();
    let (width, dst) = reg(cur)?;
    let op = match cur.peek() {
        Some(Tok::Op(op)) => jmp_op(op),
        _ => None,
    };
    let Some(op) = op else {
        return Err(cur.expected("a comparison (== != > >= < <= & s> s>= s< s<=)"));
    };
    cur.next();
    let src = operand(cur, width)?;
    if !cur.take_word("goto") {
        return Err(cur.expected("`goto`"));
    }
    jump(cur, true, |off| Insn::Jump {
        op,
        width,
        dst,
        src,
        off: off as i16,
    })
}

fn jmp_op(op: &str) -> Option<JmpOp> {
    Some(match op {
        "==" => JmpOp::Eq,
        "!=" => JmpOp::Ne,
        ">" => JmpOp::Gt,
        ">=" => JmpOp::Ge,
        "<" => JmpOp::Lt,
        "<=" => JmpOp::Le,
        "&" => JmpOp::Set,
        "s>" => JmpOp::SGt,
        "s>=" => JmpOp::SGe,
        "s<" => JmpOp::SLt,
        "s<=" => JmpOp::SLe,
        _ => return None,
    })
}

fn call(cur: &mut Cursor<'_>) -> Read<Statement> {
    cur.next();
    if cur.at_signed() {
        return Ok(Insn::Call(CallTarget::Helper(cur.i32("the helper's number")?)).into());
    }
    let pc = matches!(cur.peek(), Some(Tok::Word("pc")));
    if pc && matches!(cur.peek_at(1), Some(Tok::Op("+" | "-"))) {
        cur.next();
        return Ok(Insn::Call(CallTarget::Subprog(cur.i32("the distance")?)).into());
    }
    if let Some(kfunc) = kfunc_by_id(cur)? {
        return Ok(kfunc.into());
    }
    let is_kfunc = cur
        .peek_at(1)
        .is_some_and(|tok| matches!(tok, Tok::Word(_) | Tok::Text(_)))
        && cur.take_word("kfunc");
    let mark = cur.mark();
    let name = cur.name("what to call")?;
    let number = if cur.take_op("#") {
        Some(cur.i32("the number behind `#`")?)
    } else {
        None
    };
    let span = cur.since(mark);
    let kfunc = CallTarget::Kfunc {
        id: number.unwrap_or(0),
        btf_idx: 0,
    };
    if is_kfunc && number.is_some() {
        return Ok(Insn::Call(kfunc).into());
    }
    let (insn, refers) = if is_kfunc {
        (Insn::Call(kfunc), Refers::Kfunc(name))
    } else {
        (
            Insn::Call(CallTarget::Helper(0)),
            Refers::Call(name, number),
        )
    };
    Ok(Statement {
        insn,
        refers: Some((refers, span)),
    })
}

/// `btf:ID` or `btf:ID:FD_INDEX`, and the log's `kernel-function#ID`.
fn kfunc_by_id(cur: &mut Cursor<'_>) -> Read<Option<Insn>> {
    let kernel_function = matches!(
        (cur.peek(), cur.peek_at(1), cur.peek_at(2)),
        (
            Some(Tok::Word("kernel")),
            Some(Tok::Op("-")),
            Some(Tok::Word("function"))
        )
    );
    let mut btf_idx = 0;
    let id = if kernel_function {
        cur.skip(3);
        cur.expect_op("#")?;
        cur.i32("the function's BTF id")?
    } else if matches!(
        (cur.peek(), cur.peek_at(1)),
        (Some(Tok::Word("btf")), Some(Tok::Op(":")))
    ) {
        cur.skip(2);
        let id = cur.i32("the function's BTF id")?;
        if cur.take_op(":") {
            btf_idx = cur.i16("the index of the module's BTF")?;
        }
        id
    } else {
        return Ok(None);
    };
    Ok(Some(Insn::Call(CallTarget::Kfunc { id, btf_idx })))
}

/// `ld_pseudo r1, KIND, NUMBER`, as llvm-objdump prints what it cannot name.
fn ld_pseudo(cur: &mut Cursor<'_>) -> Read<Insn> {
    cur.next();
    let dst = wide_reg(cur)?;
    cur.expect_op(",")?;
    let kind = cur.number("the kind of a 64-bit immediate", 6)?;
    cur.expect_op(",")?;
    let low = cur.i32("the number")?;
    let imm = match kind {
        0 => Imm64::Value(low as u32 as u64),
        1 => Imm64::Map(low),
        2 => Imm64::MapValue { map: low, off: 0 },
        3 => Imm64::BtfVar { id: low, btf_fd: 0 },
        4 => Imm64::Func(low),
        5 => Imm64::MapIdx(low),
        _ => Imm64::MapIdxValue { idx: low, off: 0 },
    };
    Ok(Insn::LoadImm64 { dst, imm })
}
