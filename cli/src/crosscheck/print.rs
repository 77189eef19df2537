//! The comparison as text, JSON or CSV.

use std::io::{self, Write, stdout};

use csv::Writer;
use serde_json::{Value, json};

use super::compare::{Agreement, Pair};
use crate::args::Format;
use crate::style::{BAD, DIM, GOOD, TITLE, UNDECIDED};

const COLUMNS: [&str; 10] = [
    "file_name",
    "prog_name",
    "kernel",
    "agreement",
    "skep_verdict",
    "kernel_verdict",
    "skep_insns",
    "kernel_insns",
    "skep_message",
    "kernel_message",
];

/// Counts of what was seen.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    same: usize,
    differs: usize,
    undecided: usize,
    not_judged: usize,
    other_message: usize,
    other_insns: usize,
}

/// Prints to stdout. Lines of one file are kept until the next begins, so that they align.
pub(super) struct Printer {
    format: Format,
    release: String,
    counts: Counts,
    file: Option<(usize, String)>,
    lines: Vec<(String, String)>,
    rows: Vec<Value>,
    csv: Option<Writer<io::Stdout>>,
}

impl Printer {
    /// Nothing printed yet.
    pub(super) fn new(format: Format, release: &str) -> Printer {
        Printer {
            format,
            release: release.to_owned(),
            counts: Counts::default(),
            file: None,
            lines: Vec::new(),
            rows: Vec::new(),
            csv: None,
        }
    }

    /// Takes the next pair.
    pub(super) fn pair(&mut self, pair: &Pair, strict: bool) -> io::Result<()> {
        let agreement = pair.agreement(strict);
        self.count(pair, agreement);
        match self.format {
            Format::Human => self.human(pair, agreement),
            Format::Json => {
                self.rows.push(json_row(pair, agreement));
                Ok(())
            }
            Format::Csv => {
                let kernel = self.release.clone();
                let row = csv_row(pair, agreement, &kernel);
                self.csv()?.write_record(row)?;
                Ok(())
            }
        }
    }

    fn count(&mut self, pair: &Pair, agreement: Agreement) {
        let counts = &mut self.counts;
        match agreement {
            Agreement::Same => counts.same += 1,
            Agreement::Differs => counts.differs += 1,
            Agreement::Undecided => counts.undecided += 1,
            Agreement::NotJudged => counts.not_judged += 1,
        }
        if agreement == Agreement::Same {
            counts.other_message += usize::from(!pair.same_message());
            counts.other_insns += usize::from(!pair.same_insns());
        }
    }

    fn csv(&mut self) -> io::Result<&mut Writer<io::Stdout>> {
        if self.csv.is_none() {
            let mut writer = Writer::from_writer(stdout());
            writer.write_record(COLUMNS)?;
            self.csv = Some(writer);
        }
        self.csv
            .as_mut()
            .ok_or_else(|| io::Error::other("no writer"))
    }

    fn human(&mut self, pair: &Pair, agreement: Agreement) -> io::Result<()> {
        let unit = &pair.skep.unit;
        let file = Some((unit.source, unit.file.clone()));
        if self.file != file {
            self.flush()?;
            self.file = file;
        }
        self.lines.push((unit.prog.clone(), line(pair, agreement)));
        Ok(())
    }

