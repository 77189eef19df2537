//! What programs ask about the kernel's types, and which kernels have an answer.
//!
//! Questions that are the same in several places are one row; an access without answer says what
//! keeps it from being reached, or that nothing does.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value, json};
use skep_loader::{GuardedBy, MissingAccess, missing_accesses};
use skep_spec::{CoreAccess, CoreAnswer, ProgramSpec};

use super::{Inspected, print_table, table};
use crate::diagnostic::Place;
use crate::style::{DIM, UNDECIDED};

/// One question, wherever it is asked.
struct Question<'a> {
    access: &'a CoreAccess,
    /// The first place.
    first: (&'a ProgramSpec, usize),
    /// How many places ask.
    count: usize,
    /// By kernel: the answers.
    answers: Vec<String>,
}

/// The report of an object.
pub(super) fn print(out: &mut dyn Write, inspected: &Inspected) -> io::Result<()> {
    let programs = &inspected.object.programs;
    let questions = questions(inspected);
    if questions.is_empty() {
        return writeln!(out, " {DIM}no CO-RE accesses{DIM:#}");
    }
    let mut header = vec!["CO-RE ACCESS", "ASKS", "TIMES", "FIRST AT"];
    let names: Vec<_> = inspected.kernels.iter().map(|k| k.name.as_str()).collect();
    header.extend(names.iter().copied());
    let mut rows = table(&header);
    for question in &questions {
        let (program, at) = question.first;
        let mut row = vec![
            question.access.subject.clone(),
            question.access.kind.name().to_owned(),
            question.count.to_string(),
            place(program, at),
        ];
        row.extend(question.answers.iter().cloned());
        rows.add_row(row);
    }
    print_table(out, &mut rows, &[2])?;
    print_missing(out, &names, 0, programs)?;
    for (index, programs) in inspected.others.iter().enumerate() {
        print_missing(out, &names, index + 1, programs)?;
    }
    Ok(())
}

fn questions(inspected: &Inspected) -> Vec<Question<'_>> {
    let mut rows: Vec<Question<'_>> = Vec::new();
    let mut known: BTreeMap<(&str, &str, u32), usize> = BTreeMap::new();
    for (index, program) in inspected.object.programs.iter().enumerate() {
        for (at, access) in &program.core {
            let key = (access.kind.name(), access.path.as_str(), access.type_id);
            if let Some(row) = known.get(&key).and_then(|row| rows.get_mut(*row)) {
                row.count += 1;
                continue;
            }
            known.insert(key, rows.len());
            let other = |programs: &Vec<ProgramSpec>| {
                programs.get(index).and_then(|p| p.core_at(*at).cloned())
            };
            let mut answers = vec![answer(access)];
            answers.extend(inspected.others.iter().map(|programs| {
                other(programs).map_or_else(|| "?".to_owned(), |access| answer(&access))
            }));
            rows.push(Question {
                access,
                first: (program, *at),
                count: 1,
                answers,
            });
        }
    }
    rows
}

/// An answer in a few words: what it is, and what it was compiled as where that differs.
fn answer(access: &CoreAccess) -> String {
    match &access.answer {
        CoreAnswer::Unasked => "?".to_owned(),
        CoreAnswer::Missing => "missing".to_owned(),
        CoreAnswer::Failed(why) => format!("fails: {why}"),
        CoreAnswer::Found { was: _, now } if access.is_guard() => {
            if *now == 0 { "no" } else { "yes" }.to_owned()
        }
        CoreAnswer::Found { was, now } if was == now => now.to_string(),
        CoreAnswer::Found { was, now } => format!("{now} (compiled {was})"),
    }
}

/// The place of an instruction: its source line, else its number.
fn place(program: &ProgramSpec, at: usize) -> String {
    let short = |file: &str| file.rsplit('/').next().unwrap_or(file).to_owned();
    match Place::find(program, at) {
        Some(place) => format!("{}:{}", short(&place.file), place.line),
        None => format!("{} insn {at}", program.name),
    }
}

fn print_missing(
    out: &mut dyn Write,
    kernels: &[&str],
    kernel: usize,
    programs: &[ProgramSpec],
) -> io::Result<()> {
    for program in programs {
        for missing in missing_accesses(program) {
            let kernel = kernels.get(kernel).copied().unwrap_or("?");
            writeln!(
                out,
                " {UNDECIDED}missing{UNDECIDED:#} in {kernel}: {} in {} ({}), {}",
                missing.access.subject,
                program.name,
                place(program, missing.insn_idx),
                guard(program, &missing)
            )?;
        }
    }
    Ok(())
}

/// What keeps an access without answer from being reached.
fn guard(program: &ProgramSpec, missing: &MissingAccess) -> String {
    let Some(guard) = &missing.guard else {
        return "and no constant keeps it from being reached".to_owned();
    };
    let by = match &guard.by {
        GuardedBy::Core(access) => format!("{} of {}", access.kind.name(), access.subject),
        GuardedBy::Variable(name) => format!("the constant `{name}`"),
        GuardedBy::Numbers => "constants".to_owned(),
    };
    format!("guarded at {} by {by}", place(program, guard.insn_idx))
}

/// The accesses of one program, for machines.
pub(super) fn json(program: &ProgramSpec) -> Vec<Value> {
    let missing = missing_accesses(program);
    let row = |(at, access): &(usize, std::sync::Arc<CoreAccess>)| {
        let answer = match &access.answer {
            CoreAnswer::Unasked => json!({ "kind": "unasked" }),
            CoreAnswer::Missing => {
                let found = missing.iter().find(|m| m.insn_idx == *at);
                let guarded = found.filter(|m| m.guard.is_some());
                json!({ "kind": "missing", "guarded": guarded.map(|m| guard(program, m)) })
            }
            CoreAnswer::Failed(why) => json!({ "kind": "failed", "why": why }),
            CoreAnswer::Found { was, now } => {
                json!({ "kind": "found", "was": was, "now": now })
            }
        };
        json!({
            "insn_idx": at,
            "asks": access.kind.name(),
            "about": access.subject,
            "path": access.path,
            "type_id": access.type_id,
            "place": place(program, *at),
            "answer": answer,
        })
    };
    program.core.iter().map(row).collect()
}
