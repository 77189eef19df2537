//! Random straight code, jumps and loops over all registers: compiled with any choice of optimisations, trusted
//! or not, and at an address of its own or another one, it does what the interpreter does.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use proptest::prelude::*;
use skep_interp::{BUDGET, Machine, Nobody};
use skep_isa::{
    AluOp, AtomicOp, EndianOp, Insn, JmpOp, Operand, RawInsn, Reg, Size, Width, encode,
};
use skep_jit::{Jit, Opt, Opts, Proof};
use skep_sim::Sim;
use skep_spec::{ProgType, ProgramSpec};

/// R0 to R9; stores go through R10.
fn reg() -> impl Strategy<Value = Reg> {
    (0u8..10).prop_map(|n| Reg::new(n).unwrap())
}

fn operand() -> impl Strategy<Value = Operand> {
    prop_oneof![
        3 => reg().prop_map(Operand::Reg),
        1 => any::<i32>().prop_map(Operand::Imm),
        2 => (-3i32..70).prop_map(Operand::Imm),
        1 => (0u32..32).prop_map(|by| Operand::Imm((1u32 << by) as i32)),
    ]
}

fn width() -> impl Strategy<Value = Width> {
    prop_oneof![Just(Width::W32), Just(Width::W64)]
}

fn alu_op() -> impl Strategy<Value = AluOp> {
    prop_oneof![
        Just(AluOp::Add),
        Just(AluOp::Sub),
        Just(AluOp::Mul),
        Just(AluOp::Div),
        Just(AluOp::SDiv),
        Just(AluOp::Or),
        Just(AluOp::And),
        Just(AluOp::Lsh),
        Just(AluOp::Rsh),
        Just(AluOp::Mod),
        Just(AluOp::SMod),
        Just(AluOp::Xor),
        Just(AluOp::Mov),
        Just(AluOp::Arsh),
    ]
}

fn jmp_op() -> impl Strategy<Value = JmpOp> {
    prop_oneof![
        Just(JmpOp::Eq),
        Just(JmpOp::Ne),
        Just(JmpOp::Gt),
        Just(JmpOp::Ge),
        Just(JmpOp::Lt),
        Just(JmpOp::Le),
        Just(JmpOp::Set),
        Just(JmpOp::SGt),
        Just(JmpOp::SGe),
        Just(JmpOp::SLt),
        Just(JmpOp::SLe),
    ]
}

fn size() -> impl Strategy<Value = Size> {
    prop_oneof![Just(Size::B), Just(Size::H), Just(Size::W), Just(Size::DW)]
}

fn conversion() -> impl Strategy<Value = Insn> {
    let sx = prop_oneof![
        Just((Width::W32, 8)),
        Just((Width::W32, 16)),
        Just((Width::W64, 8)),
        Just((Width::W64, 16)),
        Just((Width::W64, 32)),
    ];
    let endian = prop_oneof![
        Just(EndianOp::ToLe),
        Just(EndianOp::ToBe),
        Just(EndianOp::Swap),
    ];
    let bits = prop_oneof![Just(16u8), Just(32), Just(64)];
    prop_oneof![
        (sx, reg(), reg()).prop_map(|((width, bits), dst, src)| Insn::MovSx {
            width,
            bits,
            dst,
            src
        }),
        (endian, bits, reg()).prop_map(|(op, bits, dst)| Insn::Endian { op, bits, dst }),
        (width(), reg()).prop_map(|(width, dst)| Insn::Neg { width, dst }),
    ]
}

fn atomic() -> impl Strategy<Value = Insn> {
    let op = prop_oneof![
        Just((AtomicOp::Add, false)),
        Just((AtomicOp::Or, false)),
        Just((AtomicOp::And, false)),
        Just((AtomicOp::Xor, false)),
        Just((AtomicOp::Add, true)),
        Just((AtomicOp::Or, true)),
        Just((AtomicOp::And, true)),
        Just((AtomicOp::Xor, true)),
        Just((AtomicOp::Xchg, true)),
        Just((AtomicOp::Cmpxchg, true)),
    ];
    let size = prop_oneof![Just(Size::W), Just(Size::DW)];
    (op, size, 1i16..8, reg()).prop_map(|((op, fetch), size, slot, src)| Insn::Atomic {
        op,
        fetch,
        size,
        base: Reg::R10,
        off: -8 * slot,
        src,
    })
}

fn memory() -> impl Strategy<Value = Insn> {
    let base = Reg::R10;
    prop_oneof![
        (size(), any::<bool>(), reg(), -64i16..-7).prop_map(move |(size, sign, dst, off)| {
            Insn::Load {
                size,
                sign: sign && size != Size::DW,
                dst,
                base,
                off,
            }
        }),
        (size(), operand(), -64i16..-7).prop_map(move |(size, src, off)| Insn::Store {
            size,
            base,
            off,
            src
        }),
        atomic(),
    ]
}

