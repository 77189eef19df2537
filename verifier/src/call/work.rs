//! Work queues and task work, which lie in map values: what they call runs later, where it may sleep.

use skep_isa::Reg;
use skep_spec::tables::KfuncRole;

use super::kfunc::{KfuncMeta, unmodelled};
use super::kfunc_kind::Parameter;
use crate::env::Env;
use crate::prepare::FieldKind;
use crate::state::{Region, ReturnRange, Value};
use crate::violation::{Check, KfuncArgViolation};

impl Env<'_> {
    /// A work queue or task work in a map's value (`process_wq_func`, `process_task_work_func`).
    pub(super) fn check_work(
        &self,
        meta: &mut KfuncMeta<'_>,
        reg: Reg,
        value: &Value,
        kind: Parameter,
    ) -> Check<()> {
        let Value::Pointer(pointer) = value else {
            return Err(unmodelled(&meta.kfunc));
        };
        let field = if kind == Parameter::Workqueue {
            FieldKind::Workqueue
        } else {
            FieldKind::TaskWork
        };
        self.check_field(reg, pointer, field)?;
        if let Region::MapValue { map, uid } = pointer.region {
            meta.map = Some((map, uid));
        }
        Ok(())
    }

    /// The map argument: what lies in a map's value must be given the very map.
    pub(super) fn note_kfunc_map(&self, meta: &mut KfuncMeta<'_>, value: &Value) -> Check<()> {
        let map = match value.pointer().map(|p| p.region) {
            Some(
                Region::ConstMap { map, uid }
                | Region::MapValue { map, uid }
                | Region::MapKey { map, uid },
            ) => Some((map, uid)),
            _ => None,
        };
        let Some((work, work_uid)) = meta.map else {
            meta.map = map;
            return Ok(());
        };
        let Some((map, map_uid)) = map else {
            return Err(unmodelled(&meta.kfunc));
        };
        let fields = &self.ctx.map(map).fields;
        if fields.is_empty() {
            // Kernels look for a record that is not there.
            return Err(unmodelled(&meta.kfunc));
        }
        let has = |kind| fields.iter().any(|field| field.kind == kind);
        let task = has(FieldKind::TaskWork);
        let differs = (work, work_uid) != (map, map_uid);
        if differs && (task || has(FieldKind::Workqueue)) {
            return Err(KfuncArgViolation::OtherMap {
                task,
                work_uid,
                map_uid,
            }
            .into());
        }
        meta.map = Some((map, map_uid));
        Ok(())
    }

    /// Functions that name the callback of a work queue or task work: the same, where it may sleep.
    pub(super) fn call_work_later(&mut self, meta: &KfuncMeta<'_>) -> Check<()> {
        let returns = if meta.row.role == KfuncRole::TaskWork {
            ReturnRange {
                min: i32::MIN,
                max: i32::MAX,
            }
        } else {
            ReturnRange { min: 0, max: 0 }
        };
        self.push_async_callback(meta.callback, meta.map, returns, true)
    }
}
