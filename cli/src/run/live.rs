//! `--on-kernel`: the same packets through the running kernel, from the same beginning, side by side.

use std::collections::BTreeMap;

use skep_host::maps;
use skep_kernel::RunOutcome;
use skep_sim::{Config, RunInput, RunOutput, Sim};
use skep_spec::{MapSpec, MapType, ProgType};

use crate::exit::Tally;
use crate::failure::Failure;
use crate::live::Live;
use crate::style::{BAD, DIM, GOOD};

use super::engine::Engine;
use super::{Effects, Ready, RunArgs, load, many};

/// Differences that are shown.
const MOST_SHOWN: usize = 8;
/// Entries of a map that are compared.
const MOST_ENTRIES: usize = 1 << 16;

/// Runs inputs in both places and prints whether they agree.
///
/// # Errors
/// What makes the kernel's run impossible.
pub(super) fn compare_all(
    ready: &Ready,
    inputs: &[RunInput],
    args: &RunArgs,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let live = Live::load(&ready.object, &ready.unit.spec)?;
    let (mut sim, engine, prog) = again(ready, args, &live)?;
    let ty = ready.unit.spec.ty;
    let mut differences = Vec::new();
    let mut runs = 0;
    for (number, input) in inputs.iter().enumerate() {
        for _ in 0..args.repeat {
            let here = engine.run(&mut sim, prog, input, args.max_insns, None);
            let here = here.map(|ran| ran.output).map_err(|e| e.to_string());
            let there = live.run(input)?;
            runs += 1;
            if !same(&here, &there) {
                let (here, there) = (text(ty, &here), kernel_text(ty, &there));
                differences.push(format!(
                    "packet {}: here {here}; kernel {there}",
                    number + 1
                ));
            }
        }
    }
    for map in ready
        .object
        .maps
        .iter()
        .filter(|m| live.has(m) && is_compared(m))
    {
        differences.extend(compare_map(&mut sim, &live, map));
    }
    print(&live, runs, &differences);
    tally.failed = tally.failed || !differences.is_empty();
    Ok(())
}

/// The same for one input that has just been run here: shows both results.
///
/// # Errors
/// As [`compare_all`].
pub(super) fn compare(
    ready: &Ready,
    inputs: &[RunInput],
    effects: &Effects,
    args: &RunArgs,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let ty = ready.unit.spec.ty;
    let here = text(ty, &Ok(effects.ran.output.clone()));
    anstream::println!("  {DIM}{:10}{DIM:#}  {here}", "here");
    compare_all(ready, inputs, args, tally)
}

fn print(live: &Live, runs: u64, differences: &[String]) {
    let name = format!("kernel {}", live.release());
    if differences.is_empty() {
        anstream::println!(
            "  {DIM}{name}{DIM:#}  {GOOD}the same{GOOD:#}: results, packets and maps of {runs} run{}",
            if runs == 1 { "" } else { "s" }
        );
        return;
    }
    anstream::println!("  {DIM}{name}{DIM:#}  {BAD}differs{BAD:#}");
    for line in differences.iter().take(MOST_SHOWN) {
        anstream::println!("    {line}");
    }
    if differences.len() > MOST_SHOWN {
        anstream::println!("    … and {} more", differences.len() - MOST_SHOWN);
    }
}

/// A machine at its beginning, with as many CPUs as the kernel, and the kernel's maps filled like its.
fn again(
    ready: &Ready,
    args: &RunArgs,
    live: &Live,
) -> Result<(Sim, Engine, skep_sim::ProgId), Failure> {
    let config = Config {
        seed: args.seed,
        cpus: live.cpus(),
        ..Config::default()
    };
    let made: Vec<_> = ready
        .object
        .maps
        .iter()
        .filter(|m| live.has(m))
        .cloned()
        .collect();
    let mut sim = Sim::with_config(config, &made).map_err(|e| Failure::new(e.to_string()))?;
    for setting in &args.map {
        maps::set(&mut sim, setting)?;
        let name = setting.split(['[', '=']).next().unwrap_or_default();
        let entries = sim.map(name).and_then(|id| sim.map_entries(id).ok());
        for entry in entries.unwrap_or_default() {
            let map = live.map(name);
            let set = map.map(|map| map.update(&entry.key, &entry.value, 0));
            if let Some(Err(errno)) = set {
                return Err(Failure::new(format!(
                    "--map {name}: the kernel refuses it: {errno}"
                )));
            }
        }
    }
    let mut engine = Engine::new(args.engine);
    let unit = &ready.unit;
    let prog = load(
        &mut engine,
        &mut sim,
        &ready.object,
        &unit.spec,
        &unit.kernel,
        true,
    )?;
    Ok((sim, engine, prog))
}

fn same(here: &Result<RunOutput, String>, there: &Result<RunOutcome, String>) -> bool {
    match (here, there) {
        (Ok(here), Ok(there)) => here.retval == there.retval && here.data == there.data,
        (Err(here), Err(there)) => here.ends_with(there.as_str()),
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}

fn text(ty: ProgType, result: &Result<RunOutput, String>) -> String {
    match result {
        Ok(output) => format!(
            "{}, {} bytes",
            many::verdict_text(ty, output.retval),
            output.data.len()
        ),
        Err(why) => why.clone(),
    }
}

fn kernel_text(ty: ProgType, result: &Result<RunOutcome, String>) -> String {
    match result {
        Ok(outcome) => format!(
            "{}, {} bytes",
            many::verdict_text(ty, outcome.retval),
            outcome.data.len()
        ),
        Err(why) => why.clone(),
    }
}

/// Maps whose contents user space can read in both places, and that hold no numbers of objects.
fn is_compared(map: &MapSpec) -> bool {
    matches!(
        map.ty,
        MapType::Array
            | MapType::Hash
            | MapType::PercpuArray
            | MapType::PercpuHash
            | MapType::LruHash
            | MapType::LruPercpuHash
            | MapType::LpmTrie
    )
}

fn compare_map(sim: &mut Sim, live: &Live, spec: &MapSpec) -> Option<String> {
    let here = sim
        .map(&spec.name)
        .and_then(|id| sim.map_entries(id).ok())?;
    let there = live.map(&spec.name)?.entries(MOST_ENTRIES).ok()?;
    let is_per_cpu = matches!(
        spec.ty,
        MapType::PercpuArray | MapType::PercpuHash | MapType::LruPercpuHash
    );
    // Which CPU a program runs on is the kernel's choice: what counts is what all of them have.
    let value = |bytes: Vec<u8>| {
        let mut parts: Vec<Vec<u8>> = vec![bytes];
        if is_per_cpu {
            let place = (spec.value_size as usize).next_multiple_of(8).max(8);
            parts = parts.concat().chunks(place).map(<[u8]>::to_vec).collect();
            parts.sort();
        }
        parts
    };
    let here: BTreeMap<_, _> = here.into_iter().map(|e| (e.key, value(e.value))).collect();
    let there: BTreeMap<_, _> = there.into_iter().map(|(k, v)| (k, value(v))).collect();
    if here == there {
        return None;
    }
    let differ = |key: &&Vec<u8>| here.get(*key) != there.get(*key);
    let keys = here.keys().chain(there.keys());
    let count = keys
        .filter(differ)
        .collect::<std::collections::BTreeSet<_>>()
        .len();
    Some(format!("map {}: {count} entries differ", spec.name))
}
