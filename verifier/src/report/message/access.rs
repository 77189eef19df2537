//! Memory accesses in the kernel's words.

use skep_isa::Reg;

use super::value::{bits, ty};
use crate::report::ValueView;
use crate::report::scene::Scene;
use crate::state::Region;
use crate::violation::AccessViolation;

/// The lines that the kernel logs.
#[expect(clippy::too_many_lines, reason = "a table of texts, one per rule")]
pub(super) fn text(scene: Scene<'_>, violation: &AccessViolation) -> String {
    use AccessViolation as A;
    match violation {
        A::InvalidPointer { reg, value } => {
            format!("R{} invalid mem access '{}'", reg.index(), ty(value))
        }
        A::NotMemory { reg, value } => {
            format!("R{} type={} expected=fp", reg.index(), ty(value))
        }
        A::ReadOnly { reg, pointer } => {
            format!("R{} cannot write into {}", reg.index(), ty(pointer))
        }
        A::Leak { reg, into } => format!("R{} leaks addr into {into}", reg.index()),
        A::Misaligned {
            what,
            var,
            fixed,
            off,
            size,
        } => {
            let (bits, size) = (bits(var), size.bytes());
            format!("misaligned {what}access off {bits}+{fixed}+{off} size {size}")
        }
        A::MisalignedPacket {
            var,
            fixed,
            off,
            size,
        } => {
            let (bits, size) = (bits(var), size.bytes());
            format!("misaligned packet access off 2+{bits}+{fixed}+{off} size {size}")
        }
        A::AtomicPointer { reg, does, value } => {
            format!(
                "BPF_ATOMIC {does} R{} {} is not allowed",
                reg.index(),
                ty(value)
            )
        }
        A::NegativeMin { reg } => format!(
            "R{} min value is negative, either use unsigned index or do a if (index >=0) check.",
            reg.index()
        ),
        A::UnboundedMax { reg } => format!(
            "R{} unbounded memory access, make sure to bounds check any such access",
            reg.index()
        ),
        A::RegionBounds {
            reg,
            pointer,
            off,
            size,
            room,
            is_max,
        } => region_bounds(*reg, pointer, *off, *size, *room, *is_max),
        A::MapKeyWrite { reg } => format!("write to change key R{} not allowed", reg.index()),
        A::MapDirection {
            write,
            value_size,
            off,
            size,
        } => {
            let what = if *write { "write into" } else { "read from" };
            format!("{what} map forbidden, value_size={value_size} off={off} size={size}")
        }
        A::SpecialField { name } => {
            format!("{name} cannot be accessed directly by load/store")
        }
        A::Kptr(v) => super::kptr::text(scene, v),
        A::PacketWrite => "cannot write into packet".to_owned(),
        A::Packet {
            reg,
            id,
            off,
            size,
            range,
        } => packet(*reg, *id, *off, *size, *range),
        A::FlowKeys { off, size } => {
            format!("invalid access to flow keys off={off} size={size}")
        }
        A::Sock {
            reg,
            pointer,
            off,
            size,
        } => {
            format!(
                "R{} invalid {} access off={off} size={size}",
                reg.index(),
                ty(pointer)
            )
        }
        A::Ctx { off, size } => format!("invalid bpf_context access off={off} size={size}"),
        A::BufferOffset {
            what,
            reg,
            off,
            size,
        } => {
            format!(
                "R{} invalid {what} buffer access: off={off}, size={size}",
                reg.index()
            )
        }
        A::BufferVariable { reg, off, var } => format!(
            "R{} invalid variable buffer offset: off={off}, var_off={}",
            reg.index(),
            bits(var)
        ),
        A::NegativeOffset { reg, pointer, off } => {
            format!(
                "negative offset {} ptr R{} off={off} disallowed",
                ty(pointer),
                reg.index()
            )
        }
        A::ModifiedPointer { reg, pointer, off } => format!(
            "dereference of modified {} ptr R{} off={off} disallowed",
            ty(pointer),
            reg.index()
        ),
        A::VariableOffset { pointer, var } => {
            format!(
                "variable {} access var_off={} disallowed",
                ty(pointer),
                bits(var)
            )
        }
        A::ZeroSizedRead => "invalid zero-sized read".to_owned(),
        A::NegativeSize { reg } => format!(
            "R{} min value is negative, either use unsigned or 'var &= const'",
            reg.index()
        ),
        A::ZeroSize { reg, min, max } => format!(
            "R{} invalid zero-sized read: u64=[{},{}]",
            reg.index(),
            *min as i64,
            *max as i64
        ),
        A::UnboundedSize { reg } => format!(
            "R{} unbounded memory access, use 'var &= const' or 'if (var < const)'",
            reg.index()
        ),
        A::StackUnbounded { reg, write } => format!(
            "invalid unbounded variable-offset{} stack R{}",
            direction(*write),
            reg.index()
        ),
        A::StackBounds {
            reg,
            write,
            var,
            off,
            size,
        } => {
            let (reg, how) = (reg.index(), direction(*write));
            match var.const_value() {
                Some(_) => format!("invalid{how} stack R{reg} off={off} size={size}"),
                None => format!(
                    "invalid variable-offset{how} stack R{reg} var_off={} off={off} size={size}",
                    bits(var)
                ),
            }
        }
        A::StackRead { off, at, size } => {
            format!("invalid read from stack off {off}+{at} size {size}")
        }
        A::StackVariableRead { var, off, size } => format!(
            "variable offset stack pointer cannot be passed into helper function; \
             var_off={} off={off} size={size}",
            bits(var)
        ),
        A::StackVariableUnprivileged { reg, var } => format!(
            "R{} variable offset stack access prohibited for !root, var_off={}",
            reg.index(),
            bits(var)
        ),
        A::StackHelperRead { reg, off, at, size } => {
            let at = at.wrapping_sub(*off);
            format!(
                "invalid read from stack R{} off {off}+{at} size {size}",
                reg.index()
            )
        }
        A::StackHelperVariableRead { reg, var, at, size } => format!(
            "invalid read from stack R{} var_off {}+{at} size {size}",
            reg.index(),
            bits(var)
        ),
        A::StackOverDynptr { off } => {
            format!("potential write to dynptr at off={off} disallowed")
        }
        A::StackPointerLeak { off } => format!("leaking pointer from stack off {off}"),
        A::FillSize => "invalid size of register fill".to_owned(),
        A::SpillSize => "invalid size of register spill".to_owned(),
        A::CorruptSpilledPointer => "attempt to corrupt spilled pointer on stack".to_owned(),
        A::StackPointerToCaller => {
            "cannot spill pointers to stack into stack frame of the caller".to_owned()
        }
        A::VariableWriteOverSpill { off } => {
            format!("spilled ptr in range of var-offset stack write; ptr off: {off}")
        }
        A::VariableWriteUninit { off } => {
            format!("uninit stack in range of var-offset write prohibited for !root; off: {off}")
        }
    }
}

