//! Arguments become files: folders are opened, kinds are told apart.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

use super::shown;

/// What a file holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// An ELF object.
    Object,
    /// Captured load requests.
    Requests,
    /// Assembly text.
    Assembly,
}

/// One file, or standard input.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// As given, or found in a folder.
    pub(crate) path: PathBuf,
    /// What it holds.
    pub(crate) kind: Kind,
    /// Standard input's contents.
    pub(crate) stdin: Option<Vec<u8>>,
}

impl Source {
    /// Its name in errors.
    pub(crate) fn shown(&self) -> String {
        shown(&self.path)
    }

    /// Its name in tables: the file's, without its folder.
    pub(crate) fn file(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        name.to_string_lossy().into_owned()
    }
}

/// The files that arguments name, in their order and a folder's in alphabetical order; a failure stands
/// for an argument that names none.
pub(crate) fn expand(paths: &[PathBuf]) -> Vec<Result<Source, Failure>> {
    let mut sources = Vec::new();
    for path in paths {
        let found = if path.as_os_str() == "-" {
            stdin(path)
        } else {
            file_or_folder(path)
        };
        match found {
            Ok(found) => sources.extend(found.into_iter().map(Ok)),
            Err(failure) => sources.push(Err(failure)),
        }
    }
    sources
}

fn file_or_folder(path: &Path) -> Result<Vec<Source>, Failure> {
    let metadata = fs::metadata(path).map_err(|e| Failure::of(path.display(), plain(&e)))?;
    if !metadata.is_dir() {
        let kind = if is_requests(path) {
            Kind::Requests
        } else if is_assembly(path) {
            Kind::Assembly
        } else {
            Kind::Object
        };
        return Ok(vec![Source {
            path: path.to_owned(),
            kind,
            stdin: None,
        }]);
    }
    let fail = |e: io::Error| Failure::of(path.display(), plain(&e));
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.extension().is_some_and(|e| e == "o") && !path.is_dir() {
            found.push(Source {
                path,
                kind: Kind::Object,
                stdin: None,
            });
        }
    }
    if found.is_empty() {
        return Err(Failure::of(
            path.display(),
            "the folder holds no objects (*.o)",
        ));
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// An I/O error without its number.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    let text = text.get(..end).unwrap_or(&text);
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}

/// `SET.jsonl`, compressed or not.
fn is_requests(path: &Path) -> bool {
    let name = path.to_string_lossy();
    let name = name
        .strip_suffix(".xz")
        .or_else(|| name.strip_suffix(".zst"))
        .unwrap_or(&name);
    name.ends_with(".jsonl")
}

/// `PROG.s`, `PROG.bpf.s`.
fn is_assembly(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "s" || e == "S")
}

/// Bytes of an object or of standard input at most.
pub(crate) const MAX_INPUT: u64 = 1 << 30;

fn stdin(path: &Path) -> Result<Vec<Source>, Failure> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(MAX_INPUT).read_to_end(&mut bytes);
    read.map_err(|e| Failure::of("standard input", plain(&e)))?;
    let kind = match bytes.trim_ascii_start().first() {
        Some(b'{') => Kind::Requests,
        Some(_) | None => Kind::Object,
    };
    Ok(vec![Source {
        path: path.to_owned(),
        kind,
        stdin: Some(bytes),
    }])
}
