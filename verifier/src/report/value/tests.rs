//! Values, slots and frames as the kernel prints them.

use std::sync::Arc;

use skep_isa::Width;
use skep_spec::{Facts, MapSpec, MapType, Profile, ProgType, ProgramSpec};

use super::*;
use crate::state::Frame;
use crate::state::{Delta, Link, MapId, Ref, RefKind};

fn scene_text(text: impl FnOnce(Scene<'_>) -> String) -> String {
    let mut spec = ProgramSpec::new("test", ProgType::SocketFilter, Vec::new());
    let mut outer = MapSpec::new("foo", MapType::ArrayOfMaps, 4, 8, 1);
    outer.inner = Some(Box::new(MapSpec::new("inner", MapType::Array, 4, 16, 1)));
    spec.maps = vec![Arc::new(outer)];
    let facts = Facts::new(Profile::linux_6_18());
    text(Scene {
        spec: &spec,
        facts: &facts,
    })
}

fn frame_text(change: impl FnOnce(&mut Frame, &mut Refs, &mut Precise)) -> String {
    scene_text(|scene| {
        let mut frame = Frame::new(0, 0, None);
        let (mut refs, mut precise) = (Refs::default(), Precise::default());
        change(&mut frame, &mut refs, &mut precise);
        let mut out = String::new();
        FrameText {
            scene,
            number: 0,
            regs: &frame.regs,
            slots: Slots::Stack(&frame.stack),
            entry: frame.entry,
            precise,
            refs: &refs,
        }
        .push(&mut out, Extent::All);
        out
    })
}

fn value_text(value: Value) -> String {
    let text = frame_text(|frame, _, _| {
        frame.regs = [Value::Uninit; 11];
        frame.regs[0] = value;
    });
    text.trim_end().trim_start_matches(" R0=").to_owned()
}

fn pointer(region: Region, flags: PtrFlags) -> Pointer {
    Pointer::new(region, flags)
}

#[test]
fn numbers_share_equal_bounds() {
    assert_eq!(value_text(Value::unknown()), "scalar()");
    assert_eq!(value_text(Value::constant(u64::MAX)), "-1");
    assert_eq!(value_text(Value::constant(0x7fff)), "32767");
    assert_eq!(value_text(Value::constant(0x8000)), "0x8000");
    assert_eq!(value_text(Value::constant(0x8000_0000)), "0x80000000");
    let byte = Value::scalar(Scalar::from_range(0, 255));
    assert_eq!(
        value_text(byte),
        "scalar(smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff))"
    );
    let word = Value::scalar(Scalar::unknown().moved(Width::W32));
    assert_eq!(
        value_text(word),
        "scalar(smin=0,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff))"
    );
    let error = Value::scalar(Scalar::from_signed_range(-4095, -1));
    assert_eq!(
        value_text(error),
        "scalar(smin=smin32=-4095,smax=smax32=-1,umin=0xfffffffffffff001,umin32=0xfffff001,\
         var_off=(0xfffffffffffff000; 0xfff))"
    );
}

#[test]
fn linked_numbers_show_family_and_difference() {
    let linked = |delta| {
        Value::Scalar(Number {
            scalar: Scalar::unknown(),
            link: Some(Link { id: 3, delta }),
            old_frame: crate::state::OldFrame::OUTERMOST,
        })
    };
    assert_eq!(value_text(linked(None)), "scalar(id=3)");
    let delta = Some(Delta {
        by: 4,
        width: Width::W64,
    });
    assert_eq!(value_text(linked(delta)), "scalar(id=3+4)");
    let delta = Some(Delta {
        by: -4,
        width: Width::W64,
    });
    assert_eq!(value_text(linked(delta)), "scalar(id=3-4)");
}

#[test]
fn pointers_show_what_their_kind_has() {
    let value = Region::MapValue {
        map: MapId(0),
        uid: 0,
    };
    let mut or_null = pointer(value, PtrFlags::MAYBE_NULL);
    or_null.id = 1;
    assert_eq!(
        value_text(Value::Pointer(or_null)),
        "map_value_or_null(id=1,map=foo,ks=4,vs=8)"
    );
    let inner = pointer(
        Region::ConstMap {
            map: MapId(1),
            uid: 0,
        },
        PtrFlags::empty(),
    );
    assert_eq!(value_text(Value::Pointer(inner)), "map_ptr(ks=4,vs=16)");
    let mut packet = pointer(Region::Packet { range: 14 }, PtrFlags::empty());
    packet.off = 8;
    assert_eq!(value_text(Value::Pointer(packet)), "pkt(off=8,r=14)");
    packet.region = Region::Packet { range: -2 };
    assert_eq!(
        value_text(Value::Pointer(packet)),
        "pkt(off=8,r=0xfffffffffffffffe)"
    );
    let end = pointer(Region::PacketEnd, PtrFlags::empty());
    assert_eq!(value_text(Value::Pointer(end)), "pkt_end()");
    let mut record = pointer(
        Region::Mem {
            size: 16,
            dynptr_id: 0,
        },
        PtrFlags::RINGBUF,
    );
    record.ref_id = 2;
    assert_eq!(
        value_text(Value::Pointer(record)),
        "ringbuf_mem(ref_obj_id=2,sz=16)"
    );
    let mut stack = pointer(Region::Stack { frame: 1 }, PtrFlags::empty());
    stack.off = -16;
    assert_eq!(value_text(Value::Pointer(stack)), "fp[1]-16");
}

#[test]
fn slots_show_bytes_above_what_is_spilled() {
    let text = frame_text(|frame, _, precise| {
        let slot = frame.stack.slot_mut(0);
        slot.value = Value::constant(7);
        slot.bytes = [ByteKind::Spill; 8];
        slot.bytes[..4].fill(ByteKind::Misc);
        frame.stack.slot_mut(2).bytes = [ByteKind::Zero; 8];
        frame.stack.slot_mut(2).bytes[7] = ByteKind::Misc;
        precise.slots = 1;
    });
    assert_eq!(text, " R10=fp0 fp-8=mmmmP7 fp-24=0000000m\n");
}

#[test]
fn references_and_callbacks_come_last() {
    let text = frame_text(|frame, refs, _| {
        frame.entry = Entry::Callback;
        for id in [2, 5] {
            refs.list.push(Ref {
                id,
                insn_idx: 0,
                kind: RefKind::Object,
            });
        }
    });
    assert_eq!(text, " R10=fp0 refs=2,5 cb\n");
}
