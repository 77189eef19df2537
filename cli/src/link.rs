//! `skep link`: several objects become one.

use std::fs;
use std::io::{Write, stdout};
use std::path::PathBuf;

use clap::Args;
use skep_loader::join;

use crate::exit::Tally;
use crate::failure::Failure;
use crate::input::{Kind, expand, read};

/// Join several objects into one, as `bpftool gen object` does
///
/// What one object declares (functions, variables, maps) must be defined in another; equal types
/// are kept once. Nothing is resolved against a kernel.
#[derive(Args, Debug)]
pub(crate) struct LinkArgs {
    /// BPF objects
    #[arg(required = true, value_name = "FILE")]
    inputs: Vec<PathBuf>,

    /// Where to write; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// What cannot be read, joined or written.
pub(crate) fn run(args: &LinkArgs) -> Result<Tally, Failure> {
    let mut objects = Vec::new();
    for source in expand(&args.inputs) {
        let source = source?;
        if source.kind != Kind::Object {
            return Err(Failure::of(source.shown(), "this is no object")
                .help("`skep asm` makes an object of assembly text"));
        }
        objects.push((source.shown(), read(&source)?));
    }
    let inputs: Vec<_> = objects
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    let joined = join(&inputs).map_err(|e| {
        let failure = Failure::new(e.to_string());
        if e.why.ends_with("is defined a second time") {
            failure.help("declare it `extern` in one of them, or `__weak`, or `static`")
        } else {
            failure
        }
    })?;
    if args.output.as_os_str() == "-" {
        let written = stdout().lock().write_all(&joined);
        return crate::verify::finish(written, Tally::default());
    }
    fs::write(&args.output, joined).map_err(|e| Failure::of(args.output.display(), e))?;
    Ok(Tally::default())
}
