//! The running kernel against this project's verifier: verdict, figures, message.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use skep_btf::Btf;
use skep_kernel::{
    Answer, Kernel, LiveMap, LoadOptions, LoadOutcome, MapError, NotAvailable, possible_cpus,
    vmlinux_btf,
};
use skep_spec::tables::Restrictions;
use skep_spec::{Facts, MapSpec, Profile, ProgramSpec};
use skep_verifier::report::Log;
use skep_verifier::{Config, Stats, Verdict, verify};

use super::bench::Examiner;
use super::{Bench, Counts, Examination, Finding, Judged, Outcome, Whose, shape};
use crate::coverage::{Coverage, Fields};

/// The running kernel and the facts that describe it.
#[derive(Debug)]
pub struct LiveKernel {
    kernel: Kernel,
    facts: Arc<Facts>,
    /// Maps that programs share, by the allocation of their spec, which the live map keeps alive.
    maps: Mutex<BTreeMap<usize, Arc<LiveMap>>>,
}

/// One answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answered {
    /// The program would load.
    Accepted,
    /// It would not.
    Rejected,
    /// There is no verdict, for this reason.
    Nothing(String),
}

/// The counters of both verifiers' closing line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Instructions processed.
    pub total_insns: u64,
    /// States remembered.
    pub total_states: u64,
    /// States remembered at one time.
    pub peak_states: u64,
    /// States remembered at one instruction.
    pub max_states_per_insn: u64,
}

/// What one verifier says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Side {
    /// Verdict.
    pub answer: Answered,
    /// The last line of its message; empty if it accepts.
    pub message: String,
    /// Figures, where it has any.
    pub figures: Option<Figures>,
}

impl Side {
    /// What a kernel's answer to a load says.
    pub(super) fn of(outcome: LoadOutcome) -> Side {
        let answer = match outcome.answer {
            Answer::Accepted => Answered::Accepted,
            Answer::Rejected => Answered::Rejected,
            Answer::NotJudged(reason) => Answered::Nothing(reason.to_string()),
        };
        let figures = outcome.stats.map(|stats| Figures {
            total_insns: stats.total_insns,
            total_states: stats.total_states,
            peak_states: stats.peak_states,
            max_states_per_insn: stats.max_states_per_insn,
        });
        let accepted = answer == Answered::Accepted;
        let message = if accepted {
            String::new()
        } else {
            outcome.message
        };
        Side {
            answer,
            message,
            figures,
        }
    }
}

/// Both answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Agreement {
    /// This project's verifier.
    pub ours: Side,
    /// The running kernel.
    pub kernel: Side,
}

/// The gravest difference between two answers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Difference {
    /// Accepted here, rejected by the kernel.
    FalseAccept,
    /// Rejected here, accepted by the kernel.
    FalseReject,
    /// Not decided here.
    Undecided,
    /// Both accept, after different numbers of instructions.
    Insns,
    /// Both accept after as many instructions, with other states.
    States,
    /// Both reject, for different reasons.
    Message,
    /// Both reject for the same reason, with other figures.
    RejectedFigures,
    /// The kernel gave no verdict.
    NotJudged,
    /// None.
    None,
}

impl Agreement {
    /// The gravest difference.
    pub fn difference(&self) -> Difference {
        use Answered::{Accepted, Nothing, Rejected};
        let (ours, theirs) = (&self.ours, &self.kernel);
        let insns = |side: &Side| side.figures.map(|f| f.total_insns);
        match (&ours.answer, &theirs.answer) {
            (_, Nothing(_)) => Difference::NotJudged,
            (Nothing(_), _) => Difference::Undecided,
            (Accepted, Rejected) => Difference::FalseAccept,
            (Rejected, Accepted) => Difference::FalseReject,
            (Accepted, Accepted) if insns(ours) != insns(theirs) => Difference::Insns,
            (Accepted, Accepted) if ours.figures != theirs.figures => Difference::States,
            (Rejected, Rejected) if ours.message != theirs.message => Difference::Message,
            (Rejected, Rejected) if ours.figures != theirs.figures => Difference::RejectedFigures,
            (Accepted, Accepted) | (Rejected, Rejected) => Difference::None,
        }
    }
}

