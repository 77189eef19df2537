//! Instructions to slots: the inverse of [`decode`](crate::decode()).

use crate::insn::{CallTarget, Imm64, Insn, Operand};
use crate::raw::{RawInsn, class, mode, opcode, pseudo};
use crate::{AluOp, AtomicOp, EndianOp, JmpOp, Reg, Size, Width};

/// The slot of an instruction, and the second one for a 64-bit immediate load.
/// [`Insn::Imm64Hi`] alone encodes as an empty slot: its immediate belongs to the load before it.
pub fn encode(insn: &Insn) -> (RawInsn, Option<RawInsn>) {
    if let Insn::LoadImm64 { dst, imm } = *insn {
        let (src, lo, hi) = imm64_parts(imm);
        let first = RawInsn::new(opcode::LD_IMM64, dst.number(), src, 0, lo);
        return (first, Some(RawInsn::new(0, 0, 0, 0, hi)));
    }
    (encode_one(insn), None)
}

fn imm64_parts(imm: Imm64) -> (u8, i32, i32) {
    match imm {
        Imm64::Value(v) => (0, v as i32, (v >> 32) as i32),
        Imm64::Map(map) => (pseudo::MAP_FD, map, 0),
        Imm64::MapValue { map, off } => (pseudo::MAP_VALUE, map, off as i32),
        Imm64::BtfVar { id, btf_fd } => (pseudo::BTF_ID, id, btf_fd),
        Imm64::Func(off) => (pseudo::FUNC, off, 0),
        Imm64::MapIdx(idx) => (pseudo::MAP_IDX, idx, 0),
        Imm64::MapIdxValue { idx, off } => (pseudo::MAP_IDX_VALUE, idx, off as i32),
    }
}

fn encode_one(insn: &Insn) -> RawInsn {
    match *insn {
        Insn::Alu {
            op,
            width,
            dst,
            src,
        } => {
            let (bits, off) = alu_code(op);
            let (flag, src, imm) = operand_parts(src);
            RawInsn::new(alu_class(width) | bits | flag, dst.number(), src, off, imm)
        }
        Insn::MovSx {
            width,
            bits,
            dst,
            src,
        } => {
            let code = alu_class(width) | opcode::MOV | opcode::SRC_REG;
            RawInsn::new(code, dst.number(), src.number(), bits.into(), 0)
        }
        Insn::Neg { width, dst } => {
            RawInsn::new(alu_class(width) | opcode::NEG, dst.number(), 0, 0, 0)
        }
        Insn::Endian { op, bits, dst } => {
            let code = match op {
                EndianOp::ToLe => class::ALU | opcode::END,
                EndianOp::ToBe => class::ALU | opcode::END | opcode::SRC_REG,
                EndianOp::Swap => class::ALU64 | opcode::END,
            };
            RawInsn::new(code, dst.number(), 0, 0, bits.into())
        }
        Insn::AddrSpaceCast {
            dst,
            src,
            dst_as,
            src_as,
        } => {
            let code = class::ALU64 | opcode::MOV | opcode::SRC_REG;
            let imm = ((u32::from(dst_as) << 16) | u32::from(src_as)) as i32;
            RawInsn::new(code, dst.number(), src.number(), 1, imm)
        }
        Insn::LoadImm64 { dst, imm } => {
            let (src, lo, _) = imm64_parts(imm);
            RawInsn::new(opcode::LD_IMM64, dst.number(), src, 0, lo)
        }
        Insn::Imm64Hi => RawInsn::default(),
        Insn::Load { .. }
        | Insn::Store { .. }
        | Insn::Atomic { .. }
        | Insn::LoadAcquire { .. }
        | Insn::StoreRelease { .. }
        | Insn::LoadPacket { .. } => encode_memory(insn),
        Insn::Jump { .. }
        | Insn::Goto { .. }
        | Insn::MayGoto { .. }
        | Insn::Call(_)
        | Insn::CallReg(_)
        | Insn::Exit => encode_jump(insn),
    }
}

fn encode_memory(insn: &Insn) -> RawInsn {
    match *insn {
        Insn::Load {
            size,
            sign,
            dst,
            base,
            off,
        } => {
            let mode = if sign { mode::MEMSX } else { mode::MEM };
            RawInsn::new(
                class::LDX | mode | size.code(),
                dst.number(),
                base.number(),
                off,
                0,
            )
        }
        Insn::Store {
            size,
            base,
            off,
            src,
        } => encode_store(size, base, off, src),
        Insn::Atomic {
            op,
            fetch,
            size,
            base,
            off,
            src,
        } => {
            let code = class::STX | mode::ATOMIC | size.code();
            RawInsn::new(
                code,
                base.number(),
                src.number(),
                off,
                atomic_imm(op) | i32::from(fetch),
            )
        }
        Insn::LoadAcquire {
            size,
            dst,
            base,
            off,
        } => {
            let code = class::STX | mode::ATOMIC | size.code();
            RawInsn::new(code, dst.number(), base.number(), off, 0x100)
        }
        Insn::StoreRelease {
            size,
            base,
            off,
            src,
        } => {
            let code = class::STX | mode::ATOMIC | size.code();
            RawInsn::new(code, base.number(), src.number(), off, 0x110)
        }
        Insn::LoadPacket { size, index, off } => match index {
            None => RawInsn::new(class::LD | mode::ABS | size.code(), 0, 0, 0, off),
            Some(reg) => RawInsn::new(class::LD | mode::IND | size.code(), 0, reg.number(), 0, off),
        },
        Insn::Alu { .. }
        | Insn::MovSx { .. }
        | Insn::Neg { .. }
        | Insn::Endian { .. }
        | Insn::AddrSpaceCast { .. }
        | Insn::LoadImm64 { .. }
        | Insn::Imm64Hi
        | Insn::Jump { .. }
        | Insn::Goto { .. }
        | Insn::MayGoto { .. }
        | Insn::Call(_)
        | Insn::CallReg(_)
        | Insn::Exit => RawInsn::default(),
    }
}

