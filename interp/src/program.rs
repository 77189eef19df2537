//! A load request made ready to execute against one simulated kernel.

use skep_isa::{
    AluOp, AtomicOp, CallTarget, EndianOp, Imm64, Insn, InsnIdx, JmpOp, Operand, Reg, Size, Width,
};
use skep_sim::helpers::HelperFn;
use skep_sim::{Callee, Linker, LoadError, MapId, ProgramTypes, Sim, Trap};
use skep_spec::{AttachType, ProgType, ProgramSpec};

use crate::frames::mark_frameless;
use crate::fuse::fuse;
use crate::op::{Code, Op};

/// A program that can be executed.
#[derive(Debug)]
pub struct Program {
    pub(crate) name: String,
    pub(crate) ty: ProgType,
    pub(crate) attach: AttachType,
    /// An operation per slot, and one behind the last.
    pub(crate) ops: Vec<Op>,
    /// The same, with frequent pairs fused: what is executed when nobody looks on.
    pub(crate) fused: Vec<Op>,
    /// Whether the program's own function does without a frame: see [`crate::frames`].
    pub(crate) frameless: bool,
    /// Its arena, if it has one.
    pub(crate) arena: Option<MapId>,
    /// Functions that may be called back, in order.
    pub(crate) funcs: Vec<InsnIdx>,
    pub(crate) helpers: Vec<(&'static str, HelperFn)>,
    pub(crate) traps: Vec<Trap>,
    /// Its own types.
    pub(crate) types: ProgramTypes,
}

impl Program {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its type.
    pub fn ty(&self) -> ProgType {
        self.ty
    }

    /// Its expected attach type.
    pub fn attach(&self) -> AttachType {
        self.attach
    }

    /// Makes a request executable. Its maps are looked up in the kernel, and made where they are missing.
    pub(crate) fn new(sim: &mut Sim, spec: &ProgramSpec) -> Result<Program, LoadError> {
        let linker = Linker::new(sim, spec)?;
        let (funcs, arena) = (linker.funcs()?, linker.arena());
        let slots = linker.insns().len();
        let mut maker = Maker {
            linker,
            helpers: Vec::new(),
            traps: Vec::new(),
        };
        let mut ops = Vec::with_capacity(slots + 1);
        for idx in 0..slots {
            ops.push(maker.op(idx)?);
        }
        // What runs off the end finds no instruction.
        ops.push(Op::NONE);
        let frameless = mark_frameless(&mut ops, &funcs);
        Ok(Program {
            name: spec.name.clone(),
            ty: spec.ty,
            attach: spec.attach,
            fused: fuse(&ops),
            ops,
            frameless,
            arena,
            funcs,
            helpers: maker.helpers,
            traps: maker.traps,
            types: ProgramTypes::of(spec),
        })
    }

