//! Every oracle for about a second, on subjects that are the same each time; a finding fails the test
//! with its report.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a skipped oracle says so")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_fuzz::campaign::{Tally, batch, report};
use skep_fuzz::oracle::{Reader, live_facts};
use skep_fuzz::{Bench, LiveKernel, Oracle};
use skep_spec::{Facts, Profile};

/// How long one oracle is asked.
const TIME: Duration = Duration::from_millis(800);
/// Subjects between looks at the clock.
const STEP: u64 = 16;

fn bench(oracle: Oracle) -> Option<Bench> {
    if !oracle.needs_kernel() {
        return Some(Bench::new(Arc::new(Facts::new(Profile::linux_6_18()))));
    }
    match LiveKernel::open(Arc::new(live_facts())) {
        Ok(kernel) if kernel.kernel().version().at_least(6, 18) => Some(Bench::with_kernel(kernel)),
        Ok(_) => {
            eprintln!("skipped: {}: needs Linux 6.18", oracle.name());
            None
        }
        Err(why) => {
            eprintln!("skipped: {}: needs CAP_BPF: {why}", oracle.name());
            None
        }
    }
}

fn smoke(oracle: Oracle) {
    let Some(bench) = bench(oracle) else { return };
    let (start, mut tally, mut next) = (Instant::now(), Tally::default(), 0);
    while start.elapsed() < TIME || next < STEP {
        tally.merge(batch(oracle, &bench, 1, next..next + STEP));
        next += STEP;
    }
    let reports = tally.findings.iter().map(|(kind, sort)| {
        let report = report(oracle, &bench, sort.seed, kind);
        format!("{} times {}\n{report}", sort.count, sort.text)
    });
    let reports: Vec<String> = reports.collect();
    assert!(reports.is_empty(), "{}", reports.join("\n\n"));
    assert!(tally.judged > 0, "nothing was judged: {:?}", tally.skipped);
}

#[test]
fn ten_thousand_programs_do_the_same_compiled() {
    const EACH: u64 = 313 * STEP;
    let ran = std::thread::scope(|scope| {
        let halves = [0, 1].map(|half| {
            scope.spawn(move || {
                let oracle = Oracle::InterpEqualsJit;
                let bench = bench(oracle).unwrap();
                let mut ran = 0;
                for from in (half * EACH..(half + 1) * EACH).step_by(STEP as usize) {
                    let tally = batch(oracle, &bench, 3, from..from + STEP);
                    ran += tally.judged;
                    let found = tally.findings.iter().next();
                    let report = found.map(|(kind, sort)| report(oracle, &bench, sort.seed, kind));
                    assert!(report.is_none(), "{}", report.unwrap_or_default());
                }
                ran
            })
        });
        halves.map(|half| half.join().unwrap()).iter().sum::<u64>()
    });
    // Where nothing is compiled, nothing is compared.
    assert!(ran > 2 * EACH / 4 || !skep_jit::AVAILABLE, "only {ran} ran");
}

macro_rules! smokes {
    ($($test:ident: $oracle:expr;)*) => {
        $(
            #[test]
            fn $test() {
                smoke($oracle);
            }
        )*

        #[test]
        fn every_oracle_is_smoked() {
            let smoked: Vec<Oracle> = vec![$($oracle),*];
            assert!(Oracle::all().all(|oracle| smoked.contains(&oracle)));
        }
    };
}

smokes! {
    the_kernel_agrees: Oracle::KernelAgrees;
    accepted_programs_never_trap: Oracle::AcceptedNeverTraps;
    abstract_states_contain_runs: Oracle::AbstractContainsConcrete;
    pruning_changes_no_verdict: Oracle::PruneEqualsNoPrune;
    the_kernel_runs_programs_the_same: Oracle::KernelRunsTheSame;
    compiled_code_does_the_same: Oracle::InterpEqualsJit;
    text_comes_back: Oracle::AsmRoundTrip;
    another_elf_reader_agrees: Oracle::ElfReadersAgree;
    operations_lose_no_number: Oracle::NumbersContain;
    any_request_gets_a_verdict: Oracle::RequestsGetAVerdict;
    any_object_is_read_or_refused: Oracle::NeverPanics(Reader::Elf);
    any_btf_is_read_or_refused: Oracle::NeverPanics(Reader::Btf);
    any_assembly_is_read_or_refused: Oracle::NeverPanics(Reader::Asm);
    any_captured_request_is_read_or_refused: Oracle::NeverPanics(Reader::Requests);
    any_instructions_are_decoded: Oracle::NeverPanics(Reader::Insns);
    any_log_is_read: Oracle::NeverPanics(Reader::Log);
    any_capture_is_read_or_refused: Oracle::NeverPanics(Reader::Capture);
    any_file_of_tests_is_run_or_refused: Oracle::NeverPanics(Reader::Tests);
}
