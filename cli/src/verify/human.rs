//! Verdicts for people: a line per program under its file's name, a drawing of each rejection, a sum.

use std::io::{self, Write};
use std::time::Instant;

use super::judge::{Judgement, Outcome};
use super::{Failure, Report};
use crate::diagnostic;
use crate::style::{BAD, DIM, GOOD, TITLE, UNDECIDED};

/// Writes to stdout. The lines of one file are kept until the next begins, so that they align.
pub(super) struct Human {
    many_kernels: bool,
    file: Option<(usize, String)>,
    lines: Vec<Line>,
    accepted: usize,
    rejected: usize,
    undecided: usize,
    errors: usize,
    start: Instant,
}

/// A program's line and what follows it.
struct Line {
    prog: String,
    kernel: String,
    judgement: String,
    details: String,
}

impl Human {
    /// Nothing printed yet.
    pub(super) fn new(many_kernels: bool) -> Human {
        Human {
            many_kernels,
            file: None,
            lines: Vec::new(),
            accepted: 0,
            rejected: 0,
            undecided: 0,
            errors: 0,
            start: Instant::now(),
        }
    }

    /// Prints the lines of the file that ends.
    fn flush(&mut self) -> io::Result<()> {
        let Some((_, file)) = self.file.take() else {
            return Ok(());
        };
        let mut out = anstream::stdout().lock();
        let width = |of: fn(&Line) -> usize| self.lines.iter().map(of).max().unwrap_or(0);
        let prog_width = width(|l| l.prog.chars().count());
        let kernel_width = width(|l| l.kernel.chars().count());
        writeln!(out, "{TITLE}{file}{TITLE:#}")?;
        for line in self.lines.drain(..) {
            write!(out, "  {:prog_width$}  ", line.prog)?;
            if self.many_kernels {
                write!(out, "{:kernel_width$}  ", line.kernel)?;
            }
            writeln!(out, "{}", line.judgement)?;
            write!(out, "{}", line.details)?;
        }
        Ok(())
    }

    fn sum(&self) -> String {
        let programs = self.accepted + self.rejected + self.undecided;
        let mut parts = Vec::new();
        for (count, style, word) in [
            (self.accepted, GOOD, "accepted"),
            (self.rejected, BAD, "rejected"),
            (self.undecided, UNDECIDED, "undecided"),
        ] {
            let style = if count == 0 { DIM } else { style };
            parts.push(format!("{style}{count} {word}{style:#}"));
        }
        if self.errors != 0 {
            parts.push(format!("{BAD}{} not read{BAD:#}", self.errors));
        }
        let seconds = self.start.elapsed().as_secs_f64();
        let verdicts = if self.many_kernels {
            "verdict"
        } else {
            "program"
        };
        let plural = if programs == 1 { "" } else { "s" };
        format!(
            "{programs} {verdicts}{plural}: {} {DIM}({seconds:.2} s){DIM:#}",
            parts.join(", ")
        )
    }
}

impl Report for Human {
    fn outcome(&mut self, outcome: &Outcome) -> io::Result<()> {
        let unit = &outcome.unit;
        let file = Some((unit.source, unit.file.clone()));
        if self.file != file {
            self.flush()?;
            self.file = file;
        }
        let (style, counts) = match &outcome.judgement {
            Judgement::Accepted(stats) => {
                self.accepted += 1;
                (
                    GOOD,
                    format!("{} insns, {} states", stats.total_insns, stats.total_states),
                )
            }
            Judgement::Rejected(_) => {
                self.rejected += 1;
                (BAD, String::new())
            }
            Judgement::Undecided { feature, at } => {
                self.undecided += 1;
                let at = at.map(|at| format!(" (insn {at})")).unwrap_or_default();
                (UNDECIDED, format!("needs {feature}{at}"))
            }
        };
        let name = outcome.judgement.name();
        let judgement = match counts.as_str() {
            "" => format!("{style}{name}{style:#}"),
            counts => format!("{style}{name:9}{style:#}  {DIM}{counts}{DIM:#}"),
        };
        let mut details = String::new();
        if !outcome.log.is_empty() {
            details = format!("{}\n", outcome.log.trim_end());
        }
        if let Judgement::Rejected(refusal) = &outcome.judgement {
            details += &diagnostic::draw(unit, refusal);
        }
        self.lines.push(Line {
            prog: unit.prog.clone(),
            kernel: unit.kernel.name.clone(),
            judgement,
            details,
        });
        Ok(())
    }

    fn failure(&mut self, _failure: &Failure) -> io::Result<()> {
        self.errors += 1;
        self.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.flush()?;
        if self.accepted + self.rejected + self.undecided + self.errors > 1 {
            let mut out = anstream::stdout().lock();
            writeln!(out, "{}", self.sum())?;
        }
        Ok(())
    }
}
