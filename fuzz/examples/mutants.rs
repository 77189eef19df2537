//! Damaged programs of a set of captured requests through both verifiers:
//! `mutants BTF SET.jsonl SEED ROUNDS [SHOW] [KIND…]`.
//!
//! Only plain programs are taken: none with kernel functions, kernel types, locks, timers or pointers to
//! kernel objects in maps. Loads only; it stops if the kernel becomes tainted in a new way.

#![expect(clippy::print_stdout, reason = "a command for people")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use skep_asm::disassemble_program;
use skep_corpus::{BtfStore, RequestReader};
use skep_fuzz::oracle::{Answered, live_facts};
use skep_fuzz::{Agreement, Difference, LiveKernel, mutant, shrink};
use skep_isa::{opcode, pseudo};
use skep_kernel::tainted;
use skep_spec::{MapSpec, ProgType, ProgramSpec};

type Found = (Difference, String, u64, usize, Agreement);

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [btf, set, seed, rounds, rest @ ..] = args.as_slice() else {
        return Err("usage: mutants BTF SET.jsonl SEED ROUNDS [SHOW] [KIND…]".into());
    };
    let (seed, rounds): (u64, u64) = (seed.parse()?, rounds.parse()?);
    let show: usize = rest.first().map_or(Ok(10), |n| n.parse())?;
    let kinds = rest.get(1..).unwrap_or_default();
    let kernel = LiveKernel::open(Arc::new(live_facts()))?;
    let store = BtfStore::open(Path::new(btf))?;
    let mut programs = Vec::new();
    for request in RequestReader::open(Path::new(set), &store)? {
        let request = request?;
        if is_plain(&request.spec) {
            programs.push((request.id, request.spec));
        }
    }
    println!("{} plain programs", programs.len());
    let mut found = Vec::new();
    let mut tally: BTreeMap<(Difference, bool), u64> = BTreeMap::new();
    let (next, stop, taint) = (AtomicUsize::new(0), AtomicBool::new(false), tainted());
    std::thread::scope(|scope| {
        let work = || {
            let mut mine: Vec<Found> = Vec::new();
            let mut tally: BTreeMap<(Difference, bool), u64> = BTreeMap::new();
            while !stop.load(Ordering::Relaxed) {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some((id, spec)) = programs.get(at) else {
                    break;
                };
                for round in 0..rounds {
                    let seed = seed.wrapping_mul(1_000_003).wrapping_add(round);
                    let agreement = kernel.agrees(&mutant(spec, seed));
                    let kind = agreement.difference();
                    let accepted = agreement.kernel.answer == Answered::Accepted;
                    *tally.entry((kind, accepted)).or_default() += 1;
                    if !matches!(kind, Difference::None | Difference::NotJudged) {
                        mine.push((kind, id.clone(), seed, at, agreement));
                    }
                }
                if tainted() != taint {
                    println!("the kernel's taint changed to {:?} at {id}", tainted());
                    stop.store(true, Ordering::Relaxed);
                }
            }
            (mine, tally)
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for handle in handles {
            let Ok((mine, counts)) = handle.join() else {
                continue;
            };
            found.extend(mine);
            for (key, count) in counts {
                *tally.entry(key).or_default() += count;
            }
        }
    });
    for ((kind, accepted), count) in &tally {
        println!("  {kind:?} (kernel accepts: {accepted}): {count}");
    }
    found.sort_by(|a, b| (a.0, &a.1, a.2).cmp(&(b.0, &b.1, b.2)));
    for (kind, id, seed, _, agreement) in &found {
        println!(
            "{kind:?} {id} {seed}: ours {:?} {:?} kernel {:?} {:?}",
            agreement.ours.answer,
            agreement.ours.message,
            agreement.kernel.answer,
            agreement.kernel.message
        );
    }
    found.retain(|f| kinds.is_empty() || kinds.contains(&format!("{:?}", f.0)));
    for (kind, id, seed, at, first) in found.iter().take(show) {
        let Some((_, spec)) = programs.get(*at) else {
            continue;
        };
        print_finding(&kernel, *kind, id, &mutant(spec, *seed), first);
    }
    Ok(())
}

fn print_finding(
    kernel: &LiveKernel,
    kind: Difference,
    id: &str,
    spec: &ProgramSpec,
    first: &Agreement,
) {
    let small = shrink(spec, |candidate| {
        let agreement = kernel.agrees(candidate);
        let words = |text: &str| {
            text.split_whitespace()
                .take(3)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        agreement.difference() == kind
            && words(&agreement.ours.message) == words(&first.ours.message)
            && words(&agreement.kernel.message) == words(&first.kernel.message)
    });
    let agreement = kernel.agrees(&small);
    println!(
        "\n==== {id} {kind:?}, {} of {} slots",
        small.insns.len(),
        spec.insns.len()
    );
    println!(
        "ours:   {:?}\nkernel: {:?}",
        agreement.ours, agreement.kernel
    );
    println!("flags {:?} func_info {:?}", small.flags, small.func_info);
    println!("{}", disassemble_program(&small));
    if std::env::var_os("LOGS").is_some() {
        println!("---- kernel\n{}", kernel.log(&small));
        println!("---- ours\n{}", kernel.our_log(&small));
    }
}

/// Words of BTF that make a map special.
const SPECIAL: [&str; 10] = [
    "bpf_spin_lock",
    "bpf_res_spin_lock",
    "bpf_timer",
    "bpf_wq",
    "bpf_task_work",
    "bpf_list_head",
    "bpf_rb_root",
    "bpf_refcount",
    "kptr",
    "percpu_kptr",
];

/// Whether the live kernel may be asked about damaged forms of a program.
fn is_plain(spec: &ProgramSpec) -> bool {
    let types = !matches!(
        spec.ty,
        ProgType::Tracing
            | ProgType::StructOps
            | ProgType::Ext
            | ProgType::Lsm
            | ProgType::Netfilter
            | ProgType::Unspec
    );
    let insns = spec.insns.iter().all(|insn| {
        let kfunc = insn.code == opcode::CALL && insn.src() == pseudo::KFUNC_CALL;
        let object = insn.is_ld_imm64() && insn.src() == pseudo::BTF_ID;
        !kfunc && !object
    });
    types && insns && spec.target.is_none() && spec.maps.iter().all(|map| is_plain_map(map))
}

fn is_plain_map(map: &MapSpec) -> bool {
    let types = map.ty.number() <= 27 && map.ty.number() != 26;
    let strings = map.btf.as_ref().map_or(&[][..], |btf| btf.bytes());
    let has = |word: &str| {
        strings
            .windows(word.len())
            .any(|bytes| bytes == word.as_bytes())
    };
    types && !SPECIAL.iter().any(|word| has(word))
}
