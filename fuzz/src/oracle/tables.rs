//! Files of tests as hostile input: whatever a table says, reading it gives tests or an error, and running
//! them gives results or an error.

use std::path::PathBuf;

use skep_asm::{Options, assemble};
use skep_host::test::Suite;
use skep_host::test::file::{File, Step};
use skep_spec::{Facts, Profile};

use crate::Rng;

/// The object whose programs the tests are of: one for packets, one whose context has fields, and a map.
const OBJECT: &str = "
.license GPL
.map seen hash key 4 value 8 entries 16

.prog packets xdp
    r6 = r1
    r2 = 1
    *(u32 *)(r10 - 4) = r2
    r2 = r10
    r2 += -4
    r1 = map[seen] ll
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = *(u64 *)(r0 + 0)
    r1 += 1
    *(u64 *)(r0 + 0) = r1
out:
    r0 = 2
    exit

.prog filter socket_filter
    r0 = *(u32 *)(r1 + 0)
    exit
";

/// What is damaged.
const TESTS: [&str; 3] = [
    "
object = \"tests.s\"
program = \"packets\"

[[test]]
name = \"counted\"
maps.seen = [{ key = 1, value = 41 }, { key = 2, value = \"hex:0102030405060708\" }]
packet = { ipv4 = { dst = \"198.51.100.7\" }, tcp = { dst = 80, flags = \"SA\" } }
expect.return = \"XDP_PASS\"
expect.packet = \"unchanged\"
expect.maps.seen = [{ key = 1, value = 42 }, { key = 9, absent = true }]
",
    "
object = \"tests.s\"
program = \"filter\"

[[test]]
name = \"the context is read\"
packet = \"02 00 00 00 00 02  02 00 00 00 00 01  08 00  45 00\"
ctx = { mark = 7, cb = [1, 2, 3] }
cpu = 1
repeat = 2
seed = 9
process = { comm = \"sh\", pid = 12, uid = 0 }
expect = { return = 16, printk = [], redirect = 3, trap = \"no\" }

[[test]]
name = \"it is not refused\"
rejected = \"R0 !read_ok\"
",
    "
object = \"tests.s\"

[[test]]
name = \"steps\"
program = \"packets\"
verify = false
max_insns = 100

[[test.step]]
advance_ns = 1000000
packet = { ethernet = { src = \"02:00:00:00:00:01\" }, vlan = { id = 5 }, ipv6 = {}, udp = { src = 53 } }
expect = { return = [\"XDP_PASS\"], meta = \"00\", records.seen = [1] }

[[test.step]]
program = \"filter\"
packet = { ipv4 = { options = \"94040000\" }, icmp = {}, payload = \"616263\" }
maps.seen = [{ key = 3, value = { a = 1 } }]
expect.verdicts = { XDP_PASS = 1 }
",
];

/// Instructions and steps of a test at most: what a table asks for is not what a fuzzer has time for.
const INSNS: u64 = 10_000;
const STEPS: usize = 4;

/// Reads a file of tests and runs what it holds.
pub(super) fn read(text: &str) {
    let Ok(file) = File::parse(text) else { return };
    let Ok(object) = assemble(OBJECT, &Options::default()) else {
        return;
    };
    let suite = Suite {
        path: PathBuf::from("tests.toml"),
        file,
        object,
        facts: Facts::new(Profile::linux_6_18()),
    };
    for test in &suite.file.tests {
        let mut test = test.clone();
        test.max_insns = Some(test.max_insns.unwrap_or(INSNS).min(INSNS));
        test.repeat = test.repeat.map(|times| times.min(2));
        test.steps.truncate(STEPS);
        let files = |step: &Step| step.pcap.is_some();
        if test.pcap.is_some() || test.steps.iter().any(files) {
            continue;
        }
        for step in &mut test.steps {
            step.repeat = step.repeat.map(|times| times.min(2));
        }
        let _ = suite.run_test(&test);
    }
}

/// A file of tests.
pub(super) fn sample(rng: &mut Rng) -> Vec<u8> {
    rng.pick(TESTS).as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_are_read_and_run() {
        let object = assemble(OBJECT, &Options::default()).unwrap();
        assert_eq!(object.programs.len(), 2);
        let mut run = 0;
        for text in TESTS {
            let file = File::parse(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
            let suite = Suite {
                path: PathBuf::from("tests.toml"),
                file,
                object: object.clone(),
                facts: Facts::new(Profile::linux_6_18()),
            };
            let results = suite.file.tests.iter().map(|test| suite.run_test(test));
            run += results.filter(Result::is_ok).count();
        }
        assert!(run >= 2, "{run} tests run");
    }
}