    /// Turns loads into loads that give 0 where nothing can be read: what the kernel's verifier makes
    /// of reads through pointers to kernel objects.
    pub(crate) fn set_probe_loads(&mut self, slots: &[InsnIdx]) {
        for &slot in slots {
            let Some(op) = self.ops.get_mut(slot) else {
                continue;
            };
            let sizes = [Code::LoadB, Code::LoadH, Code::LoadW, Code::LoadD];
            if let Some(log) = sizes.iter().position(|code| *code == op.code) {
                (op.code, op.imm) = (Code::Probe, 1 << log);
            }
        }
        self.fused = fuse(&self.ops);
    }
}

struct Maker<'a> {
    linker: Linker<'a>,
    helpers: Vec<(&'static str, HelperFn)>,
    traps: Vec<Trap>,
}

impl Maker<'_> {
    fn op(&mut self, idx: InsnIdx) -> Result<Op, LoadError> {
        let Some(insn) = self.linker.insns().get(idx).copied() else {
            return Ok(Op::NONE);
        };
        Ok(match insn {
            Insn::Alu {
                op,
                width,
                dst,
                src,
            } => with_operand(alu(op), width, dst, src, 0),
            Insn::MovSx {
                width,
                bits,
                dst,
                src,
            } => two(mov_sx(width, bits), dst, src),
            Insn::Neg { width, dst } => two(
                if width == Width::W64 {
                    Code::Neg64
                } else {
                    Code::Neg32
                },
                dst,
                dst,
            ),
            Insn::Endian { op, bits, dst } => two(endian(op, bits), dst, dst),
            Insn::AddrSpaceCast {
                dst, src, dst_as, ..
            } => self.cast(dst, src, dst_as),
            Insn::LoadImm64 { dst, imm } => self.wide(idx, dst, imm)?,
            Insn::Imm64Hi => Op::NONE,
            Insn::Load { .. }
            | Insn::Store { .. }
            | Insn::Atomic { .. }
            | Insn::LoadAcquire { .. }
            | Insn::StoreRelease { .. }
            | Insn::LoadPacket { .. } => memory(insn),
            Insn::Jump {
                op,
                width,
                dst,
                src,
                off,
            } => {
                let to = self.target(idx, off.into())?;
                with_operand(jump(op), width, dst, src, to)
            }
            Insn::Goto { off, .. } => at(Code::Goto, self.target(idx, off)?),
            Insn::MayGoto { off } => at(Code::MayGoto, self.target(idx, off.into())?),
            Insn::Call(target) => self.call(idx, target)?,
            Insn::CallReg(_) => self.trap(Trap::NotSimulated("a call through a register")),
            Insn::Exit => at(Code::Exit, 0),
        })
    }

    /// A cast between the windows of the program's only arena.
    fn cast(&mut self, dst: Reg, src: Reg, dst_as: u16) -> Op {
        match self.linker.arena() {
            Some(map) => Op {
                imm: map.0.into(),
                off: (dst_as != 0).into(),
                ..two(Code::Cast, dst, src)
            },
            None => self.trap(Trap::NotSimulated("an arena")),
        }
    }

    /// The slot that a jump lands on.
    fn target(&self, idx: InsnIdx, off: i32) -> Result<i32, LoadError> {
        let to = self.linker.target(idx, off)?;
        i32::try_from(to).map_err(|_| LoadError::Target(idx))
    }

    fn trap(&mut self, trap: Trap) -> Op {
        self.traps.push(trap);
        Op {
            imm: self.traps.len() as i64 - 1,
            ..at(Code::Trap, 0)
        }
    }

    fn wide(&mut self, idx: InsnIdx, dst: Reg, imm: Imm64) -> Result<Op, LoadError> {
        Ok(match self.linker.wide(idx, imm)? {
            Ok(value) => Op {
                dst,
                imm: value as i64,
                ..at(Code::Wide, 0)
            },
            Err(trap) => self.trap(trap),
        })
    }

    fn call(&mut self, idx: InsnIdx, target: CallTarget) -> Result<Op, LoadError> {
        Ok(match self.linker.callee(idx, target)? {
            Callee::Subprog(to) => {
                let to = i32::try_from(to).map_err(|_| LoadError::Target(idx))?;
                at(Code::Subprog, to)
            }
            Callee::Function(name, function) => self.function(name, function),
            Callee::TailCall => at(Code::TailCall, 0),
            Callee::Trap(trap) => self.trap(trap),
        })
    }

    fn function(&mut self, name: &'static str, function: HelperFn) -> Op {
        self.helpers.push((name, function));
        Op {
            imm: self.helpers.len() as i64 - 1,
            ..at(Code::Helper, 0)
        }
    }
}

const fn at(code: Code, off: i32) -> Op {
    Op {
        code,
        off,
        ..Op::NONE
    }
}

const fn two(code: Code, dst: Reg, src: Reg) -> Op {
    Op {
        code,
        dst,
        src,
        ..Op::NONE
    }
}

/// Codes of one operation: 64 bits with immediate and register, then 32 bits.
type Four = [Code; 4];

