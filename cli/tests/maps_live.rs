//! The map commands of the simulated kernel against those of the running one: the same random sequences
//! of updates, deletions, lookups and walks, results and error numbers equal each time.
//!
//! Maps are created and thrown away; nothing is attached or pinned. Without a kernel that answers, the
//! test says what it skipped.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a test that skips says so")]

#[path = "support/packets.rs"]
mod packets;

use std::collections::BTreeMap;
use std::sync::Arc;

use packets::Packets;
use skep_kernel::{Kernel, LiveMap};
use skep_sim::{Config, MapId, Sim};
use skep_spec::{MapFlags, MapSpec, MapType};

/// Operations per map.
const STEPS: usize = 400;

fn kernel() -> Option<Kernel> {
    match Kernel::open() {
        Ok(kernel) if kernel.version().at_least(6, 18) => Some(kernel),
        Ok(kernel) => {
            eprintln!("skipped: the running kernel is {}", kernel.release());
            None
        }
        Err(why) => {
            eprintln!("skipped: {why}");
            None
        }
    }
}

/// The maps that need nothing but numbers.
fn specs() -> Vec<MapSpec> {
    let map = |ty: MapType, key, value, max| MapSpec::new(ty.name(), ty, key, value, max);
    let flagged = |spec: MapSpec, flags| MapSpec { flags, ..spec };
    vec![
        map(MapType::Array, 4, 12, 5),
        map(MapType::PercpuArray, 4, 12, 5),
        map(MapType::Hash, 4, 12, 5),
        flagged(map(MapType::Hash, 3, 8, 5), MapFlags::NO_PREALLOC),
        map(MapType::PercpuHash, 4, 8, 5),
        flagged(map(MapType::LpmTrie, 8, 4, 6), MapFlags::NO_PREALLOC),
        map(MapType::Queue, 0, 8, 4),
        map(MapType::Stack, 0, 8, 4),
        map(MapType::Devmap, 4, 4, 4),
        map(MapType::DevmapHash, 4, 4, 4),
        map(MapType::Cpumap, 4, 4, 4),
        map(MapType::StackTrace, 4, 16, 4),
        map(MapType::PerfEventArray, 4, 4, 2),
        map(MapType::Xskmap, 4, 4, 4),
        map(MapType::Sockmap, 4, 8, 4),
        map(MapType::Sockhash, 4, 8, 4),
        map(MapType::ReuseportSockarray, 4, 8, 4),
    ]
}

/// A key from a small space.
fn key(spec: &MapSpec, noise: &mut Packets) -> Vec<u8> {
    let mut key = vec![0; spec.key_size as usize];
    if spec.ty == MapType::LpmTrie {
        key[0] = noise.below(34) as u8;
        key[4] = [0, 0x80, 0xc0, 0xff][noise.below(4)];
        key[5] = [0, 1][noise.below(2)];
    } else if let Some(first) = key.first_mut() {
        *first = noise.below(8) as u8;
    }
    key
}

/// A value that both kernels take: devices and queues that exist.
fn value(spec: &MapSpec, noise: &mut Packets, bytes: usize) -> Vec<u8> {
    let mut value = vec![0; bytes];
    let is = |types: &[MapType]| types.contains(&spec.ty);
    if is(&[MapType::Devmap, MapType::DevmapHash]) {
        // The only device that is sure to be there, or none.
        value[0] = noise.below(2) as u8;
    } else if is(&[MapType::Cpumap]) {
        value[1] = [0, 1, 0x80][noise.below(3)];
    } else if is(&[
        MapType::Sockmap,
        MapType::Sockhash,
        MapType::ReuseportSockarray,
    ]) {
        // No file has such a number.
        value.fill(0xff);
    } else {
        let byte = noise.below(256) as u8;
        value.fill(byte);
        // What a per-CPU value is padded with is kept by nobody in particular.
        if value.len() > spec.value_size as usize {
            let step = (spec.value_size as usize).next_multiple_of(8);
            for part in value.chunks_mut(step) {
                part[spec.value_size as usize..].fill(0);
            }
        }
    }
    value
}

/// Whether updates reach a map of these without files.
fn may_update(ty: MapType) -> bool {
    !matches!(ty, MapType::PerfEventArray | MapType::Xskmap)
}

fn outcome<T: std::fmt::Debug, E: ToString>(result: Result<T, E>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(errno) => errno.to_string(),
    }
}

