//! A router in a process: packets through XDP and traffic control, maps, events and a control plane.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::json;
use skep_asm::{Options, assemble};
use skep_host::packet::Layers;
use skep_host::{Chain, End, Hook, Host, IfIndex, ObjectId};
use skep_spec::ObjectSpec;

fn object(text: &str) -> ObjectSpec {
    assemble(text, &Options::default()).unwrap()
}

fn udp(text: &str) -> Vec<u8> {
    toml::from_str::<Layers>(text).unwrap().bytes().unwrap()
}

/// A machine with those interfaces and that object.
fn host<const N: usize>(text: &str) -> (Host, ObjectId, [IfIndex; N]) {
    let mut host = Host::new().unwrap();
    let mut number = 0;
    let interfaces = [(); N].map(|()| {
        number += 1;
        host.add_interface(&format!("eth{}", number - 1)).unwrap()
    });
    let object = host.load(&object(text)).unwrap();
    (host, object, interfaces)
}

/// Looks the destination up: sends the packet to its device, or tells user space and drops it.
const FORWARD: &str = "
    .map routes hash key 4 value 4 entries 64
    .map devices devmap_hash key 4 value 4 entries 64
    .map misses ringbuf key 0 value 0 entries 4096

    .prog forward xdp
        r6 = *(u32 *)(r1 + 4)
        r7 = *(u32 *)(r1 + 0)
        r0 = 2
        r2 = r7
        r2 += 34
        if r2 > r6 goto out
        r2 = *(u32 *)(r7 + 30)
        *(u32 *)(r10 - 4) = r2
        r2 = r10
        r2 += -4
        r1 = map[routes] ll
        call map_lookup_elem
        if r0 != 0 goto found
        r1 = map[misses] ll
        r2 = r10
        r2 += -4
        r3 = 4
        r4 = 0
        call ringbuf_output
        r0 = 1
        goto out
    found:
        r2 = *(u32 *)(r0 + 0)
        r1 = map[devices] ll
        r3 = 0
        call redirect_map
    out:
        exit
";

#[test]
fn a_control_plane_fills_the_table_on_a_miss() {
    let (mut host, object, [eth0, eth1, eth2]) = host::<3>(FORWARD);
    let map = |host: &Host, name| host.map(object, name).unwrap();
    let (routes, devices, misses) = (
        map(&host, "routes"),
        map(&host, "devices"),
        map(&host, "misses"),
    );
    for device in [eth1, eth2] {
        host.put(devices, &json!(device.0), &json!(device.0))
            .unwrap();
    }
    host.attach_xdp(eth0, host.program(object, "forward").unwrap())
        .unwrap();
    // The control plane knows two networks, and tells the data plane when it is asked.
    let asked = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&asked);
    host.on_event(misses, move |host, event| {
        let address: [u8; 4] = event.data[..4].try_into().unwrap();
        log.borrow_mut().push(address);
        let device = match address {
            [198, 51, 100, _] => eth1,
            [203, 0, 113, _] => eth2,
            _ => return,
        };
        host.put(routes, &json!(address), &json!(device.0)).unwrap();
    })
    .unwrap();

    let packet = |dst: &str| udp(&format!("udp = {{}}\nipv4 = {{ dst = '{dst}' }}"));
    let first = host.inject(eth0, &packet("198.51.100.7")).unwrap();
    assert!(matches!(&first.ends[0].end, End::Dropped { why, .. } if why == "XDP_DROP"));
    assert_eq!(*asked.borrow(), [[198, 51, 100, 7]]);
    assert_eq!(
        host.get(routes, &json!("198.51.100.7")).unwrap(),
        Some(eth1.0.to_le_bytes().to_vec())
    );

    let second = host.inject(eth0, &packet("198.51.100.7")).unwrap();
    assert_eq!(second.ends[0].end, End::Sent { ifindex: eth1 });
    assert_eq!(host.take_sent(eth1), Some(packet("198.51.100.7")));
    host.inject(eth0, &packet("203.0.113.9")).unwrap();
    host.inject(eth0, &packet("203.0.113.9")).unwrap();
    assert!(host.take_sent(eth2).is_some() && host.take_sent(eth2).is_none());
    // An address that nobody knows stays unknown.
    for _ in 0..2 {
        let lost = host.inject(eth0, &packet("10.0.0.1")).unwrap();
        assert!(matches!(lost.ends[0].end, End::Dropped { .. }));
    }
    assert_eq!(asked.borrow().len(), 4);
}

