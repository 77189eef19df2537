//! Test runs in the running kernel against the interpreter: return value, packet and maps.
//!
//! Only programs of plain types are run, with helpers that do the same on every machine, and only such
//! as could not tell an address or an uninitialised byte: what a less privileged loader may load.

use skep_interp::{Machine, RunError};
use skep_isa::{opcode, pseudo};
use skep_kernel::{Answer, LoadOptions, RunRequest};
use skep_sim::{Config as SimConfig, MapId, Placement, RunInput, Sim, Trap};
use skep_spec::tables::helpers;
use skep_spec::{Facts, MapType, ProgFlags, ProgType, ProgramSpec};
use skep_verifier::report::Silent;
use skep_verifier::{Config, Verdict, verify};

use super::bench::careful;
use super::runs::{bytes, input};
use super::{Bench, Finding, Judged, LiveKernel, Outcome, is_plain};
use crate::Rng;

/// Packets of each program.
const PACKETS: u32 = 4;
/// Instructions of one run: what takes longer is not put to the kernel.
const BUDGET: u64 = 100_000;
/// Bytes of guest memory.
const ARENA: usize = 32 << 20;

/// Helpers that do the same on every machine.
const SAME: [&str; 27] = [
    "map_lookup_elem",
    "map_update_elem",
    "map_delete_elem",
    "map_push_elem",
    "map_pop_elem",
    "map_peek_elem",
    "for_each_map_elem",
    "loop",
    "skb_load_bytes",
    "skb_store_bytes",
    "skb_load_bytes_relative",
    "skb_pull_data",
    "skb_change_tail",
    "skb_change_head",
    "l3_csum_replace",
    "l4_csum_replace",
    "csum_diff",
    "csum_update",
    "xdp_adjust_head",
    "xdp_adjust_tail",
    "xdp_adjust_meta",
    "xdp_get_buff_len",
    "strtol",
    "strtoul",
    "strncmp",
    "ringbuf_output",
    "tail_call",
];

/// What became of a comparison.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Compared {
    /// It was not compared, for this reason.
    Not(&'static str),
    /// So many runs gave the same.
    Same(u32),
    /// A run did not.
    Differs {
        /// What differs.
        what: &'static str,
        /// Both results and the input.
        text: String,
    },
}

pub(super) fn judge(bench: &Bench, spec: &ProgramSpec, seed: u64) -> Judged {
    let Some(kernel) = bench.kernel() else {
        return Judged::new(Outcome::Skipped("there is no kernel to ask"));
    };
    match kernel_runs_the_same(spec, kernel, seed) {
        Compared::Not(why) => Judged::new(Outcome::Skipped(why)),
        Compared::Same(_) => Judged {
            here: Some(true),
            kernel: Some(true),
            ..Judged::new(Outcome::Fine)
        },
        Compared::Differs { what, text } => Judged {
            here: Some(true),
            kernel: Some(true),
            ..Judged::new(Outcome::Found(Finding {
                kind: what.to_owned(),
                text,
            }))
        },
    }
}

/// Whether it may be run at all, and would do the same everywhere.
pub(super) fn is_comparable(spec: &ProgramSpec) -> Result<(), &'static str> {
    let types = matches!(
        spec.ty,
        ProgType::Xdp | ProgType::SchedCls | ProgType::SocketFilter | ProgType::CgroupSkb
    );
    if !types || spec.flags.contains(ProgFlags::SLEEPABLE) || !is_plain(spec) {
        return Err("programs of its type are not run");
    }
    let maps = |ty: MapType| {
        matches!(
            ty,
            MapType::Array
                | MapType::Hash
                | MapType::PercpuArray
                | MapType::Queue
                | MapType::Stack
                | MapType::ProgArray
                | MapType::Ringbuf
        )
    };
    if !spec.maps.iter().all(|map| maps(map.ty)) {
        return Err("it uses maps of other types");
    }
    for insn in &spec.insns {
        let helper = insn.code == opcode::CALL && insn.src() == 0;
        let name = u32::try_from(insn.imm).ok().and_then(helpers::first);
        if helper && !name.is_some_and(|row| SAME.contains(&row.name)) {
            return Err("it calls helpers that depend on the machine");
        }
        if insn.code == opcode::CALL && insn.src() > pseudo::CALL {
            return Err("it calls kernel functions");
        }
    }
    // How long such loops go on is for the clock to say.
    if spec.insns.iter().any(|insn| insn.code == opcode::JCOND) {
        return Err("it goes on until the time is up");
    }
    Ok(())
}

fn refusal(spec: &ProgramSpec, facts: &Facts) -> Option<&'static str> {
    if let Err(why) = is_comparable(spec) {
        return Some(why);
    }
    match verify(spec, &careful(facts), &Config::default(), &mut Silent) {
        Verdict::Accepted(_) => None,
        Verdict::Rejected(_) => Some("it is rejected, or could tell addresses"),
        Verdict::Undecided(_) => Some("it has no verdict"),
    }
}

