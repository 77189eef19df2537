//! Work done by several threads, with results in the order of the work.
//!
//! Items are made and results are taken on the calling thread, so neither needs to be shared; only as
//! many items are under way as keep the threads busy, so that a long file is never all in memory.

use std::collections::BTreeMap;
use std::iter::Fuse;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Bytes of a thread's stack: what the main thread has, whichever thread does the work.
const STACK: usize = 8 << 20;
/// Items that wait per thread.
const AHEAD: usize = 4;

/// Does `work` on every item with that many threads and hands the results to `each`, in order.
pub(crate) fn in_order<T: Send, R: Send>(
    threads: usize,
    items: impl Iterator<Item = T>,
    work: impl Fn(T) -> R + Sync,
    mut each: impl FnMut(R),
) {
    let (to_workers, from_caller) = channel::<(usize, T)>();
    let (to_caller, results) = channel();
    let from_caller = Mutex::new(from_caller);
    thread::scope(|scope| {
        for number in 0..threads.max(1) {
            let to_caller = to_caller.clone();
            let body = || worker(&from_caller, to_caller, &work);
            let thread = thread::Builder::new().stack_size(STACK);
            // Fewer threads than asked for will do, but not none.
            if let Err(e) = thread.spawn_scoped(scope, body) {
                assert!(number != 0, "no thread can be started: {e}");
                break;
            }
        }
        drop(to_caller);
        let mut feed = Feed {
            items: items.fuse(),
            to_workers: Some(to_workers),
            sent: 0,
        };
        let (mut received, mut next) = (0, 0);
        let mut early = BTreeMap::new();
        loop {
            while feed.sent - received < threads.max(1) * AHEAD && feed.send_one() {}
            if feed.sent == received {
                return;
            }
            // Workers end only after the feed does, and each item has one result.
            let Ok((index, result)) = results.recv() else {
                return;
            };
            received += 1;
            early.insert(index, result);
            while let Some(result) = early.remove(&next) {
                each(result);
                next += 1;
            }
        }
    });
}

struct Feed<T, I> {
    items: Fuse<I>,
    to_workers: Option<Sender<(usize, T)>>,
    sent: usize,
}

impl<T, I: Iterator<Item = T>> Feed<T, I> {
    /// Sends the next item; `false` if there is none, and then the workers are told to end.
    fn send_one(&mut self) -> bool {
        let item = self.items.next();
        match (item, &self.to_workers) {
            (Some(item), Some(to_workers)) => {
                let sent = to_workers.send((self.sent, item)).is_ok();
                self.sent += usize::from(sent);
                sent
            }
            (None, _) | (_, None) => {
                self.to_workers = None;
                false
            }
        }
    }
}

fn worker<T, R>(
    items: &Mutex<Receiver<(usize, T)>>,
    results: Sender<(usize, R)>,
    work: &impl Fn(T) -> R,
) {
    loop {
        let item = items.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((index, item)) = item else { return };
        if results.send((index, work(item))).is_err() {
            return;
        }
    }
}

/// How many threads to use: as many as asked for, else one per CPU.
pub(crate) fn threads(asked: Option<usize>) -> usize {
    asked
        .unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_the_items() {
        for threads in [0, 1, 3] {
            let mut seen = Vec::new();
            // Early items take longest.
            let work = |n: u64| {
                let turns = (100 - n) * 1000;
                (0..turns).fold(n, |sum, _| std::hint::black_box(sum)) * 2
            };
            in_order(threads, 0..100u64, work, |r| seen.push(r));
            assert_eq!(seen, (0..100u64).map(|n| n * 2).collect::<Vec<_>>());
        }
    }

    #[test]
    fn no_items_are_no_results() {
        in_order(
            2,
            std::iter::empty::<u32>(),
            |n| n,
            |_| panic!("there was no item"),
        );
    }
}
