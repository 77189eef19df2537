//! What a run is given and gives back, as `BPF_PROG_TEST_RUN` of Linux 6.18 does it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::sync::Arc;

use common::{Kernel, errno};
use skep_sim::{Errno, MapId, PacketCopy, Redirect, RunInput, Sim};
use skep_spec::tables::ctx::SK_BUFF;
use skep_spec::{AttachType, MapFlags, MapSpec, MapType, ProgType};

const ANY: AttachType = AttachType::CgroupInetIngress;

fn off(name: &str) -> u64 {
    SK_BUFF
        .fields
        .iter()
        .find(|f| f.name == name)
        .unwrap()
        .off
        .into()
}

fn ipv4(len: usize) -> Vec<u8> {
    let mut data: Vec<u8> = (0..len).map(|i| i as u8).collect();
    (data[12], data[13]) = (8, 0);
    data[14] = 0x45;
    data
}

/// A kernel in the middle of a run of that type.
fn during(ty: ProgType, input: &RunInput) -> Kernel {
    let mut kernel = Kernel::new(&[]);
    kernel.ty = ty;
    kernel.sim.begin(ty, ANY, input).unwrap();
    kernel
}

fn field(kernel: &Kernel, off: u64, len: u64) -> u64 {
    let ctx = kernel.sim.context().unwrap().0;
    let mut wide = [0; 8];
    wide[..len as usize].copy_from_slice(kernel.sim.memory().read(ctx + off, len).unwrap());
    u64::from_le_bytes(wide)
}

fn skb(kernel: &Kernel, name: &str) -> u64 {
    field(kernel, off(name), 4)
}

#[test]
fn xdp_programs_see_the_frame() {
    let mut kernel = during(ProgType::Xdp, &RunInput::packet(&ipv4(60)));
    let [data, end, meta, ifindex] = [0, 4, 8, 12].map(|off| field(&kernel, off, 4));
    assert_eq!((end - data, meta, ifindex), (60, data, 1));
    assert_eq!(data % 4096, 256);
    let output = kernel.sim.finish(2);
    assert_eq!((output.retval, output.data), (2, ipv4(60)));
}

#[test]
fn xdp_metadata_comes_from_the_front_of_the_data() {
    let mut ctx = vec![0; 24];
    (ctx[0], ctx[4]) = (8, 60);
    let input = RunInput {
        data: ipv4(60),
        ctx: Some(ctx),
    };
    let mut kernel = during(ProgType::Xdp, &input);
    let [data, end, meta] = [0, 4, 8].map(|off| field(&kernel, off, 4));
    assert_eq!((data - meta, end - data), (8, 52));
    let output = kernel.sim.finish(2);
    assert_eq!(output.data, ipv4(60));
    assert_eq!((output.ctx[0], output.ctx[4]), (8, 60));
}

#[test]
fn inputs_that_no_kernel_takes_are_refused() {
    let mut sim = Sim::new(&[]).unwrap();
    let mut begin = |ty, data: &[u8], ctx: Option<Vec<u8>>| {
        let input = RunInput {
            data: data.to_vec(),
            ctx,
        };
        sim.begin(ty, ANY, &input).map(drop)
    };
    let refused = Err(Errno::INVAL);
    assert_eq!(begin(ProgType::Xdp, &[0; 13], None), refused);
    assert_eq!(begin(ProgType::SchedCls, &[0; 13], None), refused);
    assert_eq!(begin(ProgType::SchedCls, &ipv4(33), None), refused);
    assert_eq!(begin(ProgType::SchedCls, &ipv4(34), None), Ok(()));
    assert_eq!(begin(ProgType::SchedCls, &[0; 3713], None), refused);
    let with = |off: usize, byte| {
        let mut ctx = vec![0; 192];
        ctx[off] = byte;
        Some(ctx)
    };
    assert_eq!(begin(ProgType::SchedCls, &[0; 14], with(8, 1)), Ok(()));
    assert_eq!(begin(ProgType::SchedCls, &[0; 14], with(0, 1)), refused);
    assert_eq!(begin(ProgType::SchedCls, &[0; 14], with(160, 13)), refused);
    assert_eq!(begin(ProgType::SchedCls, &[0; 14], with(160, 14)), Ok(()));
    let mut long = vec![0; 193];
    long[192] = 1;
    assert_eq!(
        begin(ProgType::SchedCls, &[0; 14], Some(long)),
        Err(Errno::TOOBIG)
    );
    assert_eq!(begin(ProgType::Unspec, &[], None), Err(Errno::NOTSUPP));
    assert_eq!(begin(ProgType::RawTracepoint, &[1], None), refused);
    // The highest bytes of a context of a device's own.
    let mut meta = vec![0; 24];
    (meta[0], meta[4]) = (6, 60);
    assert_eq!(begin(ProgType::Xdp, &ipv4(60), Some(meta)), refused);
}

