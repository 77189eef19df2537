//! Verdicts as CSV: a row per program and kernel, with veristat's column names.

use std::io::{self, Write, stdout};

use csv::Writer;

use super::judge::Outcome;
use super::{Failure, Report};

const COLUMNS: [&str; 10] = [
    "file_name",
    "prog_name",
    "kernel",
    "verdict",
    "duration",
    "total_insns",
    "total_states",
    "peak_states",
    "max_states_per_insn",
    "message",
];

/// Writes to stdout.
pub(super) struct Csv {
    writer: Writer<io::Stdout>,
    has_header: bool,
}

impl Csv {
    /// Nothing written yet.
    pub(super) fn new() -> Csv {
        Csv {
            writer: Writer::from_writer(stdout()),
            has_header: false,
        }
    }

    fn header(&mut self) -> io::Result<()> {
        if !self.has_header {
            self.has_header = true;
            self.writer.write_record(COLUMNS)?;
        }
        Ok(())
    }
}

impl Report for Csv {
    fn outcome(&mut self, outcome: &Outcome) -> io::Result<()> {
        self.header()?;
        let stats = outcome.judgement.stats();
        let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
        let count = |of: fn(&skep_verifier::Stats) -> u64| number(stats.map(of));
        self.writer.write_record([
            outcome.unit.file.as_str(),
            &outcome.unit.prog,
            &outcome.unit.kernel.name,
            outcome.judgement.word(),
            &outcome.duration.as_micros().to_string(),
            &count(|s| s.total_insns),
            &count(|s| s.total_states.into()),
            &count(|s| s.peak_states.into()),
            &count(|s| s.max_states_per_insn.into()),
            outcome.judgement.message(),
        ])?;
        Ok(())
    }

    fn failure(&mut self, _failure: &Failure) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.header()?;
        self.writer.flush()?;
        stdout().flush()
    }
}
