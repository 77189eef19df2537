//! Times as text, JSON or CSV, row by row.

use std::io::{self, Write, stdout};

use csv::Writer;
use serde_json::json;

use super::measure::Timing;
use crate::args::Format;
use crate::style::{DIM, TITLE};

const COLUMNS: [&str; 6] = [
    "file_name",
    "prog_name",
    "verdict",
    "skep_us",
    "kernel_us",
    "ratio",
];

/// Prints to stdout.
pub(super) struct Printer {
    format: Format,
    csv: Writer<io::Stdout>,
    rows: usize,
    file: String,
}

impl Printer {
    /// Nothing printed yet.
    pub(super) fn new(format: Format) -> Printer {
        Printer {
            format,
            csv: Writer::from_writer(stdout()),
            rows: 0,
            file: String::new(),
        }
    }

    /// Prints a row.
    pub(super) fn timing(&mut self, timing: &Timing) -> io::Result<()> {
        self.begin()?;
        self.rows += 1;
        match self.format {
            Format::Human => self.human(timing),
            Format::Json => {
                let comma = if self.rows == 1 { "" } else { "," };
                write!(stdout().lock(), "{comma}\n{}", json_row(timing))
            }
            Format::Csv => Ok(self.csv.write_record(csv_row(timing))?),
        }
    }

    /// What stands before the first row.
    fn begin(&mut self) -> io::Result<()> {
        match self.format {
            Format::Human => Ok(()),
            Format::Json if self.rows == 0 => {
                write!(
                    stdout().lock(),
                    "{{\"schema\":\"skep.bench-verify/1\",\"programs\":["
                )
            }
            Format::Csv if self.rows == 0 => Ok(self.csv.write_record(COLUMNS)?),
            Format::Json | Format::Csv => Ok(()),
        }
    }

    fn human(&mut self, timing: &Timing) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        if self.file != timing.file || self.rows == 1 {
            self.file.clone_from(&timing.file);
            writeln!(out, "{TITLE}{}{TITLE:#}", timing.file)?;
        }
        let skep = timing
            .skep_us
            .map_or("-".to_owned(), |us| format!("{us:.1}"));
        let kernel = timing.kernel_us.map_or("-".to_owned(), |us| us.to_string());
        let ratio = timing
            .ratio()
            .map_or("-".to_owned(), |ratio| format!("{ratio:.3}"));
        writeln!(
            out,
            "  {:9}  {skep:>10} µs  {DIM}kernel{DIM:#} {kernel:>7} µs  {DIM}ratio{DIM:#} \
             {ratio:>6}  {}",
            timing.verdict, timing.prog
        )
    }

    /// Everything was said.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if self.rows == 0 {
            self.begin()?;
        }
        match self.format {
            Format::Human => Ok(()),
            Format::Json => writeln!(stdout().lock(), "\n]}}"),
            Format::Csv => self.csv.flush(),
        }
    }
}

fn csv_row(timing: &Timing) -> [String; 6] {
    [
        timing.file.clone(),
        timing.prog.clone(),
        timing.verdict.to_owned(),
        timing
            .skep_us
            .map(|us| format!("{us:.2}"))
            .unwrap_or_default(),
        timing
            .kernel_us
            .map(|us| us.to_string())
            .unwrap_or_default(),
        timing
            .ratio()
            .map(|ratio| format!("{ratio:.4}"))
            .unwrap_or_default(),
    ]
}

fn json_row(timing: &Timing) -> serde_json::Value {
    json!({
        "file_name": timing.file,
        "prog_name": timing.prog,
        "verdict": timing.verdict,
        "skep_us": timing.skep_us,
        "kernel_us": timing.kernel_us,
        "ratio": timing.ratio(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_empty() {
        let timing = Timing {
            file: "a.o".to_owned(),
            prog: "p".to_owned(),
            verdict: "success",
            skep_us: Some(1.5),
            kernel_us: None,
            agree: false,
        };
        assert_eq!(csv_row(&timing), ["a.o", "p", "success", "1.50", "", ""]);
        let timing = Timing {
            kernel_us: Some(6),
            agree: true,
            ..timing
        };
        assert_eq!(
            csv_row(&timing),
            ["a.o", "p", "success", "1.50", "6", "0.2500"]
        );
    }
}
