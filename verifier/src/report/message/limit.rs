//! Limits in the kernel's words.

use crate::report::scene::Scene;
use crate::violation::LimitViolation;

/// The lines that the kernel logs.
pub(super) fn text(scene: Scene<'_>, violation: &LimitViolation) -> String {
    use LimitViolation as L;
    match violation {
        L::TooManyProcessed { processed } => {
            format!("BPF program is too large. Processed {processed} insn")
        }
        L::TooManySubprogs => "too many subprograms".to_owned(),
        L::TooManyPending { pending } => {
            format!("The sequence of {pending} jumps is too complex.")
        }
        L::InfiniteLoop { idx, now, before } => {
            let mut text = format!("infinite loop detected at insn {idx}\ncur state:");
            now.push(&mut text, scene);
            text.push_str("old state:");
            before.push(&mut text, scene);
            text.truncate(text.trim_end().len());
            text
        }
        L::RemovedSubprog { target } => {
            format!("verifier bug: No program to jit at insn {target} (subprog < 0)")
        }
        L::CallChain { frames } => format!("the call stack of {frames} frames is too deep !"),
        L::CombinedStack { calls, size } => {
            format!("combined stack size of {calls} calls is {size}. Too large")
        }
        L::SubprogStack { subprog, size } => {
            format!("stack size of subprog {subprog} is {size}. Too large")
        }
        L::TailCallStack { depth } => format!(
            "tail_calls are not allowed when call stack of previous frames is {depth} bytes. \
             Too large"
        ),
        L::ExceptionCallbackCalled { idx } => {
            format!("insn {idx} cannot call exception cb directly")
        }
    }
}
