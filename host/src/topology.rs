//! A machine from a file: interfaces, links, objects, programs at their hooks, maps, packets, handlers.
//!
//! ```toml
//! [[interface]]
//! name = "eth0"
//! xdp = "router/forward"        # object, then program
//! ingress = ["router/count"]
//!
//! [[interface]]
//! name = "eth1"
//!
//! [[object]]
//! name = "router"
//! file = "router.bpf.o"
//! maps.devices = [{ key = "eth1", value = "eth1" }]
//!
//! [[packet]]
//! at = "eth0"
//! layers = { ipv4 = { dst = "198.51.100.7" }, udp = {} }
//! ```
//!
//! In maps, the name of an interface stands for its index, and `program:NAME` for a program of the object.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};
use skep_sim::{MapId, ProgId};
use skep_spec::{Facts, Profile};

use crate::host::{Chain, Fate, Host, IfIndex, ObjectId};
use crate::packet::{self, capture};
use crate::test::file::{Entry, Packet};
use crate::test::{beside, read, read_text};
use crate::{Error, maps, object};

/// A topology, as it is written.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "interface")]
    interfaces: Vec<Interface>,
    /// Pairs of interfaces.
    #[serde(default)]
    links: Vec<(String, String)>,
    #[serde(default, rename = "object")]
    objects: Vec<Object>,
    #[serde(default, rename = "packet")]
    packets: Vec<Given>,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
struct Interface {
    name: String,
    mac: Option<String>,
    xdp: Option<String>,
    #[serde(default)]
    ingress: Vec<String>,
    #[serde(default)]
    egress: Vec<String>,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
struct Object {
    name: String,
    file: String,
    /// The programs to load; all that load by themselves without it.
    programs: Option<Vec<String>>,
    verify: Option<bool>,
    #[serde(default)]
    maps: BTreeMap<String, Vec<Entry>>,
    /// Places of AF_XDP sockets, by map.
    #[serde(default)]
    sockets: BTreeMap<String, Vec<u32>>,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
struct Given {
    /// The interface it arrives at.
    at: Option<String>,
    /// The interface it is sent through.
    from: Option<String>,
    #[serde(default)]
    queue: u32,
    #[serde(default)]
    advance_ns: u64,
    hex: Option<String>,
    layers: Option<Map<String, Value>>,
    pcap: Option<String>,
    repeat: Option<u32>,
}

/// A packet that is put into a topology.
#[derive(Clone, Debug)]
pub struct Put {
    /// Whether it arrives at the interface from outside; else it is sent through it.
    pub arrives: bool,
    /// The interface.
    pub ifindex: IfIndex,
    /// The queue.
    pub queue: u32,
    /// Nanoseconds that pass before it.
    pub advance_ns: u64,
    /// The bytes.
    pub data: Vec<u8>,
}

/// A machine, and the packets that are to be put into it.
#[derive(Debug)]
pub struct Topology {
    /// The machine.
    pub host: Host,
    /// The objects, by name.
    pub objects: Vec<(String, ObjectId)>,
    /// The packets in order.
    pub packets: Vec<Put>,
    /// AF_XDP sockets: the map, its name, the place in it.
    pub sockets: Vec<(MapId, String, u32)>,
}

/// Packets of a topology at most.
const MOST_PACKETS: usize = 10_000_000;

impl Topology {
    /// Reads a topology and makes its machine.
    ///
    /// # Errors
    /// What cannot be read or makes no sense, and where.
    pub fn open(path: &Path) -> Result<Topology, Error> {
        let shown = path.display().to_string();
        let text = read_text(path)?;
        let file: File = toml::from_str(&text)
            .map_err(|e| crate::text::toml_error(&text, &e).in_place(&shown))?;
        make(path, &file).map_err(|e| e.in_place(&shown))
    }