/// An access through a copy of the frame pointer and an index, which may be wanted afterwards.
fn indirect() -> impl Strategy<Value = Vec<Insn>> {
    (reg(), reg(), reg(), size(), 0i32..24, any::<[bool; 4]>()).prop_map(
        |(d, index, other, size, by, [store, sign, with_index, wanted])| {
            let width = Width::W64;
            let alu = |op, dst, src| Insn::Alu {
                op,
                width,
                dst,
                src,
            };
            let mut insns = vec![alu(AluOp::Mov, index, Operand::Imm(by))];
            insns.push(alu(AluOp::Mov, d, Operand::Reg(Reg::R10)));
            insns.push(alu(AluOp::Add, d, Operand::Imm(-56)));
            if with_index && index != d {
                insns.push(alu(AluOp::Add, d, Operand::Reg(index)));
            }
            let (base, off) = (d, 8);
            insns.push(if store {
                let src = if sign { other.into() } else { Operand::Imm(by) };
                Insn::Store {
                    size,
                    base,
                    off,
                    src,
                }
            } else {
                let sign = sign && size != Size::DW;
                Insn::Load {
                    size,
                    sign,
                    dst: other,
                    base,
                    off,
                }
            });
            // Addresses differ between kernels; what is wanted of them must not.
            if wanted {
                insns.push(alu(AluOp::Sub, d, Operand::Reg(Reg::R10)));
            } else {
                insns.push(alu(AluOp::Mov, d, Operand::Imm(1)));
            }
            insns
        },
    )
}

/// A rotation as compilers write it, whole or spoilt.
fn rotation() -> impl Strategy<Value = Vec<Insn>> {
    (
        width(),
        reg(),
        reg(),
        reg(),
        0i32..64,
        0..64i32,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(width, x, t, d, by, other, in_place, exact)| {
            let bits = width.bits() as i32;
            let by = by % bits;
            let other = if exact { bits - by } else { other % bits };
            let alu = |op, dst, src| Insn::Alu {
                op,
                width,
                dst,
                src,
            };
            let mut insns = vec![
                alu(AluOp::Mov, t, Operand::Reg(x)),
                alu(AluOp::Rsh, t, Operand::Imm(other)),
            ];
            let d = if in_place { x } else { d };
            if !in_place {
                insns.push(alu(AluOp::Mov, d, Operand::Reg(x)));
            }
            insns.push(alu(AluOp::Lsh, d, Operand::Imm(by)));
            insns.push(alu(AluOp::Or, d, Operand::Reg(t)));
            // What is left out must not be wanted.
            insns.push(alu(AluOp::Mov, t, Operand::Imm(5)));
            insns
        })
}

/// What does not jump.
fn straight() -> impl Strategy<Value = Vec<Insn>> {
    let alu = (alu_op(), width(), reg(), operand()).prop_map(|(op, width, dst, src)| Insn::Alu {
        op,
        width,
        dst,
        src,
    });
    prop_oneof![
        12 => alu.prop_map(|insn| vec![insn]),
        2 => conversion().prop_map(|insn| vec![insn]),
        3 => memory().prop_map(|insn| vec![insn]),
        2 => rotation(),
        3 => indirect(),
        // `lea`s and extensions.
        2 => (width(), reg(), reg(), operand(), operand()).prop_map(|(width, dst, src, a, b)| {
            let alu = |op, src| Insn::Alu { op, width, dst, src };
            vec![alu(AluOp::Mov, src.into()), alu(AluOp::Add, a), alu(AluOp::Add, b)]
        }),
        1 => (reg(), any::<bool>()).prop_map(|(dst, signed)| {
            let alu = |op| Insn::Alu { op, width: Width::W64, dst, src: Operand::Imm(32) };
            vec![alu(AluOp::Lsh), alu(if signed { AluOp::Arsh } else { AluOp::Rsh })]
        }),
    ]
}

/// Straight code that is executed a few times, and ends with one of the two jumps back that compilers write.
fn repeated() -> impl Strategy<Value = Vec<Insn>> {
    let body = prop::collection::vec(straight(), 1..24);
    let loops = (body, 1i32..5, any::<bool>(), any::<bool>());
    loops.prop_map(|(parts, times, over, divides)| {
        let (size, base, off) = (Size::DW, Reg::R10, -72);
        let store = |src| Insn::Store {
            size,
            base,
            off,
            src,
        };
        let mut insns = vec![store(Operand::Imm(times))];
        let mut body: Vec<_> = parts.into_iter().flatten().collect();
        for insn in &mut body {
            // Divisions jump, and what jumps is not rearranged.
            if let Insn::Alu { op, .. } = insn
                && matches!(op, AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod)
                && !divides
            {
                *op = AluOp::Mul;
            }
        }
        let (sign, dst) = (false, Reg::R9);
        body.push(Insn::Load {
            size,
            sign,
            dst,
            base,
            off,
        });
        let (op, width, src) = (AluOp::Add, Width::W64, Operand::Imm(-1));
        body.push(Insn::Alu {
            op,
            width,
            dst,
            src,
        });
        body.push(store(dst.into()));
        let back = -(body.len() as i16) - 1;
        let jump = |op, off| Insn::Jump {
            op,
            width,
            dst,
            src: Operand::Imm(0),
            off,
        };
        insns.extend(body);
        if over {
            let (off, far) = (i32::from(back) - 1, false);
            insns.extend([jump(JmpOp::Eq, 1), Insn::Goto { off, far }]);
        } else {
            insns.push(jump(JmpOp::Ne, back));
        }
        insns
    })
}

