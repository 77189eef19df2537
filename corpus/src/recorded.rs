//! Tables of verdicts recorded by loading whole objects with libbpf: one row a program.

use std::path::Path;

pub use crate::table::TableError;

use crate::Recorded;
use crate::table::{Format, Row, read};

/// What was recorded of one program, loaded alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordedProgram {
    /// The object.
    pub file: String,
    /// The program.
    pub program: String,
    /// The verdict.
    pub verdict: Recorded,
    /// Why the environment refused it; empty otherwise.
    pub reason: String,
    /// The kernel's error number, if it was asked.
    pub errno: Option<u64>,
    /// Instructions processed.
    pub total_insns: Option<u64>,
    /// States remembered in all.
    pub total_states: Option<u64>,
    /// Most states alive at once.
    pub peak_states: Option<u64>,
    /// Most states remembered at one instruction.
    pub max_states_per_insn: Option<u64>,
    /// Bytes of stack by subprogram: `8+16`.
    pub stack_depth: String,
    /// The last line of the log that says something: what a rejection is compared by.
    pub message: String,
}

/// Reads `SET.csv`.
///
/// # Errors
/// When it cannot be read, or a cell is not what its column holds.
pub fn read_set(path: &Path) -> Result<Vec<RecordedProgram>, TableError> {
    read(path, Format::Csv, |row| recorded(&row))
}

fn recorded(row: &Row<'_>) -> Result<RecordedProgram, TableError> {
    let text = |column| row.text(column).map(str::to_owned);
    let verdict = row.text("verdict")?;
    Ok(RecordedProgram {
        file: text("file")?,
        program: text("program")?,
        verdict: Recorded::from_name(verdict)
            .ok_or_else(|| row.error("verdict", format!("holds `{verdict}`")))?,
        reason: text("reason")?,
        errno: row.number("errno")?,
        total_insns: row.number("total_insns")?,
        total_states: row.number("total_states")?,
        peak_states: row.number("peak_states")?,
        max_states_per_insn: row.number("max_states_per_insn")?,
        stack_depth: text("stack_depth")?,
        message: text("last_log_message")?,
    })
}
