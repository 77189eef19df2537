//! Damaged objects: every prefix and many changed bytes give a result or an error, never a panic.

use skep_btf::Btf;
use skep_loader::{Options, open};
use std::sync::Arc;

const OBJECTS: [(&str, &[u8]); 3] = [
    ("basic.o", include_bytes!("data/basic.o")),
    ("kernel.o", include_bytes!("data/kernel.o")),
    ("old.o", include_bytes!("data/old.o")),
];

/// With the object's own types as those of a kernel, so that lookups find something.
fn options(bytes: &[u8]) -> Options {
    let object = open("x.o", bytes, &Options::default()).expect("a sound object");
    Options {
        kernel_btf: object
            .btf
            .map(|b| Arc::new(Btf::parse(b.bytes()).expect("sound types"))),
        kconfig: Some("CONFIG_HZ=250\n".to_string()),
        ..Options::default()
    }
}

#[test]
fn every_prefix_is_an_error() {
    for (name, bytes) in OBJECTS {
        let options = options(bytes);
        for len in 0..bytes.len() {
            assert!(
                open(name, &bytes[..len], &options).is_err(),
                "{name}: {len} bytes"
            );
        }
        assert!(open(name, bytes, &options).is_ok());
    }
}

#[test]
fn changed_bytes_are_errors_or_sound() {
    let mut sound = 0;
    for (name, bytes) in OBJECTS {
        let options = options(bytes);
        let mut bad = bytes.to_vec();
        for at in 0..bytes.len() {
            for change in [0x01, 0x80, 0xff] {
                bad[at] ^= change;
                if let Ok(object) = open(name, &bad, &options) {
                    sound += 1;
                    for program in &object.programs {
                        assert!(
                            program
                                .unresolved
                                .iter()
                                .all(|u| u.insn_idx < program.insns.len())
                        );
                    }
                }
                bad[at] = bytes[at];
            }
        }
    }
    assert!(sound > 1000);
}

#[test]
fn swapped_words_are_errors_or_sound() {
    for (name, bytes) in OBJECTS {
        let options = options(bytes);
        let words = bytes.len() / 8;
        let mut state = 12345u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % words
        };
        for _ in 0..3000 {
            let mut bad = bytes.to_vec();
            for _ in 0..3 {
                let (from, to) = (next() * 8, next() * 8);
                bad.copy_within(from..from + 8, to);
            }
            let _ = open(name, &bad, &options);
        }
    }
}
