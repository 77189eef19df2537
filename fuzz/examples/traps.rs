//! Accepted generated programs in the checking interpreter: `traps SEED COUNT [SHOW]`.

#![expect(clippy::print_stdout, reason = "a command for people")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use skep_asm::disassemble_program;
use skep_fuzz::oracle::{Runs, accepted_never_traps, live_facts};
use skep_fuzz::{Generator, shrink};

/// Runs of each program.
const RUNS: u32 = 4;

#[derive(Default)]
struct Tally {
    programs: u64,
    runs: u64,
    unfinished: BTreeMap<String, u64>,
    traps: Vec<(u64, String)>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [seed, count, rest @ ..] = args.as_slice() else {
        return Err("usage: traps SEED COUNT [SHOW]".into());
    };
    let (seed, count): (u64, u64) = (seed.parse()?, count.parse()?);
    let show: usize = rest.first().map_or(Ok(5), |n| n.parse())?;
    let facts = Arc::new(live_facts());
    let generator = Generator::new(Arc::clone(&facts));
    let next = AtomicU64::new(0);
    let mut total = Tally::default();
    std::thread::scope(|scope| {
        let work = || {
            let mut tally = Tally::default();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= count {
                    return tally;
                }
                let seed = seed.wrapping_mul(1_000_000_007).wrapping_add(at);
                let program = generator.program(seed);
                match accepted_never_traps(&program, &facts, seed, RUNS) {
                    Runs::NotRun => {}
                    Runs::Ran {
                        returned,
                        unfinished,
                    } => {
                        tally.programs += 1;
                        tally.runs += u64::from(returned);
                        if let Some(why) = unfinished {
                            *tally.unfinished.entry(why).or_default() += 1;
                        }
                    }
                    Runs::Trapped { stop, .. } => {
                        tally.programs += 1;
                        tally.traps.push((seed, stop.to_string()));
                    }
                }
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for handle in handles {
            let Ok(tally) = handle.join() else { continue };
            total.programs += tally.programs;
            total.runs += tally.runs;
            total.traps.extend(tally.traps);
            for (why, count) in tally.unfinished {
                *total.unfinished.entry(why).or_default() += count;
            }
        }
    });
    println!(
        "accepted {}  returned runs {}  traps {}",
        total.programs,
        total.runs,
        total.traps.len()
    );
    let mut unfinished: Vec<_> = total.unfinished.into_iter().collect();
    unfinished.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (why, count) in unfinished.iter().take(30) {
        println!("  {count:6} {why}");
    }
    total.traps.sort();
    for (seed, _) in total.traps.iter().take(show) {
        let spec = generator.program(*seed);
        let traps = |spec: &_| match accepted_never_traps(spec, &facts, *seed, RUNS) {
            Runs::Trapped { stop, .. } => Some(stop),
            Runs::NotRun | Runs::Ran { .. } => None,
        };
        let small = shrink(&spec, |spec| traps(spec).is_some());
        println!(
            "\n==== seed {seed} {:?}",
            traps(&small).map(|stop| stop.to_string())
        );
        println!("{}", disassemble_program(&small));
    }
    Ok(())
}
