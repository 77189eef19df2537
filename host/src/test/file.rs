//! What a test file says, as it is written.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Error;
use crate::packet::Layers;

/// A test file.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The object or assembly text with the programs, from the file's own folder.
    pub object: String,
    /// The program that tests run unless they name another.
    pub program: Option<String>,
    /// A copy of the kernel's BTF.
    pub btf: Option<String>,
    /// The tests, in order.
    #[serde(default, rename = "test")]
    pub tests: Vec<Test>,
}

/// One test: what is there before, then what happens. A test of one step says it directly.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// Its name.
    pub name: String,
    /// The program.
    pub program: Option<String>,
    /// Whether the program must be accepted first, which it is unless this says no.
    pub verify: Option<bool>,
    /// The verifier's message that is expected: the test is that the program is rejected.
    pub rejected: Option<String>,
    /// Begin of the pseudorandom numbers.
    pub seed: Option<u64>,
    /// The process that the program runs in.
    #[serde(default)]
    pub process: Process,
    /// Contents of maps before the first step.
    #[serde(default)]
    pub maps: BTreeMap<String, Vec<Entry>>,
    /// Instructions that a run may execute.
    pub max_insns: Option<u64>,
    /// The steps, where there are several.
    #[serde(default, rename = "step")]
    pub steps: Vec<Step>,
    /// The packet, of a test of one step.
    pub packet: Option<Packet>,
    /// A capture of which every packet is given.
    pub pcap: Option<String>,
    /// Fields of the context.
    #[serde(default)]
    pub ctx: Map<String, Value>,
    /// Arguments of the function that the program attaches to.
    #[serde(default)]
    pub args: Map<String, Value>,
    /// The CPU.
    pub cpu: Option<u32>,
    /// Runs with the same input.
    pub repeat: Option<u32>,
    /// What is expected.
    pub expect: Option<Expect>,
}

/// The process in whose context a program runs.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Process {
    /// Its name.
    pub comm: Option<String>,
    /// Its process and thread id.
    pub pid: Option<u32>,
    /// Its user id.
    pub uid: Option<u32>,
}

/// One step: input, and what is expected of it.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// The program, if another than the test's.
    pub program: Option<String>,
    /// Contents of maps that change before it.
    pub maps: BTreeMap<String, Vec<Entry>>,
    /// Nanoseconds that pass before it.
    pub advance_ns: u64,
    /// The packet.
    pub packet: Option<Packet>,
    /// A capture of which every packet is given.
    pub pcap: Option<String>,
    /// Fields of the context.
    pub ctx: Map<String, Value>,
    /// Arguments of the function that the program attaches to.
    pub args: Map<String, Value>,
    /// The CPU.
    pub cpu: Option<u32>,
    /// Runs with the same input.
    pub repeat: Option<u32>,
    /// What is expected.
    pub expect: Expect,
}

/// A packet: hex digits or a file, or its layers.
#[derive(Deserialize, Clone, Debug)]
#[serde(untagged)]
pub enum Packet {
    /// Hex digits, or a file with the bytes.
    Text(String),
    /// Layers, read again for errors that name the field.
    Layers(Map<String, Value>),
}

impl Packet {
    /// The layers of a packet that is given so.
    ///
    /// # Errors
    /// A layer or field that does not exist, or a value of the wrong kind.
    pub fn layers(table: &Map<String, Value>) -> Result<Layers, Error> {
        serde_json::from_value(Value::Object(table.clone())).map_err(|e| Error::new(e.to_string()))
    }
}

/// A key of a map, and its value.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The key; none in queues, stacks and maps of one value.
    pub key: Option<Value>,
    /// The value.
    pub value: Option<Value>,
    /// Expected to be absent; before a test: deleted.
    #[serde(default)]
    pub absent: bool,
}

/// What is expected. What is not mentioned is not looked at.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// The return value, by name or number.
    #[serde(rename = "return")]
    pub retval: Option<Value>,
    /// The packet afterwards; `"unchanged"` stands for the one that was given.
    pub packet: Option<Packet>,
    /// Metadata of XDP in front of it, as hex digits.
    pub meta: Option<String>,
    /// Fields of the context afterwards, for types whose context comes back.
    pub ctx: Map<String, Value>,
    /// Entries of maps.
    pub maps: BTreeMap<String, Vec<Entry>>,
    /// Records of a ring buffer or values of a queue, all that there are, in order.
    pub records: BTreeMap<String, Vec<Value>>,
    /// Lines of `bpf_printk`, all that there are.
    pub printk: Option<Vec<String>>,
    /// Where the packet is redirected: an interface index.
    pub redirect: Option<u32>,
    /// The trap that ends the run; a part of its text.
    pub trap: Option<String>,
    /// Return values of the packets of a capture, by name: how many of each.
    pub verdicts: BTreeMap<String, u64>,
}

impl File {
    /// Reads a test file.
    ///
    /// # Errors
    /// What is no TOML, a key that does not exist, a value of the wrong kind; with its line.
    pub fn parse(text: &str) -> Result<File, Error> {
        let file: File = toml::from_str(text).map_err(|e| crate::text::toml_error(text, &e))?;
        if file.tests.is_empty() {
            return Err(Error::new("the file holds no tests").help("a test begins with [[test]]"));
        }
        for test in &file.tests {
            let direct = test.packet.is_some() || test.pcap.is_some() || test.expect.is_some();
            if !test.steps.is_empty() && direct {
                return Err(Error::new(format!(
                    "test `{}` has steps, and a packet or expectation outside of them",
                    test.name
                ))
                .help("put them into a [[test.step]]"));
            }
            if test.steps.is_empty() && test.expect.is_none() && test.rejected.is_none() {
                return Err(Error::new(format!("test `{}` expects nothing", test.name))
                    .help("say what is expected, such as expect = { return = \"XDP_PASS\" }"));
            }
        }
        Ok(file)
    }
}

impl Test {
    /// Its steps, those of a test of one step included.
    pub fn all_steps(&self) -> Vec<Step> {
        if !self.steps.is_empty() {
            return self.steps.clone();
        }
        vec![Step {
            packet: self.packet.clone(),
            pcap: self.pcap.clone(),
            ctx: self.ctx.clone(),
            args: self.args.clone(),
            cpu: self.cpu,
            repeat: self.repeat,
            expect: self.expect.clone().unwrap_or_default(),
            ..Step::default()
        }]
    }
}
