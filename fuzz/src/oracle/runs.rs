//! Accepted programs against the checking interpreter: they may return anything, but never trap.
//!
//! A program is verified, loaded into a simulated kernel of its own and run on random packets or
//! contexts over maps with random contents. What the simulator lacks is no finding, and neither is a
//! run that takes longer than the budget: the kernel lets programs take long.

use skep_interp::{Machine, Nobody, RunError, Stop};
use skep_sim::{Config as SimConfig, MapId, Placement, RunInput, Sim, Trap};
use skep_spec::tables::{CtxValue, ctx};
use skep_spec::{Facts, MapType, ProgType, ProgramSpec};
use skep_verifier::report::Silent;
use skep_verifier::{Config, Verdict, verify};

use super::{Bench, Finding, Judged, Outcome};
use crate::Rng;
use crate::coverage::{Coverage, Fields};

/// Instructions that one run may execute.
const BUDGET: u64 = 200_000;
/// Bytes of guest memory: enough for the stock of maps.
const ARENA: usize = 32 << 20;

/// What became of the runs of one program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Runs {
    /// It was not accepted, or is of a type that is not run.
    NotRun,
    /// So many runs returned; the others were not possible to the end, for this reason.
    Ran {
        /// Runs that returned.
        returned: u32,
        /// What the simulator lacks or the budget did not allow.
        unfinished: Option<String>,
    },
    /// It trapped.
    Trapped {
        /// Where and why.
        stop: Stop,
        /// The input that did it.
        input: RunInput,
    },
}

/// Runs of each program.
const RUNS: u32 = 4;

/// Runs the program if it is accepted.
pub(super) fn judge(bench: &Bench, spec: &ProgramSpec, seed: u64) -> Judged {
    let mut coverage = Coverage::default();
    let runs = accepted_never_traps(spec, bench.facts(), seed, RUNS);
    let (outcome, here) = match runs {
        Runs::NotRun => (Outcome::Skipped("it is not accepted, or not run"), None),
        Runs::Ran { returned: 0, .. } => (Outcome::Skipped("it cannot be simulated"), Some(true)),
        Runs::Ran { .. } => (Outcome::Fine, Some(true)),
        Runs::Trapped { stop, input } => {
            let text = format!("{stop}, on {input:02x?}");
            let kind = super::shape(&stop.trap.to_string());
            (Outcome::Found(Finding { kind, text }), Some(true))
        }
    };
    if here.is_some() {
        coverage.accepted(spec, seed);
    }
    Judged {
        examined: None,
        outcome,
        here,
        kernel: None,
        coverage,
    }
}

/// Runs an accepted program on inputs that the seed determines.
pub fn accepted_never_traps(spec: &ProgramSpec, facts: &Facts, seed: u64, runs: u32) -> Runs {
    if !can_run(spec.ty) {
        return Runs::NotRun;
    }
    let verdict = verify(spec, facts, &Config::default(), &mut Silent);
    let Verdict::Accepted(accepted) = verdict else {
        return Runs::NotRun;
    };
    let mut rng = Rng::new(seed);
    let (mut returned, mut unfinished) = (0, None);
    let config = SimConfig {
        arena: ARENA,
        placement: Placement::Buffer,
        seed: rng.next(),
        ..SimConfig::default()
    };
    let mut sim = match Sim::with_config(config, &spec.maps) {
        Ok(sim) => sim,
        Err(error) => {
            return Runs::Ran {
                returned,
                unfinished: Some(error.to_string()),
            };
        }
    };
    let mut machine = Machine::new();
    let prog = match machine.load(&mut sim, spec) {
        Ok(prog) => prog,
        Err(error) => {
            return Runs::Ran {
                returned,
                unfinished: Some(error.to_string()),
            };
        }
    };
    machine.set_probe_loads(prog, &accepted.probe_loads);
    fill_maps(&mut sim, &mut rng);
    for _ in 0..runs {
        let input = input(spec, &mut rng);
        match machine.run_observed(&mut sim, prog, &input, BUDGET, Nobody) {
            Ok(_) => returned += 1,
            Err(RunError::Stop(Stop { trap, .. }))
                if trap.is_missing_feature() || matches!(trap, Trap::Budget { .. }) =>
            {
                unfinished = Some(trap.to_string());
            }
            Err(RunError::Stop(stop)) if kernel_would_fail_too(spec, facts, &stop) => {
                return Runs::NotRun;
            }
            Err(RunError::Stop(stop)) => return Runs::Trapped { stop, input },
            Err(error) => unfinished = Some(error.to_string()),
        }
    }
    Runs::Ran {
        returned,
        unfinished,
    }
}

/// Whether the kernel accepts what it should not, and would fail in the same place: a tracepoint's program
/// that reads before its record, which loads but is never attached, and a subprogram that gets NULL for
/// memory that it declares to be there.
fn kernel_would_fail_too(spec: &ProgramSpec, facts: &Facts, stop: &Stop) -> bool {
    const FIRST_PAGE: u64 = 4096;
    let mut fields = Fields::new(spec);
    let _ = verify(spec, facts, &Config::default(), &mut fields);
    let at_null = matches!(&stop.trap, Trap::Memory(fault) if fault.addr < FIRST_PAGE);
    spec.ty == ProgType::Tracepoint && fields.before || at_null && fields.passes_null()
}

