//! The kernel's style: what `kernel/bpf/disasm.c` of Linux 6.18 prints, byte for byte.
//!
//! Arithmetic and stores show decimal immediates, comparisons hexadecimal ones; offsets carry their
//! sign without a space. The printer looks at few fields and checks none, so text exists for slots
//! that the kernel itself would never accept; a name it lacks shows as `(null)`, as in C.

use std::fmt;

use crate::Size;
use crate::raw::{RawInsn, class, mode, opcode, pseudo};
use crate::text::{Names, imm64_value};

/// One slot, to be printed in the kernel's style.
#[derive(Clone, Copy)]
pub struct KernelText<'a> {
    raw: RawInsn,
    next: Option<RawInsn>,
    names: &'a dyn Names,
    opcode: bool,
}

impl fmt::Debug for KernelText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text of each ALU operation by the high four bits of the opcode.
pub(crate) const ALU: [&str; 16] = [
    "+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=", "neg", "%=", "^=", "=", "s>>=", "endian",
    NULL, NULL,
];

/// Text of each jump by the high four bits of the opcode.
pub(crate) const JUMP: [&str; 16] = [
    "jmp", "==", ">", ">=", "&", "!=", "s>", "s>=", "call", "exit", "<", "<=", "s<", "s<=", NULL,
    NULL,
];

const NULL: &str = "(null)";

/// The offset that marks the kernel's own per-CPU address move.
const ADDR_PERCPU: i16 = -1;

