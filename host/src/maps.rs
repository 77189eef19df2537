//! Contents of maps before and after a run, and what `--map` puts into them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use skep_sim::{Entry, MapId, Sim};
use skep_spec::{Facts, MapSpec, MapType, ObjectSpec, ProgramSpec};

use crate::Error;
use crate::text::encode::{Encoded, encode};
use crate::text::parse::Setting;

/// The maps of an object that a run needs: those of the program, and whichever others can be made. Some
/// have no size until the tool that loads them gives them one.
pub fn usable(object: &ObjectSpec, program: &ProgramSpec, facts: &Facts) -> Vec<Arc<MapSpec>> {
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
pub struct EntryChange {
    /// The key.
    pub key: Vec<u8>,
    /// The value before, if there was one.
    pub old: Option<Vec<u8>>,
    /// The value now, if there is one.
    pub new: Option<Vec<u8>>,
}

/// What a run changed in a map.
#[derive(Clone, Debug)]
pub struct MapChange {
    /// The map.
    pub spec: Arc<MapSpec>,
    /// Its changed entries, by key.
    pub entries: Vec<EntryChange>,
    /// Records in its ring buffer, or values in its queue.
    pub records: Vec<Vec<u8>>,
    /// CPUs that have a value of their own in every entry; 0 for one value for all.
    pub cpus: usize,
}

type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

/// Contents of all maps.
pub struct Snapshot(Vec<(MapId, Contents)>);

impl Snapshot {
    /// The contents now.
    pub fn take(sim: &mut Sim) -> Snapshot {
        Snapshot(
            ids(sim)
                .into_iter()
                .map(|(id, _)| (id, contents(sim, id)))
                .collect(),
        )
    }

    /// What is different now, in the order of the maps. Takes records out of ring buffers and queues.
    pub fn changes(self, sim: &mut Sim) -> Vec<MapChange> {
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

fn is_per_cpu(spec: &MapSpec) -> bool {
    matches!(
        spec.ty,
        MapType::PercpuArray | MapType::PercpuHash | MapType::LruPercpuHash
    )
}

fn cpus(spec: &MapSpec, sim: &Sim) -> usize {
    if is_per_cpu(spec) {
        sim.config().cpus as usize
    } else {
        0
    }
}

/// Takes the records out of a ring buffer, or the values out of a queue.
pub fn records(sim: &mut Sim, id: MapId, spec: &MapSpec) -> Vec<Vec<u8>> {
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

/// The map of that name.
///
/// # Errors
/// There is none; the help lists those that are.
pub fn find(sim: &Sim, name: &str, place: &str) -> Result<MapId, Error> {
    sim.map(name).ok_or_else(|| {
        let names: Vec<_> = sim.maps().iter().map(|m| m.spec().name.clone()).collect();
        Error::of(place, format_args!("there is no map `{name}`"))
            .help(format!("there are {}", names.join(", ")))
    })
}

/// Puts a value into a map: `NAME[KEY]=VALUE`.
///
/// # Errors
/// A setting that is none, a map that does not exist, or what the map does not take.
pub fn set(sim: &mut Sim, text: &str) -> Result<(), Error> {
    let usage = "write it like counts[0]=5, or with hex digits of the right length, hex:0a000001";
    let setting =
        Setting::read(text).ok_or_else(|| Error::new(format!("--map `{text}`")).help(usage))?;
    let id = find(sim, setting.name, "--map")?;
    let key = setting.index.map(value_of);
    let place = format!("--map {}", setting.name);
    put(sim, id, key.as_ref(), &value_of(setting.value)).map_err(|e| {
        // What the map refuses was written well.
        let is_written_badly = !e.what.starts_with(REFUSED);
        let e = e.in_place(place);
        if is_written_badly { e.help(usage) } else { e }
    })
}

/// Text as a value: JSON where it begins like an object or a list, else itself.
fn value_of(text: &str) -> Value {
    let json = text
        .starts_with(['{', '['])
        .then(|| serde_json::from_str(text).ok());
    json.flatten()
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Puts a value into a map; a map without keys (a queue) takes it as the next one. Per-CPU maps take a
/// list with a value for each CPU, or one value for all.
///
/// # Errors
/// What does not fit, or what the map does not take.
pub fn put(sim: &mut Sim, id: MapId, key: Option<&Value>, value: &Value) -> Result<(), Error> {
    let Some(map) = sim.maps().get(id) else {
        return Err(Error::new("there is no such map"));
    };
    let (spec, all) = (Arc::clone(map.spec()), map.user_value_size());
    let key = encode_key(&spec, key)?.bytes;
    let value = encode_value(&spec, all, value)?.bytes;
    sim.map_update(id, &key, &value, 0)
        .map_err(|errno| Error::new(format!("{REFUSED}: {errno}")))
}

/// Deletes a key.
///
/// # Errors
/// What is no key, or not there.
pub fn delete(sim: &mut Sim, id: MapId, key: Option<&Value>) -> Result<(), Error> {
    let Some(map) = sim.maps().get(id) else {
        return Err(Error::new("there is no such map"));
    };
    let key = encode_key(map.spec(), key)?.bytes;
    sim.map_delete(id, &key)
        .map_err(|errno| Error::new(format!("{REFUSED}: {errno}")))
}

/// Bytes of a map's key, and of a value if there is one.
///
/// # Errors
/// What does not fit.
pub fn bytes_of(
    sim: &Sim,
    id: MapId,
    key: Option<&Value>,
    value: Option<&Value>,
) -> Result<(Vec<u8>, Option<Vec<u8>>), Error> {
    let Some(map) = sim.maps().get(id) else {
        return Err(Error::new("there is no such map"));
    };
    let key = encode_key(map.spec(), key)?.bytes;
    let value = value.map(|value| encode_value(map.spec(), map.user_value_size(), value));
    Ok((key, value.transpose()?.map(|v| v.bytes)))
}

/// How an error begins that is the map's and not the writer's.
const REFUSED: &str = "the map refuses it";

/// The bytes of a key.
///
/// # Errors
/// What does not fit the map's keys.
pub fn encode_key(spec: &MapSpec, key: Option<&Value>) -> Result<Encoded, Error> {
    let (btf, size) = (spec.btf.as_deref(), spec.key_size as usize);
    let zero = Value::Array(vec![Value::from(0); size]);
    let (ty, key) = match key {
        Some(key) => (spec.btf_key_id, key),
        // Queues have no keys; arrays of one element need none.
        None => (0, &zero),
    };
    encode(btf, ty, size, key).map_err(|e| Error::new(format!("key: {e}")))
}

/// The bytes of a value as user space gives it: those of all CPUs where each has its own.
///
/// # Errors
/// What does not fit the map's values.
pub fn encode_value(spec: &MapSpec, all: usize, value: &Value) -> Result<Encoded, Error> {
    let (btf, size) = (spec.btf.as_deref(), spec.value_size as usize);
    let one = |value: &Value| {
        encode(btf, spec.btf_value_id, size, value).map_err(|e| Error::new(format!("value: {e}")))
    };
    if !is_per_cpu(spec) {
        return one(value);
    }
    // Each CPU's value has a place rounded up to 8 bytes.
    let place = size.next_multiple_of(8);
    let cpus = all.checked_div(place).unwrap_or(0);
    let each = value.as_array().filter(|values| values.len() == cpus);
    let values: Vec<&Value> = match each {
        Some(values) => values.iter().collect(),
        None => vec![value; cpus],
    };
    let mut out = Encoded {
        bytes: Vec::with_capacity(all),
        given: Vec::with_capacity(all),
    };
    for value in values {
        let mut part = one(value)?;
        part.bytes.resize(place, 0);
        part.given.resize(place, false);
        out.bytes.extend(part.bytes);
        out.given.extend(part.given);
    }
    Ok(out)
}
