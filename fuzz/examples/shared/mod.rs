//! What comparing many programs comes to.

#![expect(clippy::print_stdout, reason = "for commands for people")]

use std::collections::BTreeMap;

use skep_fuzz::oracle::Answered;
use skep_fuzz::{Agreement, Difference};

#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) programs: u64,
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    pub(crate) kinds: BTreeMap<Difference, u64>,
    pub(crate) messages: BTreeMap<String, u64>,
    pub(crate) differing: BTreeMap<(String, String), u64>,
    pub(crate) not_judged: BTreeMap<String, u64>,
    pub(crate) undecided: BTreeMap<String, u64>,
    pub(crate) found: Vec<(u64, Difference)>,
}

impl Tally {
    pub(crate) fn add(&mut self, seed: u64, agreement: &Agreement) {
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

    pub(crate) fn merge(&mut self, other: Tally) {
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

    pub(crate) fn print(&self) {
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
pub(crate) fn shape(message: &str) -> String {
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
