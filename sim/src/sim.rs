//! The simulated kernel as a whole: what programs share, and what a run leaves behind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use skep_spec::{AttachType, MapSpec, MapType, ProgType};

use crate::arena::layout::LIMIT;
use crate::arena::{Perm, Placement};
use crate::errno::Errno;
use crate::fault::Owner;
use crate::helpers::{Timer, Tunnel};
use crate::hooks::{self, Run};
use crate::kernel_types::KernelTypes;
use crate::maps::{ArenaPlace, Bytes, Entry, Kind, MapError, MapId, Maps, Pages, RingRecord};
use crate::memory::Memory;
use crate::packet::Room;
use crate::stack::Stack;
use crate::world::{Chance, Clock, Process, Sysctl};

/// A program by its number among those that an engine has loaded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProgId(pub u32);

/// What is chosen when a simulated kernel is made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// CPUs.
    pub cpus: u32,
    /// Frames of one program's call chain; tail calls out of functions may nest several chains.
    pub frames: u32,
    /// Bytes that the arena may have.
    pub arena: usize,
    /// Where the arena lies.
    pub placement: Placement,
    /// Begin of the pseudorandom numbers.
    pub seed: u64,
    /// Takes packets of socket buffers that are longer than a test run's page, as real devices do.
    pub long_packets: bool,
    /// Bytes of trace lines and events that are kept; what comes later is counted and dropped.
    pub max_output: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            cpus: 2,
            frames: 8,
            arena: LIMIT,
            placement: Placement::Fixed,
            seed: 1,
            long_packets: false,
            max_output: 16 << 20,
        }
    }
}

/// A record that a program sent to a perf event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PerfRecord {
    /// The perf event array.
    pub map: MapId,
    /// The entry of the array: the CPU, as a rule.
    pub index: u32,
    /// The data: the program's, then as much of the packet as it asked for.
    pub data: Vec<u8>,
}

/// Where a program sends the packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Redirect {
    /// To a device.
    Device {
        /// Its index.
        ifindex: u32,
        /// Flags: 1 is the ingress side.
        flags: u64,
    },
    /// To the device's peer in another namespace.
    Peer {
        /// Its index.
        ifindex: u32,
    },
    /// To a device by way of the neighbour tables.
    Neighbour {
        /// Its index.
        ifindex: u32,
    },
    /// To an entry of a map.
    Map {
        /// The map.
        map: MapId,
        /// The entry.
        index: u64,
        /// Flags: 8 is every entry.
        flags: u64,
    },
}

/// A copy of the packet that left during the run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PacketCopy {
    /// Index of the device.
    pub ifindex: u32,
    /// Flags: 1 is the ingress side.
    pub flags: u64,
    /// The packet.
    pub data: Vec<u8>,
}

/// What programs left behind, until it is taken.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Output {
    /// Lines of `bpf_printk`, without the line end.
    pub printk: Vec<String>,
    /// Records for perf events.
    pub perf: Vec<PerfRecord>,
    /// Copies of packets.
    pub clones: Vec<PacketCopy>,
    /// The last redirection that was asked for.
    pub redirect: Option<Redirect>,
    /// What iterators printed.
    pub seq: Vec<u8>,
    /// What infrared decoders reported.
    pub keys: Vec<String>,
    /// The result that a probed function was made to return.
    pub override_return: Option<u64>,
    /// Lines and records that were dropped because there were too many.
    pub dropped: u64,
}

/// A simulated kernel.
#[derive(Debug)]
pub struct Sim {
    pub(crate) mem: Memory,
    pub(crate) maps: Maps,
    pub(crate) stack: Stack,
    pub(crate) run: Run,
    pub(crate) room: Room,
    pub(crate) output: Output,
    pub(crate) output_bytes: usize,
    /// Guest memory of the kernel's own, for what it hands to callbacks.
    pub(crate) scratch: u64,
    /// The context of the program that runs.
    pub(crate) ctx: u64,
    /// Bytes of it that may be accessible.
    pub(crate) context_used: u64,
    /// The type whose context is laid out there, if it is one with a structure of its own.
    pub(crate) exposed: Option<(ProgType, AttachType)>,
    /// The socket of test runs, once there is one.
    pub(crate) sock: u64,
    /// The keys of flow dissectors, once there are any.
    pub(crate) flow_keys: u64,
    /// The fake `task_struct` of the current process.
    pub(crate) task: u64,
    pub(crate) types: Option<KernelTypes>,
    /// References to objects that programs allocated, by address.
    pub(crate) refs: BTreeMap<u64, u32>,
    /// Timers and work queues by the address of their place.
    pub(crate) timers: BTreeMap<u64, Timer>,
    /// Options of the socket by level and number.
    pub(crate) sockopts: BTreeMap<(u32, u32), Vec<u8>>,
    /// The tunnel that the packet goes into.
    pub(crate) tunnel: Option<Tunnel>,
    /// The attach type of the program that runs.
    pub(crate) attach: AttachType,
    /// Objects that arguments point to.
    pub(crate) objects: Vec<u64>,
    pub(crate) chance: Chance,
    serial: u64,
    config: Config,
    /// Time.
    pub clock: Clock,
    /// The process in whose context programs run.
    pub process: Process,
    /// The sysctl that programs of its hook are asked about.
    pub sysctl: Sysctl,
    /// The CPU that programs run on.
    pub cpu: u32,
    /// What `bpf_get_retval` gives and `bpf_set_retval` sets: the result of a control group's hook.
    pub retval: i32,
}

