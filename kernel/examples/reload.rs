//! Loads captured requests again on the running kernel and compares with what was recorded.
//!
//! `reload BTF SET.jsonl [VERDICTS.csv|-] [OUT.jsonl|-] [VMLINUX]`: BTF is a folder or tar archive; each
//! answer is written to OUT as a line of JSON; VMLINUX is the BTF of the kernel that judged the set, if
//! that is another build than the running one. Nothing is attached or run, and it stops if the kernel
//! becomes tainted.

#![expect(clippy::print_stdout, reason = "a command for people")]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use skep_btf::Btf;
use skep_corpus::recorded::{RecordedProgram, read_set};
use skep_corpus::{BtfStore, Recorded, Request, RequestReader, read_btf};
use skep_kernel::{
    Answer, Errno, Kernel, LoadOptions, LoadOutcome, NotJudged, rebase, tainted, vmlinux_btf,
};

#[derive(Default)]
struct Tally {
    judged: u32,
    same_errno: u32,
    same_verdict: u32,
    not_judged: u32,
    figures: u32,
    same_insns: u32,
    same_figures: u32,
    messages: u32,
    same_message: u32,
    time: Duration,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (btf, set) = match args.as_slice() {
        [btf, set, ..] => (btf, set),
        _ => {
            return Err(
                "usage: reload BTF SET.jsonl [VERDICTS.csv|-] [OUT.jsonl|-] [VMLINUX]".into(),
            );
        }
    };
    let recorded = match args.get(2).map(String::as_str) {
        None | Some("-") => Vec::new(),
        Some(path) => read_set(Path::new(path))?,
    };
    let table: BTreeMap<(&str, &str), &RecordedProgram> = recorded
        .iter()
        .map(|r| ((r.file.as_str(), r.program.as_str()), r))
        .collect();
    let mut out = match args.get(3).filter(|a| *a != "-") {
        Some(path) => Some(BufWriter::new(std::fs::File::create(path)?)),
        None => None,
    };
    let kernel = Kernel::open()?;
    let store = BtfStore::open(Path::new(btf))?;
    let move_from = match args.get(4) {
        Some(path) => Some((read_btf(Path::new(path))?, Btf::parse(vmlinux_btf()?)?)),
        None => None,
    };
    let mut tally = Tally::default();
    let taint = tainted();
    for request in RequestReader::open(Path::new(set), &store)? {
        let mut request = request?;
        if let Some((from, to)) = &move_from {
            match rebase(&request.spec, from, to) {
                Ok(spec) => request.spec = spec,
                Err(e) => println!("{}: {e}", request.id),
            }
        }
        let start = Instant::now();
        let outcome = kernel.load(&request.spec, &LoadOptions::default());
        tally.time += start.elapsed();
        if tainted() != taint {
            return Err(format!("the kernel became tainted by {}", request.id).into());
        }
        if let Some(out) = &mut out {
            serde_json::to_writer(&mut *out, &line(&request, &outcome, &kernel))?;
            out.write_all(b"\n")?;
        }
        let row = table.get(&(request.file.as_str(), request.prog.as_str()));
        compare(&mut tally, &request, &outcome, row.copied());
    }
    print(&tally, set);
    Ok(())
}

fn errno_of(outcome: &LoadOutcome) -> i64 {
    outcome.errno.map_or(0, |Errno(n)| i64::from(n))
}

fn line(request: &Request, outcome: &LoadOutcome, kernel: &Kernel) -> serde_json::Value {
    let (answer, reason) = match &outcome.answer {
        Answer::Accepted => ("accepted", None),
        Answer::Rejected => ("rejected", None),
        Answer::NotJudged(reason) => ("not-judged", Some(reason.to_string())),
    };
    let map = |f: fn(&skep_kernel::log::Stats) -> u64| outcome.stats.as_ref().map(f);
    // The same once more without the path, whose lines could be taken for messages.
    let quiet = kernel.load(&request.spec, &LoadOptions::quiet());
    json!({
        "id": request.id,
        "answer": answer,
        "reason": reason,
        "errno": errno_of(outcome),
        "last_message": outcome.message,
        "last_message_level4": quiet.message,
        "total_insns": map(|s| s.total_insns),
        "total_states": map(|s| s.total_states),
        "peak_states": map(|s| s.peak_states),
        "max_states_per_insn": map(|s| s.max_states_per_insn),
        "stack_depth": outcome.stats.as_ref().and_then(|s| s.stack_depth.clone()),
        "time_us": outcome.stats.as_ref().and_then(|s| s.time_us),
        "recorded_verdict": request.verdict.map(Recorded::name),
        "recorded_errno": request.errno,
    })
}

fn compare(
    tally: &mut Tally,
    request: &Request,
    outcome: &LoadOutcome,
    row: Option<&RecordedProgram>,
) {
    if !matches!(request.verdict, Some(Recorded::Success | Recorded::Failure)) {
        tally.not_judged += 1;
        if !matches!(outcome.answer, Answer::NotJudged(_)) {
            println!(
                "{}: recorded without verdict, now {:?}",
                request.id, outcome.answer
            );
        }
        return;
    }
    tally.judged += 1;
    if request.errno.map(i64::from) == Some(errno_of(outcome)) {
        tally.same_errno += 1;
    } else {
        let now = match &outcome.answer {
            Answer::NotJudged(NotJudged::Map(error)) => error.to_string(),
            answer @ (Answer::Accepted | Answer::Rejected | Answer::NotJudged(_)) => {
                format!("{answer:?} {}", outcome.message)
            }
        };
        println!(
            "{}: errno {:?}, now {}: {now}",
            request.id,
            request.errno,
            errno_of(outcome)
        );
    }
    let accepted = request.verdict == Some(Recorded::Success);
    tally.same_verdict += u32::from(
        outcome.answer
            == if accepted {
                Answer::Accepted
            } else {
                Answer::Rejected
            },
    );
    // A program that was loaded several times has one row.
    let Some(row) = row.filter(|r| Some(r.verdict) == request.verdict) else {
        return;
    };
    if let (true, Some(insns), Some(stats)) = (accepted, row.total_insns, &outcome.stats) {
        tally.figures += 1;
        tally.same_insns += u32::from(insns == stats.total_insns);
        let depth = stats.stack_depth.as_deref().unwrap_or_default();
        let depth: Vec<String> = depth.iter().map(u32::to_string).collect();
        let same = (row.total_states, row.peak_states, row.max_states_per_insn)
            == (
                Some(stats.total_states),
                Some(stats.peak_states),
                Some(stats.max_states_per_insn),
            )
            && row.stack_depth == depth.join("+");
        tally.same_figures += u32::from(same);
        if insns != stats.total_insns || !same {
            println!("{}: recorded {row:?}, now {stats:?}", request.id);
        }
    }
    if !accepted {
        tally.messages += 1;
        if row.message == outcome.message {
            tally.same_message += 1;
        } else {
            println!(
                "{}: message `{}`, now `{}`",
                request.id, row.message, outcome.message
            );
        }
    }
}

fn print(tally: &Tally, set: &str) {
    println!(
        "{set}: {} judged: errno same {}, verdict same {}; {} without verdict",
        tally.judged, tally.same_errno, tally.same_verdict, tally.not_judged
    );
    println!(
        "  of {} accepted with figures: insns same {}, states and stack same {}; \
         of {} rejected: message same {}; {:.1} s",
        tally.figures,
        tally.same_insns,
        tally.same_figures,
        tally.messages,
        tally.same_message,
        tally.time.as_secs_f64()
    );
}
