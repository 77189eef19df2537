//! Every arithmetic operation and comparison against an evaluation in wide integers.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::ops::ControlFlow;

use proptest::prelude::*;
use skep_interp::{BUDGET, Machine, Nobody, Step};
use skep_isa::{AluOp, EndianOp, Insn, JmpOp, Operand, RawInsn, Reg, Width, encode};
use skep_sim::Sim;
use skep_spec::{ProgType, ProgramSpec};

const ALU: [AluOp; 14] = [
    AluOp::Add,
    AluOp::Sub,
    AluOp::Mul,
    AluOp::Div,
    AluOp::SDiv,
    AluOp::Or,
    AluOp::And,
    AluOp::Lsh,
    AluOp::Rsh,
    AluOp::Mod,
    AluOp::SMod,
    AluOp::Xor,
    AluOp::Mov,
    AluOp::Arsh,
];

const JMP: [JmpOp; 11] = [
    JmpOp::Eq,
    JmpOp::Ne,
    JmpOp::Gt,
    JmpOp::Ge,
    JmpOp::Lt,
    JmpOp::Le,
    JmpOp::Set,
    JmpOp::SGt,
    JmpOp::SGe,
    JmpOp::SLt,
    JmpOp::SLe,
];

/// R0 of a program called with two arguments.
fn call(insns: &[Insn], a: u64, b: u64) -> u64 {
    let slots: Vec<RawInsn> = insns.iter().map(|insn| encode(insn).0).collect();
    let mut sim = Sim::new(&[]).unwrap();
    let mut machine = Machine::new();
    let spec = ProgramSpec::new("op", ProgType::Unspec, slots);
    let id = machine.load(&mut sim, &spec).unwrap();
    sim.begin_memory(&[]).unwrap();
    machine
        .call(&mut sim, id, [a, b, 0, 0, 0], BUDGET, Nobody)
        .unwrap()
        .0
}

/// The value as a number of that width, unsigned and signed.
fn views(value: u64, width: Width) -> (i128, i128) {
    match width {
        Width::W64 => (value.into(), (value as i64).into()),
        Width::W32 => ((value as u32).into(), (value as u32 as i32).into()),
    }
}

/// What the instruction set's standard says, in integers that cannot overflow.
fn alu(op: AluOp, width: Width, a: u64, b: u64) -> u64 {
    let bits = width.bits();
    let ((a, sa), (b, sb)) = (views(a, width), views(b, width));
    let shift = (b as u128 % u128::from(bits)) as u32;
    let exact = match op {
        AluOp::Add => a + b,
        AluOp::Sub => a - b,
        AluOp::Mul => return ((a as u128).wrapping_mul(b as u128) & mask(bits)) as u64,
        AluOp::Div => a.checked_div(b).unwrap_or(0),
        AluOp::SDiv => sa.checked_div(sb).unwrap_or(0),
        AluOp::Or => a | b,
        AluOp::And => a & b,
        AluOp::Lsh => return (((a as u128) << shift) & mask(bits)) as u64,
        AluOp::Rsh => a >> shift,
        AluOp::Mod => a.checked_rem(b).unwrap_or(a),
        AluOp::SMod => sa.checked_rem(sb).unwrap_or(sa),
        AluOp::Xor => a ^ b,
        AluOp::Mov => b,
        AluOp::Arsh => sa >> shift,
    };
    (exact as u128 & mask(bits)) as u64
}

fn mask(bits: u32) -> u128 {
    (1 << bits) - 1
}

fn holds(op: JmpOp, width: Width, a: u64, b: u64) -> bool {
    let ((a, sa), (b, sb)) = (views(a, width), views(b, width));
    match op {
        JmpOp::Eq => a == b,
        JmpOp::Ne => a != b,
        JmpOp::Gt => a > b,
        JmpOp::Ge => a >= b,
        JmpOp::Lt => a < b,
        JmpOp::Le => a <= b,
        JmpOp::Set => a & b != 0,
        JmpOp::SGt => sa > sb,
        JmpOp::SGe => sa >= sb,
        JmpOp::SLt => sa < sb,
        JmpOp::SLe => sa <= sb,
    }
}