/// Kernels that this process has made, so that each has a number of its own.
static KERNELS: AtomicU64 = AtomicU64::new(0);

/// Bytes of the fake task.
pub(crate) const TASK_SIZE: u64 = 16 << 10;

impl Sim {
    /// A kernel with these maps.
    ///
    /// # Errors
    /// The first map that cannot be made.
    pub fn new(maps: &[Arc<MapSpec>]) -> Result<Sim, MapError> {
        Sim::with_config(Config::default(), maps)
    }

    /// A kernel with these maps, otherwise as configured.
    ///
    /// # Errors
    /// The first map that cannot be made; an arena too small for stack and packet is a map without name.
    pub fn with_config(config: Config, maps: &[Arc<MapSpec>]) -> Result<Sim, MapError> {
        let mut config = config;
        config.cpus = config.cpus.clamp(1, 1024);
        config.frames = config.frames.clamp(1, 64);
        let mut mem = Memory::new(config.placement, config.arena);
        let full = MapError {
            name: String::new(),
            errno: Errno::NOMEM,
        };
        let stack = Stack::new(&mut mem, config.frames).ok_or_else(|| full.clone())?;
        let room = Room::new(&mut mem).ok_or_else(|| full.clone())?;
        let mut kernel = |len, what| {
            let at = mem.alloc(len, 64, Owner::Kernel(what))?;
            mem.allow(at, len, Perm::Read);
            Some(at)
        };
        let scratch = kernel(64, "memory").ok_or_else(|| full.clone())?;
        let task = kernel(TASK_SIZE, "task_struct").ok_or_else(|| full.clone())?;
        let ctx = mem
            .alloc(hooks::CTX_ROOM, 64, Owner::Context)
            .ok_or_else(|| full.clone())?;
        let mut sim = Sim {
            mem,
            maps: Maps::default(),
            stack,
            run: Run::default(),
            room,
            output: Output::default(),
            output_bytes: 0,
            scratch,
            ctx,
            context_used: 0,
            exposed: None,
            sock: 0,
            flow_keys: 0,
            task,
            types: None,
            refs: BTreeMap::new(),
            timers: BTreeMap::new(),
            sockopts: BTreeMap::new(),
            tunnel: None,
            attach: AttachType::CgroupInetIngress,
            objects: Vec::new(),
            chance: Chance::new(config.seed),
            serial: KERNELS.fetch_add(1, Ordering::Relaxed),
            config,
            clock: Clock::default(),
            process: Process::default(),
            sysctl: Sysctl::default(),
            cpu: 0,
            retval: 0,
        };
        for spec in maps {
            sim.add_map(spec)?;
        }
        sim.fill_map_slots();
        Ok(sim)
    }

    /// Puts maps into the maps of maps that name them. Program slots are the engine's business.
    fn fill_map_slots(&mut self) {
        let mut slots = Vec::new();
        for map in self.maps.iter() {
            for (index, name) in &map.spec().slots {
                if let Some(inner) = self.maps.by_name(name) {
                    slots.push((map.id(), *index, inner));
                }
            }
        }
        for (map, index, inner) in slots {
            // A slot out of range or a frozen map stays empty, as when a loader ignores the error.
            let _ = self.map_update(map, &index.to_le_bytes(), &inner.0.to_le_bytes(), 0);
        }
    }

    /// What was chosen when the kernel was made.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Which of this process's kernels it is. Compiled code, which holds addresses of its kernel, checks
    /// it; no program can see it.
    #[inline]
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Guest memory.
    #[inline(always)]
    pub fn memory(&self) -> &Memory {
        &self.mem
    }

    /// Guest memory, for an engine's loads and stores.
    #[inline(always)]
    pub fn memory_mut(&mut self) -> &mut Memory {
        &mut self.mem
    }

    /// The stack frames.
    #[inline(always)]
    pub fn stack(&self) -> Stack {
        self.stack
    }

