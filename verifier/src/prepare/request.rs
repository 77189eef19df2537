//! What is refused before or beside the program's instructions: flags, attach types, sleeping.

use skep_spec::tables::Hook;
use skep_spec::tables::prog_types::Sleep;
use skep_spec::{Facts, ProgFlags, ProgType, ProgramSpec};

use crate::violation::{FormViolation, RequestViolation, Stop};

/// Greatest BTF id that kernels know.
const MAX_TYPE: u32 = 0xf_ffff;
/// Flags that kernels know.
const KNOWN_FLAGS: u32 = 0xff;

/// Refusals of the system call itself, without a word in the log (`bpf_prog_load`).
pub(super) fn check_request(spec: &ProgramSpec, facts: &Facts) -> Result<(), Stop> {
    let lane = facts.lane();
    let limit = if lane.bpf {
        facts.limits().insns
    } else {
        facts.limits().insns_unprivileged
    };
    let len = spec.insns.len();
    if spec.flags.bits() & !KNOWN_FLAGS != 0 {
        return Err(RequestViolation::Flags {
            flags: spec.flags.bits(),
        }
        .into());
    }
    if len == 0 || len > limit {
        return Err(RequestViolation::Length { len, limit }.into());
    }
    let Some(row) = facts.prog_type(spec.ty) else {
        return Err(RequestViolation::ProgType.into());
    };
    if row.attach_type(spec.attach).is_none() {
        return Err(RequestViolation::AttachType.into());
    }
    if spec.attach_btf_id > MAX_TYPE || (spec.attach_btf_id != 0 && !takes_btf_id(spec.ty)) {
        return Err(RequestViolation::AttachBtfId.into());
    }
    if spec.flags.contains(ProgFlags::XDP_DEV_BOUND_ONLY) {
        return Err(Stop::undecided("programs bound to a device"));
    }
    Ok(())
}

fn takes_btf_id(ty: ProgType) -> bool {
    matches!(
        ty,
        ProgType::Tracing | ProgType::Lsm | ProgType::StructOps | ProgType::Ext
    )
}

/// Whether the program may be loaded as it says it sleeps (`check_attach_btf_id`). What comes after
/// needs the kernel's types.
pub(super) fn check_sleep(spec: &ProgramSpec, facts: &Facts, hook: &Hook<'_>) -> Result<(), Stop> {
    let Some(row) = facts.prog_type(spec.ty) else {
        return Ok(());
    };
    if !row.may_sleep(hook) {
        return Err(match row.sleep {
            Sleep::Must => FormViolation::MustSleep.into(),
            Sleep::No | Sleep::May(_) => FormViolation::MayNotSleep.into(),
        });
    }
    Ok(())
}
