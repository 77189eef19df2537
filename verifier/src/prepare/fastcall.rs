//! Fast calls: spills and fills around a call that the kernel may take out again.
//!
//! The pattern changes no count, but while it is intact its stack is not counted. A compiler that
//! knows fast calls puts them at the lowest offsets of a subprogram and nowhere else.

use skep_isa::{InsnIdx, RawInsn, opcode};
use skep_spec::Facts;
use skep_spec::tables::{HelperFlags, Hook, RetType};

use super::kfunc::CallSummary;
use super::{Kfuncs, Subprog};

const SPILL: u8 = 0x7b;
const FILL: u8 = 0x79;
const FP: u8 = 10;
const CALLER_SAVED: u16 = 0b11_1111;
/// Number of `bpf_get_smp_processor_id`, which the verifier itself inlines.
const GET_SMP_PROCESSOR_ID: i32 = 8;

/// What the patterns of a program are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fastcalls {
    /// By slot: it is a spill or fill of a pattern.
    pub(crate) member: Vec<bool>,
    /// By slot: pairs around that call which may be taken out.
    pub(crate) pairs: Vec<u8>,
}

/// Finds the patterns, and notes in `subprogs` the lowest offset that belongs to them
/// (`mark_fastcall_patterns`).
pub(super) fn find_fastcalls(
    insns: &[RawInsn],
    hook: &Hook<'_>,
    facts: &Facts,
    kfuncs: &Kfuncs<'_>,
    subprogs: &mut [Subprog],
) -> Fastcalls {
    let mut found = Fastcalls {
        member: vec![false; insns.len()],
        pairs: vec![0; insns.len()],
    };
    for subprog in subprogs {
        let range = subprog.start..subprog.end;
        let spills = insns[range.clone()]
            .iter()
            .filter(|i| i.code == SPILL && i.dst() == FP);
        let lowest = spills.map(|i| i.off).min().unwrap_or(0).min(0);
        for idx in range {
            if insns[idx].code != opcode::CALL {
                continue;
            }
            if let Some(call) = summary(insns[idx], hook, facts, kfuncs) {
                mark(&mut found, insns, idx, call, subprog, lowest);
            }
        }
    }
    found
}

fn mark(
    found: &mut Fastcalls,
    insns: &[RawInsn],
    at: InsnIdx,
    call: CallSummary,
    subprog: &mut Subprog,
    lowest: i16,
) {
    let first = if call.is_void { 1 } else { 0 };
    let clobbered = ((1u16 << (call.params + 1)) - 1) & !((1 << first) - 1);
    let mut expected = !clobbered & CALLER_SAVED;
    let mut off = lowest;
    let mut pairs = 0;
    for distance in 1..=6 {
        let (Some(before), after) = (at.checked_sub(distance), at + distance) else {
            break;
        };
        let (Some(spill), Some(fill)) = (insns.get(before), insns.get(after)) else {
            break;
        };
        let is_pair = spill.code == SPILL
            && fill.code == FILL
            && spill.dst() == FP
            && fill.src() == FP
            && spill.src() == fill.dst()
            && spill.off == off
            && fill.off == off;
        if !is_pair || expected & (1 << spill.src()) == 0 {
            break;
        }
        expected &= !(1 << spill.src());
        found.member[before] = true;
        found.member[after] = true;
        pairs += 1;
        off = off.saturating_add(8);
    }
    if pairs == 0 {
        return;
    }
    if call.fast {
        found.pairs[at] = pairs;
    } else {
        subprog.keeps_fastcall_stack = true;
    }
    subprog.fastcall_stack_off = subprog.fastcall_stack_off.min(i32::from(off));
}

/// `get_call_summary`.
fn summary(
    insn: RawInsn,
    hook: &Hook<'_>,
    facts: &Facts,
    kfuncs: &Kfuncs<'_>,
) -> Option<CallSummary> {
    if insn.src() != 0 {
        return kfuncs.summary(insn);
    }
    let proto = facts.helper(hook, insn.imm as u32)?;
    let environment = facts.environment();
    let inlined =
        insn.imm == GET_SMP_PROCESSOR_ID && environment.jit && environment.jit_percpu_insn;
    let fast = proto.has(HelperFlags::ALLOW_FASTCALL) && inlined;
    let is_void = proto.ret.ty == RetType::Void;
    Some(CallSummary {
        params: proto.args.len(),
        is_void,
        fast,
    })
}