fn with_operand(codes: Four, width: Width, dst: Reg, src: Operand, off: i32) -> Op {
    let [i64, r64, i32, r32] = codes;
    let (code, src, imm) = match (width, src) {
        (Width::W64, Operand::Imm(imm)) => (i64, Reg::R0, imm),
        (Width::W64, Operand::Reg(src)) => (r64, src, 0),
        (Width::W32, Operand::Imm(imm)) => (i32, Reg::R0, imm),
        (Width::W32, Operand::Reg(src)) => (r32, src, 0),
    };
    Op {
        code,
        dst,
        src,
        off,
        imm: imm.into(),
    }
}

#[rustfmt::skip]
fn alu(op: AluOp) -> Four {
    use Code::*;
    match op {
        AluOp::Add  => [Add64I, Add64R, Add32I, Add32R],
        AluOp::Sub  => [Sub64I, Sub64R, Sub32I, Sub32R],
        AluOp::Mul  => [Mul64I, Mul64R, Mul32I, Mul32R],
        AluOp::Div  => [Div64I, Div64R, Div32I, Div32R],
        AluOp::SDiv => [SDiv64I, SDiv64R, SDiv32I, SDiv32R],
        AluOp::Or   => [Or64I, Or64R, Or32I, Or32R],
        AluOp::And  => [And64I, And64R, And32I, And32R],
        AluOp::Lsh  => [Lsh64I, Lsh64R, Lsh32I, Lsh32R],
        AluOp::Rsh  => [Rsh64I, Rsh64R, Rsh32I, Rsh32R],
        AluOp::Mod  => [Mod64I, Mod64R, Mod32I, Mod32R],
        AluOp::SMod => [SMod64I, SMod64R, SMod32I, SMod32R],
        AluOp::Xor  => [Xor64I, Xor64R, Xor32I, Xor32R],
        AluOp::Mov  => [Mov64I, Mov64R, Mov32I, Mov32R],
        AluOp::Arsh => [Arsh64I, Arsh64R, Arsh32I, Arsh32R],
    }
}

#[rustfmt::skip]
fn jump(op: JmpOp) -> Four {
    use Code::*;
    match op {
        JmpOp::Eq  => [Eq64I, Eq64R, Eq32I, Eq32R],
        JmpOp::Ne  => [Ne64I, Ne64R, Ne32I, Ne32R],
        JmpOp::Gt  => [Gt64I, Gt64R, Gt32I, Gt32R],
        JmpOp::Ge  => [Ge64I, Ge64R, Ge32I, Ge32R],
        JmpOp::Lt  => [Lt64I, Lt64R, Lt32I, Lt32R],
        JmpOp::Le  => [Le64I, Le64R, Le32I, Le32R],
        JmpOp::Set => [Set64I, Set64R, Set32I, Set32R],
        JmpOp::SGt => [SGt64I, SGt64R, SGt32I, SGt32R],
        JmpOp::SGe => [SGe64I, SGe64R, SGe32I, SGe32R],
        JmpOp::SLt => [SLt64I, SLt64R, SLt32I, SLt32R],
        JmpOp::SLe => [SLe64I, SLe64R, SLe32I, SLe32R],
    }
}

fn mov_sx(width: Width, bits: u8) -> Code {
    match (width, bits) {
        (Width::W64, 8) => Code::MovS8To64,
        (Width::W64, 16) => Code::MovS16To64,
        (Width::W64, _) => Code::MovS32To64,
        (Width::W32, 8) => Code::MovS8To32,
        (Width::W32, _) => Code::MovS16To32,
    }
}

fn endian(op: EndianOp, bits: u8) -> Code {
    match (op, bits) {
        (EndianOp::ToLe, 16) => Code::Low16,
        (EndianOp::ToLe, 32) => Code::Low32,
        (EndianOp::ToLe, _) => Code::Nop,
        (EndianOp::ToBe | EndianOp::Swap, 16) => Code::Be16,
        (EndianOp::ToBe | EndianOp::Swap, 32) => Code::Be32,
        (EndianOp::ToBe | EndianOp::Swap, _) => Code::Be64,
    }
}

