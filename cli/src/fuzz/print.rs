//! What a fuzzing run tells: progress on a terminal, a summary for each oracle, what was found.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use anstyle::Style;
use serde_json::{Value, json};
use skep_fuzz::campaign::{Comparison, Sort, Tally};
use skep_fuzz::coverage::{KINDS, Mark};
use skep_fuzz::oracle::Outcome;
use skep_fuzz::{Bench, Oracle};

use crate::args::TextFormat;
use crate::style::{BAD, DIM, GOOD, TITLE};

/// One oracle's turn.
pub(super) struct Run {
    /// The oracle.
    pub(super) oracle: Oracle,
    /// The first seed.
    pub(super) seed: u64,
    /// What was seen.
    pub(super) seen: Tally,
    /// Subjects for which there was no time.
    pub(super) left: u64,
    /// How long it took.
    pub(super) time: Duration,
    /// Whether the kernel became tainted.
    pub(super) sick: bool,
}

/// Prints.
pub(super) struct Printer {
    format: TextFormat,
    remarks: bool,
    blind: bool,
    terminal: bool,
    last: Option<Instant>,
    /// Kinds of findings that were told.
    told: BTreeSet<String>,
    runs: Vec<Value>,
    /// Oracles that had their turn, their subjects, and what they found.
    sum: (u64, u64, u64),
}

/// Names and descriptions of all oracles.
pub(super) fn oracles() -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    for oracle in Oracle::all() {
        let name = oracle.name();
        let asks = if oracle.needs_kernel() {
            " (as root)"
        } else {
            ""
        };
        writeln!(
            out,
            "{TITLE}{name:30}{TITLE:#} {}{DIM}{asks}{DIM:#}",
            oracle.about()
        )?;
    }
    Ok(())
}

/// What an oracle says of one subject.
pub(super) fn outcome(oracle: Oracle, outcome: &Outcome) -> io::Result<()> {
    let name = oracle.name();
    let mut out = anstream::stdout().lock();
    match outcome {
        Outcome::Fine => writeln!(out, "{name}: {GOOD}it holds{GOOD:#}"),
        Outcome::Skipped(why) => writeln!(out, "{name}: {DIM}not judged: {why}{DIM:#}"),
        Outcome::Remark(finding) => writeln!(out, "{name}: {}", finding.text),
        Outcome::Found(finding) => writeln!(out, "{name}: {BAD}found{BAD:#}: {}", finding.text),
    }
}

/// Time between two lines of progress.
const EVERY: Duration = Duration::from_millis(500);
/// The same where progress goes to a file.
const LOGGED: Duration = Duration::from_secs(60);
/// Kinds of things that a list in a summary shows.
const MOST: usize = 12;

impl Printer {
    /// A printer.
    pub(super) fn new(format: TextFormat, remarks: bool, blind: bool) -> Printer {
        Printer {
            format,
            remarks,
            blind,
            terminal: stderr().is_terminal(),
            last: None,
            told: BTreeSet::new(),
            runs: Vec::new(),
            sum: (0, 0, 0),
        }
    }

    /// Says what begins.
    pub(super) fn begin(
        &mut self,
        oracle: Oracle,
        seed: u64,
        from: u64,
        count: u64,
        time: Duration,
    ) {
        let name = oracle.name();
        let resumed = if from == 0 {
            String::new()
        } else {
            format!(", going on at {from}")
        };
        anstream::eprintln!(
            "{TITLE}{name}{TITLE:#}: {}; seed {seed}{resumed}, {count} subjects, {:.0} s at most",
            oracle.about(),
            time.as_secs_f64().ceil(),
        );
        self.last = None;
        self.told.clear();
    }

    /// Says what is found at once, and how far it is: often on a terminal, else every minute.
    pub(super) fn progress(&mut self, seen: &Tally, from: u64, time: Duration) {
        for (kind, sort) in &seen.findings {
            if self.told.insert(kind.clone()) {
                let text = sort.text.lines().next().unwrap_or_default();
                self.end();
                anstream::eprintln!("  {BAD}found{BAD:#} at seed {}: {text:.200}", sort.seed);
            }
        }
        let every = if self.terminal { EVERY } else { LOGGED };
        // In a file, nothing is said of the first minute.
        let first = if self.terminal { every } else { time };
        if self.last.map_or(first, |last| last.elapsed()) < every {
            return;
        }
        self.last = Some(Instant::now());
        let line = format!(
            "  {} subjects, {:.0}/s, {}, {} found",
            seen.subjects,
            rate(seen.subjects.saturating_sub(from), time),
            verdicts(seen),
            seen.found(),
        );
        if self.terminal {
            anstream::eprint!("\r\x1b[K{line}");
        } else {
            anstream::eprintln!("{line}");
        }
    }