/// The facts of Linux 6.18 as the running kernel has them: with its types, without what its build lacks.
pub fn live_facts() -> Facts {
    let btf = vmlinux_btf().ok().and_then(|bytes| Btf::parse(bytes).ok());
    let mut profile = Profile::linux_6_18();
    if let Some(cpus) = possible_cpus().and_then(|cpus| u32::try_from(cpus).ok()) {
        profile.environment.cpus = cpus;
    }
    let profile = match btf {
        Some(btf) => profile.with_btf(Arc::new(btf)),
        None => profile,
    };
    // Lockdown takes `bpf_probe_write_user` and the writing of probed registers away.
    Facts::new(profile).restricted(Restrictions {
        helpers: vec![36],
        read_only_registers: true,
    })
}

impl LiveKernel {
    /// The running kernel, described by these facts.
    ///
    /// # Errors
    /// Why it cannot be asked.
    pub fn open(facts: Arc<Facts>) -> Result<LiveKernel, NotAvailable> {
        Ok(LiveKernel {
            kernel: Kernel::open()?,
            facts,
            maps: Mutex::default(),
        })
    }

    /// Its facts.
    pub fn facts(&self) -> &Arc<Facts> {
        &self.facts
    }

    /// The kernel itself.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Asks both.
    pub fn agrees(&self, spec: &ProgramSpec) -> Agreement {
        Agreement {
            ours: self.ours(spec),
            kernel: self.ask(spec),
        }
    }

    /// Asks this project's verifier alone.
    pub fn ours(&self, spec: &ProgramSpec) -> Side {
        answer(spec, &self.facts, &Config::default()).0
    }

    /// Asks the kernel alone.
    pub fn ask(&self, spec: &ProgramSpec) -> Side {
        let outcome = match self.load(spec, &LoadOptions::quiet()) {
            Ok(outcome) => outcome,
            Err(error) => {
                let answer = Answered::Nothing(error.to_string());
                return Side {
                    answer,
                    message: String::new(),
                    figures: None,
                };
            }
        };
        Side::of(outcome)
    }

    /// The kernel's whole log.
    pub fn log(&self, spec: &ProgramSpec) -> String {
        match self.load(spec, &LoadOptions::verbose()) {
            Ok(outcome) => outcome.log,
            Err(error) => error.to_string(),
        }
    }

    /// This project's whole log.
    pub fn our_log(&self, spec: &ProgramSpec) -> String {
        whole_log(spec, &self.facts)
    }

    fn load(&self, spec: &ProgramSpec, options: &LoadOptions) -> Result<LoadOutcome, MapError> {
        let mut maps = Vec::with_capacity(spec.maps.len());
        for map in &spec.maps {
            maps.push(self.map(map)?);
        }
        Ok(self.kernel.load_with(spec, maps, None, options))
    }

    fn map(&self, spec: &Arc<MapSpec>) -> Result<Arc<LiveMap>, MapError> {
        if LiveMap::belongs_to_one_program(spec.ty) {
            return self.kernel.create_map(spec).map(Arc::new);
        }
        let key = Arc::as_ptr(spec).addr();
        let mut maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(map) = maps.get(&key) {
            return Ok(Arc::clone(map));
        }
        let map = Arc::new(self.kernel.create_map(spec)?);
        // Requests from elsewhere bring maps of their own: only so many are kept.
        if maps.len() >= 256 {
            maps.clear();
        }
        maps.insert(key, Arc::clone(&map));
        Ok(map)
    }
}

/// Every so many programs, the context fields that it uses are noted.
const NOTED: u64 = 16;

/// Instructions after which verifying a program is much work: both sides need about a second for the million
/// that they stop at.
const MUCH: u64 = 30_000;
/// Of the programs that are much work, every so many are asked about.
const LONG: u64 = 8;
/// The same for guests, which need many times as long.
const LONG_IN_GUESTS: u64 = 64;
/// What is said of them otherwise.
const OVER_BUDGET: &str = "more instructions than the configured budget";

