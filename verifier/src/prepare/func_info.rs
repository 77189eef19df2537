//! Function and line info: they must fit the program, and they say which subprograms are global and
//! what their arguments are.

use skep_btf::{Btf, FuncLinkage, Kind, Type, TypeId};
use skep_isa::InsnIdx;
use skep_spec::tables::Hook;
use skep_spec::{Facts, ProgType, ProgramSpec};

use super::subprog::Fault;
use super::{Ctx, GlobalArg, Subprog};
use crate::strings::has_string;
use crate::violation::{FormViolation, Stop};

/// Arguments that a global function may have.
const MAX_ARGS: usize = 5;
/// Bytes of a function's name: kernels take no BTF with longer ones.
const MAX_NAME: usize = 511;

fn fault(violation: FormViolation, at: Option<InsnIdx>) -> Fault {
    (violation.into(), at)
}

/// What can be checked before subprograms are known (`check_btf_func_early`).
pub(super) fn check_early(spec: &ProgramSpec) -> Result<(), Fault> {
    let mut before: Option<u32> = None;
    for record in &spec.func_info {
        let off = record.insn_off;
        match before {
            None if off != 0 => return Err(fault(FormViolation::FirstFuncOffset { off }, None)),
            Some(before) if off <= before => {
                return Err(fault(FormViolation::FuncOrder { off, before }, None));
            }
            None | Some(_) => {}
        }
        let is_func = func_of(spec, record.type_id).is_some();
        if !is_func {
            return Err(fault(FormViolation::FuncType { id: record.type_id }, None));
        }
        before = Some(off);
    }
    Ok(())
}

/// Where the handler of exceptions begins, if the main program's declaration names one
/// (`bpf_find_exception_callback_insn_off`).
pub(super) fn find_exception_callback(spec: &ProgramSpec) -> Result<Option<InsnIdx>, Fault> {
    const TAG: &str = "exception_callback:";
    let Some(main) = spec.func_info.first() else {
        return Ok(None);
    };
    let Some(btf) = spec.btf.as_deref() else {
        return Ok(None);
    };
    let mut names = btf
        .decl_tags(TypeId(main.type_id))
        .filter(|tag| tag.component.is_none());
    let mut named = names
        .by_ref()
        .filter_map(|tag| tag.name().strip_prefix(TAG));
    let Some(name) = named.next() else {
        return Ok(None);
    };
    if named.next().is_some() {
        return Err(fault(FormViolation::ExceptionCallbacks, None));
    }
    let callback = || name.to_owned();
    let Some(id) = btf.find_by_name(Kind::Func, name) else {
        return Err(fault(
            FormViolation::ExceptionCallbackMissing { name: callback() },
            None,
        ));
    };
    let global = func_of(spec, id.0).is_some_and(|(_, f)| f.linkage == FuncLinkage::Global);
    if !global {
        return Err(fault(
            FormViolation::ExceptionCallbackStatic { name: callback() },
            None,
        ));
    }
    match spec
        .func_info
        .iter()
        .rev()
        .find(|record| record.type_id == id.0)
    {
        Some(record) if record.insn_off == 0 => {
            Err(fault(FormViolation::ExceptionCallbackMain, None))
        }
        Some(record) => Ok(Some(record.insn_off as usize)),
        None => Err(fault(FormViolation::ExceptionCallbackUnlisted, None)),
    }
}

fn func_of(spec: &ProgramSpec, id: u32) -> Option<(&Btf, skep_btf::Func<'_>)> {
    let btf = spec.btf.as_deref()?;
    let func = btf.ty(TypeId(id)).ok()?.as_func()?;
    Some((btf, func))
}

/// Whether a function's result is a number that fits a register.
fn returns_number(btf: &Btf, func: &skep_btf::Func<'_>) -> bool {
    let Ok(proto) = btf.prototype(func.proto) else {
        return false;
    };
    match btf.resolve(proto.ret) {
        Ok((_, Type::Int(int))) => int.size <= 8,
        Ok((_, Type::Enum(_) | Type::Enum64(_))) => true,
        _ => false,
    }
}

