//! Kernel functions that the program calls: found in the kernel's BTF once, before anything is walked.
//!
//! Whether the program may call them is asked only where a path reaches the call.

use skep_btf::{Btf, FuncProto, Kind, Type, TypeId};
use skep_isa::{RawInsn, opcode, pseudo};
use skep_spec::tables::{Hook, KfuncAccess, KfuncFlags, KfuncRole, KfuncRow, kfuncs};
use skep_spec::{Facts, ProgFlags, ProgramSpec};

use super::subprog::Fault;
use super::{InsnFlow, Subprog};
use crate::violation::{KfuncViolation, Stop};

/// Different functions that one program may call.
const MAX_KFUNCS: usize = 256;
/// Parameters that a prototype may have at most.
const MAX_PARAMS: usize = 12;
/// What the kernel's BTF tags functions with that are offered to programs.
const TAG: &str = "bpf_kfunc";
/// A function that every kernel offers, by which it is seen whether its BTF has tags.
const ALWAYS_OFFERED: &str = "bpf_rcu_read_lock";

/// A kernel function that the program calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kfunc<'a> {
    /// Its id in the kernel's BTF.
    pub(crate) id: u32,
    /// Its name.
    pub(crate) name: &'a str,
    /// Its prototype.
    pub(crate) proto: FuncProto<'a>,
    /// Whether the program may call it, and what it asks and gives.
    pub(crate) access: KfuncAccess,
    /// Its row, whoever may call it.
    pub(crate) known: Option<&'static KfuncRow>,
}

impl Kfunc<'_> {
    /// What it asks and gives, if the program may call it.
    pub(crate) fn row(&self) -> Option<&'static KfuncRow> {
        match self.access {
            KfuncAccess::Allowed(row) => Some(row),
            KfuncAccess::Refused | KfuncAccess::Unknown => None,
        }
    }

    /// Whether the verifier knows it as that, whoever may call it.
    pub(crate) fn is(&self, role: KfuncRole) -> bool {
        self.known.is_some_and(|row| row.role == role)
    }
}

/// The kernel functions that a program calls, ascending by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kfuncs<'a>(Vec<Kfunc<'a>>);

/// What a call does to registers, as far as that is known before it is reached
/// (`get_call_summary`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct CallSummary {
    /// Parameters.
    pub(super) params: usize,
    /// Nothing is returned.
    pub(super) is_void: bool,
    /// It is inlined and leaves registers alone.
    pub(super) fast: bool,
}

