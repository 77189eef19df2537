//! ELF objects to load requests: what libbpf would give to the kernel, without a kernel.
//!
//! [`open`] reads an object and returns every program in it, linked with the functions that it
//! calls, and every map. What depends on the kernel (CO-RE relocations, kernel functions,
//! variables and configuration, attach targets) is resolved against the types given in
//! [`Options`]; what remains open is listed in each program's `unresolved`, never guessed.
//!
//! The rules are libbpf's, down to the order of subprograms and the names of maps, so that
//! instruction numbers and kernel logs agree. Beyond libbpf, legacy `maps` sections, functions
//! without type and subprograms outside `.text` are understood.

mod code;
mod core_relo;
mod elf;
mod embedded;
mod error;
mod externs;
mod fixup;
mod guards;
mod info;
mod join;
mod kconfig;
mod kernel;
mod link;
mod maps;
mod open;
mod program;
mod refs;
mod struct_ops;
mod survey;

pub use embedded::{Embedded, find_embedded, is_bpf_object};
pub use error::{Error, ErrorKind};
pub use guards::{Guard, GuardedBy, MissingAccess, missing_accesses};
pub use join::{JoinError, join};
pub use open::{Options, object_name, open};
pub use survey::{RelocInfo, SectionInfo, Survey, SymbolInfo, survey};
