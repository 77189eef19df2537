//! Variables and functions of the kernel whose addresses the program asks for
//! (`check_pseudo_btf_id`).

use skep_btf::{Btf, Kind, Type, TypeId};
use skep_isa::InsnIdx;
use skep_spec::{Facts, ProgramSpec};

use crate::state::{BtfSource, Pointer, PtrFlags, Region, Value};
use crate::violation::{KernelViolation, Stop};

/// The kernel's section of per-CPU variables.
const PERCPU_SECTION: &str = ".data..percpu";

/// Whether the variable that a 64-bit immediate names is there.
pub(super) fn check_variable(spec: &ProgramSpec, facts: &Facts, idx: InsnIdx) -> Result<(), Stop> {
    let in_module = spec.insns.get(idx + 1).is_some_and(|high| high.imm != 0);
    if in_module {
        return Err(Stop::undecided("addresses of modules' variables"));
    }
    match spec.insns.get(idx) {
        Some(insn) => variable(facts, insn.imm).map(|_| ()),
        None => Ok(()),
    }
}

/// What the address of a kernel variable or function is.
pub(super) fn variable(facts: &Facts, id: i32) -> Result<Value, Stop> {
    let Some(btf) = facts.btf() else {
        return Err(Stop::undecided(
            "addresses of variables of a kernel whose types are not known",
        ));
    };
    let id = id as u32;
    let var = match btf.ty(TypeId(id)) {
        Err(_) => return Err(KernelViolation::NoSuchVariable { id }.into()),
        Ok(Type::Func(_)) => return Ok(memory(0)),
        Ok(Type::Var(var)) => var,
        Ok(_) => return Err(KernelViolation::NotVariable { id }.into()),
    };
    if !facts.environment().kallsyms_all {
        return Err(KernelViolation::NoAddress { id }.into());
    }
    let structure = |flags| {
        let region = Region::Btf {
            source: BtfSource::Kernel,
            id: var.ty.0,
        };
        Value::Pointer(Pointer::new(region, flags))
    };
    if is_percpu(btf, TypeId(id)) {
        return Ok(structure(PtrFlags::PERCPU));
    }
    match btf.resolve(var.ty) {
        Ok((_, Type::Struct(_) | Type::Union(_))) => Ok(structure(PtrFlags::empty())),
        Ok((resolved, _)) => match btf.size_of(resolved) {
            Ok(size) => Ok(memory(size)),
            Err(_) => Err(KernelViolation::VariableSize { id: resolved.0 }.into()),
        },
        Err(_) => Err(KernelViolation::VariableSize { id: var.ty.0 }.into()),
    }
}

fn memory(size: u32) -> Value {
    let region = Region::Mem { size, dynptr_id: 0 };
    Value::Pointer(Pointer::new(region, PtrFlags::RDONLY))
}

fn is_percpu(btf: &Btf, id: TypeId) -> bool {
    let section = btf.find_by_name(Kind::DataSec, PERCPU_SECTION);
    let section = section
        .and_then(|id| btf.ty(id).ok())
        .and_then(Type::as_datasec);
    section.is_some_and(|section| section.vars.iter().any(|var| var.ty == id))
}