fn some() -> impl Strategy<Value = Vec<Insn>> {
    let jump =
        (jmp_op(), width(), reg(), operand(), 0i16..5).prop_map(|(op, width, dst, src, off)| {
            Insn::Jump {
                op,
                width,
                dst,
                src,
                off,
            }
        });
    let skip = (0i32..3).prop_map(|off| Insn::Goto { off, far: off == 1 });
    prop_oneof![
        25 => straight(),
        3 => jump.prop_map(|insn| vec![insn]),
        1 => skip.prop_map(|insn| vec![insn]),
    ]
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

/// A program that starts with known registers and returns a digest of all of them.
fn program(parts: Vec<Vec<Insn>>, seeds: [i32; 8]) -> ProgramSpec {
    let mut insns = Vec::new();
    for (slot, seed) in (1..9).zip(seeds) {
        let (size, base, off) = (Size::DW, Reg::R10, -8 * slot);
        let src = Operand::Imm(seed);
        insns.push(Insn::Store {
            size,
            base,
            off,
            src,
        });
    }
    insns.push(mov(Reg::R0, Operand::Imm(seeds[0])));
    for (number, seed) in (3..10).zip(seeds) {
        insns.push(mov(Reg::new(number).unwrap(), Operand::Imm(seed)));
    }
    insns.extend(parts.into_iter().flatten());
    // Where the last jumps land.
    insns.extend([mov(Reg::R0, Operand::Reg(Reg::R0)); 5]);
    for reg in Reg::ALL.into_iter().take(10).skip(1) {
        let (op, width) = (AluOp::Mul, Width::W64);
        let (dst, src) = (Reg::R0, Operand::Imm(31));
        insns.push(Insn::Alu {
            op,
            width,
            dst,
            src,
        });
        let (op, src) = (AluOp::Xor, Operand::Reg(reg));
        insns.push(Insn::Alu {
            op,
            width,
            dst,
            src,
        });
    }
    insns.push(Insn::Exit);
    let slots: Vec<RawInsn> = insns.iter().map(|insn| encode(insn).0).collect();
    ProgramSpec::new("ops", ProgType::Unspec, slots)
}

#[expect(unsafe_code, reason = "these programs are right by construction")]
fn compiled(sim: &mut Sim, spec: &ProgramSpec, opts: Opts, verified: bool, args: [u64; 5]) -> u64 {
    let mut jit = Jit::with_opts(opts);
    let id = if verified {
        // SAFETY: the program accesses its own frame only and comes to an end.
        unsafe { jit.load_verified(sim, spec, Proof::default()) }
    } else {
        jit.load(sim, spec, &[])
    };
    let id = id.unwrap();
    sim.begin_memory(&[]).unwrap();
    jit.call(sim, id, args, BUDGET).unwrap()
}

/// Runs a program in the interpreter and compiled in all ways.
fn compare(
    parts: Vec<Vec<Insn>>,
    seeds: [i32; 8],
    args: [u64; 2],
    without: usize,
) -> Result<(), TestCaseError> {
    let spec = program(parts, seeds);
    let args = [args[0], args[1], 0, 0, 0];
    // The second of two kernels cannot have its memory at the same place.
    let (mut at_base, mut elsewhere) = (Sim::new(&[]).unwrap(), Sim::new(&[]).unwrap());
    let mut machine = Machine::new();
    let id = machine.load(&mut at_base, &spec).unwrap();
    at_base.begin_memory(&[]).unwrap();
    let Ok((want, _)) = machine.call(&mut at_base, id, args, BUDGET, Nobody) else {
        // A jump came between an address and its use; nobody vouches for that.
        return Ok(());
    };
    let frame = |sim: &Sim| {
        let bottom = sim.stack().top(0) - 512;
        sim.memory().read(bottom, 512).map(<[u8]>::to_vec)
    };
    for opts in [Opts::ALL, Opts::NONE, Opts::ALL.without(Opt::ALL[without])] {
        for verified in [false, true] {
            for sim in [&mut at_base, &mut elsewhere] {
                let got = compiled(sim, &spec, opts, verified, args);
                prop_assert_eq!(got, want, "{:?} {}", opts, verified);
            }
            prop_assert_eq!(frame(&at_base), frame(&elsewhere));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn compiled_code_does_what_the_interpreter_does(
        parts in prop::collection::vec(some(), 1..30),
        seeds in any::<[i32; 8]>(),
        args in any::<[u64; 2]>(),
        without in 0..Opt::ALL.len(),
    ) {
        compare(parts, seeds, args, without)?;
    }

    #[test]
    fn loops_in_another_order_do_the_same(
        parts in prop::collection::vec(repeated(), 1..3),
        seeds in any::<[i32; 8]>(),
        args in any::<[u64; 2]>(),
        without in 0..Opt::ALL.len(),
    ) {
        compare(parts, seeds, args, without)?;
    }
}
