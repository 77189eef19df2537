//! `skep jit`: a program's machine code beside its instructions, under its source lines.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, IntelFormatter, OpKind};
use skep_host::maps;
use skep_isa::InsnIdx;
use skep_jit::{Jit, Opt, Opts, Program};
use skep_sim::{ProgId, Sim};

use crate::args::OpenArgs;
use crate::diagnostic::{Place, insn_text};
use crate::exit::Tally;
use crate::failure::{Failure, note};
use crate::input::{Unit, open_source};
use crate::kernels::Kernels;
use crate::run::{choose, find_source, unit};
use crate::style::{DIM, TITLE};
use crate::verify::finish;
use crate::vouch;

/// Show a program's x86-64 code beside its instructions
///
/// An accepted program is compiled without checks, any other one confined to guest memory. Exit code: 0
/// it was compiled, 2 usage or bad input.
#[derive(Args, Debug)]
pub(crate) struct JitArgs {
    /// The object or assembly text, with `/PROGRAM` behind it if it holds several: FILE.o/PROGRAM
    #[arg(value_name = "FILE[/PROGRAM]")]
    input: PathBuf,

    /// The program, by name
    #[arg(long, value_name = "NAME")]
    prog: Option<String>,

    /// Confine the program to guest memory though it is accepted
    #[arg(long)]
    sandboxed: bool,

    /// Leave an optimisation out, by its name, or `all`; repeatable
    #[arg(long, value_name = "NAME")]
    without: Vec<String>,

    /// Write the code's bytes to a file
    #[arg(long, value_name = "FILE")]
    dump: Option<PathBuf>,

    /// Kernel BTF to resolve what the object needs; `running` means the running kernel's
    #[arg(long, value_name = "FILE")]
    btf: Option<PathBuf>,

    #[command(flatten)]
    open: OpenArgs,
}

/// Columns of instructions; machine code is behind them.
const LEFT: usize = 44;

/// Runs the command.
///
/// # Errors
/// What makes it impossible.
pub(crate) fn run(args: &JitArgs) -> Result<Tally, Failure> {
    let kernels = Kernels::new(&[], args.btf.as_deref())?.opening(&args.open)?;
    let kernel = kernels.first()?;
    let (source, named) = find_source(&args.input)?;
    let object = open_source(&source, &kernel)?;
    let program = choose(&source, &object, args.prog.as_deref().or(named.as_deref()))?;
    let unit = unit(&source, program, &kernel);
    let maps = maps::usable(&object, program, &kernel.facts);
    let mut sim = Sim::new(&maps).map_err(|e| Failure::of(source.shown(), e))?;
    let mut jit = Jit::with_opts(opts(&args.without)?);
    let accepted = if args.sandboxed {
        None
    } else {
        vouch::load_accepted(&mut jit, &mut sim, program, &kernel.facts)
    };
    let loaded = match accepted {
        Some(loaded) => loaded,
        None => {
            note("the code is confined to guest memory");
            jit.load(&mut sim, program, &[])
        }
    };
    let ProgId(at) = loaded.map_err(|e| Failure::of(source.shown(), e))?;
    let Some(compiled) = jit.programs().get(at as usize) else {
        return Err(Failure::new("the program is lost"));
    };
    if let Some(path) = &args.dump {
        fs::write(path, compiled.code()).map_err(|e| Failure::of(path.display(), e))?;
    }
    finish(list(&unit, compiled), Tally::default())
}

/// All optimisations but those.
fn opts(without: &[String]) -> Result<Opts, Failure> {
    let mut opts = Opts::default();
    for name in without {
        let found = Opt::ALL.iter().find(|opt| opt.name() == name);
        opts = match found {
            Some(opt) => opts.without(*opt),
            None if name == "all" => Opts::NONE,
            None => {
                let names: Vec<_> = Opt::ALL.iter().map(|opt| opt.name()).collect();
                return Err(Failure::new(format!("there is no optimisation `{name}`"))
                    .help(format!("there are {}, and `all`", names.join(", "))));
            }
        };
    }
    Ok(opts)
}

