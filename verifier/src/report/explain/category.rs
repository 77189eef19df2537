//! The catalogue of reasons: what people run into, each with what it means and what helps.
//!
//! A [`Category`] says in general what [`super::advice`] says about one violation with its numbers.
//! [`Category::of_message`] finds it for a message of a kernel's own log.

/// What kind of mistake leads to a rejection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Category {
    /// A register is read before it was written.
    UninitializedRegister,
    /// A pointer that may be null is used unchecked.
    NullPointer,
    /// A number is used as a pointer.
    NotAPointer,
    /// Packet bytes whose presence was not checked.
    PacketBounds,
    /// Outside of a map's value or other memory of known size.
    MemoryBounds,
    /// An index or size without proper limits.
    UnboundedValue,
    /// Outside of the stack, or bytes of it that were never written.
    Stack,
    /// A field of the context that is not there for this program.
    Context,
    /// Arithmetic that makes a pointer useless.
    PointerArithmetic,
    /// A pointer would be shown to user space.
    PointerLeak,
    /// An access that is not aligned.
    Alignment,
    /// Memory that may only be read.
    ReadOnly,
    /// The result is outside of what the program type allows.
    ReturnValue,
    /// Something acquired is never released.
    ReferenceLeak,
    /// A lock or other critical section is misused or left open.
    CriticalSection,
    /// A helper that this program may not call here.
    HelperUnavailable,
    /// The licence does not allow it.
    License,
    /// An argument of a wrong type.
    Argument,
    /// A global function's prototype or its callers.
    GlobalFunction,
    /// A map that cannot be used so.
    Map,
    /// Something that may sleep where nothing may.
    Sleep,
    /// A loop that never changes anything.
    InfiniteLoop,
    /// More paths than a kernel is willing to walk.
    Complexity,
    /// Calls need more stack than there is.
    StackDepth,
    /// Jumps that lead nowhere, code that nothing reaches.
    ControlFlow,
    /// An instruction that does not exist.
    Encoding,
    /// Function or line info that does not fit the program.
    DebugInfo,
    /// One instruction meets pointers of different kinds.
    MixedPointers,
    /// A kernel object that is not held safely enough.
    KernelObject,
    /// What the program attaches to, or names of the kernel.
    Target,
    /// The load request itself.
    Request,
}

