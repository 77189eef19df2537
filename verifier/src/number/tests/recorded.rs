//! Agreement with the reference kernel: recorded logs of random programs are followed step by step.
//!
//! The log's order of paths is the kernel's (last pushed first, taken branches pushed, the case of
//! all zeros pushed at a fork), so the comparison covers decided branches, refinement of both edges
//! and every transfer function. Programs copy no register to another, so nothing is linked.

use crate::number::{Range32, Scalar, branch_taken, refine, refine_same};
use skep_isa::{Imm64, Insn, JmpOp, Operand, RawInsn, Reg, Width, decode_all};
use std::fmt::Write;

const LOGS: &str = include_str!("recorded.txt");

#[derive(Clone)]
struct Path {
    regs: [Scalar; 11],
    at: usize,
    from: usize,
}

struct Program {
    insns: Vec<Insn>,
    path: Path,
    pending: Vec<Path>,
}

impl Program {
    fn new(slots: &str) -> Program {
        let slots: Vec<RawInsn> = slots
            .split(' ')
            .map(|hex| {
                let bytes = u64::from_str_radix(hex, 16)
                    .expect("eight bytes")
                    .to_be_bytes();
                RawInsn::from_le_bytes(bytes)
            })
            .collect();
        Program {
            insns: decode_all(&slots).expect("a recorded program decodes"),
            path: Path {
                regs: [Scalar::unknown(); 11],
                at: 0,
                from: 0,
            },
            pending: vec![],
        }
    }

    fn operand(&self, src: Operand) -> Scalar {
        match src {
            Operand::Reg(reg) => self.path.regs[reg.index()],
            Operand::Imm(imm) => Scalar::immediate(imm),
        }
    }

    fn push(&mut self, at: usize, dst: Reg, value: Scalar) -> &mut Path {
        let mut path = Path {
            at,
            from: self.path.at,
            ..self.path.clone()
        };
        path.regs[dst.index()] = value;
        self.pending.push(path);
        self.pending.last_mut().expect("just pushed")
    }

    fn step(&mut self) {
        let insn = self.insns[self.path.at];
        let next = self.path.at + insn.slots();
        match insn {
            Insn::Alu {
                op,
                width,
                dst,
                src,
            } => {
                let src = self.operand(src);
                let mut operand = self.path.regs[dst.index()];
                if let Some(fork) = operand.fork(op, &src) {
                    self.push(self.path.at, dst, fork.pushed);
                    operand = fork.here;
                }
                self.path.regs[dst.index()] = operand.alu(op, width, &src);
            }
            Insn::MovSx {
                width,
                bits,
                dst,
                src,
            } => {
                self.path.regs[dst.index()] = self.path.regs[src.index()].sign_extend(bits, width);
            }
            Insn::Neg { width, dst } => {
                self.path.regs[dst.index()] = self.path.regs[dst.index()].neg(width);
            }
            Insn::Endian { op, bits, dst } => {
                self.path.regs[dst.index()] = self.path.regs[dst.index()].swap(op, bits);
            }
            Insn::LoadImm64 {
                dst,
                imm: Imm64::Value(value),
            } => {
                self.path.regs[dst.index()] = Scalar::constant(value);
            }
            Insn::Load {
                size, sign, dst, ..
            } => {
                self.path.regs[dst.index()] = if sign {
                    Scalar::loaded_signed(size)
                } else {
                    Scalar::loaded(size)
                };
            }
            Insn::Jump {
                op,
                width,
                dst,
                src,
                off,
            } => {
                let target = next.checked_add_signed(isize::from(off)).expect("a target");
                return self.jump(op, width, dst, src, target);
            }
            Insn::Exit => {}
            Insn::AddrSpaceCast { .. }
            | Insn::LoadImm64 { .. }
            | Insn::Imm64Hi
            | Insn::Store { .. }
            | Insn::Atomic { .. }
            | Insn::LoadAcquire { .. }
            | Insn::StoreRelease { .. }
            | Insn::LoadPacket { .. }
            | Insn::Goto { .. }
            | Insn::MayGoto { .. }
            | Insn::Call(_)
            | Insn::CallReg(_) => panic!("{insn:?} is not among the recorded instructions"),
        }
        self.path.at = next;
    }

    fn jump(&mut self, op: JmpOp, width: Width, dst: Reg, src: Operand, target: usize) {
        let (left, right) = (self.path.regs[dst.index()], self.operand(src));
        let next = self.path.at + 1;
        if let Some(taken) = branch_taken(op, width, &left, &right) {
            self.path.at = if taken { target } else { next };
            return;
        }
        let edge = |taken| {
            let (mut a, mut b) = (left, right);
            if src == Operand::Reg(dst) {
                refine_same(op, width, taken, &mut a);
                b = a;
            } else {
                refine(op, width, taken, &mut a, &mut b);
            }
            (a, b)
        };
        let (taken, not_taken) = (edge(true), edge(false));
        let pushed = self.push(target, dst, taken.0);
        if let Operand::Reg(src) = src {
            pushed.regs[src.index()] = taken.1;
            self.path.regs[src.index()] = not_taken.1;
        }
        self.path.regs[dst.index()] = not_taken.0;
        self.path.at = next;
    }