impl<'a> Kfuncs<'a> {
    /// Finds all functions that are called, dead code included (`add_kfunc_call`). Where the kernel's
    /// types are not known, none is found, and calls have no verdict.
    pub(super) fn find(
        spec: &ProgramSpec,
        facts: &'a Facts,
        hook: &Hook<'_>,
    ) -> Result<Kfuncs<'a>, Fault> {
        let mut found = Kfuncs::default();
        for (idx, insn) in spec.insns.iter().enumerate() {
            if is_kfunc_call(*insn) {
                found
                    .add(spec, facts, hook, *insn)
                    .map_err(|stop| (stop, Some(idx)))?;
            }
        }
        Ok(found)
    }

    fn add(
        &mut self,
        spec: &ProgramSpec,
        facts: &'a Facts,
        hook: &Hook<'_>,
        insn: RawInsn,
    ) -> Result<(), Stop> {
        let environment = facts.environment();
        if !environment.jit {
            return Err(KfuncViolation::NoJit.into());
        }
        if !environment.jit_kfuncs {
            return Err(KfuncViolation::JitSupport.into());
        }
        if !spec.is_gpl_compatible() {
            return Err(KfuncViolation::License.into());
        }
        if insn.off < 0 {
            return Err(KfuncViolation::NegativeModule.into());
        }
        if insn.off > 0 || insn.imm == 0 {
            // Functions of modules have no verdict; a call of nothing may be in dead code.
            return Ok(());
        }
        let Some(btf) = facts.btf() else {
            return Ok(());
        };
        let id = insn.imm as u32;
        let Err(place) = self.0.binary_search_by_key(&id, |kfunc| kfunc.id) else {
            return Ok(());
        };
        if self.0.len() >= MAX_KFUNCS {
            return Err(KfuncViolation::TooMany.into());
        }
        let kfunc = resolve(btf, id, facts, hook)?;
        check_device_bound(spec, &kfunc)?;
        self.0.insert(place, kfunc);
        Ok(())
    }

    /// Whether the program calls none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The function that a call names, by its id and the index of the module that has it.
    pub(crate) fn get(&self, id: i32, btf_idx: i16) -> Option<&Kfunc<'a>> {
        if btf_idx != 0 {
            return None;
        }
        let at = self
            .0
            .binary_search_by_key(&(id as u32), |kfunc| kfunc.id)
            .ok()?;
        self.0.get(at)
    }

    /// Whether a slot throws an exception.
    pub(crate) fn is_throw(&self, insn: RawInsn) -> bool {
        self.called(insn)
            .is_some_and(|kfunc| kfunc.is(KfuncRole::Throw))
    }

    /// Whether a slot calls a function that works on a tree.
    pub(crate) fn is_tree_call(&self, insn: RawInsn) -> bool {
        let kfunc = self.called(insn);
        kfunc.is_some_and(|kfunc| kfunc.is(KfuncRole::RbtreeAdd) || kfunc.is(KfuncRole::RbtreeNode))
    }

    /// Whether a slot calls a function that is none: kernels refuse it once dead code is gone.
    pub(crate) fn is_unresolved(&self, insn: RawInsn) -> bool {
        is_kfunc_call(insn) && insn.imm == 0
    }

    /// Whether a slot calls a function of which nothing is known, as it is one of a module, or the
    /// kernel's types are not known.
    pub(crate) fn is_unknown(&self, insn: RawInsn) -> bool {
        is_kfunc_call(insn) && insn.imm != 0 && self.called(insn).is_none()
    }

    fn called(&self, insn: RawInsn) -> Option<&Kfunc<'a>> {
        if !is_kfunc_call(insn) {
            return None;
        }
        self.get(insn.imm, insn.off)
    }

    /// What a call does to registers, if the program may make it.
    pub(super) fn summary(&self, insn: RawInsn) -> Option<CallSummary> {
        let kfunc = self.called(insn)?;
        Some(CallSummary {
            params: kfunc.proto.params.len().min(MAX_PARAMS),
            is_void: kfunc.proto.ret.is_void(),
            fast: kfunc.row()?.has(KfuncFlags::FASTCALL),
        })
    }

    /// Marks what states and summaries need to know of a call (`visit_insn`).
    pub(super) fn mark_call(&self, flow: &mut InsnFlow, subprog: &mut Subprog, insn: RawInsn) {
        let Some(kfunc) = self.called(insn) else {
            return;
        };
        if kfunc.is(KfuncRole::WqSetCallback) || kfunc.is(KfuncRole::TaskWork) {
            flow.prune_point = true;
        }
        if kfunc.is(KfuncRole::RbtreeAdd) {
            flow.calls_callback = true;
            flow.force_checkpoint = true;
            flow.prune_point = true;
            flow.jump_point = true;
        }
        let Some(row) = kfunc.row() else {
            return;
        };
        if row.has(KfuncFlags::ITER_NEXT) {
            flow.prune_point = true;
            flow.force_checkpoint = true;
            flow.iter_next = true;
        }
        subprog.might_sleep |= row.has(KfuncFlags::SLEEPABLE);
        subprog.changes_pkt_data |= row.has(KfuncFlags::CHANGES_PKT_DATA);
    }
}

fn is_kfunc_call(insn: RawInsn) -> bool {
    insn.code == opcode::CALL && insn.src() == pseudo::KFUNC_CALL
}

fn resolve<'a>(
    btf: &'a Btf,
    id: u32,
    facts: &Facts,
    hook: &Hook<'_>,
) -> Result<Kfunc<'a>, KfuncViolation> {
    let Ok(Type::Func(func)) = btf.ty(TypeId(id)) else {
        return Err(KfuncViolation::NoFunction { id });
    };
    let Some(proto) = btf.ty(func.proto).ok().and_then(Type::as_func_proto) else {
        return Err(KfuncViolation::NoPrototype { id });
    };
    let mut access = facts.kfunc(hook, func.name());
    if access == KfuncAccess::Unknown && !is_offered(btf, id) {
        access = KfuncAccess::Refused;
    }
    let known = kfuncs::named(func.name());
    Ok(Kfunc {
        id,
        name: func.name(),
        proto,
        access,
        known,
    })
}

/// Whether the kernel offers a function to programs, as far as its BTF tells.
fn is_offered(btf: &Btf, id: u32) -> bool {
    let has_tags = btf
        .find_by_name(Kind::Func, ALWAYS_OFFERED)
        .is_some_and(|id| btf.has_decl_tag(id, TAG));
    !has_tags || btf.has_decl_tag(TypeId(id), TAG)
}

/// Functions that ask a device's driver need a program that is bound to that device.
fn check_device_bound(spec: &ProgramSpec, kfunc: &Kfunc<'_>) -> Result<(), Stop> {
    if !kfunc.is(KfuncRole::DeviceMetadata) {
        return Ok(());
    }
    if spec.flags.contains(ProgFlags::XDP_DEV_BOUND_ONLY) {
        return Err(Stop::undecided("programs bound to a device"));
    }
    Err(KfuncViolation::NoDevice.into())
}