/// Numbers where operations differ: small ones, and the edges of 8, 16, 32 and 64 bits.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (0u32..64, -2i64..3).prop_map(|(shift, by)| (1u64 << shift).wrapping_add_signed(by)),
        (-40i64..40).prop_map(|n| n as u64),
        (0u32..64, -2i64..3)
            .prop_map(|(shift, by)| (1u64 << shift).wrapping_neg().wrapping_add_signed(by)),
    ]
}

fn width() -> impl Strategy<Value = Width> {
    prop_oneof![Just(Width::W32), Just(Width::W64)]
}

fn mov(dst: Reg, src: Operand) -> Insn {
    let (op, width) = (AluOp::Mov, Width::W64);
    Insn::Alu {
        op,
        width,
        dst,
        src,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn arithmetic_is_exact(a in number(), b in number(), width in width()) {
        for op in ALU {
            let by_reg = [
                Insn::Alu { op, width, dst: Reg::R1, src: Operand::Reg(Reg::R2) },
                mov(Reg::R0, Operand::Reg(Reg::R1)),
                Insn::Exit,
            ];
            prop_assert_eq!(call(&by_reg, a, b), alu(op, width, a, b), "{:?} {:?}", op, width);
            let imm = b as i32;
            let by_imm = [
                Insn::Alu { op, width, dst: Reg::R1, src: Operand::Imm(imm) },
                mov(Reg::R0, Operand::Reg(Reg::R1)),
                Insn::Exit,
            ];
            let b = i64::from(imm) as u64;
            prop_assert_eq!(call(&by_imm, a, 0), alu(op, width, a, b), "{:?} {:?} imm", op, width);
        }
    }

    #[test]
    fn comparisons_are_exact(a in number(), b in number(), same in any::<bool>(), width in width()) {
        let b = if same { a } else { b };
        for op in JMP {
            let program = |src| [
                mov(Reg::R0, Operand::Imm(1)),
                Insn::Jump { op, width, dst: Reg::R1, src, off: 1 },
                mov(Reg::R0, Operand::Imm(0)),
                Insn::Exit,
            ];
            let got = call(&program(Operand::Reg(Reg::R2)), a, b);
            prop_assert_eq!(got == 1, holds(op, width, a, b), "{:?} {:?}", op, width);
            let imm = b as i32;
            let got = call(&program(Operand::Imm(imm)), a, 0);
            let b = i64::from(imm) as u64;
            prop_assert_eq!(got == 1, holds(op, width, a, b), "{:?} {:?} imm", op, width);
        }
    }

    #[test]
    fn conversions_are_exact(a in number()) {
        let convert = |insn: Insn| {
            call(&[insn, mov(Reg::R0, Operand::Reg(Reg::R1)), Insn::Exit], a, a)
        };
        let endian = |op, bits| convert(Insn::Endian { op, bits, dst: Reg::R1 });
        prop_assert_eq!(endian(EndianOp::ToLe, 16), a & 0xffff);
        prop_assert_eq!(endian(EndianOp::ToLe, 32), a & 0xffff_ffff);
        prop_assert_eq!(endian(EndianOp::ToLe, 64), a);
        for op in [EndianOp::ToBe, EndianOp::Swap] {
            let be = a.to_be_bytes();
            prop_assert_eq!(endian(op, 16), u64::from(u16::from_le_bytes([be[6], be[7]])));
            let four = u32::from_le_bytes([be[4], be[5], be[6], be[7]]);
            prop_assert_eq!(endian(op, 32), u64::from(four));
            prop_assert_eq!(endian(op, 64), u64::from_le_bytes(be));
        }
        for (width, bits) in [
            (Width::W32, 8), (Width::W32, 16), (Width::W64, 8), (Width::W64, 16), (Width::W64, 32),
        ] {
            let got = convert(Insn::MovSx { width, bits, dst: Reg::R1, src: Reg::R2 });
            let signed = (i128::from(a as i64) << (128 - u32::from(bits))) >> (128 - u32::from(bits));
            prop_assert_eq!(got, (signed as u128 & mask(width.bits())) as u64, "{:?} {}", width, bits);
        }
        for width in [Width::W32, Width::W64] {
            let got = convert(Insn::Neg { width, dst: Reg::R1 });
            prop_assert_eq!(got, alu(AluOp::Sub, width, 0, a));
        }
    }
}

#[test]
fn a_wide_load_is_one_instruction() {
    let outcome =
        common::run(".prog main socket_filter\nr0 = 0x1122334455667788 ll\nexit\n").unwrap();
    assert_eq!(
        (outcome.output.r0, outcome.insns),
        (0x1122_3344_5566_7788, 2)
    );
}

#[test]
fn instructions_are_counted_through_loops() {
    let body = "r0 = 0\nr1 = 0\nagain:\nr0 += r1\nr1 += 1\nif r1 < 10 goto again";
    let outcome = common::run(&format!(".prog main socket_filter\n{body}\nexit\n")).unwrap();
    assert_eq!((outcome.output.r0, outcome.insns), (45, 2 + 3 * 10 + 1));
}

/// Instructions that are often fused, over four registers, and forward jumps among them.
fn busy_insn() -> impl Strategy<Value = Insn> {
    let reg = || (0u8..4).prop_map(|n| Reg::new(n).unwrap());
    let src = || {
        prop_oneof![
            reg().prop_map(Operand::Reg),
            (-3i32..70).prop_map(Operand::Imm)
        ]
    };
    let op = prop_oneof![
        3 => Just(AluOp::Mov),
        3 => Just(AluOp::Add),
        2 => Just(AluOp::Lsh),
        2 => Just(AluOp::Rsh),
        2 => Just(AluOp::Or),
        1 => Just(AluOp::Xor),
    ];
    let wide = || prop_oneof![3 => Just(Width::W64), 1 => Just(Width::W32)];
    let jump = prop_oneof![
        Just(JmpOp::Eq),
        Just(JmpOp::Ne),
        Just(JmpOp::Lt),
        Just(JmpOp::Gt),
    ];
    prop_oneof![
        4 => (op, wide(), reg(), src())
            .prop_map(|(op, width, dst, src)| Insn::Alu { op, width, dst, src }),
        1 => (jump, wide(), reg(), src(), 0i16..4)
            .prop_map(|(op, width, dst, src, off)| Insn::Jump { op, width, dst, src, off }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn fused_pairs_do_what_their_instructions_do(
        mut insns in prop::collection::vec(busy_insn(), 2..24),
        args in any::<[u64; 2]>(),
    ) {
        // Jumps land inside; the registers are all returned.
        insns.insert(0, mov(Reg::R0, Operand::Imm(1)));
        insns.insert(1, mov(Reg::R3, Operand::Imm(-1)));
        insns.extend([mov(Reg::R4, Operand::Imm(0)); 4]);
        for (i, reg) in [Reg::R1, Reg::R2, Reg::R3].into_iter().enumerate() {
            let (op, width) = (AluOp::Mul, Width::W64);
            let src = Operand::Imm(31 + i as i32);
            insns.push(Insn::Alu { op, width, dst: Reg::R0, src });
            insns.push(Insn::Alu { op: AluOp::Xor, width, dst: Reg::R0, src: Operand::Reg(reg) });
        }
        insns.push(Insn::Exit);
        let slots: Vec<RawInsn> = insns.iter().map(|insn| encode(insn).0).collect();
        let mut sim = Sim::new(&[]).unwrap();
        let mut machine = Machine::new();
        let spec = ProgramSpec::new("pairs", ProgType::Unspec, slots);
        let id = machine.load(&mut sim, &spec).unwrap();
        sim.begin_memory(&[]).unwrap();
        let args = [args[0], args[1], 0, 0, 0];
        let fast = machine.call(&mut sim, id, args, BUDGET, Nobody);
        // Whoever looks on sees every instruction by itself.
        let mut seen = 0;
        let look = |_: &Step<'_>| {
            seen += 1;
            ControlFlow::Continue(())
        };
        let slow = machine.call(&mut sim, id, args, BUDGET, look);
        prop_assert_eq!(&fast, &slow);
        prop_assert_eq!(fast.map(|(_, insns)| insns), Ok(seen));
    }
}
