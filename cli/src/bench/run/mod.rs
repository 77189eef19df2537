//! `skep bench run`: one program in every engine, on the same input, in turns.
//!
//! A folder holds `obj/NAME.raw.bin` (bytecode called as `prog(memory, length)`) or `obj/NAME.xdp.o`, the
//! input `packet.bin`, the results that are right (`results.csv`) and, for the native column,
//! `progs/raw.c`. Rounds go around all engines, so that they see the same machine; the best of each
//! counts.

mod engines;
mod native;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write, stdout};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::args::Format;
use crate::exit::Tally;
use crate::failure::Failure;
use crate::style::{DIM, TITLE};
use crate::verify::finish;

use engines::Engine;

/// Rounds, of which the best counts.
const ROUNDS: usize = 25;
/// Nanoseconds that one engine gets in a round.
const ROUND_NS: f64 = 400_000.0;

/// Time programs in every engine: here, compiled natively, and in the running kernel
///
/// Times are in ns per run, each the best of many rounds that go around the engines. The kernel's are
/// those of the XDP flavour without what its empty program takes. An engine that cannot run a program has
/// no row. Exit code: 0 measured, 1 a result is wrong, 2 usage or bad input.
#[derive(Args, Debug)]
pub(super) struct BenchRunArgs {
    /// The folder with the benchmark programs
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Only programs of this name; repeatable
    #[arg(long, value_name = "NAME")]
    prog: Vec<String>,

    /// How to print the times
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What is measured: one program on one input.
pub(super) struct Case {
    pub(super) name: String,
    /// The folder.
    pub(super) folder: PathBuf,
    /// Bytecode called with memory and length.
    pub(super) raw: Option<Vec<u8>>,
    /// The object with the XDP flavour.
    pub(super) xdp: Option<Vec<u8>>,
    pub(super) packet: Vec<u8>,
    /// The result that is right.
    pub(super) expected: Option<u64>,
}

/// One engine's time for one program.
struct Row {
    engine: &'static str,
    program: String,
    ns: f64,
}

/// Runs the command.
///
/// # Errors
/// What makes it impossible.
pub(super) fn run(args: &BenchRunArgs) -> Result<Tally, Failure> {
    let cases = cases(args)?;
    let mut tally = Tally::default();
    let mut rows = Vec::new();
    for case in &cases {
        let mut engines = engines::all(case);
        for engine in &mut engines {
            match (engine.run(1), case.expected) {
                (Some((_, Some(got))), Some(want)) if got != want => {
                    tally.failed = true;
                    let what = format!(
                        "{}: {} gives {got:#x}, not {want:#x}",
                        case.name, engine.name
                    );
                    Failure::new(what).print();
                }
                (Some(_) | None, Some(_) | None) => {}
            }
        }
        rows.extend(time(case, &mut engines));
    }
    let printed = match args.format {
        Format::Csv => csv(&rows),
        Format::Json => json(&rows),
        Format::Human => human(&rows),
    };
    finish(printed, tally)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|e| Failure::of(path.display(), e))
}

fn cases(args: &BenchRunArgs) -> Result<Vec<Case>, Failure> {
    let packet = read(&args.folder.join("packet.bin"))?;
    let objects = args.folder.join("obj");
    let mut names = BTreeSet::new();
    let listing = fs::read_dir(&objects).map_err(|e| Failure::of(objects.display(), e))?;
    for entry in listing {
        let entry = entry.map_err(|e| Failure::of(objects.display(), e))?;
        let file = entry.file_name().to_string_lossy().into_owned();
        let name = file
            .strip_suffix(".raw.bin")
            .or(file.strip_suffix(".xdp.o"));
        names.extend(name.map(str::to_owned));
    }
    names.retain(|name| args.prog.is_empty() || args.prog.contains(name));
    let results = results(&args.folder)?;
    let cases = names.into_iter().map(|name| Case {
        raw: fs::read(objects.join(format!("{name}.raw.bin"))).ok(),
        xdp: fs::read(objects.join(format!("{name}.xdp.o"))).ok(),
        folder: args.folder.clone(),
        packet: packet.clone(),
        expected: results.get(&name).copied(),
        name,
    });
    Ok(cases.collect())
}

/// The results that are right, by program, where there are any.
fn results(folder: &Path) -> Result<BTreeMap<String, u64>, Failure> {
    let path = folder.join("results.csv");
    let Ok(text) = fs::read(&path) else {
        return Ok(BTreeMap::new());
    };
    let mut results = BTreeMap::new();
    for row in csv::Reader::from_reader(text.as_slice()).records() {
        let row = row.map_err(|e| Failure::of(path.display(), e))?;
        let number = row.get(2).and_then(|r0| r0.strip_prefix("0x"));
        let r0 = number.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        if let (Some(name), Some(r0)) = (row.get(0), r0) {
            results.insert(name.to_owned(), r0);
        }
    }
    Ok(results)
}

/// Goes around the engines.
fn time(case: &Case, engines: &mut [Engine]) -> Vec<Row> {
    let mut best = vec![f64::INFINITY; engines.len()];
    let mut calls = vec![1; engines.len()];
    for _ in 0..ROUNDS {
        for ((engine, best), calls) in engines.iter_mut().zip(&mut best).zip(&mut calls) {
            if let Some((ns, _)) = engine.run(*calls) {
                *best = best.min(ns);
                *calls = (ROUND_NS / ns.max(0.5)).clamp(1.0, 1e6) as u32;
            }
        }
    }
    let rows = engines.iter().zip(best).filter(|(_, ns)| ns.is_finite());
    rows.map(|(engine, ns)| Row {
        engine: engine.name,
        program: case.name.clone(),
        ns: (ns - engine.overhead).max(0.0),
    })
    .collect()
}

fn csv(rows: &[Row]) -> io::Result<()> {
    let mut out = csv::Writer::from_writer(stdout());
    out.write_record(["engine", "program", "ns"])?;
    for row in rows {
        out.write_record([row.engine, &row.program, &format!("{:.2}", row.ns)])?;
    }
    out.flush()
}

fn json(rows: &[Row]) -> io::Result<()> {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| serde_json::json!({"engine": row.engine, "program": row.program, "ns": row.ns}))
        .collect();
    let document = serde_json::json!({"schema": "skep-bench-run/1", "rows": rows});
    writeln!(stdout().lock(), "{document:#}")
}

/// A table of programs by engines.
fn human(rows: &[Row]) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    write!(out, "{TITLE}{:<10}{TITLE:#}", "ns")?;
    for engine in engines::NAMES {
        write!(out, "{TITLE}{engine:>15}{TITLE:#}")?;
    }
    writeln!(out)?;
    let names: BTreeSet<&str> = rows.iter().map(|row| row.program.as_str()).collect();
    for name in names {
        write!(out, "{name:<10}")?;
        for engine in engines::NAMES {
            let found = rows
                .iter()
                .find(|r| r.program == name && r.engine == engine);
            match found {
                Some(row) => write!(out, "{:>15.1}", row.ns)?,
                None => write!(out, "{DIM}{:>15}{DIM:#}", "–")?,
            }
        }
        writeln!(out)?;
    }
    Ok(())
}
