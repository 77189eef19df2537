//! Calls that are not allowed, in the kernel's words.

use skep_isa::Reg;
use skep_spec::tables::helpers;

use crate::report::ValueView;
use crate::report::scene::Scene;
use crate::report::value::value_type_text;
use crate::state::{BtfSource, Pointer, Region, Value};
use crate::violation::{
    ArgumentViolation, CallViolation, FieldViolation, GlobalViolation, NoSleep, StringViolation,
};

/// A helper's name as messages give it.
fn helper(id: u32) -> &'static str {
    match helpers::first(id) {
        Some(proto) => proto.name,
        None if id == 0 => "bpf_unspec",
        None => "unknown",
    }
}

fn r(reg: Reg) -> String {
    format!("R{}", reg.index())
}

/// Name of the map that a pointer leads to.
fn map_name<'a>(scene: Scene<'a>, view: &ValueView) -> &'a str {
    match view.0 {
        Value::Pointer(Pointer {
            region: Region::MapValue { map, .. },
            ..
        }) => scene.map_name(map),
        Value::Pointer(_) | Value::Scalar(_) | Value::Uninit => "",
    }
}

/// The kernel's last words about a call.
pub(super) fn text(scene: Scene<'_>, v: &CallViolation) -> String {
    use CallViolation as V;
    match v {
        V::NoSuchHelper { id } => format!("invalid func unknown#{id}"),
        V::HelperUnavailable { id } => {
            format!(
                "program of this type cannot use helper {}#{id}",
                helper(*id)
            )
        }
        V::GplOnly => {
            "cannot call GPL-restricted function from non-GPL compatible program".to_owned()
        }
        V::NotHere => "helper call is not allowed in probe".to_owned(),
        V::Sleeps => "helper call might sleep in a non-sleepable prog".to_owned(),
        V::SleepsInSection { id, section } => {
            let section = match section {
                NoSleep::Rcu => "rcu_read_lock",
                NoSleep::Preempt => "non-preemptible",
                NoSleep::Irq => "IRQ-disabled",
            };
            format!("sleepable helper {}#{id} in {section} region", helper(*id))
        }
        V::UnderLock => "function calls are not allowed while holding a lock".to_owned(),
        V::RoundsArePointer => "verifier bug: backtracking misuse".to_owned(),
        V::ReadOnlyMap => "write into map forbidden".to_owned(),
        V::NoProgArray => "expected prog array map for tail call".to_owned(),
        V::TailCallMixed => "mixing of tail_calls and bpf-to-bpf calls is not supported".to_owned(),
        V::MapForHelper { id, map, sockets } => {
            let first = if *sockets {
                "cannot update sockmap in this context\n"
            } else {
                ""
            };
            format!(
                "{first}cannot pass map_type {} into func {}#{id}",
                *map as u32,
                helper(*id)
            )
        }
        V::NotAcquired { id } => {
            format!(
                "func {}#{id} reference has not been acquired before",
                helper(*id)
            )
        }
        V::LocalStorageFlags => "get_local_storage() doesn't support non-zero flags".to_owned(),
        V::VoidHookResult => {
            "BPF_LSM_CGROUP that attach to void LSM hooks can't modify return value!".to_owned()
        }
        V::FuncIpTrampoline => {
            "func bpf_get_func_ip#173 supported only for fentry/fexit/fmod_ret programs".to_owned()
        }
        V::FuncIpProgType { ty } => {
            let ty = *ty as u32;
            format!("func bpf_get_func_ip#173 not supported for program type {ty}")
        }
        V::MapCallback => "callback function not allowed for map".to_owned(),
        V::TooDeep { frames } => format!("the call stack of {frames} frames is too deep"),
        V::ReturnsStack => "cannot return stack pointer to the caller".to_owned(),
        V::CallbackNoScalar => "R0 not a scalar value".to_owned(),
        V::Argument(v) => argument(scene, v),
        V::String(v) => string(*v),
        V::Field(v) => field(scene, v),
        V::Global(v) => global(scene, v),
        V::Kfunc(v) => super::kfunc::text(scene, v),
        V::Object(v) => super::object::text(scene, v),
    }
}

fn argument(scene: Scene<'_>, v: &ArgumentViolation) -> String {
    use ArgumentViolation as V;
    match v {
        V::Leak { reg } => format!("{} leaks addr into helper function", r(*reg)),
        V::PacketMemory => "helper access to the packet is not allowed".to_owned(),
        V::SocketMapValue => "invalid arg_type for sockmap/sockhash".to_owned(),
        V::Type {
            reg,
            value,
            expected,
        } => {
            let (value, expected) = (value_type_text(&value.0), expected.join(", "));
            format!("{} type={value} expected={expected}", r(*reg))
        }
        V::MayWrite { id, reg, value } => {
            let value = value_type_text(&value.0);
            format!(
                "{}() may write into memory pointed by {} type={value}",
                helper(*id),
                r(*reg)
            )
        }
        V::MaybeNull { reg } => {
            format!("Possibly NULL pointer passed to helper arg{}", reg.index())
        }
        V::Structure {
            reg,
            pointer,
            expected,
        } => {
            let found = match pointer.0 {
                Value::Pointer(Pointer {
                    region: Region::Btf { source, id },
                    ..
                }) => scene.type_name(source, id),
                Value::Pointer(_) | Value::Scalar(_) | Value::Uninit => "",
            };
            let expected = scene.type_name(BtfSource::Kernel, *expected);
            format!("{} is of type {found} but {expected} is expected", r(*reg))
        }
        V::VariableSize { id } => format!(
            "unable to resolve the size of type '{}': -22",
            scene.type_name(BtfSource::Kernel, *id)
        ),
        V::ReleaseOffset { reg } => format!(
            "{} must have zero offset when passed to release func or trusted arg to kfunc",
            r(*reg)
        ),
        V::Unreferenced { reg } => {
            format!(
                "{} must be referenced when passed to release function",
                r(*reg)
            )
        }
        V::TwoReferences { reg, id, other } => {
            format!("more than one arg with ref_obj_id {} {id} {other}", r(*reg))
        }
        V::OtherMap { timer_uid, map_uid } => format!(
            "timer pointer in R1 map_uid={timer_uid} doesn't match map pointer in R2 \
             map_uid={map_uid}"
        ),
        V::AllocSize { reg } => format!("{} is not a known constant'", r(*reg)),
    }
}

