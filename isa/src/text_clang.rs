//! The style of `llvm-objdump` 19 without options: every number hexadecimal with its sign.
//!
//! It follows that tool wherever the tool shows a slot completely. Where it drops a part of one (the
//! fetch of 32-bit atomics, the offset of an indexed packet load) or knows the instruction only under
//! an option, the text is what its own options print, or LLVM 20's for load-acquire and store-release.

use std::fmt;

use crate::raw::{RawInsn, class, mode, opcode};
use crate::text::imm64_value;
use crate::text_kernel::{ALU, JUMP};
use crate::{Size, decode};

/// One slot, to be printed in the style of `llvm-objdump`.
#[derive(Clone, Copy, Debug)]
pub struct ClangText {
    raw: RawInsn,
    next: Option<RawInsn>,
}

/// A number as C would write it: sign, `0x`, digits.
struct Hex(i64);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{:#x}", self.0.unsigned_abs())
    }
}

/// A distance: always with its sign.
struct Distance(i64);

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { '-' } else { '+' };
        write!(f, "{sign}{:#x}", self.0.unsigned_abs())
    }
}

/// Base register and offset of a memory operand, without its parentheses.
struct Address(u8, i16);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.1 < 0 { '-' } else { '+' };
        write!(f, "r{} {sign} {:#x}", self.0, self.1.unsigned_abs())
    }
}

impl ClangText {
    /// A slot with the one behind it, which only a 64-bit immediate load reads.
    pub fn new(raw: RawInsn, next: Option<RawInsn>) -> ClangText {
        ClangText { raw, next }
    }

    /// Whether the slot is an instruction at all; the printers below rely on it.
    fn is_insn(&self) -> bool {
        match self.next {
            Some(next) => decode(&[self.raw, next], 0).is_ok(),
            None => decode(&[self.raw], 0).is_ok(),
        }
    }

    fn alu(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RawInsn { code, off, imm, .. } = self.raw;
        let (dst, src) = (self.raw.dst(), self.raw.src());
        let narrow = self.raw.class() == class::ALU;
        let w = if narrow { 'w' } else { 'r' };
        match (code & 0xf0, off) {
            (opcode::END, _) => {
                let name = match (narrow, code & opcode::SRC_REG != 0) {
                    (false, _) => "bswap",
                    (true, false) => "le",
                    (true, true) => "be",
                };
                write!(f, "r{dst} = {name}{imm} r{dst}")
            }
            (opcode::NEG, _) => write!(f, "{w}{dst} = -{w}{dst}"),
            (opcode::MOV, 1) => {
                let (to, from) = (imm as u32 >> 16, imm as u16);
                write!(f, "r{dst} = addr_space_cast(r{src}, {to:#x}, {from:#x})")
            }
            (opcode::MOV, 8 | 16 | 32) => write!(f, "{w}{dst} = (s{off}){w}{src}"),
            (op, _) => {
                let sign = if off == 1 { "s" } else { "" };
                write!(f, "{w}{dst} {sign}{} ", ALU[usize::from(op >> 4)])?;
                self.operand(w, f)
            }
        }
    }

    fn operand(&self, w: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.raw.code & opcode::SRC_REG != 0 {
            write!(f, "{w}{}", self.raw.src())
        } else {
            write!(f, "{}", Hex(self.raw.imm.into()))
        }
    }

    fn memory(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RawInsn { code, off, imm, .. } = self.raw;
        let (dst, src) = (self.raw.dst(), self.raw.src());
        let size = Size::from_code(code);
        let (ty, bits) = (size.c_name(), size.bits());
        match (self.raw.class(), code & 0xe0) {
            (class::LDX, mode::MEMSX) => write!(f, "r{dst} = *(s{bits} *)({})", Address(src, off)),
            (class::LDX, _) => write!(f, "r{dst} = *({ty} *)({})", Address(src, off)),
            (class::ST, _) => {
                write!(f, "*({ty} *)({}) = {}", Address(dst, off), Hex(imm.into()))
            }
            (_, mode::ATOMIC) => self.atomic(size, f),
            _ => write!(f, "*({ty} *)({}) = r{src}", Address(dst, off)),
        }
    }

    fn atomic(&self, size: Size, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RawInsn { off, imm, .. } = self.raw;
        let (dst, src) = (self.raw.dst(), self.raw.src());
        let (ty, at) = (size.c_name(), Address(dst, off));
        let (w, suffix) = if size == Size::DW {
            ('r', "_64")
        } else {
            ('w', "32_32")
        };
        let name = match imm {
            0x01 => "add",
            0x41 => "or",
            0x51 => "and",
            0xa1 => "xor",
            // Of the 32-bit ones without fetch, the tool knows the addition by its older name.
            0x00 => return write!(f, "lock *({ty} *)({at}) += r{src}"),
            0xe1 => return write!(f, "{w}{src} = xchg{suffix}({at}, {w}{src})"),
            0xf1 => return write!(f, "{w}0 = cmpxchg{suffix}({at}, {w}0, {w}{src})"),
            0x100 => {
                return write!(
                    f,
                    "{w}{dst} = load_acquire(({ty} *)({}))",
                    Address(src, off)
                );
            }
            0x110 => return write!(f, "store_release(({ty} *)({at}), {w}{src})"),
            _ => {
                let op = ALU[(imm as usize >> 4) & 0xf];
                return write!(f, "lock *({ty} *)({at}) {op} {w}{src}");
            }
        };
        write!(
            f,
            "{w}{src} = atomic_fetch_{name}(({ty} *)({at}), {w}{src})"
        )
    }

    fn load(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RawInsn { code, imm, .. } = self.raw;
        let ty = Size::from_code(code).c_name();
        let (dst, src, number) = (self.raw.dst(), self.raw.src(), Hex(imm.into()));
        match code & 0xe0 {
            mode::ABS => write!(f, "r0 = *({ty} *)skb[{number}]"),
            mode::IND if imm == 0 => write!(f, "r0 = *({ty} *)skb[r{src}]"),
            mode::IND => write!(f, "r0 = *({ty} *)skb[r{src} + {number}]"),
            _ if src == 0 => {
                let value = Hex(imm64_value(self.raw, self.next) as i64);
                write!(f, "r{dst} = {value} ll")
            }
            _ => write!(f, "ld_pseudo\tr{dst}, {src:#x}, {number}"),
        }
    }

    fn jump(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RawInsn { code, off, imm, .. } = self.raw;
        let dst = self.raw.dst();
        let near = Distance(off.into());
        match code {
            opcode::JA => write!(f, "goto {near}"),
            opcode::JA32 => write!(f, "gotol {}", Distance(imm.into())),
            opcode::JCOND => write!(f, "may_goto {near}"),
            opcode::CALL => write!(f, "call {}", Hex(imm.into())),
            opcode::CALLX => write!(f, "callx r{dst}"),
            opcode::EXIT => f.write_str("exit"),
            _ => {
                let w = if self.raw.class() == class::JMP32 {
                    'w'
                } else {
                    'r'
                };
                write!(f, "if {w}{dst} {} ", JUMP[usize::from(code >> 4)])?;
                self.operand(w, f)?;
                write!(f, " goto {near}")
            }
        }
    }
}

impl fmt::Display for ClangText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_insn() {
            return f.write_str("<unknown>");
        }
        match self.raw.class() {
            class::ALU | class::ALU64 => self.alu(f),
            class::JMP | class::JMP32 => self.jump(f),
            class::LD => self.load(f),
            _ => self.memory(f),
        }
    }
}
