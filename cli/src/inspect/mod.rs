//! `skep inspect`: what an object holds, and what it needs from a kernel.
//!
//! The overview is here; `parts` has the tables that options ask for, `core` the report of CO-RE
//! accesses, `value` values as C, `json` everything for machines.

mod core;
mod json;
mod parts;
mod value;

use std::collections::BTreeMap;
use std::io::{self, Write, stdout};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;
use skep_btf::{Kind as BtfKind, Type, TypeId};
use skep_isa::{opcode, pseudo};
use skep_loader::Survey;
use skep_spec::{Facts, MapFlags, MapSpec, MapType, ObjectSpec, ProgFlags, ProgType, ProgramSpec};

use crate::args::{OpenArgs, TextFormat};
use crate::exit::Tally;
use crate::failure::Failure;
use crate::input::{Kind, Source, expand, open_source, read};
use crate::kernels::{Kernel, Kernels};
use crate::style::{DIM, TITLE, UNDECIDED};
use crate::verify::finish;

/// Show what objects hold: programs, maps, and what they need from a kernel
#[derive(Args, Debug)]
pub(crate) struct InspectArgs {
    /// BPF objects, assembly (.s), folders of objects, or `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    inputs: Vec<PathBuf>,

    /// Kernel BTF against which to resolve what the objects need; `running` means the running
    /// kernel's; repeatable: --core then compares kernels
    #[arg(long, value_name = "FILE")]
    btf: Vec<PathBuf>,

    /// Also list the file's sections and symbols
    #[arg(long)]
    sections: bool,

    /// Also list the references of code and data to symbols
    #[arg(long)]
    relocations: bool,

    /// Also show the types of keys and values of maps as C
    #[arg(long)]
    types: bool,

    /// Also show global variables with their values
    #[arg(long)]
    globals: bool,

    /// Also list what programs ask about the kernel's types, and which kernels answer
    #[arg(long)]
    core: bool,

    /// Also say how much of the code has source lines
    #[arg(long)]
    lines: bool,

