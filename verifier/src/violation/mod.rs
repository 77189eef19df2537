//! Why a program is rejected, as values: one enum per room, worded in `report/message`.
//!
//! A variant names a rule and carries what was seen (registers, offsets, ranges), never text.

mod access;
mod btf;
mod call;
mod form;
mod kernel;
mod kfunc;
mod kptr;
mod limit;
mod object;
mod request;
mod walk;

pub use access::AccessViolation;
pub use btf::{ArgFault, BtfFault, BtfViolation};
pub use call::{
    ArgumentViolation, CallViolation, FieldViolation, GlobalViolation, NoSleep, StringViolation,
};
pub use form::FormViolation;
pub use kernel::KernelViolation;
pub use kfunc::{IrqClass, KfuncArgViolation, KfuncTarget, KfuncViolation};
pub use kptr::KptrViolation;
pub use limit::LimitViolation;
pub use object::{ObjectViolation, StackPlace};
pub use request::RequestViolation;
pub use walk::{ReservedIn, ReturnPlace, WalkViolation};

/// The rule that a program breaks.
#[derive(Clone, PartialEq, Debug)]
pub enum Violation {
    /// The request itself, before any instruction is looked at.
    Request(RequestViolation),
    /// The shape of the program: instructions, subprograms, control flow, function info.
    Form(FormViolation),
    /// Things of the kernel that the request names.
    Kernel(KernelViolation),
    /// One instruction on one path: operands, arithmetic, jumps, exits.
    Walk(WalkViolation),
    /// A memory access.
    Access(AccessViolation),
    /// A kernel structure or argument.
    Btf(BtfViolation),
    /// A call.
    Call(CallViolation),
    /// A limit of complexity or size.
    Limit(LimitViolation),
}

/// Something that the kernel judges and this verifier does not model: no verdict.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unmodelled {
    /// The instruction at which it was reached, if it belongs to one.
    pub at: Option<skep_isa::InsnIdx>,
    /// What it is, in a few words that a user knows: `kernel function calls`.
    pub feature: String,
}

/// Why verification stops before all paths were walked.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Stop {
    /// The kernel would reject the program.
    Rejected(Box<Violation>),
    /// No verdict.
    Undecided(String),
}

/// The result of a check.
pub(crate) type Check<T> = Result<T, Stop>;

impl Stop {
    /// No verdict, because of that feature.
    pub(crate) fn undecided(feature: impl Into<String>) -> Stop {
        Stop::Undecided(feature.into())
    }
}

macro_rules! stop_from {
    ($($variant:ident($ty:ty)),* $(,)?) => {$(
        impl From<$ty> for Violation {
            fn from(v: $ty) -> Violation {
                Violation::$variant(v)
            }
        }
        impl From<$ty> for Stop {
            fn from(v: $ty) -> Stop {
                Stop::Rejected(Box::new(Violation::$variant(v)))
            }
        }
    )*};
}

stop_from! {
    Request(RequestViolation),
    Form(FormViolation),
    Kernel(KernelViolation),
    Walk(WalkViolation),
    Access(AccessViolation),
    Btf(BtfViolation),
    Call(CallViolation),
    Limit(LimitViolation),
}
