//! Public sets of objects against `BPF_PROG_TEST_RUN`: return value, packet, context and maps must be
//! equal after every run.
//!
//! Only accepted programs of types whose runs touch nothing but themselves are run, and only those
//! without kernel functions, kernel types, locks, timers and helpers that reach other processes or
//! devices. What differs for a reason stands in `corpus/known_gaps.tsv`. Without the sets or a kernel
//! that answers, the test says what it skipped.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a test that skips says so")]

#[path = "support/packets.rs"]
mod packets;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use skep_btf::Btf;
use skep_corpus::verdicts::{GapKind, read_known_gaps};
use skep_interp::{Machine, RunError};
use skep_isa::{CallTarget, Imm64, Insn, decode_all};
use skep_kernel::{
    Answer, Kernel, LiveMap, LiveProgram, LoadOptions, LoadedObject, RunRequest, tainted,
    vmlinux_btf,
};
use skep_loader::{Options, open};
use skep_sim::{Config, ProgId, RunInput, Sim};
use skep_spec::tables::helpers;
use skep_spec::{Facts, MapSpec, MapType, ObjectSpec, Profile, ProgType, ProgramSpec};
use skep_verifier::report::Silent;
use skep_verifier::{Verdict, verify};

use packets::Packets;

/// Inputs per program.
const INPUTS: usize = 16;
/// Map entries that are compared.
const ENTRIES: usize = 4096;

/// Helpers that reach beyond the program: other processes, devices, the system.
const REACHING: &[&str] = &[
    "bpf_clone_redirect",
    "bpf_send_signal",
    "bpf_send_signal_thread",
    "bpf_probe_write_user",
    "bpf_override_return",
    "bpf_spin_lock",
    "bpf_spin_unlock",
    "bpf_timer_init",
    "bpf_timer_start",
    "bpf_timer_set_callback",
    "bpf_timer_cancel",
    "bpf_kptr_xchg",
    "bpf_sys_bpf",
    "bpf_sys_close",
    "bpf_get_current_task_btf",
    "bpf_skc_to_tcp_sock",
    "bpf_skc_to_tcp6_sock",
    "bpf_skc_to_tcp_timewait_sock",
    "bpf_skc_to_tcp_request_sock",
    "bpf_skc_to_udp6_sock",
    "bpf_skc_to_unix_sock",
    "bpf_skc_to_mptcp_sock",
    "bpf_user_ringbuf_drain",
    "bpf_per_cpu_ptr",
    "bpf_this_cpu_ptr",
];

/// Whether a program may be run on the machine that the test runs on.
fn may_run(program: &ProgramSpec) -> bool {
    let plain = [
        ProgType::Xdp,
        ProgType::SchedCls,
        ProgType::SocketFilter,
        ProgType::CgroupSkb,
        ProgType::RawTracepoint,
        ProgType::Syscall,
    ];
    let Ok(insns) = decode_all(&program.insns) else {
        return false;
    };
    let reaches_kernel = |insn: &Insn| {
        let variable = |imm: &Imm64| matches!(imm, Imm64::BtfVar { .. });
        matches!(
            insn,
            Insn::Call(CallTarget::Kfunc { .. }) | Insn::AddrSpaceCast { .. }
        ) || matches!(insn, Insn::LoadImm64 { imm, .. } if variable(imm))
    };
    let harmless = |insn: &Insn| {
        if let Insn::Call(CallTarget::Helper(id)) = insn {
            let row = u32::try_from(*id).ok().and_then(helpers::first);
            return row.is_some_and(|row| !REACHING.contains(&row.name));
        }
        !reaches_kernel(insn)
    };
    let storage = [
        MapType::SkStorage,
        MapType::TaskStorage,
        MapType::InodeStorage,
        MapType::CgrpStorage,
        MapType::Arena,
        MapType::StructOps,
    ];
    plain.contains(&program.ty)
        && program.unresolved.is_empty()
        && insns.iter().all(harmless)
        && !program.maps.iter().any(|map| storage.contains(&map.ty))
}