impl Category {
    /// A stable name for machines: `null-pointer`.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// What it means, in a sentence or two.
    pub fn meaning(self) -> &'static str {
        self.row().1
    }

    /// What helps, in general.
    pub fn advice(self) -> &'static str {
        self.row().2
    }

    #[expect(clippy::too_many_lines, reason = "a table, one row per category")]
    fn row(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Category::UninitializedRegister => (
                "uninitialized-register",
                "A register is read that nothing was written to on this path.",
                "Initialise the variable on every path. Calls leave R1 to R5 without value; what is \
                 needed after a call must be kept elsewhere.",
            ),
            Category::NullPointer => (
                "null-pointer",
                "A pointer that may be null is used without a check on this path.",
                "Compare it with NULL before the first use, in the same function: \
                 if (!ptr) return 0;",
            ),
            Category::NotAPointer => (
                "not-a-pointer",
                "A number is used as an address.",
                "Keep pointers in variables of pointer type; one that was stored in a map, cast \
                 through an integer or read from kernel memory has lost its type. Read such memory \
                 with bpf_probe_read_kernel() or bpf_probe_read_user().",
            ),
            Category::PacketBounds => (
                "packet-bounds",
                "Packet bytes are accessed that are not known to be there.",
                "Compare before the access, with the very pointer that is used: \
                 if (ptr + size > data_end) return …; and load data and data_end anew after helpers \
                 that may change the packet.",
            ),
            Category::MemoryBounds => (
                "memory-bounds",
                "The access may lie outside of the memory that the pointer leads into.",
                "Bound the index right before it is used: if (i >= SIZE) return …; or \
                 i &= SIZE - 1 where the size is a power of two.",
            ),
            Category::UnboundedValue => (
                "unbounded-value",
                "A number is used as an offset or size although it may be negative or far too large.",
                "Make it unsigned and compare it with a constant before use, or mask it. If it is \
                 checked already, the compiler may have checked a copy: keep the checked value in \
                 the variable that is used.",
            ),
            Category::Stack => (
                "stack",
                "Stack memory is used outside of its 512 bytes, or in a way that its contents do not \
                 allow.",
                "Initialise whole structures (= {}) before their address is handed on, keep indices \
                 into arrays within bounds, and move large buffers into a per-CPU array map.",
            ),
            Category::Context => (
                "context",
                "The program may not access these bytes of its context.",
                "Use the fields that this program and attach type has, with their own size, directly \
                 from the context pointer as it was given.",
            ),
            Category::PointerArithmetic => (
                "pointer-arithmetic",
                "This arithmetic cannot be done with such a pointer.",
                "Only add or subtract numbers of known range, to pointers that were checked for \
                 null, in 64 bits.",
            ),
            Category::PointerLeak => (
                "pointer-leak",
                "A kernel address would become visible to an unprivileged process.",
                "Store and compare numbers, not pointers; or load the program with CAP_PERFMON.",
            ),
            Category::Alignment => (
                "alignment",
                "The access is not aligned to its size.",
                "Align the field, or copy it with smaller accesses (__builtin_memcpy).",
            ),
            Category::ReadOnly => (
                "read-only",
                "Memory is written that the program may only read.",
                "Copy it first and change the copy.",
            ),
            Category::ReturnValue => (
                "return-value",
                "The program may return a value that its hook does not know.",
                "Return one of the constants that this program type defines, on every path.",
            ),
            Category::ReferenceLeak => (
                "reference-leak",
                "Something was acquired that a path never gives back.",
                "Release it on every path, early returns included, after checking it for null.",
            ),
            Category::CriticalSection => (
                "critical-section",
                "A lock or another critical section is not used as the kernel requires.",
                "Unlock on every path before the program ends, take one lock at a time, and call \
                 nothing but what is allowed in between.",
            ),
            Category::HelperUnavailable => (
                "helper-unavailable",
                "Programs like this one may not call this function.",
                "Use another function or another program type; `bpftool feature probe` and the \
                 kernel's documentation list which type may call what.",
            ),
            Category::License => (
                "license",
                "The function is reserved for programs under a GPL-compatible licence.",
                "Declare one: char LICENSE[] SEC(\"license\") = \"GPL\"; or do without the function.",
            ),
            Category::Argument => (
                "argument",
                "An argument is not of the type that the function takes.",
                "Look at the register's value at the call and at the function's prototype; casts in \
                 C do not change what the verifier knows.",
            ),
            Category::GlobalFunction => (
                "global-function",
                "A global function is checked on its own, by its prototype alone, and its callers \
                 must keep to it.",
                "Declare the function static to have it checked with its callers, or annotate its \
                 arguments (__arg_ctx, __arg_nonnull, …).",
            ),
            Category::Map => (
                "map",
                "The map cannot be used in this way or by this program.",
                "Check the map's type, flags and value type against what the program does with it.",
            ),
            Category::Sleep => (
                "sleep",
                "Something that may sleep is used where nothing may sleep.",
                "Load the program as sleepable where its hook allows it (SEC(\"….s/…\")), and keep \
                 such calls out of critical sections.",
            ),
            Category::InfiniteLoop => (
                "infinite-loop",
                "A path comes back to where it was with nothing changed.",
                "Make sure that every round changes what the loop's condition looks at.",
            ),
            Category::Complexity => (
                "complexity",
                "There are more paths through the program than the kernel walks.",
                "Shorten or bound loops, use bpf_loop() or an open-coded iterator, move parts into \
                 global functions (checked once) or tail calls, and merge branches that differ \
                 little.",
            ),
            Category::StackDepth => (
                "stack-depth",
                "The functions of a call chain need more than 512 bytes of stack together.",
                "Move large variables into a per-CPU array map, or flatten the call chain.",
            ),
            Category::ControlFlow => (
                "control-flow",
                "The program's jumps do not form a program that ends properly.",
                "Compile without removing returns; a function that never returns, or code behind an \
                 unconditional jump, leaves such traces (often undefined behaviour in C).",
            ),
            Category::Encoding => (
                "encoding",
                "The instruction does not exist on this kernel.",
                "Compile for an older instruction set (-mcpu=v2 or v3), or use a newer kernel.",
            ),
            Category::DebugInfo => (
                "debug-info",
                "The program's BTF does not fit its instructions or is not supported.",
                "Compile with -g by a current clang, and do not change the object afterwards.",
            ),
            Category::MixedPointers => (
                "mixed-pointers",
                "The same instruction meets pointers of different kinds on different paths.",
                "Access through separate code on each path; compilers merge equal code (try \
                 barrier_var() or volatile).",
            ),
            Category::KernelObject => (
                "kernel-object",
                "A kernel object is used that the program does not hold, or not safely enough.",
                "Acquire a reference, stay inside bpf_rcu_read_lock(), or use an object that the \
                 hook hands over as trusted.",
            ),
            Category::Target => (
                "target",
                "What the program attaches to, or a variable that it names, is not there or not for \
                 it.",
                "Check the name against the running kernel's BTF and its list of functions that \
                 can be attached to.",
            ),
            Category::Request => (
                "request",
                "The kernel refuses the load request before it looks at the program.",
                "Check program type, attach type, flags and size.",
            ),
        }
    }

    /// The category of a kernel's message, by its wording on any supported kernel; `None` where the
    /// line is none that this catalogue knows.
    pub fn of_message(message: &str) -> Option<Category> {
        let found = WORDS
            .iter()
            .find(|(words, _)| words.iter().all(|w| message.contains(w)));
        found.map(|&(_, category)| category)
    }
}

