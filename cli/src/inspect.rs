//! `skep inspect`: what an object holds, and what it needs from a kernel.

use std::collections::BTreeMap;
use std::io::{self, Write, stdout};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};
use skep_btf::TypeId;
use skep_isa::{opcode, pseudo};
use skep_spec::{Facts, MapFlags, MapSpec, ObjectSpec, ProgFlags, ProgType, ProgramSpec};

use crate::args::{OpenArgs, TextFormat};
use crate::exit::Tally;
use crate::failure::Failure;
use crate::input::{Source, expand, open_source};
use crate::kernels::Kernels;
use crate::style::{DIM, TITLE, UNDECIDED};
use crate::verify::finish;

/// Show what objects hold: programs, maps, and what they need from a kernel
#[derive(Args, Debug)]
pub(crate) struct InspectArgs {
    /// BPF objects, assembly (.s), folders of objects, or `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    inputs: Vec<PathBuf>,

    /// Kernel BTF against which to resolve what the objects need; `running` means the running
    /// kernel's
    #[arg(long, value_name = "FILE")]
    btf: Option<PathBuf>,

    #[command(flatten)]
    open: OpenArgs,

    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: TextFormat,
}

/// Runs the command.
///
/// # Errors
/// What made it impossible from the start.
pub(crate) fn run(args: &InspectArgs) -> Result<Tally, Failure> {
    let kernels = Kernels::new(&[], args.btf.as_deref())?.opening(&args.open)?;
    let kernel = kernels.first()?;
    let mut tally = Tally::default();
    let (mut objects, mut errors) = (Vec::new(), Vec::new());
    let mut out = anstream::stdout().lock();
    let mut printed = Ok(());
    for source in expand(&args.inputs) {
        let opened = source.and_then(|s| open_source(&s, &kernel).map(|object| (s, object)));
        match opened {
            Ok((source, object)) => match args.format {
                TextFormat::Json => objects.push(json_object(&source, &object, &kernel.facts)),
                TextFormat::Human => {
                    printed = printed
                        .and_then(|()| print_object(&mut out, &source, &object, &kernel.facts));
                }
            },
            Err(failure) => {
                tally.bad_input = true;
                failure.print();
                errors.push(json!({ "message": failure.what, "help": failure.help }));
            }
        }
    }
    if args.format == TextFormat::Json {
        let document = json!({ "schema": "skep.inspect/1", "objects": objects, "errors": errors });
        printed = writeln!(stdout().lock(), "{document:#}");
    }
    finish(printed, tally)
}

/// A table without lines, indented.
fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.to_vec());
    table
}

fn print_table(out: &mut dyn Write, table: &mut Table, right: &[usize]) -> io::Result<()> {
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for (at, line) in table.lines().enumerate() {
        let line = line.trim_end();
        if at == 0 {
            writeln!(out, " {DIM}{line}{DIM:#}")?;
        } else {
            writeln!(out, " {line}")?;
        }
    }
    Ok(())
}

