//! One instruction as the assembler reads it, with names from the program around it.
//!
//! Offsets are decimal; immediates are decimal up to 4,095 and hexadecimal above.

use std::fmt;

use skep_isa::{
    AluOp, AtomicOp, CallTarget, EndianOp, Imm64, Insn, JmpOp, Operand, Reg, Size, Width,
};
use skep_spec::tables::helpers;

/// Names of what an instruction refers to.
pub(crate) trait Around {
    /// The label at a distance in slots from the instruction's next slot.
    fn label(&self, distance: i64) -> Option<&str>;
    /// The map of that index, as a source writes it.
    fn map(&self, index: i32) -> Option<&str>;
}

/// An instruction with its surroundings.
pub(crate) struct Shown<'a> {
    pub(crate) insn: Insn,
    pub(crate) around: &'a dyn Around,
}

struct Imm(i32);

impl fmt::Display for Imm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.unsigned_abs(), self.0 < 0) {
            (0..4096, _) => write!(f, "{}", self.0),
            (number, true) => write!(f, "-{number:#x}"),
            (number, false) => write!(f, "{number:#x}"),
        }
    }
}

/// A register under its name for a width.
struct Named(Width, Reg);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let w = match self.0 {
            Width::W32 => 'w',
            Width::W64 => 'r',
        };
        write!(f, "{w}{}", self.1.number())
    }
}

struct Right(Width, Operand);

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Operand::Reg(reg) => Named(self.0, reg).fmt(f),
            Operand::Imm(imm) => Imm(imm).fmt(f),
        }
    }
}

/// `(u32 *)(r1 + 4)`.
struct Memory(Size, Reg, i16);

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.2 < 0 { '-' } else { '+' };
        let (ty, off) = (self.0.c_name(), self.2.unsigned_abs());
        write!(f, "({ty} *)({} {sign} {off})", self.1)
    }
}

fn alu(op: AluOp) -> &'static str {
    match op {
        AluOp::Add => "+=",
        AluOp::Sub => "-=",
        AluOp::Mul => "*=",
        AluOp::Div => "/=",
        AluOp::SDiv => "s/=",
        AluOp::Or => "|=",
        AluOp::And => "&=",
        AluOp::Lsh => "<<=",
        AluOp::Rsh => ">>=",
        AluOp::Mod => "%=",
        AluOp::SMod => "s%=",
        AluOp::Xor => "^=",
        AluOp::Mov => "=",
        AluOp::Arsh => "s>>=",
    }
}

fn comparison(op: JmpOp) -> &'static str {
    match op {
        JmpOp::Eq => "==",
        JmpOp::Ne => "!=",
        JmpOp::Gt => ">",
        JmpOp::Ge => ">=",
        JmpOp::Lt => "<",
        JmpOp::Le => "<=",
        JmpOp::Set => "&",
        JmpOp::SGt => "s>",
        JmpOp::SGe => "s>=",
        JmpOp::SLt => "s<",
        JmpOp::SLe => "s<=",
    }
}

impl Shown<'_> {
    fn target(&self, off: i32) -> Target<'_> {
        match self.around.label(off.into()) {
            Some(label) => Target::Label(label),
            None => Target::Distance(off),
        }
    }

    fn imm64(&self, imm: Imm64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match imm {
            Imm64::Value(value) => write!(f, "{value:#x} ll"),
            Imm64::Map(map) => match self.around.map(map) {
                Some(name) => write!(f, "map[{name}] ll"),
                None => write!(f, "map[#{map}] ll"),
            },
            Imm64::MapValue { map, off } => match self.around.map(map) {
                Some(name) => write!(f, "map_value[{name}]+{off} ll"),
                None => write!(f, "map_value[#{map}]+{off} ll"),
            },
            Imm64::BtfVar { id, btf_fd: 0 } => write!(f, "btf_var[{id}] ll"),
            Imm64::BtfVar { id, btf_fd } => write!(f, "btf_var[{id}, {btf_fd}] ll"),
            Imm64::Func(off) => match self.target(off) {
                Target::Label(label) => write!(f, "func {label} ll"),
                Target::Distance(off) => write!(f, "func {off:+} ll"),
            },
            Imm64::MapIdx(idx) => write!(f, "map_idx[{idx}] ll"),
            Imm64::MapIdxValue { idx, off } => write!(f, "map_idx_value[{idx}]+{off} ll"),
        }
    }

    fn call(&self, target: CallTarget, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match target {
            CallTarget::Helper(id) => {
                let known = u32::try_from(id).ok().and_then(helpers::first);
                match known {
                    Some(proto) => write!(f, "call {}", proto.name),
                    None => write!(f, "call {id}"),
                }
            }
            CallTarget::Subprog(off) => match self.target(off) {
                Target::Label(label) => write!(f, "call {label}"),
                Target::Distance(off) => write!(f, "call pc{off:+}"),
            },
            CallTarget::Kfunc { id, btf_idx: 0 } => write!(f, "call btf:{id}"),
            CallTarget::Kfunc { id, btf_idx } => write!(f, "call btf:{id}:{btf_idx}"),
        }
    }
}

