//! Objects: read, opened for each kernel, split into units.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use skep_loader::open;
use skep_spec::ObjectSpec;

use crate::failure::Failure;
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
        Kind::Assembly => assemble_text(&source.shown(), bytes, true, kernel),
        Kind::Object => open(&source.file(), &bytes, &kernel.open_options())
            .map_err(|e| help::of_object(&source.shown(), &bytes, &e)),
        Kind::Requests => Err(Failure::of(
            source.shown(),
            "these are captured load requests, not an object",
        )),
    }
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
