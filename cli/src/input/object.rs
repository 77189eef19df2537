//! Objects: read, opened for each kernel, split into units.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use skep_loader::open;
use skep_spec::{MapType, ObjectSpec};

use crate::failure::{Failure, note};
use crate::kernels::Kernel;

use super::paths::{MAX_INPUT, plain};
use super::{Kind, Source, Unit, assemble_text, help};

/// A file's bytes.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn read(source: &Source) -> Result<Vec<u8>, Failure> {
    if let Some(bytes) = &source.stdin {
        return Ok(bytes.clone());
    }
    let mut bytes = Vec::new();
    let file = File::open(&source.path);
    let read = file.and_then(|file| file.take(MAX_INPUT).read_to_end(&mut bytes));
    read.map_err(|e| Failure::of(source.shown(), plain(&e)))?;
    if let Some(part) = &source.part {
        let own = bytes.get(part.bytes.clone()).map(<[u8]>::to_vec);
        return own
            .ok_or_else(|| Failure::of(source.shown(), "the file changed while it was read"));
    }
    Ok(bytes)
}

/// Opens an object, or assembles a text, for a kernel.
///
/// # Errors
/// What is wrong with it, and what to do about it.
pub(crate) fn open_source(source: &Source, kernel: &Kernel) -> Result<ObjectSpec, Failure> {
    open_bytes(source, read(source)?, kernel)
}

fn open_bytes(source: &Source, bytes: Vec<u8>, kernel: &Kernel) -> Result<ObjectSpec, Failure> {
    match source.kind {
        Kind::Assembly => assemble_text(&source.shown(), bytes, true, kernel)
            .and_then(|o| fill(source, o, kernel)),
        Kind::Object => open(&source.object_file(), &bytes, &kernel.open_options())
            .map_err(|e| help::of_object(&source.shown(), &bytes, &e)),
        Kind::Requests => Err(Failure::of(
            source.shown(),
            "these are captured load requests, not an object",
        )),
    }
}

/// Programs that fill a kernel's table of functions attach to its members, which the loader finds.
fn fill(source: &Source, object: ObjectSpec, kernel: &Kernel) -> Result<ObjectSpec, Failure> {
    if !object.maps.iter().any(|map| map.ty == MapType::StructOps) {
        return Ok(object);
    }
    let failed = |why: &dyn std::fmt::Display| Failure::of(source.shown(), why);
    let btf = kernel.facts.btf().map(AsRef::as_ref);
    let bytes = skep_asm::write_elf(&object, btf).map_err(|e| failed(&e))?;
    open(&source.object_file(), &bytes, &kernel.open_options()).map_err(|e| failed(&e))
}

/// Objects that hold types or maps alone are passed over in folders; a file that was named should
/// hold programs.
fn nothing_to_judge(source: &Source) -> Result<Vec<Result<Unit, Failure>>, Failure> {
    if source.in_folder {
        note(format_args!("{} holds no programs", source.shown()));
        return Ok(Vec::new());
    }
    Err(help::without_programs(&source.shown()))
}

/// Checks that an object is for the machines that verdicts and runs are for.
///
/// # Errors
/// A big-endian object.
pub(crate) fn little_endian(source: &Source, object: &ObjectSpec) -> Result<(), Failure> {
    if !object.big_endian {
        return Ok(());
    }
    Err(Failure::of(
        source.shown(),
        "a big-endian object; verdicts and runs are for little-endian machines",
    )
    .help("compile it with `clang -target bpfel`; `skep inspect` and `skep dis` read it as it is"))
}

/// The units of an object: its programs in order, each for every kernel.
pub(super) fn units(
    source: &Source,
    kernels: &[Arc<Kernel>],
    index: usize,
) -> Result<Vec<Result<Unit, Failure>>, Failure> {
    let bytes = read(source)?;
    let mut columns = Vec::new();
    for kernel in kernels {
        let object = open_bytes(source, bytes.clone(), kernel)?;
        if object.programs.is_empty() {
            return nothing_to_judge(source);
        }
        little_endian(source, &object)?;
        columns.push(object.programs.into_iter());
    }
    let mut units = Vec::new();
    loop {
        let before = units.len();
        for (column, kernel) in columns.iter_mut().zip(kernels) {
            units.extend(column.next().map(|spec| {
                Ok(Unit {
                    file: source.file(),
                    prog: spec.name.clone(),
                    spec: Arc::new(spec),
                    kernel: Arc::clone(kernel),
                    blocked: None,
                    recorded_on: String::new(),
                    source: index,
                })
            }));
        }
        if units.len() == before {
            return Ok(units);
        }
    }
}