/// Types whose contexts can be made up: they hold numbers, packets, or pointers that may be NULL.
pub(super) fn can_run(ty: ProgType) -> bool {
    match ty {
        ProgType::SocketFilter
        | ProgType::Kprobe
        | ProgType::SchedCls
        | ProgType::SchedAct
        | ProgType::Tracepoint
        | ProgType::Xdp
        | ProgType::PerfEvent
        | ProgType::CgroupSkb
        | ProgType::CgroupSock
        | ProgType::LwtIn
        | ProgType::LwtOut
        | ProgType::LwtXmit
        | ProgType::LwtSeg6local
        | ProgType::SockOps
        | ProgType::SkSkb
        | ProgType::CgroupDevice
        | ProgType::RawTracepoint
        | ProgType::LircMode2
        | ProgType::CgroupSysctl
        | ProgType::SkMsg
        | ProgType::CgroupSockAddr
        | ProgType::SkReuseport
        | ProgType::FlowDissector
        | ProgType::CgroupSockopt
        | ProgType::SkLookup
        | ProgType::Syscall => true,
        // A buffer's size is known to no verifier before it is attached.
        ProgType::Unspec
        | ProgType::RawTracepointWritable
        | ProgType::Tracing
        | ProgType::StructOps
        | ProgType::Ext
        | ProgType::Lsm
        | ProgType::Netfilter => false,
    }
}

/// A packet or a context.
pub(super) fn input(spec: &ProgramSpec, rng: &mut Rng) -> RunInput {
    let packets = matches!(
        spec.ty,
        ProgType::SocketFilter
            | ProgType::SchedCls
            | ProgType::SchedAct
            | ProgType::Xdp
            | ProgType::CgroupSkb
            | ProgType::LwtIn
            | ProgType::LwtOut
            | ProgType::LwtXmit
            | ProgType::LwtSeg6local
            | ProgType::FlowDissector
            | ProgType::SkSkb
    );
    if packets {
        let len = if rng.chance(50) {
            rng.range(14, 80)
        } else {
            rng.range(14, 1500)
        };
        return RunInput::packet(&bytes(len as usize, rng));
    }
    // The context of a tracepoint or system call is as long as whoever runs it says.
    let size = if matches!(spec.ty, ProgType::Tracepoint | ProgType::Syscall) {
        8192
    } else {
        ctx::of(spec.ty).map_or(0, |table| table.size as usize)
    };
    let mut context = bytes(size, rng);
    for field in ctx::of(spec.ty)
        .map(|table| table.fields)
        .unwrap_or_default()
    {
        // Pointers are NULL: those that may be, and the two ends of an empty packet.
        if field.value != CtxValue::Scalar
            && let Some(place) = context.get_mut(field.off as usize..field.end() as usize)
        {
            place.fill(0);
        }
    }
    if spec.ty == ProgType::SkLookup {
        plausible_lookup(&mut context);
    }
    // What a context points to beside: a message, an option's value, a packet.
    let pointed = [
        ProgType::SkMsg,
        ProgType::SkReuseport,
        ProgType::CgroupSockopt,
        ProgType::SockOps,
    ];
    let data = if pointed.contains(&spec.ty) {
        bytes(rng.range(0, 80) as usize, rng)
    } else {
        Vec::new()
    };
    RunInput {
        data,
        ctx: Some(context),
    }
}

/// A lookup that a test run takes: of a family that exists, to a port, from no device.
fn plausible_lookup(context: &mut [u8]) {
    const AF_INET: u8 = 2;
    let fields = ctx::of(ProgType::SkLookup).map_or(&[][..], |table| table.fields);
    for field in fields {
        let value = match field.name {
            "family" => [AF_INET, 0, 0, 0],
            "local_port" => [80, 0, 0, 0],
            "ingress_ifindex" => [0; 4],
            _ => continue,
        };
        if let Some(place) = context.get_mut(field.off as usize..field.end() as usize) {
            place.copy_from_slice(&value);
        }
    }
}

/// Random bytes, of which many are zero or small, so that comparisons go both ways.
pub(super) fn bytes(len: usize, rng: &mut Rng) -> Vec<u8> {
    let style = rng.below(4);
    let mut byte = || match (style, rng.below(4)) {
        (0, _) => 0,
        (1, 0) | (2, 0..=2) => rng.next() as u8,
        (3, _) => rng.next() as u8,
        _ => rng.below(4) as u8,
    };
    (0..len).map(|_| byte()).collect()
}

/// Gives maps random contents, as far as user space may write them.
pub(super) fn fill_maps(sim: &mut Sim, rng: &mut Rng) {
    let maps: Vec<(MapId, MapType, usize, usize, u32)> = sim
        .maps()
        .iter()
        .map(|map| {
            let spec = map.spec();
            let (key, value) = (spec.key_size as usize, spec.value_size as usize);
            (map.id(), spec.ty, key, value, spec.max_entries)
        })
        .collect();
    for (id, ty, key, value, entries) in maps {
        let array = matches!(ty, MapType::Array | MapType::PercpuArray);
        let hash = matches!(
            ty,
            MapType::Hash | MapType::LruHash | MapType::PercpuHash | MapType::LruPercpuHash
        );
        if !array && !hash && ty != MapType::Queue && ty != MapType::Stack {
            continue;
        }
        for index in 0..entries.min(8) {
            let mut name = vec![0; key];
            for (to, from) in name.iter_mut().zip(index.to_le_bytes()) {
                *to = from;
            }
            let each = match sim.map_lookup(id, &name) {
                Ok(old) => old.len(),
                Err(_) => value,
            };
            // What user space may not write stays as it is.
            let _ = sim.map_update(id, &name, &bytes(each, rng), 0);
        }
    }
}
