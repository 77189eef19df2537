//! `skep bench run`: one program in every engine, on the same input, in turns.
//!
//! A folder holds `obj/NAME.raw.bin` (bytecode called as `prog(memory, length)`) or `obj/NAME.xdp.o`, the
//! input `packet.bin`, the results that are right (`results.csv`) and, for the native column,
//! `progs/raw.c`. Rounds go around all engines, so that they see the same machine; the median of
//! each counts.

mod engines;
mod native;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write, stdout};
use std::path::{Path, PathBuf};

use clap::Args;
use skep_isa::{RawInsn, class, opcode};

use crate::args::Format;
use crate::exit::Tally;
use crate::failure::Failure;
use crate::style::{DIM, TITLE};
use crate::verify::finish;

use engines::Engine;

/// Rounds, of which the median counts.
const ROUNDS: usize = 25;
/// In how many of them programs are compiled, far apart, so that one bad moment does not decide.
const SITTINGS: usize = 5;
/// Nanoseconds that one engine gets in a round.
const ROUND_NS: f64 = 400_000.0;

/// Time programs in every engine: here, compiled natively, and in the running kernel
///
/// Times are in ns per run, each the median of many rounds that go around the engines. The kernel's are
/// those of the XDP flavour without what its empty program takes. An engine that cannot run a program has
/// no row. Compiling is given in µs per 1,000 instructions, where no verification is part of it. Exit code: 0 measured, 1 a result is wrong, 2 usage or bad input.
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
    /// The same with an instruction before it that sets the length, for an engine that gives none.
    pub(super) with_length: Option<Vec<u8>>,
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
    /// µs of compiling per 1,000 slots.
    compile: Option<f64>,
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
    let length = i32::try_from(packet.len()).unwrap_or(i32::MAX);
    let set_length = RawInsn::new(class::ALU64 | opcode::MOV, 2, 0, 0, length).to_le_bytes();
    let raw = |name: &str| fs::read(objects.join(format!("{name}.raw.bin"))).ok();
    let cases = names.into_iter().map(|name| Case {
        raw: raw(&name),
        with_length: raw(&name).map(|code| [&set_length[..], &code].concat()),
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

/// The middle one, if there is any.
pub(super) fn median(mut times: Vec<f64>) -> Option<f64> {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

/// Goes around the engines.
fn time(case: &Case, engines: &mut [Engine]) -> Vec<Row> {
    let mut times = vec![Vec::with_capacity(ROUNDS); engines.len()];
    let mut compiled = vec![Vec::with_capacity(SITTINGS); engines.len()];
    let mut calls = vec![1; engines.len()];
    for round in 0..ROUNDS {
        if round % (ROUNDS / SITTINGS) == 0 {
            for (engine, compiled) in engines.iter_mut().zip(&mut compiled) {
                compiled.extend(engine.compile());
            }
        }
        for ((engine, times), calls) in engines.iter_mut().zip(&mut times).zip(&mut calls) {
            if let Some((ns, _)) = engine.run(*calls) {
                times.push(ns);
                *calls = (ROUND_NS / ns.max(0.5)).clamp(1.0, 1e6) as u32;
            }
        }
    }
    let slots = case.raw.as_ref().map_or(0, Vec::len) as f64 / RawInsn::BYTES as f64;
    let rows = engines.iter().zip(times).zip(compiled);
    rows.filter_map(|((engine, times), compiled)| Some((engine, median(times)?, compiled)))
        .map(|(engine, ns, compiled)| Row {
            compile: median(compiled).map(|ns| ns / slots),
            engine: engine.name,
            program: case.name.clone(),
            ns: (ns - engine.overhead).max(0.0),
        })
        .collect()
}

fn csv(rows: &[Row]) -> io::Result<()> {
    let mut out = csv::Writer::from_writer(stdout());
    out.write_record(["engine", "program", "ns", "compile_us_per_1000"])?;
    for row in rows {
        let compile = row.compile.map_or(String::new(), |us| format!("{us:.2}"));
        out.write_record([
            row.engine,
            &row.program,
            &format!("{:.2}", row.ns),
            &compile,
        ])?;
    }
    out.flush()
}

fn json(rows: &[Row]) -> io::Result<()> {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            serde_json::json!({
                "engine": row.engine, "program": row.program, "ns": row.ns,
                "compile_us_per_1000": row.compile,
            })
        })
        .collect();
    let document = serde_json::json!({"schema": "skep-bench-run/1", "rows": rows});
    writeln!(stdout().lock(), "{document:#}")
}

/// Tables of programs by engines.
fn human(rows: &[Row]) -> io::Result<()> {
    let compiled: Vec<_> = engines::NAMES
        .into_iter()
        .filter(|engine| {
            rows.iter()
                .any(|r| r.engine == *engine && r.compile.is_some())
        })
        .collect();
    let mut out = anstream::stdout().lock();
    table(&mut out, "ns", rows, &engines::NAMES, |row| Some(row.ns))?;
    if compiled.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let title = "compile, µs per 1,000 instructions";
    writeln!(out, "{DIM}{title}{DIM:#}")?;
    table(&mut out, "", rows, &compiled, |row| row.compile)
}

fn table(
    out: &mut impl Write,
    title: &str,
    rows: &[Row],
    names: &[&str],
    value: impl Fn(&Row) -> Option<f64>,
) -> io::Result<()> {
    write!(out, "{TITLE}{title:<10}{TITLE:#}")?;
    for engine in names {
        write!(out, "{TITLE}{engine:>15}{TITLE:#}")?;
    }
    writeln!(out)?;
    let has_value = |row: &&Row| value(row).is_some();
    let programs: BTreeSet<&str> = rows
        .iter()
        .filter(has_value)
        .map(|row| row.program.as_str())
        .collect();
    for program in programs {
        write!(out, "{program:<10}")?;
        for engine in names {
            let found = rows
                .iter()
                .find(|r| r.program == program && r.engine == *engine);
            match found.and_then(&value) {
                Some(value) => write!(out, "{value:>15.1}")?,
                None => write!(out, "{DIM}{:>15}{DIM:#}", "–")?,
            }
        }
        writeln!(out)?;
    }
    Ok(())
}