    /// Compares every register that the kernel prints.
    fn compare(&self, line: &str, printed: &str) -> usize {
        let printed = printed.replace("; 0x", ";0x");
        let mut compared = 0;
        for (reg, kernel) in printed.split(' ').filter_map(|word| word.split_once('=')) {
            let idx: usize = reg.trim_start_matches('R').parse().expect("a register");
            let ours = text(&self.path.regs[idx]);
            assert_eq!(ours, kernel, "{reg} at {line}\n{:#?}", self.insns);
            compared += 1;
        }
        compared
    }

    /// Takes one line of the log and returns how many registers were compared.
    fn follow(&mut self, line: &str) -> usize {
        let (head, rest) = line.split_once(": ").expect("a position");
        if let Some(edge) = head.strip_prefix("from ") {
            let path = self
                .pending
                .pop()
                .unwrap_or_else(|| panic!("nothing pending at {line}"));
            assert_eq!(edge, format!("{} to {}", path.from, path.at));
            self.path = path;
            return self.compare(line, rest);
        }
        if rest.starts_with('R') {
            return self.compare(line, rest);
        }
        assert_eq!(head, self.path.at.to_string(), "{line}");
        self.step();
        rest.split_once(" ; ")
            .map_or(0, |(_, printed)| self.compare(line, printed))
    }
}

/// A number as the log prints it: short ones in decimal.
fn number(value: u64, signed: bool) -> String {
    let decimal = if signed {
        i16::try_from(value as i64).is_ok()
    } else {
        u16::try_from(value).is_ok()
    };
    match (decimal, signed) {
        (true, true) => (value as i64).to_string(),
        (true, false) => value.to_string(),
        (false, _) => format!("{value:#x}"),
    }
}

/// A scalar as the log prints it: bounds that say nothing are left out, equal ones are joined.
fn text(scalar: &Scalar) -> String {
    if let Some(value) = scalar.const_value() {
        return number(value, true);
    }
    // A signed 32-bit bound that will be printed in hexadecimal is not sign-extended.
    let low = |v: i32| {
        if i16::try_from(v).is_ok() {
            v as i64 as u64
        } else {
            u64::from(v as u32)
        }
    };
    let none = Range32::UNBOUNDED;
    let bounds = [
        ("smin", scalar.smin() as u64, scalar.smin() != i64::MIN),
        ("smax", scalar.smax() as u64, scalar.smax() != i64::MAX),
        ("umin", scalar.umin(), scalar.umin() != 0),
        ("umax", scalar.umax(), scalar.umax() != u64::MAX),
        (
            "smin32",
            low(scalar.s32_min()),
            scalar.s32_min() != none.smin(),
        ),
        (
            "smax32",
            low(scalar.s32_max()),
            scalar.s32_max() != none.smax(),
        ),
        (
            "umin32",
            u64::from(scalar.u32_min()),
            scalar.u32_min() != none.umin(),
        ),
        (
            "umax32",
            u64::from(scalar.u32_max()),
            scalar.u32_max() != none.umax(),
        ),
    ];
    let negative = |name: &str, value: u64| name.starts_with('s') && (value as i64) < 0;
    let mut left: Vec<_> = bounds
        .into_iter()
        .enumerate()
        .filter(|(_, b)| b.2)
        .collect();
    let mut parts = vec![];
    while !left.is_empty() {
        let (first, (name, value, _)) = left.remove(0);
        let mut part = format!("{name}=");
        left.retain(|&(at, (other, same, _))| {
            let joins = (at - first) % 2 == 0
                && same == value
                && negative(other, same) == negative(name, value);
            if joins {
                write!(part, "{other}=").expect("a string takes it");
            }
            !joins
        });
        parts.push(part + &number(value, name.starts_with('s')));
    }
    if !scalar.known().is_unknown() {
        parts.push(format!("var_off={}", scalar.known()).replace("; 0x", ";0x"));
    }
    format!("scalar({})", parts.join(","))
}

#[test]
fn recorded_logs_of_6_18_44_are_repeated_register_by_register() {
    let (mut programs, mut compared) = (0, 0);
    for block in LOGS.split("\nprogram ").skip(1) {
        let mut lines = block.lines();
        let mut program = Program::new(lines.next().expect("slots"));
        for line in lines {
            compared += program.follow(line);
        }
        assert!(program.pending.is_empty());
        programs += 1;
    }
    assert!(
        programs >= 40 && compared > 1000,
        "{programs} programs, {compared} registers"
    );
}
