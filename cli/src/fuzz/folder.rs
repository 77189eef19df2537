//! The folder that a fuzzing run keeps things in: `programs/`, which met something new and are damaged
//! from then on; `findings/`; and for each oracle and seed where to go on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use skep_asm::disassemble_program;
use skep_fuzz::{Oracle, Subject};

use crate::failure::Failure;
use crate::input::shown;

/// The folder.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Opens it, or makes it.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn open(path: &Path) -> Result<Folder, Failure> {
        for part in ["programs", "findings"] {
            let part = path.join(part);
            fs::create_dir_all(&part).map_err(|e| Failure::of(shown(&part), e))?;
        }
        Ok(Folder(path.to_owned()))
    }

    /// The programs in it, in order.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn programs(&self) -> Result<Vec<PathBuf>, Failure> {
        let folder = self.0.join("programs");
        let failed = |e: io::Error| Failure::of(shown(&folder), e);
        let mut paths = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|ending| ending == "s") {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }

    fn place(&self, oracle: Oracle, seed: u64) -> PathBuf {
        self.0.join(format!("{}-{seed}.next", oracle.name()))
    }

    /// The position to go on from; 0 at first.
    ///
    /// # Errors
    /// What is there is no position.
    pub(super) fn resume(&self, oracle: Oracle, seed: u64) -> Result<u64, Failure> {
        let path = self.place(oracle, seed);
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|_| {
                Failure::of(shown(&path), "holds no position to go on from")
                    .help("remove the file to begin anew")
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(e) => Err(Failure::of(shown(&path), e)),
        }
    }

    /// Remembers where to go on.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn remember(&self, oracle: Oracle, seed: u64, next: u64) -> Result<(), Failure> {
        let path = self.place(oracle, seed);
        fs::write(&path, format!("{next}\n")).map_err(|e| Failure::of(shown(&path), e))
    }

    /// Keeps a program that met something new. Of programs with types of their own a source tells too
    /// little.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn keep(&self, subject: &Subject, seed: u64) -> Result<(), Failure> {
        let Subject::Program(spec) = subject else {
            return Ok(());
        };
        if spec.btf.is_some() || spec.maps.iter().any(|map| map.btf.is_some()) {
            return Ok(());
        }
        let path = self.0.join("programs").join(format!("{seed:016x}.s"));
        fs::write(&path, disassemble_program(spec)).map_err(|e| Failure::of(shown(&path), e))
    }

    /// Keeps the report of a finding.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn finding(&self, oracle: Oracle, seed: u64, report: &str) -> io::Result<()> {
        let name = format!("{}-{seed:016x}.s", oracle.name());
        fs::write(self.0.join("findings").join(name), report)
    }
}
