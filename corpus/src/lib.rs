//! Evidence: load requests and programs with the verdicts of real kernels, and what reads them.
//!
//! [`RequestReader`] streams captured `BPF_PROG_LOAD` requests (one JSON object a line) as
//! [`ProgramSpec`](skep_spec::ProgramSpec)s, with their types from a [`BtfStore`]. [`recorded`] reads
//! the tables of verdicts beside them, [`verdicts`] the project's own recorded verdicts and known
//! gaps, [`conformance`] the tests of the instruction set. Files may be compressed with xz, zstd or
//! gzip; all decoders are pure Rust. Every size in a file
//! is bounded, and an error names the file, the line and the key.

mod btf_store;
pub mod conformance;
mod fields;
mod gzip;
mod lines;
mod open;
pub mod recorded;
mod request;
mod table;
mod tar;
pub mod verdicts;

pub use btf_store::{BtfStore, BtfStoreError, read_btf};
pub use open::{MAX_FILE, open, read_maybe_compressed};
pub use request::{Recorded, RecordedTarget, Request, RequestError, RequestReader};
