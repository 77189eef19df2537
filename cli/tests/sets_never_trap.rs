//! Accepted programs of public sets at their simulated hooks: whatever they return, they never trap.
//!
//! Each program that the verifier accepts runs on a few inputs of its type, with every access checked.
//! What is not simulated is counted by name. Without the sets the test says that it skips.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a test that skips says so")]

#[path = "support/packets.rs"]
mod packets;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skep_corpus::verdicts::{GapKind, read_known_gaps};
use skep_corpus::{BtfStore, Recorded, Request, RequestReader, read_btf};
use skep_interp::{Machine, Nobody, RunError};
use skep_sim::{Config, Placement, RunInput, Sim, Trap};
use skep_spec::tables::{CtxValue, ctx};
use skep_spec::{Facts, KernelVersion, Profile, ProgType, ProgramSpec};
use skep_verifier::report::Silent;
use skep_verifier::{Verdict, verify};

use packets::Packets;

/// Inputs per program.
const INPUTS: usize = 6;
/// Instructions of a run.
const BUDGET: u64 = 400_000;

/// The inputs of a program, `None` where its type's arguments cannot be made up.
fn input(sim: &mut Sim, program: &ProgramSpec, noise: &mut Packets) -> Option<RunInput> {
    let typed = [ProgType::Tracing, ProgType::Lsm, ProgType::StructOps];
    if typed.contains(&program.ty) {
        return sim.trace_input(program, &[]).ok();
    }
    let packets = [
        ProgType::SocketFilter,
        ProgType::SchedCls,
        ProgType::SchedAct,
        ProgType::Xdp,
        ProgType::CgroupSkb,
        ProgType::LwtIn,
        ProgType::LwtOut,
        ProgType::LwtXmit,
        ProgType::LwtSeg6local,
        ProgType::FlowDissector,
        ProgType::SkSkb,
        ProgType::Netfilter,
    ];
    if packets.contains(&program.ty) {
        return noise.next().map(|packet| RunInput::packet(&packet));
    }
    if program.ty == ProgType::Ext {
        return None;
    }
    let loose = [ProgType::Tracepoint, ProgType::Syscall];
    let size = if loose.contains(&program.ty) {
        4096
    } else {
        ctx::of(program.ty)?.size as usize
    };
    let mut context: Vec<u8> = (0..size).map(|_| noise.below(5) as u8).collect();
    for field in ctx::of(program.ty)?.fields {
        if field.value != CtxValue::Scalar
            && let Some(place) = context.get_mut(field.off as usize..field.end() as usize)
        {
            place.fill(0);
        }
    }
    if program.ty == ProgType::SkLookup {
        context[8..36].fill(0);
        context[8] = 2;
        context[60..].fill(0);
    }
    let pointed = [
        ProgType::SkMsg,
        ProgType::SkReuseport,
        ProgType::CgroupSockopt,
        ProgType::SockOps,
        ProgType::RawTracepointWritable,
    ];
    let data = if pointed.contains(&program.ty) {
        noise.next()?
    } else {
        Vec::new()
    };
    Some(RunInput {
        data,
        ctx: Some(context),
    })
}

/// What came of a set.
#[derive(Default)]
struct Tally {
    ran: BTreeMap<ProgType, usize>,
    missing: BTreeMap<String, usize>,
    faults: Vec<String>,
}

fn run(request: &Request, facts: &Facts, tally: &mut Tally) {
    let program = &request.spec;
    let config = skep_verifier::Config::default();
    let Verdict::Accepted(accepted) = verify(program, facts, &config, &mut Silent) else {
        return;
    };
    let config = Config {
        placement: Placement::Buffer,
        arena: 256 << 20,
        ..Config::default()
    };
    let mut miss = |what: String| *tally.missing.entry(what).or_default() += 1;
    let mut sim = match Sim::with_config(config, &program.maps) {
        Ok(sim) => sim,
        Err(why) => return miss(why.to_string()),
    };
    if let Some(btf) = &facts.profile().btf {
        sim.set_kernel_btf(Arc::clone(btf));
    }
    let mut machine = Machine::new();
    let id = match machine.load(&mut sim, program) {
        Ok(id) => id,
        Err(why) => return miss(why.to_string()),
    };
    machine.set_probe_loads(id, &accepted.probe_loads);
    let mut noise = Packets::new(&request.id);
    for _ in 0..INPUTS {
        let Some(input) = input(&mut sim, program, &mut noise) else {
            return miss(format!("arguments of {}", program.ty));
        };
        match machine.run_observed(&mut sim, id, &input, BUDGET, Nobody) {
            Ok(_) | Err(RunError::Input(_)) => {}
            Err(RunError::Stop(stop)) if matches!(stop.trap, Trap::Budget { .. }) => {}
            Err(RunError::Stop(stop)) if stop.trap.is_missing_feature() => {
                return miss(stop.trap.to_string());
            }
            Err(error) => {
                tally.faults.push(format!("{}: {error}", request.id));
                return;
            }
        }
    }
    *tally.ran.entry(program.ty).or_default() += 1;
}

#[test]
fn accepted_programs_of_public_sets_never_trap() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let shared = std::env::var_os("SKEP_CORPUS").map_or(beside, PathBuf::from);
    let Ok(store) = BtfStore::open(&shared.join("loads/btf.tar.xz")) else {
        eprintln!("skipped: no recorded requests in {}", shared.display());
        return;
    };
    let mut tally = Tally::default();
    for (kernel, sets) in [
        (
            "6.18.44-live",
            "selftests-6.12 libbpf-tools-0.26 xdp-tools-1.3",
        ),
        (
            "6.18.15+deb13-cloud-amd64",
            "selftests-6.12.guest-6.18.15 libbpf-tools-0.26.guest-6.18.15",
        ),
    ] {
        let btf = read_btf(&shared.join(format!("../btf/{kernel}.btf.zst"))).unwrap();
        let profile = Profile::built_in(KernelVersion::new(6, 18, 0)).unwrap();
        let facts = Facts::new(profile.with_btf(Arc::new(btf)));
        for set in sets.split(' ') {
            let path = shared.join(format!("loads/{set}.jsonl.xz"));
            for request in RequestReader::open(&path, &store).unwrap() {
                let request = request.unwrap();
                if request.verdict == Some(Recorded::Success) {
                    run(&request, &facts, &mut tally);
                }
            }
        }
    }
    let gaps = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/known_gaps.tsv");
    let known: BTreeSet<String> = read_known_gaps(&gaps)
        .unwrap()
        .into_iter()
        .filter(|gap| gap.kind == GapKind::Trap)
        .map(|gap| format!("{}/{}", gap.object, gap.program))
        .collect();
    let is_known = |fault: &String| known.iter().any(|id| fault.starts_with(&format!("{id}: ")));
    tally.faults.retain(|fault| !is_known(fault));
    let total: usize = tally.ran.values().sum();
    eprintln!("{total} programs ran: {:?}", tally.ran);
    let mut missing: Vec<_> = tally.missing.iter().collect();
    missing.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (what, count) in missing.iter().take(40) {
        eprintln!("{count} not to the end: {what}");
    }
    assert!(
        tally.faults.is_empty(),
        "{} programs trapped:\n{}",
        tally.faults.len(),
        tally.faults.join("\n")
    );
    assert!(total >= 2000, "only {total} programs ran");
}