fn access(code: Code, dst: Reg, src: Reg, off: i16) -> Op {
    Op {
        off: off.into(),
        ..two(code, dst, src)
    }
}

fn load(size: Size, sign: bool) -> Code {
    match (size, sign) {
        (Size::B, false) => Code::LoadB,
        (Size::H, false) => Code::LoadH,
        (Size::W, false) => Code::LoadW,
        (Size::DW, _) => Code::LoadD,
        (Size::B, true) => Code::LoadSB,
        (Size::H, true) => Code::LoadSH,
        (Size::W, true) => Code::LoadSW,
    }
}

fn store(size: Size, base: Reg, off: i16, src: Operand) -> Op {
    let (code, src, imm) = match (size, src) {
        (Size::B, Operand::Reg(src)) => (Code::StoreBR, src, 0),
        (Size::H, Operand::Reg(src)) => (Code::StoreHR, src, 0),
        (Size::W, Operand::Reg(src)) => (Code::StoreWR, src, 0),
        (Size::DW, Operand::Reg(src)) => (Code::StoreDR, src, 0),
        (Size::B, Operand::Imm(imm)) => (Code::StoreBI, Reg::R0, imm),
        (Size::H, Operand::Imm(imm)) => (Code::StoreHI, Reg::R0, imm),
        (Size::W, Operand::Imm(imm)) => (Code::StoreWI, Reg::R0, imm),
        (Size::DW, Operand::Imm(imm)) => (Code::StoreDI, Reg::R0, imm),
    };
    Op {
        imm: imm.into(),
        ..access(code, base, src, off)
    }
}

/// The immediate of a load that leaves its register alone where an arena has no page: kernels clear only the
/// register of what is a load by its class (`do_jit`), which an acquiring one is not.
pub(crate) const KEEPS: i64 = 1;

/// Kinds of atomic operations, as [`Code::Atomic`] holds them.
pub(crate) mod atomic {
    pub(crate) const ADD: i64 = 0;
    pub(crate) const OR: i64 = 1;
    pub(crate) const AND: i64 = 2;
    pub(crate) const XOR: i64 = 3;
    pub(crate) const XCHG: i64 = 4;
    pub(crate) const CMPXCHG: i64 = 5;
    /// Added where the old value goes to `src`.
    pub(crate) const FETCH: i64 = 8;
}

fn memory(insn: Insn) -> Op {
    match insn {
        Insn::Load {
            size,
            sign,
            dst,
            base,
            off,
        } => access(load(size, sign), dst, base, off),
        Insn::LoadAcquire {
            size,
            dst,
            base,
            off,
        } => Op {
            imm: KEEPS,
            ..access(load(size, false), dst, base, off)
        },
        Insn::Store {
            size,
            base,
            off,
            src,
        } => store(size, base, off, src),
        Insn::StoreRelease {
            size,
            base,
            off,
            src,
        } => store(size, base, off, Operand::Reg(src)),
        Insn::Atomic {
            op,
            fetch,
            size,
            base,
            off,
            src,
        } => {
            let kind = match op {
                AtomicOp::Add => atomic::ADD,
                AtomicOp::Or => atomic::OR,
                AtomicOp::And => atomic::AND,
                AtomicOp::Xor => atomic::XOR,
                AtomicOp::Xchg => atomic::XCHG,
                AtomicOp::Cmpxchg => atomic::CMPXCHG,
            };
            Op {
                imm: kind + if fetch { atomic::FETCH } else { 0 } + (i64::from(size.bytes()) << 8),
                ..access(Code::Atomic, base, src, off)
            }
        }
        Insn::LoadPacket { size, index, off } => Op {
            code: Code::Packet,
            dst: Reg::R0,
            src: index.unwrap_or(Reg::R0),
            off: if index.is_some() { -1 } else { 1 } * size.bytes() as i32,
            imm: off.into(),
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
        | Insn::Exit => Op::NONE,
    }
}
