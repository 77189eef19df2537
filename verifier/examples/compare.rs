//! Compares verdicts, counts and messages with a kernel's answers to the same captured requests.
//!
//! `compare REQUESTS.jsonl ANSWERS.jsonl BTF_DIR VMLINUX.btf [SUBSTRING] [--log LEVEL] [--kernel VERSION]`: the answers are
//! one JSON object a line with `id`, `answer`, `errno`, `last_message`, `total_insns`, `total_states`,
//! `peak_states` and `max_states_per_insn`.
#![allow(clippy::print_stdout, reason = "it is a command")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use skep_corpus::{BtfStore, RequestReader, read_btf};
use skep_spec::{Facts, Profile};
use skep_verifier::report::{self, Log};
use skep_verifier::{Config, Verdict, verify};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let mut level = 0;
    if let Some(at) = args.iter().position(|a| a == "--log") {
        level = args.get(at + 1).ok_or("--log LEVEL")?.parse()?;
        args.drain(at..at + 2);
    }
    let mut profile = Profile::linux_6_18_44();
    if let Some(at) = args.iter().position(|a| a == "--kernel") {
        let version = args.get(at + 1).ok_or("--kernel VERSION")?.parse()?;
        profile = Profile::built_in(version).ok_or("no such kernel is known")?;
        args.drain(at..at + 2);
    }
    let [requests, answers, dir, vmlinux, rest @ ..] = args.as_slice() else {
        return Err(
            "compare REQUESTS ANSWERS BTF_DIR VMLINUX.btf [SUBSTRING] [--log LEVEL]".into(),
        );
    };
    let want = rest.first().map_or("", String::as_str);
    let store = BtfStore::open(Path::new(dir))?;
    let btf = Arc::new(read_btf(Path::new(vmlinux))?);
    let facts = Facts::new(profile.with_btf(btf));
    let mut known = BTreeMap::new();
    for line in std::fs::read_to_string(answers)?.lines() {
        let row: serde_json::Value = serde_json::from_str(line)?;
        known.insert(row["id"].as_str().unwrap_or("").to_owned(), row);
    }
    let mut totals: BTreeMap<String, usize> = BTreeMap::new();
    let mut add = |key: &str| *totals.entry(key.to_owned()).or_default() += 1;
    let mut ratios = Vec::new();
    for request in RequestReader::open(Path::new(requests), &store)? {
        let request = request?;
        let Some(row) = known.get(&request.id) else {
            continue;
        };
        if !request.id.contains(want) || row["errno"] != row["recorded_errno"] {
            continue;
        }
        let accepted = match row["answer"].as_str() {
            Some("accepted") => true,
            Some("rejected") => false,
            _ => continue,
        };
        let id = &request.id;
        let mut log = Log::new(level);
        let start = Instant::now();
        let verdict = verify(&request.spec, &facts, &Config::default(), &mut log);
        let mut us = start.elapsed().as_micros() as u64;
        for _ in 0..if us > 100 { 2 } else { 0 } {
            let start = Instant::now();
            verify(
                &request.spec,
                &facts,
                &Config::default(),
                &mut report::Silent,
            );
            us = us.min(start.elapsed().as_micros() as u64);
        }
        if level != 0 {
            println!("{}", log.text());
        }
        let n = |key: &str| row[key].as_u64().unwrap_or(0);
        if n("time_us") >= 200 && matches!(verdict, Verdict::Accepted(_)) {
            ratios.push((
                us as f64 / n("time_us") as f64,
                id.clone(),
                us,
                n("total_insns"),
            ));
        }
        match (&verdict, accepted) {
            (Verdict::Accepted(a), true) => {
                add("AA");
                let s = &a.stats;
                let insns = s.total_insns == n("total_insns");
                let states = u64::from(s.total_states) == n("total_states");
                if insns {
                    add("AA insns equal");
                }
                if states {
                    add("AA states equal");
                }
                if u64::from(s.peak_states) == n("peak_states") {
                    add("AA peak equal");
                }
                if u64::from(s.max_states_per_insn) == n("max_states_per_insn") {
                    add("AA max_states_per_insn equal");
                }
                let depths: Vec<u64> = s.stack_depths.iter().map(|&d| d.into()).collect();
                let rows = row["stack_depth"].as_array();
                let kernel = rows.map(|a| a.iter().filter_map(|v| v.as_u64()).collect());
                if kernel.as_ref() == Some(&depths) {
                    add("AA stack depth equal");
                } else {
                    println!("DEPTH {id} {depths:?} kernel {kernel:?}");
                }
                if !insns || !states {
                    println!(
                        "COUNT {id} insns {} kernel {} states {} kernel {} us {us}",
                        s.total_insns,
                        n("total_insns"),
                        s.total_states,
                        n("total_states")
                    );
                }
                if us > 200 && us > n("time_us") {
                    println!("SLOW {id} {us} us, kernel {}", n("time_us"));
                }
            }
            (Verdict::Rejected(r), false) => {
                add("AR");
                let text = report::message(&r.violation, &request.spec, &facts);
                let last = text.lines().last().unwrap_or("");
                let kernel = row["last_message"].as_str().unwrap_or("");
                if last == kernel {
                    add("AR message equal");
                } else {
                    println!("MSG {id}\n   skep   {last}\n   kernel {kernel}");
                }
            }
            (Verdict::Accepted(_), false) => {
                add("FALSE ACCEPT");
                println!(
                    "FA {id} kernel: {}",
                    row["last_message"].as_str().unwrap_or("")
                );
            }
            (Verdict::Rejected(r), true) => {
                add("FALSE REJECT");
                println!("FR {id} at {:?} {:?}", r.at, r.violation);
            }
            (Verdict::Undecided(u), _) => {
                add("undecided");
                add(&format!("undecided: {}", u.feature));
                if !want.is_empty() {
                    println!("UN {id} {u:?}");
                }
            }
        }
    }
    ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
    if let (Some(mid), Some(last)) = (ratios.get(ratios.len() / 2), ratios.last()) {
        println!(
            "TIME {} programs, median {:.3}, worst {last:?}",
            ratios.len(),
            mid.0
        );
        for row in ratios.iter().rev().take(12) {
            println!("  {row:?}");
        }
    }
    for (key, count) in totals {
        println!("{count:6} {key}");
    }
    Ok(())
}
