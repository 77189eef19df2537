//! Any bytes as a load request (a type, flags, a seed, instructions): a verdict.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use skep_fuzz::Generator;
use skep_fuzz::oracle::request_gets_a_verdict;
use skep_isa::RawInsn;
use skep_spec::{Facts, Profile, ProgFlags, ProgType, ProgramSpec};

static FACTS: LazyLock<Arc<Facts>> =
    LazyLock::new(|| Arc::new(Facts::new(Profile::linux_6_18())));

fuzz_target!(|bytes: &[u8]| {
    let Some((head, code)) = bytes.split_first_chunk::<8>() else {
        return;
    };
    let slots = code.chunks_exact(8).filter_map(|slot| slot.first_chunk::<8>());
    let insns = slots.map(|slot| RawInsn::from_le_bytes(*slot)).collect();
    let ty = ProgType::new((head[0] % 34).into()).unwrap_or(ProgType::SocketFilter);
    let mut spec = ProgramSpec::new("target", ty, insns);
    spec.flags = ProgFlags::from_bits_retain(head[1].into());
    // Map references are indices into the generator's stock.
    spec.maps = Generator::new(Arc::clone(&FACTS)).maps().to_vec();
    let _ = request_gets_a_verdict(&spec, &FACTS, u64::from_le_bytes(*head));
});
