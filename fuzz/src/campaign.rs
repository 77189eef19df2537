//! One oracle, many subjects: what was seen, and reports of what was found, made as small as possible.
//!
//! A campaign is a first seed and a range of positions: the subject at a position is the same on every
//! machine, so a campaign can be cut into batches, resumed and repeated. Threads, files and printing are
//! left to the caller.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;

use skep_asm::disassemble_program;
use skep_spec::ProgramSpec;
use skep_verifier::report::Log;
use skep_verifier::{Config, verify};

use crate::coverage::Coverage;
use crate::oracle::{Bench, Finding, Judged, Oracle, Outcome, Subject, Whose, judge, judge_all};
use crate::shrink::{shrink, shrink_bytes};

/// The seed of a campaign's position.
pub fn seed_at(first: u64, position: u64) -> u64 {
    first.wrapping_mul(1_000_000_007).wrapping_add(position)
}

/// Verdicts of one side.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Verdicts {
    /// Subjects accepted.
    pub accepted: u64,
    /// Subjects rejected.
    pub rejected: u64,
}

impl Verdicts {
    fn add(&mut self, verdict: Option<bool>) {
        match verdict {
            Some(true) => self.accepted += 1,
            Some(false) => self.rejected += 1,
            None => {}
        }
    }

    fn merge(&mut self, other: Verdicts) {
        self.accepted += other.accepted;
        self.rejected += other.rejected;
    }
}

/// What comparing programs with one kernel came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Comparison {
    /// Programs that both were asked about.
    pub programs: u64,
    /// This project's verdicts.
    pub here: Verdicts,
    /// The kernel's.
    pub kernel: Verdicts,
    /// Programs of the same verdict that both counted something of.
    pub counted: u64,
    /// Of these those that both processed as many instructions of.
    pub same_insns: u64,
    /// Of these those with all figures the same.
    pub same_figures: u64,
}

impl Comparison {
    fn add(&mut self, judged: &Judged) {
        let counts = judged.examined.and_then(|examined| examined.counts);
        self.programs += 1;
        self.here.add(judged.here);
        self.kernel.add(judged.kernel);
        self.counted += u64::from(counts.is_some());
        self.same_insns += u64::from(counts.is_some_and(|counts| counts.insns));
        self.same_figures += u64::from(counts.is_some_and(|counts| counts.all));
    }

    fn merge(&mut self, other: Comparison) {
        self.programs += other.programs;
        self.here.merge(other.here);
        self.kernel.merge(other.kernel);
        self.counted += other.counted;
        self.same_insns += other.same_insns;
        self.same_figures += other.same_figures;
    }
}

/// Things of one kind: how many, and the first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sort {
    /// How many.
    pub count: u64,
    /// The first one's seed.
    pub seed: u64,
    /// What the first one says.
    pub text: String,
}

/// What many subjects came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Subjects.
    pub subjects: u64,
    /// Of these the ones that the oracle could say something about.
    pub judged: u64,
    /// Why it said nothing about the others.
    pub skipped: BTreeMap<String, u64>,
    /// This project's verdicts.
    pub here: Verdicts,
    /// The kernel's verdicts.
    pub kernel: Verdicts,
    /// Of these the running kernel's programs.
    pub running: Comparison,
    /// And the guests'.
    pub guests: Comparison,
    /// Differences that are less than findings, by kind.
    pub remarks: BTreeMap<String, Sort>,
    /// Findings, by kind.
    pub findings: BTreeMap<String, Sort>,
    /// What was met.
    pub coverage: Coverage,
}

impl Tally {
    /// Adds one subject.
    pub fn add(&mut self, seed: u64, judged: &Judged) {
        self.subjects += 1;
        self.here.add(judged.here);
        self.kernel.add(judged.kernel);
        self.coverage.merge(&judged.coverage);
        match judged.examined.map(|examined| examined.whose) {
            Some(Whose::Running) => self.running.add(judged),
            Some(Whose::Guest) => self.guests.add(judged),
            None => {}
        }
        match &judged.outcome {
            Outcome::Fine => self.judged += 1,
            Outcome::Skipped(why) => *self.skipped.entry((*why).to_owned()).or_default() += 1,
            Outcome::Remark(finding) => {
                self.judged += 1;
                note(&mut self.remarks, seed, finding);
            }
            Outcome::Found(finding) => {
                self.judged += 1;
                note(&mut self.findings, seed, finding);
            }
        }
    }

