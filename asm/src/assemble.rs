//! A whole source to load requests.

use std::sync::Arc;

use skep_btf::{Btf, BtfBuilder};
use skep_spec::{MapSpec, ObjectSpec, ProgType, ProgramSpec};

use crate::debug::{self, DebugInfo};
use crate::directive::{MapDecl, Shape};
use crate::error::{AsmError, AsmErrors, MOST_ERRORS, Span};
use crate::link::{Draft, Linker};
use crate::source::{self, Header, Source, UnitKind};

/// How to assemble.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Name of the source file, for line information; also names the object.
    pub file_name: String,
    /// Whether programs get BTF with their functions and source lines even if nothing needs it.
    pub debug_info: bool,
    /// The kernel's BTF, in which `call kfunc NAME` and `ksym NAME` are looked up.
    pub kernel_btf: Option<Arc<Btf>>,
    /// BTF that the numbers behind `.func_btf`, and `btf_key` and `btf_value` of maps refer to.
    pub btf: Option<Arc<Btf>>,
}

/// The programs of a source and what belongs to them.
pub(crate) struct Assembled<'a> {
    pub(crate) object: ObjectSpec,
    pub(crate) source: Source<'a>,
    /// For each program of the object, its unit.
    pub(crate) units: Vec<usize>,
}

/// Assembles a source that declares its programs with `.prog` (or is a file of cases).
pub fn assemble(text: &str, options: &Options) -> Result<ObjectSpec, AsmErrors> {
    Ok(assemble_source(source::read(text, None), options)?.object)
}

/// Assembles a source that begins with the code of one program of that name and type; declarations
/// may come before and between its lines.
pub fn assemble_program(
    name: &str,
    ty: ProgType,
    text: &str,
    options: &Options,
) -> Result<ProgramSpec, AsmErrors> {
    let source = source::read(text, Some((name, Header::new(ty))));
    let mut programs = assemble_source(source, options)?.object.programs;
    if programs.len() == 1 {
        return Ok(programs.remove(0));
    }
    let end = Span {
        line: text.lines().count() as u32,
        ..Span::default()
    };
    Err(end.error("expected a single program").into())
}

/// Links a source.
pub(crate) fn assemble_source<'a>(
    mut source: Source<'a>,
    options: &Options,
) -> Result<Assembled<'a>, AsmErrors> {
    let mut errors = std::mem::take(&mut source.errors);
    let (drafts, more) = link_all(&source, options);
    errors.extend(more);
    let mut types = std::mem::take(&mut source.types);
    errors.truncate(MOST_ERRORS);
    AsmErrors::check(errors, ())?;

    let mut infos: Vec<DebugInfo> = Vec::with_capacity(drafts.len());
    for draft in &drafts {
        let told = debug::told_functions(&source, draft);
        if !told.is_empty() {
            infos.push(DebugInfo {
                func_info: told,
                told: true,
                ..DebugInfo::default()
            });
            continue;
        }
        let wanted = options.debug_info || debug::needs_functions(&source, draft);
        let func_info = if wanted {
            debug::functions(&mut types, &source, draft)
        } else {
            Vec::new()
        };
        infos.push(DebugInfo {
            func_info,
            ..DebugInfo::default()
        });
    }
    let mut out = BtfBuilder::new();
    types.write(&mut out);
    if options.debug_info {
        for (draft, info) in drafts.iter().zip(&mut infos).filter(|(_, info)| !info.told) {
            info.line_info = debug::lines(&mut out, &options.file_name, &source, draft);
        }
    }
    let btf = if types.is_empty() {
        None
    } else {
        let bad = |e| AsmErrors::from(Span::default().error(format!("the types make no BTF: {e}")));
        Some(debug::finish(&out).map_err(bad)?)
    };
    let maps: Vec<Arc<MapSpec>> = source
        .maps
        .iter()
        .map(|m| Arc::new(map_spec(m, &btf, options)))
        .collect();
    let license = source.license.clone().unwrap_or_else(|| "GPL".to_owned());
    let units = drafts.iter().map(|d| d.unit).collect();
    let programs = drafts
        .into_iter()
        .zip(infos)
        .filter_map(|(draft, info)| {
            let btf = if info.told { &options.btf } else { &btf };
            program_spec(&source, draft, info, &maps, btf, &license)
        })
        .collect();
    let name = object_name(&options.file_name);
    let object = ObjectSpec {
        name,
        license,
        programs,
        maps,
        btf,
        ..ObjectSpec::default()
    };
    Ok(Assembled {
        object,
        source,
        units,
    })
}