/// XDP leaves a note in front of the packet; traffic control at ingress turns it into a mark; at egress,
/// marked packets get another source port's byte.
const NOTES: &str = "
    .prog note xdp
        r6 = r1
        r2 = -4
        call xdp_adjust_meta
        r1 = 1
        if r0 != 0 goto drop
        r2 = *(u32 *)(r6 + 8)
        r3 = *(u32 *)(r6 + 0)
        r4 = r2
        r4 += 4
        if r4 > r3 goto drop
        *(u32 *)(r2 + 0) = 42
        r0 = 2
        exit
    drop:
        r0 = 1
        exit

    .prog mark sched_cls
        r2 = *(u32 *)(r1 + 140)
        r3 = *(u32 *)(r1 + 76)
        r4 = r2
        r4 += 4
        if r4 > r3 goto out
        r2 = *(u32 *)(r2 + 0)
        *(u32 *)(r1 + 8) = r2
        r2 = *(u32 *)(r1 + 40)
        r1 = 3
        r2 = 0
        call redirect
        exit
    out:
        r0 = 2
        exit

    .prog check sched_cls
        r0 = 2
        r2 = *(u32 *)(r1 + 8)
        if r2 != 42 goto out
        r0 = 0
    out:
        exit
";

#[test]
fn metadata_and_marks_travel_with_the_packet() {
    let (mut host, object, [eth0, eth1]) = host::<2>(NOTES);
    let prog = |host: &Host, name| host.program(object, name).unwrap();
    let (note, mark, check) = (
        prog(&host, "note"),
        prog(&host, "mark"),
        prog(&host, "check"),
    );
    host.attach_xdp(eth0, note).unwrap();
    host.attach_tc(eth0, Chain::Ingress, mark).unwrap();
    host.attach_tc(eth1, Chain::Egress, check).unwrap();
    assert_eq!(eth1.0, 3, "the program redirects to it");
    let packet = udp("udp = {}");
    let fate = host.inject(eth0, &packet).unwrap();
    let hooks: Vec<_> = fate.hops.iter().map(|h| (h.ifindex, h.hook)).collect();
    assert_eq!(
        hooks,
        [
            (eth0, Hook::Xdp),
            (eth0, Hook::TcIngress),
            (eth1, Hook::TcEgress)
        ]
    );
    assert_eq!(fate.ends[0].end, End::Sent { ifindex: eth1 });
    assert_eq!(host.take_sent(eth1), Some(packet.clone()));
    // Without the note there is no mark, and the packet goes nowhere.
    host.detach_xdp(eth0).unwrap();
    let fate = host.inject(eth0, &packet).unwrap();
    assert!(matches!(&fate.ends[0].end, End::Dropped { why, .. } if why == "TC_ACT_SHOT"));
}

#[test]
fn vlan_tags_move_beside_the_packet_and_back() {
    let text = "
        .prog tag sched_cls
            r0 = 2
            r2 = *(u32 *)(r1 + 20)
            if r2 != 1 goto out
            r2 = *(u32 *)(r1 + 24)
            r2 &= 4095
            if r2 != 7 goto out
            r1 = 3
            r2 = 0
            call redirect
        out:
            exit
    ";
    let (mut host, object, [eth0, eth1]) = host::<2>(text);
    host.attach_tc(eth0, Chain::Ingress, host.program(object, "tag").unwrap())
        .unwrap();
    let packet = udp("udp = {}\nvlan = [{ id = 7, pcp = 2 }]");
    host.inject(eth0, &packet).unwrap();
    assert_eq!(host.take_sent(eth1), Some(packet));
    let fate = host.inject(eth0, &udp("udp = {}")).unwrap();
    assert!(matches!(fate.ends[0].end, End::Dropped { .. }));
}

#[test]
fn links_carry_packets_and_loops_end() {
    let text = "
        .prog bounce xdp
            r0 = 3
            exit
        .prog pass xdp
            r0 = 2
            exit
    ";
    let (mut host, object, [a, b, c, d]) = host::<4>(text);
    let (bounce, pass) = (
        host.program(object, "bounce").unwrap(),
        host.program(object, "pass").unwrap(),
    );
    host.link(a, b).unwrap();
    host.link(c, d).unwrap();
    assert!(host.link(a, c).is_err() && host.link(a, a).is_err());
    host.attach_xdp(b, pass).unwrap();
    // Sent through one end, received at the other; bounced, it comes back.
    host.send(a, &[1; 60]).unwrap();
    assert_eq!(host.receive(b), Some(vec![1; 60]));
    host.attach_xdp(d, bounce).unwrap();
    let fate = host.send(c, &[2; 60]).unwrap();
    assert_eq!(fate.ends[0].end, End::Received { ifindex: c });
    host.attach_xdp(c, bounce).unwrap();
    let error = host.send(c, &[3; 60]).unwrap_err();
    assert!(error.what.contains("still on its way"), "{error}");
}