/// Words of messages, the more special ones first; all of a row must occur.
const WORDS: &[(&[&str], Category)] = &[
    (&["!read_ok"], Category::UninitializedRegister),
    (&["old state:"], Category::InfiniteLoop),
    (&["unbounded min value"], Category::UnboundedValue),
    (&["pointer be out of bounds"], Category::UnboundedValue),
    (&["variable", "disallowed"], Category::Context),
    (&["negative offset", "disallowed"], Category::Context),
    (&["only read", "supported"], Category::ReadOnly),
    (&["passed to release"], Category::ReferenceLeak),
    (
        &["reference has not been acquired"],
        Category::ReferenceLeak,
    ),
    (&["invalid mem access", "_or_null"], Category::NullPointer),
    (&["null-check it first"], Category::NullPointer),
    (&["Possibly NULL pointer"], Category::NullPointer),
    (&["invalid mem access"], Category::NotAPointer),
    (&["outside of the packet"], Category::PacketBounds),
    (&["invalid access to packet"], Category::PacketBounds),
    (&["cannot write into packet"], Category::ReadOnly),
    (
        &["outside of the allowed memory range"],
        Category::MemoryBounds,
    ),
    (&["invalid access to map"], Category::MemoryBounds),
    (&["invalid access to memory"], Category::MemoryBounds),
    (&["min value is negative"], Category::UnboundedValue),
    (&["unbounded memory access"], Category::UnboundedValue),
    (&["invalid zero-sized read"], Category::UnboundedValue),
    (&["combined stack size"], Category::StackDepth),
    (&["stack size of subprog"], Category::StackDepth),
    (
        &["tail_calls are not allowed when call stack"],
        Category::StackDepth,
    ),
    (&["call stack of"], Category::StackDepth),
    (
        &["subtraction from stack pointer"],
        Category::PointerArithmetic,
    ),
    (&["misaligned"], Category::Alignment),
    (&["stack"], Category::Stack),
    (&["register fill"], Category::Stack),
    (&["register spill"], Category::Stack),
    (&["invalid bpf_context access"], Category::Context),
    (&["dereference of modified"], Category::Context),
    (&["pointer arithmetic"], Category::PointerArithmetic),
    (
        &["pointer", "pointer prohibited"],
        Category::PointerArithmetic,
    ),
    (&["math between"], Category::PointerArithmetic),
    (
        &["subtract pointer from scalar"],
        Category::PointerArithmetic,
    ),
    (&["pointer offset"], Category::PointerArithmetic),
    (&["bitwise operator"], Category::PointerArithmetic),
    (&["leaks addr"], Category::PointerLeak),
    (&["pointer comparison prohibited"], Category::PointerLeak),
    (&["partial copy of pointer"], Category::PointerLeak),
    (&["cannot write into"], Category::ReadOnly),
    (&["write into map forbidden"], Category::ReadOnly),
    (&["At program exit"], Category::ReturnValue),
    (&["callback return"], Category::ReturnValue),
    (&["At subprogram exit"], Category::ReturnValue),
    (&["reference leak"], Category::ReferenceLeak),
    (&["Unreleased reference"], Category::ReferenceLeak),
    (&["-ed region"], Category::CriticalSection),
    (&["must be held for"], Category::CriticalSection),
    (&["holding a lock"], Category::CriticalSection),
    (&["_unlock of different lock"], Category::CriticalSection),
    (&["without taking a lock"], Category::CriticalSection),
    (
        &["program of this type cannot use helper"],
        Category::HelperUnavailable,
    ),
    (&["unknown func"], Category::HelperUnavailable),
    (&["invalid func"], Category::HelperUnavailable),
    (
        &["calling kernel function", "is not allowed"],
        Category::HelperUnavailable,
    ),
    (
        &["helper call is not allowed in probe"],
        Category::HelperUnavailable,
    ),
    (&["GPL"], Category::License),
    (&["Caller passes invalid args"], Category::GlobalFunction),
    (&["Global function"], Category::GlobalFunction),
    (&["might sleep"], Category::Sleep),
    (&["sleepable"], Category::Sleep),
    (&["cannot pass map_type"], Category::Map),
    (&["progs cannot use"], Category::Map),
    (&["valid bpf_map"], Category::Map),
    (&["direct access to"], Category::Map),
    (&["cannot be accessed directly"], Category::Map),
    (&["must be referenced or trusted"], Category::KernelObject),
    (&["must be a rcu pointer"], Category::KernelObject),
    (&["must be referenced"], Category::KernelObject),
    (&["type=", "expected="], Category::Argument),
    (&["is of type", "is expected"], Category::Argument),
    (&["infinite loop"], Category::InfiniteLoop),
    (&["program is too large"], Category::Complexity),
    (&["jumps is too complex"], Category::Complexity),
    (&["back-edge"], Category::ControlFlow),
    (&["unreachable insn"], Category::ControlFlow),
    (&["jump out of range"], Category::ControlFlow),
    (&["jump into the middle"], Category::ControlFlow),
    (&["last insn is not"], Category::ControlFlow),
    (&["call to invalid destination"], Category::ControlFlow),
    (&["same insn cannot be used"], Category::MixedPointers),
    (&["uses reserved fields"], Category::Encoding),
    (&["opcode"], Category::Encoding),
    (&["div by zero"], Category::Encoding),
    (&["invalid shift"], Category::Encoding),
    (&["frame pointer is read only"], Category::Encoding),
    (&["exception callback"], Category::DebugInfo),
    (
        &["only allowed in functions that return"],
        Category::DebugInfo,
    ),
    (&["subprogs without BTF"], Category::DebugInfo),
    (&["btf_id"], Category::Target),
    (&["is not modifiable"], Category::Target),
    (&["is rejected"], Category::Target),
    (&["kernel symbol"], Category::Target),
    (&["is invalid"], Category::Encoding),
    (&["non-zero flags"], Category::Argument),
    (&["exception cb"], Category::GlobalFunction),
    (&["kptr"], Category::Map),
    (&["func_info"], Category::DebugInfo),
    (&["func info"], Category::DebugInfo),
    (&["line_info"], Category::DebugInfo),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_kernels_find_their_category() {
        let cases = [
            ("R1 !read_ok", Category::UninitializedRegister),
            (
                "R0 invalid mem access 'map_value_or_null'",
                Category::NullPointer,
            ),
            ("R6 invalid mem access 'scalar'", Category::NotAPointer),
            ("R6 invalid mem access 'inv'", Category::NotAPointer),
            ("R2 offset is outside of the packet", Category::PacketBounds),
            (
                "combined stack size of 2 calls is 544. Too large",
                Category::StackDepth,
            ),
            (
                "invalid indirect read from stack R2 off -8+0 size 8",
                Category::Stack,
            ),
            (
                "program of this type cannot use helper bpf_get_retval#186",
                Category::HelperUnavailable,
            ),
            ("R1 type=fp expected=ctx", Category::Argument),
            (
                "cannot call GPL-restricted function from non-GPL compatible program",
                Category::License,
            ),
            (
                "bpf_spin_unlock of different lock",
                Category::CriticalSection,
            ),
        ];
        for (message, category) in cases {
            assert_eq!(Category::of_message(message), Some(category), "{message}");
        }
        assert_eq!(Category::of_message("processed 3 insns"), None);
    }

    #[test]
    fn names_are_lower_case_words_with_hyphens() {
        for (_, category) in WORDS {
            let name = category.name();
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{name}"
            );
            assert!(category.meaning().ends_with('.') && !category.advice().is_empty());
        }
    }
}
