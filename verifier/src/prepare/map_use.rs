//! Whether a program of its type may use a map at all, whatever it does with it.

use skep_spec::tables::Hook;
use skep_spec::{Facts, MapType};

use super::{FieldKind, MapInfo};
use crate::violation::FormViolation;

/// Maps that the program uses, noted in the order in which instructions name them.
pub(super) struct Used {
    seen: Vec<bool>,
    count: usize,
    has_arena: bool,
    cgroup_storage: [bool; 2],
}

impl Used {
    /// None yet.
    pub(super) fn new(maps: usize) -> Used {
        Used {
            seen: vec![false; maps],
            count: 0,
            has_arena: false,
            cgroup_storage: [false; 2],
        }
    }

    /// Notes that an instruction names a map; the first one decides (`__add_used_map`).
    pub(super) fn note(
        &mut self,
        index: usize,
        info: &MapInfo<'_>,
        facts: &Facts,
        hook: &Hook<'_>,
    ) -> Result<(), FormViolation> {
        match self.seen.get_mut(index) {
            Some(seen) if !*seen => *seen = true,
            Some(_) | None => return Ok(()),
        }
        check_compatible(info, facts, hook)?;
        let limit = facts.limits().maps;
        if self.count >= limit {
            return Err(FormViolation::TooManyMaps { limit });
        }
        self.count += 1;
        let ty = info.spec.ty;
        if ty == MapType::CgroupStorage {
            return self.note_storage(0);
        }
        if ty == MapType::PercpuCgroupStorage {
            return self.note_storage(1);
        }
        if ty == MapType::Arena && std::mem::replace(&mut self.has_arena, true) {
            return Err(FormViolation::SecondArena);
        }
        Ok(())
    }

    fn note_storage(&mut self, kind: usize) -> Result<(), FormViolation> {
        if std::mem::replace(&mut self.cgroup_storage[kind], true) {
            return Err(FormViolation::SecondCgroupStorage);
        }
        Ok(())
    }
}

/// `check_map_prog_compatibility`.
fn check_compatible(
    info: &MapInfo<'_>,
    facts: &Facts,
    hook: &Hook<'_>,
) -> Result<(), FormViolation> {
    let has = |kinds: &[FieldKind]| info.fields.iter().any(|field| kinds.contains(&field.kind));
    let refuse = |who, what| Err(FormViolation::MapFieldForType { who, what });
    let tracing = facts.prog_type(hook.ty).is_some_and(|row| row.tracing);
    if tracing && has(&[FieldKind::ListHead, FieldKind::RbRoot]) {
        return refuse("tracing", "bpf_{list_head,rb_root}");
    }
    let locks = has(&[FieldKind::SpinLock, FieldKind::ResSpinLock]);
    if locks && hook.ty == skep_spec::ProgType::SocketFilter {
        return refuse("socket filter", "bpf_spin_lock");
    }
    if tracing && has(&[FieldKind::SpinLock]) {
        return refuse("tracing", "bpf_spin_lock");
    }
    if tracing && has(&[FieldKind::Timer]) {
        return refuse("tracing", "bpf_timer");
    }
    if tracing && has(&[FieldKind::Workqueue]) {
        return refuse("tracing", "bpf_wq");
    }
    if info.spec.ty == MapType::StructOps {
        return Err(FormViolation::StructOpsMap);
    }
    if hook.sleepable
        && !facts
            .map_type(info.spec.ty)
            .is_some_and(|row| row.sleepable)
    {
        return Err(FormViolation::MapForSleepable);
    }
    Ok(())
}
