//! Why a program is rejected, as values: one enum per room, worded in `report/message`.
//!
//! A variant names a rule and carries what was seen (registers, offsets, ranges), never text.

/// Declares enums whose variants know their names, so that tools can tell which rules were met.
macro_rules! named {
    ($(#[$meta:meta])* pub enum $name:ident {
        $($(#[$about:meta])* $variant:ident $(($($tuple:tt)*))? $({$($fields:tt)*})?),* $(,)?
    }) => {
        $(#[$meta])*
        pub enum $name {
            $($(#[$about])* $variant $(($($tuple)*))? $({$($fields)*})?),*
        }

        impl $name {
            /// The names of all variants.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($variant)),*];

            /// The variant's name.
            pub fn name(&self) -> &'static str {
                match self {
                    $($name::$variant { .. } => stringify!($variant)),*
                }
            }
        }
    };
}

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

impl Violation {
    /// Every rule's room and name, in the order of their declarations.
    pub fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
        let rooms: [(&str, &[&'static str]); 14] = [
            ("request", RequestViolation::NAMES),
            ("form", FormViolation::NAMES),
            ("kernel", KernelViolation::NAMES),
            ("walk", WalkViolation::NAMES),
            ("access", AccessViolation::NAMES),
            ("btf", BtfViolation::NAMES),
            ("call", CallViolation::NAMES),
            ("argument", ArgumentViolation::NAMES),
            ("field", FieldViolation::NAMES),
            ("global", GlobalViolation::NAMES),
            ("kfunc", KfuncViolation::NAMES),
            ("kfunc_argument", KfuncArgViolation::NAMES),
            ("object", ObjectViolation::NAMES),
            ("limit", LimitViolation::NAMES),
        ];
        let each = rooms.into_iter();
        each.flat_map(|(room, names)| names.iter().map(move |name| (room, *name)))
            .filter(|(room, name)| match *room {
                "call" => !matches!(*name, "Argument" | "Field" | "Global" | "Kfunc" | "Object"),
                "kfunc" => *name != "Argument",
                _ => true,
            })
    }

    /// The rule's room and name.
    pub fn name(&self) -> (&'static str, &'static str) {
        match self {
            Violation::Request(rule) => ("request", rule.name()),
            Violation::Form(rule) => ("form", rule.name()),
            Violation::Kernel(rule) => ("kernel", rule.name()),
            Violation::Walk(rule) => ("walk", rule.name()),
            Violation::Access(rule) => ("access", rule.name()),
            Violation::Btf(rule) => ("btf", rule.name()),
            Violation::Call(CallViolation::Argument(rule)) => ("argument", rule.name()),
            Violation::Call(CallViolation::Field(rule)) => ("field", rule.name()),
            Violation::Call(CallViolation::Global(rule)) => ("global", rule.name()),
            Violation::Call(CallViolation::Kfunc(KfuncViolation::Argument(rule))) => {
                ("kfunc_argument", rule.name())
            }
            Violation::Call(CallViolation::Kfunc(rule)) => ("kfunc", rule.name()),
            Violation::Call(CallViolation::Object(rule)) => ("object", rule.name()),
            Violation::Call(rule) => ("call", rule.name()),
            Violation::Limit(rule) => ("limit", rule.name()),
        }
    }
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
    #[cold]
    pub(crate) fn undecided(feature: impl Into<String>) -> Stop {
        Stop::Undecided(feature.into())
    }
}

macro_rules! stop_from {
    ($($variant:ident($ty:ty)),* $(,)?) => {$(
        impl From<$ty> for Violation {
            #[cold]
            fn from(v: $ty) -> Violation {
                Violation::$variant(v)
            }
        }
        impl From<$ty> for Stop {
            #[cold]
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
