//! Generated programs through this project's verifier and the running kernel.
//!
//! `differential SEED COUNT [SHOW] [KIND…]`: COUNT programs from SEED on; SHOW differences (10 if not
//! given) are shrunk and printed with both logs, of those kinds if any are named (`FalseAccept`, `Insns`,
//! …). Loads only; it stops if the kernel becomes tainted in a new way.

#![expect(clippy::print_stdout, reason = "a command for people")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use skep_asm::disassemble_program;
use skep_fuzz::oracle::{Answered, live_facts};
use skep_fuzz::{Agreement, Difference, Generator, LiveKernel, shrink};
use skep_kernel::tainted;

#[derive(Default)]
struct Tally {
    programs: u64,
    accepted: u64,
    rejected: u64,
    kinds: BTreeMap<Difference, u64>,
    messages: BTreeMap<String, u64>,
    differing: BTreeMap<(String, String), u64>,
    not_judged: BTreeMap<String, u64>,
    undecided: BTreeMap<String, u64>,
    found: Vec<(u64, Difference)>,
}

impl Tally {
    fn add(&mut self, seed: u64, agreement: &Agreement) {
        self.programs += 1;
        match &agreement.kernel.answer {
            Answered::Accepted => self.accepted += 1,
            Answered::Rejected => {
                self.rejected += 1;
                *self
                    .messages
                    .entry(shape(&agreement.kernel.message))
                    .or_default() += 1;
            }
            Answered::Nothing(reason) => {
                *self.not_judged.entry(reason.clone()).or_default() += 1;
            }
        }
        if let Answered::Nothing(feature) = &agreement.ours.answer {
            *self.undecided.entry(feature.clone()).or_default() += 1;
        }
        let kind = agreement.difference();
        *self.kinds.entry(kind).or_default() += 1;
        if matches!(
            kind,
            Difference::Message | Difference::FalseAccept | Difference::FalseReject
        ) {
            let pair = (
                shape(&agreement.kernel.message),
                shape(&agreement.ours.message),
            );
            *self.differing.entry(pair).or_default() += 1;
        }
        if kind != Difference::None {
            self.found.push((seed, kind));
        }
    }

    fn merge(&mut self, other: Tally) {
        self.programs += other.programs;
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.found.extend(other.found);
        let pairs = [
            (&mut self.messages, other.messages),
            (&mut self.not_judged, other.not_judged),
            (&mut self.undecided, other.undecided),
        ];
        for (into, from) in pairs {
            for (key, count) in from {
                *into.entry(key).or_default() += count;
            }
        }
        for (key, count) in other.differing {
            *self.differing.entry(key).or_default() += count;
        }
        for (key, count) in other.kinds {
            *self.kinds.entry(key).or_default() += count;
        }
    }

    fn print(&self) {
        let share = |n: u64| 100.0 * n as f64 / self.programs.max(1) as f64;
        println!(
            "programs {}  kernel accepts {} ({:.1} %)  rejects {} ({:.1} %)  messages {}",
            self.programs,
            self.accepted,
            share(self.accepted),
            self.rejected,
            share(self.rejected),
            self.messages.len()
        );
        for (kind, count) in &self.kinds {
            println!("  {kind:?}: {count} ({:.3} %)", share(*count));
        }
        let mut list: Vec<_> = self.differing.iter().collect();
        list.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for ((theirs, ours), count) in list.into_iter().take(40) {
            println!("  {count:6} kernel: {theirs}\n         ours:   {ours}");
        }
        for (reason, count) in self.not_judged.iter().take(20) {
            println!("  {count:6} not judged: {reason}");
        }
        for (reason, count) in self.undecided.iter().take(20) {
            println!("  {count:6} undecided: {reason}");
        }
    }
}

/// A message with its numbers taken out.
fn shape(message: &str) -> String {
    let mut out = String::new();
    for c in message.chars() {
        if c.is_ascii_digit() {
            if !out.ends_with('#') {
                out.push('#');
            }
        } else {
            out.push(c);
        }
    }
    out
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [seed, count, rest @ ..] = args.as_slice() else {
        return Err("usage: differential SEED COUNT [SHOW] [KIND…]".into());
    };
    let (seed, count): (u64, u64) = (seed.parse()?, count.parse()?);
    let show: usize = rest.first().map_or(Ok(10), |n| n.parse())?;
    let kinds = rest.get(1..).unwrap_or_default();
    let kernel = LiveKernel::open(Arc::new(live_facts()))?;
    let generator = Generator::new(Arc::clone(kernel.facts()));
    let start = Instant::now();
    let mut tally = run(&kernel, &generator, seed, count);
    let rate = tally.programs as f64 / start.elapsed().as_secs_f64();
    tally.print();
    println!("{rate:.0} programs a second");
    if std::env::var_os("MESSAGES").is_some() {
        for (message, count) in &tally.messages {
            println!("  {count:6} {message}");
        }
    }
    tally.found.sort_by_key(|(seed, kind)| (*kind, *seed));
    tally.found.retain(|(_, kind)| {
        let named = kinds.contains(&format!("{kind:?}"));
        named || kinds.is_empty() && *kind != Difference::NotJudged
    });
    for (seed, kind) in tally.found.iter().take(show) {
        print_finding(&kernel, &generator, *seed, *kind);
    }
    Ok(())
}

fn run(kernel: &LiveKernel, generator: &Generator, seed: u64, count: u64) -> Tally {
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let taint = tainted();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut total = Tally::default();
    std::thread::scope(|scope| {
        let work = || {
            let mut tally = Tally::default();
            while !stop.load(Ordering::Relaxed) {
                let at = next.fetch_add(64, Ordering::Relaxed);
                if at >= count {
                    break;
                }
                for at in at..(at + 64).min(count) {
                    let seed = seed.wrapping_mul(1_000_000_007).wrapping_add(at);
                    tally.add(seed, &kernel.agrees(&generator.program(seed)));
                }
                if tainted() != taint {
                    println!(
                        "the kernel's taint changed to {:?} near program {at}",
                        tainted()
                    );
                    stop.store(true, Ordering::Relaxed);
                }
            }
            tally
        };
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for handle in handles {
            if let Ok(tally) = handle.join() {
                total.merge(tally);
            } else {
                println!("a thread panicked");
            }
        }
    });
    total
}

fn print_finding(kernel: &LiveKernel, generator: &Generator, seed: u64, kind: Difference) {
    let spec = generator.program(seed);
    let first = kernel.agrees(&spec);
    let small = shrink(&spec, |candidate| {
        let agreement = kernel.agrees(candidate);
        let same = match kind {
            Difference::FalseReject => shape(&agreement.ours.message) == shape(&first.ours.message),
            Difference::FalseAccept => {
                shape(&agreement.kernel.message) == shape(&first.kernel.message)
            }
            Difference::Message => {
                shape(&agreement.ours.message) == shape(&first.ours.message)
                    && shape(&agreement.kernel.message) == shape(&first.kernel.message)
            }
            Difference::Undecided
            | Difference::Insns
            | Difference::States
            | Difference::RejectedFigures
            | Difference::NotJudged
            | Difference::None => true,
        };
        agreement.difference() == kind && same
    });
    let agreement = kernel.agrees(&small);
    println!(
        "\n==== seed {seed} {kind:?}, {} of {} slots",
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