#[test]
fn each_type_sees_the_packet_from_its_own_header() {
    for (ty, skipped) in [
        (ProgType::SchedCls, 0),
        (ProgType::SocketFilter, 14),
        (ProgType::CgroupSkb, 14),
    ] {
        let mut kernel = during(ty, &RunInput::packet(&ipv4(60)));
        assert_eq!(skb(&kernel, "len"), 60 - skipped, "{ty}");
        assert_eq!(skb(&kernel, "protocol"), 8);
        assert_eq!(skb(&kernel, "ifindex"), 1);
        let mut want = ipv4(60);
        want[..skipped as usize].fill(0);
        assert_eq!(kernel.sim.finish(0).data, want, "{ty}");
    }
}

#[test]
fn the_destination_decides_the_packet_type() {
    for (dest, want) in [
        ([0; 6], 0),
        ([1, 0, 0, 0, 0, 0], 2),
        ([2, 0, 0, 0, 0, 0], 3),
        ([0xff; 6], 2),
    ] {
        let mut packet = vec![0; 60];
        packet[..6].copy_from_slice(&dest);
        let kernel = during(ProgType::SchedCls, &RunInput::packet(&packet));
        assert_eq!(skb(&kernel, "pkt_type"), want, "{dest:?}");
    }
}

#[test]
fn the_users_context_comes_and_goes() {
    let mut ctx = vec![0; 192];
    for (name, byte) in [("mark", 1), ("priority", 2), ("cb", 3), ("tstamp", 4)] {
        ctx[off(name) as usize] = byte;
    }
    let input = RunInput {
        data: vec![0; 60],
        ctx: Some(ctx.clone()),
    };
    let mut kernel = during(ProgType::SchedCls, &input);
    assert_eq!(
        [
            skb(&kernel, "mark"),
            skb(&kernel, "priority"),
            skb(&kernel, "cb")
        ],
        [1, 2, 3]
    );
    assert_eq!(skb(&kernel, "wire_len"), 60);
    let at = kernel.sim.context().unwrap().0;
    assert!(
        kernel
            .sim
            .memory_mut()
            .store(at + off("mark"), 77u32.to_le_bytes())
    );
    let output = kernel.sim.finish(0);
    ctx[off("mark") as usize] = 77;
    ctx[off("ifindex") as usize] = 1;
    ctx[off("wire_len") as usize] = 60;
    assert_eq!(output.ctx, ctx);
}

#[test]
fn head_tail_and_meta_move_within_the_frame() {
    let mut kernel = during(ProgType::Xdp, &RunInput::packet(&ipv4(60)));
    let ctx = kernel.sim.context().unwrap().0;
    let mut adjust = |helper: &str, by: i64| match kernel.call(helper, &[ctx, by as u64]).unwrap() {
        0 => Ok(()),
        r0 => Err(errno(r0 as i64)),
    };
    assert_eq!(adjust("xdp_adjust_meta", -8), Ok(()));
    assert_eq!(adjust("xdp_adjust_meta", -2), Err(Errno::ACCES));
    assert_eq!(adjust("xdp_adjust_head", -20), Ok(()));
    assert_eq!(adjust("xdp_adjust_head", -200), Err(Errno::INVAL));
    assert_eq!(adjust("xdp_adjust_head", 67), Err(Errno::INVAL));
    assert_eq!(adjust("xdp_adjust_tail", 10), Ok(()));
    assert_eq!(adjust("xdp_adjust_tail", -80), Err(Errno::INVAL));
    assert_eq!(adjust("xdp_adjust_tail", 4000), Err(Errno::INVAL));
    let output = kernel.sim.finish(3);
    // Metadata, 20 new bytes in front, the packet, ten zeros behind.
    assert_eq!(output.data.len(), 8 + 20 + 60 + 10);
    assert_eq!((output.ctx[0], output.ctx[4]), (8, 98));
    assert_eq!(&output.data[28..88], &ipv4(60)[..]);
    assert_eq!(&output.data[88..], &[0; 10]);
}

