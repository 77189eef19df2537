//! Memory accesses that are not allowed.

/// Memory accesses that are not allowed.
#[derive(Clone, PartialEq, Debug)]
pub enum AccessViolation {}
