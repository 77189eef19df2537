//! Tests of programs, from a table: input, and what is expected of it.
//!
//! The five lines that make a test file part of `cargo test`:
//!
//! ```no_run
//! #[test]
//! fn programs_do_what_they_should() {
//!     skep_host::test::run("tests/firewall.toml").unwrap().assert_passed();
//! }
//! ```
//!
//! Every test begins in a machine of its own: maps as the object makes them, the same clock, the same
//! pseudorandom numbers. Programs are verified before they run, as a kernel does.

mod check;
pub mod file;
mod step;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skep_btf::Btf;
use skep_spec::{Facts, ObjectSpec, Profile};

use crate::Error;
use file::{File, Test};

pub use step::{Beside, Subject, prepare};

/// What became of a test.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Everything was as expected.
    Passed,
    /// What was not.
    Failed(Vec<String>),
    /// The simulator lacks something that the program needs.
    Undecided(String),
}

/// One test's result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TestResult {
    /// Name of the test.
    pub name: String,
    /// The program.
    pub program: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Instructions that were executed.
    pub insns: u64,
}

/// The results of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// The file.
    pub file: String,
    /// Its tests, in order.
    pub tests: Vec<TestResult>,
}

impl Report {
    /// Whether all passed.
    pub fn passed(&self) -> bool {
        self.tests.iter().all(|t| t.outcome == Outcome::Passed)
    }

    /// Panics with everything that was not as expected, as a test should.
    ///
    /// # Panics
    /// When a test did not pass.
    #[track_caller]
    pub fn assert_passed(&self) {
        assert!(self.passed(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.file)?;
        for test in &self.tests {
            match &test.outcome {
                Outcome::Passed => writeln!(f, "  passed  {}", test.name)?,
                Outcome::Undecided(what) => writeln!(f, "  undecided  {}: {what}", test.name)?,
                Outcome::Failed(why) => {
                    writeln!(f, "  failed  {}", test.name)?;
                    for line in why {
                        writeln!(f, "    {line}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A file with everything that its tests need.
#[derive(Debug)]
pub struct Suite {
    /// Where it was read from.
    pub path: PathBuf,
    /// The file.
    pub file: File,
    /// The object.
    pub object: ObjectSpec,
    /// What the kernel allows.
    pub facts: Facts,
}

impl Suite {
    /// Reads a test file and its object.
    ///
    /// # Errors
    /// What cannot be read or makes no sense, and where.
    pub fn open(path: &Path) -> Result<Suite, Error> {
        let shown = path.display().to_string();
        let text = read_text(path)?;
        let file = File::parse(&text).map_err(|e| e.in_place(&shown))?;
        let mut profile = Profile::linux_6_18();
        if let Some(btf) = &file.btf {
            let bytes = read(&beside(path, btf))?;
            let btf = Btf::parse(bytes).map_err(|e| Error::of(btf, e))?;
            profile = profile.with_btf(Arc::new(btf));
        }
        let facts = Facts::new(profile);
        let object = crate::object::open(&beside(path, &file.object), &facts)
            .map_err(|e| e.in_place(&shown))?;
        Ok(Suite {
            path: path.to_owned(),
            file,
            object,
            facts,
        })
    }

    /// Runs all its tests.
    ///
    /// # Errors
    /// A test that makes no sense: a program, map or field that does not exist, a value that does not fit.
    pub fn run(&self) -> Result<Report, Error> {
        let mut tests = Vec::new();
        for test in &self.file.tests {
            tests.push(self.run_test(test)?);
        }
        Ok(Report {
            file: self.path.display().to_string(),
            tests,
        })
    }

    /// Runs one of its tests.
    ///
    /// # Errors
    /// As [`Suite::run`].
    pub fn run_test(&self, test: &Test) -> Result<TestResult, Error> {
        step::run(self, test).map_err(|e| {
            e.in_place(format_args!(
                "{}: test `{}`",
                self.path.display(),
                test.name
            ))
        })
    }
}

/// Runs a test file.
///
/// # Errors
/// What cannot be read or makes no sense, and where.
pub fn run(path: impl AsRef<Path>) -> Result<Report, Error> {
    Suite::open(path.as_ref())?.run()
}

/// A path from the folder of a file.
pub(crate) fn beside(file: &Path, name: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(name)
}

/// Bytes of any input at most.
const MAX_FILE: u64 = 1 << 30;

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let place = path.display();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes))
        .map_err(|e| Error::of(place, crate::text::io_error(&e)))?;
    Ok(bytes)
}

pub(crate) fn read_text(path: &Path) -> Result<String, Error> {
    String::from_utf8(read(path)?).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Error::of(
            path.display(),
            format_args!("no text: byte {at:#x} is not UTF-8"),
        )
    })
}