fn string(v: StringViolation) -> String {
    use StringViolation as V;
    match v {
        V::Mutable { reg } => format!("{} does not point to a readonly map'", r(reg)),
        V::Place { reg } => format!("{} is not a constant address'", r(reg)),
        V::Map => "no direct value access support for this map type".to_owned(),
        V::Outside => "direct value access on string failed".to_owned(),
        V::NoEnd => "string is not zero-terminated".to_owned(),
        V::Format => "Invalid format string".to_owned(),
        V::FormatData => String::new(),
    }
}

fn field(scene: Scene<'_>, v: &FieldViolation) -> String {
    use FieldViolation as V;
    match v {
        V::Place { reg, field } => format!(
            "{} doesn't have constant offset. {field} has to be at the constant offset",
            r(*reg)
        ),
        V::NoBtf { pointer, field } => {
            let map = map_name(scene, pointer);
            format!("map '{map}' has to have BTF in order to use {field}")
        }
        V::Missing { pointer, field } => {
            let is_map = matches!(
                pointer.0.pointer().map(|p| p.region),
                Some(Region::MapValue { .. })
            );
            if is_map {
                format!("map '{}' has no valid {field}", map_name(scene, pointer))
            } else {
                format!("local 'kptr' has no valid {field}")
            }
        }
        V::Offset { off, at, field } => {
            format!("off {off} doesn't point to 'struct {field}' that is at {at}")
        }
        V::NotAt { off, field } => format!("{field} not found at offset={off}"),
        V::Unlocked { at, field, held } => {
            let first = if *held {
                "held lock and object are not in the same allocation\n"
            } else {
                ""
            };
            format!("{first}bpf_spin_lock at off={at} must be held for {field}")
        }
        V::OtherNode {
            root,
            node,
            at,
            expected,
            off,
            found,
        } => {
            let name = |id| scene.type_name(BtfSource::Program, id);
            let (expected, found) = (name(*expected), name(*found));
            format!(
                "operation on {root} expects arg#1 {node} at offset={at} in struct {expected}, but \
                 arg is at offset={off} in struct {found}"
            )
        }
        V::NodeOffset {
            node,
            at,
            expected,
            off,
        } => {
            let expected = scene.type_name(BtfSource::Program, *expected);
            format!("arg#1 offset={off}, but expected {node} at offset={at} in struct {expected}")
        }
        V::NoKptr { reg } => format!("{} has no valid kptr", r(*reg)),
        V::KptrNotAt { off } => format!("off={} doesn't point to kptr", off.cast_signed()),
        V::KptrNotOwned { off } => format!("off={off} kptr isn't referenced kptr"),
        V::InTreeCallback => "can't spin_{lock,unlock} in rbtree cb".to_owned(),
        V::SecondLock => "Locking two bpf_spin_locks are not allowed".to_owned(),
        V::Deadlock => "Acquiring the same lock again, AA deadlock detected".to_owned(),
        V::NotHeld { lock } => format!("{lock}_unlock without taking a lock"),
        V::Different { lock } => format!("{lock}_unlock of different lock"),
        V::Order { lock } => format!("{lock}_unlock cannot be out of order"),
    }
}

fn global(scene: Scene<'_>, v: &GlobalViolation) -> String {
    use GlobalViolation as V;
    match v {
        V::UnderLock => "global function calls are not allowed while holding a lock,\n\
                         use static function instead"
            .to_owned(),
        V::Sleeps => "global functions that may sleep are not allowed in non-sleepable context,\n\
                      i.e., in a RCU/IRQ/preempt-disabled section, or in\n\
                      a non-sleepable BPF program context"
            .to_owned(),
        V::Arguments {
            subprog,
            start,
            fault,
        } => {
            let (fault, name) = (super::text(scene, fault), scene.func_name(*start));
            format!("{fault}\nCaller passes invalid args into func#{subprog} ('{name}')")
        }
        V::NoScalar { reg } => format!("{} is not a scalar", r(*reg)),
        V::NoCtx { arg } => format!("arg#{arg} expects pointer to ctx"),
        V::MaybeNull { arg } => format!("arg#{arg} is expected to be non-NULL"),
        V::NoArena { reg } => format!("{} is not a pointer to arena or scalar.", r(*reg)),
    }
}
