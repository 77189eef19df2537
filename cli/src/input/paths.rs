//! Arguments become files: folders are opened, kinds are told apart.

use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use skep_loader::{find_embedded, is_bpf_object};

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
    /// Where in the file the object lies, if the file is more than the object.
    pub(crate) part: Option<Part>,
    /// Whether it was found in a folder, where not every object need hold programs.
    pub(crate) in_folder: bool,
}

/// An object inside a file: a skeleton's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    /// Which of the file's objects, from 1; 0 if it is the only one.
    pub(crate) number: usize,
    /// Its place in the file, in bytes.
    pub(crate) bytes: Range<usize>,
    /// What the file calls the place.
    pub(crate) place: String,
}

impl Source {
    fn new(path: &Path, kind: Kind) -> Source {
        Source {
            path: path.to_owned(),
            kind,
            stdin: None,
            part: None,
            in_folder: false,
        }
    }

    /// Its name in errors.
    pub(crate) fn shown(&self) -> String {
        self.numbered(shown(&self.path))
    }

    /// Its name in tables: the file's, without its folder.
    pub(crate) fn file(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        self.numbered(name.to_string_lossy().into_owned())
    }

    /// The name after which the object's maps are named.
    pub(crate) fn object_file(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        name.to_string_lossy().into_owned()
    }

    fn numbered(&self, name: String) -> String {
        match &self.part {
            Some(part) if part.number != 0 => format!("{name}#{}", part.number),
            Some(_) | None => name,
        }
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
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(e) => {
            let Some((file, number)) = numbered(path) else {
                return Err(Failure::of(path.display(), plain(&e)));
            };
            return one_inside(&file, number);
        }
    };
    if metadata.is_dir() {
        return folder(path);
    }
    if is_requests(path) {
        return Ok(vec![Source::new(path, Kind::Requests)]);
    }
    if is_assembly(path) {
        return Ok(vec![Source::new(path, Kind::Assembly)]);
    }
    let inside = objects_inside(path)?;
    if inside.is_empty() {
        return Ok(vec![Source::new(path, Kind::Object)]);
    }
    Ok(inside)
}

fn folder(path: &Path) -> Result<Vec<Source>, Failure> {
    let fail = |e: io::Error| Failure::of(path.display(), plain(&e));
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.extension().is_some_and(|e| e == "o") && !path.is_dir() {
            found.push(Source {
                in_folder: true,
                ..Source::new(&path, Kind::Object)
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

/// Whether the path names a file, or an object inside of one.
pub(crate) fn is_file(path: &Path) -> bool {
    path.is_file() || numbered(path).is_some()
}

/// `FILE#N`, where `FILE` exists.
fn numbered(path: &Path) -> Option<(PathBuf, usize)> {
    let (file, number) = path.to_str()?.rsplit_once('#')?;
    let file = PathBuf::from(file);
    file.is_file().then_some((file, number.parse().ok()?))
}

fn one_inside(file: &Path, number: usize) -> Result<Vec<Source>, Failure> {
    let mut inside = objects_inside(file)?;
    let count = inside.len();
    match number.checked_sub(1).filter(|index| *index < count) {
        Some(index) => Ok(vec![inside.swap_remove(index)]),
        None => Err(Failure::of(
            file.display(),
            match count {
                0 => "it holds no BPF objects inside".to_owned(),
                1 => format!("it holds one BPF object, so there is no #{number}"),
                count => format!("it holds {count} BPF objects, so there is no #{number}"),
            },
        )),
    }
}

/// The BPF objects inside a host's executable, library or archive; none if it is something else.
fn objects_inside(path: &Path) -> Result<Vec<Source>, Failure> {
    let fail = |e: io::Error| Failure::of(path.display(), plain(&e));
    let mut file = File::open(path).map_err(fail)?;
    let mut head = Vec::new();
    let read = file.by_ref().take(HEAD).read_to_end(&mut head);
    read.map_err(fail)?;
    let is_host = head.starts_with(b"\x7fELF") && !is_bpf_object(&head);
    if !is_host && !head.starts_with(b"!<arch>\n") {
        return Ok(Vec::new());
    }
    let rest = file.take(MAX_INPUT).read_to_end(&mut head);
    rest.map_err(fail)?;
    let found = find_embedded(&head);
    let only = found.len() == 1;
    let sources = found.into_iter().enumerate().map(|(index, e)| Source {
        part: Some(Part {
            number: if only { 0 } else { index + 1 },
            bytes: e.offset..e.offset + e.len,
            place: e.place,
        }),
        ..Source::new(path, Kind::Object)
    });
    Ok(sources.collect())
}

/// Bytes that tell what a file is.
const HEAD: u64 = 64;

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
        stdin: Some(bytes),
        ..Source::new(path, kind)
    }])
}