const TARGETS: &str = "
    .map sockets xskmap key 4 value 4 entries 4
    .map cpus cpumap key 4 value 8 entries 2
    .map ports devmap key 4 value 8 entries 8

    .prog to_socket xdp
        r2 = *(u32 *)(r1 + 16)
        r1 = map[sockets] ll
        r3 = 2
        call redirect_map
        exit
    .prog to_cpu xdp
        r1 = map[cpus] ll
        r2 = 1
        r3 = 0
        call redirect_map
        exit
    .prog to_all xdp
        r1 = map[ports] ll
        r2 = 0
        r3 = 24
        call redirect_map
        exit
    .prog there xdp attach xdp_cpumap
        r0 = 2
        exit
    .prog leaving xdp attach xdp_devmap
        r2 = *(u32 *)(r1 + 20)
        r0 = 1
        if r2 == 4 goto out
        r0 = 2
    out:
        exit
";

#[test]
fn maps_of_sockets_cpus_and_devices_redirect() {
    let (mut host, object, [eth0, eth1, eth2]) = host::<3>(TARGETS);
    let map = |host: &Host, name| host.map(object, name).unwrap();
    let prog = |host: &Host, name| host.program(object, name).unwrap();
    let packet = udp("udp = {}");

    // A socket for queue 1: the packets of queue 0 are passed on.
    let sockets = map(&host, "sockets");
    host.open_socket(sockets, 1).unwrap();
    assert!(host.open_socket(map(&host, "cpus"), 1).is_err());
    host.attach_xdp(eth0, prog(&host, "to_socket")).unwrap();
    let passed = host.inject_at(eth0, 0, &packet).unwrap();
    assert_eq!(passed.ends[0].end, End::Received { ifindex: eth0 });
    let taken = host.inject_at(eth0, 1, &packet).unwrap();
    assert_eq!(
        taken.ends[0].end,
        End::Socket {
            map: sockets,
            index: 1
        }
    );
    assert_eq!(host.take_frame(sockets, 1), Some(packet.clone()));
    assert_eq!(host.take_frame(sockets, 1), None);

    // CPU 1, with a program there.
    let there = prog(&host, "there").0;
    host.put(
        map(&host, "cpus"),
        &json!(1),
        &json!((u64::from(there) << 32) | 128),
    )
    .unwrap();
    host.attach_xdp(eth0, prog(&host, "to_cpu")).unwrap();
    let fate = host.inject(eth0, &packet).unwrap();
    assert_eq!(
        fate.hops.iter().map(|h| h.hook).collect::<Vec<_>>(),
        [Hook::Xdp, Hook::Cpumap]
    );
    assert_eq!(fate.ends[0].end, End::Received { ifindex: eth0 });

    // Every device but the one it came from; the last one's program drops it.
    let leaving = u64::from(prog(&host, "leaving").0) << 32;
    for device in [eth0, eth1, eth2] {
        host.put(
            map(&host, "ports"),
            &json!(device.0),
            &json!(leaving | u64::from(device.0)),
        )
        .unwrap();
    }
    host.attach_xdp(eth0, prog(&host, "to_all")).unwrap();
    let fate = host.inject(eth0, &packet).unwrap();
    let ends: Vec<_> = fate.ends.iter().map(|e| e.end.clone()).collect();
    let why = "XDP_DROP".to_owned();
    assert!(
        ends.contains(&End::Sent { ifindex: eth1 })
            && ends.contains(&End::Dropped { ifindex: eth2, why }),
        "{ends:?}"
    );
    assert_eq!((fate.ends.len(), host.take_sent(eth0)), (2, None));
}

#[test]
fn objects_come_and_go() {
    let (mut host, first, [eth0]) = host::<1>(FORWARD);
    let second = host.load(&object(FORWARD)).unwrap();
    let routes = [first, second].map(|o| host.map(o, "routes").unwrap());
    assert_ne!(routes[0], routes[1], "every load has maps of its own");
    host.attach_xdp(eth0, host.program(first, "forward").unwrap())
        .unwrap();
    host.unload(first);
    assert!(host.map(first, "routes").is_err() && host.program(first, "forward").is_err());
    let fate = host.inject(eth0, &[0; 60]).unwrap();
    assert!(fate.hops.is_empty());
    let names = host.program(second, "nobody").unwrap_err();
    assert_eq!(names.help.as_deref(), Some("there are forward"));
}

#[test]
fn what_a_kernel_rejects_is_not_loaded() {
    let mut host = Host::new().unwrap();
    let text = ".prog wild xdp\n r0 = *(u64 *)(r1 + 400)\n exit\n";
    let error = host.load(&object(text)).unwrap_err();
    assert!(error.what.contains("rejected"), "{error}");
    // Unverified it is loaded, and a trap ends it.
    let id = host.load_with(&object(text), |_| true, false).unwrap();
    let eth0 = host.add_interface("eth0").unwrap();
    assert!(host.add_interface("eth0").is_err());
    host.attach_xdp(eth0, host.program(id, "wild").unwrap())
        .unwrap();
    assert!(
        host.attach_tc(eth0, Chain::Ingress, host.program(id, "wild").unwrap())
            .is_err()
    );
    let error = host.inject(eth0, &[0; 60]).unwrap_err();
    assert!(error.what.starts_with("wild: "), "{error}");
}
