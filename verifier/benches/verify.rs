//! How long `verify` takes on a handful of the corpus' programs, from a few instructions to thousands.
//!
//! `skep bench verify` measures whole sets beside the running kernel; this measures one change beside
//! the last, and needs nothing but the repository.

#![allow(
    missing_docs,
    reason = "what criterion's macros make has no documentation"
)]
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::fs;
use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use skep_loader::{Options, open};
use skep_spec::{Facts, Profile};
use skep_verifier::report::Silent;
use skep_verifier::{Config, Verdict, verify};

/// Object and program; what makes it worth a row.
const PROGRAMS: [(&str, &str); 8] = [
    // As little as there is: what every verification costs.
    ("socket_stack_depth", "lowest_slot"),
    // Straight arithmetic.
    ("socket_sign_extend", "sign_extend"),
    // Branches over packets.
    ("xdp_icmp_echo", "answer_ping"),
    ("tc_nat", "translate_source"),
    // Maps and helpers.
    ("xdp_lru_flows", "track_flows"),
    // Subprograms.
    ("xdp_deep_calls", "seven_calls_deep"),
    // A loop whose state never repeats: thousands of turns.
    ("xdp_long_loop", "turn_thousand_times"),
    // A rejection.
    ("xdp_icmp_echo", "answer_ping_claimed_length"),
];

fn verify_programs(criterion: &mut Criterion) {
    let objects = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/objects");
    let facts = Facts::new(Profile::linux_6_18());
    let config = Config::default();
    let mut group = criterion.benchmark_group("verify");
    for (file, name) in PROGRAMS {
        let bytes = fs::read(objects.join(format!("{file}.o"))).unwrap();
        let object = open(file, &bytes, &Options::default()).unwrap();
        let program = object
            .program(name)
            .unwrap_or_else(|| panic!("{file}: no {name}"));
        let insns = match verify(program, &facts, &config, &mut Silent) {
            Verdict::Accepted(accepted) => accepted.stats.total_insns,
            Verdict::Rejected(rejection) => rejection.stats.total_insns,
            Verdict::Undecided(missing) => panic!("{file}/{name}: needs {}", missing.feature),
        };
        // Elements are instructions processed.
        group.throughput(Throughput::Elements(insns));
        group.bench_function(format!("{file}/{name}"), |bencher| {
            bencher.iter(|| verify(black_box(program), &facts, &config, &mut Silent));
        });
    }
    group.finish();
}

criterion_group!(benches, verify_programs);
criterion_main!(benches);
