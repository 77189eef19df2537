//! A rule that was broken, in the kernel's own words: byte for byte what Linux 6.18 logs, one file per
//! kind of rule. The last line is the one that people quote and search for.

mod access;
mod btf;
mod call;
mod form;
mod kernel;
mod kfunc;
mod kptr;
mod limit;
mod object;
mod value;
mod walk;

pub(super) use btf::argument_text;

use super::scene::Scene;
use crate::violation::{AccessViolation, BtfViolation, FormViolation, LimitViolation, Violation};

/// The lines that the kernel logs, without a newline at the end; empty where it says nothing.
pub(crate) fn text(scene: Scene<'_>, violation: &Violation) -> String {
    match violation {
        // Refused with an error number alone.
        Violation::Request(_) => String::new(),
        Violation::Form(v) => form::text(v),
        Violation::Kernel(v) => kernel::text(scene, v),
        Violation::Walk(v) => walk::text(v),
        Violation::Access(v) => access::text(scene, v),
        Violation::Btf(v) => btf::text(scene, v),
        Violation::Call(v) => call::text(scene, v),
        Violation::Limit(v) => limit::text(scene, v),
    }
}

/// Where the kernel shows the source line, unless it was shown last.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShowsLine {
    /// Nowhere: the instruction's own line has it.
    No,
    /// Before its message.
    Before,
    /// After its message.
    After,
}

/// Whether the source line belongs to a message.
pub(crate) fn shows_line(violation: &Violation) -> ShowsLine {
    match violation {
        Violation::Limit(LimitViolation::InfiniteLoop { .. })
        | Violation::Access(AccessViolation::SpillSize | AccessViolation::FillSize) => {
            ShowsLine::Before
        }
        Violation::Access(AccessViolation::Ctx { .. })
        | Violation::Btf(BtfViolation::Argument { .. }) => ShowsLine::After,
        Violation::Request(_)
        | Violation::Form(_)
        | Violation::Walk(_)
        | Violation::Access(_)
        | Violation::Btf(_)
        | Violation::Call(_)
        | Violation::Limit(_)
        | Violation::Kernel(_) => ShowsLine::No,
    }
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