fn list(unit: &Unit, program: &Program) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    let (insns, bytes) = (program.insns().len(), program.code().len());
    writeln!(
        out,
        "{TITLE}{}/{}{TITLE:#}  {}, {insns} slots, {bytes} bytes of machine code",
        unit.file, unit.prog, unit.spec.ty
    )?;
    let starts: Vec<(InsnIdx, usize)> = (0..insns)
        .filter_map(|slot| Some((slot, program.offset(slot)?)))
        .collect();
    let first = starts.first().map_or(bytes, |start| start.1);
    group(&mut out, program, &["entry".to_owned()], 0..first)?;
    // Code is listed with its slot, which in loops is not the order that it stands in. Of slots that begin
    // at the same place, the last one has the code.
    let mut by_place: Vec<(usize, InsnIdx)> = starts.iter().map(|&(s, at)| (at, s)).collect();
    by_place.push((program.end(), insns));
    by_place.sort_unstable();
    let mut last_line = None;
    for (at, &(slot, begin)) in starts.iter().enumerate() {
        let next = starts.get(at + 1).map_or(insns, |next| next.0);
        let behind = by_place.partition_point(|place| *place <= (begin, slot));
        let end = by_place.get(behind).map_or(begin, |place| place.0);
        if let Some(place) = unit
            .spec
            .line_at(slot)
            .and_then(|_| Place::find(&unit.spec, slot))
        {
            let line = Some((place.file.clone(), place.line));
            if line != last_line {
                let text = place.text.trim();
                writeln!(out, "{DIM}; {text} @ {}:{}{DIM:#}", place.file, place.line)?;
                last_line = line;
            }
        }
        let left: Vec<String> = (slot..next)
            .filter(|idx| *idx == slot || !is_second(unit, *idx))
            .map(|idx| format!("{idx:4}: {}", insn_text(unit, idx)))
            .filter(|text| !text.ends_with(": "))
            .collect();
        group(&mut out, program, &left, begin..end)?;
    }
    group(
        &mut out,
        program,
        &["traps, detours".to_owned()],
        program.end()..bytes,
    )
}

/// Whether a slot is the second one of a 64-bit load.
fn is_second(unit: &Unit, idx: InsnIdx) -> bool {
    let before = idx.checked_sub(1).and_then(|idx| unit.spec.insns.get(idx));
    before.is_some_and(|insn| insn.is_ld_imm64())
}

/// Instructions on the left, their code on the right.
fn group(
    out: &mut impl Write,
    program: &Program,
    left: &[String],
    range: std::ops::Range<usize>,
) -> io::Result<()> {
    let right = disassemble(program, range);
    for line in 0..left.len().max(right.len()) {
        let left = left.get(line).map_or("", String::as_str);
        match right.get(line) {
            Some(right) => writeln!(out, "{left:<LEFT$} {DIM}|{DIM:#} {right}")?,
            None => writeln!(out, "{left:<LEFT$} {DIM}|{DIM:#}")?,
        }
    }
    Ok(())
}

/// Machine code as text, with offsets in it as addresses.
fn disassemble(program: &Program, range: std::ops::Range<usize>) -> Vec<String> {
    let code = program.code().get(range.clone()).unwrap_or_default();
    let mut decoder = Decoder::with_ip(64, code, range.start as u64, DecoderOptions::NONE);
    let mut formatter = IntelFormatter::new();
    let options = formatter.options_mut();
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_uppercase_hex(false);
    options.set_space_after_operand_separator(true);
    options.set_branch_leading_zeros(false);
    let mut insn = Instruction::default();
    let mut lines = Vec::new();
    while decoder.can_decode() {
        decoder.decode_out(&mut insn);
        let mut text = String::new();
        formatter.format(&insn, &mut text);
        // Where our own functions lie differs from run to run.
        if insn.op_count() == 2
            && insn.op_kind(1) == OpKind::Immediate64
            && let Some(name) = skep_jit::function_name(insn.immediate64())
        {
            text = format!("mov r11, &{name}");
        }
        lines.push(format!("{:4x}: {text}", insn.ip()));
    }
    lines
}