    /// All of these
    #[arg(short, long)]
    all: bool,

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
    let kernels = kernels(args)?;
    let mut tally = Tally::default();
    let (mut objects, mut errors) = (Vec::new(), Vec::new());
    let mut out = anstream::stdout().lock();
    let mut printed = Ok(());
    for source in expand(&args.inputs) {
        match source.and_then(|source| Inspected::new(source, &kernels)) {
            Ok(inspected) => match args.format {
                TextFormat::Json => objects.push(json::object(&inspected)),
                TextFormat::Human => {
                    printed = printed.and_then(|()| print_object(&mut out, &inspected, args));
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

/// The kernels whose types are given, by the names of their files; one without types if none is.
fn kernels(args: &InspectArgs) -> Result<Vec<Arc<Kernel>>, Failure> {
    let mut kernels = Vec::new();
    let given: Vec<_> = args.btf.iter().map(PathBuf::as_path).map(Some).collect();
    for btf in if given.is_empty() {
        &[None][..]
    } else {
        &given
    } {
        let chosen = Kernels::new(&[], *btf)?.opening(&args.open)?;
        let kernel = chosen.first()?;
        let name = btf.and_then(|path| path.file_name());
        kernels.push(Arc::new(Kernel {
            name: match name {
                Some(name) => kernel_name(&name.to_string_lossy()),
                None => kernel.name.clone(),
            },
            facts: kernel.facts.clone(),
            opening: Arc::clone(&kernel.opening),
        }));
    }
    Ok(kernels)
}

/// A BTF file's name without the endings that say what it is.
fn kernel_name(file: &str) -> String {
    let mut name = file;
    for ending in [".zst", ".xz", ".gz", ".btf"] {
        name = name.strip_suffix(ending).unwrap_or(name);
    }
    name.to_owned()
}

/// An object as the first kernel's, with its file, and its programs as every kernel's.
struct Inspected {
    source: Source,
    object: ObjectSpec,
    /// The file's own tables; none of assembly.
    survey: Option<Survey>,
    /// The programs of the other kernels, by kernel.
    others: Vec<Vec<ProgramSpec>>,
    kernels: Vec<Arc<Kernel>>,
}

impl Inspected {
    fn new(source: Source, kernels: &[Arc<Kernel>]) -> Result<Inspected, Failure> {
        let Some((first, rest)) = kernels.split_first() else {
            return Err(Failure::new("no kernel was chosen"));
        };
        let object = open_source(&source, first)?;
        let survey = match source.kind {
            Kind::Object => skep_loader::survey(&read(&source)?).ok(),
            Kind::Assembly | Kind::Requests => None,
        };
        let mut others = Vec::new();
        for kernel in rest {
            others.push(open_source(&source, kernel)?.programs);
        }
        Ok(Inspected {
            source,
            object,
            survey,
            others,
            kernels: kernels.to_vec(),
        })
    }

    fn facts(&self) -> Option<&Facts> {
        self.kernels.first().map(|k| &k.facts)
    }
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

fn print_object(out: &mut dyn Write, inspected: &Inspected, args: &InspectArgs) -> io::Result<()> {
    let object = &inspected.object;
    print_title(out, inspected)?;
    if !object.programs.is_empty() {
        print_programs(out, object)?;
    }
    if !object.maps.is_empty() {
        print_maps(out, object)?;
    }
    if let Some(facts) = inspected.facts() {
        print_needs(out, object, facts)?;
    }
    for part in &object.skipped {
        writeln!(
            out,
            " {UNDECIDED}passed over{UNDECIDED:#} {}: {}",
            part.name, part.why
        )?;
    }
    parts::print(out, inspected, args)?;
    writeln!(out)
}

fn print_title(out: &mut dyn Write, inspected: &Inspected) -> io::Result<()> {
    let (source, object) = (&inspected.source, &inspected.object);
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
    let order = if object.big_endian {
        ", big-endian"
    } else {
        ""
    };
    let place = match &source.part {
        Some(part) => format!(
            ", at byte {:#x}{}{}",
            part.bytes.start,
            if part.place.is_empty() { "" } else { " in " },
            part.place
        ),
        None => String::new(),
    };
    writeln!(
        out,
        "{TITLE}{}{TITLE:#}  {programs}, {maps}, {btf}, licence {license}{order}{place}",
        source.file()
    )
}

fn print_programs(out: &mut dyn Write, object: &ObjectSpec) -> io::Result<()> {
    let mut programs = table(&["PROGRAM", "TYPE", "ATTACH", "SECTION", "INSNS", "MAPS"]);
    for program in &object.programs {
        let maps: Vec<_> = program.maps.iter().map(|m| m.name.as_str()).collect();
        programs.add_row([
            program.name.clone(),
            type_text(program),
            attach_text(object, program),
            section_text(program),
            program.insns.len().to_string(),
            maps.join(" "),
        ]);
    }
    print_table(out, &mut programs, &[4])
}

fn print_maps(out: &mut dyn Write, object: &ObjectSpec) -> io::Result<()> {
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
    print_table(out, &mut maps, &[2, 3, 4])
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
            " {UNDECIDED}needs from a kernel{UNDECIDED:#} (--btf, --kconfig, --kallsyms):"
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
    for (at, insn) in program.insns.iter().enumerate() {
        // Loaders put a call of no function where an access cannot be satisfied.
        let is_access = program.core_at(at).is_some();
        if !second && !is_access && insn.code == opcode::CALL && insn.src() == 0 {
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

/// The section as the object names it: with `?` where loaders leave the program alone unless asked.
fn section_text(program: &ProgramSpec) -> String {
    let front = if program.autoload { "" } else { "?" };
    format!("{front}{}", program.section)
}

/// The attach type where it is more than the default, and what the section names.
fn attach_text(object: &ObjectSpec, program: &ProgramSpec) -> String {
    if program.ty == ProgType::StructOps {
        return member_text(object, program).unwrap_or_else(|| program.attach_to.clone());
    }
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

/// The member of a table of functions that a program fills, as `TABLE.MEMBER`: its attach type is the
/// member's number.
fn member_text(object: &ObjectSpec, program: &ProgramSpec) -> Option<String> {
    let btf = object.btf.as_ref()?;
    let tables = object
        .maps
        .iter()
        .filter(|map| map.ty == MapType::StructOps);
    for map in tables {
        let Some((index, _)) = map.slots.iter().find(|slot| slot.1 == program.name) else {
            continue;
        };
        let var = btf.find_by_name(BtfKind::Var, &map.name)?;
        let var = btf.ty(var).ok().and_then(Type::as_var)?;
        let (_, table) = btf.resolve(var.ty).ok()?;
        let member = table.as_struct()?.members.get(*index as usize)?;
        return Some(format!("{}.{}", map.name, member.name()));
    }
    None
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