    /// Opens a frame for a function, 0 being the program's own: its frame pointer, or `None` if there
    /// is no such frame.
    #[inline]
    pub fn open_frame(&mut self, depth: u32) -> Option<u64> {
        self.stack.open(&mut self.mem, depth)
    }

    /// As [`Sim::open_frame`]; the frame stays closed if its function names the frame pointer nowhere.
    #[inline]
    pub fn enter_frame(&mut self, depth: u32, opens: bool) -> Option<u64> {
        if opens {
            return self.open_frame(depth);
        }
        self.stack.skip(&mut self.mem, depth)
    }

    /// Opens the frames of one call chain at once, until the next run begins: for engines that do not say
    /// when a function begins and ends.
    #[inline]
    pub fn open_chain(&mut self) {
        self.stack.open_chain(&mut self.mem);
    }

    /// Notes that the first frame is used, by an engine whose program gives its address to nobody.
    #[inline]
    pub fn use_frame(&mut self) {
        self.stack.touch();
    }

    /// Closes the frame that was opened last.
    #[inline]
    pub fn close_frame(&mut self, depth: u32) {
        self.stack.close(&mut self.mem, depth);
    }

    /// Makes a map.
    ///
    /// # Errors
    /// As `BPF_MAP_CREATE`, and `ENOMEM` where the arena has no room.
    pub fn add_map(&mut self, spec: &Arc<MapSpec>) -> Result<MapId, MapError> {
        let id = self.maps.create(&mut self.mem, spec, self.config.cpus)?;
        self.describe_map(id);
        Ok(id)
    }

    /// The map of that request, made if it is not there yet: by identity, else by name and shape.
    ///
    /// # Errors
    /// As [`Sim::add_map`].
    pub fn map_of(&mut self, spec: &Arc<MapSpec>) -> Result<MapId, MapError> {
        let same = |id: &MapId| {
            self.maps.get(*id).is_some_and(|map| {
                let have = map.spec();
                (have.ty, have.key_size, have.value_size, have.max_entries)
                    == (spec.ty, spec.key_size, spec.value_size, spec.max_entries)
            })
        };
        match self
            .maps
            .by_spec(spec)
            .or_else(|| self.maps.by_name(&spec.name).filter(same))
        {
            Some(id) => Ok(id),
            None => self.add_map(spec),
        }
    }

    /// The maps.
    pub fn maps(&self) -> &Maps {
        &self.maps
    }

    /// The first map of that name.
    pub fn map(&self, name: &str) -> Option<MapId> {
        self.maps.by_name(name)
    }

    /// User space's lookup. Of a queue or stack (with an empty key): its next value.
    ///
    /// # Errors
    /// As `BPF_MAP_LOOKUP_ELEM`: `ENOENT`, `EINVAL` for a key of another size.
    pub fn map_lookup(&mut self, map: MapId, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.maps.user_lookup(&self.mem, map, key)
    }

    /// User space's update; for a queue or stack (with an empty key) a push.
    ///
    /// # Errors
    /// As `BPF_MAP_UPDATE_ELEM`: `E2BIG`, `EEXIST`, `ENOENT`, `EINVAL`, and `EPERM` for a frozen map.
    pub fn map_update(
        &mut self,
        map: MapId,
        key: &[u8],
        value: &[u8],
        flags: u64,
    ) -> Result<(), Errno> {
        self.maps.user_update(&mut self.mem, map, key, value, flags)
    }

    /// User space's delete.
    ///
    /// # Errors
    /// As `BPF_MAP_DELETE_ELEM`.
    pub fn map_delete(&mut self, map: MapId, key: &[u8]) -> Result<(), Errno> {
        self.maps.user_delete(&mut self.mem, map, key)
    }

    /// The key behind `key` in the map's order, or the first.
    ///
    /// # Errors
    /// As `BPF_MAP_GET_NEXT_KEY`: `ENOENT` behind the last.
    pub fn map_next_key(&self, map: MapId, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        self.maps.user_next_key(&self.mem, map, key)
    }

    /// User space's lookup and delete in one; for a queue or stack a pop.
    ///
    /// # Errors
    /// As `BPF_MAP_LOOKUP_AND_DELETE_ELEM`.
    pub fn map_take(&mut self, map: MapId, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.maps.user_take(&mut self.mem, map, key)
    }

    /// All entries in the map's order.
    ///
    /// # Errors
    /// `ENOTSUPP` or `EINVAL` for maps that cannot be walked.
    pub fn map_entries(&mut self, map: MapId) -> Result<Vec<Entry>, Errno> {
        self.maps.user_entries(&self.mem, map)
    }

