//! Instructions whose reserved fields are set, or that do not exist: which error comes first.
//!
//! The kernel finds these faults when a path reaches the instruction, between its other checks, so
//! the order is that of the checks and depends on the class.

use skep_isa::{FormError, RawInsn, Reg, class, mode, opcode};

use crate::env::Env;
use crate::violation::{Check, ReservedIn, Stop, WalkViolation};

impl Env<'_> {
    /// The error of an instruction that does not decode.
    pub(super) fn malformed(&mut self, raw: RawInsn, error: FormError) -> Stop {
        match self.check_malformed(raw, error) {
            Ok(()) => WalkViolation::UnknownClass { class: raw.class() }.into(),
            Err(stop) => stop,
        }
    }

    fn check_malformed(&mut self, raw: RawInsn, error: FormError) -> Check<()> {
        let reserved = |kind| Err(WalkViolation::ReservedField { kind }.into());
        match raw.class() {
            class::ALU | class::ALU64 => self.malformed_alu(raw),
            class::LDX if matches!(error, FormError::BadRegister(_)) => {
                self.check_raw_readable(raw.src())?;
                self.check_raw_writable(raw.dst())
            }
            class::LDX => reserved(ReservedIn::Ldx),
            class::ST => {
                if raw.code & 0xe0 != mode::MEM || raw.src() != 0 {
                    return reserved(ReservedIn::St);
                }
                self.check_raw_readable(raw.dst())
            }
            class::STX if raw.code & 0xe0 == mode::ATOMIC => {
                if let FormError::BadRegister(_) = error {
                    self.check_raw_readable(raw.src())?;
                    self.check_raw_readable(raw.dst())?;
                }
                Err(WalkViolation::UnknownAtomic {
                    code: raw.code,
                    imm: raw.imm,
                }
                .into())
            }
            class::STX => {
                if raw.code & 0xe0 != mode::MEM || raw.imm != 0 {
                    return reserved(ReservedIn::Stx);
                }
                self.check_raw_readable(raw.src())?;
                self.check_raw_readable(raw.dst())
            }
            class::JMP | class::JMP32 => self.malformed_jump(raw),
            _ => self.malformed_ld(raw),
        }
    }

    fn malformed_alu(&mut self, raw: RawInsn) -> Check<()> {
        let reserved = |kind| Err(WalkViolation::ReservedField { kind }.into());
        let is_reg = raw.code & opcode::SRC_REG != 0;
        match raw.code & 0xf0 {
            opcode::NEG => {
                if is_reg || raw.src() != 0 || raw.off != 0 || raw.imm != 0 {
                    return reserved(ReservedIn::Neg);
                }
                self.check_raw_readable(raw.dst())
            }
            opcode::END => {
                let swaps = raw.class() == class::ALU64;
                let bits = matches!(raw.imm, 16 | 32 | 64);
                if raw.src() != 0 || raw.off != 0 || !bits || (swaps && is_reg) {
                    return reserved(ReservedIn::End);
                }
                self.check_raw_readable(raw.dst())
            }
            opcode::MOV if is_reg => {
                let wide = raw.class() == class::ALU64;
                if wide && raw.off == 1 {
                    if raw.imm != 1 && raw.imm != 1 << 16 {
                        return Err(WalkViolation::AddressSpaces.into());
                    }
                    if !self.ctx.has_arena() {
                        return Err(WalkViolation::NoArena.into());
                    }
                } else if !(matches!(raw.off, 0 | 8 | 16) || (wide && raw.off == 32))
                    || raw.imm != 0
                {
                    return reserved(ReservedIn::Mov);
                }
                self.check_raw_readable(raw.src())?;
                self.check_raw_writable(raw.dst())
            }
            opcode::MOV => {
                if raw.src() != 0 || raw.off != 0 {
                    return reserved(ReservedIn::Mov);
                }
                self.check_raw_writable(raw.dst())
            }
            op if op > opcode::END => Err(WalkViolation::UnknownAlu { op }.into()),
            op => {
                let signed = raw.off == 1 && matches!(op, opcode::DIV | opcode::MOD);
                if !(raw.off == 0 || signed) {
                    return reserved(ReservedIn::Alu);
                }
                if is_reg {
                    if raw.imm != 0 {
                        return reserved(ReservedIn::Alu);
                    }
                    self.check_raw_readable(raw.src())?;
                } else if raw.src() != 0 {
                    return reserved(ReservedIn::Alu);
                }
                self.check_raw_readable(raw.dst())
            }
        }
    }

    fn malformed_jump(&mut self, raw: RawInsn) -> Check<()> {
        let reserved = |kind| Err(WalkViolation::ReservedField { kind }.into());
        match raw.code & 0xf0 {
            0x80 => reserved(ReservedIn::Call),
            0x00 => reserved(ReservedIn::Ja),
            0x90 => reserved(ReservedIn::Exit),
            0xe0 => Err(WalkViolation::MayGotoImmediate { imm: raw.imm }.into()),
            op if op > 0xe0 => Err(WalkViolation::UnknownJump { op }.into()),
            _ => {
                self.check_raw_readable(raw.dst())?;
                if raw.code & opcode::SRC_REG == 0 {
                    return reserved(ReservedIn::Jmp);
                }
                if raw.imm != 0 {
                    return reserved(ReservedIn::Jmp);
                }
                self.check_raw_readable(raw.src())
            }
        }
    }

    fn malformed_ld(&mut self, raw: RawInsn) -> Check<()> {
        match raw.code & 0xe0 {
            mode::ABS | mode::IND => {
                self.check_load_packet_allowed()?;
                Err(WalkViolation::ReservedField {
                    kind: ReservedIn::LdAbs,
                }
                .into())
            }
            mode::IMM => {
                if raw.code != opcode::LD_IMM64 {
                    return Err(WalkViolation::InvalidLdImm.into());
                }
                if raw.off != 0 {
                    return Err(WalkViolation::ReservedField {
                        kind: ReservedIn::LdImm64,
                    }
                    .into());
                }
                self.check_raw_writable(raw.dst())
            }
            _ => Err(WalkViolation::UnknownLoadMode.into()),
        }
    }

    fn check_raw_readable(&mut self, number: u8) -> Check<()> {
        match Reg::new(number) {
            Some(reg) => self.check_reg_readable(reg),
            None => Err(WalkViolation::NoSuchRegister { reg: number }.into()),
        }
    }

    fn check_raw_writable(&mut self, number: u8) -> Check<()> {
        match Reg::new(number) {
            Some(reg) => self.check_reg_writable(reg),
            None => Err(WalkViolation::NoSuchRegister { reg: number }.into()),
        }
    }
}
