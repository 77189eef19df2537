//! What to do about objects that cannot be opened or used.

use skep_loader::{Error, ErrorKind};
use skep_spec::ProgType;

use crate::failure::Failure;

use super::Unit;

/// The loader's error as people read it.
pub(super) fn of_object(file: &str, bytes: &[u8], error: &Error) -> Failure {
    if bytes.is_empty() {
        return Failure::of(file, "the file is empty");
    }
    let failure = Failure::of(file, error);
    match advice(&error.kind) {
        Some(advice) => failure.help(advice),
        None => failure,
    }
}

fn advice(kind: &ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::NotElf => {
            "a BPF object comes from `clang -target bpf -g -O2 -c`; captured requests end in .jsonl"
        }
        ErrorKind::Damaged(_) => "the file was cut short or changed; compile or copy it again",
        ErrorKind::Not64Bit => "compile it with `clang -target bpf`",
        ErrorKind::OtherMachine(_) => {
            "compile it with `clang -target bpf`; no BPF object lies inside of this file"
        }
        ErrorKind::NotRelocatable(_) => "give the object that `clang -c` makes, not a linked file",
        ErrorKind::NoSymbols => {
            "keep the symbols: strip debug information only, with `llvm-strip -g`"
        }
        ErrorKind::NoPrograms => NO_PROGRAMS,
        ErrorKind::Global { .. } => "`skep inspect --globals FILE` lists an object's variables",
        ErrorKind::Btf(_) => "the type information is damaged; compile the object again with -g",
        ErrorKind::Compressed => {
            "undo it: `llvm-objcopy --compress-sections=.BTF=none --compress-sections=.BTF.ext=none`"
        }
        ErrorKind::Relocation { .. }
        | ErrorKind::Program { .. }
        | ErrorKind::Map { .. }
        | ErrorKind::Extern { .. }
        | ErrorKind::TooLarge => return None,
    })
}

const NO_PROGRAMS: &str = "a program is a global function in a section such as SEC(\"xdp\")";

/// A file that holds types or maps alone, where programs are wanted.
pub(super) fn without_programs(file: &str) -> Failure {
    Failure::of(file, "no programs in the object").help(NO_PROGRAMS)
}

/// The unit, if its program has a type.
pub(super) fn typed(unit: Unit) -> Result<Unit, Failure> {
    if unit.spec.ty != ProgType::Unspec {
        return Ok(unit);
    }
    let what = if unit.spec.section.is_empty() {
        "the program has no type".to_owned()
    } else {
        format!("section `{}` stands for no program type", unit.spec.section)
    };
    Err(Failure::new(format!("{}/{}: {what}", unit.file, unit.prog))
        .help("name the section by libbpf's rules, such as SEC(\"xdp\"), or give --type"))
}
