//! A rule that was broken, in the kernel's own words: byte for byte what Linux 6.18 logs, one file per
//! kind of rule. The last line is the one that people quote and search for.

mod access;
mod btf;
mod call;
mod form;
mod kernel;
mod limit;
mod value;
mod walk;

pub(super) use btf::argument_text;

use super::scene::Scene;
use crate::violation::{AccessViolation, FormViolation, LimitViolation, Violation};

/// The lines that the kernel logs, without a newline at the end; empty where it says nothing.
pub(crate) fn text(scene: Scene<'_>, violation: &Violation) -> String {
    match violation {
        // Refused with an error number alone.
        Violation::Request(_) => String::new(),
        Violation::Form(v) => form::text(v),
        Violation::Kernel(v) => kernel::text(scene, v),
        Violation::Walk(v) => walk::text(v),
        Violation::Access(v) => access::text(v),
        Violation::Btf(v) => btf::text(scene, v),
        Violation::Call(v) => call::text(scene, v),
        Violation::Limit(v) => limit::text(scene, v),
    }
}

/// Whether the kernel shows the source line before its message.
pub(crate) fn shows_line(violation: &Violation) -> bool {
    matches!(
        violation,
        Violation::Limit(LimitViolation::InfiniteLoop { .. })
    )
}

/// Whether the kernel ends its message with a newline; what it logs next may stand on the same line.
pub(crate) fn ends_line(violation: &Violation) -> bool {
    !matches!(
        violation,
        Violation::Limit(LimitViolation::ExceptionCallbackCalled { .. })
            | Violation::Form(
                FormViolation::FirstFuncOffset { .. }
                    | FormViolation::FuncOrder { .. }
                    | FormViolation::FuncType { .. }
            )
            | Violation::Access(
                AccessViolation::VariableWriteOverSpill { .. }
                    | AccessViolation::VariableWriteUninit { .. }
            )
    )
}
