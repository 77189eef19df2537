//! Whole logs of small programs, as Linux 6.18.44 writes them.

use std::sync::Arc;

use skep_isa::{AluOp, CallTarget, Imm64, Insn, JmpOp, Operand, RawInsn, Reg, Size, Width, encode};
use skep_spec::{Facts, MapSpec, MapType, Profile, ProgType, ProgramSpec};

use super::{Log, StepKind, explain, message};
use crate::{Config, Rejection, Verdict, verify};

fn program(insns: &[Insn]) -> ProgramSpec {
    let mut raw: Vec<RawInsn> = Vec::new();
    for insn in insns {
        let (first, second) = encode(insn);
        raw.push(first);
        raw.extend(second);
    }
    ProgramSpec::new("test", ProgType::SocketFilter, raw)
}

fn facts() -> Facts {
    Facts::new(Profile::linux_6_18())
}

fn log(spec: &ProgramSpec, level: u32) -> String {
    let mut log = Log::new(level);
    verify(spec, &facts(), &Config::default(), &mut log);
    log.text().to_owned()
}

fn rejection(spec: &ProgramSpec) -> Rejection {
    let mut log = Log::new(1);
    match verify(spec, &facts(), &Config::default(), &mut log) {
        Verdict::Rejected(rejection) => *rejection,
        other @ (Verdict::Accepted(_) | Verdict::Undecided(_)) => panic!("{other:?}"),
    }
}

fn mov(dst: Reg, imm: i32) -> Insn {
    alu(AluOp::Mov, dst, Operand::Imm(imm))
}

fn copy(dst: Reg, src: Reg) -> Insn {
    alu(AluOp::Mov, dst, Operand::Reg(src))
}

fn alu(op: AluOp, dst: Reg, src: Operand) -> Insn {
    Insn::Alu {
        op,
        width: Width::W64,
        dst,
        src,
    }
}

fn jump(op: JmpOp, dst: Reg, imm: i32, off: i16) -> Insn {
    Insn::Jump {
        op,
        width: Width::W64,
        dst,
        src: Operand::Imm(imm),
        off,
    }
}

fn call(id: i32) -> Insn {
    Insn::Call(CallTarget::Helper(id))
}

/// `r0 = 0; do r0 += 3 while (r0 < 8)`.
fn loop_to_eight() -> ProgramSpec {
    program(&[
        mov(Reg::R0, 0),
        alu(AluOp::Add, Reg::R0, Operand::Imm(3)),
        jump(JmpOp::Lt, Reg::R0, 8, -2),
        Insn::Exit,
    ])
}

#[test]
fn a_loop_is_logged_with_its_marks() {
    assert_eq!(
        log(&loop_to_eight(), 2),
        "func#0 @0
Live regs before insn:
      0: .......... (b7) r0 = 0
  1   1: 0......... (07) r0 += 3
  1   2: 0......... (a5) if r0 < 0x8 goto pc-2
      3: 0......... (95) exit
0: R1=ctx() R10=fp0
0: (b7) r0 = 0                        ; R0=0
1: (07) r0 += 3                       ; R0=3
2: (a5) if r0 < 0x8 goto pc-2
mark_precise: frame0: last_idx 2 first_idx 0 subseq_idx -1 
mark_precise: frame0: regs=r0 stack= before 1: (07) r0 += 3
mark_precise: frame0: regs=r0 stack= before 0: (b7) r0 = 0
2: R0=3
1: (07) r0 += 3                       ; R0=6
2: (a5) if r0 < 0x8 goto pc-2
mark_precise: frame0: last_idx 2 first_idx 0 subseq_idx -1 
mark_precise: frame0: regs=r0 stack= before 1: (07) r0 += 3
mark_precise: frame0: regs=r0 stack= before 2: (a5) if r0 < 0x8 goto pc-2
mark_precise: frame0: regs=r0 stack= before 1: (07) r0 += 3
mark_precise: frame0: regs=r0 stack= before 0: (b7) r0 = 0
2: R0=6
1: (07) r0 += 3                       ; R0=9
2: (a5) if r0 < 0x8 goto pc-2
mark_precise: frame0: last_idx 2 first_idx 0 subseq_idx -1 
mark_precise: frame0: regs=r0 stack= before 1: (07) r0 += 3
mark_precise: frame0: regs=r0 stack= before 2: (a5) if r0 < 0x8 goto pc-2
mark_precise: frame0: regs=r0 stack= before 1: (07) r0 += 3
mark_precise: frame0: regs=r0 stack= before 2: (a5) if r0 < 0x8 goto pc-2
mark_precise: frame0: regs=r0 stack= before 1: (07) r0 += 3
mark_precise: frame0: regs=r0 stack= before 0: (b7) r0 = 0
2: R0=9
3: (95) exit
processed 8 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"
    );
}

#[test]
fn an_accepted_program_leaves_the_counts_below_level_two() {
    let counts = "processed 8 insns (limit 1000000) max_states_per_insn 0 total_states 0 \
                  peak_states 0 mark_read 0\n";
    assert_eq!(log(&loop_to_eight(), 1), counts);
    assert_eq!(log(&loop_to_eight(), 4), format!("stack depth 0\n{counts}"));
    assert_eq!(log(&loop_to_eight(), 0), "");
}