/// Asks both about each, and says what differs: a verdict is a finding, anything less a remark. Programs for
/// a guest go to it together.
pub(super) fn judge_all(bench: &Bench, programs: &[(&ProgramSpec, u64)]) -> Vec<Judged> {
    let mut judged: Vec<Option<Judged>> = Vec::with_capacity(programs.len());
    let mut waiting = Vec::new();
    for (at, (spec, seed)) in programs.iter().enumerate() {
        let asked = bench.examiner(spec, *seed);
        let asked = asked.map_err(|why| Judged::new(Outcome::Skipped(why)));
        let asked = asked.and_then(|examiner| Ok((examiner, ours(spec, *seed, examiner)?)));
        judged.push(match asked {
            Ok((Examiner::Running(kernel), ours)) => {
                let theirs = kernel.ask(spec);
                Some(compared(
                    spec,
                    *seed,
                    &kernel.facts,
                    ours,
                    theirs,
                    Whose::Running,
                ))
            }
            Ok((Examiner::Guest(_), ours)) => {
                waiting.push((at, ours));
                None
            }
            Err(judged) => Some(judged),
        });
    }
    if let Some(guests) = bench.guests() {
        let specs = waiting.iter().filter_map(|(at, _)| programs.get(*at));
        let specs: Vec<&ProgramSpec> = specs.map(|(spec, _)| *spec).collect();
        let answers = guests.ask(&specs);
        for ((at, ours), theirs) in waiting.into_iter().zip(answers) {
            if let (Some((spec, seed)), Some(place)) = (programs.get(at), judged.get_mut(at)) {
                let facts = guests.facts();
                *place = Some(compared(spec, *seed, facts, ours, theirs, Whose::Guest));
            }
        }
    }
    let nothing = || Judged::new(Outcome::Skipped("the guest gave no answer"));
    let judged = judged.into_iter();
    judged.map(|one| one.unwrap_or_else(nothing)).collect()
}

/// What this project says, unless the program takes long and is not one that is asked about all the same.
fn ours(spec: &ProgramSpec, seed: u64, examiner: Examiner<'_>) -> Result<(Side, Verdict), Judged> {
    let panics = |panic: Box<dyn Any + Send>| super::panicked(&*panic);
    let every = match examiner {
        Examiner::Running(_) => LONG,
        Examiner::Guest(_) => LONG_IN_GUESTS,
    };
    let short = Config {
        max_processed: (!seed.is_multiple_of(every)).then_some(MUCH),
        ..Config::default()
    };
    let asked = catch_unwind(AssertUnwindSafe(|| answer(spec, examiner.facts(), &short)));
    let (ours, verdict) = asked.map_err(panics)?;
    if ours.answer == Answered::Nothing(OVER_BUDGET.to_owned()) {
        return Err(Judged::new(Outcome::Skipped(
            "it takes long, and only some of these are asked about",
        )));
    }
    Ok((ours, verdict))
}

/// What two answers come to.
fn compared(
    spec: &ProgramSpec,
    seed: u64,
    facts: &Facts,
    (ours, verdict): (Side, Verdict),
    kernel: Side,
    whose: Whose,
) -> Judged {
    let mut coverage = Coverage::default();
    let agreement = Agreement { ours, kernel };
    if let Verdict::Rejected(rejection) = &verdict {
        coverage.rejected(&rejection.violation, seed);
    }
    if agreement.kernel.answer == Answered::Accepted {
        coverage.accepted(spec, seed);
        if seed.is_multiple_of(NOTED) {
            let mut fields = Fields::new(spec);
            let _ = verify(spec, facts, &Config::default(), &mut fields);
            fields
                .marks
                .iter()
                .for_each(|mark| coverage.add(*mark, seed));
        }
    }
    let decided = |side: &Side| match side.answer {
        Answered::Accepted => Some(true),
        Answered::Rejected => Some(false),
        Answered::Nothing(_) => None,
    };
    let (here, kernel) = (decided(&agreement.ours), decided(&agreement.kernel));
    Judged {
        outcome: outcome(&agreement),
        here,
        kernel,
        examined: Some(Examination {
            whose,
            counts: counts(&agreement),
        }),
        coverage,
    }
}

