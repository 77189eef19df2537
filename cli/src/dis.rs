//! `skep dis`: objects and captured requests as text.
//!
//! By default in the dialect that `skep asm` reads; with `--source` as a listing in the kernel log's
//! style under the source lines that the instructions come from.

use std::io::{self, Write};
use std::sync::Arc;

use clap::Args;
use skep_asm::{disassemble, disassemble_program};
use skep_btf::Type;
use skep_isa::pseudo;
use skep_spec::{CoreAnswer, MapSpec, ObjectSpec, ProgramSpec};

use crate::args::InputArgs;
use crate::diagnostic::{Place, insn_text};
use crate::exit::Tally;
use crate::failure::Failure;
use crate::input::{Kind, Unit, Units, btf_store, expand, open_source};
use crate::kernels::Kernels;
use crate::select::Names;
use crate::style::{DIM, TITLE};
use crate::verify::finish;

/// Print programs as assembly, or as a listing under their source lines
#[derive(Args, Debug)]
pub(crate) struct DisArgs {
    #[command(flatten)]
    input: InputArgs,

    /// List instructions with their numbers under the source lines that they come from
    #[arg(short = 'S', long)]
    source: bool,

    /// Keep the numbers of BTF types of functions and maps; such a text assembles only together with
    /// that BTF
    #[arg(long)]
    type_ids: bool,
}

/// Runs the command.
///
/// # Errors
/// What made it impossible from the start.
pub(crate) fn run(args: &DisArgs) -> Result<Tally, Failure> {
    let mut kernels = Kernels::new(&[], args.input.btf.as_deref())?.opening(&args.input.open)?;
    let mut tally = Tally::default();
    let printed = if args.source {
        list(args, &mut kernels, &mut tally)
    } else {
        print(args, &mut kernels, &mut tally)
    };
    match printed {
        Ok(result) => finish(result, tally),
        Err(failure) => Err(failure),
    }
}

type Printed = Result<io::Result<()>, Failure>;

/// Whole objects in the assembler's dialect; captured requests one by one.
fn print(args: &DisArgs, kernels: &mut Kernels, tally: &mut Tally) -> Printed {
    let names = Names::new(&args.input.prog);
    let kernel = kernels.first()?;
    let sources = expand(&args.input.inputs);
    if sources.iter().flatten().any(|s| s.kind == Kind::Requests) {
        return each_unit(args, kernels, tally, |out, unit| {
            let text = print_unit(&unit.spec, args.type_ids);
            write!(out, "# {}/{}\n{text}\n", unit.file, unit.prog)
        });
    }
    let many = sources.len() > 1;
    let mut out = anstream::stdout().lock();
    for source in sources {
        let opened = source.and_then(|s| open_source(&s, &kernel).map(|object| (s, object)));
        let (source, mut object) = match opened {
            Ok(opened) => opened,
            Err(failure) => {
                tally.bad_input = true;
                failure.print();
                continue;
            }
        };
        object.programs.retain(|p| names.chooses(&p.name));
        if object.programs.is_empty() {
            tally.bad_input = true;
            let what = format!("no program matches --prog {}", names.patterns().join(", "));
            Failure::of(source.shown(), what).print();
            continue;
        }
        if !names.patterns().is_empty() {
            let programs = &object.programs;
            object.maps.retain(|map| {
                programs
                    .iter()
                    .any(|p| p.maps.iter().any(|m| m.name == map.name))
            });
        }
        if !args.type_ids {
            strip_types(&mut object);
        }
        let title = if many {
            format!("# {}\n", source.file())
        } else {
            String::new()
        };
        if let Err(e) = write!(out, "{title}{}", disassemble(&object)) {
            return Ok(Err(e));
        }
    }
    Ok(Ok(()))
}

fn print_unit(spec: &ProgramSpec, type_ids: bool) -> String {
    if type_ids {
        return disassemble_program(spec);
    }
    let mut object = ObjectSpec {
        license: spec.license.clone(),
        programs: vec![spec.clone()],
        ..ObjectSpec::default()
    };
    strip_types(&mut object);
    disassemble(&object)
}

/// Takes the numbers of BTF types away: a text has none to refer to.
fn strip_types(object: &mut ObjectSpec) {
    let mut plain = PlainMaps::default();
    object.maps.iter_mut().for_each(|map| plain.strip(map));
    for program in &mut object.programs {
        program.maps.iter_mut().for_each(|map| plain.strip(map));
        program.func_info.clear();
        program.line_info.clear();
    }
}

/// Maps that were stripped: the same map stays the same one.
#[derive(Default)]
struct PlainMaps(Vec<(Arc<MapSpec>, Arc<MapSpec>)>);