/// Runs an accepted program in both places, on packets that the seed determines.
pub fn kernel_runs_the_same(spec: &ProgramSpec, kernel: &LiveKernel, seed: u64) -> Compared {
    if let Some(why) = refusal(spec, kernel.facts()) {
        return Compared::Not(why);
    }
    let outcome = kernel.kernel().load(spec, &LoadOptions::quiet());
    let Some(live) = outcome
        .program
        .filter(|_| outcome.answer == Answer::Accepted)
    else {
        return Compared::Not("the kernel does not load it");
    };
    let config = SimConfig {
        arena: ARENA,
        placement: Placement::Buffer,
        cpus: kernel.kernel().cpus() as u32,
        ..SimConfig::default()
    };
    let Ok(mut sim) = Sim::with_config(config, &spec.maps) else {
        return Compared::Not("its maps are not simulated");
    };
    let mut machine = Machine::new();
    let Ok(prog) = machine.load(&mut sim, spec) else {
        return Compared::Not("it is not simulated");
    };
    let mut rng = Rng::new(seed);
    fill_both(&mut sim, live.maps(), &mut rng);
    let mut same = 0;
    for _ in 0..PACKETS {
        let input = input(spec, &mut rng);
        let ours = machine.run_observed(&mut sim, prog, &input, BUDGET, skep_interp::Nobody);
        if let Err(RunError::Stop(stop)) = &ours
            && (stop.trap.is_missing_feature() || matches!(stop.trap, Trap::Budget { .. }))
        {
            return Compared::Not("the run is not simulated to its end");
        }
        let request = RunRequest {
            data: input.data.clone(),
            data_out: 1 << 16,
            ..RunRequest::default()
        };
        let theirs = live.test_run(&request);
        let what = match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) if ours.output.retval != theirs.retval => "the return value",
            (Ok(ours), Ok(theirs)) if ours.output.data != theirs.data => "the packet",
            (Ok(_), Ok(_)) => map_fault(&mut sim, live.maps()).unwrap_or_default(),
            (Err(RunError::Input(ours)), Err(theirs)) if ours.to_string() == theirs.to_string() => {
                ""
            }
            (Ok(_) | Err(_), Ok(_) | Err(_)) => "whether it runs",
        };
        if !what.is_empty() {
            let text = describe(what, &input, &ours.map(|run| run.output), &theirs);
            return Compared::Differs { what, text };
        }
        same += 1;
    }
    Compared::Same(same)
}

fn describe(
    what: &str,
    input: &RunInput,
    ours: &Result<skep_sim::RunOutput, RunError>,
    theirs: &Result<skep_kernel::RunOutcome, skep_kernel::Errno>,
) -> String {
    let ours = match ours {
        Ok(run) => format!("returns {:#x}, packet {:02x?}", run.retval, run.data),
        Err(error) => error.to_string(),
    };
    let theirs = match theirs {
        Ok(run) => format!("returns {:#x}, packet {:02x?}", run.retval, run.data),
        Err(error) => error.to_string(),
    };
    format!(
        "{what} differs\n  packet {:02x?}\n  here   {ours}\n  kernel {theirs}",
        input.data
    )
}

/// Gives the maps of both sides the same contents.
fn fill_both(sim: &mut Sim, maps: &[std::sync::Arc<skep_kernel::LiveMap>], rng: &mut Rng) {
    for live in maps {
        let spec = std::sync::Arc::clone(live.spec());
        let fillable = matches!(spec.ty, MapType::Array | MapType::Hash);
        let Ok(id) = sim.map_of(&spec) else { continue };
        if !fillable {
            continue;
        }
        for index in 0..spec.max_entries.min(8) {
            let key = key(spec.key_size as usize, index);
            let value = bytes(spec.value_size as usize, rng);
            if live.update(&key, &value, 0).is_ok() {
                let _ = sim.map_update(id, &key, &value, 0);
            }
        }
    }
}

fn key(len: usize, index: u32) -> Vec<u8> {
    let mut key = vec![0; len];
    for (to, from) in key.iter_mut().zip(index.to_le_bytes()) {
        *to = from;
    }
    key
}

/// What differs between the maps of both sides.
fn map_fault(sim: &mut Sim, maps: &[std::sync::Arc<skep_kernel::LiveMap>]) -> Option<&'static str> {
    for live in maps {
        let ty = live.spec().ty;
        if !matches!(ty, MapType::Array | MapType::Hash) {
            continue;
        }
        let id: MapId = sim.map_of(live.spec()).ok()?;
        let (Ok(mut theirs), Ok(mut ours)) = (live.entries(4096), sim.map_entries(id)) else {
            return Some("whether a map can be read");
        };
        theirs.sort();
        let mut mine: Vec<_> = ours.drain(..).map(|e| (e.key, e.value)).collect();
        mine.sort();
        if mine != theirs {
            return Some("a map");
        }
    }
    None
}