fn encode_store(size: Size, base: Reg, off: i16, src: Operand) -> RawInsn {
    match src {
        Operand::Reg(src) => {
            let code = class::STX | mode::MEM | size.code();
            RawInsn::new(code, base.number(), src.number(), off, 0)
        }
        Operand::Imm(imm) => RawInsn::new(
            class::ST | mode::MEM | size.code(),
            base.number(),
            0,
            off,
            imm,
        ),
    }
}

fn atomic_imm(op: AtomicOp) -> i32 {
    match op {
        AtomicOp::Add => 0x00,
        AtomicOp::Or => 0x40,
        AtomicOp::And => 0x50,
        AtomicOp::Xor => 0xa0,
        AtomicOp::Xchg => 0xe0,
        AtomicOp::Cmpxchg => 0xf0,
    }
}

fn encode_jump(insn: &Insn) -> RawInsn {
    match *insn {
        Insn::Jump {
            op,
            width,
            dst,
            src,
            off,
        } => {
            let class = match width {
                Width::W64 => class::JMP,
                Width::W32 => class::JMP32,
            };
            let (flag, src, imm) = operand_parts(src);
            RawInsn::new(class | jmp_code(op) | flag, dst.number(), src, off, imm)
        }
        Insn::Goto { off, far: true } => RawInsn::new(opcode::JA32, 0, 0, 0, off),
        Insn::Goto { off, far: false } => RawInsn::new(opcode::JA, 0, 0, off as i16, 0),
        Insn::MayGoto { off } => RawInsn::new(opcode::JCOND, 0, 0, off, 0),
        Insn::Call(CallTarget::Helper(id)) => RawInsn::new(opcode::CALL, 0, 0, 0, id),
        Insn::Call(CallTarget::Subprog(off)) => RawInsn::new(opcode::CALL, 0, pseudo::CALL, 0, off),
        Insn::Call(CallTarget::Kfunc { id, btf_idx }) => {
            RawInsn::new(opcode::CALL, 0, pseudo::KFUNC_CALL, btf_idx, id)
        }
        Insn::CallReg(reg) => RawInsn::new(opcode::CALLX, reg.number(), 0, 0, 0),
        Insn::Exit => RawInsn::new(opcode::EXIT, 0, 0, 0, 0),
        Insn::Alu { .. }
        | Insn::MovSx { .. }
        | Insn::Neg { .. }
        | Insn::Endian { .. }
        | Insn::AddrSpaceCast { .. }
        | Insn::LoadImm64 { .. }
        | Insn::Imm64Hi
        | Insn::Load { .. }
        | Insn::Store { .. }
        | Insn::Atomic { .. }
        | Insn::LoadAcquire { .. }
        | Insn::StoreRelease { .. }
        | Insn::LoadPacket { .. } => RawInsn::default(),
    }
}

fn operand_parts(src: Operand) -> (u8, u8, i32) {
    match src {
        Operand::Reg(reg) => (opcode::SRC_REG, reg.number(), 0),
        Operand::Imm(imm) => (0, 0, imm),
    }
}

fn alu_class(width: Width) -> u8 {
    match width {
        Width::W32 => class::ALU,
        Width::W64 => class::ALU64,
    }
}

fn alu_code(op: AluOp) -> (u8, i16) {
    match op {
        AluOp::Add => (opcode::ADD, 0),
        AluOp::Sub => (opcode::SUB, 0),
        AluOp::Mul => (opcode::MUL, 0),
        AluOp::Div => (opcode::DIV, 0),
        AluOp::SDiv => (opcode::DIV, 1),
        AluOp::Or => (opcode::OR, 0),
        AluOp::And => (opcode::AND, 0),
        AluOp::Lsh => (opcode::LSH, 0),
        AluOp::Rsh => (opcode::RSH, 0),
        AluOp::Mod => (opcode::MOD, 0),
        AluOp::SMod => (opcode::MOD, 1),
        AluOp::Xor => (opcode::XOR, 0),
        AluOp::Mov => (opcode::MOV, 0),
        AluOp::Arsh => (opcode::ARSH, 0),
    }
}

fn jmp_code(op: JmpOp) -> u8 {
    match op {
        JmpOp::Eq => opcode::JEQ,
        JmpOp::Ne => opcode::JNE,
        JmpOp::Gt => opcode::JGT,
        JmpOp::Ge => opcode::JGE,
        JmpOp::Lt => opcode::JLT,
        JmpOp::Le => opcode::JLE,
        JmpOp::Set => opcode::JSET,
        JmpOp::SGt => opcode::JSGT,
        JmpOp::SGe => opcode::JSGE,
        JmpOp::SLt => opcode::JSLT,
        JmpOp::SLe => opcode::JSLE,
    }
}