    /// Adds another tally; gives the seeds that met something new.
    pub fn merge(&mut self, other: Tally) -> Vec<u64> {
        self.subjects += other.subjects;
        self.judged += other.judged;
        self.here.merge(other.here);
        self.kernel.merge(other.kernel);
        self.running.merge(other.running);
        self.guests.merge(other.guests);
        for (why, count) in other.skipped {
            *self.skipped.entry(why).or_default() += count;
        }
        for (into, from) in [
            (&mut self.remarks, other.remarks),
            (&mut self.findings, other.findings),
        ] {
            for (kind, sort) in from {
                match into.get_mut(&kind) {
                    Some(known) => known.count += sort.count,
                    None => drop(into.insert(kind, sort)),
                }
            }
        }
        let news = self.coverage.merge(&other.coverage).into_iter();
        let mut seeds: Vec<u64> = news.map(|(_, seed)| seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        seeds
    }

    /// How many findings there are.
    pub fn found(&self) -> u64 {
        self.findings.values().map(|sort| sort.count).sum()
    }
}

fn note(sorts: &mut BTreeMap<String, Sort>, seed: u64, finding: &Finding) {
    let sort = sorts.entry(finding.kind.clone()).or_insert_with(|| Sort {
        count: 0,
        seed,
        text: finding.text.clone(),
    });
    sort.count += 1;
}

/// Asks the oracle about the subjects at these positions.
pub fn batch(oracle: Oracle, bench: &Bench, first: u64, positions: Range<u64>) -> Tally {
    let mut tally = Tally::default();
    let subjects: Vec<(Subject, u64)> = positions
        .map(|position| seed_at(first, position))
        .map(|seed| (bench.subject(oracle, seed), seed))
        .collect();
    let judged = judge_all(oracle, bench, &subjects);
    for ((_, seed), judged) in subjects.iter().zip(&judged) {
        tally.add(*seed, judged);
    }
    tally
}

/// The smallest subject that shows a finding of that kind at that seed.
pub fn smallest(oracle: Oracle, bench: &Bench, seed: u64, kind: &str) -> Subject {
    let shows = |subject: &Subject| match judge(oracle, bench, subject, seed).outcome {
        Outcome::Found(finding) | Outcome::Remark(finding) => finding.kind == kind,
        Outcome::Fine | Outcome::Skipped(_) => false,
    };
    match bench.subject(oracle, seed) {
        Subject::Program(spec) => {
            let small = shrink(&spec, |candidate| {
                shows(&Subject::Program(Box::new(candidate.clone())))
            });
            Subject::Program(Box::new(small))
        }
        Subject::Bytes(bytes) => {
            let small = shrink_bytes(&bytes, |candidate| {
                shows(&Subject::Bytes(candidate.to_vec()))
            });
            Subject::Bytes(small)
        }
        Subject::Seed => Subject::Seed,
    }
}

/// What a person needs of a finding: the smallest subject that shows it, as a case of assembly with both
/// logs where it is a program, and what the oracle says of it.
pub fn report(oracle: Oracle, bench: &Bench, seed: u64, kind: &str) -> String {
    let subject = smallest(oracle, bench, seed, kind);
    let judged = judge(oracle, bench, &subject, seed);
    let said = match &judged.outcome {
        Outcome::Found(finding) | Outcome::Remark(finding) => finding.text.clone(),
        Outcome::Fine | Outcome::Skipped(_) => "it does not show again".to_owned(),
    };
    let mut out = String::new();
    let _ = writeln!(out, "; {}, seed {seed}", oracle.name());
    comment(&mut out, &said, usize::MAX);
    match &subject {
        Subject::Program(spec) => program_report(&mut out, bench, (spec, seed), &judged),
        Subject::Bytes(bytes) => {
            let shown = bytes.get(..4096).unwrap_or(bytes);
            let _ = writeln!(out, "; {} bytes:", bytes.len());
            for row in shown.chunks(32) {
                let _ = writeln!(out, ";   {}", hex(row));
            }
        }
        Subject::Seed => {}
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    let each: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    each.join(" ")
}

/// Lines of a log that a report shows.
const LOG_LINES: usize = 300;

fn program_report(
    out: &mut String,
    bench: &Bench,
    (spec, seed): (&ProgramSpec, u64),
    judged: &Judged,
) {
    let examiner = bench.examiner(spec, seed).ok();
    let kernel = examiner.filter(|_| judged.kernel.is_some());
    let facts = kernel.map_or(bench.facts().as_ref(), |kernel| kernel.facts());
    let (accepted, message) = match kernel {
        Some(kernel) => (judged.kernel == Some(true), kernel.message(spec)),
        None => (judged.here == Some(true), String::new()),
    };
    out.push_str(&case(spec, accepted, &message));
    let mut log = Log::new(7);
    let config = Config {
        max_processed: Some(100_000),
        ..Config::default()
    };
    let _ = verify(spec, facts, &config, &mut log);
    out.push_str("; the log here:\n");
    comment(out, log.text(), LOG_LINES);
    if let Some(kernel) = kernel {
        out.push_str("; the kernel's log:\n");
        comment(out, &kernel.log(spec), LOG_LINES);
    }
}

/// The program as a case of a file of verifier cases, with what is claimed of it.
pub fn case(spec: &ProgramSpec, accepted: bool, message: &str) -> String {
    let claim = if accepted {
        "accepted".to_owned()
    } else {
        format!("error: {message}")
    };
    let mut out = String::new();
    for line in disassemble_program(spec).lines() {
        match line.strip_prefix(".prog ") {
            Some(head) => {
                let (name, rest) = head.split_once(' ').unwrap_or((head, ""));
                let _ = writeln!(out, ".cases {rest}\n\n{name}:\n    ; {claim}");
            }
            None => {
                let _ = writeln!(out, "{line}");
            }
        }
    }
    out
}

/// A text as comments at the left margin, which are prose to the assembler.
fn comment(out: &mut String, text: &str, most: usize) {
    for line in text.lines().take(most) {
        let _ = writeln!(out, ";   {line}");
    }
    let more = text.lines().count().saturating_sub(most);
    if more != 0 {
        let _ = writeln!(out, ";   … {more} more lines");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use skep_spec::{Facts, Profile};

    fn bench() -> Bench {
        Bench::new(Arc::new(Facts::new(Profile::linux_6_18())))
    }

    #[test]
    fn a_campaign_may_be_cut_anywhere() {
        let (bench, oracle) = (bench(), Oracle::NumbersContain);
        let whole = batch(oracle, &bench, 3, 0..40);
        let mut parts = batch(oracle, &bench, 3, 0..17);
        parts.merge(batch(oracle, &bench, 3, 17..40));
        assert_eq!(whole, parts);
        assert_eq!(whole.subjects, 40);
    }

    #[test]
    fn a_case_is_one_that_the_assembler_reads() {
        let bench = bench();
        let mut read = 0;
        for seed in 0..60 {
            let spec = bench.program(seed);
            // Types by number need the BTF that they are numbers of.
            if spec.btf.is_some() || spec.maps.iter().any(|map| map.btf.is_some()) {
                continue;
            }
            let text = case(&spec, false, "R0 !read_ok");
            let cases = skep_asm::cases::parse(&text, &skep_asm::Options::default());
            let cases = cases.unwrap_or_else(|errors| panic!("{errors}\n{text}"));
            assert_eq!(cases.len(), 1, "{text}");
            assert_eq!(cases[0].program.insns, spec.insns, "{text}");
            read += 1;
        }
        assert!(read > 20);
    }
}