fn region_bounds(
    reg: Reg,
    pointer: &ValueView,
    off: i32,
    size: i32,
    room: u32,
    is_max: bool,
) -> String {
    let region = pointer.0.pointer().map(|pointer| pointer.region);
    let what = if matches!(region, Some(Region::MapKey { .. })) {
        format!("map key, key_size={room}")
    } else if matches!(region, Some(Region::MapValue { .. })) {
        format!("map value, value_size={room}")
    } else {
        format!("memory, mem_size={room}")
    };
    let end = if is_max { "max" } else { "min" };
    format!(
        "invalid access to {what} off={off} size={size}\n\
         R{} {end} value is outside of the allowed memory range",
        reg.index()
    )
}

fn packet(reg: Reg, id: u32, off: i32, size: i32, range: i32) -> String {
    let reg = reg.index();
    let last = format!("R{reg} offset is outside of the packet");
    if range < 0 {
        // At or beyond the end there is no range to speak of.
        return last;
    }
    format!(
        "invalid access to packet, off={off} size={size}, R{reg}(id={id},off={off},r={range})\n{last}"
    )
}

fn direction(write: bool) -> &'static str {
    if write { " write to" } else { " read from" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Scalar;
    use crate::state::{MapId, Pointer, PtrFlags, Value};
    use skep_spec::{Facts, Profile, ProgType, ProgramSpec};

    fn text(violation: &AccessViolation) -> String {
        let spec = ProgramSpec::new("test", ProgType::SocketFilter, Vec::new());
        let facts = Facts::new(Profile::linux_6_18());
        let scene = Scene {
            spec: &spec,
            facts: &facts,
        };
        super::text(scene, violation)
    }

    fn pointer(region: Region, flags: PtrFlags) -> ValueView {
        Value::Pointer(Pointer::new(region, flags)).into()
    }

    #[test]
    fn a_value_that_may_be_null_is_named_so() {
        let region = Region::MapValue {
            map: MapId(0),
            uid: 0,
        };
        let value = pointer(region, PtrFlags::MAYBE_NULL);
        let text = text(&AccessViolation::InvalidPointer {
            reg: Reg::R0,
            value,
        });
        assert_eq!(text, "R0 invalid mem access 'map_value_or_null'");
    }

    #[test]
    fn bounds_of_a_value_name_the_value_and_the_end_that_is_outside() {
        let violation = AccessViolation::RegionBounds {
            reg: Reg::R1,
            pointer: pointer(
                Region::MapValue {
                    map: MapId(0),
                    uid: 0,
                },
                PtrFlags::empty(),
            ),
            off: 8,
            size: 8,
            room: 8,
            is_max: true,
        };
        assert_eq!(
            text(&violation),
            "invalid access to map value, value_size=8 off=8 size=8\n\
             R1 max value is outside of the allowed memory range"
        );
    }

    #[test]
    fn packet_bounds_show_what_was_proved() {
        let violation = AccessViolation::Packet {
            reg: Reg::R2,
            id: 0,
            off: 4,
            size: 4,
            range: 0,
        };
        assert_eq!(
            text(&violation),
            "invalid access to packet, off=4 size=4, R2(id=0,off=4,r=0)\n\
             R2 offset is outside of the packet"
        );
        let beyond = AccessViolation::Packet {
            reg: Reg::R2,
            id: 0,
            off: 4,
            size: 4,
            range: -2,
        };
        assert_eq!(text(&beyond), "R2 offset is outside of the packet");
    }

    #[test]
    fn stack_bounds_show_a_varying_offset_if_there_is_one() {
        let bounds = |var| AccessViolation::StackBounds {
            reg: Reg::R10,
            write: true,
            var,
            off: -520,
            size: 8,
        };
        assert_eq!(
            text(&bounds(Scalar::constant(0))),
            "invalid write to stack R10 off=-520 size=8"
        );
        let var = Scalar::from_range(0, 255);
        assert_eq!(
            text(&bounds(var)),
            "invalid variable-offset write to stack R10 var_off=(0x0; 0xff) off=-520 size=8"
        );
    }
}