    /// Takes the line of progress away.
    pub(super) fn end(&mut self) {
        if self.terminal && self.last.is_some() {
            anstream::eprint!("\r\x1b[K");
        }
    }

    /// Prints what came of one oracle; `shown` are the reports.
    ///
    /// # Errors
    /// Standard output's.
    pub(super) fn run(&mut self, run: &Run, bench: &Bench, shown: &[String]) -> io::Result<()> {
        let (oracles, subjects, found) = self.sum;
        let seen = &run.seen;
        self.sum = (oracles + 1, subjects + seen.subjects, found + seen.found());
        match self.format {
            TextFormat::Human => self.human(run, bench, shown),
            TextFormat::Json => {
                self.runs.push(as_json(run, bench, shown));
                Ok(())
            }
        }
    }

    /// Ends the output.
    ///
    /// # Errors
    /// Standard output's.
    pub(super) fn finish(self) -> io::Result<()> {
        if self.format == TextFormat::Human {
            return self.total();
        }
        let document = json!({ "schema": "skep-fuzz-1", "runs": self.runs });
        writeln!(anstream::stdout().lock(), "{document:#}")
    }

    /// The last line, where there was more than one oracle.
    fn total(&self) -> io::Result<()> {
        let (oracles, subjects, found) = self.sum;
        if oracles < 2 {
            return Ok(());
        }
        let (style, word) = told(found);
        writeln!(
            anstream::stdout().lock(),
            "{style}{word}{style:#} by {oracles} oracles in {subjects} subjects"
        )
    }

    fn human(&self, run: &Run, bench: &Bench, shown: &[String]) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        let (name, seen) = (run.oracle.name(), &run.seen);
        let (style, word) = told(seen.found());
        writeln!(
            out,
            "{TITLE}{name}{TITLE:#}: {style}{word}{style:#} in {} subjects ({} judged), {:.1} s, {:.0}/s",
            seen.subjects,
            seen.judged,
            run.time.as_secs_f64(),
            rate(seen.subjects, run.time),
        )?;
        let verdicts = verdicts(seen);
        if verdicts != NONE {
            writeln!(out, "  {verdicts}")?;
        }
        for line in comparisons(run, bench) {
            writeln!(out, "  {line}")?;
        }
        if run.left != 0 {
            let left = run.left;
            writeln!(
                out,
                "  {DIM}{left} subjects are left: the time was over{DIM:#}"
            )?;
        }
        let met = coverage(run, bench);
        let parts = met.iter().filter(|(_, met, _)| *met != 0);
        let parts: Vec<String> = parts
            .map(|(kind, met, all)| match all {
                0 => format!("{met} {kind}"),
                all => format!("{met} of {all} {kind}"),
            })
            .collect();
        if !parts.is_empty() {
            writeln!(out, "  met {}", parts.join(", "))?;
        }
        if self.blind {
            for (kind, names) in blind(run, bench) {
                writeln!(out, "  no {kind}: {}", names.join(" "))?;
            }
        }
        for (why, count) in seen.skipped.iter().take(MOST) {
            writeln!(out, "  {DIM}{count:8} not judged: {why}{DIM:#}")?;
        }
        let remarks: u64 = seen.remarks.values().map(|sort| sort.count).sum();
        if remarks != 0 {
            let share = 100.0 * remarks as f64 / seen.subjects.max(1) as f64;
            writeln!(
                out,
                "  {remarks} ({share:.3} %) differ in less than the oracle says:"
            )?;
            let most = if self.remarks { usize::MAX } else { MOST };
            list(&mut out, seen.remarks.iter(), most)?;
        }
        list(&mut out, seen.findings.iter(), usize::MAX)?;
        for report in shown {
            writeln!(out, "\n{report}")?;
        }
        Ok(())
    }
}

/// Sorts of things, the commonest first.
fn list<'a>(
    out: &mut impl Write,
    sorts: impl Iterator<Item = (&'a String, &'a Sort)>,
    most: usize,
) -> io::Result<()> {
    let mut sorts: Vec<_> = sorts.collect();
    sorts.sort_by_key(|(_, sort)| std::cmp::Reverse(sort.count));
    for (kind, sort) in sorts.into_iter().take(most) {
        let text = sort.text.lines().next().unwrap_or_default();
        let (count, seed) = (sort.count, sort.seed);
        writeln!(
            out,
            "  {count:8} {DIM}{kind}{DIM:#} seed {seed}: {text:.200}"
        )?;
    }
    Ok(())
}

/// How many things were found, in words.
fn told(found: u64) -> (Style, String) {
    match found {
        0 => (GOOD, "nothing found".to_owned()),
        _ => (BAD, format!("{found} found")),
    }
}

fn rate(subjects: u64, time: Duration) -> f64 {
    subjects as f64 / time.as_secs_f64().max(0.001)
}