fn kernel() -> Option<Kernel> {
    match Kernel::open() {
        Ok(kernel) if kernel.version().at_least(6, 18) => Some(kernel),
        Ok(kernel) => {
            eprintln!("skipped: the running kernel is {}", kernel.release());
            None
        }
        Err(why) => {
            eprintln!("skipped: {why}");
            None
        }
    }
}

/// What a program is run with, number by number.
fn inputs(program: &ProgramSpec) -> Vec<RunInput> {
    let mut noise = Packets::new(&program.name);
    let words = |noise: &mut Packets, count: usize| -> Vec<u8> {
        (0..count)
            .flat_map(|_| (noise.below(300) as u64).to_le_bytes())
            .collect()
    };
    if program.ty == ProgType::RawTracepoint {
        return (0..INPUTS)
            .map(|_| RunInput::context(&words(&mut noise, 12)))
            .collect();
    }
    if program.ty == ProgType::Syscall {
        return (0..INPUTS)
            .map(|n| RunInput::context(&words(&mut noise, 4 * n)))
            .collect();
    }
    let zero = RunInput::packet(&[0; 64]);
    std::iter::once(zero)
        .chain(noise.map(|packet| RunInput::packet(&packet)))
        .take(INPUTS)
        .collect()
}

/// The process as the kernel sees it: the thread that asks for test runs.
fn describe_process(sim: &mut Sim) {
    let link = fs::read_link("/proc/thread-self").unwrap_or_default();
    let mut numbers = link
        .iter()
        .filter_map(|part| part.to_string_lossy().parse::<u32>().ok());
    sim.process.tgid = numbers.next().unwrap_or(0);
    sim.process.pid = numbers.next().unwrap_or(0);
    let comm = fs::read_to_string("/proc/thread-self/comm").unwrap_or_default();
    comm.trim_end().clone_into(&mut sim.process.comm);
}

/// Keeps this thread on the first CPU, where the simulated kernel runs programs too: what programs ask
/// their CPU for is then the same. Without the tool, programs that ask may differ.
fn stay_on_first_cpu() {
    let link = fs::read_link("/proc/thread-self").unwrap_or_default();
    let Some(thread) = link.file_name() else {
        return;
    };
    let mut tool = Command::new("taskset");
    let done = tool.arg("-cp").arg("0").arg(thread).output();
    if !done.is_ok_and(|done| done.status.success()) {
        eprintln!("skipped: no taskset, so programs may see another CPU");
    }
}

/// Both sides, loaded.
struct Pair<'a> {
    live: &'a LiveProgram,
    loaded: &'a LoadedObject,
    machine: Machine,
    sim: Sim,
    id: ProgId,
}

