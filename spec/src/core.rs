//! What a program asks about a kernel's types (CO-RE), and what the kernel answers.

use skep_btf::CoreReloKind;

/// One CO-RE relocation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CoreAccess {
    /// What is asked.
    pub kind: CoreReloKind,
    /// About what, as C would write it: `struct task_struct.pid`.
    pub subject: String,
    /// The type at the root of the access, in the object's BTF.
    pub type_id: u32,
    /// The path from it, as compilers write it: `0:5:2`.
    pub path: String,
    /// The answer.
    pub answer: CoreAnswer,
}

/// What a kernel's types answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CoreAnswer {
    /// No kernel's types were given.
    Unasked,
    /// A number, and what the compiler had put there.
    Found {
        /// In the program's own types.
        was: u64,
        /// In the kernel's.
        now: u64,
    },
    /// The kernel has nothing of that name and shape: the instruction must never be reached.
    Missing,
    /// The question has no answer, for this reason.
    Failed(String),
}

impl CoreAccess {
    /// Whether it asks if something exists, which is what guards other accesses.
    pub fn is_guard(&self) -> bool {
        matches!(
            self.kind,
            CoreReloKind::FieldExists
                | CoreReloKind::TypeExists
                | CoreReloKind::TypeMatches
                | CoreReloKind::EnumValueExists
        )
    }
}
