//! `skep asm`: assembly text to an object or to raw instructions.

use std::fs;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use clap::Args;
use skep_isa::pseudo;
use skep_spec::{ObjectSpec, ProgramSpec};

use crate::exit::Tally;
use crate::failure::Failure;
use crate::input::{Kind, Source, assemble_text, expand};
use crate::kernels::Kernels;

/// Assemble a text to an object, or to raw instructions
///
/// The dialect is that of clang and of the kernel's log. `skep dis` prints it.
#[derive(Args, Debug)]
pub(crate) struct AsmArgs {
    /// The text, or `-` for standard input
    #[arg(value_name = "FILE")]
    input: PathBuf,

    /// Where to write; `-` is standard output [default: the input's name ending in .o, in the
    /// working folder]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Write the bare instructions of one program, 8 bytes each, little-endian, instead of an object
    #[arg(long)]
    raw: bool,

    /// With --raw, which program
    #[arg(long, value_name = "NAME", requires = "raw")]
    prog: Option<String>,

    /// Leave out source lines, and function types that nothing needs
    #[arg(long)]
    no_debug: bool,

    /// Kernel BTF in which kernel functions and variables are looked up
    #[arg(long, value_name = "FILE")]
    btf: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// The text's mistakes, or what cannot be written.
pub(crate) fn run(args: &AsmArgs) -> Result<Tally, Failure> {
    let mut sources = expand(std::slice::from_ref(&args.input));
    let source = match sources.pop() {
        Some(source) if sources.is_empty() => source?,
        Some(_) | None => return Err(Failure::of(args.input.display(), "give a single file")),
    };
    let source = Source {
        kind: Kind::Assembly,
        ..source
    };
    let kernels = Kernels::new(&[], args.btf.as_deref())?;
    let kernel = kernels.first()?;
    let bytes = crate::input::read(&source)?;
    let object = assemble_text(&source.shown(), bytes, !args.no_debug, &kernel)?;
    let bytes = if args.raw {
        raw(&object, args.prog.as_deref(), &source)?
    } else {
        let btf = kernel.facts.btf().map(AsRef::as_ref);
        skep_asm::write_elf(&object, btf).map_err(|e| Failure::of(source.shown(), e))?
    };
    let output = args
        .output
        .clone()
        .unwrap_or_else(|| default_output(&source, args.raw));
    if output.as_os_str() == "-" {
        let written = stdout().lock().write_all(&bytes);
        return crate::verify::finish(written, Tally::default());
    }
    fs::write(&output, bytes).map_err(|e| Failure::of(output.display(), e))?;
    Ok(Tally::default())
}

/// `a/b.bpf.s` becomes `b.bpf.o`; standard input goes to standard output.
fn default_output(source: &Source, raw: bool) -> PathBuf {
    match source.path.file_name() {
        Some(name) if source.stdin.is_none() => {
            Path::new(name).with_extension(if raw { "bin" } else { "o" })
        }
        Some(_) | None => PathBuf::from("-"),
    }
}

fn raw(object: &ObjectSpec, prog: Option<&str>, source: &Source) -> Result<Vec<u8>, Failure> {
    let program = match (prog, object.programs.as_slice()) {
        (Some(name), _) => object.program(name).ok_or_else(|| {
            Failure::of(source.shown(), format_args!("there is no program `{name}`"))
        })?,
        (None, [only]) => only,
        (None, programs) => {
            let names: Vec<_> = programs.iter().map(|p| p.name.as_str()).collect();
            let what = format!("it holds {} programs: {}", programs.len(), names.join(", "));
            return Err(Failure::of(source.shown(), what).help("choose one with --prog"));
        }
    };
    if let Some(at) = first_map(program) {
        let what = format!("`{}` refers to a map at insn {at}", program.name);
        return Err(Failure::of(source.shown(), what)
            .help("bare instructions cannot name maps; write an object instead"));
    }
    Ok(program
        .insns
        .iter()
        .flat_map(|insn| insn.to_le_bytes())
        .collect())
}

fn first_map(program: &ProgramSpec) -> Option<usize> {
    let names_map = |src| matches!(src, pseudo::MAP_FD | pseudo::MAP_VALUE);
    program
        .insns
        .iter()
        .position(|insn| insn.is_ld_imm64() && names_map(insn.src()))
}
