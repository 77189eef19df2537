//! Runs verifications that may go wrong: on a thread with an ordinary stack, watched by a clock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use skep_spec::{Facts, ProgramSpec};
use skep_verifier::report::{self, Log, Silent};
use skep_verifier::{Config, Verdict, verify};

/// What threads get where nobody asks for more.
const STACK: usize = 2 << 20;
/// No verification takes that long, not even without optimisation on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Programs per thread.
const BATCH: u64 = 32;

/// One request with all that its verdict depends on.
pub(crate) struct Trial {
    pub(crate) spec: ProgramSpec,
    pub(crate) facts: Arc<Facts>,
    pub(crate) config: Config,
    pub(crate) log_level: u32,
}

/// What came of many.
#[derive(Default, Debug)]
pub(crate) struct Tally {
    pub(crate) tried: u64,
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    pub(crate) undecided: u64,
    /// The longest verification, and its seed.
    pub(crate) slowest: (Duration, u64),
    /// The longest log in bytes, and its seed.
    pub(crate) longest_log: (usize, u64),
    /// Seeds that panicked, and what was said.
    pub(crate) panics: Vec<(u64, String)>,
}

impl Tally {
    fn merge(&mut self, other: Tally) {
        self.tried += other.tried;
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.undecided += other.undecided;
        self.slowest = self.slowest.max(other.slowest);
        self.longest_log = self.longest_log.max(other.longest_log);
        self.panics.extend(other.panics);
    }
}

/// Verifies, and tells all that can be told of the verdict.
pub(crate) fn try_out(trial: &Trial) -> (Verdict, usize) {
    let Trial {
        spec,
        facts,
        config,
        log_level,
    } = trial;
    let mut log = Log::new(*log_level);
    let verdict = match log_level {
        0 => verify(spec, facts, config, &mut Silent),
        _ => verify(spec, facts, config, &mut log),
    };
    if let Verdict::Rejected(rejection) = &verdict {
        let _ = report::message(&rejection.violation, spec, facts);
        let _ = report::explain(rejection, spec, facts);
    }
    (verdict, log.text().len())
}

/// Tries the requests of these seeds.
///
/// # Panics
/// When one does not end in time.
pub(crate) fn try_all(
    seeds: std::ops::Range<u64>,
    make: impl Fn(u64) -> Trial + Send + Sync + 'static,
) -> Tally {
    let make = Arc::new(make);
    let next = Arc::new(AtomicU64::new(seeds.start));
    let total = Arc::new(Mutex::new(Tally::default()));
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut handles = Vec::new();
    for _ in 0..workers {
        let (make, next, total) = (Arc::clone(&make), Arc::clone(&next), Arc::clone(&total));
        let end = seeds.end;
        handles.push(std::thread::spawn(move || {
            loop {
                let first = next.fetch_add(BATCH, Ordering::Relaxed);
                if first >= end {
                    return;
                }
                let tally = batch(first..(first + BATCH).min(end), &make);
                total.lock().unwrap().merge(tally);
            }
        }));
    }
    for handle in handles {
        handle.join().unwrap();
    }
    std::mem::take(&mut *total.lock().unwrap())
}

/// A stack overflow ends the process, so the thread's name tells the seeds.
fn batch<F>(seeds: std::ops::Range<u64>, make: &Arc<F>) -> Tally
where
    F: Fn(u64) -> Trial + Send + Sync + 'static,
{
    let make = Arc::clone(make);
    let (sender, results) = mpsc::channel();
    let name = format!("seeds {} to {}", seeds.start, seeds.end);
    let thread = std::thread::Builder::new().name(name).stack_size(STACK);
    let handle = thread.spawn(move || {
        for seed in seeds {
            let mut tally = Tally {
                tried: 1,
                ..Tally::default()
            };
            let _ = sender.send(Err(seed));
            let tried = catch_unwind(AssertUnwindSafe(|| {
                let trial = make(seed);
                let start = Instant::now();
                let (verdict, log) = try_out(&trial);
                (verdict, log, start.elapsed())
            }));
            match tried {
                Ok((verdict, log, time)) => {
                    tally.slowest = (time, seed);
                    tally.longest_log = (log, seed);
                    match verdict {
                        Verdict::Accepted(_) => tally.accepted = 1,
                        Verdict::Rejected(_) => tally.rejected = 1,
                        Verdict::Undecided(_) => tally.undecided = 1,
                    }
                }
                Err(panic) => tally.panics.push((seed, text_of(&*panic))),
            }
            let _ = sender.send(Ok(tally));
        }
    });
    let mut total = Tally::default();
    let mut under_way = None;
    loop {
        match results.recv_timeout(PATIENCE) {
            Ok(Ok(tally)) => total.merge(tally),
            Ok(Err(seed)) => under_way = Some(seed),
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("seed {under_way:?} does not end"),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    handle.unwrap().join().unwrap();
    total
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&s| s.to_owned()));
    text.unwrap_or_default()
}
