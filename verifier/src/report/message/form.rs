//! The shape of a program in the kernel's words.

use crate::violation::FormViolation;

/// The lines that the kernel logs; empty where it says nothing.
#[expect(clippy::too_many_lines, reason = "a table of texts, one per rule")]
pub(super) fn text(violation: &FormViolation) -> String {
    use FormViolation as F;
    match violation {
        F::LdxReservedField => "BPF_LDX uses reserved fields".to_owned(),
        F::UnknownOpcode { code } => format!("unknown opcode {code:02x}"),
        F::InvalidImm64 => "invalid bpf_ld_imm64 insn".to_owned(),
        F::UnrecognizedImm64 => "unrecognized bpf_ld_imm64 insn".to_owned(),
        F::NoFdArray => "fd_idx without fd_array is invalid".to_owned(),
        F::NoSuchMap { fd } => format!("fd {fd} is not pointing to valid bpf_map"),
        F::ValueOffset { off } => format!("direct value offset of {off} is not allowed"),
        F::NoDirectValue => "no direct value access support for this map type".to_owned(),
        F::DirectValue { size, off } => {
            format!("invalid access to map value pointer, value_size={size} off={off}")
        }
        F::CallOutOfProgram => "call to invalid destination".to_owned(),
        F::JumpOutOfRange { from, to } => format!("jump out of range from insn {from} to {to}"),
        F::LastInsnFallsThrough => "last insn is not an exit or jmp".to_owned(),
        F::Unreachable { idx } => format!("unreachable insn {idx}"),
        F::JumpIntoImm64 { idx } => format!("jump into the middle of ldimm64 insn {idx}"),
        F::BackEdge { from, to } => format!("back-edge from insn {from} to {to}"),
        F::MustSleep => "Syscall programs can only be sleepable".to_owned(),
        F::MayNotSleep => "Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs \
                           can be sleepable"
            .to_owned(),
        F::ExceptionCallbacks => "multiple exception callback tags for main subprog".to_owned(),
        F::ExceptionCallbackMissing { name } => {
            format!("exception callback '{name}' could not be found in BTF")
        }
        F::ExceptionCallbackStatic { name } => {
            format!("exception callback '{name}' must have global linkage")
        }
        F::ExceptionCallbackMain => {
            "invalid exception callback insn_off in func_info: 0".to_owned()
        }
        F::ExceptionCallbackUnlisted => {
            "exception callback type id not found in func_info".to_owned()
        }
        F::TooManyMaps { limit } => {
            format!("The total number of maps per program has reached the limit of {limit}")
        }
        F::SecondArena => "Only one arena per program".to_owned(),
        F::SecondCgroupStorage => "only one cgroup storage of each type is allowed".to_owned(),
        F::MapFieldForType { who, what } => format!("{who} progs cannot use {what} yet"),
        F::StructOpsMap => "bpf_struct_ops map cannot be used in prog".to_owned(),
        F::MapForSleepable => {
            "Sleepable programs can only use array, hash, ringbuf and local storage maps".to_owned()
        }
        F::FirstFuncOffset { off } => {
            format!("nonzero insn_off {off} for the first func info record")
        }
        F::FuncOrder { off, before } => {
            format!("same or smaller insn offset ({off}) than previous func info record ({before})")
        }
        F::FuncType { id } => format!("invalid type id {} in func info", id.cast_signed()),
        F::FuncCount => "number of funcs in func_info doesn't match number of subprogs".to_owned(),
        F::FuncLayout => {
            "func_info BTF section doesn't match subprog layout in BPF program".to_owned()
        }
        F::LdAbsWithoutBtf => "LD_ABS is not allowed in subprogs without BTF".to_owned(),
        F::TailCallWithoutBtf => "tail_call is not allowed in subprogs without BTF".to_owned(),
        F::LdAbsReturn => "LD_ABS is only allowed in functions that return 'int'.".to_owned(),
        F::TailCallReturn => "tail_call is only allowed in functions that return 'int'.".to_owned(),
        F::LineOffset {
            index,
            off,
            before,
            len,
        } => format!(
            "Invalid line_info[{index}].insn_off:{off} (prev_offset:{before} prog->len:{len})"
        ),
        F::LineCode { index } => format!("Invalid insn code at line_info[{index}].insn_off"),
        F::LineName { index } => format!("Invalid line_info[{index}].line_off or .file_name_off"),
        F::LineMissing { func } => format!("missing bpf_line_info for func#{func}"),
        F::LinesMissing { count, first } => {
            format!("missing bpf_line_info for {count} funcs starting from func#{first}")
        }
        F::GlobalType { name } => format!("Invalid type of function {name}()"),
        F::GlobalArgs { name, count, max } => {
            format!("Global function {name}() with {count} > {max} args. Buggy compiler.")
        }
        F::GlobalReturn { name } => {
            format!("Global function {name}() doesn't return scalar. Only those are supported.")
        }
        F::ArgType { arg, kind, func } => {
            format!("Arg#{arg} type {kind} in {func}() is not supported yet.")
        }
        F::ArgTagUnknown { arg } => format!("arg#{arg} has unsupported set of tags"),
        F::ArgTagOnNumber { arg } => {
            format!("arg#{arg} has pointer tag, but is not a pointer type")
        }
        F::ArgTagCombination { arg } => format!("arg#{arg} has invalid combination of tags"),
        F::ArgUntrustedCombination { arg } => {
            format!("arg#{arg} untrusted cannot be combined with any other tags")
        }
        F::ArgArenaCombination { arg } => {
            format!("arg#{arg} arena cannot be combined with any other tags")
        }
        F::ArgSize { arg, kind, name } => {
            // The kernel has no name for void.
            let kind = if *kind == "VOID" { "UNKNOWN" } else { kind };
            format!("arg#{arg} reference type('{kind} {name}') size cannot be determined: -22")
        }
        F::ArgKernelType {
            arg,
            kind,
            name,
            count,
        } => {
            let why = match count {
                None => "candidate matching error: -22",
                Some(0) => "has no matches",
                Some(_) => "is ambiguous",
            };
            format!("arg#{arg} reference type('{kind} {name}') {why}")
        }
    }
}
