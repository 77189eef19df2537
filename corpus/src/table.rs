//! Tables with a header line, as CSV or TSV: rows whose cells are found by the column's name.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::open;

/// Rows of a table at most.
const MAX_ROWS: usize = 10_000_000;

/// What is wrong with a table, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 if the file as a whole is at fault.
    pub line: u64,
    /// The column at fault; empty if none.
    pub column: &'static str,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line != 0 {
            write!(f, ":{}", self.line)?;
        }
        f.write_str(": ")?;
        if !self.column.is_empty() {
            write!(f, "column `{}` ", self.column)?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for TableError {}

/// One row and the columns' names.
pub(crate) struct Row<'a> {
    header: &'a csv::StringRecord,
    record: &'a csv::StringRecord,
    file: &'a Path,
}

impl Row<'_> {
    /// An error about a column of this row.
    pub(crate) fn error(&self, column: &'static str, what: impl Into<String>) -> TableError {
        let line = self.record.position().map_or(0, csv::Position::line);
        TableError {
            file: self.file.to_owned(),
            line,
            column,
            what: what.into(),
        }
    }

    /// A cell; an error if the table has no such column.
    pub(crate) fn text(&self, column: &'static str) -> Result<&str, TableError> {
        let at = self.header.iter().position(|name| name == column);
        at.and_then(|at| self.record.get(at))
            .ok_or_else(|| self.error(column, "is missing"))
    }

    /// A number, or `None` where the cell is empty.
    pub(crate) fn number(&self, column: &'static str) -> Result<Option<u64>, TableError> {
        match self.text(column)? {
            "" => Ok(None),
            text => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(self.error(column, format!("holds `{text}`, which is no number"))),
            },
        }
    }
}

/// How cells are separated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Commas, with quotes around what needs them.
    Csv,
    /// Tabs, and lines that begin with `#` are comments.
    Tsv,
}

/// Reads a whole table, compressed or not.
pub(crate) fn read<T>(
    path: &Path,
    format: Format,
    row: impl FnMut(Row<'_>) -> Result<T, TableError>,
) -> Result<Vec<T>, TableError> {
    match open(path) {
        Ok(source) => read_from(path, source, format, row),
        Err(e) => Err(TableError {
            file: path.to_owned(),
            line: 0,
            column: "",
            what: e.to_string(),
        }),
    }
}

/// As [`read`], from anywhere.
pub(crate) fn read_from<T>(
    path: &Path,
    source: impl Read,
    format: Format,
    mut row: impl FnMut(Row<'_>) -> Result<T, TableError>,
) -> Result<Vec<T>, TableError> {
    let damaged = |e: csv::Error| TableError {
        file: path.to_owned(),
        line: e.position().map_or(0, csv::Position::line),
        column: "",
        what: e.to_string(),
    };
    let mut builder = csv::ReaderBuilder::new();
    if format == Format::Tsv {
        builder.delimiter(b'\t').quoting(false).comment(Some(b'#'));
    }
    let mut reader = builder.from_reader(source.take(crate::MAX_FILE));
    let header = reader.headers().map_err(damaged)?.clone();
    let mut rows = Vec::new();
    for record in reader.records().take(MAX_ROWS) {
        let record = record.map_err(damaged)?;
        rows.push(row(Row {
            header: &header,
            record: &record,
            file: path,
        })?);
    }
    Ok(rows)
}