    /// Prints the lines of the file that ends.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let Some((_, file)) = self.file.take() else {
            return Ok(());
        };
        let mut out = anstream::stdout().lock();
        let width = self
            .lines
            .iter()
            .map(|l| l.0.chars().count())
            .max()
            .unwrap_or(0);
        writeln!(out, "{TITLE}{file}{TITLE:#}")?;
        for (prog, line) in self.lines.drain(..) {
            writeln!(out, "  {prog:width$}  {line}")?;
        }
        Ok(())
    }

    /// Everything was said.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.flush()?;
        let counts = self.counts;
        match self.format {
            Format::Human => writeln!(anstream::stdout().lock(), "{}", self.sum()),
            Format::Csv => self.csv()?.flush(),
            Format::Json => {
                let document = json!({
                    "schema": "skep.crosscheck/1",
                    "kernel": self.release,
                    "programs": self.rows,
                    "summary": {
                        "same": counts.same,
                        "differs": counts.differs,
                        "undecided": counts.undecided,
                        "not_judged": counts.not_judged,
                        "other_message": counts.other_message,
                        "other_insns": counts.other_insns,
                    },
                });
                writeln!(stdout().lock(), "{document:#}")
            }
        }
    }

    fn sum(&self) -> String {
        let Counts {
            same,
            differs,
            undecided,
            not_judged,
            other_message,
            other_insns,
        } = self.counts;
        let total = same + differs + undecided + not_judged;
        let plural = if total == 1 { "" } else { "s" };
        let mut text = format!("{total} program{plural} on Linux {}: ", self.release);
        let paint = |count: usize, style: anstyle::Style, word: &str| {
            let style = if count == 0 { DIM } else { style };
            format!("{style}{count} {word}{style:#}")
        };
        text += &paint(same, GOOD, "agree");
        text += &format!(", {}", paint(differs, BAD, "differ"));
        if undecided != 0 {
            text += &format!(", {}", paint(undecided, UNDECIDED, "undecided"));
        }
        if not_judged != 0 {
            text += &format!(
                ", {}",
                paint(not_judged, UNDECIDED, "not judged by the kernel")
            );
        }
        if other_message + other_insns != 0 {
            text += &format!(
                " {DIM}({other_message} with another message, {other_insns} with another count){DIM:#}"
            );
        }
        text
    }
}

/// What a program's line says behind its name.
fn line(pair: &Pair, agreement: Agreement) -> String {
    let (ours, theirs) = (&pair.skep.judgement, &pair.kernel);
    let verdict = match theirs.accepted {
        Some(true) => "accepted",
        Some(false) => "rejected",
        None => "not judged",
    };
    let because = if theirs.message.is_empty() {
        String::new()
    } else {
        format!(": {}", theirs.message)
    };
    match agreement {
        Agreement::Same => same_line(pair, verdict),
        Agreement::Differs => {
            let message = if ours.message().is_empty() {
                String::new()
            } else {
                format!(": {}", ours.message())
            };
            let name = ours.name();
            format!("{BAD}differs{BAD:#}  skep {name}{message}; kernel {verdict}{because}")
        }
        Agreement::Undecided => {
            format!(
                "{UNDECIDED}undecided{UNDECIDED:#}  needs {}; kernel {verdict}",
                ours.message()
            )
        }
        Agreement::NotJudged => {
            format!(
                "{UNDECIDED}not judged{UNDECIDED:#}  {}; skep {}",
                theirs.message,
                ours.name()
            )
        }
    }
}

fn same_line(pair: &Pair, verdict: &str) -> String {
    let mut text = format!("{GOOD}both {verdict}{GOOD:#}");
    let count = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
    if pair.same_insns() {
        text += &format!("  {DIM}{} insns{DIM:#}", count(pair.insns()));
    } else {
        let (ours, theirs) = (count(pair.insns()), count(pair.kernel.insns));
        text += &format!("  {UNDECIDED}{ours} insns, kernel {theirs}{UNDECIDED:#}");
    }
    let (ours, theirs) = (pair.skep.judgement.message(), &pair.kernel.message);
    if !pair.same_message() {
        text += &format!("  {UNDECIDED}{ours:?}, kernel {theirs:?}{UNDECIDED:#}");
    } else if !theirs.is_empty() {
        text += &format!("  {DIM}{theirs}{DIM:#}");
    }
    text
}

fn csv_row(pair: &Pair, agreement: Agreement, kernel: &str) -> [String; 10] {
    let unit = &pair.skep.unit;
    let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
    [
        unit.file.clone(),
        unit.prog.clone(),
        kernel.to_owned(),
        agreement.word().to_owned(),
        pair.skep.judgement.word().to_owned(),
        pair.kernel_word().to_owned(),
        number(pair.insns()),
        number(pair.kernel.insns),
        pair.skep.judgement.message().to_owned(),
        pair.kernel.message.clone(),
    ]
}

fn json_row(pair: &Pair, agreement: Agreement) -> Value {
    json!({
        "file_name": pair.skep.unit.file,
        "prog_name": pair.skep.unit.prog,
        "agreement": agreement.word(),
        "skep": {
            "verdict": pair.skep.judgement.word(),
            "total_insns": pair.insns(),
            "message": pair.skep.judgement.message(),
        },
        "kernel": {
            "verdict": pair.kernel_word(),
            "total_insns": pair.kernel.insns,
            "message": pair.kernel.message,
        },
    })
}