fn print_object(
    out: &mut dyn Write,
    source: &Source,
    object: &ObjectSpec,
    facts: &Facts,
) -> io::Result<()> {
    let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let programs = plural(object.programs.len(), "program");
    let maps = plural(object.maps.len(), "map");
    let license = if object.license.is_empty() {
        "none"
    } else {
        &object.license
    };
    let btf = object.btf.as_ref().map_or("no BTF".to_owned(), |btf| {
        plural((btf.end() - btf.start()) as usize, "BTF type")
    });
    writeln!(
        out,
        "{TITLE}{}{TITLE:#}  {programs}, {maps}, {btf}, licence {license}",
        source.file()
    )?;
    let mut programs = table(&["PROGRAM", "TYPE", "ATTACH", "SECTION", "INSNS", "MAPS"]);
    for program in &object.programs {
        let maps: Vec<_> = program.maps.iter().map(|m| m.name.as_str()).collect();
        programs.add_row([
            program.name.clone(),
            type_text(program),
            attach_text(program),
            program.section.clone(),
            program.insns.len().to_string(),
            maps.join(" "),
        ]);
    }
    print_table(out, &mut programs, &[4])?;
    if !object.maps.is_empty() {
        let mut maps = table(&["MAP", "TYPE", "KEY", "VALUE", "ENTRIES", "NOTES"]);
        for map in &object.maps {
            maps.add_row([
                map.name.clone(),
                map.ty.to_string(),
                map.key_size.to_string(),
                map.value_size.to_string(),
                map.max_entries.to_string(),
                notes(map).join(", "),
            ]);
        }
        print_table(out, &mut maps, &[2, 3, 4])?;
    }
    print_needs(out, object, facts)?;
    for part in &object.skipped {
        writeln!(
            out,
            " {UNDECIDED}passed over{UNDECIDED:#} {}: {}",
            part.name, part.why
        )?;
    }
    writeln!(out)
}

/// Helpers and whatever could not be resolved without a kernel, each once.
fn print_needs(out: &mut dyn Write, object: &ObjectSpec, facts: &Facts) -> io::Result<()> {
    let mut helpers = BTreeMap::new();
    let mut unresolved: BTreeMap<&str, usize> = BTreeMap::new();
    for program in &object.programs {
        helpers.extend(helper_calls(program, facts));
        for missing in &program.unresolved {
            *unresolved.entry(&missing.what).or_default() += 1;
        }
    }
    if !helpers.is_empty() {
        let names: Vec<_> = helpers
            .values()
            .map(|name| name.trim_start_matches("bpf_"))
            .collect();
        wrapped(out, "calls", &names)?;
    }
    if !unresolved.is_empty() {
        writeln!(
            out,
            " {UNDECIDED}needs a kernel's types{UNDECIDED:#} (--btf) for:"
        )?;
        for (what, count) in unresolved.iter().take(MOST_NEEDS) {
            let times = if *count == 1 {
                String::new()
            } else {
                format!(" ({count} times)")
            };
            writeln!(out, "   {what}{times}")?;
        }
        if unresolved.len() > MOST_NEEDS {
            writeln!(out, "   and {} more", unresolved.len() - MOST_NEEDS)?;
        }
    }
    Ok(())
}

/// Needs that are listed for people; JSON has them all.
const MOST_NEEDS: usize = 12;
/// Columns of a wrapped list.
const WIDTH: usize = 96;

/// A list of words behind a title, in lines of bounded width.
fn wrapped(out: &mut dyn Write, title: &str, words: &[&str]) -> io::Result<()> {
    let mut line = format!(" {DIM}{title}{DIM:#}");
    let mut width = title.len() + 1;
    for word in words {
        if width + word.len() + 1 > WIDTH {
            writeln!(out, "{line}")?;
            line = " ".repeat(title.len() + 1);
            width = line.len();
        }
        line += &format!(" {word}");
        width += word.len() + 1;
    }
    writeln!(out, "{line}")
}

/// The helpers that a program calls, by number.
fn helper_calls(program: &ProgramSpec, facts: &Facts) -> BTreeMap<u32, String> {
    let mut second = false;
    let mut calls = BTreeMap::new();
    for insn in &program.insns {
        if !second && insn.code == opcode::CALL && insn.src() == 0 {
            let id = insn.imm.cast_unsigned();
            let name = facts
                .helper_name(id)
                .map_or_else(|| format!("#{id}"), str::to_owned);
            calls.insert(id, name);
        }
        second = !second && insn.is_ld_imm64();
    }
    calls
}

/// How many kernel functions a program calls.
fn kfunc_calls(program: &ProgramSpec) -> usize {
    let is_kfunc = |i: &&skep_isa::RawInsn| i.code == opcode::CALL && i.src() == pseudo::KFUNC_CALL;
    program.insns.iter().filter(is_kfunc).count()
}

