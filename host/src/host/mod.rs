//! A machine with interfaces: what the data plane of a router needs, in one process.
//!
//! Objects are loaded and unloaded, interfaces are made and joined by links, XDP and traffic control
//! programs are bound to them, maps are read and written, packets are put in and taken out, and what
//! programs tell through ring buffers and perf events reaches handlers. Everything happens when it is
//! asked for, in one thread and in one order: the same calls give the same packets.
//!
//! ```
//! use skep_host::{End, Host};
//!
//! let object = skep_asm::assemble(".prog drop xdp\n r0 = 1\n exit\n", &Default::default()).unwrap();
//! let mut host = Host::new().unwrap();
//! let object = host.load(&object).unwrap();
//! let eth0 = host.add_interface("eth0").unwrap();
//! host.attach_xdp(eth0, host.program(object, "drop").unwrap()).unwrap();
//! let fate = host.inject(eth0, &[0; 60]).unwrap();
//! assert!(matches!(fate.ends[0].end, End::Dropped { .. }));
//! ```

mod device;
mod event;
mod object;
mod path;
mod target;

use skep_sim::{Config, MapId, Sim};
use skep_spec::{Facts, Profile};

pub use device::{Chain, IfIndex, Interface};
pub use event::{Event, Handler};
pub use object::ObjectId;
pub use path::{Arrival, End, Fate, Hook, Hop};
pub use target::Socket;

use crate::Error;
use crate::host::object::Loaded;

/// Hops of one packet and its copies at most: more is a loop between interfaces.
const MOST_HOPS: usize = 256;

/// A simulated machine.
pub struct Host {
    sim: Sim,
    machine: skep_interp::Machine,
    facts: Facts,
    objects: Vec<Loaded>,
    interfaces: Vec<Interface>,
    sockets: Vec<Socket>,
    handlers: Vec<(MapId, Handler)>,
    printed: Vec<String>,
    /// Perf events that no handler was there for.
    unheard: Vec<Event>,
    /// Packets that programs may be asked about, in instructions.
    budget: u64,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host")
            .field("objects", &self.objects.len())
            .field("interfaces", &self.interfaces)
            .finish_non_exhaustive()
    }
}

impl Host {
    /// A machine without interfaces.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new() -> Result<Host, Error> {
        Host::with_config(Config {
            long_packets: true,
            ..Config::default()
        })
    }

    /// The same, with a number of CPUs, a seed and so on.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn with_config(config: Config) -> Result<Host, Error> {
        let sim = Sim::with_config(config, &[]).map_err(|e| Error::new(e.to_string()))?;
        Ok(Host {
            sim,
            machine: skep_interp::Machine::new(),
            facts: Facts::new(Profile::linux_6_18()),
            objects: Vec::new(),
            interfaces: Vec::new(),
            sockets: Vec::new(),
            handlers: Vec::new(),
            printed: Vec::new(),
            unheard: Vec::new(),
            budget: skep_interp::BUDGET,
        })
    }

    /// Judges programs by another kernel's rules, or with a kernel's types.
    pub fn set_facts(&mut self, facts: Facts) {
        self.facts = facts;
    }

    /// Limits the instructions of each run.
    pub fn set_budget(&mut self, insns: u64) {
        self.budget = insns;
    }

    /// The simulated kernel: its clock, its process, its maps.
    pub fn sim(&self) -> &Sim {
        &self.sim
    }

    /// The simulated kernel, to be changed.
    pub fn sim_mut(&mut self) -> &mut Sim {
        &mut self.sim
    }

    /// Perf events that no handler was there for, since they were last taken.
    pub fn take_unheard(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.unheard)
    }

    /// Lines that programs printed since they were last taken.
    pub fn take_printed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.printed)
    }
}