/// A lookup whose result is used where it is null.
fn unchecked_lookup() -> ProgramSpec {
    let mut spec = program(&[
        Insn::Store {
            size: Size::W,
            base: Reg::FP,
            off: -4,
            src: Operand::Imm(0),
        },
        copy(Reg::R2, Reg::FP),
        alu(AluOp::Add, Reg::R2, Operand::Imm(-4)),
        Insn::LoadImm64 {
            dst: Reg::R1,
            imm: Imm64::Map(0),
        },
        call(1),
        jump(JmpOp::Ne, Reg::R0, 0, 1),
        Insn::Load {
            size: Size::W,
            sign: false,
            dst: Reg::R0,
            base: Reg::R0,
            off: 0,
        },
        mov(Reg::R0, 0),
        Insn::Exit,
    ]);
    spec.maps = vec![Arc::new(MapSpec::new(
        "counts_of_everything",
        MapType::Hash,
        4,
        8,
        16,
    ))];
    spec
}

#[test]
fn a_rejected_program_leaves_the_path_to_the_fault() {
    assert_eq!(
        log(&unchecked_lookup(), 1),
        "0: R1=ctx() R10=fp0
0: (62) *(u32 *)(r10 -4) = 0          ; R10=fp0 fp-8=0000????
1: (bf) r2 = r10                      ; R2=fp0 R10=fp0
2: (07) r2 += -4                      ; R2=fp-4
3: (18) r1 = map[counts_of_every]     ; R1=map_ptr(map=counts_of_every,ks=4,vs=8)
5: (85) call bpf_map_lookup_elem#1    ; R0=map_value_or_null(id=1,map=counts_of_every,ks=4,vs=8)
6: (55) if r0 != 0x0 goto pc+1        ; R0=0
7: (61) r0 = *(u32 *)(r0 +0)
R0 invalid mem access 'scalar'
processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"
    );
}

#[test]
fn a_rejection_is_explained_with_registers_and_path() {
    let spec = unchecked_lookup();
    let rejection = rejection(&spec);
    let told = explain(&rejection, &spec, &facts());
    assert_eq!(
        told.headline,
        message(&rejection.violation, &spec, &facts())
    );
    assert_eq!(told.category.name(), "null-pointer");
    assert_eq!(told.what, "R0 is null on this path.");
    let insn = told.insn.expect("an instruction is at fault");
    assert_eq!((insn.idx, insn.text.as_str()), (7, "r0 = *(u32 *)(r0 +0)"));
    assert_eq!((insn.function.as_str(), insn.source), ("test", None));
    let regs: Vec<_> = told
        .regs
        .iter()
        .map(|r| (r.reg, r.value.as_str(), r.meaning.as_str()))
        .collect();
    assert_eq!(regs, [(Reg::R0, "0", "the number 0")]);
    let steps: Vec<_> = told
        .path
        .iter()
        .map(|s| (s.kind, s.insn.idx, s.to))
        .collect();
    assert_eq!(steps, [(StepKind::NotTaken, 6, 7)]);
}

#[test]
fn an_infinite_loop_shows_both_states() {
    let spec = program(&[mov(Reg::R0, 0), jump(JmpOp::Eq, Reg::R1, 0, -1), Insn::Exit]);
    let text = message(&rejection(&spec).violation, &spec, &facts());
    assert_eq!(
        text,
        "infinite loop detected at insn 1\n\
         cur state: R0=0 R1=ctx() R10=fp0\n\
         old state: R0=0 R1=ctx() R10=fp0"
    );
}

#[test]
fn a_request_that_kernels_refuse_silently_has_words_all_the_same() {
    let spec = program(&[]);
    let rejection = rejection(&spec);
    assert_eq!(message(&rejection.violation, &spec, &facts()), "");
    assert_eq!(
        explain(&rejection, &spec, &facts()).headline,
        "The program is empty."
    );
    assert_eq!(log(&spec, 1), "");
}

#[test]
fn below_level_two_a_finished_path_leaves_nothing() {
    let spec = program(&[
        jump(JmpOp::Eq, Reg::R1, 0, 2),
        mov(Reg::R0, 0),
        Insn::Exit,
        copy(Reg::R0, Reg::R6),
        Insn::Exit,
    ]);
    assert_eq!(
        log(&spec, 1),
        "0: R1=ctx() R10=fp0
0: (15) if r1 == 0x0 goto pc+2 3: R1=ctx() R10=fp0
3: (bf) r0 = r6
R6 !read_ok
processed 4 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"
    );
}

#[test]
fn what_is_refused_before_the_walk_has_counts_of_nothing() {
    let spec = program(&[mov(Reg::R0, 0), Insn::Exit, Insn::Exit]);
    assert_eq!(
        log(&spec, 4),
        "unreachable insn 2
stack depth 0
processed 0 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"
    );
}
