//! One violation with its numbers: what is wrong, and what would help. What is not said here, the
//! catalogue says in general.

use skep_isa::{Insn, InsnIdx, Reg, decode};

use super::category::Category;
use super::object_advice::kptr;
use super::words::{self, bytes};
use super::{call_advice, kernel_advice, whole_advice};
use crate::number::Scalar;
use crate::report::scene::Scene;
use crate::report::{StateView, ValueView};
use crate::state::{Region, Value};
use crate::violation::{AccessViolation, Violation, WalkViolation};

/// What is wrong and what helps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Advice {
    pub(super) category: Category,
    /// What is wrong; the catalogue's words where `None`.
    pub(super) what: Option<String>,
    /// What helps; the catalogue's words where `None`.
    pub(super) hint: Option<String>,
}

impl Advice {
    pub(super) fn of(category: Category) -> Advice {
        Advice {
            category,
            what: None,
            hint: None,
        }
    }

    pub(super) fn what(self, what: impl Into<String>) -> Advice {
        Advice {
            what: Some(what.into()),
            ..self
        }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Advice {
        Advice {
            hint: Some(hint.into()),
            ..self
        }
    }
}

/// The advice for a violation at an instruction, if it belongs to one.
pub(super) fn advise(
    scene: Scene<'_>,
    violation: &Violation,
    at: Option<InsnIdx>,
    state: Option<&StateView>,
) -> Advice {
    match violation {
        Violation::Request(v) => whole_advice::request(v),
        Violation::Form(v) => whole_advice::form(v),
        Violation::Walk(v) => walk(scene, v, at),
        Violation::Access(v) => access(scene, v, state),
        Violation::Btf(v) => kernel_advice::structure(scene, v),
        Violation::Call(v) => call_advice::call(scene, v),
        Violation::Limit(v) => whole_advice::limit(v),
        Violation::Kernel(v) => kernel_advice::kernel(scene, *v),
    }
}

#[expect(clippy::too_many_lines, reason = "a table, one arm per rule")]
fn walk(scene: Scene<'_>, violation: &WalkViolation, at: Option<InsnIdx>) -> Advice {
    use WalkViolation as W;
    match violation {
        W::UninitializedRegister { reg } => uninitialized(scene, *reg, at),
        W::FramePointerWrite => Advice::of(Category::Encoding)
            .what("R10 is the frame pointer, which programs cannot change.")
            .hint("Copy it to another register first."),
        W::NoSuchRegister { reg } => Advice::of(Category::Encoding)
            .what(format!("There is no register R{reg}."))
            .hint("Registers are R0 to R10."),
        W::ReservedField { .. }
        | W::UnknownAlu { .. }
        | W::UnknownJump { .. }
        | W::UnknownClass { .. }
        | W::InvalidLdImm
        | W::UnknownAtomic { .. }
        | W::UnknownLoadMode
        | W::MayGotoImmediate { .. }
        | W::AddressSpaces
        | W::NoArena
        | W::InvalidShift { .. } => Advice::of(Category::Encoding),
        W::OutOfProgram { .. } => Advice::of(Category::ControlFlow),
        W::DivisionByZero => Advice::of(Category::Encoding)
            .what("A division by the constant 0.")
            .hint("Check the divisor at compile time; at run time a division by 0 gives 0."),
        W::PointerArithmetic { .. }
        | W::PartialPointerCopy { .. }
        | W::PointerSignExtension { .. }
        | W::PointerComparison { .. }
        | W::ReturnLeaksAddress { .. } => Advice::of(Category::PointerLeak),
        W::Invariant { .. } => Advice::of(Category::UnboundedValue).what(
            "What is known of a number contradicts itself, which the load flags make an error.",
        ),
        W::Pointer32 { reg } => Advice::of(Category::PointerArithmetic)
            .what(format!(
                "R{} is a pointer; 32-bit arithmetic would cut it in half.",
                reg.index()
            ))
            .hint("Calculate with pointers in 64 bits."),
        W::PointerMaybeNull { reg, pointer } => null(scene, *reg, pointer),
        W::PointerKind { pointer, .. }
        | W::OffsetConstant { pointer, .. }
        | W::OffsetFixed { pointer, .. } => Advice::of(Category::PointerArithmetic).what(format!(
            "Nothing of that kind can be added to {}.",
            describe(scene, pointer)
        )),
        W::OffsetUnbounded { pointer } | W::OffsetMin { pointer, .. } => {
            Advice::of(Category::UnboundedValue)
                .what(format!(
                    "A number that may be negative or hugely large is added to {}.",
                    describe(scene, pointer)
                ))
                .hint(
                    "Make the index unsigned and compare it with the size before the addition: \
                     if (i >= SIZE) return …;",
                )
        }
        W::PointerPointer { .. }
        | W::ScalarMinusPointer { .. }
        | W::StackMinus { .. }
        | W::PointerBitwise { .. }
        | W::PointerOperator { .. } => Advice::of(Category::PointerArithmetic),
        W::NoFuncInfo | W::CallbackNotStatic => Advice::of(Category::DebugInfo),
        W::LdAbsProgType | W::LdAbsNoCtx | W::LdAbsInCallback => {
            Advice::of(Category::Context).hint("Use bpf_skb_load_bytes(), or direct packet access.")
        }
        W::ReferenceLeak { insn_idx, .. } => leak(scene, *insn_idx),
        W::SectionLeak { section, .. } => Advice::of(Category::CriticalSection)
            .what(format!(
                "The section that {section} opens is still open here."
            ))
            .hint("Close it on every path before this."),
        W::SubprogReturnNoScalar { value, .. } | W::ReturnNoScalar { value, .. } => {
            Advice::of(Category::ReturnValue).what(format!(
                "What is returned is {}, not a number.",
                describe(scene, value)
            ))
        }
        W::ReturnRange {
            scalar, min, max, ..
        } => {
            let allowed = if min == max {
                format!("only {min}")
            } else {
                format!("{min} to {max}")
            };
            Advice::of(Category::ReturnValue)
                .what(format!(
                    "What is returned is {}; allowed is {allowed}.",
                    words::scalar(scalar)
                ))
                .hint("Return a constant on every path, or limit the value before it is returned.")
        }
        W::ExceptionCallbackArgument => Advice::of(Category::GlobalFunction),
        W::DifferentPointers => Advice::of(Category::MixedPointers),
    }
}

fn uninitialized(scene: Scene<'_>, reg: Reg, at: Option<InsnIdx>) -> Advice {
    let advice = Advice::of(Category::UninitializedRegister);
    let insn = at.and_then(|at| decode(&scene.spec.insns, at).ok());
    let name = format!("R{}", reg.index());
    if reg == Reg::R0 && insn == Some(Insn::Exit) {
        return advice
            .what("The program ends without a return value: R0 was not written on this path.")
            .hint("Return a value on every path.");
    }
    match insn {
        Some(Insn::Call(_)) => advice
            .what(format!(
                "The call reads its argument {name}, which was not written."
            ))
            .hint("Pass every argument that the function's prototype has."),
        Some(_) | None if Reg::ARGS.contains(&reg) => advice.what(format!(
            "{name} holds no value here: it was never written, or a call came since then."
        )),
        Some(_) | None => advice.what(format!("{name} was not written on this path.")),
    }
}

fn leak(scene: Scene<'_>, acquired: InsnIdx) -> Advice {
    let advice = Advice::of(Category::ReferenceLeak).what(format!(
        "What instruction {acquired} ({}) acquired is not released on this path.",
        scene.insn(acquired)
    ));
    let text = scene.insn(acquired);
    let releases = [
        (
            "ringbuf_reserve_dynptr",
            "bpf_ringbuf_submit_dynptr() or bpf_ringbuf_discard_dynptr()",
        ),
        (
            "ringbuf_reserve",
            "bpf_ringbuf_submit() or bpf_ringbuf_discard()",
        ),
        ("sk_lookup", "bpf_sk_release()"),
        ("skc_lookup", "bpf_sk_release()"),
        (
            "obj_new",
            "bpf_obj_drop(), or hand the object to a list or tree",
        ),
        (
            "kptr_xchg",
            "the type's release function, or put it back with bpf_kptr_xchg()",
        ),
        ("task_acquire", "bpf_task_release()"),
        ("task_from_pid", "bpf_task_release()"),
        ("cgroup_acquire", "bpf_cgroup_release()"),
        ("iter_", "the iterator's _destroy function"),
    ];
    match releases.iter().find(|(name, _)| text.contains(name)) {
        Some((_, release)) => advice.hint(format!(
            "Call {release} on every path on which the pointer is not null, early returns included."
        )),
        None => advice,
    }
}

pub(super) fn describe(scene: Scene<'_>, view: &ValueView) -> String {
    words::value(scene, &view.0)
}

fn null(scene: Scene<'_>, reg: Reg, view: &ValueView) -> Advice {
    Advice::of(Category::NullPointer).what(format!(
        "R{} is {}.",
        reg.index(),
        describe(scene, view)
    ))
}

#[expect(clippy::too_many_lines, reason = "a table, one arm per rule")]
fn access(scene: Scene<'_>, violation: &AccessViolation, state: Option<&StateView>) -> Advice {
    use AccessViolation as A;
    let stack = Advice::of(Category::Stack);
    match violation {
        A::InvalidPointer { reg, value } => invalid_pointer(scene, *reg, value),
        A::NotMemory { reg, value } => Advice::of(Category::Argument).what(format!(
            "The function expects memory; R{} is {}.",
            reg.index(),
            describe(scene, value)
        )),
        A::ReadOnly { pointer, .. } => Advice::of(Category::ReadOnly).what(format!(
            "What is written to is {}.",
            describe(scene, pointer)
        )),
        A::MapKeyWrite { .. } | A::PacketWrite => Advice::of(Category::ReadOnly),
        A::MapDirection { write, .. } => {
            let (what, flag) = if *write {
                ("written", "BPF_F_RDONLY_PROG")
            } else {
                ("read", "BPF_F_WRONLY_PROG")
            };
            Advice::of(if *write {
                Category::ReadOnly
            } else {
                Category::Map
            })
            .what(format!(
                "The map was created with {flag}: programs cannot have it {what}."
            ))
        }
        A::Leak { .. } | A::StackPointerLeak { .. } | A::StackVariableUnprivileged { .. } => {
            Advice::of(Category::PointerLeak)
        }
        A::Misaligned { .. } | A::MisalignedPacket { .. } => Advice::of(Category::Alignment),
        A::AtomicPointer { .. } => Advice::of(Category::Argument)
            .what("Atomic operations do not work on such memory.")
            .hint("Use them on map values, the stack or arenas."),
        A::NegativeMin { reg } => Advice::of(Category::UnboundedValue)
            .what(format!("The offset in R{} may be negative.", reg.index()))
            .hint("Make the index unsigned, or check for >= 0 as well."),
        A::UnboundedMax { reg } => Advice::of(Category::UnboundedValue)
            .what(format!(
                "The offset in R{} has no upper limit.",
                reg.index()
            ))
            .hint("Compare the index with the size before use: if (i >= SIZE) return …;"),
        A::RegionBounds {
            pointer,
            off,
            size,
            room,
            is_max,
            ..
        } => region_bounds(pointer, *off, *size, *room, *is_max),
        A::SpecialField { name } => Advice::of(Category::Map).what(format!(
            "The bytes belong to a {name}, which only its own functions may touch."
        )),
        A::Kptr(v) => kptr(scene, v),
        A::Packet {
            reg,
            off,
            size,
            range,
            ..
        } => {
            let value = state
                .and_then(|state| state.reg(reg.index()))
                .and_then(Value::pointer);
            let is_meta = value.is_some_and(|p| matches!(p.region, Region::PacketMeta { .. }));
            packet(*off, *size, *range, is_meta)
        }
        A::FlowKeys { .. } => Advice::of(Category::Context),
        A::Sock {
            pointer, off, size, ..
        } => Advice::of(Category::Context)
            .what(format!(
                "{} at offset {off} of {} are not a field that can be read.",
                bytes(*size),
                describe(scene, pointer)
            ))
            .hint(
                "Read the fields of struct bpf_sock and its kin with their own size; get the full \
                 socket with bpf_sk_fullsock() where it is needed.",
            ),
        A::Ctx { off, size } => Advice::of(Category::Context).what(format!(
            "{} at offset {off} of the context cannot be accessed so by this program.",
            bytes(*size)
        )),
        A::BufferOffset { .. } | A::BufferVariable { .. } => Advice::of(Category::UnboundedValue),
        A::NegativeOffset { pointer, .. }
        | A::ModifiedPointer { pointer, .. }
        | A::VariableOffset { pointer, .. } => Advice::of(Category::Context)
            .what(format!(
                "{} must be used as it was given, without anything added to it.",
                capital(&describe(scene, pointer))
            ))
            .hint(
                "Access fields as ctx->field. If the compiler added first, keep the pointer from \
                 being changed (volatile, or preserve_access_index with __arg_ctx).",
            ),
        A::ZeroSizedRead => Advice::of(Category::UnboundedValue).what("A size of 0 bytes."),
        A::NegativeSize { reg } => Advice::of(Category::UnboundedValue)
            .what(format!("The size in R{} may be negative.", reg.index()))
            .hint("Use an unsigned type, or mask the size: size &= MAX - 1."),
        A::ZeroSize { reg, .. } => Advice::of(Category::UnboundedValue)
            .what(format!("The size in R{} may be 0.", reg.index()))
            .hint("Check for it before the call: if (size == 0) return …;"),
        A::UnboundedSize { reg } => Advice::of(Category::UnboundedValue)
            .what(format!("The size in R{} has no upper limit.", reg.index()))
            .hint("Limit it before the call: if (size > sizeof(buffer)) return …;"),
        A::StackUnbounded { .. } => stack
            .what("The offset into the stack has no limits.")
            .hint("Compare the index with the array's size before use, or mask it."),
        A::StackBounds { var, off, size, .. } => stack.what(stack_bounds(var, *off, *size)),
        A::StackRead { off, at, .. } => stack.what(format!(
            "The byte at {} from the frame pointer was never written on this path, or holds part \
             of a pointer.",
            off + at
        )),
        A::StackHelperRead { at, .. } => stack
            .what(format!(
                "The function reads the byte at {at} from the frame pointer, which was never \
                 written on this path or belongs to a dynptr or iterator."
            ))
            .hint(
                "Initialise the whole structure, padding included: struct key k = {}; or \
                 __builtin_memset(&k, 0, sizeof(k)).",
            ),
        A::StackHelperVariableRead { .. } => {
            stack.what("The function may read bytes of the stack that were never written.")
        }
        A::StackVariableRead { .. } => {
            stack.what("Stack memory at a varying offset cannot be used here.")
        }
        A::StackOverDynptr { .. } => stack
            .what("The function would write over a dynptr.")
            .hint("Release the dynptr first, or use other stack memory."),
        A::FillSize => stack
            .what("Part of a pointer that was saved on the stack is read.")
            .hint("Read all eight bytes of it."),
        A::SpillSize => stack
            .what("Part of a pointer is stored to the stack.")
            .hint("Store all eight bytes of it."),
        A::StackPointerToCaller => stack
            .what("A pointer into this function's stack would outlive it.")
            .hint("Let the caller provide the memory."),
        A::CorruptSpilledPointer
        | A::VariableWriteOverSpill { .. }
        | A::VariableWriteUninit { .. } => stack,
    }
}

fn invalid_pointer(scene: Scene<'_>, reg: Reg, view: &ValueView) -> Advice {
    let (name, what) = (format!("R{}", reg.index()), describe(scene, view));
    match &view.0 {
        Value::Pointer(pointer) if pointer.maybe_null() => null(scene, reg, view),
        Value::Pointer(pointer) if pointer.region == Region::PacketEnd => {
            Advice::of(Category::PacketBounds)
                .what(format!("{name} is {what}: there is nothing behind it."))
                .hint("Access the packet through data; data_end is for comparing only.")
        }
        Value::Pointer(_) => Advice::of(Category::Argument).what(format!(
            "{name} is {what}, which cannot be accessed directly."
        )),
        Value::Scalar(number) if number.scalar.is_zero() => Advice::of(Category::NullPointer)
            .what(format!("{name} is null on this path."))
            .hint("Leave the path on which the pointer is null before it is used."),
        Value::Scalar(_) | Value::Uninit => Advice::of(Category::NotAPointer)
            .what(format!("{name} is used as an address, but it is {what}.")),
    }
}

fn region_bounds(view: &ValueView, off: i32, size: i32, room: u32, is_max: bool) -> Advice {
    let advice = Advice::of(Category::MemoryBounds);
    let var = view.0.var();
    if var.is_const() || !is_max {
        return advice.what(format!(
            "{} at offset {off} do not lie within {room} bytes.",
            bytes(size)
        ));
    }
    let room_left = i64::from(room) - i64::from(size);
    advice
        .what(format!(
            "{} at offset {off} at most do not lie within {room} bytes: the variable part of the \
             offset is {}.",
            bytes(size),
            words::scalar(&var)
        ))
        .hint(match room_left {
            0.. => format!(
                "Keep the offset at most {room_left}: compare it right before use, in the variable \
                 that is used, or mask it."
            ),
            _ => "The access is larger than the memory: use a smaller one.".to_owned(),
        })
}

fn packet(off: i32, size: i32, range: i32, is_meta: bool) -> Advice {
    let end = i64::from(off) + i64::from(size);
    let (what, begin, limit) = if is_meta {
        ("packet's metadata", "data_meta", "data")
    } else {
        ("packet", "data", "data_end")
    };
    let known = match range {
        ..0 => "this path is the one on which they are not there".to_owned(),
        0 => format!("no comparison with {limit} was made for this pointer"),
        _ => format!("only the first {range} are known to be there"),
    };
    let bytes = match size {
        1 => format!("Byte {off} of the {what} is"),
        _ => format!("Bytes {off} to {} of the {what} are", end - 1),
    };
    Advice::of(Category::PacketBounds)
        .what(format!("{bytes} accessed; {known}."))
        .hint(format!(
            "Compare before the access, with the pointer that is used: \
         if ({begin} + {end} > {limit}) return …;"
        ))
}

fn stack_bounds(var: &Scalar, off: i32, size: i32) -> String {
    let Some(var) = var.const_value() else {
        return format!(
            "The access may lie outside of the function's stack, which is 512 bytes: the variable \
             part of the offset is {}.",
            words::scalar(var)
        );
    };
    let first = (var as i64).wrapping_add(off.into());
    let end = first.wrapping_add(size.into());
    let size = bytes(size);
    if end > 0 {
        return format!(
            "{size} at offset {first} from the frame pointer reach {end} beyond the stack's end: \
             more than the variable holds."
        );
    }
    format!("{size} at offset {first} from the frame pointer lie below the stack's 512 bytes.")
}

pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}
