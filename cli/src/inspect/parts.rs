//! The parts that options ask for: sections, relocations, types, globals, source lines.

use std::io::{self, Write};

use skep_btf::{Btf, Type, TypeId};
use skep_loader::Survey;
use skep_spec::{MapSpec, ObjectSpec, ProgramSpec};

use super::{InspectArgs, Inspected, core, print_table, table, value};
use crate::style::DIM;

/// Prints what the options ask for.
pub(super) fn print(
    out: &mut dyn Write,
    inspected: &Inspected,
    args: &InspectArgs,
) -> io::Result<()> {
    let object = &inspected.object;
    if let Some(survey) = &inspected.survey {
        if args.sections || args.all {
            print_sections(out, survey)?;
        }
        if args.relocations || args.all {
            print_relocations(out, survey)?;
        }
    }
    if args.types || args.all {
        print_types(out, object)?;
    }
    if args.globals || args.all {
        print_globals(out, object)?;
    }
    if args.core || args.all {
        core::print(out, inspected)?;
    }
    if args.lines || args.all {
        print_lines(out, object)?;
    }
    Ok(())
}

fn print_sections(out: &mut dyn Write, survey: &Survey) -> io::Result<()> {
    let mut rows = table(&[
        "SECTION",
        "HOLDS",
        "OFFSET",
        "BYTES",
        "RELOCATIONS",
        "SYMBOLS",
    ]);
    for (index, section) in survey.sections.iter().enumerate().skip(1) {
        let relocations = survey.relocations.iter().filter(|r| r.section == index);
        let symbols = survey
            .symbols
            .iter()
            .filter(|s| s.section == Some(index) && !s.name.is_empty());
        let named: Vec<_> = symbols.clone().take(MOST_SYMBOLS).map(symbol).collect();
        let more = symbols.count() - named.len();
        let mut names = named.join(" ");
        if more != 0 {
            names += &format!(" and {more} more");
        }
        rows.add_row([
            section.name.clone(),
            section.role.to_owned(),
            format!("{:#x}", section.offset),
            section.size.to_string(),
            relocations.count().to_string(),
            names,
        ]);
    }
    print_table(out, &mut rows, &[2, 3, 4])
}

/// Symbols of a section that are named.
const MOST_SYMBOLS: usize = 6;

/// A symbol's name, marked where it is weak, hidden or local.
fn symbol(symbol: &skep_loader::SymbolInfo) -> String {
    let mark = match (symbol.binding, symbol.hidden) {
        (_, true) => " (hidden)",
        ("weak", _) => " (weak)",
        ("local", _) => " (static)",
        (_, _) => "",
    };
    format!("{}{mark}", symbol.name)
}

fn print_relocations(out: &mut dyn Write, survey: &Survey) -> io::Result<()> {
    if survey.relocations.is_empty() {
        return writeln!(out, " {DIM}no relocations{DIM:#}");
    }
    let mut rows = table(&["IN", "AT", "KIND", "REFERS TO"]);
    for relocation in &survey.relocations {
        let section = survey.sections.get(relocation.section);
        let symbol = survey.symbols.get(relocation.symbol);
        let home = symbol.and_then(|s| survey.sections.get(s.section?));
        let name = survey.symbol_name(relocation.symbol);
        let target = match home {
            Some(home) if home.name == name => name.to_owned(),
            Some(home) => format!("{name} in {}", home.name),
            None => format!("{name}, defined elsewhere"),
        };
        let is_code = section.is_some_and(|s| s.role == "code");
        let at = if is_code && relocation.offset % 8 == 0 {
            format!("insn {}", relocation.offset / 8)
        } else {
            format!("byte {:#x}", relocation.offset)
        };
        rows.add_row([
            section.map_or("?", |s| &s.name).to_owned(),
            at,
            relocation_kind(relocation.kind),
            target,
        ]);
    }
    print_table(out, &mut rows, &[])
}

/// LLVM's name of a relocation's number.
fn relocation_kind(kind: u32) -> String {
    match kind {
        1 => "R_BPF_64_64".to_owned(),
        2 => "R_BPF_64_ABS64".to_owned(),
        3 => "R_BPF_64_ABS32".to_owned(),
        4 => "R_BPF_64_NODYLD32".to_owned(),
        10 => "R_BPF_64_32".to_owned(),
        other => format!("type {other}"),
    }
}