/// What is said where no side has verdicts.
const NONE: &str = "no verdicts";

fn verdicts(seen: &Tally) -> String {
    let share = |part: u64| 100.0 * part as f64 / seen.subjects.max(1) as f64;
    let side = |name: &str, accepted: u64, rejected: u64| {
        let (a, r) = (share(accepted), share(rejected));
        format!("{name} accepts {a:.1} %, rejects {r:.1} %")
    };
    let sides = [("skep", seen.here), ("the kernel", seen.kernel)];
    let told: Vec<String> = sides
        .iter()
        .filter(|(_, v)| v.accepted + v.rejected != 0)
        .map(|(name, v)| side(name, v.accepted, v.rejected))
        .collect();
    if told.is_empty() {
        NONE.to_owned()
    } else {
        told.join("; ")
    }
}

/// What each kernel's comparison came to.
fn comparisons(run: &Run, bench: &Bench) -> Vec<String> {
    let running = bench.kernel().map(|kernel| kernel.kernel().release());
    let guest = bench.guests().map(|guests| guests.image().release.as_str());
    let seen = &run.seen;
    let mut lines = Vec::new();
    for (what, release, of) in [
        ("running", running, &seen.running),
        ("guest", guest, &seen.guests),
    ] {
        let share = |part: u64, all: u64| 100.0 * part as f64 / all.max(1) as f64;
        if of.programs == 0 {
            continue;
        }
        lines.push(format!(
            "{what} Linux {}: {} programs, accepts {:.1} %, rejects {:.1} %; instruction counts equal for \
             {:.3} %, all figures for {:.3} %",
            release.unwrap_or_default(),
            of.programs,
            share(of.kernel.accepted, of.programs),
            share(of.kernel.rejected, of.programs),
            share(of.same_insns, of.counted),
            share(of.same_figures, of.counted),
        ));
    }
    let rejected = run.seen.here.rejected;
    let violations = run.seen.coverage.counts()[0];
    if !lines.is_empty() {
        lines.push(format!(
            "{rejected} rejected for {violations} distinct violations"
        ));
    }
    lines
}

/// For each kind of mark: its name, how many were met, how many there are (0 if nobody knows).
fn coverage(run: &Run, bench: &Bench) -> Vec<(&'static str, usize, usize)> {
    let all = Mark::all(bench.facts());
    let counts = run.seen.coverage.counts();
    let kinds = KINDS.iter().zip(counts).enumerate();
    kinds
        .map(|(at, (kind, met))| {
            let all = all.iter().filter(|mark| mark.kind() == at).count();
            (*kind, met, all)
        })
        .collect()
}

/// What was not met, by kind.
fn blind(run: &Run, bench: &Bench) -> Vec<(&'static str, Vec<String>)> {
    let all = Mark::all(bench.facts());
    let missing = |at: usize| {
        let marks = all.iter().filter(|mark| mark.kind() == at);
        let missing = marks.filter(|mark| !run.seen.coverage.has(**mark));
        missing.map(|mark| mark.name()).collect::<Vec<_>>()
    };
    let kinds = KINDS.iter().enumerate();
    kinds
        .map(|(at, kind)| (*kind, missing(at)))
        .filter(|(_, names)| !names.is_empty())
        .collect()
}

fn comparison(of: &Comparison) -> Value {
    json!({
        "programs": of.programs,
        "accepted": of.kernel.accepted,
        "rejected": of.kernel.rejected,
        "counted": of.counted,
        "same_insns": of.same_insns,
        "same_figures": of.same_figures,
    })
}

fn as_json(run: &Run, bench: &Bench, shown: &[String]) -> Value {
    let seen = &run.seen;
    let sorts = |sorts: &std::collections::BTreeMap<String, Sort>| -> Vec<Value> {
        let each = sorts.iter();
        each.map(|(kind, sort)| {
            json!({ "kind": kind, "count": sort.count, "seed": sort.seed, "text": sort.text })
        })
        .collect()
    };
    let coverage: serde_json::Map<String, Value> = coverage(run, bench)
        .into_iter()
        .map(|(kind, met, all)| (kind.to_owned(), json!({ "met": met, "of": all })))
        .collect();
    json!({
        "oracle": run.oracle.name(),
        "seed": run.seed,
        "subjects": seen.subjects,
        "judged": seen.judged,
        "seconds": run.time.as_secs_f64(),
        "skep": { "accepted": seen.here.accepted, "rejected": seen.here.rejected },
        "kernel": { "accepted": seen.kernel.accepted, "rejected": seen.kernel.rejected },
        "running": comparison(&seen.running),
        "guests": comparison(&seen.guests),
        "left": run.left,
        "coverage": coverage,
        "findings": sorts(&seen.findings),
        "remarks": sorts(&seen.remarks),
        "reports": shown,
    })
}
