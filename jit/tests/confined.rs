//! Loops in the sandbox whose pointers leave guest memory at some point: whatever is checked together or put
//! before the first turn, or put in another order, they do and leave behind the same, to the very trap.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use skep_isa::{AluOp, Insn, JmpOp, Operand, RawInsn, Reg, Size, Width, encode};
use skep_jit::{Jit, Opt, Opts};
use skep_sim::{RunError, Sim, Stop, Trap, layout};
use skep_spec::{ProgType, ProgramSpec};

/// Programs.
const PROGRAMS: u64 = 4_000;
/// Registers that hold addresses, most of the time.
const POINTERS: [Reg; 3] = [Reg::R6, Reg::R7, Reg::R8];
/// Registers that hold numbers.
const NUMBERS: [Reg; 3] = [Reg::R0, Reg::R3, Reg::R4];
/// The register that counts turns, and one that holds where it goes.
const TURNS: Reg = Reg::R5;
const BOUND: Reg = Reg::R9;

/// Pseudorandom numbers (xorshift).
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }

    fn one<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

fn alu(op: AluOp, dst: Reg, src: impl Into<Operand>) -> Insn {
    let (width, src) = (Width::W64, src.into());
    Insn::Alu {
        op,
        width,
        dst,
        src,
    }
}

/// Steps of pointers: the larger ones leave guest memory soon.
const STEPS: [i32; 9] = [1, 8, 24, -8, 64, 100, 1 << 16, 1 << 20, 1 << 28];

/// One to three instructions of a loop's body.
fn part(rng: &mut Rng) -> Vec<Insn> {
    let (pointer, number) = (rng.one(&POINTERS), rng.one(&NUMBERS));
    let size = rng.one(&[Size::B, Size::H, Size::W, Size::DW]);
    let off = rng.below(160) as i16 - 80;
    match rng.below(12) {
        0..=3 => {
            // Seldom what is loaded is taken for an address.
            let dst = if rng.below(40) == 0 { pointer } else { number };
            let (sign, base) = (size != Size::DW && rng.below(4) == 0, pointer);
            vec![Insn::Load {
                size,
                sign,
                dst,
                base,
                off,
            }]
        }
        4 | 5 => {
            let src = if rng.below(2) == 0 {
                number.into()
            } else {
                Operand::Imm(off.into())
            };
            let base = pointer;
            vec![Insn::Store {
                size,
                base,
                off,
                src,
            }]
        }
        6 => vec![alu(AluOp::Add, pointer, Operand::Imm(rng.one(&STEPS)))],
        7 => {
            let to = rng.one(&POINTERS);
            let sum = alu(AluOp::Add, to, Operand::Imm(rng.one(&STEPS)));
            vec![alu(AluOp::Mov, to, pointer), sum]
        }
        8 => {
            let to = rng.one(&POINTERS);
            let few = alu(AluOp::And, number, Operand::Imm(0xff));
            vec![
                few,
                alu(AluOp::Mov, to, pointer),
                alu(AluOp::Add, to, number),
            ]
        }
        _ => {
            let op = rng.one(&[AluOp::Add, AluOp::Mul, AluOp::Xor, AluOp::Mov, AluOp::Rsh]);
            let src = if rng.below(2) == 0 && op != AluOp::Rsh {
                rng.one(&NUMBERS).into()
            } else {
                Operand::Imm(1 + rng.below(60) as i32)
            };
            vec![alu(op, number, src)]
        }
    }
}

/// How a loop counts: from where, by which step, and to where, which it may miss.
fn count(rng: &mut Rng, misses: bool) -> [i32; 3] {
    let times = 1 + rng.below(9) as i32;
    if rng.below(3) == 0 {
        return [times, -1, 0];
    }
    let step = rng.one(&[1, 1, 2, 4, 8, 32, 3, 1 << 16]);
    let from = rng.one(&[0, 0, 4, -8, 1 << 20]);
    let beside = i32::from(misses && rng.below(4) == 0);
    [from, step, from + times * step - beside]
}

