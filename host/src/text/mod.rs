//! Numbers, bytes, values and verdicts as people read and write them.

pub mod encode;
pub mod names;
pub mod parse;
pub mod value;
