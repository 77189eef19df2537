//! Things of the kernel that a request names and that are not there, or not for it.

use skep_btf::Kind;

named! {
/// Things of the kernel that a request names and that are not there, or not for it: the tracepoint,
/// function, hook or iterator that it attaches to, whose BTF id is in the request, and variables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KernelViolation {
    /// They name nothing.
    NoTarget,
    /// No type has the id.
    NoSuchType,
    /// The id is no typedef, as those of tracepoints are.
    NotTypedef,
    /// The typedef or function is not one made for such programs.
    WrongName,
    /// The id is no function.
    NotFunction,
    /// The function is no iterator, or a tracepoint's type is no function; kernels say nothing.
    Unsupported,
    /// Extensions replace functions of programs, not of the kernel.
    KernelFunction,
    /// The function has more arguments than a trampoline can pass on.
    TooManyArgs {
        /// Its arguments.
        count: usize,
    },
    /// The function returns what a trampoline cannot pass on.
    ReturnType {
        /// Kind of the result.
        kind: Kind,
    },
    /// The function takes any number of arguments.
    Variadic,
    /// The function has an argument that a trampoline cannot pass on.
    ArgType {
        /// Its index.
        arg: usize,
        /// Its kind.
        kind: Kind,
    },
    /// The function has an argument of no size.
    VoidArg,
    /// The function is called where nothing may sleep.
    NotSleepable,
    /// The function's result may not be replaced.
    NotModifiable,
    /// Tracing relies on the function itself.
    Untraceable,
    /// The function does not return.
    NoReturn,
    /// Programs that are members of kernel structures need a GPL-compatible licence.
    MemberLicense,
    /// The id is no structure whose members can be programs.
    NoFunctions,
    /// The structure has fewer members.
    NoMember {
        /// Index of the member.
        index: u32,
    },
    /// The member is no function.
    NoFunction {
        /// Its index.
        index: u32,
    },
    /// Programs, or those that sleep, cannot be the member.
    UnsupportedMember {
        /// Its index.
        index: u32,
    },
    /// LSM programs need a GPL-compatible licence.
    LsmLicense,
    /// The hook is not for programs.
    LsmDisabled,
    /// No type has the id of a variable.
    NoSuchVariable {
        /// The id.
        id: u32,
    },
    /// The id of a variable is that of something else.
    NotVariable {
        /// The id.
        id: u32,
    },
    /// The kernel does not know the variable's address.
    NoAddress {
        /// Its id.
        id: u32,
    },
    /// The variable has no size.
    VariableSize {
        /// Its id.
        id: u32,
    },
}
}
