//! The folder that a fuzzing run keeps things in: `programs/`, which met something new and are damaged
//! by runs from other seeds; `findings/`; and for each oracle and seed how far its run came.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use skep_asm::disassemble_program;
use skep_fuzz::campaign::seed_at;
use skep_fuzz::{Oracle, Subject};
use skep_spec::Facts;

use crate::failure::Failure;
use crate::input::shown;

use super::state::State;

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

    /// The programs in it, in order, without those that runs with this seed and number kept: they must not
    /// change what these runs see when they go on.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn programs(&self, seed: u64, count: u64) -> Result<Vec<PathBuf>, Failure> {
        let own = |path: &Path| {
            let name = path.file_stem().and_then(|name| name.to_str());
            let kept = name.and_then(|name| u64::from_str_radix(name, 16).ok());
            kept.is_some_and(|kept| kept.wrapping_sub(seed_at(seed, 0)) < count)
        };
        let folder = self.0.join("programs");
        let failed = |e: io::Error| Failure::of(shown(&folder), e);
        let mut paths = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|ending| ending == "s") && !own(&path) {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }

    fn place(&self, oracle: Oracle, seed: u64) -> PathBuf {
        self.0.join(format!("{}-{seed}.json", oracle.name()))
    }

    /// How far the run came that begins at that seed, if it was begun.
    ///
    /// # Errors
    /// What is there is no state of such a run.
    pub(super) fn resume(
        &self,
        oracle: Oracle,
        seed: u64,
        subjects: &str,
        facts: &Facts,
    ) -> Result<Option<State>, Failure> {
        let path = self.place(oracle, seed);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Failure::of(shown(&path), e)),
        };
        let state = serde_json::from_str(&text).ok();
        let state = state.and_then(|value| State::from_json(&value, facts));
        let failed = |why: String| {
            let help = "remove the file, or choose another --seed, to begin anew";
            Err(Failure::of(shown(&path), why).help(help))
        };
        match state {
            None => failed("does not say where to go on".to_owned()),
            Some(state) if state.subjects != subjects => failed(format!(
                "was begun with other subjects: {}, now {subjects}",
                state.subjects
            )),
            Some(state) => Ok(Some(state)),
        }
    }

    /// Remembers how far a run came.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn remember(&self, oracle: Oracle, seed: u64, state: &State) -> Result<(), Failure> {
        let path = self.place(oracle, seed);
        let part = path.with_extension("part");
        // Whoever interrupts this finds the old state or the new one.
        let written = fs::write(&part, format!("{}\n", state.to_json()))
            .and_then(|()| fs::rename(&part, &path));
        written.map_err(|e| Failure::of(shown(&path), e))
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
