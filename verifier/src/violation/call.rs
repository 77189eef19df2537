//! Calls of helpers, subprograms and kernel functions that are not allowed.

/// Calls of helpers, subprograms and kernel functions that are not allowed.
#[derive(Clone, PartialEq, Debug)]
pub enum CallViolation {}
