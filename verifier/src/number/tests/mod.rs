//! Tests of the number domain.