fn link_all(source: &Source<'_>, options: &Options) -> (Vec<Draft>, Vec<AsmError>) {
    let mut linker = Linker::new(source, options.kernel_btf.as_ref());
    let mut drafts = Vec::new();
    for (idx, unit) in source.units.iter().enumerate() {
        if linker.errors.len() >= MOST_ERRORS {
            break;
        }
        if let UnitKind::Program(_) = unit.kind {
            drafts.push(linker.program(idx));
        }
    }
    (drafts, linker.errors)
}

fn program_spec(
    source: &Source<'_>,
    draft: Draft,
    info: DebugInfo,
    maps: &[Arc<MapSpec>],
    btf: &Option<Arc<Btf>>,
    license: &str,
) -> Option<ProgramSpec> {
    let unit = source.units.get(draft.unit)?;
    let UnitKind::Program(header) = &unit.kind else {
        return None;
    };
    let mut spec = ProgramSpec::new(&unit.name, header.ty, draft.insns);
    spec.section = header.section.clone();
    spec.attach = header.attach;
    spec.flags = header.flags;
    spec.license = header.license.clone().unwrap_or_else(|| license.to_owned());
    spec.maps = draft
        .maps
        .iter()
        .filter_map(|idx| maps.get(*idx).cloned())
        .collect();
    if !info.func_info.is_empty() {
        spec.btf = btf.clone();
    }
    spec.func_info = info.func_info;
    spec.line_info = info.line_info;
    spec.attach_to = header.attach_to.clone();
    spec.autoload = header.autoload;
    spec.attach_btf_id = header.attach_btf_id;
    spec.unresolved = draft.unresolved;
    Some(spec)
}

fn map_spec(decl: &MapDecl, own: &Option<Arc<Btf>>, options: &Options) -> MapSpec {
    let name = decl.shown.as_ref().unwrap_or(&decl.name);
    let mut spec = MapSpec::new(name, decl.ty, decl.key.size, decl.value.size, decl.entries);
    let id = |shape: &Shape| shape.ty.map_or(shape.btf_id, |ty| ty.0);
    let typed = decl.key.ty.is_some() || decl.value.ty.is_some();
    spec.btf_key_id = id(&decl.key);
    spec.btf_value_id = id(&decl.value);
    if typed {
        spec.btf = own.clone();
    } else if spec.btf_key_id != 0 || spec.btf_value_id != 0 {
        spec.btf = options.btf.clone();
    }
    spec.flags = decl.flags;
    spec.extra = decl.extra;
    spec.numa_node = decl.numa_node;
    spec.vmlinux_value_id = decl.vmlinux_value_id;
    spec.inner = decl
        .inner
        .as_ref()
        .map(|inner| Box::new(map_spec(inner, own, options)));
    spec.frozen = decl.frozen;
    spec.init = decl.init.clone();
    spec.pinned = decl.pinned;
    spec.slots = decl.slots.clone();
    spec
}

/// The file's name without folder and endings.
fn object_name(file_name: &str) -> String {
    let base = file_name.rsplit(['/', '\\']).next().unwrap_or("");
    [".bpf.s", ".s", ".asm", ".bpf"]
        .iter()
        .find_map(|end| base.strip_suffix(end))
        .unwrap_or(base)
        .to_owned()
}
