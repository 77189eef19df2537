//! Runs against what the verifier believes: at every step each register and spilled slot of the current
//! frame must lie in what some walked path knows of it at that instruction.
//!
//! The verifier explores everything (no state covers another), so that for every run there is a path that
//! it follows. Programs on which that does not end are left out.

use std::ops::ControlFlow;

use skep_interp::{Machine, Step};
use skep_isa::{InsnIdx, RawInsn, Reg, opcode, pseudo};
use skep_sim::{Config as SimConfig, Placement, Sim};
use skep_spec::{Facts, ProgramSpec};
use skep_verifier::number::Scalar;
use skep_verifier::report::{Known, StateView, Trace};
use skep_verifier::{Config, Prune, Verdict, verify};

use super::runs::{can_run, fill_maps, input};
use super::{Bench, Finding, Judged, Outcome};
use crate::Rng;

/// Instructions that the verifier may process.
const PROCESSED: u64 = 4_000;
/// Runs of each program.
const RUNS: u32 = 4;
/// Instructions that one run may execute.
const BUDGET: u64 = 20_000;
/// Bytes of guest memory.
const ARENA: usize = 32 << 20;

pub(super) fn judge(bench: &Bench, spec: &ProgramSpec, seed: u64) -> Judged {
    let outcome = abstract_contains_concrete(spec, bench.facts(), seed);
    let here = (!matches!(outcome, Outcome::Skipped(_))).then_some(true);
    Judged {
        here,
        ..Judged::new(outcome)
    }
}

/// States by instruction.
struct States(Vec<Vec<StateView>>);

impl Trace for States {
    fn level(&self) -> u32 {
        0
    }

    fn write(&mut self, _: &str) {}

    fn position(&self) -> usize {
        0
    }

    fn rewind(&mut self, _: usize) {}

    fn wants_states(&self) -> bool {
        true
    }

    fn state(&mut self, at: InsnIdx, state: &StateView) {
        if let Some(states) = self.0.get_mut(at) {
            states.push(state.clone());
        }
    }
}

/// Runs an accepted program on inputs that the seed determines and looks every step up.
pub fn abstract_contains_concrete(spec: &ProgramSpec, facts: &Facts, seed: u64) -> Outcome {
    if !can_run(spec.ty) {
        return Outcome::Skipped("programs of its type are not run");
    }
    // What such loops do to registers nobody reads again is forgotten when states are compared.
    let compares = |insn: &RawInsn| {
        insn.code == opcode::JCOND || insn.is_ld_imm64() && insn.src() == pseudo::FUNC
    };
    if spec.insns.iter().any(compares) {
        return Outcome::Skipped("it has loops that end by comparing states");
    }
    let config = Config {
        prune: Prune::Nothing,
        max_processed: Some(PROCESSED),
    };
    let mut states = States(vec![Vec::new(); spec.insns.len()]);
    match verify(spec, facts, &config, &mut states) {
        Verdict::Accepted(_) => {}
        Verdict::Rejected(_) => return Outcome::Skipped("it is rejected"),
        Verdict::Undecided(_) => return Outcome::Skipped("it has too many paths"),
    }
    let mut rng = Rng::new(seed);
    let config = SimConfig {
        arena: ARENA,
        placement: Placement::Buffer,
        seed: rng.next(),
        ..SimConfig::default()
    };
    let Ok(mut sim) = Sim::with_config(config, &spec.maps) else {
        return Outcome::Skipped("its maps are not simulated");
    };
    let mut machine = Machine::new();
    let Ok(prog) = machine.load(&mut sim, spec) else {
        return Outcome::Skipped("it is not simulated");
    };
    fill_maps(&mut sim, &mut rng);
    for _ in 0..RUNS {
        let input = input(spec, &mut rng);
        let mut fault = None;
        let look = |step: &Step<'_>| {
            fault = contradiction(&states, step);
            match fault {
                Some(_) => ControlFlow::Break(()),
                None => ControlFlow::Continue(()),
            }
        };
        // How it ends is another oracle's question.
        let _ = machine.run_observed(&mut sim, prog, &input, BUDGET, look);
        if let Some(finding) = fault {
            return Outcome::Found(finding);
        }
    }
    Outcome::Fine
}

/// What no path knows at that instruction.
fn contradiction(states: &States, step: &Step<'_>) -> Option<Finding> {
    let at = step.insn_idx;
    let known = states.0.get(at).map(Vec::as_slice).unwrap_or_default();
    let mut nearest: Option<(usize, String)> = None;
    for state in known {
        match first_fault(state, step) {
            None => return None,
            Some((place, text)) => {
                if nearest.as_ref().is_none_or(|(best, _)| place > *best) {
                    nearest = Some((place, text));
                }
            }
        }
    }
    let (kind, text) = match nearest {
        None => ("reached".to_owned(), "no path leads there".to_owned()),
        Some((_, text)) => ("outside".to_owned(), text),
    };
    Some(Finding {
        kind,
        text: format!("instruction {at}: {text}"),
    })
}

/// The first register or slot that lies outside, and how many lie inside before it.
fn first_fault(state: &StateView, step: &Step<'_>) -> Option<(usize, String)> {
    let fp = *step.regs.get(usize::from(Reg::FP.number()))?;
    for (reg, value) in step.regs.iter().enumerate() {
        if !holds(state.known(reg), *value, fp) {
            let text = format!("r{reg} is {value:#x}, believed {:?}", state.known(reg));
            return Some((reg, text));
        }
    }
    for slot in 0..state.slots() {
        let off = 8 * (slot as u64 + 1);
        let Some(bytes) = step.sim.memory().load::<8>(fp.wrapping_sub(off)) else {
            continue;
        };
        let value = u64::from_le_bytes(bytes);
        if !holds(state.known_slot(slot), value, fp) {
            let known = state.known_slot(slot);
            let text = format!("the slot at -{off} is {value:#x}, believed {known:?}");
            return Some((step.regs.len() + slot, text));
        }
    }
    None
}

fn holds(known: Known, value: u64, fp: u64) -> bool {
    let apart = |base: u64, off: i32, var: &Scalar| {
        var.has(value.wrapping_sub(base).wrapping_sub(i64::from(off) as u64))
    };
    match known {
        Known::Nothing | Known::Context { .. } => true,
        // A number that contradicts itself is one that no run sees.
        Known::Number(number) => number.has(value),
        Known::Stack { off, var } => apart(fp, off, &var),
        Known::Pointer { maybe_null } => maybe_null || value != 0,
    }
}
