//! Any bytes as BTF, and as BTF.ext: a result or an error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skep_fuzz::oracle::Reader;

fuzz_target!(|bytes: &[u8]| Reader::Btf.read(bytes));