/// Fits function info to the subprograms that calls say there are; fills in names, linkage and
/// arguments (`check_btf_func`).
pub(super) fn apply(
    spec: &ProgramSpec,
    facts: &Facts,
    hook: &Hook<'_>,
    subprogs: &mut [Subprog],
) -> Result<(), Fault> {
    if spec.func_info.is_empty() {
        for subprog in subprogs.iter().skip(1) {
            if subprog.has_ld_abs {
                return Err(fault(FormViolation::LdAbsWithoutBtf, Some(subprog.start)));
            }
            if subprog.has_tail_call {
                return Err(fault(
                    FormViolation::TailCallWithoutBtf,
                    Some(subprog.start),
                ));
            }
        }
        return Ok(());
    }
    if spec.func_info.len() != subprogs.len() {
        return Err(fault(FormViolation::FuncCount, None));
    }
    for (index, (record, subprog)) in spec.func_info.iter().zip(subprogs).enumerate() {
        if record.insn_off as usize != subprog.start {
            return Err(fault(FormViolation::FuncLayout, Some(subprog.start)));
        }
        let Some((btf, func)) = func_of(spec, record.type_id) else {
            continue;
        };
        if func.name().len() > MAX_NAME {
            return Err((Stop::undecided("function names of this length"), None));
        }
        subprog.name = func.name().to_owned();
        subprog.is_global = index != 0 && func.linkage == FuncLinkage::Global;
        if index != 0 && !returns_number(btf, &func) {
            if subprog.has_ld_abs {
                return Err(fault(FormViolation::LdAbsReturn, Some(subprog.start)));
            }
            if subprog.has_tail_call {
                return Err(fault(FormViolation::TailCallReturn, Some(subprog.start)));
            }
        }
        if func.linkage == FuncLinkage::Global {
            // The main program's are used by extensions only, but the log tells what is wrong there.
            subprog.args = arguments(btf, TypeId(record.type_id), &func, facts, hook);
        }
    }
    Ok(())
}

/// What calls of a static function are compared with, though its BTF binds nobody: its arguments, if
/// all are numbers or the context. Others the kernel does not look at.
pub(crate) fn static_arguments(ctx: &Ctx<'_>, subprog: &Subprog) -> Option<Vec<GlobalArg>> {
    let records = &ctx.spec.func_info;
    let found = records
        .binary_search_by_key(&subprog.start, |f| f.insn_off as usize)
        .ok()?;
    let id = records.get(found)?.type_id;
    let (btf, func) = func_of(ctx.spec, id)?;
    let args = arguments(btf, TypeId(id), &func, ctx.facts, &ctx.hook).ok()?;
    let compared = |arg: &GlobalArg| matches!(arg, GlobalArg::Scalar | GlobalArg::Ctx);
    args.iter().all(compared).then_some(args)
}

/// Line info must be ascending, name real instructions, and begin each subprogram
/// (`check_btf_line`).
pub(super) fn check_lines(spec: &ProgramSpec, subprogs: &[Subprog]) -> Result<(), Fault> {
    if spec.line_info.is_empty() {
        return Ok(());
    }
    let mut before = 0;
    let mut next = 0;
    for (index, line) in spec.line_info.iter().enumerate() {
        let (off, len) = (line.insn_off, spec.insns.len());
        if (index > 0 && off <= before) || off as usize >= len {
            let violation = FormViolation::LineOffset {
                index,
                off,
                before,
                len,
            };
            return Err(fault(violation, None));
        }
        if spec.insns[off as usize].code == 0 {
            return Err(fault(FormViolation::LineCode { index }, Some(off as usize)));
        }
        let named = spec.btf.as_deref().is_some_and(|btf| {
            has_string(btf, line.line_off) && has_string(btf, line.file_name_off)
        });
        if !named {
            return Err(fault(FormViolation::LineName { index }, None));
        }
        if let Some(subprog) = subprogs.get(next) {
            if off as usize == subprog.start {
                next += 1;
            } else if subprog.start < off as usize {
                return Err(fault(
                    FormViolation::LineMissing { func: next },
                    Some(subprog.start),
                ));
            }
        }
        before = off;
    }
    if next != subprogs.len() {
        let count = subprogs.len() - next;
        return Err(fault(
            FormViolation::LinesMissing { count, first: next },
            None,
        ));
    }
    Ok(())
}