impl<'a> KernelText<'a> {
    /// A slot with the one behind it, which only a 64-bit immediate load reads.
    pub fn new(raw: RawInsn, next: Option<RawInsn>, names: &'a dyn Names) -> KernelText<'a> {
        KernelText {
            raw,
            next,
            names,
            opcode: true,
        }
    }

    /// The same without the opcode in parentheses at the front.
    pub fn without_opcode(self) -> KernelText<'a> {
        KernelText {
            opcode: false,
            ..self
        }
    }

    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.opcode {
            write!(f, "({:02x}) ", self.raw.code)
        } else {
            Ok(())
        }
    }

    fn bug(&self, f: &mut fmt::Formatter<'_>, kind: &str) -> fmt::Result {
        write!(f, "BUG_{kind}{:02x}", self.raw.code)
    }

    fn alu(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RawInsn { code, off, imm, .. } = self.raw;
        let (dst, src) = (self.raw.dst(), self.raw.src());
        let narrow = self.raw.class() == class::ALU;
        let w = if narrow { 'w' } else { 'r' };
        let op = code & 0xf0;
        self.head(f)?;
        if op == opcode::END {
            let swap = match (narrow, code & opcode::SRC_REG != 0) {
                (false, _) => "bswap",
                (true, false) => "le",
                (true, true) => "be",
            };
            return write!(f, "r{dst} = {swap}{imm} r{dst}");
        }
        if op == opcode::NEG {
            return write!(f, "{w}{dst} = -{w}{dst}");
        }
        let wide_mov = code == class::ALU64 | opcode::MOV | opcode::SRC_REG;
        if wide_mov && off == 1 {
            let (to, from) = (imm as u32 >> 16, imm as u16);
            return write!(f, "r{dst} = addr_space_cast(r{src}, {to}, {from})");
        }
        if wide_mov && off == ADDR_PERCPU {
            return write!(f, "r{dst} = &(void __percpu *)(r{src})");
        }
        let sign = matches!(op, opcode::DIV | opcode::MOD) && off == 1;
        let op_text = ALU[usize::from(op >> 4)];
        write!(f, "{w}{dst} {}{op_text} ", if sign { "s" } else { "" })?;
        if code & opcode::SRC_REG == 0 {
            return write!(f, "{imm}");
        }
        let cast = match off {
            8 if op == opcode::MOV => "(s8)",
            16 if op == opcode::MOV => "(s16)",
            32 if op == opcode::MOV => "(s32)",
            _ => "",
        };
        write!(f, "{cast}{w}{src}")
    }

    fn stx(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RawInsn { code, off, imm, .. } = self.raw;
        let (dst, src) = (self.raw.dst(), self.raw.src());
        let size = Size::from_code(code);
        let ty = size.c_name();
        match code & 0xe0 {
            mode::MEM => {
                self.head(f)?;
                return write!(f, "*({ty} *)(r{dst} {off:+}) = r{src}");
            }
            mode::ATOMIC => {}
            _ => return self.bug(f, ""),
        }
        let wide = if size == Size::DW { "64" } else { "" };
        let fetch = match imm {
            0x01 => "add",
            0x41 => "or",
            0x51 => "and",
            0xa1 => "xor",
            0x00 | 0x40 | 0x50 | 0xa0 => {
                self.head(f)?;
                let op = ALU[(imm >> 4) as usize];
                return write!(f, "lock *({ty} *)(r{dst} {off:+}) {op} r{src}");
            }
            0xe1 => {
                self.head(f)?;
                return write!(
                    f,
                    "r{src} = atomic{wide}_xchg(({ty} *)(r{dst} {off:+}), r{src})"
                );
            }
            0xf1 => {
                self.head(f)?;
                return write!(
                    f,
                    "r0 = atomic{wide}_cmpxchg(({ty} *)(r{dst} {off:+}), r0, r{src})"
                );
            }
            0x100 => {
                self.head(f)?;
                return write!(f, "r{dst} = load_acquire(({ty} *)(r{src} {off:+}))");
            }
            0x110 => {
                self.head(f)?;
                return write!(f, "store_release(({ty} *)(r{dst} {off:+}), r{src})");
            }
            _ => return self.bug(f, ""),
        };
        self.head(f)?;
        write!(
            f,
            "r{src} = atomic{wide}_fetch_{fetch}(({ty} *)(r{dst} {off:+}), r{src})"
        )
    }

    fn st(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RawInsn { code, off, imm, .. } = self.raw;
        match code & 0xe0 {
            mode::MEM => {
                self.head(f)?;
                let ty = Size::from_code(code).c_name();
                write!(f, "*({ty} *)(r{} {off:+}) = {imm}", self.raw.dst())
            }
            // The kernel's own speculation barrier has the mode of atomics.
            mode::ATOMIC => {
                self.head(f)?;
                f.write_str("nospec")
            }
            _ => self.bug(f, "st_"),
        }
    }

    fn ldx(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RawInsn { code, off, .. } = self.raw;
        let size = Size::from_code(code);
        let sign = match code & 0xe0 {
            mode::MEM => 'u',
            mode::MEMSX if size != Size::DW => 's',
            _ => return self.bug(f, "ldx_"),
        };
        self.head(f)?;
        let (dst, src, bits) = (self.raw.dst(), self.raw.src(), size.bits());
        write!(f, "r{dst} = *({sign}{bits} *)(r{src} {off:+})")
    }

    fn ld(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RawInsn { code, imm, .. } = self.raw;
        let ty = Size::from_code(code).c_name();
        match code & 0xe0 {
            mode::ABS => {
                self.head(f)?;
                write!(f, "r0 = *({ty} *)skb[{imm}]")
            }
            mode::IND => {
                self.head(f)?;
                write!(f, "r0 = *({ty} *)skb[r{} + {imm}]", self.raw.src())
            }
            mode::IMM if code == opcode::LD_IMM64 => {
                self.head(f)?;
                let value = imm64_value(self.raw, self.next);
                match self.names.imm64(self.raw, value) {
                    Some(text) => write!(f, "r{} = {text}", self.raw.dst()),
                    None => write!(f, "r{} = {value:#x}", self.raw.dst()),
                }
            }
            _ => self.bug(f, "ld_"),
        }
    }

    fn jump(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RawInsn { code, off, imm, .. } = self.raw;
        let (dst, src) = (self.raw.dst(), self.raw.src());
        self.head(f)?;
        if code & 0xf0 == opcode::CALL & 0xf0 {
            return self.call(f);
        }
        match code {
            opcode::JA => return write!(f, "goto pc{off:+}"),
            opcode::JA32 => return write!(f, "gotol pc{imm:+}"),
            opcode::JCOND if src == 0 => return write!(f, "may_goto pc{off:+}"),
            opcode::EXIT => return f.write_str("exit"),
            _ => {}
        }
        let w = if self.raw.class() == class::JMP32 {
            'w'
        } else {
            'r'
        };
        let op = JUMP[usize::from(code >> 4)];
        if code & opcode::SRC_REG != 0 {
            write!(f, "if {w}{dst} {op} {w}{src} goto pc{off:+}")
        } else {
            write!(f, "if {w}{dst} {op} {imm:#x} goto pc{off:+}")
        }
    }

    fn call(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RawInsn { off, imm, .. } = self.raw;
        let name = match self.raw.src() {
            0 => self.names.helper(imm).unwrap_or("unknown"),
            pseudo::CALL => return write!(f, "call pc{imm:+}"),
            pseudo::KFUNC_CALL => self.names.kfunc(imm, off).unwrap_or("kernel-function"),
            _ => "unknown",
        };
        write!(f, "call {name}#{imm}")
    }
}

impl fmt::Display for KernelText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.raw.class() {
            class::ALU | class::ALU64 => self.alu(f),
            class::STX => self.stx(f),
            class::ST => self.st(f),
            class::LDX => self.ldx(f),
            class::LD => self.ld(f),
            _ => self.jump(f),
        }
    }
}
