//! The guest's first program: an executable of this machine, with the libraries that it needs.
//!
//! An executable that is linked statically needs none. For any other, its interpreter and the shared
//! libraries that it names, and those that they name, go into the archive under their own paths.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use object::Endianness;
use object::elf::{DT_NEEDED, FileHeader64, PT_INTERP};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};

use super::cpio::Archive;

/// Folders that libraries are looked for in, after the loader's own habit.
const FOLDERS: [&str; 6] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];

/// What an executable or library asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Needs {
    interpreter: Option<String>,
    libraries: Vec<String>,
}

/// Puts an executable into the archive as `init`, with all that it needs.
///
/// # Errors
/// A file that cannot be read or is missing, or an executable that is no ELF file of x86-64.
pub(super) fn add(archive: &mut Archive, executable: &Path) -> io::Result<()> {
    let bytes = fs::read(executable)?;
    archive.file("init", &bytes);
    let mut open = vec![bytes];
    let mut added = BTreeSet::new();
    while let Some(bytes) = open.pop() {
        let needs = needs(&bytes).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "not an ELF file of x86-64")
        })?;
        let interpreter = needs
            .interpreter
            .map(|path| (path.clone(), PathBuf::from(path)));
        let libraries = needs.libraries.into_iter().map(|name| match find(&name) {
            Some(path) => Ok((path.to_string_lossy().into_owned(), path)),
            None => {
                let missing = format!("the shared library {name} is not found");
                Err(io::Error::new(io::ErrorKind::NotFound, missing))
            }
        });
        for file in interpreter.map(Ok).into_iter().chain(libraries) {
            let (name, path) = file?;
            let inside = name.trim_start_matches('/').to_owned();
            if added.insert(inside.clone()) {
                let bytes = fs::read(path)?;
                archive.file(&inside, &bytes);
                open.push(bytes);
            }
        }
    }
    Ok(())
}

fn find(library: &str) -> Option<PathBuf> {
    let paths = FOLDERS.iter().map(|folder| Path::new(folder).join(library));
    paths.into_iter().find(|path| path.is_file())
}

fn needs(elf: &[u8]) -> Option<Needs> {
    let header = FileHeader64::<Endianness>::parse(elf).ok()?;
    let endian = header.endian().ok()?;
    if header.e_machine(endian) != object::elf::EM_X86_64 {
        return None;
    }
    let mut needs = Needs::default();
    let segments = header.program_headers(endian, elf).ok()?;
    for segment in segments {
        if segment.p_type(endian) == PT_INTERP {
            let path = segment.data(endian, elf).ok()?;
            let path = path.split(|b| *b == 0).next()?;
            needs.interpreter = Some(String::from_utf8(path.to_vec()).ok()?);
        }
    }
    // Names lie in a table whose address the dynamic section gives; sections say its place in the file.
    let sections = header.sections(endian, elf).ok()?;
    if let Some((entries, strings)) = sections.dynamic(endian, elf).ok()? {
        let strings = sections.strings(endian, elf, strings).ok()?;
        for entry in entries {
            if entry.tag(endian) == DT_NEEDED {
                let name = entry.string(endian, strings).ok()?;
                needs.libraries.push(String::from_utf8(name.to_vec()).ok()?);
            }
        }
    }
    Some(needs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executable_brings_its_libraries() {
        let Ok(this) = std::env::current_exe() else {
            return;
        };
        let mut archive = Archive::default();
        add(&mut archive, &this).unwrap();
        let bytes = archive.finish();
        let holds = |name: &str| bytes.windows(name.len()).any(|w| w == name.as_bytes());
        let needs = needs(&fs::read(this).unwrap()).unwrap();
        for library in &needs.libraries {
            assert!(holds(&format!("{library}\0")), "{library}");
        }
        assert!(holds("init\0"));
    }

    #[test]
    fn what_is_no_executable_is_refused() {
        assert_eq!(needs(b"#!/bin/sh"), None);
        assert_eq!(needs(b""), None);
    }
}