/// What a declaration tag says of an argument.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Tags {
    ctx: bool,
    trusted: bool,
    untrusted: bool,
    nonnull: bool,
    nullable: bool,
    arena: bool,
}

impl Tags {
    fn count(self) -> usize {
        [
            self.ctx,
            self.trusted,
            self.untrusted,
            self.nonnull,
            self.nullable,
            self.arena,
        ]
        .into_iter()
        .filter(|&set| set)
        .count()
    }
}

/// Arguments of a global function as its prototype and tags declare them
/// (`btf_prepare_func_args`).
fn arguments(
    btf: &Btf,
    id: TypeId,
    func: &skep_btf::Func<'_>,
    facts: &Facts,
    hook: &Hook<'_>,
) -> Result<Vec<GlobalArg>, FormViolation> {
    let name = || func.name().to_owned();
    let Ok(proto) = btf.prototype(func.proto) else {
        return Err(FormViolation::GlobalType { name: name() });
    };
    let count = proto.params.iter().count();
    if count > MAX_ARGS {
        return Err(FormViolation::GlobalArgs {
            name: name(),
            count,
            max: MAX_ARGS,
        });
    }
    let is_number = matches!(
        btf.resolve(proto.ret),
        Ok((_, Type::Int(_) | Type::Enum(_) | Type::Enum64(_)))
    );
    if !is_number {
        return Err(FormViolation::GlobalReturn { name: name() });
    }
    let mut args = Vec::with_capacity(count);
    for (arg, param) in proto.params.iter().enumerate() {
        let tags = tags_of(btf, id, arg)?;
        args.push(argument(
            btf,
            param.ty,
            arg,
            tags,
            facts,
            hook,
            func.name(),
        )?);
    }
    Ok(args)
}

fn tags_of(btf: &Btf, func: TypeId, arg: usize) -> Result<Tags, FormViolation> {
    let mut tags = Tags::default();
    for tag in btf.component_tags(func, arg as u32) {
        let Some(word) = tag.name().strip_prefix("arg:") else {
            continue;
        };
        match word {
            "ctx" => tags.ctx = true,
            "trusted" => tags.trusted = true,
            "untrusted" => tags.untrusted = true,
            "nonnull" => tags.nonnull = true,
            "nullable" => tags.nullable = true,
            "arena" => tags.arena = true,
            _ => return Err(FormViolation::ArgTagUnknown { arg }),
        }
    }
    Ok(tags)
}

fn argument(
    btf: &Btf,
    ty: TypeId,
    arg: usize,
    tags: Tags,
    facts: &Facts,
    hook: &Hook<'_>,
    func: &str,
) -> Result<GlobalArg, FormViolation> {
    let Ok((_, resolved)) = btf.resolve(ty) else {
        return Err(FormViolation::GlobalType {
            name: func.to_owned(),
        });
    };
    let Type::Ptr(target) = resolved else {
        if tags.count() > 0 {
            return Err(FormViolation::ArgTagOnNumber { arg });
        }
        if matches!(resolved, Type::Int(_) | Type::Enum(_) | Type::Enum64(_)) {
            return Ok(GlobalArg::Scalar);
        }
        let kind = resolved.kind().name();
        return Err(FormViolation::ArgType {
            arg,
            kind,
            func: func.to_owned(),
        });
    };
    let combination = || Err(FormViolation::ArgTagCombination { arg });
    if tags.ctx || is_context(btf, target, facts, hook) {
        let others = tags.count() - usize::from(tags.ctx);
        return if others > 0 {
            combination()
        } else {
            Ok(GlobalArg::Ctx)
        };
    }
    if is_struct_named(btf, target, "bpf_dynptr") {
        return if tags.count() > 0 {
            combination()
        } else {
            Ok(GlobalArg::Dynptr)
        };
    }
    if tags.trusted {
        if tags.nonnull {
            return combination();
        }
        let id = kernel_type(btf, target, arg, facts)?;
        return Ok(GlobalArg::Btf {
            id,
            nullable: tags.nullable,
            untrusted: false,
        });
    }
    if tags.untrusted {
        return untrusted_argument(btf, target, arg, tags, facts);
    }
    if tags.arena {
        return if tags.count() > 1 {
            Err(FormViolation::ArgArenaCombination { arg })
        } else {
            Ok(GlobalArg::Arena)
        };
    }
    if tags.nullable {
        return combination();
    }
    memory_argument(btf, target, arg, tags)
}