/// Whether counts are the same, where both give the same verdict.
fn counts(agreement: &Agreement) -> Option<Counts> {
    let (ours, theirs) = (&agreement.ours, &agreement.kernel);
    let decided = !matches!(ours.answer, Answered::Nothing(_));
    // A kernel that refuses a program before it walks it counts nothing.
    let (ours, theirs) = (decided && ours.answer == theirs.answer)
        .then_some((ours.figures.as_ref()?, theirs.figures.as_ref()?))?;
    Some(Counts {
        insns: ours.total_insns == theirs.total_insns,
        all: ours == theirs,
    })
}

fn outcome(agreement: &Agreement) -> Outcome {
    let (ours, theirs) = (&agreement.ours, &agreement.kernel);
    let difference = agreement.difference();
    let figures = |side: &Side| side.figures.unwrap_or_default();
    let finding = |words: String, text: String| Finding {
        kind: format!("{difference:?} {}", shape(&words)),
        text,
    };
    match difference {
        Difference::None => Outcome::Fine,
        Difference::NotJudged => Outcome::Skipped("the kernel gave no verdict"),
        Difference::FalseAccept => Outcome::Found(finding(
            theirs.message.clone(),
            format!("accepted here, the kernel says `{}`", theirs.message),
        )),
        Difference::FalseReject => Outcome::Found(finding(
            ours.message.clone(),
            format!("the kernel accepts it, here `{}`", ours.message),
        )),
        Difference::Undecided => {
            let feature = match &ours.answer {
                Answered::Nothing(feature) => feature.clone(),
                Answered::Accepted | Answered::Rejected => String::new(),
            };
            Outcome::Remark(finding(feature.clone(), format!("undecided: {feature}")))
        }
        Difference::Insns | Difference::States | Difference::RejectedFigures => {
            Outcome::Remark(finding(
                String::new(),
                format!("{:?}, the kernel {:?}", figures(ours), figures(theirs)),
            ))
        }
        Difference::Message => Outcome::Remark(finding(
            format!("{} / {}", ours.message, theirs.message),
            format!("`{}`, the kernel `{}`", ours.message, theirs.message),
        )),
    }
}

/// Asks this project's verifier, for the same log that the kernel is asked for.
pub(super) fn answer(spec: &ProgramSpec, facts: &Facts, config: &Config) -> (Side, Verdict) {
    let mut log = Log::new(skep_kernel::log::LEVEL_STATS);
    let verdict = verify(spec, facts, config, &mut log);
    let side = side(&verdict, log.text());
    (side, verdict)
}

fn side(verdict: &Verdict, log: &str) -> Side {
    match verdict {
        Verdict::Accepted(accepted) => Side {
            answer: Answered::Accepted,
            message: String::new(),
            figures: Some(figures(&accepted.stats)),
        },
        Verdict::Rejected(rejection) => Side {
            answer: Answered::Rejected,
            message: last_message(log),
            figures: Some(figures(&rejection.stats)),
        },
        Verdict::Undecided(unmodelled) => Side {
            answer: Answered::Nothing(unmodelled.feature.clone()),
            message: String::new(),
            figures: None,
        },
    }
}

/// This project's whole log.
pub(super) fn whole_log(spec: &ProgramSpec, facts: &Facts) -> String {
    let mut log = Log::new(7);
    let _ = verify(spec, facts, &Config::default(), &mut log);
    log.text().to_owned()
}

/// The message of a log. A few lack their line end, and the figures come right behind them.
fn last_message(log: &str) -> String {
    let line = skep_kernel::log::last_message(log);
    line.split_once("stack depth")
        .map_or(line, |(message, _)| message)
        .to_owned()
}

fn figures(stats: &Stats) -> Figures {
    Figures {
        total_insns: stats.total_insns,
        total_states: stats.total_states.into(),
        peak_states: stats.peak_states.into(),
        max_states_per_insn: stats.max_states_per_insn.into(),
    }
}