/// The types of keys and values, each once, as C.
fn print_types(out: &mut dyn Write, object: &ObjectSpec) -> io::Result<()> {
    let mut shown = Vec::new();
    for map in &object.maps {
        let Some(btf) = &map.btf else { continue };
        if is_global_data(btf, map) {
            continue;
        }
        for (what, id) in [("key", map.btf_key_id), ("value", map.btf_value_id)] {
            if id == 0 {
                continue;
            }
            let (own, _) = btf.resolve(TypeId(id)).unwrap_or((TypeId(id), Type::Void));
            writeln!(out, " {DIM}{what} of {}{DIM:#}", map.name)?;
            let is_new = !shown.contains(&own);
            shown.push(own);
            let drawn = match btf.ty(own) {
                Ok(Type::Struct(_) | Type::Union(_) | Type::Enum(_) | Type::Enum64(_))
                    if is_new =>
                {
                    btf.draw_layout(own)
                }
                Ok(_) | Err(_) => format!("{};\n", btf.type_name(TypeId(id))),
            };
            for line in drawn.lines() {
                writeln!(out, "   {line}")?;
            }
        }
    }
    Ok(())
}

/// Whether the map's value is a section of global variables.
pub(super) fn is_global_data(btf: &Btf, map: &MapSpec) -> bool {
    matches!(btf.ty(TypeId(map.btf_value_id)), Ok(Type::DataSec(_)))
}

/// A global variable.
pub(super) struct Global {
    /// The variable as C declares it.
    pub(super) declaration: String,
    pub(super) name: String,
    pub(super) offset: u32,
    pub(super) size: u32,
    /// Its first value.
    pub(super) value: String,
}

/// The variables of a map of global data.
pub(super) fn globals(map: &MapSpec) -> Vec<Global> {
    let Some(btf) = map.btf.as_deref().filter(|btf| is_global_data(btf, map)) else {
        return Vec::new();
    };
    let Ok(Type::DataSec(section)) = btf.ty(TypeId(map.btf_value_id)) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in section.vars {
        let Ok(Type::Var(var)) = btf.ty(entry.ty) else {
            continue;
        };
        let (from, size) = (entry.offset as usize, entry.size as usize);
        let zeros;
        let bytes = match &map.init {
            Some(init) => init.get(from..from.saturating_add(size)).unwrap_or(&[]),
            None => {
                zeros = vec![0; size.min(map.value_size as usize)];
                &zeros
            }
        };
        found.push(Global {
            declaration: btf.declare(var.ty, var.name()),
            name: var.name().to_owned(),
            offset: entry.offset,
            size: entry.size,
            value: value::text(btf, var.ty, bytes),
        });
    }
    found
}

fn print_globals(out: &mut dyn Write, object: &ObjectSpec) -> io::Result<()> {
    for map in &object.maps {
        let globals = globals(map);
        if globals.is_empty() {
            continue;
        }
        let bytes = map.value_size;
        writeln!(out, " {DIM}globals in {}, {bytes} bytes{DIM:#}", map.name)?;
        for global in globals {
            writeln!(
                out,
                "   {} = {};  {DIM}/* {} {} */{DIM:#}",
                global.declaration, global.value, global.offset, global.size
            )?;
        }
    }
    Ok(())
}

/// How many slots of a program belong to a known source line.
pub(super) fn lines(program: &ProgramSpec) -> usize {
    let known = |at: &usize| program.line_at(*at).is_some_and(|l| l.line() != 0);
    (0..program.insns.len()).filter(known).count()
}

fn print_lines(out: &mut dyn Write, object: &ObjectSpec) -> io::Result<()> {
    let mut rows = table(&[
        "PROGRAM",
        "INSNS",
        "FUNCTIONS",
        "LINE RECORDS",
        "WITH A LINE",
    ]);
    for program in &object.programs {
        let known = lines(program);
        let share = known * 100 / program.insns.len().max(1);
        rows.add_row([
            program.name.clone(),
            program.insns.len().to_string(),
            program.func_info.len().to_string(),
            program.line_info.len().to_string(),
            format!("{known} ({share} %)"),
        ]);
    }
    print_table(out, &mut rows, &[1, 2, 3, 4])
}
