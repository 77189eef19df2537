//! Names looked up in the kernel's types: externs, attach targets.

use crate::Options;
use crate::externs::{Extern, ExternKind, Externs};
use rustc_hash::FxHashMap;
use skep_btf::{Btf, Kind, Type, TypeId, essential_name, types_are_compatible};
use skep_spec::AttachType;

/// What became of an extern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// A configuration value: it is in the map `.kconfig`.
    Config,
    /// A function or variable with this id in the kernel's BTF.
    Id(u32),
    /// A symbol without type at this address; 0 if the kernel lacks it and the program copes.
    Address(u64),
    /// A function that the kernel lacks and the program copes without.
    MissingFunc,
    /// Not known, for this reason.
    Unknown(String),
}

/// Looks all externs up; `config` tells which configuration values are not known.
pub(crate) fn resolve(
    externs: &Externs,
    btf: Option<&Btf>,
    options: &Options,
    config: &FxHashMap<usize, String>,
) -> Vec<Resolution> {
    let one = |(index, ext): (usize, &Extern)| match ext.kind {
        ExternKind::Config { .. } => match config.get(&index) {
            Some(why) => Resolution::Unknown(why.clone()),
            None => Resolution::Config,
        },
        ExternKind::Var(TypeId::VOID) => resolve_address(ext, options),
        ExternKind::Var(ty) => match (btf, options.kernel_btf.as_deref()) {
            (Some(btf), Some(kernel)) => resolve_var(ext, btf, ty, kernel),
            _ => Resolution::Unknown(format!("kernel variable {}", ext.name)),
        },
        ExternKind::Func(proto) => match (btf, options.kernel_btf.as_deref()) {
            (Some(btf), Some(kernel)) => resolve_func(ext, btf, proto, kernel),
            _ => Resolution::Unknown(format!("kernel function {}", ext.name)),
        },
    };
    externs.list.iter().enumerate().map(one).collect()
}

fn resolve_address(ext: &Extern, options: &Options) -> Resolution {
    match options.symbols.get(&ext.name) {
        Some(address) => Resolution::Address(*address),
        None if ext.weak && !options.symbols.is_empty() => Resolution::Address(0),
        None => Resolution::Unknown(format!("address of kernel symbol {}", ext.name)),
    }
}

fn resolve_var(ext: &Extern, btf: &Btf, ty: TypeId, kernel: &Btf) -> Resolution {
    let unknown = |why: &str| Resolution::Unknown(format!("kernel variable {}: {why}", ext.name));
    let Some(id) = kernel.find_by_name(Kind::Var, &ext.name) else {
        if ext.weak {
            return Resolution::Address(0);
        }
        return unknown("the kernel has none");
    };
    let var = kernel.ty(id).ok().and_then(Type::as_var);
    let target = var.and_then(|v| kernel.skip_mods_and_typedefs(v.ty).ok());
    match target.map(|target| types_are_compatible(btf, ty, kernel, target)) {
        Some(Ok(true)) => Resolution::Id(id.0),
        Some(_) | None => unknown("the kernel's has another type"),
    }
}

fn resolve_func(ext: &Extern, btf: &Btf, proto: TypeId, kernel: &Btf) -> Resolution {
    let unknown = |why: &str| Resolution::Unknown(format!("kernel function {}: {why}", ext.name));
    let Some(id) = kernel.find_by_name(Kind::Func, essential_name(&ext.name)) else {
        return if ext.weak {
            Resolution::MissingFunc
        } else {
            unknown("the kernel has none")
        };
    };
    let target = kernel.ty(id).ok().and_then(Type::as_func).map(|f| f.proto);
    match target.map(|target| types_are_compatible(btf, proto, kernel, target)) {
        Some(Ok(true)) => Resolution::Id(id.0),
        _ if ext.weak => Resolution::MissingFunc,
        Some(_) | None => unknown("the kernel's has another prototype"),
    }
}

/// The id that a program of this attach type gives for `target` (`function` or
/// `module:function`), or why there is none.
pub(crate) fn attach_id(
    kernel: Option<&Btf>,
    attach: AttachType,
    target: &str,
) -> Result<u32, String> {
    let (module, name) = match target.split_once(':') {
        Some((module, name)) => (Some(module), name),
        None => (None, target),
    };
    if name.is_empty() {
        return Err("the section names no attach target".to_string());
    }
    if module.is_some_and(|m| !"vmlinux".starts_with(m)) {
        return Err(format!("attach target {target} is in a kernel module"));
    }
    let kernel = kernel.ok_or_else(|| format!("attach target {target} of the kernel"))?;
    let (prefix, kind) = if attach == AttachType::TraceRawTp {
        ("btf_trace_", Kind::Typedef)
    } else if matches!(attach, AttachType::LsmMac | AttachType::LsmCgroup) {
        ("bpf_lsm_", Kind::Func)
    } else if attach == AttachType::TraceIter {
        ("bpf_iter_", Kind::Func)
    } else {
        ("", Kind::Func)
    };
    let id = kernel.find_by_name(kind, &format!("{prefix}{name}"));
    id.map(|id| id.0)
        .ok_or_else(|| format!("attach target {target}: the kernel has none"))
}