/// An access through a pointer and the register that counts.
fn indexed(rng: &mut Rng) -> Vec<Insn> {
    let (to, number) = (rng.one(&POINTERS), rng.one(&NUMBERS));
    let (size, off) = (rng.one(&[Size::B, Size::W, Size::DW]), rng.below(40) as i16);
    let mut insns = Vec::new();
    // Where the pointer is one of its own, the sum is known before the first turn.
    if rng.below(4) != 0 {
        let from = rng.one(&[Reg::R1, Reg::R2, Reg::R10]);
        insns.push(alu(AluOp::Mov, to, from));
    }
    insns.push(alu(AluOp::Add, to, TURNS));
    insns.push(if rng.below(2) == 0 {
        let (sign, dst, base) = (false, number, to);
        Insn::Load {
            size,
            sign,
            dst,
            base,
            off,
        }
    } else {
        let (src, base) = (number.into(), to);
        Insn::Store {
            size,
            base,
            off,
            src,
        }
    });
    insns
}

/// A loop of one straight piece, with one of the two jumps back that compilers write.
fn turns(rng: &mut Rng, misses: bool) -> Vec<Insn> {
    let [from, step, to] = count(rng, misses);
    let mut body = Vec::new();
    let tame = rng.below(2) == 0;
    for _ in 0..2 + rng.below(if tame { 5 } else { 14 }) {
        body.extend(if tame { indexed(rng) } else { part(rng) });
    }
    body.push(alu(AluOp::Add, TURNS, Operand::Imm(step)));
    if misses && rng.below(6) == 0 {
        body.push(alu(AluOp::Add, BOUND, Operand::Imm(2 * step)));
    }
    let bound = if rng.below(3) == 0 {
        BOUND.into()
    } else {
        Operand::Imm(to)
    };
    let jump = |op, off| Insn::Jump {
        op,
        width: Width::W64,
        dst: TURNS,
        src: bound,
        off,
    };
    let below = step > 0 && rng.below(3) == 0;
    let back = -(body.len() as i16) - 1;
    let mut insns = vec![
        alu(AluOp::Mov, TURNS, Operand::Imm(from)),
        alu(AluOp::Mov, BOUND, Operand::Imm(to)),
    ];
    insns.extend(body);
    if rng.below(2) == 0 {
        let (off, far) = (i32::from(back) - 1, false);
        let op = if below { JmpOp::Ge } else { JmpOp::Eq };
        insns.extend([jump(op, 1), Insn::Goto { off, far }]);
    } else {
        let op = if below { JmpOp::Lt } else { JmpOp::Ne };
        insns.push(jump(op, back));
    }
    insns
}

fn program(rng: &mut Rng, misses: bool) -> ProgramSpec {
    let mut insns = vec![
        alu(AluOp::Mov, Reg::R6, Reg::R1),
        alu(AluOp::Mov, Reg::R7, Reg::R2),
        alu(AluOp::Mov, Reg::R8, Reg::R10),
        alu(AluOp::Add, Reg::R8, Operand::Imm(-256)),
    ];
    for (at, number) in NUMBERS.into_iter().enumerate() {
        insns.push(alu(AluOp::Mov, number, Operand::Imm(at as i32 + 3)));
    }
    for _ in 0..1 + rng.below(3) {
        insns.extend(turns(rng, misses));
    }
    for number in NUMBERS {
        insns.push(alu(AluOp::Mul, Reg::R0, Operand::Imm(31)));
        insns.push(alu(AluOp::Xor, Reg::R0, number));
    }
    insns.push(Insn::Exit);
    let slots: Vec<RawInsn> = insns.iter().map(|insn| encode(insn).0).collect();
    ProgramSpec::new("confined", ProgType::Unspec, slots)
}

/// What a program is given.
#[derive(Clone, Copy)]
struct Input {
    /// Whether guest memory lies elsewhere than at its own addresses.
    elsewhere: bool,
    budget: u64,
    /// Bytes from where guest memory begins, or to where it ends, to the address in R2.
    from_begin: Option<u64>,
    to_end: u64,
}

