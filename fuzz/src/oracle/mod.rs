//! Oracles: what must hold of every subject, each a function that says whether it does.
//!
//! A *subject* is a load request or a string of bytes; a [`Bench`] makes it from a seed and holds what
//! oracles need (facts, the running kernel, programs and files to damage). [`Oracle`] names them all;
//! [`judge`] asks one about one subject and never panics: a panic of what is asked is a finding.

mod abstracts;
mod bench;
mod elf;
mod engines;
mod guest;
mod kernel;
mod numbers;
mod pruning;
mod readers;
mod requests;
mod runs;
mod tables;
mod test_run;
mod text;

use std::panic::{AssertUnwindSafe, catch_unwind};

use skep_spec::ProgramSpec;

use crate::coverage::Coverage;

pub use abstracts::abstract_contains_concrete;
pub use bench::{Bench, Subject, is_plain};
pub use elf::elf_readers_agree;
pub use engines::interp_equals_jit;
pub use guest::{Guests, guest_facts};
pub use kernel::{Agreement, Answered, Difference, Figures, LiveKernel, Side, live_facts};
pub use numbers::{NumberFault, numbers_contain};
pub use pruning::prune_equals_no_prune;
pub use readers::{READERS, Reader};
pub use requests::request_gets_a_verdict;
pub use runs::{Runs, accepted_never_traps};
pub use test_run::{Compared, kernel_runs_the_same};
pub use text::asm_round_trip;

/// What an oracle says of a subject.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It holds.
    Fine,
    /// The oracle has nothing to say about such a subject, for this reason.
    Skipped(&'static str),
    /// It holds as far as was promised; something less differs.
    Remark(Finding),
    /// It does not hold.
    Found(Finding),
}

/// Something that is not as it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What kind of thing it is: stays the same while a subject is made smaller.
    pub kind: String,
    /// What was seen.
    pub text: String,
}

impl Finding {
    /// One whose kind is its text with the numbers taken out.
    pub fn new(text: impl Into<String>) -> Finding {
        let text = text.into();
        Finding {
            kind: shape(&text),
            text,
        }
    }
}

/// What became of one subject.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judged {
    /// What the oracle says.
    pub outcome: Outcome,
    /// Whether this project's verifier accepts it, where it was asked and decided.
    pub here: Option<bool>,
    /// Whether the kernel accepts it, where it was asked and judged.
    pub kernel: Option<bool>,
    /// Which kernel was asked, and how its counts compare; only where verdicts are compared.
    pub examined: Option<Examination>,
    /// What was met.
    pub coverage: Coverage,
}

/// Whose verdict was compared with this project's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose {
    /// The running kernel's.
    Running,
    /// A guest's.
    Guest,
}

/// A comparison with a kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Examination {
    /// The kernel.
    pub whose: Whose,
    /// Counts, where both gave the same verdict and both counted.
    pub counts: Option<Counts>,
}

/// Which counts are the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Instructions processed.
    pub insns: bool,
    /// All figures.
    pub all: bool,
}

impl Judged {
    fn new(outcome: Outcome) -> Judged {
        Judged {
            outcome,
            here: None,
            kernel: None,
            examined: None,
            coverage: Coverage::default(),
        }
    }
}

/// An oracle by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Oracle {
    /// A kernel gives the same verdict.
    KernelAgrees,
    /// What is accepted never traps in the checking interpreter.
    AcceptedNeverTraps,
    /// Every register at every step of a run lies in what the verifier believes of it.
    AbstractContainsConcrete,
    /// Remembered states change no verdict.
    PruneEqualsNoPrune,
    /// A test run in the running kernel gives the same.
    KernelRunsTheSame,
    /// Compiled code gives the same as the interpreter.
    InterpEqualsJit,
    /// Text and load requests are two forms of one thing.
    AsmRoundTrip,
    /// Another reader of ELF sees the same programs.
    ElfReadersAgree,
    /// Operations on what is known of numbers lose no number.
    NumbersContain,
    /// Any load request gets a verdict.
    RequestsGetAVerdict,
    /// A reader of bytes gives a result or an error.
    NeverPanics(Reader),
}

