//! Whether a kernel would take this BTF (`BPF_BTF_LOAD`).
//!
//! [`Btf::parse`] asks only what is needed to read the types safely; a kernel asks more: names must
//! be identifiers, members must fit their structs, functions must name their parameters, and so
//! on. The rules and their names are those of Linux 6.18 (`btf_check_all_metas`,
//! `btf_check_all_types`, `btf_check_type_tags`). Not asked here: how deep the kernel's own walk
//! becomes, which depends on the order of the types, and what special fields (timers, lists)
//! mean.

mod records;
mod references;

use crate::btf::Btf;
use crate::error::{Error, ErrorKind};
use crate::kinds::TypeId;

impl Btf {
    /// Whether a kernel would take it.
    ///
    /// # Errors
    /// The first rule that is broken, and the type that breaks it.
    pub fn check_for_kernel(&self) -> Result<(), Error> {
        records::check(self)?;
        references::check(self)
    }
}

/// The error for a broken rule.
pub(super) fn refused(id: TypeId, rule: &'static str) -> Error {
    Error::new(ErrorKind::Refused(rule)).in_type(id)
}