/// What comes of a run, and what is in guest memory afterwards.
fn run(spec: &ProgramSpec, opts: Opts, input: Input) -> (Result<u64, Stop>, Vec<u8>) {
    // The second of two kernels cannot have its memory at the same place.
    let neighbour = input.elsewhere.then(|| Sim::new(&[]).unwrap());
    let mut sim = Sim::new(&[]).unwrap();
    let mut jit = Jit::with_opts(opts);
    let id = jit.load(&mut sim, spec, &[]).unwrap();
    let at = sim.begin_memory(&[0x5a; 256]).unwrap();
    let begin = sim.memory().base();
    let end = begin + sim.memory().committed() as u64;
    let near = input.from_begin.map_or(end - input.to_end, |by| begin + by);
    let result = match jit.call(&mut sim, id, [at, near, 0, 0, 0], input.budget) {
        Ok(r0) => Ok(r0),
        Err(RunError::Stop(stop)) => Err(stop),
        Err(error) => panic!("{error}"),
    };
    let memory = sim.memory().bytes().to_vec();
    drop(neighbour);
    (result, memory)
}

/// Whether a trap is an access of a red zone at an end of guest memory, which is refused if it is checked.
fn at_an_end(result: &Result<u64, Stop>, memory: &[u8]) -> bool {
    let Err(stop) = result else { return false };
    let Trap::Memory(fault) = &stop.trap else {
        return false;
    };
    let zone = i128::from(layout::RED_ZONE);
    let at = i128::from(fault.addr) - i128::from(layout::BASE);
    let end = memory.len() as i128;
    (0..zone).contains(&at) || (end - zone - 8..end).contains(&at)
}

#[test]
fn loops_in_the_sandbox_do_the_same_in_any_order() {
    let mut rng = Rng(0x2545_f491_4f6c_dd1d);
    let (mut returned, mut trapped, mut spent) = (0, 0, 0);
    let (mut moved, mut hoisted) = (0, 0);
    for case in 0..PROGRAMS {
        let budget = [30, 300, 3000, u64::MAX][rng.below(4) as usize];
        // What misses its bound goes on until something ends it.
        let spec = program(&mut rng, budget != u64::MAX);
        let input = Input {
            elsewhere: case % 4 == 0,
            budget,
            from_begin: (rng.below(2) == 0).then(|| rng.below(300)),
            to_end: rng.below(300),
        };
        let got = run(&spec, Opts::ALL, input);
        for (opt, differ) in [
            (Opt::Schedule, &mut moved),
            (Opt::HoistChecks, &mut hoisted),
        ] {
            let without = Opts::ALL.without(opt);
            let want = run(&spec, without, input);
            assert_eq!(got.0, want.0, "{case}, {opt:?}: {spec:?}");
            assert!(got.1 == want.1, "{case}, {opt:?}: memory differs: {spec:?}");
            *differ += u64::from(code(&spec, Opts::ALL) != code(&spec, without));
        }
        let plain = run(&spec, Opts::NONE, input);
        if !at_an_end(&plain.0, &plain.1) {
            assert_eq!(got.0, plain.0, "{case}: {spec:?}");
            assert!(got.1 == plain.1, "{case}: memory differs: {spec:?}");
        }
        match got.0 {
            Ok(_) => returned += 1,
            Err(Stop {
                trap: Trap::Budget { limit },
                ..
            }) => {
                assert_eq!(limit, input.budget);
                spent += 1;
            }
            Err(_) => trapped += 1,
        }
    }
    assert!(returned > PROGRAMS / 5, "{returned} returned");
    assert!(trapped > PROGRAMS / 5, "{trapped} trapped");
    assert!(spent > PROGRAMS / 20, "{spent} used up their budget");
    assert!(moved > PROGRAMS / 5, "{moved} in another order");
    assert!(hoisted > PROGRAMS / 5, "{hoisted} checked before");
}

fn code(spec: &ProgramSpec, opts: Opts) -> Vec<u8> {
    let mut sim = Sim::new(&[]).unwrap();
    let mut jit = Jit::with_opts(opts);
    jit.load(&mut sim, spec, &[]).unwrap();
    jit.programs()[0].code().to_vec()
}
