//! Captured load requests, read one by one.

use std::io::{BufRead, Cursor};
use std::sync::Arc;

use skep_corpus::{BtfStore, Request, RequestError, RequestReader};

use crate::failure::Failure;
use crate::kernels::Kernels;

use super::{Source, Unit};

/// The requests of one file.
pub(super) struct Requests<'a> {
    reader: RequestReader<'a>,
}

impl<'a> Requests<'a> {
    /// Opens the file.
    pub(super) fn open(source: &Source, store: &'a BtfStore) -> Result<Requests<'a>, Failure> {
        let reader = match &source.stdin {
            Some(bytes) => {
                let bytes: Box<dyn BufRead> = Box::new(Cursor::new(bytes.clone()));
                RequestReader::new("standard input".as_ref(), bytes, store)
            }
            None => RequestReader::open(&source.path, store).map_err(|e| Failure::new(told(&e)))?,
        };
        Ok(Requests { reader })
    }

    /// The units of the next request; `None` at the end.
    pub(super) fn next(
        &mut self,
        kernels: &mut Kernels,
        source: usize,
    ) -> Option<Vec<Result<Unit, Failure>>> {
        let request = match self.reader.next()? {
            Ok(request) => request,
            Err(e) => {
                let failure = Failure::new(told(&e));
                return Some(vec![Err(if e.key == "btf" {
                    failure.help("--btf-dir names the folder of the programs' BTF")
                } else {
                    failure
                })]);
            }
        };
        let kernels = match kernels.for_request(&request.kernel) {
            Ok(kernels) => kernels,
            Err(failure) => {
                let what = format!("{}: {}", request.id, failure.what);
                return Some(vec![Err(Failure { what, ..failure })]);
            }
        };
        let Request {
            file,
            prog,
            kernel: recorded_on,
            spec,
            target,
            ..
        } = request;
        let spec = Arc::new(spec);
        let needs_target = target.is_some_and(|t| t.is_program) && spec.target.is_none();
        let unit = |kernel| {
            Ok(Unit {
                file: file.clone(),
                prog: prog.clone(),
                spec: Arc::clone(&spec),
                kernel,
                blocked: needs_target.then(|| {
                    "the BPF program that it attaches to, which the request does not hold"
                        .to_owned()
                }),
                recorded_on: recorded_on.clone(),
                source,
            })
        };
        Some(kernels.into_iter().map(unit).collect())
    }
}

/// The error as a sentence: without a key, it is the line that is wrong.
fn told(error: &RequestError) -> String {
    match error.what.strip_prefix("is ") {
        Some(what) if error.key.is_empty() && error.line != 0 => {
            format!(
                "{}:{}: the line is {what}",
                error.file.display(),
                error.line
            )
        }
        Some(_) | None => error.to_string(),
    }
}