#[test]
fn long_xdp_packets_have_fragments() {
    let packet: Vec<u8> = (0..9000u32).map(|i| (i / 7) as u8).collect();
    let mut kernel = during(ProgType::Xdp, &RunInput::packet(&packet));
    let ctx = kernel.sim.context().unwrap().0;
    assert_eq!(field(&kernel, 4, 4) - field(&kernel, 0, 4), 3520);
    assert_eq!(kernel.call("xdp_get_buff_len", &[ctx]), Ok(9000));
    let at = kernel.sim.stack().top(0) - 512;
    kernel.sim.open_frame(0).unwrap();
    assert_eq!(kernel.call("xdp_load_bytes", &[ctx, 3510, at, 20]), Ok(0));
    assert_eq!(kernel.get(at, 20), &packet[3510..3530]);
    kernel.fill(at, 20, 0xaa);
    assert_eq!(kernel.call("xdp_store_bytes", &[ctx, 3510, at, 20]), Ok(0));
    assert_eq!(
        kernel.call("xdp_load_bytes", &[ctx, 8990, at, 20]),
        Ok(Errno::INVAL.as_ret())
    );
    assert_eq!(
        kernel.call("xdp_adjust_tail", &[ctx, (-5600i64) as u64]),
        Ok(0)
    );
    let data = kernel.sim.finish(2).data;
    assert_eq!(data.len(), 3400);
    assert_eq!(data, &packet[..3400]);
}

#[test]
fn bytes_are_loaded_and_stored_where_they_are() {
    let mut kernel = during(ProgType::SchedCls, &RunInput::packet(&ipv4(60)));
    let ctx = kernel.sim.context().unwrap().0;
    let at = kernel.sim.open_frame(0).unwrap() - 16;
    assert_eq!(kernel.call("skb_load_bytes", &[ctx, 20, at, 4]), Ok(0));
    assert_eq!(kernel.get(at, 4), [20, 21, 22, 23]);
    assert_eq!(
        kernel.call("skb_load_bytes_relative", &[ctx, 20, at, 4, 1]),
        Ok(0)
    );
    assert_eq!(kernel.get(at, 4), [34, 35, 36, 37]);
    assert_eq!(kernel.call("skb_store_bytes", &[ctx, 50, at, 4, 0]), Ok(0));
    assert_eq!(
        kernel.call("skb_store_bytes", &[ctx, 57, at, 4, 0]),
        Ok(Errno::FAULT.as_ret())
    );
    assert_eq!(
        kernel.call("skb_store_bytes", &[ctx, 0, at, 4, 4]),
        Ok(Errno::INVAL.as_ret())
    );
    assert_eq!(
        kernel.call("skb_load_bytes", &[ctx, 57, at, 4]),
        Ok(Errno::FAULT.as_ret())
    );
    assert_eq!(kernel.get(at, 4), [0; 4]);
    assert_eq!(&kernel.sim.finish(0).data[50..54], &[34, 35, 36, 37]);
}

