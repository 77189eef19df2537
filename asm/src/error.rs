//! What is wrong with a source, and where.

use std::fmt;

/// One mistake in a source text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AsmError {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Length of the faulty part in characters, at least 1.
    pub length: u32,
    /// What is wrong, as a sentence without a full stop.
    pub message: String,
}

impl fmt::Display for AsmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for AsmError {}

/// All mistakes that were found in one source, in the order of its lines: at least one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AsmErrors(Vec<AsmError>);

/// No more mistakes than this are collected.
pub(crate) const MOST_ERRORS: usize = 100;

impl AsmErrors {
    /// The mistakes.
    pub fn errors(&self) -> &[AsmError] {
        &self.0
    }

    /// `Ok(value)` if there are no mistakes, else they, sorted.
    pub(crate) fn check<T>(mut errors: Vec<AsmError>, value: T) -> Result<T, AsmErrors> {
        if errors.is_empty() {
            return Ok(value);
        }
        errors.sort_by_key(|e| (e.line, e.column));
        errors.dedup();
        errors.truncate(MOST_ERRORS);
        Err(AsmErrors(errors))
    }
}

impl From<AsmError> for AsmErrors {
    fn from(error: AsmError) -> AsmErrors {
        AsmErrors(vec![error])
    }
}

impl fmt::Display for AsmErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            let end = if i == 0 { "" } else { "\n" };
            write!(f, "{end}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for AsmErrors {}

/// A part of a source: line, and first and last byte (exclusive) within it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Span {
    /// Line, from 1.
    pub(crate) line: u32,
    /// First character's column, from 1.
    pub(crate) column: u32,
    /// Characters.
    pub(crate) length: u32,
}

impl Span {
    /// The mistake `message` at this place.
    pub(crate) fn error(self, message: impl Into<String>) -> AsmError {
        AsmError {
            line: self.line,
            column: self.column,
            length: self.length.max(1),
            message: message.into(),
        }
    }
}
