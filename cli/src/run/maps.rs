//! Contents of maps before and after a run, and what `--map` puts into them.

use std::collections::BTreeMap;
use std::sync::Arc;

use skep_sim::{Entry, MapId, Sim};
use skep_spec::{Facts, MapSpec, MapType, ObjectSpec, ProgramSpec};

use crate::failure::Failure;

use super::parse::{Setting, fits, hex_bytes, number};

/// The maps of an object that a run needs: those of the program, and whichever others can be made. Some
/// have no size until the tool that loads them gives them one.
pub(super) fn usable(
    object: &ObjectSpec,
    program: &ProgramSpec,
    facts: &Facts,
) -> Vec<Arc<MapSpec>> {
    let needed = |map: &Arc<MapSpec>| program.maps.iter().any(|m| m.name == map.name);
    let maps = object.maps.iter();
    maps.filter(|map| needed(map) || facts.check_map(map).is_ok())
        .cloned()
        .collect()
}

/// Bytes of contents that are compared; larger maps are left out.
const MOST_BYTES: u64 = 64 << 20;

/// A changed entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct EntryChange {
    /// The key.
    pub(super) key: Vec<u8>,
    /// The value before, if there was one.
    pub(super) old: Option<Vec<u8>>,
    /// The value now, if there is one.
    pub(super) new: Option<Vec<u8>>,
}

/// What a run changed in a map.
#[derive(Clone, Debug)]
pub(super) struct MapChange {
    /// The map.
    pub(super) spec: Arc<MapSpec>,
    /// Its changed entries, by key.
    pub(super) entries: Vec<EntryChange>,
    /// Records in its ring buffer, or values in its queue.
    pub(super) records: Vec<Vec<u8>>,
    /// CPUs that have a value of their own in every entry; 0 for one value for all.
    pub(super) cpus: usize,
}

type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

/// Contents of all maps.
pub(super) struct Snapshot(Vec<(MapId, Contents)>);

impl Snapshot {
    /// The contents now.
    pub(super) fn take(sim: &mut Sim) -> Snapshot {
        Snapshot(
            ids(sim)
                .into_iter()
                .map(|(id, _)| (id, contents(sim, id)))
                .collect(),
        )
    }

    /// What is different now, in the order of the maps. Takes records out of ring buffers and queues.
    pub(super) fn changes(self, sim: &mut Sim) -> Vec<MapChange> {
        let mut before: BTreeMap<MapId, Contents> = self.0.into_iter().collect();
        let mut changes = Vec::new();
        for (id, spec) in ids(sim) {
            let mut old = before.remove(&id).unwrap_or_default();
            let mut entries = Vec::new();
            for (key, new) in contents(sim, id) {
                let old = old.remove(&key);
                if old.as_ref() != Some(&new) {
                    entries.push(EntryChange {
                        key,
                        old,
                        new: Some(new),
                    });
                }
            }
            let gone = old.into_iter();
            entries.extend(gone.map(|(key, old)| EntryChange {
                key,
                old: Some(old),
                new: None,
            }));
            entries.sort_by(|a, b| a.key.iter().rev().cmp(b.key.iter().rev()));
            let records = records(sim, id, &spec);
            if !entries.is_empty() || !records.is_empty() {
                let cpus = cpus(&spec, sim);
                changes.push(MapChange {
                    spec,
                    entries,
                    records,
                    cpus,
                });
            }
        }
        changes
    }
}

fn ids(sim: &Sim) -> Vec<(MapId, Arc<MapSpec>)> {
    sim.maps()
        .iter()
        .map(|map| (map.id(), Arc::clone(map.spec())))
        .collect()
}

/// The entries of a map, if it has any that can be walked and they are not too many.
fn contents(sim: &mut Sim, id: MapId) -> Contents {
    let Some(spec) = sim.maps().get(id).map(|map| Arc::clone(map.spec())) else {
        return Contents::new();
    };
    let bytes = u64::from(spec.max_entries) * u64::from(spec.key_size + spec.value_size);
    if bytes > MOST_BYTES && is_array(&spec) || is_queue(&spec) {
        return Contents::new();
    }
    let entries = sim.map_entries(id).unwrap_or_default();
    entries
        .into_iter()
        .map(|Entry { key, value }| (key, value))
        .collect()
}