/// The checksum of an IPv4 header with its field at zero.
fn header_sum(header: &[u8]) -> u16 {
    let sum: u32 = header
        .chunks(2)
        .enumerate()
        .filter(|(i, _)| *i != 5)
        .map(|(_, pair)| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    !(((sum & 0xffff) + (sum >> 16)) as u16)
}

#[test]
fn replaced_checksums_stay_right() {
    let mut packet = ipv4(60);
    let sum = header_sum(&packet[14..34]);
    packet[24..26].copy_from_slice(&sum.to_be_bytes());
    let mut kernel = during(ProgType::SchedCls, &RunInput::packet(&packet));
    let ctx = kernel.sim.context().unwrap().0;
    let at = kernel.sim.open_frame(0).unwrap() - 16;
    let old = u64::from(u32::from_le_bytes([26, 27, 28, 29]));
    let new = u64::from(u32::from_le_bytes([192, 168, 7, 9]));
    assert_eq!(
        kernel.call("l3_csum_replace", &[ctx, 24, old, new, 4]),
        Ok(0)
    );
    kernel
        .sim
        .memory_mut()
        .write(at, 4)
        .unwrap()
        .copy_from_slice(&[192, 168, 7, 9]);
    assert_eq!(kernel.call("skb_store_bytes", &[ctx, 26, at, 4, 0]), Ok(0));
    for (off, flags, error) in [
        (25, 4, Errno::FAULT),
        (24, 3, Errno::INVAL),
        (24, 0x10, Errno::INVAL),
        (59, 4, Errno::FAULT),
    ] {
        let r0 = kernel.call("l3_csum_replace", &[ctx, off, old, new, flags]);
        assert_eq!(r0, Ok(error.as_ret()), "{off} {flags}");
    }
    let data = kernel.sim.finish(0).data;
    assert_eq!(&data[24..26], &header_sum(&data[14..34]).to_be_bytes());
}

#[test]
fn vlan_tags_stand_beside_the_packet_first() {
    let mut kernel = during(ProgType::SchedCls, &RunInput::packet(&ipv4(60)));
    let ctx = kernel.sim.context().unwrap().0;
    let push =
        |kernel: &mut Kernel, tci| kernel.call("skb_vlan_push", &[ctx, 0x0081, tci]).unwrap();
    assert_eq!(push(&mut kernel, 5), 0);
    assert_eq!(
        [
            skb(&kernel, "len"),
            skb(&kernel, "vlan_present"),
            skb(&kernel, "vlan_tci")
        ],
        [60, 1, 5]
    );
    assert_eq!(push(&mut kernel, 6), 0);
    assert_eq!(
        [
            skb(&kernel, "len"),
            skb(&kernel, "vlan_tci"),
            skb(&kernel, "protocol")
        ],
        [64, 6, 0x81]
    );
    assert_eq!(kernel.call("skb_vlan_pop", &[ctx]), Ok(0));
    assert_eq!(
        [
            skb(&kernel, "len"),
            skb(&kernel, "vlan_tci"),
            skb(&kernel, "protocol")
        ],
        [60, 5, 8]
    );
    assert_eq!(kernel.call("skb_vlan_pop", &[ctx]), Ok(0));
    assert_eq!([skb(&kernel, "len"), skb(&kernel, "vlan_present")], [60, 0]);
    assert_eq!(kernel.sim.finish(0).data, ipv4(60));
}

#[test]
fn packets_grow_and_shrink() {
    let mut kernel = during(ProgType::SchedCls, &RunInput::packet(&ipv4(60)));
    let ctx = kernel.sim.context().unwrap().0;
    assert_eq!(kernel.call("skb_change_tail", &[ctx, 70, 0]), Ok(0));
    assert_eq!(
        kernel.call("skb_change_tail", &[ctx, 13, 0]),
        Ok(Errno::INVAL.as_ret())
    );
    assert_eq!(
        kernel.call("skb_change_tail", &[ctx, 16065, 0]),
        Ok(Errno::INVAL.as_ret())
    );
    // Eight bytes between the network header and its payload.
    assert_eq!(kernel.call("skb_adjust_room", &[ctx, 8, 0, 0]), Ok(0));
    assert_eq!(kernel.call("skb_change_proto", &[ctx, 0xdd86, 0]), Ok(0));
    assert_eq!(
        [skb(&kernel, "len"), skb(&kernel, "protocol")],
        [98, 0xdd86]
    );
    assert_eq!(
        kernel.call("skb_pull_data", &[ctx, 99]),
        Ok(Errno::NOMEM.as_ret())
    );
    assert_eq!(kernel.call("skb_pull_data", &[ctx, 98]), Ok(0));
    let data = kernel.sim.finish(0).data;
    assert_eq!(&data[..14], &ipv4(60)[..14]);
    assert_eq!(&data[14..34], &[0; 20]);
    assert_eq!(&data[34..54], &ipv4(60)[14..34]);
    assert_eq!(&data[62..88], &ipv4(60)[34..]);
}

#[test]
fn redirections_are_recorded() {
    let mut kernel = during(ProgType::SchedCls, &RunInput::packet(&ipv4(60)));
    let ctx = kernel.sim.context().unwrap().0;
    assert_eq!(kernel.call("clone_redirect", &[ctx, 3, 1]), Ok(0));
    assert_eq!(
        kernel.call("clone_redirect", &[ctx, 0, 1]),
        Ok(Errno::INVAL.as_ret())
    );
    assert_eq!(kernel.call("redirect", &[4, 1]), Ok(7));
    assert_eq!(kernel.call("redirect", &[4, 2]), Ok(2));
    let output = kernel.sim.take_output();
    assert_eq!(
        output.redirect,
        Some(Redirect::Device {
            ifindex: 4,
            flags: 1
        })
    );
    assert_eq!(
        output.clones,
        [PacketCopy {
            ifindex: 3,
            flags: 1,
            data: ipv4(60)
        }]
    );
    let mut kernel = during(ProgType::Xdp, &RunInput::packet(&ipv4(60)));
    assert_eq!(kernel.call("redirect", &[4, 0]), Ok(4));
    assert_eq!(kernel.call("redirect", &[4, 1]), Ok(0));
}

#[test]
fn nothing_is_forwarded() {
    let mut kernel = during(ProgType::Xdp, &RunInput::packet(&ipv4(60)));
    let ctx = kernel.sim.context().unwrap().0;
    let at = kernel.sim.open_frame(0).unwrap() - 64;
    let mut ask = |family: u8, ifindex: u8, len, flags| {
        let params = kernel.sim.memory_mut().write(at, 64).unwrap();
        (params[0], params[8]) = (family, ifindex);
        kernel.call("fib_lookup", &[ctx, at, len, flags]).unwrap()
    };
    assert_eq!(ask(2, 1, 64, 0), 5);
    assert_eq!(ask(10, 1, 64, 3), 5);
    assert_eq!(ask(2, 0, 64, 0), Errno::NODEV.as_ret());
    assert_eq!(ask(7, 1, 64, 0), Errno::AFNOSUPPORT.as_ret());
    assert_eq!(ask(2, 1, 63, 0), Errno::INVAL.as_ret());
    assert_eq!(ask(2, 1, 64, 64), Errno::INVAL.as_ret());
}

#[test]
fn helpers_read_what_programs_may_only_write() {
    let mut spec = MapSpec::new("answers", MapType::Array, 4, 64, 1);
    spec.flags = MapFlags::WRONLY_PROG;
    let mut kernel = Kernel::new(&[Arc::new(spec)]);
    kernel.ty = ProgType::Xdp;
    let input = RunInput::packet(&ipv4(60));
    let ctx = kernel.sim.begin(ProgType::Xdp, ANY, &input).unwrap();
    let at = kernel.lookup_address(MapId(0), &[0; 4]);
    assert_eq!(kernel.sim.memory().load::<1>(at), None);
    let answer = kernel.call("fib_lookup", &[ctx, at, 64, 0]);
    assert_eq!(answer, Ok(Errno::AFNOSUPPORT.as_ret()));
}

#[test]
fn other_contexts_are_bytes() {
    let mut sim = Sim::new(&[]).unwrap();
    let args = RunInput::args(&[1, 2, 3]);
    let ctx = sim.begin(ProgType::RawTracepoint, ANY, &args).unwrap();
    assert_eq!(sim.memory().load::<8>(ctx + 16), Some(3u64.to_le_bytes()));
    assert_eq!(sim.memory().load::<8>(ctx + 88), Some([0; 8]));
    assert_eq!(sim.memory().load::<8>(ctx + 96), None);
    let regs = RunInput::registers(&[11, 22], 33);
    let ctx = sim.begin(ProgType::Kprobe, ANY, &regs).unwrap();
    let word = |off| sim.memory().load::<8>(ctx + off).map(u64::from_le_bytes);
    assert_eq!(
        [word(112), word(104), word(80)],
        [Some(11), Some(22), Some(33)]
    );
    assert_eq!(word(168), None);
    let record: Vec<u8> = (0..40).collect();
    let ctx = sim
        .begin(ProgType::Tracepoint, ANY, &RunInput::context(&record))
        .unwrap();
    assert_eq!(sim.memory().load::<1>(ctx + 39), Some([39]));
    assert_eq!(sim.memory().load::<1>(ctx + 40), None);
    assert!(!sim.memory_mut().store(ctx, [0u8]));
    let ctx = sim
        .begin(ProgType::Syscall, ANY, &RunInput::context(&record))
        .unwrap();
    assert!(sim.memory_mut().store(ctx, [9u8]));
    assert_eq!(sim.finish(0).ctx[..2], [9, 1]);
}