/// One random operation on both sides, as text: what it was, ours, theirs.
fn step(sim: &mut Sim, live: &LiveMap, spec: &MapSpec, noise: &mut Packets) -> [String; 3] {
    const ID: MapId = MapId(0);
    let key = key(spec, noise);
    match noise.below(8) {
        0..=3 if may_update(spec.ty) => {
            let flags = [0, 0, 0, 1, 2, 3, 4, 8][noise.below(8)];
            let value = value(spec, noise, live.value_bytes());
            [
                format!("update {key:?} {value:?} {flags}"),
                outcome(sim.map_update(ID, &key, &value, flags)),
                outcome(live.update(&key, &value, flags)),
            ]
        }
        // Loaders open an event per CPU before anything runs, and so does the simulated kernel.
        0..=6 if spec.ty == MapType::PerfEventArray => [
            format!("lookup {key:?}"),
            outcome(sim.map_lookup(ID, &key)),
            outcome(live.lookup(&key)),
        ],
        0..=4 => [
            format!("delete {key:?}"),
            outcome(sim.map_delete(ID, &key)),
            outcome(live.delete(&key)),
        ],
        5 | 6 => [
            format!("lookup {key:?}"),
            outcome(sim.map_lookup(ID, &key)),
            outcome(live.lookup(&key)),
        ],
        _ => {
            // Where the order of keys is the kernel's own, only the first question can be compared.
            let ordered = matches!(
                spec.ty,
                MapType::Array
                    | MapType::PercpuArray
                    | MapType::Devmap
                    | MapType::Cpumap
                    | MapType::Xskmap
                    | MapType::Sockmap
                    | MapType::ReuseportSockarray
                    | MapType::PerfEventArray
            );
            let ours = sim.map_next_key(ID, ordered.then_some(&*key));
            let theirs = live.next_key(ordered.then_some(&*key));
            let theirs = match theirs {
                Ok(None) => "ENOENT".to_owned(),
                Ok(Some(key)) if ordered => format!("{key:?}"),
                Ok(Some(_)) => "a key".to_owned(),
                Err(errno) => errno.to_string(),
            };
            let ours = match ours {
                Ok(_) if !ordered => "a key".to_owned(),
                ours => outcome(ours),
            };
            [format!("next key of {key:?}"), ours, theirs]
        }
    }
}

/// All entries of both sides.
fn entries(sim: &mut Sim, live: &LiveMap) -> Option<[BTreeMap<Vec<u8>, Vec<u8>>; 2]> {
    let ours = sim.map_entries(MapId(0)).ok()?;
    let theirs = live.entries(64).ok()?;
    Some([
        ours.into_iter().map(|e| (e.key, e.value)).collect(),
        theirs.into_iter().collect(),
    ])
}

#[test]
fn map_commands_answer_as_in_the_kernel() {
    let Some(kernel) = kernel() else { return };
    let mut faults = Vec::new();
    let mut compared = 0;
    for spec in specs() {
        let spec = Arc::new(spec);
        let live = match kernel.create_map(&spec) {
            Ok(live) => live,
            Err(why) => {
                eprintln!("skipped: {}: {why}", spec.ty);
                continue;
            }
        };
        let config = Config {
            cpus: kernel.cpus() as u32,
            ..Config::default()
        };
        let mut sim = Sim::with_config(config, &[Arc::clone(&spec)]).unwrap();
        let mut noise = Packets::new(spec.ty.name());
        for n in 0..STEPS {
            let [what, ours, theirs] = step(&mut sim, &live, &spec, &mut noise);
            compared += 1;
            if ours != theirs {
                faults.push(format!("{} #{n} {what}: {ours}, kernel {theirs}", spec.ty));
                break;
            }
        }
        if let Some([ours, theirs]) = entries(&mut sim, &live)
            && spec.key_size != 0
            && ours != theirs
        {
            faults.push(format!("{}: {ours:?}, kernel {theirs:?}", spec.ty));
        }
    }
    eprintln!("{compared} map commands: as in the kernel");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(compared > 5000, "only {compared} commands were compared");
}

/// Requests at the edges of what each type takes: accepted or refused alike, with the same error.
#[test]
fn maps_are_made_and_refused_as_in_the_kernel() {
    let Some(kernel) = kernel() else { return };
    let mut faults = Vec::new();
    let mut compared = 0;
    let sizes = [0, 4, 5, 8, 16, 260, 513];
    let entries = [0, 1, 4096];
    let flags = [
        MapFlags::empty(),
        MapFlags::NO_PREALLOC,
        MapFlags::RDONLY_PROG,
        MapFlags::RDONLY_PROG.union(MapFlags::WRONLY_PROG),
        MapFlags::ZERO_SEED,
    ];
    let skipped = [
        // What needs types, other maps, or is put right on the way to the kernel.
        MapType::Unspec,
        MapType::ArrayOfMaps,
        MapType::HashOfMaps,
        MapType::StructOps,
        MapType::SkStorage,
        MapType::InodeStorage,
        MapType::TaskStorage,
        MapType::CgrpStorage,
        MapType::Ringbuf,
        MapType::UserRingbuf,
        MapType::Arena,
        MapType::Devmap,
        MapType::DevmapHash,
        MapType::PerfEventArray,
    ];
    for ty in MapType::all().filter(|ty| !skipped.contains(ty)) {
        for (key, value) in sizes
            .iter()
            .flat_map(|k| sizes.iter().map(move |v| (*k, *v)))
        {
            for (max, flags) in entries
                .iter()
                .flat_map(|m| flags.iter().map(move |f| (*m, *f)))
            {
                let spec = Arc::new(MapSpec {
                    flags,
                    ..MapSpec::new("edge", ty, key, value, max)
                });
                let ours = Sim::new(&[Arc::clone(&spec)])
                    .map(drop)
                    .map_err(|e| e.errno);
                let theirs = kernel.create_map(&spec).map(drop).map_err(|e| e.errno);
                compared += 1;
                let (ours, theirs) = (outcome(ours), outcome(theirs));
                if ours != theirs {
                    faults.push(format!(
                        "{ty} {key}/{value}/{max} {flags:?}: {ours}, kernel {theirs}"
                    ));
                }
            }
        }
    }
    eprintln!("{compared} requests: as in the kernel");
    faults.truncate(40);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