    /// Puts a packet in.
    ///
    /// # Errors
    /// As [`Host::inject`].
    pub fn put(&mut self, packet: &Put) -> Result<Fate, Error> {
        self.host.sim_mut().clock.advance(packet.advance_ns);
        if packet.arrives {
            self.host
                .inject_at(packet.ifindex, packet.queue, &packet.data)
        } else {
            self.host.send(packet.ifindex, &packet.data)
        }
    }
}

fn make(path: &Path, file: &File) -> Result<Topology, Error> {
    let mut host = Host::new()?;
    for interface in &file.interfaces {
        let index = host.add_interface(&interface.name)?;
        if let Some(text) = &interface.mac {
            let mac = crate::text::parse::mac(text)
                .ok_or_else(|| Error::new(format!("`{text}` is no Ethernet address")))?;
            host.device_mut(index)?.mac = mac;
        }
    }
    for (a, b) in &file.links {
        let (a, b) = (find(&host, a)?, find(&host, b)?);
        host.link(a, b)?;
    }
    let mut topology = Topology {
        host,
        objects: Vec::new(),
        packets: Vec::new(),
        sockets: Vec::new(),
    };
    for object in &file.objects {
        load(path, object, &mut topology)
            .map_err(|e| e.in_place(format_args!("object `{}`", object.name)))?;
    }
    for interface in &file.interfaces {
        bind(interface, &mut topology)
            .map_err(|e| e.in_place(format_args!("interface `{}`", interface.name)))?;
    }
    for (number, given) in file.packets.iter().enumerate() {
        let packets = packets(path, given, &topology.host)
            .map_err(|e| e.in_place(format_args!("packet {}", number + 1)))?;
        topology.packets.extend(packets);
        if topology.packets.len() > MOST_PACKETS {
            return Err(Error::new(format!("more than {MOST_PACKETS} packets")));
        }
    }
    Ok(topology)
}

fn find(host: &Host, name: &str) -> Result<IfIndex, Error> {
    host.interface(name)
        .ok_or_else(|| Error::new(format!("there is no interface `{name}`")))
}

fn load(path: &Path, given: &Object, topology: &mut Topology) -> Result<(), Error> {
    let facts = Facts::new(Profile::linux_6_18());
    let spec = object::open(&beside(path, &given.file), &facts)?;
    for name in given.programs.iter().flatten() {
        if spec.program(name).is_none() {
            return Err(Error::new(format!("there is no program `{name}`")));
        }
    }
    let chosen = |name: &String, autoload| match &given.programs {
        Some(names) => names.contains(name),
        None => autoload,
    };
    let host = &mut topology.host;
    let id = host.load_with(
        &spec,
        |p| chosen(&p.name, p.autoload),
        given.verify.unwrap_or(true),
    )?;
    topology.objects.push((given.name.clone(), id));
    for (name, places) in &given.sockets {
        let map = host.map(id, name)?;
        for place in places {
            host.open_socket(map, *place)?;
            topology.sockets.push((map, name.clone(), *place));
        }
    }
    for (name, entries) in &given.maps {
        let map = host.map(id, name)?;
        for entry in entries {
            let place = format!("maps.{name}");
            let value = entry
                .value
                .as_ref()
                .ok_or_else(|| Error::of(&place, "an entry needs a value"))?;
            let (key, value) = (
                entry.key.as_ref().map(|k| named(host, id, k)),
                named(host, id, value),
            );
            maps::put(host.sim_mut(), map, key.as_ref(), &value).map_err(|e| e.in_place(&place))?;
        }
    }
    Ok(())
}

/// A value in which names of interfaces and programs have become numbers.
fn named(host: &Host, object: ObjectId, value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let program = text.strip_prefix("program:");
            let program = program.and_then(|name| host.program(object, name).ok());
            let number = program.map(|p| p.0).or(host.interface(text).map(|i| i.0));
            number.map_or_else(|| value.clone(), Value::from)
        }
        Value::Array(items) => items.iter().map(|item| named(host, object, item)).collect(),
        Value::Object(members) => {
            let members = members.iter();
            members
                .map(|(name, item)| (name.clone(), named(host, object, item)))
                .collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn bind(given: &Interface, topology: &mut Topology) -> Result<(), Error> {
    let index = find(&topology.host, &given.name)?;
    if let Some(name) = &given.xdp {
        let prog = program(topology, name)?;
        topology.host.attach_xdp(index, prog)?;
    }
    for (chain, names) in [
        (Chain::Ingress, &given.ingress),
        (Chain::Egress, &given.egress),
    ] {
        for name in names {
            let prog = program(topology, name)?;
            topology.host.attach_tc(index, chain, prog)?;
        }
    }
    Ok(())
}

/// A program, written `OBJECT/PROGRAM`.
fn program(topology: &Topology, name: &str) -> Result<ProgId, Error> {
    let (object, program) = name.split_once('/').ok_or_else(|| {
        Error::new(format!("`{name}` names no program")).help("write it like object/program")
    })?;
    let found = topology.objects.iter().find(|o| o.0 == object);
    let (_, id) = found.ok_or_else(|| Error::new(format!("there is no object `{object}`")))?;
    topology.host.program(*id, program)
}

fn packets(path: &Path, given: &Given, host: &Host) -> Result<Vec<Put>, Error> {
    let (arrives, name) = match (&given.at, &given.from) {
        (Some(name), None) => (true, name),
        (None, Some(name)) => (false, name),
        (Some(_), Some(_)) | (None, None) => {
            return Err(Error::new(
                "a packet has either `at`, where it arrives, or `from`, where it is sent",
            ));
        }
    };
    let ifindex = find(host, name)?;
    let mut all = Vec::new();
    if let Some(digits) = &given.hex {
        all.push(packet::bytes(digits, "hex")?);
    }
    if let Some(table) = &given.layers {
        all.push(Packet::layers(table)?.bytes()?);
    }
    if let Some(pcap) = &given.pcap {
        let path = beside(path, pcap);
        let frames = capture::read(&read(&path)?).map_err(|e| e.in_place(path.display()))?;
        all.extend(frames.into_iter().map(|f| f.data));
    }
    if all.is_empty() {
        return Err(Error::new("it has no bytes").help("give hex, layers or pcap"));
    }
    let times = given.repeat.unwrap_or(1) as usize;
    if times.saturating_mul(all.len()) > MOST_PACKETS {
        return Err(Error::new(format!("more than {MOST_PACKETS} packets")));
    }
    let put = |data: &Vec<u8>| Put {
        arrives,
        ifindex,
        queue: given.queue,
        advance_ns: given.advance_ns,
        data: data.clone(),
    };
    Ok((0..times).flat_map(|_| all.iter().map(put)).collect())
}
