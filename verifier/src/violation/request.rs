//! Load requests that are refused before the program is looked at.

/// Load requests that are refused before the program is looked at.
#[derive(Clone, PartialEq, Debug)]
pub enum RequestViolation {}
