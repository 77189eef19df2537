//! A walk over the number domain, whose seed is the bytes: no operation loses a number.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skep_fuzz::oracle::numbers_contain;

fuzz_target!(|seed: u64| {
    if let Err(fault) = numbers_contain(seed) {
        panic!("{fault}");
    }
});
