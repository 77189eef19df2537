//! Programs whose shape is wrong before any path is walked.

/// Programs whose shape is wrong before any path is walked.
#[derive(Clone, PartialEq, Debug)]
pub enum FormViolation {}