/// A pointer that is only probed: to plain memory, or to a kernel structure.
fn untrusted_argument(
    btf: &Btf,
    target: TypeId,
    arg: usize,
    tags: Tags,
    facts: &Facts,
) -> Result<GlobalArg, FormViolation> {
    if tags.count() > 1 {
        return Err(FormViolation::ArgUntrustedCombination { arg });
    }
    let primitive = matches!(
        btf.resolve(target),
        Ok((
            _,
            Type::Void | Type::Int(_) | Type::Enum(_) | Type::Enum64(_)
        ))
    );
    if primitive {
        return Ok(GlobalArg::Mem {
            size: 0,
            nullable: false,
            rdonly: true,
            untrusted: true,
        });
    }
    let id = kernel_type(btf, target, arg, facts)?;
    Ok(GlobalArg::Btf {
        id,
        nullable: false,
        untrusted: true,
    })
}

/// A pointer to memory of the size of its type.
fn memory_argument(
    btf: &Btf,
    target: TypeId,
    arg: usize,
    tags: Tags,
) -> Result<GlobalArg, FormViolation> {
    let Ok(size) = btf.size_of(target) else {
        let ty = btf.resolve(target).ok().map(|(_, ty)| ty);
        let kind = ty.map_or("UNKNOWN", |ty| ty.kind().name());
        let name = ty.map_or("", |ty| ty.name()).to_owned();
        return Err(FormViolation::ArgSize { arg, kind, name });
    };
    Ok(GlobalArg::Mem {
        size,
        nullable: !tags.nonnull,
        rdonly: false,
        untrusted: false,
    })
}

/// Contexts and the kernel structures that they stand for.
pub(crate) const PROJECTIONS: [(&str, &str); 2] =
    [("__sk_buff", "sk_buff"), ("xdp_md", "xdp_buff")];

/// Whether a pointer's target is the context structure of the program's type, by name
/// (`btf_is_prog_ctx_type`).
pub(crate) fn is_context(btf: &Btf, target: TypeId, facts: &Facts, hook: &Hook<'_>) -> bool {
    if hook.ty == ProgType::Kprobe
        && let Ok(id) = btf.skip_mods(target)
        && let Ok(Type::Typedef(named)) = btf.ty(id)
        && named.is_called("bpf_user_pt_regs_t")
    {
        return true;
    }
    let Some(row) = facts.prog_type(hook.ty) else {
        return false;
    };
    let name = row.ctx.strip_prefix("struct ").unwrap_or(row.ctx);
    // Where the kernel's name is a typedef, a structure of either name will do.
    let behind = if name == "bpf_user_pt_regs_t" {
        "pt_regs"
    } else {
        name
    };
    let Ok((_, Type::Struct(structure))) = btf.resolve(target) else {
        return false;
    };
    let projected = |&(of, to): &(&str, &str)| of == name && structure.is_called(to);
    !name.is_empty()
        && (structure.is_called(name)
            || structure.is_called(behind)
            || PROJECTIONS.iter().any(projected))
}

fn is_struct_named(btf: &Btf, target: TypeId, name: &str) -> bool {
    matches!(btf.resolve(target), Ok((_, Type::Struct(s))) if s.is_called(name))
}

/// The kernel's type of the same kind and name; 0 where the kernel's types are not known
/// (`btf_get_ptr_to_btf_id`).
fn kernel_type(btf: &Btf, target: TypeId, arg: usize, facts: &Facts) -> Result<u32, FormViolation> {
    let (Some(kernel), Ok((_, wanted))) = (facts.btf(), btf.resolve(target)) else {
        return Ok(0);
    };
    // A flavour, `task_struct___mine`, stands for the structure without its suffix.
    let name = wanted.name().split("___").next().unwrap_or_default();
    let mut found = kernel.find_all(wanted.kind(), name);
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id.0),
        (first, second) => Err(FormViolation::ArgKernelType {
            arg,
            kind: wanted.kind().name(),
            name: wanted.name().to_owned(),
            count: (!name.is_empty()).then(|| [first, second].iter().flatten().count()),
        }),
    }
}