impl Pair<'_> {
    /// Runs both: `Err` says what differs.
    fn run(&mut self, ty: ProgType, input: &RunInput) -> Result<(), String> {
        let packets = !input.data.is_empty();
        let request = RunRequest {
            data: input.data.clone(),
            data_out: if packets { 1 << 16 } else { 0 },
            ctx: input.ctx.clone().unwrap_or_default(),
            ..RunRequest::default()
        };
        let theirs = self.live.test_run(&request);
        let ours = self.machine.run(&mut self.sim, self.id, input);
        match (ours, theirs) {
            (Err(RunError::Stop(stop)), _) => Err(stop.to_string()),
            (Ok(ours), Ok(theirs)) => {
                let output = ours.output;
                if output.retval != theirs.retval {
                    let (a, b) = (output.retval as i32, theirs.retval as i32);
                    return Err(format!("returned {a}, kernel {b}"));
                }
                if packets && output.data != theirs.data {
                    return Err(format!(
                        "packet {:02x?}, kernel {:02x?}",
                        output.data, theirs.data
                    ));
                }
                if ty == ProgType::Syscall && output.ctx != theirs.ctx {
                    return Err(format!(
                        "context {:02x?}, kernel {:02x?}",
                        output.ctx, theirs.ctx
                    ));
                }
                Ok(())
            }
            (Err(RunError::Input(ours)), Err(theirs)) if ours.to_string() == theirs.to_string() => {
                Ok(())
            }
            (ours, theirs) => Err(format!(
                "{:?}, kernel {:?}",
                ours.map(|o| o.output.retval),
                theirs.map(|t| t.retval)
            )),
        }
    }

    /// The maps' contents, where both sides can say them: `Err` names the first that differs.
    fn compare_maps(&mut self) -> Result<(), String> {
        let all: Vec<_> = self
            .sim
            .maps()
            .iter()
            .map(|map| (map.id(), Arc::clone(map.spec())))
            .collect();
        for (id, spec) in all {
            let Some(live) = self.loaded.map(&spec.name) else {
                continue;
            };
            let values = [
                MapType::Array,
                MapType::Hash,
                MapType::LruHash,
                MapType::PercpuArray,
                MapType::PercpuHash,
                MapType::LruPercpuHash,
                MapType::LpmTrie,
            ];
            if !values.contains(&spec.ty) || spec.max_entries as usize > ENTRIES {
                continue;
            }
            let theirs = live_entries(live, &spec);
            let Ok(ours) = self.sim.map_entries(id) else {
                continue;
            };
            let ours: BTreeMap<_, _> = ours
                .into_iter()
                .map(|e| (e.key, by_cpu(&spec, e.value)))
                .collect();
            if ours != theirs {
                return Err(format!("map {} differs", spec.name));
            }
        }
        Ok(())
    }
}

/// A value as its CPUs' parts in order of size: which CPU ran is not the program's doing.
fn by_cpu(spec: &MapSpec, value: Vec<u8>) -> Vec<Vec<u8>> {
    let per_cpu = [
        MapType::PercpuArray,
        MapType::PercpuHash,
        MapType::LruPercpuHash,
    ];
    if !per_cpu.contains(&spec.ty) {
        return vec![value];
    }
    let step = (spec.value_size as usize).next_multiple_of(8);
    let mut parts: Vec<_> = value.chunks(step).map(<[u8]>::to_vec).collect();
    parts.sort();
    parts
}

fn live_entries(map: &LiveMap, spec: &MapSpec) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
    let entries = map.entries(ENTRIES).unwrap_or_default();
    entries
        .into_iter()
        .map(|(key, value)| (key, by_cpu(spec, value)))
        .collect()
}

/// What came of a program.
enum Compared {
    /// Not loaded, or not comparable.
    Not,
    /// So many inputs gave the same.
    Same(usize),
    /// After so many inputs, this.
    Differs(usize, String),
}

fn compare(kernel: &Kernel, facts: &Facts, object: &ObjectSpec, program: &ProgramSpec) -> Compared {
    let only = |p: &ProgramSpec| p.name == program.name;
    let loaded = LoadedObject::load(kernel, object, only, &LoadOptions::quiet());
    let outcome = loaded.outcome(&program.name);
    let accepted = outcome.filter(|outcome| outcome.answer == Answer::Accepted);
    let Some(live) = accepted.and_then(|outcome| outcome.program.as_ref()) else {
        return Compared::Not;
    };
    let config = Config {
        cpus: kernel.cpus() as u32,
        ..Config::default()
    };
    let used = |map: &&Arc<MapSpec>| loaded.map(&map.name).is_some();
    let maps: Vec<_> = object.maps.iter().filter(used).cloned().collect();
    let mut sim = match Sim::with_config(config, &maps) {
        Ok(sim) => sim,
        Err(why) => return Compared::Differs(0, why.to_string()),
    };
    if let Some(btf) = &facts.profile().btf {
        sim.set_kernel_btf(Arc::clone(btf));
    }
    describe_process(&mut sim);
    let mut machine = Machine::new();
    let id = match machine.load(&mut sim, program) {
        Ok(id) => id,
        Err(why) => return Compared::Differs(0, why.to_string()),
    };
    for other in object.programs.iter().filter(|p| p.name != program.name) {
        if loaded.program(&other.name).is_some()
            && let Err(why) = machine.load(&mut sim, other)
        {
            return Compared::Differs(0, why.to_string());
        }
    }
    machine.fill_program_slots(&mut sim);
    if let Verdict::Accepted(accepted) = verify(
        program,
        facts,
        &skep_verifier::Config::default(),
        &mut Silent,
    ) {
        machine.set_probe_loads(id, &accepted.probe_loads);
    }
    let mut pair = Pair {
        live,
        loaded: &loaded,
        machine,
        sim,
        id,
    };
    for (n, input) in inputs(program).iter().enumerate() {
        if let Err(why) = pair.run(program.ty, input) {
            return Compared::Differs(n, why);
        }
    }
    match pair.compare_maps() {
        Ok(()) => Compared::Same(INPUTS),
        Err(why) => Compared::Differs(INPUTS, why),
    }
}

