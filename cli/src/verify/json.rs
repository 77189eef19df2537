//! Verdicts as one JSON document, written as it grows.
//!
//! `{"schema": "skep.verify/1", "programs": […], "errors": […], "summary": {…}}`. Keys are added
//! within a version of the schema; removed or given another meaning only with the next.

use std::io::{self, BufWriter, Stdout, Write, stdout};

use serde_json::{Map, Value, json};
use skep_verifier::report::{Explanation, PathStep, StepKind};

use super::judge::{Judgement, Outcome};
use super::{Failure, Report};
use crate::diagnostic::Place;

/// Writes to stdout.
pub(super) struct Json {
    out: BufWriter<Stdout>,
    accepted: usize,
    rejected: usize,
    undecided: usize,
    errors: Vec<Value>,
}

impl Json {
    /// Nothing written yet.
    pub(super) fn new() -> Json {
        Json {
            out: BufWriter::new(stdout()),
            accepted: 0,
            rejected: 0,
            undecided: 0,
            errors: Vec::new(),
        }
    }

    fn programs(&self) -> usize {
        self.accepted + self.rejected + self.undecided
    }

    fn open(&mut self) -> io::Result<()> {
        write!(self.out, "{{\"schema\":\"skep.verify/1\",\"programs\":[")
    }
}

impl Report for Json {
    fn outcome(&mut self, outcome: &Outcome) -> io::Result<()> {
        if self.programs() == 0 {
            self.open()?;
        } else {
            write!(self.out, ",")?;
        }
        match outcome.judgement {
            Judgement::Accepted(_) => self.accepted += 1,
            Judgement::Rejected(_) => self.rejected += 1,
            Judgement::Undecided { .. } => self.undecided += 1,
        }
        writeln!(self.out)?;
        serde_json::to_writer(&mut self.out, &row(outcome))?;
        Ok(())
    }

    fn failure(&mut self, failure: &Failure) -> io::Result<()> {
        self.errors
            .push(json!({ "message": failure.what, "help": failure.help }));
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.programs() == 0 {
            self.open()?;
        }
        let summary = json!({
            "accepted": self.accepted,
            "rejected": self.rejected,
            "undecided": self.undecided,
            "errors": self.errors.len(),
        });
        let errors = Value::Array(std::mem::take(&mut self.errors));
        writeln!(self.out, "\n],\"errors\":{errors},\"summary\":{summary}}}")?;
        self.out.flush()
    }
}

fn row(outcome: &Outcome) -> Value {
    let unit = &outcome.unit;
    let mut row = Map::new();
    let mut put = |key: &str, value: Value| row.insert(key.to_owned(), value);
    put("file_name", unit.file.as_str().into());
    put("prog_name", unit.prog.as_str().into());
    put("prog_type", unit.spec.ty.name().into());
    put("kernel", unit.kernel.name.as_str().into());
    put("verdict", outcome.judgement.word().into());
    put(
        "duration",
        outcome
            .duration
            .as_micros()
            .try_into()
            .unwrap_or(u64::MAX)
            .into(),
    );
    if let Some(stats) = outcome.judgement.stats() {
        put("total_insns", stats.total_insns.into());
        put("total_states", stats.total_states.into());
        put("peak_states", stats.peak_states.into());
        put("max_states_per_insn", stats.max_states_per_insn.into());
        put("stack_depths", stats.stack_depths.clone().into());
    }
    put("message", outcome.judgement.message().into());
    let at = match &outcome.judgement {
        Judgement::Accepted(_) => None,
        Judgement::Rejected(refusal) => refusal.at(),
        Judgement::Undecided { at, .. } => *at,
    };
    if let Some(at) = at {
        put("insn_idx", at.into());
        put("insn", crate::diagnostic::insn_text(unit, at).into());
        if let Some(place) = Place::find(&unit.spec, at) {
            put(
                "source",
                json!({
                    "file": place.file,
                    "line": place.line,
                    "column": place.column,
                    "text": place.text,
                }),
            );
        }
    }
    if let Judgement::Rejected(refusal) = &outcome.judgement {
        let path: Vec<_> = refusal.explanation.path.iter().map(step).collect();
        put("path", path.into());
        put("explanation", explanation(&refusal.explanation));
    }
    if !outcome.log.is_empty() {
        put("log", outcome.log.as_str().into());
    }
    Value::Object(row)
}

/// A step of the way to the fault.
fn step(step: &PathStep) -> Value {
    let kind = match step.kind {
        StepKind::Taken => "branch-taken",
        StepKind::NotTaken => "branch-not-taken",
        StepKind::Call => "call",
        StepKind::Return => "return",
        StepKind::Jump => "jump",
    };
    json!({
        "kind": kind,
        "insn_idx": step.insn.idx,
        "to": step.to,
        "line": step.insn.source.as_ref().map(|source| source.line),
    })
}

/// What is wrong, what helps, and the way there, for people's tools.
fn explanation(told: &Explanation) -> Value {
    let regs: Map<String, Value> = told
        .regs
        .iter()
        .map(|r| {
            (
                r.reg.to_string(),
                json!({ "value": r.value, "meaning": r.meaning }),
            )
        })
        .collect();
    json!({
        "category": told.category.name(),
        "what": told.what,
        "hint": told.hint,
        "message": told.message,
        "regs": regs,
    })
}
