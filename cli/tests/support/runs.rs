//! Captures, test files and topologies, good ones and ones that are wrong in one way each.

use skep_host::packet::capture;

/// Their names and bytes.
pub(super) fn files() -> Vec<(&'static str, Vec<u8>)> {
    let mut files = vec![
        (
            "endless.s",
            b".prog endless xdp\n    goto -1\n    exit\n".to_vec(),
        ),
        (
            "wild.s",
            b".prog wild xdp\n    r1 = 0\n    r0 = *(u64 *)(r1 + 8)\n    exit\n".to_vec(),
        ),
        ("web.pcap", capture_of(&[60, 60, 42, 9])),
        ("cut.pcap", capture_of(&[60])[..50].to_vec()),
        ("wifi.pcap", wifi()),
        ("empty.pcap", capture_of(&[])),
        ("router.s", ROUTER.as_bytes().to_vec()),
        ("product.s", PRODUCT.as_bytes().to_vec()),
        ("net.toml", NET.as_bytes().to_vec()),
        ("loop.toml", LOOP.as_bytes().to_vec()),
        (
            "bad-net.toml",
            NET.replace("router/forward", "router/backward")
                .into_bytes(),
        ),
        (
            "bad-link.toml",
            NET.replace("\"eth1\", \"far\"", "\"eth1\", \"near\"")
                .into_bytes(),
        ),
        (
            "good.toml",
            tests("{ return = \"XDP_PASS\" }", "").into_bytes(),
        ),
        (
            "failing.toml",
            tests(FAILING, "maps.packets = [{ key = 0, value = 40 }]\n").into_bytes(),
        ),
    ];
    files.extend(wrong_tests());
    files
}

/// Test files that are wrong in one way each.
fn wrong_tests() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("no-toml.toml", b"object = good.o\n".to_vec()),
        (
            "unknown-key.toml",
            tests("{ returns = 2 }", "").into_bytes(),
        ),
        (
            "unknown-verdict.toml",
            tests("{ return = \"TC_ACT_OK\" }", "").into_bytes(),
        ),
        (
            "unknown-map.toml",
            tests(
                "{ return = 2 }",
                "maps.nothing = [{ key = 0, value = 1 }]\n",
            )
            .into_bytes(),
        ),
        (
            "wrong-key.toml",
            tests(
                "{ return = 2 }",
                "maps.packets = [{ key = \"hex:0102\", value = 1 }]\n",
            )
            .into_bytes(),
        ),
        (
            "wrong-value.toml",
            tests(
                "{ return = 2 }",
                "maps.packets = [{ key = 0, value = { a = 1 } }]\n",
            )
            .into_bytes(),
        ),
        (
            "unknown-field.toml",
            tests("{ return = 2 }", "ctx = { mark = 1 }\n").into_bytes(),
        ),
        (
            "unknown-layer.toml",
            tests("{ return = 2 }", "packet = { ipv5 = {} }\n").into_bytes(),
        ),
        (
            "no-expectation.toml",
            b"object = \"good.o\"\n[[test]]\nname = \"x\"\n".to_vec(),
        ),
    ]
}

/// A test file with one test of a good program.
fn tests(expect: &str, more: &str) -> String {
    format!(
        "object = \"good.o\"\nprogram = \"count_packets\"\n\n[[test]]\n\
         name = \"an IPv4 packet is counted\"\n{more}expect = {expect}\n"
    )
}

/// An expectation that does not hold, in three ways.
const FAILING: &str =
    "{ return = \"XDP_DROP\", maps.packets = [{ key = 0, value = 40 }], printk = [\"x\"] }";

/// Sends packets for 198.51.100.0/24 on, drops what is no IPv4.
const ROUTER: &str = "
.map devices devmap key 4 value 4 entries 4
.map seen array key 4 value 8 entries 1

.prog forward xdp
    r6 = *(u32 *)(r1 + 4)
    r7 = *(u32 *)(r1 + 0)
    r0 = 1
    r2 = r7
    r2 += 34
    if r2 > r6 goto out
    r2 = *(u16 *)(r7 + 12)
    if r2 != 8 goto out
    r0 = 2
    r2 = *(u8 *)(r7 + 30)
    if r2 != 198 goto out
    r1 = map[devices] ll
    r2 = 1
    r3 = 1
    call redirect_map
out:
    exit

.prog bounce xdp
    r0 = 3
    exit

.prog count sched_cls
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = map[seen] ll
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = 1
    lock *(u64 *)(r0 + 0) += r1
out:
    r0 = 0
    exit
";

/// A loop whose code stands in another order than its instructions: the products take longer.
const PRODUCT: &str = "
.prog product socket_filter
    r0 = 1
    r1 = 0
    r2 = 7
again:
    r1 += 1
    r3 = r1
    r3 ^= 1
    r0 *= r2
    r0 += 1
    r0 *= r2
    if r1 != 3 goto again
    r0 ^= r3
    exit
";

/// Three interfaces: packets from eth0 to eth1, which is linked to far.
const NET: &str = "
links = [[\"eth1\", \"far\"]]

[[interface]]
name = \"eth0\"
xdp = \"router/forward\"
ingress = [\"router/count\"]

[[interface]]
name = \"eth1\"

[[interface]]
name = \"far\"

[[object]]
name = \"router\"
file = \"router.s\"
maps.devices = [{ key = 1, value = \"eth1\" }]

[[packet]]
at = \"eth0\"
layers = { ipv4 = { dst = \"198.51.100.7\" }, udp = { dst = 53 } }

[[packet]]
at = \"eth0\"
layers = { udp = { dst = 53 } }

[[packet]]
at = \"eth0\"
layers = { arp = {} }
";

/// Two interfaces that send everything back.
const LOOP: &str = "
links = [[\"a\", \"b\"]]

[[interface]]
name = \"a\"
xdp = \"router/bounce\"

[[interface]]
name = \"b\"
xdp = \"router/bounce\"

[[object]]
name = \"router\"
file = \"router.s\"

[[packet]]
from = \"a\"
layers = { udp = {} }
";

/// A capture of packets of those lengths: IPv4, IPv4, IPv6, IPv4.
fn capture_of(lengths: &[usize]) -> Vec<u8> {
    let mut bytes = capture::header();
    for (number, len) in lengths.iter().enumerate() {
        let mut packet = vec![0; *len];
        if number == 2 {
            packet[12..14].copy_from_slice(&[0x86, 0xdd]);
        } else if *len > 14 {
            packet[12..14].copy_from_slice(&[8, 0]);
        }
        bytes.extend(capture::record(number as u64 * 1000, &packet));
    }
    bytes
}

/// A capture of another kind of network.
fn wifi() -> Vec<u8> {
    let mut bytes = capture_of(&[60]);
    bytes[20] = 105;
    bytes
}