    /// The address of a key's value for the running program, or 0: a lookup whose map and key somebody
    /// else has checked already.
    #[inline]
    pub fn lookup_unchecked(&mut self, map: MapId, key: u64) -> u64 {
        let cpu = self.cpu;
        let map = self.maps.get_mut(map);
        map.and_then(|map| map.lookup(&self.mem, Bytes::Guest(key), cpu))
            .unwrap_or(0)
    }

    /// [`Sim::lookup_unchecked`] in a hash (per CPU or with eviction or not) with keys of `N` bytes: 4, 8
    /// or 16.
    #[inline(always)]
    pub fn lookup_hash_unchecked<const N: usize>(&mut self, map: MapId, key: u64) -> u64 {
        let cpu = self.cpu;
        let map = self.maps.get_mut(map);
        map.and_then(|map| map.lookup_hash::<N>(&self.mem, key, cpu))
            .unwrap_or(0)
    }

    /// Sets a slot of a prog_array.
    ///
    /// # Errors
    /// As [`Sim::map_update`].
    pub fn set_program(&mut self, map: MapId, index: u32, prog: ProgId) -> Result<(), Errno> {
        self.map_update(map, &index.to_le_bytes(), &prog.0.to_le_bytes(), 0)
    }

    /// The program in a slot of a prog_array, for an engine's tail call. The outer `None` says that the
    /// handle is no prog_array.
    pub fn tail_call_target(&self, handle: u64, index: u32) -> Option<Option<ProgId>> {
        let map = self.maps.get(self.maps.by_handle(handle)?)?;
        if let Kind::Refs(refs) = &map.kind
            && refs.ty() == MapType::ProgArray
        {
            return Some(refs.at(index).map(ProgId));
        }
        None
    }

    fn arena_of(&self, map: MapId) -> Option<&Pages> {
        if let Kind::Pages(pages) = &self.maps.get(map)?.kind {
            Some(pages)
        } else {
            None
        }
    }

    /// An address of an arena in the other window: user space's, or the program's own. `None` if the
    /// map is no arena.
    pub fn arena_cast(&self, map: MapId, addr: u64, to_user: bool) -> Option<u64> {
        let pages = self.arena_of(map)?;
        Some(if to_user {
            pages.to_user(addr)
        } else {
            pages.to_kernel(addr)
        })
    }

    /// User space's address of a place in an arena.
    pub fn arena_address(&self, map: MapId, off: u64) -> Option<u64> {
        Some(self.arena_of(map)?.user(off))
    }

    /// Whether an address lies in an arena's window or its guards. What a program does there and memory
    /// refuses has no effect, as where a kernel finds no page: a load gives 0, a store or an atomic operation
    /// is left out. Nothing there must be aligned.
    #[cold]
    pub fn is_in_arena(&self, map: MapId, addr: u64) -> bool {
        self.arena_of(map)
            .is_some_and(|pages| pages.is_within(addr))
    }

    /// The part of guest memory where an arena has its pages.
    pub fn arena_place(&self, map: MapId) -> Option<ArenaPlace> {
        Some(self.arena_of(map)?.place())
    }

    /// Takes the finished records out of a ring buffer, as its consumer does.
    pub fn ring_consume(&mut self, map: MapId) -> Vec<RingRecord> {
        match self.maps.get_mut(map).map(|map| &mut map.kind) {
            Some(Kind::Ring(ring)) => ring.consume(&self.mem),
            _ => Vec::new(),
        }
    }

    /// Puts a sample into a ring buffer that programs drain, as its producer in user space does.
    ///
    /// # Errors
    /// `ENOSPC` if it is full, `E2BIG` if the sample never fits, `EINVAL` if the map is of another type.
    pub fn ring_produce(&mut self, map: MapId, data: &[u8]) -> Result<(), Errno> {
        match self.maps.get_mut(map).map(|map| &mut map.kind) {
            Some(Kind::UserRing(ring)) => ring.produce(data),
            _ => Err(Errno::INVAL),
        }
    }

    /// Takes everything that programs left behind.
    pub fn take_output(&mut self) -> Output {
        self.output_bytes = 0;
        std::mem::take(&mut self.output)
    }

    /// What programs left behind.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Whether `bytes` more of output may be kept; counts what may not.
    pub(crate) fn may_output(&mut self, bytes: usize) -> bool {
        let bytes = bytes.saturating_add(64);
        let fits = self.output_bytes.saturating_add(bytes) <= self.config.max_output;
        if fits {
            self.output_bytes += bytes;
        } else {
            self.output.dropped += 1;
        }
        fits
    }
}

impl Sim {
    /// The process's name as the kernel keeps it: 15 bytes, then zeros.
    pub(crate) fn comm(&self) -> [u8; 16] {
        let mut comm = [0; 16];
        for (to, from) in comm.iter_mut().take(15).zip(self.process.comm.bytes()) {
            *to = from;
        }
        comm
    }
}
