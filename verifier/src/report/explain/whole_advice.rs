//! Requests, shapes and limits of whole programs, with what would help.

use super::advice::Advice;
use super::category::Category;
use crate::violation::{FormViolation, LimitViolation, RequestViolation};

/// The advice for a request.
pub(super) fn request(violation: &RequestViolation) -> Advice {
    let advice = Advice::of(Category::Request);
    match violation {
        RequestViolation::Length { len: 0, .. } => advice.what("The program is empty."),
        RequestViolation::Length { len, limit } => advice
            .what(format!(
                "The program has {len} instructions; at most {limit} can be loaded."
            ))
            .hint("Split it into several programs that tail-call each other."),
        RequestViolation::AttachType => {
            advice.what("This program type cannot be loaded for this attach type.")
        }
        RequestViolation::ProgType => advice.what("The kernel does not know this program type."),
        RequestViolation::Flags { flags } => advice.what(format!(
            "The load flags {flags:#x} contain bits that the kernel does not know."
        )),
        RequestViolation::AttachBtfId => {
            advice.what("Programs of this type cannot be loaded for a kernel function.")
        }
    }
}

/// The advice for the shape of a program.
pub(super) fn form(violation: &FormViolation) -> Advice {
    use FormViolation as F;
    match violation {
        F::LdxReservedField | F::UnknownOpcode { .. } | F::InvalidImm64 | F::UnrecognizedImm64 => {
            Advice::of(Category::Encoding)
        }
        F::NoSuchMap { .. } => Advice::of(Category::Map)
            .what("The program names a map that the request does not hold.")
            .hint("Create the map before the program is loaded."),
        F::MapFieldForType { who, what } => Advice::of(Category::Map).what(format!(
            "{who} programs cannot use maps whose values hold {what}."
        )),
        F::NoFdArray
        | F::ValueOffset { .. }
        | F::NoDirectValue
        | F::DirectValue { .. }
        | F::TooManyMaps { .. }
        | F::SecondArena
        | F::SecondCgroupStorage
        | F::StructOpsMap => Advice::of(Category::Map),
        F::MapForSleepable | F::MustSleep | F::MayNotSleep => Advice::of(Category::Sleep),
        F::Unreachable { idx } => {
            Advice::of(Category::ControlFlow).what(format!("No path leads to instruction {idx}."))
        }
        F::BackEdge { from, to } => Advice::of(Category::ControlFlow)
            .what(format!(
                "The jump from instruction {from} back to {to} makes a loop."
            ))
            .hint("Unprivileged programs have no loops: unroll it, or load with CAP_BPF."),
        F::LastInsnFallsThrough => Advice::of(Category::ControlFlow)
            .what("The last instruction of a function is neither exit nor jump.")
            .hint("Let every path of the function return."),
        F::CallOutOfProgram | F::JumpOutOfRange { .. } | F::JumpIntoImm64 { .. } => {
            Advice::of(Category::ControlFlow)
        }
        F::FirstFuncOffset { .. }
        | F::FuncOrder { .. }
        | F::FuncType { .. }
        | F::FuncCount
        | F::FuncLayout
        | F::LdAbsWithoutBtf
        | F::TailCallWithoutBtf
        | F::LdAbsReturn
        | F::TailCallReturn
        | F::LineOffset { .. }
        | F::LineCode { .. }
        | F::LineName { .. }
        | F::LineMissing { .. }
        | F::LinesMissing { .. }
        | F::ExceptionCallbacks
        | F::ExceptionCallbackMissing { .. }
        | F::ExceptionCallbackStatic { .. }
        | F::ExceptionCallbackMain
        | F::ExceptionCallbackUnlisted => Advice::of(Category::DebugInfo),
        F::GlobalType { .. }
        | F::GlobalArgs { .. }
        | F::GlobalReturn { .. }
        | F::ArgType { .. }
        | F::ArgTagUnknown { .. }
        | F::ArgTagOnNumber { .. }
        | F::ArgTagCombination { .. }
        | F::ArgUntrustedCombination { .. }
        | F::ArgArenaCombination { .. }
        | F::ArgSize { .. }
        | F::ArgKernelType { .. } => Advice::of(Category::GlobalFunction),
    }
}

/// The advice for a limit.
pub(super) fn limit(violation: &LimitViolation) -> Advice {
    use LimitViolation as L;
    match violation {
        L::TooManyProcessed { processed } => Advice::of(Category::Complexity).what(format!(
            "The verifier gave up after {} instructions on all paths together.",
            processed.saturating_sub(1)
        )),
        L::TooManyPending { pending } => Advice::of(Category::Complexity).what(format!(
            "{pending} branches wait to be walked at the same time."
        )),
        L::TooManySubprogs => Advice::of(Category::Complexity)
            .what("The program has more functions than the kernel takes.")
            .hint("Inline small functions."),
        L::InfiniteLoop { idx, .. } => Advice::of(Category::InfiniteLoop).what(format!(
            "The path comes back to instruction {idx} with every register and stack slot as before."
        )),
        L::RemovedSubprog { .. } => Advice::of(Category::GlobalFunction)
            .what("A function's address is taken, but no path ever calls the function.")
            .hint("Take the address only where it is used, or make the call reachable."),
        L::CallChain { frames } => Advice::of(Category::StackDepth)
            .what(format!(
                "{} functions call each other in a chain, or some call themselves; at most 8 may.",
                frames + 1
            ))
            .hint("Inline functions (static __always_inline), or use tail calls."),
        L::CombinedStack { calls, size } => Advice::of(Category::StackDepth).what(format!(
            "A chain of {calls} functions needs {size} bytes of stack; 512 are there."
        )),
        L::SubprogStack { size, .. } => Advice::of(Category::StackDepth).what(format!(
            "One function needs {size} bytes of stack; 512 are there."
        )),
        L::TailCallStack { depth } => Advice::of(Category::StackDepth)
            .what(format!(
                "A function tail-calls while its callers hold {depth} bytes of stack."
            ))
            .hint("Tail-call from the main function, or hold less than 256 bytes in callers."),
        L::ExceptionCallbackCalled { .. } => Advice::of(Category::GlobalFunction)
            .what("The handler of exceptions is called like an ordinary function."),
    }
}