enum Target<'a> {
    Label(&'a str),
    Distance(i32),
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Label(label) => f.write_str(label),
            Target::Distance(off) => write!(f, "{off:+}"),
        }
    }
}

/// `r1 = atomic64_fetch_add((u64 *)(r2 + 0), r1)` and its kin.
fn atomic(op: AtomicOp, fetch: bool, at: &Memory, src: Reg) -> String {
    let wide = if at.0 == Size::DW { "64" } else { "" };
    let (name, plain) = match op {
        AtomicOp::Add => ("add", "+="),
        AtomicOp::Or => ("or", "|="),
        AtomicOp::And => ("and", "&="),
        AtomicOp::Xor => ("xor", "^="),
        AtomicOp::Xchg => return format!("{src} = atomic{wide}_xchg({at}, {src})"),
        AtomicOp::Cmpxchg => return format!("r0 = atomic{wide}_cmpxchg({at}, r0, {src})"),
    };
    if fetch {
        format!("{src} = atomic{wide}_fetch_{name}({at}, {src})")
    } else {
        format!("lock *{at} {plain} {src}")
    }
}

fn write_memory(insn: Insn, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match insn {
        Insn::Load {
            size,
            sign,
            dst,
            base,
            off,
        } => {
            let at = Memory(size, base, off).to_string();
            let at = if sign { at.replacen("(u", "(s", 1) } else { at };
            write!(f, "{dst} = *{at}")
        }
        Insn::Store {
            size,
            base,
            off,
            src,
        } => {
            write!(
                f,
                "*{} = {}",
                Memory(size, base, off),
                Right(Width::W64, src)
            )
        }
        Insn::Atomic {
            op,
            fetch,
            size,
            base,
            off,
            src,
        } => f.write_str(&atomic(op, fetch, &Memory(size, base, off), src)),
        Insn::LoadAcquire {
            size,
            dst,
            base,
            off,
        } => {
            write!(f, "{dst} = load_acquire({})", Memory(size, base, off))
        }
        Insn::StoreRelease {
            size,
            base,
            off,
            src,
        } => {
            write!(f, "store_release({}, {src})", Memory(size, base, off))
        }
        Insn::LoadPacket {
            size,
            index: None,
            off,
        } => {
            write!(f, "r0 = *({} *)skb[{}]", size.c_name(), Imm(off))
        }
        Insn::LoadPacket {
            size,
            index: Some(reg),
            off,
        } => {
            write!(f, "r0 = *({} *)skb[{reg} + {}]", size.c_name(), Imm(off))
        }
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
        | Insn::Exit => Ok(()),
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.insn {
            Insn::Alu {
                op,
                width,
                dst,
                src,
            } => {
                write!(f, "{} {} {}", Named(width, dst), alu(op), Right(width, src))
            }
            Insn::MovSx {
                width,
                bits,
                dst,
                src,
            } => {
                write!(f, "{} = (s{bits}){}", Named(width, dst), Named(width, src))
            }
            Insn::Neg { width, dst } => write!(f, "{0} = -{0}", Named(width, dst)),
            Insn::Endian { op, bits, dst } => {
                let name = match op {
                    EndianOp::ToLe => "le",
                    EndianOp::ToBe => "be",
                    EndianOp::Swap => "bswap",
                };
                write!(f, "{dst} = {name}{bits} {dst}")
            }
            Insn::AddrSpaceCast {
                dst,
                src,
                dst_as,
                src_as,
            } => {
                write!(f, "{dst} = addr_space_cast({src}, {dst_as}, {src_as})")
            }
            Insn::LoadImm64 { dst, imm } => {
                write!(f, "{dst} = ")?;
                self.imm64(imm, f)
            }
            Insn::Imm64Hi => Ok(()),
            Insn::Load { .. }
            | Insn::Store { .. }
            | Insn::Atomic { .. }
            | Insn::LoadAcquire { .. }
            | Insn::StoreRelease { .. }
            | Insn::LoadPacket { .. } => write_memory(self.insn, f),
            Insn::Jump {
                op,
                width,
                dst,
                src,
                off,
            } => {
                let (left, right) = (Named(width, dst), Right(width, src));
                let to = self.target(off.into());
                write!(f, "if {left} {} {right} goto {to}", comparison(op))
            }
            Insn::Goto { off, far: false } => write!(f, "goto {}", self.target(off)),
            Insn::Goto { off, far: true } => write!(f, "gotol {}", self.target(off)),
            Insn::MayGoto { off } => write!(f, "may_goto {}", self.target(off.into())),
            Insn::Call(target) => self.call(target, f),
            Insn::CallReg(reg) => write!(f, "callx {reg}"),
            Insn::Exit => f.write_str("exit"),
        }
    }
}