/// Unpacks a set and gives its objects.
fn unpack(shared: &Path, set: &str, to: &Path) -> Vec<PathBuf> {
    let done = Command::new("tar")
        .arg("-xJf")
        .arg(shared.join(format!("{set}.tar.xz")))
        .arg("-C")
        .arg(to)
        .output();
    if !done.is_ok_and(|done| done.status.success()) {
        eprintln!("skipped: no objects of {set} in {}", shared.display());
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir(to.join(set)) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "o"));
    paths.sort();
    paths
}

/// Programs that differ for a known reason.
fn known() -> BTreeSet<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let gaps = read_known_gaps(&root.join("corpus/known_gaps.tsv")).unwrap();
    gaps.into_iter()
        .filter(|gap| gap.kind == GapKind::Run)
        .map(|gap| (gap.object, gap.program))
        .collect()
}

#[test]
fn public_sets_run_as_in_the_kernel() {
    let Some(kernel) = kernel() else { return };
    stay_on_first_cpu();
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let shared = std::env::var_os("SKEP_CORPUS").map_or(beside, PathBuf::from);
    let folder = std::env::temp_dir().join(format!("skep-sets-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let btf = vmlinux_btf().ok().and_then(|bytes| Btf::parse(bytes).ok());
    let btf = btf.map(Arc::new);
    let options = Options {
        kernel_btf: btf.clone(),
        kernel_version: Some(kernel.version()),
        cpus: kernel.cpus() as u32,
        ..Options::default()
    };
    let mut profile = Profile::built_in(kernel.version()).unwrap();
    if let Some(btf) = btf {
        profile = profile.with_btf(btf);
    }
    let facts = Facts::new(profile);
    let (mut known, taint) = (known(), tainted());
    let (mut programs, mut same, mut faults) = (0, 0, Vec::new());
    for set in ["selftests-6.12", "xdp-tools-1.3", "libbpf-tools-0.26"] {
        for path in unpack(&shared, set, &folder) {
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            let Ok(object) = open(&file, &fs::read(&path).unwrap(), &options) else {
                continue;
            };
            for program in object.programs.iter().filter(|p| may_run(p)) {
                let is_known = known.remove(&(file.clone(), program.name.clone()));
                match compare(&kernel, &facts, &object, program) {
                    Compared::Not => continue,
                    Compared::Same(_) if is_known => {
                        faults.push(format!("{file}/{}: a known gap that closed", program.name))
                    }
                    Compared::Same(inputs) => same += inputs,
                    Compared::Differs(inputs, _) if is_known => same += inputs,
                    Compared::Differs(inputs, why) => {
                        same += inputs;
                        faults.push(format!("{file}/{} #{inputs}: {why}", program.name));
                    }
                }
                programs += 1;
                assert_eq!(tainted(), taint, "tainted by {file}/{}", program.name);
            }
        }
    }
    fs::remove_dir_all(&folder).unwrap();
    eprintln!("{programs} programs, {same} inputs: as in the kernel");
    assert!(
        faults.is_empty(),
        "{} programs differ:\n{}",
        faults.len(),
        faults.join("\n")
    );
    if programs > 0 {
        assert!(same >= 9000, "only {same} inputs were compared");
    }
}
