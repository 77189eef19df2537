//! A run that can be interrupted: how far it came and what it has seen, as a file of JSON.
//!
//! What is restored is what was written, so that a run in parts tells the same as one in one piece.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use skep_fuzz::campaign::{Comparison, Sort, Tally, Verdicts};
use skep_fuzz::coverage::{Coverage, KINDS, Mark};
use skep_spec::Facts;

/// How far one oracle's run came.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct State {
    /// What else than the seed names its subjects.
    pub(super) subjects: String,
    /// The position to go on from.
    pub(super) next: u64,
    /// Milliseconds spent.
    pub(super) millis: u64,
    /// What was seen.
    pub(super) seen: Tally,
}

/// Names the form of the file.
const SCHEMA: &str = "skep-fuzz-state-1";

impl State {
    /// As a file holds it.
    pub(super) fn to_json(&self) -> Value {
        let seen = &self.seen;
        json!({
            "schema": SCHEMA,
            "subjects": self.subjects,
            "next": self.next,
            "millis": self.millis,
            "seen": {
                "subjects": seen.subjects,
                "judged": seen.judged,
                "here": verdicts(seen.here),
                "kernel": verdicts(seen.kernel),
                "running": comparison(&seen.running),
                "guests": comparison(&seen.guests),
                "skipped": seen.skipped,
                "remarks": sorts(&seen.remarks),
                "findings": sorts(&seen.findings),
                "met": met(&seen.coverage),
            },
        })
    }

    /// What a file holds; `None` if it is not one of these.
    pub(super) fn from_json(value: &Value, facts: &Facts) -> Option<State> {
        if value.get("schema")?.as_str()? != SCHEMA {
            return None;
        }
        let seen = value.get("seen")?;
        Some(State {
            subjects: value.get("subjects")?.as_str()?.to_owned(),
            next: number(value, "next")?,
            millis: number(value, "millis")?,
            seen: Tally {
                subjects: number(seen, "subjects")?,
                judged: number(seen, "judged")?,
                here: read_verdicts(seen.get("here")?)?,
                kernel: read_verdicts(seen.get("kernel")?)?,
                running: read_comparison(seen.get("running")?)?,
                guests: read_comparison(seen.get("guests")?)?,
                skipped: entries(seen, "skipped")?
                    .iter()
                    .map(|(why, count)| Some((why.clone(), count.as_u64()?)))
                    .collect::<Option<_>>()?,
                remarks: read_sorts(seen, "remarks")?,
                findings: read_sorts(seen, "findings")?,
                coverage: read_met(seen, facts)?,
            },
        })
    }
}

fn number(value: &Value, key: &str) -> Option<u64> {
    value.get(key)?.as_u64()
}

fn entries<'a>(value: &'a Value, key: &str) -> Option<&'a Map<String, Value>> {
    value.get(key)?.as_object()
}

fn verdicts(verdicts: Verdicts) -> Value {
    json!([verdicts.accepted, verdicts.rejected])
}

fn read_verdicts(value: &Value) -> Option<Verdicts> {
    Some(Verdicts {
        accepted: value.get(0)?.as_u64()?,
        rejected: value.get(1)?.as_u64()?,
    })
}

fn comparison(of: &Comparison) -> Value {
    json!({
        "programs": of.programs,
        "here": verdicts(of.here),
        "kernel": verdicts(of.kernel),
        "counted": of.counted,
        "same_insns": of.same_insns,
        "same_figures": of.same_figures,
    })
}

fn read_comparison(value: &Value) -> Option<Comparison> {
    Some(Comparison {
        programs: number(value, "programs")?,
        here: read_verdicts(value.get("here")?)?,
        kernel: read_verdicts(value.get("kernel")?)?,
        counted: number(value, "counted")?,
        same_insns: number(value, "same_insns")?,
        same_figures: number(value, "same_figures")?,
    })
}

fn sorts(sorts: &BTreeMap<String, Sort>) -> Value {
    let each = sorts.iter();
    each.map(|(kind, sort)| (kind.clone(), json!([sort.count, sort.seed, sort.text])))
        .collect::<Map<_, _>>()
        .into()
}

fn read_sorts(seen: &Value, key: &str) -> Option<BTreeMap<String, Sort>> {
    let each = entries(seen, key)?.iter();
    each.map(|(kind, sort)| {
        let sort = Sort {
            count: sort.get(0)?.as_u64()?,
            seed: sort.get(1)?.as_u64()?,
            text: sort.get(2)?.as_str()?.to_owned(),
        };
        Some((kind.clone(), sort))
    })
    .collect()
}

fn met(coverage: &Coverage) -> Value {
    let mut kinds: Vec<Map<String, Value>> = KINDS.iter().map(|_| Map::new()).collect();
    for (mark, count, seed) in coverage.met() {
        if let Some(kind) = kinds.get_mut(mark.kind()) {
            kind.insert(mark.name(), json!([count, seed]));
        }
    }
    let named = KINDS.iter().zip(kinds);
    named
        .map(|(kind, marks)| ((*kind).to_owned(), marks.into()))
        .collect::<Map<_, _>>()
        .into()
}

fn read_met(seen: &Value, facts: &Facts) -> Option<Coverage> {
    let opcodes = (0..=u8::MAX).map(Mark::Opcode);
    let all = Mark::all(facts).into_iter().chain(opcodes);
    let known: BTreeMap<(usize, String), Mark> =
        all.map(|mark| ((mark.kind(), mark.name()), mark)).collect();
    let kinds = entries(seen, "met")?;
    let mut coverage = Coverage::default();
    for (at, kind) in KINDS.iter().enumerate() {
        for (name, met) in kinds.get(*kind)?.as_object()? {
            // What this build does not know any more is left out.
            if let Some(mark) = known.get(&(at, name.clone())) {
                coverage.restore(*mark, met.get(0)?.as_u64()?, met.get(1)?.as_u64()?);
            }
        }
    }
    Some(coverage)
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::Arc;

    use skep_fuzz::campaign::batch;
    use skep_fuzz::{Bench, Oracle};
    use skep_spec::Profile;

    #[test]
    fn a_state_comes_back_as_it_was() {
        let bench = Bench::new(Arc::new(Facts::new(Profile::linux_6_18())));
        let mut seen = batch(Oracle::AcceptedNeverTraps, &bench, 1, 0..60);
        seen.skipped.insert("why".to_owned(), 3);
        seen.running.same_insns = 7;
        seen.guests.kernel.rejected = 9;
        let sort = |count| Sort {
            count,
            seed: u64::MAX,
            text: "a \"text\"\n".to_owned(),
        };
        seen.remarks.insert("remark".to_owned(), sort(1));
        seen.findings.insert("finding".to_owned(), sort(2));
        let state = State {
            subjects: "live".to_owned(),
            next: 60,
            millis: 12,
            seen,
        };
        assert!(state.seen.coverage.counts().iter().sum::<usize>() > 20);
        let text = state.to_json().to_string();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(State::from_json(&value, bench.facts()), Some(state));
    }

    #[test]
    fn another_file_is_no_state() {
        let facts = Facts::new(Profile::linux_6_18());
        assert_eq!(State::from_json(&json!({"next": 1}), &facts), None);
        assert_eq!(State::from_json(&json!(12), &facts), None);
    }
}