fn is_array(spec: &MapSpec) -> bool {
    matches!(spec.ty, MapType::Array | MapType::PercpuArray)
}

fn is_queue(spec: &MapSpec) -> bool {
    matches!(spec.ty, MapType::Queue | MapType::Stack)
}

fn cpus(spec: &MapSpec, sim: &Sim) -> usize {
    let per_cpu = matches!(
        spec.ty,
        MapType::PercpuArray | MapType::PercpuHash | MapType::LruPercpuHash
    );
    if per_cpu {
        sim.config().cpus as usize
    } else {
        0
    }
}

fn records(sim: &mut Sim, id: MapId, spec: &MapSpec) -> Vec<Vec<u8>> {
    if spec.ty == MapType::Ringbuf {
        return sim
            .ring_consume(id)
            .into_iter()
            .map(|record| record.data)
            .collect();
    }
    let mut values = Vec::new();
    if is_queue(spec) {
        while values.len() < spec.max_entries as usize
            && let Ok(value) = sim.map_take(id, &[])
        {
            values.push(value);
        }
    }
    values
}

/// Puts a value into a map: `NAME[KEY]=VALUE`.
///
/// # Errors
/// A setting that is none, a map that does not exist, or what the map does not take.
pub(super) fn set(sim: &mut Sim, text: &str) -> Result<(), Failure> {
    let usage = "write it like counts[0]=5, or with hex digits of the right length, hex:0a000001";
    let setting =
        Setting::read(text).ok_or_else(|| Failure::new(format!("--map `{text}`")).help(usage))?;
    let bad = |why: String| Failure::new(format!("--map {}: {why}", setting.name)).help(usage);
    let id = sim.map(setting.name).ok_or_else(|| {
        let names: Vec<_> = sim.maps().iter().map(|m| m.spec().name.clone()).collect();
        Failure::new(format!("--map: there is no map `{}`", setting.name))
            .help(format!("there are {}", names.join(", ")))
    })?;
    let Some(map) = sim.maps().get(id) else {
        return Ok(());
    };
    let spec = Arc::clone(map.spec());
    let all = map.user_value_size();
    let key = match setting.index {
        Some(key) => bytes(key, spec.key_size as usize).map_err(&bad)?,
        None => vec![0; spec.key_size as usize],
    };
    let one = bytes(setting.value, spec.value_size as usize).map_err(&bad)?;
    // Per-CPU maps get the same value for every CPU, each in a place rounded up to 8 bytes.
    let mut value = Vec::with_capacity(all);
    while value.len() < all {
        value.extend_from_slice(&one);
        if all != one.len() {
            value.resize(value.len().next_multiple_of(8), 0);
        }
        if one.is_empty() {
            break;
        }
    }
    sim.map_update(id, &key, &value, 0).map_err(|errno| {
        Failure::new(format!(
            "--map {}: the map refuses it: {errno}",
            setting.name
        ))
    })
}

/// A number in that many bytes, or that many bytes as `hex:…`.
fn bytes(text: &str, size: usize) -> Result<Vec<u8>, String> {
    if let Some(hex) = text.strip_prefix("hex:") {
        let bytes = hex_bytes(hex)?;
        return if bytes.len() == size {
            Ok(bytes)
        } else {
            Err(format!("`{hex}` has {} bytes, not {size}", bytes.len()))
        };
    }
    let value = number(text).ok_or_else(|| format!("`{text}` is no number"))?;
    if !fits(value, size) {
        return Err(format!("{text} does not fit {size} bytes"));
    }
    let mut bytes = value.to_le_bytes().to_vec();
    bytes.resize(size, 0);
    Ok(bytes)
}
