//! The instruction set's tests of `corpus/conformance/`, through the interpreter.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use skep_corpus::conformance::{Case, Expect, cases, ready};
use skep_interp::{BUDGET, Machine, Nobody};
use skep_isa::{CallTarget, Imm64, Insn, RawInsn, decode};
use skep_sim::{Config, Placement, Sim};
use skep_spec::{ProgType, ProgramSpec};

fn run(case: &Case) -> Result<u64, String> {
    let slots = ready(&case.slots).map_err(|e| e.to_string())?;
    let config = Config {
        placement: Placement::Buffer,
        ..Config::default()
    };
    let mut sim = Sim::with_config(config, &[]).unwrap();
    let mut machine = Machine::new();
    let spec = ProgramSpec::new(&case.name, ProgType::Unspec, slots);
    let prog = machine.load(&mut sim, &spec).map_err(|e| e.to_string())?;
    let memory = sim.begin_memory(&case.memory).unwrap();
    let args = [memory, case.memory.len() as u64, 0, 0, 0];
    let result = machine.call(&mut sim, prog, args, BUDGET, Nobody);
    result.map(|(r0, _)| r0).map_err(|e| e.to_string())
}

#[test]
fn every_test_gives_what_the_standard_says() {
    let cases = cases().unwrap();
    let mut faults = Vec::new();
    for case in &cases {
        let got = run(case);
        let same = match (&case.expect, &got) {
            (Expect::R0(want), Ok(r0)) => want == r0,
            (Expect::Refused(why), Err(error)) => error.contains(why.as_str()),
            (Expect::R0(_) | Expect::Refused(_), Ok(_) | Err(_)) => false,
        };
        if !same {
            faults.push(format!(
                "{}: {}: {:x?}, not {:x?}",
                case.file, case.name, got, case.expect
            ));
        }
    }
    assert!(
        faults.is_empty(),
        "{} of {}:\n{}",
        faults.len(),
        cases.len(),
        faults.join("\n")
    );
    assert!(cases.len() > 800, "only {} tests", cases.len());
}

/// What tells an instruction from its kin: its opcode, and the fields that select a variant of it.
fn kind(raw: RawInsn, insn: &Insn) -> Option<(u8, i16, i32)> {
    Some(match insn {
        Insn::Alu { .. } | Insn::MovSx { .. } => (raw.code, raw.off, 0),
        Insn::Endian { .. }
        | Insn::Atomic { .. }
        | Insn::LoadAcquire { .. }
        | Insn::StoreRelease { .. } => (raw.code, 0, raw.imm),
        Insn::Call(CallTarget::Subprog(_)) => (raw.code, 1, 0),
        Insn::Neg { .. }
        | Insn::Load { .. }
        | Insn::Store { .. }
        | Insn::Jump { .. }
        | Insn::Goto { .. }
        | Insn::Exit
        | Insn::LoadImm64 {
            imm: Imm64::Value(_),
            ..
        } => (raw.code, 0, 0),
        // Maps, helpers, packets and loop budgets are the kernel's, not the instruction set's.
        Insn::LoadImm64 { .. }
        | Insn::Imm64Hi
        | Insn::AddrSpaceCast { .. }
        | Insn::LoadPacket { .. }
        | Insn::MayGoto { .. }
        | Insn::Call(_)
        | Insn::CallReg(_) => return None,
    })
}

/// Every instruction that decodes, by trying opcodes with the fields that select variants.
fn all_kinds() -> BTreeSet<(u8, i16, i32)> {
    let mut kinds = BTreeSet::new();
    for code in 0..=255 {
        for src in [0, 1] {
            for off in [0, 1, 8, 16, 32] {
                for imm in (0..=0x120).chain([1 << 16]) {
                    let raw = RawInsn::new(code, 0, src, off, imm);
                    let pair = [raw, RawInsn::default()];
                    if let Ok(insn) = decode(&pair, 0) {
                        kinds.extend(kind(raw, &insn));
                    }
                }
            }
        }
    }
    kinds
}

#[test]
fn every_instruction_has_a_test() {
    let mut tested = BTreeSet::new();
    for case in cases().unwrap() {
        for (at, raw) in case.slots.iter().enumerate() {
            if matches!(case.expect, Expect::R0(_))
                && let Ok(insn) = decode(&case.slots, at)
            {
                tested.extend(kind(*raw, &insn));
            }
        }
    }
    let missing: Vec<_> = all_kinds().difference(&tested).cloned().collect();
    assert!(missing.is_empty(), "untested: {missing:x?}");
}
