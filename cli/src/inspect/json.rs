//! What an object holds, for machines: schema `skep.inspect/1`.

use std::sync::Arc;

use serde_json::{Value, json};
use skep_loader::Survey;
use skep_spec::{Facts, MapSpec, ProgramSpec};

use super::{Inspected, core, helper_calls, kfunc_calls, parts};

/// An object.
pub(super) fn object(inspected: &Inspected) -> Value {
    let (source, object) = (&inspected.source, &inspected.object);
    let skipped: Vec<_> = object
        .skipped
        .iter()
        .map(|s| json!({ "name": s.name, "why": s.why }))
        .collect();
    let facts = inspected.facts();
    let programs = object.programs.iter().map(|p| program(p, facts));
    json!({
        "file_name": source.file(),
        "path": source.shown(),
        "offset": source.part.as_ref().map(|p| p.bytes.start),
        "license": object.license,
        "kernel_version": object.kernel_version,
        "big_endian": object.big_endian,
        "btf_types": object.btf.as_ref().map(|btf| btf.end() - btf.start()),
        "sections": inspected.survey.as_ref().map(sections),
        "relocations": inspected.survey.as_ref().map(relocations),
        "programs": programs.collect::<Vec<_>>(),
        "maps": object.maps.iter().map(map).collect::<Vec<_>>(),
        "skipped": skipped,
    })
}

fn sections(survey: &Survey) -> Vec<Value> {
    let row = |s: &skep_loader::SectionInfo| {
        json!({
            "name": s.name,
            "holds": s.role,
            "type": s.kind,
            "flags": s.flags,
            "offset": s.offset,
            "size": s.size,
        })
    };
    survey.sections.iter().skip(1).map(row).collect()
}

fn relocations(survey: &Survey) -> Vec<Value> {
    let row = |r: &skep_loader::RelocInfo| {
        let section = survey.sections.get(r.section);
        json!({
            "section": section.map(|s| s.name.as_str()),
            "offset": r.offset,
            "type": r.kind,
            "symbol": survey.symbol_name(r.symbol),
        })
    };
    survey.relocations.iter().map(row).collect()
}

fn program(program: &ProgramSpec, facts: Option<&Facts>) -> Value {
    let maps: Vec<_> = program.maps.iter().map(|m| m.name.as_str()).collect();
    let unresolved: Vec<_> = program
        .unresolved
        .iter()
        .map(|u| json!({ "insn_idx": u.insn_idx, "what": u.what }))
        .collect();
    let helpers: Vec<_> = match facts {
        Some(facts) => helper_calls(program, facts).into_values().collect(),
        None => Vec::new(),
    };
    json!({
        "prog_name": program.name,
        "section": program.section,
        "prog_type": program.ty.name(),
        "attach_type": program.attach.name(),
        "attach_to": program.attach_to,
        "autoload": program.autoload,
        "flags": program.flags.bits(),
        "insns": program.insns.len(),
        "functions": program.func_info.len(),
        "lines": program.line_info.len(),
        "maps": maps,
        "insns_with_line": parts::lines(program),
        "core": core::json(program),
        "helpers": helpers,
        "kfunc_calls": kfunc_calls(program),
        "unresolved": unresolved,
    })
}

fn map(map: &Arc<MapSpec>) -> Value {
    let globals = parts::globals(map);
    let globals = globals.iter().map(|g| {
        json!({
            "name": g.name,
            "declaration": g.declaration,
            "offset": g.offset,
            "size": g.size,
            "value": g.value,
        })
    });
    let ty = |id: u32| {
        let btf = map.btf.as_ref().filter(|_| id != 0)?;
        Some(btf.type_name(id.into()))
    };
    json!({
        "name": map.name,
        "type": map.ty.name(),
        "key_size": map.key_size,
        "value_size": map.value_size,
        "max_entries": map.max_entries,
        "flags": map.flags.bits(),
        "extra": map.extra,
        "frozen": map.frozen,
        "pinned": map.pinned,
        "key_type": ty(map.btf_key_id),
        "value_type": ty(map.btf_value_id),
        "globals": globals.collect::<Vec<_>>(),
        "init_bytes": map.init.as_ref().map(Vec::len),
        "slots": map.slots,
        "inner": map.inner.as_ref().map(|inner| json!({
            "type": inner.ty.name(),
            "key_size": inner.key_size,
            "value_size": inner.value_size,
            "max_entries": inner.max_entries,
            "flags": inner.flags.bits(),
        })),
    })
}