fn type_text(program: &ProgramSpec) -> String {
    let mut text = if program.ty == ProgType::Unspec {
        "?".to_owned()
    } else {
        program.ty.to_string()
    };
    if program.flags.contains(ProgFlags::SLEEPABLE) {
        text += " (sleepable)";
    }
    if program.flags.contains(ProgFlags::XDP_HAS_FRAGS) {
        text += " (frags)";
    }
    text
}

/// The attach type where it is more than the default, and what the section names.
fn attach_text(program: &ProgramSpec) -> String {
    let ty = if program.attach.number() == 0 && program.ty != ProgType::CgroupSkb {
        ""
    } else {
        program.attach.name()
    };
    match (ty, program.attach_to.as_str()) {
        ("", to) => to.to_owned(),
        (ty, "") => ty.to_owned(),
        (ty, to) => format!("{ty} {to}"),
    }
}

/// What else there is to say of a map.
fn notes(map: &MapSpec) -> Vec<String> {
    let mut notes = Vec::new();
    if map.frozen {
        notes.push("frozen".to_owned());
    }
    if map.flags != MapFlags::empty() {
        let names: Vec<_> = map
            .flags
            .iter_names()
            .map(|(n, _)| n.to_ascii_lowercase())
            .collect();
        notes.push(names.join(" "));
    }
    if let Some(init) = &map.init
        && init.iter().any(|b| *b != 0)
    {
        notes.push("has initial contents".to_owned());
    }
    if map.pinned {
        notes.push("pinned by name".to_owned());
    }
    if let Some(inner) = &map.inner {
        notes.push(format!(
            "of {} {}/{}",
            inner.ty, inner.key_size, inner.value_size
        ));
    }
    if let Some((_, name)) = map.slots.first() {
        let more = map.slots.len() - 1;
        let more = if more == 0 {
            String::new()
        } else {
            format!(" and {more} more")
        };
        notes.push(format!("holds {name}{more}"));
    }
    if let Some(ty) = value_type(map) {
        notes.push(ty);
    }
    notes
}

/// `key -> value` by their C types, where the map's BTF tells.
fn value_type(map: &MapSpec) -> Option<String> {
    let btf = map.btf.as_ref()?;
    let name = |id: u32| (id != 0).then(|| btf.type_name(TypeId(id)));
    match (name(map.btf_key_id), name(map.btf_value_id)) {
        (Some(key), Some(value)) => Some(format!("{key} -> {value}")),
        (None, Some(_)) | (Some(_), None) | (None, None) => None,
    }
}

fn json_object(source: &Source, object: &ObjectSpec, facts: &Facts) -> Value {
    let skipped: Vec<_> = object
        .skipped
        .iter()
        .map(|s| json!({ "name": s.name, "why": s.why }))
        .collect();
    json!({
        "file_name": source.file(),
        "path": source.shown(),
        "license": object.license,
        "kernel_version": object.kernel_version,
        "btf_types": object.btf.as_ref().map(|btf| btf.end() - btf.start()),
        "programs": object.programs.iter().map(|p| json_program(p, facts)).collect::<Vec<_>>(),
        "maps": object.maps.iter().map(json_map).collect::<Vec<_>>(),
        "skipped": skipped,
    })
}

fn json_program(program: &ProgramSpec, facts: &Facts) -> Value {
    let maps: Vec<_> = program.maps.iter().map(|m| m.name.as_str()).collect();
    let unresolved: Vec<_> = program
        .unresolved
        .iter()
        .map(|u| json!({ "insn_idx": u.insn_idx, "what": u.what }))
        .collect();
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
        "helpers": helper_calls(program, facts).into_values().collect::<Vec<_>>(),
        "kfunc_calls": kfunc_calls(program),
        "unresolved": unresolved,
    })
}

fn json_map(map: &Arc<MapSpec>) -> Value {
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
