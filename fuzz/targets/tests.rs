//! Any bytes as a file of tests: results or an error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skep_fuzz::oracle::Reader;

fuzz_target!(|bytes: &[u8]| Reader::Tests.read(bytes));
