//! Packets: given as hex digits, by layers or in captures; compared; written out.

pub mod capture;
pub mod diff;
mod given;
mod layers;
pub mod model;

pub use given::{ORDINARY, bytes, bytes_for, find, takes_bytes, takes_packet};
pub use model::Layers;