impl Oracle {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Oracle> {
        let one = [
            Oracle::KernelAgrees,
            Oracle::AcceptedNeverTraps,
            Oracle::AbstractContainsConcrete,
            Oracle::PruneEqualsNoPrune,
            Oracle::KernelRunsTheSame,
            Oracle::InterpEqualsJit,
            Oracle::AsmRoundTrip,
            Oracle::ElfReadersAgree,
            Oracle::NumbersContain,
            Oracle::RequestsGetAVerdict,
        ];
        one.into_iter()
            .chain(READERS.iter().copied().map(Oracle::NeverPanics))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Oracle::KernelAgrees => "kernel_agrees",
            Oracle::AcceptedNeverTraps => "accepted_never_traps",
            Oracle::AbstractContainsConcrete => "abstract_contains_concrete",
            Oracle::PruneEqualsNoPrune => "prune_equals_no_prune",
            Oracle::KernelRunsTheSame => "kernel_runs_the_same",
            Oracle::InterpEqualsJit => "interp_equals_jit",
            Oracle::AsmRoundTrip => "asm_round_trip",
            Oracle::ElfReadersAgree => "elf_readers_agree",
            Oracle::NumbersContain => "numbers_contain",
            Oracle::RequestsGetAVerdict => "requests_get_a_verdict",
            Oracle::NeverPanics(reader) => reader.name(),
        }
    }

    /// What it says, in a sentence.
    pub fn about(self) -> &'static str {
        match self {
            Oracle::KernelAgrees => "a kernel gives the same verdict",
            Oracle::AcceptedNeverTraps => "what is accepted never traps in the interpreter",
            Oracle::AbstractContainsConcrete => {
                "registers of a run lie in what the verifier believes of them"
            }
            Oracle::PruneEqualsNoPrune => "remembered states change no verdict",
            Oracle::KernelRunsTheSame => "a test run in the kernel gives the same result",
            Oracle::InterpEqualsJit => "compiled code gives the same as the interpreter",
            Oracle::AsmRoundTrip => "text and load requests are two forms of one thing",
            Oracle::ElfReadersAgree => "another reader of ELF sees the same programs",
            Oracle::NumbersContain => "operations on known bits and ranges lose no number",
            Oracle::RequestsGetAVerdict => "any load request gets a verdict",
            Oracle::NeverPanics(reader) => reader.about(),
        }
    }

    /// Whether it asks a kernel: the running one, or for verdicts a guest if that is asked for.
    pub fn needs_kernel(self) -> bool {
        matches!(self, Oracle::KernelAgrees | Oracle::KernelRunsTheSame)
    }
}

/// Asks an oracle about the subject of a seed. Of kernels it only loads programs, or test-runs them.
pub fn judge(oracle: Oracle, bench: &Bench, subject: &Subject, seed: u64) -> Judged {
    let asked = catch_unwind(AssertUnwindSafe(|| match subject {
        Subject::Program(spec) => ask_program(oracle, bench, spec, seed),
        Subject::Bytes(bytes) => ask_bytes(oracle, bytes),
        Subject::Seed => Judged::new(match numbers_contain(seed) {
            Ok(()) => Outcome::Fine,
            Err(fault) => Outcome::Found(Finding {
                kind: fault.operation.clone(),
                text: fault.to_string(),
            }),
        }),
    }));
    asked.unwrap_or_else(|panic| panicked(&*panic))
}

/// Asks an oracle about the subjects of some seeds: the same as [`judge`] for each, but guests are asked
/// about many programs at a time.
pub fn judge_all(oracle: Oracle, bench: &Bench, subjects: &[(Subject, u64)]) -> Vec<Judged> {
    if oracle == Oracle::KernelAgrees && bench.guests().is_some() {
        let programs: Vec<(&ProgramSpec, u64)> = subjects
            .iter()
            .filter_map(|(subject, seed)| Some((subject.program()?, *seed)))
            .collect();
        if programs.len() == subjects.len() {
            return kernel::judge_all(bench, &programs);
        }
    }
    let each = subjects.iter();
    each.map(|(subject, seed)| judge(oracle, bench, subject, *seed))
        .collect()
}

/// What a panic of what is asked comes to.
fn panicked(panic: &(dyn std::any::Any + Send)) -> Judged {
    Judged::new(Outcome::Found(Finding {
        kind: "panic".to_owned(),
        text: format!("it panics: {}", text_of(panic)),
    }))
}

fn ask_program(oracle: Oracle, bench: &Bench, spec: &ProgramSpec, seed: u64) -> Judged {
    match oracle {
        Oracle::KernelAgrees => {
            let mut judged = kernel::judge_all(bench, &[(spec, seed)]);
            let none = || Judged::new(Outcome::Skipped("nobody answered"));
            judged.pop().unwrap_or_else(none)
        }
        Oracle::AcceptedNeverTraps => runs::judge(bench, spec, seed),
        Oracle::AbstractContainsConcrete => abstracts::judge(bench, spec, seed),
        Oracle::PruneEqualsNoPrune => pruning::judge(bench, spec),
        Oracle::KernelRunsTheSame => test_run::judge(bench, spec, seed),
        Oracle::InterpEqualsJit => engines::judge(bench, spec, seed),
        Oracle::AsmRoundTrip => text::judge(bench, spec),
        Oracle::ElfReadersAgree => elf::judge(spec, seed),
        Oracle::RequestsGetAVerdict => requests::judge(bench, spec, seed),
        Oracle::NumbersContain | Oracle::NeverPanics(_) => {
            Judged::new(Outcome::Skipped("it is not about programs"))
        }
    }
}

fn ask_bytes(oracle: Oracle, bytes: &[u8]) -> Judged {
    Judged::new(match oracle {
        Oracle::NeverPanics(reader) => {
            reader.read(bytes);
            Outcome::Fine
        }
        Oracle::ElfReadersAgree => elf_readers_agree(bytes),
        Oracle::KernelAgrees
        | Oracle::AcceptedNeverTraps
        | Oracle::AbstractContainsConcrete
        | Oracle::PruneEqualsNoPrune
        | Oracle::KernelRunsTheSame
        | Oracle::InterpEqualsJit
        | Oracle::AsmRoundTrip
        | Oracle::NumbersContain
        | Oracle::RequestsGetAVerdict => Outcome::Skipped("it is not about bytes"),
    })
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
    text.unwrap_or_default()
}

/// A text with its numbers taken out.
pub(crate) fn shape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if !c.is_ascii_digit() {
            out.push(c);
        } else if !out.ends_with('#') {
            out.push('#');
        }
    }
    out
}