impl PlainMaps {
    fn strip(&mut self, map: &mut Arc<MapSpec>) {
        if let Some((_, plain)) = self.0.iter().find(|(from, _)| Arc::ptr_eq(from, map)) {
            *map = Arc::clone(plain);
            return;
        }
        let mut plain = MapSpec::clone(map);
        (plain.btf, plain.btf_key_id, plain.btf_value_id) = (None, 0, 0);
        if let Some(inner) = &mut plain.inner {
            (inner.btf, inner.btf_key_id, inner.btf_value_id) = (None, 0, 0);
        }
        let from = std::mem::replace(map, Arc::new(plain));
        self.0.push((from, Arc::clone(map)));
    }
}

fn list(args: &DisArgs, kernels: &mut Kernels, tally: &mut Tally) -> Printed {
    each_unit(args, kernels, tally, list_unit)
}

fn each_unit(
    args: &DisArgs,
    kernels: &mut Kernels,
    tally: &mut Tally,
    mut print: impl FnMut(&mut dyn Write, &Unit) -> io::Result<()>,
) -> Printed {
    let store = btf_store(&args.input)?;
    let mut out = anstream::stdout().lock();
    for unit in Units::new(&args.input, kernels, &store) {
        match unit {
            Ok(unit) => {
                if let Err(e) = print(&mut out, &unit) {
                    return Ok(Err(e));
                }
            }
            Err(failure) => {
                tally.bad_input = true;
                failure.print();
            }
        }
    }
    Ok(Ok(()))
}

/// Instructions with their numbers, under their functions and source lines where there are any, and
/// with what they refer to behind them.
fn list_unit(out: &mut dyn Write, unit: &Unit) -> io::Result<()> {
    let spec = &unit.spec;
    writeln!(
        out,
        "{TITLE}{}/{}{TITLE:#}  {}",
        unit.file, unit.prog, spec.ty
    )?;
    let (mut last, mut second) = (None, false);
    for (idx, insn) in spec.insns.iter().enumerate() {
        if let Some(name) = function_at(spec, idx) {
            writeln!(out, "{name}:")?;
        }
        let place = spec.line_at(idx).and_then(|_| Place::find(spec, idx));
        let at = place.as_ref().map(|p| (p.file.clone(), p.line));
        if at.is_some() && at != last {
            if let Some(place) = &place {
                let text = place.text.trim();
                writeln!(out, "{DIM}; {text} @ {}:{}{DIM:#}", place.file, place.line)?;
            }
            last = at;
        }
        if !second {
            let text = insn_text(unit, idx);
            let remarks = remarks(spec, idx);
            if remarks.is_empty() {
                writeln!(out, "{idx:5}: {text}")?;
            } else {
                let remarks = remarks.join("; ");
                writeln!(out, "{idx:5}: {text:<36} {DIM}; {remarks}{DIM:#}")?;
            }
        }
        second = !second && insn.is_ld_imm64();
    }
    writeln!(out)
}

/// The function that begins at a slot, in programs of several.
fn function_at(spec: &ProgramSpec, idx: usize) -> Option<String> {
    if spec.func_info.len() < 2 {
        return None;
    }
    let at = spec
        .func_info
        .partition_point(|f| (f.insn_off as usize) < idx);
    let info = spec
        .func_info
        .get(at)
        .filter(|f| f.insn_off as usize == idx)?;
    let btf = spec.btf.as_ref()?;
    Some(btf.ty(info.type_id.into()).ok()?.name().to_owned())
}

/// What an instruction's text does not say: the global variable, the CO-RE access, what is missing.
fn remarks(spec: &ProgramSpec, idx: usize) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(variable) = variable(spec, idx) {
        remarks.push(variable);
    }
    if let Some(access) = spec.core_at(idx) {
        let lacking = match &access.answer {
            CoreAnswer::Missing => ", which the kernel lacks",
            CoreAnswer::Unasked | CoreAnswer::Found { .. } | CoreAnswer::Failed(_) => "",
        };
        let (kind, subject) = (access.kind.name(), &access.subject);
        remarks.push(format!("CO-RE {kind} of {subject}{lacking}"));
    } else {
        let waits = spec
            .unresolved
            .iter()
            .filter(|u| u.insn_idx == idx && idx != 0);
        remarks.extend(waits.map(|u| format!("needs {}", u.what)));
    }
    remarks
}

/// The global variable whose address a slot loads: its name, and the distance into it.
fn variable(spec: &ProgramSpec, idx: usize) -> Option<String> {
    let insn = spec.insns.get(idx)?;
    if !insn.is_ld_imm64() || insn.src() != pseudo::MAP_VALUE {
        return None;
    }
    let map = spec.maps.get(usize::try_from(insn.imm).ok()?)?;
    let offset = u32::try_from(spec.insns.get(idx + 1)?.imm).ok()?;
    let btf = map.btf.as_ref()?;
    let Ok(Type::DataSec(section)) = btf.ty(map.btf_value_id.into()) else {
        return None;
    };
    let mut vars = section.vars.iter();
    let var = vars.find(|v| offset >= v.offset && offset - v.offset < v.size)?;
    let name = btf.ty(var.ty).ok()?.name().to_owned();
    Some(match offset - var.offset {
        0 => name,
        distance => format!("{name}+{distance}"),
    })
}
